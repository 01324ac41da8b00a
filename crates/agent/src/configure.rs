//! From a link inside a namespace to an interface with addresses and routes.
//!
//! The first interface has the default route. Every further one answers from its own addresses by its own way, as on
//! Amazon Linux: a rule for each of its addresses, and a routing table with the default route of its subnet.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use types::Mac;

use crate::dhcp_client::{self, Lease};
use crate::instances::{Desired, Order, blocking};
use crate::namespace::Namespace;
use crate::netlink::{MAIN_TABLE, Netlink, Place, SourceRule};

/// How long DHCP may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The routing table of `eth1` is one more, and so on.
pub(crate) const FIRST_TABLE: u32 = 10_000;
/// The metric of the default route of `eth1` is one more, and so on: it serves only what is bound to the interface.
pub(crate) const FIRST_METRIC: u32 = 512;

/// The private addresses of every interface of an instance, by device index, the primary one first.
pub(crate) type Addresses = BTreeMap<u32, Vec<Ipv4Addr>>;

/// The name that a guest has for its interface.
pub(crate) fn guest_name(index: u32) -> String {
    format!("eth{index}")
}

/// The inside of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inside {
    /// The device index; 0 is the instance's first interface.
    pub(crate) index: u32,
    pub(crate) mac: Mac,
}

/// What the instance should be while it is configured, and how to learn that it should not.
pub(crate) struct Wish<'a> {
    pub(crate) orders: &'a mut watch::Receiver<Order>,
    pub(crate) done: &'a watch::Sender<u64>,
    pub(crate) desired: Desired,
}

/// Configures an interface by DHCP. `Interrupted` if the instance should be something else by now.
pub(crate) async fn configure(
    namespace: &Arc<Namespace>,
    inside: Inside,
    wish: Wish<'_>,
) -> io::Result<Lease> {
    let namespace = Arc::clone(namespace);
    let random = getrandom::u32().map_err(io::Error::other)?;
    attend(wish, move |flag| work(&namespace, inside, random, flag)).await
}

/// Does something that takes long, which is told if the instance should be something else by now.
pub(crate) async fn attend<T: Send + 'static>(
    wish: Wish<'_>,
    run: impl FnOnce(&Arc<AtomicBool>) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let mut running = std::pin::pin!(blocking(move || run(&flag)));
    loop {
        tokio::select! {
            result = &mut running => return result,
            changed = wish.orders.changed() => {
                let pass = {
                    let order = wish.orders.borrow();
                    (changed.is_ok() && order.desired == wish.desired).then_some(order.pass)
                };
                let Some(pass) = pass else {
                    cancelled.store(true, Ordering::Relaxed);
                    // The order stays unread for the task's loop.
                    wish.orders.mark_changed();
                    return running.await;
                };
                wish.done.send_replace(pass);
            }
        }
    }
}

/// Gives the interfaces what the network knows of them and DHCP does not tell: the secondary addresses, and the rules of
/// further interfaces. What this once added and is not wanted any more goes; what somebody inside added stays.
pub(crate) async fn settle(namespace: &Arc<Namespace>, wanted: Addresses) -> io::Result<()> {
    let namespace = Arc::clone(namespace);
    blocking(move || {
        with_netlink(&namespace, move |netlink| async move {
            for (index, addresses) in &wanted {
                settle_addresses(&netlink, *index, addresses).await?;
            }
            settle_rules(&netlink, &wanted).await
        })
    })
    .await
}

async fn settle_addresses(netlink: &Netlink, index: u32, wanted: &[Ipv4Addr]) -> io::Result<()> {
    // Somebody inside may have renamed or removed it.
    let Some(link) = netlink.link(&guest_name(index)).await? else {
        return Ok(());
    };
    let found = netlink.addresses(link.index).await?;
    for (address, ours) in &found {
        if *ours && !wanted.contains(address) {
            let address = IpAddr::V4(*address);
            netlink.remove_further_address(link.index, address).await?;
        }
    }
    for address in wanted.iter().skip(1) {
        if !found.iter().any(|(found, _)| found == address) {
            let address = IpAddr::V4(*address);
            netlink.add_further_address(link.index, address).await?;
        }
    }
    Ok(())
}

