//! What must hold of every state.

use std::collections::{BTreeMap, BTreeSet};

use types::VpcId;

use super::generate::Stored;
use crate::mortal::Mortal as _;
use crate::peering::Status;
use crate::{AttachmentKind, Key, Phase, State, Timestamp};

/// What may refer to what is not there, and why.
const DANGLING: &[(&str, &str)] = &[
    // A route whose target was deleted is a blackhole.
    ("route-table", "*"),
    // "Rules are stale when they reference a deleted security group."
    ("security-group", "sg"),
    // An interface goes with its instance or with what holds it, and what was mirrored to it goes nowhere.
    ("traffic-mirror-target", "eni"),
    // A service can be deleted once it has rejected its endpoints, which stay until their owners delete them.
    ("vpc-endpoint", "vpce-svc"),
    // A connection is shown for a while after its VPC is gone, and may name one that never was.
    ("vpc-peering-connection", "vpc"),
];

/// Prefixes of identifiers that are parts of records.
const PARTS: &[&str] = &[
    "aclassoc",
    "eipassoc",
    "eni-attach",
    "iip-assoc",
    "ipam-res-disco",
    "rtbassoc",
    "scr",
    "subnet-cidr-assoc",
    "vpc-cidr-assoc",
];

/// Every id that a record is found by is there, or may be missing.
pub(super) fn references(state: &State, stored: &Stored) {
    let ids: BTreeSet<&str> = stored.keys().map(|(_, id)| id.as_str()).collect();
    state.visit(&mut |kind, id, keys| {
        let ended = stored
            .get(&(kind.to_owned(), id.clone()))
            .is_some_and(|body| super::is_over(body));
        for key in keys {
            let Key::Of(object) = key else { continue };
            let object = object.to_string();
            let (prefix, _) = object.rsplit_once('-').unwrap();
            let may_dangle = DANGLING
                .iter()
                .any(|(from, to)| *from == kind && (*to == prefix || *to == "*"));
            assert!(
                ended || may_dangle || PARTS.contains(&prefix) || ids.contains(object.as_str()),
                "{kind} {id} refers to {object}, which is not there"
            );
        }
    });
}

/// The invariants of the families beside those of the core.
pub(super) fn families(state: &State, now: Timestamp) {
    nat_gateways(state);
    peerings(state, now);
    transit_gateways(state, now);
    multicast(state, now);
    ipam(state);
    for list in state.prefix_lists.values() {
        let newest = &list.versions[&list.version];
        assert!(newest.len() <= list.max_entries);
        assert!(newest.keys().all(|cidr| cidr.is_v4() != list.v6));
    }
    for group in state.security_groups.values() {
        for vpc in group.associated() {
            assert_eq!(state.vpcs[&vpc].account, group.account);
            assert_ne!(vpc, group.vpc);
        }
    }
    for gateway in state.vpn_gateways.values() {
        let attached = gateway.vpc().into_iter();
        for vpc in attached {
            let others = state.vpn_gateways.of(vpc);
            let there = others.filter(|other| other.vpc() == Some(vpc)).count();
            assert_eq!(there, 1, "a VPC has one virtual private gateway");
        }
    }
}

fn nat_gateways(state: &State) {
    let mut allocations = BTreeSet::new();
    for gateway in state.nat_gateways.values() {
        if gateway.life.has_ended() {
            assert!(gateway.project().is_none());
            continue;
        }
        let Some(interface) = gateway.interface else {
            continue;
        };
        let interface = &state.interfaces[&interface];
        assert_eq!(
            interface.holder.map(|h| h.to_string()),
            Some(gateway.id.to_string())
        );
        assert_eq!(
            (interface.vpc, interface.subnet),
            (gateway.vpc, gateway.subnet)
        );
        for address in &gateway.addresses {
            if let Some(private) = address.private {
                assert!(interface.addresses.contains(&private));
            }
            if let Some(elastic) = &address.elastic
                && elastic.association.is_some()
            {
                assert!(
                    allocations.insert(elastic.allocation),
                    "an address has one gateway"
                );
                let record = &state.addresses[&elastic.allocation];
                let association = record.association.as_ref().unwrap();
                assert_eq!(association.interface, interface.id);
            }
        }
    }
    for interface in state.interfaces.values() {
        if let Some(holder) = interface.holder {
            let key = Key::Of(interface.id.into());
            let held = state.nat_gateways.has(&key)
                || state.endpoints.has(&key)
                || state.instance_connect_endpoints.has(&key)
                || state.transit_gateway_attachments.has(&key);
            assert!(
                held,
                "{} is held by {holder}, which does not know it",
                interface.id
            );
        }
    }
}

