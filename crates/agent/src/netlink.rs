//! Links, addresses and routes of the network namespace that a connection was made in.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use futures_util::TryStreamExt;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
    LinkMessage,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
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
}

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
        mtu: u32,
        peer_namespace: Option<BorrowedFd<'_>>,
    ) -> io::Result<u32> {
        let mut peer = end_message(LinkMessageBuilder::<LinkUnspec>::new(), far, mtu);
        if let Some(namespace) = peer_namespace {
            peer = peer.setns_by_fd(namespace.as_raw_fd());
        }
        let veth = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth);
        let message = end_message(veth, near, mtu)
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

    /// Gives a link an address, and so the route of its block.
    pub(crate) async fn add_address(
        &self,
        index: u32,
        address: IpAddr,
        length: u8,
    ) -> io::Result<()> {
        self.handle
            .address()
            .add(index, address, length)
            .replace()
            .execute()
            .await
            .map_err(to_io)
    }

    /// Adds the default route, through this router on this link.
    pub(crate) async fn add_default_route(&self, index: u32, router: Ipv4Addr) -> io::Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(router)
            .output_interface(index)
            .build();
        self.handle
            .route()
            .add(route)
            .replace()
            .execute()
            .await
            .map_err(to_io)
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

fn end_message<T>(link: LinkMessageBuilder<T>, end: &End, mtu: u32) -> LinkMessageBuilder<T> {
    link.name(end.name.clone())
        .address(end.mac.0.to_vec())
        .mtu(mtu)
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
    let mut address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let mut link = 0;
    for attribute in &message.attributes {
        if let RouteAttribute::Destination(RouteAddress::Inet(destination)) = attribute {
            address = IpAddr::V4(*destination);
        } else if let RouteAttribute::Oif(index) = attribute {
            link = *index;
        }
    }
    Cidr::containing(address, message.header.destination_prefix_length).map(|cidr| (cidr, link))
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
