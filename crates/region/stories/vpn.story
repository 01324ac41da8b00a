# A virtual private gateway at a VPC, and the far end of a connection.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateCustomerGateway {"Type": "ipsec.1", "PublicIp": "198.51.100.7", "BgpAsn": 65001, "DeviceName": "edge"} -> cgw=CustomerGateway.CustomerGatewayId
CreateVpnGateway {"Type": "ipsec.1", "AmazonSideAsn": 65010} -> vgw=VpnGateway.VpnGatewayId
DescribeCustomerGateways {"CustomerGatewayIds": ["$cgw"]}
AttachVpnGateway {"VpcId": "$vpc", "VpnGatewayId": "$vgw"}
DescribeVpnGateways {"Filters": [{"Name": "attachment.vpc-id", "Values": ["$vpc"]}]}
CreateRouteTable {"VpcId": "$vpc"} -> table=RouteTable.RouteTableId
EnableVgwRoutePropagation {"RouteTableId": "$table", "GatewayId": "$vgw"}
DisableVgwRoutePropagation {"RouteTableId": "$table", "GatewayId": "$vgw"}
DeleteVpnGateway {"VpnGatewayId": "$vgw"} !! IncorrectState
DetachVpnGateway {"VpcId": "$vpc", "VpnGatewayId": "$vgw"}
DeleteVpnGateway {"VpnGatewayId": "$vgw"}
DeleteCustomerGateway {"CustomerGatewayId": "$cgw"}
