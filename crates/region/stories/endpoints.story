# Endpoints to EC2's own services, and to an account's own one.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.0.1.0/24"} -> subnet=Subnet.SubnetId
CreateRouteTable {"VpcId": "$vpc"} -> table=RouteTable.RouteTableId
CreateVpcEndpoint {"VpcId": "$vpc", "ServiceName": "com.amazonaws.us-east-1.s3", "RouteTableIds": ["$table"]} -> gateway=VpcEndpoint.VpcEndpointId
ModifyVpcEndpoint {"VpcEndpointId": "$gateway", "RemoveRouteTableIds": ["$table"]}
DescribeVpcEndpoints {"VpcEndpointIds": ["$gateway"]}
CreateVpcEndpointServiceConfiguration {"NetworkLoadBalancerArns": \
  ["arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/a/0123456789abcdef"], \
  "PrivateDnsName": "api.example.com"} -> service=ServiceConfiguration.ServiceId, name=ServiceConfiguration.ServiceName
ModifyVpcEndpointServiceConfiguration {"ServiceId": "$service", "AcceptanceRequired": true}
ModifyVpcEndpointServicePermissions {"ServiceId": "$service", "AddAllowedPrincipals": ["arn:aws:iam::444455556666:root"]}
ModifyVpcEndpointServicePayerResponsibility {"ServiceId": "$service", "PayerResponsibility": "ServiceOwner"}
StartVpcEndpointServicePrivateDnsVerification {"ServiceId": "$service"}
DescribeVpcEndpointServicePermissions {"ServiceId": "$service"}
DescribeVpcEndpointServiceConfigurations {"ServiceIds": ["$service"]}
DescribeVpcEndpointServices {"Filters": [{"Name": "service-type", "Values": ["Interface"]}]}
CreateVpcEndpointConnectionNotification {"ServiceId": "$service", "ConnectionEvents": ["Accept"], \
  "ConnectionNotificationArn": "arn:aws:sns:us-east-1:111122223333:topic"} -> note=ConnectionNotification.ConnectionNotificationId
ModifyVpcEndpointConnectionNotification {"ConnectionNotificationId": "$note", "ConnectionEvents": ["Reject"]}
DescribeVpcEndpointConnectionNotifications {"ConnectionNotificationId": "$note"}
DeleteVpcEndpointConnectionNotifications {"ConnectionNotificationIds": ["$note"]}
CreateVpcEndpoint {"VpcId": "$vpc", "ServiceName": "$name", "VpcEndpointType": "Interface", "SubnetIds": ["$subnet"]} -> endpoint=VpcEndpoint.VpcEndpointId
DescribeVpcEndpointConnections {"Filters": [{"Name": "service-id", "Values": ["$service"]}]}
AcceptVpcEndpointConnections {"ServiceId": "$service", "VpcEndpointIds": ["$endpoint"]}
RejectVpcEndpointConnections {"ServiceId": "$service", "VpcEndpointIds": ["$endpoint"]}
DeleteVpcEndpoints {"VpcEndpointIds": ["$gateway", "$endpoint"]}
DeleteVpcEndpointServiceConfigurations {"ServiceIds": ["$service"]}
