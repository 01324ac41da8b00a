//! Associations of route tables: with a subnet, with a gateway, or as a VPC's main table.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::AssociationId;

use crate::dispatch::actions;
use crate::resource;
use crate::route_table::{ASSOCIATED, AssociationState, EdgeGateway};
use crate::route_target::{self, RouteTarget, elsewhere};
use crate::{Context, RouteTable, Subnet, Tx, Vpc};

actions! {
    "AssociateRouteTable" => associate_route_table, Enforced;
    "DisassociateRouteTable" => disassociate_route_table, Enforced;
    "ReplaceRouteTableAssociation" => replace_route_table_association, Enforced;
}

/// What an association's id means.
enum Association {
    /// The subnet has a table of its own.
    Explicit(Subnet),
    /// The gateway has the table.
    Gateway(RouteTable, EdgeGateway),
    /// The VPC has a main table.
    Main(Vpc),
}

fn find(tx: &Tx, ctx: &Context<'_>, text: &str) -> Result<Association, ApiError> {
    let not_found = || {
        ApiError::new(
            "InvalidAssociationID.NotFound",
            format!("The association ID '{text}' does not exist"),
        )
    };
    let id: AssociationId = text.parse().map_err(|_| not_found())?;
    let state = tx.state();
    let explicit = || {
        let mut subnets = state.subnets.of(id);
        let subnet = subnets.find(|subnet| resource::is_visible(ctx, *subnet))?;
        Some(Association::Explicit(subnet.clone()))
    };
    let gateway = || {
        let mut tables = state.route_tables.of(id);
        let table = tables.find(|table| resource::is_visible(ctx, *table))?;
        let gateway = table.gateways.get(&id)?;
        Some(Association::Gateway(table.clone(), *gateway))
    };
    let main = || {
        let mut vpcs = state.vpcs.of(id);
        let vpc = vpcs.find(|vpc| resource::is_visible(ctx, *vpc))?;
        Some(Association::Main(vpc.clone()))
    };
    explicit()
        .or_else(gateway)
        .or_else(main)
        .ok_or_else(not_found)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateRouteTableRequest {
    route_table_id: String,
    gateway_id: Option<String>,
    subnet_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssociateRouteTableReply {
    association_id: AssociationId,
    association_state: AssociationState,
}

fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

fn conflicts(table: &RouteTable) -> ApiError {
    ApiError::new(
        "Resource.AlreadyAssociated",
        format!(
            "the specified association for route table {} conflicts with an existing association",
            table.id
        ),
    )
}

pub(crate) fn associate_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateRouteTableRequest,
) -> Result<AssociateRouteTableReply, ApiError> {
    let table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let association_id = match (req.subnet_id.as_deref(), req.gateway_id.as_deref()) {
        (Some(subnet), None) => associate_subnet(tx, ctx, &table, subnet)?,
        (None, Some(gateway)) => associate_gateway(tx, ctx, table, gateway)?,
        (None, None) => return Err(resource::missing("subnetId")),
        (Some(_), Some(_)) => {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "The parameters subnetId and gatewayId cannot be used together",
            ));
        }
    };
    Ok(AssociateRouteTableReply {
        association_id,
        association_state: ASSOCIATED,
    })
}

fn associate_subnet(
    tx: &mut Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    subnet: &str,
) -> Result<AssociationId, ApiError> {
    let mut subnet = resource::find::<Subnet>(tx, ctx, subnet)?.clone();
    check_subnet(table, &subnet)?;
    match subnet.route_table {
        // The same association again is no error, so that repeats are harmless.
        Some((there, same)) if same == table.id => Ok(there),
        Some(_) => Err(conflicts(table)),
        None => {
            let id = AssociationId::from_bits(ctx.random());
            subnet.route_table = Some((id, table.id));
            tx.put(subnet);
            Ok(id)
        }
    }
}

