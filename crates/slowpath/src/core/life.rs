//! How sessions and templates come and go, but for those that a frame opens.

use std::collections::BTreeSet;

use fastpath_core::abi::{FlowKey, REWRITE_SOURCE, Session};
use fastpath_core::parse::{self, FRAGMENT_FIRST};
use fastpath_core::template::KERNEL_MADE;
use walk::{Decision, End, FlowState, NoTrace, Step, Tracking, Translation, walk};

use super::Core;
use crate::session::{Payer, Template, opener, plan, side, tracking_of};
use crate::{Activity, Effect, Effects, Revocation, Timeouts, fragments, icmp};

impl Core {
    /// Takes over what an earlier process left in the kernel: the sessions that both of their keys lead to. Each is
    /// decided again, as in [`Core::update`]; those that stay keep their identifier and counters. Those that expired
    /// meanwhile go. The network must be known and the ports attached before. Sessions of templates become the core's
    /// own; when this is done, the templates that they came from must be revoked.
    pub fn adopt(&mut self, now_ns: u64, sessions: Vec<(u64, Session)>, effects: &mut Effects) {
        for (id, session) in sessions {
            self.adopt_one(now_ns, id, &session, effects);
        }
    }

    /// A session that the kernel program has made, and whose template has gone, becomes the core's own, if it would be
    /// opened now; otherwise it goes. See [`Core::adopt`].
    pub fn adopt_stale(&mut self, now_ns: u64, id: u64, session: &Session, effects: &mut Effects) {
        // It is the core's own already if both of its directions came up.
        if session.template != 0 && self.table.get(id).is_none() {
            self.shares.give_back(self.payer(&session.key));
            self.adopt_one(now_ns, id, session, effects);
        }
    }

    fn adopt_one(&mut self, now_ns: u64, id: u64, session: &Session, effects: &mut Effects) {
        if id & KERNEL_MADE == 0 {
            self.next_id = self.next_id.max(id.saturating_add(1));
        }
        let kept = Template {
            key: session.key,
            action: session.action,
            // Decided again below, which finds them.
            hops: Default::default(),
            translation: None,
            tracking: match session.template {
                0 => Tracking::default(),
                _ => tracking_of(session.mark),
            },
            depends: BTreeSet::new(),
        };
        let payer = self.payer(&kept.key);
        let seen = Activity::from(session);
        let fits = !self.is_expired(now_ns, session, &seen)
            && self.table.get(id).is_none()
            && self.table.is_distinct(&kept)
            && self.ports.origin(payer.port).is_some()
            && self.shares.take(payer);
        if !fits {
            self.stats.cut += 1;
            effects.list.push(Effect::Remove {
                id,
                key: session.key,
            });
            return;
        }
        let action = session.action;
        self.table.insert(id, kept, payer);
        self.stats.installed += 1;
        self.stats.sessions += 1;
        self.redecide(id, effects);
        let is_unchanged = self
            .table
            .get(id)
            .is_some_and(|entry| entry.template.action == action);
        if session.template != 0 && is_unchanged {
            effects.list.push(Effect::Update { id, action });
        }
    }

    /// The kernel has not taken a session: it is none.
    pub fn lost(&mut self, id: u64) {
        if let Some(entry) = self.table.remove(id) {
            self.shares.give_back(entry.payer);
            self.stats.sessions -= 1;
        }
    }

    /// A session that the kernel program had made was removed by the caller.
    pub fn removed(&mut self, session: &Session) {
        self.shares.give_back(self.payer(&session.key));
    }

    /// Looks at sessions that the kernel has, some of all, and removes those that were silent for too long. Gives up
    /// fragments that have waited for a second. Whoever calls this regularly goes on with the next ones each time.
    pub fn sweep(&mut self, now_ns: u64, sessions: &[(u64, Session)], effects: &mut Effects) {
        for (port, held) in self.fragments.expire(now_ns) {
            self.lose(port, &held, effects);
        }
        for (id, session) in sessions {
            let seen = Activity::from(session);
            if !self.is_expired(now_ns, session, &seen) {
                continue;
            }
            self.stats.expired += 1;
            if self.table.get(*id).is_some() {
                self.remove(*id, effects);
                continue;
            }
            if session.template != 0 {
                self.shares.give_back(self.payer(&session.key));
            }
            effects.list.push(Effect::Remove {
                id: *id,
                key: session.key,
            });
        }
    }

    /// There is a session that was made from the template in this slot.
    pub fn met(&mut self, slot: u32) {
        self.templates.seen(slot);
    }

    /// [`Core::met`] has been told of all sessions that were there when this was called last. Templates that have had
    /// none since then go.
    pub fn swept(&mut self, effects: &mut Effects) {
        for slot in self.templates.unused() {
            self.revoke(slot, effects);
        }
    }

    /// Until then the kernel program may make sessions from templates. So it makes none without a living agent.
    pub fn lend(&self, until_ns: u64) {
        self.shares.lend(until_ns);
    }

    /// How many templates there are.
    #[must_use]
    pub fn templates(&self) -> usize {
        self.templates.len()
    }

    /// The shortest silence after which a session can go.
    #[must_use]
    pub fn least_silence_ns(&self) -> u64 {
        self.config.timeouts.least(self.shares.fullest())
    }
}

impl Core {
    /// The guest's port that pays for a session: the one that opened it, or the one that the outside opened it to.
    pub(super) fn payer(&self, key: &[FlowKey; 2]) -> Payer {
        let port = if self.ports.is_uplink(key[0].port) {
            key[1].port
        } else {
            key[0].port
        };
        let interface = self.ports.interface(port);
        let view = interface.and_then(|id| self.snapshot.vpc_of(id));
        let vpc = view.and_then(|view| view.vpc.as_ref());
        Payer {
            port,
            account: vpc.map(|vpc| vpc.account),
        }
    }

