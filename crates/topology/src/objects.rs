//! The objects of a virtual network, reduced to what decides about packets.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use types::{
    AccountId, AclId, AllocationId, Cidr, EgressOnlyGatewayId, EndpointId, GatewayId, GroupId,
    GroupRuleId, InstanceId, InterfaceId, Mac, NatGatewayId, PeeringConnectionId, PortRange,
    RouteTableId, SubnetId, TransitGatewayAttachmentId, TransitGatewayId,
    TransitGatewayRouteTableId, Vni, VpcId, proto,
};

/// A VPC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vpc {
    /// Its identifier.
    pub id: VpcId,
    /// Its owner.
    pub account: AccountId,
    /// Its number on the wire.
    pub vni: Vni,
    /// The blocks that are local to it.
    pub cidrs: Vec<Cidr>,
    /// The internet gateway that is attached, if any.
    pub internet_gateway: Option<GatewayId>,
    /// The route table that is associated with the internet gateway: it routes what comes in by it, to an appliance for
    /// instance. Without one, everything goes to where its address is.
    pub edge_table: Option<RouteTableId>,
    /// The egress-only internet gateways that are attached.
    pub egress_only_gateways: Vec<EgressOnlyGatewayId>,
    /// What its DHCP tells instances.
    pub dhcp: DhcpOptions,
    /// What its resolver answers.
    pub dns: Dns,
}

/// What a VPC's resolver answers (EC2 "DNS attributes for your VPC").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dns {
    /// Whether there is a resolver (`enableDnsSupport`).
    pub support: bool,
    /// Whether instances have names (`enableDnsHostnames`).
    pub hostnames: bool,
    /// The region, from which names have their domain.
    pub region: String,
}

impl Default for Dns {
    /// Everything on, in EC2's first region.
    fn default() -> Dns {
        Dns {
            support: true,
            hostnames: true,
            region: "us-east-1".to_owned(),
        }
    }
}

impl Dns {
    /// The domain of private names (EC2 "Amazon EC2 instance hostname types").
    #[must_use]
    pub fn private_domain(&self) -> String {
        match self.region.as_str() {
            "us-east-1" => "ec2.internal".to_owned(),
            other => format!("{other}.compute.internal"),
        }
    }

    /// The domain of public names.
    #[must_use]
    pub fn public_domain(&self) -> String {
        match self.region.as_str() {
            "us-east-1" => "compute-1.amazonaws.com".to_owned(),
            other => format!("{other}.compute.amazonaws.com"),
        }
    }
}

/// What DHCP tells instances besides their address (EC2 "DHCP option sets").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DhcpOptions {
    /// The domain of their names.
    pub domain_name: Option<String>,
    /// Who resolves names for them.
    pub name_servers: Vec<NameServer>,
    /// Who tells them the time.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Who resolves NetBIOS names for them.
    pub netbios_name_servers: Vec<Ipv4Addr>,
    /// How they look up NetBIOS names (RFC 2132 section 8.7).
    pub netbios_node_type: Option<u8>,
}

/// Somebody who resolves names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NameServer {
    /// The VPC's own resolver.
    Provided,
    /// Another one.
    At(Ipv4Addr),
}

impl Default for DhcpOptions {
    /// What a VPC of nobody's choosing has: its own resolver.
    fn default() -> DhcpOptions {
        DhcpOptions {
            domain_name: Some("compute.internal".to_owned()),
            name_servers: vec![NameServer::Provided],
            ..DhcpOptions::none()
        }
    }
}

impl DhcpOptions {
    /// Nothing but the address.
    #[must_use]
    pub const fn none() -> DhcpOptions {
        DhcpOptions {
            domain_name: None,
            name_servers: Vec::new(),
            ntp_servers: Vec::new(),
            netbios_name_servers: Vec::new(),
            netbios_node_type: None,
        }
    }
}

/// A subnet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subnet {
    /// Its identifier.
    pub id: SubnetId,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// Its addresses.
    pub cidr: Cidr,
    /// Its IPv6 addresses, if it has two families.
    pub ipv6: Option<Cidr>,
    /// The route table that is associated, explicitly or as the main one.
    pub route_table: RouteTableId,
    /// The network ACL that is associated.
    pub acl: AclId,
    /// The availability zone's id.
    pub zone: String,
    /// What block public access leaves of its way to the outside.
    pub public_access: PublicAccess,
}

