//! Requests as awscli and boto3 send them, and requests that must be refused.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use api::{ApiError, HttpRequest, Request, Segment, Service, Value, decode};
use serde::Deserialize;

fn post(service: &'static Service, body: &str) -> Result<Request, ApiError> {
    let content_type = Some("application/x-www-form-urlencoded; charset=utf-8");
    decode(
        service,
        &HttpRequest {
            method: "POST",
            content_type,
            body: body.as_bytes(),
            ..HttpRequest::default()
        },
    )
}

fn ec2(form: &str) -> Result<Request, ApiError> {
    post(Service::ec2(), &format!("{form}&Version=2016-11-15"))
}

/// The code and message of a refusal.
fn refused(form: &str) -> (String, String) {
    let error = ec2(form).unwrap_err();
    (error.code.into_owned(), error.message)
}

#[track_caller]
fn check_refusal(form: &str, code: &str, message: &str) {
    assert_eq!(
        refused(form),
        (code.to_owned(), message.to_owned()),
        "{form}"
    );
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RunInstances {
    image_id: String,
    min_count: u16,
    max_count: u16,
    subnet_id: Option<types::SubnetId>,
    #[serde(default)]
    security_group_ids: Vec<types::GroupId>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    user_data: Option<String>,
    client_token: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagSpecification {
    resource_type: ResourceType,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// Fewer than EC2 has.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum ResourceType {
    Instance,
    NetworkInterface,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

const RUN: &str = "Action=RunInstances&ImageId=ami-12345678&MaxCount=2&MinCount=1";

#[test]
fn run_instances() {
    let form = format!(
        "{RUN}&SubnetId=subnet-0000000000000002a&SecurityGroupId.1=sg-00000000000000001\
         &SecurityGroupId.2=sg-00000000000000002&TagSpecification.1.ResourceType=instance\
         &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=web+%26+caf%C3%A9\
         &UserData=IyEvYmluL3NoCg%3D%3D&ClientToken=a-b-c"
    );
    let request = ec2(&form).unwrap();
    assert_eq!(
        (request.action(), request.version()),
        ("RunInstances", "2016-11-15")
    );
    assert_eq!(
        request.read::<RunInstances>().unwrap(),
        RunInstances {
            image_id: "ami-12345678".into(),
            min_count: 1,
            max_count: 2,
            subnet_id: Some(types::SubnetId::from_bits(0x2a)),
            security_group_ids: vec![types::GroupId::from_bits(1), types::GroupId::from_bits(2)],
            tag_specifications: vec![TagSpecification {
                resource_type: ResourceType::Instance,
                tags: vec![Tag {
                    key: "Name".into(),
                    value: "web & café".into()
                }],
            }],
            user_data: Some("IyEvYmluL3NoCg==".into()),
            client_token: Some("a-b-c".into()),
        }
    );
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Authorize {
    group_id: types::GroupId,
    ip_permissions: Vec<IpPermission>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct IpPermission {
    ip_protocol: String,
    from_port: Option<i32>,
    to_port: Option<i32>,
    #[serde(default)]
    ip_ranges: Vec<IpRange>,
    #[serde(default)]
    user_id_group_pairs: Vec<Pair>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct IpRange {
    cidr_ip: types::Cidr,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Pair {
    group_id: types::GroupId,
}

const AUTHORIZE: &str = "Action=AuthorizeSecurityGroupIngress&GroupId=sg-00000000000000001";

#[test]
fn authorize_security_group_ingress() {
    let form = format!(
        "{AUTHORIZE}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=80&IpPermissions.1.ToPort=80\
         &IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0&IpPermissions.2.IpProtocol=tcp\
         &IpPermissions.2.FromPort=3306&IpPermissions.2.ToPort=3306\
         &IpPermissions.2.Groups.1.GroupId=sg-00000000000000002"
    );
    let read: Authorize = ec2(&form).unwrap().read().unwrap();
    assert_eq!(read.group_id, types::GroupId::from_bits(1));
    assert_eq!(read.ip_permissions[0].ip_protocol, "tcp");
    assert_eq!(
        read.ip_permissions[0].ip_ranges[0].cidr_ip.to_string(),
        "0.0.0.0/0"
    );
    assert_eq!(read.ip_permissions[1].from_port, Some(3306));
    assert_eq!(read.ip_permissions[1].to_port, Some(3306));
    assert_eq!(
        read.ip_permissions[1].user_id_group_pairs[0].group_id,
        types::GroupId::from_bits(2)
    );
}

#[test]
fn describe_instances_with_filters() {
    let request = ec2(
        "Action=DescribeInstances&Filter.1.Name=instance-state-name&Filter.1.Value.1=running\
         &Filter.1.Value.2=pending&Filter.2.Name=tag%3AName&Filter.2.Value.1=web&MaxResults=5",
    )
    .unwrap();
    let filters = |value: &Value| match value.get("Filters") {
        Some(Value::List(filters)) => filters.clone(),
        _ => panic!("{value:?}"),
    };
    let found = filters(request.input());
    assert_eq!(found.len(), 2);
    assert_eq!(
        found[0].get("Name").and_then(Value::as_str),
        Some("instance-state-name")
    );
    let values = ["running", "pending"].map(|text| Value::String(text.into()));
    assert_eq!(found[0].get("Values"), Some(&Value::List(values.into())));
    assert_eq!(request.input().get("MaxResults"), Some(&Value::Integer(5)));
}

#[test]
fn an_older_version_and_a_get() {
    let http = HttpRequest {
        method: "GET",
        query: "Action=DescribeVpcs&Version=2014-10-01&VpcId.1=vpc-0000000000000002a",
        ..HttpRequest::default()
    };
    assert_eq!(
        decode(Service::ec2(), &http).unwrap().version(),
        "2014-10-01"
    );
}

#[test]
fn sts() {
    let whoami = post(
        Service::sts(),
        "Action=GetCallerIdentity&Version=2011-06-15",
    )
    .unwrap();
    assert_eq!(whoami.input(), &Value::empty());
    let assume = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=me\
                  &RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fx";
    let form =
        format!("{assume}&Tags.member.1.Key=a&Tags.member.1.Value=b&TransitiveTagKeys.member.1=a");
    let request = post(Service::sts(), &form).unwrap();
    assert_eq!(
        request.input().get("TransitiveTagKeys"),
        Some(&Value::List(vec![Value::String("a".into())]))
    );
    let path = [
        Segment::Member("Tags".into()),
        Segment::Index(0),
        Segment::Member("Key".into()),
    ];
    assert_eq!(request.wire_path(&path), "Tags.member.1.Key");
    let empty = post(Service::sts(), &format!("{assume}&TransitiveTagKeys=")).unwrap();
    assert_eq!(
        empty.input().get("TransitiveTagKeys"),
        Some(&Value::List(vec![]))
    );
    for (form, code) in [
        (format!("{assume}&Tags.1.Key=a"), "UnknownParameter"),
        (format!("{assume}&Tags.member.1.Key=a"), "MissingParameter"),
        (
            format!("{assume}&DurationSeconds=5"),
            "InvalidParameterValue",
        ),
        (
            "Action=GetCallerIdentity&Version=2016-11-15".to_owned(),
            "InvalidAction",
        ),
        (
            "Action=DescribeVpcs&Version=2011-06-15".to_owned(),
            "InvalidAction",
        ),
    ] {
        assert_eq!(
            post(Service::sts(), &form).unwrap_err().code,
            code,
            "{form}"
        );
    }
}

#[test]
fn actions_and_versions() {
    check_refusal(
        "a=b",
        "MissingAction",
        "The request must contain the parameter Action",
    );
    check_refusal(
        "Action=",
        "MissingAction",
        "The request must contain the parameter Action",
    );
    check_refusal(
        "Action=MakeCoffee",
        "InvalidAction",
        "The action MakeCoffee is not valid for this web service.",
    );
    let version = |version: &str| {
        let form = format!("Action=DescribeVpcs&Version={version}");
        post(Service::ec2(), &form)
            .err()
            .map(|error| error.code.into_owned())
    };
    assert_eq!(version("2016-11-15"), None);
    for bad in ["2027-01-01", "", "latest", "2016-11-1é", "99999"] {
        assert_eq!(version(bad).as_deref(), Some("NoSuchVersion"), "{bad}");
    }
    assert_eq!(
        post(Service::ec2(), "Action=DescribeVpcs")
            .unwrap_err()
            .code,
        "MissingParameter"
    );
}

#[test]
fn unknown_duplicate_and_missing() {
    check_refusal(
        "Action=CreateVpc&CidrBlok=10.0.0.0%2F16",
        "UnknownParameter",
        "The parameter CidrBlok is not recognized",
    );
    for unknown in [
        "VpcId.1.x",
        "VpcId.x",
        "VpcId.0",
        "VpcId.01",
        "VpcId.%2B1",
        "VpcId.5001",
        "VpcId.99999999999999999999",
        "VpcId.",
        ".VpcId",
        "vpcId.1",
        "Filter.1.Value.1.1",
        "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1",
    ] {
        let (code, _) = refused(&format!(
            "Action=DescribeVpcs&{unknown}=vpc-0000000000000002a"
        ));
        assert_eq!(code, "UnknownParameter", "{unknown}");
    }
    check_refusal(
        "Action=CreateVpc&CidrBlock=a&CidrBlock=a",
        "InvalidParameterCombination",
        "The parameter CidrBlock is given more than once",
    );
    check_refusal(
        "Action=DeleteVpc",
        "MissingParameter",
        "The request must contain the parameter VpcId",
    );
    check_refusal(
        "Action=CreateVpc&AWSAccessKeyId=a&SignatureVersion=2",
        "AuthFailure",
        "Signature version 2 is not supported; sign with version 4",
    );
}

#[test]
fn wrong_values() {
    check_refusal(
        "Action=DescribeVpcs&MaxResults=1",
        "InvalidParameterValue",
        "Value (1) for parameter MaxResults is invalid. Expected: at least 5",
    );
    check_refusal(
        "Action=CreateVpc&InstanceTenancy=shared",
        "InvalidParameterValue",
        "Value (shared) for parameter InstanceTenancy is invalid. Expected: one of default, dedicated, host",
    );
    for (form, expected) in [
        ("DryRun=yes", "true or false"),
        ("DryRun=", "true or false"),
        ("Ipv4NetmaskLength=many", "an integer of 32 bits"),
        ("Ipv4NetmaskLength=%2B4", "an integer of 32 bits"),
        ("Ipv4NetmaskLength=4294967296", "an integer of 32 bits"),
        (
            "TagSpecification.1=x",
            "TagSpecification.1.…, as it has parts",
        ),
        ("TagSpecification=x", "TagSpecification.…, as it has parts"),
    ] {
        let (code, message) = refused(&format!("Action=CreateVpc&{form}"));
        assert_eq!(code, "InvalidParameterValue", "{form}");
        assert!(
            message.ends_with(&format!("Expected: {expected}")),
            "{form}: {message}"
        );
    }
    let time = "Action=DescribeSpotPriceHistory&StartTime=";
    assert_eq!(
        refused(&format!("{time}yesterday")).0,
        "InvalidParameterValue"
    );
    assert!(ec2(&format!("{time}2026-01-02T03%3A04%3A05Z")).is_ok());
    let mfa = "Action=AssumeRole&Version=2011-06-15&RoleArn=short&RoleSessionName=me";
    assert!(
        post(Service::sts(), mfa)
            .unwrap_err()
            .message
            .ends_with("Expected: at least 20 characters")
    );
}

#[test]
fn what_a_handler_does_not_honour() {
    let unsupported = |extra: &str| {
        let error = ec2(&format!("{RUN}&{extra}"))
            .unwrap()
            .read::<RunInstances>()
            .unwrap_err();
        (error.code.into_owned(), error.message)
    };
    let expected = |message: &str| ("UnsupportedOperation".to_owned(), message.to_owned());
    assert_eq!(
        unsupported("EbsOptimized=true"),
        expected("The parameter EbsOptimized of RunInstances is not supported by Polder")
    );
    assert_eq!(
        unsupported("TagSpecification.1.ResourceType=volume"),
        expected(
            "The value volume of the parameter TagSpecification.1.ResourceType of RunInstances is not \
             supported by Polder"
        )
    );
    let form = format!(
        "{AUTHORIZE}&IpPermissions.3.IpProtocol=tcp&IpPermissions.7.IpRanges.4.CidrIp=10.0.0.0%2F8\
         &IpPermissions.7.IpProtocol=tcp&IpPermissions.7.IpRanges.9.CidrIp=10.0.0.0%2F8\
         &IpPermissions.7.IpRanges.9.Description=x"
    );
    let error = ec2(&form).unwrap().read::<Authorize>().unwrap_err();
    assert_eq!(
        error.message,
        "The parameter IpPermissions.7.IpRanges.9.Description of AuthorizeSecurityGroupIngress is not \
         supported by Polder"
    );
    // A type that forgets to refuse unknown members ignores nothing either.
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Careless {
        #[expect(dead_code, reason = "only read")]
        image_id: String,
    }
    let error = ec2(RUN).unwrap().read::<Careless>().unwrap_err();
    assert_eq!(
        error.message,
        "The parameter MaxCount of RunInstances is not supported by Polder"
    );
}

#[test]
fn what_a_handler_cannot_take() {
    let error = |extra: &str| {
        let error = ec2(&format!("{RUN}&{extra}"))
            .unwrap()
            .read::<RunInstances>()
            .unwrap_err();
        (error.code.into_owned(), error.message)
    };
    assert_eq!(
        error("SubnetId=subnet-1"),
        (
            "InvalidSubnetID.Malformed".to_owned(),
            "Invalid id: \"subnet-1\" (expecting \"subnet-...\")".to_owned()
        )
    );
    assert_eq!(error("SecurityGroupId.1=%60").0, "InvalidGroupId.Malformed");
    let many = ec2("Action=RunInstances&ImageId=a&MaxCount=70000&MinCount=1").unwrap();
    assert_eq!(
        many.read::<RunInstances>().unwrap_err().message,
        "Value (70000) for parameter MaxCount is invalid. Expected: an integer from 0 to 65535"
    );
    let no_image = ec2("Action=RunInstances&MaxCount=1&MinCount=1").unwrap();
    assert_eq!(
        no_image.read::<RunInstances>().unwrap_err(),
        ApiError::missing_parameter("ImageId")
    );
    let cidr = format!(
        "{AUTHORIZE}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.1%2F99"
    );
    let request = ec2(&cidr).unwrap();
    let found = request.try_read::<Authorize>().unwrap_err();
    assert_eq!(found.value.as_deref(), Some("10.0.0.1/99"));
    assert_eq!(
        request.wire_path(&found.path),
        "IpPermissions.1.IpRanges.1.CidrIp"
    );
    assert_eq!(request.explain(&found).code, "InvalidParameterValue");
}
