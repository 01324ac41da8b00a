//! Versions of launch templates: shown and deleted. They are made in [`crate::launch_template`].

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::LaunchTemplateId;

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::launch_template::{LaunchTemplate, TemplateData, Version, find};
use crate::mortal::combination;
use crate::{Context, Tx, page, resource};

actions! {
    "DeleteLaunchTemplateVersions" => delete_launch_template_versions, Control;
    "DescribeLaunchTemplateVersions" => describe_launch_template_versions, Control;
}

/// A version in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Item {
    launch_template_id: LaunchTemplateId,
    launch_template_name: String,
    version_number: u64,
    version_description: Option<String>,
    create_time: api::Timestamp,
    created_by: String,
    default_version: bool,
    launch_template_data: TemplateData,
}

impl LaunchTemplate {
    /// A version of this template, in a reply.
    pub(crate) fn version_reply(&self, number: u64, version: &Version) -> Item {
        Item {
            launch_template_id: self.id,
            launch_template_name: self.name.clone(),
            version_number: number,
            version_description: version.description.clone(),
            create_time: api::Timestamp::from_millis(version.created.0),
            created_by: self.created_by(),
            default_version: number == self.default,
            launch_template_data: version.data.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeLaunchTemplateVersionsRequest {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    versions: Option<Vec<String>>,
    min_version: Option<String>,
    max_version: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    filters: Option<Vec<Filter>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeLaunchTemplateVersionsReply {
    launch_template_versions: Vec<Item>,
    next_token: Option<String>,
}

/// Versions of one template, the newest first; or the latest or the default ones of all.
pub(crate) fn describe_launch_template_versions(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeLaunchTemplateVersionsRequest,
) -> Result<DescribeLaunchTemplateVersionsReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &[
            "create-time",
            "ebs-optimized",
            "image-id",
            "instance-type",
            "is-default-version",
        ],
    )?;
    let named = req.versions.unwrap_or_default();
    let bounded = req.min_version.is_some() || req.max_version.is_some();
    if bounded && !named.is_empty() {
        return Err(combination(
            "Versions cannot be specified together with MinVersion or MaxVersion",
        ));
    }
    let (id, name) = (&req.launch_template_id, &req.launch_template_name);
    let mut items = Vec::new();
    if id.is_some() || name.is_some() {
        let template = find(tx, ctx, id.as_deref(), name.as_deref())?;
        if named.is_empty() {
            let bound = |text: Option<&String>, open: u64| {
                text.map_or(Ok(open), |text| template.version(text).map(|(n, _)| n))
            };
            let min = bound(req.min_version.as_ref(), 0)?;
            let max = bound(req.max_version.as_ref(), u64::MAX)?;
            let all = template.versions.iter();
            items.extend(
                all.filter(|(number, _)| (min..=max).contains(*number))
                    .map(|(number, version)| template.version_reply(*number, version)),
            );
        }
        for text in &named {
            let (number, version) = template.version(text)?;
            if !items
                .iter()
                .any(|item: &Item| item.version_number == number)
            {
                items.push(template.version_reply(number, version));
            }
        }
    } else {
        let only_words = named.iter().all(|v| v == "$Latest" || v == "$Default");
        if named.is_empty() || !only_words || bounded {
            return Err(ApiError::new(
                "MissingParameter",
                "You must specify either launchTemplateId or launchTemplateName, or only $Latest and $Default as versions",
            ));
        }
        for template in resource::own::<LaunchTemplate>(tx, ctx) {
            for text in &named {
                let (number, version) = template.version(text)?;
                let item = template.version_reply(number, version);
                let twice = |i: &Item| i.place() == item.place();
                if !items.iter().any(twice) {
                    items.push(item);
                }
            }
        }
    }
    items.retain(|item| {
        let data = &item.launch_template_data;
        filter::matches_plain(
            &filters,
            &[
                ("create-time", &item.create_time.to_string()),
                (
                    "ebs-optimized",
                    &data.ebs_optimized.unwrap_or(false).to_string(),
                ),
                ("image-id", data.image_id.as_deref().unwrap_or_default()),
                (
                    "instance-type",
                    data.instance_type.as_deref().unwrap_or_default(),
                ),
                ("is-default-version", &item.default_version.to_string()),
            ],
        )
    });
    items.sort_by_key(Item::place);
    let page = page::cut(
        items.into_iter(),
        Item::place,
        &(1..=200),
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribeLaunchTemplateVersionsReply {
        launch_template_versions: page.items,
        next_token: page.next_token,
    })
}

impl Item {
    /// What versions are ordered by: their template, and then the newest first.
    fn place(&self) -> String {
        format!(
            "{} {:020}",
            self.launch_template_id,
            u64::MAX - self.version_number
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteLaunchTemplateVersionsRequest {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    versions: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteLaunchTemplateVersionsReply {
    successfully_deleted_launch_template_versions: Vec<Deleted>,
    unsuccessfully_deleted_launch_template_versions: Vec<Kept>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Deleted {
    launch_template_id: LaunchTemplateId,
    launch_template_name: String,
    version_number: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    launch_template_id: LaunchTemplateId,
    launch_template_name: String,
    version_number: u64,
    response_error: ResponseError,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResponseError {
    code: &'static str,
    message: String,
}

/// Deletes what it can of the versions that are named by their numbers; the default one stays.
pub(crate) fn delete_launch_template_versions(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteLaunchTemplateVersionsRequest,
) -> Result<DeleteLaunchTemplateVersionsReply, ApiError> {
    let (id, name) = (&req.launch_template_id, &req.launch_template_name);
    let mut template = find(tx, ctx, id.as_deref(), name.as_deref())?.clone();
    if req.versions.is_empty() {
        return Err(resource::missing("LaunchTemplateVersion"));
    }
    let mut reply = DeleteLaunchTemplateVersionsReply {
        successfully_deleted_launch_template_versions: Vec::new(),
        unsuccessfully_deleted_launch_template_versions: Vec::new(),
    };
    for text in &req.versions {
        let number: u64 = text.parse().map_err(|_| {
            crate::mortal::invalid("LaunchTemplateVersion", text, "It must be a number.")
        })?;
        let error = if number == template.default {
            Some((
                "unexpectedError",
                format!("The default version {number} cannot be deleted."),
            ))
        } else if template.versions.remove(&number).is_none() {
            Some((
                "launchTemplateVersionDoesNotExist",
                format!(
                    "The specified launch template version {number} of {} does not exist.",
                    template.id
                ),
            ))
        } else {
            None
        };
        let (launch_template_id, launch_template_name) = (template.id, template.name.clone());
        match error {
            None => reply
                .successfully_deleted_launch_template_versions
                .push(Deleted {
                    launch_template_id,
                    launch_template_name,
                    version_number: number,
                }),
            Some((code, message)) => {
                reply
                    .unsuccessfully_deleted_launch_template_versions
                    .push(Kept {
                        launch_template_id,
                        launch_template_name,
                        version_number: number,
                        response_error: ResponseError { code, message },
                    });
            }
        }
    }
    tx.put(template);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, account, count, text};

    fn made(world: &mut World, data: &Json) -> String {
        let made = world.ok(
            "CreateLaunchTemplate",
            json!({"LaunchTemplateName": "web", "LaunchTemplateData": data}),
        );
        text(&made, "LaunchTemplate.LaunchTemplateId")
    }

    #[test]
    fn versions_inherit_and_one_is_the_default() {
        let mut world = World::new();
        let id = made(
            &mut world,
            &json!({"ImageId": "ami-12345678", "InstanceType": "t3.micro"}),
        );
        let twice = json!({"LaunchTemplateName": "web", "LaunchTemplateData": {}});
        assert_eq!(
            world.err("CreateLaunchTemplate", twice),
            "InvalidLaunchTemplateName.AlreadyExistsException"
        );
        let next = json!({"LaunchTemplateId": id, "SourceVersion": "$Latest", "ClientToken": "t",
            "LaunchTemplateData": {"InstanceType": "m5.large"}});
        let second = world.ok("CreateLaunchTemplateVersion", next.clone());
        let path = "LaunchTemplateVersion.LaunchTemplateData";
        assert_eq!(text(&second, &format!("{path}.ImageId")), "ami-12345678");
        assert_eq!(text(&second, &format!("{path}.InstanceType")), "m5.large");
        assert_eq!(world.ok("CreateLaunchTemplateVersion", next), second);
        let bare = json!({"LaunchTemplateName": "web", "LaunchTemplateData": {"KeyName": "k"}});
        world.ok("CreateLaunchTemplateVersion", bare);
        let shown = world.ok(
            "DescribeLaunchTemplates",
            json!({"LaunchTemplateNames": ["web"]}),
        );
        assert_eq!(text(&shown, "LaunchTemplates.0.LatestVersionNumber"), "3");
        assert_eq!(text(&shown, "LaunchTemplates.0.DefaultVersionNumber"), "1");
        let set = |version: &str| json!({"LaunchTemplateId": id, "DefaultVersion": version});
        world.ok("ModifyLaunchTemplate", set("2"));
        assert_eq!(
            world.err("ModifyLaunchTemplate", set("9")),
            "InvalidLaunchTemplateId.VersionNotFound"
        );
        let all = world.ok(
            "DescribeLaunchTemplateVersions",
            json!({"LaunchTemplateId": id}),
        );
        assert_eq!(count(&all, "LaunchTemplateVersions"), 3);
        assert_eq!(text(&all, "LaunchTemplateVersions.0.VersionNumber"), "3");
        for (more, number) in [
            (json!({"Versions": ["$Default", "2"]}), 1),
            (json!({"MinVersion": "2"}), 2),
            (
                json!({"Filters": [{"Name": "is-default-version", "Values": ["true"]}]}),
                1,
            ),
            (
                json!({"Filters": [{"Name": "instance-type", "Values": ["t3.*"]}]}),
                1,
            ),
        ] {
            let mut request = json!({"LaunchTemplateId": id});
            request
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let found = world.ok("DescribeLaunchTemplateVersions", request);
            assert_eq!(count(&found, "LaunchTemplateVersions"), number, "{more}");
        }
        let of_all = world.ok(
            "DescribeLaunchTemplateVersions",
            json!({"Versions": ["$Latest"]}),
        );
        assert_eq!(text(&of_all, "LaunchTemplateVersions.0.VersionNumber"), "3");
        assert_eq!(
            world.err("DescribeLaunchTemplateVersions", json!({})),
            "MissingParameter"
        );
        let gone = world.ok(
            "DeleteLaunchTemplateVersions",
            json!({"LaunchTemplateId": id, "Versions": ["1", "2", "7"]}),
        );
        assert_eq!(count(&gone, "SuccessfullyDeletedLaunchTemplateVersions"), 1);
        assert_eq!(
            count(&gone, "UnsuccessfullyDeletedLaunchTemplateVersions"),
            2
        );
        world.account = account("444455556666");
        let named = json!({"LaunchTemplateName": "web"});
        assert_eq!(
            world.err("DeleteLaunchTemplate", named.clone()),
            "InvalidLaunchTemplateName.NotFoundException"
        );
        world.account = account("111122223333");
        world.ok("DeleteLaunchTemplate", named);
        assert_eq!(
            world.err("DeleteLaunchTemplate", json!({"LaunchTemplateId": id})),
            "InvalidLaunchTemplateId.NotFound"
        );
    }

    #[test]
    fn launches_take_from_a_template_what_they_do_not_say() {
        let mut world = World::new();
        let tags =
            json!([{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}]);
        let id = made(
            &mut world,
            &json!({"ImageId": "ami-12345678", "InstanceType": "t3.micro", "UserData": "bHM=",
                "TagSpecifications": tags, "DisableApiTermination": true,
                "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": false}]}),
        );
        let run = |more: Json| {
            let mut request =
                json!({"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": id}});
            request
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            request
        };
        let plain = world.ok("RunInstances", run(json!({})));
        assert_eq!(text(&plain, "Instances.0.InstanceType"), "t3.micro");
        assert_eq!(text(&plain, "Instances.0.Tags.0.Value"), "template");
        let own = json!({"InstanceType": "m5.large", "TagSpecifications":
            [{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "request"}]}]});
        let other = world.ok("RunInstances", run(own));
        assert_eq!(text(&other, "Instances.0.InstanceType"), "m5.large");
        assert_eq!(text(&other, "Instances.0.ImageId"), "ami-12345678");
        assert_eq!(text(&other, "Instances.0.Tags.0.Value"), "request");
        let instance = text(&other, "Instances.0.InstanceId");
        assert_eq!(
            world.err("TerminateInstances", json!({"InstanceIds": [instance]})),
            "OperationNotPermitted"
        );
        assert_eq!(
            world.err("RunInstances", run(json!({"SubnetId": "subnet-12345678"}))),
            "InvalidParameterCombination"
        );
        for (template, code) in [
            (
                json!({"LaunchTemplateName": "none"}),
                "InvalidLaunchTemplateName.NotFoundException",
            ),
            (json!({}), "MissingParameter"),
            (
                json!({"LaunchTemplateId": id, "Version": "5"}),
                "InvalidLaunchTemplateId.VersionNotFound",
            ),
            (
                json!({"LaunchTemplateId": id, "Version": "x"}),
                "InvalidParameterValue",
            ),
        ] {
            let request = run(json!({"LaunchTemplate": template}));
            assert_eq!(world.err("RunInstances", request), code);
        }
    }
}
