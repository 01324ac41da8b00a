//! Transit gateways as clients meet them.

use serde_json::{Value as Json, json};

use super::{Next, lookup};
use crate::testing::{World, account, count, text};

/// A region with a transit gateway.
pub(super) struct Hub {
    pub(super) world: World,
    pub(super) gateway: String,
    pub(super) table: String,
}

/// A VPC with a subnet in each of two zones.
pub(super) struct Spoke {
    pub(super) vpc: String,
    pub(super) subnets: [String; 2],
}

impl Hub {
    pub(super) fn new(options: Json) -> Hub {
        let mut world = World::new();
        let made = world.ok("CreateTransitGateway", json!({"Options": options}));
        let gateway = text(&made, "TransitGateway.TransitGatewayId");
        let tables = world.ok("DescribeTransitGatewayRouteTables", json!({}));
        let table = if count(&tables, "TransitGatewayRouteTables") == 0 {
            String::new()
        } else {
            text(
                &tables,
                "TransitGatewayRouteTables.0.TransitGatewayRouteTableId",
            )
        };
        Hub {
            world,
            gateway,
            table,
        }
    }

    /// The VPC `10.N.0.0/16`.
    pub(super) fn spoke(&mut self, number: u8) -> Spoke {
        let block = format!("10.{number}.0.0/16");
        let made = self.world.ok("CreateVpc", json!({"CidrBlock": block}));
        let vpc = text(&made, "Vpc.VpcId");
        let subnets = [("a", 0), ("b", 1)].map(|(zone, third)| {
            let made = self.world.ok(
                "CreateSubnet",
                json!({"VpcId": vpc, "CidrBlock": format!("10.{number}.{third}.0/24"), "AvailabilityZone": format!("us-east-1{zone}")}),
            );
            text(&made, "Subnet.SubnetId")
        });
        Spoke { vpc, subnets }
    }

    pub(super) fn attach(&mut self, spoke: &Spoke) -> String {
        let made = self.world.ok(
            "CreateTransitGatewayVpcAttachment",
            json!({"TransitGatewayId": self.gateway, "VpcId": spoke.vpc, "SubnetIds": [spoke.subnets[0]]}),
        );
        text(
            &made,
            "TransitGatewayVpcAttachment.TransitGatewayAttachmentId",
        )
    }

    pub(super) fn next(&self, table: &str, address: &str) -> Option<Next> {
        lookup(
            &self.world.state,
            self.world.now,
            table.parse().unwrap(),
            address.parse().unwrap(),
        )
    }

    pub(super) fn table(&mut self) -> String {
        let made = self.world.ok(
            "CreateTransitGatewayRouteTable",
            json!({"TransitGatewayId": self.gateway}),
        );
        text(&made, "TransitGatewayRouteTable.TransitGatewayRouteTableId")
    }
}

pub(super) fn out(attachment: &str) -> Option<Next> {
    Some(Next::Attachment(attachment.parse().unwrap()))
}

