//! Managed prefix lists: record, create, describe, delete. Their entries change in [`crate::prefix_list_entries`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, PrefixListId, RegionName};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{self, Field, Filter, View};
use crate::page;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, State, Timestamp, Tx, quota};

actions! {
    "CreateManagedPrefixList" => create_managed_prefix_list, Enforced;
    "DeleteManagedPrefixList" => delete_managed_prefix_list, Enforced;
    "DescribeManagedPrefixLists" => describe_managed_prefix_lists, Control;
    "DescribePrefixLists" => describe_prefix_lists, Control;
}

/// A managed prefix list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PrefixList {
    /// Its identifier.
    pub id: PrefixListId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Its name. Those that begin with `com.amazonaws` are EC2's own, and stored nowhere.
    pub name: String,
    /// Whether it has IPv6 blocks, else IPv4 blocks.
    pub v6: bool,
    /// How many entries it may have: as many rules or routes it counts for where it is used.
    pub max_entries: usize,
    /// The number of the newest version, from 1.
    pub version: u64,
    /// The entries of each version that is kept, with their descriptions; the newest one is always there.
    pub versions: BTreeMap<u64, BTreeMap<Cidr, Option<String>>>,
    /// What was done to it last.
    pub change: Change,
    /// When that is complete.
    pub settled: Timestamp,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// What was done to a list last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// It was created.
    Create,
    /// Its name, size or entries were changed.
    Modify,
    /// It was to become larger, and something that uses it has no room for that: EC2's message.
    ModifyFailed(String),
    /// An earlier version's entries were restored.
    Restore,
    /// It is EC2's own, and never changes.
    Managed,
}

resource!(
    PrefixList,
    "prefix-list",
    |_this, keys| keys.of::<PrefixListId>([]),
    not_found
);

/// EC2's error for an id that names no list.
pub(crate) fn not_found(id: &str) -> ApiError {
    resource::unknown_id(
        id,
        "pl",
        "prefix list ID",
        "InvalidPrefixListID.NotFound",
        "InvalidPrefixListId.Malformed",
    )
}

impl PrefixList {
    /// The newest version's entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.versions
            .get(&self.version)
            .into_iter()
            .flat_map(|entries| entries.keys().copied())
    }

    /// Whether it is EC2's own.
    pub(crate) fn is_managed(&self) -> bool {
        self.change == Change::Managed
    }

    /// Whether its last change is complete.
    pub(crate) fn is_settled(&self, now: Timestamp) -> bool {
        now >= self.settled
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match (&self.change, self.is_settled(now)) {
            (Change::Create, false) => "create-in-progress",
            (Change::Create, true) | (Change::Managed, _) => "create-complete",
            (Change::Modify | Change::ModifyFailed(_), false) => "modify-in-progress",
            (Change::Modify, true) => "modify-complete",
            (Change::ModifyFailed(_), true) => "modify-failed",
            (Change::Restore, false) => "restore-in-progress",
            (Change::Restore, true) => "restore-complete",
        }
    }

    /// Who owns it, as EC2 says it.
    pub(crate) fn owner(&self) -> String {
        if self.is_managed() {
            "AWS".to_owned()
        } else {
            self.account.to_string()
        }
    }

    fn arn(&self) -> String {
        let owner = if self.is_managed() {
            "aws".to_owned()
        } else {
            self.account.to_string()
        };
        format!(
            "arn:aws:ec2:{}:{owner}:prefix-list/{}",
            self.region, self.id
        )
    }

    pub(crate) fn reply(&self, now: Timestamp) -> PrefixListItem {
        PrefixListItem {
            prefix_list_id: self.id,
            address_family: if self.v6 { "IPv6" } else { "IPv4" },
            state: self.state(now),
            state_message: match &self.change {
                Change::ModifyFailed(why) if self.is_settled(now) => Some(why.clone()),
                Change::ModifyFailed(_)
                | Change::Create
                | Change::Modify
                | Change::Restore
                | Change::Managed => None,
            },
            prefix_list_arn: self.arn(),
            prefix_list_name: self.name.clone(),
            max_entries: (!self.is_managed()).then_some(self.max_entries),
            version: (!self.is_managed()).then_some(self.version),
            tags: self.tags.reply(),
            owner_id: self.owner(),
        }
    }
}

