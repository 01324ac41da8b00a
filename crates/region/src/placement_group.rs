//! Placement groups. Nothing here places instances by them yet: which of them an instance is in is recorded, checked and
//! shown.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, PlacementGroupId, RegionName};

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::instance::{Instance, InstanceState};
use crate::life::{Life, Phase};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, quota};

actions! {
    "CreatePlacementGroup" => create_placement_group, Recorded;
    "DeletePlacementGroup" => delete_placement_group, Recorded;
    "DescribePlacementGroups" => describe_placement_groups, Control;
}

/// "A maximum of seven partitions per Availability Zone" (EC2 "Placement strategies").
const MAX_PARTITIONS: u32 = 7;
/// "A maximum of seven running instances per Availability Zone per group", of a group that spreads over racks.
const MAX_SPREAD: usize = 7;

/// A placement group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlacementGroup {
    /// Its identifier.
    pub id: PlacementGroupId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Its name; no other group of the account in the region has it. 1 to 255 characters.
    pub name: String,
    /// How it places instances.
    pub strategy: Strategy,
    /// Since when it is there.
    pub life: Life,
}

/// How a placement group places instances.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Close together.
    Cluster,
    /// Each on a rack of its own.
    SpreadRack,
    /// Each on a host of its own.
    SpreadHost,
    /// In so many partitions that share no racks, 1 to 7.
    Partition(u32),
}

impl Strategy {
    const fn name(self) -> &'static str {
        match self {
            Strategy::Cluster => "cluster",
            Strategy::SpreadRack | Strategy::SpreadHost => "spread",
            Strategy::Partition(_) => "partition",
        }
    }

    const fn spread_level(self) -> Option<&'static str> {
        match self {
            Strategy::SpreadRack => Some("rack"),
            Strategy::SpreadHost => Some("host"),
            Strategy::Cluster | Strategy::Partition(_) => None,
        }
    }

    const fn partitions(self) -> Option<u32> {
        match self {
            Strategy::Partition(number) => Some(number),
            Strategy::Cluster | Strategy::SpreadRack | Strategy::SpreadHost => None,
        }
    }
}

resource!(PlacementGroup, "placement-group", |_this, keys| {}, |id| {
    resource::unknown_id(
        id,
        "pg",
        "placement group ID",
        "InvalidPlacementGroupId.NotFound",
        "InvalidPlacementGroupId.Malformed",
    )
});

impl PlacementGroup {
    fn arn(&self) -> String {
        format!(
            "arn:aws:ec2:{}:{}:placement-group/{}",
            self.region, self.account, self.name
        )
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match self.life.phase(now) {
            Phase::Pending => "pending",
            Phase::Live => "available",
            Phase::Deleting => "deleting",
            Phase::Deleted => "deleted",
        }
    }
}

/// The client's group of that name.
///
/// # Errors
/// `InvalidPlacementGroup.Unknown`.
pub(crate) fn by_name<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    name: &str,
) -> Result<&'t PlacementGroup, ApiError> {
    resource::own::<PlacementGroup>(tx, ctx)
        .find(|group| group.name == name)
        .ok_or_else(|| {
            ApiError::new(
                "InvalidPlacementGroup.Unknown",
                format!("The Placement Group '{name}' is unknown."),
            )
        })
}

/// Instances of the group that are not terminated.
fn members(tx: &Tx, group: PlacementGroupId) -> impl Iterator<Item = &Instance> {
    tx.state()
        .instances
        .of(group)
        .filter(|instance| instance.state != InstanceState::Terminated)
}

/// Checks that the group takes one more instance in the zone, and says in which partition it is: the one that is asked
/// for, or the emptiest one.
///
/// # Errors
/// `InsufficientInstanceCapacity` if a spread group is full, `InvalidParameterCombination` for a partition of a group
/// that has none, `InvalidParameterValue` for one that it does not have.
pub(crate) fn place(
    tx: &Tx,
    group: &PlacementGroup,
    zone: &str,
    partition: Option<i64>,
) -> Result<Option<u32>, ApiError> {
    let in_zone = || members(tx, group.id).filter(|instance| instance.zone == zone);
    let Some(partitions) = group.strategy.partitions() else {
        if partition.is_some() {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "The partition number can only be specified for a placement group with the 'partition' strategy.",
            ));
        }
        if group.strategy == Strategy::SpreadRack && in_zone().count() >= MAX_SPREAD {
            return Err(ApiError::new(
                "InsufficientInstanceCapacity",
                format!(
                    "The spread placement group '{}' has {MAX_SPREAD} instances in the Availability Zone '{zone}', which is the maximum.",
                    group.name
                ),
            ));
        }
        return Ok(None);
    };
    let Some(wanted) = partition else {
        let filled = |number: &u32| in_zone().filter(|i| i.partition == Some(*number)).count();
        return Ok((1..=partitions).min_by_key(filled));
    };
    u32::try_from(wanted)
        .ok()
        .filter(|number| (1..=partitions).contains(number))
        .map(Some)
        .ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value ({wanted}) for parameter partitionNumber is invalid. The placement group '{}' has {partitions} partitions.",
                    group.name
                ),
            )
        })
}

