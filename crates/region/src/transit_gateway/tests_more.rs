//! Transit gateways as clients meet them: prefix lists, peerings, Connect, VPN, multicast, policy tables.

use serde_json::{Value as Json, json};

use super::tests::{Hub, out};
use super::{Next, attach_vpn, detach_vpn};
use crate::testing::{account, count, text};
use crate::{Tags, Tx};

#[test]
fn prefix_lists_are_routes() {
    let mut hub = Hub::new(json!({}));
    let spoke = hub.spoke(1);
    let attachment = hub.attach(&spoke);
    let table = hub.table.clone();
    let world = &mut hub.world;
    let made = world.ok(
        "CreateManagedPrefixList",
        json!({"PrefixListName": "office", "MaxEntries": 3, "AddressFamily": "IPv4",
            "Entries": [{"Cidr": "192.0.2.0/24"}, {"Cidr": "10.1.0.0/16"}]}),
    );
    let list = text(&made, "PrefixList.PrefixListId");
    let request = |to: Json| {
        let mut request = json!({"TransitGatewayRouteTableId": table, "PrefixListId": list});
        for (name, value) in to.as_object().unwrap() {
            request[name] = value.clone();
        }
        request
    };
    let to = json!({"TransitGatewayAttachmentId": attachment});
    assert_eq!(
        world.err(
            "ModifyTransitGatewayPrefixListReference",
            request(to.clone())
        ),
        "InvalidRoute.NotFound"
    );
    assert_eq!(
        world.err(
            "CreateTransitGatewayPrefixListReference",
            request(json!({}))
        ),
        "MissingParameter"
    );
    world.ok(
        "CreateTransitGatewayPrefixListReference",
        request(json!({"Blackhole": true})),
    );
    assert_eq!(
        world.err(
            "CreateTransitGatewayPrefixListReference",
            request(to.clone())
        ),
        "RouteAlreadyExists"
    );
    assert_eq!(
        world.err("DeleteManagedPrefixList", json!({"PrefixListId": list})),
        "DependencyViolation"
    );
    // Preferred over what VPCs propagate.
    assert_eq!(hub.next(&table, "10.1.0.9"), Some(Next::Blackhole));
    assert_eq!(hub.next(&table, "192.0.2.9"), Some(Next::Blackhole));
    let world = &mut hub.world;
    let found = world.ok(
        "SearchTransitGatewayRoutes",
        json!({"TransitGatewayRouteTableId": table, "Filters": [{"Name": "prefix-list-id", "Values": [list]}]}),
    );
    assert_eq!(count(&found, "Routes"), 2);
    assert_eq!(text(&found, "Routes.0.PrefixListId"), list);
    world.ok("ModifyTransitGatewayPrefixListReference", request(to));
    assert_eq!(hub.next(&table, "192.0.2.9"), out(&attachment));
    let world = &mut hub.world;
    for (name, value, found) in [
        ("is-blackhole", "true", 0),
        ("attachment.resource-type", "vpc", 1),
        ("prefix-list-id", &list, 1),
        ("prefix-list-owner-id", "111122223333", 1),
        ("state", "available", 1),
    ] {
        let shown = world.ok(
            "GetTransitGatewayPrefixListReferences",
            json!({"TransitGatewayRouteTableId": table, "Filters": [{"Name": name, "Values": [value]}]}),
        );
        assert_eq!(
            count(&shown, "TransitGatewayPrefixListReferences"),
            found,
            "{name}"
        );
    }
    let gone = world.ok(
        "DeleteTransitGatewayPrefixListReference",
        request(json!({})),
    );
    assert_eq!(
        text(&gone, "TransitGatewayPrefixListReference.State"),
        "deleting"
    );
    assert_eq!(
        world.err(
            "DeleteTransitGatewayPrefixListReference",
            request(json!({}))
        ),
        "InvalidRoute.NotFound"
    );
    world.ok("DeleteManagedPrefixList", json!({"PrefixListId": list}));
    assert_eq!(hub.next(&table, "192.0.2.9"), None);
}

