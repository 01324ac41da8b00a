//! Egress-only internet gateways.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, EgressOnlyGatewayId, RegionName, VpcId};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::Filter;
use crate::resource::{self, Query, Resource, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, State, Tx, Vpc, quota};

actions! {
    "CreateEgressOnlyInternetGateway" => create_egress_only_internet_gateway, Enforced;
    "DeleteEgressOnlyInternetGateway" => delete_egress_only_internet_gateway, Enforced;
    "DescribeEgressOnlyInternetGateways" => describe_egress_only_internet_gateways, Control;
}

/// An egress-only internet gateway. It is attached to its VPC as long as it exists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EgressOnlyGateway {
    /// Its identifier.
    pub id: EgressOnlyGatewayId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC it is attached to.
    pub vpc: VpcId,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(
    EgressOnlyGateway,
    "egress-only-internet-gateway",
    |this, keys| keys.of([this.vpc]),
    |id| {
        resource::unknown_id(
            id,
            "eigw",
            "egressOnlyInternetGateway ID",
            "InvalidEgressOnlyInternetGatewayId.NotFound",
            "InvalidEgressOnlyInternetGatewayId.Malformed",
        )
    }
);

/// The egress-only gateways of a VPC, by id.
pub(crate) fn of_vpc(state: &State, vpc: VpcId) -> impl Iterator<Item = EgressOnlyGatewayId> {
    let gateways = state.egress_only_gateways.of(vpc);
    gateways.map(|gateway| gateway.id)
}

/// Whether a VPC has an egress-only or a carrier gateway: then it cannot be deleted.
pub(crate) fn hold(state: &State, vpc: VpcId) -> bool {
    state.egress_only_gateways.of(vpc).next().is_some()
        || state
            .carrier_gateways
            .of(vpc)
            .any(|gateway| !gateway.life.has_ended())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateRequest {
    client_token: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    vpc_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateReply {
    client_token: Option<String>,
    egress_only_internet_gateway: GatewayItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayItem {
    attachments: [Attachment; 1],
    egress_only_internet_gateway_id: EgressOnlyGatewayId,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    state: &'static str,
    vpc_id: VpcId,
}

impl EgressOnlyGateway {
    fn reply(&self) -> GatewayItem {
        GatewayItem {
            attachments: [Attachment {
                state: "attached",
                vpc_id: self.vpc,
            }],
            egress_only_internet_gateway_id: self.id,
            tags: self.tags.reply(),
        }
    }
}

pub(crate) fn create_egress_only_internet_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateRequest,
) -> Result<CreateReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &EgressOnlyGateway| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
            let tags = Tags::of_new(req.tag_specifications.as_deref(), EgressOnlyGateway::TYPE)?;
            let present = resource::own::<EgressOnlyGateway>(tx, ctx).count();
            quota::EGRESS_ONLY_GATEWAYS.one_more(tx, ctx, present)?;
            let id = EgressOnlyGatewayId::from_bits(ctx.random());
            tx.put(EgressOnlyGateway {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags,
                vpc,
                client_token: token,
            });
            id
        }
    };
    Ok(CreateReply {
        client_token: req.client_token,
        egress_only_internet_gateway: resource::get::<EgressOnlyGateway>(tx, &id)?.reply(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    egress_only_internet_gateway_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeReply {
    egress_only_internet_gateways: Vec<GatewayItem>,
    next_token: Option<String>,
}

/// Its only filters are those of tags.
pub(crate) fn describe_egress_only_internet_gateways(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeReply, ApiError> {
    let query = Query {
        ids: req.egress_only_internet_gateway_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<EgressOnlyGateway>(tx, ctx, &query, &[], &(5..=255))?;
    let items = page.items.into_iter().map(EgressOnlyGateway::reply);
    Ok(DescribeReply {
        egress_only_internet_gateways: items.collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRequest {
    egress_only_internet_gateway_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteReply {
    return_code: bool,
}

/// Routes to it stay, as black holes.
pub(crate) fn delete_egress_only_internet_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRequest,
) -> Result<DeleteReply, ApiError> {
    let id = &req.egress_only_internet_gateway_id;
    let id = resource::find::<EgressOnlyGateway>(tx, ctx, id)?.id;
    tx.remove::<EgressOnlyGateway>(&id);
    Ok(DeleteReply { return_code: true })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    #[test]
    fn life_of_a_gateway() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&vpc, "Vpc.VpcId");
        let input = json!({"VpcId": vpc, "ClientToken": "t", "TagSpecifications":
            [{"ResourceType": "egress-only-internet-gateway", "Tags": [{"Key": "k", "Value": "v"}]}]});
        let made = world.ok("CreateEgressOnlyInternetGateway", input.clone());
        let place = "EgressOnlyInternetGateway.EgressOnlyInternetGatewayId";
        let id = text(&made, place);
        let again = world.ok("CreateEgressOnlyInternetGateway", input);
        assert_eq!(text(&again, place), id);
        assert_eq!(
            world.err("DeleteVpc", json!({"VpcId": vpc})),
            "DependencyViolation"
        );
        let table = world.ok("CreateRouteTable", json!({"VpcId": vpc}));
        let table = text(&table, "RouteTable.RouteTableId");
        let route = json!({"RouteTableId": table, "DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": id});
        world.ok("CreateRoute", route);
        let state = |world: &mut World| {
            let shown = world.ok("DescribeRouteTables", json!({"RouteTableIds": [table]}));
            text(&shown, "RouteTables.0.Routes.1.State")
        };
        assert_eq!(state(&mut world), "active");
        // Hosts know it, and the route that leads to it.
        let vpc_id: types::VpcId = vpc.parse().unwrap();
        let shown = world.state.vpcs[&vpc_id].project(&world.state);
        assert_eq!(shown.egress_only_gateways, [id.parse().unwrap()]);
        let projected = world.state.route_tables[&table.parse().unwrap()].project(&world.state);
        let target = projected.unwrap().routes[1].target;
        let gateway = topology::Target::EgressOnlyGateway(id.parse().unwrap());
        assert_eq!(target, gateway);
        let filters = json!([{"Name": "tag:k", "Values": ["v"]}]);
        let ask = json!({"Filters": filters});
        let shown = world.ok("DescribeEgressOnlyInternetGateways", ask.clone());
        assert_eq!(count(&shown, "EgressOnlyInternetGateways"), 1);
        let delete = json!({"EgressOnlyInternetGatewayId": id});
        world.account = account("444455556666");
        assert_eq!(
            world.err("DeleteEgressOnlyInternetGateway", delete.clone()),
            "InvalidEgressOnlyInternetGatewayId.NotFound"
        );
        world.account = account("111122223333");
        world.ok("DeleteEgressOnlyInternetGateway", delete);
        let shown = world.ok("DescribeEgressOnlyInternetGateways", ask);
        assert_eq!(count(&shown, "EgressOnlyInternetGateways"), 0);
        assert_eq!(state(&mut world), "blackhole");
        world.ok("DeleteRouteTable", json!({"RouteTableId": table}));
        world.ok("DeleteVpc", json!({"VpcId": vpc}));
    }
}
