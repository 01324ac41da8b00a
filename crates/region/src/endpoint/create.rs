//! `CreateVpcEndpoint`.

use std::collections::{BTreeMap, BTreeSet};

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    EndpointId, EndpointServiceId, GroupId, InterfaceId, RegionName, RouteTableId, SubnetId, VpcId,
};

use super::{Acceptance, DnsOptions, Endpoint, Item, Kind, check_policy, known, services};
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::mortal::{self, combination, invalid};
use crate::network_interface::{self, Extras, Plan};
use crate::resource::{self, Resource as _};
use crate::security_group;
use crate::tags::{TagSpecification, Tags};
use crate::{Context, Life, RouteTable, State, Subnet, Tx, Vpc, quota};

actions! {
    "CreateVpcEndpoint" => create_vpc_endpoint, Recorded;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateVpcEndpointRequest {
    vpc_endpoint_type: Option<String>,
    vpc_id: String,
    service_name: Option<String>,
    policy_document: Option<String>,
    route_table_ids: Option<Vec<String>>,
    subnet_ids: Option<Vec<String>>,
    security_group_ids: Option<Vec<String>>,
    ip_address_type: Option<String>,
    dns_options: Option<DnsOptions>,
    client_token: Option<String>,
    private_dns_enabled: Option<bool>,
    tag_specifications: Option<Vec<TagSpecification>>,
    subnet_configurations: Option<Vec<SubnetConfiguration>>,
    service_region: Option<String>,
}

/// The addresses that an endpoint shall have in a subnet.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct SubnetConfiguration {
    subnet_id: Option<String>,
    ipv4: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateVpcEndpointReply {
    vpc_endpoint: Item,
    client_token: Option<String>,
}

fn kind(text: Option<&str>) -> Result<Kind, ApiError> {
    match text {
        None | Some("Gateway") => Ok(Kind::Gateway),
        Some("Interface") => Ok(Kind::Interface),
        Some("GatewayLoadBalancer") => Ok(Kind::GatewayLoadBalancer),
        Some(other) => Err(resource::unsupported("VpcEndpointType", &other)),
    }
}

/// What a service means for an endpoint.
struct Meant {
    id: Option<EndpointServiceId>,
    acceptance: Acceptance,
}

fn unknown_service(name: &str) -> ApiError {
    ApiError::new(
        "InvalidServiceName",
        format!("The Vpc Endpoint Service '{name}' does not exist"),
    )
}

/// The service of that name, if the client may have endpoints to it.
fn service(
    tx: &Tx,
    ctx: &Context<'_>,
    name: &str,
    kind: Kind,
    region: &RegionName,
) -> Result<Meant, ApiError> {
    if let Some(service) = services::by_name(tx.state(), name) {
        if !service.serves(ctx, region) {
            return Err(unknown_service(name));
        }
        if service.kind != kind {
            return Err(wrong_kind(name, kind));
        }
        let acceptance = if service.acceptance {
            Acceptance::Pending
        } else {
            Acceptance::Accepted
        };
        return Ok(Meant {
            id: Some(service.id),
            acceptance,
        });
    }
    if *region == ctx.region && known::find(region, name, kind).is_some() {
        return Ok(Meant {
            id: None,
            acceptance: Acceptance::Accepted,
        });
    }
    let other = [Kind::Gateway, Kind::Interface]
        .into_iter()
        .any(|kind| known::find(&ctx.region, name, kind).is_some());
    Err(if other {
        wrong_kind(name, kind)
    } else {
        unknown_service(name)
    })
}

fn wrong_kind(name: &str, kind: Kind) -> ApiError {
    ApiError::new(
        "InvalidParameter",
        format!(
            "Endpoint type ({}) does not match available service types of {name}.",
            kind.name()
        ),
    )
}

/// EC2's error for a parameter that a kind of endpoint does not take.
pub(crate) fn not_for(kind: Kind, parameter: &str) -> ApiError {
    ApiError::new(
        "InvalidParameter",
        format!(
            "The parameter {parameter} is not supported for endpoints of the type {}.",
            kind.name()
        ),
    )
}

/// Refuses what a kind of endpoint does not take.
fn check_kind(req: &CreateVpcEndpointRequest, kind: Kind) -> Result<(), ApiError> {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let private = req.private_dns_enabled == Some(true);
    let refused = match kind {
        Kind::Gateway => [
            (some(&req.subnet_ids), "SubnetIds"),
            (some(&req.security_group_ids), "SecurityGroupIds"),
            (private, "PrivateDnsEnabled"),
            (req.subnet_configurations.is_some(), "SubnetConfigurations"),
        ],
        Kind::Interface => [
            (some(&req.route_table_ids), "RouteTableIds"),
            (false, ""),
            (false, ""),
            (false, ""),
        ],
        Kind::GatewayLoadBalancer => [
            (some(&req.route_table_ids), "RouteTableIds"),
            (some(&req.security_group_ids), "SecurityGroupIds"),
            (private, "PrivateDnsEnabled"),
            (req.policy_document.is_some(), "PolicyDocument"),
        ],
    };
    match refused.into_iter().find(|(given, _)| *given) {
        Some((_, parameter)) => Err(not_for(kind, parameter)),
        None => Ok(()),
    }
}

/// Checks the options of names, and fills in EC2's defaults.
pub(crate) fn dns_options(given: Option<DnsOptions>, kind: Kind) -> Result<DnsOptions, ApiError> {
    if given.is_some() && kind == Kind::GatewayLoadBalancer {
        return Err(not_for(kind, "DnsOptions"));
    }
    let mut options = given.unwrap_or_default();
    let default = match kind {
        Kind::Gateway => "service-defined",
        Kind::Interface | Kind::GatewayLoadBalancer => "ipv4",
    };
    let records = options
        .dns_record_ip_type
        .get_or_insert_with(|| default.to_owned());
    if !["ipv4", "dualstack", "ipv6", "service-defined"].contains(&records.as_str()) {
        return Err(invalid(
            "dnsRecordIpType",
            records.as_str(),
            "Unknown type.",
        ));
    }
    Ok(options)
}

/// The family of an endpoint's addresses. Interfaces have IPv4 addresses.
pub(crate) fn address_type(given: Option<String>, kind: Kind) -> Result<String, ApiError> {
    let given = given.unwrap_or_else(|| "ipv4".to_owned());
    match (given.as_str(), kind) {
        ("ipv4", _) | ("ipv6" | "dualstack", Kind::Gateway) => Ok(given),
        _ => Err(resource::unsupported("IpAddressType", &given)),
    }
}

/// The route tables of those ids, which must be of the VPC and not lead to the service yet.
pub(crate) fn route_tables(
    tx: &Tx,
    ctx: &Context<'_>,
    vpc: VpcId,
    service: &str,
    ids: &[String],
) -> Result<BTreeSet<RouteTableId>, ApiError> {
    let mut tables = BTreeSet::new();
    for id in ids {
        let table = resource::find::<RouteTable>(tx, ctx, id)?;
        if table.vpc != vpc {
            return Err(ApiError::new(
                "InvalidParameter",
                format!("Route table {id} belongs to different VPC than {vpc}"),
            ));
        }
        let mut there = super::gateways_of(tx.state(), table.id);
        if there.any(|endpoint| endpoint.service == service) {
            return Err(ApiError::new(
                "RouteAlreadyExists",
                format!(
                    "route table {id} already has a route with destination-prefix-list-id {}",
                    known::prefix_list(&ctx.region, service)
                ),
            ));
        }
        tables.insert(table.id);
    }
    Ok(tables)
}

/// The subnets of those ids, which must be of the VPC and of different zones, also from those in `beside`.
pub(crate) fn subnets(
    tx: &Tx,
    ctx: &Context<'_>,
    vpc: VpcId,
    ids: &[String],
    beside: impl Iterator<Item = SubnetId>,
) -> Result<Vec<SubnetId>, ApiError> {
    let zone = |state: &State, id: SubnetId| state.subnets.get(&id).map(|s| s.zone.clone());
    let mut zones: BTreeSet<String> = beside.filter_map(|id| zone(tx.state(), id)).collect();
    let mut found: Vec<SubnetId> = Vec::new();
    for id in ids {
        let subnet = resource::find::<Subnet>(tx, ctx, id)?;
        if subnet.vpc != vpc {
            return Err(ApiError::new(
                "InvalidParameter",
                format!("Subnet {id} belongs to different VPC than {vpc}"),
            ));
        }
        if !zones.insert(subnet.zone.clone()) {
            return Err(ApiError::new(
                "DuplicateSubnetsInSameZone",
                format!(
                    "Found another VPC endpoint subnet in the availability zone of {id}. VPC endpoint subnets should be in different availability zones supported by the VPC endpoint service."
                ),
            ));
        }
        found.push(subnet.id);
    }
    Ok(found)
}

/// The address that each subnet's interface shall have, by the subnet's id.
pub(crate) fn addresses(
    configurations: Option<Vec<SubnetConfiguration>>,
) -> Result<BTreeMap<String, Vec<String>>, ApiError> {
    let mut addresses = BTreeMap::new();
    for configuration in configurations.into_iter().flatten() {
        let subnet = configuration
            .subnet_id
            .ok_or_else(|| resource::missing("SubnetConfiguration.SubnetId"))?;
        addresses.insert(subnet, configuration.ipv4.into_iter().collect());
    }
    Ok(addresses)
}

/// Makes the interface of an endpoint in a subnet.
pub(crate) fn make_interface(
    tx: &mut Tx,
    ctx: &Context<'_>,
    endpoint: EndpointId,
    kind: Kind,
    subnet: SubnetId,
    groups: &[GroupId],
    requested: Vec<String>,
) -> Result<InterfaceId, ApiError> {
    let noun = match kind {
        Kind::GatewayLoadBalancer => "Gateway Load Balancer Endpoint",
        Kind::Gateway | Kind::Interface => "Endpoint",
    };
    let plan = Plan {
        subnet,
        requested,
        more: 0,
        groups: groups.to_vec(),
        description: format!("VPC {noun} Interface {endpoint}"),
        tags: Tags::default(),
        client_token: None,
        extras: Extras::ipv4_only(),
    };
    let mut interface = network_interface::make(tx, ctx, plan)?;
    interface.holder = Some(endpoint.into());
    let id = interface.id;
    tx.put(interface);
    Ok(id)
}

/// Whether a service's own name shall mean the endpoint, and may.
pub(crate) fn check_private_dns(tx: &Tx, endpoint: &Endpoint) -> Result<(), ApiError> {
    let wrong = |message: String| Err(ApiError::new("InvalidParameter", message));
    let vpc = resource::get::<Vpc>(tx, &endpoint.vpc)?;
    let Some(name) = services::private_name(tx.state(), endpoint) else {
        return wrong(format!(
            "Private DNS can't be enabled because the service {} does not provide a private DNS name.",
            endpoint.service
        ));
    };
    if !vpc.dns_support || !vpc.dns_hostnames {
        return wrong(format!(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for {}",
            vpc.id
        ));
    }
    let mut others = tx.state().endpoints.of(vpc.id);
    let taken = others.any(|other| {
        other.id != endpoint.id
            && other.private_dns
            && services::private_name(tx.state(), other).as_ref() == Some(&name)
    });
    if taken {
        return wrong(format!(
            "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {name} in the VPC {}",
            vpc.id
        ));
    }
    Ok(())
}

fn check_quota(tx: &Tx, ctx: &Context<'_>, kind: Kind, vpc: VpcId) -> Result<(), ApiError> {
    match kind {
        Kind::Gateway => {
            let gateways = mortal::own::<Endpoint>(tx, ctx).filter(|e| e.kind == Kind::Gateway);
            quota::GATEWAY_ENDPOINTS.one_more(tx, ctx, gateways.count())
        }
        Kind::Interface | Kind::GatewayLoadBalancer => {
            let others = tx
                .state()
                .endpoints
                .of(vpc)
                .filter(|e| e.kind != Kind::Gateway);
            quota::INTERFACE_ENDPOINTS.one_more(tx, ctx, others.count())
        }
    }
}

pub(crate) fn create_vpc_endpoint(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateVpcEndpointRequest,
) -> Result<CreateVpcEndpointReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let client_token = req.client_token.clone();
    mortal::forget::<Endpoint>(tx, ctx);
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &Endpoint| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => make(tx, ctx, req, token)?,
    };
    let view = mortal::view(tx, ctx);
    Ok(CreateVpcEndpointReply {
        vpc_endpoint: resource::get::<Endpoint>(tx, &id)?.reply(&view),
        client_token,
    })
}

fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateVpcEndpointRequest,
    token: Option<ClientToken>,
) -> Result<EndpointId, ApiError> {
    let kind = kind(req.vpc_endpoint_type.as_deref())?;
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let name = req
        .service_name
        .clone()
        .ok_or_else(|| resource::missing("ServiceName"))?;
    let region = match &req.service_region {
        None => ctx.region.clone(),
        Some(text) => text
            .parse()
            .map_err(|_| invalid("serviceRegion", text, "Unknown region."))?,
    };
    let service = service(tx, ctx, &name, kind, &region)?;
    check_kind(&req, kind)?;
    if let Some(policy) = &req.policy_document {
        check_policy(policy)?;
    }
    check_quota(tx, ctx, kind, vpc)?;
    let tables = route_tables(
        tx,
        ctx,
        vpc,
        &name,
        req.route_table_ids.as_deref().unwrap_or_default(),
    )?;
    let mut requested = addresses(req.subnet_configurations)?;
    let mut ids = req.subnet_ids.unwrap_or_default();
    for id in requested.keys() {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    let subnets = subnets(tx, ctx, vpc, &ids, std::iter::empty())?;
    if kind == Kind::GatewayLoadBalancer && subnets.len() != 1 {
        return Err(combination(
            "A Gateway Load Balancer endpoint must have exactly one subnet",
        ));
    }
    let groups = match (kind, subnets.first()) {
        (Kind::Gateway, _) => Vec::new(),
        (_, Some(subnet)) => {
            security_group::for_interface(tx, ctx, vpc, *subnet, req.security_group_ids.as_deref())?
        }
        (_, None) => groups_without_subnet(tx, ctx, vpc, req.security_group_ids.as_deref())?,
    };
    let id = EndpointId::from_bits(ctx.random());
    let mut interfaces = BTreeMap::new();
    for subnet in subnets {
        let wanted = requested.remove(&subnet.to_string()).unwrap_or_default();
        // With a requested address the first one is it; without any, one is chosen.
        let interface = make_interface(tx, ctx, id, kind, subnet, &groups, wanted)?;
        interfaces.insert(subnet, interface);
    }
    let mut endpoint = Endpoint {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::of_new(req.tag_specifications.as_deref(), Endpoint::TYPE)?,
        kind,
        vpc,
        service: name,
        service_id: service.id,
        service_region: region,
        policy: req.policy_document,
        route_tables: tables,
        subnets: interfaces,
        groups: if kind == Kind::Interface {
            groups
        } else {
            Vec::new()
        },
        address_type: address_type(req.ip_address_type, kind)?,
        dns: dns_options(req.dns_options, kind)?,
        private_dns: false,
        acceptance: service.acceptance,
        created: ctx.now,
        life: Life::begin(ctx),
        client_token: token,
    };
    // EC2's default is the service's own name, where it has one and the VPC can have it.
    match req.private_dns_enabled {
        Some(true) => {
            check_private_dns(tx, &endpoint)?;
            endpoint.private_dns = true;
        }
        Some(false) => {}
        None => {
            endpoint.private_dns =
                kind == Kind::Interface && check_private_dns(tx, &endpoint).is_ok();
        }
    }
    tx.put(endpoint);
    Ok(id)
}

/// The groups that interfaces in subnets to come shall have.
fn groups_without_subnet(
    tx: &Tx,
    ctx: &Context<'_>,
    vpc: VpcId,
    ids: Option<&[String]>,
) -> Result<Vec<GroupId>, ApiError> {
    // No subnet is named in an error: the groups are of the VPC or not.
    security_group::for_interface(tx, ctx, vpc, SubnetId::from_bits(0), ids)
}
