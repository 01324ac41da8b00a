//! VPC endpoints: what of services is in a VPC. Services are in [`service`], EC2's own ones in [`known`]; endpoints are
//! made in [`create`] and changed in [`change`].

pub(crate) mod change;
pub(crate) mod connection;
pub(crate) mod create;
pub(crate) mod known;
pub(crate) mod notification;
pub(crate) mod permission;
pub(crate) mod service;
pub(crate) mod services;

use std::collections::{BTreeMap, BTreeSet};

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, EndpointId, EndpointServiceId, GroupId, InterfaceId, RegionName, RouteTableId,
    SubnetId, VpcId,
};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{describe, mortal};
use crate::resource::{self, resource};
use crate::security_group::{GroupIdentifier, identifiers};
use crate::tags::{Tag, Tags};
use crate::{Life, Phase, State, Timestamp, Tx};

actions! {
    "DescribeVpcEndpoints" => describe_vpc_endpoints, Control;
}

/// A VPC endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its identifier.
    pub id: EndpointId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// How it is reached.
    pub kind: Kind,
    /// The VPC it is in.
    pub vpc: VpcId,
    /// The service's name.
    pub service: String,
    /// The service, if an account made it; its owner sees the endpoint as a connection.
    pub service_id: Option<EndpointServiceId>,
    /// The region of the service.
    pub service_region: RegionName,
    /// Who may do what through it: the client's own JSON, or none for the default.
    pub policy: Option<String>,
    /// Of a gateway: the tables that have a route to it.
    pub route_tables: BTreeSet<RouteTableId>,
    /// Of the other kinds: its interface in each subnet; at most one subnet of a zone.
    pub subnets: BTreeMap<SubnetId, InterfaceId>,
    /// The groups of its interfaces.
    pub groups: Vec<GroupId>,
    /// Its addresses' family: `ipv4`, `dualstack`, `ipv6`.
    pub address_type: String,
    /// What its names mean.
    pub dns: DnsOptions,
    /// Whether the service's own name means it in its VPC.
    pub private_dns: bool,
    /// What the service's owner says to it.
    pub acceptance: Acceptance,
    /// When it was made.
    pub created: Timestamp,
    /// Where it stands, once it is accepted.
    pub life: Life,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// How an endpoint is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// By routes to a prefix list.
    Gateway,
    /// By interfaces in subnets.
    Interface,
    /// By routes to an interface, before a Gateway Load Balancer.
    GatewayLoadBalancer,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Gateway => "Gateway",
            Kind::Interface => "Interface",
            Kind::GatewayLoadBalancer => "GatewayLoadBalancer",
        }
    }
}

/// What the owner of a service says to an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Acceptance {
    /// It is welcome.
    Accepted,
    /// Nothing yet.
    Pending,
    /// It is not.
    Rejected,
}

/// What an endpoint's names mean.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DnsOptions {
    /// Which records there are: `ipv4`, `dualstack`, `ipv6`, `service-defined`.
    pub dns_record_ip_type: Option<String>,
    /// Whether the service's name means the endpoint only to who asks from outside.
    pub private_dns_only_for_inbound_resolver_endpoint: Option<bool>,
}

/// The tag of a service that names the network interface which serves. In EC2 the service has a Network Load Balancer
/// for it, which Polder does not have.
const BACKEND: &str = "polder:backend";
/// The tag of a service that names the network interface whose address the backend sees as source, as it would see a load
/// balancer's.
const FRONT: &str = "polder:front";

impl Endpoint {
    /// The endpoint as hosts see it; `None` if nothing serves behind it.
    pub(crate) fn project(&self, state: &State) -> Option<topology::Endpoint> {
        let works = self.kind == Kind::Interface
            && self.acceptance == Acceptance::Accepted
            && !self.life.has_ended();
        let service = self.service_id.filter(|_| works)?;
        let service = state.endpoint_services.get(&service)?;
        let named = |tag| service.tags.0.get(tag)?.parse::<InterfaceId>().ok();
        Some(topology::Endpoint {
            id: self.id,
            vpc: self.vpc,
            interfaces: self.subnets.values().copied().collect(),
            provider: service.account,
            front: named(FRONT)?,
            backend: named(BACKEND)?,
        })
    }
}

/// The VPCs to which endpoints lead from this one, and from which they lead here.
pub(crate) fn connected(state: &State, vpc: VpcId) -> impl Iterator<Item = VpcId> {
    let home = |id: InterfaceId| state.interfaces.get(&id).map(|interface| interface.vpc);
    let here = state.endpoints.of(vpc).filter_map(|e| e.project(state));
    let there = state
        .endpoint_services
        .values()
        .filter(move |service| {
            let front = service.tags.0.get(FRONT);
            front.and_then(|id| home(id.parse().ok()?)) == Some(vpc)
        })
        .flat_map(|service| state.endpoints.of(service.id));
    let there = there.filter_map(|endpoint| endpoint.project(state));
    here.filter_map(move |endpoint| home(endpoint.front))
        .chain(there.map(|endpoint| endpoint.vpc))
}

