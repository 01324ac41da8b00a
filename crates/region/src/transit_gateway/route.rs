//! Routes of transit gateway route tables: the static ones, and what follows from everything else.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{Cidr, PrefixListId, TransitGatewayAttachmentId, TransitGatewayRouteTableId};

use super::association::attachment_of;
use super::attachment::AttachmentKind;
use super::{
    Mortal as _, TransitGatewayAttachment, TransitGatewayRouteTable, available, invalid_value,
    route_table,
};
use crate::dispatch::actions;
use crate::life::Phase;
use crate::{Context, State, Timestamp, Tx, prefix_list, quota, resource};

actions! {
    "CreateTransitGatewayRoute" => create_transit_gateway_route, Enforced;
    "DeleteTransitGatewayRoute" => delete_transit_gateway_route, Enforced;
    "ReplaceTransitGatewayRoute" => replace_transit_gateway_route, Enforced;
}

/// Where a transit gateway sends a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Next {
    /// Out at this attachment, which is available.
    Attachment(TransitGatewayAttachmentId),
    /// Nowhere: it is dropped.
    Blackhole,
}

/// Why a route is in a table. The order is EC2's preference among routes of the same destination (Amazon VPC Transit
/// Gateways, "Route evaluation order").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Origin {
    /// A client put it there.
    Static,
    /// A prefix list has it.
    PrefixList(PrefixListId),
    /// A VPC that propagates to the table has the block.
    Vpc,
}

/// A route of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    pub(crate) destination: Cidr,
    pub(crate) origin: Origin,
    pub(crate) next: Next,
    /// The attachment that the route is about, which may be gone.
    pub(crate) attachment: Option<TransitGatewayAttachmentId>,
}

/// The routes of a table by which it routes now, by destination: of those with the same destination only the one that
/// EC2 prefers, and among equals that of the attachment that is there the longest.
pub(crate) fn routes(
    state: &State,
    now: Timestamp,
    table: &TransitGatewayRouteTable,
) -> Vec<Route> {
    let mut all: Vec<(Route, Timestamp)> = Vec::new();
    let next = |target: Option<TransitGatewayAttachmentId>| {
        target
            .and_then(|id| state.transit_gateway_attachments.get(&id))
            .filter(|attachment| attachment.phase(now) == Phase::Live)
            .map_or(Next::Blackhole, |attachment| {
                Next::Attachment(attachment.id)
            })
    };
    for (destination, target) in &table.routes {
        let route = Route {
            destination: *destination,
            origin: Origin::Static,
            next: next(*target),
            attachment: *target,
        };
        all.push((route, table.created));
    }
    for (id, reference) in &table.prefix_lists {
        let list = prefix_list::of_id(state, &table.region, table.account, *id);
        let entries = list.iter().flat_map(|list| list.entries());
        for destination in entries.filter(|_| reference.life.phase(now) == Phase::Live) {
            let route = Route {
                destination,
                origin: Origin::PrefixList(*id),
                next: next(reference.target),
                attachment: reference.target,
            };
            all.push((route, table.created));
        }
    }
    for attachment in state.transit_gateway_attachments.of(table.id) {
        let propagates = attachment
            .end_at(table.gateway)
            .and_then(|end| end.propagations.get(&table.id))
            .is_some_and(|life| life.phase(now) == Phase::Live);
        if propagates && attachment.phase(now) == Phase::Live {
            for destination in learnt(state, attachment) {
                let route = Route {
                    destination,
                    origin: Origin::Vpc,
                    next: Next::Attachment(attachment.id),
                    attachment: Some(attachment.id),
                };
                all.push((route, attachment.created));
            }
        }
    }
    all.sort_by_key(|(route, since)| (route.destination, route.origin, *since, route.attachment));
    all.dedup_by_key(|(route, _)| route.destination);
    all.into_iter().map(|(route, _)| route).collect()
}

/// The routes that an attachment propagates. Only VPCs have some: what VPN connections and Connect peers learn comes
/// by BGP, which nobody speaks here, and peerings propagate nothing.
fn learnt(state: &State, attachment: &TransitGatewayAttachment) -> Vec<Cidr> {
    match &attachment.kind {
        AttachmentKind::Vpc { vpc, ipv6, .. } => state
            .vpcs
            .get(vpc)
            .map(|vpc| {
                let blocks = vpc.all_blocks();
                blocks.filter(|block| *ipv6 || block.is_v4()).collect()
            })
            .unwrap_or_default(),
        AttachmentKind::Vpn { .. }
        | AttachmentKind::Connect { .. }
        | AttachmentKind::Peering { .. } => vec![],
    }
}

