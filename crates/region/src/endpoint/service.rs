//! Endpoint services of accounts: what a load balancer offers to other VPCs.

use std::collections::{BTreeMap, BTreeSet};

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, EndpointServiceId, EndpointServicePermissionId, RegionName};

use super::{Acceptance, BOUNDS, Endpoint, Kind, at_most, known, permission};
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter, View};
use crate::mortal::{
    self, DONE, ReturnReply, Unsuccessful, UnsuccessfulReply, combination, invalid, mortal,
};
use crate::resource::{self, Query, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Phase, Tx, quota};

actions! {
    "CreateVpcEndpointServiceConfiguration" => create_service, Recorded;
    "DeleteVpcEndpointServiceConfigurations" => delete_services, Recorded;
    "DescribeVpcEndpointServiceConfigurations" => describe_services, Control;
    "ModifyVpcEndpointServiceConfiguration" => modify_service, Recorded;
    "ModifyVpcEndpointServicePayerResponsibility" => modify_payer, Recorded;
    "StartVpcEndpointServicePrivateDnsVerification" => start_verification, Recorded;
}

/// An endpoint service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndpointService {
    /// Its identifier.
    pub id: EndpointServiceId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Which endpoints it takes.
    pub kind: Kind,
    /// The ARNs of its load balancers. Never empty.
    pub balancers: BTreeSet<String>,
    /// Whether its owner accepts each endpoint.
    pub acceptance: bool,
    /// The name that endpoints may take over in their VPCs.
    pub private_dns: Option<PrivateDns>,
    /// `ipv4`, `ipv6`. Never empty.
    pub address_types: BTreeSet<String>,
    /// The regions besides its own whose endpoints it takes.
    pub regions: BTreeSet<String>,
    /// Who may have endpoints to it.
    pub permissions: BTreeMap<EndpointServicePermissionId, String>,
    /// Whether its owner pays for endpoints.
    pub owner_pays: bool,
    /// Where it stands.
    pub life: Life,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// The name of a service for clients.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PrivateDns {
    /// The name.
    pub name: String,
    /// What a record of the name must say for proof.
    pub proof: String,
    /// Whether the proof was looked for. There is no public DNS to find it in.
    pub failed: bool,
}

resource!(
    EndpointService,
    "vpc-endpoint-service",
    |_this, _keys| {},
    |id| {
        if resource::is_well_formed(id, "vpce-svc") {
            ApiError::new(
                "InvalidVpcEndpointServiceId.NotFound",
                format!("The VpcEndpointService Id '{id}' does not exist"),
            )
        } else {
            ApiError::new(
                "InvalidVpcEndpointServiceId.Malformed",
                format!("The VpcEndpointService Id '{id}' is malformed"),
            )
        }
    }
);