resource!(
    Endpoint,
    "vpc-endpoint",
    |this, keys| {
        if !this.life.has_ended() {
            keys.of([this.vpc]);
            keys.of(this.service_id);
            keys.of(this.route_tables.iter().copied());
            keys.of(this.subnets.keys().copied());
            keys.of(this.subnets.values().copied());
            keys.of(this.groups.iter().copied());
        }
    },
    |id| {
        if resource::is_well_formed(id, "vpce") {
            ApiError::new(
                "InvalidVpcEndpointId.NotFound",
                format!("The Vpc Endpoint Id '{id}' does not exist"),
            )
        } else {
            ApiError::new(
                "InvalidVpcEndpointId.Malformed",
                format!("The Vpc Endpoint Id '{id}' is malformed"),
            )
        }
    }
);

mortal!(Endpoint);

/// The policy of an endpoint whose maker gave none: everybody may do everything.
pub(crate) const DEFAULT_POLICY: &str = r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;

/// Checks a policy's form: statements that say what they allow or deny.
///
/// # Errors
/// `InvalidPolicyDocument`.
pub(crate) fn check_policy(text: &str) -> Result<(), ApiError> {
    /// PrivateLink "Endpoint policies".
    const MAX: usize = 20_480;
    let wrong = |why: &str| {
        ApiError::new(
            "InvalidPolicyDocument",
            format!("The policy document is invalid: {why}."),
        )
    };
    if text.len() > MAX {
        return Err(wrong("it is too long"));
    }
    let policy: serde_json::Value =
        serde_json::from_str(text).map_err(|_| wrong("it is not JSON"))?;
    let policy = policy.as_object().ok_or_else(|| wrong("it is no object"))?;
    let known = ["Version", "Id", "Statement"];
    if policy.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(wrong("it has a member that no policy has"));
    }
    let statements = match policy.get("Statement") {
        Some(serde_json::Value::Array(statements)) if !statements.is_empty() => statements.clone(),
        Some(one @ serde_json::Value::Object(_)) => vec![one.clone()],
        _ => return Err(wrong("it has no statement")),
    };
    for statement in statements {
        let has = |name: &str| statement.get(name).is_some();
        let effect = statement.get("Effect").and_then(|effect| effect.as_str());
        if !matches!(effect, Some("Allow" | "Deny")) {
            return Err(wrong("the effect of a statement is neither Allow nor Deny"));
        }
        for (name, not) in [
            ("Action", "NotAction"),
            ("Resource", "NotResource"),
            ("Principal", "NotPrincipal"),
        ] {
            if has(name) == has(not) {
                return Err(wrong(&format!(
                    "a statement must have {name} or {not}, and not both"
                )));
            }
        }
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Item {
    creation_timestamp: api::Timestamp,
    dns_entries: Vec<DnsEntry>,
    dns_options: Option<DnsOptions>,
    groups: Vec<GroupIdentifier>,
    ip_address_type: String,
    network_interface_ids: Vec<InterfaceId>,
    owner_id: AccountId,
    policy_document: Option<String>,
    private_dns_enabled: bool,
    requester_managed: bool,
    route_table_ids: Vec<RouteTableId>,
    service_name: String,
    service_region: Option<RegionName>,
    state: &'static str,
    subnet_ids: Vec<SubnetId>,
    tags: Vec<Tag>,
    vpc_endpoint_id: EndpointId,
    vpc_endpoint_type: &'static str,
    vpc_id: VpcId,
}

/// A name of an endpoint.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DnsEntry {
    dns_name: String,
    hosted_zone_id: String,
}

/// Text that follows from a name, of capital letters and digits: what Route 53's ids of zones are made of.
fn zone_id(name: &str) -> String {
    const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut hash = known::hash(name);
    let mut id = String::from("Z");
    for _ in 0..12 {
        let index = usize::try_from(hash % 36).unwrap_or_default();
        id.push(LETTERS.get(index).copied().map_or('0', char::from));
        hash /= 36;
    }
    id
}