/// `CreatePlacementGroup`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreatePlacementGroupRequest {
    group_name: Option<String>,
    strategy: Option<String>,
    partition_count: Option<i64>,
    spread_level: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreatePlacementGroupReply {
    placement_group: GroupItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupItem {
    group_name: String,
    state: &'static str,
    strategy: &'static str,
    partition_count: Option<u32>,
    group_id: PlacementGroupId,
    tags: Vec<Tag>,
    group_arn: String,
    spread_level: Option<&'static str>,
}

impl PlacementGroup {
    fn reply(&self, now: Timestamp) -> GroupItem {
        GroupItem {
            group_name: self.name.clone(),
            state: self.state(now),
            strategy: self.strategy.name(),
            partition_count: self.strategy.partitions(),
            group_id: self.id,
            tags: self.tags.reply(),
            group_arn: self.arn(),
            spread_level: self.strategy.spread_level(),
        }
    }
}

fn strategy_of(
    strategy: Option<&str>,
    partitions: Option<i64>,
    level: Option<&str>,
) -> Result<Strategy, ApiError> {
    let invalid = |parameter: &str, value: &str| {
        ApiError::new(
            "InvalidParameterValue",
            format!("Value ({value}) for parameter {parameter} is invalid."),
        )
    };
    let combination = |what: &str, strategy: &str| {
        ApiError::new(
            "InvalidParameterCombination",
            format!(
                "{what} can only be specified for placement groups with the '{strategy}' strategy."
            ),
        )
    };
    let name = strategy.unwrap_or("cluster");
    if partitions.is_some() && name != "partition" {
        return Err(combination("The partition count", "partition"));
    }
    if level.is_some() && name != "spread" {
        return Err(combination("The spread level", "spread"));
    }
    match (name, level) {
        ("cluster", _) => Ok(Strategy::Cluster),
        ("spread", None | Some("rack")) => Ok(Strategy::SpreadRack),
        ("spread", Some("host")) => Ok(Strategy::SpreadHost),
        ("spread", Some(level)) => Err(invalid("spreadLevel", level)),
        ("partition", _) => {
            let number = partitions.unwrap_or(2);
            u32::try_from(number)
                .ok()
                .filter(|number| (1..=MAX_PARTITIONS).contains(number))
                .map(Strategy::Partition)
                .ok_or_else(|| invalid("partitionCount", &number.to_string()))
        }
        ("precision-time", _) => Err(resource::unsupported("Strategy", &name)),
        (other, _) => Err(invalid("strategy", other)),
    }
}

/// Makes a group.
pub(crate) fn create_placement_group(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreatePlacementGroupRequest,
) -> Result<CreatePlacementGroupReply, ApiError> {
    const MAX: usize = 255;
    let name = req
        .group_name
        .filter(|name| !name.is_empty())
        .ok_or_else(|| resource::missing("groupName"))?;
    if name.len() > MAX || !name.is_ascii() {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({name}) for parameter groupName is invalid. It must be up to {MAX} ASCII characters."
            ),
        ));
    }
    let strategy = strategy_of(
        req.strategy.as_deref(),
        req.partition_count,
        req.spread_level.as_deref(),
    )?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), PlacementGroup::TYPE)?;
    if by_name(tx, ctx, &name).is_ok() {
        return Err(ApiError::new(
            "InvalidPlacementGroup.Duplicate",
            format!("The placement group '{name}' already exists."),
        ));
    }
    let present = resource::own::<PlacementGroup>(tx, ctx).count();
    quota::PLACEMENT_GROUPS.one_more(tx, ctx, present)?;
    let group = PlacementGroup {
        id: PlacementGroupId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        name,
        strategy,
        life: Life::begin(ctx),
    };
    let placement_group = group.reply(ctx.now);
    tx.put(group);
    Ok(CreatePlacementGroupReply { placement_group })
}