    /// How long a session may be silent: as long as both its ends, and a NAT gateway on its way, remember it.
    fn timeouts_of(&self, key: &[FlowKey; 2], translated: bool) -> Timeouts {
        let default = self.config.timeouts;
        let ends = key.iter().filter_map(|key| {
            let interface = self.snapshot.interface(self.ports.interface(key.port)?)?;
            Some(default.of_interface(&interface.idle))
        });
        let timeouts = ends.reduce(Timeouts::shorter).unwrap_or(default);
        if translated {
            timeouts.translated()
        } else {
            timeouts
        }
    }

    /// Whether a session has been silent for too long; where room is short, the ones that were never answered or have
    /// ended go sooner.
    fn is_expired(&self, now_ns: u64, session: &Session, seen: &Activity) -> bool {
        let [forward, back] = &session.key;
        let payer = if self.ports.is_uplink(forward.port) {
            back.port
        } else {
            forward.port
        };
        let full = self.shares.fullness().max(self.shares.port_fullness(payer));
        let translated = self
            .table
            .find(forward)
            .is_some_and(|(_, entry, _)| entry.template.translation.is_some());
        let timeouts = self.timeouts_of(&session.key, translated);
        timeouts.expired(now_ns, forward.protocol, seen, full)
    }

    /// A template stays if its flow would leave the very same one now.
    pub(super) fn redecide_template(&mut self, slot: u32, effects: &mut Effects) {
        let Some(held) = self.templates.get(slot) else {
            return;
        };
        let now = plan(
            &self.snapshot,
            &self.ports,
            &self.table,
            held.key.port,
            &opener(&held.opener),
            None,
            None,
        );
        let now = now.ok().and_then(|plan| plan.session.zip(plan.ports));
        match now.filter(|(flow, ports)| self.templates.is_same(slot, flow, *ports)) {
            Some((flow, _)) => self.templates.depend(slot, flow.depends),
            None => self.revoke(slot, effects),
        }
    }

    pub(super) fn revoke(&mut self, slot: u32, effects: &mut Effects) {
        if let Some(held) = self.templates.remove(slot) {
            effects.list.push(Effect::Revoke {
                slot,
                key: held.key,
            });
        }
    }

    pub(super) fn redecide(&mut self, id: u64, effects: &mut Effects) {
        let Some(entry) = self.table.get(id) else {
            return;
        };
        let old = &entry.template;
        let kept = old.translation.or_else(|| self.adopted(old));
        let decide = |tracked| {
            plan(
                &self.snapshot,
                &self.ports,
                &self.table,
                old.key[0].port,
                &opener(&old.key[0]),
                kept,
                tracked,
            )
        };
        let mut now = decide(None);
        let by_group = [Step::EgressSecurityGroup, Step::IngressSecurityGroup];
        if self.config.revocation == Revocation::Ec2
            && matches!(&now, Err(stopped) if by_group.contains(&stopped.dropped.step))
        {
            now = decide(Some(old.tracking));
        }
        let now = now
            .ok()
            .and_then(|plan| plan.session)
            .filter(|template| template.key == old.key);
        match now {
            None => self.cut(id, effects),
            Some(template) => {
                if template.action != old.action {
                    self.stats.updated += 1;
                    effects.list.push(Effect::Update {
                        id,
                        action: template.action,
                    });
                }
                self.table.replace(id, template);
            }
        }
    }

    /// The translation of a session that an earlier process left: its packets say by which port they go out. Which
    /// gateway that is, the walk tells.
    fn adopted(&self, template: &Template) -> Option<Translation> {
        let [action, _] = &template.action;
        let tuple = template.key[0].tuple();
        let port = u16::from_be_bytes(action.source_port);
        if action.flags & REWRITE_SOURCE == 0 {
            return None;
        }
        let origin = self.ports.origin(template.key[0].port)?;
        let packet = opener(&template.key[0]);
        let decision = walk(
            &self.snapshot,
            origin,
            &packet,
            FlowState::New,
            &mut NoTrace,
        );
        let Decision::Deliver(delivery) = decision else {
            return None;
        };
        let translation = delivery.translation?;
        let outside = End {
            port,
            ..translation.outside
        };
        let held = Translation {
            outside,
            ..translation
        };
        let (side, port) = (side(&held, &tuple), outside.port);
        (!self.table.is_nat_port_used(&side, port)).then_some(held)
    }

    pub(super) fn cut(&mut self, id: u64, effects: &mut Effects) {
        self.stats.cut += 1;
        self.remove(id, effects);
    }

    fn remove(&mut self, id: u64, effects: &mut Effects) {
        if let Some(entry) = self.table.remove(id) {
            self.shares.give_back(entry.payer);
            self.stats.sessions -= 1;
            effects.list.push(Effect::Remove {
                id,
                key: entry.template.key,
            });
        }
    }
}

/// The key of the session that the core must know to judge a frame, although another packet of the session does not come
/// up: the one that an ICMP error is about, as this port sends in it, or that of a datagram in fragments. `None` if there
/// is none.
#[must_use]
pub fn concerned(port: u32, frame: &[u8]) -> Option<FlowKey> {
    let Ok(parse::Parsed::Ip(ip)) = parse::parse_frame(frame) else {
        return None;
    };
    if ip.fragment == FRAGMENT_FIRST {
        let (whole, _) = fragments::datagram(frame, &ip).ok()?;
        return Some(whole.key(port));
    }
    Some(FlowKey::new(port, &icmp::parse(frame)?.quoted.reversed()))
}