#[test]
fn peerings_join_regions_and_accounts() {
    let mut hub = Hub::new(json!({}));
    let here = hub.world.account;
    let there = account("444455556666");
    let (gateway, table) = (hub.gateway.clone(), hub.table.clone());
    let world = &mut hub.world;
    (world.account, world.region) = (there, "eu-central-1");
    let made = world.ok("CreateTransitGateway", json!({}));
    let peer = text(&made, "TransitGateway.TransitGatewayId");
    let peer_table = text(
        &made,
        "TransitGateway.Options.AssociationDefaultRouteTableId",
    );
    (world.account, world.region) = (here, "us-east-1");
    let request = |peer: &str, account: &str, region: &str| json!({"TransitGatewayId": gateway, "PeerTransitGatewayId": peer, "PeerAccountId": account, "PeerRegion": region});
    let create = "CreateTransitGatewayPeeringAttachment";
    for (request, code) in [
        (
            request(&peer, "444455556666", "us-east-1"),
            "InvalidTransitGatewayID.NotFound",
        ),
        (
            request(&peer, "111122223333", "eu-central-1"),
            "InvalidTransitGatewayID.NotFound",
        ),
        (
            request("tgw-1", "444455556666", "eu-central-1"),
            "InvalidTransitGatewayID.Malformed",
        ),
        (request(&peer, "4", "eu-central-1"), "InvalidParameterValue"),
        (
            request(&gateway, "111122223333", "us-east-1"),
            "InvalidParameterValue",
        ),
    ] {
        assert_eq!(world.err(create, request), code);
    }
    let wanted = request(&peer, "444455556666", "eu-central-1");
    let made = world.ok(create, wanted.clone());
    let id = text(
        &made,
        "TransitGatewayPeeringAttachment.TransitGatewayAttachmentId",
    );
    assert_eq!(
        text(&made, "TransitGatewayPeeringAttachment.State"),
        "pendingAcceptance"
    );
    assert_eq!(
        world.err(create, wanted.clone()),
        "DuplicateTransitGatewayAttachment"
    );
    let one = json!({"TransitGatewayAttachmentId": id});
    // Only who was asked accepts or rejects.
    assert_eq!(
        world.err("AcceptTransitGatewayPeeringAttachment", one.clone()),
        "IncorrectState"
    );
    let pair = json!({"TransitGatewayRouteTableId": table, "TransitGatewayAttachmentId": id});
    assert_eq!(
        world.err("AssociateTransitGatewayRouteTable", pair.clone()),
        "IncorrectState"
    );
    // A third account sees nothing of it.
    world.account = account("777788889999");
    assert_eq!(
        world.err("AcceptTransitGatewayPeeringAttachment", one.clone()),
        "InvalidTransitGatewayAttachmentID.NotFound"
    );
    (world.account, world.region) = (there, "eu-central-1");
    world.ok("RejectTransitGatewayPeeringAttachment", one.clone());
    assert_eq!(
        world.err("AcceptTransitGatewayPeeringAttachment", one.clone()),
        "IncorrectState"
    );
    assert_eq!(
        world.err("DeleteTransitGatewayPeeringAttachment", one),
        "IncorrectState"
    );
    (world.account, world.region) = (here, "us-east-1");
    let made = world.ok(create, wanted);
    let id = text(
        &made,
        "TransitGatewayPeeringAttachment.TransitGatewayAttachmentId",
    );
    let one = json!({"TransitGatewayAttachmentId": id});
    (world.account, world.region) = (there, "eu-central-1");
    let done = world.ok("AcceptTransitGatewayPeeringAttachment", one.clone());
    assert_eq!(
        text(&done, "TransitGatewayPeeringAttachment.State"),
        "available"
    );
    assert_eq!(
        text(
            &done,
            "TransitGatewayPeeringAttachment.RequesterTgwInfo.Region"
        ),
        "us-east-1"
    );
    // Each side has its own association and routes, and sees the other as what is attached.
    let shown = world.ok(
        "DescribeTransitGatewayAttachments",
        json!({"TransitGatewayAttachmentIds": [id]}),
    );
    assert_eq!(
        text(
            &shown,
            "TransitGatewayAttachments.0.Association.TransitGatewayRouteTableId"
        ),
        peer_table
    );
    assert_eq!(
        text(&shown, "TransitGatewayAttachments.0.ResourceId"),
        gateway
    );
    assert_eq!(
        text(&shown, "TransitGatewayAttachments.0.TransitGatewayOwnerId"),
        "444455556666"
    );
    world.ok(
        "CreateTransitGatewayRoute",
        json!({"TransitGatewayRouteTableId": peer_table, "DestinationCidrBlock": "10.1.0.0/16", "TransitGatewayAttachmentId": id}),
    );
    for (name, value, found) in [
        ("local-owner-id", "444455556666", 1),
        ("remote-owner-id", "111122223333", 1),
        ("remote-owner-id", "444455556666", 0),
        ("transit-gateway-id", &peer, 1),
        ("state", "rejected", 1),
    ] {
        let filters = json!({"Filters": [{"Name": name, "Values": [value]}, {"Name": "state", "Values": [if value == "rejected" { value } else { "available" }]}]});
        let shown = world.ok("DescribeTransitGatewayPeeringAttachments", filters);
        assert_eq!(
            count(&shown, "TransitGatewayPeeringAttachments"),
            found,
            "{name}"
        );
    }
    (world.account, world.region) = (here, "us-east-1");
    let pair = json!({"TransitGatewayRouteTableId": table, "TransitGatewayAttachmentId": id});
    assert_eq!(
        world.err("EnableTransitGatewayRouteTablePropagation", pair),
        "InvalidParameterValue"
    );
    let shown = world.ok(
        "GetTransitGatewayRouteTableAssociations",
        json!({"TransitGatewayRouteTableId": table}),
    );
    assert_eq!(text(&shown, "Associations.0.ResourceId"), peer);
    assert_eq!(hub.next(&peer_table, "10.1.0.9"), out(&id));
    let world = &mut hub.world;
    for (id, region) in [(&gateway, "us-east-1"), (&peer, "eu-central-1")] {
        (world.account, world.region) = if region == "us-east-1" {
            (here, region)
        } else {
            (there, region)
        };
        assert_eq!(
            world.err("DeleteTransitGateway", json!({"TransitGatewayId": id})),
            "IncorrectState"
        );
    }
    // Either side may end it.
    world.ok("DeleteTransitGatewayPeeringAttachment", one.clone());
    assert_eq!(
        world.err("DeleteTransitGatewayPeeringAttachment", one),
        "InvalidTransitGatewayAttachmentID.NotFound"
    );
    world.ok("DeleteTransitGateway", json!({"TransitGatewayId": peer}));
}

