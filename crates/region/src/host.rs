//! Hosts: the machines that run instances, and which of them runs which. They are the operator's, no resource of EC2.
//!
//! A host joins with a token that is good once. What it may connect with from then on is named in its record by its
//! certificates' fingerprints: a certificate that no record names is worthless, whoever signed it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::ApiError;
use feed::Report;
use serde::{Deserialize, Serialize};
use types::{HostId, InstanceId, PlacementGroupId};

use crate::instance::Instance;
use crate::instance_report;
use crate::placement_group::Strategy;
use crate::{Context, Executed, Indexed, Keys, PlacementGroup, State, Timestamp, Tx, zones};

/// The longest name of a host: that of a DNS label (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 63;
/// The most hosts of a region, and the most tokens that wait to be used.
const MAX_HOSTS: usize = 10_000;
/// How many certificates of a host count at once: the present one, and the next while it is on its way.
const MAX_CERTIFICATES: usize = 2;
/// The most instances that a host may be said to carry.
const MAX_CAPACITY: u32 = 100_000;

/// What a host is there for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It runs instances.
    Compute,
    /// It has a way to the outside for others.
    Edge,
}

/// Whether a host takes new instances.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// It does.
    Ready,
    /// It keeps what it has.
    Cordoned,
    /// It takes none, and what it has goes elsewhere.
    Draining,
}

/// A host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Host {
    /// Its identifier.
    pub id: HostId,
    /// Its name; no other host has it.
    pub name: String,
    /// The id of the zone that it is in: names mean what each account says.
    pub zone: String,
    /// Its address in the network that connects the hosts.
    pub underlay: IpAddr,
    /// What it is there for.
    pub roles: BTreeSet<Role>,
    /// How many instances it may run at once.
    pub capacity: u32,
    /// Whether it takes new ones.
    pub admission: Admission,
    /// Whether nothing has been heard of it for too long.
    pub lost: bool,
    /// When it was last known to be connected, or not.
    pub seen: Timestamp,
    /// When it joined.
    pub joined: Timestamp,
    /// The SHA-256 fingerprints, in hexadecimal, of the certificates that it may connect with, the oldest first.
    pub certificates: Vec<String>,
}

impl Indexed for Host {
    fn keys(&self, _: &mut Keys<'_>) {}
}

/// A permission to join, good once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JoinToken {
    /// The SHA-256 of its secret, in hexadecimal.
    pub id: String,
    /// The id of the zone that the host is in, if the token says so.
    pub zone: Option<String>,
    /// What the host is there for.
    pub roles: BTreeSet<Role>,
    /// Until when it is good.
    pub expires: Timestamp,
}

impl Indexed for JoinToken {
    fn keys(&self, _: &mut Keys<'_>) {}
}

/// What a machine says of itself when it joins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Join {
    /// The SHA-256 of the token's secret, in hexadecimal.
    pub token: String,
    /// What it is called.
    pub name: String,
    /// Its zone's id, unless the token says.
    pub zone: Option<String>,
    /// Its address in the network that connects the hosts.
    pub underlay: IpAddr,
    /// How many instances it may run at once.
    pub capacity: u32,
    /// The fingerprint of the certificate that it gets.
    pub certificate: String,
}

/// A change of hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostChange {
    /// A token is made.
    Token(JoinToken),
    /// A machine joins. The reply is its identifier.
    Join(Join),
    /// A host gets another certificate.
    Renew {
        /// The host.
        host: HostId,
        /// The certificate's fingerprint.
        certificate: String,
    },
    /// A host is connected, or has not been for too long.
    Seen {
        /// The host.
        host: HostId,
        /// Whether it is lost.
        lost: bool,
    },
    /// A host, by name or identifier, takes new instances, or takes none.
    Admit {
        /// The host.
        host: String,
        /// What holds from now on. A host that drains hands over its instances as far as others take them; they start
        /// anew there.
        admission: Admission,
    },
    /// A host, by name or identifier, is gone for good; with it, its certificates.
    Remove {
        /// The host.
        host: String,
        /// Whether it goes even if it runs instances: they are stopped then.
        force: bool,
    },
    /// Instances that no host runs are stopped: those of a region that had one host and now has many.
    Strand,
}

