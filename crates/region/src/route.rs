//! Routes: what clients change in route tables.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::Cidr;

use crate::dispatch::actions;
use crate::route_table::{RouteTable, RouteTarget};
use crate::vpc::parse_cidr;
use crate::{
    Context, Instance, InternetGateway, NetworkInterface, State, Tx, Vpc, quota, resource, subnet,
};

actions! {
    "CreateRoute" => create_route, Enforced;
    "DeleteRoute" => delete_route, Enforced;
    "ReplaceRoute" => replace_route, Enforced;
}

/// `CreateRoute` and `ReplaceRoute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RouteRequest {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    gateway_id: Option<String>,
    instance_id: Option<String>,
    network_interface_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateRouteReply {
    r#return: bool,
}

fn destination(text: Option<&str>) -> Result<Cidr, ApiError> {
    let text = text.ok_or_else(|| resource::missing("destinationCidrBlock"))?;
    parse_cidr(text, "destinationCidrBlock")
}

fn elsewhere(table: &RouteTable, noun: &str, id: &impl std::fmt::Display) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!(
            "route table {} and {noun} {id} belong to different networks",
            table.id
        ),
    )
}

/// The target that a request names; it must be of the table's VPC.
fn target(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    req: &RouteRequest,
) -> Result<RouteTarget, ApiError> {
    match (&req.gateway_id, &req.instance_id, &req.network_interface_id) {
        (Some(id), None, None) => {
            let gateway = resource::find::<InternetGateway>(tx, ctx, id)?;
            if gateway.vpc != Some(table.vpc) {
                return Err(elsewhere(table, "network gateway", id));
            }
            Ok(RouteTarget::Gateway(gateway.id))
        }
        (None, None, Some(id)) => {
            let interface = resource::find::<NetworkInterface>(tx, ctx, id)?;
            if interface.vpc != table.vpc {
                return Err(elsewhere(table, "interface", id));
            }
            Ok(RouteTarget::Interface(interface.id))
        }
        (None, Some(id), None) => {
            let instance = resource::find::<Instance>(tx, ctx, id)?;
            let mut interfaces = instance
                .interfaces
                .values()
                .filter_map(|id| tx.get::<NetworkInterface>(id));
            match (interfaces.next(), interfaces.next()) {
                (Some(interface), None) if interface.vpc == table.vpc => {
                    Ok(RouteTarget::Interface(interface.id))
                }
                (Some(_), None) => Err(elsewhere(table, "instance", id)),
                (Some(_), Some(_)) => Err(ApiError::new(
                    "InvalidInstanceID",
                    format!(
                        "There are multiple interfaces attached to instance '{id}'. Please specify an interface ID for the operation instead."
                    ),
                )),
                (None, _) => Err(ApiError::new(
                    "InvalidInstanceID",
                    format!("There are no interfaces attached to instance '{id}'."),
                )),
            }
        }
        (None, None, None) => Err(ApiError::new(
            "MissingParameter",
            "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, vpcPeeringConnectionId, egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, carrierGatewayId, vpcEndpointId, coreNetworkArn or instanceId",
        )),
        _ => Err(ApiError::new(
            "InvalidParameterCombination",
            "Only one target can be given for a route",
        )),
    }
}

/// Routes within the VPC's own blocks lead to middleboxes: an interface, for all of one subnet (EC2 "Routing for a
/// middlebox appliance").
fn check_within_vpc(
    state: &State,
    table: &RouteTable,
    destination: Cidr,
    target: RouteTarget,
) -> Result<(), ApiError> {
    let Some(vpc) = state.vpcs.get(&table.vpc) else {
        return Ok(());
    };
    if vpc.blocks().any(|block| block == destination) {
        return Err(already_exists(destination));
    }
    if !vpc.blocks().any(|block| block.covers(destination)) {
        return Ok(());
    }
    let wrong = |message: String| Err(ApiError::new("InvalidParameterValue", message));
    match target {
        RouteTarget::Gateway(_) => wrong(format!(
            "The destination CIDR block {destination} is equal to or more specific than one of this VPC's CIDR blocks. This route can target only an interface or an instance."
        )),
        RouteTarget::Interface(_)
            if !subnet::of_vpc(state, vpc.id).any(|subnet| subnet.cidr == destination) =>
        {
            wrong("Route destination doesn't match any subnet CIDR blocks.".to_owned())
        }
        RouteTarget::Interface(_) => Ok(()),
    }
}

fn already_exists(destination: Cidr) -> ApiError {
    ApiError::new(
        "RouteAlreadyExists",
        format!("The route identified by {destination} already exists."),
    )
}

pub(crate) fn create_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RouteRequest,
) -> Result<CreateRouteReply, ApiError> {
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let destination = destination(req.destination_cidr_block.as_deref())?;
    let target = target(tx, ctx, &table, &req)?;
    check_within_vpc(tx.state(), &table, destination, target)?;
    match table.routes.get(&destination) {
        // The same route again is no error, so that repeats are harmless.
        Some(there) if *there == target => return Ok(CreateRouteReply { r#return: true }),
        Some(_) => return Err(already_exists(destination)),
        None => {}
    }
    quota::ROUTES.one_more(tx, ctx, table.routes.len())?;
    table.routes.insert(destination, target);
    tx.put(table);
    Ok(CreateRouteReply { r#return: true })
}

pub(crate) fn replace_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RouteRequest,
) -> Result<(), ApiError> {
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let destination = destination(req.destination_cidr_block.as_deref())?;
    let target = target(tx, ctx, &table, &req)?;
    if !table.routes.contains_key(&destination) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "There is no route defined for '{destination}' in the route table. Use CreateRoute instead."
            ),
        ));
    }
    check_within_vpc(tx.state(), &table, destination, target)?;
    table.routes.insert(destination, target);
    tx.put(table);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRouteRequest {
    route_table_id: String,
    destination_cidr_block: Option<String>,
}

pub(crate) fn delete_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRouteRequest,
) -> Result<(), ApiError> {
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let destination = destination(req.destination_cidr_block.as_deref())?;
    let is_local = tx
        .get::<Vpc>(&table.vpc)
        .is_some_and(|vpc| vpc.blocks().any(|block| block == destination));
    if is_local {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "cannot remove local route {destination} in route table {}",
                table.id
            ),
        ));
    }
    if table.routes.remove(&destination).is_none() {
        return Err(ApiError::new(
            "InvalidRoute.NotFound",
            format!(
                "no route with destination-cidr-block {destination} in route table {}",
                table.id
            ),
        ));
    }
    tx.put(table);
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
        let mut nat = all;
        nat["NatGatewayId"] = json!("nat-00000000000000000");
        assert_eq!(n.world.err("CreateRoute", nat), "UnsupportedOperation");
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
}