#[test]
fn a_gateway_and_its_options() {
    let mut hub = Hub::new(
        json!({"AmazonSideAsn": 65000, "VpnEcmpSupport": "disable", "TransitGatewayCidrBlocks": ["192.0.2.0/24"]}),
    );
    let world = &mut hub.world;
    let shown = world.ok(
        "DescribeTransitGateways",
        json!({"TransitGatewayIds": [hub.gateway]}),
    );
    let option = |name: &str| text(&shown, &format!("TransitGateways.0.Options.{name}"));
    assert_eq!(option("AmazonSideAsn"), "65000");
    assert_eq!(option("VpnEcmpSupport"), "disable");
    assert_eq!(option("DnsSupport"), "enable");
    assert_eq!(option("MulticastSupport"), "disable");
    assert_eq!(option("AssociationDefaultRouteTableId"), hub.table);
    assert_eq!(option("PropagationDefaultRouteTableId"), hub.table);
    assert_eq!(
        text(&shown, "TransitGateways.0.TransitGatewayArn"),
        format!(
            "arn:aws:ec2:us-east-1:111122223333:transit-gateway/{}",
            hub.gateway
        )
    );
    let modify = |options: Json| json!({"TransitGatewayId": hub.gateway, "Options": options});
    let changed = world.ok(
        "ModifyTransitGateway",
        modify(json!({"DnsSupport": "disable", "AddTransitGatewayCidrBlocks": ["198.51.100.0/24"], "RemoveTransitGatewayCidrBlocks": ["192.0.2.0/24"], "DefaultRouteTableAssociation": "disable"})),
    );
    assert_eq!(
        text(
            &changed,
            "TransitGateway.Options.TransitGatewayCidrBlocks.0"
        ),
        "198.51.100.0/24"
    );
    assert_eq!(
        text(
            &changed,
            "TransitGateway.Options.DefaultRouteTableAssociation"
        ),
        "disable"
    );
    for (options, code) in [
        (json!({"AmazonSideAsn": 1}), "InvalidParameterValue"),
        (json!({"DnsSupport": "maybe"}), "InvalidParameterValue"),
        (
            json!({"DefaultRouteTableAssociation": "enable"}),
            "MissingParameter",
        ),
        (
            json!({"AssociationDefaultRouteTableId": hub.table}),
            "InvalidParameterCombination",
        ),
        (
            json!({"AddTransitGatewayCidrBlocks": ["198.51.100.0/25"]}),
            "InvalidParameterValue",
        ),
        (
            json!({"AddTransitGatewayCidrBlocks": ["169.254.0.0/16"]}),
            "InvalidParameterValue",
        ),
        (
            json!({"RemoveTransitGatewayCidrBlocks": ["192.0.2.0/24"]}),
            "InvalidParameterValue",
        ),
        (
            json!({"AddTransitGatewayCidrBlocks": ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "10.0.4.0/24"]}),
            "TransitGatewayCidrBlockLimitExceeded",
        ),
    ] {
        assert_eq!(
            world.err("ModifyTransitGateway", modify(options.clone())),
            code,
            "{options}"
        );
    }
    let filters = |name: &str, value: &str| json!({"Filters": [{"Name": name, "Values": [value]}]});
    for (name, value, found) in [
        ("options.amazon-side-asn", "65000", 1),
        ("options.dns-support", "enable", 0),
        ("state", "available", 1),
        ("owner-id", "1111*", 1),
    ] {
        let shown = world.ok("DescribeTransitGateways", filters(name, value));
        assert_eq!(count(&shown, "TransitGateways"), found, "{name}");
    }
    // Nobody else sees it.
    world.account = account("444455556666");
    assert_eq!(
        world.err(
            "DescribeTransitGateways",
            json!({"TransitGatewayIds": [hub.gateway]})
        ),
        "InvalidTransitGatewayID.NotFound"
    );
}

