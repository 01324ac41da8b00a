//! `SearchTransitGatewayRoutes`.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::Cidr;

use super::route::{Route, RouteItem, hop, routes};
use super::{TransitGatewayRouteTable, invalid_value, present};
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::page::{self, USUAL_BOUNDS};
use crate::{Context, State, Tx, resource};

actions! {
    "SearchTransitGatewayRoutes" => search_transit_gateway_routes, Control;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct SearchRequest {
    transit_gateway_route_table_id: String,
    filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SearchReply {
    routes: Vec<RouteItem>,
    additional_routes_available: bool,
    next_token: Option<String>,
}

const PLAIN: &[&str] = &[
    "attachment.resource-id",
    "attachment.resource-type",
    "attachment.transit-gateway-attachment-id",
    "prefix-list-id",
    "state",
    "type",
];
const EXACT: &str = "route-search.exact-match";
const LONGEST: &str = "route-search.longest-prefix-match";
const SUBNET: &str = "route-search.subnet-of-match";
const SUPERNET: &str = "route-search.supernet-of-match";

/// The blocks that a filter on destinations names; an address is the block of itself.
fn blocks(filter: &Filter) -> Result<Vec<Cidr>, ApiError> {
    let name = filter.name.as_deref().unwrap_or_default();
    filter
        .values
        .iter()
        .map(|text| {
            text.parse::<Cidr>()
                .or_else(|_| text.parse::<IpAddr>().map(Cidr::host))
                .map_err(|_| invalid_value(text, name))
        })
        .collect()
}

fn passes(
    state: &State,
    table: &TransitGatewayRouteTable,
    route: &Route,
    plain: &[Filter],
) -> bool {
    let mut values = vec![
        ("state", route.state().to_owned()),
        ("type", route.r#type().to_owned()),
    ];
    if let Some(list) = route.prefix_list() {
        values.push(("prefix-list-id", list.to_string()));
    }
    if let Some(hop) = route.attachment.and_then(|id| hop(state, table, id)) {
        values.extend(hop.values());
    }
    let values: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    filter::matches_plain(plain, &values)
}

pub(crate) fn search_transit_gateway_routes(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: SearchRequest,
) -> Result<SearchReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = present::<TransitGatewayRouteTable>(tx, ctx, id)?;
    if req.filters.is_empty() {
        return Err(resource::missing("Filters"));
    }
    let mut names = PLAIN.to_vec();
    names.extend([EXACT, LONGEST, SUBNET, SUPERNET]);
    filter::check_plain(&req.filters, &names)?;
    let (plain, by_destination): (Vec<Filter>, Vec<Filter>) = req
        .filters
        .into_iter()
        .partition(|filter| filter.name.as_deref().is_some_and(|n| PLAIN.contains(&n)));
    let all = routes(tx.state(), ctx.now, table);
    let mut found = all.clone();
    for filter in &by_destination {
        let blocks = blocks(filter)?;
        let longest = |block: &Cidr| {
            all.iter()
                .map(|route| route.destination)
                .filter(|destination| destination.covers(*block))
                .max_by_key(|destination| destination.length())
        };
        let wanted: Vec<Cidr> = blocks.iter().filter_map(longest).collect();
        found.retain(|route| {
            let destination = route.destination;
            match filter.name.as_deref() {
                Some(EXACT) => blocks.contains(&destination),
                Some(SUBNET) => blocks.iter().any(|block| block.covers(destination)),
                Some(SUPERNET) => blocks.iter().any(|block| destination.covers(*block)),
                _ => wanted.contains(&destination),
            }
        });
    }
    found.retain(|route| passes(tx.state(), table, route, &plain));
    // EC2 gives a thousand routes at most, and says whether there are more.
    let limit = req.max_results.unwrap_or(*USUAL_BOUNDS.end());
    let page = page::cut(
        found.into_iter(),
        place,
        &USUAL_BOUNDS,
        Some(limit),
        req.next_token.as_deref(),
    )?;
    Ok(SearchReply {
        routes: page
            .items
            .into_iter()
            .map(|route| route.reply(tx.state(), table, route.state()))
            .collect(),
        additional_routes_available: page.next_token.is_some(),
        next_token: page.next_token,
    })
}

/// A route's place among those of its table: text that sorts as destinations do.
fn place(route: &Route) -> String {
    let destination = route.destination;
    match destination.network() {
        IpAddr::V4(address) => format!("4 {:08x} {:03}", address.to_bits(), destination.length()),
        IpAddr::V6(address) => format!("6 {:032x} {:03}", address.to_bits(), destination.length()),
    }
}
