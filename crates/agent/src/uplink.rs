//! The uplink: a veth pair in the host's own namespace. `pdup` is the host's side and has the pool's route,
//! `pdupx` is ours.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use topology::Uplink;
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
    for (destination, index) in netlink.routes().await.doing("list the host's routes")? {
        let taken = uplink.pool.covers(destination)
            || destination.length() >= LEAST_TAKEN && destination.covers(uplink.pool);
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
                pool: uplink.pool,
                with: destination,
                interface: name,
            });
        }
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
        let routes = netlink.routes().await.doing("list the host's routes")?;
        if routes.contains(&(local, host.index)) && routes.contains(&(uplink.pool, host.index)) {
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
            .await
    };
    opened
        .await
        .doing(format!("give `{HOST_SIDE}` the address `{}`", uplink.host))
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
pub(crate) fn open_internet(table: &str, pool: Cidr) -> Result<(), StartError> {
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
    run_nft(&format!("add table ip {table}\ndelete table ip {table}\n"))
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