/// What may pass between a subnet and the outside by internet gateways (EC2 "Block public access to VPCs and subnets").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum PublicAccess {
    /// Everything.
    #[default]
    Open,
    /// Only what passes a NAT gateway or an egress-only internet gateway: flows that begin inside.
    EgressOnly,
    /// Nothing.
    Closed,
}

impl Subnet {
    /// The virtual router's address in this subnet: the second one (EC2 "Subnet CIDR blocks").
    #[must_use]
    pub fn router(&self) -> IpAddr {
        self.cidr.nth(1).unwrap_or(self.cidr.network())
    }

    /// The same for packets of this address's family; of the other one if the subnet has no block of it.
    #[must_use]
    pub fn router_of(&self, family: IpAddr) -> IpAddr {
        let mut blocks = self.blocks();
        let block = blocks.find(|block| block.is_v4() == family.is_ipv4());
        block
            .and_then(|block| block.nth(1))
            .unwrap_or(self.router())
    }

    /// Its blocks, of both families.
    pub fn blocks(&self) -> impl Iterator<Item = Cidr> {
        std::iter::once(self.cidr).chain(self.ipv6)
    }

    /// Whether one of its blocks holds the address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.blocks().any(|block| block.contains(address))
    }

    /// Its IPv6 block, also if it has no other.
    #[must_use]
    pub fn ipv6_block(&self) -> Option<Cidr> {
        self.blocks().find(|block| !block.is_v4())
    }
}

/// An elastic network interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interface {
    /// Its identifier.
    pub id: InterfaceId,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// The subnet it is in.
    pub subnet: SubnetId,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its private addresses, the primary one first. Never empty.
    pub addresses: Vec<IpAddr>,
    /// Its security groups.
    pub groups: Vec<GroupId>,
    /// Whether it may only send from and receive for its own addresses.
    pub source_dest_check: bool,
    /// The instance it is attached to, if that instance runs.
    pub instance: Option<InstanceId>,
    /// The largest IP packet, in bytes, that it sends and receives.
    pub mtu: u16,
    /// The name its instance has in the VPC's DNS, as told by DHCP: `ip-10-0-0-4`.
    pub hostname: String,
    /// When its idle flows are forgotten.
    pub idle: IdleTimes,
}

/// When idle flows of an interface are forgotten, in seconds (EC2 "Idle connection tracking timeout"); `None` is the
/// host's default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct IdleTimes {
    /// TCP, established.
    pub tcp_established: Option<u32>,
    /// UDP with packets in one direction.
    pub udp: Option<u32>,
    /// UDP with packets in both directions.
    pub udp_stream: Option<u32>,
}

/// A public address bound to a private one (an associated elastic IP).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublicAddress {
    /// The allocation that it is.
    pub allocation: AllocationId,
    /// The address that the outside sees.
    pub public: IpAddr,
    /// The interface it leads to.
    pub interface: InterfaceId,
    /// The interface's address that it stands for.
    pub private: IpAddr,
}

/// A route table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouteTable {
    /// Its identifier.
    pub id: RouteTableId,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// Its routes, the local ones included.
    pub routes: Vec<Route>,
}

/// A route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// Which destinations it is for.
    pub destination: Cidr,
    /// Where they go.
    pub target: Target,
}

/// Where a route leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Target {
    /// To the VPC's own interfaces.
    Local,
    /// Out through the internet gateway.
    InternetGateway(GatewayId),
    /// Out through an egress-only internet gateway: IPv6, and only flows that begin inside.
    EgressOnlyGateway(EgressOnlyGatewayId),
    /// To an interface that forwards (a NAT instance, a firewall).
    Interface(InterfaceId),
    /// Through a NAT gateway of the VPC.
    NatGateway(NatGatewayId),
    /// Into the VPC at the other end of a peering connection.
    Peering(PeeringConnectionId),
    /// To the transit gateway, by the VPC's attachment to it.
    TransitGateway(TransitGatewayId),
    /// Nowhere: the target was deleted.
    Blackhole,
}

/// A security group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Its identifier.
    pub id: GroupId,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// Other VPCs whose interfaces may have it.
    pub also_in: Vec<VpcId>,
    /// What may come in. Order means nothing.
    pub ingress: Vec<Rule>,
    /// What may go out. Order means nothing.
    pub egress: Vec<Rule>,
}

/// A rule of a security group: what it matches is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Its identifier.
    pub id: GroupRuleId,
    /// Which packets.
    pub protocol: ProtocolMatch,
    /// From or to whom.
    pub peer: Peer,
}

