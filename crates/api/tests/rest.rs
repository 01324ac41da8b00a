//! Requests and replies of Route 53 as its clients send and read them, and requests that must be refused.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;

use api::{ApiError, HttpRequest, Request, Segment, Service, Value, decode, encode_reply};
use serde::Deserialize;

const SPACE: &str = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";

fn send(method: &str, target: &str, body: &str) -> Result<Request, ApiError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let http = HttpRequest {
        method,
        path,
        query,
        content_type: None,
        body: body.as_bytes(),
    };
    decode(Service::route53(), &http)
}

fn refused(method: &str, target: &str, body: &str) -> (u16, String, String) {
    let error = send(method, target, body).unwrap_err();
    (error.status, error.code.into_owned(), error.message)
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Batch {
    hosted_zone_id: String,
    change_batch: Changes,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Changes {
    comment: Option<String>,
    changes: Vec<Change>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Change {
    action: String,
    resource_record_set: RecordSet,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RecordSet {
    name: String,
    r#type: String,
    #[serde(rename = "TTL")]
    ttl: Option<i64>,
    resource_records: Option<Vec<BTreeMap<String, String>>>,
}

fn batch(inner: &str) -> String {
    format!("<ChangeResourceRecordSetsRequest {SPACE}>{inner}</ChangeResourceRecordSetsRequest>")
}

const A: &str = "<ChangeBatch><Changes><Change><Action>CREATE</Action><ResourceRecordSet><Name>a.example.</Name>\
    <Type>A</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord>\
    </ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch>";

#[test]
fn a_batch() {
    let paths = [
        "/2013-04-01/hostedzone/Z1/rrset",
        "/2013-04-01/hostedzone/Z1/rrset/",
        "/2013-04-01/hostedzone/%5A1/rrset",
    ];
    for path in paths {
        let request = send("POST", path, &batch(A)).unwrap();
        assert_eq!(request.action(), "ChangeResourceRecordSets");
        let read: Batch = request.read().unwrap();
        assert_eq!(read.hosted_zone_id, "Z1");
        let set = &read.change_batch.changes[0].resource_record_set;
        assert_eq!((set.name.as_str(), set.ttl), ("a.example.", Some(300)));
        let path = [
            Segment::Member("ChangeBatch".into()),
            Segment::Member("Changes".into()),
            Segment::Index(0),
        ];
        assert_eq!(request.wire_path(&path), "ChangeBatch.Changes.Change.1");
    }
}

#[test]
fn paths_and_query_strings() {
    let list = send(
        "GET",
        "/2013-04-01/hostedzone/Z1/rrset?name=a+b%2B&type=AAAA&maxitems=5&X-Amz-Signature=0a",
        "",
    );
    let list = list.unwrap();
    assert_eq!(list.action(), "ListResourceRecordSets");
    let text = |name: &str| list.input().get(name).and_then(Value::as_str);
    assert_eq!(text("StartRecordName"), Some("a b+"));
    assert_eq!(text("StartRecordType"), Some("AAAA"));
    assert_eq!(text("HostedZoneId"), Some("Z1"));
    let tags = send("GET", "/2013-04-01/tags/hostedzone/a+b", "").unwrap();
    assert_eq!(
        tags.input().get("ResourceId").and_then(Value::as_str),
        Some("a+b")
    );
    let actions = [
        ("GET", "/2013-04-01/hostedzone", "ListHostedZones"),
        ("GET", "/2013-04-01/hostedzone/", "ListHostedZones"),
        ("GET", "/2013-04-01/hostedzone/Z1", "GetHostedZone"),
        ("DELETE", "/2013-04-01/hostedzone/Z1", "DeleteHostedZone"),
        (
            "POST",
            "/2013-04-01/hostedzone/Z1",
            "UpdateHostedZoneComment",
        ),
        ("GET", "/2013-04-01/hostedzonecount", "GetHostedZoneCount"),
    ];
    for (method, path, action) in actions {
        assert_eq!(send(method, path, "").unwrap().action(), action, "{path}");
    }
}

#[test]
fn refusals_in_route_53s_words() {
    let rrset = "/2013-04-01/hostedzone/Z1/rrset";
    let checks = [
        (
            batch(&A.replace("CREATE", "MAKE")),
            "1 validation error detected: Value 'MAKE' at 'changeBatch.changes.1.member.action' \
          failed to satisfy constraint: Member must satisfy enum value set: [CREATE, DELETE, UPSERT]",
        ),
        (
            batch(&A.replace("300", "-1")),
            "1 validation error detected: Value '-1' at \
          'changeBatch.changes.1.member.resourceRecordSet.tTL' failed to satisfy constraint: Member must have value greater \
          than or equal to 0",
        ),
        (
            batch(&A.replace("<Type>A</Type>", "")),
            "1 validation error detected: Value null at \
          'changeBatch.changes.1.member.resourceRecordSet.type' failed to satisfy constraint: Member must not be null",
        ),
        (
            batch("<ChangeBatch><Changes/></ChangeBatch>"),
            "1 validation error detected: Value '' at 'changeBatch.changes' \
          failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            String::new(),
            "1 validation error detected: Value null at 'changeBatch' failed to satisfy constraint: Member \
          must not be null",
        ),
        (
            batch(&A.replace("300", "soon")),
            "Invalid XML ; 'soon' at 'changeBatch.changes.1.member.resourceRecordSet.tTL' is \
          not an integer",
        ),
        (
            batch(&A.replace("<Type>", "<Typ>").replace("</Type>", "</Typ>")),
            "The element Typ is not expected",
        ),
        (
            batch(&A.replace("<Type>A", "<Type>A</Type><Type>A")),
            "Type is given more than once",
        ),
        (
            batch(
                &A.replace("<Change>", "<Chance>")
                    .replace("</Change>", "</Chance>"),
            ),
            "The element Chance is not expected",
        ),
        (
            batch(&A.replace("<Changes>", "<Changes>x")),
            "Invalid XML ; the element Changes must not have text",
        ),
        (
            batch("<HostedZoneId>Z1</HostedZoneId>"),
            "The element HostedZoneId is not expected",
        ),
        (
            format!("<Other {SPACE}/>"),
            "The element Other is not expected",
        ),
        (
            "<ChangeResourceRecordSetsRequest xmlns=\"urn:x\"/>".to_owned(),
            "Invalid XML ; The attribute xmlns of ChangeResourceRecordSetsRequest is not expected",
        ),
        ("<".to_owned(), ""),
    ];
    for (body, message) in checks {
        let (status, code, told) = refused("POST", rrset, &body);
        assert_eq!((status, code.as_str()), (400, "InvalidInput"), "{body}");
        assert!(message.is_empty() || told == message, "{body}: {told}");
    }
    let long = format!("/2013-04-01/hostedzone/{}", "Z".repeat(33));
    for (method, target, body, status, code) in [
        ("GET", long.as_str(), "", 400, "InvalidInput"),
        (
            "GET",
            "/2013-04-01/hostedzone/Z1?x=y",
            "",
            400,
            "InvalidInput",
        ),
        (
            "GET",
            "/2013-04-01/hostedzone/Z1",
            "<a/>",
            400,
            "InvalidInput",
        ),
        (
            "GET",
            "/2013-04-01/hostedzone?maxitems=1&maxitems=2",
            "",
            400,
            "InvalidInput",
        ),
        (
            "GET",
            "/2013-04-01/hostedzone/%zz",
            "",
            400,
            "MalformedQueryString",
        ),
        ("GET", "/2013-04-01/hostedzone/%00", "", 400, "InvalidInput"),
        (
            "GET",
            "/2013-04-01/hostedzone//rrset",
            "",
            404,
            "UnknownOperationException",
        ),
        (
            "GET",
            "/2013-04-01/nothing",
            "",
            404,
            "UnknownOperationException",
        ),
        ("GET", "/", "", 404, "UnknownOperationException"),
        ("PUT", "/2013-04-01/hostedzone", "", 405, "MethodNotAllowed"),
    ] {
        let (found, told, _) = refused(method, target, body);
        assert_eq!((found, told.as_str()), (status, code), "{target}");
    }
}

#[test]
fn no_two_operations_share_a_path() {
    let service = Service::route53();
    let all = service
        .actions()
        .filter_map(|action| service.operation(action));
    let shape = |uri: &str| {
        let parts: Vec<_> = uri
            .trim_end_matches('/')
            .split('/')
            .map(|part| if part.starts_with('{') { "{}" } else { part })
            .collect();
        parts.join("/")
    };
    let mut seen = BTreeMap::new();
    for operation in all {
        let key = (operation.method, shape(operation.uri));
        assert_eq!(seen.insert(key, operation.name), None, "{}", operation.name);
    }
}

#[test]
fn a_reply_and_its_headers() {
    let service = Service::route53();
    let operation = service.operation("CreateHostedZone").unwrap();
    let text = |text: &str| Value::String(text.into());
    let record = |members: &[(&str, Value)]| {
        let members = members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        Value::Structure(members.collect())
    };
    let value = record(&[
        (
            "Location",
            text("https://route53.amazonaws.com/2013-04-01/hostedzone/Z1"),
        ),
        (
            "DelegationSet",
            record(&[("NameServers", Value::List(vec![text("ns.example")]))]),
        ),
    ]);
    let reply = encode_reply(service, operation, &value, "r").unwrap();
    assert_eq!(reply.status, 201);
    assert_eq!(
        reply.headers,
        [(
            "Location",
            "https://route53.amazonaws.com/2013-04-01/hostedzone/Z1".to_owned()
        )]
    );
    let body = String::from_utf8(reply.body).unwrap();
    assert_eq!(
        body.lines().nth(1).unwrap(),
        format!(
            "<CreateHostedZoneResponse {SPACE}><DelegationSet><NameServers><NameServer>ns.example</NameServer>\
             </NameServers></DelegationSet></CreateHostedZoneResponse>"
        )
    );
    let split = record(&[("Location", text("a\r\nb"))]);
    assert!(encode_reply(service, operation, &split, "r").is_err());
    let error = ApiError::new("NoSuchHostedZone", "No hosted zone found with ID: Z1");
    let reply = api::encode_error(service, &error, "r");
    assert_eq!(reply.status, 404);
    assert_eq!(
        String::from_utf8(reply.body)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap(),
        format!(
            "<ErrorResponse {SPACE}><Error><Type>Sender</Type><Code>NoSuchHostedZone</Code><Message>No hosted zone found \
             with ID: Z1</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        )
    );
}
