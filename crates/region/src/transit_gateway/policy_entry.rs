//! The rules of policy tables.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::TransitGatewayRouteTableId;

use super::policy_table::{PolicyEntry, PolicyRule, TransitGatewayPolicyTable, target};
use super::{available, invalid_value, present};
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::page::{self, USUAL_BOUNDS};
use crate::{Context, Tx, quota};

actions! {
    "CreateTransitGatewayPolicyTableEntry" => create_transit_gateway_policy_table_entry, Recorded;
    "DeleteTransitGatewayPolicyTableEntry" => delete_transit_gateway_policy_table_entry, Recorded;
    "GetTransitGatewayPolicyTableEntries" => get_transit_gateway_policy_table_entries, Control;
    "ModifyTransitGatewayPolicyTableEntry" => modify_transit_gateway_policy_table_entry, Recorded;
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EntryItem {
    policy_rule_number: String,
    policy_rule: PolicyRule,
    target_route_table_id: TransitGatewayRouteTableId,
    state: &'static str,
}

fn item(number: u32, entry: &PolicyEntry, state: &'static str) -> EntryItem {
    EntryItem {
        policy_rule_number: number.to_string(),
        policy_rule: entry.rule.clone(),
        target_route_table_id: entry.target,
        state,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EntryReply {
    transit_gateway_policy_table_entry: EntryItem,
}

fn number(text: &str) -> Result<u32, ApiError> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| invalid_value(&text, "PolicyRuleNumber"))
}

fn not_found(table: &TransitGatewayPolicyTable, number: u32) -> ApiError {
    ApiError::new(
        "InvalidTransitGatewayPolicyTableEntry.NotFound",
        format!("{} has no entry with the rule number {number}.", table.id),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateEntryRequest {
    transit_gateway_policy_table_id: String,
    policy_rule_number: String,
    policy_rule: Option<PolicyRule>,
    target_route_table_id: String,
}

pub(crate) fn create_transit_gateway_policy_table_entry(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateEntryRequest,
) -> Result<EntryReply, ApiError> {
    let id = &req.transit_gateway_policy_table_id;
    let mut table = available::<TransitGatewayPolicyTable>(tx, ctx, id)?.clone();
    let number = number(&req.policy_rule_number)?;
    let entry = PolicyEntry {
        rule: req.policy_rule.unwrap_or_default(),
        target: target(tx, ctx, &table, &req.target_route_table_id)?,
    };
    entry.rule.check()?;
    if table.entries.contains_key(&number) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("{id} has an entry with the rule number {number} already."),
        ));
    }
    quota::POLICY_ENTRIES.check_fixed(table.entries.len().saturating_add(1))?;
    let reply = item(number, &entry, "active");
    table.entries.insert(number, entry);
    tx.put(table);
    Ok(EntryReply {
        transit_gateway_policy_table_entry: reply,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyEntryRequest {
    transit_gateway_policy_table_id: String,
    policy_rule_number: String,
    policy_rule: Option<PolicyRule>,
    target_route_table_id: Option<String>,
}

pub(crate) fn modify_transit_gateway_policy_table_entry(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyEntryRequest,
) -> Result<EntryReply, ApiError> {
    let id = &req.transit_gateway_policy_table_id;
    let mut table = available::<TransitGatewayPolicyTable>(tx, ctx, id)?.clone();
    let number = number(&req.policy_rule_number)?;
    let Some(mut entry) = table.entries.get(&number).cloned() else {
        return Err(not_found(&table, number));
    };
    if let Some(rule) = req.policy_rule {
        rule.check()?;
        entry.rule = rule;
    }
    if let Some(id) = &req.target_route_table_id {
        entry.target = target(tx, ctx, &table, id)?;
    }
    let reply = item(number, &entry, "active");
    table.entries.insert(number, entry);
    tx.put(table);
    Ok(EntryReply {
        transit_gateway_policy_table_entry: reply,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteEntryRequest {
    transit_gateway_policy_table_id: String,
    policy_rule_number: String,
}

pub(crate) fn delete_transit_gateway_policy_table_entry(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteEntryRequest,
) -> Result<EntryReply, ApiError> {
    let id = &req.transit_gateway_policy_table_id;
    let mut table = available::<TransitGatewayPolicyTable>(tx, ctx, id)?.clone();
    let number = number(&req.policy_rule_number)?;
    let Some(entry) = table.entries.remove(&number) else {
        return Err(not_found(&table, number));
    };
    tx.put(table);
    Ok(EntryReply {
        transit_gateway_policy_table_entry: item(number, &entry, "deleted"),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetEntriesRequest {
    transit_gateway_policy_table_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetEntriesReply {
    transit_gateway_policy_table_entries: Vec<EntryItem>,
    next_token: Option<String>,
}

pub(crate) fn get_transit_gateway_policy_table_entries(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetEntriesRequest,
) -> Result<GetEntriesReply, ApiError> {
    let id = &req.transit_gateway_policy_table_id;
    let table = present::<TransitGatewayPolicyTable>(tx, ctx, id)?;
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &[
            "policy-rule-number",
            "policy-rule.destination-ip",
            "policy-rule.destination-port",
            "policy-rule.meta-data.key",
            "policy-rule.meta-data.value",
            "policy-rule.protocol",
            "policy-rule.source-ip",
            "policy-rule.source-port",
            "target-route-table-id",
        ],
    )?;
    let matching = table.entries.iter().filter(|(number, entry)| {
        let (rule, meta) = (
            &entry.rule,
            entry.rule.meta_data.clone().unwrap_or_default(),
        );
        let values = [
            ("policy-rule-number", Some(number.to_string())),
            (
                "policy-rule.destination-ip",
                rule.destination_cidr_block.clone(),
            ),
            (
                "policy-rule.destination-port",
                rule.destination_port_range.clone(),
            ),
            ("policy-rule.meta-data.key", meta.meta_data_key),
            ("policy-rule.meta-data.value", meta.meta_data_value),
            ("policy-rule.protocol", rule.protocol.clone()),
            ("policy-rule.source-ip", rule.source_cidr_block.clone()),
            ("policy-rule.source-port", rule.source_port_range.clone()),
            ("target-route-table-id", Some(entry.target.to_string())),
        ];
        let values: Vec<(&str, &str)> = values
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
            .collect();
        filter::matches_plain(&filters, &values)
    });
    let page = page::cut(
        matching,
        |(number, _)| format!("{number:010}"),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(GetEntriesReply {
        transit_gateway_policy_table_entries: page
            .items
            .into_iter()
            .map(|(number, entry)| item(*number, entry, "active"))
            .collect(),
        next_token: page.next_token,
    })
}
