//! IPv6 inside a namespace: on for the interfaces that have addresses of it, and for no others.
//!
//! The kernel learns the router of its advertisements, and its address of nobody: that comes by DHCPv6. Further
//! interfaces answer from their own addresses by their own way, as with IPv4.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::configure::{
    FIRST_METRIC, FIRST_TABLE, Inside, PATIENCE, Wish, attend, guest_name, with_netlink,
};
use crate::dhcp6_client::{self, Lease6};
use crate::namespace::Namespace;
use crate::netlink::{MAIN_TABLE, Netlink, Place, SourceRule};

/// The IPv6 addresses of every interface of an instance, by device index; those without any are not there.
pub(crate) type Addresses6 = BTreeMap<u32, (Inside, Vec<Ipv6Addr>)>;

/// How long the kernel may take to learn its default route: it asks at once, and the answer is near.
const ROUTE_PATIENCE: Duration = Duration::from_secs(5);
const ROUTE_LOOK: Duration = Duration::from_millis(10);

/// Gives the interfaces their IPv6 addresses and routes. Those that lost their last address lose what this once added.
/// `Interrupted` if the instance should be something else by now.
pub(crate) async fn settle6(
    namespace: &Arc<Namespace>,
    wanted: Addresses6,
    had: &BTreeSet<u32>,
    wish: Wish<'_>,
) -> io::Result<()> {
    let random = getrandom::u32().map_err(io::Error::other)?;
    let (namespace, had) = (Arc::clone(namespace), had.clone());
    attend(wish, move |cancelled| {
        for index in had.iter().filter(|index| !wanted.contains_key(index)) {
            let index = *index;
            with_netlink(&namespace, move |netlink| async move {
                settle_addresses(&netlink, index, &[]).await
            })?;
        }
        for (inside, addresses) in wanted.values() {
            interface(&namespace, *inside, addresses, random, cancelled)?;
        }
        with_netlink(&namespace, move |netlink| async move {
            settle_rules(&netlink, &wanted).await
        })
    })
    .await
}

fn interface(
    namespace: &Namespace,
    inside: Inside,
    wanted: &[Ipv6Addr],
    random: u32,
    cancelled: &Arc<AtomicBool>,
) -> io::Result<()> {
    let name = guest_name(inside.index);
    let found = name.clone();
    let index = with_netlink(namespace, |netlink| async move {
        let link = netlink.link(&found).await?;
        Ok(link.map(|link| link.index))
    })?;
    // Somebody inside may have renamed or removed it.
    let Some(link) = index else {
        return Ok(());
    };
    let (interface, flag) = (name.clone(), Arc::clone(cancelled));
    let lease = namespace.inside(move || {
        switch_on(&interface, inside.index)?;
        dhcp6_client::acquire((&interface, link), inside.mac, random, PATIENCE, &flag)
    })?;
    // What does not fit in an answer, the network tells this agent.
    let mut addresses = lease.addresses.clone();
    addresses.retain(|address| wanted.contains(address));
    addresses.extend(wanted.iter().filter(|a| !lease.addresses.contains(a)));
    let flag = Arc::clone(cancelled);
    with_netlink(namespace, move |netlink| async move {
        settle_addresses(&netlink, inside.index, &addresses).await?;
        if inside.index == 0 {
            default_route(&netlink, link, &flag).await
        } else {
            further_routes(&netlink, link, inside.index, &lease).await
        }
    })
}

/// Switches IPv6 on: the kernel makes the interface an address of the link, and asks for a router. Nobody else is on
/// the link, so nothing waits for duplicates to be found.
fn switch_on(interface: &str, index: u32) -> io::Result<()> {
    let folder = "/proc/sys/net/ipv6/conf";
    let on = |interface: &str| fs::write(format!("{folder}/{interface}/disable_ipv6"), "0");
    on("lo")?;
    // Further interfaces have their routes in tables of their own.
    let default_route = if index == 0 { "1" } else { "0" };
    for (key, value) in [
        ("accept_dad", "0"),
        ("accept_ra_defrtr", default_route),
        ("router_solicitation_delay", "0"),
    ] {
        fs::write(format!("{folder}/{interface}/{key}"), value)?;
    }
    on(interface)
}

async fn settle_addresses(netlink: &Netlink, index: u32, wanted: &[Ipv6Addr]) -> io::Result<()> {
    let Some(link) = netlink.link(&guest_name(index)).await? else {
        return Ok(());
    };
    let found = netlink.addresses6(link.index).await?;
    for (address, ours) in &found {
        if *ours && !wanted.contains(address) {
            let address = IpAddr::V6(*address);
            netlink.remove_further_address(link.index, address).await?;
        }
    }
    for address in wanted {
        if !found.iter().any(|(found, _)| found == address) {
            let address = IpAddr::V6(*address);
            netlink.add_further_address(link.index, address).await?;
        }
    }
    Ok(())
}

/// Waits for the default route. Without one the instance runs all the same: somebody inside may have switched
/// advertisements off.
async fn default_route(netlink: &Netlink, link: u32, cancelled: &AtomicBool) -> io::Result<()> {
    let deadline = Instant::now() + ROUTE_PATIENCE;
    while !netlink.has_default_route6(link).await? {
        if cancelled.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if Instant::now() >= deadline {
            tracing::debug!("no router advertisement has come");
            break;
        }
        std::thread::sleep(ROUTE_LOOK);
    }
    Ok(())
}

/// The default route of a further interface: in the table of its rules, and for what is bound to the interface.
async fn further_routes(
    netlink: &Netlink,
    link: u32,
    index: u32,
    lease: &Lease6,
) -> io::Result<()> {
    for place in [
        Place {
            table: FIRST_TABLE + index,
            metric: 0,
        },
        Place {
            table: MAIN_TABLE,
            // The kernel's own routes of advertisements have 1024.
            metric: 2 * FIRST_METRIC + index,
        },
    ] {
        netlink
            .add_default_route6(link, lease.router, place)
            .await?;
    }
    Ok(())
}

async fn settle_rules(netlink: &Netlink, wanted: &Addresses6) -> io::Result<()> {
    let rules = |(index, (_, addresses)): (&u32, &(Inside, Vec<Ipv6Addr>))| {
        let table = FIRST_TABLE + index;
        let rule = move |&source| SourceRule {
            source: IpAddr::V6(source),
            table,
        };
        addresses.iter().map(rule).collect::<Vec<_>>()
    };
    let wanted: BTreeSet<SourceRule> = wanted.range(1..).flat_map(rules).collect();
    let found: BTreeSet<SourceRule> = netlink.rules6().await?.into_iter().collect();
    for rule in found.difference(&wanted) {
        netlink.remove_rule(*rule).await?;
    }
    for rule in wanted.difference(&found) {
        netlink.add_rule(*rule).await?;
    }
    Ok(())
}