/// Which protocols and ports a rule or an ACL entry is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ProtocolMatch {
    /// Every protocol (EC2's `-1`).
    Any,
    /// TCP (6) or UDP (17) to one of these destination ports.
    Ports(u8, PortRange),
    /// ICMP or ICMPv6 of this type and code.
    Icmp(u8, IcmpMatch),
    /// Another protocol, by number.
    Number(u8),
}

/// Which ICMP messages: `None` is every one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IcmpMatch {
    /// The type (EC2's `FromPort`).
    pub kind: Option<u8>,
    /// The code (EC2's `ToPort`).
    pub code: Option<u8>,
}

impl ProtocolMatch {
    /// Whether a packet of this protocol is meant; `icmp` is its type and code.
    #[must_use]
    pub fn matches(self, protocol: u8, destination_port: u16, icmp: Option<(u8, u8)>) -> bool {
        match self {
            ProtocolMatch::Any => true,
            ProtocolMatch::Ports(number, ports) => {
                number == protocol && ports.contains(destination_port)
            }
            ProtocolMatch::Icmp(number, wanted) => {
                number == protocol
                    && icmp.is_some_and(|(kind, code)| {
                        wanted.kind.is_none_or(|k| k == kind)
                            && wanted.code.is_none_or(|c| c == code)
                    })
            }
            ProtocolMatch::Number(number) => number == protocol,
        }
    }

    /// The destination ports around this one for which [`ProtocolMatch::matches`] says the same.
    #[must_use]
    pub fn holds_for(self, protocol: u8, destination_port: u16) -> PortRange {
        let ProtocolMatch::Ports(number, ports) = self else {
            return PortRange::ALL;
        };
        let (first, last) = (ports.first(), ports.last());
        let around = if number != protocol {
            None
        } else if destination_port < first {
            PortRange::new(0, first - 1)
        } else if destination_port > last {
            PortRange::new(last + 1, u16::MAX)
        } else {
            Some(ports)
        };
        around.unwrap_or(PortRange::ALL)
    }
}

impl std::fmt::Display for ProtocolMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |number: u8| match number {
            proto::TCP => "tcp".to_owned(),
            proto::UDP => "udp".to_owned(),
            proto::ICMP => "icmp".to_owned(),
            proto::ICMPV6 => "icmpv6".to_owned(),
            other => format!("protocol {other}"),
        };
        match *self {
            ProtocolMatch::Any => f.write_str("all"),
            ProtocolMatch::Ports(number, PortRange::ALL) => write!(f, "{} *", name(number)),
            ProtocolMatch::Ports(number, ports) => write!(f, "{} {ports}", name(number)),
            ProtocolMatch::Icmp(number, IcmpMatch { kind: None, .. }) => {
                write!(f, "{} *", name(number))
            }
            ProtocolMatch::Icmp(
                number,
                IcmpMatch {
                    kind: Some(kind),
                    code: None,
                },
            ) => {
                write!(f, "{} type {kind}", name(number))
            }
            ProtocolMatch::Icmp(
                number,
                IcmpMatch {
                    kind: Some(kind),
                    code: Some(code),
                },
            ) => {
                write!(f, "{} type {kind} code {code}", name(number))
            }
            ProtocolMatch::Number(number) => f.write_str(&name(number)),
        }
    }
}

/// The other end that a rule is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Peer {
    /// Addresses of a block.
    Cidr(Cidr),
    /// Private addresses of interfaces that have this group.
    Group(GroupId),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Peer::Cidr(cidr) => std::fmt::Display::fmt(cidr, f),
            Peer::Group(group) => std::fmt::Display::fmt(group, f),
        }
    }
}

/// A network ACL.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworkAcl {
    /// Its identifier.
    pub id: AclId,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// For packets into its subnets, by ascending number. No match denies.
    pub ingress: Vec<AclEntry>,
    /// For packets out of its subnets, by ascending number. No match denies.
    pub egress: Vec<AclEntry>,
}

/// An entry of a network ACL; the first one that matches decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AclEntry {
    /// Its place in the order, 1 to 32766.
    pub number: u16,
    /// Whether it allows or denies.
    pub allow: bool,
    /// Which packets.
    pub protocol: ProtocolMatch,
    /// From or to which addresses.
    pub cidr: Cidr,
}

/// A NAT gateway: it lets many private addresses share its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NatGateway {
    /// Its identifier.
    pub id: NatGatewayId,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// The subnet it is in: its packets meet that subnet's network ACL and route table.
    pub subnet: SubnetId,
    /// Its interface, whose private addresses it translates to. Those of a public gateway have public addresses.
    pub interface: InterfaceId,
}

