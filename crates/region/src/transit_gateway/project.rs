//! What packets meet of transit gateways.
//!
//! Hosts are told what holds once every state has settled: packets obey a change at once, only what is shown waits.

use topology::{Object, TransitAttachment, TransitPeering, TransitRoute, TransitRouteTable};
use types::{ObjectId, TransitGatewayAttachmentId, TransitGatewayRouteTableId};

use super::attachment::{AttachmentKind, End, TransitGatewayAttachment};
use super::route::{Next, Origin, routes};
use super::{Mortal as _, TransitGateway};
use crate::life::Phase;
use crate::{State, Timestamp, Vpc};

/// When everything has settled.
const SETTLED: Timestamp = Timestamp(i64::MAX);

fn associated(end: &End) -> Option<TransitGatewayRouteTableId> {
    end.associated(SETTLED).map(|(table, _)| table)
}

/// The attachment as hosts see it; `None` if it is of a kind that carries no packets, or not there.
pub(crate) fn attachment(state: &State, id: TransitGatewayAttachmentId) -> Option<Object> {
    let record = state.transit_gateway_attachments.get(&id)?;
    if record.phase(SETTLED) != Phase::Live {
        return None;
    }
    match &record.kind {
        AttachmentKind::Vpc {
            vpc,
            subnets,
            group_references,
            appliance_mode,
            ipv6,
            ..
        } => {
            let gateway = state.transit_gateways.get(&record.end.gateway)?;
            Some(Object::TransitAttachment(TransitAttachment {
                id,
                gateway: gateway.id,
                vpc: *vpc,
                subnets: subnets.keys().copied().collect(),
                interfaces: subnets.values().copied().collect(),
                appliance_mode: *appliance_mode,
                group_references: *group_references && gateway.group_references,
                ipv6: *ipv6,
                route_table: associated(&record.end),
            }))
        }
        AttachmentKind::Peering { accepter, .. } => Some(Object::TransitPeering(TransitPeering {
            id,
            ends: [&record.end, accepter].map(|end| (end.gateway, associated(end))),
        })),
        AttachmentKind::Vpn { .. } | AttachmentKind::Connect { .. } => None,
    }
}

/// The route table as hosts see it; `None` if it is not there.
pub(crate) fn table(state: &State, id: TransitGatewayRouteTableId) -> Option<TransitRouteTable> {
    let record = state.transit_gateway_route_tables.get(&id)?;
    if record.phase(SETTLED) != Phase::Live {
        return None;
    }
    let routes = routes(state, SETTLED, record).into_iter();
    let routes = routes.map(|route| TransitRoute {
        destination: route.destination,
        attachment: match route.next {
            Next::Attachment(id) => Some(id),
            Next::Blackhole => None,
        },
        is_static: route.origin != Origin::Vpc,
    });
    Some(TransitRouteTable {
        id,
        gateway: record.gateway,
        routes: routes.collect(),
    })
}

/// What an attachment shows in: itself, and the tables that have a route to it.
pub(crate) fn shown_in(state: &State, attachment: &TransitGatewayAttachment) -> Vec<ObjectId> {
    let mut shown = vec![ObjectId::from(attachment.id)];
    for end in attachment.ends() {
        shown.extend(end.propagations.keys().map(|id| ObjectId::from(*id)));
        let tables = state.transit_gateway_route_tables.of(end.gateway);
        let to_it = tables.filter(|table| {
            let lists = table.prefix_lists.values();
            let targets = lists.map(|reference| &reference.target);
            let mut targets = table.routes.values().chain(targets);
            targets.any(|target| *target == Some(attachment.id))
        });
        shown.extend(to_it.map(|table| ObjectId::from(table.id)));
    }
    shown
}

/// What the blocks of a VPC show in: the tables that its attachments propagate to.
pub(crate) fn blocks_shown_in(state: &State, vpc: &Vpc) -> Vec<ObjectId> {
    let attachments = state.transit_gateway_attachments.of(vpc.id);
    let ends = attachments.flat_map(TransitGatewayAttachment::ends);
    ends.flat_map(|end| end.propagations.keys().map(|id| ObjectId::from(*id)))
        .collect()
}

/// What a transit gateway shows in: its attachments.
pub(crate) fn gateway_shown_in(state: &State, gateway: &TransitGateway) -> Vec<ObjectId> {
    let attachments = state.transit_gateway_attachments.of(gateway.id);
    attachments.map(|attachment| attachment.id.into()).collect()
}