#[test]
fn lives_take_their_time() {
    let mut hub = Hub::new(json!({}));
    let spoke = hub.spoke(1);
    hub.world.settle = 1000;
    let made = hub.world.ok("CreateTransitGateway", json!({}));
    assert_eq!(text(&made, "TransitGateway.State"), "pending");
    let second = text(&made, "TransitGateway.TransitGatewayId");
    let request =
        json!({"TransitGatewayId": second, "VpcId": spoke.vpc, "SubnetIds": [spoke.subnets[0]]});
    assert_eq!(
        hub.world
            .err("CreateTransitGatewayVpcAttachment", request.clone()),
        "IncorrectState"
    );
    hub.world.now.0 += 1000;
    let made = hub.world.ok("CreateTransitGatewayVpcAttachment", request);
    let attachment = text(
        &made,
        "TransitGatewayVpcAttachment.TransitGatewayAttachmentId",
    );
    let one = json!({"TransitGatewayAttachmentIds": [attachment]});
    let shown = hub
        .world
        .ok("DescribeTransitGatewayAttachments", one.clone());
    assert_eq!(text(&shown, "TransitGatewayAttachments.0.State"), "pending");
    assert_eq!(
        text(&shown, "TransitGatewayAttachments.0.Association.State"),
        "associating"
    );
    hub.world.now.0 += 1000;
    let shown = hub
        .world
        .ok("DescribeTransitGatewayAttachments", one.clone());
    assert_eq!(
        text(&shown, "TransitGatewayAttachments.0.Association.State"),
        "associated"
    );
    let id = json!({"TransitGatewayAttachmentId": attachment});
    hub.world
        .ok("DeleteTransitGatewayVpcAttachment", id.clone());
    let gateway = json!({"TransitGatewayId": second});
    assert_eq!(
        hub.world.err("DeleteTransitGateway", gateway.clone()),
        "IncorrectState"
    );
    hub.world.now.0 += 1000;
    let shown = hub
        .world
        .ok("DescribeTransitGatewayAttachments", one.clone());
    assert_eq!(text(&shown, "TransitGatewayAttachments.0.State"), "deleted");
    assert_eq!(
        hub.world.err("DeleteTransitGatewayVpcAttachment", id),
        "InvalidTransitGatewayAttachmentID.NotFound"
    );
    let gone = hub.world.ok("DeleteTransitGateway", gateway.clone());
    assert_eq!(text(&gone, "TransitGateway.State"), "deleting");
    hub.world.now.0 += 1000;
    assert_eq!(
        hub.world.err("DeleteTransitGateway", gateway),
        "InvalidTransitGatewayID.NotFound"
    );
    // After an hour nothing is left of them.
    hub.world.now.0 += 3_601_000;
    for (action, list, left) in [
        ("DescribeTransitGateways", "TransitGateways", 1),
        (
            "DescribeTransitGatewayRouteTables",
            "TransitGatewayRouteTables",
            1,
        ),
        (
            "DescribeTransitGatewayAttachments",
            "TransitGatewayAttachments",
            0,
        ),
    ] {
        assert_eq!(count(&hub.world.ok(action, json!({})), list), left);
    }
    assert_eq!(hub.world.state.transit_gateways.size(), 1);
}

#[test]
fn vpcs_are_attached_by_an_interface_in_each_zone() {
    let mut hub = Hub::new(json!({}));
    let spoke = hub.spoke(1);
    let other = hub.spoke(2);
    let made = hub.world.ok(
        "CreateSubnet",
        json!({"VpcId": spoke.vpc, "CidrBlock": "10.1.9.0/24", "AvailabilityZone": "us-east-1a"}),
    );
    let same_zone = text(&made, "Subnet.SubnetId");
    let request = |subnets: Json| json!({"TransitGatewayId": hub.gateway, "VpcId": spoke.vpc, "SubnetIds": subnets});
    let [a, b] = &spoke.subnets;
    for (subnets, code) in [
        (json!([]), "MissingParameter"),
        (json!([a, same_zone]), "DuplicateSubnetsInSameZone"),
        (json!([other.subnets[0]]), "InvalidParameterValue"),
        (
            json!(["subnet-0123456789abcdef0"]),
            "InvalidSubnetID.NotFound",
        ),
    ] {
        let code_got = hub
            .world
            .err("CreateTransitGatewayVpcAttachment", request(subnets));
        assert_eq!(code_got, code);
    }
    let attachment = hub.attach(&spoke);
    assert_eq!(
        hub.world.err(
            "CreateTransitGatewayVpcAttachment",
            json!({"TransitGatewayId": hub.gateway, "VpcId": spoke.vpc, "SubnetIds": [b]})
        ),
        "DuplicateTransitGatewayAttachment"
    );
    let world = &mut hub.world;
    let held = json!({"Filters": [{"Name": "requester-managed", "Values": ["true"]}]});
    let shown = world.ok("DescribeNetworkInterfaces", held.clone());
    assert_eq!(count(&shown, "NetworkInterfaces"), 1);
    assert_eq!(
        text(&shown, "NetworkInterfaces.0.Description"),
        format!("Network Interface for Transit Gateway Attachment {attachment}")
    );
    assert_eq!(
        text(&shown, "NetworkInterfaces.0.InterfaceType"),
        "transit_gateway"
    );
    assert_eq!(text(&shown, "NetworkInterfaces.0.Status"), "in-use");
    let interface = text(&shown, "NetworkInterfaces.0.NetworkInterfaceId");
    assert_eq!(
        world.err(
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": interface})
        ),
        "InvalidParameterValue"
    );
    assert_eq!(
        world.err(
            "ModifyNetworkInterfaceAttribute",
            json!({"NetworkInterfaceId": interface, "Description": {"Value": "mine"}})
        ),
        "OperationNotPermitted"
    );
    assert_eq!(
        world.err("DeleteSubnet", json!({"SubnetId": a})),
        "DependencyViolation"
    );
    assert_eq!(
        world.err("DeleteVpc", json!({"VpcId": spoke.vpc})),
        "DependencyViolation"
    );
    let modify = |change: Json| {
        let mut request = json!({"TransitGatewayAttachmentId": attachment});
        for (name, value) in change.as_object().unwrap() {
            request[name] = value.clone();
        }
        request
    };
    let modified = "ModifyTransitGatewayVpcAttachment";
    for (change, code) in [
        (
            json!({"AddSubnetIds": [same_zone]}),
            "DuplicateSubnetsInSameZone",
        ),
        (json!({"RemoveSubnetIds": [b]}), "InvalidParameterValue"),
        (json!({"RemoveSubnetIds": [a]}), "InvalidParameterValue"),
    ] {
        assert_eq!(world.err(modified, modify(change)), code);
    }
    let change = json!({"AddSubnetIds": [b], "RemoveSubnetIds": [a], "Options": {"ApplianceModeSupport": "enable"}});
    let changed = world.ok(modified, modify(change));
    assert_eq!(
        text(&changed, "TransitGatewayVpcAttachment.SubnetIds.0"),
        *b
    );
    assert_eq!(
        text(
            &changed,
            "TransitGatewayVpcAttachment.Options.ApplianceModeSupport"
        ),
        "enable"
    );
    world.ok("DeleteSubnet", json!({"SubnetId": a}));
    assert_eq!(
        world.err(
            "DeleteTransitGateway",
            json!({"TransitGatewayId": hub.gateway})
        ),
        "IncorrectState"
    );
    world.ok(
        "DeleteTransitGatewayVpcAttachment",
        json!({"TransitGatewayAttachmentId": attachment}),
    );
    assert_eq!(
        count(
            &world.ok("DescribeNetworkInterfaces", held),
            "NetworkInterfaces"
        ),
        0
    );
    world.ok(
        "DeleteTransitGateway",
        json!({"TransitGatewayId": hub.gateway}),
    );
    world.ok("DeleteSubnet", json!({"SubnetId": b}));
}

