//! Flow logs: which traffic shall be recorded, and where to.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, FlowLogId, ObjectId, RegionName};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, Unsuccessful, UnsuccessfulReply, describe, invalid};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::transit_gateway::present;
use crate::{
    Context, NetworkInterface, Subnet, Timestamp, TransitGateway, TransitGatewayAttachment, Tx,
    Vpc, quota,
};

actions! {
    "CreateFlowLogs" => create_flow_logs, Recorded;
    "DeleteFlowLogs" => delete_flow_logs, Recorded;
    "DescribeFlowLogs" => describe_flow_logs, Control;
}

/// A flow log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlowLog {
    /// Its identifier.
    pub id: FlowLogId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Whose traffic is recorded.
    pub resource: ObjectId,
    /// What is recorded, and where to.
    pub how: How,
    /// When it was made.
    pub created: Timestamp,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// What a flow log records, and where to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct How {
    /// `ACCEPT`, `REJECT` or `ALL`; none for transit gateways.
    pub traffic: Option<String>,
    /// `cloud-watch-logs`, `s3` or `kinesis-data-firehose`.
    pub destination_type: String,
    /// The destination's ARN.
    pub destination: Option<String>,
    /// The log group in CloudWatch Logs.
    pub group: Option<String>,
    /// The role that may write there.
    pub role: Option<String>,
    /// The role that may write to another account.
    pub cross_account_role: Option<String>,
    /// The fields of a record.
    pub format: String,
    /// For how long packets are counted together, in seconds: 60 or 600.
    pub interval: i64,
    /// How files in S3 look.
    pub options: Option<DestinationOptions>,
    /// Tags that records carry.
    #[serde(default)]
    pub tag_fields: Vec<TagFields>,
}

/// How files in S3 look.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DestinationOptions {
    /// `plain-text` or `parquet`.
    pub file_format: Option<String>,
    /// Whether prefixes are Hive's.
    pub hive_compatible_partitions: Option<bool>,
    /// Whether there is a prefix for each hour.
    pub per_hour_partition: Option<bool>,
}

/// Tags of a kind of resource that records carry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TagFields {
    /// The kind: `network-interface`, `instance`, `auto-scaling-group`.
    pub resource_type: Option<String>,
    /// The tags' keys.
    pub tag_keys: Option<Vec<String>>,
}

resource!(
    FlowLog,
    "vpc-flow-log",
    |this, keys| keys.of([this.resource]),
    |id| resource::unknown_id(
        id,
        "fl",
        "flowLog ID",
        "InvalidFlowLogId.NotFound",
        "InvalidFlowLogId.Malformed",
    )
);

/// EC2 "Flow log records": the fields of every version.
const FIELDS: &[&str] = &[
    "account-id",
    "action",
    "az-id",
    "bytes",
    "dstaddr",
    "dstport",
    "ecs-cluster-arn",
    "ecs-cluster-name",
    "ecs-container-id",
    "ecs-container-instance-arn",
    "ecs-container-instance-id",
    "ecs-second-container-id",
    "ecs-service-name",
    "ecs-task-arn",
    "ecs-task-definition-arn",
    "ecs-task-id",
    "encryption-status",
    "end",
    "flow-direction",
    "instance-id",
    "interface-id",
    "log-status",
    "packets",
    "pkt-dst-aws-service",
    "pkt-dstaddr",
    "pkt-src-aws-service",
    "pkt-srcaddr",
    "protocol",
    "region",
    "reject-reason",
    "srcaddr",
    "srcport",
    "start",
    "sublocation-id",
    "sublocation-type",
    "subnet-id",
    "tcp-flags",
    "traffic-path",
    "type",
    "version",
    "vpc-id",
];