/// EC2's own lists: the service's name, and its public blocks. They are the same in every region, of those that
/// us-east-1 has (<https://ip-ranges.amazonaws.com>): what matters is that the lists are there.
const SERVICES: [(&str, &[&str]); 2] = [
    ("dynamodb", &["52.94.0.0/22", "52.119.224.0/20"]),
    ("s3", &["3.5.0.0/19", "52.216.0.0/15", "54.231.0.0/16"]),
];

/// EC2's own lists of a region, by id. Their ids follow from their names, so that nothing needs to be stored.
pub(crate) fn managed(region: &RegionName, account: AccountId) -> Vec<PrefixList> {
    let list = |(service, blocks): &(&str, &[&str])| {
        let name = format!("com.amazonaws.{region}.{service}");
        let entries = blocks.iter().filter_map(|text| text.parse().ok());
        PrefixList {
            id: managed_id(&name),
            account,
            region: region.clone(),
            tags: Tags::default(),
            name,
            v6: false,
            max_entries: MANAGED_WEIGHT,
            version: 1,
            versions: BTreeMap::from([(1, entries.map(|cidr| (cidr, None)).collect())]),
            change: Change::Managed,
            settled: Timestamp(0),
            client_token: None,
        }
    };
    let mut lists: Vec<PrefixList> = SERVICES.iter().map(list).collect();
    lists.sort_by_key(|list| list.id);
    lists
}

/// "The weight of an AWS-managed prefix list": S3's and DynamoDB's count for one rule or route.
const MANAGED_WEIGHT: usize = 1;

/// The id of EC2's own list of that name: 64-bit FNV-1a of the name.
fn managed_id(name: &str) -> PrefixListId {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    PrefixListId::from_bits(hash.into())
}

/// EC2's own list of the service (`s3`, `dynamodb`) in a region.
pub(crate) fn of_service(region: &RegionName, service: &str) -> PrefixListId {
    managed_id(&format!("com.amazonaws.{region}.{service}"))
}

/// The list of that id that rules and routes of a region refer to.
pub(crate) fn of_id<'s>(
    state: &'s State,
    region: &RegionName,
    account: AccountId,
    id: PrefixListId,
) -> Option<Cow<'s, PrefixList>> {
    let stored = state.prefix_lists.get(&id).map(Cow::Borrowed);
    stored.or_else(|| {
        let mut managed = managed(region, account).into_iter();
        managed.find(|list| list.id == id).map(Cow::Owned)
    })
}

/// The list of that id that the client may refer to: its own, or EC2's.
///
/// # Errors
/// `InvalidPrefixListID.NotFound`, or malformed.
pub(crate) fn find<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<Cow<'t, PrefixList>, ApiError> {
    let key: PrefixListId = id.parse().map_err(|_| not_found(id))?;
    of_id(tx.state(), &ctx.region, ctx.account, key)
        .filter(|list| resource::is_visible(ctx, &**list))
        .ok_or_else(|| not_found(id))
}

/// The client's own list of that id.
///
/// # Errors
/// `OperationNotPermitted` for one of EC2's.
pub(crate) fn find_own<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t PrefixList, ApiError> {
    if find(tx, ctx, id)?.is_managed() {
        return Err(ApiError::new(
            "OperationNotPermitted",
            format!("The prefix list '{id}' is managed by AWS"),
        ));
    }
    resource::find::<PrefixList>(tx, ctx, id)
}

/// A list in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PrefixListItem {
    prefix_list_id: PrefixListId,
    address_family: &'static str,
    state: &'static str,
    state_message: Option<String>,
    prefix_list_arn: String,
    prefix_list_name: String,
    max_entries: Option<usize>,
    version: Option<u64>,
    tags: Vec<Tag>,
    owner_id: String,
}

impl PrefixListItem {
    /// Shows a change as the reply that begins it does: not yet complete, with the version from before.
    pub(crate) const fn in_progress(&mut self, state: &'static str, version: u64) {
        self.state = state;
        self.version = Some(version);
    }
}

/// `CreateManagedPrefixList`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateRequest {
    prefix_list_name: String,
    entries: Option<Vec<EntryParameter>>,
    max_entries: i64,
    tag_specifications: Option<Vec<TagSpecification>>,
    address_family: String,
    client_token: Option<String>,
}

/// An entry in a request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct EntryParameter {
    cidr: String,
    description: Option<String>,
}

/// The reply of every action that makes or changes a list.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PrefixListReply {
    pub(crate) prefix_list: PrefixListItem,
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterValue", message.into())
}