#[test]
fn routes_of_vpcs_lead_to_attached_gateways() {
    let mut hub = Hub::new(json!({}));
    let spoke = hub.spoke(1);
    let tables = hub.world.ok(
        "DescribeRouteTables",
        json!({"Filters": [{"Name": "vpc-id", "Values": [spoke.vpc]}]}),
    );
    let table = text(&tables, "RouteTables.0.RouteTableId");
    let route = json!({"RouteTableId": table, "DestinationCidrBlock": "10.0.0.0/8", "TransitGatewayId": hub.gateway});
    assert_eq!(
        hub.world.err("CreateRoute", route.clone()),
        "InvalidTransitGatewayID.NotFound"
    );
    let attachment = hub.attach(&spoke);
    hub.world.ok("CreateRoute", route);
    let state = |hub: &mut Hub| {
        let shown = hub
            .world
            .ok("DescribeRouteTables", json!({"RouteTableIds": [table]}));
        let places = 0..count(&shown, "RouteTables.0.Routes");
        let cidr = |n: &usize| {
            text(
                &shown,
                &format!("RouteTables.0.Routes.{n}.DestinationCidrBlock"),
            )
        };
        let place = places
            .into_iter()
            .find(|n| cidr(n) == "10.0.0.0/8")
            .unwrap();
        text(&shown, &format!("RouteTables.0.Routes.{place}.State"))
    };
    assert_eq!(state(&mut hub), "active");
    hub.world.ok(
        "DeleteTransitGatewayVpcAttachment",
        json!({"TransitGatewayAttachmentId": attachment}),
    );
    assert_eq!(state(&mut hub), "blackhole");
}

