//! A network as text that a person can write and read: what fixtures and examples are made of.
//!
//! One line is one object or one rule of the object above it; indentation means nothing, `#` begins a comment.
//! Objects have names instead of identifiers, unique per kind, and may be named before they are defined (or never:
//! then the reference leads nowhere).
//!
//! ```text
//! uplink 203.0.113.0/24 host 203.0.113.1 [ipv6 2001:db8::/32 host 2001:db8::1] [internet]
//! vpc NAME account 111111111111 cidr 10.0.0.0/16 [cidr 2001:db8:1::/56] [gateway NAME] [edge TABLE]
//!     [egress-only NAME]
//!   table NAME                                        # has the local routes of the VPC's blocks
//!     route 0.0.0.0/0 igw NAME | eigw NAME | eni NAME | nat NAME | pcx NAME | tgw NAME | blackhole
//!   acl NAME
//!     in 100 allow tcp 80 from 0.0.0.0/0
//!     out 100 deny all to 0.0.0.0/0
//!   group NAME [also VPC[,…]]                         # other VPCs whose interfaces may have it
//!     in tcp 3306 from GROUP
//!     out all to 0.0.0.0/0
//!   subnet NAME 10.0.1.0/24 [ipv6 2001:db8:1::/64] [table NAME] [acl NAME] [zone NAME]   # by default local routes, an ACL that allows all
//!     [egress-only | closed]                          # what block public access leaves, on the same line
//!   interface NAME subnet NAME address 10.0.1.4[,…] [groups NAME[,…]] [unchecked] [detached] [mtu N]
//!   elastic NAME 203.0.113.5 interface NAME [private 10.0.1.4]
//!   nat NAME subnet NAME interface NAME
//!   endpoint NAME interfaces NAME[,…] front NAME backend NAME [provider ACCOUNT]
//!   attachment NAME tgw NAME subnets NAME[,…] [table NAME] [appliance] [references] [ipv6]
//! peering NAME VPC VPC
//! crossing NAME tgw NAME [table NAME] tgw NAME [table NAME]   # a peering of two transit gateways
//! transit NAME tgw NAME                               # a transit gateway's route table
//!   to 10.1.0.0/16 ATTACHMENT | blackhole [propagated]
//! ```
//!
//! Protocols are `all`, `tcp 80`, `udp 1-99`, `tcp *`, `icmp 8`, `icmp 3/4`, `icmp *`, `protocol 47`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use types::{
    AccountId, AclId, AllocationId, Cidr, EgressOnlyGatewayId, EndpointId, GatewayId, GroupId,
    GroupRuleId, InstanceId, InterfaceId, Mac, NatGatewayId, ObjectId, PeeringConnectionId,
    PortRange, RouteTableId, SubnetId, TransitGatewayAttachmentId, TransitGatewayId,
    TransitGatewayRouteTableId, Vni, VpcId, proto,
};

use crate::{
    AclEntry, Change, Endpoint, IcmpMatch, Interface, NatGateway, NetworkAcl, Object, Peer,
    Peering, ProtocolMatch, PublicAccess, PublicAddress, Route, RouteTable, Rule, SecurityGroup,
    Snapshot, Subnet, Target, TransitAttachment, TransitPeering, TransitRoute, TransitRouteTable,
    Uplink, UplinkSide, Vpc,
};

/// A text that is no network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected there.
    pub expected: &'static str,
    /// What stood there.
    pub found: String,
}

impl std::fmt::Display for TextError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TextError {
            line,
            expected,
            found,
        } = self;
        write!(f, "line {line}: `{found}` where {expected} is expected")
    }
}

impl std::error::Error for TextError {}

/// A network that was read from text.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// What is behind the uplink.
    pub uplink: Option<Uplink>,
    /// The objects.
    pub objects: Vec<Object>,
    ids: BTreeMap<(&'static str, String), u128>,
    names: BTreeMap<ObjectId, String>,
}

