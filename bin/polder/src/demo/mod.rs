//! `polder demo`: two tenants, a handful of real packets, and a table of what became of each.

mod ec2;
mod probe;
mod region;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use controller::wire;
use types::InstanceId;

use crate::cli::DemoArgs;
use crate::output::{self, Style, styled};
use ec2::Client;
use probe::{Place, Probe, Servers};
use region::Region;

/// A line to standard output.
macro_rules! say {
    ($($format:tt)+) => { output::write(format!("{}\n", format_args!($($format)+)).as_bytes()) };
}

/// How long the region may take to be ready, and an instance to boot.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the story's packets are sent between.
struct Story {
    web: InstanceId,
    db: InstanceId,
    app: InstanceId,
    twin: InstanceId,
    mallory: InstanceId,
    elastic: Ipv4Addr,
    host: Ipv4Addr,
    /// What the story calls an object, by its identifier.
    names: BTreeMap<String, &'static str>,
}

/// What should become of a packet.
enum Fate {
    /// Answered, with this in the answer.
    Answer(String),
    /// Dropped, for this reason.
    Drop(&'static str),
}

struct Row {
    what: &'static str,
    from: Place,
    probe: Probe,
    fate: Fate,
}

struct Observed {
    text: String,
    why: String,
    right: bool,
}

/// Runs the demonstration. The exit code is 0 if every packet met the fate that it should.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let paint = Paint {
        colour: output::colour(),
    };
    say!("{}", paint.bold("Polder"))?;
    paint.step("starting a region on this machine: `polder up`")?;
    let region = Region::start(args.keep)?;
    let outcome = tell(&region, &paint, started);
    if args.keep && outcome.is_ok() {
        say!("\n{}", region.keep()?)?;
    } else {
        region.stop()?;
    }
    Ok(if outcome? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(region: &Region, paint: &Paint, started: Instant) -> anyhow::Result<bool> {
    let a = Client::new(region.endpoint().to_owned(), "111122223333");
    let b = Client::new(region.endpoint().to_owned(), "444455556666");
    let story = build(region, &a, &b, paint)?;
    let mut servers = Servers::new();
    let at = |address: [u8; 4], port| SocketAddrV4::new(Ipv4Addr::from(address), port);
    servers.tcp(
        Place::Instance(story.db),
        at([0; 4], 3306),
        "db of 111122223333",
    )?;
    servers.tcp(
        Place::Instance(story.twin),
        at([0; 4], 3306),
        "db of 444455556666",
    )?;
    servers.udp(Place::Host, SocketAddrV4::new(story.host, 5353), "the host")?;

    let rows = rows(&story);
    say!("\n{}", paint.bold("Packets"))?;
    let mut table = Vec::new();
    for row in &rows {
        table.push(watch(region, row, &story.names)?);
    }
    print_table(paint, &rows, &table)?;
    let wrong = table.iter().filter(|observed| !observed.right).count();
    let summary = format!(
        "{} packets, {} as expected, {wrong} not; {:.1} s in all",
        rows.len(),
        rows.len() - wrong,
        started.elapsed().as_secs_f32()
    );
    say!(
        "\n{}",
        styled(
            &summary,
            if wrong == 0 { Style::Good } else { Style::Bad },
            paint.colour
        )
    )?;
    Ok(wrong == 0)
}

fn rows(story: &Story) -> Vec<Row> {
    let (web, db, app, mallory) = (
        Place::Instance(story.web),
        Place::Instance(story.db),
        Place::Instance(story.app),
        Place::Instance(story.mallory),
    );
    let to = |address: [u8; 4], port| SocketAddrV4::new(Ipv4Addr::from(address), port);
    let elastic = |port| SocketAddrV4::new(story.elastic, port);
    let answer = |text: &str| Fate::Answer(text.to_owned());
    let (web_at, db_at) = ([10, 0, 1, 10], [10, 0, 2, 10]);
    let row = |what, from, probe, fate| Row {
        what,
        from,
        probe,
        fate,
    };
    vec![
        row(
            "this host > web's elastic IP, tcp 80",
            Place::Host,
            Probe::Tcp(elastic(80)),
            answer("hello from web"),
        ),
        row(
            "this host > web's elastic IP, tcp 22",
            Place::Host,
            Probe::Tcp(elastic(22)),
            Fate::Drop("security-group-ingress"),
        ),
        row(
            "this host > web's elastic IP, icmp echo",
            Place::Host,
            Probe::Ping(story.elastic),
            Fate::Drop("security-group-ingress"),
        ),
        row(
            "web > db, tcp 3306",
            web,
            Probe::Tcp(to(db_at, 3306)),
            answer("db of 111122223333, you are 10.0.1.10"),
        ),
        row(
            "app > db, tcp 3306",
            app,
            Probe::Tcp(to(db_at, 3306)),
            Fate::Drop("security-group-ingress"),
        ),
        row(
            "app > web, tcp 80",
            app,
            Probe::Tcp(to(web_at, 80)),
            answer("hello from web"),
        ),
        row(
            "web > db, udp 3306",
            web,
            Probe::Udp(to(db_at, 3306)),
            Fate::Drop("security-group-ingress"),
        ),
        row(
            "web > db, icmp echo",
            web,
            Probe::Ping(Ipv4Addr::from(db_at)),
            Fate::Drop("security-group-ingress"),
        ),
        row(
            "web > outside, icmp echo",
            web,
            Probe::Ping(story.host),
            answer("echo reply"),
        ),
        row(
            "web > outside, udp 5353",
            web,
            Probe::Udp(SocketAddrV4::new(story.host, 5353)),
            Fate::Answer(format!("you are {}", story.elastic)),
        ),
        row(
            "db > outside, udp 5353",
            db,
            Probe::Udp(SocketAddrV4::new(story.host, 5353)),
            Fate::Drop("no-route"),
        ),
        row(
            "tenant B > 10.0.2.10, tcp 3306",
            mallory,
            Probe::Tcp(to(db_at, 3306)),
            answer("db of 444455556666, you are 10.0.2.66"),
        ),
        row(
            "tenant B > 10.0.1.10 (A's web), tcp 80",
            mallory,
            Probe::Tcp(to(web_at, 80)),
            Fate::Drop("no-such-address"),
        ),
        row(
            "tenant B > A's elastic IP, tcp 80",
            mallory,
            Probe::Tcp(elastic(80)),
            Fate::Drop("no-route"),
        ),
        row(
            "tenant B as 10.0.2.20 > 10.0.2.10, udp 3306",
            mallory,
            Probe::Forged(to(db_at, 3306), Ipv4Addr::new(10, 0, 2, 20)),
            Fate::Drop("spoofed-address"),
        ),
    ]
}

/// Builds the two tenants' networks through the EC2 endpoint.
fn build(region: &Region, a: &Client, b: &Client, paint: &Paint) -> anyhow::Result<Story> {
    let place = |client: &Client| -> anyhow::Result<(String, String, String)> {
        let vpc = client.make("CreateVpc", "vpcId", &[("CidrBlock", "10.0.0.0/16")])?;
        let public = client.make(
            "CreateSubnet",
            "subnetId",
            &[
                ("VpcId", &vpc),
                ("CidrBlock", "10.0.1.0/24"),
                ("AvailabilityZone", "us-east-1a"),
            ],
        );
        let private = client.make(
            "CreateSubnet",
            "subnetId",
            &[
                ("VpcId", &vpc),
                ("CidrBlock", "10.0.2.0/24"),
                ("AvailabilityZone", "us-east-1b"),
            ],
        );
        Ok((vpc, public?, private?))
    };
    paint.step(&format!(
        "account A ({}): VPC 10.0.0.0/16, public and private subnet in two zones",
        a.account()
    ))?;
    let (vpc, public, private) = place(a)?;
    paint.step("internet gateway, and the public subnet's route through it")?;
    let gateway = a.make("CreateInternetGateway", "internetGatewayId", &[])?;
    a.call(
        "AttachInternetGateway",
        &[("InternetGatewayId", &gateway), ("VpcId", &vpc)],
    )?;
    let table = a.make("CreateRouteTable", "routeTableId", &[("VpcId", &vpc)])?;
    a.call(
        "CreateRoute",
        &[
            ("RouteTableId", &table),
            ("DestinationCidrBlock", "0.0.0.0/0"),
            ("GatewayId", &gateway),
        ],
    )?;
    a.call(
        "AssociateRouteTable",
        &[("RouteTableId", &table), ("SubnetId", &public)],
    )?;
    paint.step("security groups: `web` (tcp 80 from anywhere), `db` (tcp 3306 from group `web`), `app` (nothing in)")?;
    let group = |client: &Client, vpc: &str, name: &str| {
        client.make(
            "CreateSecurityGroup",
            "groupId",
            &[
                ("GroupName", name),
                ("GroupDescription", name),
                ("VpcId", vpc),
            ],
        )
    };
    let (web_group, db_group, app_group) = (
        group(a, &vpc, "web")?,
        group(a, &vpc, "db")?,
        group(a, &vpc, "app")?,
    );
    let tcp = |port: &'static str| {
        [
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", port),
            ("IpPermissions.1.ToPort", port),
        ]
    };
    let allow = |client: &Client, group: &str, port: &'static str, peer: (&str, &str)| {
        let mut parameters = vec![("GroupId", group)];
        parameters.extend(tcp(port));
        parameters.push(peer);
        client.call("AuthorizeSecurityGroupIngress", &parameters)
    };
    allow(
        a,
        &web_group,
        "80",
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    )?;
    allow(
        a,
        &db_group,
        "3306",
        ("IpPermissions.1.Groups.1.GroupId", &web_group),
    )?;
    paint.step("instances `web`, `db`, `app`; an elastic IP for `web`")?;
    let run = |client: &Client,
               subnet: &str,
               group: &str,
               address: &str,
               user_data: &str|
     -> anyhow::Result<InstanceId> {
        let id = client.make(
            "RunInstances",
            "instanceId",
            &[
                ("ImageId", "ami-0123456789abcdef0"),
                ("MinCount", "1"),
                ("MaxCount", "1"),
                ("SubnetId", subnet),
                ("SecurityGroupId.1", group),
                ("PrivateIpAddress", address),
                ("UserData", user_data),
            ],
        )?;
        Ok(id.parse()?)
    };
    // The web server is the instance's own: user data that begins with #! is its first process.
    let server = base64::engine::general_purpose::STANDARD.encode(WEB_SERVER);
    let web = run(a, &public, &web_group, "10.0.1.10", &server)?;
    let db = run(a, &private, &db_group, "10.0.2.10", "")?;
    let app = run(a, &private, &app_group, "10.0.2.20", "")?;
    let allocation = a.call("AllocateAddress", &[("Domain", "vpc")])?;
    let elastic = allocation
        .need("publicIp")?
        .parse()
        .context("the elastic IP")?;
    wait_running(a, &[web, db, app])?;
    a.call(
        "AssociateAddress",
        &[
            ("AllocationId", &allocation.need("allocationId")?),
            ("InstanceId", &web.to_string()),
        ],
    )?;
    paint.step(&format!(
        "account B ({}): the same blocks, an instance at the address of A's `db`, and an intruder",
        b.account()
    ))?;
    let (vpc_b, public_b, private_b) = place(b)?;
    let group_b = group(b, &vpc_b, "all")?;
    allow(
        b,
        &group_b,
        "3306",
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/16"),
    )?;
    let twin = run(b, &private_b, &group_b, "10.0.2.10", "")?;
    let mallory = run(b, &private_b, &group_b, "10.0.2.66", "")?;
    wait_running(b, &[twin, mallory])?;
    paint.step("waiting for the web server")?;
    region.wait_for_web(elastic)?;
    let main_table = |client: &Client, vpc: &str| {
        client.make(
            "DescribeRouteTables",
            "routeTableId",
            &[
                ("Filter.1.Name", "vpc-id"),
                ("Filter.1.Value.1", vpc),
                ("Filter.2.Name", "association.main"),
                ("Filter.2.Value.1", "true"),
            ],
        )
    };
    let names = BTreeMap::from([
        (main_table(a, &vpc)?, "A's main table"),
        (main_table(b, &vpc_b)?, "B's main table"),
        (web_group, "web"),
        (db_group, "db"),
        (app_group, "app"),
        (public_b, "B's public subnet"),
    ]);
    Ok(Story {
        web,
        db,
        app,
        twin,
        mallory,
        elastic,
        host: region.host(),
        names,
    })
}

