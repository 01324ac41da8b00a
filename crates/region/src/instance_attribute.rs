//! Attributes of instances, one by one.

use api::{ApiError, Blob};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use types::InstanceId;

use crate::dispatch::actions;
use crate::instance::{Instance, InstanceState, find};
use crate::instance_launch::{check_user_data, shutdown_behavior};
use crate::network_interface::NetworkInterface;
use crate::network_interface_attribute::{TextAttribute, TruthAttribute};
use crate::resource;
use crate::security_group::{self, GroupIdentifier, identifiers};
use crate::vpc_attribute::BooleanAttribute;
use crate::{Context, Tx, instance_type};

actions! {
    "DescribeInstanceAttribute" => describe_instance_attribute, Control;
    "ModifyInstanceAttribute" => modify_instance_attribute, Enforced;
    "ResetInstanceAttribute" => reset_instance_attribute, Enforced;
}

/// `DescribeInstanceAttribute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstanceAttributeRequest {
    instance_id: String,
    attribute: String,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstanceAttributeReply {
    instance_id: Option<InstanceId>,
    disable_api_termination: Option<TruthAttribute>,
    disable_api_stop: Option<TruthAttribute>,
    ebs_optimized: Option<TruthAttribute>,
    ena_support: Option<TruthAttribute>,
    source_dest_check: Option<TruthAttribute>,
    instance_initiated_shutdown_behavior: Option<TextAttribute>,
    instance_type: Option<TextAttribute>,
    user_data: Option<TextAttribute>,
    groups: Option<Vec<GroupIdentifier>>,
    block_device_mappings: Option<Vec<()>>,
    product_codes: Option<Vec<()>>,
    enclave_options: Option<Enclaves>,
    kernel_id: Option<TextAttribute>,
    ramdisk_id: Option<TextAttribute>,
    root_device_name: Option<TextAttribute>,
    sriov_net_support: Option<TextAttribute>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Enclaves {
    enabled: bool,
}

/// EC2's error for an attribute that instances do not have.
fn no_attribute(name: &str) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!("Value ({name}) for parameter attribute is invalid. Unknown attribute."),
    )
}

/// Shows one attribute of an instance.
pub(crate) fn describe_instance_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeInstanceAttributeRequest,
) -> Result<DescribeInstanceAttributeReply, ApiError> {
    let instance = find(tx, ctx, &req.instance_id)?;
    let primary = instance.primary(tx.state());
    let mut shown = DescribeInstanceAttributeReply {
        instance_id: Some(instance.id),
        ..DescribeInstanceAttributeReply::default()
    };
    let truth = |value| Some(TruthAttribute { value });
    let text = |value: &str| {
        Some(TextAttribute {
            value: Some(value.to_owned()),
        })
    };
    match req.attribute.as_str() {
        "disableApiTermination" => {
            shown.disable_api_termination = truth(instance.disable_api_termination)
        }
        "disableApiStop" => shown.disable_api_stop = truth(instance.options.disable_api_stop),
        "ebsOptimized" => shown.ebs_optimized = truth(instance.options.ebs_optimized),
        "enaSupport" => shown.ena_support = truth(true),
        "sourceDestCheck" => {
            shown.source_dest_check = primary.map(|primary| TruthAttribute {
                value: primary.source_dest_check,
            });
        }
        "instanceInitiatedShutdownBehavior" => {
            let behavior = if instance.terminate_on_shutdown {
                "terminate"
            } else {
                "stop"
            };
            shown.instance_initiated_shutdown_behavior = text(behavior);
        }
        "instanceType" => shown.instance_type = text(&instance.instance_type),
        "userData" => {
            let data = Some(instance.user_data.clone()).filter(|data| !data.is_empty());
            shown.user_data = Some(TextAttribute { value: data });
        }
        "groupSet" => {
            let groups = primary
                .map(|primary| primary.groups.as_slice())
                .unwrap_or_default();
            shown.groups = Some(identifiers(tx.state(), groups));
        }
        "blockDeviceMapping" => shown.block_device_mappings = Some(Vec::new()),
        "enclaveOptions" => shown.enclave_options = Some(Enclaves { enabled: false }),
        // Guests are started without a kernel or a RAM disk of an image's.
        "kernel" => shown.kernel_id = Some(TextAttribute { value: None }),
        "ramdisk" => shown.ramdisk_id = Some(TextAttribute { value: None }),
        "rootDeviceName" => shown.root_device_name = text("/dev/xvda"),
        "sriovNetSupport" => shown.sriov_net_support = text("simple"),
        "productCodes" => shown.product_codes = Some(Vec::new()),
        other => return Err(no_attribute(other)),
    }
    Ok(shown)
}