impl Network {
    /// The network with nothing missing, at revision 1.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let changes: Vec<Change> = self.objects.iter().cloned().map(Change::Put).collect();
        Snapshot::new(self.uplink).apply(1, &changes)
    }

    /// The interface of this name; one that leads nowhere if the text has none.
    #[must_use]
    pub fn interface(&self, name: &str) -> InterfaceId {
        let key = (InterfaceId::PREFIX, name.to_owned());
        InterfaceId::from_bits(self.ids.get(&key).copied().unwrap_or(u128::MAX))
    }

    /// The NAT gateway of this name; one that leads nowhere if the text has none.
    #[must_use]
    pub fn nat_gateway(&self, name: &str) -> NatGatewayId {
        let key = (NatGatewayId::PREFIX, name.to_owned());
        NatGatewayId::from_bits(self.ids.get(&key).copied().unwrap_or(u128::MAX))
    }

    /// What an object is called: its kind and its name, or its identifier if it has no name.
    #[must_use]
    pub fn name(&self, id: ObjectId) -> String {
        self.names
            .get(&id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }

    /// The endpoint of this name; one that leads nowhere if the text has none.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> EndpointId {
        let key = (EndpointId::PREFIX, name.to_owned());
        EndpointId::from_bits(self.ids.get(&key).copied().unwrap_or(u128::MAX))
    }

    fn id<I: Copy + Into<ObjectId>>(
        &mut self,
        prefix: &'static str,
        name: &str,
        make: fn(u128) -> I,
    ) -> I {
        let key = (prefix, name.to_owned());
        let next = self.ids.keys().filter(|(kind, _)| *kind == prefix).count() + 1;
        let bits = *self
            .ids
            .entry(key)
            .or_insert_with(|| u128::try_from(next).unwrap_or(u128::MAX));
        let id = make(bits);
        self.names
            .entry(id.into())
            .or_insert_with(|| format!("{prefix} {name}"));
        id
    }

    fn group(&mut self, name: &str) -> GroupId {
        self.id(GroupId::PREFIX, name, GroupId::from_bits)
    }

    fn acl(&mut self, name: &str) -> AclId {
        self.id(AclId::PREFIX, name, AclId::from_bits)
    }

    fn table(&mut self, name: &str) -> RouteTableId {
        self.id(RouteTableId::PREFIX, name, RouteTableId::from_bits)
    }

    fn gateway(&mut self, name: &str) -> GatewayId {
        self.id(GatewayId::PREFIX, name, GatewayId::from_bits)
    }

    fn egress_only(&mut self, name: &str) -> EgressOnlyGatewayId {
        let make = EgressOnlyGatewayId::from_bits;
        self.id(EgressOnlyGatewayId::PREFIX, name, make)
    }

    fn eni(&mut self, name: &str) -> InterfaceId {
        self.id(InterfaceId::PREFIX, name, InterfaceId::from_bits)
    }

    fn nat(&mut self, name: &str) -> NatGatewayId {
        self.id(NatGatewayId::PREFIX, name, NatGatewayId::from_bits)
    }

    fn peering(&mut self, name: &str) -> PeeringConnectionId {
        let make = PeeringConnectionId::from_bits;
        self.id(PeeringConnectionId::PREFIX, name, make)
    }

    fn transit_gateway(&mut self, name: &str) -> TransitGatewayId {
        self.id(TransitGatewayId::PREFIX, name, TransitGatewayId::from_bits)
    }

    fn attachment(&mut self, name: &str) -> TransitGatewayAttachmentId {
        let make = TransitGatewayAttachmentId::from_bits;
        self.id(TransitGatewayAttachmentId::PREFIX, name, make)
    }

    fn transit_table(&mut self, name: &str) -> TransitGatewayRouteTableId {
        let make = TransitGatewayRouteTableId::from_bits;
        self.id(TransitGatewayRouteTableId::PREFIX, name, make)
    }

    fn vpc(&mut self, name: &str) -> VpcId {
        self.id(VpcId::PREFIX, name, VpcId::from_bits)
    }

    fn subnet(&mut self, name: &str) -> SubnetId {
        self.id(SubnetId::PREFIX, name, SubnetId::from_bits)
    }
}

/// Reads a network.
///
/// # Errors
/// The first line that is not in the language.
pub fn parse(text: &str) -> Result<Network, TextError> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = Words {
            line: index + 1,
            rest: line.split_whitespace(),
        };
        if let Some(first) = words.rest.next() {
            reader.line(first, &mut words)?;
            if let Some(more) = words.rest.next() {
                return Err(words.wrong("the end of the line", more));
            }
        }
    }
    Ok(reader.network)
}

struct Words<'a> {
    line: usize,
    rest: std::str::SplitWhitespace<'a>,
}