/// A name of 1 to 255 characters that is not EC2's.
pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.chars().count() > 255 || name.starts_with("com.amazonaws") {
        return Err(invalid(format!(
            "Value ({name}) for parameter prefixListName is invalid. It must have up to 255 characters and cannot start with com.amazonaws."
        )));
    }
    Ok(())
}

/// A size that a list can have.
pub(crate) fn check_size(
    tx: &Tx,
    ctx: &Context<'_>,
    number: i64,
    entries: usize,
) -> Result<usize, ApiError> {
    let number = usize::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| {
            invalid(format!(
                "Value ({number}) for parameter maxEntries is invalid. It must be at least 1."
            ))
        })?;
    quota::PREFIX_LIST_ENTRIES.check(tx, ctx, number)?;
    if entries > number {
        return Err(too_many(number));
    }
    Ok(number)
}

/// EC2's error for more entries than a list may have.
pub(crate) fn too_many(max: usize) -> ApiError {
    ApiError::new(
        "PrefixListMaxEntriesExceeded",
        format!("The number of entries exceeds the maximum of the prefix list ({max})."),
    )
}

/// A block of a list's family. EC2 takes canonical blocks only.
pub(crate) fn entry_block(text: &str, v6: bool) -> Result<Cidr, ApiError> {
    let canonical = |cidr: &Cidr| {
        let address = text
            .split('/')
            .next()
            .and_then(|a| a.parse::<IpAddr>().ok());
        cidr.is_v4() != v6 && address == Some(cidr.network())
    };
    text.parse::<Cidr>()
        .ok()
        .filter(canonical)
        .ok_or_else(|| invalid(format!("The CIDR '{text}' is invalid.")))
}

impl EntryParameter {
    /// The entry, for a list of that family.
    pub(crate) fn parse(&self, v6: bool) -> Result<(Cidr, Option<String>), ApiError> {
        let description = self.description.clone().filter(|text| !text.is_empty());
        if description
            .as_ref()
            .is_some_and(|text| text.chars().count() > 255)
        {
            return Err(invalid(
                "A description of a prefix list entry has at most 255 characters",
            ));
        }
        Ok((entry_block(&self.cidr, v6)?, description))
    }
}

/// Entries of one request, none twice.
pub(crate) fn parse_entries(
    entries: &[EntryParameter],
    v6: bool,
) -> Result<BTreeMap<Cidr, Option<String>>, ApiError> {
    /// "Entries": at most 100 in one request.
    const MAX: usize = 100;
    if entries.len() > MAX {
        return Err(invalid(format!(
            "At most {MAX} entries can be given in one request"
        )));
    }
    let mut parsed = BTreeMap::new();
    for entry in entries {
        let (cidr, description) = entry.parse(v6)?;
        if parsed.insert(cidr, description).is_some() {
            return Err(invalid(format!(
                "The CIDR '{cidr}' is specified more than once"
            )));
        }
    }
    Ok(parsed)
}

/// When what this request does is complete.
pub(crate) const fn settles(ctx: &Context<'_>) -> Timestamp {
    Timestamp(ctx.now.0.saturating_add(ctx.settings.settle))
}

pub(crate) fn create_managed_prefix_list(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateRequest,
) -> Result<PrefixListReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token)?;
    if let Some(id) = resource::earlier(tx, ctx, token.as_ref(), |list: &PrefixList| {
        list.client_token.as_ref()
    })? {
        let list = resource::get::<PrefixList>(tx, &id)?;
        return Ok(PrefixListReply {
            prefix_list: list.reply(ctx.now),
        });
    }
    check_name(&req.prefix_list_name)?;
    let v6 = match req.address_family.as_str() {
        "IPv4" => false,
        "IPv6" => true,
        other => {
            return Err(invalid(format!(
                "Value ({other}) for parameter addressFamily is invalid. Valid values are IPv4 and IPv6."
            )));
        }
    };
    let entries = parse_entries(req.entries.as_deref().unwrap_or_default(), v6)?;
    let max_entries = check_size(tx, ctx, req.max_entries, entries.len())?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), PrefixList::TYPE)?;
    let own = resource::own::<PrefixList>(tx, ctx).count();
    quota::PREFIX_LISTS.one_more(tx, ctx, own)?;
    let list = PrefixList {
        id: PrefixListId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        name: req.prefix_list_name,
        v6,
        max_entries,
        version: 1,
        versions: BTreeMap::from([(1, entries)]),
        change: Change::Create,
        settled: settles(ctx),
        client_token: token,
    };
    let mut item = list.reply(ctx.now);
    item.state = "create-in-progress";
    tx.put(list);
    Ok(PrefixListReply { prefix_list: item })
}

