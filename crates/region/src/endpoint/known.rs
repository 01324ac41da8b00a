//! The services that EC2 itself offers through endpoints. They are names: nothing answers behind them.

use types::{EndpointServiceId, PrefixListId, RegionName};

use super::Kind;
use crate::prefix_list;

/// A service of EC2's own.
pub(crate) struct Known {
    /// What stands after the region in its name: `ecr.api`.
    pub(crate) short: &'static str,
    /// What stands before the region in its name for clients, `api.ecr`.
    host: &'static str,
}

const fn same(short: &'static str) -> Known {
    Known { short, host: short }
}

const fn named(short: &'static str, host: &'static str) -> Known {
    Known { short, host }
}

/// Services with interface endpoints (PrivateLink "AWS services that integrate with AWS PrivateLink").
const INTERFACE: &[Known] = &[
    same("access-analyzer"),
    same("acm-pca"),
    same("airflow.api"),
    same("application-autoscaling"),
    same("appmesh"),
    same("athena"),
    same("autoscaling"),
    same("backup"),
    same("batch"),
    same("bedrock"),
    same("bedrock-runtime"),
    same("cloudformation"),
    same("cloudtrail"),
    same("codebuild"),
    same("codecommit"),
    same("codedeploy"),
    same("codepipeline"),
    same("config"),
    same("databrew"),
    same("dms"),
    same("dynamodb"),
    same("ebs"),
    same("ec2"),
    same("ec2messages"),
    named("ecr.api", "api.ecr"),
    named("ecr.dkr", "*.dkr.ecr"),
    same("ecs"),
    named("ecs-agent", "ecs-a"),
    named("ecs-telemetry", "ecs-t"),
    same("eks"),
    same("eks-auth"),
    same("elasticache"),
    same("elasticbeanstalk"),
    same("elasticfilesystem"),
    same("elasticloadbalancing"),
    same("elasticmapreduce"),
    same("events"),
    named("execute-api", "*.execute-api"),
    same("fsx"),
    same("glue"),
    same("guardduty"),
    named("kinesis-firehose", "firehose"),
    named("kinesis-streams", "kinesis"),
    same("kms"),
    same("lambda"),
    same("logs"),
    same("monitoring"),
    same("rds"),
    same("rds-data"),
    same("redshift"),
    named("s3", "*.s3"),
    named("sagemaker.api", "api.sagemaker"),
    named("sagemaker.runtime", "runtime.sagemaker"),
    same("secretsmanager"),
    same("servicediscovery"),
    same("sns"),
    same("sqs"),
    same("ssm"),
    same("ssm-contacts"),
    same("ssm-incidents"),
    same("ssmmessages"),
    same("states"),
    same("sts"),
    same("transfer"),
    same("xray"),
];

/// Services with gateway endpoints.
const GATEWAY: &[Known] = &[same("dynamodb"), same("s3")];

/// The services with endpoints of a kind.
pub(crate) const fn of(kind: Kind) -> &'static [Known] {
    match kind {
        Kind::Gateway => GATEWAY,
        Kind::Interface => INTERFACE,
        Kind::GatewayLoadBalancer => &[],
    }
}

/// The service of that name in a region.
pub(crate) fn find(region: &RegionName, name: &str, kind: Kind) -> Option<&'static Known> {
    let short = name
        .strip_prefix("com.amazonaws.")?
        .strip_prefix(region.as_str())?
        .strip_prefix('.')?;
    of(kind).iter().find(|known| known.short == short)
}

impl Known {
    /// Its name in a region.
    pub(crate) fn name(&self, region: &RegionName) -> String {
        format!("com.amazonaws.{region}.{}", self.short)
    }

    /// Its own name, which endpoints can take over in their VPC. DynamoDB's cannot be.
    pub(crate) fn private_name(&self, region: &RegionName) -> Option<String> {
        (self.short != "dynamodb").then(|| format!("{}.{region}.amazonaws.com", self.host))
    }

    /// Its id: it follows from its name.
    pub(crate) fn id(&self, region: &RegionName, kind: Kind) -> EndpointServiceId {
        let text = format!("{}/{}", self.name(region), kind.name());
        EndpointServiceId::from_bits(u128::from(hash(&text)))
    }
}

/// EC2's own prefix list of the service of that name.
pub(crate) fn prefix_list(region: &RegionName, service: &str) -> PrefixListId {
    let short = service.rsplit('.').next().unwrap_or_default();
    prefix_list::of_service(region, short)
}

/// A number that follows from a text, the same in every version of Polder: 64-bit FNV-1a.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
