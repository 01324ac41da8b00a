//! The uplink: a veth pair in the host's own namespace. `pdup` is the host's side and has the pool's route,
//! `pdupx` is ours.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use topology::{Uplink, UplinkSide};
use types::{Cidr, Mac};

use crate::StartError;
use crate::error::Doing;
use crate::manifest::Manifest;
use crate::netlink::{End, Netlink};

/// The host's side.
pub(crate) const HOST_SIDE: &str = "pdup";
/// Our side, with the program on its ingress.
pub(crate) const OUR_SIDE: &str = "pdupx";
/// The host's side's address. Next to [`Mac::ROUTER`], locally administered as well.
pub(crate) const HOST_MAC: Mac = Mac([0x02, 0x70, 0x64, 0x00, 0x00, 0x02]);
/// What the largest guest may send arrives at the host in one piece.
const MTU: u32 = 9001;

/// A route to a shorter prefix leads anywhere, as the default route does: it does not mean that the host uses the pool.
const LEAST_TAKEN: u8 = 8;

/// Blocks that lead nowhere from the world: documentation (RFC 3849) and unique local addresses (RFC 4193).
const UNROUTED: [&str; 2] = ["2001:db8::/32", "fc00::/7"];

/// What the uplink can carry of IPv6 on this machine: `None` if its kernel knows none. The host has the first address
/// of the pool. Further out leads the host's own forwarding, if it is on.
#[must_use]
pub fn ipv6_side(pool: Cidr, internet: bool) -> Option<UplinkSide> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{file}"));
    let forwards = read("all/forwarding").ok()?.trim() == "1";
    if internet && !forwards {
        tracing::warn!("IPv6 forwarding is off: instances reach the pool by IPv6, but not further");
    }
    Some(UplinkSide {
        pool,
        host: pool.nth(1).filter(|host| host.is_ipv6())?,
        internet: internet && forwards,
    })
}

/// Looks whether the host lets us have the uplink, and changes nothing.
pub(crate) async fn check(netlink: &Netlink, uplink: &Uplink) -> Result<(), StartError> {
    let usable = uplink.pool.is_v4()
        && uplink.pool.contains(uplink.host)
        && (uplink.pool.length() >= 31
            || (uplink.host != uplink.pool.network() && uplink.host != uplink.pool.last()));
    if !usable {
        return Err(StartError::HostAddress {
            host: uplink.host,
            pool: uplink.pool,
        });
    }
    let routes = netlink.routes().await.doing("list the host's routes")?;
    is_free(netlink, uplink.pool, &routes).await?;
    if let Some(side) = &uplink.ipv6 {
        if side.pool.is_v4() || !side.pool.contains(side.host) || side.host == side.pool.network() {
            return Err(StartError::HostAddress {
                host: side.host,
                pool: side.pool,
            });
        }
        let routes = netlink.routes6().await.doing("list the host's routes")?;
        is_free(netlink, side.pool, &routes).await?;
    }
    if uplink.internet {
        let forwards = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")
            .doing("read `/proc/sys/net/ipv4/ip_forward`")?;
        if forwards.trim() != "1" {
            return Err(StartError::ForwardingOff);
        }
        Command::new("nft")
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|_| StartError::NoNft)?;
    }
    Ok(())
}

/// Whether the host has no other way to addresses of the pool.
async fn is_free(netlink: &Netlink, pool: Cidr, routes: &[(Cidr, u32)]) -> Result<(), StartError> {
    for &(destination, index) in routes {
        let taken = pool.covers(destination)
            || destination.length() >= LEAST_TAKEN && destination.covers(pool);
        if !taken {
            continue;
        }
        let name = netlink
            .name_of(index)
            .await
            .doing("list the host's interfaces")?
            .unwrap_or_default();
        if name != HOST_SIDE {
            return Err(StartError::PoolInUse {
                pool,
                with: destination,
                interface: name,
            });
        }
    }
    Ok(())
}

/// Adopts the veth pair that an earlier agent left, or makes it, down. Returns the index of our side and of the
/// host's.
pub(crate) async fn create(
    netlink: &Netlink,
    uplink: &Uplink,
    manifest: &mut Manifest,
) -> Result<(u32, u32), StartError> {
    let ours = netlink.link(OUR_SIDE).await.doing("find the uplink")?;
    let host = netlink.link(HOST_SIDE).await.doing("find the uplink")?;
    if let Some(found) = ours.as_ref().or(host.as_ref())
        && !manifest.uplink()
    {
        return Err(StartError::ForeignInterface(found.name.clone()));
    }
    if let (Some(ours), Some(host)) = (&ours, &host) {
        let local = Cidr::host(uplink.host);
        let mut routes = netlink.routes().await.doing("list the host's routes")?;
        let mut blocks = vec![local, uplink.pool];
        if let Some(side) = &uplink.ipv6 {
            routes.extend(netlink.routes6().await.doing("list the host's routes")?);
            blocks.extend([Cidr::host(side.host), side.pool]);
        }
        if blocks
            .iter()
            .all(|block| routes.contains(&(*block, host.index)))
        {
            return Ok((ours.index, host.index));
        }
    }
    remove(netlink).await.doing("remove the old uplink")?;
    manifest.set_uplink(true).doing("write the manifest")?;
    let end = |name: &str, mac| End {
        name: name.to_owned(),
        mac,
        mtu: MTU,
    };
    let ours = netlink
        .add_veth(&end(OUR_SIDE, Mac::ROUTER), &end(HOST_SIDE, HOST_MAC), None)
        .await
        .doing(format!(
            "make the interfaces `{HOST_SIDE}` and `{OUR_SIDE}`"
        ))?;
    let host = netlink
        .link(HOST_SIDE)
        .await
        .doing("find the uplink")?
        .map_or(0, |link| link.index);
    Ok((ours, host))
}