impl Endpoint {
    /// EC2's word for its state.
    pub(crate) const fn state_name(&self, now: Timestamp) -> &'static str {
        match (self.life.phase(now), self.acceptance) {
            (Phase::Deleting, _) => "deleting",
            (Phase::Deleted, _) => "deleted",
            (_, Acceptance::Pending) => "pendingAcceptance",
            (_, Acceptance::Rejected) => "rejected",
            (Phase::Pending, Acceptance::Accepted) => "pending",
            (Phase::Live, Acceptance::Accepted) => "available",
        }
    }

    /// Its names: the regional one, one for each zone, and the service's own.
    pub(crate) fn names(&self, state: &State) -> Vec<DnsEntry> {
        if self.kind != Kind::Interface || self.life.has_ended() {
            return Vec::new();
        }
        let service = match self.service_id {
            Some(id) => id.to_string(),
            None => self
                .service
                .split('.')
                .skip(3)
                .collect::<Vec<_>>()
                .join("."),
        };
        let domain = format!("{service}.{}.vpce.amazonaws.com", self.region);
        let suffix = format!("{:08x}", known::hash(&self.id.to_string()) & 0xffff_ffff);
        let zone = zone_id(&domain);
        let mut zones: Vec<&str> = self
            .subnets
            .keys()
            .filter_map(|id| state.subnets.get(id))
            .map(|subnet| subnet.zone.as_str())
            .collect();
        zones.sort_unstable();
        let regional = format!("{}-{suffix}.{domain}", self.id);
        let zonal = zones
            .into_iter()
            .map(|zone| format!("{}-{suffix}-{zone}.{domain}", self.id));
        let mut entries: Vec<DnsEntry> = std::iter::once(regional)
            .chain(zonal)
            .map(|dns_name| DnsEntry {
                dns_name,
                hosted_zone_id: zone.clone(),
            })
            .collect();
        if self.private_dns
            && let Some(name) = services::private_name(state, self)
        {
            entries.push(DnsEntry {
                hosted_zone_id: zone_id(&format!("{}/{name}", self.id)),
                dns_name: name,
            });
        }
        entries
    }

    pub(crate) fn reply(&self, view: &View<'_>) -> Item {
        let dns_options = match self.kind {
            Kind::GatewayLoadBalancer => None,
            Kind::Gateway | Kind::Interface => Some(self.dns.clone()),
        };
        let policy = match self.kind {
            Kind::GatewayLoadBalancer => None,
            Kind::Gateway | Kind::Interface => self
                .policy
                .clone()
                .or_else(|| Some(DEFAULT_POLICY.to_owned())),
        };
        Item {
            creation_timestamp: api::Timestamp::from_millis(self.created.0),
            dns_entries: self.names(view),
            dns_options,
            groups: identifiers(view, &self.groups),
            ip_address_type: self.address_type.clone(),
            network_interface_ids: self.subnets.values().copied().collect(),
            owner_id: self.account,
            policy_document: policy,
            private_dns_enabled: self.private_dns,
            requester_managed: false,
            route_table_ids: self.route_tables.iter().copied().collect(),
            service_name: self.service.clone(),
            service_region: Some(self.service_region.clone()),
            state: self.state_name(view.now),
            subnet_ids: self.subnets.keys().copied().collect(),
            tags: self.tags.reply(),
            vpc_endpoint_id: self.id,
            vpc_endpoint_type: self.kind.name(),
            vpc_id: self.vpc,
        }
    }
}

const FILTERS: &[Field<Endpoint>] = &[
    ("ip-address-type", |_, e| vec![e.address_type.clone()]),
    ("service-name", |_, e| vec![e.service.clone()]),
    ("service-region", |_, e| vec![e.service_region.to_string()]),
    ("vpc-endpoint-id", |_, e| vec![e.id.to_string()]),
    ("vpc-endpoint-state", |view, e| {
        vec![e.state_name(view.now).to_owned()]
    }),
    ("vpc-endpoint-type", |_, e| vec![e.kind.name().to_owned()]),
    ("vpc-id", |_, e| vec![e.vpc.to_string()]),
];

/// EC2: "If the value is greater than 1,000, we return only 1,000 items."
pub(crate) const BOUNDS: std::ops::RangeInclusive<i64> = 1..=1000;

/// `MaxResults` of the actions of endpoints: more than the bound is the bound.
pub(crate) fn at_most(max_results: Option<i64>) -> Option<i64> {
    max_results.map(|number| number.min(*BOUNDS.end()))
}

describe!(
    describe_vpc_endpoints(DescribeVpcEndpointsRequest { vpc_endpoint_ids, filters })
        -> DescribeVpcEndpointsReply { vpc_endpoints: Item },
    Endpoint, FILTERS, BOUNDS, forget Endpoint
);

/// The gateway endpoints that a route table leads to, by id.
pub(crate) fn gateways_of(state: &State, table: RouteTableId) -> impl Iterator<Item = &Endpoint> {
    state
        .endpoints
        .of(table)
        .filter(|endpoint| endpoint.kind == Kind::Gateway)
}

/// Takes a route table that goes from the endpoints that it leads to.
pub(crate) fn forget_route_table(tx: &mut Tx, table: RouteTableId) {
    let endpoints: Vec<Endpoint> = tx.state().endpoints.of(table).cloned().collect();
    for mut endpoint in endpoints {
        endpoint.route_tables.remove(&table);
        tx.put(endpoint);
    }
}

#[cfg(test)]
mod tests;
