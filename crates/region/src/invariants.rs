//! Properties that hold after every sequence of requests.

use std::collections::{BTreeMap, BTreeSet};

use feed::{Delta, Full, InstanceChange, Report};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use topology::{Change, Object};
use types::{InstanceId, ObjectId};

use crate::resource::Resource;
use crate::testing::{World, account};
use crate::{
    Address, HostView, Instance, InternetGateway, NetworkAcl, NetworkInterface, Record, RouteTable,
    SecurityGroup, State, Subnet, Vpc, delta, full, report,
};

/// How many kinds of requests there are.
const ACTIONS: u8 = 44;

/// One request: which action, and numbers that choose its parameters among what there is.
#[derive(Clone, Copy, Debug)]
struct Step {
    action: u8,
    a: u16,
    b: u16,
    c: u16,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<u8>(), any::<u16>(), any::<u16>(), any::<u16>())
        .prop_map(|(action, a, b, c)| Step { action, a, b, c });
    prop::collection::vec(step, 1..120)
}

/// The id that a number chooses; one that nobody has if there is none.
fn pick<I: ToString>(ids: impl Iterator<Item = I>, number: u16) -> String {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    match ids.len() {
        0 => "none-00000000000000000".to_owned(),
        count => ids[usize::from(number) % count].clone(),
    }
}

/// Blocks of few sizes from a small space, so that they often meet.
fn block(a: u16, b: u16) -> String {
    format!(
        "10.{}.{}.0/{}",
        a % 3,
        b % 4 * 16,
        [16, 18, 20, 24, 28][usize::from(a / 3) % 5]
    )
}

/// One of the client's own records mostly, sometimes one of anybody's.
fn one<R: Resource>(world: &World, number: u16) -> String {
    let is_own =
        |record: &R| record.account() == world.account && record.region().as_str() == world.region;
    let records = R::table(&world.state)
        .values()
        .filter(|r| number.is_multiple_of(32) || is_own(r));
    pick(records.map(|record| record.id()), number / 32)
}

