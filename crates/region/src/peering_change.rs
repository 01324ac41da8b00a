//! VPC peering connections: accept, reject, delete, options.

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::peering::{
    ConnectionReply, Deed, Options, PeeringConnection, Side, Status, check_active, overlap,
};
use crate::{Context, Tx, resource};

actions! {
    "AcceptVpcPeeringConnection" => accept_vpc_peering_connection, Enforced;
    "DeleteVpcPeeringConnection" => delete_vpc_peering_connection, Enforced;
    "ModifyVpcPeeringConnectionOptions" => modify_vpc_peering_connection_options, Recorded;
    "RejectVpcPeeringConnection" => reject_vpc_peering_connection, Enforced;
}

/// The actions whose only parameter is the connection.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ConnectionRequest {
    vpc_peering_connection_id: String,
}

/// A reply that only says that it was done.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReturnReply {
    r#return: bool,
}

fn not_permitted(message: String) -> ApiError {
    ApiError::new("OperationNotPermitted", message)
}

fn wrong_transition(connection: &PeeringConnection, from: Status, to: &str) -> ApiError {
    ApiError::new(
        "InvalidStateTransition",
        format!(
            "Invalid state transition for {}, attempted to transition from {} to {to}",
            connection.id,
            from.code()
        ),
    )
}

fn is_of(ctx: &Context<'_>, side: &Side) -> bool {
    side.account == ctx.account
}

/// The connection that the client shall answer: the accepter, in its region.
fn to_answer(
    tx: &Tx,
    ctx: &Context<'_>,
    id: &str,
    verb: &str,
    to: &str,
) -> Result<PeeringConnection, ApiError> {
    let connection = resource::find::<PeeringConnection>(tx, ctx, id)?.clone();
    if !is_of(ctx, &connection.accepter) {
        return Err(not_permitted(format!(
            "User {} cannot {verb} peering {id}",
            ctx.account
        )));
    }
    if connection.accepter.region != ctx.region {
        return Err(not_permitted(format!(
            "Incorrect region ( {} ) specified for this request. VPC peering connection {id} must be {verb}ed in region {}",
            ctx.region, connection.accepter.region
        )));
    }
    match connection.status(ctx.now) {
        Status::Pending => Ok(connection),
        status @ (Status::Initiating
        | Status::Provisioning
        | Status::Active
        | Status::Failed
        | Status::Expired
        | Status::Rejected
        | Status::Deleting
        | Status::Deleted) => Err(wrong_transition(&connection, status, to)),
    }
}

pub(crate) fn accept_vpc_peering_connection(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ConnectionRequest,
) -> Result<ConnectionReply, ApiError> {
    let id = &req.vpc_peering_connection_id;
    let mut connection = to_answer(tx, ctx, id, "accept", "active")?;
    let state = tx.state();
    // Blocks may have come since it was asked for.
    let [requester, accepter] = connection.sides().map(|side| side.blocks(state));
    if overlap(&requester, &accepter) {
        connection.now(ctx, Deed::Failed);
    } else {
        for side in connection.sides() {
            check_active(tx, ctx, side.vpc)?;
        }
        connection.now(ctx, Deed::Accepted);
    }
    let mut item = connection.reply(tx.state(), ctx.now);
    if connection.deed == Deed::Accepted {
        item.provisioning();
    }
    tx.put(connection);
    Ok(ConnectionReply {
        vpc_peering_connection: item,
    })
}

