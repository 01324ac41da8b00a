//! A trace in words.

use topology::{AclEntry, Rule, Snapshot, Target};
use types::{AclId, Cidr, DropReason, FlowTuple, GroupId, ObjectId, proto};
use walk::{FlowState, Line, Outcome, Packet, RuleRef, Step};

/// Follows a walk line by line; knows what the packet's headers say at each.
pub(crate) struct Words<'a> {
    snapshot: &'a Snapshot,
    tuple: FlowTuple,
    icmp: Option<(u8, u8)>,
    flow: FlowState,
}

impl<'a> Words<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, packet: &Packet, flow: FlowState) -> Words<'a> {
        Words {
            snapshot,
            tuple: packet.tuple,
            icmp: packet.icmp,
            flow,
        }
    }

    /// What the headers say after the lines so far.
    pub(crate) const fn tuple(&self) -> FlowTuple {
        self.tuple
    }

    /// The line's rule.
    pub(crate) fn rule(&self, line: &Line) -> Option<String> {
        let reference = line.rule?;
        Some(rule(self.snapshot, line.step, line.object, reference))
    }

    /// What the line says. Lines must come in the order of the trace.
    pub(crate) fn line(&mut self, line: &Line) -> String {
        match line.outcome {
            Outcome::Pass => self.pass(line),
            Outcome::Drop(reason) => self.drop(line, reason),
        }
    }

    fn pass(&mut self, line: &Line) -> String {
        if let Some(RuleRef::Translation(from, to)) = line.rule {
            // A source is translated first; by then it is public, as is a destination that it may be equal to.
            if self.tuple.destination == from {
                self.tuple.destination = to;
            } else {
                self.tuple.source = to;
            }
        }
        let rule = self.rule(line);
        let FlowTuple {
            source,
            destination,
            ..
        } = self.tuple;
        match (line.step, rule) {
            (Step::EgressSecurityGroup | Step::IngressSecurityGroup, None) => match self.flow {
                FlowState::Reply(_) | FlowState::Translated(..) => {
                    "an answer to a flow that was allowed".to_owned()
                }
                FlowState::New | FlowState::UnderWay(_) => String::new(),
            },
            (Step::InternetGateway, Some(rule)) => match line.object {
                Some(ObjectId::RouteTableId(_)) => format!("answers leave by {rule}"),
                _ => rule,
            },
            (_, Some(rule)) => rule,
            (Step::Source, None) if line.object.is_some() => format!("sends as {source}"),
            (Step::Source, None) => "in from outside".to_owned(),
            (Step::SourceCheck, None) => self.own(line, source, "may send as"),
            (Step::DestinationCheck, None) => self.own(line, destination, "forwards to"),
            (Step::Destination, None) if line.object.is_some() => {
                format!("arrives as {}", self.tuple)
            }
            (Step::Destination, None) => format!("leaves as {}", self.tuple),
            (
                Step::EgressAcl
                | Step::RouteTable
                | Step::Peering
                | Step::TransitGateway
                | Step::NatGateway
                | Step::Endpoint
                | Step::InternetGateway
                | Step::EgressOnlyGateway
                | Step::IngressAcl,
                None,
            ) => String::new(),
        }
    }

    /// What a source or destination check says of an address.
    fn own(&self, line: &Line, address: std::net::IpAddr, otherwise: &str) -> String {
        let Some(ObjectId::InterfaceId(id)) = line.object else {
            return format!("{address} may come from outside");
        };
        let own = self
            .snapshot
            .interface(id)
            .is_some_and(|interface| interface.addresses.contains(&address));
        if own {
            format!("{address} is its own")
        } else {
            format!("check is off: {otherwise} {address}")
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the list of reasons is open; those that no walk gives have their name only"
    )]
    fn drop(&self, line: &Line, reason: DropReason) -> String {
        let FlowTuple {
            source,
            destination,
            ..
        } = self.tuple;
        let what = service(&self.tuple, self.icmp);
        let rule = self.rule(line).unwrap_or_default();
        match reason {
            DropReason::SecurityGroupEgress => {
                format!("no rule allows {what} to {destination}")
            }
            DropReason::SecurityGroupIngress => {
                format!("no rule allows {what} from {source}")
            }
            DropReason::NetworkAcl if line.rule.is_none() => "it does not exist".to_owned(),
            DropReason::NetworkAcl if line.step == Step::EgressAcl => {
                format!("{what} to {destination} is denied by {rule}")
            }
            DropReason::NetworkAcl => format!("{what} from {source} is denied by {rule}"),
            DropReason::NoRoute => format!("no route for {destination}"),
            DropReason::BlackholeRoute => format!("{rule}: the target is gone or detached"),
            DropReason::NoReturnRoute if line.rule.is_none() => {
                format!("no route for answers to {source}")
            }
            DropReason::NoReturnRoute => {
                format!("{rule}: answers to {source} do not leave by the internet gateway")
            }
            DropReason::NoPublicAddress => format!("{source} has no public address"),
            DropReason::UnassociatedPublicAddress => {
                format!("no interface has the public address {destination}")
            }
            DropReason::NoInternetGateway => "no internet gateway is attached".to_owned(),
            DropReason::UplinkClosed => match self.snapshot.uplink() {
                None => "there is no uplink".to_owned(),
                Some(uplink) => format!("the uplink reaches only {}", uplink.pool),
            },
            DropReason::NoSuchAddress => format!("no interface has the address {destination}"),
            DropReason::NotAService => format!("{destination} is the network's own address"),
            DropReason::SpoofedAddress => format!("{source} may not be sent from here"),
            DropReason::BroadcastOrMulticast => format!("{destination} is not one host"),
            DropReason::Ipv6NotAssigned => "it has no IPv6 address".to_owned(),
            DropReason::DestinationCheck => {
                format!("{destination} is not its own, and the check is on")
            }
            DropReason::EdgeToEdge => {
                format!("{source} is not of the VPC that the connection is for")
            }
            DropReason::NoAttachmentInZone => {
                "the attachment has no subnet in the packet's zone".to_owned()
            }
            DropReason::NoTranslation if line.step == Step::Endpoint => {
                "an endpoint carries TCP and UDP, to a service that has a front and a backend"
                    .to_owned()
            }
            DropReason::NoTranslation if line.step == Step::NatGateway => {
                format!("{} is of no flow through the gateway", self.tuple)
            }
            DropReason::TranslatedTwice => "it has been translated already".to_owned(),
            DropReason::PublicAccessBlocked => {
                "block public access keeps it from the subnet".to_owned()
            }
            DropReason::EgressOnly => format!("{} begins outside", self.tuple),
            DropReason::RoutingLoop => "routes lead in a circle".to_owned(),
            DropReason::NotAttached => "it is not attached to a running instance".to_owned(),
            DropReason::NoInterface => "it does not exist".to_owned(),
            DropReason::MalformedFrame => {
                format!("{source} and {destination} cannot be in one packet")
            }
            other => other.to_string(),
        }
    }
}

