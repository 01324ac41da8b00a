//! Attributes of VPCs.

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::resource;
use crate::{Context, Tx, Vpc};

actions! {
    "DescribeVpcAttribute" => describe_vpc_attribute, Control;
    "ModifyVpcAttribute" => modify_vpc_attribute, Recorded;
    "ModifyVpcTenancy" => modify_vpc_tenancy, Control;
}

/// A boolean in a structure of its own, as attribute actions have it.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct BooleanAttribute {
    pub(crate) value: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeVpcAttributeRequest {
    attribute: String,
    vpc_id: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeVpcAttributeReply {
    enable_dns_hostnames: Option<BooleanAttribute>,
    enable_dns_support: Option<BooleanAttribute>,
    enable_network_address_usage_metrics: Option<BooleanAttribute>,
    vpc_id: String,
}

pub(crate) fn describe_vpc_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeVpcAttributeRequest,
) -> Result<DescribeVpcAttributeReply, ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?;
    let mut reply = DescribeVpcAttributeReply {
        vpc_id: req.vpc_id,
        ..Default::default()
    };
    let (place, value) = match req.attribute.as_str() {
        "enableDnsSupport" => (&mut reply.enable_dns_support, vpc.dns_support),
        "enableDnsHostnames" => (&mut reply.enable_dns_hostnames, vpc.dns_hostnames),
        "enableNetworkAddressUsageMetrics" => (
            &mut reply.enable_network_address_usage_metrics,
            vpc.usage_metrics,
        ),
        other => {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Value ({other}) for parameter attribute is invalid. Unknown attribute."),
            ));
        }
    };
    *place = Some(BooleanAttribute { value: Some(value) });
    Ok(reply)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyVpcAttributeRequest {
    vpc_id: String,
    enable_dns_support: Option<BooleanAttribute>,
    enable_dns_hostnames: Option<BooleanAttribute>,
    enable_network_address_usage_metrics: Option<BooleanAttribute>,
}

pub(crate) fn modify_vpc_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyVpcAttributeRequest,
) -> Result<(), ApiError> {
    let mut vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.clone();
    let value = |attribute: Option<BooleanAttribute>| attribute.and_then(|a| a.value);
    let given = [
        req.enable_dns_support.is_some(),
        req.enable_dns_hostnames.is_some(),
        req.enable_network_address_usage_metrics.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Exactly one attribute must be modified at a time".to_owned(),
        ));
    }
    vpc.dns_support = value(req.enable_dns_support).unwrap_or(vpc.dns_support);
    vpc.dns_hostnames = value(req.enable_dns_hostnames).unwrap_or(vpc.dns_hostnames);
    vpc.usage_metrics =
        value(req.enable_network_address_usage_metrics).unwrap_or(vpc.usage_metrics);
    tx.put(vpc);
    Ok(())
}

/// `ModifyVpcTenancy`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyVpcTenancyRequest {
    vpc_id: String,
    instance_tenancy: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyVpcTenancyReply {
    return_value: bool,
}

/// Lets instances of a VPC share machines from now on; the way back is closed ("You can change the instance tenancy
/// attribute of a VPC to default only").
pub(crate) fn modify_vpc_tenancy(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyVpcTenancyRequest,
) -> Result<ModifyVpcTenancyReply, ApiError> {
    let mut vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.clone();
    if req.instance_tenancy != "default" {
        return Err(resource::invalid_value(
            &req.instance_tenancy,
            "instanceTenancy",
        ));
    }
    vpc.dedicated = false;
    tx.put(vpc);
    Ok(ModifyVpcTenancyReply { return_value: true })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn attributes() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let id = text(&vpc, "Vpc.VpcId");
        let value = |world: &mut World, attribute: &str, member: &str| {
            let reply = world.ok(
                "DescribeVpcAttribute",
                json!({"VpcId": id, "Attribute": attribute}),
            );
            text(&reply, &format!("{member}.Value"))
        };
        assert_eq!(
            value(&mut world, "enableDnsSupport", "EnableDnsSupport"),
            "true"
        );
        assert_eq!(
            value(&mut world, "enableDnsHostnames", "EnableDnsHostnames"),
            "false"
        );
        world.ok(
            "ModifyVpcAttribute",
            json!({"VpcId": id, "EnableDnsHostnames": {"Value": true}}),
        );
        assert_eq!(
            value(&mut world, "enableDnsHostnames", "EnableDnsHostnames"),
            "true"
        );
        let metrics = "EnableNetworkAddressUsageMetrics";
        assert_eq!(
            value(&mut world, "enableNetworkAddressUsageMetrics", metrics),
            "false"
        );
        let on = json!({"VpcId": id, metrics: {"Value": true}});
        world.ok("ModifyVpcAttribute", on);
        assert_eq!(
            value(&mut world, "enableNetworkAddressUsageMetrics", metrics),
            "true"
        );
        let two =
            json!({"VpcId": id, metrics: {"Value": true}, "EnableDnsSupport": {"Value": true}});
        assert_eq!(
            world.err("ModifyVpcAttribute", two),
            "InvalidParameterCombination"
        );
    }
}
