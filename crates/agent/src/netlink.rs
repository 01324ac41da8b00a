//! Links, addresses and routes of the network namespace that a connection was made in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressProtocol};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
    LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{
    AddressMessageBuilder, Handle, IpVersion, LinkMessageBuilder, LinkUnspec, LinkVeth,
    RouteMessageBuilder,
};
use types::{Cidr, Mac};

/// A link, as far as we care.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Option<Mac>,
}

/// One end of a veth pair to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct End {
    pub(crate) name: String,
    pub(crate) mac: Mac,
    /// The largest IP packet that it sends and receives, in bytes.
    pub(crate) mtu: u32,
}

/// A rule of ours: packets from this address look their route up in this table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SourceRule {
    pub(crate) source: IpAddr,
    pub(crate) table: u32,
}

/// Where a route stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) table: u32,
    /// Of several routes of one table to the same destination, the least metric holds.
    pub(crate) metric: u32,
}

/// The table in which every packet looks that no rule sends elsewhere.
pub(crate) const MAIN_TABLE: u32 = 254;

/// Marks the addresses and rules inside a guest that are ours to remove again. The kernel gives the number no meaning.
const OURS: u8 = 112;

/// A connection to the kernel.
#[derive(Clone)]
pub(crate) struct Netlink {
    handle: Handle,
    /// Whether the kernel knows IPv6 at all; if not, it refuses its attributes.
    ipv6: bool,
}

