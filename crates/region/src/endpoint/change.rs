//! `ModifyVpcEndpoint` and `DeleteVpcEndpoints`.

use api::ApiError;
use serde::Deserialize;
use types::InterfaceId;

use super::create::{
    SubnetConfiguration, address_type, addresses, check_private_dns, dns_options, make_interface,
    not_for, route_tables, subnets,
};
use super::{DnsOptions, Endpoint, Kind, check_policy};
use crate::dispatch::actions;
use crate::mortal::{self, DONE, ReturnReply, Unsuccessful, UnsuccessfulReply, combination};
use crate::network_interface;
use crate::{
    Context, Life, NetworkInterface, RouteTable, SecurityGroup, Subnet, Tx, quota, resource,
};

actions! {
    "DeleteVpcEndpoints" => delete_vpc_endpoints, Recorded;
    "ModifyVpcEndpoint" => modify_vpc_endpoint, Recorded;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyVpcEndpointRequest {
    vpc_endpoint_id: String,
    reset_policy: Option<bool>,
    policy_document: Option<String>,
    add_route_table_ids: Option<Vec<String>>,
    remove_route_table_ids: Option<Vec<String>>,
    add_subnet_ids: Option<Vec<String>>,
    remove_subnet_ids: Option<Vec<String>>,
    add_security_group_ids: Option<Vec<String>>,
    remove_security_group_ids: Option<Vec<String>>,
    ip_address_type: Option<String>,
    dns_options: Option<DnsOptions>,
    private_dns_enabled: Option<bool>,
    subnet_configurations: Option<Vec<SubnetConfiguration>>,
}

pub(crate) fn modify_vpc_endpoint(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyVpcEndpointRequest,
) -> Result<ReturnReply, ApiError> {
    let mut endpoint = mortal::find::<Endpoint>(tx, ctx, &req.vpc_endpoint_id)?.clone();
    change_policy(&mut endpoint, &req)?;
    change_tables(tx, ctx, &mut endpoint, &req)?;
    change_groups(tx, ctx, &mut endpoint, &req)?;
    if let Some(given) = req.ip_address_type.clone() {
        endpoint.address_type = address_type(Some(given), endpoint.kind)?;
    }
    if let Some(given) = req.dns_options.clone() {
        endpoint.dns = dns_options(Some(given), endpoint.kind)?;
    }
    change_subnets(
        tx,
        ctx,
        &mut endpoint,
        req.add_subnet_ids,
        req.remove_subnet_ids,
        req.subnet_configurations,
    )?;
    match req.private_dns_enabled {
        Some(true) if endpoint.kind != Kind::Interface => {
            return Err(not_for(endpoint.kind, "PrivateDnsEnabled"));
        }
        Some(true) => {
            check_private_dns(tx, &endpoint)?;
            endpoint.private_dns = true;
        }
        Some(false) => endpoint.private_dns = false,
        None => {}
    }
    tx.put(endpoint);
    Ok(DONE)
}

fn change_policy(endpoint: &mut Endpoint, req: &ModifyVpcEndpointRequest) -> Result<(), ApiError> {
    let reset = req.reset_policy == Some(true);
    if reset && req.policy_document.is_some() {
        return Err(combination(
            "The parameter policyDocument cannot be used with the parameter resetPolicy",
        ));
    }
    if (reset || req.policy_document.is_some()) && endpoint.kind == Kind::GatewayLoadBalancer {
        return Err(not_for(endpoint.kind, "PolicyDocument"));
    }
    if let Some(policy) = &req.policy_document {
        check_policy(policy)?;
        endpoint.policy = Some(policy.clone());
    }
    if reset {
        endpoint.policy = None;
    }
    Ok(())
}

fn change_tables(
    tx: &Tx,
    ctx: &Context<'_>,
    endpoint: &mut Endpoint,
    req: &ModifyVpcEndpointRequest,
) -> Result<(), ApiError> {
    let (add, remove) = (
        req.add_route_table_ids.as_deref().unwrap_or_default(),
        req.remove_route_table_ids.as_deref().unwrap_or_default(),
    );
    if !(add.is_empty() && remove.is_empty()) && endpoint.kind != Kind::Gateway {
        return Err(not_for(endpoint.kind, "RouteTableIds"));
    }
    for id in remove {
        let table = resource::find::<RouteTable>(tx, ctx, id)?.id;
        endpoint.route_tables.remove(&table);
    }
    // A table that is there already stays.
    let mut new = Vec::new();
    for id in add {
        let table = resource::find::<RouteTable>(tx, ctx, id)?.id;
        if !endpoint.route_tables.contains(&table) {
            new.push(id.clone());
        }
    }
    let new = route_tables(tx, ctx, endpoint.vpc, &endpoint.service, &new)?;
    endpoint.route_tables.extend(new);
    Ok(())
}

fn change_groups(
    tx: &mut Tx,
    ctx: &Context<'_>,
    endpoint: &mut Endpoint,
    req: &ModifyVpcEndpointRequest,
) -> Result<(), ApiError> {
    let (add, remove) = (
        req.add_security_group_ids.as_deref().unwrap_or_default(),
        req.remove_security_group_ids.as_deref().unwrap_or_default(),
    );
    if add.is_empty() && remove.is_empty() {
        return Ok(());
    }
    if endpoint.kind != Kind::Interface {
        return Err(not_for(endpoint.kind, "SecurityGroupIds"));
    }
    for id in add {
        let group = resource::find::<SecurityGroup>(tx, ctx, id)?;
        if !group.is_usable_in(endpoint.vpc) {
            return Err(ApiError::new(
                "InvalidParameter",
                format!(
                    "Security group {id} belongs to different VPC than {}",
                    endpoint.vpc
                ),
            ));
        }
        if !endpoint.groups.contains(&group.id) {
            endpoint.groups.push(group.id);
        }
    }
    for id in remove {
        let group = resource::find::<SecurityGroup>(tx, ctx, id)?.id;
        endpoint.groups.retain(|there| *there != group);
    }
    quota::GROUPS_PER_INTERFACE.check(tx, ctx, endpoint.groups.len())?;
    if endpoint.groups.is_empty() {
        return Err(ApiError::new(
            "InvalidParameter",
            "An interface endpoint must have at least one security group.",
        ));
    }
    for interface in endpoint.subnets.values() {
        if let Some(mut interface) = tx.get::<NetworkInterface>(interface).cloned() {
            interface.groups.clone_from(&endpoint.groups);
            tx.put(interface);
        }
    }
    Ok(())
}

fn change_subnets(
    tx: &mut Tx,
    ctx: &Context<'_>,
    endpoint: &mut Endpoint,
    add: Option<Vec<String>>,
    remove: Option<Vec<String>>,
    configurations: Option<Vec<SubnetConfiguration>>,
) -> Result<(), ApiError> {
    let (mut add, remove) = (add.unwrap_or_default(), remove.unwrap_or_default());
    let mut requested = addresses(configurations)?;
    for id in requested.keys() {
        if !add.contains(id) {
            add.push(id.clone());
        }
    }
    if add.is_empty() && remove.is_empty() {
        return Ok(());
    }
    if endpoint.kind != Kind::Interface {
        return Err(not_for(endpoint.kind, "SubnetIds"));
    }
    for id in &remove {
        let subnet = resource::find::<Subnet>(tx, ctx, id)?.id;
        if let Some(interface) = endpoint.subnets.remove(&subnet) {
            network_interface::remove(tx, interface);
        }
    }
    let mut new = Vec::new();
    for id in add {
        let subnet = resource::find::<Subnet>(tx, ctx, &id)?.id;
        if !endpoint.subnets.contains_key(&subnet) {
            new.push(id);
        } else if requested.contains_key(&id) {
            return Err(resource::unsupported("SubnetConfigurations", &id));
        }
    }
    let there = endpoint.subnets.keys().copied().collect::<Vec<_>>();
    for subnet in subnets(tx, ctx, endpoint.vpc, &new, there.into_iter())? {
        let wanted = requested.remove(&subnet.to_string()).unwrap_or_default();
        let interface = make_interface(
            tx,
            ctx,
            endpoint.id,
            endpoint.kind,
            subnet,
            &endpoint.groups,
            wanted,
        )?;
        endpoint.subnets.insert(subnet, interface);
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteVpcEndpointsRequest {
    vpc_endpoint_ids: Vec<String>,
}

pub(crate) fn delete_vpc_endpoints(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteVpcEndpointsRequest,
) -> Result<UnsuccessfulReply, ApiError> {
    if req.vpc_endpoint_ids.is_empty() {
        return Err(resource::missing("VpcEndpointId"));
    }
    let mut unsuccessful = Vec::new();
    for id in &req.vpc_endpoint_ids {
        if let Err(error) = delete(tx, ctx, id) {
            unsuccessful.push(Unsuccessful::new(id, error));
        }
    }
    Ok(UnsuccessfulReply { unsuccessful })
}

/// Deletes an endpoint with its interfaces. Routes to it become black holes.
fn delete(tx: &mut Tx, ctx: &Context<'_>, id: &str) -> Result<(), ApiError> {
    let mut endpoint = mortal::find::<Endpoint>(tx, ctx, id)?.clone();
    if mortal::is_held(tx.state(), endpoint.id) {
        return Err(resource::in_use("vpcEndpoint", &endpoint.id));
    }
    endpoint.life = Life::end(ctx);
    endpoint.private_dns = false;
    endpoint.route_tables.clear();
    let interfaces: Vec<InterfaceId> = std::mem::take(&mut endpoint.subnets)
        .into_values()
        .collect();
    // The endpoint lets go of its interfaces first.
    tx.put(endpoint);
    for interface in interfaces {
        network_interface::remove(tx, interface);
    }
    Ok(())
}