/// EC2 "Transit Gateway Flow Log records": the fields of every version.
const TRANSIT_FIELDS: &[&str] = &[
    "account-id",
    "bytes",
    "dstaddr",
    "dstport",
    "end",
    "flow-direction",
    "log-status",
    "packets",
    "packets-lost-blackhole",
    "packets-lost-mtu-exceeded",
    "packets-lost-no-route",
    "packets-lost-ttl-expired",
    "pkt-dst-aws-service",
    "pkt-src-aws-service",
    "protocol",
    "region",
    "resource-type",
    "srcaddr",
    "srcport",
    "start",
    "tcp-flags",
    "tgw-attachment-id",
    "tgw-dst-az-id",
    "tgw-dst-eni",
    "tgw-dst-subnet-id",
    "tgw-dst-vpc-account-id",
    "tgw-dst-vpc-id",
    "tgw-id",
    "tgw-pair-attachment-id",
    "tgw-src-az-id",
    "tgw-src-eni",
    "tgw-src-subnet-id",
    "tgw-src-vpc-account-id",
    "tgw-src-vpc-id",
    "type",
    "version",
];

/// The default record, version 2.
const FORMAT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";

/// The default record of transit gateways, version 6.
const TRANSIT_FORMAT: &str = "${version} ${resource-type} ${account-id} ${tgw-id} ${tgw-attachment-id} ${tgw-src-vpc-account-id} ${tgw-dst-vpc-account-id} ${tgw-src-vpc-id} ${tgw-dst-vpc-id} ${tgw-src-subnet-id} ${tgw-dst-subnet-id} ${tgw-src-eni} ${tgw-dst-eni} ${tgw-src-az-id} ${tgw-dst-az-id} ${tgw-pair-attachment-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${log-status} ${type} ${packets-lost-no-route} ${packets-lost-blackhole} ${packets-lost-mtu-exceeded} ${packets-lost-ttl-expired} ${tcp-flags} ${region} ${flow-direction} ${pkt-src-aws-service} ${pkt-dst-aws-service}";

/// EC2's default interval, and the only other one.
const INTERVAL: i64 = 600;
const SHORT_INTERVAL: i64 = 60;

const CLOUD_WATCH: &str = "cloud-watch-logs";
const S3: &str = "s3";
const FIREHOSE: &str = "kinesis-data-firehose";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateFlowLogsRequest {
    client_token: Option<String>,
    deliver_logs_permission_arn: Option<String>,
    deliver_cross_account_role: Option<String>,
    log_group_name: Option<String>,
    resource_ids: Vec<String>,
    resource_type: String,
    traffic_type: Option<String>,
    log_destination_type: Option<String>,
    log_destination: Option<String>,
    log_format: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    max_aggregation_interval: Option<i64>,
    destination_options: Option<DestinationOptions>,
    tag_field_specifications: Option<Vec<TagFields>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateFlowLogsReply {
    client_token: Option<String>,
    flow_log_ids: Vec<FlowLogId>,
    unsuccessful: Vec<Unsuccessful>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    creation_time: api::Timestamp,
    deliver_cross_account_role: Option<String>,
    deliver_logs_permission_arn: Option<String>,
    destination_options: Option<DestinationOptions>,
    flow_log_id: FlowLogId,
    flow_log_status: &'static str,
    log_destination: Option<String>,
    log_destination_type: String,
    log_format: String,
    log_group_name: Option<String>,
    max_aggregation_interval: i64,
    resource_id: ObjectId,
    tag_field_specifications: Option<Vec<TagFields>>,
    tags: Vec<Tag>,
    traffic_type: Option<String>,
}

impl FlowLog {
    /// There is no delivery yet, so nothing is said about how the last one went.
    fn reply(&self, _: &View<'_>) -> Item {
        let how = self.how.clone();
        Item {
            creation_time: api::Timestamp::from_millis(self.created.0),
            deliver_cross_account_role: how.cross_account_role,
            deliver_logs_permission_arn: how.role,
            destination_options: how.options,
            flow_log_id: self.id,
            flow_log_status: "ACTIVE",
            log_destination: how.destination,
            log_destination_type: how.destination_type,
            log_format: how.format,
            log_group_name: how.group,
            max_aggregation_interval: how.interval,
            resource_id: self.resource,
            tag_field_specifications: Some(how.tag_fields).filter(|fields| !fields.is_empty()),
            tags: self.tags.reply(),
            traffic_type: how.traffic,
        }
    }
}

fn wrong(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameter", message)
}

/// Whether the type of resource is one of transit gateways.
fn is_transit(resource_type: &str) -> bool {
    matches!(resource_type, "TransitGateway" | "TransitGatewayAttachment")
}

/// Checks a format: fields in `${…}`, with single spaces between them.
fn check_format(format: &str, known: &[&str]) -> Result<(), ApiError> {
    let mut unknown = Vec::new();
    for part in format.split(' ') {
        let name = part
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            .ok_or_else(|| wrong(format!("The format '{format}' for LogFormat is invalid")))?;
        if !known.contains(&name) {
            unknown.push(name);
        }
    }
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(wrong(format!(
            "Unknown fields provided: {}",
            unknown.join(", ")
        )))
    }
}