fn check_subnet(table: &RouteTable, subnet: &Subnet) -> Result<(), ApiError> {
    if subnet.vpc != table.vpc {
        return Err(elsewhere(table, "subnet", &subnet.id));
    }
    if !table.gateways.is_empty() {
        return Err(invalid(format!(
            "The route table {} is associated with a gateway and cannot be associated with a subnet.",
            table.id
        )));
    }
    Ok(())
}

/// EC2 "Gateway route tables": only local routes and routes within the VPC to interfaces and Gateway Load Balancer
/// endpoints, no propagation, not the main table.
fn check_gateway(tx: &Tx, table: &RouteTable) -> Result<(), ApiError> {
    let refused = |why: &str| {
        Err(invalid(format!(
            "The route table {} cannot be associated with a gateway: {why}.",
            table.id
        )))
    };
    if table.is_main(tx.state()) {
        return refused("it is the main route table");
    }
    if table.subnets(tx.state()).next().is_some() {
        return refused("it is associated with a subnet");
    }
    if !table.propagating.is_empty() {
        return refused("route propagation is enabled for it");
    }
    let Some(vpc) = tx.get::<Vpc>(&table.vpc) else {
        return Ok(());
    };
    let outside = table.routes.keys().any(|to| {
        to.cidr()
            .is_none_or(|cidr| !vpc.all_blocks().any(|block| block.covers(cidr)))
    });
    if outside {
        return refused("it has a route to a destination outside of the VPC's CIDR blocks");
    }
    let mut targets = table.routes.values().chain(table.local.values());
    let fits = |target: &RouteTarget| {
        matches!(target, RouteTarget::Interface(_) | RouteTarget::Endpoint(_))
    };
    if !targets.all(fits) {
        return refused(
            "it has a route whose target is neither a network interface nor a Gateway Load Balancer endpoint",
        );
    }
    Ok(())
}

