//! The controller as a client meets it: HTTP over TCP, without a host.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::server::{Server, text};

#[test]
fn an_empty_account_has_its_default_vpc() {
    let server = Server::start();
    let reply = server.post("Action=DescribeVpcs&Version=2016-11-15");
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(text(&reply.body, "cidrBlock"), "172.31.0.0/16");
    assert_eq!(text(&reply.body, "isDefault"), "true");
    assert_eq!(text(&reply.body, "ownerId"), "000000000000");
    assert_eq!(reply.header("server"), "polder");
    assert_eq!(
        reply.header("x-amzn-requestid"),
        text(&reply.body, "requestId")
    );
}

#[test]
fn what_was_created_is_described_to_its_owner_only() {
    let server = Server::start();
    let created = server.call(
        "111122223333",
        "us-east-1",
        "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0%2F16",
    );
    assert_eq!(created.status, 200, "{}", created.body);
    let describe = format!(
        "Action=DescribeVpcs&Version=2016-11-15&VpcId.1={}",
        text(&created.body, "vpcId")
    );
    let mine = server.call("111122223333", "us-east-1", &describe);
    assert_eq!(
        (mine.status, text(&mine.body, "cidrBlock").as_str()),
        (200, "10.0.0.0/16")
    );
    for (account, region) in [
        ("444455556666", "us-east-1"),
        ("111122223333", "eu-central-1"),
    ] {
        let theirs = server.call(account, region, &describe);
        assert_eq!(
            (theirs.status, text(&theirs.body, "Code").as_str()),
            (400, "InvalidVpcID.NotFound")
        );
    }
}

#[test]
fn get_works_as_post_does() {
    let server = Server::start();
    let reply = server
        .raw("GET /?Action=DescribeVpcs&Version=2016-11-15 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains("172.31.0.0/16"));
}

#[test]
fn the_caller_is_who_the_key_names() {
    let server = Server::start();
    let reply = server.call(
        "AKIA111122223333",
        "us-east-1",
        "Action=GetCallerIdentity&Version=2011-06-15",
    );
    assert_eq!(
        (reply.status, text(&reply.body, "Account").as_str()),
        (200, "111122223333"),
        "{}",
        reply.body
    );
}

#[test]
fn a_region_that_does_not_exist_is_refused() {
    let server = Server::start();
    let reply = server.call(
        "111122223333",
        "us-east-9",
        "Action=DescribeVpcs&Version=2016-11-15",
    );
    assert_eq!(
        (reply.status, text(&reply.body, "Code").as_str()),
        (401, "AuthFailure")
    );
}

#[test]
fn a_restart_gives_the_same_answers() {
    let mut server = Server::start();
    let created = server.post("Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0%2F16");
    assert_eq!(created.status, 200, "{}", created.body);
    let questions = [
        "DescribeVpcs",
        "DescribeSubnets",
        "DescribeRouteTables",
        "DescribeSecurityGroups",
    ];
    let answers = |server: &Server| -> Vec<String> {
        let ask = |action| server.post(&format!("Action={action}&Version=2016-11-15"));
        questions
            .map(|action| ask(action).without_request_id())
            .to_vec()
    };
    let before = answers(&server);
    server.restart();
    assert_eq!(answers(&server), before);
}

#[test]
fn many_clients_create_at_once() {
    let server = Server::start();
    server.post("Action=DescribeVpcs&Version=2016-11-15");
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let create = |n: usize| {
            let server = &server;
            scope.spawn(move || {
                let form = format!("Action=CreateVpc&Version=2016-11-15&CidrBlock=10.{n}.0.0%2F16");
                // Accounts of their own, as a region has a quota of VPCs.
                let reply = server.call(&format!("{n:012}"), "us-east-1", &form);
                assert_eq!(reply.status, 200, "{}", reply.body);
                text(&reply.body, "vpcId")
            })
        };
        let clients: Vec<_> = (1..=24).map(create).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), 24);
    // Every account has its default VPC as well, the first one only that.
    let vnis = server.vnis();
    assert_eq!(vnis.len(), 24 * 2 + 1);
    assert_eq!(vnis.iter().collect::<BTreeSet<_>>().len(), vnis.len());
}

