//! What a host meets: changes in their order, a full state after a gap, and no influence on the server.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::server::Server;
use controller::host::Host;
use feed::{Counters, Delta, Dropped, Full, Gap, Port, Replica, Session};

struct Fake {
    replica: Mutex<Replica>,
    fulls: Mutex<Vec<u64>>,
    /// Refuses the next delta.
    deaf: AtomicBool,
    /// Never settles.
    late: AtomicBool,
}

impl Fake {
    fn attached(server: &Server) -> Arc<Fake> {
        let fake = Arc::new(Fake {
            replica: Mutex::new(Replica::new(Some(crate::server::pool()))),
            fulls: Mutex::new(Vec::new()),
            deaf: AtomicBool::new(false),
            late: AtomicBool::new(false),
        });
        let host: Arc<dyn Host> = fake.clone();
        server.block_on(server.controller().attach(host));
        fake
    }

    fn vpcs(&self) -> usize {
        self.replica.lock().unwrap().snapshot().vpcs().count()
    }
}

impl Host for Fake {
    fn full(&self, full: Full) {
        self.fulls.lock().unwrap().push(full.revision);
        self.replica.lock().unwrap().full(full);
    }

    fn delta(&self, delta: Delta) -> Result<(), Gap> {
        if self.deaf.swap(false, Ordering::Relaxed) {
            return Err(Gap {
                have: 0,
                after: delta.after,
            });
        }
        self.replica.lock().unwrap().delta(delta).map(|_| ())
    }

    fn settled(&self, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if self.late.load(Ordering::Relaxed) {
            Box::pin(std::future::pending())
        } else {
            Box::pin(std::future::ready(()))
        }
    }

    fn drops(&self, since: u64) -> (Vec<Dropped>, u64) {
        (Vec::new(), since)
    }

    fn counters(&self) -> BTreeMap<Port, Counters> {
        BTreeMap::from([(
            Port::Uplink,
            Counters {
                rx_packets: 7,
                ..Counters::default()
            },
        )])
    }

    fn sessions(&self) -> Vec<Session> {
        panic!("a host that breaks")
    }
}

const CREATE: &str = "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0%2F16";

#[test]
fn changes_follow_on_each_other() {
    let server = Server::starting();
    let host = Fake::attached(&server);
    assert_eq!(server.post(CREATE).status, 200);
    assert_eq!(server.post(CREATE).status, 200);
    // Those two and the default VPC.
    assert_eq!(host.vpcs(), 3);
    assert_eq!(*host.fulls.lock().unwrap(), [0]);
    let (here, there) = (
        server.controller().snapshot(),
        host.replica.lock().unwrap().snapshot(),
    );
    assert_eq!(here.revision(), there.revision());
    assert!(here.vpcs().eq(there.vpcs()));
}

#[test]
fn a_gap_is_closed_by_a_full_state() {
    let server = Server::starting();
    let host = Fake::attached(&server);
    host.deaf.store(true, Ordering::Relaxed);
    assert_eq!(server.post(CREATE).status, 200);
    assert_eq!(host.vpcs(), 2);
    assert_eq!(host.fulls.lock().unwrap().len(), 2);
    assert_eq!(server.post(CREATE).status, 200);
    assert_eq!((host.vpcs(), host.fulls.lock().unwrap().len()), (3, 2));
}

#[test]
fn a_late_host_holds_up_a_change_within_bounds() {
    let server = Server::starting();
    let host = Fake::attached(&server);
    assert_eq!(server.post(CREATE).status, 200);
    host.late.store(true, Ordering::Relaxed);
    let began = Instant::now();
    assert_eq!(
        server.post("Action=DescribeVpcs&Version=2016-11-15").status,
        200
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "reading does not wait"
    );
    assert_eq!(server.post(CREATE).status, 200);
    let waited = began.elapsed();
    assert!(
        waited > Duration::from_millis(1900) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
}

#[test]
fn a_handler_that_panics_is_one_error() {
    let server = Server::starting();
    let _host = Fake::attached(&server);
    let reply = server.raw("GET /_polder/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(
        (reply.status, reply.header("content-type").as_str()),
        (500, "application/json")
    );
    assert!(!reply.header("x-amzn-requestid").is_empty());
    let interfaces: controller::wire::Interfaces = server.admin("interfaces");
    assert_eq!(
        (
            interfaces.interfaces[0].interface.as_str(),
            interfaces.interfaces[0].rx_packets
        ),
        ("uplink", 7)
    );
    let status: controller::wire::Status = server.admin("status");
    assert_eq!(status.mode, "full");
}

#[test]
fn instances_do_not_wait_for_a_host_that_never_comes() {
    let server = Server::starting();
    let form = "Action=RunInstances&Version=2016-11-15&ImageId=ami-12345678&MinCount=1&MaxCount=1";
    assert_eq!(server.post(form).status, 200);
    let state = || {
        let answer: controller::wire::Instances = server.admin("instances");
        answer.instances[0].state.clone()
    };
    assert_eq!(state(), "pending");
    let gone = server
        .controller()
        .control_plane_only("none came".to_owned());
    server.block_on(gone).unwrap();
    assert_eq!(state(), "running");
}

#[test]
fn a_report_moves_an_instance() {
    let server = Server::starting();
    let _host = Fake::attached(&server);
    let form = "Action=RunInstances&Version=2016-11-15&ImageId=ami-12345678&MinCount=1&MaxCount=1";
    let id = crate::server::text(&server.post(form).body, "instanceId")
        .parse()
        .unwrap();
    let report = feed::Report::Running(id, 1);
    server.block_on(server.controller().report(report)).unwrap();
    let reply = server.post("Action=DescribeInstances&Version=2016-11-15");
    assert!(
        reply.body.contains("<name>running</name>"),
        "{}",
        reply.body
    );
}