/// Checks what belongs to the destination, and gives log group and ARN.
fn destination(
    req: &CreateFlowLogsRequest,
    kind: &str,
) -> Result<(Option<String>, Option<String>), ApiError> {
    if req.log_group_name.is_some() && kind != CLOUD_WATCH {
        return Err(wrong(
            "LogDestination type must be cloud-watch-logs if LogGroupName is provided.",
        ));
    }
    let arn = |service: &str, text: &str| {
        if mortal::is_arn(text, service) {
            Ok(Some(text.to_owned()))
        } else {
            Err(wrong(format!(
                "LogDestination: {text} is not a valid ARN for the log destination type {kind}."
            )))
        }
    };
    if kind == CLOUD_WATCH {
        if req.deliver_logs_permission_arn.is_none() {
            return Err(wrong(
                "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.",
            ));
        }
        return match (&req.log_group_name, &req.log_destination) {
            (Some(_), Some(_)) => Err(wrong(
                "Please only provide LogGroupName or only provide LogDestination.",
            )),
            (None, None) => Err(wrong(
                "LogGroupName can't be empty if LogDestinationType is cloud-watch-logs.",
            )),
            (Some(name), None) => Ok((Some(log_group(name)?), None)),
            (None, Some(text)) => {
                let arn = arn("logs", text)?;
                let name = text
                    .split_once(":log-group:")
                    .map(|(_, name)| name.trim_end_matches(":*"))
                    .ok_or_else(|| wrong(format!("LogDestination: {text} is no log group.")))?;
                Ok((Some(log_group(name)?), arn))
            }
        };
    }
    let Some(text) = &req.log_destination else {
        return Err(wrong(
            "LogDestination can't be empty if LogDestinationType is not cloud-watch-logs.",
        ));
    };
    if kind == S3 && req.deliver_logs_permission_arn.is_some() {
        return Err(wrong(
            "DeliverLogsPermissionArn is not applicable for s3 log destination type.",
        ));
    }
    Ok((None, arn(if kind == S3 { S3 } else { "firehose" }, text)?))
}

/// A log group's name (CloudWatch Logs "CreateLogGroup").
fn log_group(name: &str) -> Result<String, ApiError> {
    const MAX: usize = 512;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-/.#".contains(&b);
    if name.is_empty() || name.len() > MAX || !name.bytes().all(plain) {
        return Err(wrong(format!("The log group name '{name}' is invalid")));
    }
    Ok(name.to_owned())
}