fn associate_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    mut table: RouteTable,
    id: &str,
) -> Result<AssociationId, ApiError> {
    let gateway = if id.starts_with("vgw-") {
        EdgeGateway::Vpn(route_target::vpn_gateway(tx, ctx, &table, id)?)
    } else {
        EdgeGateway::Internet(route_target::internet_gateway(tx, ctx, &table, id)?)
    };
    let there = |table: &RouteTable| {
        let mut all = table.gateways.iter();
        all.find(|(_, other)| **other == gateway).map(|(id, _)| *id)
    };
    if let Some(association) = there(&table) {
        return Ok(association);
    }
    let other = |table: &RouteTable| there(table).is_some();
    if tx.state().route_tables.of(gateway.object()).any(other) {
        return Err(conflicts(&table));
    }
    check_gateway(tx, &table)?;
    let association = AssociationId::from_bits(ctx.random());
    table.gateways.insert(association, gateway);
    tx.put(table);
    Ok(association)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReplaceRouteTableAssociationRequest {
    association_id: String,
    route_table_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplaceRouteTableAssociationReply {
    new_association_id: AssociationId,
    association_state: AssociationState,
}

pub(crate) fn replace_route_table_association(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReplaceRouteTableAssociationRequest,
) -> Result<ReplaceRouteTableAssociationReply, ApiError> {
    let association = find(tx, ctx, &req.association_id)?;
    let mut table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let new_association_id = AssociationId::from_bits(ctx.random());
    match association {
        Association::Explicit(mut subnet) => {
            check_subnet(&table, &subnet)?;
            subnet.route_table = Some((new_association_id, table.id));
            tx.put(subnet);
        }
        Association::Gateway(mut old, gateway) => {
            if old.vpc != table.vpc {
                return Err(elsewhere(&table, "gateway", &gateway.object()));
            }
            check_gateway(tx, &table)?;
            old.gateways.retain(|_, other| *other != gateway);
            if old.id == table.id {
                table = old;
            } else {
                tx.put(old);
            }
            table.gateways.insert(new_association_id, gateway);
            tx.put(table);
        }
        Association::Main(mut vpc) => {
            if vpc.id != table.vpc {
                return Err(invalid(format!(
                    "route table {} does not belong to network {}",
                    table.id, vpc.id
                )));
            }
            if !table.gateways.is_empty() {
                return Err(invalid(format!(
                    "The route table {} is associated with a gateway and cannot be the main route table.",
                    table.id
                )));
            }
            vpc.main_route_table = table.id;
            vpc.main_association = new_association_id;
            tx.put(vpc);
        }
    }
    Ok(ReplaceRouteTableAssociationReply {
        new_association_id,
        association_state: ASSOCIATED,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisassociateRouteTableRequest {
    association_id: String,
}

pub(crate) fn disassociate_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DisassociateRouteTableRequest,
) -> Result<(), ApiError> {
    match find(tx, ctx, &req.association_id)? {
        Association::Explicit(mut subnet) => {
            subnet.route_table = None;
            tx.put(subnet);
            Ok(())
        }
        Association::Gateway(mut table, gateway) => {
            table.gateways.retain(|_, other| *other != gateway);
            tx.put(table);
            Ok(())
        }
        Association::Main(_) => Err(invalid(format!(
            "cannot disassociate the main route table association {}",
            req.association_id
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    struct Network {
        world: World,
        vpc: String,
        subnet: String,
        table: String,
    }

    fn network() -> Network {
        let mut world = World::new();
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&reply, "Vpc.VpcId");
        let reply = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"}),
        );
        let subnet = text(&reply, "Subnet.SubnetId");
        let reply = world.ok("CreateRouteTable", json!({"VpcId": vpc}));
        let table = text(&reply, "RouteTable.RouteTableId");
        Network {
            world,
            vpc,
            subnet,
            table,
        }
    }

    /// The route table that packets of the only subnet outside of the default VPC meet.
    fn effective(world: &World) -> String {
        let subnet = world
            .state
            .subnets
            .values()
            .find(|subnet| !subnet.default_for_zone)
            .unwrap();
        subnet
            .project(&world.state)
            .unwrap()
            .route_table
            .to_string()
    }

    #[test]
    fn explicit_associations() {
        let Network {
            mut world,
            subnet,
            table,
            ..
        } = network();
        let main = effective(&world);
        let pair = json!({"RouteTableId": table, "SubnetId": subnet});
        let reply = world.ok("AssociateRouteTable", pair.clone());
        let association = text(&reply, "AssociationId");
        assert_eq!(effective(&world), table);
        assert_eq!(
            text(&world.ok("AssociateRouteTable", pair), "AssociationId"),
            association
        );
        let other = json!({"RouteTableId": main, "SubnetId": subnet});
        assert_eq!(
            world.err("AssociateRouteTable", other),
            "Resource.AlreadyAssociated"
        );
        assert_eq!(
            world.err("DeleteRouteTable", json!({"RouteTableId": table})),
            "DependencyViolation"
        );
        let reply = world.ok(
            "ReplaceRouteTableAssociation",
            json!({"AssociationId": association, "RouteTableId": main}),
        );
        let replaced = json!({"AssociationId": text(&reply, "NewAssociationId")});
        assert_eq!(effective(&world), main);
        let old = json!({"AssociationId": association});
        assert_eq!(
            world.err("DisassociateRouteTable", old),
            "InvalidAssociationID.NotFound"
        );
        world.ok("DisassociateRouteTable", replaced);
        world.ok("DeleteRouteTable", json!({"RouteTableId": table}));
    }

    #[test]
    fn the_main_table() {
        let Network {
            mut world,
            vpc,
            table,
            ..
        } = network();
        let filters = json!([{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]);
        let reply = world.ok("DescribeRouteTables", json!({"Filters": filters}));
        assert_eq!(count(&reply, "RouteTables"), 1);
        let old = text(&reply, "RouteTables.0.RouteTableId");
        let association = text(
            &reply,
            "RouteTables.0.Associations.0.RouteTableAssociationId",
        );
        let off = json!({"AssociationId": association});
        assert_eq!(
            world.err("DisassociateRouteTable", off),
            "InvalidParameterValue"
        );
        assert_eq!(
            world.err("DeleteRouteTable", json!({"RouteTableId": old})),
            "DependencyViolation"
        );
        world.ok(
            "ReplaceRouteTableAssociation",
            json!({"AssociationId": association, "RouteTableId": table}),
        );
        assert_eq!(effective(&world), table);
        world.ok("DeleteRouteTable", json!({"RouteTableId": old}));
    }

    #[test]
    fn tables_stay_in_their_vpc() {
        let Network {
            mut world, table, ..
        } = network();
        let reply = world.ok(
            "DescribeSubnets",
            json!({"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}),
        );
        let pair = json!({"RouteTableId": table, "SubnetId": text(&reply, "Subnets.0.SubnetId")});
        assert_eq!(
            world.err("AssociateRouteTable", pair),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn a_gateway_has_a_table_for_what_arrives() {
        let Network {
            mut world,
            vpc,
            subnet,
            table,
        } = network();
        let reply = world.ok("CreateInternetGateway", json!({}));
        let gateway = text(&reply, "InternetGateway.InternetGatewayId");
        let edge = json!({"RouteTableId": table, "GatewayId": gateway});
        // Not attached: of another network.
        assert_eq!(
            world.err("AssociateRouteTable", edge.clone()),
            "InvalidParameterValue"
        );
        let pair = json!({"InternetGatewayId": gateway, "VpcId": vpc});
        world.ok("AttachInternetGateway", pair.clone());
        let all = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"});
        let mut route = all.clone();
        route["GatewayId"] = json!(gateway);
        world.ok("CreateRoute", route.clone());
        assert_eq!(
            world.err("AssociateRouteTable", edge.clone()),
            "InvalidParameterValue"
        );
        world.ok("DeleteRoute", all);
        let association = text(
            &world.ok("AssociateRouteTable", edge.clone()),
            "AssociationId",
        );
        assert_eq!(
            text(&world.ok("AssociateRouteTable", edge), "AssociationId"),
            association
        );
        // Nothing but middleboxes within the VPC.
        assert_eq!(world.err("CreateRoute", route), "InvalidParameterValue");
        let reply = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        let interface = text(&reply, "NetworkInterface.NetworkInterfaceId");
        let to = |block: &str| json!({"RouteTableId": table, "DestinationCidrBlock": block, "NetworkInterfaceId": interface});
        world.ok("CreateRoute", to("10.0.0.0/24"));
        assert_eq!(
            world.err("CreateRoute", to("192.0.2.0/24")),
            "InvalidParameterValue"
        );
        let mixed = json!({"RouteTableId": table, "SubnetId": subnet});
        assert_eq!(
            world.err("AssociateRouteTable", mixed),
            "InvalidParameterValue"
        );
        let filters = json!([{"Name": "association.gateway-id", "Values": [gateway]}]);
        let shown = world.ok("DescribeRouteTables", json!({"Filters": filters}));
        assert_eq!(
            text(&shown, "RouteTables.0.Associations.0.GatewayId"),
            gateway
        );
        // In use, both ways.
        assert_eq!(
            world.err("DeleteRouteTable", json!({"RouteTableId": table})),
            "DependencyViolation"
        );
        assert_eq!(
            world.err("DetachInternetGateway", pair.clone()),
            "DependencyViolation"
        );
        let reply = world.ok("CreateRouteTable", json!({"VpcId": vpc}));
        let second = text(&reply, "RouteTable.RouteTableId");
        let other = json!({"RouteTableId": second, "GatewayId": gateway});
        assert_eq!(
            world.err("AssociateRouteTable", other),
            "Resource.AlreadyAssociated"
        );
        let reply = world.ok(
            "ReplaceRouteTableAssociation",
            json!({"AssociationId": association, "RouteTableId": second}),
        );
        let association = text(&reply, "NewAssociationId");
        world.ok("DeleteRouteTable", json!({"RouteTableId": table}));
        world.ok(
            "DisassociateRouteTable",
            json!({"AssociationId": association}),
        );
        world.ok("DetachInternetGateway", pair);
    }
}
