//! Carrier gateways: the way from a VPC's Wavelength Zones to a carrier's network.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, CarrierGatewayId, RegionName, VpcId};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Phase, Timestamp, Tx, Vpc, quota};

actions! {
    "CreateCarrierGateway" => create_carrier_gateway, Recorded;
    "DeleteCarrierGateway" => delete_carrier_gateway, Recorded;
    "DescribeCarrierGateways" => describe_carrier_gateways, Control;
}

/// A carrier gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CarrierGateway {
    /// Its identifier.
    pub id: CarrierGatewayId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC that has it.
    pub vpc: VpcId,
    /// Where it stands.
    pub life: Life,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(
    CarrierGateway,
    "carrier-gateway",
    |this, keys| keys.of([this.vpc]),
    |id| {
        resource::unknown_id(
            id,
            "cagw",
            "carrierGateway ID",
            "InvalidCarrierGatewayID.NotFound",
            "InvalidCarrierGatewayID.Malformed",
        )
    }
);

/// The client's gateway of that id that is not deleted.
///
/// # Errors
/// "Not found", or malformed.
pub(crate) fn find<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t CarrierGateway, ApiError> {
    let gateway = resource::find::<CarrierGateway>(tx, ctx, id)?;
    if gateway.life.has_ended() {
        return Err(CarrierGateway::not_found(id));
    }
    Ok(gateway)
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
pub(crate) struct GatewayReply {
    carrier_gateway: GatewayItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayItem {
    carrier_gateway_id: CarrierGatewayId,
    owner_id: AccountId,
    state: &'static str,
    tags: Vec<Tag>,
    vpc_id: VpcId,
}

const fn state_of(life: Life, now: Timestamp) -> &'static str {
    match life.phase(now) {
        Phase::Pending => "pending",
        Phase::Live => "available",
        Phase::Deleting => "deleting",
        Phase::Deleted => "deleted",
    }
}

impl CarrierGateway {
    fn reply(&self, state: &'static str) -> GatewayItem {
        GatewayItem {
            carrier_gateway_id: self.id,
            owner_id: self.account,
            state,
            tags: self.tags.reply(),
            vpc_id: self.vpc,
        }
    }
}

/// Removes those of the client's that are no longer shown.
fn forget(tx: &mut Tx, ctx: &Context<'_>) {
    let over: Vec<CarrierGatewayId> = resource::own::<CarrierGateway>(tx, ctx)
        .filter(|gateway| gateway.life.is_forgotten(ctx.now))
        .map(|gateway| gateway.id)
        .collect();
    for id in over {
        tx.remove::<CarrierGateway>(&id);
    }
}

pub(crate) fn create_carrier_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateRequest,
) -> Result<GatewayReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &CarrierGateway| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
            let tags = Tags::of_new(req.tag_specifications.as_deref(), CarrierGateway::TYPE)?;
            let present = tx.state().carrier_gateways.of(vpc);
            let present = present.filter(|gateway| !gateway.life.has_ended()).count();
            quota::CARRIER_GATEWAYS.one_more(tx, ctx, present)?;
            forget(tx, ctx);
            let id = CarrierGatewayId::from_bits(ctx.random());
            tx.put(CarrierGateway {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags,
                vpc,
                life: Life::begin(ctx),
                client_token: token,
            });
            id
        }
    };
    let gateway = resource::get::<CarrierGateway>(tx, &id)?;
    Ok(GatewayReply {
        carrier_gateway: gateway.reply("pending"),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    carrier_gateway_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeReply {
    carrier_gateways: Vec<GatewayItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<CarrierGateway>] = &[
    ("carrier-gateway-id", |_, gateway| {
        vec![gateway.id.to_string()]
    }),
    ("owner-id", |_, gateway| vec![gateway.account.to_string()]),
    ("state", |view, gateway| {
        vec![state_of(gateway.life, view.now).to_owned()]
    }),
    ("vpc-id", |_, gateway| vec![gateway.vpc.to_string()]),
];

pub(crate) fn describe_carrier_gateways(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeReply, ApiError> {
    let query = Query {
        ids: req.carrier_gateway_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<CarrierGateway>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let items = page
        .items
        .into_iter()
        .filter(|gateway| !gateway.life.is_forgotten(ctx.now))
        .map(|gateway| gateway.reply(state_of(gateway.life, ctx.now)));
    Ok(DescribeReply {
        carrier_gateways: items.collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRequest {
    carrier_gateway_id: String,
}

/// Routes to it stay, as black holes.
pub(crate) fn delete_carrier_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRequest,
) -> Result<GatewayReply, ApiError> {
    let mut gateway = find(tx, ctx, &req.carrier_gateway_id)?.clone();
    gateway.life = Life::end(ctx);
    let item = gateway.reply("deleting");
    tx.put(gateway);
    Ok(GatewayReply {
        carrier_gateway: item,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    #[test]
    fn life_of_a_gateway() {
        let mut world = World::new();
        world.settle = 1000;
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&vpc, "Vpc.VpcId");
        let made = world.ok("CreateCarrierGateway", json!({"VpcId": vpc}));
        let id = text(&made, "CarrierGateway.CarrierGatewayId");
        assert_eq!(
            world.err("CreateCarrierGateway", json!({"VpcId": vpc})),
            "CarrierGatewayLimitExceeded"
        );
        let table = world.ok("CreateRouteTable", json!({"VpcId": vpc}));
        let table = text(&table, "RouteTable.RouteTableId");
        let route = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "CarrierGatewayId": id});
        world.ok("CreateRoute", route.clone());
        let states = |world: &mut World| {
            let gateways = world.ok(
                "DescribeCarrierGateways",
                json!({"CarrierGatewayIds": [id]}),
            );
            let tables = world.ok("DescribeRouteTables", json!({"RouteTableIds": [table]}));
            (
                text(&gateways, "CarrierGateways.0.State"),
                text(&tables, "RouteTables.0.Routes.1.State"),
            )
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(states(&mut world), pair("pending", "blackhole"));
        world.now.0 += 1000;
        assert_eq!(states(&mut world), pair("available", "active"));
        assert_eq!(
            world.err("DeleteVpc", json!({"VpcId": vpc})),
            "DependencyViolation"
        );
        let delete = json!({"CarrierGatewayId": id});
        world.ok("DeleteCarrierGateway", delete.clone());
        assert_eq!(states(&mut world), pair("deleting", "blackhole"));
        assert_eq!(
            world.err("DeleteCarrierGateway", delete),
            "InvalidCarrierGatewayID.NotFound"
        );
        assert_eq!(
            world.err("ReplaceRoute", route),
            "InvalidCarrierGatewayID.NotFound"
        );
        world.now.0 += 1000;
        assert_eq!(states(&mut world), pair("deleted", "blackhole"));
        world.now.0 += 3_700_000;
        let shown = world.ok("DescribeCarrierGateways", json!({}));
        assert_eq!(count(&shown, "CarrierGateways"), 0);
        world.ok("CreateCarrierGateway", json!({"VpcId": vpc}));
        assert_eq!(world.state.carrier_gateways.size(), 1);
    }
}
