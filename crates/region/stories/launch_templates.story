# A launch template with two versions, and an instance from it.
CreateLaunchTemplate {"LaunchTemplateName": "web", "LaunchTemplateData": {"ImageId": "ami-12345678", "InstanceType": "t3.micro"}} -> template=LaunchTemplate.LaunchTemplateId
CreateLaunchTemplate {"LaunchTemplateName": "web", "LaunchTemplateData": {"KeyName": "k"}} !! InvalidLaunchTemplateName.AlreadyExistsException
CreateLaunchTemplateVersion {"LaunchTemplateId": "$template", "SourceVersion": "1", "LaunchTemplateData": {"InstanceType": "t3.small"}}
ModifyLaunchTemplate {"LaunchTemplateId": "$template", "DefaultVersion": "2"}
DescribeLaunchTemplates {"LaunchTemplateIds": ["$template"]}
DescribeLaunchTemplateVersions {"LaunchTemplateId": "$template", "Versions": ["2"]}
RunInstances {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": "$template"}} -> instance=Instances.0.InstanceId
DeleteLaunchTemplateVersions {"LaunchTemplateId": "$template", "Versions": ["1"]}
DescribeImages {"ImageIds": ["ami-12345678"], "Owners": ["amazon"]}
TerminateInstances {"InstanceIds": ["$instance"]}
DeleteLaunchTemplate {"LaunchTemplateId": "$template"}