impl Netlink {
    /// Connects in the network namespace of the calling thread. The current tokio runtime serves the connection
    /// until the last clone is gone.
    pub(crate) fn connect() -> io::Result<Netlink> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Netlink {
            handle,
            ipv6: std::path::Path::new("/proc/sys/net/ipv6").exists(),
        })
    }

    /// The link of this name.
    pub(crate) async fn link(&self, name: &str) -> io::Result<Option<Link>> {
        let found = self
            .handle
            .link()
            .get()
            .match_name(name.to_owned())
            .execute()
            .try_next()
            .await;
        match found {
            Ok(message) => Ok(message.map(|message| to_link(&message))),
            Err(error) => match to_io(error) {
                error if error.raw_os_error() == Some(ENODEV) => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Makes a veth pair, both ends down, and the first one never with an IPv6 address; the peer directly inside `peer_namespace` if
    /// there is one. Returns the first end's index.
    pub(crate) async fn add_veth(
        &self,
        near: &End,
        far: &End,
        peer_namespace: Option<BorrowedFd<'_>>,
    ) -> io::Result<u32> {
        let mut peer = end_message(LinkMessageBuilder::<LinkUnspec>::new(), far);
        if let Some(namespace) = peer_namespace {
            peer = peer.setns_by_fd(namespace.as_raw_fd());
        }
        let veth = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth);
        let message = end_message(veth, near)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
            .build();
        self.handle
            .link()
            .add(message)
            .execute()
            .await
            .map_err(to_io)?;
        let finish = async {
            let link = self.link(&near.name).await?;
            let index = link.ok_or(io::ErrorKind::NotFound)?.index;
            self.no_ipv6_address(index).await?;
            Ok(index)
        };
        let finished = finish.await;
        if finished.is_err() {
            self.remove(&near.name).await?;
        }
        finished
    }

    /// Removes a link, and its peer. One that is gone already is no error.
    pub(crate) async fn remove(&self, name: &str) -> io::Result<()> {
        let Some(link) = self.link(name).await? else {
            return Ok(());
        };
        match self.handle.link().del(link.index).execute().await {
            Ok(()) => Ok(()),
            Err(error) => match to_io(error) {
                error if error.raw_os_error() == Some(ENODEV) => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Sets a link up.
    pub(crate) async fn up(&self, index: u32) -> io::Result<()> {
        self.set(LinkMessageBuilder::<LinkUnspec>::new().index(index).up())
            .await
    }

    /// Keeps a link from making itself an IPv6 address once it is up. The kernel takes this of links that exist,
    /// not while it makes one.
    pub(crate) async fn no_ipv6_address(&self, index: u32) -> io::Result<()> {
        if !self.ipv6 {
            return Ok(());
        }
        let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let attribute = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![none])]);
        let message = LinkMessageBuilder::<LinkUnspec>::new()
            .index(index)
            .append_extra_attribute(attribute);
        self.set(message).await
    }

    /// Sets a link's MTU, in bytes.
    pub(crate) async fn set_mtu(&self, index: u32, mtu: u32) -> io::Result<()> {
        self.set(
            LinkMessageBuilder::<LinkUnspec>::new()
                .index(index)
                .mtu(mtu),
        )
        .await
    }

    /// Sets how many frames wait at most until a link takes them.
    pub(crate) async fn set_queue(&self, index: u32, frames: u32) -> io::Result<()> {
        self.set(
            LinkMessageBuilder::<LinkUnspec>::new()
                .index(index)
                .append_extra_attribute(LinkAttribute::TxQueueLen(frames)),
        )
        .await
    }

    /// Moves a link to another network namespace.
    pub(crate) async fn move_to(&self, index: u32, namespace: BorrowedFd<'_>) -> io::Result<()> {
        self.set(
            LinkMessageBuilder::<LinkUnspec>::new()
                .index(index)
                .setns_by_fd(namespace.as_raw_fd()),
        )
        .await
    }

    async fn set(&self, message: LinkMessageBuilder<LinkUnspec>) -> io::Result<()> {
        self.handle
            .link()
            .set(message.build())
            .execute()
            .await
            .map_err(to_io)
    }

    /// Whether the kernel knows IPv6 at all.
    pub(crate) const fn knows_ipv6(&self) -> bool {
        self.ipv6
    }

    /// Gives a link an address, and so the route of its block. One of IPv6 is used at once: nobody else has it.
    pub(crate) async fn add_address(
        &self,
        index: u32,
        address: IpAddr,
        length: u8,
    ) -> io::Result<()> {
        let mut request = self.handle.address().add(index, address, length);
        if address.is_ipv6() {
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.replace().execute().await.map_err(to_io)
    }

    /// The IPv4 addresses of a link, and whether each is one of [`Netlink::add_further_address`].
    pub(crate) async fn addresses(&self, index: u32) -> io::Result<Vec<(Ipv4Addr, bool)>> {
        let query = self.handle.address().get().set_link_index_filter(index);
        let found: Vec<_> = query.execute().try_collect().await.map_err(to_io)?;
        let ours = AddressAttribute::Protocol(AddressProtocol::Other(OURS));
        let mut addresses = Vec::new();
        for message in found {
            for attribute in &message.attributes {
                if let AddressAttribute::Local(IpAddr::V4(address)) = attribute {
                    addresses.push((*address, message.attributes.contains(&ours)));
                }
            }
        }
        Ok(addresses)
    }

    /// The IPv6 addresses of a link, and whether each is one of [`Netlink::add_further_address`].
    pub(crate) async fn addresses6(&self, index: u32) -> io::Result<Vec<(Ipv6Addr, bool)>> {
        let query = self.handle.address().get().set_link_index_filter(index);
        let found: Vec<_> = query.execute().try_collect().await.map_err(to_io)?;
        let ours = AddressAttribute::Protocol(AddressProtocol::Other(OURS));
        let mut addresses = Vec::new();
        for message in found {
            for attribute in &message.attributes {
                if let AddressAttribute::Address(IpAddr::V6(address)) = attribute {
                    addresses.push((*address, message.attributes.contains(&ours)));
                }
            }
        }
        Ok(addresses)
    }

    /// Gives a link an address without a block, marked as ours. One of IPv6 is used at once: nobody else has it.
    pub(crate) async fn add_further_address(&self, index: u32, address: IpAddr) -> io::Result<()> {
        let length = Cidr::host(address).length();
        let mut request = self.handle.address().add(index, address, length);
        if address.is_ipv6() {
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        let ours = AddressAttribute::Protocol(AddressProtocol::Other(OURS));
        request.message_mut().attributes.push(ours);
        request.replace().execute().await.map_err(to_io)
    }

    /// Takes an address of [`Netlink::add_further_address`] away.
    pub(crate) async fn remove_further_address(
        &self,
        index: u32,
        address: IpAddr,
    ) -> io::Result<()> {
        let message = match address {
            IpAddr::V4(address) => AddressMessageBuilder::<Ipv4Addr>::new()
                .index(index)
                .address(address, 32)
                .build(),
            IpAddr::V6(address) => AddressMessageBuilder::<Ipv6Addr>::new()
                .index(index)
                .address(address, 128)
                .build(),
        };
        let request = self.handle.address().del(message);
        request.execute().await.map_err(to_io)
    }

    /// Adds a route to this block on this link, through a router if there is one.
    pub(crate) async fn add_route(
        &self,
        index: u32,
        (block, length): (Ipv4Addr, u8),
        router: Option<Ipv4Addr>,
        place: Place,
    ) -> io::Result<()> {
        let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(block, length)
            .output_interface(index)
            .table_id(place.table)
            .priority(place.metric);
        route = match router {
            Some(router) => route.gateway(router),
            None => route.scope(RouteScope::Link),
        };
        self.handle
            .route()
            .add(route.build())
            .replace()
            .execute()
            .await
            .map_err(to_io)
    }

    /// Adds the IPv6 default route through a router of this link.
    pub(crate) async fn add_default_route6(
        &self,
        index: u32,
        router: Ipv6Addr,
        place: Place,
    ) -> io::Result<()> {
        let route = RouteMessageBuilder::<Ipv6Addr>::new()
            .output_interface(index)
            .gateway(router)
            .table_id(place.table)
            .priority(place.metric);
        self.handle
            .route()
            .add(route.build())
            .replace()
            .execute()
            .await
            .map_err(to_io)
    }

    /// Whether an IPv6 default route leads to this link.
    pub(crate) async fn has_default_route6(&self, index: u32) -> io::Result<bool> {
        let routes = self.routes6().await?;
        Ok(routes.contains(&(Cidr::ALL_V6, index)))
    }

    /// The IPv4 rules of [`Netlink::add_rule`].
    pub(crate) async fn rules(&self) -> io::Result<Vec<SourceRule>> {
        self.rules_of(IpVersion::V4).await
    }

    /// The IPv6 rules of [`Netlink::add_rule`].
    pub(crate) async fn rules6(&self) -> io::Result<Vec<SourceRule>> {
        self.rules_of(IpVersion::V6).await
    }

    async fn rules_of(&self, family: IpVersion) -> io::Result<Vec<SourceRule>> {
        let query = self.handle.rule().get(family);
        let found: Vec<_> = query.execute().try_collect().await.map_err(to_io)?;
        Ok(found.iter().filter_map(to_rule).collect())
    }

    /// Adds a rule, marked as ours. One that is there already is no error.
    pub(crate) async fn add_rule(&self, rule: SourceRule) -> io::Result<()> {
        let mut request = self.handle.rule().add().v4();
        *request.message_mut() = rule_message(rule);
        match request.execute().await.map_err(to_io) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a rule of [`Netlink::add_rule`].
    pub(crate) async fn remove_rule(&self, rule: SourceRule) -> io::Result<()> {
        let request = self.handle.rule().del(rule_message(rule));
        request.execute().await.map_err(to_io)
    }

    /// Every IPv4 route, those of own addresses included: its destination, and the index of the link it leads to.
    pub(crate) async fn routes(&self) -> io::Result<Vec<(Cidr, u32)>> {
        let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let mut query = self.handle.route().get(all);
        // A query with a table would see that table only.
        query.message_mut().header.table = 0;
        let found: Vec<RouteMessage> = query.execute().try_collect().await.map_err(to_io)?;
        Ok(found.iter().filter_map(to_route).collect())
    }

    /// Every IPv6 route, as [`Netlink::routes`].
    pub(crate) async fn routes6(&self) -> io::Result<Vec<(Cidr, u32)>> {
        let all = RouteMessageBuilder::<Ipv6Addr>::new().build();
        let mut query = self.handle.route().get(all);
        query.message_mut().header.table = 0;
        let found: Vec<RouteMessage> = query.execute().try_collect().await.map_err(to_io)?;
        Ok(found.iter().filter_map(to_route).collect())
    }

    /// The name of the link with this index.
    pub(crate) async fn name_of(&self, index: u32) -> io::Result<Option<String>> {
        let found = self
            .handle
            .link()
            .get()
            .match_index(index)
            .execute()
            .try_next()
            .await;
        Ok(found.ok().flatten().map(|message| to_link(&message).name))
    }
}

const ENODEV: i32 = rustix::io::Errno::NODEV.raw_os_error();

fn end_message<T>(link: LinkMessageBuilder<T>, end: &End) -> LinkMessageBuilder<T> {
    link.name(end.name.clone())
        .address(end.mac.0.to_vec())
        .mtu(end.mtu)
}

fn to_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mac: None,
    };
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name.clone_from(name);
        } else if let LinkAttribute::Address(bytes) = attribute {
            link.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac);
        }
    }
    link
}

