//! What one host must know of the state, and nothing else.
//!
//! A host knows its own instances, and every object of the VPCs that its interfaces can reach: their own, and what is
//! connected with those by peering connections, transit gateways and associated security groups, however many are
//! between.

use std::collections::BTreeSet;

use feed::{Delta, Full, InstanceChange};
use topology::{Change, Object};
use types::{HostId, InstanceId, ObjectId, TransitGatewayId, VpcId};

use crate::instance::Instance;
use crate::{State, endpoint, project};

/// What can be reached from a host's interfaces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Reach {
    vpcs: BTreeSet<VpcId>,
    gateways: BTreeSet<TransitGatewayId>,
}

/// One host's part of the state, as it was told last.
#[derive(Clone, Debug)]
pub struct HostView {
    host: HostId,
    reach: Reach,
    objects: BTreeSet<ObjectId>,
    instances: BTreeSet<InstanceId>,
    revision: u64,
}

impl HostView {
    /// What the host must know of this state.
    #[must_use]
    pub fn new(host: HostId, state: &State, revision: u64) -> HostView {
        let reach = Reach::of(state, host);
        HostView {
            objects: objects(state, &reach).iter().map(Object::id).collect(),
            instances: own(state, host).map(|instance| instance.id).collect(),
            host,
            reach,
            revision,
        }
    }

    /// Whose part it is.
    #[must_use]
    pub const fn host(&self) -> HostId {
        self.host
    }

    /// The revision that the host was told last. Later ones meant nothing to it.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// All of it, out of the state that the last step led to.
    #[must_use]
    pub fn full(&self, state: &State) -> Full {
        Full {
            revision: self.revision,
            objects: objects(state, &self.reach),
            instances: own(state, self.host).collect(),
        }
    }

    /// The host's part of a step to this state; `None` if it means nothing to it.
    pub fn step(&mut self, state: &State, delta: &Delta) -> Option<Delta> {
        let reach = if moves(delta) {
            Reach::of(state, self.host)
        } else {
            self.reach.clone()
        };
        let mut removals = Vec::new();
        let mut puts = Vec::new();
        for change in &delta.changes {
            if let Change::Put(object) = change
                && reach.has(state, object)
            {
                self.objects.insert(object.id());
                puts.push(change.clone());
            } else if self.objects.remove(&change.id()) {
                removals.extend(project::removal(change.id()));
            }
        }
        if reach != self.reach {
            let mut gone = std::mem::take(&mut self.objects);
            for object in objects(state, &reach) {
                let id = object.id();
                if !gone.remove(&id) {
                    puts.push(Change::Put(object));
                }
                self.objects.insert(id);
            }
            removals.extend(gone.into_iter().filter_map(project::removal));
            self.reach = reach;
        }
        let mut instances = Vec::new();
        for change in &delta.instances {
            let (InstanceChange::Put(feed::Instance { id, .. }) | InstanceChange::Remove(id)) =
                change;
            let record = state.instances.get(id);
            let is_own = record.is_some_and(|record| record.host == Some(self.host));
            match change {
                InstanceChange::Put(_) if is_own => {
                    self.instances.insert(*id);
                    instances.push(change.clone());
                }
                InstanceChange::Put(_) | InstanceChange::Remove(_) => {
                    if self.instances.remove(id) {
                        instances.push(InstanceChange::Remove(*id));
                    }
                }
            }
        }
        // What goes makes room (an address) for what comes.
        removals.extend(puts);
        if removals.is_empty() && instances.is_empty() {
            return None;
        }
        let after = std::mem::replace(&mut self.revision, delta.revision);
        Some(Delta {
            after,
            revision: delta.revision,
            changes: removals,
            instances,
        })
    }
}

/// Whether a step may change what a host reaches.
fn moves(delta: &Delta) -> bool {
    let connects = |change: &Change| {
        matches!(
            change.id(),
            ObjectId::InterfaceId(_)
                | ObjectId::GroupId(_)
                | ObjectId::PeeringConnectionId(_)
                | ObjectId::EndpointId(_)
                | ObjectId::TransitGatewayAttachmentId(_)
        )
    };
    !delta.instances.is_empty() || delta.changes.iter().any(connects)
}

fn own(state: &State, host: HostId) -> impl Iterator<Item = feed::Instance> {
    state.instances.of(host).filter_map(Instance::project)
}

/// Every object of what is reached. It looks at the whole region, which is dear; that happens only when a host gets
/// to know another VPC, or everything anew.
fn objects(state: &State, reach: &Reach) -> Vec<Object> {
    let mut objects = project::full(state, 0).objects;
    objects.retain(|object| reach.has(state, object));
    objects
}

impl Reach {
    fn of(state: &State, host: HostId) -> Reach {
        let mut reach = Reach::default();
        let mut next: Vec<VpcId> = Vec::new();
        for instance in state.instances.of(host) {
            next.extend(instance.interfaces(state).map(|interface| interface.vpc));
        }
        while let Some(vpc) = next.pop() {
            if !reach.vpcs.insert(vpc) {
                continue;
            }
            let peerings = state.peering_connections.of(vpc);
            let ends = peerings.filter_map(|p| p.project()).flat_map(|p| p.vpcs);
            next.extend(ends);
            // A group that is associated with the VPC is at home in another.
            next.extend(state.security_groups.of(vpc).map(|group| group.vpc));
            next.extend(endpoint::connected(state, vpc));
            for attachment in state.transit_gateway_attachments.of(vpc) {
                if let Some(Object::TransitAttachment(attachment)) =
                    project::object(state, attachment.id.into())
                {
                    reach.enter(state, attachment.gateway, &mut next);
                }
            }
        }
        reach
    }

    /// Notes a transit gateway, those that it is peered with, and the VPCs that are attached to them.
    fn enter(&mut self, state: &State, gateway: TransitGatewayId, vpcs: &mut Vec<VpcId>) {
        let mut next = vec![gateway];
        while let Some(gateway) = next.pop() {
            if !self.gateways.insert(gateway) {
                continue;
            }
            for attachment in state.transit_gateway_attachments.of(gateway) {
                match project::object(state, attachment.id.into()) {
                    Some(Object::TransitAttachment(attachment)) => vpcs.push(attachment.vpc),
                    Some(Object::TransitPeering(peering)) => {
                        next.extend(peering.ends.map(|(end, _)| end));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whether the object is of what is reached.
    fn has(&self, state: &State, object: &Object) -> bool {
        let has = |vpc: VpcId| self.vpcs.contains(&vpc);
        match object {
            Object::Vpc(o) => has(o.id),
            Object::Subnet(o) => has(o.vpc),
            Object::Interface(o) => has(o.vpc),
            Object::SecurityGroup(o) => has(o.vpc),
            Object::RouteTable(o) => has(o.vpc),
            Object::NetworkAcl(o) => has(o.vpc),
            Object::PublicAddress(o) => {
                let interface = state.interfaces.get(&o.interface);
                interface.is_some_and(|interface| has(interface.vpc))
            }
            Object::NatGateway(o) => has(o.vpc),
            Object::Peering(o) => o.vpcs.iter().any(|vpc| has(*vpc)),
            Object::TransitAttachment(o) => has(o.vpc),
            Object::TransitPeering(o) => o
                .ends
                .iter()
                .any(|(gateway, _)| self.gateways.contains(gateway)),
            Object::TransitRouteTable(o) => self.gateways.contains(&o.gateway),
            Object::Endpoint(o) => {
                let front = state.interfaces.get(&o.front);
                has(o.vpc) || front.is_some_and(|front| has(front.vpc))
            }
        }
    }
}