/// Carries out a change of hosts. The reply is the host's identifier, where there is one.
///
/// # Errors
/// `HostRefused`, with a message for the operator, or for the machine that joins.
pub fn change_hosts(
    state: &Arc<State>,
    ctx: &Context<'_>,
    change: &HostChange,
) -> Result<Executed, ApiError> {
    let mut tx = Tx::new(state);
    let id = match change {
        HostChange::Token(token) => add_token(&mut tx, ctx, token).map(|()| None),
        HostChange::Join(join) => add_host(&mut tx, ctx, join).map(Some),
        HostChange::Renew { host, certificate } => renew(&mut tx, *host, certificate).map(Some),
        HostChange::Seen { host, lost } => {
            seen(&mut tx, ctx, *host, *lost);
            Ok(Some(*host))
        }
        HostChange::Admit { host, admission } => admit(&mut tx, ctx, host, *admission).map(Some),
        HostChange::Remove { host, force } => remove(&mut tx, ctx, host, *force).map(Some),
        HostChange::Strand => {
            let up = |instance: &&Instance| instance.host.is_none() && instance.needs_host();
            let ids: Vec<_> = tx.all::<Instance>().filter(up).map(|i| i.id).collect();
            strand(&mut tx, ctx, &ids, "no host runs it");
            Ok(None)
        }
    };
    let id = id.map_err(|message| ApiError::new("HostRefused", message))?;
    let (state, writes) = tx.finish();
    Ok(Executed {
        reply: id.map_or_else(api::Value::empty, |id| api::Value::String(id.to_string())),
        state,
        writes,
    })
}

/// What a host says of an instance, as a change. What it says of another host's is not heard.
pub fn report_of(state: &Arc<State>, ctx: &Context<'_>, host: HostId, said: &Report) -> Executed {
    let (Report::Running(id, _) | Report::Stopped(id) | Report::Failed(id, _)) = said;
    let its_own = state
        .instances
        .get(id)
        .is_some_and(|instance| instance.host == Some(host));
    if its_own {
        return instance_report::report(state, ctx, said);
    }
    Executed {
        reply: api::Value::empty(),
        state: Arc::clone(state),
        writes: Vec::new(),
    }
}

/// The host that may connect with a certificate of this fingerprint.
#[must_use]
pub fn host_of_certificate(state: &State, fingerprint: &str) -> Option<HostId> {
    let mut hosts = state.hosts.values();
    hosts
        .find(|host| host.certificates.iter().any(|known| known == fingerprint))
        .map(|host| host.id)
}

/// How many instances take up room on a host.
#[must_use]
pub fn load(state: &State, host: HostId) -> usize {
    let instances = state.instances.of(host);
    instances.filter(|instance| instance.needs_host()).count()
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let first = name.bytes().next();
    if plain && name.len() <= MAX_NAME && first.is_some_and(|b| b.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err(format!(
            "`{name}` is no name for a host: it has 1 to {MAX_NAME} lower-case letters, digits and hyphens, a letter first"
        ))
    }
}

fn check_zone(zone: &str) -> Result<(), String> {
    if zones::is_zone_id(zone) {
        Ok(())
    } else {
        Err(format!(
            "there is no zone `{zone}`: hosts are in zones by their id, as in `use1-az1`"
        ))
    }
}

fn named(tx: &Tx, name: &str) -> Result<Host, String> {
    let mut hosts = tx.all::<Host>();
    hosts
        .find(|host| host.name == name || host.id.to_string() == name)
        .cloned()
        .ok_or_else(|| format!("there is no host `{name}`"))
}

