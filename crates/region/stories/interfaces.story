# Interfaces, their addresses and attributes, elastic IP addresses, instances.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.0.1.0/24"} -> subnet=Subnet.SubnetId
CreateInternetGateway -> igw=InternetGateway.InternetGatewayId
AttachInternetGateway {"InternetGatewayId": "$igw", "VpcId": "$vpc"}
CreateNetworkInterface {"SubnetId": "$subnet", "Description": "x", "PrivateIpAddress": "10.0.1.10"} -> eni=NetworkInterface.NetworkInterfaceId
CreateNetworkInterface {"SubnetId": "$subnet", "PrivateIpAddress": "10.0.1.10"} !! InvalidIPAddress.InUse
AssignPrivateIpAddresses {"NetworkInterfaceId": "$eni", "SecondaryPrivateIpAddressCount": 1} -> second=AssignedPrivateIpAddresses.0.PrivateIpAddress
UnassignPrivateIpAddresses {"NetworkInterfaceId": "$eni", "PrivateIpAddresses": ["$second"]}
DescribeNetworkInterfaces {"NetworkInterfaceIds": ["$eni"]}
DescribeNetworkInterfaceAttribute {"NetworkInterfaceId": "$eni", "Attribute": "description"}
ModifyNetworkInterfaceAttribute {"NetworkInterfaceId": "$eni", "SourceDestCheck": {"Value": false}}
ResetNetworkInterfaceAttribute {"NetworkInterfaceId": "$eni", "SourceDestCheck": "true"}
AllocateAddress {"Domain": "vpc"} -> eip=AllocationId
AssociateAddress {"AllocationId": "$eip", "NetworkInterfaceId": "$eni"} -> association=AssociationId
DescribeAddresses {"AllocationIds": ["$eip"]}
DescribeAddressesAttribute {"AllocationIds": ["$eip"], "Attribute": "domain-name"}
DetachInternetGateway {"InternetGatewayId": "$igw", "VpcId": "$vpc"} !! DependencyViolation
DisassociateAddress {"AssociationId": "$association"}
ReleaseAddress {"AllocationId": "$eip"}
RunInstances {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "SubnetId": "$subnet"} -> instance=Instances.0.InstanceId
DescribeInstances {"InstanceIds": ["$instance"]}
DescribeInstanceStatus {"InstanceIds": ["$instance"]}
DescribeInstanceTypes {"InstanceTypes": ["t3.micro"]}
DescribeInstanceAttribute {"InstanceId": "$instance", "Attribute": "instanceType"}
ModifyInstanceAttribute {"InstanceId": "$instance", "DisableApiTermination": {"Value": false}}
AttachNetworkInterface {"NetworkInterfaceId": "$eni", "InstanceId": "$instance", "DeviceIndex": 1} -> attachment=AttachmentId
DeleteNetworkInterface {"NetworkInterfaceId": "$eni"} !! InvalidParameterValue
DetachNetworkInterface {"AttachmentId": "$attachment"}
DeleteNetworkInterface {"NetworkInterfaceId": "$eni"}
RebootInstances {"InstanceIds": ["$instance"]}
StopInstances {"InstanceIds": ["$instance"]}
StartInstances {"InstanceIds": ["$instance"]}
TerminateInstances {"InstanceIds": ["$instance"]}
DeleteSubnet {"SubnetId": "$subnet"}
CreateDefaultVpc !! DefaultVpcAlreadyExists
DescribeVpcs {"Filters": [{"Name": "is-default", "Values": ["true"]}]} -> default=Vpcs.0.VpcId
