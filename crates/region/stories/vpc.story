# A VPC, a subnet, a route table and an internet gateway, from nothing to nothing.
CreateVpc {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "default", \
  "TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "a"}]}]} -> vpc=Vpc.VpcId
CreateVpc {"CidrBlock": "10.0.0.0/8"} !! InvalidVpc.Range
DescribeVpcs {"VpcIds": ["$vpc"]}
DescribeVpcs {"Filters": [{"Name": "vpc-id", "Values": ["$vpc"]}], "MaxResults": 5}
ModifyVpcAttribute {"VpcId": "$vpc", "EnableDnsHostnames": {"Value": true}}
DescribeVpcAttribute {"VpcId": "$vpc", "Attribute": "enableDnsHostnames"}
AssociateVpcCidrBlock {"VpcId": "$vpc", "CidrBlock": "10.1.0.0/16"} -> block=CidrBlockAssociation.AssociationId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1b"} -> subnet=Subnet.SubnetId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.0.1.128/25"} !! InvalidSubnet.Conflict
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.9.1.0/24"} !! InvalidSubnet.Range
DescribeSubnets {"SubnetIds": ["$subnet"]}
ModifySubnetAttribute {"SubnetId": "$subnet", "MapPublicIpOnLaunch": {"Value": false}}
CreateInternetGateway -> igw=InternetGateway.InternetGatewayId
AttachInternetGateway {"InternetGatewayId": "$igw", "VpcId": "$vpc"}
DescribeInternetGateways {"InternetGatewayIds": ["$igw"]}
CreateRouteTable {"VpcId": "$vpc"} -> table=RouteTable.RouteTableId
CreateRoute {"RouteTableId": "$table", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "$igw"}
ReplaceRoute {"RouteTableId": "$table", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "$igw"}
AssociateRouteTable {"RouteTableId": "$table", "SubnetId": "$subnet"} -> association=AssociationId
CreateRouteTable {"VpcId": "$vpc"} -> other=RouteTable.RouteTableId
ReplaceRouteTableAssociation {"AssociationId": "$association", "RouteTableId": "$other"} -> association=NewAssociationId
DisassociateRouteTable {"AssociationId": "$association"}
DescribeRouteTables {"RouteTableIds": ["$table", "$other"]}
DeleteVpc {"VpcId": "$vpc"} !! DependencyViolation
DeleteSubnet {"SubnetId": "$subnet"}
DeleteRoute {"RouteTableId": "$table", "DestinationCidrBlock": "0.0.0.0/0"}
DeleteRouteTable {"RouteTableId": "$table"}
DeleteRouteTable {"RouteTableId": "$other"}
DetachInternetGateway {"InternetGatewayId": "$igw", "VpcId": "$vpc"}
DeleteInternetGateway {"InternetGatewayId": "$igw"}
DisassociateVpcCidrBlock {"AssociationId": "$block"}
CreateTags {"Resources": ["$vpc"], "Tags": [{"Key": "k", "Value": "v"}]}
DescribeTags {"Filters": [{"Name": "resource-id", "Values": ["$vpc"]}]}
DeleteTags {"Resources": ["$vpc"]}
DeleteVpc {"VpcId": "$vpc"}
DeleteVpc {"VpcId": "$vpc"} !! InvalidVpcID.NotFound
DescribeAccountAttributes
DescribeRegions
DescribeAvailabilityZones
