//! The command line.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use types::{Cidr, InstanceId};

use crate::account::AccountArgs;
use crate::failure::Failure;
use crate::hosts::HostsArgs;
use crate::quota::QuotaArgs;

/// Where `polder up` listens unless it is told otherwise: the port that `awslocal` and `tflocal` expect.
pub(crate) const LISTEN: &str = "127.0.0.1:4566";

/// A Virtual Private Cloud for your own Linux hosts, behind the API of EC2.
#[derive(Parser)]
#[command(
    name = "polder",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where to ask.
#[derive(Args)]
pub(crate) struct Endpoint {
    /// The endpoint of the running `polder up`.
    #[arg(
        long = "endpoint",
        env = "POLDER_ENDPOINT",
        default_value = "http://127.0.0.1:4566",
        value_name = "URL"
    )]
    pub(crate) url: String,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a region on this machine, in the foreground.
    ///
    /// It needs root to carry packets. Ctrl-C stops the instances and removes every interface, namespace and route that
    /// it made; the state stays, and the next `polder up` goes on with it.
    Up(UpArgs),
    /// Run a region's controller for many hosts, each of which runs `polder agent`.
    Controller(ControllerArgs),
    /// Make this machine a host of a region, in the foreground. It needs root.
    ///
    /// Ctrl-C stops its instances and removes what it made; the next start goes on with them. Killed, it leaves them at
    /// work, for the next start to take over.
    Agent(AgentArgs),
    /// Show and manage the hosts of a region, where its controller runs.
    Hosts(HostsArgs),
    /// Manage accounts, users, roles and access keys.
    Account(AccountArgs),
    /// Show and change what accounts may have at most.
    Quota(QuotaArgs),
    /// Run a command inside an instance.
    Exec(ExecArgs),
    /// Explain whether one place can reach another: every step, with the object and rule that decide.
    ///
    /// If it cannot, every blocker on the way and on the way back is named, each with the smallest change that takes it
    /// away, as calls of the AWS CLI.
    Path(PathArgs),
    /// List which packets can get from one place to another.
    ///
    /// Every port, every protocol and every address is decided: the packet space is cut into the classes that rules
    /// distinguish, and one packet of each is walked. What is not listed is closed.
    Reach(ReachArgs),
    /// Show what API calls would open and close, without making them.
    ///
    /// A call is a line: JSON, as in {"action": "DeleteRoute", "parameters": {"RouteTableId": "rtb-…", …}}, or the
    /// query protocol's form, as in Action=DeleteRoute&RouteTableId=…. The fixes in `polder path --json` are such calls.
    /// Exit code: 0, or with --exit-code 2 if something is gained or lost.
    Plan(PlanArgs),
    /// Show dropped packets, with the step, object and rule that dropped them.
    Drops(DropsArgs),
    /// Watch what happens, until interrupted.
    Watch(WatchArgs),
    /// Show what passed each interface, and what was dropped and why.
    Interfaces(ReadArgs),
    /// Show the sessions of the flow table.
    Sessions(ReadArgs),
    /// Show what the running `polder up` is doing.
    Status(ReadArgs),
    /// Show two tenants' networks and real packets in them, and clean up.
    Demo(DemoArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

/// Where everything is kept.
#[derive(Args)]
pub(crate) struct StateDir {
    /// Where everything is kept [default: /var/lib/polder for root, else $XDG_STATE_HOME/polder].
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) state_dir: Option<PathBuf>,
}

impl StateDir {
    /// The directory.
    ///
    /// # Errors
    /// If none is given and there is no place for one.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.state_dir {
            return std::path::absolute(dir)
                .with_context(|| format!("`{}` is not a path", dir.display()));
        }
        if rustix::process::geteuid().is_root() {
            return Ok(PathBuf::from("/var/lib/polder"));
        }
        let set = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base =
            set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
        base.map(|base| base.join("polder")).ok_or_else(|| {
            Failure::usage(
                "there is no place for the state: neither XDG_STATE_HOME nor HOME is set",
                "use --state-dir",
            )
            .into()
        })
    }
}

/// Whose word counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum AuthMode {
    /// The access key's id says whose a request is; nobody checks it.
    None,
    /// Signature Version 4, with keys of `polder account`, and their policies.
    Sigv4,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Let instances with a public address reach beyond the pool, through the host's own connection.
    #[arg(long)]
    pub(crate) internet: bool,
    /// Serve the API without any packets.
    #[arg(long)]
    pub(crate) control_plane_only: bool,
    /// What becomes of connections when the rule of a security group that allowed them goes: as with EC2, those that the
    /// group tracks go on and the others end, or all end at once.
    #[arg(long, value_name = "WHICH", default_value = "ec2")]
    pub(crate) revocation: Revocation,
    /// The most sessions in the flow table.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub(crate) max_sessions: Option<u32>,
}