/// Sets the pair up and gives the host its address and the pool's route. The program must be on our side by then.
pub(crate) async fn open(
    netlink: &Netlink,
    uplink: &Uplink,
    (ours, host): (u32, u32),
) -> Result<(), StartError> {
    let opened = async {
        netlink.no_ipv6_address(host).await?;
        netlink.up(ours).await?;
        netlink.up(host).await?;
        netlink
            .add_address(host, uplink.host, uplink.pool.length())
            .await?;
        if let Some(side) = &uplink.ipv6 {
            switch_ipv6_on()?;
            // The host asks for neighbours from an address of the link when it forwards for others.
            netlink
                .add_address(host, HOST_MAC.link_local().into(), 64)
                .await?;
            let length = side.pool.length();
            netlink.add_address(host, side.host, length).await?;
        }
        io::Result::Ok(())
    };
    opened
        .await
        .doing(format!("give `{HOST_SIDE}` the address `{}`", uplink.host))
}

/// The host's side may have IPv6 addresses, whatever the host gives new interfaces, but it listens to no router.
fn switch_ipv6_on() -> io::Result<()> {
    let folder = format!("/proc/sys/net/ipv6/conf/{HOST_SIDE}");
    std::fs::write(format!("{folder}/accept_ra"), "0")?;
    std::fs::write(format!("{folder}/disable_ipv6"), "0")
}

/// Removes the pair, and so its address and routes.
pub(crate) async fn remove(netlink: &Netlink) -> io::Result<()> {
    netlink.remove(OUR_SIDE).await?;
    netlink.remove(HOST_SIDE).await
}

/// Lets the pool's addresses out through the host's own connection, under the host's own address: one table of
/// `nft` that is ours alone.
///
/// Limitations: another table may still drop what is forwarded; such a table is the host's business.
///
/// IPv6 needs no translation, unless the pool's addresses lead nowhere in the world.
pub(crate) fn open_internet(table: &str, uplink: &Uplink) -> Result<(), StartError> {
    let pool = uplink.pool;
    let six = uplink.ipv6.filter(|side| {
        let unrouted = UNROUTED
            .iter()
            .filter_map(|block| block.parse::<Cidr>().ok());
        let mut unrouted = unrouted.filter(|block| block.covers(side.pool));
        side.internet && unrouted.next().is_some()
    });
    if let Some(side) = six {
        let pool = side.pool;
        run_nft(&format!(
            "add table ip6 {table}\n\
             delete table ip6 {table}\n\
             table ip6 {table} {{\n\
             \tchain postrouting {{\n\
             \t\ttype nat hook postrouting priority srcnat; policy accept;\n\
             \t\tip6 saddr {pool} oifname != \"{HOST_SIDE}\" masquerade\n\
             \t}}\n\
             }}\n"
        ))?;
    } else {
        close_ipv6(table)?;
    }
    run_nft(&format!(
        "add table ip {table}\n\
         delete table ip {table}\n\
         table ip {table} {{\n\
         \tchain postrouting {{\n\
         \t\ttype nat hook postrouting priority srcnat; policy accept;\n\
         \t\tip saddr {pool} oifname != \"{HOST_SIDE}\" masquerade\n\
         \t}}\n\
         }}\n"
    ))
}

/// Removes our table, if it is there.
pub(crate) fn close_internet(table: &str) -> Result<(), StartError> {
    close_ipv6(table)?;
    run_nft(&format!("add table ip {table}\ndelete table ip {table}\n"))
}

fn close_ipv6(table: &str) -> Result<(), StartError> {
    if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
        return Ok(());
    }
    run_nft(&format!(
        "add table ip6 {table}\ndelete table ip6 {table}\n"
    ))
}

fn run_nft(script: &str) -> Result<(), StartError> {
    let run = || -> io::Result<std::process::Output> {
        let mut child = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(script.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = run().map_err(|_| StartError::NoNft)?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(StartError::Nft(said.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uplink(pool: &str, host: &str) -> Uplink {
        Uplink {
            pool: pool.parse().unwrap(),
            host: host.parse().unwrap(),
            internet: false,
            ipv6: None,
        }
    }

    #[tokio::test]
    async fn the_host_needs_a_usable_address_of_the_pool() {
        let netlink = Netlink::connect().unwrap();
        for (pool, host) in [
            ("203.0.113.0/24", "203.0.113.0"),
            ("203.0.113.0/24", "203.0.113.255"),
            ("203.0.113.0/24", "203.0.114.1"),
            ("2001:db8::/64", "2001:db8::1"),
        ] {
            let error = check(&netlink, &uplink(pool, host)).await.unwrap_err();
            assert!(matches!(error, StartError::HostAddress { .. }), "{host}");
        }
    }

    #[tokio::test]
    async fn a_pool_that_the_host_uses_is_refused() {
        let netlink = Netlink::connect().unwrap();
        for pool in ["127.0.0.0/8", "127.0.3.0/24"] {
            let host = pool.parse::<Cidr>().unwrap().nth(1).unwrap();
            let error = check(&netlink, &uplink(pool, &host.to_string()))
                .await
                .unwrap_err();
            assert!(matches!(error, StartError::PoolInUse { .. }), "{error}");
        }
    }
}
