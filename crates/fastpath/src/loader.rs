//! [`Fastpath`]: the loaded program, its maps and where it is attached.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aya::maps::{Array, MapData};
use aya::programs::SchedClassifier;
use aya::programs::tc::SchedClassifierLink;
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use fastpath_core::abi::{
    self, ABI_VERSION, Action, DropKey, Flow, FlowKey, MAX_IFINDEX, Port, PortCounters, Session,
    port_slot,
};
use fastpath_core::template::{MAP_GENERATIONS, MAP_TEMPLATES, MAP_USAGE, MAX_TEMPLATES, Template};
use types::DropReason;

use crate::batch::Cursor;
use crate::map::{
    ConfigRecord, DropKeyRecord, FlowKeyRecord, FlowRecord, Maps, PortRecord, TemplateRecord,
    found, is_taken, named,
};
use crate::{Error, SharedUsage, links, map};

/// `BPF_NOEXIST` of `linux/bpf.h`: only if the key is not there.
const NO_EXIST: u64 = 1;
/// How many flows are read at once where all are.
const BATCH: usize = 4096;

/// The eBPF object that `cargo xtask ebpf` builds.
static OBJECT: &[u8] = include_bytes_aligned!("polder.bpf.o");

/// Where pins live unless the user says otherwise.
pub const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/polder";
/// How many flow keys the table holds unless the user says otherwise; a session has two.
pub const DEFAULT_MAX_FLOWS: u32 = 262_144;

/// How to open the fast path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A directory on the BPF file system for maps and links, made when absent. `None`: everything goes when the
    /// process does.
    pub pin_dir: Option<PathBuf>,
    /// Bound of the flow table, in keys; half as many sessions. Adopted maps keep the bound they were made with.
    pub max_flows: u32,
    /// Interface index of the upcall device; 0 for none yet (see [`Fastpath::attach_slow`]).
    pub slow_ifindex: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            pin_dir: Some(PathBuf::from(DEFAULT_PIN_DIR)),
            max_flows: DEFAULT_MAX_FLOWS,
            slow_ifindex: 0,
        }
    }
}

/// The fast path of this host. Dropping it leaves pinned programs and maps at work.
pub struct Fastpath {
    // Holds the programs; maps are in `maps`.
    ebpf: Ebpf,
    pub(crate) maps: Maps,
    pin_dir: Option<PathBuf>,
    // Links that are not pinned, by interface index: dropping one detaches.
    links: BTreeMap<u32, SchedClassifierLink>,
    adopted: bool,
    // The keys of every session in the flow table, which is keyed by them alone.
    keys: HashMap<u64, [FlowKey; 2]>,
    flows: OwnedFd,
    cursor: Cursor,
    usage: Arc<SharedUsage>,
    // What is in the map; only this process changes it.
    generations: Vec<u32>,
}

impl std::fmt::Debug for Fastpath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fastpath")
            .field("pin_dir", &self.pin_dir)
            .field("adopted", &self.adopted)
            .finish_non_exhaustive()
    }
}

