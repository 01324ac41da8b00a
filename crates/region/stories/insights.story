# What Network Insights shall look at, and an Instance Connect endpoint.
DescribeSubnets {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]} -> subnet=Subnets.0.SubnetId
CreateNetworkInterface {"SubnetId": "$subnet"} -> from=NetworkInterface.NetworkInterfaceId
CreateNetworkInterface {"SubnetId": "$subnet"} -> to=NetworkInterface.NetworkInterfaceId
CreateNetworkInsightsPath {"Source": "$from", "Destination": "$to", "Protocol": "tcp", "DestinationPort": 443, "ClientToken": "p"} -> path=NetworkInsightsPath.NetworkInsightsPathId
DescribeNetworkInsightsPaths {"NetworkInsightsPathIds": ["$path"]}
StartNetworkInsightsAnalysis {"NetworkInsightsPathId": "$path", "ClientToken": "a"} \
  -> analysis=NetworkInsightsAnalysis.NetworkInsightsAnalysisId
DescribeNetworkInsightsAnalyses {"NetworkInsightsAnalysisIds": ["$analysis"]}
DeleteNetworkInsightsAnalysis {"NetworkInsightsAnalysisId": "$analysis"}
DeleteNetworkInsightsPath {"NetworkInsightsPathId": "$path"}
CreateNetworkInsightsAccessScope {"ClientToken": "s", "MatchPaths": [{"Source": {"ResourceStatement": {"ResourceTypes": ["AWS::EC2::InternetGateway"]}}}]} \
  -> scope=NetworkInsightsAccessScope.NetworkInsightsAccessScopeId
DescribeNetworkInsightsAccessScopes {"NetworkInsightsAccessScopeIds": ["$scope"]}
GetNetworkInsightsAccessScopeContent {"NetworkInsightsAccessScopeId": "$scope"}
StartNetworkInsightsAccessScopeAnalysis {"NetworkInsightsAccessScopeId": "$scope", "ClientToken": "b"} \
  -> analysis=NetworkInsightsAccessScopeAnalysis.NetworkInsightsAccessScopeAnalysisId
DescribeNetworkInsightsAccessScopeAnalyses {"NetworkInsightsAccessScopeAnalysisIds": ["$analysis"]}
GetNetworkInsightsAccessScopeAnalysisFindings {"NetworkInsightsAccessScopeAnalysisId": "$analysis"}
DeleteNetworkInsightsAccessScopeAnalysis {"NetworkInsightsAccessScopeAnalysisId": "$analysis"}
DeleteNetworkInsightsAccessScope {"NetworkInsightsAccessScopeId": "$scope"}
CreateInstanceConnectEndpoint {"SubnetId": "$subnet", "PreserveClientIp": true} -> eice=InstanceConnectEndpoint.InstanceConnectEndpointId
DescribeInstanceConnectEndpoints {"InstanceConnectEndpointIds": ["$eice"]}
DeleteInstanceConnectEndpoint {"InstanceConnectEndpointId": "$eice"}
