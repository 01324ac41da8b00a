# Flow logs of a VPC.
CreateVpc {"CidrBlock": "10.0.0.0/16"} -> vpc=Vpc.VpcId
CreateFlowLogs {"ResourceIds": ["$vpc"], "ResourceType": "VPC", "TrafficType": "ALL", "LogDestinationType": "s3", \
  "LogDestination": "arn:aws:s3:::logs", "MaxAggregationInterval": 60} -> log=FlowLogIds.0
DescribeFlowLogs {"FlowLogIds": ["$log"]}
DeleteFlowLogs {"FlowLogIds": ["$log"]}
