# Without its default VPC an account may make a new one.
DescribeVpcs {"Filters": [{"Name": "is-default", "Values": ["true"]}]} -> vpc=Vpcs.0.VpcId
DescribeInternetGateways {"Filters": [{"Name": "attachment.vpc-id", "Values": ["$vpc"]}]} -> igw=InternetGateways.0.InternetGatewayId
DescribeSubnets {"Filters": [{"Name": "vpc-id", "Values": ["$vpc"]}]} -> a=Subnets.0.SubnetId, b=Subnets.1.SubnetId, c=Subnets.2.SubnetId
DetachInternetGateway {"InternetGatewayId": "$igw", "VpcId": "$vpc"}
DeleteInternetGateway {"InternetGatewayId": "$igw"}
DeleteSubnet {"SubnetId": "$a"}
DeleteSubnet {"SubnetId": "$b"}
DeleteSubnet {"SubnetId": "$c"}
DeleteVpc {"VpcId": "$vpc"}
CreateDefaultVpc -> vpc=Vpc.VpcId
