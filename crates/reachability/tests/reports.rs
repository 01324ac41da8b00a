//! Reports on a small network, as a person reads them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use reachability::{Direction, Query, Report, Source, Verdict, explain, render};
use topology::text::{Network, parse};
use types::{InstanceId, ObjectId, proto};

const NETWORK: &str = "
    uplink 203.0.113.0/24 host 203.0.113.1
    vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
      table public
        route 0.0.0.0/0 igw a
      acl forgetful
        in 100 allow all from 0.0.0.0/0
        out 50 deny tcp * to 10.0.1.0/24
        out 100 allow all to 0.0.0.0/0
      subnet public 10.0.1.0/24 table public
      subnet private 10.0.2.0/24
      subnet deaf 10.0.3.0/24 acl forgetful
      group web
        in tcp 80 from 0.0.0.0/0
        out all to 0.0.0.0/0
      group db
        in tcp 3306 from web
        in icmp 8 from web
        in icmp 3 from web
      interface web1 subnet public address 10.0.1.4 groups web
      interface db1 subnet private address 10.0.2.4 groups db
      interface deaf1 subnet deaf address 10.0.3.4 groups web
      elastic web1 203.0.113.5 interface web1";

fn network() -> Network {
    parse(NETWORK).unwrap()
}

fn ask(network: &Network, source: &str, destination: &str, protocol: u8, port: u16) -> Report {
    let source = match source.parse() {
        Ok(address) => Source::Outside(address),
        Err(_) => Source::Interface(network.interface(source)),
    };
    let query = Query::new(source, destination.parse().unwrap(), protocol, port);
    explain(&network.snapshot(), &query)
}

/// The check-list, with names for identifiers and columns narrowed.
fn lines(network: &Network, report: &Report) -> Vec<String> {
    render(report, false)
        .lines()
        .map(|line| {
            let words: Vec<String> = line
                .split_whitespace()
                .map(|word| match word.parse::<ObjectId>() {
                    Ok(id) => network.name(id).replace(' ', ":"),
                    Err(_) => word.to_owned(),
                })
                .filter(|word| !word.starts_with("sgr-"))
                .collect();
            words.join(" ")
        })
        .collect()
}

#[test]
fn reachable_both_ways() {
    let network = network();
    let report = ask(&network, "web1", "10.0.2.4", proto::TCP, 3306);
    assert_eq!(
        lines(&network, &report),
        [
            "tcp 10.0.1.4:49152 > 10.0.2.4:3306",
            "✓ source eni:web1 sends as 10.0.1.4",
            "✓ source check eni:web1 10.0.1.4 is its own",
            "✓ outbound security group sg:web all to 0.0.0.0/0",
            "✓ outbound network ACL acl:a entry 100: allow all to 0.0.0.0/0",
            "✓ route table rtb:public 10.0.0.0/16 → local",
            "✓ inbound network ACL acl:a entry 100: allow all from 0.0.0.0/0",
            "✓ inbound security group sg:db tcp 3306 from sg:web",
            "✓ destination check eni:db1 10.0.2.4 is its own",
            "✓ destination eni:db1 arrives as tcp 10.0.1.4:49152 > 10.0.2.4:3306",
            "the answer",
            "✓ source eni:db1 sends as 10.0.2.4",
            "✓ source check eni:db1 10.0.2.4 is its own",
            "✓ outbound security group an answer to a flow that was allowed",
            "✓ outbound network ACL acl:a entry 100: allow all to 0.0.0.0/0",
            "✓ route table rtb:a 10.0.0.0/16 → local",
            "✓ inbound network ACL acl:a entry 100: allow all from 0.0.0.0/0",
            "✓ inbound security group an answer to a flow that was allowed",
            "✓ destination check eni:web1 10.0.1.4 is its own",
            "✓ destination eni:web1 arrives as tcp 10.0.2.4:3306 > 10.0.1.4:49152",
            "Result: REACHABLE",
        ]
    );
}

