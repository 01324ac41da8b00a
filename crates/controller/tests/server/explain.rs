//! What the API made, asked about: paths and their fixes, reach, and plans.

use controller::wire;
use serde_json::Value;

use crate::server::Server;

/// The first text between these tags.
fn tag(body: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = body
        .split_once(&open)
        .unwrap_or_else(|| panic!("no {name} in {body}"));
    rest.split_once(&close).unwrap().0.to_owned()
}

fn made(server: &Server, form: &str, name: &str) -> String {
    let reply = server.post(&format!("{form}&Version=2016-11-15"));
    assert_eq!(reply.status, 200, "{form}: {}", reply.body);
    tag(&reply.body, name)
}

fn plan(server: &Server, query: &str, calls: &str) -> (u16, String) {
    let reply = server.raw(&format!(
        "POST /_polder/plan{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{calls}",
        calls.len()
    ));
    (reply.status, reply.body)
}

/// A VPC with a public and a private subnet, where nothing is open yet.
struct Made {
    web: String,
    db: String,
    db_group: String,
}

fn network(server: &Server) -> Made {
    let vpc = made(server, "Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    let subnet = |block: &str| {
        let form = format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock={block}");
        made(server, &form, "subnetId")
    };
    let group = |name: &str| {
        let form =
            format!("Action=CreateSecurityGroup&VpcId={vpc}&GroupName={name}&GroupDescription=d");
        made(server, &form, "groupId")
    };
    let launch = |subnet: &str, group: &str| {
        let form = format!(
            "Action=RunInstances&ImageId=ami-12345678&MinCount=1&MaxCount=1&SubnetId={subnet}&SecurityGroupId.1={group}"
        );
        made(server, &form, "instanceId")
    };
    let (web_group, db_group) = (group("web"), group("db"));
    let (public, private) = (subnet("10.0.1.0/24"), subnet("10.0.2.0/24"));
    Made {
        web: launch(&public, &web_group),
        db: launch(&private, &db_group),
        db_group,
    }
}

fn fixes(path: &wire::Path) -> String {
    let blockers = path.report["blockers"].as_array().unwrap().iter();
    let calls = blockers.flat_map(|blocker| blocker["fix"].as_array().unwrap());
    calls.map(|call| format!("{call}\n")).collect()
}

#[test]
fn a_paths_fixes_are_a_plan_that_gains_the_path_and_nothing_else() {
    let server = Server::start();
    let made = network(&server);
    let ask = format!(
        "path?from={}&to={}&protocol=tcp&port=3306",
        made.web, made.db
    );
    let path: wire::Path = server.admin(&ask);
    assert!(
        !path.reachable && path.text.contains("--port 3306 --source-group sg-"),
        "{}",
        path.text
    );
    let (status, body) = plan(&server, "", &fixes(&path));
    assert_eq!(status, 200, "{body}");
    let answer: wire::Plan = serde_json::from_str(&body).unwrap();
    assert!(answer.changes);
    assert_eq!(answer.difference["lost"], serde_json::json!([]));
    let gained = answer.difference["gained"].as_array().unwrap();
    assert_eq!(gained.len(), 1, "{body}");
    assert_eq!(
        gained[0]["services"],
        serde_json::json!([{"protocol": "tcp", "ports": ["3306"]}])
    );
    assert_eq!(gained[0]["to"]["interfaces"][0]["address"], "10.0.2.4");
    assert!(answer.text.starts_with("+ eni-"), "{}", answer.text);
    // Nothing was done.
    let again: wire::Path = server.admin(&ask);
    assert_eq!(again, path);
    let reach: wire::Reach = server.admin(&format!("reach?from={}&to={}", made.web, made.db));
    assert_eq!(reach.text, "");
}

#[test]
fn the_way_in_from_the_internet_is_opened_call_by_call() {
    let server = Server::start();
    let made = network(&server);
    let ask = format!("path?from={}&to=internet&protocol=tcp&port=443", made.db);
    let path: wire::Path = server.admin(&ask);
    // No gateway, no route, no public address; the uplink itself does not reach the internet but its host.
    let reasons: Vec<&Value> = path.report["blockers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| &b["reason"])
        .collect();
    assert_eq!(reasons, ["no-route", "no-public-address"]);
    assert_eq!(path.report["opens"], true);
    let open = format!(
        "Action=AuthorizeSecurityGroupIngress&GroupId={}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=5432\
         &IpPermissions.1.ToPort=5432&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0\n",
        made.db_group
    );
    let (status, body) = plan(
        &server,
        "?region=us-east-1",
        &format!("{}# and a way in\n{open}", fixes(&path)),
    );
    assert_eq!(status, 200, "{body}");
    let answer: wire::Plan = serde_json::from_str(&body).unwrap();
    let gained = answer.difference["gained"].as_array().unwrap();
    let outside = |row: &&Value| row["from"]["outside"] != serde_json::json!([]);
    let row = gained
        .iter()
        .find(outside)
        .unwrap_or_else(|| panic!("{body}"));
    assert_eq!(
        row["services"],
        serde_json::json!([{"protocol": "tcp", "ports": ["5432"]}])
    );
    assert!(
        gained
            .iter()
            .any(|row| row["to"]["outside"] != serde_json::json!([])),
        "{body}"
    );
}

#[test]
fn plans_that_cannot_be_made_say_why() {
    let server = Server::start();
    let made = network(&server);
    for (query, calls, why) in [
        (
            "",
            "{\"action\": \"DeleteVpc\", \"parameters\": {\"VpcId\": \"vpc-1\"}}",
            "call 1, DeleteVpc: InvalidVpcID",
        ),
        ("", "nonsense", "line 1: "),
        ("?account=1", "", "`account`"),
        ("?region=mars-1", "", "`mars-1` is not a region"),
        ("?x=1", "", "`x` is not a parameter"),
    ] {
        let (status, body) = plan(&server, query, calls);
        assert!(status == 400 && body.contains(why), "{calls}: {body}");
    }
    let (status, body) = plan(
        &server,
        "",
        &format!("Action=StopInstances&InstanceId.1={}", made.web),
    );
    assert!(
        status == 200 && body.contains("\"changes\":false"),
        "{body}"
    );
    let get = server.raw("GET /_polder/plan HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(get.status, 405);
    let unknown = server
        .raw("GET /_polder/reach?from=sg-0123456789abcdef0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        unknown.status == 400 && unknown.body.contains("there is no `sg-"),
        "{}",
        unknown.body
    );
}
