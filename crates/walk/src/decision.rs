//! What goes into a walk and what comes out.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use types::{
    DropReason, EndpointId, FlowTuple, GroupRuleId, InterfaceId, NatGatewayId, ObjectId, PortRange,
};

/// Where a packet enters the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// An interface sent it.
    Interface(InterfaceId),
    /// It came in from the outside.
    Uplink,
}

/// A packet, reduced to what can matter to a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Addresses, protocol and ports, as they stand in the headers where the packet enters.
    pub tuple: FlowTuple,
    /// Type and code, of ICMP only.
    pub icmp: Option<(u8, u8)>,
}

/// What the flow table knows of the packet's flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowState {
    /// Nothing: the packet must be allowed by rules.
    New,
    /// It belongs to a flow that rules allowed once, and goes where the flow's first packet went. The security groups of
    /// the ends that track the flow do not look at it again.
    UnderWay(Tracking),
    /// It answers a flow that rules allowed and that came from here. What had the flow's packets does not look at
    /// its answers again: the sender's security groups, and the receiver's if it arrives where the flow came from.
    /// Elsewhere nobody has seen the flow, so rules decide: who sends under a neighbour's address opens nothing there.
    Reply(Origin),
    /// The same, of a flow that a NAT gateway translates like this.
    Translated(Origin, Translation),
}

impl FlowState {
    /// Where the flow came from that the packet answers; `None` for a new one.
    #[must_use]
    pub const fn opener(self) -> Option<Origin> {
        match self {
            FlowState::New | FlowState::UnderWay(_) => None,
            FlowState::Reply(opener) | FlowState::Translated(opener, _) => Some(opener),
        }
    }
}

/// Which ends' security groups remember a flow, so that it outlives the rule that allowed it; see [`crate::tracking`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tracking {
    /// Those of the interface that sends the flow's first packet.
    pub source: bool,
    /// Those of the interface that receives it.
    pub destination: bool,
}

/// An address and a port (or the identifier of an ICMP echo).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// Who translates a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Translator {
    /// A NAT gateway.
    NatGateway(NatGatewayId),
    /// An interface endpoint.
    Endpoint(EndpointId),
}

impl Translator {
    /// Which object it is.
    #[must_use]
    pub fn object(self) -> ObjectId {
        match self {
            Translator::NatGateway(id) => id.into(),
            Translator::Endpoint(id) => id.into(),
        }
    }
}

/// What an endpoint does with the other end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Service {
    /// The endpoint's interface.
    pub interface: InterfaceId,
    /// The end that the sender names: an address of that interface.
    pub named: End,
    /// The end that serves it.
    pub backend: End,
}

/// What a NAT gateway or an endpoint does with a flow: outside it comes from another end than inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// The gateway, or the endpoint.
    pub by: Translator,
    /// The end as the flow's packets reach it.
    pub inside: End,
    /// The end as they leave it: a private address of the gateway's interface, or of the service's front.
    pub outside: End,
    /// Of an endpoint: what becomes of the other end.
    pub service: Option<Service>,
}

impl Translation {
    /// The other end as it sees the flow, of which the sender names this one.
    #[must_use]
    pub fn remote(&self, named: End) -> End {
        self.service.map_or(named, |service| service.backend)
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It arrives.
    Deliver(Delivery),
    /// It does not.
    Drop(Dropped),
}

/// A packet that arrives: where, and what its headers say by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Where it leaves the network.
    pub egress: Egress,
    /// Addresses and ports on arrival. Where a new flow is translated, the source port is still the sender's: whoever
    /// keeps the ports replaces it by a free one.
    pub tuple: FlowTuple,
    /// The NAT gateway on the way, and how it translates. For a new flow, [`Translation::outside`] has the sender's
    /// port.
    pub translation: Option<Translation>,
    /// How many routers it has passed: each takes one from its TTL or hop limit.
    pub hops: u8,
    /// The largest IP packet that every link of the way carries, in bytes.
    pub mtu: u16,
}

/// A router on a packet's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// The address under which it reports what it cannot forward.
    pub address: IpAddr,
    /// What it is: a subnet (for the router of its VPC in it), a NAT gateway or a transit gateway.
    pub object: ObjectId,
    /// The largest IP packet, in bytes, that the links behind it carry, up to the next router.
    pub mtu: u16,
}

