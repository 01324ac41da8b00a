//! Routes: what clients change in route tables.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::Cidr;

use crate::dispatch::actions;
use crate::route_table::RouteTable;
use crate::route_target::{self, Destination, Named, RouteTarget};
use crate::vpc::parse_cidr;
use crate::{Context, PrefixList, State, Tx, prefix_list, quota, resource, subnet};

actions! {
    "CreateRoute" => create_route, Enforced;
    "DeleteRoute" => delete_route, Enforced;
    "DisableVgwRoutePropagation" => disable_vgw_route_propagation, Recorded;
    "EnableVgwRoutePropagation" => enable_vgw_route_propagation, Recorded;
    "ReplaceRoute" => replace_route, Enforced;
}

/// `CreateRoute`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateRouteRequest {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
    carrier_gateway_id: Option<String>,
    egress_only_internet_gateway_id: Option<String>,
    gateway_id: Option<String>,
    instance_id: Option<String>,
    nat_gateway_id: Option<String>,
    network_interface_id: Option<String>,
    transit_gateway_id: Option<String>,
    vpc_endpoint_id: Option<String>,
    vpc_peering_connection_id: Option<String>,
}

/// `ReplaceRoute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReplaceRouteRequest {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
    carrier_gateway_id: Option<String>,
    egress_only_internet_gateway_id: Option<String>,
    gateway_id: Option<String>,
    instance_id: Option<String>,
    local_target: Option<bool>,
    nat_gateway_id: Option<String>,
    network_interface_id: Option<String>,
    transit_gateway_id: Option<String>,
    vpc_endpoint_id: Option<String>,
    vpc_peering_connection_id: Option<String>,
}

macro_rules! named {
    ($request:ty) => {
        impl $request {
            fn named(&self) -> Named<'_> {
                Named {
                    gateway: self.gateway_id.as_deref(),
                    nat_gateway: self.nat_gateway_id.as_deref(),
                    egress_only: self.egress_only_internet_gateway_id.as_deref(),
                    carrier: self.carrier_gateway_id.as_deref(),
                    transit: self.transit_gateway_id.as_deref(),
                    peering: self.vpc_peering_connection_id.as_deref(),
                    interface: self.network_interface_id.as_deref(),
                    instance: self.instance_id.as_deref(),
                    endpoint: self.vpc_endpoint_id.as_deref(),
                }
            }

            fn destination(&self, tx: &Tx, ctx: &Context<'_>) -> Result<Destination, ApiError> {
                destination(
                    tx,
                    ctx,
                    self.destination_cidr_block.as_deref(),
                    self.destination_ipv6_cidr_block.as_deref(),
                    self.destination_prefix_list_id.as_deref(),
                )
            }
        }
    };
}

named!(CreateRouteRequest);
named!(ReplaceRouteRequest);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateRouteReply {
    r#return: bool,
}