/// Where a table sends packets to an address: by the longest prefix, and among routes of the same destination by the
/// order of [`Origin`]. `None`: the table has no route, and the packet is dropped.
#[must_use]
pub fn lookup(
    state: &State,
    now: Timestamp,
    table: TransitGatewayRouteTableId,
    destination: IpAddr,
) -> Option<Next> {
    let table = state.transit_gateway_route_tables.get(&table)?;
    routes(state, now, table)
        .into_iter()
        .filter(|route| route.destination.contains(destination))
        .max_by_key(|route| route.destination.length())
        .map(|route| route.next)
}

/// A route in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RouteItem {
    destination_cidr_block: Cidr,
    prefix_list_id: Option<PrefixListId>,
    transit_gateway_attachments: Vec<HopItem>,
    r#type: &'static str,
    state: &'static str,
}

/// The attachment of a route in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HopItem {
    resource_id: String,
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    resource_type: &'static str,
}

impl HopItem {
    /// What it has for filters on a route's attachment.
    pub(crate) fn values(&self) -> [(&'static str, String); 3] {
        let id = self.transit_gateway_attachment_id.to_string();
        [
            ("attachment.transit-gateway-attachment-id", id),
            ("attachment.resource-id", self.resource_id.clone()),
            ("attachment.resource-type", self.resource_type.to_owned()),
        ]
    }
}

/// An attachment as the routes of a table show it.
pub(crate) fn hop(
    state: &State,
    table: &TransitGatewayRouteTable,
    id: TransitGatewayAttachmentId,
) -> Option<HopItem> {
    let attachment = state.transit_gateway_attachments.get(&id)?;
    Some(HopItem {
        resource_id: attachment.resource(table.gateway),
        transit_gateway_attachment_id: id,
        resource_type: attachment.kind.resource_type(),
    })
}

impl Route {
    /// EC2's word for whether it leads anywhere.
    pub(crate) const fn state(&self) -> &'static str {
        match self.next {
            Next::Attachment(_) => "active",
            Next::Blackhole => "blackhole",
        }
    }

