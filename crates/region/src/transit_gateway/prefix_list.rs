//! References of transit gateway route tables to managed prefix lists: all their blocks are routes with one target.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{PrefixListId, TransitGatewayAttachmentId, TransitGatewayRouteTableId};

use super::association::ListRequest;
use super::route::{HopItem, check_room, hop, target};
use super::{TransitGatewayRouteTable, available, present, state_or_modifying};
use crate::dispatch::actions;
use crate::filter;
use crate::life::{Life, settled};
use crate::page::{self, USUAL_BOUNDS};
use crate::{Context, State, Timestamp, Tx, prefix_list};

actions! {
    "CreateTransitGatewayPrefixListReference" => create_transit_gateway_prefix_list_reference, Enforced;
    "DeleteTransitGatewayPrefixListReference" => delete_transit_gateway_prefix_list_reference, Enforced;
    "GetTransitGatewayPrefixListReferences" => get_transit_gateway_prefix_list_references, Control;
    "ModifyTransitGatewayPrefixListReference" => modify_transit_gateway_prefix_list_reference, Enforced;
}

/// What a table does with the blocks of a prefix list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reference {
    /// Where they lead; `None` is a blackhole. The attachment may be gone since: then too.
    pub target: Option<TransitGatewayAttachmentId>,
    /// Since when.
    pub life: Life,
    /// Until when it shows that it is being modified.
    pub modifying_until: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReferenceItem {
    transit_gateway_route_table_id: TransitGatewayRouteTableId,
    prefix_list_id: PrefixListId,
    prefix_list_owner_id: String,
    state: &'static str,
    blackhole: bool,
    transit_gateway_attachment: Option<HopItem>,
}

fn owner(state: &State, table: &TransitGatewayRouteTable, list: PrefixListId) -> String {
    prefix_list::of_id(state, &table.region, table.account, list)
        .map(|list| list.owner())
        .unwrap_or_default()
}

fn item(
    state: &State,
    table: &TransitGatewayRouteTable,
    (list, reference): (PrefixListId, &Reference),
    word: &'static str,
) -> ReferenceItem {
    ReferenceItem {
        transit_gateway_route_table_id: table.id,
        prefix_list_id: list,
        prefix_list_owner_id: owner(state, table, list),
        state: word,
        blackhole: reference.target.is_none(),
        transit_gateway_attachment: reference.target.and_then(|id| hop(state, table, id)),
    }
}

fn word(reference: &Reference, now: Timestamp) -> &'static str {
    state_or_modifying(reference.life.phase(now), reference.modifying_until, now)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReferenceReply {
    transit_gateway_prefix_list_reference: ReferenceItem,
}

/// `CreateTransitGatewayPrefixListReference` and `ModifyTransitGatewayPrefixListReference`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReferenceRequest {
    transit_gateway_route_table_id: String,
    prefix_list_id: String,
    transit_gateway_attachment_id: Option<String>,
    blackhole: Option<bool>,
}

fn not_found(table: TransitGatewayRouteTableId, list: PrefixListId) -> ApiError {
    ApiError::new(
        "InvalidRoute.NotFound",
        format!("Prefix list {list} is not referenced by Transit Gateway Route Table {table}."),
    )
}

pub(crate) fn create_transit_gateway_prefix_list_reference(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReferenceRequest,
) -> Result<ReferenceReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let mut table = available::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let list = prefix_list::find(tx, ctx, &req.prefix_list_id)?;
    let (list, size) = (list.id, list.max_entries);
    let attachment = req.transit_gateway_attachment_id.as_deref();
    let target = target(tx, ctx, &table, attachment, req.blackhole)?;
    if table.prefix_lists.contains_key(&list) {
        return Err(ApiError::new(
            "RouteAlreadyExists",
            format!(
                "Prefix list {list} is already referenced by Transit Gateway Route Table {}.",
                table.id
            ),
        ));
    }
    check_room(tx, ctx, &table, size)?;
    let reference = Reference {
        target,
        life: Life::begin(ctx),
        modifying_until: None,
    };
    table.prefix_lists.insert(list, reference);
    tx.put(table.clone());
    let state = word(&reference, ctx.now);
    Ok(ReferenceReply {
        transit_gateway_prefix_list_reference: item(tx.state(), &table, (list, &reference), state),
    })
}

pub(crate) fn modify_transit_gateway_prefix_list_reference(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReferenceRequest,
) -> Result<ReferenceReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let mut table = available::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let list = prefix_list::find(tx, ctx, &req.prefix_list_id)?.id;
    let attachment = req.transit_gateway_attachment_id.as_deref();
    let target = target(tx, ctx, &table, attachment, req.blackhole)?;
    let Some(reference) = table.prefix_lists.get_mut(&list) else {
        return Err(not_found(table.id, list));
    };
    reference.target = target;
    reference.modifying_until = Some(settled(ctx));
    let reference = *reference;
    tx.put(table.clone());
    let state = word(&reference, ctx.now);
    Ok(ReferenceReply {
        transit_gateway_prefix_list_reference: item(tx.state(), &table, (list, &reference), state),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteReferenceRequest {
    transit_gateway_route_table_id: String,
    prefix_list_id: String,
}

pub(crate) fn delete_transit_gateway_prefix_list_reference(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteReferenceRequest,
) -> Result<ReferenceReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let mut table = available::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let list = prefix_list::find(tx, ctx, &req.prefix_list_id)?.id;
    let Some(reference) = table.prefix_lists.remove(&list) else {
        return Err(not_found(table.id, list));
    };
    tx.put(table.clone());
    let pair = (list, &reference);
    Ok(ReferenceReply {
        transit_gateway_prefix_list_reference: item(tx.state(), &table, pair, "deleting"),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetReferencesReply {
    transit_gateway_prefix_list_references: Vec<ReferenceItem>,
    next_token: Option<String>,
}

pub(crate) fn get_transit_gateway_prefix_list_references(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListRequest,
) -> Result<GetReferencesReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = present::<TransitGatewayRouteTable>(tx, ctx, id)?;
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &[
            "attachment.resource-id",
            "attachment.resource-type",
            "attachment.transit-gateway-attachment-id",
            "is-blackhole",
            "prefix-list-id",
            "prefix-list-owner-id",
            "state",
        ],
    )?;
    let all = table.prefix_lists.iter().filter(|(list, reference)| {
        let mut values = vec![
            ("is-blackhole", reference.target.is_none().to_string()),
            ("prefix-list-id", list.to_string()),
            ("prefix-list-owner-id", owner(tx.state(), table, **list)),
            ("state", word(reference, ctx.now).to_owned()),
        ];
        if let Some(hop) = reference.target.and_then(|id| hop(tx.state(), table, id)) {
            values.extend(hop.values());
        }
        let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        filter::matches_plain(&filters, &values)
    });
    let page = page::cut(
        all,
        |(list, _)| list.to_string(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(GetReferencesReply {
        transit_gateway_prefix_list_references: page
            .items
            .into_iter()
            .map(|(list, reference)| {
                let word = word(reference, ctx.now);
                item(tx.state(), table, (*list, reference), word)
            })
            .collect(),
        next_token: page.next_token,
    })
}
