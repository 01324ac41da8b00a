//! Replies in both forms, and replies that are no handler's to give.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;

use api::{Blob, EncodeError, Kind, Protocol, Service, Timestamp, Value, encode_reply, to_value};
use serde::Serialize;

fn encoded(
    service: &'static Service,
    action: &str,
    reply: &impl Serialize,
) -> Result<String, EncodeError> {
    let operation = service.operation(action).unwrap();
    let reply = encode_reply(service, operation, &to_value(reply)?, "r-1")?;
    assert_eq!(
        (reply.status, reply.content_type),
        (200, "text/xml;charset=UTF-8")
    );
    let text = String::from_utf8(reply.body).unwrap();
    Ok(text
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        .unwrap()
        .to_owned())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeVpcs {
    vpcs: Vec<Vpc>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Vpc {
    vpc_id: types::VpcId,
    state: State,
    is_default: bool,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Available,
    Lost,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

fn vpcs(state: State, tags: Vec<Tag>) -> DescribeVpcs {
    let vpc = Vpc {
        vpc_id: types::VpcId::from_bits(42),
        state,
        is_default: false,
        tags,
    };
    DescribeVpcs {
        vpcs: vec![vpc],
        next_token: None,
    }
}

#[test]
fn ec2_form() {
    let tag = Tag {
        key: "a<b>&\"'".into(),
        value: "\u{0}\u{1b}\r\n\t]]>é\u{ffff}".into(),
    };
    assert_eq!(
        encoded(
            Service::ec2(),
            "DescribeVpcs",
            &vpcs(State::Available, vec![tag])
        )
        .unwrap(),
        "<DescribeVpcsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId>\
         <vpcSet><item><isDefault>false</isDefault><tagSet><item><key>a&lt;b&gt;&amp;&quot;'</key>\
         <value>\u{fffd}\u{fffd}&#13;\n\t]]&gt;é\u{fffd}</value></item></tagSet>\
         <vpcId>vpc-0000000000000002a</vpcId><state>available</state></item></vpcSet>\
         </DescribeVpcsResponse>"
    );
    assert!(
        encoded(
            Service::ec2(),
            "DescribeVpcs",
            &vpcs(State::Available, vec![])
        )
        .unwrap()
        .contains("<tagSet></tagSet>")
    );
}

#[test]
fn ec2_form_without_output() {
    #[derive(Serialize)]
    struct Nothing {}
    assert_eq!(
        encoded(Service::ec2(), "DeleteVpc", &Nothing {}).unwrap(),
        "<DeleteVpcResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId>\
         <return>true</return></DeleteVpcResponse>"
    );
}

#[test]
fn query_form() {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Identity {
        user_id: &'static str,
        account: &'static str,
        arn: &'static str,
    }
    let who = Identity {
        user_id: "AKIA",
        account: "111122223333",
        arn: "arn:aws:iam::111122223333:root",
    };
    assert_eq!(
        encoded(Service::sts(), "GetCallerIdentity", &who).unwrap(),
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><UserId>AKIA</UserId><Account>111122223333</Account>\
         <Arn>arn:aws:iam::111122223333:root</Arn></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
}

#[test]
fn times_and_octets() {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct PasswordData {
        instance_id: &'static str,
        timestamp: Timestamp,
    }
    let time = Timestamp::from_millis(1_767_323_045_000);
    let data = PasswordData {
        instance_id: "i-1",
        timestamp: time,
    };
    let text = encoded(Service::ec2(), "GetPasswordData", &data).unwrap();
    assert!(
        text.contains("<timestamp>2026-01-02T03:04:05.000Z</timestamp>"),
        "{text}"
    );
    assert_eq!(to_value(&Blob(vec![1])), Ok(Value::Blob(vec![1])));
    assert_eq!(api::from_value(Value::Timestamp(time)), Ok(time));
    assert_eq!(api::from_value(Value::Blob(vec![1])), Ok(Blob(vec![1])));
}

#[test]
fn faults_of_a_handler() {
    let fault = |members: &[(&str, Value)]| {
        let members: BTreeMap<_, _> = members
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect();
        let operation = Service::ec2().operation("DescribeVpcs").unwrap();
        encode_reply(Service::ec2(), operation, &Value::Structure(members), "r").unwrap_err()
    };
    assert_eq!(
        fault(&[("Vpc", Value::List(vec![]))]),
        EncodeError::UnknownMember("Vpc".into())
    );
    let vpc = Value::Structure([("Name".to_owned(), Value::Boolean(true))].into());
    assert_eq!(
        fault(&[("Vpcs", Value::List(vec![vpc]))]),
        EncodeError::UnknownMember("Vpcs.Name".into())
    );
    assert_eq!(
        fault(&[("NextToken", Value::Integer(1))]),
        EncodeError::WrongKind {
            path: "NextToken".into(),
            found: "integer"
        }
    );
    assert_eq!(
        encoded(Service::ec2(), "DescribeVpcs", &vpcs(State::Lost, vec![])),
        Err(EncodeError::UnknownValue {
            path: "Vpcs.State".into(),
            value: "lost".into()
        })
    );
    assert_eq!(
        to_value(&None::<u8>),
        Err(EncodeError::Unrepresentable("nothing"))
    );
    assert!(to_value(&u64::MAX).is_err());
    assert!(to_value(&f64::NAN).is_err());
    assert!(to_value(&[Some(1), None]).is_err());
}

/// What EC2 and STS do not have, other services of the query protocol do: maps, and lists without an element
/// around them.
#[test]
fn maps_and_flattened_lists() {
    const TABLE: &str = "# test\nservice t\nversion 2000-01-01\nprotocol query\nnamespace urn:t\n\n\
        operations\nEcho Shape Shape wrapper=EchoResult\n\n\
        shapes\nFlat list Text name=Item flattened\nMap map Text Text\nShape structure\n Items Flat\n Pairs Map\n\
        Text string\n";
    let service: &'static Service = Box::leak(Box::new(Service::from_text(TABLE).unwrap()));
    assert_eq!(service.protocol(), Protocol::Query);
    assert!(matches!(service.shape("Map").unwrap().kind, Kind::Map(_)));
    let body = b"Action=Echo&Version=2000-01-01&Item.1=x&Item.2=y&Pairs.entry.1.key=k&Pairs.entry.1.value=v";
    let http = api::HttpRequest {
        method: "POST",
        body,
        ..Default::default()
    };
    let request = api::decode(service, &http).unwrap();
    let text = |text: &str| Value::String(text.into());
    let expected = Value::Structure(BTreeMap::from([
        ("Items".to_owned(), Value::List(vec![text("x"), text("y")])),
        (
            "Pairs".to_owned(),
            Value::Map(BTreeMap::from([("k".to_owned(), text("v"))])),
        ),
    ]));
    assert_eq!(request.input(), &expected);
    let reply = encode_reply(service, request.operation(), &expected, "r").unwrap();
    assert_eq!(
        String::from_utf8(reply.body)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap(),
        "<EchoResponse xmlns=\"urn:t\"><EchoResult><Item>x</Item><Item>y</Item><Pairs><entry><key>k</key>\
         <value>v</value></entry></Pairs></EchoResult><ResponseMetadata><RequestId>r</RequestId>\
         </ResponseMetadata></EchoResponse>"
    );
    for (bad, code) in [
        ("Pairs.entry.1.key=k", "MissingParameter"),
        (
            "Pairs.entry.1.key=k&Pairs.entry.1.value=v&Pairs.entry.1.x=v",
            "UnknownParameter",
        ),
        ("Pairs.1.key=k", "UnknownParameter"),
        ("Pairs.entry.1=k", "InvalidParameterValue"),
        ("Items.1=x", "UnknownParameter"),
        (
            "Pairs.entry.1.key=k&Pairs.entry.1.value=v&Pairs.entry.2.key=k&Pairs.entry.2.value=v",
            "InvalidParameterCombination",
        ),
    ] {
        let body = format!("Action=Echo&Version=2000-01-01&{bad}");
        let http = api::HttpRequest {
            method: "POST",
            body: body.as_bytes(),
            ..Default::default()
        };
        assert_eq!(api::decode(service, &http).unwrap_err().code, code, "{bad}");
    }
}
