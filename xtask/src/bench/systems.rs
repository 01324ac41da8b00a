//! What is measured: pairs of namespaces that reach each other.

use std::fs::File;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

/// Ports that every system lets through, TCP and UDP.
pub(super) const PORTS: Range<u16> = 4096..8192;
/// Rules that do not match: a group has ten, of which the last two are for [`PORTS`].
const OTHER_RULES: [(&str, &str, &str); 8] = [
    ("tcp", "22", "192.0.2.0/24"),
    ("tcp", "443", "198.51.100.0/24"),
    ("tcp", "80", "198.51.100.0/24"),
    ("tcp", "3306", "10.99.0.0/16"),
    ("tcp", "5432", "10.99.0.0/16"),
    ("udp", "53", "10.98.0.0/16"),
    ("tcp", "6379", "10.97.0.0/16"),
    ("icmp", "-1", "10.0.0.0/8"),
];

/// Two namespaces that reach each other.
pub(super) struct System {
    pub(super) name: &'static str,
    pub(super) client: PathBuf,
    pub(super) server: PathBuf,
    client_address: Ipv4Addr,
    pub(super) address: Ipv4Addr,
}

impl System {
    /// As the other measuring tools want it: label, client's namespace and address, the server's.
    pub(super) fn describe(&self) -> String {
        let name = |path: &Path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        format!(
            "{}:{}:{}:{}:{}",
            self.name,
            name(&self.client),
            self.client_address,
            name(&self.server),
            self.address
        )
    }
}

/// A namespace for each end.
struct Ends([String; 2]);

impl Ends {
    fn new(prefix: &str) -> anyhow::Result<Ends> {
        let ends = Ends(["c", "s"].map(|end| format!("{prefix}-{}-{end}", std::process::id())));
        for name in &ends.0 {
            ip(&["netns", "add", name])?;
        }
        Ok(ends)
    }