/// `ModifyInstanceAttribute`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceAttributeRequest {
    instance_id: String,
    attribute: Option<String>,
    value: Option<String>,
    source_dest_check: Option<BooleanAttribute>,
    disable_api_stop: Option<BooleanAttribute>,
    disable_api_termination: Option<BooleanAttribute>,
    ebs_optimized: Option<BooleanAttribute>,
    instance_initiated_shutdown_behavior: Option<TextAttribute>,
    instance_type: Option<TextAttribute>,
    user_data: Option<BlobAttribute>,
    groups: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BlobAttribute {
    value: Option<Blob>,
}

/// One attribute and its new value.
enum Attribute {
    SourceDestCheck(bool),
    DisableApiStop(bool),
    DisableApiTermination(bool),
    EbsOptimized(bool),
    ShutdownBehavior(String),
    InstanceType(String),
    UserData(Vec<u8>),
    Groups(Vec<String>),
}

impl ModifyInstanceAttributeRequest {
    /// The one attribute that the request changes, in whichever of EC2's two forms.
    fn attribute(self) -> Result<Attribute, ApiError> {
        let named = self.attribute.is_some();
        let mut given = Vec::new();
        let truth =
            |attribute: BooleanAttribute| attribute.value.ok_or_else(|| resource::missing("value"));
        let text =
            |attribute: TextAttribute| attribute.value.ok_or_else(|| resource::missing("value"));
        if let Some(check) = self.source_dest_check {
            given.push(Attribute::SourceDestCheck(truth(check)?));
        }
        if let Some(disable) = self.disable_api_stop {
            given.push(Attribute::DisableApiStop(truth(disable)?));
        }
        if let Some(optimized) = self.ebs_optimized {
            given.push(Attribute::EbsOptimized(truth(optimized)?));
        }
        if let Some(disable) = self.disable_api_termination {
            given.push(Attribute::DisableApiTermination(truth(disable)?));
        }
        if let Some(behavior) = self.instance_initiated_shutdown_behavior {
            given.push(Attribute::ShutdownBehavior(text(behavior)?));
        }
        if let Some(instance_type) = self.instance_type {
            given.push(Attribute::InstanceType(text(instance_type)?));
        }
        if let Some(data) = self.user_data {
            given.push(Attribute::UserData(data.value.unwrap_or_default().0));
        }
        if let Some(groups) = self.groups.filter(|groups| !groups.is_empty()) {
            given.push(Attribute::Groups(groups));
        }
        if let Some(name) = self.attribute {
            let value = self.value.ok_or_else(|| resource::missing("value"))?;
            given.push(named_attribute(&name, value)?);
        } else if self.value.is_some() {
            return Err(resource::missing("attribute"));
        }
        match (given.pop(), given.is_empty()) {
            (Some(attribute), true) => Ok(attribute),
            (Some(_), false) if named => Err(ApiError::new(
                "InvalidParameterCombination",
                "An attribute may be given by its name or as a parameter, but not both",
            )),
            (Some(_), false) => Err(ApiError::new(
                "InvalidParameterCombination",
                "Fields for multiple attribute types specified: only one attribute can be modified at a time",
            )),
            (None, _) => Err(ApiError::new(
                "InvalidParameterCombination",
                "No attributes specified.",
            )),
        }
    }
}

