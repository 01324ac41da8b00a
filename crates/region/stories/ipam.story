# Addresses by plan: a manager, pools in its private scope, and a VPC's block from one of them.
CreateIpam {"Description": "ours", "OperatingRegions": [{"RegionName": "us-east-1"}]} -> ipam=Ipam.IpamId scope=Ipam.PrivateDefaultScopeId
CreateIpam {} !! IpamLimitExceeded
ModifyIpam {"IpamId": "$ipam", "Description": "still ours"}
DescribeIpams {"IpamIds": ["$ipam"]}
CreateIpamScope {"IpamId": "$ipam", "Description": "a lab's"} -> lab=IpamScope.IpamScopeId
ModifyIpamScope {"IpamScopeId": "$lab", "Description": "the lab's"}
DescribeIpamScopes {"IpamScopeIds": ["$lab"]}
DeleteIpamScope {"IpamScopeId": "$scope"} !! OperationNotPermitted
CreateIpamPool {"IpamScopeId": "$scope", "AddressFamily": "ipv4"} -> top=IpamPool.IpamPoolId
ProvisionIpamPoolCidr {"IpamPoolId": "$top", "Cidr": "10.0.0.0/8"}
CreateIpamPool {"IpamScopeId": "$scope", "AddressFamily": "ipv4", "SourceIpamPoolId": "$top", "Locale": "us-east-1", \
  "AllocationDefaultNetmaskLength": 20} -> pool=IpamPool.IpamPoolId
ProvisionIpamPoolCidr {"IpamPoolId": "$pool", "NetmaskLength": 16} -> cidr=IpamPoolCidr.Cidr
ModifyIpamPool {"IpamPoolId": "$pool", "AllocationMinNetmaskLength": 18}
DescribeIpamPools {"IpamPoolIds": ["$pool"]}
GetIpamPoolCidrs {"IpamPoolId": "$pool"}
AllocateIpamPoolCidr {"IpamPoolId": "$pool", "NetmaskLength": 20} -> allocation=IpamPoolAllocation.IpamPoolAllocationId taken=IpamPoolAllocation.Cidr
CreateVpc {"Ipv4IpamPoolId": "$pool", "Ipv4NetmaskLength": 20} -> vpc=Vpc.VpcId
GetIpamPoolAllocations {"IpamPoolId": "$pool"}
DeprovisionIpamPoolCidr {"IpamPoolId": "$pool", "Cidr": "$cidr"} !! IncorrectState
DeleteVpc {"VpcId": "$vpc"}
ReleaseIpamPoolAllocation {"IpamPoolId": "$pool", "Cidr": "$taken", "IpamPoolAllocationId": "$allocation"}
DeprovisionIpamPoolCidr {"IpamPoolId": "$pool", "Cidr": "$cidr"}
DeleteIpam {"IpamId": "$ipam"} !! DependencyViolation
DeleteIpamPool {"IpamPoolId": "$pool"}
DeleteIpamPool {"IpamPoolId": "$top", "Cascade": true}
DeleteIpamScope {"IpamScopeId": "$lab"}
DeleteIpam {"IpamId": "$ipam"}