impl Fastpath {
    /// Loads the program. Maps that an earlier process pinned with the same [`ABI_VERSION`] are adopted with
    /// everything in them; others are removed. Ports stay attached to the earlier program, and keep forwarding
    /// with its maps, until [`Fastpath::attach_port`] replaces it.
    ///
    /// # Errors
    /// When the kernel refuses, or the pin directory cannot be used.
    pub fn open(config: Config) -> Result<Fastpath, Error> {
        let mut loader = EbpfLoader::new();
        let max_flows = config.max_flows.max(2);
        loader.map_max_entries(abi::MAP_FLOWS, max_flows);
        let mut adopted = false;
        if let Some(pin_dir) = &config.pin_dir {
            links::make_pin_dir(pin_dir)?;
            adopted = is_adoptable(pin_dir);
            for name in abi::MAPS {
                let path = pin_dir.join(name);
                if !adopted {
                    links::remove_pin(&path)?;
                }
                loader.map_pin_path(name, path);
            }
        }
        let mut ebpf = loader
            .load(OBJECT)
            .map_err(|error| Error::Load(Box::new(error)))?;
        let flows = map::descriptor(&ebpf, abi::MAP_FLOWS)?;
        let usage = SharedUsage::new(&map::descriptor(&ebpf, MAP_USAGE)?)?;
        let maps = Maps {
            config: map::take(&mut ebpf, abi::MAP_CONFIG)?,
            ports: map::take(&mut ebpf, abi::MAP_PORTS)?,
            flows: map::take(&mut ebpf, abi::MAP_FLOWS)?,
            drops: map::take(&mut ebpf, abi::MAP_DROPS)?,
            counters: map::take(&mut ebpf, abi::MAP_COUNTERS)?,
            templates: map::take(&mut ebpf, MAP_TEMPLATES)?,
            generations: map::take(&mut ebpf, MAP_GENERATIONS)?,
        };
        let mut fastpath = Fastpath {
            ebpf,
            maps,
            pin_dir: config.pin_dir,
            links: BTreeMap::new(),
            adopted,
            keys: HashMap::new(),
            flows,
            cursor: Cursor::default(),
            usage: Arc::new(usage),
            generations: vec![0; MAX_TEMPLATES as usize],
        };
        if adopted {
            let sessions = fastpath.sessions()?;
            fastpath.keys = sessions.iter().map(|(id, s)| (*id, s.key)).collect();
            for (slot, generation) in (0..).zip(&mut fastpath.generations) {
                *generation = (fastpath.maps.generations)
                    .get(&slot, 0)
                    .map_err(named(MAP_GENERATIONS))?;
            }
        }
        for name in [abi::PROGRAM_PORT, abi::PROGRAM_SLOW] {
            fastpath
                .program(name)?
                .load()
                .map_err(|source| Error::Program { name, source })?;
        }
        fastpath.configure(config.slow_ifindex)?;
        Ok(fastpath)
    }

    /// Whether [`Fastpath::open`] found maps of an earlier process and kept them.
    #[must_use]
    pub const fn adopted(&self) -> bool {
        self.adopted
    }

