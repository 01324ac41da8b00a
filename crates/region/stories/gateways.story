# Prefix lists: versions, and who uses one.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateManagedPrefixList {"PrefixListName": "office", "MaxEntries": 5, "AddressFamily": "IPv4", \
  "Entries": [{"Cidr": "192.0.2.0/24", "Description": "one"}]} -> list=PrefixList.PrefixListId
DescribeManagedPrefixLists {"PrefixListIds": ["$list"]}
DescribePrefixLists
ModifyManagedPrefixList {"PrefixListId": "$list", "CurrentVersion": 1, "AddEntries": [{"Cidr": "198.51.100.0/24"}]}
ModifyManagedPrefixList {"PrefixListId": "$list", "CurrentVersion": 1, "AddEntries": [{"Cidr": "203.0.113.0/24"}]} \
  !! PrefixListVersionMismatch
RestoreManagedPrefixListVersion {"PrefixListId": "$list", "PreviousVersion": 1, "CurrentVersion": 2}
GetManagedPrefixListEntries {"PrefixListId": "$list", "TargetVersion": 2}
CreateSecurityGroup {"GroupName": "g", "Description": "d", "VpcId": "$vpc"} -> group=GroupId
AuthorizeSecurityGroupIngress {"GroupId": "$group", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 22, \
  "ToPort": 22, "PrefixListIds": [{"PrefixListId": "$list"}]}]}
GetManagedPrefixListAssociations {"PrefixListId": "$list"}
DeleteManagedPrefixList {"PrefixListId": "$list"} !! DependencyViolation
DeleteSecurityGroup {"GroupId": "$group"}
DeleteManagedPrefixList {"PrefixListId": "$list"}

# Gateways that routes lead to.
CreateRouteTable {"VpcId": "$vpc"} -> table=RouteTable.RouteTableId
CreateEgressOnlyInternetGateway {"VpcId": "$vpc"} -> egress=EgressOnlyInternetGateway.EgressOnlyInternetGatewayId
CreateRoute {"RouteTableId": "$table", "DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "$egress"}
DescribeEgressOnlyInternetGateways {"EgressOnlyInternetGatewayIds": ["$egress"]}
DeleteEgressOnlyInternetGateway {"EgressOnlyInternetGatewayId": "$egress"}
CreateCarrierGateway {"VpcId": "$vpc"} -> carrier=CarrierGateway.CarrierGatewayId
CreateRoute {"RouteTableId": "$table", "DestinationCidrBlock": "0.0.0.0/0", "CarrierGatewayId": "$carrier"}
DescribeCarrierGateways {"CarrierGatewayIds": ["$carrier"]}
DeleteVpc {"VpcId": "$vpc"} !! DependencyViolation
DeleteCarrierGateway {"CarrierGatewayId": "$carrier"}
CreateVpnGateway {"Type": "ipsec.1"} -> vgw=VpnGateway.VpnGatewayId
AttachVpnGateway {"VpnGatewayId": "$vgw", "VpcId": "$vpc"}
EnableVgwRoutePropagation {"RouteTableId": "$table", "GatewayId": "$vgw"}
DescribeRouteTables {"RouteTableIds": ["$table"]} -> propagating=RouteTables.0.PropagatingVgws.0.GatewayId
AssociateRouteTable {"RouteTableId": "$table", "GatewayId": "$vgw"} !! InvalidParameterValue
DisableVgwRoutePropagation {"RouteTableId": "$table", "GatewayId": "$vgw"}

# Peering of two VPCs of one account, with a refusal and an acceptance.
CreateVpc {"CidrBlock": "10.1.0.0/16"} -> other=Vpc.VpcId
CreateVpcPeeringConnection {"VpcId": "$vpc", "PeerVpcId": "$other"} -> peering=VpcPeeringConnection.VpcPeeringConnectionId
RejectVpcPeeringConnection {"VpcPeeringConnectionId": "$peering"}
CreateVpcPeeringConnection {"VpcId": "$vpc", "PeerVpcId": "$other"} -> peering=VpcPeeringConnection.VpcPeeringConnectionId
CreateVpcPeeringConnection {"VpcId": "$other", "PeerVpcId": "$vpc"} !! VpcPeeringConnectionAlreadyExists
AcceptVpcPeeringConnection {"VpcPeeringConnectionId": "$peering"}
CreateRoute {"RouteTableId": "$table", "DestinationCidrBlock": "10.1.0.0/16", "VpcPeeringConnectionId": "$peering"}
ModifyVpcPeeringConnectionOptions {"VpcPeeringConnectionId": "$peering", \
  "RequesterPeeringConnectionOptions": {"AllowDnsResolutionFromRemoteVpc": true}}
DescribeVpcPeeringConnections {"VpcPeeringConnectionIds": ["$peering"]}
DeleteVpcPeeringConnection {"VpcPeeringConnectionId": "$peering"}

# NAT gateways, public and private.
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.0.1.0/24"} -> subnet=Subnet.SubnetId
CreateInternetGateway -> igw=InternetGateway.InternetGatewayId
AttachInternetGateway {"InternetGatewayId": "$igw", "VpcId": "$vpc"}
AllocateAddress -> one=AllocationId
AllocateAddress -> two=AllocationId
CreateNatGateway {"SubnetId": "$subnet", "AllocationId": "$one"} -> nat=NatGateway.NatGatewayId
AssociateNatGatewayAddress {"NatGatewayId": "$nat", "AllocationIds": ["$two"]} -> association=NatGatewayAddresses.0.AssociationId
DisassociateNatGatewayAddress {"NatGatewayId": "$nat", "AssociationIds": ["$association"]}
DescribeNatGateways {"NatGatewayIds": ["$nat"]}
DeleteNatGateway {"NatGatewayId": "$nat"}
CreateNatGateway {"SubnetId": "$subnet", "ConnectivityType": "private"} -> nat=NatGateway.NatGatewayId
AssignPrivateNatGatewayAddress {"NatGatewayId": "$nat", "PrivateIpAddresses": ["10.0.1.77"]}
UnassignPrivateNatGatewayAddress {"NatGatewayId": "$nat", "PrivateIpAddresses": ["10.0.1.77"]}
DeleteNatGateway {"NatGatewayId": "$nat"}
