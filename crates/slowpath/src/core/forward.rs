//! Packets go on, or the sender is told why not.

use std::net::IpAddr;

use fastpath_core::abi::{Output, REWRITE_DESTINATION, REWRITE_SOURCE};
use fastpath_core::parse::FRAGMENT_FIRST;
use fastpath_core::{Ip, Obstacle, SliceFrame, forward};
use topology::Interface;
use types::DropReason;
use walk::Hop;

use super::{Core, Refusal, Upcall, Way, output_of};
use crate::{Effect, Effects, Outcome, mtu, report};

impl Core {
    /// The frame goes where the session's action says, rewritten as the kernel would; what the kernel cannot do with it
    /// is done here.
    pub(super) fn run(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        way: &Way,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let output = output_of(&way.action).map_err(Refusal::new)?;
        let malformed = || Refusal::new(DropReason::MalformedFrame);
        let size = upcall.size(ip);
        let obstacle = Obstacle::of(ip, size, &way.action);
        if obstacle == Some(Obstacle::Expired) {
            return Err(self.expired(upcall, interface, ip, &way.hops, effects));
        }
        let too_big = obstacle == Some(Obstacle::TooBig);
        if too_big && (upcall.offload.gso_size != 0 || !mtu::may_be_cut(upcall.frame, ip)) {
            return Err(self.too_big(upcall, interface, ip, (size, way), effects));
        }
        // Behind a fragment header nothing is where the rewriting looks for it.
        let is_moved = ip.v6 && ip.fragment == FRAGMENT_FIRST;
        let rewrites = way.action.flags & (REWRITE_SOURCE | REWRITE_DESTINATION) != 0;
        if is_moved && (rewrites || obstacle == Some(Obstacle::Announces)) {
            return Err(Refusal::of(DropReason::Fragment, interface));
        }
        let checksum = upcall.offload.checksum;
        let mut frame = upcall.frame.to_vec();
        forward(&mut SliceFrame::new(&mut frame, checksum), ip, &way.action)
            .map_err(|_| malformed())?;
        if too_big {
            let pieces = mtu::cut(&frame, checksum, way.action.mtu).ok_or_else(malformed)?;
            effects
                .list
                .extend(pieces.into_iter().map(|frame| Effect::Emit {
                    output,
                    frame,
                    as_received: false,
                }));
            return Ok(Outcome::Forwarded);
        }
        if obstacle == Some(Obstacle::Announces) {
            mtu::clamp(&mut frame, ip, checksum, way.mtu).ok_or_else(malformed)?;
        }
        effects.list.push(Effect::Emit {
            output,
            frame,
            as_received: !upcall.late,
        });
        Ok(Outcome::Forwarded)
    }

    /// The packet's TTL ends at one of these routers, which says so.
    pub(super) fn expired(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        hops: &[Hop],
        effects: &mut Effects,
    ) -> Refusal {
        let at = hops.get(usize::from(ip.ttl).saturating_sub(1));
        if let Some(hop) = at {
            let message = report::Message::time_exceeded(ip.v6);
            self.report(upcall, interface, ip, (hop.address, message), effects);
        }
        Refusal {
            object: at.map(|hop| hop.object),
            ..Refusal::new(DropReason::TtlExceeded)
        }
    }

    /// A packet of `size` bytes is larger than a link of its way: the router in front of that says so.
    fn too_big(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        (size, way): (usize, &Way),
        effects: &mut Effects,
    ) -> Refusal {
        let at = way.hops.iter().find(|hop| usize::from(hop.mtu) < size);
        let subnet = interface.and_then(|interface| {
            let view = self.snapshot.vpc(interface.vpc)?;
            view.subnet(interface.subnet)
        });
        let from = match at {
            Some(hop) => Some((hop.address, hop.mtu)),
            // Within a subnet no router stands; the sender must be told all the same.
            None => {
                let family = fastpath_core::abi::address(ip.source);
                subnet.map(|subnet| (subnet.router_of(family), way.action.mtu))
            }
        };
        if let Some((address, mtu)) = from {
            let message = report::Message::too_big(ip.v6, mtu);
            self.report(upcall, interface, ip, (address, message), effects);
        }
        Refusal {
            object: at.map(|hop| hop.object),
            ..Refusal::new(DropReason::TooBig)
        }
    }

    /// Tells the sender, if he may be told, and not too often.
    fn report(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        (address, message): (IpAddr, report::Message),
        effects: &mut Effects,
    ) {
        let to = match (interface, self.config.uplink, self.snapshot.uplink()) {
            (Some(interface), _, _) => Some((address, interface.mac, Output::Deliver(upcall.port))),
            // The outside does not know private addresses: the pool's first one, which is nobody's, stands for all.
            (None, Some(port), Some(uplink)) if uplink.pool.network() != uplink.host => Some((
                uplink.pool.network(),
                port.host_mac,
                Output::Transmit(port.port),
            )),
            (None, _, _) => None,
        };
        let Some((from, mac, output)) = to else {
            return;
        };
        let Some(frame) = report::about(upcall.frame, ip, from, mac, message) else {
            return;
        };
        if self.reports.admit(upcall.port, upcall.now_ns) {
            effects.list.push(Effect::Emit {
                output,
                frame,
                as_received: false,
            });
        }
    }
}