#[test]
fn connect_attachments_have_peers() {
    let mut hub = Hub::new(json!({"TransitGatewayCidrBlocks": ["198.51.100.0/24"]}));
    let spoke = hub.spoke(1);
    let transport = hub.attach(&spoke);
    let world = &mut hub.world;
    let create = "CreateTransitGatewayConnect";
    let request = |protocol: &str| json!({"TransportTransitGatewayAttachmentId": transport, "Options": {"Protocol": protocol}});
    assert_eq!(world.err(create, request("vxlan")), "InvalidParameterValue");
    let made = world.ok(create, request("gre"));
    let id = text(&made, "TransitGatewayConnect.TransitGatewayAttachmentId");
    assert_eq!(
        world.err(
            create,
            json!({"TransportTransitGatewayAttachmentId": id, "Options": {"Protocol": "gre"}})
        ),
        "InvalidParameterValue"
    );
    assert_eq!(
        world.err(
            "DeleteTransitGatewayVpcAttachment",
            json!({"TransitGatewayAttachmentId": transport})
        ),
        "IncorrectState"
    );
    let peer = |inside: Json| json!({"TransitGatewayAttachmentId": id, "PeerAddress": "10.1.0.10", "InsideCidrBlocks": inside, "BgpOptions": {"PeerAsn": 65001}});
    let create = "CreateTransitGatewayConnectPeer";
    for (inside, code) in [
        (json!([]), "MissingParameter"),
        (json!(["fd00::/125"]), "MissingParameter"),
        (json!(["169.254.6.0/30"]), "InvalidParameterValue"),
        (json!(["169.254.0.0/29"]), "InvalidParameterValue"),
        (json!(["10.0.0.0/29"]), "InvalidParameterValue"),
        (
            json!(["169.254.6.0/29", "169.254.7.0/29"]),
            "InvalidParameterValue",
        ),
    ] {
        assert_eq!(world.err(create, peer(inside)), code);
    }
    let made = world.ok(create, peer(json!(["169.254.6.0/29", "fd00::/125"])));
    let first = text(
        &made,
        "TransitGatewayConnectPeer.TransitGatewayConnectPeerId",
    );
    let of = |name: &str| {
        text(
            &made,
            &format!("TransitGatewayConnectPeer.ConnectPeerConfiguration.{name}"),
        )
    };
    assert_eq!(of("TransitGatewayAddress"), "198.51.100.1");
    assert_eq!(of("BgpConfigurations.0.PeerAddress"), "169.254.6.1");
    assert_eq!(
        of("BgpConfigurations.1.TransitGatewayAddress"),
        "169.254.6.3"
    );
    assert_eq!(of("BgpConfigurations.2.TransitGatewayAddress"), "fd00::2");
    assert_eq!(of("BgpConfigurations.0.PeerAsn"), "65001");
    assert_eq!(of("BgpConfigurations.0.TransitGatewayAsn"), "64512");
    assert_eq!(
        world.err(create, peer(json!(["169.254.6.0/29"]))),
        "InvalidParameterValue"
    );
    let mut wrong = peer(json!(["169.254.7.0/29"]));
    for taken in ["198.51.100.1", "192.0.2.1", "x"] {
        wrong["TransitGatewayAddress"] = json!(taken);
        assert_eq!(world.err(create, wrong.clone()), "InvalidParameterValue");
    }
    for block in 7..10 {
        world.ok(create, peer(json!([format!("169.254.{block}.0/29")])));
    }
    assert_eq!(
        world.err(create, peer(json!(["169.254.10.0/29"]))),
        "TransitGatewayConnectPeerLimitExceeded"
    );
    let one = json!({"TransitGatewayAttachmentId": id});
    assert_eq!(
        world.err("DeleteTransitGatewayConnect", one.clone()),
        "IncorrectState"
    );
    let filters = json!({"Filters": [{"Name": "transit-gateway-attachment-id", "Values": [id]}]});
    let shown = world.ok("DescribeTransitGatewayConnectPeers", filters);
    assert_eq!(count(&shown, "TransitGatewayConnectPeers"), 4);
    for place in 0..4 {
        let path = format!("TransitGatewayConnectPeers.{place}.TransitGatewayConnectPeerId");
        let peer = json!({"TransitGatewayConnectPeerId": text(&shown, &path)});
        world.ok("DeleteTransitGatewayConnectPeer", peer);
    }
    assert_eq!(
        world.err(
            "DeleteTransitGatewayConnectPeer",
            json!({"TransitGatewayConnectPeerId": first})
        ),
        "InvalidTransitGatewayConnectPeerID.NotFound"
    );
    let filters = json!({"Filters": [{"Name": "transport-transit-gateway-attachment-id", "Values": [transport]}]});
    let shown = world.ok("DescribeTransitGatewayConnects", filters);
    assert_eq!(
        text(&shown, "TransitGatewayConnects.0.Options.Protocol"),
        "gre"
    );
    world.ok("DeleteTransitGatewayConnect", one);
    world.ok(
        "DeleteTransitGatewayVpcAttachment",
        json!({"TransitGatewayAttachmentId": transport}),
    );
}

