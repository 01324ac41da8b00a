//! Tags of hosted zones, which Route 53 has actions of its own for.

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::hosted_zone::{self, HostedZone, invalid_input};
use crate::tags::Tag;
use crate::{Context, Tx};

actions! {
    "ChangeTagsForResource" => change_tags_for_resource, Control;
    "ListTagsForResource" => list_tags_for_resource, Control;
    "ListTagsForResources" => list_tags_for_resources, Control;
}

/// Route 53: "You can add a maximum of 10 tags to a health check or a hosted zone."
const MAX_TAGS: usize = 10;

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ResourceType {
    HealthCheck,
    HostedZone,
}

/// The client's zone of that id; there are no health checks.
fn find(tx: &Tx, ctx: &Context<'_>, kind: ResourceType, id: &str) -> Result<HostedZone, ApiError> {
    match kind {
        ResourceType::HostedZone => hosted_zone::find(tx, ctx, id),
        ResourceType::HealthCheck => Err(ApiError::new(
            "NoSuchHealthCheck",
            format!("No health check found with ID: {id}"),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ChangeTagsRequest {
    resource_type: ResourceType,
    resource_id: String,
    add_tags: Option<Vec<TagItem>>,
    remove_tag_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagItem {
    key: Option<String>,
    value: Option<String>,
}

pub(crate) fn change_tags_for_resource(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ChangeTagsRequest,
) -> Result<(), ApiError> {
    let mut zone = find(tx, ctx, req.resource_type, &req.resource_id)?;
    if req.add_tags.is_none() && req.remove_tag_keys.is_none() {
        return Err(invalid_input(
            "You must specify AddTags, RemoveTagKeys or both",
        ));
    }
    for key in req.remove_tag_keys.unwrap_or_default() {
        zone.tags.0.remove(&key);
    }
    for tag in req.add_tags.unwrap_or_default() {
        let key = tag.key.filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| invalid_input("A tag must have a key"))?;
        if key
            .get(..4)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
        {
            return Err(invalid_input(
                "Tag keys starting with 'aws:' are reserved for internal use",
            ));
        }
        zone.tags.0.insert(key, tag.value.unwrap_or_default());
    }
    if zone.tags.0.len() > MAX_TAGS {
        return Err(invalid_input(format!(
            "A hosted zone has at most {MAX_TAGS} tags"
        )));
    }
    tx.put(zone);
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagSet {
    resource_type: ResourceType,
    resource_id: String,
    tags: Vec<Tag>,
}

fn tag_set(tx: &Tx, ctx: &Context<'_>, kind: ResourceType, id: &str) -> Result<TagSet, ApiError> {
    let zone = find(tx, ctx, kind, id)?;
    Ok(TagSet {
        resource_type: kind,
        resource_id: zone.id.to_string(),
        tags: zone.tags.reply(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListTagsRequest {
    resource_type: ResourceType,
    resource_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListTagsReply {
    resource_tag_set: TagSet,
}

pub(crate) fn list_tags_for_resource(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListTagsRequest,
) -> Result<ListTagsReply, ApiError> {
    Ok(ListTagsReply {
        resource_tag_set: tag_set(tx, ctx, req.resource_type, &req.resource_id)?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListTagsOfManyRequest {
    resource_type: ResourceType,
    resource_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListTagsOfManyReply {
    resource_tag_sets: Vec<TagSet>,
}

pub(crate) fn list_tags_for_resources(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListTagsOfManyRequest,
) -> Result<ListTagsOfManyReply, ApiError> {
    let sets = req.resource_ids.iter();
    let sets = sets.map(|id| tag_set(tx, ctx, req.resource_type, id));
    Ok(ListTagsOfManyReply {
        resource_tag_sets: sets.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    #[test]
    fn tags_of_a_zone() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = json!({"VPCRegion": "us-east-1", "VPCId": text(&vpc, "Vpc.VpcId")});
        let request = json!({"Name": "a.example", "CallerReference": "r", "VPC": vpc});
        let reply = world.ok("CreateHostedZone", request);
        let id = text(&reply, "HostedZone.Id").replace("/hostedzone/", "");
        let place = json!({"ResourceType": "hostedzone", "ResourceId": id});
        let with = |more: serde_json::Value| {
            let mut request = place.clone();
            request
                .as_object_mut()
                .unwrap()
                .append(&mut more.as_object().unwrap().clone());
            request
        };
        let tags = json!({"AddTags": [{"Key": "a", "Value": "1"}, {"Key": "b"}]});
        world.ok("ChangeTagsForResource", with(tags));
        let change = json!({"AddTags": [{"Key": "c", "Value": "3"}], "RemoveTagKeys": ["a", "x"]});
        world.ok("ChangeTagsForResource", with(change));
        let reply = world.ok("ListTagsForResource", place.clone());
        assert_eq!(text(&reply, "ResourceTagSet.Tags.0.Key"), "b");
        assert_eq!(text(&reply, "ResourceTagSet.Tags.1.Value"), "3");
        let many = json!({"ResourceType": "hostedzone", "ResourceIds": [id]});
        assert_eq!(
            count(&world.ok("ListTagsForResources", many), "ResourceTagSets"),
            1
        );
        let more: Vec<_> = (0..9)
            .map(|n| json!({"Key": format!("k{n}"), "Value": ""}))
            .collect();
        for bad in [
            json!({}),
            json!({"AddTags": [{"Value": "v"}]}),
            json!({"AddTags": [{"Key": "aws:x"}]}),
            json!({"AddTags": more}),
        ] {
            assert_eq!(
                world.err("ChangeTagsForResource", with(bad)),
                "InvalidInput"
            );
        }
        let check = json!({"ResourceType": "healthcheck", "ResourceId": "x"});
        assert_eq!(world.err("ListTagsForResource", check), "NoSuchHealthCheck");
    }
}