/// `DescribeManagedPrefixLists` and `DescribePrefixLists`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
    prefix_list_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeManagedReply {
    prefix_lists: Vec<PrefixListItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<PrefixList>] = &[
    ("owner-id", |_, list| vec![list.owner()]),
    ("prefix-list-id", |_, list| vec![list.id.to_string()]),
    ("prefix-list-name", |_, list| vec![list.name.clone()]),
];

/// The lists that a request asks for, of those with `fields` as filters.
fn asked<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    req: &DescribeRequest,
    fields: &[Field<PrefixList>],
    all: Vec<Cow<'t, PrefixList>>,
    bounds: &std::ops::RangeInclusive<i64>,
) -> Result<page::Page<Cow<'t, PrefixList>>, ApiError> {
    let filters = req.filters.as_deref().unwrap_or_default();
    filter::check(filters, fields.iter().map(|(name, _)| *name))?;
    let ids = req.prefix_list_ids.as_deref().unwrap_or_default();
    let unknown = |id: &&String| !all.iter().any(|list| list.id.to_string() == **id);
    resource::first_unknown(ids.iter().filter(unknown).map(|id| not_found(id)))?;
    let view = View::new(tx.state(), ctx);
    page::cut(
        all.into_iter()
            .filter(|list| ids.is_empty() || ids.contains(&list.id.to_string()))
            .filter(|list| filter::matches(filters, fields, &view, &**list)),
        |list| list.id.to_string(),
        bounds,
        req.max_results,
        req.next_token.as_deref(),
    )
}

