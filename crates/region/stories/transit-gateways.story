# Transit gateways: attachments of VPCs, route tables, associations, propagations, routes.
CreateTransitGateway {"Description": "hub", "Options": {"AmazonSideAsn": 64600}} -> tgw=TransitGateway.TransitGatewayId default=TransitGateway.Options.AssociationDefaultRouteTableId
ModifyTransitGateway {"TransitGatewayId": "$tgw", "Options": {"DnsSupport": "disable"}}
DescribeTransitGateways {"TransitGatewayIds": ["$tgw"]}
CreateVpc {"CidrBlock": "10.1.0.0/16"} -> vpc=Vpc.VpcId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.1.0.0/24", "AvailabilityZone": "us-east-1a"} -> subnet=Subnet.SubnetId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.1.1.0/24", "AvailabilityZone": "us-east-1b"} -> second=Subnet.SubnetId
CreateTransitGatewayVpcAttachment {"TransitGatewayId": "$tgw", "VpcId": "$vpc", "SubnetIds": ["$subnet"]} -> attachment=TransitGatewayVpcAttachment.TransitGatewayAttachmentId
ModifyTransitGatewayVpcAttachment {"TransitGatewayAttachmentId": "$attachment", "AddSubnetIds": ["$second"]}
DescribeTransitGatewayVpcAttachments {"TransitGatewayAttachmentIds": ["$attachment"]}
DescribeTransitGatewayAttachments {"TransitGatewayAttachmentIds": ["$attachment"]}
CreateTransitGatewayRouteTable {"TransitGatewayId": "$tgw"} -> table=TransitGatewayRouteTable.TransitGatewayRouteTableId
DescribeTransitGatewayRouteTables {"TransitGatewayRouteTableIds": ["$table"]}
AssociateTransitGatewayRouteTable {"TransitGatewayRouteTableId": "$table", "TransitGatewayAttachmentId": "$attachment"} !! Resource.AlreadyAssociated
DisassociateTransitGatewayRouteTable {"TransitGatewayRouteTableId": "$default", "TransitGatewayAttachmentId": "$attachment"}
AssociateTransitGatewayRouteTable {"TransitGatewayRouteTableId": "$table", "TransitGatewayAttachmentId": "$attachment"}
EnableTransitGatewayRouteTablePropagation {"TransitGatewayRouteTableId": "$table", "TransitGatewayAttachmentId": "$attachment"}
GetTransitGatewayRouteTableAssociations {"TransitGatewayRouteTableId": "$table"}
GetTransitGatewayRouteTablePropagations {"TransitGatewayRouteTableId": "$table"}
GetTransitGatewayAttachmentPropagations {"TransitGatewayAttachmentId": "$attachment"}
CreateTransitGatewayRoute {"TransitGatewayRouteTableId": "$table", "DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayAttachmentId": "$attachment"}
ReplaceTransitGatewayRoute {"TransitGatewayRouteTableId": "$table", "DestinationCidrBlock": "0.0.0.0/0", "Blackhole": true}
SearchTransitGatewayRoutes {"TransitGatewayRouteTableId": "$table", "Filters": [{"Name": "state", "Values": ["blackhole"]}]} -> blackhole=Routes.0.DestinationCidrBlock
DeleteTransitGatewayRoute {"TransitGatewayRouteTableId": "$table", "DestinationCidrBlock": "$blackhole"}
DisableTransitGatewayRouteTablePropagation {"TransitGatewayRouteTableId": "$table", "TransitGatewayAttachmentId": "$attachment"}
DeleteTransitGatewayRouteTable {"TransitGatewayRouteTableId": "$table"} !! IncorrectState
DisassociateTransitGatewayRouteTable {"TransitGatewayRouteTableId": "$table", "TransitGatewayAttachmentId": "$attachment"}
DeleteTransitGatewayRouteTable {"TransitGatewayRouteTableId": "$table"}
DeleteTransitGateway {"TransitGatewayId": "$tgw"} !! IncorrectState
DeleteTransitGatewayVpcAttachment {"TransitGatewayAttachmentId": "$attachment"}
DeleteTransitGateway {"TransitGatewayId": "$tgw"}