/// `DescribePlacementGroups`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribePlacementGroupsRequest {
    group_ids: Option<Vec<String>>,
    group_names: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribePlacementGroupsReply {
    placement_groups: Vec<GroupItem>,
}

const FILTERS: &[Field<PlacementGroup>] = &[
    ("group-arn", |_, group| vec![group.arn()]),
    ("group-name", |_, group| vec![group.name.clone()]),
    ("spread-level", |_, group| {
        let level = group.strategy.spread_level();
        level.map(str::to_owned).into_iter().collect()
    }),
    ("state", |view, group| {
        vec![group.state(view.now).to_owned()]
    }),
    ("strategy", |_, group| {
        vec![group.strategy.name().to_owned()]
    }),
];

/// Lists groups.
pub(crate) fn describe_placement_groups(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribePlacementGroupsRequest,
) -> Result<DescribePlacementGroupsReply, ApiError> {
    let mut ids = req.group_ids.unwrap_or_default();
    for name in req.group_names.unwrap_or_default() {
        ids.push(by_name(tx, ctx, &name)?.id.to_string());
    }
    let query = Query {
        ids: Some(&ids),
        filters: req.filters.as_deref(),
        max_results: None,
        next_token: None,
    };
    let page = resource::describe::<PlacementGroup>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let groups = page.items.into_iter().map(|group| group.reply(ctx.now));
    Ok(DescribePlacementGroupsReply {
        placement_groups: groups.collect(),
    })
}

/// `DeletePlacementGroup`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeletePlacementGroupRequest {
    group_name: String,
}