    fn system(&self, name: &'static str) -> anyhow::Result<System> {
        let [client, server] = &self.0;
        for (name, address) in [(client, "10.77.1.2/24"), (server, "10.77.1.3/24")] {
            ip(&["-n", name, "addr", "add", address, "dev", "eth0"])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
        }
        Ok(System {
            name,
            client: Path::new("/run/netns").join(client),
            server: Path::new("/run/netns").join(server),
            client_address: Ipv4Addr::new(10, 77, 1, 2),
            address: Ipv4Addr::new(10, 77, 1, 3),
        })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// One veth pair between two namespaces: the limit.
pub(super) struct Bare {
    pub(super) system: System,
    _ends: Ends,
}

impl Bare {
    pub(super) fn up() -> anyhow::Result<Bare> {
        let ends = Ends::new("pdbench")?;
        let [client, server] = &ends.0;
        ip(&[
            "link", "add", "eth0", "netns", client, "mtu", "1500", "type", "veth", "peer", "name",
            "eth0", "netns", server, "mtu", "1500",
        ])?;
        Ok(Bare {
            system: ends.system("bare veth")?,
            _ends: ends,
        })
    }
}

/// A veth pair for each end, and on their host sides a program that hands every frame to the other: the limit of
/// whoever judges packets there.
pub(super) struct Redirect {
    pub(super) system: System,
    _ends: Ends,
}

impl Redirect {
    pub(super) fn up(root: &Path) -> anyhow::Result<Option<Redirect>> {
        let object = root.join("ebpf/target/bpfel-unknown-none/release/redirect");
        if !object.exists() {
            return Ok(None);
        }
        let object = object.to_string_lossy();
        let ends = Ends::new("pdredir")?;
        // A frame must look as if it were for the host side that it meets, so that side has the other guest's MAC
        // address. The program finds the other side by the index.
        let macs = ["02:00:00:00:01:01", "02:00:00:00:01:02"];
        for (n, (guest, index)) in ends.0.iter().zip(["1001", "1002"]).enumerate() {
            let (host, own) = (format!("pdredir{n}"), macs.get(n).unwrap_or(&""));
            let other = macs.get(1 - n).unwrap_or(&"");
            ip(&[
                "link", "add", &host, "index", index, "address", other, "mtu", "1500", "type",
                "veth", "peer", "name", "eth0", "address", own, "netns", guest, "mtu", "1500",
            ])?;
            ip(&["link", "set", &host, "up"])?;
            run("tc", &["qdisc", "add", "dev", &host, "clsact"])?;
            // iproute2 makes folders of its own on the BPF file system: it gets one that goes with it.
            run(
                "unshare",
                &[
                    "--mount",
                    "--",
                    "sh",
                    "-c",
                    "mount -t bpf bpf /sys/fs/bpf && exec tc \"$@\"",
                    "sh",
                    "filter",
                    "add",
                    "dev",
                    &host,
                    "ingress",
                    "bpf",
                    "direct-action",
                    "object-file",
                    &object,
                    "section",
                    "classifier",
                ],
            )?;
        }
        Ok(Some(Redirect {
            system: ends.system("redirect")?,
            _ends: ends,
        }))
    }
}

fn ip(words: &[&str]) -> anyhow::Result<()> {
    run("ip", words)
}

fn run(program: &str, words: &[&str]) -> anyhow::Result<()> {
    let done = Command::new(program).args(words).output()?;
    if !done.status.success() {
        bail!(
            "{program} {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&done.stderr)
        );
    }
    Ok(())
}

/// Two instances of one VPC whose group has ten rules.
pub(super) struct Polder {
    pub(super) system: System,
    child: Child,
    state: tempfile::TempDir,
}

impl Polder {
    pub(super) fn up(root: &Path, program: &Path) -> anyhow::Result<Polder> {
        let state = tempfile::tempdir()?;
        let log = File::create(state.path().join("log"))?;
        // At ordinary priority the load would starve it.
        let child = Command::new("chrt")
            .args(["--rr", "5"])
            .arg(program)
            .args(["up", "--max-sessions", "1000000", "--state-dir"])
            .arg(state.path().join("state"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut polder = Polder {
            system: System {
                name: "Polder",
                client: PathBuf::new(),
                server: PathBuf::new(),
                client_address: Ipv4Addr::new(10, 0, 1, 10),
                address: Ipv4Addr::new(10, 0, 1, 11),
            },
            child,
            state,
        };
        if let Err(error) = polder.build(root) {
            let log = std::fs::read_to_string(polder.state.path().join("log"));
            return Err(error.context(log.unwrap_or_default()));
        }
        Ok(polder)
    }

    fn build(&mut self, root: &Path) -> anyhow::Result<()> {
        let aws = |words: &str, query: &str| -> anyhow::Result<String> {
            let done = Command::new(root.join("target/venv/bin/aws"))
                .args(["ec2", "--output", "text", "--query", query])
                .args(words.split_whitespace())
                .env("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
                .env("AWS_ACCESS_KEY_ID", "111122223333")
                .env("AWS_SECRET_ACCESS_KEY", "x")
                .env("AWS_DEFAULT_REGION", "us-east-1")
                .output()?;
            if !done.status.success() {
                bail!("aws ec2 {words}: {}", String::from_utf8_lossy(&done.stderr));
            }
            Ok(String::from_utf8(done.stdout)?.trim().to_owned())
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.ready()? {
            if Instant::now() > deadline {
                bail!("polder up is not ready");
            }
            thread::sleep(Duration::from_millis(20));
        }
        let vpc = aws("create-vpc --cidr-block 10.0.0.0/16", "Vpc.VpcId")?;
        let subnet = aws(
            &format!("create-subnet --vpc-id {vpc} --cidr-block 10.0.1.0/24"),
            "Subnet.SubnetId",
        )?;
        let group = aws(
            &format!("create-security-group --group-name g --description g --vpc-id {vpc}"),
            "GroupId",
        )?;
        let ports = format!("{}-{}", PORTS.start, PORTS.end - 1);
        let last = ["tcp", "udp"].map(|protocol| (protocol, ports.as_str(), "10.0.0.0/16"));
        for (protocol, port, cidr) in OTHER_RULES.into_iter().chain(last) {
            aws(
                &format!(
                    "authorize-security-group-ingress --group-id {group} --protocol {protocol} --port {port} --cidr {cidr}"
                ),
                "Return",
            )?;
        }
        let mut namespaces = Vec::new();
        for address in [self.system.client_address, self.system.address] {
            let id = aws(
                &format!(
                    "run-instances --image-id ami-12345678 --subnet-id {subnet} --security-group-ids {group} --private-ip-address {address}"
                ),
                "Instances[0].InstanceId",
            )?;
            aws(&format!("wait instance-running --instance-ids {id}"), "@")?;
            namespaces.push(Path::new("/run/netns").join(format!("pd-{id}")));
        }
        if let Ok([client, server]) = <[PathBuf; 2]>::try_from(namespaces) {
            (self.system.client, self.system.server) = (client, server);
        }
        Ok(())
    }

    /// Whether packets flow.
    fn ready(&mut self) -> anyhow::Result<bool> {
        if let Some(status) = self.child.try_wait()? {
            bail!("polder up ended with {status}");
        }
        let done = Command::new("curl")
            .args(["-s", "http://127.0.0.1:4566/_polder/status"])
            .output()?;
        Ok(String::from_utf8_lossy(&done.stdout)
            .replace(' ', "")
            .contains("\"mode\":\"full\""))
    }
}

impl Drop for Polder {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
