//! Connect attachments: GRE over a VPC attachment.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{TransitGatewayAttachmentId, TransitGatewayId};

use super::attachment::{self, AttachmentKind, DescribeRequest, OneRequest, Place, select};
use super::{
    Mortal as _, TransitGateway, TransitGatewayAttachment, available, forget, incorrect_state,
    invalid_value, present, time,
};
use crate::dispatch::actions;
use crate::life::Phase;
use crate::resource::{self, Resource as _};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx};

actions! {
    "CreateTransitGatewayConnect" => create_transit_gateway_connect, Recorded;
    "DeleteTransitGatewayConnect" => delete_transit_gateway_connect, Recorded;
    "DescribeTransitGatewayConnects" => describe_transit_gateway_connects, Control;
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectItem {
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    transport_transit_gateway_attachment_id: TransitGatewayAttachmentId,
    transit_gateway_id: TransitGatewayId,
    state: &'static str,
    creation_time: api::Timestamp,
    options: OptionsItem,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OptionsItem {
    protocol: &'static str,
}

/// A Connect attachment in a reply; `None` for one of another kind.
fn item(attachment: &TransitGatewayAttachment, now: Timestamp) -> Option<ConnectItem> {
    let AttachmentKind::Connect { transport } = attachment.kind else {
        return None;
    };
    Some(ConnectItem {
        transit_gateway_attachment_id: attachment.id,
        transport_transit_gateway_attachment_id: transport,
        transit_gateway_id: attachment.end.gateway,
        state: attachment.state(now),
        creation_time: time(attachment.created),
        options: OptionsItem { protocol: "gre" },
        tags: attachment.tags.reply(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConnectReply {
    transit_gateway_connect: Option<ConnectItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateConnectRequest {
    transport_transit_gateway_attachment_id: String,
    options: Options,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    protocol: String,
}

pub(crate) fn create_transit_gateway_connect(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateConnectRequest,
) -> Result<ConnectReply, ApiError> {
    let id = &req.transport_transit_gateway_attachment_id;
    let transport = available::<TransitGatewayAttachment>(tx, ctx, id)?;
    if !matches!(transport.kind, AttachmentKind::Vpc { .. }) {
        return Err(invalid_value(id, "TransportTransitGatewayAttachmentId"));
    }
    if req.options.protocol != "gre" {
        return Err(invalid_value(&req.options.protocol, "Protocol"));
    }
    let tags = Tags::of_new(
        req.tag_specifications.as_deref(),
        "transit-gateway-attachment",
    )?;
    let gateway = resource::get::<TransitGateway>(tx, &transport.end.gateway)?.clone();
    let kind = AttachmentKind::Connect {
        transport: transport.id,
    };
    let attachment = attachment::make(tx, ctx, &gateway, kind, tags)?;
    Ok(ConnectReply {
        transit_gateway_connect: item(&attachment, ctx.now),
    })
}

/// Deletes a Connect attachment without peers.
pub(crate) fn delete_transit_gateway_connect(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: OneRequest,
) -> Result<ConnectReply, ApiError> {
    let id = &req.transit_gateway_attachment_id;
    let attachment = present::<TransitGatewayAttachment>(tx, ctx, id)?.clone();
    if !matches!(attachment.kind, AttachmentKind::Connect { .. }) {
        return Err(TransitGatewayAttachment::not_found(id));
    }
    let peers = tx.state().transit_gateway_connect_peers.of(attachment.id);
    let has_peers = peers
        .into_iter()
        .any(|peer| peer.phase(ctx.now) != Phase::Deleted);
    if has_peers {
        return Err(incorrect_state(format!(
            "{} has non-deleted Transit Gateway Connect Peers",
            attachment.id
        )));
    }
    let attachment = attachment::end(tx, ctx, attachment);
    Ok(ConnectReply {
        transit_gateway_connect: item(&attachment, ctx.now),
    })
}

const NAMES: &[&str] = &[
    "options.protocol",
    "state",
    "transit-gateway-attachment-id",
    "transit-gateway-id",
    "transport-transit-gateway-attachment-id",
];

fn values((attachment, end): Place<'_>, now: Timestamp) -> Vec<(&'static str, String)> {
    vec![
        ("options.protocol", "gre".to_owned()),
        ("state", attachment.state(now).to_owned()),
        ("transit-gateway-attachment-id", attachment.id.to_string()),
        ("transit-gateway-id", end.gateway.to_string()),
        (
            "transport-transit-gateway-attachment-id",
            attachment.resource_at(end).0,
        ),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeConnectsReply {
    transit_gateway_connects: Vec<ConnectItem>,
    next_token: Option<String>,
}

pub(crate) fn describe_transit_gateway_connects(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeConnectsReply, ApiError> {
    forget::<TransitGatewayAttachment>(tx, ctx);
    let is_connect = |kind: &AttachmentKind| matches!(kind, AttachmentKind::Connect { .. });
    let page = select(tx, ctx, &req, is_connect, false, (NAMES, values))?;
    Ok(DescribeConnectsReply {
        transit_gateway_connects: page
            .items
            .into_iter()
            .filter_map(|(attachment, _)| item(attachment, ctx.now))
            .collect(),
        next_token: page.next_token,
    })
}