fn add_token(tx: &mut Tx, ctx: &Context<'_>, token: &JoinToken) -> Result<(), String> {
    let late = |known: &&JoinToken| known.expires <= ctx.now;
    let expired: Vec<String> = tx.all().filter(late).map(|t| t.id.clone()).collect();
    for hash in expired {
        tx.remove::<JoinToken>(&hash);
    }
    if tx.all::<JoinToken>().count() >= MAX_HOSTS {
        return Err("too many tokens wait to be used".to_owned());
    }
    if token.expires <= ctx.now {
        return Err("the token would never be good".to_owned());
    }
    if token.roles.is_empty() {
        return Err("a host has at least one role".to_owned());
    }
    if let Some(zone) = &token.zone {
        check_zone(zone)?;
    }
    tx.put(token.clone());
    Ok(())
}

fn add_host(tx: &mut Tx, ctx: &Context<'_>, join: &Join) -> Result<HostId, String> {
    let token = tx
        .get::<JoinToken>(&join.token)
        .filter(|token| token.expires > ctx.now)
        .cloned()
        .ok_or("the token is unknown, used or expired")?;
    check_name(&join.name)?;
    if tx.all::<Host>().count() >= MAX_HOSTS {
        return Err(format!("there are {MAX_HOSTS} hosts already"));
    }
    if tx.all::<Host>().any(|host| host.name == join.name) {
        return Err(format!(
            "there is a host `{}` already; another name, or `polder hosts remove` for the old one",
            join.name
        ));
    }
    if tx.all::<Host>().any(|host| host.underlay == join.underlay) {
        return Err(format!("another host has the address `{}`", join.underlay));
    }
    let address = join.underlay;
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        return Err(format!("`{address}` is no address of a host"));
    }
    if !(1..=MAX_CAPACITY).contains(&join.capacity) {
        return Err(format!("a host carries 1 to {MAX_CAPACITY} instances"));
    }
    let zone = match (&token.zone, &join.zone) {
        (Some(told), Some(said)) if told != said => {
            return Err(format!("the token is for zone `{told}`, not for `{said}`"));
        }
        (Some(zone), _) | (None, Some(zone)) => zone.clone(),
        (None, None) => return Err("neither the token nor the host says the zone".to_owned()),
    };
    check_zone(&zone)?;
    let id = HostId::from_bits(ctx.random());
    tx.remove::<JoinToken>(&token.id);
    tx.put(Host {
        id,
        name: join.name.clone(),
        zone,
        underlay: join.underlay,
        roles: token.roles,
        capacity: join.capacity,
        admission: Admission::Ready,
        // Until it connects with its certificate.
        lost: true,
        seen: ctx.now,
        joined: ctx.now,
        certificates: vec![join.certificate.clone()],
    });
    Ok(id)
}

fn renew(tx: &mut Tx, host: HostId, certificate: &str) -> Result<HostId, String> {
    let mut host = tx
        .get::<Host>(&host)
        .cloned()
        .ok_or("the host was removed")?;
    host.certificates.push(certificate.to_owned());
    while host.certificates.len() > MAX_CERTIFICATES {
        host.certificates.remove(0);
    }
    let id = host.id;
    tx.put(host);
    Ok(id)
}

fn seen(tx: &mut Tx, ctx: &Context<'_>, host: HostId, lost: bool) {
    if let Some(mut host) = tx.get::<Host>(&host).cloned() {
        host.lost = lost;
        host.seen = ctx.now;
        tx.put(host);
    }
}

fn admit(
    tx: &mut Tx,
    ctx: &Context<'_>,
    name: &str,
    admission: Admission,
) -> Result<HostId, String> {
    let mut host = named(tx, name)?;
    host.admission = admission;
    let (id, zone) = (host.id, host.zone.clone());
    tx.put(host);
    if admission != Admission::Draining {
        return Ok(id);
    }
    let up = |instance: &&Instance| instance.state.is_up();
    let leaving: Vec<Instance> = tx.of::<Instance>(id).filter(up).cloned().collect();
    for mut instance in leaving {
        let group = instance.placement_group;
        let group = group.and_then(|group| tx.get::<PlacementGroup>(&group).cloned());
        // Nobody else asked for it: one that has nowhere to go stays.
        let wanted = Wanted {
            zone: &zone,
            instance_type: &instance.instance_type,
            group: group.as_ref(),
            partition: instance.partition,
            but: Some(instance.id),
        };
        if let Ok(Some(next)) = place(tx, ctx, &wanted) {
            instance.host = Some(next);
            instance.boot += 1;
            tx.put(instance);
        }
    }
    Ok(id)
}