fn named_attribute(name: &str, value: String) -> Result<Attribute, ApiError> {
    let truth = |value: &str| match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(ApiError::new(
            "InvalidParameterValue",
            format!("Value ({other}) for parameter value is invalid. Expected 'true' or 'false'."),
        )),
    };
    Ok(match name {
        "sourceDestCheck" => Attribute::SourceDestCheck(truth(&value)?),
        "disableApiTermination" => Attribute::DisableApiTermination(truth(&value)?),
        "disableApiStop" => Attribute::DisableApiStop(truth(&value)?),
        "ebsOptimized" => Attribute::EbsOptimized(truth(&value)?),
        "instanceInitiatedShutdownBehavior" => Attribute::ShutdownBehavior(value),
        "instanceType" => Attribute::InstanceType(value),
        "userData" => Attribute::UserData(STANDARD.decode(&value).map_err(|_| {
            ApiError::new(
                "InvalidParameterValue",
                "Invalid BASE64 encoding of user data.",
            )
        })?),
        other => return Err(resource::unsupported("Attribute", &other)),
    })
}

/// Changes one attribute. The type and the user data can only change while the instance is stopped.
pub(crate) fn modify_instance_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceAttributeRequest,
) -> Result<(), ApiError> {
    let mut instance = find(tx, ctx, &req.instance_id)?.clone();
    match req.attribute()? {
        Attribute::SourceDestCheck(check) => {
            let mut interface = only_interface(tx, &instance)?.clone();
            interface.source_dest_check = check;
            tx.put(interface);
        }
        Attribute::Groups(groups) => {
            let mut interface = only_interface(tx, &instance)?.clone();
            interface.groups = security_group::for_interface(
                tx,
                ctx,
                interface.vpc,
                interface.subnet,
                Some(&groups),
            )?;
            tx.put(interface);
        }
        Attribute::DisableApiStop(disable) => {
            instance.options.disable_api_stop = disable;
            tx.put(instance);
        }
        Attribute::EbsOptimized(optimized) => {
            check_stopped(&instance)?;
            instance.options.ebs_optimized = optimized;
            tx.put(instance);
        }
        Attribute::DisableApiTermination(disable) => {
            instance.disable_api_termination = disable;
            tx.put(instance);
        }
        Attribute::ShutdownBehavior(behavior) => {
            instance.terminate_on_shutdown = shutdown_behavior(Some(&behavior))?;
            tx.put(instance);
        }
        Attribute::InstanceType(name) => {
            instance_type::check(&name)?;
            check_stopped(&instance)?;
            instance_type::check_interfaces(&name, instance.interfaces.len())?;
            for interface in instance.interfaces(tx.state()) {
                instance_type::check_addresses_of(&name, interface.addresses.len())?;
            }
            // Choices that depend on the type are the new one's again.
            instance.options.cpu = None;
            if !instance_type::is_burstable(&name) {
                instance.options.credits = None;
            }
            instance.instance_type = name;
            tx.put(instance);
        }
        Attribute::UserData(octets) => {
            check_user_data(&octets)?;
            check_stopped(&instance)?;
            instance.user_data = STANDARD.encode(&octets);
            tx.put(instance);
        }
    }
    Ok(())
}

/// `ResetInstanceAttribute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ResetInstanceAttributeRequest {
    instance_id: String,
    attribute: String,
}

/// Sets an attribute back to its default. EC2: only the source/destination check, the kernel and the RAM disk can be;
/// of the latter two there are none here that could have been changed.
pub(crate) fn reset_instance_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ResetInstanceAttributeRequest,
) -> Result<(), ApiError> {
    let instance = find(tx, ctx, &req.instance_id)?;
    match req.attribute.as_str() {
        "sourceDestCheck" => {
            let mut interface = only_interface(tx, instance)?.clone();
            interface.source_dest_check = true;
            tx.put(interface);
            Ok(())
        }
        "kernel" | "ramdisk" => check_stopped(instance),
        other => Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({other}) for parameter attribute is invalid. The attribute cannot be reset."
            ),
        )),
    }
}

fn check_stopped(instance: &Instance) -> Result<(), ApiError> {
    if instance.state == InstanceState::Stopped {
        return Ok(());
    }
    Err(ApiError::new(
        "IncorrectInstanceState",
        format!(
            "The instance '{}' is not in the 'stopped' state.",
            instance.id
        ),
    ))
}