/// An interface endpoint to a service: what comes to its interfaces goes on to the service's backend, which may be in
/// another VPC, from the service's front.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its identifier.
    pub id: EndpointId,
    /// The VPC it is in.
    pub vpc: VpcId,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceId>,
    /// Who owns the service: front and backend count only in a VPC of this account.
    pub provider: AccountId,
    /// The interface whose address the backend sees as source. Flows of many endpoints share it.
    pub front: InterfaceId,
    /// The interface that serves.
    pub backend: InterfaceId,
}

/// An active peering connection: two VPCs that route to each other, and no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peering {
    /// Its identifier.
    pub id: PeeringConnectionId,
    /// The VPCs: the requester's and the accepter's.
    pub vpcs: [VpcId; 2],
}

impl Peering {
    /// The VPC at the other end; `None` if this one is at neither.
    #[must_use]
    pub fn other(&self, vpc: VpcId) -> Option<VpcId> {
        match self.vpcs {
            [a, b] if a == vpc => Some(b),
            [a, b] if b == vpc => Some(a),
            [..] => None,
        }
    }
}

/// A VPC's attachment to a transit gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitAttachment {
    /// Its identifier.
    pub id: TransitGatewayAttachmentId,
    /// The transit gateway.
    pub gateway: TransitGatewayId,
    /// The VPC. It has one attachment to a transit gateway.
    pub vpc: VpcId,
    /// Where packets leave and enter the VPC: one subnet in each of its zones.
    pub subnets: Vec<SubnetId>,
    /// The gateway's interfaces in these subnets. It reports under their addresses what it cannot forward.
    pub interfaces: Vec<InterfaceId>,
    /// Whether both directions of a flow enter the VPC in the same zone, for the sake of an appliance there.
    pub appliance_mode: bool,
    /// Whether rules of the VPC may name security groups of other VPCs behind the gateway.
    pub group_references: bool,
    /// Whether it carries IPv6.
    pub ipv6: bool,
    /// The transit gateway's route table that is associated: it routes what comes from the VPC.
    pub route_table: Option<TransitGatewayRouteTableId>,
}

/// A peering of two transit gateways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitPeering {
    /// Its identifier, the same at both.
    pub id: TransitGatewayAttachmentId,
    /// Each gateway, and its route table that is associated there: it routes what comes in by the peering.
    pub ends: [(TransitGatewayId, Option<TransitGatewayRouteTableId>); 2],
}

impl TransitPeering {
    /// The gateway at the other end and its table; `None` if this one is at neither.
    #[must_use]
    pub fn other(
        &self,
        gateway: TransitGatewayId,
    ) -> Option<(TransitGatewayId, Option<TransitGatewayRouteTableId>)> {
        match self.ends {
            [(a, _), b] if a == gateway => Some(b),
            [a, (b, _)] if b == gateway => Some(a),
            [..] => None,
        }
    }
}

/// A route table of a transit gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitRouteTable {
    /// Its identifier.
    pub id: TransitGatewayRouteTableId,
    /// The transit gateway.
    pub gateway: TransitGatewayId,
    /// Its routes, static and propagated. Order means nothing.
    pub routes: Vec<TransitRoute>,
}

/// A route of a transit gateway's route table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitRoute {
    /// Which destinations it is for.
    pub destination: Cidr,
    /// The attachment they go to; `None` is a blackhole.
    pub attachment: Option<TransitGatewayAttachmentId>,
    /// Whether somebody made it: then it goes before one that was propagated.
    pub is_static: bool,
}

/// What is behind a host's uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Uplink {
    /// The pool of public addresses.
    pub pool: Cidr,
    /// The host's own address in the pool.
    pub host: IpAddr,
    /// Whether destinations outside of the pool are reachable too.
    pub internet: bool,
    /// The same for IPv6, if the uplink carries it. The pool is what the VPCs' blocks are of.
    pub ipv6: Option<UplinkSide>,
}

/// One address family of an uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UplinkSide {
    /// The pool of public addresses.
    pub pool: Cidr,
    /// The host's own address in the pool.
    pub host: IpAddr,
    /// Whether destinations outside of the pool are reachable too.
    pub internet: bool,
}

impl Uplink {
    /// What is behind it for packets of this address's family.
    #[must_use]
    pub const fn side(&self, address: IpAddr) -> Option<UplinkSide> {
        match address {
            IpAddr::V4(_) => Some(UplinkSide {
                pool: self.pool,
                host: self.host,
                internet: self.internet,
            }),
            IpAddr::V6(_) => self.ipv6,
        }
    }
}