pub(crate) fn describe_managed_prefix_lists(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeManagedReply, ApiError> {
    let own = resource::own::<PrefixList>(tx, ctx).map(Cow::Borrowed);
    let managed = managed(&ctx.region, ctx.account).into_iter();
    let mut all: Vec<Cow<'_, PrefixList>> = own.chain(managed.map(Cow::Owned)).collect();
    all.sort_by_key(|list| list.id);
    let page = asked(tx, ctx, &req, FILTERS, all, &(1..=100))?;
    Ok(DescribeManagedReply {
        prefix_lists: page.items.iter().map(|list| list.reply(ctx.now)).collect(),
        next_token: page.next_token,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribePrefixListsReply {
    prefix_lists: Vec<ServiceItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceItem {
    cidrs: Vec<Cidr>,
    prefix_list_id: PrefixListId,
    prefix_list_name: String,
}

/// The older action: EC2's own lists, with their blocks.
pub(crate) fn describe_prefix_lists(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribePrefixListsReply, ApiError> {
    let managed = managed(&ctx.region, ctx.account);
    let all = managed.into_iter().map(Cow::Owned).collect();
    let fields = FILTERS.get(1..).unwrap_or_default();
    let page = asked(tx, ctx, &req, fields, all, &page::USUAL_BOUNDS)?;
    let item = |list: &Cow<'_, PrefixList>| ServiceItem {
        cidrs: list.entries().collect(),
        prefix_list_id: list.id,
        prefix_list_name: list.name.clone(),
    };
    Ok(DescribePrefixListsReply {
        prefix_lists: page.items.iter().map(item).collect(),
        next_token: page.next_token,
    })
}

/// `DeleteManagedPrefixList`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRequest {
    prefix_list_id: String,
}

/// Deletes a list that nothing refers to. EC2 shows it no longer when it is gone, so it goes at once.
pub(crate) fn delete_managed_prefix_list(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRequest,
) -> Result<PrefixListReply, ApiError> {
    let list = find_own(tx, ctx, &req.prefix_list_id)?;
    let id = list.id;
    if !tx.state().referrers(id).is_empty() {
        return Err(resource::in_use("prefix list", &id));
    }
    let mut item = list.reply(ctx.now);
    item.state = "delete-in-progress";
    tx.remove::<PrefixList>(&id);
    Ok(PrefixListReply { prefix_list: item })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    #[test]
    fn lists_come_and_go() {
        let mut world = World::new();
        let input = json!({"PrefixListName": "office", "MaxEntries": 3, "AddressFamily": "IPv4", "ClientToken": "t",
            "Entries": [{"Cidr": "192.0.2.0/24", "Description": "d"}, {"Cidr": "10.0.0.0/8"}],
            "TagSpecifications": [{"ResourceType": "prefix-list", "Tags": [{"Key": "k", "Value": "v"}]}]});
        let made = world.ok("CreateManagedPrefixList", input.clone());
        let id = text(&made, "PrefixList.PrefixListId");
        assert_eq!(text(&made, "PrefixList.State"), "create-in-progress");
        assert_eq!(text(&made, "PrefixList.Version"), "1");
        let again = world.ok("CreateManagedPrefixList", input);
        assert_eq!(text(&again, "PrefixList.PrefixListId"), id);
        let shown = world.ok("DescribeManagedPrefixLists", json!({"PrefixListIds": [id]}));
        assert_eq!(text(&shown, "PrefixLists.0.State"), "create-complete");
        assert_eq!(text(&shown, "PrefixLists.0.Tags.0.Value"), "v");
        world.account = account("444455556666");
        assert_eq!(
            world.err("DescribeManagedPrefixLists", json!({"PrefixListIds": [id]})),
            "InvalidPrefixListID.NotFound"
        );
        world.account = account("111122223333");
        let delete = json!({"PrefixListId": id});
        let gone = world.ok("DeleteManagedPrefixList", delete.clone());
        assert_eq!(text(&gone, "PrefixList.State"), "delete-in-progress");
        assert_eq!(
            world.err("DeleteManagedPrefixList", delete),
            "InvalidPrefixListID.NotFound"
        );
    }

    #[test]
    fn lists_that_are_refused() {
        let mut world = World::new();
        let list = |name: &str, max: i64, family: &str, cidr: &str| json!({"PrefixListName": name, "MaxEntries": max, "AddressFamily": family, "Entries": [{"Cidr": cidr}]});
        for (input, code) in [
            (
                list("com.amazonaws.x", 1, "IPv4", "10.0.0.0/8"),
                "InvalidParameterValue",
            ),
            (list("x", 0, "IPv4", "10.0.0.0/8"), "InvalidParameterValue"),
            (
                list("x", 1001, "IPv4", "10.0.0.0/8"),
                "PrefixListMaxEntriesExceeded",
            ),
            (list("x", 1, "ipv4", "10.0.0.0/8"), "InvalidParameterValue"),
            (list("x", 1, "IPv6", "10.0.0.0/8"), "InvalidParameterValue"),
            (list("x", 1, "IPv4", "10.1.0.0/8"), "InvalidParameterValue"),
        ] {
            assert_eq!(
                world.err("CreateManagedPrefixList", input.clone()),
                code,
                "{input}"
            );
        }
        let two = json!({"PrefixListName": "x", "MaxEntries": 1, "AddressFamily": "IPv4",
            "Entries": [{"Cidr": "10.0.0.0/8"}, {"Cidr": "11.0.0.0/8"}]});
        assert_eq!(
            world.err("CreateManagedPrefixList", two),
            "PrefixListMaxEntriesExceeded"
        );
    }

    #[test]
    fn the_services_have_lists() {
        let mut world = World::new();
        let s3 = super::of_service(&"us-east-1".parse().unwrap(), "s3").to_string();
        let all = world.ok("DescribeManagedPrefixLists", json!({}));
        assert_eq!(count(&all, "PrefixLists"), 2);
        let by_name =
            json!([{"Name": "prefix-list-name", "Values": ["com.amazonaws.us-east-1.s3"]}]);
        let shown = world.ok("DescribeManagedPrefixLists", json!({"Filters": by_name}));
        assert_eq!(text(&shown, "PrefixLists.0.OwnerId"), "AWS");
        assert_eq!(text(&shown, "PrefixLists.0.PrefixListId"), s3);
        let shown = world.ok("DescribePrefixLists", json!({"Filters": by_name}));
        assert_eq!(count(&shown, "PrefixLists.0.Cidrs"), 3);
        assert_eq!(
            world.err("DeleteManagedPrefixList", json!({"PrefixListId": s3})),
            "OperationNotPermitted"
        );
        let first = world.ok("DescribeManagedPrefixLists", json!({"MaxResults": 1}));
        let next = json!({"MaxResults": 1, "NextToken": text(&first, "NextToken")});
        let second = world.ok("DescribeManagedPrefixLists", next);
        assert_ne!(
            text(&first, "PrefixLists.0.PrefixListId"),
            text(&second, "PrefixLists.0.PrefixListId")
        );
    }
}