/// A rule in words, as it stands in this snapshot; `object` is the one whose rule it is.
#[must_use]
pub fn rule(
    snapshot: &Snapshot,
    step: Step,
    object: Option<ObjectId>,
    reference: RuleRef,
) -> String {
    let inbound = step == Step::IngressAcl;
    match reference {
        RuleRef::GroupRule(id) => {
            let Some(ObjectId::GroupId(group)) = object else {
                return id.to_string();
            };
            group_rule(snapshot, group, id)
        }
        RuleRef::AclEntry(None) => "entry *".to_owned(),
        RuleRef::AclEntry(Some(number)) => match object {
            Some(ObjectId::AclId(acl)) => acl_entry(snapshot, acl, number, inbound),
            _ => format!("entry {number}"),
        },
        RuleRef::Route(route) => {
            let target = match route.target {
                Target::Local => "local".to_owned(),
                Target::InternetGateway(id) => id.to_string(),
                Target::EgressOnlyGateway(id) => id.to_string(),
                Target::Interface(id) => id.to_string(),
                Target::NatGateway(id) => id.to_string(),
                Target::Peering(id) => id.to_string(),
                Target::TransitGateway(id) => id.to_string(),
                Target::Blackhole => "blackhole".to_owned(),
            };
            format!("{} → {target}", route.destination)
        }
        RuleRef::TransitRoute(destination) => {
            let target = transit_target(snapshot, object, destination);
            format!("{destination} → {target}")
        }
        RuleRef::Translation(from, to) => format!("{from} → {to}"),
    }
}

/// Where a transit gateway's route table sends what is for a block.
fn transit_target(snapshot: &Snapshot, table: Option<ObjectId>, destination: Cidr) -> String {
    let Some(ObjectId::TransitGatewayRouteTableId(id)) = table else {
        return "?".to_owned();
    };
    let route = snapshot.transit_route(id, destination.network());
    match route.and_then(|route| route.attachment) {
        Some(attachment) => attachment.to_string(),
        None => "blackhole".to_owned(),
    }
}

fn acl_entry(snapshot: &Snapshot, acl: AclId, number: u16, inbound: bool) -> String {
    let acl = snapshot.vpcs().find_map(|(_, view)| view.acl(acl));
    let entries = acl.map(|acl| if inbound { &acl.ingress } else { &acl.egress });
    let find = |entries: &Vec<AclEntry>| entries.iter().find(|e| e.number == number).copied();
    let Some(entry) = entries.and_then(find) else {
        return format!("entry {number}");
    };
    let verb = if entry.allow { "allow" } else { "deny" };
    let toward = if inbound { "from" } else { "to" };
    let (protocol, cidr) = (entry.protocol, entry.cidr);
    format!("entry {number}: {verb} {protocol} {toward} {cidr}")
}

fn group_rule(snapshot: &Snapshot, group: GroupId, id: types::GroupRuleId) -> String {
    let group = snapshot.vpcs().find_map(|(_, view)| view.group(group));
    let find = |rules: &[Rule]| rules.iter().find(|rule| rule.id == id).copied();
    let inbound = group.and_then(|group| find(&group.ingress));
    let outbound = group.and_then(|group| find(&group.egress));
    match (inbound, outbound) {
        (Some(rule), _) => format!("{id} {} from {}", rule.protocol, rule.peer),
        (None, Some(rule)) => format!("{id} {} to {}", rule.protocol, rule.peer),
        (None, None) => id.to_string(),
    }
}

/// What rules speak about: `tcp 3306`, `icmp type 8 code 0`.
fn service(tuple: &FlowTuple, icmp: Option<(u8, u8)>) -> String {
    match (tuple.protocol, icmp) {
        (proto::TCP, _) => format!("tcp {}", tuple.destination_port),
        (proto::UDP, _) => format!("udp {}", tuple.destination_port),
        (proto::ICMP, Some((kind, code))) => format!("icmp type {kind} code {code}"),
        (proto::ICMPV6, Some((kind, code))) => format!("icmpv6 type {kind} code {code}"),
        (other, _) => format!("protocol {other}"),
    }
}