impl<'a> Words<'a> {
    fn wrong(&self, expected: &'static str, found: &str) -> TextError {
        TextError {
            line: self.line,
            expected,
            found: found.to_owned(),
        }
    }

    fn word(&mut self, expected: &'static str) -> Result<&'a str, TextError> {
        self.rest.next().ok_or_else(|| self.wrong(expected, ""))
    }

    fn value<T: FromStr>(&mut self, expected: &'static str) -> Result<T, TextError> {
        let word = self.word(expected)?;
        word.parse().map_err(|_| self.wrong(expected, word))
    }

    fn keyword(&mut self, keyword: &'static str) -> Result<(), TextError> {
        let word = self.word(keyword)?;
        if word == keyword {
            Ok(())
        } else {
            Err(self.wrong(keyword, word))
        }
    }
}

#[derive(Default)]
struct Reader {
    network: Network,
    /// The VPC that lines belong to.
    vpc: Option<Vpc>,
    vpcs: u32,
    rules: u128,
    interfaces: u16,
}

impl Reader {
    fn line(&mut self, first: &str, words: &mut Words<'_>) -> Result<(), TextError> {
        match first {
            "uplink" => self.uplink(words),
            "vpc" => self.vpc(words),
            "table" => self.table(words),
            "route" => self.route(words),
            "acl" => self.acl(words),
            "group" => self.group(words),
            "in" => self.rule(words, true),
            "out" => self.rule(words, false),
            "subnet" => self.subnet(words),
            "interface" => self.interface(words),
            "elastic" => self.elastic(words),
            "nat" => self.nat(words),
            "endpoint" => self.endpoint(words),
            "attachment" => self.attachment(words),
            "peering" => self.peering(words),
            "crossing" => self.crossing(words),
            "transit" => self.transit(words),
            "to" => self.transit_route(words),
            other => Err(words.wrong("an object or a rule", other)),
        }
    }

    fn here(&self, words: &Words<'_>) -> Result<Vpc, TextError> {
        self.vpc
            .clone()
            .ok_or_else(|| words.wrong("a vpc before its parts", ""))
    }

    fn uplink(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let pool = words.value("the pool")?;
        words.keyword("host")?;
        let host = words.value("the host's address")?;
        let mut uplink = Uplink {
            pool,
            host,
            internet: false,
            ipv6: None,
        };
        while let Some(word) = words.rest.next() {
            match word {
                "ipv6" => {
                    let pool = words.value("the pool")?;
                    words.keyword("host")?;
                    uplink.ipv6 = Some(UplinkSide {
                        pool,
                        host: words.value("the host's address")?,
                        internet: false,
                    });
                }
                "internet" => uplink.internet = true,
                other => return Err(words.wrong("ipv6 or internet", other)),
            }
        }
        if let Some(side) = &mut uplink.ipv6 {
            side.internet = uplink.internet;
        }
        self.network.uplink = Some(uplink);
        Ok(())
    }

    fn vpc(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let name = words.word("a name")?;
        let id = self.network.id(VpcId::PREFIX, name, VpcId::from_bits);
        words.keyword("account")?;
        let account: AccountId = words.value("an account")?;
        self.vpcs += 1;
        let mut vpc = Vpc {
            id,
            account,
            vni: Vni::new(self.vpcs).unwrap_or(Vni::MAX),
            cidrs: Vec::new(),
            internet_gateway: None,
            edge_table: None,
            dhcp: crate::DhcpOptions::default(),
            dns: crate::Dns::default(),
            egress_only_gateways: Vec::new(),
        };
        while let Some(word) = words.rest.next() {
            match word {
                "cidr" => vpc.cidrs.push(words.value("a block")?),
                "gateway" => {
                    vpc.internet_gateway = Some(self.network.gateway(words.word("a name")?));
                }
                "edge" => vpc.edge_table = Some(self.network.table(words.word("a name")?)),
                "egress-only" => {
                    let gateway = self.network.egress_only(words.word("a name")?);
                    vpc.egress_only_gateways.push(gateway);
                }
                other => return Err(words.wrong("cidr, gateway, edge or egress-only", other)),
            }
        }
        self.network.objects.push(Object::Vpc(vpc.clone()));
        // What a subnet has that names nothing else.
        let everything = |cidr| AclEntry {
            number: 100,
            allow: true,
            protocol: ProtocolMatch::Any,
            cidr,
        };
        let open = NetworkAcl {
            id: self.network.acl(name),
            vpc: id,
            ingress: vec![everything(Cidr::ALL_V4), everything(Cidr::ALL_V6)],
            egress: vec![everything(Cidr::ALL_V4), everything(Cidr::ALL_V6)],
        };
        self.network.objects.push(Object::NetworkAcl(open));
        let main = RouteTable {
            id: self.network.table(name),
            vpc: id,
            routes: local_routes(&vpc),
        };
        self.network.objects.push(Object::RouteTable(main));
        self.vpc = Some(vpc);
        Ok(())
    }

