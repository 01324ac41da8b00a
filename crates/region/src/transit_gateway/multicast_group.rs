//! Members and sources of multicast groups.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, Cidr, InterfaceId, SubnetId, TransitGatewayAttachmentId,
    TransitGatewayMulticastDomainId, VpcId,
};

use super::multicast::{Groups, TransitGatewayMulticastDomain};
use super::{available, incorrect_state, invalid_value, present};
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::page::{self, USUAL_BOUNDS};
use crate::{Context, NetworkInterface, Tx, quota, resource};

actions! {
    "DeregisterTransitGatewayMulticastGroupMembers" => deregister_transit_gateway_multicast_group_members, Recorded;
    "DeregisterTransitGatewayMulticastGroupSources" => deregister_transit_gateway_multicast_group_sources, Recorded;
    "RegisterTransitGatewayMulticastGroupMembers" => register_transit_gateway_multicast_group_members, Recorded;
    "RegisterTransitGatewayMulticastGroupSources" => register_transit_gateway_multicast_group_sources, Recorded;
    "SearchTransitGatewayMulticastGroups" => search_transit_gateway_multicast_groups, Control;
}

/// The four actions on members and sources.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GroupRequest {
    transit_gateway_multicast_domain_id: Option<String>,
    group_ip_address: Option<String>,
    network_interface_ids: Option<Vec<String>>,
}

impl GroupRequest {
    fn domain(&self) -> Result<&str, ApiError> {
        let id = self.transit_gateway_multicast_domain_id.as_deref();
        id.ok_or_else(|| resource::missing("TransitGatewayMulticastDomainId"))
    }

    /// The group: a multicast address, but none of the local network's own (RFC 5771 section 4, RFC 4291 section 2.7).
    fn group(&self) -> Result<IpAddr, ApiError> {
        let name = "GroupIpAddress";
        let text = self.group_ip_address.as_deref();
        let text = text.ok_or_else(|| resource::missing(name))?;
        let address: IpAddr = text.parse().map_err(|_| invalid_value(&text, name))?;
        let is_local = ["224.0.0.0/24", "ff01::/16", "ff02::/16"]
            .iter()
            .filter_map(|block| block.parse::<Cidr>().ok())
            .any(|block| block.contains(address));
        if !address.is_multicast() || is_local {
            return Err(invalid_value(&text, name));
        }
        Ok(address)
    }

    fn interfaces(&self) -> Result<&[String], ApiError> {
        let ids = self.network_interface_ids.as_deref().unwrap_or_default();
        if ids.is_empty() {
            return Err(resource::missing("NetworkInterfaceIds"));
        }
        Ok(ids)
    }
}

/// What an action did: the domain, the group, the interfaces.
type Done = (TransitGatewayMulticastDomainId, IpAddr, Vec<InterfaceId>);

fn register(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: &GroupRequest,
    groups: fn(&mut TransitGatewayMulticastDomain) -> &mut Groups,
) -> Result<Done, ApiError> {
    let mut domain = available::<TransitGatewayMulticastDomain>(tx, ctx, req.domain()?)?.clone();
    let group = req.group()?;
    let mut added = Vec::new();
    for id in req.interfaces()? {
        let interface = resource::find::<NetworkInterface>(tx, ctx, id)?;
        let is_part = domain
            .associated(ctx.now)
            .any(|(subnet, _, state)| subnet == interface.subnet && state == "associated");
        if !is_part {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("The subnet of {id} is not associated to {}.", domain.id),
            ));
        }
        added.push(interface.id);
    }
    let interfaces = groups(&mut domain).entry(group).or_default();
    interfaces.extend(added.iter().copied());
    quota::MULTICAST_GROUP_MEMBERS.check_fixed(interfaces.len())?;
    let state = tx.state();
    let of_gateway = state.transit_gateway_multicast_domains.of(domain.gateway);
    let others = of_gateway.filter(|other| other.id != domain.id);
    let total = others
        .chain([&domain])
        .flat_map(|domain| domain.members.values().chain(domain.sources.values()))
        .map(std::collections::BTreeSet::len)
        .sum();
    quota::MULTICAST_MEMBERS.check_fixed(total)?;
    let id = domain.id;
    tx.put(domain);
    Ok((id, group, added))
}

