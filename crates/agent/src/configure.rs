//! From a link inside a namespace to an interface with an address.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use types::Mac;

use crate::dhcp_client::{self, Lease};
use crate::instances::{Desired, Order, blocking};
use crate::namespace::Namespace;
use crate::netlink::Netlink;

/// How long DHCP may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The inside of a port.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub(crate) name: String,
    pub(crate) mac: Mac,
    /// It is the instance's first interface: it has the default route.
    pub(crate) first: bool,
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
    let cancelled = Arc::new(AtomicBool::new(false));
    let (namespace, flag) = (Arc::clone(namespace), Arc::clone(&cancelled));
    let random = getrandom::u32().map_err(io::Error::other)?;
    let mut running = std::pin::pin!(blocking(move || work(&namespace, inside, random, &flag)));
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

fn work(
    namespace: &Namespace,
    inside: Inside,
    random: u32,
    cancelled: &Arc<AtomicBool>,
) -> io::Result<Lease> {
    let lease = if inside.first {
        ask(namespace, &inside, random, cancelled)?
    } else {
        // A socket on an interface without an address sends from an address of another interface, if there is
        // one, and DHCP begins without an address. So a further interface asks where it is alone.
        let alone = Namespace::unnamed()?;
        shift(namespace, &alone, &inside.name)?;
        let lease = ask(&alone, &inside, random, cancelled);
        shift(&alone, namespace, &inside.name)?;
        lease?
    };
    with_netlink(namespace, move |netlink| async move {
        up(&netlink, "lo").await?;
        let index = up(&netlink, &inside.name).await?;
        if let Some(mtu) = lease.mtu {
            netlink.set_mtu(index, u32::from(mtu)).await?;
        }
        let address = lease.address.into();
        netlink
            .add_address(index, address, lease.prefix_length)
            .await?;
        if let Some(router) = lease.router.filter(|_| inside.first) {
            netlink.add_default_route(index, router).await?;
        }
        Ok(lease)
    })
}

fn ask(
    namespace: &Namespace,
    inside: &Inside,
    random: u32,
    cancelled: &Arc<AtomicBool>,
) -> io::Result<Lease> {
    let name = inside.name.clone();
    with_netlink(namespace, |netlink| async move {
        up(&netlink, &name).await.map(drop)
    })?;
    let (inside, cancelled) = (inside.clone(), Arc::clone(cancelled));
    namespace.inside(move || {
        dhcp_client::acquire(&inside.name, inside.mac, random, PATIENCE, &cancelled)
    })
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
fn with_netlink<T, F>(
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
