//! What the parts of an agent share.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::{InstanceId, InterfaceId, Mac};

use crate::Config;
use crate::instances::{Port, PortState, Up, port_name};
use crate::manifest::{Entry, Manifest};
use crate::namespace::{self, Namespace};
use crate::netlink::Netlink;
use crate::reports::Desk;
use crate::slow::{Slow, guest, guest_record};
use crate::start;

/// One host.
pub(crate) struct Host {
    config: Config,
    netlink: Netlink,
    slow: Arc<Slow>,
    manifest: Mutex<Manifest>,
    reports: Desk,
}

impl Host {
    pub(crate) fn new(config: Config, netlink: Netlink, slow: Slow, manifest: Manifest) -> Host {
        Host {
            config,
            netlink,
            slow: Arc::new(slow),
            manifest: Mutex::new(manifest),
            reports: Desk::default(),
        }
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }

    pub(crate) fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    pub(crate) fn slow(&self) -> &Arc<Slow> {
        &self.slow
    }

    pub(crate) fn reports(&self) -> &Desk {
        &self.reports
    }

    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what there is of an instance, or is about to be.
    pub(crate) fn record(&self, instance: InstanceId, entry: Option<Entry>) -> io::Result<()> {
        self.manifest().set_instance(instance, entry)
    }

    /// Records that an instance's start came to its end.
    pub(crate) fn record_booted(&self, instance: InstanceId) -> io::Result<()> {
        let mut manifest = self.manifest();
        let entry = manifest.instances().get(&instance).cloned();
        let entry = entry.map(|entry| Entry {
            booted: true,
            ..entry
        });
        manifest.set_instance(instance, entry)
    }

    /// Puts the program on an interface's port. It must be down until then, so that no packet meets the host.
    pub(crate) fn attach_port(
        &self,
        ifindex: u32,
        interface: InterfaceId,
        mac: Mac,
    ) -> io::Result<()> {
        self.slow
            .attach(ifindex, guest(interface), guest_record(mac, &self.config))
    }

    /// Removes an interface's port.
    pub(crate) async fn remove_port(&self, interface: InterfaceId, ifindex: u32) -> io::Result<()> {
        // The interface first: while it is there, it must have its program.
        let name = port_name(interface);
        let link = self.netlink.link(&name).await?;
        // By now the interface may have its port at another instance.
        if link.is_some_and(|link| link.index == ifindex) {
            self.netlink.remove(&name).await?;
        }
        self.slow.detach(ifindex)
    }

    /// What an earlier agent left of its instances. Whatever of one cannot be used is removed at once.
    pub(crate) async fn adopt(&self) -> io::Result<BTreeMap<InstanceId, Up>> {
        let entries = self.manifest().instances().clone();
        let mut adopted = BTreeMap::new();
        for (id, entry) in entries {
            match self.adopt_instance(id, &entry).await {
                Ok(up) => {
                    adopted.insert(id, up);
                }
                Err(error) => {
                    tracing::info!(instance = %id, %error, "what is left of the instance is removed");
                    for interface in entry.interfaces.values() {
                        self.netlink.remove(&port_name(*interface)).await?;
                    }
                    namespace::remove(&namespace::name_of(id))?;
                    self.record(id, None)?;
                }
            }
        }
        let known = |index: &u32| {
            let mut ports = adopted.values().flat_map(|up| up.ports.values());
            ports.any(|port| port.ifindex == *index)
        };
        let mut strays = self.slow.attached()?;
        strays.retain(|index| !known(index));
        start::remove_ports(&self.netlink, strays).await?;
        Ok(adopted)
    }

    async fn adopt_instance(&self, id: InstanceId, entry: &Entry) -> io::Result<Up> {
        let namespace = Namespace::open(&namespace::name_of(id))?;
        let mut whole = entry.booted;
        let mut ports = BTreeMap::new();
        for (index, interface) in &entry.interfaces {
            let Some(link) = self.netlink.link(&port_name(*interface)).await? else {
                whole = false;
                continue;
            };
            let port = Port {
                interface: *interface,
                ifindex: link.index,
                state: PortState::Adopted,
            };
            ports.insert(*index, port);
        }
        Ok(Up {
            boot: entry.boot,
            whole,
            namespace: Arc::new(namespace),
            ports,
            settled: None,
            settled6: None,
            booted: entry.booted,
            process: None,
        })
    }
}