const WEB_SERVER: &str = "#!/bin/sh
mkdir -p www && cd www && echo 'hello from web' > index.html
exec python3 -m http.server 80
";

fn wait_running(client: &Client, instances: &[InstanceId]) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for instance in instances {
        loop {
            let id = instance.to_string();
            let reply = client.call("DescribeInstances", &[("InstanceId.1", &id)])?;
            match reply.need_in(Some("instanceState"), "name")?.as_str() {
                "running" => break,
                "pending" if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10))
                }
                other => bail!("{instance} is {} instead of running", other),
            }
        }
    }
    Ok(())
}

/// Sends a row's packet and compares what became of it with what should.
fn watch(
    region: &Region,
    row: &Row,
    names: &BTreeMap<String, &'static str>,
) -> anyhow::Result<Observed> {
    let since = region.drops(u64::MAX)?.next;
    let mut seen: Option<wire::Drop> = None;
    let answer = probe::send(row.from, row.probe, || {
        seen = region
            .drops(since)?
            .drops
            .into_iter()
            .find(|drop| is_of(drop, row.probe));
        Ok(seen.is_some())
    })?;
    Ok(match (answer, seen) {
        (Some(answer), _) => Observed {
            right: matches!(&row.fate, Fate::Answer(wanted) if answer.contains(wanted)),
            text: "delivered".to_owned(),
            why: format!("answer: {answer}"),
        },
        (None, Some(dropped)) => Observed {
            right: matches!(&row.fate, Fate::Drop(reason) if *reason == dropped.reason),
            text: "dropped".to_owned(),
            why: why(&dropped, names),
        },
        (None, None) => Observed {
            right: false,
            text: "lost".to_owned(),
            why: "no answer and no record".to_owned(),
        },
    })
}