fn request(world: &World, step: Step) -> (&'static str, Json) {
    let state = &world.state;
    let Step { action, a, b, c } = step;
    let vpc = |n| one::<Vpc>(world, n);
    let subnet = |n| one::<Subnet>(world, n);
    let table = |n| one::<RouteTable>(world, n);
    let gateway = |n| one::<InternetGateway>(world, n);
    let interface = |n| one::<NetworkInterface>(world, n);
    let group = |n| one::<SecurityGroup>(world, n);
    let address = |n| one::<Address>(world, n);
    let acl = |n| one::<NetworkAcl>(world, n);
    let instance = |n| one::<Instance>(world, n);
    let association = |n| {
        let explicit = state.subnets.values().filter_map(|s| s.route_table);
        let mut explicit = explicit.map(|(id, _)| id).peekable();
        let main = state.vpcs.values().map(|vpc| vpc.main_association);
        // Main associations cannot be taken away, and there are many.
        if n % 4 > 0 && explicit.peek().is_some() {
            pick(explicit, n / 4)
        } else {
            pick(main, n / 4)
        }
    };
    let any = |n: u16| {
        [
            vpc(n / 8),
            subnet(n / 8),
            table(n / 8),
            gateway(n / 8),
            interface(n / 8),
            group(n / 8),
        ][usize::from(n) % 6]
            .clone()
    };
    let destination = || ["0.0.0.0/0".to_owned(), block(b, a)][usize::from(c) % 2].clone();
    let route = || match c / 2 % 3 {
        0 => {
            let table = table(a);
            let vpc = table
                .parse()
                .ok()
                .and_then(|id| state.route_tables.get(&id))
                .map(|t| t.vpc);
            let attached = vpc.and_then(|vpc| state.vpcs[&vpc].internet_gateway);
            let gateway = attached.map_or_else(|| gateway(b), |id| id.to_string());
            json!({"RouteTableId": table, "DestinationCidrBlock": destination(), "GatewayId": gateway})
        }
        1 => {
            json!({"RouteTableId": table(a), "DestinationCidrBlock": destination(), "NetworkInterfaceId": interface(b)})
        }
        _ => {
            json!({"RouteTableId": table(a), "DestinationCidrBlock": destination(), "InstanceId": instance(b)})
        }
    };
    let entry = || {
        let (protocol, block, ports, icmp) = match c / 2 % 4 {
            0 => ("-1", block(b, a), None, None),
            1 => ("6", block(b, a), Some(json!({"From": 80, "To": 81})), None),
            2 => ("1", block(b, a), None, Some(json!({"Type": 8, "Code": -1}))),
            _ => ("47", "0.0.0.0/0".to_owned(), None, None),
        };
        let action = if c % 2 == 0 { "allow" } else { "deny" };
        let mut entry = json!({"NetworkAclId": acl(a), "RuleNumber": b % 3 + 1, "Egress": b % 2 == 0,
            "RuleAction": action, "Protocol": protocol, "CidrBlock": block});
        let more = [("PortRange", ports), ("IcmpTypeCode", icmp)];
        for (name, value) in more {
            if let Some(value) = value {
                entry[name] = value;
            }
        }
        entry
    };
    match (action / 8 * 7 + action % 8) % ACTIONS {
        0 | 1 => ("CreateVpc", json!({"CidrBlock": block(a, 0)})),
        2 => ("DeleteVpc", json!({"VpcId": vpc(a)})),
        3..=5 => (
            "CreateSubnet",
            json!({"VpcId": vpc(a), "CidrBlock": block(b, c)}),
        ),
        6 => ("DeleteSubnet", json!({"SubnetId": subnet(a)})),
        7 => ("CreateRouteTable", json!({"VpcId": vpc(a)})),
        8 => ("DeleteRouteTable", json!({"RouteTableId": table(a)})),
        9 => (
            "AssociateRouteTable",
            json!({"RouteTableId": table(a), "SubnetId": subnet(b)}),
        ),
        10 => (
            "DisassociateRouteTable",
            json!({"AssociationId": association(a)}),
        ),
        11 => (
            "ReplaceRouteTableAssociation",
            json!({"AssociationId": association(a), "RouteTableId": table(b)}),
        ),
        12 => ("CreateInternetGateway", json!({})),
        13 => (
            "AttachInternetGateway",
            json!({"InternetGatewayId": gateway(a), "VpcId": vpc(b)}),
        ),
        14 => {
            let gateway = gateway(a);
            let found = gateway
                .parse()
                .ok()
                .and_then(|id| state.internet_gateways.get(&id));
            let attached = found.and_then(|gateway| gateway.vpc);
            let vpc = attached.map_or_else(|| vpc(b), |id| id.to_string());
            (
                "DetachInternetGateway",
                json!({"InternetGatewayId": gateway, "VpcId": vpc}),
            )
        }
        15 => (
            "DeleteInternetGateway",
            json!({"InternetGatewayId": gateway(a)}),
        ),
        16 | 17 => ("CreateRoute", route()),
        18 => {
            // A route that is there, and an interface of its VPC.
            let with_routes = state
                .route_tables
                .values()
                .filter(|table| !table.routes.is_empty() && table.account == world.account);
            let table = pick(with_routes.map(|table| table.id), a);
            let found = table
                .parse()
                .ok()
                .and_then(|id| state.route_tables.get(&id));
            let there = found.and_then(|table| table.routes.keys().next());
            let interfaces = state.interfaces.values();
            let near = interfaces.filter(|i| found.is_some_and(|table| table.vpc == i.vpc));
            let target = pick(near.map(|interface| interface.id), b);
            (
                "ReplaceRoute",
                json!({"RouteTableId": table, "DestinationCidrBlock": there, "NetworkInterfaceId": target}),
            )
        }
        19 => (
            "DeleteRoute",
            json!({"RouteTableId": table(a), "DestinationCidrBlock": destination()}),
        ),
        20 => (
            "AssociateVpcCidrBlock",
            json!({"VpcId": vpc(a), "CidrBlock": block(b, 0)}),
        ),
        21 => {
            let ids = state
                .vpcs
                .values()
                .flat_map(|vpc| vpc.cidrs.iter().map(|c| c.id));
            (
                "DisassociateVpcCidrBlock",
                json!({"AssociationId": pick(ids, a)}),
            )
        }
        22 => (
            "CreateTags",
            json!({"Resources": [any(a), any(b)], "Tags": [{"Key": format!("k{}", c % 4), "Value": "v"}]}),
        ),
        23 => ("DeleteTags", json!({"Resources": [any(a)]})),
        24 | 25 => ("CreateNetworkInterface", json!({"SubnetId": subnet(a)})),
        26 => (
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": interface(a)}),
        ),
        27 => ("AllocateAddress", json!({"Domain": "vpc"})),
        28 | 29 => (
            "AssociateAddress",
            json!({"AllocationId": address(a), "NetworkInterfaceId": interface(b)}),
        ),
        30 => ("ReleaseAddress", json!({"AllocationId": address(a)})),
        31 => (
            "CreateSecurityGroup",
            json!({"VpcId": vpc(a), "GroupName": format!("g{}", b % 5), "Description": "d"}),
        ),
        32 => (
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": group(a), "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 80,
                "ToPort": 80, "UserIdGroupPairs": [{"GroupId": group(b)}]}]}),
        ),
        33 => ("DeleteSecurityGroup", json!({"GroupId": group(a)})),
        34 => (
            "RunInstances",
            json!({"ImageId": "ami-00000000000000000", "SubnetId": subnet(a), "MinCount": 1,
                "MaxCount": 1}),
        ),
        35 => ("TerminateInstances", json!({"InstanceIds": [instance(a)]})),
        36 => ("StopInstances", json!({"InstanceIds": [instance(a)]})),
        37 => ("CreateNetworkAcl", json!({"VpcId": vpc(a)})),
        38 => ("DeleteNetworkAcl", json!({"NetworkAclId": acl(a)})),
        39 => ("CreateNetworkAclEntry", entry()),
        40 => ("ReplaceNetworkAclEntry", entry()),
        41 => (
            "DeleteNetworkAclEntry",
            json!({"NetworkAclId": acl(a), "RuleNumber": b % 3 + 1, "Egress": b % 2 == 0}),
        ),
        42 => {
            // A subnet and an ACL of its VPC mostly.
            let subnet = subnet(a).parse().ok();
            let subnet = subnet.and_then(|id| state.subnets.get(&id));
            let acls = state.network_acls.values();
            let near = acls.filter(|acl| {
                b.is_multiple_of(8) || subnet.is_some_and(|subnet| subnet.vpc == acl.vpc)
            });
            (
                "ReplaceNetworkAclAssociation",
                json!({"AssociationId": subnet.map(|subnet| &subnet.acl_association),
                    "NetworkAclId": pick(near.map(|acl| acl.id), c)}),
            )
        }
        _ => ("StartInstances", json!({"InstanceIds": [instance(a)]})),
    }
}