#[test]
fn vpn_connections_are_attached_by_their_makers() {
    let mut hub = Hub::new(json!({}));
    let connection = types::VpnConnectionId::from_bits(7);
    let gateway = hub.gateway.clone();
    let (id, state) = hub.world.with(|state, ctx| {
        let mut tx = Tx::new(state);
        let id = attach_vpn(&mut tx, ctx, &gateway, connection, Tags::default()).unwrap();
        (id, tx.finish().0)
    });
    hub.world.state = state;
    let shown = hub.world.ok("DescribeTransitGatewayAttachments", json!({}));
    assert_eq!(
        text(
            &shown,
            "TransitGatewayAttachments.0.TransitGatewayAttachmentId"
        ),
        id.to_string()
    );
    assert_eq!(
        text(&shown, "TransitGatewayAttachments.0.ResourceId"),
        connection.to_string()
    );
    assert_eq!(
        text(&shown, "TransitGatewayAttachments.0.ResourceType"),
        "vpn"
    );
    hub.world.state = hub.world.with(|state, ctx| {
        let mut tx = Tx::new(state);
        detach_vpn(&mut tx, ctx, connection);
        tx.finish().0
    });
    hub.world
        .ok("DeleteTransitGateway", json!({"TransitGatewayId": gateway}));
}

