//! Attachments of VPCs to transit gateways.

use std::collections::{BTreeMap, BTreeSet};

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, SubnetId, TransitGatewayAttachmentId, TransitGatewayId, VpcId};

use super::attachment::{
    self, AttachmentKind, DescribeRequest, OneRequest, Place, Standing, select,
};
use super::{
    Mortal as _, TransitGateway, TransitGatewayAttachment, TransitGatewayMulticastDomain,
    available, forget, incorrect_state, invalid_state, invalid_value, present, switch, time, word,
};
use crate::dispatch::actions;
use crate::life::{Phase, settled};
use crate::resource::{self, Resource as _};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Subnet, Timestamp, Tx, Vpc, network_interface, quota};

actions! {
    "CreateTransitGatewayVpcAttachment" => create_transit_gateway_vpc_attachment, Enforced;
    "DeleteTransitGatewayVpcAttachment" => delete_transit_gateway_vpc_attachment, Enforced;
    "DescribeTransitGatewayVpcAttachments" => describe_transit_gateway_vpc_attachments, Control;
    "ModifyTransitGatewayVpcAttachment" => modify_transit_gateway_vpc_attachment, Enforced;
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VpcAttachmentItem {
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    transit_gateway_id: TransitGatewayId,
    vpc_id: VpcId,
    vpc_owner_id: AccountId,
    state: &'static str,
    subnet_ids: Vec<SubnetId>,
    creation_time: api::Timestamp,
    options: OptionsItem,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OptionsItem {
    dns_support: &'static str,
    security_group_referencing_support: &'static str,
    ipv6_support: &'static str,
    appliance_mode_support: &'static str,
}

/// A VPC attachment in a reply; `None` for one of another kind.
fn item(attachment: &TransitGatewayAttachment, now: Timestamp) -> Option<VpcAttachmentItem> {
    let AttachmentKind::Vpc {
        vpc,
        subnets,
        dns,
        group_references,
        ipv6,
        appliance_mode,
    } = &attachment.kind
    else {
        return None;
    };
    Some(VpcAttachmentItem {
        transit_gateway_attachment_id: attachment.id,
        transit_gateway_id: attachment.end.gateway,
        vpc_id: *vpc,
        vpc_owner_id: attachment.account,
        state: attachment.state(now),
        subnet_ids: subnets.keys().copied().collect(),
        creation_time: time(attachment.created),
        options: OptionsItem {
            dns_support: word(*dns),
            security_group_referencing_support: word(*group_references),
            ipv6_support: word(*ipv6),
            appliance_mode_support: word(*appliance_mode),
        },
        tags: attachment.tags.reply(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VpcAttachmentReply {
    transit_gateway_vpc_attachment: Option<VpcAttachmentItem>,
}

fn reply(attachment: &TransitGatewayAttachment, now: Timestamp) -> VpcAttachmentReply {
    VpcAttachmentReply {
        transit_gateway_vpc_attachment: item(attachment, now),
    }
}

/// The client's VPC attachment of that id, in whatever state it is.
fn find<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t TransitGatewayAttachment, ApiError> {
    let attachment = present::<TransitGatewayAttachment>(tx, ctx, id)?;
    if !matches!(attachment.kind, AttachmentKind::Vpc { .. }) {
        return Err(TransitGatewayAttachment::not_found(id));
    }
    Ok(attachment)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateVpcAttachmentRequest {
    transit_gateway_id: String,
    vpc_id: String,
    subnet_ids: Vec<String>,
    options: Option<Options>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    dns_support: Option<String>,
    security_group_referencing_support: Option<String>,
    ipv6_support: Option<String>,
    appliance_mode_support: Option<String>,
}

/// The VPC's subnets of these ids, each in another zone than the others and than those already `taken`.
fn subnets<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    vpc: VpcId,
    ids: &[String],
    taken: impl Iterator<Item = SubnetId>,
) -> Result<Vec<&'t Subnet>, ApiError> {
    let mut zones: BTreeSet<&str> = taken
        .filter_map(|id| tx.get::<Subnet>(&id))
        .map(|subnet| subnet.zone.as_str())
        .collect();
    let mut found = Vec::new();
    for id in ids {
        let subnet = resource::find::<Subnet>(tx, ctx, id)?;
        if subnet.vpc != vpc {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Subnet {id} does not belong to VPC {vpc}."),
            ));
        }
        if !zones.insert(&subnet.zone) {
            return Err(ApiError::new(
                "DuplicateSubnetsInSameZone",
                "Duplicate Subnets for same AZ",
            ));
        }
        found.push(subnet);
    }
    Ok(found)
}

/// Gives the gateway an interface in each subnet. It has no group: what passes it is the gateway's business.
fn add_interfaces(
    tx: &mut Tx,
    ctx: &Context<'_>,
    mut attachment: TransitGatewayAttachment,
    added: &[SubnetId],
) -> Result<TransitGatewayAttachment, ApiError> {
    let description = format!(
        "Network Interface for Transit Gateway Attachment {}",
        attachment.id
    );
    for subnet in added {
        let interface =
            network_interface::make_held(tx, ctx, *subnet, description.clone(), attachment.id)?;
        if let AttachmentKind::Vpc { subnets, .. } = &mut attachment.kind {
            subnets.insert(*subnet, interface);
        }
    }
    tx.put(attachment.clone());
    Ok(attachment)
}

pub(crate) fn create_transit_gateway_vpc_attachment(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateVpcAttachmentRequest,
) -> Result<VpcAttachmentReply, ApiError> {
    let gateway = available::<TransitGateway>(tx, ctx, &req.transit_gateway_id)?.clone();
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    if req.subnet_ids.is_empty() {
        return Err(resource::missing("SubnetIds"));
    }
    let chosen = subnets(tx, ctx, vpc, &req.subnet_ids, std::iter::empty())?;
    let chosen: Vec<SubnetId> = chosen.into_iter().map(|subnet| subnet.id).collect();
    let options = req.options.unwrap_or_default();
    let kind = AttachmentKind::Vpc {
        vpc,
        subnets: BTreeMap::new(),
        dns: switch(options.dns_support.as_deref(), "DnsSupport")?.unwrap_or(true),
        group_references: switch(
            options.security_group_referencing_support.as_deref(),
            "SecurityGroupReferencingSupport",
        )?
        .unwrap_or(gateway.group_references),
        ipv6: switch(options.ipv6_support.as_deref(), "Ipv6Support")?.unwrap_or(false),
        appliance_mode: switch(
            options.appliance_mode_support.as_deref(),
            "ApplianceModeSupport",
        )?
        .unwrap_or(false),
    };
    let tags = Tags::of_new(
        req.tag_specifications.as_deref(),
        "transit-gateway-attachment",
    )?;
    let others: Vec<_> = tx.state().transit_gateway_attachments.of(vpc).collect();
    if others.iter().any(|other| other.end.gateway == gateway.id) {
        return Err(ApiError::new(
            "DuplicateTransitGatewayAttachment",
            format!(
                "{} has non-deleted Transit Gateway Attachments with same VPC ID.",
                gateway.id
            ),
        ));
    }
    quota::TRANSIT_GATEWAYS_PER_VPC.check_fixed(others.len().saturating_add(1))?;
    let attachment = attachment::make(tx, ctx, &gateway, kind, tags)?;
    let attachment = add_interfaces(tx, ctx, attachment, &chosen)?;
    Ok(reply(&attachment, ctx.now))
}

const NAMES: &[&str] = &[
    "state",
    "transit-gateway-attachment-id",
    "transit-gateway-id",
    "vpc-id",
];

fn values((attachment, end): Place<'_>, now: Timestamp) -> Vec<(&'static str, String)> {
    vec![
        ("state", attachment.state(now).to_owned()),
        ("transit-gateway-attachment-id", attachment.id.to_string()),
        ("transit-gateway-id", end.gateway.to_string()),
        ("vpc-id", attachment.resource_at(end).0),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeVpcAttachmentsReply {
    transit_gateway_vpc_attachments: Vec<VpcAttachmentItem>,
    next_token: Option<String>,
}

pub(crate) fn describe_transit_gateway_vpc_attachments(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeVpcAttachmentsReply, ApiError> {
    forget::<TransitGatewayAttachment>(tx, ctx);
    let is_vpc = |kind: &AttachmentKind| matches!(kind, AttachmentKind::Vpc { .. });
    let page = select(tx, ctx, &req, is_vpc, false, (NAMES, values))?;
    Ok(DescribeVpcAttachmentsReply {
        transit_gateway_vpc_attachments: page
            .items
            .into_iter()
            .filter_map(|(attachment, _)| item(attachment, ctx.now))
            .collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyVpcAttachmentRequest {
    transit_gateway_attachment_id: String,
    add_subnet_ids: Option<Vec<String>>,
    remove_subnet_ids: Option<Vec<String>>,
    options: Option<Options>,
}

pub(crate) fn modify_transit_gateway_vpc_attachment(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyVpcAttachmentRequest,
) -> Result<VpcAttachmentReply, ApiError> {
    let id = &req.transit_gateway_attachment_id;
    let mut attachment = find(tx, ctx, id)?.clone();
    if attachment.phase(ctx.now) != Phase::Live {
        return Err(invalid_state(&attachment.id));
    }
    let before = attachment.clone();
    let AttachmentKind::Vpc {
        vpc,
        subnets: there,
        dns,
        group_references,
        ipv6,
        appliance_mode,
    } = &mut attachment.kind
    else {
        return Err(TransitGatewayAttachment::not_found(id));
    };
    let options = req.options.unwrap_or_default();
    for (field, text, name) in [
        (dns, &options.dns_support, "DnsSupport"),
        (
            group_references,
            &options.security_group_referencing_support,
            "SecurityGroupReferencingSupport",
        ),
        (ipv6, &options.ipv6_support, "Ipv6Support"),
        (
            appliance_mode,
            &options.appliance_mode_support,
            "ApplianceModeSupport",
        ),
    ] {
        *field = switch(text.as_deref(), name)?.unwrap_or(*field);
    }
    let mut removed = Vec::new();
    for text in req.remove_subnet_ids.iter().flatten() {
        let subnet: SubnetId = text.parse().map_err(|_| Subnet::not_found(text))?;
        let interface = there
            .remove(&subnet)
            .ok_or_else(|| invalid_value(text, "RemoveSubnetIds"))?;
        removed.push(interface);
    }
    let added = req.add_subnet_ids.unwrap_or_default();
    let added = subnets(tx, ctx, *vpc, &added, there.keys().copied())?;
    let added: Vec<SubnetId> = added.into_iter().map(|subnet| subnet.id).collect();
    if there.is_empty() && added.is_empty() {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("{} must have at least one subnet", before.id),
        ));
    }
    for interface in removed {
        network_interface::remove(tx, interface);
    }
    attachment = add_interfaces(tx, ctx, attachment, &added)?;
    if attachment != before {
        attachment.modifying_until = Some(settled(ctx));
        tx.put(attachment.clone());
    }
    Ok(reply(&attachment, ctx.now))
}

/// Deletes an attachment that carries no Connect attachment; the gateway's interfaces go at once.
pub(crate) fn delete_transit_gateway_vpc_attachment(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: OneRequest,
) -> Result<VpcAttachmentReply, ApiError> {
    let attachment = find(tx, ctx, &req.transit_gateway_attachment_id)?.clone();
    if attachment.phase(ctx.now) == Phase::Deleting {
        return Ok(reply(&attachment, ctx.now));
    }
    if matches!(attachment.standing, Standing::Requested(_)) {
        return Err(invalid_state(&attachment.id));
    }
    let carried = tx.state().transit_gateway_attachments.of(attachment.id);
    let carried: Vec<String> = carried.map(|connect| connect.id.to_string()).collect();
    if !carried.is_empty() {
        return Err(incorrect_state(format!(
            "{} has non-deleted Transit Gateway Connect Attachments: {}.",
            attachment.id,
            carried.join(", ")
        )));
    }
    let domains = tx
        .state()
        .transit_gateway_multicast_domains
        .of(attachment.id);
    let is_part = |domain: &TransitGatewayMulticastDomain| {
        let mut associated = domain.associated(ctx.now);
        associated.any(|(_, of, _)| of == attachment.id)
    };
    if domains.into_iter().any(is_part) {
        return Err(incorrect_state(format!(
            "{} has non-deleted Transit Gateway Multicast Domain Associations",
            attachment.id
        )));
    }
    if let AttachmentKind::Vpc { subnets, .. } = &attachment.kind {
        for interface in subnets.values() {
            network_interface::remove(tx, *interface);
        }
    }
    let attachment = attachment::end(tx, ctx, attachment);
    Ok(reply(&attachment, ctx.now))
}