/// `polder controller`.
#[derive(Args)]
pub(crate) struct ControllerArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Where to listen for hosts. They and the controller know each other by certificates.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:4567")]
    pub(crate) hosts_listen: SocketAddr,
    /// How long a host's certificate holds; it gets the next one by itself.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = life)]
    pub(crate) certificate_life: Duration,
    /// How long nothing may be heard of a host before it counts as lost and gets no new instances.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = life)]
    pub(crate) lost_after: Duration,
}

/// `polder agent`.
#[derive(Args)]
pub(crate) struct AgentArgs {
    /// Where the controller listens for hosts.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) controller: String,
    /// The token of `polder hosts token create`, the first time.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "POLDER_JOIN",
        hide_env_values = true
    )]
    pub(crate) join: Option<String>,
    /// What to call this host, the first time [default: the machine's name].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The id of the zone that it is in, the first time, unless the token says: `use1-az1`.
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// Its address in the network that connects the hosts, the first time [default: the one it reaches the controller
    /// from].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) underlay: Option<IpAddr>,
    /// How many instances it runs at most, told the first time.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) capacity: u32,
    #[command(flatten)]
    pub(crate) state: StateDir,
    /// Let instances with a public address reach beyond the pool, through the host's own connection.
    #[arg(long)]
    pub(crate) internet: bool,
    /// What becomes of connections when the rule of a security group that allowed them goes: as with EC2, those that the
    /// group tracks go on and the others end, or all end at once.
    #[arg(long, value_name = "WHICH", default_value = "ec2")]
    pub(crate) revocation: Revocation,
    /// The most sessions in the flow table.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub(crate) max_sessions: Option<u32>,
    /// What to log on standard error: a level, or directives as in `info,agent=debug`.
    #[arg(long, value_name = "LEVEL", env = "POLDER_LOG", default_value = "warn")]
    pub(crate) log: String,
}

/// How requests are served.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Where to listen. Without `--auth sigv4` only on a loopback address.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = LISTEN)]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) state: StateDir,
    /// Whether signatures are checked and policies count.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) auth: AuthMode,
    /// Whether accounts are slowed down as EC2 does it [default: on with --auth sigv4].
    #[arg(long, value_name = "on|off")]
    pub(crate) rate_limit: Option<Switch>,
    /// Where every call is recorded, one JSON line each [default: audit.log in the state directory with --auth sigv4].
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Where public addresses come from. The host has the first one.
    #[arg(long, value_name = "CIDR", default_value = "203.0.113.0/24")]
    pub(crate) pool: Cidr,
    /// Where the IPv6 blocks of VPCs come from, a /56 each. The host has the first one.
    #[arg(long, value_name = "CIDR", default_value = "2001:db8::/32", value_parser = ipv6_pool)]
    pub(crate) ipv6_pool: Cidr,
    /// How long what is created stays `pending` and what is deleted stays `deleting`, as in `2s` or `500ms`.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = settle)]
    pub(crate) settle: Duration,
    /// Which zone a zone's name means: each account has an order of its own, as with EC2, or `us-east-1a` is
    /// `use1-az1` for everybody.
    #[arg(long, value_name = "WHICH", default_value = "per-account")]
    pub(crate) zone_names: ZoneNames,
    /// Stop when the process that started this one ends, however it ends.
    #[arg(long, hide = true)]
    pub(crate) stop_with_parent: bool,
    /// What to log on standard error: a level, or directives as in `info,agent=debug`.
    #[arg(long, value_name = "LEVEL", env = "POLDER_LOG", default_value = "warn")]
    pub(crate) log: String,
}

/// Which zone a zone's name means.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ZoneNames {
    /// Every account has its own order, as with EC2.
    PerAccount,
    /// `us-east-1a` is `use1-az1` for everybody.
    Fixed,
}

impl From<ZoneNames> for controller::ZoneNames {
    fn from(names: ZoneNames) -> controller::ZoneNames {
        match names {
            ZoneNames::PerAccount => controller::ZoneNames::PerAccount,
            ZoneNames::Fixed => controller::ZoneNames::Fixed,
        }
    }
}

/// What becomes of connections that no rule allows any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Revocation {
    /// Tracked connections go on, as with EC2
    Ec2,
    /// All of them end at once
    Strict,
}