#[test]
fn multicast_domains_and_groups() {
    let mut hub = Hub::new(json!({"MulticastSupport": "enable"}));
    let spoke = hub.spoke(1);
    let attachment = hub.attach(&spoke);
    let gateway = hub.gateway.clone();
    let world = &mut hub.world;
    let made = world.ok("CreateTransitGateway", json!({}));
    let plain = text(&made, "TransitGateway.TransitGatewayId");
    let create = "CreateTransitGatewayMulticastDomain";
    assert_eq!(
        world.err(create, json!({"TransitGatewayId": plain})),
        "IncorrectState"
    );
    let made = world.ok(
        create,
        json!({"TransitGatewayId": gateway, "Options": {"StaticSourcesSupport": "enable"}}),
    );
    let domain = text(
        &made,
        "TransitGatewayMulticastDomain.TransitGatewayMulticastDomainId",
    );
    let subnets = |subnets: Json| json!({"TransitGatewayMulticastDomainId": domain, "TransitGatewayAttachmentId": attachment, "SubnetIds": subnets});
    let [a, b] = &spoke.subnets;
    let associate = "AssociateTransitGatewayMulticastDomain";
    world.ok(associate, subnets(json!([a])));
    assert_eq!(
        world.err(associate, subnets(json!([a]))),
        "Resource.AlreadyAssociated"
    );
    assert_eq!(world.err(associate, subnets(json!([]))), "MissingParameter");
    let interface = |world: &mut crate::testing::World, subnet: &str| {
        let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        text(&made, "NetworkInterface.NetworkInterfaceId")
    };
    let (inside, outside) = (interface(world, a), interface(world, b));
    let group = |address: &str, interface: &str| json!({"TransitGatewayMulticastDomainId": domain, "GroupIpAddress": address, "NetworkInterfaceIds": [interface]});
    let register = "RegisterTransitGatewayMulticastGroupMembers";
    for (address, interface) in [
        ("10.0.0.1", &inside),
        ("224.0.0.5", &inside),
        ("239.1.1.1", &outside),
    ] {
        assert_eq!(
            world.err(register, group(address, interface)),
            "InvalidParameterValue"
        );
    }
    let both = group("239.1.1.1", &inside);
    world.ok(register, both.clone());
    world.ok("RegisterTransitGatewayMulticastGroupSources", both.clone());
    for (name, value, found) in [
        ("group-ip-address", "239.1.1.1", 1),
        ("is-group-member", "true", 1),
        ("is-group-source", "false", 0),
        ("member-type", "static", 1),
        ("source-type", "igmp", 0),
        ("subnet-id", a, 1),
    ] {
        let shown = world.ok(
            "SearchTransitGatewayMulticastGroups",
            json!({"TransitGatewayMulticastDomainId": domain, "Filters": [{"Name": name, "Values": [value]}]}),
        );
        assert_eq!(count(&shown, "MulticastGroups"), found, "{name}");
    }
    world.ok(
        "DeregisterTransitGatewayMulticastGroupSources",
        both.clone(),
    );
    assert_eq!(
        world.err(
            "DeregisterTransitGatewayMulticastGroupSources",
            both.clone()
        ),
        "TransitGatewayMulticastGroupSource.NotFound"
    );
    let id = json!({"TransitGatewayMulticastDomainId": domain});
    let shown = world.ok("GetTransitGatewayMulticastDomainAssociations", id.clone());
    assert_eq!(
        text(&shown, "MulticastDomainAssociations.0.Subnet.SubnetId"),
        *a
    );
    for (action, request) in [
        ("DeleteTransitGatewayMulticastDomain", id.clone()),
        (
            "DeleteTransitGatewayVpcAttachment",
            json!({"TransitGatewayAttachmentId": attachment}),
        ),
    ] {
        assert_eq!(world.err(action, request), "IncorrectState");
    }
    // With its subnet an interface leaves its groups.
    let leave = "DisassociateTransitGatewayMulticastDomain";
    world.ok(leave, subnets(json!([a])));
    assert_eq!(
        world.err(leave, subnets(json!([a]))),
        "InvalidTransitGatewayMulticastDomainAssociation.NotFound"
    );
    assert_eq!(
        world.err("DeregisterTransitGatewayMulticastGroupMembers", both),
        "TransitGatewayMulticastGroupMember.NotFound"
    );
    world.ok(
        "DeleteTransitGatewayVpcAttachment",
        json!({"TransitGatewayAttachmentId": attachment}),
    );
    assert_eq!(
        world.err("DeleteTransitGateway", json!({"TransitGatewayId": gateway})),
        "IncorrectState"
    );
    world.ok("DeleteTransitGatewayMulticastDomain", id);
    world.ok("DeleteTransitGateway", json!({"TransitGatewayId": gateway}));
}