/// What a host would have after these messages.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct Replica {
    objects: BTreeMap<ObjectId, Object>,
    instances: BTreeMap<InstanceId, feed::Instance>,
}

impl Replica {
    pub(crate) fn of(full: Full) -> Replica {
        let count = full.objects.len();
        let objects: BTreeMap<_, _> = full.objects.into_iter().map(|o| (o.id(), o)).collect();
        assert_eq!(objects.len(), count, "an object is told once");
        Replica {
            objects,
            instances: full.instances.into_iter().map(|i| (i.id, i)).collect(),
        }
    }

    pub(crate) fn take(&mut self, delta: Delta) {
        for change in delta.changes {
            let id = change.id();
            if let Change::Put(object) = change {
                let old = self.objects.insert(id, object.clone());
                assert_ne!(old, Some(object), "only what changed is told");
            } else {
                assert!(
                    self.objects.remove(&id).is_some(),
                    "{id} goes, but was not there"
                );
            }
        }
        for change in delta.instances {
            match change {
                InstanceChange::Put(instance) => {
                    let old = self.instances.insert(instance.id, instance.clone());
                    assert_ne!(old, Some(instance), "only what changed is told");
                }
                InstanceChange::Remove(id) => assert!(self.instances.remove(&id).is_some()),
            }
        }
    }
}

pub(crate) fn check(state: &State) {
    let vnis: BTreeSet<u32> = state.vpcs.values().map(|vpc| vpc.vni.get()).collect();
    assert_eq!(
        vnis.len(),
        state.vpcs.size(),
        "every VPC has its own number"
    );
    check_vpcs(state);
    check_subnets(state);
    check_interfaces(state);
    for address in state.addresses.values() {
        if let Some(association) = &address.association {
            let interface = &state.interfaces[&association.interface];
            assert!(interface.addresses.contains(&association.private));
            assert_eq!(interface.account, address.account);
        }
    }
    for instance in state.instances.values() {
        for (index, id) in &instance.interfaces {
            let attachment = state.interfaces[id].attachment.as_ref().unwrap();
            assert_eq!(
                (attachment.instance, attachment.device_index),
                (instance.id, *index)
            );
        }
    }
}