mortal!(EndpointService);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServiceType {
    pub(super) service_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Verification {
    name: String,
    state: &'static str,
    r#type: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SupportedRegion {
    region: String,
    service_state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    acceptance_required: bool,
    availability_zone_ids: Vec<String>,
    availability_zones: Vec<String>,
    base_endpoint_dns_names: Vec<String>,
    gateway_load_balancer_arns: Vec<String>,
    manages_vpc_endpoints: bool,
    network_load_balancer_arns: Vec<String>,
    payer_responsibility: Option<&'static str>,
    private_dns_name: Option<String>,
    private_dns_name_configuration: Option<Verification>,
    remote_access_enabled: bool,
    service_id: EndpointServiceId,
    service_name: String,
    service_state: &'static str,
    service_type: Vec<ServiceType>,
    supported_ip_address_types: Vec<String>,
    supported_regions: Vec<SupportedRegion>,
    tags: Vec<Tag>,
}

impl EndpointService {
    /// Its name.
    pub(crate) fn name(&self) -> String {
        format!("com.amazonaws.vpce.{}.{}", self.region, self.id)
    }

    /// The domain of its endpoints' names.
    pub(super) fn base_name(&self) -> String {
        format!("{}.{}.vpce.amazonaws.com", self.id, self.region)
    }

    /// What the owner's name for it is worth.
    pub(super) fn verification(&self) -> Option<&'static str> {
        self.private_dns.as_ref().map(|dns| {
            if dns.failed {
                "failed"
            } else {
                "pendingVerification"
            }
        })
    }

    /// The ARNs of its balancers of one kind.
    pub(super) fn arns(&self, kind: Kind) -> Vec<String> {
        let arns = self.balancers.iter().filter(|_| self.kind == kind);
        arns.cloned().collect()
    }

    /// Whether the client may have endpoints to it, naming this region as the service's.
    pub(super) fn serves(&self, ctx: &Context<'_>, region: &RegionName) -> bool {
        let reaches = self.region == ctx.region || self.regions.contains(ctx.region.as_str());
        let allowed = self.account == ctx.account
            || self
                .permissions
                .values()
                .any(|principal| permission::means(principal, ctx.account));
        !self.life.has_ended() && *region == self.region && reaches && allowed
    }

    const fn state_name(&self, view: &View<'_>) -> &'static str {
        match self.life.phase(view.now) {
            Phase::Pending => "Pending",
            Phase::Live => "Available",
            Phase::Deleting => "Deleting",
            Phase::Deleted => "Deleted",
        }
    }

    fn reply(&self, view: &View<'_>) -> Item {
        let zones = view.zones(&self.region);
        Item {
            acceptance_required: self.acceptance,
            availability_zone_ids: zones.iter().map(|zone| zone.id.clone()).collect(),
            availability_zones: zones.into_iter().map(|zone| zone.name).collect(),
            base_endpoint_dns_names: vec![self.base_name()],
            gateway_load_balancer_arns: self.arns(Kind::GatewayLoadBalancer),
            manages_vpc_endpoints: false,
            network_load_balancer_arns: self.arns(Kind::Interface),
            payer_responsibility: self.owner_pays.then_some("ServiceOwner"),
            private_dns_name: self.private_dns.as_ref().map(|dns| dns.name.clone()),
            private_dns_name_configuration: self.private_dns.as_ref().map(|dns| Verification {
                name: format!("_{:016x}", known::hash(&dns.name)),
                state: self.verification().unwrap_or_default(),
                r#type: "TXT",
                value: dns.proof.clone(),
            }),
            remote_access_enabled: !self.regions.is_empty(),
            service_id: self.id,
            service_name: self.name(),
            service_state: self.state_name(view),
            service_type: vec![ServiceType {
                service_type: self.kind.name(),
            }],
            supported_ip_address_types: self.address_types.iter().cloned().collect(),
            supported_regions: self
                .regions
                .iter()
                .map(|region| SupportedRegion {
                    region: region.clone(),
                    service_state: "Available",
                })
                .collect(),
            tags: self.tags.reply(),
        }
    }

    /// Checks what must hold of every service.
    fn check(&self) -> Result<(), ApiError> {
        let wrong = |message: &str| Err(ApiError::new("InvalidParameter", message.to_owned()));
        let part = match self.kind {
            Kind::GatewayLoadBalancer => ":loadbalancer/gwy/",
            Kind::Gateway | Kind::Interface => ":loadbalancer/net/",
        };
        for arn in &self.balancers {
            if !mortal::is_arn(arn, "elasticloadbalancing") || !arn.contains(part) {
                return Err(invalid(
                    "loadBalancerArn",
                    arn,
                    "Invalid load balancer ARN.",
                ));
            }
        }
        if self.balancers.is_empty() {
            return wrong("A VPC endpoint service must have at least one load balancer.");
        }
        if self.address_types.is_empty() {
            return wrong("A VPC endpoint service must support at least one IP address type.");
        }
        for kind in &self.address_types {
            if kind != "ipv4" && kind != "ipv6" {
                return Err(invalid("supportedIpAddressType", kind, "Unknown type."));
            }
        }
        for region in &self.regions {
            let known = region
                .parse::<RegionName>()
                .is_ok_and(|name| crate::is_region(&name));
            if !known {
                return Err(invalid("supportedRegion", region, "Unknown region."));
            }
        }
        if self.private_dns.is_some() && self.kind != Kind::Interface {
            return wrong(
                "Private DNS is supported for services with Network Load Balancers only.",
            );
        }
        Ok(())
    }
}

fn private_dns(ctx: &Context<'_>, name: &str) -> Result<PrivateDns, ApiError> {
    let labels = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name.len() > 253 || !labels.contains('.') || !labels.split('.').all(is_label) {
        return Err(invalid("privateDnsName", name, "Invalid domain name."));
    }
    Ok(PrivateDns {
        name: name.to_owned(),
        proof: format!("vpce:{:020x}", ctx.random() >> 48),
        failed: false,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateServiceRequest {
    acceptance_required: Option<bool>,
    private_dns_name: Option<String>,
    network_load_balancer_arns: Option<Vec<String>>,
    gateway_load_balancer_arns: Option<Vec<String>>,
    supported_ip_address_types: Option<Vec<String>>,
    supported_regions: Option<Vec<String>>,
    client_token: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateServiceReply {
    service_configuration: Item,
    client_token: Option<String>,
}

pub(crate) fn create_service(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateServiceRequest,
) -> Result<CreateServiceReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    mortal::forget::<EndpointService>(tx, ctx);
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &EndpointService| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let network = req.network_load_balancer_arns.unwrap_or_default();
            let gateway = req.gateway_load_balancer_arns.unwrap_or_default();
            let (kind, balancers) = match (network.is_empty(), gateway.is_empty()) {
                (false, true) => (Kind::Interface, network),
                (true, false) => (Kind::GatewayLoadBalancer, gateway),
                (true, true) => return Err(resource::missing("NetworkLoadBalancerArns")),
                (false, false) => {
                    return Err(combination(
                        "The parameter NetworkLoadBalancerArns cannot be used with the parameter GatewayLoadBalancerArns",
                    ));
                }
            };
            let types = req
                .supported_ip_address_types
                .unwrap_or_else(|| vec!["ipv4".to_owned()]);
            let service = EndpointService {
                id: EndpointServiceId::from_bits(ctx.random()),
                account: ctx.account,
                region: ctx.region.clone(),
                tags: Tags::of_new(req.tag_specifications.as_deref(), EndpointService::TYPE)?,
                kind,
                balancers: balancers.into_iter().collect(),
                acceptance: req.acceptance_required.unwrap_or(true),
                private_dns: match &req.private_dns_name {
                    Some(name) => Some(private_dns(ctx, name)?),
                    None => None,
                },
                address_types: types.into_iter().collect(),
                regions: req.supported_regions.into_iter().flatten().collect(),
                permissions: BTreeMap::new(),
                owner_pays: false,
                life: Life::begin(ctx),
                client_token: token,
            };
            service.check()?;
            let present = mortal::own::<EndpointService>(tx, ctx).count();
            quota::ENDPOINT_SERVICES.one_more(tx, ctx, present)?;
            let id = service.id;
            tx.put(service);
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(CreateServiceReply {
        service_configuration: resource::get::<EndpointService>(tx, &id)?.reply(&view),
        client_token: req.client_token,
    })
}

const FILTERS: &[Field<EndpointService>] = &[
    ("service-id", |_, s| vec![s.id.to_string()]),
    ("service-name", |_, s| vec![s.name()]),
    ("service-state", |view, s| {
        vec![s.state_name(view).to_owned()]
    }),
    ("supported-ip-address-types", |_, s| {
        s.address_types.iter().cloned().collect()
    }),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeServicesRequest {
    service_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeServicesReply {
    service_configurations: Vec<Item>,
    next_token: Option<String>,
}

pub(crate) fn describe_services(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeServicesRequest,
) -> Result<DescribeServicesReply, ApiError> {
    mortal::forget::<EndpointService>(tx, ctx);
    let query = Query {
        ids: req.service_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: at_most(req.max_results),
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<EndpointService>(tx, ctx, &query, FILTERS, &BOUNDS)?;
    let view = mortal::view(tx, ctx);
    Ok(DescribeServicesReply {
        service_configurations: page.items.into_iter().map(|s| s.reply(&view)).collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyServiceRequest {
    service_id: String,
    private_dns_name: Option<String>,
    remove_private_dns_name: Option<bool>,
    acceptance_required: Option<bool>,
    add_network_load_balancer_arns: Option<Vec<String>>,
    remove_network_load_balancer_arns: Option<Vec<String>>,
    add_gateway_load_balancer_arns: Option<Vec<String>>,
    remove_gateway_load_balancer_arns: Option<Vec<String>>,
    add_supported_ip_address_types: Option<Vec<String>>,
    remove_supported_ip_address_types: Option<Vec<String>>,
    add_supported_regions: Option<Vec<String>>,
    remove_supported_regions: Option<Vec<String>>,
}

fn change(set: &mut BTreeSet<String>, remove: Option<Vec<String>>, add: Option<Vec<String>>) {
    for text in remove.into_iter().flatten() {
        set.remove(&text);
    }
    set.extend(add.into_iter().flatten());
}

pub(crate) fn modify_service(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyServiceRequest,
) -> Result<ReturnReply, ApiError> {
    let mut service = mortal::find::<EndpointService>(tx, ctx, &req.service_id)?.clone();
    change(
        &mut service.balancers,
        req.remove_network_load_balancer_arns,
        req.add_network_load_balancer_arns,
    );
    change(
        &mut service.balancers,
        req.remove_gateway_load_balancer_arns,
        req.add_gateway_load_balancer_arns,
    );
    change(
        &mut service.address_types,
        req.remove_supported_ip_address_types,
        req.add_supported_ip_address_types,
    );
    change(
        &mut service.regions,
        req.remove_supported_regions,
        req.add_supported_regions,
    );
    service.acceptance = req.acceptance_required.unwrap_or(service.acceptance);
    match (&req.private_dns_name, req.remove_private_dns_name) {
        (Some(_), Some(true)) => {
            return Err(combination(
                "The parameter PrivateDnsName cannot be used with the parameter RemovePrivateDnsName",
            ));
        }
        (Some(name), _) => service.private_dns = Some(private_dns(ctx, name)?),
        (None, Some(true)) => service.private_dns = None,
        (None, _) => {}
    }
    service.check()?;
    tx.put(service);
    Ok(DONE)
}

/// The reply of actions that say `true` under this name.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReturnValueReply {
    return_value: bool,
}

pub(super) const DONE_VALUE: ReturnValueReply = ReturnValueReply { return_value: true };

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyPayerRequest {
    service_id: String,
    payer_responsibility: String,
}

pub(crate) fn modify_payer(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyPayerRequest,
) -> Result<ReturnValueReply, ApiError> {
    let mut service = mortal::find::<EndpointService>(tx, ctx, &req.service_id)?.clone();
    if req.payer_responsibility != "ServiceOwner" {
        return Err(invalid(
            "payerResponsibility",
            req.payer_responsibility,
            "Unknown payer.",
        ));
    }
    service.owner_pays = true;
    tx.put(service);
    Ok(DONE_VALUE)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StartVerificationRequest {
    service_id: String,
}

/// Looks for the proof that a service's owner owns its name: in public DNS, where this region can find nothing.
pub(crate) fn start_verification(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: StartVerificationRequest,
) -> Result<ReturnValueReply, ApiError> {
    let mut service = mortal::find::<EndpointService>(tx, ctx, &req.service_id)?.clone();
    let Some(dns) = &mut service.private_dns else {
        return Err(ApiError::new(
            "InvalidParameter",
            format!("The service {} has no private DNS name.", req.service_id),
        ));
    };
    dns.failed = true;
    tx.put(service);
    Ok(DONE_VALUE)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteServicesRequest {
    service_ids: Vec<String>,
}

pub(crate) fn delete_services(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteServicesRequest,
) -> Result<UnsuccessfulReply, ApiError> {
    if req.service_ids.is_empty() {
        return Err(resource::missing("ServiceId"));
    }
    let mut unsuccessful = Vec::new();
    for id in &req.service_ids {
        if let Err(error) = delete(tx, ctx, id) {
            unsuccessful.push(Unsuccessful::new(id, error));
        }
    }
    Ok(UnsuccessfulReply { unsuccessful })
}

fn delete(tx: &mut Tx, ctx: &Context<'_>, id: &str) -> Result<(), ApiError> {
    let mut service = mortal::find::<EndpointService>(tx, ctx, id)?.clone();
    let is_open = |endpoint: &Endpoint| endpoint.acceptance != Acceptance::Rejected;
    if tx.state().endpoints.of(service.id).any(is_open) {
        return Err(ApiError::new(
            "ExistingVpcEndpointConnections",
            format!("Service {id} has existing active VPC Endpoint connections!"),
        ));
    }
    service.life = Life::end(ctx);
    tx.put(service);
    Ok(())
}
