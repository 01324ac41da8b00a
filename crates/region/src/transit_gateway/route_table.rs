//! Transit gateway route tables.

use std::collections::BTreeMap;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, Cidr, PrefixListId, RegionName, TransitGatewayAttachmentId, TransitGatewayId,
    TransitGatewayRouteTableId,
};

use super::prefix_list::Reference;
use super::{
    Mortal as _, TransitGateway, available, forget, incorrect_state, mortal, present, state_word,
    time, unknown,
};
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::life::Life;
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, State, Timestamp, Tx, quota};

actions! {
    "CreateTransitGatewayRouteTable" => create_transit_gateway_route_table, Enforced;
    "DeleteTransitGatewayRouteTable" => delete_transit_gateway_route_table, Enforced;
    "DescribeTransitGatewayRouteTables" => describe_transit_gateway_route_tables, Control;
}

/// A route table of a transit gateway. Which attachments are associated with it, and which propagate to it, stands in
/// the attachments' records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitGatewayRouteTable {
    /// Its identifier.
    pub id: TransitGatewayRouteTableId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The transit gateway it belongs to.
    pub gateway: TransitGatewayId,
    /// When it was created.
    pub created: Timestamp,
    /// Where it stands between pending and deleted.
    pub life: Life,
    /// Its static routes; `None` is a blackhole. An attachment may be gone since: then too.
    pub routes: BTreeMap<Cidr, Option<TransitGatewayAttachmentId>>,
    /// The prefix lists it refers to.
    #[serde(default)]
    pub prefix_lists: BTreeMap<PrefixListId, Reference>,
}

resource!(
    TransitGatewayRouteTable,
    "transit-gateway-route-table",
    |this, keys| {
        keys.of([this.gateway]);
        keys.of(this.prefix_lists.keys().copied());
    },
    |id| unknown(
        id,
        "tgw-rtb",
        "Transit Gateway Route Table",
        "InvalidRouteTableID.NotFound",
        "InvalidRouteTableId.Malformed"
    )
);
mortal!(TransitGatewayRouteTable);

impl TransitGatewayRouteTable {
    fn is_default(
        &self,
        state: &State,
        which: fn(&TransitGateway) -> Option<TransitGatewayRouteTableId>,
    ) -> bool {
        state.transit_gateways.get(&self.gateway).and_then(which) == Some(self.id)
    }

    fn associates(&self, state: &State) -> bool {
        self.is_default(state, |gateway| gateway.association_table)
    }

    fn propagates(&self, state: &State) -> bool {
        self.is_default(state, |gateway| gateway.propagation_table)
    }