fn to_route(message: &RouteMessage) -> Option<(Cidr, u32)> {
    let mut address = if message.header.address_family == AddressFamily::Inet6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };
    let mut link = 0;
    for attribute in &message.attributes {
        if let RouteAttribute::Destination(RouteAddress::Inet6(destination)) = attribute {
            address = IpAddr::V6(*destination);
        } else if let RouteAttribute::Destination(RouteAddress::Inet(destination)) = attribute {
            address = IpAddr::V4(*destination);
        } else if let RouteAttribute::Oif(index) = attribute {
            link = *index;
        }
    }
    Cidr::containing(address, message.header.destination_prefix_length).map(|cidr| (cidr, link))
}

fn rule_message(rule: SourceRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = match rule.source {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.src_len = Cidr::host(rule.source).length();
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Source(rule.source),
        RuleAttribute::Table(rule.table),
        RuleAttribute::Priority(rule.table),
        RuleAttribute::Protocol(RouteProtocol::Other(OURS)),
    ];
    message
}

/// `None` for a rule that is not ours.
fn to_rule(message: &RuleMessage) -> Option<SourceRule> {
    let (mut source, mut table, mut ours) = (None, None, false);
    for attribute in &message.attributes {
        if let RuleAttribute::Source(address) = attribute {
            source = Some(*address);
        } else if let RuleAttribute::Table(number) = attribute {
            table = Some(*number);
        } else if let RuleAttribute::Protocol(protocol) = attribute {
            ours = *protocol == RouteProtocol::Other(OURS);
        }
    }
    let (source, table) = (source?, table?);
    ours.then_some(SourceRule { source, table })
}

/// The kernel's own error, where it is one.
fn to_io(error: rtnetlink::Error) -> io::Error {
    if let rtnetlink::Error::NetlinkError(message) = &error
        && let Some(code) = message.code
    {
        return io::Error::from_raw_os_error(code.get().saturating_abs());
    }
    io::Error::other(error.to_string())
}
