//! Associations of route tables: with a subnet, or as a VPC's main table.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::AssociationId;

use crate::dispatch::actions;
use crate::resource;
use crate::route_table::{ASSOCIATED, AssociationState};
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
    /// The VPC has a main table.
    Main(Vpc),
}

fn find(tx: &Tx, ctx: &Context<'_>, id: &str) -> Result<Association, ApiError> {
    let not_found = || {
        ApiError::new(
            "InvalidAssociationID.NotFound",
            format!("The association ID '{id}' does not exist"),
        )
    };
    let id: AssociationId = id.parse().map_err(|_| not_found())?;
    let explicit = resource::own::<Subnet>(tx, ctx)
        .find(|subnet| {
            subnet
                .route_table
                .is_some_and(|(association, _)| association == id)
        })
        .map(|subnet| Association::Explicit(subnet.clone()));
    let main = || {
        resource::own::<Vpc>(tx, ctx)
            .find(|vpc| vpc.main_association == id)
            .map(|vpc| Association::Main(vpc.clone()))
    };
    explicit.or_else(main).ok_or_else(not_found)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateRouteTableRequest {
    route_table_id: String,
    subnet_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssociateRouteTableReply {
    association_id: AssociationId,
    association_state: AssociationState,
}

fn elsewhere(table: &RouteTable, subnet: &Subnet) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!(
            "route table {} and subnet {} belong to different networks",
            table.id, subnet.id
        ),
    )
}

pub(crate) fn associate_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateRouteTableRequest,
) -> Result<AssociateRouteTableReply, ApiError> {
    let table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?;
    let subnet = req
        .subnet_id
        .as_deref()
        .ok_or_else(|| resource::missing("subnetId"))?;
    let mut subnet = resource::find::<Subnet>(tx, ctx, subnet)?.clone();
    if subnet.vpc != table.vpc {
        return Err(elsewhere(table, &subnet));
    }
    let id = match subnet.route_table {
        // The same association again is no error, so that repeats are harmless.
        Some((there, same)) if same == table.id => there,
        Some(_) => {
            return Err(ApiError::new(
                "Resource.AlreadyAssociated",
                format!(
                    "the specified association for route table {} conflicts with an existing association",
                    table.id
                ),
            ));
        }
        None => {
            let id = AssociationId::from_bits(ctx.random());
            subnet.route_table = Some((id, table.id));
            tx.put(subnet);
            id
        }
    };
    Ok(AssociateRouteTableReply {
        association_id: id,
        association_state: ASSOCIATED,
    })
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
    let table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?.clone();
    let new_association_id = AssociationId::from_bits(ctx.random());
    match association {
        Association::Explicit(mut subnet) => {
            if subnet.vpc != table.vpc {
                return Err(elsewhere(&table, &subnet));
            }
            subnet.route_table = Some((new_association_id, table.id));
            tx.put(subnet);
        }
        Association::Main(mut vpc) => {
            if vpc.id != table.vpc {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!(
                        "route table {} does not belong to network {}",
                        table.id, vpc.id
                    ),
                ));
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
        Association::Main(_) => Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "cannot disassociate the main route table association {}",
                req.association_id
            ),
        )),
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
}