fn check_vpcs(state: &State) {
    for vpc in state.vpcs.values() {
        assert_eq!(state.route_tables[&vpc.main_route_table].vpc, vpc.id);
        assert_eq!(state.network_acls[&vpc.default_acl].vpc, vpc.id);
        let default = |g: &&crate::SecurityGroup| g.vpc == vpc.id && g.name == "default";
        assert_eq!(state.security_groups.values().filter(default).count(), 1);
        if let Some(gateway) = vpc.internet_gateway {
            assert_eq!(state.internet_gateways[&gateway].vpc, Some(vpc.id));
        }
        let blocks: Vec<_> = vpc.all_blocks().collect();
        for (index, block) in blocks.iter().enumerate() {
            assert!(blocks[..index].iter().all(|other| !other.overlaps(*block)));
        }
    }
    for gateway in state.internet_gateways.values() {
        if let Some(vpc) = gateway.vpc {
            assert_eq!(state.vpcs[&vpc].internet_gateway, Some(gateway.id));
        }
    }
    for table in state.route_tables.values() {
        let vpc = &state.vpcs[&table.vpc];
        assert_eq!(table.account, vpc.account);
        // A route of a client never stands for addresses that a local route stands for alone.
        assert!(
            table
                .routes
                .keys()
                .filter_map(|to| to.cidr())
                .all(|to| vpc.all_blocks().all(|block| block != to))
        );
    }
    for group in state.security_groups.values() {
        assert!(state.vpcs.contains_key(&group.vpc));
    }
    for acl in state.network_acls.values() {
        let vpc = &state.vpcs[&acl.vpc];
        assert_eq!((acl.account, &acl.region), (vpc.account, &vpc.region));
        assert_eq!(acl.is_default, vpc.default_acl == acl.id);
        let places = acl.entries.iter().map(|entry| (entry.egress, entry.number));
        assert_eq!(places.collect::<BTreeSet<_>>().len(), acl.entries.len());
        let projected = acl.project();
        for entries in [&projected.ingress, &projected.egress] {
            assert!(entries.is_sorted_by_key(|entry| entry.number));
        }
        assert_eq!(
            projected.ingress.len() + projected.egress.len(),
            acl.entries.len()
        );
    }
}

fn check_subnets(state: &State) {
    let subnets: Vec<_> = state.subnets.values().collect();
    for (index, subnet) in subnets.iter().enumerate() {
        let vpc = &state.vpcs[&subnet.vpc];
        assert_eq!((subnet.account, &subnet.region), (vpc.account, &vpc.region));
        assert!(vpc.blocks().any(|block| block.covers(subnet.cidr)));
        assert!(
            subnets[..index]
                .iter()
                .all(|other| other.vpc != subnet.vpc || !other.cidr.overlaps(subnet.cidr))
        );
        assert_eq!(state.network_acls[&subnet.acl].vpc, subnet.vpc);
        let effective = subnet.project(state).unwrap().route_table;
        assert_eq!(state.route_tables[&effective].vpc, subnet.vpc);
        let tables = state.route_tables.values();
        let explicit = tables
            .filter(|t| t.subnets(state).any(|(_, s)| s.id == subnet.id))
            .count();
        assert_eq!(explicit, usize::from(subnet.route_table.is_some()));
    }
}

fn check_interfaces(state: &State) {
    let mut taken = BTreeSet::new();
    let mut macs = BTreeSet::new();
    for interface in state.interfaces.values() {
        let subnet = &state.subnets[&interface.subnet];
        assert_eq!(
            (interface.vpc, interface.account),
            (subnet.vpc, subnet.account)
        );
        assert!(macs.insert(interface.mac));
        assert!(!interface.addresses.is_empty());
        assert!(!interface.groups.is_empty() || interface.holder.is_some());
        for address in &interface.addresses {
            assert!(subnet.cidr.contains(*address));
            assert!(
                taken.insert((interface.vpc, *address)),
                "an address has one interface"
            );
        }
        for group in &interface.groups {
            assert!(state.security_groups[group].is_usable_in(interface.vpc));
        }
        if let Some(attachment) = &interface.attachment {
            let instance = &state.instances[&attachment.instance];
            assert_eq!(
                instance.interfaces.get(&attachment.device_index),
                Some(&interface.id)
            );
        }
    }
}