fn remove(tx: &mut Tx, ctx: &Context<'_>, name: &str, force: bool) -> Result<HostId, String> {
    let host = named(tx, name)?;
    let all: Vec<InstanceId> = tx.of::<Instance>(host.id).map(|i| i.id).collect();
    let carried = load(tx.state(), host.id);
    if carried > 0 && !force {
        return Err(format!(
            "host `{}` runs {carried} instances: drain it first, or stop them with --force",
            host.name
        ));
    }
    strand(tx, ctx, &all, "its host was removed");
    tx.remove::<Host>(&host.id);
    Ok(host.id)
}

/// Instances lose their host: those that run are stopped.
fn strand(tx: &mut Tx, ctx: &Context<'_>, ids: &[InstanceId], why: &str) {
    for id in ids {
        instance_report::strand(tx, ctx.now, *id, why);
    }
}

/// What an instance that needs a host asks of it.
pub(crate) struct Wanted<'w> {
    /// The id of its zone.
    pub(crate) zone: &'w str,
    /// Its type, for the message.
    pub(crate) instance_type: &'w str,
    /// The placement group that it is in.
    pub(crate) group: Option<&'w PlacementGroup>,
    /// Its partition there.
    pub(crate) partition: Option<u32>,
    /// The instance itself, if it exists already: it is no reason against a host.
    pub(crate) but: Option<InstanceId>,
}

/// The host that an instance starts on: one of the zone that is ready and has room, the one with the most room in
/// proportion; with a placement group as its strategy says. `None` in a region that has only this machine.
///
/// A host is taken for a rack of its own. Instances of a cluster share hosts as far as these have room; those of a
/// group that spreads share none; those of different partitions share none.
///
/// # Errors
/// `InsufficientInstanceCapacity` if there is none.
pub(crate) fn place(
    tx: &Tx,
    ctx: &Context<'_>,
    wanted: &Wanted<'_>,
) -> Result<Option<HostId>, ApiError> {
    if !ctx.settings.fleet {
        return Ok(None);
    }
    let members = wanted
        .group
        .map_or_else(BTreeMap::new, |group| members(tx, group.id, wanted.but));
    let fits = |host: &&Host| {
        let others = members.get(&host.id);
        let grouped = match wanted.group.map(|group| group.strategy) {
            None | Some(Strategy::Cluster) => true,
            Some(Strategy::SpreadRack | Strategy::SpreadHost) => others.is_none(),
            Some(Strategy::Partition(_)) => {
                others.is_none_or(|partitions| partitions.iter().all(|p| *p == wanted.partition))
            }
        };
        let open = host.admission == Admission::Ready && !host.lost;
        let room = load(tx.state(), host.id) < usize::try_from(host.capacity).unwrap_or(usize::MAX);
        let right = host.zone == wanted.zone && host.roles.contains(&Role::Compute);
        right && open && grouped && room
    };
    let together = wanted.group.is_some_and(|group| {
        !matches!(group.strategy, Strategy::SpreadRack | Strategy::SpreadHost)
    });
    let best = tx.all::<Host>().filter(fits).min_by_key(|host| {
        let apart = together && !members.contains_key(&host.id);
        let used = u64::try_from(load(tx.state(), host.id)).unwrap_or(u64::MAX);
        let used = used.saturating_mul(1_000_000) / u64::from(host.capacity.max(1));
        (apart, used, host.id)
    });
    let none = || {
        let zones = zones::own(ctx);
        let zone = zones.iter().find(|zone| zone.id == wanted.zone);
        ApiError::new(
            "InsufficientInstanceCapacity",
            format!(
                "We currently do not have sufficient {} capacity in the Availability Zone you requested ({}). Our system will be working on provisioning additional capacity.",
                wanted.instance_type,
                zone.map_or(wanted.zone, |zone| zone.name.as_str())
            ),
        )
    };
    best.map(|host| Some(host.id)).ok_or_else(none)
}