fn how(req: &CreateFlowLogsRequest) -> Result<How, ApiError> {
    let transit = is_transit(&req.resource_type);
    let kind = req.log_destination_type.as_deref().unwrap_or(CLOUD_WATCH);
    if ![CLOUD_WATCH, S3, FIREHOSE].contains(&kind) {
        return Err(invalid("logDestinationType", kind, "Unknown type."));
    }
    match (&req.traffic_type, transit) {
        (None, false) => return Err(resource::missing("trafficType")),
        (Some(_), true) => {
            return Err(wrong(
                "TrafficType is not supported for the resource type TransitGateway.",
            ));
        }
        (Some(_), false) | (None, true) => {}
    }
    for (parameter, role) in [
        ("deliverLogsPermissionArn", &req.deliver_logs_permission_arn),
        ("deliverCrossAccountRole", &req.deliver_cross_account_role),
    ] {
        if let Some(arn) = role
            && !mortal::is_arn(arn, "iam")
        {
            return Err(invalid(parameter, arn, "Invalid ARN of a role."));
        }
    }
    let (group, arn) = destination(req, kind)?;
    if req.destination_options.is_some() && kind != S3 {
        return Err(wrong(
            "DestinationOptions can only be specified if LogDestinationType is s3.",
        ));
    }
    let interval =
        req.max_aggregation_interval
            .unwrap_or(if transit { SHORT_INTERVAL } else { INTERVAL });
    if interval != SHORT_INTERVAL && (transit || interval != INTERVAL) {
        return Err(wrong("Invalid Flow Log Max Aggregation Interval"));
    }
    let (known, default) = if transit {
        (TRANSIT_FIELDS, TRANSIT_FORMAT)
    } else {
        (FIELDS, FORMAT)
    };
    let format = req.log_format.as_deref().unwrap_or(default);
    check_format(format, known)?;
    let options = (kind == S3).then(|| {
        let given = req.destination_options.as_ref();
        DestinationOptions {
            file_format: given
                .and_then(|options| options.file_format.clone())
                .or_else(|| Some("plain-text".to_owned())),
            hive_compatible_partitions: Some(
                given.and_then(|options| options.hive_compatible_partitions) == Some(true),
            ),
            per_hour_partition: Some(
                given.and_then(|options| options.per_hour_partition) == Some(true),
            ),
        }
    });
    Ok(How {
        traffic: req.traffic_type.clone(),
        destination_type: kind.to_owned(),
        destination: arn,
        group,
        role: req.deliver_logs_permission_arn.clone(),
        cross_account_role: req.deliver_cross_account_role.clone(),
        format: format.to_owned(),
        interval,
        options: options.filter(|_| req.destination_options.is_some()),
        tag_fields: req.tag_field_specifications.clone().unwrap_or_default(),
    })
}

/// The resource that shall be watched.
fn watched(tx: &Tx, ctx: &Context<'_>, kind: &str, id: &str) -> Result<ObjectId, ApiError> {
    Ok(match kind {
        "VPC" => resource::find::<Vpc>(tx, ctx, id)?.id.into(),
        "Subnet" => resource::find::<Subnet>(tx, ctx, id)?.id.into(),
        "NetworkInterface" => resource::find::<NetworkInterface>(tx, ctx, id)?.id.into(),
        "TransitGateway" => present::<TransitGateway>(tx, ctx, id)?.id.into(),
        "TransitGatewayAttachment" => present::<TransitGatewayAttachment>(tx, ctx, id)?.id.into(),
        other => return Err(resource::unsupported("ResourceType", &other)),
    })
}

pub(crate) fn create_flow_logs(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateFlowLogsRequest,
) -> Result<CreateFlowLogsReply, ApiError> {
    let most = if is_transit(&req.resource_type) {
        25
    } else {
        1000
    };
    if req.resource_ids.is_empty() {
        return Err(resource::missing("resourceId"));
    }
    if req.resource_ids.len() > most {
        return Err(wrong(format!("At most {most} resources can be specified")));
    }
    let how = how(&req)?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), FlowLog::TYPE)?;
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let mut reply = CreateFlowLogsReply {
        client_token: req.client_token.clone(),
        flow_log_ids: Vec::new(),
        unsuccessful: Vec::new(),
    };
    if let Some(token) = &token {
        for log in resource::own::<FlowLog>(tx, ctx) {
            if let Some(earlier) = &log.client_token
                && token.repeats(earlier)?
            {
                reply.flow_log_ids.push(log.id);
            }
        }
        if !reply.flow_log_ids.is_empty() {
            return Ok(reply);
        }
    }
    for id in &req.resource_ids {
        match one(tx, ctx, &req.resource_type, id, &how) {
            Ok(resource) => {
                let id = FlowLogId::from_bits(ctx.random());
                tx.put(FlowLog {
                    id,
                    account: ctx.account,
                    region: ctx.region.clone(),
                    tags: tags.clone(),
                    resource,
                    how: how.clone(),
                    created: ctx.now,
                    client_token: token.clone(),
                });
                reply.flow_log_ids.push(id);
            }
            Err(error) if error.code == "UnsupportedOperation" => return Err(error),
            Err(error) => reply.unsuccessful.push(Unsuccessful::new(id, error)),
        }
    }
    Ok(reply)
}

