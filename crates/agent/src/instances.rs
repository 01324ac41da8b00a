//! Instances: one task each, which makes its namespace, ports and process what they should be.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use feed::Report;
use tokio::sync::watch;
use types::{InstanceId, InterfaceId, Mac};

use crate::configure::{Addresses, Inside, Wish, configure, guest_name, settle};
use crate::configure6::{Addresses6, settle6};
use crate::dhcp_client::Lease;
use crate::host::Host;
use crate::manifest::Entry;
use crate::namespace::{self, Namespace};
use crate::netlink::End;
use crate::process::Files;

/// Our side of a port takes whatever a guest sends, so that the program, and not the kernel, says what is too big.
const PORT_MTU: u32 = 65_521;
/// How often a task looks whether its instance is still as it should be.
const TICK: Duration = Duration::from_secs(5);
/// The wait before a failed step is tried again; each further one is twice as long, up to [`TICK`].
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// So many attempts may find that a name is taken before that is reported: an interface that moves may still
/// belong to the instance it leaves.
const QUIET_ATTEMPTS: u32 = 4;
/// How long an instance may take to stop when the agent ends.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// What an instance should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Desired {
    /// It runs like this.
    Run(Arc<Spec>),
    /// Nothing of it runs, and that is reported.
    Stop,
    /// Nothing of it is left, files included.
    Remove,
    /// The agent ends: nothing of it runs, and nothing is reported, because it should run.
    Leave,
}

/// How an instance runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Spec {
    pub(crate) boot: u64,
    pub(crate) user_data: Arc<[u8]>,
    pub(crate) interfaces: BTreeMap<u32, PortSpec>,
}

/// An interface of an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PortSpec {
    pub(crate) interface: InterfaceId,
    pub(crate) mac: Mac,
    pub(crate) mtu: u16,
    /// Its private addresses, the primary one first.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub(crate) ipv6: Vec<Ipv6Addr>,
}

/// The host side's name of an interface's port: it fits the 15 characters of a link's name.
pub(crate) fn port_name(interface: InterfaceId) -> String {
    format!("pd{:013x}", interface.bits() & ((1 << 52) - 1))
}

/// Whether a link of this name can be a port.
pub(crate) fn is_port_name(name: &str) -> bool {
    let digits = name.strip_prefix("pd").unwrap_or_default();
    digits.len() == 13 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What the task is told, and where it says what it has done.
pub(crate) struct Order {
    /// Counts the changes of the agent's whole state. The task repeats it when its ports are as this change wants.
    pub(crate) pass: u64,
    pub(crate) desired: Desired,
}

/// The task's other end.
pub(crate) struct Control {
    pub(crate) order: watch::Sender<Order>,
    pub(crate) done: watch::Receiver<u64>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

/// What there is of an instance.
pub(crate) struct Up {
    pub(crate) boot: u64,
    /// False if an earlier agent did not bring the start to its end, or parts are missing: it is not continued.
    pub(crate) whole: bool,
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) ports: BTreeMap<u32, Port>,
    /// The addresses that its interfaces were last given beside those of DHCP; `None` if that is not known.
    pub(crate) settled: Option<Addresses>,
    /// The IPv6 addresses that its interfaces were last given; `None` if that is not known.
    pub(crate) settled6: Option<Addresses6>,
    /// Its user data was started, if it has any.
    pub(crate) booted: bool,
    /// The process of its user data, while it runs and is this process's child.
    pub(crate) process: Option<Child>,
}

/// A port of an instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    pub(crate) interface: InterfaceId,
    pub(crate) ifindex: u32,
    pub(crate) state: PortState,
}

/// How far a port's inside is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PortState {
    /// It waits for DHCP.
    New,
    /// It has its address.
    Configured(Lease),
    /// An earlier agent configured it.
    Adopted,
}

/// Starts the task of an instance.
pub(crate) fn start(
    runtime: &tokio::runtime::Handle,
    host: Arc<Host>,
    id: InstanceId,
    adopted: Option<Up>,
    order: Order,
) -> Control {
    let (order, orders) = watch::channel(order);
    let (report_done, done) = watch::channel(0);
    let files = Files::new(host.state_dir(), id);
    let task = Task {
        host,
        id,
        files,
        up: adopted,
        orders,
        done: report_done,
        attempts: 0,
    };
    let task = runtime.spawn(task.run());
    Control { order, done, task }
}

struct Task {
    host: Arc<Host>,
    id: InstanceId,
    files: Files,
    up: Option<Up>,
    orders: watch::Receiver<Order>,
    done: watch::Sender<u64>,
    attempts: u32,
}

