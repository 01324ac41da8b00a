//! Entries of managed prefix lists: how they change and are shown, version by version, and who uses a list.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr};

use crate::dispatch::actions;
use crate::page;
use crate::prefix_list::{
    self, Change, EntryParameter, PrefixList, PrefixListReply, check_name, check_size, entry_block,
    parse_entries, settles, too_many,
};
use crate::{Context, State, Tx, quota, route, security_group_permissions};

actions! {
    "GetManagedPrefixListAssociations" => get_associations, Control;
    "GetManagedPrefixListEntries" => get_entries, Control;
    "ModifyManagedPrefixList" => modify_managed_prefix_list, Enforced;
    "RestoreManagedPrefixListVersion" => restore_version, Enforced;
}

/// `GetManagedPrefixListEntries`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetEntriesRequest {
    prefix_list_id: String,
    target_version: Option<i64>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetEntriesReply {
    entries: Vec<Entry>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    cidr: Cidr,
    description: Option<String>,
}

/// A text that orders blocks as their addresses do.
fn place(cidr: Cidr) -> String {
    let bits = match cidr.network() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    format!("{bits:032x}/{:03}", cidr.length())
}

fn version_of(
    list: &PrefixList,
    version: i64,
) -> Result<&BTreeMap<Cidr, Option<String>>, ApiError> {
    u64::try_from(version)
        .ok()
        .and_then(|version| list.versions.get(&version))
        .ok_or_else(|| {
            ApiError::new(
                "NoSuchVersion",
                format!(
                    "The version {version} of the prefix list '{}' does not exist",
                    list.id
                ),
            )
        })
}

pub(crate) fn get_entries(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetEntriesRequest,
) -> Result<GetEntriesReply, ApiError> {
    let list = prefix_list::find(tx, ctx, &req.prefix_list_id)?;
    let newest = i64::try_from(list.version).unwrap_or(i64::MAX);
    let entries = version_of(&list, req.target_version.unwrap_or(newest))?;
    let page = page::cut(
        entries.iter(),
        |(cidr, _)| place(**cidr),
        &(1..=100),
        req.max_results,
        req.next_token.as_deref(),
    )?;
    let entry = |(cidr, description): (&Cidr, &Option<String>)| Entry {
        cidr: *cidr,
        description: description.clone(),
    };
    Ok(GetEntriesReply {
        entries: page.items.into_iter().map(entry).collect(),
        next_token: page.next_token,
    })
}

/// `GetManagedPrefixListAssociations`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetAssociationsRequest {
    prefix_list_id: String,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetAssociationsReply {
    prefix_list_associations: Vec<AssociationItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    resource_id: String,
    resource_owner: AccountId,
}

pub(crate) fn get_associations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetAssociationsRequest,
) -> Result<GetAssociationsReply, ApiError> {
    // Only the owner can refer to its list, so all that do are its own.
    let list = prefix_list::find_own(tx, ctx, &req.prefix_list_id)?;
    let owner = list.account;
    let mut ids: Vec<String> = tx
        .state()
        .referrers(list.id)
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    ids.sort_unstable();
    let page = page::cut(
        ids.into_iter(),
        String::clone,
        &(5..=255),
        req.max_results,
        req.next_token.as_deref(),
    )?;
    let item = |resource_id| AssociationItem {
        resource_id,
        resource_owner: owner,
    };
    Ok(GetAssociationsReply {
        prefix_list_associations: page.items.into_iter().map(item).collect(),
        next_token: page.next_token,
    })
}

/// `ModifyManagedPrefixList`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyRequest {
    prefix_list_id: String,
    current_version: Option<i64>,
    prefix_list_name: Option<String>,
    add_entries: Option<Vec<EntryParameter>>,
    remove_entries: Option<Vec<RemovedEntry>>,
    max_entries: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RemovedEntry {
    cidr: String,
}

fn wrong_modification(message: String) -> ApiError {
    ApiError::new("InvalidPrefixListModification", message)
}