#[test]
fn tables_associate_propagate_and_route() {
    let mut hub = Hub::new(json!({}));
    let (one, two) = (hub.spoke(1), hub.spoke(2));
    let (first, second) = (hub.attach(&one), hub.attach(&two));
    let default = hub.table.clone();
    // The default table knows both by propagation.
    assert_eq!(hub.next(&default, "10.1.0.5"), out(&first));
    assert_eq!(hub.next(&default, "10.2.0.5"), out(&second));
    assert_eq!(hub.next(&default, "10.3.0.5"), None);
    let route = |cidr: &str, to: Json| {
        let mut request =
            json!({"TransitGatewayRouteTableId": default, "DestinationCidrBlock": cidr});
        for (name, value) in to.as_object().unwrap() {
            request[name] = value.clone();
        }
        request
    };
    let to = |id: &str| json!({"TransitGatewayAttachmentId": id});
    let world = &mut hub.world;
    // Static routes are preferred over propagated ones, the longer prefix over both.
    world.ok(
        "CreateTransitGatewayRoute",
        route("10.2.0.0/16", to(&first)),
    );
    let made = world.ok(
        "CreateTransitGatewayRoute",
        route(
            "10.2.7.0/24",
            json!({"Blackhole": true, "TransitGatewayAttachmentId": ""}),
        ),
    );
    assert_eq!(text(&made, "Route.State"), "blackhole");
    assert_eq!(text(&made, "Route.Type"), "static");
    world.ok("CreateTransitGatewayRoute", route("0.0.0.0/0", to(&second)));
    for (request, code) in [
        (route("10.2.0.0/16", to(&second)), "RouteAlreadyExists"),
        (route("10.9.0.0/16", json!({})), "MissingParameter"),
        (
            route(
                "10.9.0.0/16",
                json!({"TransitGatewayAttachmentId": first, "Blackhole": true}),
            ),
            "InvalidParameterCombination",
        ),
        (route("10.9", to(&first)), "InvalidParameterValue"),
        (
            route("10.9.0.0/16", to("tgw-attach-0123456789abcdef0")),
            "InvalidTransitGatewayAttachmentID.NotFound",
        ),
        (
            route("10.9.0.0/16", to("tgw-1")),
            "InvalidTransitGatewayAttachmentID.Malformed",
        ),
    ] {
        assert_eq!(world.err("CreateTransitGatewayRoute", request), code);
    }
    assert_eq!(
        world.err(
            "ReplaceTransitGatewayRoute",
            route("10.9.0.0/16", to(&first))
        ),
        "InvalidRoute.NotFound"
    );
    assert_eq!(
        world.err("DeleteTransitGatewayRoute", route("10.1.0.0/16", json!({}))),
        "InvalidRoute.NotFound"
    );
    assert_eq!(hub.next(&default, "10.2.0.5"), out(&first));
    assert_eq!(hub.next(&default, "10.2.7.5"), Some(Next::Blackhole));
    assert_eq!(hub.next(&default, "10.3.0.5"), out(&second));
    let world = &mut hub.world;
    let search = |filters: &[(&str, &str)]| {
        let filters: Vec<Json> = filters
            .iter()
            .map(|(name, value)| json!({"Name": name, "Values": [value]}))
            .collect();
        json!({"TransitGatewayRouteTableId": default, "Filters": filters})
    };
    for (filters, found) in [
        (&[("type", "static")][..], 3),
        (&[("type", "propagated")], 1),
        (&[("state", "blackhole")], 1),
        (&[("route-search.exact-match", "10.2.0.0/16")], 1),
        (&[("route-search.longest-prefix-match", "10.2.7.9")], 1),
        (&[("route-search.subnet-of-match", "10.2.0.0/15")], 2),
        (&[("route-search.supernet-of-match", "10.2.7.0/25")], 3),
        (&[("attachment.transit-gateway-attachment-id", &second)], 1),
        (&[("attachment.resource-id", &one.vpc)], 2),
        (
            &[("attachment.resource-type", "vpc"), ("type", "static")],
            2,
        ),
        (&[("prefix-list-id", "pl-0123456789abcdef0")], 0),
    ] {
        let reply = world.ok("SearchTransitGatewayRoutes", search(filters));
        assert_eq!(count(&reply, "Routes"), found, "{filters:?}");
        assert_eq!(text(&reply, "AdditionalRoutesAvailable"), "false");
    }
    for (filters, code) in [
        (&[][..], "MissingParameter"),
        (
            &[("route-search.exact-match", "x")],
            "InvalidParameterValue",
        ),
        (&[("nonsense", "x")], "InvalidParameterValue"),
    ] {
        assert_eq!(
            world.err("SearchTransitGatewayRoutes", search(filters)),
            code
        );
    }
    // A static route outlives its attachment as a blackhole; a propagated one does not.
    world.ok("DeleteTransitGatewayVpcAttachment", to(&first));
    assert_eq!(hub.next(&default, "10.2.0.5"), Some(Next::Blackhole));
    assert_eq!(hub.next(&default, "10.1.0.5"), out(&second));
    hub.world.ok(
        "ReplaceTransitGatewayRoute",
        route("10.2.0.0/16", to(&second)),
    );
    assert_eq!(hub.next(&default, "10.2.0.5"), out(&second));
    hub.world
        .ok("DeleteTransitGatewayRoute", route("0.0.0.0/0", json!({})));
    assert_eq!(hub.next(&default, "10.1.0.5"), None);
}