#[test]
fn blocked_by_a_security_group() {
    let network = network();
    let report = ask(&network, "web1", "10.0.2.4", proto::TCP, 22);
    let lines = lines(&network, &report);
    assert_eq!(
        lines[7..10],
        [
            "✗ inbound security group sg:db no rule allows tcp 22 from 10.0.1.4",
            "✓ destination check eni:db1 10.0.2.4 is its own",
            "✓ destination eni:db1 arrives as tcp 10.0.1.4:49152 > 10.0.2.4:22",
        ]
    );
    let [rest @ .., result, first, call, end] = lines.as_slice() else {
        unreachable!("there are more lines");
    };
    assert!(!rest.iter().skip(8).any(|line| line.starts_with('✗')));
    assert_eq!(
        [result, call, end],
        [
            "Result: BLOCKED at inbound security group sg:db (security-group-ingress)",
            "aws ec2 authorize-security-group-ingress --group-id sg:db --protocol tcp --port 22 --source-group sg:web",
            "This opens it.",
        ]
    );
    assert!(
        first.starts_with("1. inbound security group") && first.contains("no rule allows tcp 22")
    );
}

#[test]
fn blocked_on_the_way_back() {
    let network = network();
    let report = ask(&network, "web1", "10.0.3.4", proto::TCP, 80);
    let lines = lines(&network, &report);
    for wanted in [
        "✗ outbound network ACL acl:forgetful tcp 49152 to 10.0.1.4 is denied by entry 50: deny tcp * to 10.0.1.0/24",
        "Result: BLOCKED on the way back at outbound network ACL acl:forgetful (network-acl)",
        "aws ec2 create-network-acl-entry --network-acl-id acl:forgetful --rule-number 49 --protocol 6 --port-range From=1024,To=65535 --cidr-block 10.0.1.4/32 --rule-action allow --egress",
    ] {
        assert!(
            lines.iter().any(|line| line == wanted),
            "{wanted}: {lines:#?}"
        );
    }
    let Verdict::Blocked {
        direction, rule, ..
    } = &report.verdict
    else {
        unreachable!("the verdict is blocked");
    };
    assert_eq!(*direction, Direction::Back);
    assert_eq!(rule.as_deref(), Some("entry 50: deny tcp * to 10.0.1.0/24"));
}

#[test]
fn in_and_out_through_the_gateway() {
    let network = network();
    let report = ask(&network, "203.0.113.1", "203.0.113.5", proto::TCP, 80);
    let lines = lines(&network, &report);
    for wanted in [
        "✓ source in from outside",
        "✓ source check 203.0.113.1 may come from outside",
        "✓ internet gateway igw:a 203.0.113.5 → 10.0.1.4",
        "✓ internet gateway rtb:public answers leave by 0.0.0.0/0 → igw:a",
        "✓ destination eni:web1 arrives as tcp 203.0.113.1:49152 > 10.0.1.4:80",
        "✓ internet gateway igw:a 10.0.1.4 → 203.0.113.5",
        "✓ destination leaves as tcp 203.0.113.5:80 > 203.0.113.1:49152",
        "Result: REACHABLE",
    ] {
        assert!(
            lines.iter().any(|line| line == wanted),
            "{wanted}: {lines:#?}"
        );
    }
    let report = ask(&network, "web1", "198.51.100.7", proto::TCP, 443);
    assert!(render(&report, false).contains("the uplink reaches only 203.0.113.0/24"));
    let report = ask(&network, "db1", "198.51.100.7", proto::TCP, 443);
    assert!(render(&report, false).contains("no rule allows tcp 443 to 198.51.100.7"));
}

#[test]
fn only_echo_requests_are_answered() {
    let network = network();
    let echo = ask(&network, "web1", "10.0.2.4", proto::ICMP, 0);
    assert!(matches!(echo.verdict, Verdict::Reachable { .. }));
    assert!(!echo.back.is_empty());
    let query = Query {
        icmp: Some((3, 4)),
        ..Query::new(
            Source::Interface(network.interface("web1")),
            "10.0.2.4".parse().unwrap(),
            proto::ICMP,
            0,
        )
    };
    let error = explain(&network.snapshot(), &query);
    assert!(matches!(error.verdict, Verdict::Reachable { .. }));
    assert!(error.back.is_empty());
}

