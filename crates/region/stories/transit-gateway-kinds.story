# Transit gateways: prefix lists, peerings, Connect, multicast, policy tables.
CreateTransitGateway {"Options": {"MulticastSupport": "enable", "TransitGatewayCidrBlocks": ["198.51.100.0/24"]}} -> tgw=TransitGateway.TransitGatewayId table=TransitGateway.Options.AssociationDefaultRouteTableId
CreateVpc {"CidrBlock": "10.1.0.0/16"} -> vpc=Vpc.VpcId
CreateSubnet {"VpcId": "$vpc", "CidrBlock": "10.1.0.0/24"} -> subnet=Subnet.SubnetId
CreateTransitGatewayVpcAttachment {"TransitGatewayId": "$tgw", "VpcId": "$vpc", "SubnetIds": ["$subnet"]} -> attachment=TransitGatewayVpcAttachment.TransitGatewayAttachmentId
CreateManagedPrefixList {"PrefixListName": "office", "MaxEntries": 2, "AddressFamily": "IPv4", "Entries": [{"Cidr": "192.0.2.0/24"}]} -> list=PrefixList.PrefixListId
CreateTransitGatewayPrefixListReference {"TransitGatewayRouteTableId": "$table", "PrefixListId": "$list", "Blackhole": true}
ModifyTransitGatewayPrefixListReference {"TransitGatewayRouteTableId": "$table", "PrefixListId": "$list", "TransitGatewayAttachmentId": "$attachment"}
GetTransitGatewayPrefixListReferences {"TransitGatewayRouteTableId": "$table"}
DeleteTransitGatewayPrefixListReference {"TransitGatewayRouteTableId": "$table", "PrefixListId": "$list"}
CreateTransitGatewayConnect {"TransportTransitGatewayAttachmentId": "$attachment", "Options": {"Protocol": "gre"}} -> connect=TransitGatewayConnect.TransitGatewayAttachmentId
DescribeTransitGatewayConnects {"TransitGatewayAttachmentIds": ["$connect"]}
CreateTransitGatewayConnectPeer {"TransitGatewayAttachmentId": "$connect", "PeerAddress": "10.1.0.10", "InsideCidrBlocks": ["169.254.6.0/29"]} -> peer=TransitGatewayConnectPeer.TransitGatewayConnectPeerId
DescribeTransitGatewayConnectPeers {"TransitGatewayConnectPeerIds": ["$peer"]}
DeleteTransitGatewayConnect {"TransitGatewayAttachmentId": "$connect"} !! IncorrectState
DeleteTransitGatewayConnectPeer {"TransitGatewayConnectPeerId": "$peer"}
DeleteTransitGatewayConnect {"TransitGatewayAttachmentId": "$connect"}
CreateTransitGatewayMulticastDomain {"TransitGatewayId": "$tgw", "Options": {"StaticSourcesSupport": "enable"}} -> domain=TransitGatewayMulticastDomain.TransitGatewayMulticastDomainId
DescribeTransitGatewayMulticastDomains {"TransitGatewayMulticastDomainIds": ["$domain"]}
AssociateTransitGatewayMulticastDomain {"TransitGatewayMulticastDomainId": "$domain", "TransitGatewayAttachmentId": "$attachment", "SubnetIds": ["$subnet"]}
GetTransitGatewayMulticastDomainAssociations {"TransitGatewayMulticastDomainId": "$domain"}
CreateNetworkInterface {"SubnetId": "$subnet"} -> eni=NetworkInterface.NetworkInterfaceId
RegisterTransitGatewayMulticastGroupMembers {"TransitGatewayMulticastDomainId": "$domain", "GroupIpAddress": "239.1.1.1", "NetworkInterfaceIds": ["$eni"]}
RegisterTransitGatewayMulticastGroupSources {"TransitGatewayMulticastDomainId": "$domain", "GroupIpAddress": "239.1.1.1", "NetworkInterfaceIds": ["$eni"]}
SearchTransitGatewayMulticastGroups {"TransitGatewayMulticastDomainId": "$domain"}
DeregisterTransitGatewayMulticastGroupMembers {"TransitGatewayMulticastDomainId": "$domain", "GroupIpAddress": "239.1.1.1", "NetworkInterfaceIds": ["$eni"]}
DeregisterTransitGatewayMulticastGroupSources {"TransitGatewayMulticastDomainId": "$domain", "GroupIpAddress": "239.1.1.1", "NetworkInterfaceIds": ["$eni"]}
DisassociateTransitGatewayMulticastDomain {"TransitGatewayMulticastDomainId": "$domain", "TransitGatewayAttachmentId": "$attachment", "SubnetIds": ["$subnet"]}
DeleteTransitGatewayMulticastDomain {"TransitGatewayMulticastDomainId": "$domain"}
CreateTransitGatewayPolicyTable {"TransitGatewayId": "$tgw"} -> policy=TransitGatewayPolicyTable.TransitGatewayPolicyTableId
DescribeTransitGatewayPolicyTables {"TransitGatewayPolicyTableIds": ["$policy"]}
CreateTransitGatewayPolicyTableEntry {"TransitGatewayPolicyTableId": "$policy", "PolicyRuleNumber": "1", "PolicyRule": {"SourceCidrBlock": "10.0.0.0/8"}, "TargetRouteTableId": "$table"}
ModifyTransitGatewayPolicyTableEntry {"TransitGatewayPolicyTableId": "$policy", "PolicyRuleNumber": "1", "PolicyRule": {"Protocol": "6"}}
GetTransitGatewayPolicyTableEntries {"TransitGatewayPolicyTableId": "$policy"}
DeleteTransitGatewayPolicyTableEntry {"TransitGatewayPolicyTableId": "$policy", "PolicyRuleNumber": "1"}
AssociateTransitGatewayPolicyTable {"TransitGatewayPolicyTableId": "$policy", "TransitGatewayAttachmentId": "$attachment"} !! Resource.AlreadyAssociated
DisassociateTransitGatewayRouteTable {"TransitGatewayRouteTableId": "$table", "TransitGatewayAttachmentId": "$attachment"}
AssociateTransitGatewayPolicyTable {"TransitGatewayPolicyTableId": "$policy", "TransitGatewayAttachmentId": "$attachment"}
GetTransitGatewayPolicyTableAssociations {"TransitGatewayPolicyTableId": "$policy"}
DisassociateTransitGatewayPolicyTable {"TransitGatewayPolicyTableId": "$policy", "TransitGatewayAttachmentId": "$attachment"}
DeleteTransitGatewayPolicyTable {"TransitGatewayPolicyTableId": "$policy"}
CreateTransitGateway -> second=TransitGateway.TransitGatewayId
CreateTransitGatewayPeeringAttachment {"TransitGatewayId": "$tgw", "PeerTransitGatewayId": "$second", "PeerAccountId": "111122223333", "PeerRegion": "us-east-1"} -> peering=TransitGatewayPeeringAttachment.TransitGatewayAttachmentId
RejectTransitGatewayPeeringAttachment {"TransitGatewayAttachmentId": "$peering"}
CreateTransitGatewayPeeringAttachment {"TransitGatewayId": "$tgw", "PeerTransitGatewayId": "$second", "PeerAccountId": "111122223333", "PeerRegion": "us-east-1"} -> peering=TransitGatewayPeeringAttachment.TransitGatewayAttachmentId
AcceptTransitGatewayPeeringAttachment {"TransitGatewayAttachmentId": "$peering"}
DescribeTransitGatewayPeeringAttachments {"TransitGatewayAttachmentIds": ["$peering"]}
DeleteTransitGatewayPeeringAttachment {"TransitGatewayAttachmentId": "$peering"}
