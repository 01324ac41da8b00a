//! What a service's owner sees of endpoints to it.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, EndpointId, EndpointServiceId, RegionName};

use super::service::EndpointService;
use super::{Acceptance, BOUNDS, DnsEntry, Endpoint, Kind, at_most};
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::mortal::{self, Unsuccessful, UnsuccessfulReply};
use crate::resource::Resource as _;
use crate::{Context, Life, Tx, page, resource};

actions! {
    "AcceptVpcEndpointConnections" => accept_connections, Recorded;
    "DescribeVpcEndpointConnections" => describe_connections, Control;
    "RejectVpcEndpointConnections" => reject_connections, Recorded;
}

/// `AcceptVpcEndpointConnections` and `RejectVpcEndpointConnections`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ConnectionsRequest {
    service_id: String,
    vpc_endpoint_ids: Vec<String>,
}

pub(crate) fn accept_connections(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ConnectionsRequest,
) -> Result<UnsuccessfulReply, ApiError> {
    answer(tx, ctx, &req, Acceptance::Accepted)
}

pub(crate) fn reject_connections(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ConnectionsRequest,
) -> Result<UnsuccessfulReply, ApiError> {
    answer(tx, ctx, &req, Acceptance::Rejected)
}

fn answer(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: &ConnectionsRequest,
    acceptance: Acceptance,
) -> Result<UnsuccessfulReply, ApiError> {
    let service = mortal::find::<EndpointService>(tx, ctx, &req.service_id)?.id;
    if req.vpc_endpoint_ids.is_empty() {
        return Err(resource::missing("VpcEndpointId"));
    }
    let mut unsuccessful = Vec::new();
    for id in &req.vpc_endpoint_ids {
        if let Err(error) = answer_one(tx, ctx, service, id, acceptance) {
            unsuccessful.push(Unsuccessful::new(id, error));
        }
    }
    Ok(UnsuccessfulReply { unsuccessful })
}

/// Accepts an endpoint that waits or was rejected; rejects one that waits or was accepted.
fn answer_one(
    tx: &mut Tx,
    ctx: &Context<'_>,
    service: EndpointServiceId,
    id: &str,
    acceptance: Acceptance,
) -> Result<(), ApiError> {
    let key: EndpointId = id.parse().map_err(|_| Endpoint::not_found(id))?;
    let endpoint = tx
        .get::<Endpoint>(&key)
        .filter(|endpoint| endpoint.service_id == Some(service) && !endpoint.life.has_ended())
        .ok_or_else(|| Endpoint::not_found(id))?;
    if endpoint.acceptance == acceptance {
        return Err(ApiError::new(
            "InvalidState",
            format!(
                "The Vpc Endpoint {id} is in the state {}",
                endpoint.state_name(ctx.now)
            ),
        ));
    }
    let mut endpoint = endpoint.clone();
    endpoint.acceptance = acceptance;
    endpoint.life = Life::begin(ctx);
    tx.put(endpoint);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeConnectionsRequest {
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeConnectionsReply {
    vpc_endpoint_connections: Vec<Item>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    creation_timestamp: api::Timestamp,
    dns_entries: Vec<DnsEntry>,
    gateway_load_balancer_arns: Vec<String>,
    ip_address_type: String,
    network_load_balancer_arns: Vec<String>,
    service_id: EndpointServiceId,
    vpc_endpoint_connection_id: String,
    vpc_endpoint_id: EndpointId,
    vpc_endpoint_owner: AccountId,
    vpc_endpoint_region: RegionName,
    vpc_endpoint_state: &'static str,
}

const FILTERS: &[&str] = &[
    "ip-address-type",
    "service-id",
    "transit-gateway-attachment-id",
    "vpc-endpoint-id",
    "vpc-endpoint-owner",
    "vpc-endpoint-region",
    "vpc-endpoint-state",
];

pub(crate) fn describe_connections(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeConnectionsRequest,
) -> Result<DescribeConnectionsReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(&filters, FILTERS)?;
    let state = tx.state();
    let mut items = Vec::new();
    for service in mortal::own::<EndpointService>(tx, ctx) {
        for endpoint in state.endpoints.of(service.id) {
            let item = Item {
                creation_timestamp: api::Timestamp::from_millis(endpoint.created.0),
                dns_entries: endpoint.names(state),
                gateway_load_balancer_arns: service.arns(Kind::GatewayLoadBalancer),
                ip_address_type: endpoint.address_type.clone(),
                network_load_balancer_arns: service.arns(Kind::Interface),
                service_id: service.id,
                vpc_endpoint_connection_id: format!("vpce-con-{:017x}", endpoint.id.bits()),
                vpc_endpoint_id: endpoint.id,
                vpc_endpoint_owner: endpoint.account,
                vpc_endpoint_region: endpoint.region.clone(),
                vpc_endpoint_state: endpoint.state_name(ctx.now),
            };
            let passes = filter::matches_plain(
                &filters,
                &[
                    ("ip-address-type", &item.ip_address_type),
                    ("service-id", &item.service_id.to_string()),
                    ("vpc-endpoint-id", &item.vpc_endpoint_id.to_string()),
                    ("vpc-endpoint-owner", &item.vpc_endpoint_owner.to_string()),
                    ("vpc-endpoint-region", item.vpc_endpoint_region.as_str()),
                    ("vpc-endpoint-state", item.vpc_endpoint_state),
                ],
            );
            if passes {
                items.push(item);
            }
        }
    }
    items.sort_by_key(|item| item.vpc_endpoint_id);
    let page = page::cut(
        items.into_iter(),
        |item| item.vpc_endpoint_id.to_string(),
        &BOUNDS,
        at_most(req.max_results),
        req.next_token.as_deref(),
    )?;
    Ok(DescribeConnectionsReply {
        vpc_endpoint_connections: page.items,
        next_token: page.next_token,
    })
}