/// Whether the list can change: complete, and at the version that the client has seen.
fn check_current(list: &PrefixList, ctx: &Context<'_>, seen: Option<i64>) -> Result<(), ApiError> {
    if !list.is_settled(ctx.now) {
        return Err(ApiError::new(
            "IncorrectState",
            format!(
                "The prefix list '{}' is being changed. Wait until that is complete.",
                list.id
            ),
        ));
    }
    match seen {
        Some(seen) if u64::try_from(seen) != Ok(list.version) => Err(ApiError::new(
            "PrefixListVersionMismatch",
            "The prefix list has the incorrect version number.",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Makes the entries the next version. The oldest version goes when there are too many.
fn put_version(
    tx: &Tx,
    ctx: &Context<'_>,
    list: &mut PrefixList,
    entries: BTreeMap<Cidr, Option<String>>,
) {
    list.version += 1;
    list.versions.insert(list.version, entries);
    while list.versions.len() > quota::PREFIX_LIST_VERSIONS.max(tx, ctx).max(1) {
        list.versions.pop_first();
    }
}

/// What uses the list and has no room for its new size.
fn without_room(state: &State, ctx: &Context<'_>, tx: &Tx, list: &PrefixList) -> Vec<String> {
    let groups = state.security_groups.of(list.id).filter(|group| {
        [false, true].into_iter().any(|egress| {
            security_group_permissions::check_quota_with(tx, ctx, group, egress, list).is_err()
        })
    });
    let tables = state
        .route_tables
        .of(list.id)
        .filter(|table| route::check_quota_with(tx, ctx, table, Some(list)).is_err());
    groups
        .map(|group| group.id.to_string())
        .chain(tables.map(|table| table.id.to_string()))
        .collect()
}

pub(crate) fn modify_managed_prefix_list(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyRequest,
) -> Result<PrefixListReply, ApiError> {
    let mut list = prefix_list::find_own(tx, ctx, &req.prefix_list_id)?.clone();
    let added = req.add_entries.unwrap_or_default();
    let removed = req.remove_entries.unwrap_or_default();
    let changes_entries = !added.is_empty() || !removed.is_empty();
    if changes_entries && req.current_version.is_none() {
        return Err(ApiError::missing_parameter("CurrentVersion"));
    }
    if changes_entries && req.max_entries.is_some() {
        return Err(wrong_modification(
            "You cannot modify the entries of a prefix list and modify the size of a prefix list at the same time."
                .to_owned(),
        ));
    }
    if !changes_entries && req.max_entries.is_none() && req.prefix_list_name.is_none() {
        return Err(wrong_modification(
            "The request does not change the prefix list.".to_owned(),
        ));
    }
    check_current(&list, ctx, req.current_version)?;
    // The reply still has the version from before.
    let before = list.version;
    list.change = Change::Modify;
    list.settled = settles(ctx);
    if let Some(name) = req.prefix_list_name {
        check_name(&name)?;
        list.name = name;
    }
    if changes_entries {
        let mut entries = list.versions.get(&before).cloned().unwrap_or_default();
        let added = parse_entries(&added, list.v6)?;
        for entry in &removed {
            let cidr = entry_block(&entry.cidr, list.v6)?;
            if added.contains_key(&cidr) {
                return Err(wrong_modification(format!(
                    "The CIDR '{cidr}' cannot be added and removed in one request."
                )));
            }
            if entries.remove(&cidr).is_none() {
                return Err(wrong_modification(format!(
                    "The prefix list has no entry '{cidr}' to remove."
                )));
            }
        }
        // An entry that is there already gets the new description.
        entries.extend(added);
        if entries.len() > list.max_entries {
            return Err(too_many(list.max_entries));
        }
        put_version(tx, ctx, &mut list, entries);
    }
    if let Some(number) = req.max_entries {
        let resized = PrefixList {
            max_entries: check_size(tx, ctx, number, list.entries().count())?,
            ..list.clone()
        };
        let full = without_room(tx.state(), ctx, tx, &resized);
        if full.is_empty() {
            list = resized;
        } else {
            /// "Check the state message for the IDs of the first ten resources that do not support the new maximum
            /// size."
            const NAMED: usize = 10;
            let named: Vec<String> = full.into_iter().take(NAMED).collect();
            list.change = Change::ModifyFailed(format!(
                "The following resources do not have sufficient capacity: [{}]",
                named.join(", ")
            ));
        }
    }
    let mut item = list.reply(ctx.now);
    item.in_progress("modify-in-progress", before);
    tx.put(list);
    Ok(PrefixListReply { prefix_list: item })
}

/// `RestoreManagedPrefixListVersion`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RestoreRequest {
    prefix_list_id: String,
    previous_version: i64,
    current_version: i64,
}

/// Makes an earlier version's entries the newest version.
pub(crate) fn restore_version(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RestoreRequest,
) -> Result<PrefixListReply, ApiError> {
    let mut list = prefix_list::find_own(tx, ctx, &req.prefix_list_id)?.clone();
    check_current(&list, ctx, Some(req.current_version))?;
    let entries = version_of(&list, req.previous_version)?.clone();
    if entries.len() > list.max_entries {
        return Err(too_many(list.max_entries));
    }
    let before = list.version;
    put_version(tx, ctx, &mut list, entries);
    list.change = Change::Restore;
    list.settled = settles(ctx);
    let mut item = list.reply(ctx.now);
    item.in_progress("restore-in-progress", before);
    tx.put(list);
    Ok(PrefixListReply { prefix_list: item })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, count, text};

    fn list(world: &mut World, max: usize) -> String {
        let input = json!({"PrefixListName": "l", "MaxEntries": max, "AddressFamily": "IPv4",
            "Entries": [{"Cidr": "192.0.2.0/24"}]});
        text(
            &world.ok("CreateManagedPrefixList", input),
            "PrefixList.PrefixListId",
        )
    }

    fn entries(world: &mut World, id: &str, version: Option<u64>) -> Vec<String> {
        let mut ask = json!({"PrefixListId": id});
        if let Some(version) = version {
            ask["TargetVersion"] = json!(version);
        }
        let shown = world.ok("GetManagedPrefixListEntries", ask);
        (0..count(&shown, "Entries"))
            .map(|n| text(&shown, &format!("Entries.{n}.Cidr")))
            .collect()
    }

    #[test]
    fn versions() {
        let mut world = World::new();
        world.settle = 1000;
        let id = list(&mut world, 2);
        let modify = |version: u64, add: Json, remove: Json| json!({"PrefixListId": id, "CurrentVersion": version, "AddEntries": add, "RemoveEntries": remove});
        let add = modify(1, json!([{"Cidr": "10.0.0.0/8"}]), json!([]));
        assert_eq!(
            world.err("ModifyManagedPrefixList", add.clone()),
            "IncorrectState"
        );
        world.now.0 += 1000;
        let reply = world.ok("ModifyManagedPrefixList", add.clone());
        assert_eq!(text(&reply, "PrefixList.State"), "modify-in-progress");
        assert_eq!(text(&reply, "PrefixList.Version"), "1");
        world.now.0 += 1000;
        let shown = world.ok("DescribeManagedPrefixLists", json!({"PrefixListIds": [id]}));
        assert_eq!(text(&shown, "PrefixLists.0.State"), "modify-complete");
        assert_eq!(text(&shown, "PrefixLists.0.Version"), "2");
        for (input, code) in [
            (add, "PrefixListVersionMismatch"),
            (
                modify(2, json!([{"Cidr": "11.0.0.0/8"}]), json!([])),
                "PrefixListMaxEntriesExceeded",
            ),
            (
                modify(2, json!([]), json!([{"Cidr": "11.0.0.0/8"}])),
                "InvalidPrefixListModification",
            ),
            (
                json!({"PrefixListId": id, "AddEntries": [{"Cidr": "11.0.0.0/8"}]}),
                "MissingParameter",
            ),
            (json!({"PrefixListId": id}), "InvalidPrefixListModification"),
            (
                json!({"PrefixListId": id, "MaxEntries": 1}),
                "PrefixListMaxEntriesExceeded",
            ),
        ] {
            assert_eq!(
                world.err("ModifyManagedPrefixList", input.clone()),
                code,
                "{input}"
            );
        }
        world.ok(
            "ModifyManagedPrefixList",
            modify(2, json!([]), json!([{"Cidr": "192.0.2.0/24"}])),
        );
        assert_eq!(entries(&mut world, &id, None), ["10.0.0.0/8"]);
        assert_eq!(
            entries(&mut world, &id, Some(2)),
            ["10.0.0.0/8", "192.0.2.0/24"]
        );
        world.now.0 += 1000;
        let restore = |previous: u64| json!({"PrefixListId": id, "CurrentVersion": 3, "PreviousVersion": previous});
        assert_eq!(
            world.err("RestoreManagedPrefixListVersion", restore(9)),
            "NoSuchVersion"
        );
        world.ok("RestoreManagedPrefixListVersion", restore(1));
        assert_eq!(entries(&mut world, &id, None), ["192.0.2.0/24"]);
        assert_eq!(entries(&mut world, &id, Some(4)), ["192.0.2.0/24"]);
    }

    #[test]
    fn a_list_in_rules_and_routes() {
        let mut world = World::new();
        let id = list(&mut world, 30);
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&vpc, "Vpc.VpcId");
        let group = world.ok(
            "CreateSecurityGroup",
            json!({"GroupName": "g", "Description": "d", "VpcId": vpc}),
        );
        let group = text(&group, "GroupId");
        let rule = |port: u16| {
            json!({"GroupId": group, "IpPermissions": [{"IpProtocol": "tcp", "FromPort": port,
            "ToPort": port, "PrefixListIds": [{"PrefixListId": id, "Description": "office"}]}]})
        };
        let made = world.ok("AuthorizeSecurityGroupIngress", rule(22));
        assert_eq!(text(&made, "SecurityGroupRules.0.PrefixListId"), id);
        assert_eq!(
            world.err("AuthorizeSecurityGroupIngress", rule(22)),
            "InvalidPermission.Duplicate"
        );
        // Its size counts, not what it has: 30 and 30 are the quota, and one more is too many.
        world.ok("AuthorizeSecurityGroupIngress", rule(23));
        assert_eq!(
            world.err("AuthorizeSecurityGroupIngress", rule(24)),
            "RulesPerSecurityGroupLimitExceeded"
        );
        let failed = world.ok(
            "ModifyManagedPrefixList",
            json!({"PrefixListId": id, "MaxEntries": 31}),
        );
        assert_eq!(text(&failed, "PrefixList.State"), "modify-in-progress");
        let shown = world.ok("DescribeManagedPrefixLists", json!({"PrefixListIds": [id]}));
        assert_eq!(text(&shown, "PrefixLists.0.State"), "modify-failed");
        assert_eq!(text(&shown, "PrefixLists.0.MaxEntries"), "30");
        assert!(text(&shown, "PrefixLists.0.StateMessage").contains(&group));
        // Packets meet the entries, and their changes.
        let rules = |world: &World| {
            let group = &world.state.security_groups[&group.parse().unwrap()];
            group.project(&world.state).ingress.len()
        };
        assert_eq!(rules(&world), 2);
        world.ok(
            "ModifyManagedPrefixList",
            json!({"PrefixListId": id, "CurrentVersion": 1, "AddEntries": [{"Cidr": "198.51.100.0/24"}]}),
        );
        assert_eq!(rules(&world), 4);
        // A route to the list.
        let table = world.ok("CreateRouteTable", json!({"VpcId": vpc}));
        let table = text(&table, "RouteTable.RouteTableId");
        let gateway = world.ok("CreateInternetGateway", json!({}));
        let gateway = text(&gateway, "InternetGateway.InternetGatewayId");
        world.ok(
            "AttachInternetGateway",
            json!({"InternetGatewayId": gateway, "VpcId": vpc}),
        );
        let route =
            json!({"RouteTableId": table, "DestinationPrefixListId": id, "GatewayId": gateway});
        world.ok("CreateRoute", route);
        let projected = world.state.route_tables[&table.parse().unwrap()].project(&world.state);
        assert_eq!(projected.unwrap().routes.len(), 3);
        let filters = json!([{"Name": "route.destination-prefix-list-id", "Values": [id]}]);
        let shown = world.ok("DescribeRouteTables", json!({"Filters": filters}));
        assert_eq!(count(&shown, "RouteTables"), 1);
        let users = world.ok(
            "GetManagedPrefixListAssociations",
            json!({"PrefixListId": id}),
        );
        assert_eq!(count(&users, "PrefixListAssociations"), 2);
        let delete = json!({"PrefixListId": id});
        assert_eq!(
            world.err("DeleteManagedPrefixList", delete.clone()),
            "DependencyViolation"
        );
        world.ok(
            "DeleteRoute",
            json!({"RouteTableId": table, "DestinationPrefixListId": id}),
        );
        for port in [22, 23] {
            world.ok("RevokeSecurityGroupIngress", rule(port));
        }
        world.ok("DeleteManagedPrefixList", delete);
    }
}