/// The records, as text.
fn text(state: &State) -> String {
    fn all<R: Record + std::fmt::Debug>(state: &State) -> String {
        R::table(state)
            .values()
            .map(|record| format!("{record:?}\n"))
            .collect()
    }
    [
        all::<crate::Account>(state),
        all::<Vpc>(state),
        all::<Subnet>(state),
        all::<RouteTable>(state),
        all::<InternetGateway>(state),
        all::<NetworkAcl>(state),
        all::<SecurityGroup>(state),
        all::<NetworkInterface>(state),
        all::<Address>(state),
        all::<Instance>(state),
    ]
    .concat()
}

/// What the host may say of one of its instances.
pub(crate) fn host_tells(host: &Replica, a: u16, b: u16) -> Option<Report> {
    let nth = usize::from(a).checked_rem(host.instances.len())?;
    let instance = host.instances.values().nth(nth)?;
    Some(match b % 8 {
        0 => Report::Failed(instance.id, "no memory".to_owned()),
        _ if instance.running => Report::Running(instance.id, instance.boot),
        _ => Report::Stopped(instance.id),
    })
}

/// Three hosts of a fleet, each with what it was told.
fn fleet(world: &mut World) -> Vec<(HostView, Replica)> {
    world.hosts = true;
    world.fleet = true;
    ["use1-az1", "use1-az2", "use1-az1"]
        .iter()
        .map(|zone| {
            let host = crate::host::tests::join(world, zone, 1000);
            let view = HostView::new(host, &world.state, 0);
            let replica = Replica::of(view.full(&world.state));
            (view, replica)
        })
        .collect()
}

fn run(steps: &[Step], hosts: bool, many: bool) -> BTreeMap<&'static str, u32> {
    let accounts = [account("111122223333"), account("444455556666")];
    let mut world = World::new();
    world.hosts = hosts;
    let mut hosts = if many { fleet(&mut world) } else { Vec::new() };
    let mut stored = State::clone(&world.state);
    let mut host = Replica::of(full(&world.state, 0));
    let mut succeeded = BTreeMap::new();
    for step in steps {
        world.account = accounts[usize::from(step.c % 9 == 0)];
        world.region = if step.b % 11 == 0 {
            "eu-central-1"
        } else {
            "us-east-1"
        };
        // Terminated instances are forgotten after an hour.
        world.now.0 += 120_000;
        let (action, done) = if step.action % 8 == 7 {
            let Some(told) = host_tells(&host, step.a, step.b) else {
                continue;
            };
            (
                "report",
                Ok(world.with(|state, ctx| report(state, ctx, &told))),
            )
        } else {
            let (action, input) = request(&world, *step);
            (
                action,
                world.execute(action, api::to_value(&input).unwrap()),
            )
        };
        let Ok(done) = done else { continue };
        *succeeded.entry(action).or_default() += 1;
        let whole = delta(&world.state, &done.state, &done.writes, 0, 1);
        for (view, replica) in &mut hosts {
            if let Some(step) = view.step(&done.state, &whole) {
                replica.take(step);
            }
            let id = view.host();
            let wanted = HostView::new(id, &done.state, 0).full(&done.state);
            assert_eq!(*replica, Replica::of(wanted), "{id} after {action}");
        }
        host.take(whole);
        for write in &done.writes {
            stored
                .load(write.kind, &write.id, write.body.as_deref())
                .unwrap();
        }
        world.state = done.state;
        check(&world.state);
        assert_eq!(host, Replica::of(full(&world.state, 1)), "after {action}");
    }
    assert!(
        text(&stored) == text(&world.state),
        "the writes lead to the state"
    );
    succeeded
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_keeps_the_invariants(steps in steps(), hosts in any::<bool>(), many in any::<bool>()) {
        run(&steps, hosts, many);
    }
}

/// The property means something only if the sequences get somewhere.
#[test]
fn the_sequences_reach_every_action() {
    let mut number: u64 = 3;
    let mut next = || {
        // A linear congruential generator (Knuth's MMIX); its high bits are good enough.
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u16::try_from(number >> 48).unwrap()
    };
    let steps: Vec<Step> = (0..3000)
        .map(|_| Step {
            action: next().to_be_bytes()[0],
            a: next(),
            b: next(),
            c: next(),
        })
        .collect();
    let succeeded = run(&steps, false, false);
    let every: BTreeSet<&str> = (0..=u8::MAX)
        .map(|action| {
            request(
                &World::new(),
                Step {
                    action,
                    a: 0,
                    b: 0,
                    c: 0,
                },
            )
            .0
        })
        .collect();
    let missing: Vec<_> = every
        .iter()
        .filter(|action| !succeeded.contains_key(*action))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
