//! A controller on a port of its own, and the least client that can talk to it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use controller::{Accounts, Auth, Bounds, Controller, Gate};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use types::Cidr;

/// A running controller.
pub(crate) struct Server {
    dir: PathBuf,
    /// Removes the directory in the end, if it is this server's own.
    _dir: Option<tempfile::TempDir>,
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    controller: Controller,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> String {
        let wanted = format!("{name}: ");
        let line = self
            .head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(&wanted));
        line.map(|line| line[wanted.len()..].to_owned())
            .unwrap_or_default()
    }

    pub(crate) fn without_request_id(&self) -> String {
        self.body.replace(&self.header("x-amzn-requestid"), "")
    }
}

/// The text of the first element of that name.
pub(crate) fn text(xml: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let inner = xml
        .split_once(&open)
        .and_then(|(_, rest)| rest.split_once(&close));
    inner.map(|(text, _)| text.to_owned()).unwrap_or_default()
}

pub(crate) fn pool() -> topology::Uplink {
    let network = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 0));
    topology::Uplink {
        pool: Cidr::containing(network, 24).unwrap(),
        host: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
        internet: false,
        ipv6: None,
    }
}

impl Server {
    /// Without a host.
    pub(crate) fn start() -> Server {
        let server = Server::starting();
        server
            .block_on(server.controller().control_plane_only("a test".to_owned()))
            .unwrap();
        server
    }

    /// With a host to come.
    pub(crate) fn starting() -> Server {
        let dir = tempfile::tempdir().unwrap();
        Server {
            running: Some(Running::new(dir.path())),
            dir: dir.path().to_owned(),
            _dir: Some(dir),
        }
    }

    /// Without a host, on what is in this directory, which stays.
    pub(crate) fn on(dir: &Path) -> Server {
        let server = Server {
            running: Some(Running::new(dir)),
            dir: dir.to_owned(),
            _dir: None,
        };
        server
            .block_on(server.controller().control_plane_only("a test".to_owned()))
            .unwrap();
        server
    }

    /// Stops, and starts again on what is on disk.
    pub(crate) fn restart(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
        self.running = Some(Running::new(&self.dir));
        self.block_on(self.controller().control_plane_only("a test".to_owned()))
            .unwrap();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn controller(&self) -> &Controller {
        &self.running().controller
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.running().runtime.block_on(future)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// The numbers of all VPCs.
    pub(crate) fn vnis(&self) -> Vec<types::Vni> {
        let snapshot = self.controller().snapshot();
        snapshot
            .vpcs()
            .filter_map(|(_, view)| view.vpc.as_ref().map(|vpc| vpc.vni))
            .collect()
    }

    pub(crate) fn post(&self, form: &str) -> Reply {
        self.send(form, "")
    }

    pub(crate) fn call(&self, key: &str, region: &str, form: &str) -> Reply {
        let service = if form.contains("GetCallerIdentity") {
            "sts"
        } else {
            "ec2"
        };
        let header = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, \
             SignedHeaders=host, Signature=00\r\n"
        );
        self.send(form, &header)
    }

    fn send(&self, form: &str, headers: &str) -> Reply {
        self.raw(&format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        ))
    }

    pub(crate) fn admin<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let reply = self.raw(&format!(
            "GET /_polder/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    /// Sends these bytes and reads one reply.
    pub(crate) fn raw(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let mut part = [0; 4096];
        loop {
            let all = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = all.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                });
                if body.len() >= length.unwrap_or(0) {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return Reply {
                        status,
                        head: head.to_owned(),
                        body: body.to_owned(),
                    };
                }
            }
            let length = stream.read(&mut part).unwrap();
            assert!(length > 0, "the connection ended: {all}");
            bytes.extend_from_slice(&part[..length]);
        }
    }
}

impl Running {
    fn new(dir: &Path) -> Running {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let store = store::Sqlite::open(dir).unwrap();
        let settings = region::Settings {
            hosts: true,
            fleet: false,
            pool: pool(),
            ipv6_pool: "2001:db8::/32".parse().unwrap(),
            settle: 0,
            zone_names: region::ZoneNames::Fixed,
        };
        let controller = Controller::open(Box::new(store), settings).unwrap();
        let accounts = Arc::new(Accounts::open(dir).unwrap());
        let gate = Arc::new(Gate::new(Auth::None, accounts, false, None));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let bounds = Bounds {
            head: Duration::from_secs(1),
            body: Duration::from_secs(1),
        };
        let served = runtime.spawn(controller::serve(
            controller.clone(),
            gate,
            listener,
            bounds,
            async {
                let _ = stopped.await;
            },
        ));
        Running {
            runtime,
            controller,
            address,
            stop,
            served,
        }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.runtime.block_on(self.served).unwrap();
    }
}
