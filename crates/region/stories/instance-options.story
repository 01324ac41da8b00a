# Key pairs, placement groups, and what an instance is told to be besides its network.
CreateKeyPair {"KeyName": "made", "KeyType": "ed25519", "TagSpecifications": [{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}]} -> key=KeyPairId
ImportKeyPair {"KeyName": "imported", "PublicKeyMaterial": "c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUtGUnBLN1E2RkNqSStxRFpmZU8xRFBXdGRKTFBKZnpmektRY2dPTVROeFA="}
DescribeKeyPairs {"KeyNames": ["made", "imported"], "IncludePublicKey": true}
DescribeKeyPairs {"KeyPairIds": ["$key"], "Filters": [{"Name": "key-name", "Values": ["ma*"]}]}
CreatePlacementGroup {"GroupName": "racks", "Strategy": "spread", "SpreadLevel": "rack"} -> group=PlacementGroup.GroupId
CreatePlacementGroup {"GroupName": "parts", "Strategy": "partition", "PartitionCount": 3}
DescribePlacementGroups {"GroupIds": ["$group"], "Filters": [{"Name": "strategy", "Values": ["spread"]}]}
RunInstances {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "KeyName": "made", "Placement": {"GroupName": "racks"}} -> i=Instances.0.InstanceId
DescribeInstanceTypeOfferings {"LocationType": "availability-zone", "Filters": [{"Name": "instance-type", "Values": ["t3.*"]}]}
DescribeInstanceCreditSpecifications {"InstanceIds": ["$i"]}
ModifyInstanceCreditSpecification {"InstanceCreditSpecifications": [{"InstanceId": "$i", "CpuCredits": "standard"}]}
MonitorInstances {"InstanceIds": ["$i"]}
UnmonitorInstances {"InstanceIds": ["$i"]}
ModifyInstanceMetadataDefaults {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled", "InstanceMetadataTags": "no-preference"}
GetInstanceMetadataDefaults
ModifyInstanceMetadataOptions {"InstanceId": "$i", "HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled", "HttpProtocolIpv6": "disabled", "InstanceMetadataTags": "enabled"}
ModifyInstanceMaintenanceOptions {"InstanceId": "$i", "AutoRecovery": "disabled", "RebootMigration": "default"}
ResetInstanceAttribute {"InstanceId": "$i", "Attribute": "sourceDestCheck"}
StopInstances {"InstanceIds": ["$i"]}
ModifyPrivateDnsNameOptions {"InstanceId": "$i", "PrivateDnsHostnameType": "resource-name", "EnableResourceNameDnsARecord": true}
ModifyInstanceCpuOptions {"InstanceId": "$i", "CoreCount": 1, "ThreadsPerCore": 2}
ModifyInstanceCapacityReservationAttributes {"InstanceId": "$i", "CapacityReservationSpecification": {"CapacityReservationPreference": "none"}}
ModifyInstancePlacement {"InstanceId": "$i", "GroupName": "parts", "PartitionNumber": 2}
DeletePlacementGroup {"GroupName": "racks"}
TerminateInstances {"InstanceIds": ["$i"]}
DeleteKeyPair {"KeyPairId": "$key"}

# Profiles, the account's credits, and a template of an instance.
RunInstances {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} -> i=Instances.0.InstanceId
AssociateIamInstanceProfile {"InstanceId": "$i", "IamInstanceProfile": {"Name": "p"}} -> association=IamInstanceProfileAssociation.AssociationId
ReplaceIamInstanceProfileAssociation {"AssociationId": "$association", "IamInstanceProfile": {"Name": "q"}} -> association=IamInstanceProfileAssociation.AssociationId
DescribeIamInstanceProfileAssociations {"AssociationIds": ["$association"]}
DisassociateIamInstanceProfile {"AssociationId": "$association"}
GetLaunchTemplateData {"InstanceId": "$i"}
ModifyDefaultCreditSpecification {"InstanceFamily": "t3", "CpuCredits": "standard"}
GetDefaultCreditSpecification {"InstanceFamily": "t3"}
DescribeImageAttribute {"ImageId": "ami-12345678", "Attribute": "launchPermission"}
TerminateInstances {"InstanceIds": ["$i"]}

# The form of identifiers.
DescribeIdFormat {"Resource": "vpc"}
DescribeIdentityIdFormat {"PrincipalArn": "arn:aws:iam::111122223333:root"}
DescribeAggregateIdFormat
DescribePrincipalIdFormat {"Resources": ["vpc"]}
ModifyIdFormat {"Resource": "vpc", "UseLongIds": true}
ModifyIdentityIdFormat {"Resource": "vpc", "UseLongIds": true, "PrincipalArn": "arn:aws:iam::111122223333:root"}