/// Where a packet leaves the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Egress {
    /// At this interface.
    Interface(InterfaceId),
    /// To the outside.
    Uplink,
}

/// A packet that does not arrive, and what decided that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dropped {
    /// Why.
    pub reason: DropReason,
    /// At which step.
    pub step: Step,
    /// Which object decided, where there is one.
    pub object: Option<ObjectId>,
    /// Which of its rules, where it was a rule and not the absence of one.
    pub rule: Option<RuleRef>,
}

/// The stages of a walk, in the order in which a packet meets them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Step {
    /// The interface (or uplink) that the packet enters by.
    Source,
    /// Is the source address the interface's own?
    SourceCheck,
    /// The outbound rules of the source interface's security groups.
    EgressSecurityGroup,
    /// The outbound entries of the source subnet's network ACL.
    EgressAcl,
    /// The route table of the source subnet.
    RouteTable,
    /// The peering connection to another VPC.
    Peering,
    /// The transit gateway: its route table, and the attachments on both sides.
    TransitGateway,
    /// The NAT gateway: translation between a private address and the gateway's own.
    NatGateway,
    /// The interface endpoint: translation of both ends between a consumer and a service.
    Endpoint,
    /// The internet gateway: address translation between public and private.
    InternetGateway,
    /// The egress-only internet gateway: IPv6 flows that begin inside, and their answers.
    EgressOnlyGateway,
    /// The inbound entries of the destination subnet's network ACL.
    IngressAcl,
    /// The inbound rules of the destination interface's security groups.
    IngressSecurityGroup,
    /// Is the destination address the interface's own?
    DestinationCheck,
    /// The interface (or uplink) that the packet leaves by.
    Destination,
}

impl Step {
    /// The stable name, in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Step::Source => "source",
            Step::SourceCheck => "source-check",
            Step::EgressSecurityGroup => "egress-security-group",
            Step::EgressAcl => "egress-acl",
            Step::RouteTable => "route-table",
            Step::Peering => "peering",
            Step::TransitGateway => "transit-gateway",
            Step::NatGateway => "nat-gateway",
            Step::Endpoint => "endpoint",
            Step::InternetGateway => "internet-gateway",
            Step::EgressOnlyGateway => "egress-only-gateway",
            Step::IngressAcl => "ingress-acl",
            Step::IngressSecurityGroup => "ingress-security-group",
            Step::DestinationCheck => "destination-check",
            Step::Destination => "destination",
        }
    }
}

/// The rule of an object that decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RuleRef {
    /// A rule of a security group.
    GroupRule(GroupRuleId),
    /// An entry of a network ACL by its number; `None` is the final `*` that denies.
    AclEntry(Option<u16>),
    /// A route, by destination and target.
    Route(topology::Route),
    /// A route of a transit gateway's route table, by destination.
    TransitRoute(types::Cidr),
    /// A translation from one address to another.
    Translation(IpAddr, IpAddr),
}

/// How a step went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The packet passed, for the reason that the line names.
    Pass,
    /// The packet ends here.
    Drop(DropReason),
}

/// One line of a trace: an object that was consulted, and what it said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// The step.
    pub step: Step,
    /// The object that was consulted.
    pub object: Option<ObjectId>,
    /// Its rule that decided, if one did.
    pub rule: Option<RuleRef>,
    /// How it went.
    pub outcome: Outcome,
}

/// Who listens to a walk.
pub trait Trace {
    /// A step was taken.
    fn line(&mut self, line: Line);
    /// The decision depended on this object, whatever it said: if it changes, walk again.
    fn depends_on(&mut self, object: ObjectId);
    /// The packet passes a router.
    #[inline]
    fn hop(&mut self, _: Hop) {}
    /// Behind the last router is a link that carries IP packets of so many bytes.
    #[inline]
    fn link(&mut self, _mtu: u16) {}
    /// The decision looked at a port of the packet, and would be the same for every port in this range, which holds the
    /// packet's. Without such a fact it would be the same for every port.
    #[inline]
    fn holds_for(&mut self, _: Which, _: PortRange) {}
}

/// A port of a packet (of an ICMP echo, its identifier).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// The source port.
    Source,
    /// The destination port.
    Destination,
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    #[inline]
    fn line(&mut self, _: Line) {}
    #[inline]
    fn depends_on(&mut self, _: ObjectId) {}
}
