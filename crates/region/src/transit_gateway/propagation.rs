//! Propagations: which route tables learn an attachment's routes.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{TransitGatewayAttachmentId, TransitGatewayRouteTableId};

use super::association::{ListRequest, TiedItem, attachment_of, tied};
use super::attachment::AttachmentKind;
use super::{
    TransitGatewayAttachment, TransitGatewayRouteTable, available, present, propagation_word,
};
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::life::{Life, Phase};
use crate::page::{self, USUAL_BOUNDS};
use crate::{Context, Tx};

actions! {
    "DisableTransitGatewayRouteTablePropagation" => disable_transit_gateway_route_table_propagation, Enforced;
    "EnableTransitGatewayRouteTablePropagation" => enable_transit_gateway_route_table_propagation, Enforced;
    "GetTransitGatewayAttachmentPropagations" => get_transit_gateway_attachment_propagations, Control;
    "GetTransitGatewayRouteTablePropagations" => get_transit_gateway_route_table_propagations, Control;
}

/// `EnableTransitGatewayRouteTablePropagation` and `DisableTransitGatewayRouteTablePropagation`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct PropagationRequest {
    transit_gateway_route_table_id: String,
    transit_gateway_attachment_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PropagationReply {
    propagation: PropagationItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PropagationItem {
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    resource_id: String,
    resource_type: &'static str,
    transit_gateway_route_table_id: TransitGatewayRouteTableId,
    state: &'static str,
}

fn reply(
    attachment: &TransitGatewayAttachment,
    table: &TransitGatewayRouteTable,
    phase: Phase,
) -> PropagationReply {
    PropagationReply {
        propagation: PropagationItem {
            transit_gateway_attachment_id: attachment.id,
            resource_id: attachment.resource(table.gateway),
            resource_type: attachment.kind.resource_type(),
            transit_gateway_route_table_id: table.id,
            state: propagation_word(phase).unwrap_or("disabled"),
        },
    }
}

fn attachment_id(req: &PropagationRequest) -> Result<&str, ApiError> {
    req.transit_gateway_attachment_id
        .as_deref()
        .ok_or_else(|| crate::resource::missing("TransitGatewayAttachmentId"))
}

pub(crate) fn enable_transit_gateway_route_table_propagation(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PropagationRequest,
) -> Result<PropagationReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = available::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let id = attachment_id(&req)?;
    let mut attachment = attachment_of(tx, ctx, table.gateway, &table.id, id)?.clone();
    if matches!(attachment.kind, AttachmentKind::Peering { .. }) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Propagation is not supported for the Transit Gateway Peering Attachment {id}; its routes are static ones."
            ),
        ));
    }
    let life = Life::begin(ctx);
    if let Some(end) = attachment.end_at_mut(table.gateway) {
        if end.propagates(ctx.now).any(|(of, _)| of == table.id) {
            return Err(ApiError::new(
                "TransitGatewayRouteTablePropagation.Duplicate",
                format!(
                    "Propagation {id} already exists in Transit Gateway Route Table {}.",
                    table.id
                ),
            ));
        }
        end.propagations.insert(table.id, life);
    }
    tx.put(attachment.clone());
    Ok(reply(&attachment, &table, life.phase(ctx.now)))
}

pub(crate) fn disable_transit_gateway_route_table_propagation(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PropagationRequest,
) -> Result<PropagationReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = present::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let id = attachment_id(&req)?;
    let mut attachment = present::<TransitGatewayAttachment>(tx, ctx, id)?.clone();
    let Some(end) = attachment
        .end_at_mut(table.gateway)
        .filter(|end| end.propagates(ctx.now).any(|(of, _)| of == table.id))
    else {
        return Err(ApiError::new(
            "TransitGatewayRouteTablePropagation.NotFound",
            format!(
                "Propagation {id} does not exist in Transit Gateway Route Table {}.",
                table.id
            ),
        ));
    };
    let life = Life::end(ctx);
    let phase = life.phase(ctx.now);
    if phase == Phase::Deleted {
        end.propagations.remove(&table.id);
    } else {
        end.propagations.insert(table.id, life);
    }
    tx.put(attachment.clone());
    Ok(reply(&attachment, &table, phase))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetTablePropagationsReply {
    transit_gateway_route_table_propagations: Vec<TiedItem>,
    next_token: Option<String>,
}

pub(crate) fn get_transit_gateway_route_table_propagations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListRequest,
) -> Result<GetTablePropagationsReply, ApiError> {
    let table = present::<TransitGatewayRouteTable>(tx, ctx, &req.transit_gateway_route_table_id)?;
    let page = tied(tx, table, &req, |(_, end)| {
        let mut propagations = end.propagates(ctx.now);
        propagations.find_map(|(of, word)| (of == table.id).then_some(word))
    })?;
    Ok(GetTablePropagationsReply {
        transit_gateway_route_table_propagations: page
            .items
            .into_iter()
            .map(TiedItem::new)
            .collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetAttachmentPropagationsRequest {
    transit_gateway_attachment_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetAttachmentPropagationsReply {
    transit_gateway_attachment_propagations: Vec<TablePropagationItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TablePropagationItem {
    transit_gateway_route_table_id: TransitGatewayRouteTableId,
    state: &'static str,
}

pub(crate) fn get_transit_gateway_attachment_propagations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetAttachmentPropagationsRequest,
) -> Result<GetAttachmentPropagationsReply, ApiError> {
    let id = &req.transit_gateway_attachment_id;
    let attachment = present::<TransitGatewayAttachment>(tx, ctx, id)?;
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(&filters, &["transit-gateway-route-table-id"])?;
    let all = attachment.end.propagates(ctx.now).filter(|(table, _)| {
        let table = table.to_string();
        filter::matches_plain(&filters, &[("transit-gateway-route-table-id", &table)])
    });
    let page = page::cut(
        all,
        |(table, _)| table.to_string(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(GetAttachmentPropagationsReply {
        transit_gateway_attachment_propagations: page
            .items
            .into_iter()
            .map(|(table, state)| TablePropagationItem {
                transit_gateway_route_table_id: table,
                state,
            })
            .collect(),
        next_token: page.next_token,
    })
}
