# Block public access with its exclusions.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.0.0.0/24"} -> subnet=Subnet.SubnetId
DescribeVpcBlockPublicAccessOptions
ModifyVpcBlockPublicAccessOptions {"InternetGatewayBlockMode": "block-bidirectional"}
CreateVpcBlockPublicAccessExclusion {"VpcId": "$vpc", "InternetGatewayExclusionMode": "allow-egress"} \
  -> exclusion=VpcBlockPublicAccessExclusion.ExclusionId
CreateVpcBlockPublicAccessExclusion {"SubnetId": "$subnet", "InternetGatewayExclusionMode": "allow-bidirectional"} \
  -> other=VpcBlockPublicAccessExclusion.ExclusionId
CreateTags {"Resources": ["$exclusion"], "Tags": [{"Key": "why", "Value": "updates"}]}
ModifyVpcBlockPublicAccessExclusion {"ExclusionId": "$exclusion", "InternetGatewayExclusionMode": "allow-bidirectional"}
DescribeVpcBlockPublicAccessExclusions {"ExclusionIds": ["$exclusion"]}
DescribeVpcBlockPublicAccessExclusions {"Filters": [{"Name": "tag:why", "Values": ["updates"]}]}
DeleteVpcBlockPublicAccessExclusion {"ExclusionId": "$exclusion"}
DeleteVpcBlockPublicAccessExclusion {"ExclusionId": "$exclusion"} !! InvalidVpcBlockPublicAccessExclusionId.NotFound
DeleteSubnet {"SubnetId": "$subnet"}
DescribeVpcBlockPublicAccessExclusions {"ExclusionIds": ["$other"]} !! InvalidVpcBlockPublicAccessExclusionId.NotFound
ModifyVpcBlockPublicAccessOptions {"InternetGatewayBlockMode": "off"}
DeleteVpc {"VpcId": "$vpc"}