/// The interface of an instance that has just one.
fn only_interface<'t>(tx: &'t Tx, instance: &Instance) -> Result<&'t NetworkInterface, ApiError> {
    if instance.interfaces.len() > 1 {
        return Err(ApiError::new(
            "InvalidInstanceID",
            format!(
                "There are multiple interfaces attached to instance '{}'. Please specify an interface ID for the \
                 operation instead.",
                instance.id
            ),
        ));
    }
    let primary = instance
        .interfaces
        .get(&0)
        .and_then(|id| tx.get::<NetworkInterface>(id));
    primary.ok_or_else(|| {
        ApiError::new(
            "IncorrectInstanceState",
            format!("The instance '{}' has no network interface.", instance.id),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn attributes_change_one_at_a_time() {
        let mut world = World::new();
        let run = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        let id = text(&world.ok("RunInstances", run), "Instances.0.InstanceId");
        let show = |world: &mut World, attribute: &str| {
            world.ok(
                "DescribeInstanceAttribute",
                json!({"InstanceId": id, "Attribute": attribute}),
            )
        };
        world.ok(
            "ModifyInstanceAttribute",
            json!({"InstanceId": id, "SourceDestCheck": {"Value": false}}),
        );
        assert_eq!(
            text(
                &show(&mut world, "sourceDestCheck"),
                "SourceDestCheck.Value"
            ),
            "false"
        );
        let resize = json!({"InstanceId": id, "Attribute": "instanceType", "Value": "t3.large"});
        assert_eq!(
            world.err("ModifyInstanceAttribute", resize.clone()),
            "IncorrectInstanceState"
        );
        world.ok("StopInstances", json!({"InstanceIds": [id]}));
        world.ok("ModifyInstanceAttribute", resize);
        assert_eq!(
            text(&show(&mut world, "instanceType"), "InstanceType.Value"),
            "t3.large"
        );
        let data = json!({"InstanceId": id, "Attribute": "userData", "Value": "aGk="});
        world.ok("ModifyInstanceAttribute", data);
        assert_eq!(
            text(&show(&mut world, "userData"), "UserData.Value"),
            "aGk="
        );
        let none = world.err("ModifyInstanceAttribute", json!({"InstanceId": id}));
        assert_eq!(none, "InvalidParameterCombination");
        let two = json!({"InstanceId": id, "Attribute": "instanceType", "Value": "a.b", "SourceDestCheck": {"Value": true}});
        assert_eq!(
            world.err("ModifyInstanceAttribute", two),
            "InvalidParameterCombination"
        );
        let code = world.err(
            "DescribeInstanceAttribute",
            json!({"InstanceId": id, "Attribute": "colour"}),
        );
        assert_eq!(code, "InvalidParameterValue");
        let show_all = [
            "blockDeviceMapping",
            "disableApiStop",
            "ebsOptimized",
            "enaSupport",
            "enclaveOptions",
            "instanceInitiatedShutdownBehavior",
            "kernel",
            "productCodes",
            "ramdisk",
            "rootDeviceName",
            "sriovNetSupport",
        ];
        for attribute in show_all {
            show(&mut world, attribute);
        }
        let check = json!({"InstanceId": id, "SourceDestCheck": {"Value": false}});
        world.ok("ModifyInstanceAttribute", check);
        let reset = |attribute: &str| json!({"InstanceId": id, "Attribute": attribute});
        world.ok("ResetInstanceAttribute", reset("sourceDestCheck"));
        assert_eq!(
            text(
                &show(&mut world, "sourceDestCheck"),
                "SourceDestCheck.Value"
            ),
            "true"
        );
        assert_eq!(
            world.err("ResetInstanceAttribute", reset("groupSet")),
            "InvalidParameterValue"
        );
        let small = json!({"InstanceId": id, "InstanceType": {"Value": "t3.giant"}});
        assert_eq!(
            world.err("ModifyInstanceAttribute", small),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn what_is_protected_is_not_stopped() {
        let mut world = World::new();
        let request = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "DisableApiStop": true});
        let id = text(&world.ok("RunInstances", request), "Instances.0.InstanceId");
        let ids = json!({"InstanceIds": [id]});
        assert_eq!(
            world.err("StopInstances", ids.clone()),
            "OperationNotPermitted"
        );
        let off = json!({"InstanceId": id, "DisableApiStop": {"Value": false}});
        world.ok("ModifyInstanceAttribute", off);
        world.ok("StopInstances", ids);
        let optimized = json!({"InstanceId": id, "Attribute": "ebsOptimized", "Value": "true"});
        world.ok("ModifyInstanceAttribute", optimized);
    }
}