    fn table(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let vpc = self.here(words)?;
        let id = self.network.table(words.word("a name")?);
        self.network.objects.push(Object::RouteTable(RouteTable {
            id,
            vpc: vpc.id,
            routes: local_routes(&vpc),
        }));
        Ok(())
    }

    fn route(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let destination = words.value("a block")?;
        let target = match words.word("a target")? {
            "blackhole" => Target::Blackhole,
            "igw" => Target::InternetGateway(self.network.gateway(words.word("a name")?)),
            "eigw" => Target::EgressOnlyGateway(self.network.egress_only(words.word("a name")?)),
            "eni" => Target::Interface(self.network.eni(words.word("a name")?)),
            "nat" => Target::NatGateway(self.network.nat(words.word("a name")?)),
            "pcx" => Target::Peering(self.network.peering(words.word("a name")?)),
            "tgw" => Target::TransitGateway(self.network.transit_gateway(words.word("a name")?)),
            other => return Err(words.wrong("igw, eigw, eni, nat, pcx, tgw or blackhole", other)),
        };
        match self.network.objects.last_mut() {
            Some(Object::RouteTable(table)) => {
                table.routes.push(Route {
                    destination,
                    target,
                });
                Ok(())
            }
            _ => Err(words.wrong("a table before its routes", "route")),
        }
    }

    fn acl(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let vpc = self.here(words)?.id;
        let id = self.network.acl(words.word("a name")?);
        self.network.objects.push(Object::NetworkAcl(NetworkAcl {
            id,
            vpc,
            ingress: Vec::new(),
            egress: Vec::new(),
        }));
        Ok(())
    }

    fn group(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let vpc = self.here(words)?.id;
        let id = self.network.group(words.word("a name")?);
        let mut also_in = Vec::new();
        if let Some(word) = words.rest.next() {
            if word != "also" {
                return Err(words.wrong("also", word));
            }
            let names = words.word("names of VPCs")?.split(',');
            also_in.extend(names.map(|name| self.network.vpc(name)));
        }
        self.network
            .objects
            .push(Object::SecurityGroup(SecurityGroup {
                id,
                vpc,
                also_in,
                ingress: Vec::new(),
                egress: Vec::new(),
            }));
        Ok(())
    }

    fn rule(&mut self, words: &mut Words<'_>, inbound: bool) -> Result<(), TextError> {
        let toward = if inbound { "from" } else { "to" };
        if let Some(Object::NetworkAcl(_)) = self.network.objects.last() {
            let number = words.value("a number")?;
            let allow = match words.word("allow or deny")? {
                "allow" => true,
                "deny" => false,
                other => return Err(words.wrong("allow or deny", other)),
            };
            let protocol = protocol(words)?;
            words.keyword(toward)?;
            let cidr = words.value("a block")?;
            let entry = AclEntry {
                number,
                allow,
                protocol,
                cidr,
            };
            if let Some(Object::NetworkAcl(acl)) = self.network.objects.last_mut() {
                if inbound {
                    &mut acl.ingress
                } else {
                    &mut acl.egress
                }
                .push(entry);
            }
            return Ok(());
        }
        let protocol = protocol(words)?;
        words.keyword(toward)?;
        let peer = words.word("a block or a group")?;
        let peer = match peer.parse() {
            Ok(cidr) => Peer::Cidr(cidr),
            Err(_) => Peer::Group(self.network.group(peer)),
        };
        self.rules += 1;
        let rule = Rule {
            id: GroupRuleId::from_bits(self.rules),
            protocol,
            peer,
        };
        match self.network.objects.last_mut() {
            Some(Object::SecurityGroup(group)) => {
                if inbound {
                    &mut group.ingress
                } else {
                    &mut group.egress
                }
                .push(rule);
                Ok(())
            }
            _ => Err(words.wrong("a group or an acl before its rules", toward)),
        }
    }