#[test]
fn of_equal_propagated_routes_the_elder_attachment_has_the_one() {
    let mut hub = Hub::new(json!({}));
    let (one, twin) = (hub.spoke(1), hub.spoke(1));
    let first = hub.attach(&one);
    hub.world.now.0 += 1;
    let second = hub.attach(&twin);
    let table = hub.table.clone();
    assert_eq!(hub.next(&table, "10.1.0.5"), out(&first));
    hub.world.ok(
        "DeleteTransitGatewayVpcAttachment",
        json!({"TransitGatewayAttachmentId": first}),
    );
    assert_eq!(hub.next(&table, "10.1.0.5"), out(&second));
}

#[test]
fn ties_to_tables_come_and_go() {
    let mut hub = Hub::new(
        json!({"DefaultRouteTableAssociation": "disable", "DefaultRouteTablePropagation": "disable"}),
    );
    assert!(hub.table.is_empty());
    let table = hub.table();
    let spoke = hub.spoke(1);
    let attachment = hub.attach(&spoke);
    let pair =
        json!({"TransitGatewayRouteTableId": table, "TransitGatewayAttachmentId": attachment});
    let of_table = json!({"TransitGatewayRouteTableId": table});
    let of_attachment = json!({"TransitGatewayAttachmentId": attachment});
    assert_eq!(hub.next(&table, "10.1.0.5"), None);
    let world = &mut hub.world;
    assert_eq!(
        world.err("DisassociateTransitGatewayRouteTable", pair.clone()),
        "InvalidAssociation.NotFound"
    );
    assert_eq!(
        world.err("DisableTransitGatewayRouteTablePropagation", pair.clone()),
        "TransitGatewayRouteTablePropagation.NotFound"
    );
    world.ok("AssociateTransitGatewayRouteTable", pair.clone());
    assert_eq!(
        world.err("AssociateTransitGatewayRouteTable", pair.clone()),
        "Resource.AlreadyAssociated"
    );
    world.ok("EnableTransitGatewayRouteTablePropagation", pair.clone());
    assert_eq!(
        world.err("EnableTransitGatewayRouteTablePropagation", pair.clone()),
        "TransitGatewayRouteTablePropagation.Duplicate"
    );
    let shown = world.ok("GetTransitGatewayRouteTableAssociations", of_table.clone());
    assert_eq!(text(&shown, "Associations.0.ResourceId"), spoke.vpc);
    assert_eq!(text(&shown, "Associations.0.State"), "associated");
    let shown = world.ok("GetTransitGatewayRouteTablePropagations", of_table.clone());
    assert_eq!(
        text(&shown, "TransitGatewayRouteTablePropagations.0.State"),
        "enabled"
    );
    let shown = world.ok("GetTransitGatewayAttachmentPropagations", of_attachment);
    assert_eq!(
        text(
            &shown,
            "TransitGatewayAttachmentPropagations.0.TransitGatewayRouteTableId"
        ),
        table
    );
    let filtered = |value: &str| json!({"TransitGatewayRouteTableId": table, "Filters": [{"Name": "resource-type", "Values": [value]}]});
    for (value, found) in [("vpc", 1), ("vpn", 0)] {
        let shown = world.ok("GetTransitGatewayRouteTableAssociations", filtered(value));
        assert_eq!(count(&shown, "Associations"), found);
    }
    assert_eq!(
        world.err("DeleteTransitGatewayRouteTable", of_table.clone()),
        "IncorrectState"
    );
    assert!(hub.next(&table, "10.1.0.5").is_some());
    let world = &mut hub.world;
    // Another gateway's table is none of the attachment's.
    let made = world.ok("CreateTransitGateway", json!({}));
    let other = text(
        &made,
        "TransitGateway.Options.AssociationDefaultRouteTableId",
    );
    let wrong =
        json!({"TransitGatewayRouteTableId": other, "TransitGatewayAttachmentId": attachment});
    assert_eq!(
        world.err("AssociateTransitGatewayRouteTable", wrong.clone()),
        "InvalidParameterValue"
    );
    assert_eq!(
        world.err(
            "DeleteTransitGatewayRouteTable",
            json!({"TransitGatewayRouteTableId": other})
        ),
        "IncorrectState"
    );
    world.settle = 1000;
    let done = world.ok("DisassociateTransitGatewayRouteTable", pair.clone());
    assert_eq!(text(&done, "Association.State"), "disassociating");
    let done = world.ok("DisableTransitGatewayRouteTablePropagation", pair.clone());
    assert_eq!(text(&done, "Propagation.State"), "disabling");
    assert_eq!(
        world.err("DeleteTransitGatewayRouteTable", of_table.clone()),
        "IncorrectState"
    );
    world.now.0 += 1000;
    world.ok("DeleteTransitGatewayRouteTable", of_table.clone());
    world.now.0 += 1000;
    assert_eq!(
        world.err("DeleteTransitGatewayRouteTable", of_table),
        "InvalidRouteTableID.NotFound"
    );
}

