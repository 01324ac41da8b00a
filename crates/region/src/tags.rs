//! Tags: keys and values that clients put on resources.

use std::collections::BTreeMap;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::GroupRuleId;

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::page;
use crate::resource::{self, Resource};
use crate::{
    Address, CarrierGateway, Context, DhcpOptions, EgressOnlyGateway, Instance, InternetGateway,
    KeyPair, NetworkAcl, NetworkInterface, PeeringConnection, PlacementGroup, PrefixList,
    RouteTable, SecurityGroup, Subnet, SubnetCidrReservation, TransitGateway,
    TransitGatewayAttachment, TransitGatewayConnectPeer, TransitGatewayMulticastDomain,
    TransitGatewayPolicyTable, TransitGatewayRouteTable, Tx, Vpc, quota,
    security_group_rule_changes,
};

actions! {
    "CreateTags" => create_tags, Control;
    "DeleteTags" => delete_tags, Control;
    "DescribeTags" => describe_tags, Control;
}

/// The tags of a resource, by key (EC2 "Tag your Amazon EC2 resources": at most 50; keys of 1 to 128 and values of
/// 0 to 256 characters; keys that begin with `aws:` are not for clients).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(pub BTreeMap<String, String>);

const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;

/// A tag in a request. EC2 takes a missing value for an empty one, except in `DeleteTags`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TagParameter {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

/// The tags that a new resource of a type shall have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TagSpecification {
    pub(crate) resource_type: Option<String>,
    #[serde(default)]
    tags: Vec<TagParameter>,
}

/// A tag in a reply.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    key: String,
    value: String,
}

impl Tags {
    /// The tags of a new resource of the only type that the request creates: `vpc`, `security-group`.
    ///
    /// # Errors
    /// `InvalidParameterValue` if a specification is for another type; the errors of [`Tags::add`].
    pub(crate) fn of_new(
        specifications: Option<&[TagSpecification]>,
        resource_type: &str,
    ) -> Result<Tags, ApiError> {
        let mut by_type = Tags::of_new_types(specifications, &[resource_type])?;
        Ok(by_type.remove(resource_type).unwrap_or_default())
    }

    /// The tags of new resources by type, for a request that creates several types.
    ///
    /// # Errors
    /// As for [`Tags::of_new`].
    pub(crate) fn of_new_types(
        specifications: Option<&[TagSpecification]>,
        types: &[&str],
    ) -> Result<BTreeMap<String, Tags>, ApiError> {
        let mut by_type: BTreeMap<String, Tags> = BTreeMap::new();
        for specification in specifications.unwrap_or_default() {
            let wanted = specification.resource_type.as_deref().unwrap_or_default();
            if !types.contains(&wanted) {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("'{wanted}' is not a valid taggable resource type for this operation."),
                ));
            }
            if specification.tags.is_empty() {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    "Tag specification must have at least one tag".to_owned(),
                ));
            }
            let tags = by_type.entry(wanted.to_owned()).or_default();
            for tag in &specification.tags {
                if tag.key.as_ref().is_some_and(|key| tags.0.contains_key(key)) {
                    return Err(ApiError::new(
                        "InvalidParameterValue",
                        format!(
                            "Duplicate tag key '{}' specified.",
                            tag.key.as_deref().unwrap_or_default()
                        ),
                    ));
                }
                tags.add(tag)?;
            }
        }
        Ok(by_type)
    }

    /// Sets one tag.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a key or value that EC2 does not take, `TagLimitExceeded` over 50 tags.
    pub(crate) fn add(&mut self, tag: &TagParameter) -> Result<(), ApiError> {
        let key = tag.key.as_deref().unwrap_or_default();
        let value = tag.value.as_deref().unwrap_or_default();
        check_key(key)?;
        if value.chars().count() > MAX_VALUE {
            return Err(invalid(format!(
                "Tag value exceeds the maximum length of {MAX_VALUE} characters"
            )));
        }
        self.0.insert(key.to_owned(), value.to_owned());
        quota::TAGS.check_fixed(self.0.len())
    }

    /// The tags as a reply has them.
    pub(crate) fn reply(&self) -> Vec<Tag> {
        self.0
            .iter()
            .map(|(key, value)| Tag {
                key: key.clone(),
                value: value.clone(),
            })
            .collect()
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

fn check_key(key: &str) -> Result<(), ApiError> {
    if key.is_empty() {
        return Err(invalid("Tag key cannot be null or empty"));
    }
    if key.chars().count() > MAX_KEY {
        return Err(invalid(format!(
            "Tag key exceeds the maximum length of {MAX_KEY} characters"
        )));
    }
    // EC2 reserves the prefix in every mixture of small and capital letters.
    if key
        .get(..4)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
    {
        return Err(invalid(
            "Tag keys starting with 'aws:' are reserved for internal use",
        ));
    }
    Ok(())
}

/// What a policy asks of a resource.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'s> {
    /// Its owner.
    pub account: types::AccountId,
    /// Its tags.
    pub tags: &'s Tags,
}