    fn subnet(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let vpc = self.here(words)?.id;
        let name = words.word("a name")?;
        let id = self.network.id(SubnetId::PREFIX, name, SubnetId::from_bits);
        let cidr = words.value("a block")?;
        let bits = vpc.bits();
        let mut subnet = Subnet {
            id,
            vpc,
            cidr,
            ipv6: None,
            // The first table and ACL of each VPC are its own, in the order of the VPCs.
            route_table: self.own(bits, RouteTableId::PREFIX, RouteTableId::from_bits),
            acl: self.own(bits, AclId::PREFIX, AclId::from_bits),
            zone: "use1-az1".to_owned(),
            public_access: PublicAccess::Open,
        };
        while let Some(word) = words.rest.next() {
            match word {
                "ipv6" => subnet.ipv6 = Some(words.value("a block")?),
                "table" => subnet.route_table = self.network.table(words.word("a name")?),
                "acl" => subnet.acl = self.network.acl(words.word("a name")?),
                "zone" => words.word("a name")?.clone_into(&mut subnet.zone),
                "egress-only" => subnet.public_access = PublicAccess::EgressOnly,
                "closed" => subnet.public_access = PublicAccess::Closed,
                other => {
                    return Err(words.wrong("ipv6, table, acl, zone, egress-only or closed", other));
                }
            }
        }
        self.network.objects.push(Object::Subnet(subnet));
        Ok(())
    }

    /// The object of this kind that has the name of the VPC.
    fn own<I: Copy + Into<ObjectId>>(
        &mut self,
        vpc: u128,
        prefix: &'static str,
        make: fn(u128) -> I,
    ) -> I {
        let name = self
            .network
            .ids
            .iter()
            .find(|((kind, _), bits)| *kind == VpcId::PREFIX && **bits == vpc)
            .map(|((_, name), _)| name.clone())
            .unwrap_or_default();
        self.network.id(prefix, &name, make)
    }

    fn interface(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let vpc = self.here(words)?.id;
        let name = words.word("a name")?;
        let id = self.network.eni(name);
        words.keyword("subnet")?;
        let subnet = words.word("a name")?;
        let subnet = self
            .network
            .id(SubnetId::PREFIX, subnet, SubnetId::from_bits);
        words.keyword("address")?;
        let list = words.word("addresses")?;
        let addresses: Result<Vec<IpAddr>, _> = list.split(',').map(str::parse).collect();
        self.interfaces += 1;
        let [high, low] = self.interfaces.to_be_bytes();
        let mut interface = Interface {
            id,
            vpc,
            subnet,
            mac: Mac([0x06, 0, 0, 0, high, low]),
            addresses: addresses.map_err(|_| words.wrong("addresses", list))?,
            groups: Vec::new(),
            source_dest_check: true,
            instance: Some(InstanceId::from_bits(id.bits())),
            mtu: 1500,
            hostname: name.to_owned(),
            idle: crate::IdleTimes::default(),
        };
        while let Some(word) = words.rest.next() {
            match word {
                "groups" => {
                    let list = words.word("names")?;
                    interface.groups = list.split(',').map(|g| self.network.group(g)).collect();
                }
                "unchecked" => interface.source_dest_check = false,
                "detached" => interface.instance = None,
                "mtu" => interface.mtu = words.value("bytes")?,
                other => return Err(words.wrong("groups, unchecked, detached or mtu", other)),
            }
        }
        self.network.objects.push(Object::Interface(interface));
        Ok(())
    }

