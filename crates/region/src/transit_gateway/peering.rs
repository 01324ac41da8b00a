//! Peerings of transit gateways, also of other regions and other accounts.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, RegionName, TransitGatewayAttachmentId, TransitGatewayId};

use super::attachment::{
    self, AttachmentKind, DescribeRequest, End, OneRequest, Place, Standing, select,
};
use super::{
    Mortal as _, TransitGateway, TransitGatewayAttachment, available, forget, invalid_state,
    invalid_value, switch, time, word,
};
use crate::dispatch::actions;
use crate::life::{Life, Phase, settled};
use crate::resource::{self, Resource as _};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, quota};

actions! {
    "AcceptTransitGatewayPeeringAttachment" => accept_transit_gateway_peering_attachment, Enforced;
    "CreateTransitGatewayPeeringAttachment" => create_transit_gateway_peering_attachment, Enforced;
    "DeleteTransitGatewayPeeringAttachment" => delete_transit_gateway_peering_attachment, Enforced;
    "DescribeTransitGatewayPeeringAttachments" => describe_transit_gateway_peering_attachments, Control;
    "RejectTransitGatewayPeeringAttachment" => reject_transit_gateway_peering_attachment, Enforced;
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PeeringItem {
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    requester_tgw_info: GatewayInfo,
    accepter_tgw_info: GatewayInfo,
    options: OptionsItem,
    state: &'static str,
    creation_time: api::Timestamp,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayInfo {
    transit_gateway_id: TransitGatewayId,
    owner_id: AccountId,
    region: RegionName,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OptionsItem {
    dynamic_routing: &'static str,
}

/// A peering in a reply; `None` for an attachment of another kind.
fn item(attachment: &TransitGatewayAttachment, now: Timestamp) -> Option<PeeringItem> {
    let AttachmentKind::Peering {
        accepter,
        account,
        region,
        dynamic_routing,
    } = &attachment.kind
    else {
        return None;
    };
    Some(PeeringItem {
        transit_gateway_attachment_id: attachment.id,
        requester_tgw_info: GatewayInfo {
            transit_gateway_id: attachment.end.gateway,
            owner_id: attachment.account,
            region: attachment.region.clone(),
        },
        accepter_tgw_info: GatewayInfo {
            transit_gateway_id: accepter.gateway,
            owner_id: *account,
            region: region.clone(),
        },
        options: OptionsItem {
            dynamic_routing: word(*dynamic_routing),
        },
        state: attachment.state(now),
        creation_time: time(attachment.created),
        tags: attachment.tags.reply(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PeeringReply {
    transit_gateway_peering_attachment: Option<PeeringItem>,
}

fn reply(attachment: &TransitGatewayAttachment, now: Timestamp) -> PeeringReply {
    PeeringReply {
        transit_gateway_peering_attachment: item(attachment, now),
    }
}

/// The peering of that id that one of the client's gateways is part of, in whatever state it is.
fn find<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t TransitGatewayAttachment, ApiError> {
    let attachment = resource::find::<TransitGatewayAttachment>(tx, ctx, id)?;
    if !matches!(attachment.kind, AttachmentKind::Peering { .. }) {
        return Err(TransitGatewayAttachment::not_found(id));
    }
    Ok(attachment)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreatePeeringRequest {
    transit_gateway_id: String,
    peer_transit_gateway_id: String,
    peer_account_id: String,
    peer_region: String,
    options: Option<Options>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    dynamic_routing: Option<String>,
}

pub(crate) fn create_transit_gateway_peering_attachment(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreatePeeringRequest,
) -> Result<PeeringReply, ApiError> {
    let gateway = available::<TransitGateway>(tx, ctx, &req.transit_gateway_id)?.clone();
    let account: AccountId = req
        .peer_account_id
        .parse()
        .map_err(|_| invalid_value(&req.peer_account_id, "PeerAccountId"))?;
    let region: RegionName = req
        .peer_region
        .parse()
        .map_err(|_| invalid_value(&req.peer_region, "PeerRegion"))?;
    let peer_id = &req.peer_transit_gateway_id;
    let peer = peer_id
        .parse()
        .ok()
        .and_then(|id| tx.get::<TransitGateway>(&id))
        .filter(|peer| peer.account == account && peer.region == region)
        .filter(|peer| peer.phase(ctx.now) == Phase::Live)
        .ok_or_else(|| TransitGateway::not_found(peer_id))?
        .id;
    if peer == gateway.id {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("{peer} cannot be peered with itself."),
        ));
    }
    let options = req.options.unwrap_or_default();
    let dynamic_routing = switch(options.dynamic_routing.as_deref(), "DynamicRouting")?;
    let tags = Tags::of_new(
        req.tag_specifications.as_deref(),
        "transit-gateway-attachment",
    )?;
    let peerings: Vec<&TransitGatewayAttachment> = tx
        .state()
        .transit_gateway_attachments
        .of(gateway.id)
        .filter(|other| matches!(other.kind, AttachmentKind::Peering { .. }))
        .filter(|other| other.ended().is_none())
        .collect();
    if peerings.iter().any(|other| other.end_at(peer).is_some()) {
        return Err(ApiError::new(
            "DuplicateTransitGatewayAttachment",
            format!(
                "{} has non-deleted Transit Gateway Attachments with same peer {peer}.",
                gateway.id
            ),
        ));
    }
    let waiting = |other: &&&TransitGatewayAttachment| other.phase(ctx.now) == Phase::Pending;
    let pending = peerings.iter().filter(waiting).count();
    quota::TRANSIT_GATEWAY_PENDING_PEERINGS.one_more(tx, ctx, pending)?;
    quota::TRANSIT_GATEWAY_PEERINGS.one_more(tx, ctx, peerings.len())?;
    let kind = AttachmentKind::Peering {
        accepter: End::new(peer),
        account,
        region,
        dynamic_routing: dynamic_routing.unwrap_or(false),
    };
    let attachment = attachment::make(tx, ctx, &gateway, kind, tags)?;
    Ok(reply(&attachment, ctx.now))
}

/// The peering of that id that waits for this client.
fn waiting(tx: &Tx, ctx: &Context<'_>, id: &str) -> Result<TransitGatewayAttachment, ApiError> {
    let attachment = find(tx, ctx, id)?;
    let is_accepter = matches!(&attachment.kind, AttachmentKind::Peering { account, region, .. }
        if *account == ctx.account && *region == ctx.region);
    if !is_accepter || attachment.state(ctx.now) != "pendingAcceptance" {
        return Err(invalid_state(&attachment.id));
    }
    Ok(attachment.clone())
}

pub(crate) fn accept_transit_gateway_peering_attachment(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: OneRequest,
) -> Result<PeeringReply, ApiError> {
    let mut attachment = waiting(tx, ctx, &req.transit_gateway_attachment_id)?;
    let life = Life::begin(ctx);
    attachment.standing = Standing::Life(life);
    for end in attachment.ends_mut() {
        let gateway = tx.get::<TransitGateway>(&end.gateway);
        let table = gateway.and_then(|gateway| gateway.association_table);
        end.association = table.map(|table| (table, life));
    }
    tx.put(attachment.clone());
    Ok(reply(&attachment, ctx.now))
}

pub(crate) fn reject_transit_gateway_peering_attachment(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: OneRequest,
) -> Result<PeeringReply, ApiError> {
    let mut attachment = waiting(tx, ctx, &req.transit_gateway_attachment_id)?;
    attachment.standing = Standing::Rejected(settled(ctx));
    tx.put(attachment.clone());
    Ok(reply(&attachment, ctx.now))
}

/// Deletes a peering, or a request for one, from either side.
pub(crate) fn delete_transit_gateway_peering_attachment(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: OneRequest,
) -> Result<PeeringReply, ApiError> {
    let id = &req.transit_gateway_attachment_id;
    let attachment = find(tx, ctx, id)?.clone();
    match attachment.standing {
        Standing::Rejected(_) => return Err(invalid_state(&attachment.id)),
        Standing::Life(life) if life.phase(ctx.now) == Phase::Deleted => {
            return Err(TransitGatewayAttachment::not_found(id));
        }
        Standing::Requested(_) | Standing::Life(_) => {}
    }
    let attachment = attachment::end(tx, ctx, attachment);
    Ok(reply(&attachment, ctx.now))
}

const NAMES: &[&str] = &[
    "local-owner-id",
    "remote-owner-id",
    "state",
    "transit-gateway-attachment-id",
    "transit-gateway-id",
];

fn values((attachment, end): Place<'_>, now: Timestamp) -> Vec<(&'static str, String)> {
    vec![
        ("local-owner-id", attachment.owner_at(end).0.to_string()),
        ("remote-owner-id", attachment.resource_at(end).1.to_string()),
        ("state", attachment.state(now).to_owned()),
        ("transit-gateway-attachment-id", attachment.id.to_string()),
        ("transit-gateway-id", end.gateway.to_string()),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribePeeringsReply {
    transit_gateway_peering_attachments: Vec<PeeringItem>,
    next_token: Option<String>,
}

pub(crate) fn describe_transit_gateway_peering_attachments(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribePeeringsReply, ApiError> {
    forget::<TransitGatewayAttachment>(tx, ctx);
    let is_peering = |kind: &AttachmentKind| matches!(kind, AttachmentKind::Peering { .. });
    let page = select(tx, ctx, &req, is_peering, false, (NAMES, values))?;
    Ok(DescribePeeringsReply {
        transit_gateway_peering_attachments: page
            .items
            .into_iter()
            .filter_map(|(attachment, _)| item(attachment, ctx.now))
            .collect(),
        next_token: page.next_token,
    })
}