/// One line for each kind of resource that has tags.
macro_rules! taggable {
    ($($record:ty),+ $(,)?) => {
        /// Changes the tags of the client's resource of that id, whatever its kind.
        fn change(
            tx: &mut Tx,
            ctx: &Context<'_>,
            id: &str,
            how: &dyn Fn(&mut Tags) -> Result<(), ApiError>,
        ) -> Result<(), ApiError> {
            $(
                if id.parse::<<$record as crate::Record>::Id>().is_ok() {
                    let mut record = resource::find::<$record>(tx, ctx, id)?.clone();
                    let before = record.tags().clone();
                    how(record.tags_mut())?;
                    if *record.tags() != before {
                        tx.put(record);
                    }
                    return Ok(());
                }
            )+
            if id.parse::<GroupRuleId>().is_ok() {
                return security_group_rule_changes::change_tags(tx, ctx, id, how);
            }
            Err(ApiError::new("InvalidID", format!("The ID '{id}' is not valid")))
        }

        /// Whose the resource of that id is, of any account and region, and its tags.
        #[must_use]
        pub fn facts<'s>(state: &'s crate::State, id: &str) -> Option<Facts<'s>> {
            $(
                if let Ok(key) = id.parse::<<$record as crate::Record>::Id>() {
                    let record = <$record as crate::Record>::table(state).get(&key)?;
                    return Some(Facts { account: record.account(), tags: record.tags() });
                }
            )+
            None
        }

        /// The tags of all the client's resources, by resource and key.
        fn all_own(tx: &Tx, ctx: &Context<'_>) -> Vec<TagDescription> {
            let mut found = Vec::new();
            $(
                for record in resource::own::<$record>(tx, ctx) {
                    for (key, value) in &record.tags().0 {
                        found.push(TagDescription {
                            key: key.clone(),
                            resource_id: crate::Record::id(record).to_string(),
                            resource_type: <$record>::TYPE,
                            value: value.clone(),
                        });
                    }
                }
            )+
            for rule in resource::own::<SecurityGroup>(tx, ctx).flat_map(|group| &group.rules) {
                for (key, value) in &rule.tags.0 {
                    found.push(TagDescription {
                        key: key.clone(),
                        resource_id: rule.id.to_string(),
                        resource_type: "security-group-rule",
                        value: value.clone(),
                    });
                }
            }
            found.sort_by(|a, b| a.place().cmp(&b.place()));
            found
        }
    };
}

taggable!(
    Vpc,
    Subnet,
    SubnetCidrReservation,
    DhcpOptions,
    RouteTable,
    CarrierGateway,
    EgressOnlyGateway,
    InternetGateway,
    NetworkAcl,
    SecurityGroup,
    crate::NatGateway,
    NetworkInterface,
    PeeringConnection,
    PrefixList,
    crate::PublicAccessExclusion,
    Address,
    Instance,
    TransitGateway,
    TransitGatewayAttachment,
    TransitGatewayConnectPeer,
    TransitGatewayMulticastDomain,
    TransitGatewayPolicyTable,
    TransitGatewayRouteTable,
    crate::CustomerGateway,
    crate::Endpoint,
    crate::EndpointService,
    crate::FlowLog,
    crate::Ipam,
    crate::IpamAllocation,
    crate::IpamPool,
    crate::IpamScope,
    crate::AccessScope,
    crate::InsightsAnalysis,
    crate::InsightsPath,
    crate::ScopeAnalysis,
    crate::InstanceConnectEndpoint,
    crate::LaunchTemplate,
    crate::MirrorFilter,
    crate::MirrorFilterRule,
    crate::MirrorSession,
    crate::MirrorTarget,
    crate::VpnConnection,
    crate::VpnGateway,
    KeyPair,
    PlacementGroup,
);