fn print_table(paint: &Paint, rows: &[Row], table: &[Observed]) -> anyhow::Result<()> {
    let width = rows.iter().map(|row| row.what.len()).max().unwrap_or(0);
    say!(
        "  {}",
        paint.dim(&format!(
            "  {:width$}  {:9}  {:9}  what happened",
            "packet", "expected", "observed"
        ))
    )?;
    for (row, observed) in rows.iter().zip(table) {
        let expected = match row.fate {
            Fate::Answer(_) => "delivered",
            Fate::Drop(_) => "dropped",
        };
        let mark = if observed.right {
            styled("✓", Style::Good, paint.colour)
        } else {
            styled("✗", Style::Bad, paint.colour)
        };
        say!(
            "  {mark} {:width$}  {expected:9}  {:9}  {}",
            row.what,
            observed.text,
            paint.dim(&observed.why)
        )?;
        if !observed.right {
            let wanted = match &row.fate {
                Fate::Answer(text) => format!("an answer with `{text}`"),
                Fate::Drop(reason) => format!("a drop for `{reason}`"),
            };
            say!(
                "      {}",
                styled(&format!("expected {wanted}"), Style::Bad, paint.colour)
            )?;
        }
    }
    Ok(())
}

/// Whether this is the drop of the probe's packet.
fn is_of(drop: &wire::Drop, probe: Probe) -> bool {
    let Some(tuple) = &drop.tuple else {
        return false;
    };
    match probe {
        Probe::Tcp(to) => tuple.starts_with("tcp ") && tuple.ends_with(&format!("> {to}")),
        Probe::Udp(to) | Probe::Forged(to, _) => {
            tuple.starts_with("udp ") && tuple.ends_with(&format!("> {to}"))
        }
        Probe::Ping(to) => tuple.starts_with("icmp ") && tuple.ends_with(&format!("> {to}")),
    }
}

/// The reason, and where there is one the step, the object and the rule. Where no rule decided, the absence of one
/// did.
fn why(drop: &wire::Drop, names: &BTreeMap<String, &'static str>) -> String {
    let mut text = drop.reason.clone();
    if let Some(step) = &drop.step {
        text.push_str(&format!(" at {step}"));
    }
    if let Some(object) = &drop.object {
        text.push_str(&format!(": {object}"));
        if let Some(name) = names.get(object) {
            text.push_str(&format!(" ({name})"));
        }
    }
    let absent = match drop.reason.as_str() {
        "security-group-ingress" | "security-group-egress" => Some("no rule allows it"),
        "no-route" => Some("no route matches"),
        _ => None,
    };
    if let Some(rule) = drop.rule.as_deref().or(absent) {
        text.push_str(&format!(", {rule}"));
    }
    text
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn bold(&self, text: &str) -> String {
        styled(text, Style::Strong, self.colour)
    }

    fn dim(&self, text: &str) -> String {
        styled(text, Style::Faint, self.colour)
    }

    /// What is being done now.
    fn step(&self, text: &str) -> anyhow::Result<()> {
        say!("  {} {text}", self.dim("·"))
    }
}
