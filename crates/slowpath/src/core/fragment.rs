//! Fragments: the first one is judged as its datagram, the others follow it.

use fastpath_core::abi::FlowKey;
use fastpath_core::parse::FRAGMENT_FIRST;
use fastpath_core::{ChecksumState, Ip};
use topology::Interface;
use types::DropReason;
use walk::Packet;

use super::{Core, Refusal, Upcall, Way};
use crate::fragments::{self, Held, Known, Piece};
use crate::session::plan;
use crate::{Effects, Outcome, icmp};

impl Core {
    /// A fragment: the first one is judged as its datagram, the others follow it.
    pub(super) fn fragment(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let refuse = |reason| Refusal::of(reason, interface);
        let piece =
            fragments::piece(upcall.frame, ip).ok_or_else(|| refuse(DropReason::Fragment))?;
        if ip.fragment == FRAGMENT_FIRST {
            return self.first_fragment(upcall, interface, ip, piece, effects);
        }
        let (now_ns, port, key) = (upcall.now_ns, upcall.port, piece.key);
        if let Some(known) = self.fragments.known(port, &key) {
            return self.later_fragment(upcall, interface, ip, (piece, known), effects);
        }
        let held = Held {
            at_ns: now_ns,
            frame: upcall.frame.to_vec(),
            ip: *ip,
            piece,
        };
        let Some(gone) = self.fragments.hold(now_ns, port, held) else {
            return Err(refuse(DropReason::FragmentLost));
        };
        for held in gone {
            self.lose(port, &held, effects);
        }
        Ok(Outcome::Held)
    }

    fn first_fragment(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        piece: Piece,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let refuse = |reason| Refusal::of(reason, interface);
        let (now_ns, port, key) = (upcall.now_ns, upcall.port, piece.key);
        let old = self.fragments.known(port, &key);
        let judged = fragments::datagram(upcall.frame, ip).and_then(|(whole, icmp)| {
            let packet = Packet {
                tuple: whole.key(port).tuple(),
                icmp,
            };
            // Nobody needs to cut what asks for a configuration, nor errors. A second first fragment that is another
            // one would overlap the first.
            let is_error = icmp.is_some_and(|(kind, _)| icmp::is_error(whole.protocol, kind));
            let is_other = match old {
                Some(Known::Flow(packet_then, len)) => (packet_then, len) != (packet, piece.len),
                Some(Known::Refused(reason)) => reason == DropReason::Fragment,
                None => false,
            };
            if whole.discovery || is_error || is_other {
                return Err(DropReason::Fragment);
            }
            Ok((whole, packet))
        });
        let result = judged.map_err(refuse).and_then(|(whole, packet)| {
            let way = self.way(&whole.key(port)).filter(|_| !whole.slow_only);
            let outcome = match way {
                Some(way) => self.run(upcall, interface, &whole, &way, effects),
                None => self.open(upcall, interface, &whole, &packet, effects),
            };
            Ok((packet, outcome?))
        });
        let known = match &result {
            Ok((packet, Outcome::Forwarded)) => Known::Flow(*packet, piece.len),
            // A NAT gateway has reset the connection.
            Ok(_) => Known::Refused(DropReason::NoTranslation),
            Err(refusal) => Known::Refused(refusal.reason),
        };
        for held in self.fragments.learn(now_ns, port, key, known) {
            let late = Upcall {
                now_ns,
                port,
                frame: &held.frame,
                offload: ChecksumState::Complete.into(),
                late: true,
            };
            let known = self.fragments.known(port, &key).unwrap_or(known);
            let place = (held.piece, known);
            let result = self.later_fragment(&late, interface, &held.ip, place, effects);
            self.conclude(&late, result, effects);
        }
        result.map(|(_, outcome)| outcome)
    }

    /// A fragment whose datagram is known.
    fn later_fragment(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        (piece, known): (Piece, Known),
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let refuse = |reason| Refusal::of(reason, interface);
        let packet = match known {
            Known::Flow(packet, len) if piece.offset >= len => packet,
            Known::Flow(..) => {
                // It would overwrite what the rules have seen: that is the end of the datagram.
                let refused = Known::Refused(DropReason::Fragment);
                let (now_ns, port) = (upcall.now_ns, upcall.port);
                self.fragments.learn(now_ns, port, piece.key, refused);
                return Err(refuse(DropReason::Fragment));
            }
            Known::Refused(reason) => return Err(refuse(reason)),
        };
        let way = match self.way(&FlowKey::new(upcall.port, &packet.tuple)) {
            Some(way) => way,
            None => self.sessionless(upcall.port, &packet)?,
        };
        self.run(upcall, interface, &fragments::headless(ip), &way, effects)
    }

    /// The way of a packet whose flow has no session.
    fn sessionless(&self, port: u32, packet: &Packet) -> Result<Way, Refusal> {
        let plan = plan(
            &self.snapshot,
            &self.ports,
            &self.table,
            port,
            packet,
            None,
            None,
        )
        .map_err(|stopped| *stopped.dropped)?;
        Ok(Way {
            mtu: plan.action.mtu,
            action: plan.action,
            hops: plan.hops.into(),
        })
    }

    /// A fragment has waited in vain.
    pub(super) fn lose(&mut self, port: u32, held: &Held, effects: &mut Effects) {
        let late = Upcall {
            now_ns: held.at_ns,
            port,
            frame: &held.frame,
            offload: ChecksumState::Complete.into(),
            late: true,
        };
        let lost = Err(Refusal::new(DropReason::FragmentLost));
        self.conclude(&late, lost, effects);
    }
}