pub(crate) fn reject_vpc_peering_connection(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ConnectionRequest,
) -> Result<ReturnReply, ApiError> {
    let id = &req.vpc_peering_connection_id;
    let mut connection = to_answer(tx, ctx, id, "reject", "rejected")?;
    connection.now(ctx, Deed::Rejected);
    tx.put(connection);
    Ok(ReturnReply { r#return: true })
}

/// "Either the owner of the requester VPC or the owner of the accepter VPC can delete the VPC peering connection if it
/// is in the active state. The owner of the requester VPC can delete a VPC peering connection in the
/// pending-acceptance state."
pub(crate) fn delete_vpc_peering_connection(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ConnectionRequest,
) -> Result<ReturnReply, ApiError> {
    let id = &req.vpc_peering_connection_id;
    let mut connection = resource::find::<PeeringConnection>(tx, ctx, id)?.clone();
    match connection.status(ctx.now) {
        Status::Active | Status::Provisioning => {}
        Status::Pending | Status::Initiating if is_of(ctx, &connection.requester) => {}
        Status::Pending | Status::Initiating => {
            return Err(not_permitted(format!(
                "User {} cannot delete peering {id}",
                ctx.account
            )));
        }
        status @ (Status::Failed
        | Status::Expired
        | Status::Rejected
        | Status::Deleting
        | Status::Deleted) => {
            return Err(wrong_transition(&connection, status, "deleted"));
        }
    }
    connection.now(ctx, Deed::Deleted(ctx.account));
    tx.put(connection);
    Ok(ReturnReply { r#return: true })
}

/// The options of one side in a request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OptionsParameter {
    allow_dns_resolution_from_remote_vpc: Option<bool>,
    allow_egress_from_local_classic_link_to_remote_vpc: Option<bool>,
    allow_egress_from_local_vpc_to_remote_classic_link: Option<bool>,
}

/// `ModifyVpcPeeringConnectionOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyOptionsRequest {
    vpc_peering_connection_id: String,
    accepter_peering_connection_options: Option<OptionsParameter>,
    requester_peering_connection_options: Option<OptionsParameter>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyOptionsReply {
    accepter_peering_connection_options: Option<Options>,
    requester_peering_connection_options: Option<Options>,
}

fn modify_side(
    ctx: &Context<'_>,
    id: &str,
    name: &str,
    side: &mut Side,
    wanted: Option<OptionsParameter>,
) -> Result<Option<Options>, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    if !is_of(ctx, side) || side.region != ctx.region {
        return Err(not_permitted(format!(
            "User {} cannot modify {name} options of peering {id} in {}",
            ctx.account, ctx.region
        )));
    }
    resource::only_false(
        "AllowEgressFromLocalClassicLinkToRemoteVpc",
        wanted.allow_egress_from_local_classic_link_to_remote_vpc,
    )?;
    resource::only_false(
        "AllowEgressFromLocalVpcToRemoteClassicLink",
        wanted.allow_egress_from_local_vpc_to_remote_classic_link,
    )?;
    if let Some(dns) = wanted.allow_dns_resolution_from_remote_vpc {
        side.dns = dns;
    }
    Ok(Some(side.options()))
}

pub(crate) fn modify_vpc_peering_connection_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyOptionsRequest,
) -> Result<ModifyOptionsReply, ApiError> {
    let id = &req.vpc_peering_connection_id;
    let mut connection = resource::find::<PeeringConnection>(tx, ctx, id)?.clone();
    if connection.status(ctx.now) != Status::Active {
        return Err(not_permitted(format!(
            "Peering {id} is not active. Peering options can be added only to active peerings."
        )));
    }
    let accepter = req.accepter_peering_connection_options;
    let requester = req.requester_peering_connection_options;
    let reply = ModifyOptionsReply {
        accepter_peering_connection_options: modify_side(
            ctx,
            id,
            "accepter",
            &mut connection.accepter,
            accepter,
        )?,
        requester_peering_connection_options: modify_side(
            ctx,
            id,
            "requester",
            &mut connection.requester,
            requester,
        )?,
    };
    tx.put(connection);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, account, count, text};

    const OTHER: &str = "444455556666";

    fn vpc(world: &mut World, block: &str) -> String {
        text(
            &world.ok("CreateVpc", json!({"CidrBlock": block})),
            "Vpc.VpcId",
        )
    }

    /// A VPC of the first account, and one of the other.
    fn two() -> (World, String, String) {
        let mut world = World::new();
        let own = vpc(&mut world, "10.0.0.0/16");
        world.account = account(OTHER);
        let theirs = vpc(&mut world, "10.1.0.0/16");
        world.account = account("111122223333");
        (world, own, theirs)
    }

    fn ask(own: &str, theirs: &str) -> Json {
        json!({"VpcId": own, "PeerVpcId": theirs, "PeerOwnerId": OTHER})
    }

    fn create(world: &mut World, input: Json) -> String {
        let made = world.ok("CreateVpcPeeringConnection", input);
        assert_eq!(
            text(&made, "VpcPeeringConnection.Status.Code"),
            "initiating-request"
        );
        text(&made, "VpcPeeringConnection.VpcPeeringConnectionId")
    }

    fn status(world: &mut World, id: &str) -> String {
        let shown = world.ok(
            "DescribeVpcPeeringConnections",
            json!({"VpcPeeringConnectionIds": [id]}),
        );
        text(&shown, "VpcPeeringConnections.0.Status.Code")
    }

    #[test]
    fn two_accounts_join_their_networks() {
        let (mut world, own, theirs) = two();
        world.settle = 1000;
        let id = create(&mut world, ask(&own, &theirs));
        let named = json!({"VpcPeeringConnectionId": id});
        assert_eq!(status(&mut world, &id), "initiating-request");
        world.now.0 += 1000;
        assert_eq!(status(&mut world, &id), "pending-acceptance");
        assert_eq!(
            world.err("CreateVpcPeeringConnection", ask(&own, &theirs)),
            "VpcPeeringConnectionAlreadyExists"
        );
        assert_eq!(
            world.err("AcceptVpcPeeringConnection", named.clone()),
            "OperationNotPermitted"
        );
        // A route may wait for it.
        let table = world.ok("CreateRouteTable", json!({"VpcId": own}));
        let table = text(&table, "RouteTable.RouteTableId");
        let route = json!({"RouteTableId": table, "DestinationCidrBlock": "10.1.0.0/16", "VpcPeeringConnectionId": id});
        world.ok("CreateRoute", route);
        let state = |world: &mut World| {
            let shown = world.ok("DescribeRouteTables", json!({"RouteTableIds": [table]}));
            text(&shown, "RouteTables.0.Routes.1.State")
        };
        assert_eq!(state(&mut world), "blackhole");
        world.account = account(OTHER);
        assert_eq!(
            world.err("DeleteVpcPeeringConnection", named.clone()),
            "OperationNotPermitted"
        );
        let accepted = world.ok("AcceptVpcPeeringConnection", named.clone());
        assert_eq!(
            text(&accepted, "VpcPeeringConnection.Status.Code"),
            "provisioning"
        );
        world.now.0 += 1000;
        assert_eq!(status(&mut world, &id), "active");
        assert_eq!(
            world.err("RejectVpcPeeringConnection", named.clone()),
            "InvalidStateTransition"
        );
        let options = |side: &str| {
            let mut input = named.clone();
            input[side] = json!({"AllowDnsResolutionFromRemoteVpc": true});
            input
        };
        assert_eq!(
            world.err(
                "ModifyVpcPeeringConnectionOptions",
                options("RequesterPeeringConnectionOptions")
            ),
            "OperationNotPermitted"
        );
        let side = "AccepterPeeringConnectionOptions";
        let modified = world.ok("ModifyVpcPeeringConnectionOptions", options(side));
        assert_eq!(
            text(
                &modified,
                &format!("{side}.AllowDnsResolutionFromRemoteVpc")
            ),
            "true"
        );
        world.account = account("111122223333");
        assert_eq!(state(&mut world), "active");
        // Packets take it.
        let projected = world.state.route_tables[&table.parse().unwrap()].project(&world.state);
        let target = projected.unwrap().routes[1].target;
        assert!(matches!(target, topology::Target::Peering(_)), "{target:?}");
        let filters = json!([{"Name": "accepter-vpc-info.cidr-block", "Values": ["10.1.*"]},
            {"Name": "status-code", "Values": ["active"]}]);
        let shown = world.ok("DescribeVpcPeeringConnections", json!({"Filters": filters}));
        assert_eq!(count(&shown, "VpcPeeringConnections"), 1);
        world.account = account("777788889999");
        assert_eq!(
            world.err("DeleteVpcPeeringConnection", named.clone()),
            "InvalidVpcPeeringConnectionID.NotFound"
        );
        world.account = account("111122223333");
        world.ok("DeleteVpcPeeringConnection", named.clone());
        assert_eq!(status(&mut world, &id), "deleting");
        world.now.0 += 1000;
        assert_eq!(status(&mut world, &id), "deleted");
        assert_eq!(state(&mut world), "blackhole");
        assert_eq!(
            world.err("DeleteVpcPeeringConnection", named),
            "InvalidStateTransition"
        );
        world.now.0 += 3 * 3_600_000;
        let shown = world.ok("DescribeVpcPeeringConnections", json!({}));
        assert_eq!(count(&shown, "VpcPeeringConnections"), 0);
        create(&mut world, ask(&own, &theirs));
        assert_eq!(world.state.peering_connections.size(), 1);
    }

    #[test]
    fn requests_in_vain() {
        let (mut world, own, theirs) = two();
        let same = vpc(&mut world, "10.0.0.0/20");
        let id = create(&mut world, json!({"VpcId": own, "PeerVpcId": same}));
        assert_eq!(status(&mut world, &id), "failed");
        assert_eq!(
            world.err(
                "DeleteVpcPeeringConnection",
                json!({"VpcPeeringConnectionId": id})
            ),
            "InvalidStateTransition"
        );
        // Another account's VPC that does not exist, or is another's still.
        let id = create(&mut world, ask(&own, "vpc-00000000000000001"));
        assert_eq!(status(&mut world, &id), "failed");
        for (input, code) in [
            (
                json!({"VpcId": own, "PeerVpcId": "vpc-00000000000000001"}),
                "InvalidVpcID.NotFound",
            ),
            (
                json!({"VpcId": own, "PeerVpcId": theirs}),
                "InvalidVpcID.NotFound",
            ),
            (
                json!({"VpcId": own, "PeerVpcId": own}),
                "InvalidParameterValue",
            ),
            (json!({"VpcId": own}), "MissingParameter"),
            (
                json!({"VpcId": own, "PeerVpcId": theirs, "PeerRegion": "nowhere-1"}),
                "InvalidParameterValue",
            ),
        ] {
            assert_eq!(
                world.err("CreateVpcPeeringConnection", input.clone()),
                code,
                "{input}"
            );
        }
        let id = create(&mut world, ask(&own, &theirs));
        let named = json!({"VpcPeeringConnectionId": id});
        world.account = account(OTHER);
        world.ok("RejectVpcPeeringConnection", named.clone());
        assert_eq!(status(&mut world, &id), "rejected");
        assert_eq!(
            world.err("AcceptVpcPeeringConnection", named),
            "InvalidStateTransition"
        );
        world.account = account("111122223333");
        let id = create(&mut world, ask(&own, &theirs));
        world.now.0 += 7 * 24 * 3_600_000;
        assert_eq!(status(&mut world, &id), "expired");
        let id = create(&mut world, ask(&own, &theirs));
        world.ok("DeleteVpc", json!({"VpcId": own}));
        assert_eq!(status(&mut world, &id), "deleted");
    }

    #[test]
    fn across_regions() {
        let mut world = World::new();
        let own = vpc(&mut world, "10.0.0.0/16");
        world.region = "eu-west-1";
        let far = vpc(&mut world, "10.1.0.0/16");
        world.region = "us-east-1";
        let input = json!({"VpcId": own, "PeerVpcId": far, "PeerRegion": "eu-west-1"});
        let id = create(&mut world, input);
        let named = json!({"VpcPeeringConnectionId": id});
        assert_eq!(
            world.err("AcceptVpcPeeringConnection", named.clone()),
            "OperationNotPermitted"
        );
        world.region = "eu-west-1";
        world.ok("AcceptVpcPeeringConnection", named);
        assert_eq!(status(&mut world, &id), "active");
        world.region = "us-west-2";
        let shown = world.ok("DescribeVpcPeeringConnections", json!({}));
        assert_eq!(count(&shown, "VpcPeeringConnections"), 0);
    }
}