/// Checks that the resource is there and may have this flow log too.
fn one(tx: &Tx, ctx: &Context<'_>, kind: &str, id: &str, how: &How) -> Result<ObjectId, ApiError> {
    let resource = watched(tx, ctx, kind, id)?;
    let mut present = 0;
    for log in tx.state().flow_logs.of(resource) {
        present += 1;
        let there = &log.how;
        if (&there.destination, &there.group, &there.traffic)
            == (&how.destination, &how.group, &how.traffic)
        {
            return Err(ApiError::new(
                "FlowLogAlreadyExists",
                "Error. There is an existing Flow Log with the same configuration and log destination.",
            ));
        }
    }
    quota::FLOW_LOGS.check_fixed(present + 1)?;
    Ok(resource)
}

const FILTERS: &[Field<FlowLog>] = &[
    // Nothing is delivered yet.
    ("deliver-log-status", |_, _| vec![]),
    ("log-destination-type", |_, log| {
        vec![log.how.destination_type.clone()]
    }),
    ("flow-log-id", |_, log| vec![log.id.to_string()]),
    ("log-group-name", |_, log| {
        log.how.group.iter().cloned().collect()
    }),
    ("resource-id", |_, log| vec![log.resource.to_string()]),
    ("traffic-type", |_, log| {
        log.how.traffic.iter().cloned().collect()
    }),
];