/// EC2 "CreateTags": up to 1000 resources at once.
const MAX_RESOURCES: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTagsRequest {
    resources: Vec<String>,
    tags: Vec<TagParameter>,
}

fn check_resources(ids: &[String]) -> Result<(), ApiError> {
    if ids.is_empty() {
        return Err(ApiError::missing_parameter("resourceIdSet"));
    }
    if ids.len() > MAX_RESOURCES {
        return Err(invalid(format!(
            "At most {MAX_RESOURCES} resources can be tagged at once"
        )));
    }
    Ok(())
}

pub(crate) fn create_tags(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateTagsRequest,
) -> Result<(), ApiError> {
    check_resources(&req.resources)?;
    if req.tags.is_empty() {
        return Err(ApiError::missing_parameter("tagSet"));
    }
    for id in &req.resources {
        change(tx, ctx, id, &|tags| {
            req.tags.iter().try_for_each(|tag| tags.add(tag))
        })?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTagsRequest {
    resources: Vec<String>,
    tags: Option<Vec<TagParameter>>,
}

/// Without tags, all go; a tag without a value goes whatever its value; else only if the value is the same.
pub(crate) fn delete_tags(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteTagsRequest,
) -> Result<(), ApiError> {
    check_resources(&req.resources)?;
    let which = req.tags.unwrap_or_default();
    for tag in &which {
        check_key(tag.key.as_deref().unwrap_or_default())?;
    }
    let is_meant = |key: &String, value: &String| {
        which.is_empty()
            || which.iter().any(|tag| {
                tag.key.as_ref() == Some(key) && tag.value.as_ref().is_none_or(|v| v == value)
            })
    };
    for id in &req.resources {
        change(tx, ctx, id, &|tags| {
            tags.0.retain(|key, value| !is_meant(key, value));
            Ok(())
        })?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeTagsRequest {
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeTagsReply {
    next_token: Option<String>,
    tags: Vec<TagDescription>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagDescription {
    key: String,
    resource_id: String,
    resource_type: &'static str,
    value: String,
}

impl TagDescription {
    /// What tags are ordered by.
    fn place(&self) -> (&str, &str) {
        (&self.resource_id, &self.key)
    }
}

pub(crate) fn describe_tags(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeTagsRequest,
) -> Result<DescribeTagsReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    let (plain, by_key): (Vec<Filter>, Vec<Filter>) = filters.into_iter().partition(|f| {
        f.name
            .as_deref()
            .is_none_or(|name| !name.starts_with("tag:"))
    });
    filter::check_plain(
        &plain,
        &["key", "resource-id", "resource-type", "tag-key", "value"],
    )?;
    filter::check(&by_key, std::iter::empty())?;
    let passes = |tag: &TagDescription| {
        let name = format!("tag:{}", tag.key);
        filter::matches_plain(
            &plain,
            &[
                ("key", &tag.key),
                ("resource-id", &tag.resource_id),
                ("resource-type", tag.resource_type),
                ("tag-key", &tag.key),
                ("value", &tag.value),
            ],
        ) && filter::matches_plain(&by_key, &[(&name, &tag.value)])
    };
    // A resource id has no space, so this orders as [`TagDescription::place`] does.
    let page = page::cut(
        all_own(tx, ctx).into_iter().filter(passes),
        |tag| format!("{} {}", tag.resource_id, tag.key),
        &page::USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribeTagsReply {
        next_token: page.next_token,
        tags: page.items,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    fn vpc(world: &mut World) -> String {
        text(
            &world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})),
            "Vpc.VpcId",
        )
    }

    #[test]
    fn tags_come_show_and_go() {
        let mut world = World::new();
        let id = vpc(&mut world);
        let gateway = world.ok("CreateInternetGateway", json!({}));
        let gateway = text(&gateway, "InternetGateway.InternetGatewayId");
        let tags = json!([{"Key": "Name", "Value": "a"}, {"Key": "empty"}]);
        world.ok(
            "CreateTags",
            json!({"Resources": [id, gateway], "Tags": tags}),
        );
        let all = world.ok("DescribeTags", json!({}));
        assert_eq!(count(&all, "Tags"), 4);
        assert_eq!(text(&all, "Tags.0.ResourceType"), "internet-gateway");
        let found = |world: &mut World, name: &str, value: &str| {
            let filters = json!([{"Name": name, "Values": [value]}]);
            let tags = world.ok("DescribeTags", json!({"Filters": filters}));
            let vpcs = world.call("DescribeVpcs", &json!({"Filters": filters}));
            (
                count(&tags, "Tags"),
                vpcs.map_or(0, |vpcs| count(&vpcs, "Vpcs")),
            )
        };
        assert_eq!(found(&mut world, "tag:Name", "a"), (2, 1));
        assert_eq!(found(&mut world, "tag:Name", "?"), (2, 1));
        assert_eq!(found(&mut world, "tag-key", "em*"), (2, 1));
        assert_eq!(found(&mut world, "resource-type", "vpc"), (2, 0));
        assert_eq!(found(&mut world, "tag:Name", "b"), (0, 0));
        let delete = |tag| json!({"Resources": [id], "Tags": [tag]});
        world.ok(
            "DeleteTags",
            delete(json!({"Key": "Name", "Value": "other"})),
        );
        assert_eq!(found(&mut world, "tag:Name", "a"), (2, 1));
        world.ok("DeleteTags", delete(json!({"Key": "Name"})));
        assert_eq!(found(&mut world, "tag:Name", "a"), (1, 0));
        world.ok("DeleteTags", json!({"Resources": [id]}));
        assert_eq!(found(&mut world, "tag-key", "*"), (2, 0));
    }

    #[test]
    fn pages() {
        let mut world = World::new();
        let id = vpc(&mut world);
        let tags: Vec<_> = (0..12)
            .map(|n| json!({"Key": format!("k{n:02}"), "Value": "v"}))
            .collect();
        world.ok("CreateTags", json!({"Resources": [id], "Tags": tags}));
        let first = world.ok("DescribeTags", json!({"MaxResults": 5}));
        let token = text(&first, "NextToken");
        let second = world.ok(
            "DescribeTags",
            json!({"MaxResults": 100, "NextToken": token}),
        );
        assert_eq!((count(&first, "Tags"), count(&second, "Tags")), (5, 7));
        assert_eq!(text(&second, "Tags.0.Key"), "k05");
    }

    #[test]
    fn tags_that_are_refused() {
        let mut world = World::new();
        let id = vpc(&mut world);
        let mut refused = |tags: serde_json::Value| {
            world.err("CreateTags", json!({"Resources": [id], "Tags": tags}))
        };
        for key in ["", "aws:x", "AWS:x", &"k".repeat(129)] {
            assert_eq!(
                refused(json!([{"Key": key, "Value": "v"}])),
                "InvalidParameterValue",
                "{key}"
            );
        }
        assert_eq!(
            refused(json!([{"Key": "k", "Value": "v".repeat(257)}])),
            "InvalidParameterValue"
        );
        let many: Vec<_> = (0..51)
            .map(|n| json!({"Key": n.to_string(), "Value": ""}))
            .collect();
        assert_eq!(refused(json!(many)), "TagLimitExceeded");
        let of = |id: &str| json!({"Resources": [id], "Tags": [{"Key": "k", "Value": "v"}]});
        assert_eq!(world.err("CreateTags", of("nonsense")), "InvalidID");
        assert_eq!(
            world.err("CreateTags", of("subnet-00000000000000000")),
            "InvalidSubnetID.NotFound"
        );
        let wrong = json!([{"ResourceType": "subnet", "Tags": [{"Key": "k", "Value": "v"}]}]);
        let input = json!({"CidrBlock": "10.0.0.0/16", "TagSpecifications": wrong});
        assert_eq!(world.err("CreateVpc", input), "InvalidParameterValue");
    }
}
