# Network ACLs, their entries and associations.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.0.1.0/24"} -> subnet=Subnet.SubnetId
CreateNetworkAcl {"VpcId": "$vpc"} -> acl=NetworkAcl.NetworkAclId
CreateNetworkAclEntry {"NetworkAclId": "$acl", "RuleNumber": 100, "Protocol": "6", "RuleAction": "allow", \
  "Egress": false, "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 80, "To": 80}}
CreateNetworkAclEntry {"NetworkAclId": "$acl", "RuleNumber": 100, "Protocol": "-1", "RuleAction": "deny", \
  "Egress": false, "CidrBlock": "0.0.0.0/0"} !! NetworkAclEntryAlreadyExists
ReplaceNetworkAclEntry {"NetworkAclId": "$acl", "RuleNumber": 100, "Protocol": "-1", "RuleAction": "deny", \
  "Egress": false, "CidrBlock": "10.0.0.0/8"}
DescribeNetworkAcls {"Filters": [{"Name": "association.subnet-id", "Values": ["$subnet"]}]} -> association=NetworkAcls.0.Associations.0.NetworkAclAssociationId
DescribeNetworkAcls {"NetworkAclIds": ["$acl"]}
ReplaceNetworkAclAssociation {"AssociationId": "$association", "NetworkAclId": "$acl"}
DeleteNetworkAcl {"NetworkAclId": "$acl"} !! DependencyViolation
DeleteNetworkAclEntry {"NetworkAclId": "$acl", "RuleNumber": 100, "Egress": false}
DeleteSubnet {"SubnetId": "$subnet"}
DeleteNetworkAcl {"NetworkAclId": "$acl"}
DeleteVpc {"VpcId": "$vpc"}