    fn elastic(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let name = words.word("a name")?;
        let allocation = self
            .network
            .id(AllocationId::PREFIX, name, AllocationId::from_bits);
        let public = words.value("an address")?;
        words.keyword("interface")?;
        let interface = self.network.eni(words.word("a name")?);
        let primary = self.network.objects.iter().find_map(|object| {
            let Object::Interface(found) = object else {
                return None;
            };
            (found.id == interface).then(|| found.addresses.first().copied())?
        });
        let private = match words.rest.next() {
            None => primary,
            Some("private") => Some(words.value("an address")?),
            Some(other) => return Err(words.wrong("private", other)),
        };
        let Some(private) = private else {
            return Err(words.wrong("private, or an interface that is already there", name));
        };
        self.network
            .objects
            .push(Object::PublicAddress(PublicAddress {
                allocation,
                public,
                interface,
                private,
            }));
        Ok(())
    }
}

/// What joins VPCs, and NAT gateways.
impl Reader {
    fn nat(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let vpc = self.here(words)?.id;
        let id = self.network.nat(words.word("a name")?);
        words.keyword("subnet")?;
        let subnet = self.network.subnet(words.word("a name")?);
        words.keyword("interface")?;
        let interface = self.network.eni(words.word("a name")?);
        self.network.objects.push(Object::NatGateway(NatGateway {
            id,
            vpc,
            subnet,
            interface,
        }));
        Ok(())
    }

    fn endpoint(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let here = self.here(words)?;
        let (vpc, mut provider) = (here.id, here.account);
        let name = words.word("a name")?;
        let id = self
            .network
            .id(EndpointId::PREFIX, name, EndpointId::from_bits);
        words.keyword("interfaces")?;
        let names = words.word("interfaces")?;
        let interfaces = names.split(',').map(|name| self.network.eni(name));
        let interfaces = interfaces.collect();
        words.keyword("front")?;
        let front = self.network.eni(words.word("a name")?);
        words.keyword("backend")?;
        let backend = self.network.eni(words.word("a name")?);
        if let Some(word) = words.rest.next() {
            if word != "provider" {
                return Err(words.wrong("provider", word));
            }
            provider = words.value("an account")?;
        }
        self.network.objects.push(Object::Endpoint(Endpoint {
            id,
            vpc,
            provider,
            interfaces,
            front,
            backend,
        }));
        Ok(())
    }

    fn peering(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let id = self.network.peering(words.word("a name")?);
        let requester = self.network.vpc(words.word("a vpc")?);
        let accepter = self.network.vpc(words.word("a vpc")?);
        self.network.objects.push(Object::Peering(Peering {
            id,
            vpcs: [requester, accepter],
        }));
        Ok(())
    }

    fn crossing(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let id = self.network.attachment(words.word("a name")?);
        let mut ends = Vec::new();
        while let Some(word) = words.rest.next() {
            match (word, ends.last_mut()) {
                ("tgw", _) => {
                    let gateway = self.network.transit_gateway(words.word("a name")?);
                    ends.push((gateway, None));
                }
                ("table", Some((_, table))) => {
                    *table = Some(self.network.transit_table(words.word("a name")?));
                }
                (other, _) => return Err(words.wrong("tgw or table", other)),
            }
        }
        let ends = <[_; 2]>::try_from(ends).map_err(|_| words.wrong("two gateways", ""))?;
        let peering = TransitPeering { id, ends };
        self.network.objects.push(Object::TransitPeering(peering));
        Ok(())
    }

    fn attachment(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let vpc = self.here(words)?.id;
        let id = self.network.attachment(words.word("a name")?);
        words.keyword("tgw")?;
        let gateway = self.network.transit_gateway(words.word("a name")?);
        words.keyword("subnets")?;
        let names = words.word("names")?.split(',');
        let mut attachment = TransitAttachment {
            id,
            gateway,
            vpc,
            subnets: names.map(|name| self.network.subnet(name)).collect(),
            interfaces: Vec::new(),
            appliance_mode: false,
            group_references: false,
            ipv6: false,
            route_table: None,
        };
        while let Some(word) = words.rest.next() {
            match word {
                "table" => {
                    let name = words.word("a name")?;
                    attachment.route_table = Some(self.network.transit_table(name));
                }
                "appliance" => attachment.appliance_mode = true,
                "references" => attachment.group_references = true,
                "ipv6" => attachment.ipv6 = true,
                other => return Err(words.wrong("table, appliance, references or ipv6", other)),
            }
        }
        self.network
            .objects
            .push(Object::TransitAttachment(attachment));
        Ok(())
    }

    fn transit(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let id = self.network.transit_table(words.word("a name")?);
        words.keyword("tgw")?;
        let gateway = self.network.transit_gateway(words.word("a name")?);
        let table = TransitRouteTable {
            id,
            gateway,
            routes: Vec::new(),
        };
        self.network.objects.push(Object::TransitRouteTable(table));
        Ok(())
    }

