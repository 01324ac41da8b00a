//! Instance types. They are opaque: an instance of any type is the same, so that all that can be told of one is what
//! holds for each.

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::attachment::MAX_INTERFACES;
use crate::dispatch::actions;
use crate::instance_launch::check_type;
use crate::quota;
use crate::{Context, Tx};

actions! {
    "DescribeInstanceTypes" => describe_instance_types, Control;
}

/// "Maximum number of instance types: 100."
const MAX_TYPES: usize = 100;

/// `DescribeInstanceTypes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstanceTypesRequest {
    instance_types: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstanceTypesReply {
    instance_types: Vec<InstanceTypeInfo>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceTypeInfo {
    instance_type: String,
    bare_metal: bool,
    burstable_performance_supported: bool,
    hibernation_supported: bool,
    instance_storage_supported: bool,
    supported_usage_classes: [&'static str; 1],
    processor_info: ProcessorInfo,
    network_info: NetworkInfo,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessorInfo {
    supported_architectures: [&'static str; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkInfo {
    maximum_network_interfaces: u32,
    maximum_network_cards: u32,
    default_network_card_index: u32,
    ipv4_addresses_per_interface: usize,
    ipv6_addresses_per_interface: u32,
    ipv6_supported: bool,
}

/// Tells of the types that the request names. All types there are cannot be listed, for every name is one.
pub(crate) fn describe_instance_types(
    _: &mut Tx,
    _: &Context<'_>,
    req: DescribeInstanceTypesRequest,
) -> Result<DescribeInstanceTypesReply, ApiError> {
    let names = req.instance_types.unwrap_or_default();
    if names.is_empty() {
        return Err(ApiError::new(
            "UnsupportedOperation",
            "DescribeInstanceTypes without InstanceTypes is not supported by Polder: instance types are opaque",
        ));
    }
    if names.len() > MAX_TYPES {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("At most {MAX_TYPES} instance types can be specified"),
        ));
    }
    let mut instance_types = Vec::new();
    for name in names {
        check_type(&name)?;
        instance_types.push(InstanceTypeInfo {
            instance_type: name,
            bare_metal: false,
            burstable_performance_supported: false,
            hibernation_supported: false,
            instance_storage_supported: false,
            supported_usage_classes: ["on-demand"],
            processor_info: ProcessorInfo {
                supported_architectures: ["x86_64"],
            },
            network_info: NetworkInfo {
                maximum_network_interfaces: MAX_INTERFACES,
                maximum_network_cards: 1,
                default_network_card_index: 0,
                ipv4_addresses_per_interface: quota::PRIVATE_ADDRESSES.default,
                ipv6_addresses_per_interface: 0,
                ipv6_supported: false,
            },
        });
    }
    Ok(DescribeInstanceTypesReply { instance_types })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn what_holds_for_every_type() {
        let mut world = World::new();
        let shown = world.ok(
            "DescribeInstanceTypes",
            json!({"InstanceTypes": ["t3.micro"]}),
        );
        assert_eq!(text(&shown, "InstanceTypes.0.InstanceType"), "t3.micro");
        assert_eq!(
            text(
                &shown,
                "InstanceTypes.0.NetworkInfo.MaximumNetworkInterfaces"
            ),
            "15"
        );
        assert_eq!(
            world.err("DescribeInstanceTypes", json!({"InstanceTypes": ["x"]})),
            "InvalidParameterValue"
        );
        assert_eq!(
            world.err("DescribeInstanceTypes", json!({})),
            "UnsupportedOperation"
        );
    }
}