#[test]
fn hostile_requests_get_errors() {
    let server = Server::start();
    let post = |body: &str| server.post(body);
    for (form, code) in [
        ("", "MissingAction"),
        ("Action=DescribeVpcs", "MissingParameter"),
        ("Action=Nonsense&Version=2016-11-15", "InvalidAction"),
        (
            "Action=DescribeVpcs&Version=2016-11-15&Nonsense=1",
            "UnknownParameter",
        ),
        (
            "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0/16&CidrBlock=10.1.0.0/16",
            "",
        ),
        ("Action=DescribeVpcs&Version=2016-11-15&VpcId.1=%", ""),
        ("Action=DescribeVpcs&Version=2016-11-15&VpcId.1=%zz", ""),
        ("Action=DescribeVpcs&Version=2016-11-15&VpcId.1=%ff%fe", ""),
        ("Action=DescribeVpcs&Version=2016-11-15&VpcId.1=%00", ""),
        (
            "Action=DescribeVpcs&Version=2016-11-15&VpcId.1=%3C%2FMessage%3E%26%5D%5D%3E",
            "InvalidVpcID",
        ),
        (
            "Action=DescribeVpcs&Version=2016-11-15&VpcId.4294967296=x",
            "",
        ),
    ] {
        let reply = post(form);
        assert_eq!(reply.status, 400, "{form}: {}", reply.body);
        let found = text(&reply.body, "Code");
        assert!(found.contains(code), "{form}: {found}");
        assert!(
            !reply.body.contains("</Message></Message>"),
            "{}",
            reply.body
        );
        assert!(!reply.header("x-amzn-requestid").is_empty());
    }
    let many: String = (0..6_000).map(|n| format!("&VpcId.{n}=vpc-1")).collect();
    assert_eq!(
        post(&format!("Action=DescribeVpcs&Version=2016-11-15{many}")).status,
        400
    );
    let huge = post(&"a".repeat(3 * controller::MAX_BODY));
    assert_eq!(
        (huge.status, text(&huge.body, "Code").as_str()),
        (413, "RequestEntityTooLarge")
    );
    // Nothing of that hurt anybody else.
    assert_eq!(post("Action=DescribeVpcs&Version=2016-11-15").status, 200);
}

#[test]
fn web_pages_and_foreign_names_are_refused() {
    let server = Server::start();
    let with = |headers: &str| {
        server
            .raw(&format!(
                "GET /?Action=DescribeVpcs&Version=2016-11-15 HTTP/1.1\r\n{headers}\r\n\r\n"
            ))
            .status
    };
    assert_eq!(with("Host: localhost"), 200);
    assert_eq!(with("Host: 127.0.0.1:4566"), 200);
    assert_eq!(with("Host: localhost\r\nOrigin: https://evil.example"), 403);
    assert_eq!(
        with("Host: localhost\r\nReferer: https://evil.example/"),
        403
    );
    assert_eq!(with("Host: localhost\r\nSec-Fetch-Site: cross-site"), 403);
    assert_eq!(with("Host: evil.example"), 403);
    assert_eq!(with("Host: localhost\r\nHost: evil.example"), 403);
    assert_eq!(with("X-No-Host: 1"), 403);
    let admin = server.raw("GET /_polder/status HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(
        (admin.status, admin.header("content-type").as_str()),
        (403, "application/json")
    );
}

#[test]
fn paths_and_methods_are_few() {
    let server = Server::start();
    let ask = |line: &str| {
        server
            .raw(&format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .status
    };
    assert_eq!(ask("GET /nothing"), 404);
    assert_eq!(ask("GET /_polder/nothing"), 404);
    assert_eq!(ask("DELETE /"), 405);
    assert_eq!(ask("POST /_polder/status"), 405);
    assert_eq!(ask("GET /_polder/drops?since=x"), 400);
    assert_eq!(ask("GET /_polder/path"), 400);
    assert_eq!(ask("GET /_polder/status"), 200);
}

#[test]
fn a_slow_client_is_cut_off() {
    let server = Server::start();
    let began = Instant::now();
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        .unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(5));

    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nAction=")
        .unwrap();
    let mut answer = [0; 64];
    let length = slow.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 408"));
}

#[test]
fn the_status_counts() {
    let server = Server::start();
    server.post("Action=DescribeVpcs&Version=2016-11-15");
    let status: controller::wire::Status = server.admin("status");
    assert_eq!(
        (status.mode.as_str(), status.why.as_deref()),
        ("control-plane-only", Some("a test"))
    );
    assert_eq!((status.counts["accounts"], status.counts["vpcs"]), (1, 1));
    assert!(status.revision > 0);
}