/// The only destination that a request names.
fn destination(
    tx: &Tx,
    ctx: &Context<'_>,
    v4: Option<&str>,
    v6: Option<&str>,
    list: Option<&str>,
) -> Result<Destination, ApiError> {
    match (v4, v6, list) {
        (Some(text), None, None) => {
            parse_cidr(text, "destinationCidrBlock").map(Destination::Cidr)
        }
        (None, Some(text), None) => text
            .parse::<Cidr>()
            .ok()
            .filter(|cidr| !cidr.is_v4())
            .map(Destination::Cidr)
            .ok_or_else(|| {
                ApiError::new(
                    "InvalidParameterValue",
                    format!(
                        "Value ({text}) for parameter destinationIpv6CidrBlock is invalid. This is not a valid IPv6 CIDR block."
                    ),
                )
            }),
        (None, None, Some(id)) => {
            prefix_list::find(tx, ctx, id).map(|list| Destination::PrefixList(list.id))
        }
        (None, None, None) => Err(resource::missing("destinationCidrBlock")),
        _ => Err(ApiError::new(
            "InvalidParameterCombination",
            "Only one of destinationCidrBlock, destinationIpv6CidrBlock and destinationPrefixListId can be given for a route",
        )),
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

/// Addresses of EC2's own services, to which no route may lead (EC2 "Add and remove routes from a route table").
const SERVICES: [&str; 2] = ["169.254.168.0/22", "fd00:ec2::/32"];

/// Whether the destination is one of the VPC's own blocks: then its route is the local one.
fn is_local(state: &State, table: &RouteTable, destination: Destination) -> bool {
    let vpc = state.vpcs.get(&table.vpc);
    vpc.zip(destination.cidr())
        .is_some_and(|(vpc, cidr)| vpc.all_blocks().any(|block| block == cidr))
}

/// Routes within the VPC's own blocks lead to middleboxes, for all of one subnet (EC2 "Routing for a middlebox
/// appliance"); and in a gateway's table there are no others (EC2 "Gateway route tables").
fn check_place(
    state: &State,
    table: &RouteTable,
    destination: Destination,
    target: RouteTarget,
) -> Result<(), ApiError> {
    let Some(vpc) = state.vpcs.get(&table.vpc) else {
        return Ok(());
    };
    let block = destination.cidr();
    let reserved = SERVICES.iter().filter_map(|text| text.parse::<Cidr>().ok());
    if let Some(cidr) = block
        && reserved.clone().any(|reserved| reserved.covers(cidr))
    {
        return Err(invalid(format!(
            "The destination CIDR block {cidr} is equal to or more specific than a block that is reserved for services."
        )));
    }
    let within = block.filter(|cidr| vpc.all_blocks().any(|block| block.covers(*cidr)));
    if !table.gateways.is_empty() {
        let noun = "a route table that is associated with a gateway";
        if within.is_none() {
            return Err(invalid(format!(
                "The destination {destination} is outside of the VPC's CIDR blocks: {noun} cannot have a route to it."
            )));
        }
        if !matches!(target, RouteTarget::Interface(_) | RouteTarget::Endpoint(_)) {
            return Err(invalid(format!(
                "In {noun} a route can lead to a network interface or a Gateway Load Balancer endpoint only."
            )));
        }
    }
    let Some(cidr) = within else { return Ok(()) };
    if !target.is_middlebox() {
        return Err(invalid(format!(
            "The destination CIDR block {cidr} is equal to or more specific than one of this VPC's CIDR blocks. This route can target only an interface or an instance."
        )));
    }
    if !is_local(state, table, destination)
        && !subnet::of_vpc(state, vpc.id).any(|subnet| subnet.cidr == cidr)
    {
        return Err(invalid(
            "Route destination doesn't match any subnet CIDR blocks.".to_owned(),
        ));
    }
    Ok(())
}

fn already_exists(destination: Destination) -> ApiError {
    ApiError::new(
        "RouteAlreadyExists",
        format!("The route identified by {destination} already exists."),
    )
}

/// "The quota is enforced separately for IPv4 routes and IPv6 routes"; a prefix list counts for as many as it may have
/// entries. `resized` is a list as it shall be.
///
/// # Errors
/// `RouteLimitExceeded`.
pub(crate) fn check_quota_with(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    resized: Option<&PrefixList>,
) -> Result<(), ApiError> {
    let (mut v4, mut v6) = (0_usize, 0_usize);
    for destination in table.routes.keys() {
        let (is_v6, weight) = match *destination {
            Destination::Cidr(cidr) => (!cidr.is_v4(), 1),
            Destination::PrefixList(id) => match resized.filter(|list| list.id == id) {
                Some(list) => (list.v6, list.max_entries),
                None => prefix_list::of_id(tx.state(), &table.region, table.account, id)
                    .map_or((false, 1), |list| (list.v6, list.max_entries)),
            },
        };
        let count = if is_v6 { &mut v6 } else { &mut v4 };
        *count = count.saturating_add(weight);
    }
    quota::ROUTES.check(tx, ctx, v4.max(v6))
}

pub(crate) fn create_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateRouteRequest,
) -> Result<CreateRouteReply, ApiError> {
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let destination = req.destination(tx, ctx)?;
    let target = req.named().find(tx, ctx, &table, destination)?;
    if is_local(tx.state(), &table, destination) {
        return Err(already_exists(destination));
    }
    check_place(tx.state(), &table, destination, target)?;
    match table.routes.get(&destination) {
        // The same route again is no error, so that repeats are harmless.
        Some(there) if *there == target => return Ok(CreateRouteReply { r#return: true }),
        Some(_) => return Err(already_exists(destination)),
        None => {}
    }
    table.routes.insert(destination, target);
    check_quota_with(tx, ctx, &table, None)?;
    tx.put(table);
    Ok(CreateRouteReply { r#return: true })
}

pub(crate) fn replace_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReplaceRouteRequest,
) -> Result<(), ApiError> {
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let destination = req.destination(tx, ctx)?;
    let own = destination
        .cidr()
        .filter(|_| is_local(tx.state(), &table, destination));
    let mut named = req.named();
    // `GatewayId=local` and `LocalTarget` both mean the target that a local route begins with.
    let by_name = named.gateway == Some("local");
    if by_name {
        named.gateway = None;
    }
    if by_name || req.local_target == Some(true) {
        if named.count() > 0 || (by_name && req.local_target == Some(true)) {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "Only one target can be given for a route",
            ));
        }
        let Some(cidr) = own else {
            return Err(invalid(format!(
                "The route identified by {destination} is not a local route: only a local route can have the target 'local'."
            )));
        };
        table.local.remove(&cidr);
        tx.put(table);
        return Ok(());
    }
    let target = named.find(tx, ctx, &table, destination)?;
    if own.is_none() && !table.routes.contains_key(&destination) {
        return Err(invalid(format!(
            "There is no route defined for '{destination}' in the route table. Use CreateRoute instead."
        )));
    }
    check_place(tx.state(), &table, destination, target)?;
    match own {
        Some(cidr) => table.local.insert(cidr, target),
        None => table.routes.insert(destination, target),
    };
    tx.put(table);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRouteRequest {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
}

pub(crate) fn delete_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRouteRequest,
) -> Result<(), ApiError> {
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let destination = destination(
        tx,
        ctx,
        req.destination_cidr_block.as_deref(),
        req.destination_ipv6_cidr_block.as_deref(),
        req.destination_prefix_list_id.as_deref(),
    )?;
    if is_local(tx.state(), &table, destination) {
        return Err(invalid(format!(
            "cannot remove local route {destination} in route table {}",
            table.id
        )));
    }
    if table.routes.remove(&destination).is_none() {
        let member = match destination {
            Destination::Cidr(cidr) if cidr.is_v4() => "destination-cidr-block",
            Destination::Cidr(_) => "destination-ipv6-cidr-block",
            Destination::PrefixList(_) => "destination-prefix-list-id",
        };
        return Err(ApiError::new(
            "InvalidRoute.NotFound",
            format!(
                "no route with {member} {destination} in route table {}",
                table.id
            ),
        ));
    }
    tx.put(table);
    Ok(())
}

/// `EnableVgwRoutePropagation` and `DisableVgwRoutePropagation`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct PropagationRequest {
    gateway_id: String,
    route_table_id: String,
}

pub(crate) fn enable_vgw_route_propagation(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PropagationRequest,
) -> Result<(), ApiError> {
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let gateway = route_target::vpn_gateway(tx, ctx, &table, &req.gateway_id)?;
    if !table.gateways.is_empty() {
        return Err(invalid(format!(
            "The route table {} is associated with a gateway: route propagation cannot be enabled for it.",
            table.id
        )));
    }
    table.propagating.insert(gateway);
    tx.put(table);
    Ok(())
}

pub(crate) fn disable_vgw_route_propagation(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PropagationRequest,
) -> Result<(), ApiError> {
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    // The gateway may be detached by now.
    let there = table
        .propagating
        .iter()
        .find(|id| id.to_string() == req.gateway_id)
        .copied();
    match there {
        Some(gateway) => {
            table.propagating.remove(&gateway);
            tx.put(table);
        }
        None => {
            route_target::vpn_gateway(tx, ctx, &table, &req.gateway_id)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, count, text};

    struct Network {
        world: World,
        vpc: String,
        table: String,
        gateway: String,
        interface: String,
    }

    fn network() -> Network {
        let mut world = World::new();
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&reply, "Vpc.VpcId");
        let reply = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.1.0/24"}),
        );
        let subnet = text(&reply, "Subnet.SubnetId");
        let reply = world.ok("CreateRouteTable", json!({"VpcId": vpc}));
        let table = text(&reply, "RouteTable.RouteTableId");
        let reply = world.ok("CreateInternetGateway", json!({}));
        let gateway = text(&reply, "InternetGateway.InternetGatewayId");
        let reply = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        let interface = text(&reply, "NetworkInterface.NetworkInterfaceId");
        Network {
            world,
            vpc,
            table,
            gateway,
            interface,
        }
    }

    impl Network {
        fn attach(&mut self) {
            let pair = json!({"InternetGatewayId": self.gateway, "VpcId": self.vpc});
            self.world.ok("AttachInternetGateway", pair);
        }

        fn route(&self, destination: &str, target: &str, id: &str) -> Json {
            json!({"RouteTableId": self.table, "DestinationCidrBlock": destination, target: id})
        }

        fn states(&mut self) -> Vec<(String, String)> {
            let reply = self.world.ok(
                "DescribeRouteTables",
                json!({"RouteTableIds": [self.table]}),
            );
            (0..count(&reply, "RouteTables.0.Routes"))
                .map(|index| {
                    let at = |m: &str| text(&reply, &format!("RouteTables.0.Routes.{index}.{m}"));
                    (at("DestinationCidrBlock"), at("State"))
                })
                .collect()
        }
    }

    #[test]
    fn routes_come_and_go() {
        let mut n = network();
        let all = n.route("0.0.0.0/0", "GatewayId", &n.gateway);
        // Not attached: of another network.
        assert_eq!(
            n.world.err("CreateRoute", all.clone()),
            "InvalidParameterValue"
        );
        n.attach();
        assert_eq!(
            n.world.err("ReplaceRoute", all.clone()),
            "InvalidParameterValue"
        );
        n.world.ok("CreateRoute", all.clone());
        n.world.ok("CreateRoute", all.clone());
        let other = n.route("0.0.0.0/0", "NetworkInterfaceId", &n.interface);
        assert_eq!(
            n.world.err("CreateRoute", other.clone()),
            "RouteAlreadyExists"
        );
        n.world.ok("ReplaceRoute", other);
        let gone = json!({"RouteTableId": n.table, "DestinationCidrBlock": "0.0.0.0/0"});
        n.world.ok("DeleteRoute", gone.clone());
        assert_eq!(n.world.err("DeleteRoute", gone), "InvalidRoute.NotFound");
        let none = json!({"RouteTableId": n.table, "DestinationCidrBlock": "0.0.0.0/0"});
        assert_eq!(n.world.err("CreateRoute", none), "MissingParameter");
        let mut two = all;
        two["NatGatewayId"] = json!("nat-00000000000000000");
        assert_eq!(
            n.world.err("CreateRoute", two),
            "InvalidParameterCombination"
        );
    }

    #[test]
    fn local_routes_are_not_to_be_hidden() {
        let mut n = network();
        n.attach();
        let by_gateway = |n: &Network, to: &str| n.route(to, "GatewayId", &n.gateway);
        let by_interface = |n: &Network, to: &str| n.route(to, "NetworkInterfaceId", &n.interface);
        for (input, code) in [
            (by_gateway(&n, "10.0.0.0/16"), "RouteAlreadyExists"),
            (by_gateway(&n, "10.0.1.0/24"), "InvalidParameterValue"),
            (by_interface(&n, "10.0.2.0/24"), "InvalidParameterValue"),
        ] {
            assert_eq!(n.world.err("CreateRoute", input.clone()), code, "{input}");
        }
        // A middlebox for all of a subnet.
        let middlebox = by_interface(&n, "10.0.1.0/24");
        n.world.ok("CreateRoute", middlebox);
        let wider = by_gateway(&n, "10.0.0.0/8");
        n.world.ok("CreateRoute", wider);
        let local = json!({"RouteTableId": n.table, "DestinationCidrBlock": "10.0.0.0/16"});
        assert_eq!(n.world.err("DeleteRoute", local), "InvalidParameterValue");
    }

    #[test]
    fn routes_without_target_are_black_holes() {
        let mut n = network();
        n.attach();
        let all = n.route("0.0.0.0/0", "GatewayId", &n.gateway);
        n.world.ok("CreateRoute", all);
        let some = n.route("192.0.2.0/24", "NetworkInterfaceId", &n.interface);
        n.world.ok("CreateRoute", some);
        let state = |d: &str, s: &str| (d.to_owned(), s.to_owned());
        assert_eq!(n.states()[1], state("0.0.0.0/0", "active"));
        let pair = json!({"InternetGatewayId": n.gateway, "VpcId": n.vpc});
        n.world.ok("DetachInternetGateway", pair);
        n.world.ok(
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": n.interface}),
        );
        assert_eq!(
            n.states(),
            [
                state("10.0.0.0/16", "active"),
                state("0.0.0.0/0", "blackhole"),
                state("192.0.2.0/24", "blackhole")
            ]
        );
        let id = n.table.parse().unwrap();
        let table = n
            .world
            .state
            .route_tables
            .get(&id)
            .unwrap()
            .project(&n.world.state)
            .unwrap();
        let dark = table
            .routes
            .iter()
            .filter(|r| r.target == topology::Target::Blackhole)
            .count();
        assert_eq!(dark, 2);
    }

    #[test]
    fn local_routes_can_lead_to_a_middlebox() {
        let mut n = network();
        n.attach();
        let local = |n: &Network, target: &str, id: serde_json::Value| {
            let mut input = json!({"RouteTableId": n.table, "DestinationCidrBlock": "10.0.0.0/16"});
            input[target] = id;
            input
        };
        let by_gateway = local(&n, "GatewayId", json!(n.gateway));
        assert_eq!(
            n.world.err("ReplaceRoute", by_gateway),
            "InvalidParameterValue"
        );
        let by_interface = local(&n, "NetworkInterfaceId", json!(n.interface));
        assert_eq!(
            n.world.err("CreateRoute", by_interface.clone()),
            "RouteAlreadyExists"
        );
        let target = |n: &Network| {
            let table = &n.world.state.route_tables[&n.table.parse().unwrap()];
            let projected = table.project(&n.world.state).unwrap();
            assert_eq!(projected.routes.len(), 1);
            projected.routes[0].target
        };
        for back in [
            local(&n, "GatewayId", json!("local")),
            local(&n, "LocalTarget", json!(true)),
        ] {
            n.world.ok("ReplaceRoute", by_interface.clone());
            let interface = n.interface.parse().unwrap();
            assert_eq!(target(&n), topology::Target::Interface(interface));
            let shown = n
                .world
                .ok("DescribeRouteTables", json!({"RouteTableIds": [n.table]}));
            assert_eq!(
                text(&shown, "RouteTables.0.Routes.0.NetworkInterfaceId"),
                n.interface
            );
            assert_eq!(
                text(&shown, "RouteTables.0.Routes.0.Origin"),
                "CreateRouteTable"
            );
            n.world.ok("ReplaceRoute", back);
            assert_eq!(target(&n), topology::Target::Local);
        }
        let mut elsewhere = local(&n, "LocalTarget", json!(true));
        elsewhere["DestinationCidrBlock"] = json!("0.0.0.0/0");
        assert_eq!(
            n.world.err("ReplaceRoute", elsewhere),
            "InvalidParameterValue"
        );
        let both = {
            let mut both = by_interface;
            both["LocalTarget"] = json!(true);
            both
        };
        assert_eq!(
            n.world.err("ReplaceRoute", both),
            "InvalidParameterCombination"
        );
    }

    #[test]
    fn targets_that_are_not_there() {
        let mut n = network();
        for (member, prefix, code) in [
            ("GatewayId", "igw", "InvalidGatewayID.NotFound"),
            ("GatewayId", "vgw", "InvalidGatewayID.NotFound"),
            ("NatGatewayId", "nat", "InvalidNatGatewayID.NotFound"),
            (
                "CarrierGatewayId",
                "cagw",
                "InvalidCarrierGatewayID.NotFound",
            ),
            (
                "TransitGatewayId",
                "tgw",
                "InvalidTransitGatewayID.NotFound",
            ),
            (
                "VpcPeeringConnectionId",
                "pcx",
                "InvalidVpcPeeringConnectionID.NotFound",
            ),
            ("VpcEndpointId", "vpce", "InvalidVpcEndpointId.NotFound"),
            (
                "NetworkInterfaceId",
                "eni",
                "InvalidNetworkInterfaceID.NotFound",
            ),
            ("InstanceId", "i", "InvalidInstanceID.NotFound"),
        ] {
            let input = n.route(
                "192.0.2.0/24",
                member,
                &format!("{prefix}-00000000000000001"),
            );
            assert_eq!(n.world.err("CreateRoute", input), code);
        }
        // An endpoint is no gateway, and an egress-only gateway is for IPv6.
        for (member, id) in [
            ("GatewayId", "vpce-00000000000000001"),
            ("EgressOnlyInternetGatewayId", "eigw-00000000000000001"),
            ("GatewayId", "local"),
        ] {
            let input = n.route("192.0.2.0/24", member, id);
            assert_eq!(n.world.err("CreateRoute", input), "InvalidParameterValue");
        }
    }

    #[test]
    fn destinations() {
        let mut n = network();
        n.attach();
        let mut v6 = json!({"RouteTableId": n.table, "GatewayId": n.gateway});
        v6["DestinationIpv6CidrBlock"] = json!("::/0");
        n.world.ok("CreateRoute", v6.clone());
        let filters = json!([{"Name": "route.destination-ipv6-cidr-block", "Values": ["::/0"]}]);
        let shown = n
            .world
            .ok("DescribeRouteTables", json!({"Filters": filters}));
        assert_eq!(count(&shown, "RouteTables"), 1);
        v6["DestinationIpv6CidrBlock"] = json!("10.0.0.0/8");
        assert_eq!(
            n.world.err("CreateRoute", v6.clone()),
            "InvalidParameterValue"
        );
        v6["DestinationIpv6CidrBlock"] = json!("fd00:ec2::/64");
        assert_eq!(
            n.world.err("CreateRoute", v6.clone()),
            "InvalidParameterValue"
        );
        v6["DestinationCidrBlock"] = json!("0.0.0.0/0");
        assert_eq!(
            n.world.err("CreateRoute", v6),
            "InvalidParameterCombination"
        );
        let gone = json!({"RouteTableId": n.table, "DestinationIpv6CidrBlock": "::/0"});
        n.world.ok("DeleteRoute", gone.clone());
        assert_eq!(n.world.err("DeleteRoute", gone), "InvalidRoute.NotFound");
    }
}