#[test]
fn policy_tables_choose_route_tables() {
    let mut hub = Hub::new(json!({"DefaultRouteTableAssociation": "disable"}));
    let spoke = hub.spoke(1);
    let attachment = hub.attach(&spoke);
    let target = hub.table();
    let gateway = hub.gateway.clone();
    let world = &mut hub.world;
    let made = world.ok(
        "CreateTransitGatewayPolicyTable",
        json!({"TransitGatewayId": gateway}),
    );
    let table = text(
        &made,
        "TransitGatewayPolicyTable.TransitGatewayPolicyTableId",
    );
    let entry = |number: &str, rule: Json| json!({"TransitGatewayPolicyTableId": table, "PolicyRuleNumber": number, "PolicyRule": rule, "TargetRouteTableId": target});
    let create = "CreateTransitGatewayPolicyTableEntry";
    for (number, rule) in [
        ("0", json!({})),
        ("x", json!({})),
        ("1", json!({"SourceCidrBlock": "10"})),
        ("1", json!({"DestinationPortRange": "9-1"})),
        ("1", json!({"Protocol": "tcp?"})),
    ] {
        assert_eq!(
            world.err(create, entry(number, rule)),
            "InvalidParameterValue"
        );
    }
    let rule =
        json!({"SourceCidrBlock": "10.0.0.0/8", "DestinationPortRange": "80-90", "Protocol": "6"});
    world.ok(create, entry("10", rule.clone()));
    assert_eq!(
        world.err(create, entry("10", rule)),
        "InvalidParameterValue"
    );
    assert_eq!(
        world.err(
            "DeleteTransitGatewayRouteTable",
            json!({"TransitGatewayRouteTableId": target})
        ),
        "IncorrectState"
    );
    world.ok(
        "ModifyTransitGatewayPolicyTableEntry",
        entry("10", json!({"Protocol": "17"})),
    );
    for (name, value, found) in [
        ("policy-rule.protocol", "17", 1),
        ("policy-rule.source-ip", "*", 0),
        ("target-route-table-id", &target, 1),
    ] {
        let shown = world.ok(
            "GetTransitGatewayPolicyTableEntries",
            json!({"TransitGatewayPolicyTableId": table, "Filters": [{"Name": name, "Values": [value]}]}),
        );
        assert_eq!(
            count(&shown, "TransitGatewayPolicyTableEntries"),
            found,
            "{name}"
        );
    }
    let pair =
        json!({"TransitGatewayPolicyTableId": table, "TransitGatewayAttachmentId": attachment});
    world.ok("AssociateTransitGatewayPolicyTable", pair.clone());
    assert_eq!(
        world.err("AssociateTransitGatewayPolicyTable", pair.clone()),
        "Resource.AlreadyAssociated"
    );
    let id = json!({"TransitGatewayPolicyTableId": table});
    let shown = world.ok("GetTransitGatewayPolicyTableAssociations", id.clone());
    assert_eq!(text(&shown, "Associations.0.ResourceId"), spoke.vpc);
    assert_eq!(
        world.err("DeleteTransitGatewayPolicyTable", id.clone()),
        "IncorrectState"
    );
    world.ok("DisassociateTransitGatewayPolicyTable", pair.clone());
    assert_eq!(
        world.err("DisassociateTransitGatewayPolicyTable", pair),
        "InvalidTransitGatewayPolicyTableAssociation.NotFound"
    );
    let number = json!({"TransitGatewayPolicyTableId": table, "PolicyRuleNumber": "10"});
    world.ok("DeleteTransitGatewayPolicyTableEntry", number.clone());
    assert_eq!(
        world.err("DeleteTransitGatewayPolicyTableEntry", number),
        "InvalidTransitGatewayPolicyTableEntry.NotFound"
    );
    world.ok("DeleteTransitGatewayPolicyTable", id.clone());
    assert_eq!(
        world.err("DeleteTransitGatewayPolicyTable", id),
        "InvalidTransitGatewayPolicyTableId.NotFound"
    );
}
