//! Policy tables of transit gateways: rules that choose a route table.

use std::collections::BTreeMap;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, Cidr, RegionName, TransitGatewayAttachmentId, TransitGatewayId,
    TransitGatewayPolicyTableId, TransitGatewayRouteTableId,
};

use super::association::attachment_of;
use super::{
    Mortal as _, TransitGateway, TransitGatewayAttachment, TransitGatewayRouteTable,
    association_word, available, forget, incorrect_state, invalid_value, mortal, present,
    state_word, time, unknown,
};
use crate::dispatch::actions;
use crate::filter::{self, Field, Filter};
use crate::life::{Life, Phase};
use crate::page::{self, USUAL_BOUNDS};
use crate::resource::{self, Query, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, quota};

actions! {
    "AssociateTransitGatewayPolicyTable" => associate_transit_gateway_policy_table, Recorded;
    "CreateTransitGatewayPolicyTable" => create_transit_gateway_policy_table, Recorded;
    "DeleteTransitGatewayPolicyTable" => delete_transit_gateway_policy_table, Recorded;
    "DescribeTransitGatewayPolicyTables" => describe_transit_gateway_policy_tables, Control;
    "DisassociateTransitGatewayPolicyTable" => disassociate_transit_gateway_policy_table, Recorded;
    "GetTransitGatewayPolicyTableAssociations" => get_transit_gateway_policy_table_associations, Control;
}

/// A policy table of a transit gateway. Which attachments are associated with it stands in their records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitGatewayPolicyTable {
    /// Its identifier.
    pub id: TransitGatewayPolicyTableId,
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
    /// Its rules, by number.
    pub entries: BTreeMap<u32, PolicyEntry>,
}

/// A rule of a policy table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyEntry {
    /// What it matches.
    pub rule: PolicyRule,
    /// The table that routes what matches. Of the same gateway.
    pub target: TransitGatewayRouteTableId,
}

/// What a rule of a policy table matches; what it does not name is any.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PolicyRule {
    /// Source addresses.
    pub source_cidr_block: Option<String>,
    /// Source ports: `*`, `80`, `1024-65535`.
    pub source_port_range: Option<String>,
    /// Destination addresses.
    pub destination_cidr_block: Option<String>,
    /// Destination ports.
    pub destination_port_range: Option<String>,
    /// The protocol's number, or `*`.
    pub protocol: Option<String>,
    /// What the other side says about itself.
    pub meta_data: Option<PolicyMetaData>,
}

/// A key and its value, by which a rule of a policy table matches.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PolicyMetaData {
    /// The key.
    pub meta_data_key: Option<String>,
    /// The value.
    pub meta_data_value: Option<String>,
}

impl PolicyRule {
    /// Checks what a client gave.
    ///
    /// # Errors
    /// `InvalidParameterValue`.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        for (text, name) in [
            (&self.source_cidr_block, "SourceCidrBlock"),
            (&self.destination_cidr_block, "DestinationCidrBlock"),
        ] {
            if let Some(text) = text {
                text.parse::<Cidr>()
                    .map_err(|_| invalid_value(text, name))?;
            }
        }
        for (text, name) in [
            (&self.source_port_range, "SourcePortRange"),
            (&self.destination_port_range, "DestinationPortRange"),
        ] {
            let Some(text) = text.as_deref().filter(|text| *text != "*") else {
                continue;
            };
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            let is_range = matches!((from.parse::<u16>(), to.parse::<u16>()), (Ok(from), Ok(to)) if from <= to);
            if !is_range {
                return Err(invalid_value(&text, name));
            }
        }
        let protocol = self.protocol.as_deref().filter(|text| *text != "*");
        if let Some(text) = protocol.filter(|text| text.parse::<u8>().is_err()) {
            return Err(invalid_value(&text, "Protocol"));
        }
        Ok(())
    }
}

resource!(
    TransitGatewayPolicyTable,
    "transit-gateway-policy-table",
    |this, keys| {
        keys.of([this.gateway]);
        keys.of(this.entries.values().map(|entry| entry.target));
    },
    |id| unknown(
        id,
        "tgw-ptb",
        "Transit Gateway Policy Table",
        "InvalidTransitGatewayPolicyTableId.NotFound",
        "InvalidTransitGatewayPolicyTableId.Malformed"
    )
);
mortal!(TransitGatewayPolicyTable);

