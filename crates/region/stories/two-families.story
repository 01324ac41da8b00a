# VPCs and subnets with IPv6, DHCP options, reservations, what few interfaces have, groups of zones.
CreateVpc {"CidrBlock": "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock": true, "InstanceTenancy": "dedicated"} -> vpc=Vpc.VpcId
ModifyVpcTenancy {"VpcId": "$vpc", "InstanceTenancy": "default"}
CreateDhcpOptions {"DhcpConfigurations": [{"Key": "domain-name", "Values": ["example.com"]}]} -> options=DhcpOptions.DhcpOptionsId
DescribeDhcpOptions {"DhcpOptionsIds": ["$options"]}
AssociateDhcpOptions {"DhcpOptionsId": "$options", "VpcId": "$vpc"}
DeleteDhcpOptions {"DhcpOptionsId": "$options"} !! DependencyViolation
AssociateDhcpOptions {"DhcpOptionsId": "default", "VpcId": "$vpc"}
DeleteDhcpOptions {"DhcpOptionsId": "$options"}
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.0.0.0/24"} -> subnet=Subnet.SubnetId
DescribeVpcs {"VpcIds": ["$vpc"]} -> block=Vpcs.0.Ipv6CidrBlockAssociationSet.0.Ipv6CidrBlock
AssociateSubnetCidrBlock {"SubnetId": "$subnet", "Ipv6CidrBlock": "$block"} -> association=Ipv6CidrBlockAssociation.AssociationId
CreateSubnetCidrReservation {"SubnetId": "$subnet", "Cidr": "10.0.0.64/26", "ReservationType": "prefix"} -> reservation=SubnetCidrReservation.SubnetCidrReservationId
GetSubnetCidrReservations {"SubnetId": "$subnet"}
CreateNetworkInterface {"SubnetId": "$subnet", "Ipv4PrefixCount": 1} -> eni=NetworkInterface.NetworkInterfaceId
DeleteSubnetCidrReservation {"SubnetCidrReservationId": "$reservation"}
AssignIpv6Addresses {"NetworkInterfaceId": "$eni", "Ipv6AddressCount": 1} -> address=AssignedIpv6Addresses.0
DisassociateSubnetCidrBlock {"AssociationId": "$association"} !! InvalidCidrBlock.InUse
UnassignIpv6Addresses {"NetworkInterfaceId": "$eni", "Ipv6Addresses": ["$address"]}
CreateNetworkInterfacePermission {"NetworkInterfaceId": "$eni", "AwsAccountId": "444455556666", "Permission": "INSTANCE-ATTACH"} -> permission=InterfacePermission.NetworkInterfacePermissionId
DescribeNetworkInterfacePermissions {"NetworkInterfacePermissionIds": ["$permission"]}
DeleteNetworkInterfacePermission {"NetworkInterfacePermissionId": "$permission"}
DeleteNetworkInterface {"NetworkInterfaceId": "$eni"}
DisassociateSubnetCidrBlock {"AssociationId": "$association"}
DeleteSubnet {"SubnetId": "$subnet"}
DeleteVpc {"VpcId": "$vpc"}
ModifyAvailabilityZoneGroup {"GroupName": "us-east-1-zg-1", "OptInStatus": "opted-in"}
DescribeSubnets {"Filters": [{"Name": "availability-zone", "Values": ["us-east-1a"]}]} -> subnet=Subnets.0.SubnetId
DeleteSubnet {"SubnetId": "$subnet"}
CreateDefaultSubnet {"AvailabilityZone": "us-east-1a"}