impl Task {
    async fn run(mut self) {
        loop {
            let (pass, desired) = {
                let order = self.orders.borrow_and_update();
                (order.pass, order.desired.clone())
            };
            let result = match &desired {
                Desired::Run(spec) => self.ports(spec).await,
                Desired::Stop | Desired::Remove | Desired::Leave => self.down().await,
            };
            let result = match result {
                Ok(()) => {
                    self.done.send_replace(pass);
                    self.finish(&desired).await
                }
                Err(error) => Err(error),
            };
            let ends = matches!(desired, Desired::Remove | Desired::Leave);
            if ends && result.is_ok() && !self.orders.has_changed().unwrap_or(false) {
                return;
            }
            let wait = self.judge(result, pass);
            tokio::select! {
                changed = self.orders.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// What comes after the ports, and may take longer.
    async fn finish(&mut self, desired: &Desired) -> io::Result<()> {
        match desired {
            Desired::Run(spec) => self.boot(spec).await,
            Desired::Stop => {
                self.host.reports().put_if_new(Report::Stopped(self.id));
                Ok(())
            }
            Desired::Remove => {
                self.host.reports().forget(self.id);
                self.files.remove()
            }
            Desired::Leave => Ok(()),
        }
    }

    /// Takes note of how it went. Returns how long to wait before the next look.
    fn judge(&mut self, result: io::Result<()>, pass: u64) -> Duration {
        let Err(error) = result else {
            self.attempts = 0;
            return TICK;
        };
        if error.kind() == io::ErrorKind::Interrupted {
            return Duration::ZERO;
        }
        self.attempts = self.attempts.saturating_add(1);
        tracing::debug!(instance = %self.id, %error, attempt = self.attempts, "not yet as it should be");
        if error.kind() != io::ErrorKind::AlreadyExists || self.attempts >= QUIET_ATTEMPTS {
            // What cannot be made must not hold up those who wait for the rest.
            self.done.send_replace(pass);
            tracing::warn!(instance = %self.id, %error, "the instance cannot be made what it should be");
            self.host
                .reports()
                .put_if_new(Report::Failed(self.id, error.to_string()));
        }
        FIRST_RETRY
            .saturating_mul(1 << self.attempts.min(10))
            .min(TICK)
    }

    /// Makes namespace and ports what they should be.
    async fn ports(&mut self, spec: &Spec) -> io::Result<()> {
        let same_boot = self
            .up
            .as_ref()
            .is_none_or(|up| up.boot == spec.boot && up.whole);
        if !same_boot {
            self.down().await?;
        }
        let entry = Entry {
            boot: spec.boot,
            booted: self.up.as_ref().is_some_and(|up| up.booted),
            interfaces: spec
                .interfaces
                .iter()
                .map(|(index, port)| (*index, port.interface))
                .collect(),
        };
        if self.up.is_none() {
            self.host.record(self.id, Some(entry.clone()))?;
            let name = namespace::name_of(self.id);
            let what = format!("network namespace `{name}`");
            let created = blocking(move || Namespace::create(&name)).await;
            if created.is_err() {
                // If the name is taken, it is not ours, and must not stand in the manifest.
                self.host.record(self.id, None)?;
            }
            let namespace = created.map_err(at(what))?;
            self.up = Some(Up {
                boot: spec.boot,
                whole: true,
                namespace: Arc::new(namespace),
                ports: BTreeMap::new(),
                settled: None,
                settled6: None,
                booted: false,
                process: None,
            });
        }
        self.remove_unwanted_ports(spec).await?;
        self.host.record(self.id, Some(entry))?;
        self.add_missing_ports(spec).await
    }

    async fn remove_unwanted_ports(&mut self, spec: &Spec) -> io::Result<()> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        let mut unwanted = Vec::new();
        for (index, port) in &up.ports {
            let wanted = spec
                .interfaces
                .get(index)
                .is_some_and(|wanted| wanted.interface == port.interface);
            let there = self
                .host
                .netlink()
                .link(&port_name(port.interface))
                .await?
                .is_some_and(|link| link.index == port.ifindex);
            if !wanted || !there {
                unwanted.push((*index, *port));
            }
        }
        for (index, port) in unwanted {
            self.host.remove_port(port.interface, port.ifindex).await?;
            up.ports.remove(&index);
        }
        Ok(())
    }

    async fn add_missing_ports(&mut self, spec: &Spec) -> io::Result<()> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        for (index, wanted) in &spec.interfaces {
            if up.ports.contains_key(index) {
                continue;
            }
            let near = End {
                name: port_name(wanted.interface),
                mac: Mac::ROUTER,
                mtu: PORT_MTU,
            };
            let far = End {
                name: guest_name(*index),
                mac: wanted.mac,
                mtu: u32::from(wanted.mtu),
            };
            let ifindex = self
                .host
                .netlink()
                .add_veth(&near, &far, Some(up.namespace.file().as_fd()))
                .await
                .map_err(at(format!("interface `{}`", near.name)))?;
            let port = Port {
                interface: wanted.interface,
                ifindex,
                state: PortState::New,
            };
            // Known before it is attached, so that a failure from here on is cleaned up.
            up.ports.insert(*index, port);
            let opened = match self.host.attach_port(ifindex, wanted.interface, wanted.mac) {
                Ok(()) => self.host.netlink().up(ifindex).await,
                Err(error) => Err(error),
            };
            if let Err(error) = opened {
                up.ports.remove(index);
                self.host.remove_port(wanted.interface, ifindex).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Configures the ports, by DHCP and what goes beyond it, and starts the process.
    async fn boot(&mut self, spec: &Spec) -> io::Result<()> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        for (index, port) in &mut up.ports {
            let Some(wanted) = spec.interfaces.get(index) else {
                continue;
            };
            if matches!(port.state, PortState::New) {
                let inside = Inside {
                    index: *index,
                    mac: wanted.mac,
                };
                let desired = Desired::Run(Arc::new(spec.clone()));
                let wish = Wish {
                    orders: &mut self.orders,
                    done: &self.done,
                    desired,
                };
                let lease = configure(&up.namespace, inside, wish)
                    .await
                    .map_err(at(format!("configuring `{}`", wanted.interface)))?;
                port.state = PortState::Configured(lease);
            }
        }
        let addresses = |(index, port): (&u32, &PortSpec)| (*index, port.addresses.clone());
        let wanted: Addresses = spec.interfaces.iter().map(addresses).collect();
        if up.settled.as_ref() != Some(&wanted) {
            up.settled = None;
            settle(&up.namespace, wanted.clone())
                .await
                .map_err(at("setting addresses and rules".to_owned()))?;
            up.settled = Some(wanted);
        }
        let addresses = |(index, port): (&u32, &PortSpec)| {
            let inside = Inside {
                index: *index,
                mac: port.mac,
            };
            (*index, (inside, port.ipv6.clone()))
        };
        let wanted: Addresses6 = spec.interfaces.iter().map(addresses).collect();
        let wanted: Addresses6 = wanted
            .into_iter()
            .filter(|(_, (_, addresses))| !addresses.is_empty())
            .collect();
        if up.settled6.as_ref() != Some(&wanted) && self.host.netlink().knows_ipv6() {
            // What an earlier agent left is not known: then every interface is looked at.
            let had = match up.settled6.take() {
                Some(settled) => settled.into_keys().collect(),
                None => spec.interfaces.keys().copied().collect(),
            };
            let desired = Desired::Run(Arc::new(spec.clone()));
            let wish = Wish {
                orders: &mut self.orders,
                done: &self.done,
                desired,
            };
            settle6(&up.namespace, wanted.clone(), &had, wish)
                .await
                .map_err(at("setting IPv6 addresses and rules".to_owned()))?;
            up.settled6 = Some(wanted);
        }
        if up.booted {
            reap(&mut up.process);
            self.files.bound_console();
        } else {
            let lease = up.ports.get(&0).and_then(|port| match port.state {
                PortState::Configured(lease) => Some(lease),
                PortState::New | PortState::Adopted => None,
            });
            let (files, id) = (self.files.clone(), self.id);
            let (data, namespace) = (Arc::clone(&spec.user_data), Arc::clone(&up.namespace));
            up.process = blocking(move || files.start(id, &data, lease, &namespace)).await?;
            up.booted = true;
            self.host.record_booted(self.id)?;
        }
        self.host
            .reports()
            .put_if_new(Report::Running(self.id, spec.boot));
        Ok(())
    }

    /// Ends its processes and removes its ports and its namespace.
    async fn down(&mut self) -> io::Result<()> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        let namespace = Arc::clone(&up.namespace);
        if !blocking(move || namespace.end_processes()).await? {
            return Err(io::Error::other("a process of the instance does not end"));
        }
        reap(&mut up.process);
        while let Some((index, port)) = up.ports.first_key_value() {
            let (index, port) = (*index, *port);
            self.host.remove_port(port.interface, port.ifindex).await?;
            up.ports.remove(&index);
        }
        let name = namespace::name_of(self.id);
        blocking(move || namespace::remove(&name)).await?;
        self.up = None;
        self.host.record(self.id, None)
    }
}

/// Takes the exit status of a child that has ended, so that it does not stay as a zombie.
fn reap(process: &mut Option<Child>) {
    if let Some(child) = process
        && let Ok(Some(status)) = child.try_wait()
    {
        tracing::debug!(pid = child.id(), %status, "user data has ended");
        *process = None;
    }
}

/// Says where an error comes from, and keeps its kind.
fn at(what: String) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

pub(crate) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(run)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_named_after_its_interface() {
        let id: InterfaceId = "eni-0123456789abcdef0".parse().unwrap();
        assert_eq!(port_name(id), "pd456789abcdef0");
        assert_eq!(port_name(id).len(), 15);
        assert!(is_port_name(&port_name(id)));
        for other in ["pdup", "pdupx", "pdslow", "eth0", "pd456789abcdefg"] {
            assert!(!is_port_name(other), "{other}");
        }
    }
}
