# Both generations of the API on security groups and their rules.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateSecurityGroup {"GroupName": "web", "Description": "web", "VpcId": "$vpc"} -> web=GroupId
CreateSecurityGroup {"GroupName": "web", "Description": "again", "VpcId": "$vpc"} !! InvalidGroup.Duplicate
CreateSecurityGroup {"GroupName": "db", "Description": "db", "VpcId": "$vpc"} -> db=GroupId
AuthorizeSecurityGroupIngress {"GroupId": "$web", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, \
  "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all"}]}]} -> rule=SecurityGroupRules.0.SecurityGroupRuleId
AuthorizeSecurityGroupIngress {"GroupId": "$web", "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "0.0.0.0/0"} !! InvalidPermission.Duplicate
AuthorizeSecurityGroupIngress {"GroupId": "$db", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, \
  "UserIdGroupPairs": [{"GroupId": "$web"}]}]}
AuthorizeSecurityGroupEgress {"GroupId": "$db", "IpPermissions": [{"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, \
  "IpRanges": [{"CidrIp": "10.0.0.2/32"}]}]} -> out=SecurityGroupRules.0.SecurityGroupRuleId
DescribeSecurityGroups {"GroupIds": ["$web", "$db"]}
DescribeSecurityGroupRules {"SecurityGroupRuleIds": ["$rule"]}
ModifySecurityGroupRules {"GroupId": "$web", "SecurityGroupRules": [{"SecurityGroupRuleId": "$rule", \
  "SecurityGroupRule": {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "0.0.0.0/0"}}]}
UpdateSecurityGroupRuleDescriptionsIngress {"GroupId": "$web", "SecurityGroupRuleDescriptions": \
  [{"SecurityGroupRuleId": "$rule", "Description": "tls"}]}
UpdateSecurityGroupRuleDescriptionsEgress {"GroupId": "$db", "SecurityGroupRuleDescriptions": \
  [{"SecurityGroupRuleId": "$out", "Description": "dns"}]}
DeleteSecurityGroup {"GroupId": "$web"} !! DependencyViolation
RevokeSecurityGroupIngress {"GroupId": "$db", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, \
  "UserIdGroupPairs": [{"GroupId": "$web"}]}]}
RevokeSecurityGroupEgress {"GroupId": "$db", "SecurityGroupRuleIds": ["$out"]}
RevokeSecurityGroupIngress {"GroupId": "$web", "SecurityGroupRuleIds": ["$rule"]}
DeleteSecurityGroup {"GroupId": "$web"}
DeleteSecurityGroup {"GroupId": "$db"}
DeleteVpc {"VpcId": "$vpc"}

# Groups across a peering connection, and in another VPC.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateVpc {"CidrBlock": "10.1.0.0/16"} -> other=Vpc.VpcId
CreateVpcPeeringConnection {"VpcId": "$vpc", "PeerVpcId": "$other"} -> peering=VpcPeeringConnection.VpcPeeringConnectionId
AcceptVpcPeeringConnection {"VpcPeeringConnectionId": "$peering"}
CreateSecurityGroup {"GroupName": "near", "Description": "d", "VpcId": "$vpc"} -> near=GroupId
CreateSecurityGroup {"GroupName": "far", "Description": "d", "VpcId": "$other"} -> far=GroupId
AuthorizeSecurityGroupIngress {"GroupId": "$near", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 22, \
  "ToPort": 22, "UserIdGroupPairs": [{"GroupId": "$far"}]}]}
DescribeSecurityGroupReferences {"GroupId": ["$far"]}
DescribeStaleSecurityGroups {"VpcId": "$vpc"}
GetSecurityGroupsForVpc {"VpcId": "$vpc"}
AssociateSecurityGroupVpc {"GroupId": "$far", "VpcId": "$vpc"}
DescribeSecurityGroupVpcAssociations {"Filters": [{"Name": "group-id", "Values": ["$far"]}]}
DeleteVpc {"VpcId": "$vpc"} !! DependencyViolation
DisassociateSecurityGroupVpc {"GroupId": "$far", "VpcId": "$vpc"}
DeleteVpcPeeringConnection {"VpcPeeringConnectionId": "$peering"}
DeleteSecurityGroup {"GroupId": "$far"}
DeleteSecurityGroup {"GroupId": "$near"}