    fn transit_route(&mut self, words: &mut Words<'_>) -> Result<(), TextError> {
        let destination = words.value("a block")?;
        let attachment = match words.word("an attachment, or blackhole")? {
            "blackhole" => None,
            name => Some(self.network.attachment(name)),
        };
        let is_static = match words.rest.next() {
            None => true,
            Some("propagated") => false,
            Some(other) => return Err(words.wrong("propagated", other)),
        };
        match self.network.objects.last_mut() {
            Some(Object::TransitRouteTable(table)) => {
                table.routes.push(TransitRoute {
                    destination,
                    attachment,
                    is_static,
                });
                Ok(())
            }
            _ => Err(words.wrong("a transit table before its routes", "to")),
        }
    }
}

fn local_routes(vpc: &Vpc) -> Vec<Route> {
    let local = |cidr: &Cidr| Route {
        destination: *cidr,
        target: Target::Local,
    };
    vpc.cidrs.iter().map(local).collect()
}

fn protocol(words: &mut Words<'_>) -> Result<ProtocolMatch, TextError> {
    let name = words.word("a protocol")?;
    if name == "all" {
        return Ok(ProtocolMatch::Any);
    }
    let number = match name {
        "tcp" => proto::TCP,
        "udp" => proto::UDP,
        "icmp" => proto::ICMP,
        "icmpv6" => proto::ICMPV6,
        "protocol" => return words.value("a number").map(ProtocolMatch::Number),
        other => return Err(words.wrong("a protocol", other)),
    };
    let detail = words.word("ports, or a type")?;
    let parsed = if matches!(number, proto::ICMP | proto::ICMPV6) {
        icmp(detail).map(|icmp| ProtocolMatch::Icmp(number, icmp))
    } else {
        ports(detail).map(|ports| ProtocolMatch::Ports(number, ports))
    };
    parsed.ok_or_else(|| words.wrong("ports, or a type", detail))
}

fn icmp(text: &str) -> Option<IcmpMatch> {
    if text == "*" {
        return Some(IcmpMatch {
            kind: None,
            code: None,
        });
    }
    let (kind, code) = match text.split_once('/') {
        Some((kind, code)) => (kind, Some(code.parse().ok()?)),
        None => (text, None),
    };
    Some(IcmpMatch {
        kind: Some(kind.parse().ok()?),
        code,
    })
}

fn ports(text: &str) -> Option<PortRange> {
    if text == "*" {
        return Some(PortRange::ALL);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    PortRange::new(first.parse().ok()?, last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers_and_back() {
        let network = parse(
            "vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
             subnet s 10.0.1.0/24 table t   # not defined yet
             table t
               route 0.0.0.0/0 igw a
             group web
               in tcp 80 from 0.0.0.0/0
               in icmp 8/0 from web
             interface one subnet s address 10.0.1.4 groups web
             elastic e 203.0.113.5 interface one",
        )
        .unwrap();
        let snapshot = network.snapshot();
        let one = network.interface("one");
        let view = snapshot.vpc_of(one).unwrap();
        let interface = view.interface_at("10.0.1.4".parse().unwrap()).unwrap();
        assert_eq!(interface.id, one);
        assert_eq!(network.name(one.into()), "eni one");
        let subnet = view.subnet(interface.subnet).unwrap();
        let table = view.route_table(subnet.route_table).unwrap();
        assert_eq!(network.name(table.id.into()), "rtb t");
        assert_eq!(table.routes.len(), 2);
        let group = view.group(interface.groups[0]).unwrap();
        assert_eq!(group.ingress[1].peer, Peer::Group(group.id));
        assert!(snapshot.interface(network.interface("none")).is_none());
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, line, expected) in [
            ("\nsubnet s 10.0.0.0/24", 2, "a vpc before its parts"),
            ("vpc a account 1", 1, "an account"),
            ("frob", 1, "an object or a rule"),
            (
                "vpc a account 111111111111\nroute ::/0 blackhole x",
                2,
                "the end of the line",
            ),
            (
                "vpc a account 111111111111\ngroup g\nin tcp 9-1 from g",
                3,
                "ports, or a type",
            ),
            (
                "vpc a account 111111111111\ngroup g\nin all to g",
                3,
                "from",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line, error.expected), (line, expected), "{text}");
        }
    }
}