impl TransitGatewayPolicyTable {
    fn reply(&self, now: Timestamp) -> TableItem {
        TableItem {
            transit_gateway_policy_table_id: self.id,
            transit_gateway_id: self.gateway,
            state: state_word(self.phase(now)),
            creation_time: time(self.created),
            tags: self.tags.reply(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TableItem {
    transit_gateway_policy_table_id: TransitGatewayPolicyTableId,
    transit_gateway_id: TransitGatewayId,
    state: &'static str,
    creation_time: api::Timestamp,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TableReply {
    transit_gateway_policy_table: TableItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTableRequest {
    transit_gateway_id: String,
    tag_specifications: Option<Vec<TagSpecification>>,
}

pub(crate) fn create_transit_gateway_policy_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateTableRequest,
) -> Result<TableReply, ApiError> {
    forget::<TransitGatewayPolicyTable>(tx, ctx);
    let gateway = available::<TransitGateway>(tx, ctx, &req.transit_gateway_id)?.id;
    let tables = tx.state().transit_gateway_policy_tables.of(gateway);
    let present = tables.filter(|table| !table.life.has_ended()).count();
    quota::POLICY_TABLES.one_more(tx, ctx, present)?;
    let table = TransitGatewayPolicyTable {
        id: TransitGatewayPolicyTableId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::of_new(
            req.tag_specifications.as_deref(),
            "transit-gateway-policy-table",
        )?,
        gateway,
        created: ctx.now,
        life: Life::begin(ctx),
        entries: BTreeMap::new(),
    };
    let reply = table.reply(ctx.now);
    tx.put(table);
    Ok(TableReply {
        transit_gateway_policy_table: reply,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeTablesRequest {
    transit_gateway_policy_table_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeTablesReply {
    transit_gateway_policy_tables: Vec<TableItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<TransitGatewayPolicyTable>] = &[
    ("state", |view, table| {
        vec![state_word(table.phase(view.now)).to_owned()]
    }),
    ("transit-gateway-id", |_, table| {
        vec![table.gateway.to_string()]
    }),
    ("transit-gateway-policy-table-id", |_, table| {
        vec![table.id.to_string()]
    }),
];

pub(crate) fn describe_transit_gateway_policy_tables(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeTablesRequest,
) -> Result<DescribeTablesReply, ApiError> {
    forget::<TransitGatewayPolicyTable>(tx, ctx);
    let query = Query {
        ids: req.transit_gateway_policy_table_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page =
        resource::describe::<TransitGatewayPolicyTable>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeTablesReply {
        transit_gateway_policy_tables: page.items.into_iter().map(|t| t.reply(ctx.now)).collect(),
        next_token: page.next_token,
    })
}

/// The request of the actions on a policy table and an attachment.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct PairRequest {
    transit_gateway_policy_table_id: String,
    transit_gateway_attachment_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssociationReply {
    association: AssociationItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    transit_gateway_policy_table_id: TransitGatewayPolicyTableId,
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    resource_id: String,
    resource_type: &'static str,
    state: &'static str,
}

fn association(
    attachment: &TransitGatewayAttachment,
    table: &TransitGatewayPolicyTable,
    state: &'static str,
) -> AssociationItem {
    AssociationItem {
        transit_gateway_policy_table_id: table.id,
        transit_gateway_attachment_id: attachment.id,
        resource_id: attachment.resource(table.gateway),
        resource_type: attachment.kind.resource_type(),
        state,
    }
}

pub(crate) fn associate_transit_gateway_policy_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PairRequest,
) -> Result<AssociationReply, ApiError> {
    let id = &req.transit_gateway_policy_table_id;
    let table = available::<TransitGatewayPolicyTable>(tx, ctx, id)?.clone();
    let id = &req.transit_gateway_attachment_id;
    let mut attachment = attachment_of(tx, ctx, table.gateway, &table.id, id)?.clone();
    let life = Life::begin(ctx);
    if let Some(end) = attachment.end_at_mut(table.gateway) {
        if end.associated(ctx.now).is_some() || end.policy(ctx.now).is_some() {
            return Err(ApiError::new(
                "Resource.AlreadyAssociated",
                format!(
                    "Transit Gateway Attachment {id} is already associated to a route table or a policy table."
                ),
            ));
        }
        end.policy = Some((table.id, life));
    }
    tx.put(attachment.clone());
    let state = association_word(life.phase(ctx.now)).unwrap_or("associated");
    Ok(AssociationReply {
        association: association(&attachment, &table, state),
    })
}

pub(crate) fn disassociate_transit_gateway_policy_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PairRequest,
) -> Result<AssociationReply, ApiError> {
    let id = &req.transit_gateway_policy_table_id;
    let table = present::<TransitGatewayPolicyTable>(tx, ctx, id)?.clone();
    let id = &req.transit_gateway_attachment_id;
    let mut attachment = present::<TransitGatewayAttachment>(tx, ctx, id)?.clone();
    let Some(end) = attachment
        .end_at_mut(table.gateway)
        .filter(|end| end.policy(ctx.now).is_some_and(|(of, _)| of == table.id))
    else {
        return Err(ApiError::new(
            "InvalidTransitGatewayPolicyTableAssociation.NotFound",
            format!(
                "Transit Gateway Attachment {id} is not associated to {}.",
                table.id
            ),
        ));
    };
    let life = Life::end(ctx);
    end.policy = Some((table.id, life)).filter(|_| life.phase(ctx.now) != Phase::Deleted);
    tx.put(attachment.clone());
    Ok(AssociationReply {
        association: association(&attachment, &table, "disassociating"),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetAssociationsRequest {
    transit_gateway_policy_table_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetAssociationsReply {
    associations: Vec<AssociationItem>,
    next_token: Option<String>,
}

/// The attachments that are associated with a table now.
fn associated<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    table: &TransitGatewayPolicyTable,
) -> impl Iterator<Item = (&'t TransitGatewayAttachment, &'static str)> {
    let (id, gateway, now) = (table.id, table.gateway, ctx.now);
    let attachments = tx.state().transit_gateway_attachments.of(id);
    attachments.filter_map(move |attachment| {
        let (of, state) = attachment.end_at(gateway)?.policy(now)?;
        (of == id).then_some((attachment, state))
    })
}

pub(crate) fn get_transit_gateway_policy_table_associations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetAssociationsRequest,
) -> Result<GetAssociationsReply, ApiError> {
    let id = &req.transit_gateway_policy_table_id;
    let table = present::<TransitGatewayPolicyTable>(tx, ctx, id)?;
    let filters = req.filters.unwrap_or_default();
    let names = [
        "resource-id",
        "resource-type",
        "state",
        "transit-gateway-attachment-id",
    ];
    filter::check_plain(&filters, &names)?;
    let items = associated(tx, ctx, table)
        .map(|(attachment, state)| association(attachment, table, state))
        .filter(|item| {
            let id = item.transit_gateway_attachment_id.to_string();
            filter::matches_plain(
                &filters,
                &[
                    ("resource-id", &item.resource_id),
                    ("resource-type", item.resource_type),
                    ("state", item.state),
                    ("transit-gateway-attachment-id", &id),
                ],
            )
        });
    let page = page::cut(
        items,
        |item| item.transit_gateway_attachment_id.to_string(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(GetAssociationsReply {
        associations: page.items,
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTableRequest {
    transit_gateway_policy_table_id: String,
}

/// Deletes a table without associations.
pub(crate) fn delete_transit_gateway_policy_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteTableRequest,
) -> Result<TableReply, ApiError> {
    let id = &req.transit_gateway_policy_table_id;
    let mut table = present::<TransitGatewayPolicyTable>(tx, ctx, id)?.clone();
    if associated(tx, ctx, &table).next().is_some() {
        return Err(incorrect_state(format!(
            "{id} has non-deleted Transit Gateway Policy Table Associations"
        )));
    }
    if !table.life.has_ended() {
        table.entries.clear();
        table.life = Life::end(ctx);
        tx.put(table.clone());
    }
    Ok(TableReply {
        transit_gateway_policy_table: table.reply(ctx.now),
    })
}

/// The route table of that id, which a rule of a policy table can choose.
pub(crate) fn target(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &TransitGatewayPolicyTable,
    id: &str,
) -> Result<TransitGatewayRouteTableId, ApiError> {
    let target = available::<TransitGatewayRouteTable>(tx, ctx, id)?;
    if target.gateway != table.gateway {
        return Err(invalid_value(&id, "TargetRouteTableId"));
    }
    Ok(target.id)
}