/// On which hosts there are instances of the group, and of which of its partitions.
fn members(
    tx: &Tx,
    group: PlacementGroupId,
    but: Option<InstanceId>,
) -> BTreeMap<HostId, BTreeSet<Option<u32>>> {
    let mut members: BTreeMap<HostId, BTreeSet<Option<u32>>> = BTreeMap::new();
    for instance in tx.of::<Instance>(group) {
        if instance.needs_host()
            && Some(instance.id) != but
            && let Some(host) = instance.host
        {
            members.entry(host).or_default().insert(instance.partition);
        }
    }
    members
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, count, text};

    fn change(world: &mut World, change: &HostChange) -> Result<String, String> {
        let done = world.with(|state, ctx| change_hosts(state, ctx, change));
        let done = done.map_err(|error| error.message)?;
        world.state = done.state;
        if let api::Value::String(id) = done.reply {
            Ok(id)
        } else {
            Ok(String::new())
        }
    }

    fn token(world: &mut World, hash: &str, zone: Option<&str>) {
        let token = JoinToken {
            id: hash.to_owned(),
            zone: zone.map(str::to_owned),
            roles: BTreeSet::from([Role::Compute]),
            expires: Timestamp(world.now.0 + 60_000),
        };
        change(world, &HostChange::Token(token)).unwrap();
    }

    fn request(world: &World, hash: &str, capacity: u32) -> Join {
        let number = u8::try_from(world.state.hosts.size()).unwrap() + 1;
        Join {
            token: hash.to_owned(),
            name: format!("h{number}"),
            zone: None,
            underlay: IpAddr::from([192, 0, 2, number]),
            capacity,
            certificate: format!("print-{number}"),
        }
    }

    /// A host of the zone that is connected.
    pub(crate) fn join(world: &mut World, zone: &str, capacity: u32) -> HostId {
        token(world, "secret", Some(zone));
        let join = request(world, "secret", capacity);
        let id: HostId = change(world, &HostChange::Join(join))
            .unwrap()
            .parse()
            .unwrap();
        let lost = false;
        change(world, &HostChange::Seen { host: id, lost }).unwrap();
        id
    }

    fn fleet(zones: &[(&str, u32)]) -> (World, Vec<HostId>) {
        let mut world = World::new();
        world.hosts = true;
        world.fleet = true;
        let join = |(zone, capacity): &(&str, u32)| join(&mut world, zone, *capacity);
        let hosts = zones.iter().map(join).collect();
        (world, hosts)
    }

    fn launch(world: &mut World, extra: &serde_json::Value) -> Result<InstanceId, String> {
        let mut request = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1,
            "Placement": {"AvailabilityZone": "us-east-1a"}});
        for (name, value) in extra.as_object().unwrap() {
            request["Placement"][name] = value.clone();
        }
        let made = world.call("RunInstances", &request);
        made.map(|made| text(&made, "Instances.0.InstanceId").parse().unwrap())
            .map_err(|error| error.code.into_owned())
    }

    fn host_of(world: &World, id: InstanceId) -> Option<HostId> {
        world.state.instances.get(&id).unwrap().host
    }

    #[test]
    fn a_token_is_good_once_and_for_a_time() {
        let mut world = World::new();
        token(&mut world, "a", None);
        let mut wanted = request(&world, "a", 1);
        assert!(change(&mut world, &HostChange::Join(wanted.clone())).is_err());
        wanted.zone = Some("use1-az9".to_owned());
        assert!(change(&mut world, &HostChange::Join(wanted.clone())).is_err());
        wanted.zone = Some("use1-az1".to_owned());
        change(&mut world, &HostChange::Join(wanted.clone())).unwrap();
        let replayed = request(&world, "a", 1);
        assert_eq!(
            change(&mut world, &HostChange::Join(replayed)).unwrap_err(),
            "the token is unknown, used or expired"
        );
        token(&mut world, "b", Some("use1-az2"));
        let mut elsewhere = request(&world, "b", 1);
        elsewhere.zone = Some("use1-az1".to_owned());
        let refused = change(&mut world, &HostChange::Join(elsewhere)).unwrap_err();
        assert!(refused.contains("use1-az2"), "{refused}");
        world.now.0 += 60_000;
        let late = request(&world, "b", 1);
        assert!(change(&mut world, &HostChange::Join(late)).is_err());
        assert_eq!(world.state.hosts.size(), 1);
    }

    #[test]
    fn names_addresses_and_bounds_are_checked() {
        let mut world = World::new();
        let first = join(&mut world, "use1-az1", 1);
        token(&mut world, "t", Some("use1-az1"));
        let good = request(&world, "t", 5);
        let mut bad = Vec::new();
        for name in ["", "h1", "1h", "A", "a.b", &"a".repeat(64)] {
            bad.push(Join {
                name: name.to_owned(),
                ..good.clone()
            });
        }
        for address in ["192.0.2.1", "0.0.0.0", "127.0.0.1", "224.0.0.1", "::1"] {
            bad.push(Join {
                underlay: address.parse().unwrap(),
                ..good.clone()
            });
        }
        bad.push(Join {
            capacity: 0,
            ..good.clone()
        });
        for join in bad {
            let tried = change(&mut world, &HostChange::Join(join.clone()));
            assert!(tried.is_err(), "{join:?}");
        }
        // What was refused has not used the token up.
        change(&mut world, &HostChange::Join(good)).unwrap();
        assert_eq!(host_of_certificate(&world.state, "print-1"), Some(first));
    }

    #[test]
    fn instances_go_where_there_is_room_in_their_zone() {
        let (mut world, hosts) = fleet(&[("use1-az1", 2), ("use1-az1", 1), ("use1-az2", 9)]);
        let made: Vec<_> = (0..3)
            .map(|_| launch(&mut world, &json!({})).unwrap())
            .collect();
        let counts: Vec<_> = hosts.iter().map(|host| load(&world.state, *host)).collect();
        assert_eq!(counts, [2, 1, 0]);
        let full = launch(&mut world, &json!({}));
        assert_eq!(full, Err("InsufficientInstanceCapacity".to_owned()));
        // As many as there is room for, of those that may be fewer.
        let many = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 20,
            "Placement": {"AvailabilityZone": "us-east-1b"}});
        let made_there = world.ok("RunInstances", many);
        assert_eq!(count(&made_there, "Instances"), 9);
        // A stopped instance takes no room; it starts where there is some.
        let host = host_of(&world, made[0]).unwrap();
        let report = |world: &mut World, host, report: Report| {
            world.state = world.with(|state, ctx| report_of(state, ctx, host, &report).state);
        };
        report(&mut world, host, Report::Running(made[0], 1));
        world.ok(
            "StopInstances",
            json!({"InstanceIds": [made[0].to_string()]}),
        );
        // Another host's word counts for nothing.
        report(&mut world, hosts[2], Report::Stopped(made[0]));
        assert_eq!(
            load(&world.state, host),
            if host == hosts[0] { 2 } else { 1 }
        );
        report(&mut world, host, Report::Stopped(made[0]));
        launch(&mut world, &json!({})).unwrap();
        let start = json!({"InstanceIds": [made[0].to_string()]});
        assert_eq!(
            world.err("StartInstances", start),
            "InsufficientInstanceCapacity"
        );
    }

    #[test]
    fn placement_groups_mean_hosts() {
        let (mut world, hosts) = fleet(&[("use1-az1", 9), ("use1-az1", 9), ("use1-az1", 9)]);
        for (name, extra) in [
            ("c", json!({"Strategy": "cluster"})),
            ("s", json!({"Strategy": "spread"})),
            ("p", json!({"Strategy": "partition", "PartitionCount": 2})),
        ] {
            let mut request = extra;
            request["GroupName"] = json!(name);
            world.ok("CreatePlacementGroup", request);
        }
        let mut on = |extra: serde_json::Value| {
            let mut host = |_| launch(&mut world, &extra).map(|id| host_of(&world, id).unwrap());
            (0..3).map(&mut host).collect::<Result<Vec<_>, _>>()
        };
        let cluster = on(json!({"GroupName": "c"})).unwrap();
        assert!(cluster.iter().all(|host| *host == cluster[0]));
        let spread: BTreeSet<_> = on(json!({"GroupName": "s"})).unwrap().into_iter().collect();
        assert_eq!(spread, hosts.into_iter().collect());
        let fourth = on(json!({"GroupName": "s"}));
        assert_eq!(fourth, Err("InsufficientInstanceCapacity".to_owned()));
        let one = on(json!({"GroupName": "p", "PartitionNumber": 1})).unwrap();
        let two = on(json!({"GroupName": "p", "PartitionNumber": 2})).unwrap();
        assert!(
            one.iter().all(|host| !two.contains(host)),
            "{one:?} {two:?}"
        );
    }

    #[test]
    fn cordon_drain_and_remove() {
        let (mut world, hosts) = fleet(&[("use1-az1", 2), ("use1-az1", 1)]);
        let made: Vec<_> = (0..2)
            .map(|_| launch(&mut world, &json!({})).unwrap())
            .collect();
        let [first, second] = [made[0], made[1]].map(|id| host_of(&world, id).unwrap());
        assert_ne!(first, second);
        let admit = |world: &mut World, host: HostId, admission| {
            let host = host.to_string();
            change(world, &HostChange::Admit { host, admission })
        };
        admit(&mut world, hosts[0], Admission::Cordoned).unwrap();
        assert!(launch(&mut world, &json!({})).is_err());
        admit(&mut world, hosts[0], Admission::Ready).unwrap();
        // The one of the small host goes to the large one, as a new start.
        admit(&mut world, hosts[1], Admission::Draining).unwrap();
        assert_eq!(load(&world.state, hosts[1]), 0);
        assert_eq!(load(&world.state, hosts[0]), 2);
        let moved = made
            .iter()
            .filter(|id| world.state.instances.get(id).unwrap().boot == 2);
        assert_eq!(moved.count(), 1);
        let remove = |force| HostChange::Remove {
            host: "h1".to_owned(),
            force,
        };
        let refused = change(&mut world, &remove(false)).unwrap_err();
        assert!(refused.contains("2 instances"), "{refused}");
        change(&mut world, &remove(true)).unwrap();
        assert_eq!(host_of_certificate(&world.state, "print-1"), None);
        for id in &made {
            assert_eq!(host_of(&world, *id), None);
            assert_eq!(
                world.state.instances.get(id).unwrap().state.name(),
                "stopped"
            );
        }
        // Nobody has to report what nobody runs.
        world.ok(
            "TerminateInstances",
            json!({"InstanceIds": [made[0].to_string()]}),
        );
        assert_eq!(
            world.state.instances.get(&made[0]).unwrap().state.name(),
            "terminated"
        );
    }

    #[test]
    fn a_lost_host_gets_nothing_new_and_certificates_end() {
        let (mut world, hosts) = fleet(&[("use1-az1", 9)]);
        let host = hosts[0];
        change(&mut world, &HostChange::Seen { host, lost: true }).unwrap();
        assert!(launch(&mut world, &json!({})).is_err());
        change(&mut world, &HostChange::Seen { host, lost: false }).unwrap();
        launch(&mut world, &json!({})).unwrap();
        for number in 2..5 {
            let certificate = format!("print-{number}-of-it");
            change(&mut world, &HostChange::Renew { host, certificate }).unwrap();
        }
        let known = |world: &World, print: &str| host_of_certificate(&world.state, print).is_some();
        assert!(!known(&world, "print-1") && !known(&world, "print-2-of-it"));
        assert!(known(&world, "print-3-of-it") && known(&world, "print-4-of-it"));
    }

    #[test]
    fn instances_of_a_region_that_becomes_a_fleet_are_stopped() {
        let mut world = World::new();
        world.hosts = true;
        let id = launch(&mut world, &json!({})).unwrap();
        assert_eq!(host_of(&world, id), None);
        change(&mut world, &HostChange::Strand).unwrap();
        assert_eq!(
            world.state.instances.get(&id).unwrap().state.name(),
            "stopped"
        );
    }
}
