//! Associations: which route table routes what comes from an attachment.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{TransitGatewayAttachmentId, TransitGatewayId, TransitGatewayRouteTableId};

use super::attachment::Place;
use super::{
    TransitGatewayAttachment, TransitGatewayRouteTable, association_word, available, present,
};
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::life::{Life, Phase};
use crate::page::{self, Page, USUAL_BOUNDS};
use crate::{Context, Tx};

actions! {
    "AssociateTransitGatewayRouteTable" => associate_transit_gateway_route_table, Enforced;
    "DisassociateTransitGatewayRouteTable" => disassociate_transit_gateway_route_table, Enforced;
    "GetTransitGatewayRouteTableAssociations" => get_transit_gateway_route_table_associations, Control;
}

/// The request of the actions on a route table and an attachment.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct PairRequest {
    transit_gateway_route_table_id: String,
    transit_gateway_attachment_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssociationReply {
    association: AssociationItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    transit_gateway_route_table_id: TransitGatewayRouteTableId,
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    resource_id: String,
    resource_type: &'static str,
    state: &'static str,
}

/// EC2's error for an attachment and a table of different gateways.
pub(crate) fn elsewhere(
    attachment: TransitGatewayAttachmentId,
    table: &impl std::fmt::Display,
) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!("{attachment} and {table} belong to different Transit Gateways."),
    )
}

/// A table's attachment that is there, of a request.
///
/// # Errors
/// "Not found" of the attachment; `IncorrectState`; `InvalidParameterValue` if it is another gateway's.
pub(crate) fn attachment_of<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    gateway: TransitGatewayId,
    table: &impl std::fmt::Display,
    id: &str,
) -> Result<&'t TransitGatewayAttachment, ApiError> {
    let attachment = available::<TransitGatewayAttachment>(tx, ctx, id)?;
    if attachment.end_at(gateway).is_none() {
        return Err(elsewhere(attachment.id, table));
    }
    Ok(attachment)
}

fn reply(
    attachment: &TransitGatewayAttachment,
    table: &TransitGatewayRouteTable,
    phase: Phase,
) -> AssociationReply {
    AssociationReply {
        association: AssociationItem {
            transit_gateway_route_table_id: table.id,
            transit_gateway_attachment_id: attachment.id,
            resource_id: attachment.resource(table.gateway),
            resource_type: attachment.kind.resource_type(),
            state: association_word(phase).unwrap_or("disassociated"),
        },
    }
}

pub(crate) fn associate_transit_gateway_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PairRequest,
) -> Result<AssociationReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = available::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let id = &req.transit_gateway_attachment_id;
    let mut attachment = attachment_of(tx, ctx, table.gateway, &table.id, id)?.clone();
    let life = Life::begin(ctx);
    if let Some(end) = attachment.end_at_mut(table.gateway) {
        if end.associated(ctx.now).is_some() || end.policy(ctx.now).is_some() {
            return Err(ApiError::new(
                "Resource.AlreadyAssociated",
                format!("Transit Gateway Attachment {id} is already associated to a route table."),
            ));
        }
        end.association = Some((table.id, life));
    }
    tx.put(attachment.clone());
    Ok(reply(&attachment, &table, life.phase(ctx.now)))
}

pub(crate) fn disassociate_transit_gateway_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PairRequest,
) -> Result<AssociationReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = present::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let id = &req.transit_gateway_attachment_id;
    let mut attachment = present::<TransitGatewayAttachment>(tx, ctx, id)?.clone();
    let Some(end) = attachment.end_at_mut(table.gateway).filter(|end| {
        end.associated(ctx.now)
            .is_some_and(|(of, _)| of == table.id)
    }) else {
        return Err(ApiError::new(
            "InvalidAssociation.NotFound",
            format!(
                "Transit Gateway Attachment {id} is not associated to Transit Gateway Route Table {}.",
                table.id
            ),
        ));
    };
    let life = Life::end(ctx);
    end.association = Some((table.id, life)).filter(|_| life.phase(ctx.now) != Phase::Deleted);
    tx.put(attachment.clone());
    // EC2 answers with what is going on, also where it is done at once.
    Ok(reply(&attachment, &table, Phase::Deleting))
}

/// The request of the actions that list what is tied to a route table.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListRequest {
    pub(crate) transit_gateway_route_table_id: String,
    pub(crate) filters: Option<Vec<Filter>>,
    pub(crate) max_results: Option<i64>,
    pub(crate) next_token: Option<String>,
}

/// What is tied to a table, with EC2's word for how, in the order of attachments.
pub(crate) fn tied<'t>(
    tx: &'t Tx,
    table: &TransitGatewayRouteTable,
    req: &ListRequest,
    how: impl Fn(Place<'t>) -> Option<&'static str>,
) -> Result<Page<(Place<'t>, &'static str)>, ApiError> {
    let filters = req.filters.as_deref().unwrap_or_default();
    let names = [
        "resource-id",
        "resource-type",
        "transit-gateway-attachment-id",
    ];
    filter::check_plain(filters, &names)?;
    let attachments = tx.state().transit_gateway_attachments.of(table.id);
    let all = attachments
        .filter_map(|attachment| {
            let place = (attachment, attachment.end_at(table.gateway)?);
            Some((place, how(place)?))
        })
        .filter(|((attachment, end), _)| {
            let values = [
                ("resource-id", attachment.resource_at(end).0),
                ("resource-type", attachment.kind.resource_type().to_owned()),
                ("transit-gateway-attachment-id", attachment.id.to_string()),
            ];
            let values: Vec<(&str, &str)> = values
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            filter::matches_plain(filters, &values)
        });
    page::cut(
        all,
        |((attachment, _), _)| attachment.id.to_string(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetAssociationsReply {
    associations: Vec<TiedItem>,
    next_token: Option<String>,
}

/// An attachment that is tied to a table.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TiedItem {
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    resource_id: String,
    resource_type: &'static str,
    state: &'static str,
}

impl TiedItem {
    pub(crate) fn new(((attachment, end), state): (Place<'_>, &'static str)) -> TiedItem {
        TiedItem {
            transit_gateway_attachment_id: attachment.id,
            resource_id: attachment.resource_at(end).0,
            resource_type: attachment.kind.resource_type(),
            state,
        }
    }
}

pub(crate) fn get_transit_gateway_route_table_associations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListRequest,
) -> Result<GetAssociationsReply, ApiError> {
    let table = present::<TransitGatewayRouteTable>(tx, ctx, &req.transit_gateway_route_table_id)?;
    let page = tied(tx, table, &req, |(_, end)| {
        let (of, word) = end.associated(ctx.now)?;
        (of == table.id).then_some(word)
    })?;
    Ok(GetAssociationsReply {
        associations: page.items.into_iter().map(TiedItem::new).collect(),
        next_token: page.next_token,
    })
}