describe!(
    describe_flow_logs(DescribeFlowLogsRequest { flow_log_ids, filter })
        -> DescribeFlowLogsReply { flow_logs: Item },
    FlowLog, FILTERS, USUAL_BOUNDS
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteFlowLogsRequest {
    flow_log_ids: Vec<String>,
}

pub(crate) fn delete_flow_logs(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteFlowLogsRequest,
) -> Result<UnsuccessfulReply, ApiError> {
    if req.flow_log_ids.is_empty() {
        return Err(resource::missing("flowLogId"));
    }
    let mut unsuccessful = Vec::new();
    for id in &req.flow_log_ids {
        match resource::find::<FlowLog>(tx, ctx, id).map(|log| log.id) {
            Ok(id) => tx.remove::<FlowLog>(&id),
            Err(error) => unsuccessful.push(Unsuccessful::new(id, error)),
        }
    }
    Ok(UnsuccessfulReply { unsuccessful })
}

/// Removes the flow logs of a resource that goes: EC2 deletes them with it.
pub(crate) fn forget_resource(tx: &mut Tx, resource: impl Into<ObjectId>) {
    let logs: Vec<FlowLogId> = tx
        .state()
        .flow_logs
        .of(resource)
        .map(|log| log.id)
        .collect();
    for id in logs {
        tx.remove::<FlowLog>(&id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, account, count, text};

    const ROLE: &str = "arn:aws:iam::111122223333:role/logs";

    fn world() -> (World, String) {
        let mut world = World::new();
        let made = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&made, "Vpc.VpcId");
        (world, vpc)
    }

    fn request(vpc: &str, more: &Json) -> Json {
        let mut request = json!({
            "ResourceIds": [vpc], "ResourceType": "VPC", "TrafficType": "ALL",
            "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::logs/vpc",
        });
        for (name, value) in more.as_object().unwrap() {
            if value.is_null() {
                request.as_object_mut().unwrap().remove(name);
            } else {
                request[name] = value.clone();
            }
        }
        request
    }

    #[test]
    fn life_of_a_flow_log() {
        let (mut world, vpc) = world();
        let stranger = "vpc-0123456789abcdef0";
        let both = request(
            &vpc,
            &json!({"ResourceIds": [vpc, stranger], "ClientToken": "t"}),
        );
        let made = world.ok("CreateFlowLogs", both.clone());
        assert_eq!(count(&made, "FlowLogIds"), 1);
        assert_eq!(text(&made, "Unsuccessful.0.ResourceId"), stranger);
        assert_eq!(
            text(&made, "Unsuccessful.0.Error.Code"),
            "InvalidVpcID.NotFound"
        );
        let id = text(&made, "FlowLogIds.0");
        let again = world.ok("CreateFlowLogs", both);
        assert_eq!(text(&again, "FlowLogIds.0"), id);
        let other = request(&vpc, &json!({"ClientToken": "t"}));
        assert_eq!(
            world.err("CreateFlowLogs", other),
            "IdempotentParameterMismatch"
        );
        let same = world.ok("CreateFlowLogs", request(&vpc, &json!({})));
        assert_eq!(
            text(&same, "Unsuccessful.0.Error.Code"),
            "FlowLogAlreadyExists"
        );
        let second = json!({
            "LogDestinationType": null, "LogDestination": null, "LogGroupName": "group",
            "DeliverLogsPermissionArn": ROLE, "MaxAggregationInterval": 60, "TrafficType": "REJECT",
        });
        world.ok("CreateFlowLogs", request(&vpc, &second));
        let third = world.ok(
            "CreateFlowLogs",
            request(&vpc, &json!({"TrafficType": "ACCEPT"})),
        );
        assert_eq!(
            text(&third, "Unsuccessful.0.Error.Code"),
            "FlowLogsLimitExceeded"
        );
        for (name, value, found) in [
            ("deliver-log-status", "*", 0),
            ("log-destination-type", "cloud-watch-logs", 1),
            ("flow-log-id", id.as_str(), 1),
            ("log-group-name", "gr*", 1),
            ("resource-id", vpc.as_str(), 2),
            ("traffic-type", "ALL", 1),
        ] {
            let filter = json!({"Filter": [{"Name": name, "Values": [value]}]});
            let some = world.ok("DescribeFlowLogs", filter);
            assert_eq!(count(&some, "FlowLogs"), found, "{name}");
        }
        let shown = world.ok("DescribeFlowLogs", json!({"FlowLogIds": [id]}));
        assert_eq!(text(&shown, "FlowLogs.0.FlowLogStatus"), "ACTIVE");
        assert_eq!(text(&shown, "FlowLogs.0.MaxAggregationInterval"), "600");
        assert!(text(&shown, "FlowLogs.0.LogFormat").starts_with("${version} ${account-id}"));
        world.account = account("444455556666");
        let none = world.ok("DescribeFlowLogs", json!({}));
        assert_eq!(count(&none, "FlowLogs"), 0);
        let denied = world.ok("DeleteFlowLogs", json!({"FlowLogIds": [id]}));
        let code = text(&denied, "Unsuccessful.0.Error.Code");
        assert_eq!(code, "InvalidFlowLogId.NotFound");
        world.account = account("111122223333");
        let gone = world.ok("DeleteFlowLogs", json!({"FlowLogIds": [id]}));
        assert_eq!(count(&gone, "Unsuccessful"), 0);
        // A log does not hold its VPC, and goes with it.
        world.ok("DeleteVpc", json!({"VpcId": vpc}));
        let none = world.ok("DescribeFlowLogs", json!({}));
        assert_eq!(count(&none, "FlowLogs"), 0);
    }

    #[test]
    fn what_does_not_go_together() {
        let (mut world, vpc) = world();
        for (more, code) in [
            (json!({"TrafficType": null}), "MissingParameter"),
            (json!({"LogDestination": null}), "InvalidParameter"),
            (json!({"LogDestination": "bucket"}), "InvalidParameter"),
            (
                json!({"LogDestination": "arn:aws:logs:::x"}),
                "InvalidParameter",
            ),
            (json!({"LogGroupName": "x"}), "InvalidParameter"),
            (
                json!({"DeliverLogsPermissionArn": ROLE}),
                "InvalidParameter",
            ),
            (
                json!({"DeliverLogsPermissionArn": "role"}),
                "InvalidParameterValue",
            ),
            (
                json!({"LogDestinationType": "cloud-watch-logs"}),
                "InvalidParameter",
            ),
            (
                json!({"LogDestinationType": "cloud-watch-logs", "LogDestination": null, "DeliverLogsPermissionArn": ROLE}),
                "InvalidParameter",
            ),
            (json!({"MaxAggregationInterval": 61}), "InvalidParameter"),
            (
                json!({"LogFormat": "${version} ${nonsense}"}),
                "InvalidParameter",
            ),
            (json!({"LogFormat": "version"}), "InvalidParameter"),
            (json!({"LogFormat": "${tgw-id}"}), "InvalidParameter"),
            (
                json!({"LogDestinationType": "kinesis-data-firehose", "LogDestination": "arn:aws:firehose:us-east-1:111122223333:deliverystream/x", "DestinationOptions": {"FileFormat": "parquet"}}),
                "InvalidParameter",
            ),
            (json!({"ResourceIds": []}), "MissingParameter"),
            (
                json!({"ResourceType": "CoreNetwork"}),
                "UnsupportedOperation",
            ),
        ] {
            let code_found = world.err("CreateFlowLogs", request(&vpc, &more));
            assert_eq!(code_found, code, "{more}");
        }
    }

    #[test]
    fn transit_gateways_are_watched_until_they_go() {
        let mut world = World::new();
        let made = world.ok("CreateTransitGateway", json!({}));
        let gateway = text(&made, "TransitGateway.TransitGatewayId");
        let made = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&made, "Vpc.VpcId");
        let subnet = json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"});
        let subnet = text(&world.ok("CreateSubnet", subnet), "Subnet.SubnetId");
        let attach = json!({"TransitGatewayId": gateway, "VpcId": vpc, "SubnetIds": [subnet]});
        let made = world.ok("CreateTransitGatewayVpcAttachment", attach);
        let path = "TransitGatewayVpcAttachment.TransitGatewayAttachmentId";
        let attachment = text(&made, path);
        let watch = |id: &str, kind: &str| {
            json!({"ResourceIds": [id], "ResourceType": kind, "LogDestinationType": "s3",
                "LogDestination": "arn:aws:s3:::logs", "MaxAggregationInterval": 60})
        };
        for (id, kind) in [
            (&gateway, "TransitGateway"),
            (&attachment, "TransitGatewayAttachment"),
        ] {
            let reply = world.ok("CreateFlowLogs", watch(id, kind));
            assert_eq!(count(&reply, "FlowLogIds"), 1);
            let mut wrong = watch(id, kind);
            wrong["TrafficType"] = json!("ALL");
            assert_eq!(world.err("CreateFlowLogs", wrong), "InvalidParameter");
        }
        let logs = |world: &mut World| {
            let shown = world.ok("DescribeFlowLogs", json!({}));
            count(&shown, "FlowLogs")
        };
        assert_eq!(logs(&mut world), 2);
        let id = json!({"TransitGatewayAttachmentId": attachment});
        world.ok("DeleteTransitGatewayVpcAttachment", id);
        assert_eq!(logs(&mut world), 1);
        world.ok("DeleteTransitGateway", json!({"TransitGatewayId": gateway}));
        assert_eq!(logs(&mut world), 0);
    }
}
