//! Attributes of interfaces, one by one.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::InterfaceId;

use crate::dispatch::actions;
use crate::filter::View;
use crate::network_interface::{NetworkInterface, TrackingSpecification, checked_description};
use crate::network_interface_describe::{AttachmentReply, reply};
use crate::resource;
use crate::security_group::{self, GroupIdentifier};
use crate::vpc_attribute::BooleanAttribute;
use crate::{Context, Tx, attachment, network_interface};

actions! {
    "DescribeNetworkInterfaceAttribute" => describe_network_interface_attribute, Control;
    "ModifyNetworkInterfaceAttribute" => modify_network_interface_attribute, Enforced;
    "ResetNetworkInterfaceAttribute" => reset_network_interface_attribute, Enforced;
}

/// `DescribeNetworkInterfaceAttribute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeNetworkInterfaceAttributeRequest {
    network_interface_id: String,
    attribute: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeNetworkInterfaceAttributeReply {
    network_interface_id: InterfaceId,
    attachment: Option<AttachmentReply>,
    description: Option<TextAttribute>,
    groups: Option<Vec<GroupIdentifier>>,
    source_dest_check: Option<TruthAttribute>,
    associate_public_ip_address: Option<bool>,
}

/// A text in a structure of its own, as attribute actions have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TextAttribute {
    pub(crate) value: Option<String>,
}

/// A boolean in a structure of its own, in replies.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TruthAttribute {
    pub(crate) value: bool,
}

/// Shows one attribute of an interface.
pub(crate) fn describe_network_interface_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeNetworkInterfaceAttributeRequest,
) -> Result<DescribeNetworkInterfaceAttributeReply, ApiError> {
    let interface = resource::find::<NetworkInterface>(tx, ctx, &req.network_interface_id)?;
    let all = reply(&View::new(tx.state(), ctx), interface);
    let mut shown = DescribeNetworkInterfaceAttributeReply {
        network_interface_id: interface.id,
        attachment: None,
        description: None,
        groups: None,
        source_dest_check: None,
        associate_public_ip_address: None,
    };
    match req.attribute.as_deref() {
        Some("attachment") => shown.attachment = all.attachment,
        Some("description") => {
            shown.description = Some(TextAttribute {
                value: Some(all.description),
            })
        }
        Some("groupSet") => shown.groups = Some(all.groups),
        Some("sourceDestCheck") => {
            shown.source_dest_check = Some(TruthAttribute {
                value: all.source_dest_check,
            })
        }
        // No interface gets a public address but an elastic one.
        Some("associatePublicIpAddress") => shown.associate_public_ip_address = Some(false),
        Some(other) => return Err(resource::invalid_value(&other, "attribute")),
        None => return Err(resource::missing("attribute")),
    }
    Ok(shown)
}

/// `ModifyNetworkInterfaceAttribute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyNetworkInterfaceAttributeRequest {
    network_interface_id: String,
    description: Option<TextAttribute>,
    source_dest_check: Option<BooleanAttribute>,
    groups: Option<Vec<String>>,
    attachment: Option<AttachmentChanges>,
    associate_public_ip_address: Option<bool>,
    connection_tracking_specification: Option<TrackingSpecification>,
    ena_srd_specification: Option<EnaSrdSpecification>,
    enable_primary_ipv6: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EnaSrdSpecification {
    ena_srd_enabled: Option<bool>,
    ena_srd_udp_specification: Option<EnaSrdUdpSpecification>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EnaSrdUdpSpecification {
    ena_srd_udp_enabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttachmentChanges {
    attachment_id: Option<String>,
    delete_on_termination: Option<bool>,
}

/// Changes one attribute ("You can specify only one attribute at a time").
pub(crate) fn modify_network_interface_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyNetworkInterfaceAttributeRequest,
) -> Result<(), ApiError> {
    let mut interface = network_interface::find_own(tx, ctx, &req.network_interface_id)?.clone();
    let groups = req.groups.filter(|groups| !groups.is_empty());
    let given = [
        req.description.is_some(),
        req.source_dest_check.is_some(),
        groups.is_some(),
        req.attachment.is_some(),
        req.associate_public_ip_address.is_some(),
        req.connection_tracking_specification.is_some(),
        req.ena_srd_specification.is_some(),
        req.enable_primary_ipv6.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Exactly one attribute must be specified at a time",
        ));
    }
    if let Some(description) = req.description {
        interface.description = checked_description(description.value)?;
    }
    if let Some(check) = req.source_dest_check {
        interface.source_dest_check = check
            .value
            .ok_or_else(|| resource::missing("sourceDestCheck.value"))?;
    }
    if let Some(groups) = groups {
        interface.groups =
            security_group::for_interface(tx, ctx, interface.vpc, interface.subnet, Some(&groups))?;
    }
    resource::only_false("AssociatePublicIpAddress", req.associate_public_ip_address)?;
    if let Some(specification) = req.connection_tracking_specification {
        interface.tracking = specification.checked(interface.tracking)?;
    }
    if let Some(specification) = req.ena_srd_specification {
        if interface.attachment.is_none() {
            return Err(ApiError::new(
                "IncorrectState",
                format!("Interface {} is not attached to an instance.", interface.id),
            ));
        }
        let on = specification.ena_srd_enabled.unwrap_or(false);
        let udp = specification
            .ena_srd_udp_specification
            .and_then(|udp| udp.ena_srd_udp_enabled);
        if udp == Some(true) && !on {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "ENA Express must be enabled before it can be enabled for UDP",
            ));
        }
        interface.ena_srd = Some((on, udp.unwrap_or(false)));
    }
    if let Some(enable) = req.enable_primary_ipv6 {
        if interface.ipv6.is_empty() || (interface.primary_ipv6 && !enable) {
            return Err(resource::invalid_value(&enable, "enablePrimaryIpv6"));
        }
        interface.primary_ipv6 = enable;
    }
    if let Some(changes) = req.attachment {
        let id = changes
            .attachment_id
            .ok_or_else(|| resource::missing("attachment.attachmentId"))?;
        let attachment = interface
            .attachment
            .as_mut()
            .filter(|attachment| attachment.id.to_string() == id)
            .ok_or_else(|| attachment::not_found(&id))?;
        attachment.delete_on_termination = changes
            .delete_on_termination
            .ok_or_else(|| resource::missing("attachment.deleteOnTermination"))?;
    }
    tx.put(interface);
    Ok(())
}

/// `ResetNetworkInterfaceAttribute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ResetNetworkInterfaceAttributeRequest {
    network_interface_id: String,
    source_dest_check: Option<String>,
}

/// Turns the source/destination check on again, the only attribute that can be reset.
pub(crate) fn reset_network_interface_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ResetNetworkInterfaceAttributeRequest,
) -> Result<(), ApiError> {
    let mut interface = network_interface::find_own(tx, ctx, &req.network_interface_id)?.clone();
    if req.source_dest_check.is_none() {
        return Err(resource::missing("sourceDestCheck"));
    }
    interface.source_dest_check = true;
    tx.put(interface);
    Ok(())
}
