# One interface's packets, mirrored to another one.
DescribeSubnets {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]} -> subnet=Subnets.0.SubnetId
CreateNetworkInterface {"SubnetId": "$subnet"} -> from=NetworkInterface.NetworkInterfaceId
CreateNetworkInterface {"SubnetId": "$subnet"} -> to=NetworkInterface.NetworkInterfaceId
CreateTrafficMirrorTarget {"NetworkInterfaceId": "$to", "Description": "the collector"} -> target=TrafficMirrorTarget.TrafficMirrorTargetId
CreateTrafficMirrorFilter {"Description": "web"} -> filter=TrafficMirrorFilter.TrafficMirrorFilterId
CreateTrafficMirrorFilterRule {"TrafficMirrorFilterId": "$filter", "TrafficDirection": "ingress", "RuleNumber": 10, \
  "RuleAction": "accept", "Protocol": 6, "DestinationPortRange": {"FromPort": 80, "ToPort": 80}, \
  "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0"} -> rule=TrafficMirrorFilterRule.TrafficMirrorFilterRuleId
ModifyTrafficMirrorFilterRule {"TrafficMirrorFilterRuleId": "$rule", "RuleNumber": 20}
ModifyTrafficMirrorFilterNetworkServices {"TrafficMirrorFilterId": "$filter", "AddNetworkServices": ["amazon-dns"]}
CreateTrafficMirrorSession {"NetworkInterfaceId": "$from", "TrafficMirrorTargetId": "$target", \
  "TrafficMirrorFilterId": "$filter", "SessionNumber": 1, "VirtualNetworkId": 7} -> session=TrafficMirrorSession.TrafficMirrorSessionId
ModifyTrafficMirrorSession {"TrafficMirrorSessionId": "$session", "PacketLength": 100}
DescribeTrafficMirrorTargets {"TrafficMirrorTargetIds": ["$target"]}
DescribeTrafficMirrorFilters {"TrafficMirrorFilterIds": ["$filter"]}
DescribeTrafficMirrorFilterRules {"TrafficMirrorFilterId": "$filter"}
DescribeTrafficMirrorSessions {"TrafficMirrorSessionIds": ["$session"]}
DeleteTrafficMirrorFilter {"TrafficMirrorFilterId": "$filter"} !! TrafficMirrorFilterInUse
DeleteTrafficMirrorSession {"TrafficMirrorSessionId": "$session"}
DeleteTrafficMirrorFilterRule {"TrafficMirrorFilterRuleId": "$rule"}
DeleteTrafficMirrorFilter {"TrafficMirrorFilterId": "$filter"}
DeleteTrafficMirrorTarget {"TrafficMirrorTargetId": "$target"}