/// A private subnet, no public address, a group that lets nothing out: everything is named at once.
#[test]
fn every_blocker_is_named_and_mended() {
    let network = parse(
        "uplink 203.0.113.0/24 host 203.0.113.1 internet
        vpc a account 111111111111 cidr 10.0.0.0/16
          acl shut
            in 1 deny tcp * from 0.0.0.0/0
            in 2 allow all from 0.0.0.0/0
            out 100 allow all to 0.0.0.0/0
          subnet a 10.0.1.0/24 acl shut
          group mute
          interface i subnet a address 10.0.1.4 groups mute",
    )
    .unwrap();
    let query = Query {
        everybody: true,
        ..Query::new(
            Source::Interface(network.interface("i")),
            "198.51.100.1".parse().unwrap(),
            proto::TCP,
            443,
        )
    };
    let report = explain(&network.snapshot(), &query);
    let blockers: Vec<(Direction, &str)> = report
        .blockers
        .iter()
        .map(|blocker| (blocker.direction, blocker.reason))
        .collect();
    assert_eq!(
        blockers,
        [
            (Direction::Forward, "security-group-egress"),
            (Direction::Forward, "no-route"),
            (Direction::Forward, "no-public-address"),
            (Direction::Back, "network-acl"),
        ]
    );
    assert!(report.opens);
    let commands: Vec<String> = report
        .blockers
        .iter()
        .flat_map(|blocker| &blocker.fix)
        .map(|call| {
            let words = call
                .command
                .split(' ')
                .map(|word| match word.parse::<ObjectId>() {
                    Ok(id) => network.name(id).replace(' ', ":"),
                    Err(_) => word.to_owned(),
                });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(
        commands,
        [
            "aws ec2 authorize-security-group-egress --group-id sg:mute --protocol tcp --port 443 --cidr 0.0.0.0/0",
            "igw1=$(aws ec2 create-internet-gateway --query 'InternetGateway.InternetGatewayId' --output text)",
            "aws ec2 attach-internet-gateway --internet-gateway-id \"$igw1\" --vpc-id vpc:a",
            "aws ec2 create-route --route-table-id rtb:a --destination-cidr-block 0.0.0.0/0 --gateway-id \"$igw1\"",
            "eip2=$(aws ec2 allocate-address --domain vpc --query 'AllocationId' --output text)",
            "ip2=$(aws ec2 describe-addresses --allocation-ids \"$eip2\" --query 'Addresses[0].PublicIp' --output text)",
            "aws ec2 associate-address --allocation-id \"$eip2\" --network-interface-id eni:i --private-ip-address 10.0.1.4",
            "aws ec2 create-network-acl-entry --network-acl-id acl:shut --rule-number 3 --protocol -1 --cidr-block 0.0.0.0/0 --rule-action allow --ingress",
            "aws ec2 replace-network-acl-entry --network-acl-id acl:shut --rule-number 2 --protocol 6 --port-range From=0,To=65535 --cidr-block 0.0.0.0/0 --rule-action deny --ingress",
            "aws ec2 replace-network-acl-entry --network-acl-id acl:shut --rule-number 1 --protocol 6 --port-range From=1024,To=65535 --cidr-block 0.0.0.0/0 --rule-action allow --ingress",
        ]
    );
}

#[test]
fn instances() {
    let network = network();
    let snapshot = network.snapshot();
    let web = network.interface("web1");
    let instance = snapshot.interface(web).unwrap().instance.unwrap();
    let to = "10.0.2.4".parse().unwrap();
    let by_instance = Query::new(Source::Instance(instance), to, proto::TCP, 3306);
    let by_interface = Query::new(Source::Interface(web), to, proto::TCP, 3306);
    assert_eq!(
        explain(&snapshot, &by_instance),
        explain(&snapshot, &by_interface)
    );
    let nobody = Source::Instance(InstanceId::from_bits(u128::MAX));
    let report = explain(&snapshot, &Query::new(nobody, to, proto::TCP, 3306));
    assert!(render(&report, false).contains("Result: BLOCKED at source i-fffffffffffffffff"));
    // No IPv6 address, and no IPv4 address to send from either way: a clear answer, not a guess.
    let six = Query::new(Source::Interface(web), "fd00::1".parse().unwrap(), 6, 80);
    assert!(render(&explain(&snapshot, &six), false).contains("it has no IPv6 address"));
}

#[test]
fn json_and_colours() {
    let network = network();
    let report = ask(&network, "web1", "10.0.2.4", proto::TCP, 22);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "blocked");
    assert_eq!(json["direction"], "forward");
    assert_eq!(json["reason"], "security-group-ingress");
    assert_eq!(json["step"], "ingress-security-group");
    assert_eq!(json["rule"], serde_json::Value::Null);
    assert_eq!(json["forward"][3]["ok"], true);
    assert_eq!(json["forward"][3]["step"], "egress-acl");
    assert!(!render(&report, false).contains('\x1b'));
    assert!(render(&report, true).contains("\x1b[31mBLOCKED\x1b[0m"));
}
