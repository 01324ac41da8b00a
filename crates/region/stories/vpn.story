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
# A connection between the two ends.
CreateCustomerGateway {"Type": "ipsec.1", "PublicIp": "198.51.100.9"} -> cgw=CustomerGateway.CustomerGatewayId
CreateVpnGateway {"Type": "ipsec.1"} -> vgw=VpnGateway.VpnGatewayId
CreateVpnConnection {"Type": "ipsec.1", "CustomerGatewayId": "$cgw", "VpnGatewayId": "$vgw", "Options": {"StaticRoutesOnly": true, \
  "TunnelOptions": [{"TunnelInsideCidr": "169.254.44.0/30", "PreSharedKey": "a_secret.of.both", "Phase1LifetimeSeconds": 3600}]}} \
  -> vpn=VpnConnection.VpnConnectionId, outside=VpnConnection.VgwTelemetry.0.OutsideIpAddress
CreateVpnConnectionRoute {"VpnConnectionId": "$vpn", "DestinationCidrBlock": "192.168.0.0/16"}
DescribeVpnConnections {"VpnConnectionIds": ["$vpn"]}
ModifyVpnConnection {"VpnConnectionId": "$vpn", "VpnGatewayId": "$vgw"}
ModifyVpnConnectionOptions {"VpnConnectionId": "$vpn", "LocalIpv4NetworkCidr": "10.0.0.0/8"}
ModifyVpnTunnelOptions {"VpnConnectionId": "$vpn", "VpnTunnelOutsideIpAddress": "$outside", "TunnelOptions": {"ReplayWindowSize": 64}}
GetVpnTunnelReplacementStatus {"VpnConnectionId": "$vpn", "VpnTunnelOutsideIpAddress": "$outside"}
ReplaceVpnTunnel {"VpnConnectionId": "$vpn", "VpnTunnelOutsideIpAddress": "$outside", "ApplyPendingMaintenance": false}
DeleteVpnConnectionRoute {"VpnConnectionId": "$vpn", "DestinationCidrBlock": "192.168.0.0/16"}
DeleteVpnConnection {"VpnConnectionId": "$vpn"}