impl From<Revocation> for agent::Revocation {
    fn from(revocation: Revocation) -> agent::Revocation {
        match revocation {
            Revocation::Ec2 => agent::Revocation::Ec2,
            Revocation::Strict => agent::Revocation::Strict,
        }
    }
}

/// A time of at least a second.
pub(crate) fn life(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.len().saturating_sub(1));
    let second = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let number = digits.parse::<u32>().unwrap_or(0);
    let seconds = u64::from(number) * second;
    (1..=366 * 86_400)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
        .ok_or_else(|| "a time up to a year is expected, as in `30s` or `24h`".to_owned())
}

/// A delay of an hour at most: `2s`, `500ms`, `1m`, `0`.
fn settle(text: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_secs(3600);
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number = digits.parse::<u32>().ok();
    let delay = match (number, unit) {
        (Some(0), "") => Some(Duration::ZERO),
        (Some(number), "ms") => Some(Duration::from_millis(number.into())),
        (Some(number), "s") => Some(Duration::from_secs(number.into())),
        (Some(number), "m") => Some(Duration::from_secs(u64::from(number) * 60)),
        _ => None,
    };
    delay
        .filter(|delay| *delay <= MAX)
        .ok_or_else(|| "a time up to an hour is expected, as in `2s` or `500ms`".to_owned())
}

/// A block with room for at least one VPC's.
fn ipv6_pool(text: &str) -> Result<Cidr, String> {
    text.parse::<Cidr>()
        .ok()
        .filter(|cidr| !cidr.is_v4() && (16..=55).contains(&cidr.length()))
        .ok_or_else(|| {
            "an IPv6 block of a /16 to a /55 is expected, as in `fd12:3456::/32`".to_owned()
        })
}

#[derive(Args)]
pub(crate) struct ExecArgs {
    /// The instance.
    #[arg(value_name = "INSTANCE")]
    pub(crate) instance: InstanceId,
    /// The command and its arguments.
    #[arg(required = true, last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct PathArgs {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    /// An instance, an interface, an internet or NAT gateway, an IP address or `internet`.
    #[arg(value_name = "FROM")]
    pub(crate) from: String,
    /// An instance, an interface, an internet or NAT gateway, an IP address or `internet`.
    #[arg(value_name = "TO")]
    pub(crate) to: String,
    /// Ask for TCP to this port.
    #[arg(long, value_name = "PORT", group = "protocol")]
    pub(crate) tcp: Option<u16>,
    /// Ask for UDP to this port.
    #[arg(long, value_name = "PORT", group = "protocol")]
    pub(crate) udp: Option<u16>,
    /// Ask for ICMP echo (the default).
    #[arg(long, group = "protocol")]
    pub(crate) icmp: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ReachArgs {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    /// An instance, an interface, a security group, a subnet, a VPC, a block of addresses or `internet` [default: all].
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Option<String>,
    /// The same.
    #[arg(long, value_name = "PLACE")]
    pub(crate) to: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    /// The calls, one a line; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// Whose calls they are [default: the only account that there is].
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// In which region.
    #[arg(
        long,
        value_name = "REGION",
        env = "AWS_REGION",
        default_value = "us-east-1"
    )]
    pub(crate) region: String,
    /// End with code 2 if something is gained or lost.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct DropsArgs {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    /// Go on as packets are dropped, until interrupted.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct WatchArgs {
    #[command(subcommand)]
    pub(crate) what: Watched,
}

#[derive(Subcommand)]
pub(crate) enum Watched {
    /// Packets as they are dropped, with the step, object and rule that dropped them: `polder drops --follow`.
    Drops(ReadArgs),
}

#[derive(Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Leave the region running, to look around in it.
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: Shell,
}

/// `polder completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "polder", &mut script);
    crate::output::write(&script)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn delays_and_pools() {
        for (text, millis) in [
            ("0", Some(0)),
            ("500ms", Some(500)),
            ("2s", Some(2000)),
            ("60m", Some(3_600_000)),
            ("61m", None),
            ("2", None),
            ("s", None),
            ("-1s", None),
            ("99999999999s", None),
        ] {
            let delay = settle(text).ok().map(|delay| delay.as_millis());
            assert_eq!(delay, millis, "{text}");
        }
        assert!(ipv6_pool("fd12:3456::/32").is_ok());
        for bad in ["10.0.0.0/8", "fd12::/64", "::/0", "x"] {
            assert!(ipv6_pool(bad).is_err(), "{bad}");
        }
    }
}