/// Deletes a group that no instance is in.
pub(crate) fn delete_placement_group(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeletePlacementGroupRequest,
) -> Result<(), ApiError> {
    // EC2 takes the id, too, in the place of the name.
    let group = match resource::find::<PlacementGroup>(tx, ctx, &req.group_name) {
        Ok(group) => group,
        Err(_) => by_name(tx, ctx, &req.group_name)?,
    };
    let id = group.id;
    if members(tx, id).next().is_some() {
        return Err(ApiError::new(
            "InvalidPlacementGroup.InUse",
            format!(
                "The placement group '{}' is in use and may not be deleted.",
                group.name
            ),
        ));
    }
    // Terminated instances are shown for a while yet, but no longer in the group.
    let shown: Vec<Instance> = tx.state().instances.of(id).cloned().collect();
    for mut instance in shown {
        instance.placement_group = None;
        instance.partition = None;
        tx.put(instance);
    }
    tx.remove::<PlacementGroup>(&id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    fn group(world: &mut World, name: &str, strategy: &str) {
        let request = json!({"GroupName": name, "Strategy": strategy});
        world.ok("CreatePlacementGroup", request);
    }

    #[test]
    fn life_of_a_group() {
        let mut world = World::new();
        world.settle = 1000;
        let made = world.ok(
            "CreatePlacementGroup",
            json!({"GroupName": "p", "Strategy": "partition", "PartitionCount": 3,
                "TagSpecifications": [{"ResourceType": "placement-group", "Tags": [{"Key": "a"}]}]}),
        );
        assert_eq!(text(&made, "PlacementGroup.State"), "pending");
        assert_eq!(text(&made, "PlacementGroup.PartitionCount"), "3");
        assert_eq!(
            text(&made, "PlacementGroup.GroupArn"),
            "arn:aws:ec2:us-east-1:111122223333:placement-group/p"
        );
        world.now.0 += 1000;
        group(&mut world, "s", "spread");
        for (filter, value) in [
            ("group-name", "p"),
            ("group-arn", "*/p"),
            ("strategy", "partition"),
            ("state", "available"),
            ("tag-key", "a"),
        ] {
            let query = json!({"Filters": [{"Name": filter, "Values": [value]}]});
            let shown = world.ok("DescribePlacementGroups", query);
            assert_eq!(count(&shown, "PlacementGroups"), 1, "{filter}");
            assert_eq!(text(&shown, "PlacementGroups.0.GroupName"), "p", "{filter}");
        }
        let racks = json!({"Filters": [{"Name": "spread-level", "Values": ["rack"]}]});
        let shown = world.ok("DescribePlacementGroups", racks);
        assert_eq!(text(&shown, "PlacementGroups.0.GroupName"), "s");
        for (request, code) in [
            (json!({}), "MissingParameter"),
            (json!({"GroupName": "p"}), "InvalidPlacementGroup.Duplicate"),
            (
                json!({"GroupName": "x".repeat(256)}),
                "InvalidParameterValue",
            ),
            (
                json!({"GroupName": "x", "Strategy": "wild"}),
                "InvalidParameterValue",
            ),
            (
                json!({"GroupName": "x", "Strategy": "precision-time"}),
                "UnsupportedOperation",
            ),
            (
                json!({"GroupName": "x", "PartitionCount": 2}),
                "InvalidParameterCombination",
            ),
            (
                json!({"GroupName": "x", "Strategy": "partition", "PartitionCount": 8}),
                "InvalidParameterValue",
            ),
            (
                json!({"GroupName": "x", "Strategy": "cluster", "SpreadLevel": "rack"}),
                "InvalidParameterCombination",
            ),
            (
                json!({"GroupName": "x", "Strategy": "spread", "SpreadLevel": "row"}),
                "InvalidParameterValue",
            ),
        ] {
            let found = world.err("CreatePlacementGroup", request.clone());
            assert_eq!(found, code, "{request}");
        }
        let first = world.account;
        world.account = account("444455556666");
        for action in ["DescribePlacementGroups", "DeletePlacementGroup"] {
            let request = if action.starts_with("Des") {
                json!({"GroupNames": ["p"]})
            } else {
                json!({"GroupName": "p"})
            };
            assert_eq!(world.err(action, request), "InvalidPlacementGroup.Unknown");
        }
        world.account = first;
        world.ok("DeletePlacementGroup", json!({"GroupName": "p"}));
        assert_eq!(
            world.err("DeletePlacementGroup", json!({"GroupName": "p"})),
            "InvalidPlacementGroup.Unknown"
        );
    }

    #[test]
    fn instances_hold_their_group() {
        let mut world = World::new();
        group(&mut world, "p", "partition");
        group(&mut world, "s", "spread");
        group(&mut world, "c", "cluster");
        let run = |max: i64, placement: serde_json::Value| {
            json!({"ImageId": "ami-12345678", "InstanceType": "m5.large", "MinCount": max, "MaxCount": max,
                "Placement": placement})
        };
        let made = world.ok("RunInstances", run(3, json!({"GroupName": "p"})));
        let partition = |i: u32| format!("Instances.{i}.Placement.PartitionNumber");
        assert_eq!(text(&made, &partition(0)), "1");
        assert_eq!(text(&made, &partition(1)), "2");
        assert_eq!(text(&made, &partition(2)), "1");
        assert_eq!(text(&made, "Instances.0.Placement.GroupName"), "p");
        assert_eq!(
            world.err("DeletePlacementGroup", json!({"GroupName": "p"})),
            "InvalidPlacementGroup.InUse"
        );
        for (request, code) in [
            (
                run(8, json!({"GroupName": "s"})),
                "InsufficientInstanceCapacity",
            ),
            (
                run(1, json!({"GroupName": "s", "PartitionNumber": 1})),
                "InvalidParameterCombination",
            ),
            (
                run(1, json!({"GroupName": "p", "PartitionNumber": 3})),
                "InvalidParameterValue",
            ),
            (
                run(1, json!({"GroupName": "x"})),
                "InvalidPlacementGroup.Unknown",
            ),
            (
                run(1, json!({"PartitionNumber": 1})),
                "InvalidParameterCombination",
            ),
            (
                run(
                    1,
                    json!({"GroupName": "p", "GroupId": "pg-0123456789abcdef0"}),
                ),
                "InvalidParameterCombination",
            ),
            (
                run(1, json!({"GroupId": "pg-0123456789abcdef0"})),
                "InvalidPlacementGroupId.NotFound",
            ),
        ] {
            assert_eq!(
                world.err("RunInstances", request.clone()),
                code,
                "{request}"
            );
        }
        let mut small = run(1, json!({"GroupName": "c"}));
        small["InstanceType"] = json!("t3.micro");
        assert_eq!(
            world.err("RunInstances", small),
            "InvalidParameterCombination"
        );
        let ids: Vec<String> = (0..3)
            .map(|i| text(&made, &format!("Instances.{i}.InstanceId")))
            .collect();
        world.ok("TerminateInstances", json!({"InstanceIds": ids}));
        world.ok("DeletePlacementGroup", json!({"GroupName": "p"}));
    }
}