fn peerings(state: &State, now: Timestamp) {
    let mut pairs = BTreeSet::new();
    for connection in state.peering_connections.values() {
        let status = connection.status(now);
        if !matches!(status, Status::Active | Status::Provisioning) {
            assert!(connection.project().is_none());
            continue;
        }
        let mut ends = [connection.requester.vpc, connection.accepter.vpc];
        ends.sort_unstable();
        assert!(pairs.insert(ends), "two VPCs have one connection");
        let blocks = |vpc: VpcId| state.vpcs[&vpc].blocks().collect::<Vec<_>>();
        for one in blocks(ends[0]) {
            assert!(!blocks(ends[1]).iter().any(|other| other.overlaps(one)));
        }
    }
}

fn transit_gateways(state: &State, now: Timestamp) {
    let mut attached = BTreeSet::new();
    for attachment in state.transit_gateway_attachments.values() {
        if attachment.phase(now) != Phase::Live {
            continue;
        }
        for end in attachment.ends() {
            let gateway = &state.transit_gateways[&end.gateway];
            assert!(
                !gateway.life.has_ended(),
                "{} holds {}",
                attachment.id,
                gateway.id
            );
            let tables = end.association.iter().map(|(table, life)| (*table, *life));
            let propagations = end.propagations.iter().map(|(table, life)| (*table, *life));
            for (table, life) in tables.chain(propagations) {
                if !life.has_ended() {
                    let table = &state.transit_gateway_route_tables[&table];
                    assert_eq!(table.gateway, end.gateway);
                    assert!(!table.life.has_ended());
                }
            }
            let routed = end.association.is_some_and(|(_, life)| !life.has_ended());
            let policed = end.policy.is_some_and(|(_, life)| !life.has_ended());
            assert!(!(routed && policed), "one table decides");
        }
        match &attachment.kind {
            AttachmentKind::Vpc { vpc, subnets, .. } => {
                assert!(attached.insert((attachment.end.gateway, *vpc)));
                assert!(!subnets.is_empty());
                for (subnet, interface) in subnets {
                    assert_eq!(state.subnets[subnet].vpc, *vpc);
                    assert_eq!(state.interfaces[interface].subnet, *subnet);
                }
                let zones = subnets.keys().map(|subnet| &state.subnets[subnet].zone);
                assert_eq!(zones.collect::<BTreeSet<_>>().len(), subnets.len());
            }
            AttachmentKind::Connect { transport } => {
                assert_eq!(
                    state.transit_gateway_attachments[transport].phase(now),
                    Phase::Live
                );
            }
            AttachmentKind::Vpn { connection } => {
                assert!(state.vpn_connections.contains_key(connection));
            }
            AttachmentKind::Peering { .. } => {}
        }
    }
    for table in state.transit_gateway_route_tables.values() {
        for attachment in table.routes.values().flatten() {
            let Some(attachment) = state.transit_gateway_attachments.get(attachment) else {
                continue;
            };
            assert!(attachment.ends().any(|end| end.gateway == table.gateway));
        }
    }
}

fn multicast(state: &State, now: Timestamp) {
    for domain in state.transit_gateway_multicast_domains.values() {
        if domain.phase(now) != Phase::Live {
            continue;
        }
        for (subnet, (attachment, life)) in &domain.subnets {
            if !life.has_ended() {
                assert!(state.subnets.contains_key(subnet));
                let attachment = &state.transit_gateway_attachments[attachment];
                assert_eq!(attachment.phase(now), Phase::Live);
            }
        }
        for interface in domain
            .members
            .values()
            .chain(domain.sources.values())
            .flatten()
        {
            let subnet = state.interfaces[interface].subnet;
            assert!(domain.subnets.contains_key(&subnet));
        }
    }
}

fn ipam(state: &State) {
    let mut taken: BTreeMap<_, Vec<types::Cidr>> = BTreeMap::new();
    for allocation in state.ipam_allocations.values() {
        let pool = &state.ipam_pools[&allocation.pool];
        let blocks = pool.cidrs.iter().filter(|block| !block.life.has_ended());
        let covered = blocks
            .map(|block| block.cidr)
            .any(|block| block.covers(allocation.cidr));
        assert!(covered, "{} is outside of its pool", allocation.id);
        let others = taken.entry(allocation.pool).or_default();
        assert!(!others.iter().any(|other| other.overlaps(allocation.cidr)));
        others.push(allocation.cidr);
    }
}
