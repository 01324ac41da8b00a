//! Targets: where mirrored packets go.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, EndpointId, InterfaceId, MirrorTargetId, RegionName};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, combination, describe, invalid};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, NetworkInterface, Tx, quota};

actions! {
    "CreateTrafficMirrorTarget" => create_traffic_mirror_target, Recorded;
    "DeleteTrafficMirrorTarget" => delete_traffic_mirror_target, Recorded;
    "DescribeTrafficMirrorTargets" => describe_traffic_mirror_targets, Control;
}

/// A target of mirrored packets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MirrorTarget {
    /// Its identifier.
    pub id: MirrorTargetId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// What takes the packets.
    pub to: Destination,
    /// What its owner says about it.
    pub description: Option<String>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// What takes mirrored packets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Destination {
    /// An interface.
    Interface(InterfaceId),
    /// A network load balancer, by its ARN.
    LoadBalancer(String),
    /// An endpoint of a gateway load balancer.
    Endpoint(EndpointId),
}

resource!(
    MirrorTarget,
    "traffic-mirror-target",
    |this, keys| match this.to {
        Destination::Interface(id) => keys.of([id]),
        Destination::Endpoint(id) => keys.of([id]),
        Destination::LoadBalancer(_) => {}
    },
    |id| resource::unknown_id(
        id,
        "tmt",
        "traffic mirror target ID",
        "InvalidTrafficMirrorTargetId.NotFound",
        "InvalidTrafficMirrorTargetId.Malformed",
    )
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTrafficMirrorTargetRequest {
    network_interface_id: Option<String>,
    network_load_balancer_arn: Option<String>,
    description: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
    gateway_load_balancer_endpoint_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateTrafficMirrorTargetReply {
    traffic_mirror_target: Item,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    description: Option<String>,
    gateway_load_balancer_endpoint_id: Option<EndpointId>,
    network_interface_id: Option<InterfaceId>,
    network_load_balancer_arn: Option<String>,
    owner_id: AccountId,
    tags: Vec<Tag>,
    traffic_mirror_target_id: MirrorTargetId,
    r#type: &'static str,
}

impl MirrorTarget {
    const fn kind(&self) -> &'static str {
        match self.to {
            Destination::Interface(_) => "network-interface",
            Destination::LoadBalancer(_) => "network-load-balancer",
            Destination::Endpoint(_) => "gateway-load-balancer-endpoint",
        }
    }

    fn reply(&self, _: &View<'_>) -> Item {
        let (mut interface, mut balancer, mut endpoint) = (None, None, None);
        match &self.to {
            Destination::Interface(id) => interface = Some(*id),
            Destination::LoadBalancer(arn) => balancer = Some(arn.clone()),
            Destination::Endpoint(id) => endpoint = Some(*id),
        }
        Item {
            description: self.description.clone(),
            gateway_load_balancer_endpoint_id: endpoint,
            network_interface_id: interface,
            network_load_balancer_arn: balancer,
            owner_id: self.account,
            tags: self.tags.reply(),
            traffic_mirror_target_id: self.id,
            r#type: self.kind(),
        }
    }
}

fn destination(
    tx: &Tx,
    ctx: &Context<'_>,
    req: &CreateTrafficMirrorTargetRequest,
) -> Result<Destination, ApiError> {
    match (
        &req.network_interface_id,
        &req.network_load_balancer_arn,
        &req.gateway_load_balancer_endpoint_id,
    ) {
        (Some(id), None, None) => {
            let interface = resource::find::<NetworkInterface>(tx, ctx, id)?;
            let mut there = tx.state().mirror_targets.of(interface.id);
            if there.any(|target| target.account == ctx.account) {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!(
                        "A traffic mirror target already exists for {}",
                        interface.id
                    ),
                ));
            }
            Ok(Destination::Interface(interface.id))
        }
        (None, Some(arn), None) => {
            let is_balancer = arn.contains(":loadbalancer/net/");
            if !is_balancer || !mortal::is_arn(arn, "elasticloadbalancing") {
                return Err(invalid(
                    "networkLoadBalancerArn",
                    arn,
                    "Invalid ARN of a Network Load Balancer.",
                ));
            }
            Ok(Destination::LoadBalancer(arn.clone()))
        }
        (None, None, Some(id)) => endpoint(tx, ctx, id),
        (None, None, None) => Err(ApiError::new(
            "MissingParameter",
            "The request must contain exactly one of networkInterfaceId, networkLoadBalancerArn or gatewayLoadBalancerEndpointId",
        )),
        _ => Err(combination(
            "Only one of networkInterfaceId, networkLoadBalancerArn or gatewayLoadBalancerEndpointId can be given",
        )),
    }
}