#[test]
fn attachments_are_listed_in_pages_and_by_filters() {
    let mut hub = Hub::new(json!({}));
    for number in 1..8 {
        let spoke = hub.spoke(number);
        hub.attach(&spoke);
    }
    let world = &mut hub.world;
    let first = world.ok(
        "DescribeTransitGatewayAttachments",
        json!({"MaxResults": 5}),
    );
    assert_eq!(count(&first, "TransitGatewayAttachments"), 5);
    let rest = world.ok(
        "DescribeTransitGatewayAttachments",
        json!({"NextToken": text(&first, "NextToken")}),
    );
    assert_eq!(count(&rest, "TransitGatewayAttachments"), 2);
    let id = text(
        &first,
        "TransitGatewayAttachments.0.TransitGatewayAttachmentId",
    );
    world.ok(
        "CreateTags",
        json!({"Resources": [id], "Tags": [{"Key": "a", "Value": "b"}]}),
    );
    for (name, value, found) in [
        ("tag:a", "b", 1),
        ("tag-key", "a", 1),
        ("resource-type", "vpc", 7),
        ("resource-type", "peering", 0),
        ("association.transit-gateway-route-table-id", &hub.table, 7),
        ("transit-gateway-id", &hub.gateway, 7),
        ("transit-gateway-attachment-id", &id, 1),
        ("state", "deleted", 0),
    ] {
        let filters = json!({"Filters": [{"Name": name, "Values": [value]}]});
        let shown = world.ok("DescribeTransitGatewayAttachments", filters);
        assert_eq!(count(&shown, "TransitGatewayAttachments"), found, "{name}");
    }
    for (request, code) in [
        (
            json!({"TransitGatewayAttachmentIds": [id], "MaxResults": 5}),
            "InvalidParameterCombination",
        ),
        (json!({"MaxResults": 4}), "InvalidParameterValue"),
        (
            json!({"TransitGatewayAttachmentIds": ["tgw-attach-0123456789abcdef0"]}),
            "InvalidTransitGatewayAttachmentID.NotFound",
        ),
    ] {
        assert_eq!(
            world.err("DescribeTransitGatewayAttachments", request.clone()),
            code
        );
        assert_eq!(
            world.err("DescribeTransitGatewayVpcAttachments", request),
            code
        );
    }
}