fn deregister(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: &GroupRequest,
    groups: fn(&mut TransitGatewayMulticastDomain) -> &mut Groups,
    not_found: &'static str,
) -> Result<Done, ApiError> {
    let mut domain = available::<TransitGatewayMulticastDomain>(tx, ctx, req.domain()?)?.clone();
    let group = req.group()?;
    let mut removed = Vec::new();
    for id in req.interfaces()? {
        let interface = resource::find::<NetworkInterface>(tx, ctx, id)?.id;
        let registered = groups(&mut domain).get_mut(&group);
        if !registered.is_some_and(|there| there.remove(&interface)) {
            return Err(ApiError::new(
                not_found,
                format!(
                    "{id} is not registered in the group {group} of {}.",
                    domain.id
                ),
            ));
        }
        removed.push(interface);
    }
    groups(&mut domain).retain(|_, interfaces| !interfaces.is_empty());
    let id = domain.id;
    tx.put(domain);
    Ok((id, group, removed))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegisteredItem {
    transit_gateway_multicast_domain_id: TransitGatewayMulticastDomainId,
    registered_network_interface_ids: Vec<InterfaceId>,
    group_ip_address: IpAddr,
}

impl From<Done> for RegisteredItem {
    fn from((domain, group, interfaces): Done) -> RegisteredItem {
        RegisteredItem {
            transit_gateway_multicast_domain_id: domain,
            registered_network_interface_ids: interfaces,
            group_ip_address: group,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeregisteredItem {
    transit_gateway_multicast_domain_id: TransitGatewayMulticastDomainId,
    deregistered_network_interface_ids: Vec<InterfaceId>,
    group_ip_address: IpAddr,
}

impl From<Done> for DeregisteredItem {
    fn from((domain, group, interfaces): Done) -> DeregisteredItem {
        DeregisteredItem {
            transit_gateway_multicast_domain_id: domain,
            deregistered_network_interface_ids: interfaces,
            group_ip_address: group,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RegisterMembersReply {
    registered_multicast_group_members: RegisteredItem,
}

pub(crate) fn register_transit_gateway_multicast_group_members(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GroupRequest,
) -> Result<RegisterMembersReply, ApiError> {
    let done = register(tx, ctx, &req, |domain| &mut domain.members)?;
    Ok(RegisterMembersReply {
        registered_multicast_group_members: done.into(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RegisterSourcesReply {
    registered_multicast_group_sources: RegisteredItem,
}

pub(crate) fn register_transit_gateway_multicast_group_sources(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GroupRequest,
) -> Result<RegisterSourcesReply, ApiError> {
    let domain = available::<TransitGatewayMulticastDomain>(tx, ctx, req.domain()?)?;
    if !domain.static_sources {
        return Err(incorrect_state(format!(
            "Static sources support is not enabled on {}.",
            domain.id
        )));
    }
    let done = register(tx, ctx, &req, |domain| &mut domain.sources)?;
    Ok(RegisterSourcesReply {
        registered_multicast_group_sources: done.into(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeregisterMembersReply {
    deregistered_multicast_group_members: DeregisteredItem,
}

pub(crate) fn deregister_transit_gateway_multicast_group_members(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GroupRequest,
) -> Result<DeregisterMembersReply, ApiError> {
    let code = "TransitGatewayMulticastGroupMember.NotFound";
    let done = deregister(tx, ctx, &req, |domain| &mut domain.members, code)?;
    Ok(DeregisterMembersReply {
        deregistered_multicast_group_members: done.into(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeregisterSourcesReply {
    deregistered_multicast_group_sources: DeregisteredItem,
}

pub(crate) fn deregister_transit_gateway_multicast_group_sources(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GroupRequest,
) -> Result<DeregisterSourcesReply, ApiError> {
    let code = "TransitGatewayMulticastGroupSource.NotFound";
    let done = deregister(tx, ctx, &req, |domain| &mut domain.sources, code)?;
    Ok(DeregisterSourcesReply {
        deregistered_multicast_group_sources: done.into(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct SearchGroupsRequest {
    transit_gateway_multicast_domain_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SearchGroupsReply {
    multicast_groups: Vec<GroupItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupItem {
    group_ip_address: IpAddr,
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    subnet_id: SubnetId,
    resource_id: VpcId,
    resource_type: &'static str,
    resource_owner_id: AccountId,
    network_interface_id: InterfaceId,
    group_member: bool,
    group_source: bool,
    member_type: Option<&'static str>,
    source_type: Option<&'static str>,
}

/// A group's interface in a reply; `None` if the interface is gone.
fn item(
    tx: &Tx,
    domain: &TransitGatewayMulticastDomain,
    group: IpAddr,
    id: InterfaceId,
) -> Option<GroupItem> {
    let interface = tx.get::<NetworkInterface>(&id)?;
    let (attachment, _) = domain.subnets.get(&interface.subnet)?;
    let is_in = |groups: &Groups| groups.get(&group).is_some_and(|all| all.contains(&id));
    let (member, source) = (is_in(&domain.members), is_in(&domain.sources));
    Some(GroupItem {
        group_ip_address: group,
        transit_gateway_attachment_id: *attachment,
        subnet_id: interface.subnet,
        resource_id: interface.vpc,
        resource_type: "vpc",
        resource_owner_id: interface.account,
        network_interface_id: id,
        group_member: member,
        group_source: source,
        member_type: member.then_some("static"),
        source_type: source.then_some("static"),
    })
}

pub(crate) fn search_transit_gateway_multicast_groups(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: SearchGroupsRequest,
) -> Result<SearchGroupsReply, ApiError> {
    let id = &req.transit_gateway_multicast_domain_id;
    let domain = present::<TransitGatewayMulticastDomain>(tx, ctx, id)?;
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &[
            "group-ip-address",
            "is-group-member",
            "is-group-source",
            "member-type",
            "resource-id",
            "resource-type",
            "source-type",
            "subnet-id",
            "transit-gateway-attachment-id",
        ],
    )?;
    let mut pairs: Vec<(IpAddr, InterfaceId)> = [&domain.members, &domain.sources]
        .into_iter()
        .flatten()
        .flat_map(|(group, interfaces)| interfaces.iter().map(|id| (*group, *id)))
        .collect();
    // By the text that pages are cut by.
    pairs.sort_by_key(|(group, id)| key(*group, *id));
    pairs.dedup();
    let items = pairs
        .into_iter()
        .filter_map(|(group, id)| item(tx, domain, group, id))
        .filter(|item| {
            let mut values = vec![
                ("group-ip-address", item.group_ip_address.to_string()),
                ("is-group-member", item.group_member.to_string()),
                ("is-group-source", item.group_source.to_string()),
                ("resource-id", item.resource_id.to_string()),
                ("resource-type", item.resource_type.to_owned()),
                ("subnet-id", item.subnet_id.to_string()),
                (
                    "transit-gateway-attachment-id",
                    item.transit_gateway_attachment_id.to_string(),
                ),
            ];
            values.extend(item.member_type.map(|t| ("member-type", t.to_owned())));
            values.extend(item.source_type.map(|t| ("source-type", t.to_owned())));
            let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
            filter::matches_plain(&filters, &values)
        });
    let page = page::cut(
        items,
        |item| key(item.group_ip_address, item.network_interface_id),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(SearchGroupsReply {
        multicast_groups: page.items,
        next_token: page.next_token,
    })
}

fn key(group: IpAddr, interface: InterfaceId) -> String {
    format!("{group} {interface}")
}