fn endpoint(tx: &Tx, ctx: &Context<'_>, id: &str) -> Result<Destination, ApiError> {
    let endpoint = mortal::find::<crate::endpoint::Endpoint>(tx, ctx, id)?;
    if endpoint.kind != crate::endpoint::Kind::GatewayLoadBalancer {
        return Err(invalid(
            "gatewayLoadBalancerEndpointId",
            id,
            "It is no endpoint of a Gateway Load Balancer.",
        ));
    }
    Ok(Destination::Endpoint(endpoint.id))
}

pub(crate) fn create_traffic_mirror_target(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateTrafficMirrorTargetRequest,
) -> Result<CreateTrafficMirrorTargetReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let id = match resource::earlier(tx, ctx, token.as_ref(), |made: &MirrorTarget| {
        made.client_token.as_ref()
    })? {
        Some(id) => id,
        None => {
            let to = destination(tx, ctx, &req)?;
            let description = mortal::description(req.description)?;
            let tags = Tags::of_new(req.tag_specifications.as_deref(), MirrorTarget::TYPE)?;
            let present = resource::own::<MirrorTarget>(tx, ctx).count();
            quota::MIRROR_TARGETS.one_more(tx, ctx, present)?;
            let id = MirrorTargetId::from_bits(ctx.random());
            tx.put(MirrorTarget {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags,
                to,
                description,
                client_token: token,
            });
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(CreateTrafficMirrorTargetReply {
        traffic_mirror_target: resource::get::<MirrorTarget>(tx, &id)?.reply(&view),
        client_token: req.client_token,
    })
}

const FILTERS: &[Field<MirrorTarget>] = &[
    ("description", |_, t| {
        t.description.iter().cloned().collect()
    }),
    ("network-interface-id", |view, t| {
        let id = t.reply(view).network_interface_id;
        id.map(|id| id.to_string()).into_iter().collect()
    }),
    ("network-load-balancer-arn", |view, t| {
        t.reply(view)
            .network_load_balancer_arn
            .into_iter()
            .collect()
    }),
    ("owner-id", |_, t| vec![t.account.to_string()]),
    ("traffic-mirror-target-id", |_, t| vec![t.id.to_string()]),
];

describe!(
    describe_traffic_mirror_targets(DescribeTrafficMirrorTargetsRequest { traffic_mirror_target_ids, filters })
        -> DescribeTrafficMirrorTargetsReply { traffic_mirror_targets: Item },
    MirrorTarget, FILTERS, USUAL_BOUNDS
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTrafficMirrorTargetRequest {
    traffic_mirror_target_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteTrafficMirrorTargetReply {
    traffic_mirror_target_id: MirrorTargetId,
}

pub(crate) fn delete_traffic_mirror_target(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteTrafficMirrorTargetRequest,
) -> Result<DeleteTrafficMirrorTargetReply, ApiError> {
    let id = resource::find::<MirrorTarget>(tx, ctx, &req.traffic_mirror_target_id)?.id;
    if !tx.state().referrers(id).is_empty() {
        return Err(ApiError::new(
            "TrafficMirrorTargetInUseException",
            format!("The traffic mirror target {id} is in use by a traffic mirror session."),
        ));
    }
    tx.remove::<MirrorTarget>(&id);
    Ok(DeleteTrafficMirrorTargetReply {
        traffic_mirror_target_id: id,
    })
}
