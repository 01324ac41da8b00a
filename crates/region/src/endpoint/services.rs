//! `DescribeVpcEndpointServices`: the services that a client may have endpoints to.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{EndpointServiceId, RegionName};

use super::service::{EndpointService, ServiceType};
use super::{BOUNDS, Endpoint, Kind, at_most, known};
use crate::dispatch::actions;
use crate::filter::{self, Filter, View};
use crate::tags::{Tag, Tags};
use crate::{Context, State, Tx, page};

actions! {
    "DescribeVpcEndpointServices" => describe_vpc_endpoint_services, Control;
}

/// The account's service of that name.
pub(super) fn by_name<'s>(state: &'s State, name: &str) -> Option<&'s EndpointService> {
    let (_, id) = name.rsplit_once('.')?;
    let id: EndpointServiceId = id.parse().ok()?;
    let service = state.endpoint_services.get(&id)?;
    (service.name() == name && !service.life.has_ended()).then_some(service)
}

/// The service's own name, which an endpoint may take over in its VPC. An account's name counts once it is proven.
pub(super) fn private_name(_: &State, endpoint: &Endpoint) -> Option<String> {
    match endpoint.service_id {
        Some(_) => None,
        None => known::find(&endpoint.region, &endpoint.service, endpoint.kind)?
            .private_name(&endpoint.region),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeVpcEndpointServicesRequest {
    service_names: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
    service_regions: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeVpcEndpointServicesReply {
    service_names: Vec<String>,
    service_details: Vec<Detail>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateName {
    private_dns_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Detail {
    acceptance_required: bool,
    availability_zone_ids: Vec<String>,
    availability_zones: Vec<String>,
    base_endpoint_dns_names: Vec<String>,
    manages_vpc_endpoints: bool,
    owner: String,
    payer_responsibility: Option<&'static str>,
    private_dns_name: Option<String>,
    private_dns_name_verification_state: Option<&'static str>,
    private_dns_names: Vec<PrivateName>,
    service_id: EndpointServiceId,
    service_name: String,
    service_region: RegionName,
    service_type: Vec<ServiceType>,
    supported_ip_address_types: Vec<String>,
    tags: Vec<Tag>,
    vpc_endpoint_policy_supported: bool,
}

fn own(view: &View<'_>, region: &RegionName, kind: Kind, service: &known::Known) -> Detail {
    let zones = view.zones(region);
    let private = match kind {
        Kind::Interface => service.private_name(region),
        Kind::Gateway | Kind::GatewayLoadBalancer => None,
    };
    let base = match kind {
        Kind::Gateway => format!("{}.{region}.amazonaws.com", service.short),
        Kind::Interface | Kind::GatewayLoadBalancer => {
            format!("{}.{region}.vpce.amazonaws.com", service.short)
        }
    };
    Detail {
        acceptance_required: false,
        availability_zone_ids: zones.iter().map(|zone| zone.id.clone()).collect(),
        availability_zones: zones.into_iter().map(|zone| zone.name).collect(),
        base_endpoint_dns_names: vec![base],
        manages_vpc_endpoints: false,
        owner: "amazon".to_owned(),
        payer_responsibility: None,
        private_dns_name_verification_state: private.as_ref().map(|_| "verified"),
        private_dns_names: private
            .iter()
            .map(|name| PrivateName {
                private_dns_name: name.clone(),
            })
            .collect(),
        private_dns_name: private,
        service_id: service.id(region, kind),
        service_name: service.name(region),
        service_region: region.clone(),
        service_type: vec![ServiceType {
            service_type: kind.name(),
        }],
        supported_ip_address_types: vec!["ipv4".to_owned()],
        tags: Vec::new(),
        vpc_endpoint_policy_supported: true,
    }
}

fn of_account(view: &View<'_>, service: &EndpointService) -> Detail {
    let zones = view.zones(&service.region);
    Detail {
        acceptance_required: service.acceptance,
        availability_zone_ids: zones.iter().map(|zone| zone.id.clone()).collect(),
        availability_zones: zones.into_iter().map(|zone| zone.name).collect(),
        base_endpoint_dns_names: vec![service.base_name()],
        manages_vpc_endpoints: false,
        owner: service.account.to_string(),
        payer_responsibility: service.owner_pays.then_some("ServiceOwner"),
        private_dns_name: service.private_dns.as_ref().map(|dns| dns.name.clone()),
        private_dns_name_verification_state: service.verification(),
        private_dns_names: service
            .private_dns
            .iter()
            .map(|dns| PrivateName {
                private_dns_name: dns.name.clone(),
            })
            .collect(),
        service_id: service.id,
        service_name: service.name(),
        service_region: service.region.clone(),
        service_type: vec![ServiceType {
            service_type: service.kind.name(),
        }],
        supported_ip_address_types: service.address_types.iter().cloned().collect(),
        tags: service.tags.reply(),
        vpc_endpoint_policy_supported: false,
    }
}

const FILTERS: &[&str] = &[
    "owner",
    "service-name",
    "service-region",
    "service-type",
    "supported-ip-address-types",
];

/// Whether a service passes one filter.
fn passes(filter: &Filter, detail: &Detail, tags: &Tags) -> bool {
    let any = |value: &str| {
        filter
            .values
            .iter()
            .any(|pattern| filter::like(pattern, value))
    };
    match filter.name.as_deref().unwrap_or_default() {
        "owner" => any(&detail.owner),
        "service-name" => any(&detail.service_name),
        "service-region" => any(detail.service_region.as_str()),
        "service-type" => detail
            .service_type
            .iter()
            .any(|kind| any(kind.service_type)),
        "supported-ip-address-types" => detail
            .supported_ip_address_types
            .iter()
            .any(|kind| any(kind)),
        "tag-key" => tags.0.keys().any(|key| any(key)),
        name => name
            .strip_prefix("tag:")
            .and_then(|key| tags.0.get(key))
            .is_some_and(|value| any(value)),
    }
}

/// The services of every kind that the client may have endpoints to: EC2's own, its own, and those that it is
/// permitted to use.
pub(crate) fn describe_vpc_endpoint_services(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeVpcEndpointServicesRequest,
) -> Result<DescribeVpcEndpointServicesReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check(&filters, FILTERS.iter().copied())?;
    let view = View::new(tx.state(), ctx);
    let mut found: Vec<(Detail, Tags)> = Vec::new();
    for kind in [Kind::Gateway, Kind::Interface] {
        let services = known::of(kind).iter();
        found.extend(
            services.map(|service| (own(&view, &ctx.region, kind, service), Tags::default())),
        );
    }
    let accounts = tx.state().endpoint_services.values();
    found.extend(
        accounts
            .filter(|service| service.serves(ctx, &service.region))
            .map(|service| (of_account(&view, service), service.tags.clone())),
    );
    let names = req.service_names.unwrap_or_default();
    for name in &names {
        if !found.iter().any(|(detail, _)| detail.service_name == *name) {
            return Err(ApiError::new(
                "InvalidServiceName",
                format!("The Vpc Endpoint Service '{name}' does not exist"),
            ));
        }
    }
    let regions = req
        .service_regions
        .filter(|regions| !regions.is_empty())
        .unwrap_or_else(|| vec![ctx.region.to_string()]);
    found.retain(|(detail, tags)| {
        (names.is_empty() || names.contains(&detail.service_name))
            && regions
                .iter()
                .any(|region| region == detail.service_region.as_str())
            && filters.iter().all(|filter| passes(filter, detail, tags))
    });
    let key = |(detail, _): &(Detail, Tags)| {
        let kind = detail
            .service_type
            .first()
            .map_or("", |kind| kind.service_type);
        format!("{} {kind}", detail.service_name)
    };
    found.sort_by_key(key);
    let page = page::cut(
        found.into_iter(),
        key,
        &BOUNDS,
        at_most(req.max_results),
        req.next_token.as_deref(),
    )?;
    let details: Vec<Detail> = page.items.into_iter().map(|(detail, _)| detail).collect();
    let mut names: Vec<String> = details.iter().map(|d| d.service_name.clone()).collect();
    names.dedup();
    Ok(DescribeVpcEndpointServicesReply {
        service_names: names,
        service_details: details,
        next_token: page.next_token,
    })
}