async fn settle_rules(netlink: &Netlink, wanted: &Addresses) -> io::Result<()> {
    let rules = |(index, addresses): (&u32, &Vec<Ipv4Addr>)| {
        let table = FIRST_TABLE + index;
        let rule = move |&source| SourceRule {
            source: IpAddr::V4(source),
            table,
        };
        addresses.iter().map(rule).collect::<Vec<_>>()
    };
    let wanted: BTreeSet<SourceRule> = wanted.range(1..).flat_map(rules).collect();
    let found: BTreeSet<SourceRule> = netlink.rules().await?.into_iter().collect();
    for rule in found.difference(&wanted) {
        netlink.remove_rule(*rule).await?;
    }
    for rule in wanted.difference(&found) {
        netlink.add_rule(*rule).await?;
    }
    Ok(())
}

fn work(
    namespace: &Namespace,
    inside: Inside,
    random: u32,
    cancelled: &Arc<AtomicBool>,
) -> io::Result<Lease> {
    let lease = if inside.index == 0 {
        ask(namespace, inside, random, cancelled)?
    } else {
        // A socket on an interface without an address sends from an address of another interface, if there is
        // one, and DHCP begins without an address. So a further interface asks where it is alone.
        let alone = Namespace::unnamed()?;
        let name = guest_name(inside.index);
        shift(namespace, &alone, &name)?;
        let lease = ask(&alone, inside, random, cancelled);
        shift(&alone, namespace, &name)?;
        lease?
    };
    with_netlink(namespace, move |netlink| async move {
        up(&netlink, "lo").await?;
        let link = up(&netlink, &guest_name(inside.index)).await?;
        if let Some(mtu) = lease.mtu {
            netlink.set_mtu(link, u32::from(mtu)).await?;
        }
        let address = lease.address.into();
        netlink
            .add_address(link, address, lease.prefix_length)
            .await?;
        add_routes(&netlink, link, inside.index, lease).await?;
        Ok(lease)
    })
}

/// Adds what leads beyond the interface's subnet, and for a further interface the table in which its rules look.
async fn add_routes(netlink: &Netlink, link: u32, index: u32, lease: Lease) -> io::Result<()> {
    let default = (Ipv4Addr::UNSPECIFIED, 0);
    let main = |metric| Place {
        table: MAIN_TABLE,
        metric,
    };
    if index == 0 {
        if let Some(router) = lease.router {
            netlink
                .add_route(link, default, Some(router), main(0))
                .await?;
        }
        return Ok(());
    }
    let own = Place {
        table: FIRST_TABLE + index,
        metric: 0,
    };
    let mask = u32::MAX
        .checked_shl(32 - u32::from(lease.prefix_length))
        .unwrap_or(0);
    let subnet = Ipv4Addr::from_bits(lease.address.to_bits() & mask);
    netlink
        .add_route(link, (subnet, lease.prefix_length), None, own)
        .await?;
    if let Some(router) = lease.router {
        let further = main(FIRST_METRIC + index);
        for place in [own, further] {
            netlink
                .add_route(link, default, Some(router), place)
                .await?;
        }
    }
    Ok(())
}

fn ask(
    namespace: &Namespace,
    inside: Inside,
    random: u32,
    cancelled: &Arc<AtomicBool>,
) -> io::Result<Lease> {
    let name = guest_name(inside.index);
    let interface = name.clone();
    with_netlink(namespace, |netlink| async move {
        up(&netlink, &interface).await.map(drop)
    })?;
    let cancelled = Arc::clone(cancelled);
    namespace.inside(move || dhcp_client::acquire(&name, inside.mac, random, PATIENCE, &cancelled))
}

/// Moves an interface from one namespace to another, where it arrives down and without addresses.
fn shift(from: &Namespace, to: &Namespace, name: &str) -> io::Result<()> {
    let (name, to) = (name.to_owned(), to.file().try_clone()?);
    with_netlink(from, |netlink| async move {
        let link = netlink.link(&name).await?.ok_or(io::ErrorKind::NotFound)?;
        netlink.move_to(link.index, to.as_fd()).await
    })
}

async fn up(netlink: &Netlink, name: &str) -> io::Result<u32> {
    let link = netlink.link(name).await?.ok_or(io::ErrorKind::NotFound)?;
    netlink.up(link.index).await?;
    Ok(link.index)
}

/// Runs on a thread of its own inside the namespace, with a runtime that ends with it.
pub(crate) fn with_netlink<T, F>(
    namespace: &Namespace,
    run: impl FnOnce(Netlink) -> F + Send + 'static,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>>,
{
    namespace.inside(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        runtime.block_on(async { run(Netlink::connect()?).await })
    })
}