    /// The ports as the kernel knows them, by interface index.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn ports(&self) -> Result<BTreeMap<u32, Port>, Error> {
        let mut ports = BTreeMap::new();
        for slot in 0..abi::MAX_PORTS {
            let port = self.port_at(slot)?;
            if port.ifindex != 0 {
                ports.insert(port.ifindex, port);
            }
        }
        Ok(ports)
    }

    fn port_at(&self, slot: u32) -> Result<Port, Error> {
        let PortRecord(port) = (self.maps.ports.get(&slot, 0)).map_err(named(abi::MAP_PORTS))?;
        Ok(port)
    }

    /// The slot of an interface; with `ifindex` 0 and where to look for it, a free one.
    fn slot(&self, near: u32, ifindex: u32) -> Result<Option<u32>, Error> {
        for attempt in 0..abi::PORT_SLOTS {
            let slot = port_slot(near, attempt);
            if self.port_at(slot)?.ifindex == ifindex {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// The interfaces on which a program of this or an earlier process is attached, by ascending index, the upcall
    /// device included. Some of the earlier ones may not exist any more.
    ///
    /// # Errors
    /// When the pin directory cannot be read.
    pub fn attached(&self) -> Result<Vec<u32>, Error> {
        match &self.pin_dir {
            Some(pin_dir) => links::pinned(pin_dir),
            None => Ok(self.links.keys().copied().collect()),
        }
    }

    /// Makes an interface a port: its record first, then the program on its ingress. On an interface that is a
    /// port already, both are replaced without a moment between. Its counters go on.
    ///
    /// # Errors
    /// `NoInterface` when there is none in this network namespace, `Full` when every slot that the interface may have
    /// is another's, or when the kernel refuses.
    pub fn attach_port(&mut self, ifindex: u32, port: Port) -> Result<(), Error> {
        if ifindex == 0 || ifindex > MAX_IFINDEX {
            return Err(Error::NoInterface(ifindex));
        }
        self.write_port(ifindex, port)?;
        self.attach(abi::PROGRAM_PORT, ifindex)
    }

    /// Writes a port's record. Its counters begin at zero unless it has some.
    pub(crate) fn write_port(&mut self, ifindex: u32, port: Port) -> Result<(), Error> {
        let slot = match self.slot(ifindex, ifindex)? {
            Some(slot) => slot,
            None => {
                let free = self.slot(ifindex, 0)?;
                let slot = free.ok_or(Error::Full(abi::MAP_PORTS))?;
                self.zero_counters(slot)?;
                slot
            }
        };
        let port = Port { ifindex, ..port };
        self.maps
            .ports
            .set(slot, PortRecord(port), 0)
            .map_err(named(abi::MAP_PORTS))
    }

    fn zero_counters(&mut self, slot: u32) -> Result<(), Error> {
        let cpus = aya::util::nr_cpus().map_err(|(path, source)| Error::Io {
            action: "counting CPUs",
            path: path.into(),
            source,
        })?;
        let zeros = vec![map::CountersRecord(PortCounters::default()); cpus];
        let zeros = zeros
            .try_into()
            .map_err(Error::io("counting CPUs", "/sys/devices/system/cpu"))?;
        self.maps
            .counters
            .set(slot, zeros, 0)
            .map_err(named(abi::MAP_COUNTERS))
    }

    /// Ends a port, whether or not its interface still exists: nothing enters or leaves through it any more, its
    /// counters are forgotten. Its sessions are the caller's to remove.
    ///
    /// # Errors
    /// When the kernel refuses. An interface that is no port is no error.
    pub fn detach_port(&mut self, ifindex: u32) -> Result<(), Error> {
        if let Some(slot) = self.slot(ifindex, ifindex)? {
            self.maps
                .ports
                .set(slot, PortRecord(Port::default()), 0)
                .map_err(named(abi::MAP_PORTS))?;
        }
        let drops =
            map::keys(self.maps.drops.keys(), abi::MAX_DROPS).map_err(named(abi::MAP_DROPS))?;
        for key in drops.iter().filter(|key| key.0.ifindex == ifindex) {
            found(self.maps.drops.remove(key)).map_err(named(abi::MAP_DROPS))?;
        }
        self.detach(ifindex)
    }

    /// Makes an interface the upcall device: packets without a session go there from now on, and what is written
    /// to it is re-injected. Pins of interfaces that have gone, as an earlier upcall device has, are removed.
    ///
    /// # Errors
    /// As [`Fastpath::attach_port`].
    pub fn attach_slow(&mut self, ifindex: u32) -> Result<(), Error> {
        self.attach(abi::PROGRAM_SLOW, ifindex)?;
        self.configure(ifindex)?;
        for earlier in self.attached()? {
            if links::interface_name(earlier).is_err() {
                self.detach(earlier)?;
            }
        }
        Ok(())
    }

    /// Writes a session's directions, the first one first; a session of the same id is replaced, counters included. A
    /// key with port 0 is none.
    ///
    /// # Errors
    /// `Full` at the bound of the table, `Taken` if a key leads to another session; then nothing of the session is left.
    pub fn install(&mut self, id: u64, session: &Session) -> Result<(), Error> {
        if let Some(old) = self.keys.insert(id, session.key) {
            for key in old.iter().filter(|key| !session.key.contains(key)) {
                self.remove_flow(id, key)?;
            }
        }
        for (direction, key) in session.key.iter().enumerate() {
            if key.port == 0 {
                continue;
            }
            let flow = FlowRecord(session.flow(id, direction));
            let mut written = (self.maps.flows).insert(FlowKeyRecord(*key), flow, NO_EXIST);
            if written.as_ref().is_err_and(is_taken) && self.flow_of(id, key)?.is_some() {
                written = self.maps.flows.insert(FlowKeyRecord(*key), flow, 0);
            }
            if let Err(error) = written {
                self.remove(id)?;
                return Err(if is_taken(&error) {
                    Error::Taken(Box::new(*key))
                } else {
                    named(abi::MAP_FLOWS)(error)
                });
            }
        }
        Ok(())
    }

    /// Gives a session new actions and a new mark, and keeps its keys, counters and times; it is no template's session
    /// any more. False if there is no such session.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn replace_actions(
        &mut self,
        id: u64,
        action: [Action; 2],
        mark: u32,
    ) -> Result<bool, Error> {
        let mut there = false;
        for key in self.keys_of(id) {
            let Some(flow) = self.flow_of(id, &key)? else {
                continue;
            };
            let [forward, back] = action;
            let action = if flow.direction & 1 == 0 {
                forward
            } else {
                back
            };
            let flow = Flow {
                action,
                mark,
                template: 0,
                generation: 0,
                ..flow
            };
            self.maps
                .flows
                .insert(FlowKeyRecord(key), FlowRecord(flow), 0)
                .map_err(named(abi::MAP_FLOWS))?;
            there = true;
        }
        Ok(there)
    }

    /// Removes a session. Returns its last state.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self, id: u64) -> Result<Option<Session>, Error> {
        match self.keys.get(&id).copied() {
            Some(keys) => self.remove_at(id, &keys),
            None => Ok(None),
        }
    }

    /// Removes a session of which these are keys, whoever made it. Returns its last state.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_at(&mut self, id: u64, keys: &[FlowKey]) -> Result<Option<Session>, Error> {
        self.keys.remove(&id);
        let mut session = None;
        for key in keys {
            if let Some(flow) = self.remove_flow(id, key)? {
                session
                    .get_or_insert_with(Session::default)
                    .join(*key, &flow);
            }
        }
        Ok(session)
    }

    /// A session's state.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn session(&self, id: u64) -> Result<Option<Session>, Error> {
        let mut session = None;
        for key in self.keys_of(id) {
            if let Some(flow) = self.flow_of(id, &key)? {
                session
                    .get_or_insert_with(Session::default)
                    .join(key, &flow);
            }
        }
        Ok(session)
    }

    /// Every session, by ascending id.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn sessions(&self) -> Result<BTreeMap<u64, Session>, Error> {
        let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
        let mut cursor = Cursor::default();
        loop {
            let read = cursor.next(&self.flows, BATCH);
            let (flows, last) = read.map_err(Error::io("reading", abi::MAP_FLOWS))?;
            for (key, flow) in flows {
                sessions.entry(flow.session).or_default().join(key, &flow);
            }
            if last {
                return Ok(sessions);
            }
        }
    }

    /// The next flows of a walk through the table that goes on where it stopped, `budget` or fewer, and whether these
    /// are the last ones.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn scan(&mut self, budget: usize) -> Result<(Vec<(FlowKey, Flow)>, bool), Error> {
        let read = self.cursor.next(&self.flows, budget);
        let (flows, last) = read.map_err(Error::io("reading", abi::MAP_FLOWS))?;
        Ok((flows.collect(), last))
    }

    /// The session that a key leads to, whoever made it, and the other key, whether or not that leads there too.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn session_at(&self, key: &FlowKey) -> Result<Option<(u64, Session)>, Error> {
        let Some(flow) = self.read_flow(key)? else {
            return Ok(None);
        };
        let other = flow.action.answer_key(key);
        let mut session = Session::default();
        session.join(*key, &flow);
        match self.flow_of(flow.session, &other)? {
            Some(back) if back.direction != flow.direction => session.join(other, &back),
            _ => session.key[(flow.direction & 1 ^ 1) as usize] = other,
        }
        Ok(Some((flow.session, session)))
    }

    /// From now on a session that the kernel program has made can be changed by its identifier.
    pub fn know(&mut self, id: u64, key: [FlowKey; 2]) {
        self.keys.insert(id, key);
    }

    /// Writes a template for its slot's generation, which it keeps until [`Fastpath::revoke_template`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install_template(&mut self, key: &FlowKey, template: Template) -> Result<(), Error> {
        let generation = self.generation(template.slot);
        let record = TemplateRecord(Template {
            generation,
            ..template
        });
        (self.maps.templates)
            .insert(FlowKeyRecord(*key), record, 0)
            .map_err(named(MAP_TEMPLATES))
    }

    /// Ends a template, and with it every session that was made from it: none of their packets passes when this returns.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn revoke_template(&mut self, slot: u32, key: &FlowKey) -> Result<(), Error> {
        let next = self.generation(slot).wrapping_add(1);
        (self.maps.generations)
            .set(slot, next, 0)
            .map_err(named(MAP_GENERATIONS))?;
        if let Some(generation) = self.generations.get_mut(slot as usize) {
            *generation = next;
        }
        found(self.maps.templates.remove(&FlowKeyRecord(*key))).map_err(named(MAP_TEMPLATES))?;
        Ok(())
    }

    /// Ends every template, also those of an earlier process.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn revoke_templates(&mut self) -> Result<(), Error> {
        let keys = map::keys(self.maps.templates.keys(), MAX_TEMPLATES);
        for FlowKeyRecord(key) in keys.map_err(named(MAP_TEMPLATES))? {
            let template = found(self.maps.templates.get(&FlowKeyRecord(key), 0));
            if let Some(TemplateRecord(template)) = template.map_err(named(MAP_TEMPLATES))? {
                self.revoke_template(template.slot, &key)?;
            }
        }
        Ok(())
    }

    /// A slot's generation: what sessions of its template must have to be followed.
    #[must_use]
    pub fn generation(&self, slot: u32) -> u32 {
        let generation = self.generations.get(slot as usize);
        generation.copied().unwrap_or_default()
    }

    /// The words that this process shares with the kernel program.
    #[must_use]
    pub fn usage(&self) -> Arc<SharedUsage> {
        Arc::clone(&self.usage)
    }

    /// The session that a key leads to, and the direction, 0 or 1.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn flow(&self, key: &FlowKey) -> Result<Option<(u64, usize)>, Error> {
        let flow = self.read_flow(key)?;
        Ok(flow.map(|flow| (flow.session, (flow.direction & 1) as usize)))
    }

    /// Frames that the kernel program dropped, by the interface of their arrival and the reason, since the port
    /// was attached.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn drops(&self) -> Result<BTreeMap<(u32, DropReason), u64>, Error> {
        let mut drops = BTreeMap::new();
        let keys =
            map::keys(self.maps.drops.keys(), abi::MAX_DROPS).map_err(named(abi::MAP_DROPS))?;
        for key in keys {
            let DropKeyRecord(DropKey { ifindex, reason }) = key;
            let values = found(self.maps.drops.get(&key, 0)).map_err(named(abi::MAP_DROPS))?;
            if let (Some(values), Some(reason)) = (values, DropReason::from_code(reason)) {
                drops.insert((ifindex, reason), values.iter().sum());
            }
        }
        Ok(drops)
    }

    /// What passed a port since it was attached; `None` if it is no port.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn counters(&self, ifindex: u32) -> Result<Option<PortCounters>, Error> {
        let Some(slot) = self.slot(ifindex, ifindex)? else {
            return Ok(None);
        };
        let values = (self.maps.counters.get(&slot, 0)).map_err(named(abi::MAP_COUNTERS))?;
        let mut sum = PortCounters::default();
        for map::CountersRecord(one) in values.iter() {
            sum.rx_packets += one.rx_packets;
            sum.rx_bytes += one.rx_bytes;
            sum.tx_packets += one.tx_packets;
            sum.tx_bytes += one.tx_bytes;
            sum.upcalls += one.upcalls;
        }
        Ok(Some(sum))
    }

    /// Detaches everything and removes every pin.
    ///
    /// # Errors
    /// The first thing that could not be removed; the rest is removed nevertheless.
    pub fn close(mut self) -> Result<(), Error> {
        self.links.clear();
        match &self.pin_dir {
            Some(pin_dir) => unpin_all(pin_dir),
            None => Ok(()),
        }
    }

    pub(crate) fn program(&mut self, name: &'static str) -> Result<&mut SchedClassifier, Error> {
        self.ebpf
            .program_mut(name)
            .ok_or(Error::Incomplete(name))?
            .try_into()
            .map_err(|source| Error::Program { name, source })
    }

    fn configure(&mut self, slow_ifindex: u32) -> Result<(), Error> {
        let config = abi::Config {
            abi_version: ABI_VERSION,
            slow_ifindex,
        };
        self.maps
            .config
            .set(0, ConfigRecord(config), 0)
            .map_err(named(abi::MAP_CONFIG))
    }

    fn attach(&mut self, name: &'static str, ifindex: u32) -> Result<(), Error> {
        let pin = self
            .pin_dir
            .as_deref()
            .map(|pin_dir| links::pin_path(pin_dir, ifindex));
        if self.links.contains_key(&ifindex) {
            return Ok(());
        }
        let link = links::attach(self.program(name)?, name, ifindex, pin.as_deref())?;
        if let Some(link) = link {
            self.links.insert(ifindex, link);
        }
        Ok(())
    }

    fn detach(&mut self, ifindex: u32) -> Result<(), Error> {
        self.links.remove(&ifindex);
        match &self.pin_dir {
            Some(pin_dir) => links::remove_pin(&links::pin_path(pin_dir, ifindex)),
            None => Ok(()),
        }
    }

    /// The keys of a session, as far as it has some.
    fn keys_of(&self, id: u64) -> impl Iterator<Item = FlowKey> + use<> {
        let keys = self.keys.get(&id).copied().unwrap_or_default();
        keys.into_iter().filter(|key| key.port != 0)
    }

    fn read_flow(&self, key: &FlowKey) -> Result<Option<Flow>, Error> {
        let flow = found(self.maps.flows.get(&FlowKeyRecord(*key), 0));
        Ok(flow
            .map_err(named(abi::MAP_FLOWS))?
            .map(|FlowRecord(flow)| flow))
    }

    /// What is behind a key unless it leads to another session by now.
    fn flow_of(&self, id: u64, key: &FlowKey) -> Result<Option<Flow>, Error> {
        Ok(self.read_flow(key)?.filter(|flow| flow.session == id))
    }

    /// Removes a key unless it leads to another session by now.
    fn remove_flow(&mut self, id: u64, key: &FlowKey) -> Result<Option<Flow>, Error> {
        if key.port == 0 {
            return Ok(None);
        }
        let flow = self.flow_of(id, key)?;
        if flow.is_some() {
            found(self.maps.flows.remove(&FlowKeyRecord(*key))).map_err(named(abi::MAP_FLOWS))?;
        }
        Ok(flow)
    }
}