    fn reply(&self, state: &State, now: Timestamp) -> TableItem {
        TableItem {
            transit_gateway_route_table_id: self.id,
            transit_gateway_id: self.gateway,
            state: state_word(self.phase(now)),
            default_association_route_table: self.associates(state),
            default_propagation_route_table: self.propagates(state),
            creation_time: time(self.created),
            tags: self.tags.reply(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TableItem {
    transit_gateway_route_table_id: TransitGatewayRouteTableId,
    transit_gateway_id: TransitGatewayId,
    state: &'static str,
    default_association_route_table: bool,
    default_propagation_route_table: bool,
    creation_time: api::Timestamp,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TableReply {
    transit_gateway_route_table: TableItem,
}

/// A table without routes; the gateway need not be stored yet.
pub(crate) fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    gateway: TransitGatewayId,
    tags: Tags,
) -> TransitGatewayRouteTableId {
    forget::<TransitGatewayRouteTable>(tx, ctx);
    let id = TransitGatewayRouteTableId::from_bits(ctx.random());
    tx.put(TransitGatewayRouteTable {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        gateway,
        created: ctx.now,
        life: Life::begin(ctx),
        routes: BTreeMap::new(),
        prefix_lists: BTreeMap::new(),
    });
    id
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTableRequest {
    transit_gateway_id: String,
    tag_specifications: Option<Vec<TagSpecification>>,
}

pub(crate) fn create_transit_gateway_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateTableRequest,
) -> Result<TableReply, ApiError> {
    let gateway = available::<TransitGateway>(tx, ctx, &req.transit_gateway_id)?.id;
    let tags = Tags::of_new(
        req.tag_specifications.as_deref(),
        "transit-gateway-route-table",
    )?;
    let tables = tx.state().transit_gateway_route_tables.of(gateway);
    let present = tables.filter(|table| !table.life.has_ended()).count();
    quota::TRANSIT_GATEWAY_ROUTE_TABLES.one_more(tx, ctx, present)?;
    let id = make(tx, ctx, gateway, tags);
    let table = resource::get::<TransitGatewayRouteTable>(tx, &id)?;
    Ok(TableReply {
        transit_gateway_route_table: table.reply(tx.state(), ctx.now),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeTablesRequest {
    transit_gateway_route_table_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeTablesReply {
    transit_gateway_route_tables: Vec<TableItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<TransitGatewayRouteTable>] = &[
    ("default-association-route-table", |view, table| {
        vec![table.associates(view.state).to_string()]
    }),
    ("default-propagation-route-table", |view, table| {
        vec![table.propagates(view.state).to_string()]
    }),
    ("state", |view, table| {
        vec![state_word(table.phase(view.now)).to_owned()]
    }),
    ("transit-gateway-id", |_, table| {
        vec![table.gateway.to_string()]
    }),
    ("transit-gateway-route-table-id", |_, table| {
        vec![table.id.to_string()]
    }),
];

pub(crate) fn describe_transit_gateway_route_tables(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeTablesRequest,
) -> Result<DescribeTablesReply, ApiError> {
    forget::<TransitGatewayRouteTable>(tx, ctx);
    let query = Query {
        ids: req.transit_gateway_route_table_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page =
        resource::describe::<TransitGatewayRouteTable>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeTablesReply {
        transit_gateway_route_tables: page
            .items
            .into_iter()
            .map(|table| table.reply(tx.state(), ctx.now))
            .collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTableRequest {
    transit_gateway_route_table_id: String,
}

/// Deletes a table that is no default table and has no associations; propagations to it end.
pub(crate) fn delete_transit_gateway_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteTableRequest,
) -> Result<TableReply, ApiError> {
    let id = &req.transit_gateway_route_table_id;
    let table = present::<TransitGatewayRouteTable>(tx, ctx, id)?.clone();
    let (id, state) = (table.id, tx.state());
    if table.associates(state) || table.propagates(state) {
        return Err(incorrect_state(format!(
            "{id} is a default route table of {}",
            table.gateway
        )));
    }
    let is_associated = state.transit_gateway_attachments.of(id).any(|attachment| {
        attachment.ends().any(|end| {
            end.associated(ctx.now)
                .is_some_and(|(table, _)| table == id)
        })
    });
    if is_associated {
        return Err(incorrect_state(format!(
            "{id} has non-deleted Transit Gateway Route Table Associations"
        )));
    }
    if state.transit_gateway_policy_tables.of(id).next().is_some() {
        return Err(incorrect_state(format!(
            "{id} is the target of an entry of a Transit Gateway Policy Table"
        )));
    }
    if !table.life.has_ended() {
        end(tx, ctx, table);
    }
    let table = resource::get::<TransitGatewayRouteTable>(tx, &id)?;
    Ok(TableReply {
        transit_gateway_route_table: table.reply(tx.state(), ctx.now),
    })
}

/// Ends a table's life, and whatever propagates to it.
pub(crate) fn end(tx: &mut Tx, ctx: &Context<'_>, mut table: TransitGatewayRouteTable) {
    let attachments = tx.state().transit_gateway_attachments.of(table.id);
    let attachments: Vec<_> = attachments.cloned().collect();
    for mut attachment in attachments {
        for end in attachment.ends_mut() {
            end.forget_table(table.id);
        }
        tx.put(attachment);
    }
    table.routes.clear();
    table.prefix_lists.clear();
    table.life = Life::end(ctx);
    tx.put(table);
}

/// How many tables of a gateway there are that routes can be in.
pub(crate) fn of_gateway(
    state: &State,
    gateway: TransitGatewayId,
) -> impl Iterator<Item = &TransitGatewayRouteTable> {
    state
        .transit_gateway_route_tables
        .of(gateway)
        .filter(|table| !table.life.has_ended())
}