    /// EC2's word for where it comes from.
    pub(crate) const fn r#type(&self) -> &'static str {
        match self.origin {
            Origin::Static | Origin::PrefixList(_) => "static",
            Origin::Vpc => "propagated",
        }
    }

    /// The prefix list it comes from.
    pub(crate) const fn prefix_list(&self) -> Option<PrefixListId> {
        match self.origin {
            Origin::PrefixList(id) => Some(id),
            Origin::Static | Origin::Vpc => None,
        }
    }

    /// The route in a reply.
    pub(crate) fn reply(
        &self,
        state: &State,
        table: &TransitGatewayRouteTable,
        word: &'static str,
    ) -> RouteItem {
        RouteItem {
            destination_cidr_block: self.destination,
            prefix_list_id: self.prefix_list(),
            transit_gateway_attachments: self
                .attachment
                .and_then(|id| hop(state, table, id))
                .into_iter()
                .collect(),
            r#type: self.r#type(),
            state: word,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RouteReply {
    route: RouteItem,
}

/// `CreateTransitGatewayRoute` and `ReplaceTransitGatewayRoute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RouteRequest {
    destination_cidr_block: String,
    transit_gateway_route_table_id: String,
    transit_gateway_attachment_id: Option<String>,
    blackhole: Option<bool>,
}

/// The target that a request names: an attachment of the table's gateway, or the blackhole. An attachment without a
/// name is none: that is what Terraform sends with a blackhole.
///
/// # Errors
/// `MissingParameter` for neither, `InvalidParameterCombination` for both; those of [`attachment_of`].
pub(crate) fn target(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &TransitGatewayRouteTable,
    attachment: Option<&str>,
    blackhole: Option<bool>,
) -> Result<Option<TransitGatewayAttachmentId>, ApiError> {
    let attachment = attachment.filter(|id| !id.is_empty());
    match (attachment, blackhole.unwrap_or(false)) {
        (None, false) => Err(resource::missing("TransitGatewayAttachmentId")),
        (Some(_), true) => Err(ApiError::new(
            "InvalidParameterCombination",
            "TransitGatewayAttachmentId and Blackhole cannot be specified together.",
        )),
        (None, true) => Ok(None),
        (Some(id), false) => {
            let attachment = attachment_of(tx, ctx, table.gateway, &table.id, id)?;
            Ok(Some(attachment.id))
        }
    }
}

fn destination(text: &str) -> Result<Cidr, ApiError> {
    text.parse()
        .map_err(|_| invalid_value(&text, "DestinationCidrBlock"))
}

/// Checks that a gateway has room for so many more routes in all its tables together.
pub(crate) fn check_room(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &TransitGatewayRouteTable,
    more: usize,
) -> Result<(), ApiError> {
    let there: usize = route_table::of_gateway(tx.state(), table.gateway)
        .map(|table| routes(tx.state(), ctx.now, table).len())
        .sum();
    quota::TRANSIT_GATEWAY_ROUTES.check(tx, ctx, there.saturating_add(more))
}

fn put(
    tx: &mut Tx,
    ctx: &Context<'_>,
    mut table: TransitGatewayRouteTable,
    destination: Cidr,
    target: Option<TransitGatewayAttachmentId>,
) -> RouteReply {
    table.routes.insert(destination, target);
    tx.put(table.clone());
    RouteReply {
        route: reply(tx.state(), ctx.now, &table, destination),
    }
}

/// A static route that is in the table, in a reply.
fn reply(
    state: &State,
    now: Timestamp,
    table: &TransitGatewayRouteTable,
    destination: Cidr,
) -> RouteItem {
    let attachment = table.routes.get(&destination).copied().flatten();
    let is_live = attachment
        .and_then(|id| state.transit_gateway_attachments.get(&id))
        .is_some_and(|attachment| attachment.phase(now) == Phase::Live);
    let route = Route {
        destination,
        origin: Origin::Static,
        next: attachment
            .filter(|_| is_live)
            .map_or(Next::Blackhole, Next::Attachment),
        attachment,
    };
    route.reply(state, table, route.state())
}

pub(crate) fn create_transit_gateway_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RouteRequest,
) -> Result<RouteReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = available::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let destination = destination(&req.destination_cidr_block)?;
    let attachment = req.transit_gateway_attachment_id.as_deref();
    let target = target(tx, ctx, &table, attachment, req.blackhole)?;
    if table.routes.contains_key(&destination) {
        return Err(ApiError::new(
            "RouteAlreadyExists",
            format!(
                "Route {destination} already exists in Transit Gateway Route Table {}.",
                table.id
            ),
        ));
    }
    check_room(tx, ctx, &table, 1)?;
    Ok(put(tx, ctx, table, destination, target))
}

fn not_found(table: &TransitGatewayRouteTable, destination: Cidr) -> ApiError {
    ApiError::new(
        "InvalidRoute.NotFound",
        format!(
            "Route {destination} does not exist in Transit Gateway Route Table {}.",
            table.id
        ),
    )
}

pub(crate) fn replace_transit_gateway_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RouteRequest,
) -> Result<RouteReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = available::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let destination = destination(&req.destination_cidr_block)?;
    let attachment = req.transit_gateway_attachment_id.as_deref();
    let target = target(tx, ctx, &table, attachment, req.blackhole)?;
    if !table.routes.contains_key(&destination) {
        return Err(not_found(&table, destination));
    }
    Ok(put(tx, ctx, table, destination, target))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRouteRequest {
    transit_gateway_route_table_id: String,
    destination_cidr_block: String,
}

pub(crate) fn delete_transit_gateway_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRouteRequest,
) -> Result<RouteReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let mut table = available::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let destination = destination(&req.destination_cidr_block)?;
    let Some(attachment) = table.routes.remove(&destination) else {
        return Err(not_found(&table, destination));
    };
    let route = Route {
        destination,
        origin: Origin::Static,
        next: Next::Blackhole,
        attachment,
    };
    let route = route.reply(tx.state(), &table, "deleted");
    tx.put(table);
    Ok(RouteReply { route })
}