impl Fastpath {
    /// [`Fastpath::attached`] of whoever pinned in this directory; nothing if it does not exist.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn pinned(pin_dir: &Path) -> Result<Vec<u32>, Error> {
        links::pinned(pin_dir)
    }

    /// Removes everything that any process pinned in a directory, and so detaches its programs. For what a killed
    /// process left behind; a directory that does not exist is no error.
    ///
    /// # Errors
    /// The first thing that could not be removed; the rest is removed nevertheless.
    pub fn unpin_all(pin_dir: &Path) -> Result<(), Error> {
        unpin_all(pin_dir)
    }
}

fn unpin_all(pin_dir: &Path) -> Result<(), Error> {
    let mut paths: Vec<PathBuf> = links::pinned(pin_dir)?
        .into_iter()
        .map(|ifindex| links::pin_path(pin_dir, ifindex))
        .collect();
    paths.extend(abi::MAPS.map(|name| pin_dir.join(name)));
    let mut first = Ok(());
    for path in &paths {
        first = first.and(links::remove_pin(path));
    }
    first.and(links::remove_pin_dir(pin_dir))
}

/// Whether the maps of this directory are all there and of our version.
fn is_adoptable(pin_dir: &Path) -> bool {
    let version = || -> Option<u32> {
        let data = MapData::from_pin(pin_dir.join(abi::MAP_CONFIG)).ok()?;
        let config: Array<_, ConfigRecord> = Array::try_from(aya::maps::Map::Array(data)).ok()?;
        Some(config.get(&0, 0).ok()?.0.abi_version)
    };
    version() == Some(ABI_VERSION) && abi::MAPS.iter().all(|name| pin_dir.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_another_version_are_not_adopted() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: this test loads eBPF, which needs root");
            return;
        }
        let pin_dir = PathBuf::from(format!(
            "/sys/fs/bpf/polder-test-{}-version",
            std::process::id()
        ));
        let open = || {
            Fastpath::open(Config {
                pin_dir: Some(pin_dir.clone()),
                max_flows: 64,
                slow_ifindex: 0,
            })
            .expect("the kernel takes the program")
        };
        let mut first = open();
        let key = FlowKey {
            port: 1,
            ..FlowKey::default()
        };
        let session = Session {
            key: [key, FlowKey::default()],
            ..Session::default()
        };
        first.install(1, &session).expect("room");
        drop(first);
        let mut second = open();
        assert!(second.adopted());
        assert_eq!(second.sessions().expect("listed").len(), 1);
        let other = abi::Config {
            abi_version: ABI_VERSION + 1,
            slow_ifindex: 0,
        };
        second
            .maps
            .config
            .set(0, ConfigRecord(other), 0)
            .expect("written");
        drop(second);
        let third = open();
        assert!(!third.adopted());
        assert!(third.sessions().expect("listed").is_empty());
        third.close().expect("closed");
        assert!(!pin_dir.exists());
    }
}
