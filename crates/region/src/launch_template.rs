//! Launch templates and their versions: what `RunInstances` takes from one where its request does not say it.

use std::collections::BTreeMap;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, LaunchTemplateId, RegionName};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::instance_credits::CreditsRequest;
use crate::instance_interfaces::InterfaceSpecification;
use crate::instance_launch::{EnclaveOptions, HibernationOptions, Placement};
use crate::instance_metadata_options::MetadataOptionsRequest;
use crate::instance_options::{
    CpuRequest, DnsRequest, MaintenanceRequest, MonitoringRequest, ReservationRequest,
};
use crate::instance_profile::ProfileRequest;
use crate::mortal::{combination, invalid};
use crate::resource::{self, Query, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, quota};

actions! {
    "CreateLaunchTemplate" => create_launch_template, Control;
    "CreateLaunchTemplateVersion" => create_launch_template_version, Control;
    "DeleteLaunchTemplate" => delete_launch_template, Control;
    "DescribeLaunchTemplates" => describe_launch_templates, Control;
    "ModifyLaunchTemplate" => modify_launch_template, Control;
}

/// A launch template.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// Its identifier.
    pub id: LaunchTemplateId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Its name; no other one of the account in the region has it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The version that is meant where none is named; one of those that there are.
    pub default: u64,
    /// The highest number that a version has had.
    pub latest: u64,
    /// Its versions by number, from 1.
    pub versions: BTreeMap<u64, Version>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// A version of a launch template. It never changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Version {
    /// When it was made.
    pub created: Timestamp,
    /// What its owner says about it.
    pub description: Option<String>,
    /// What it gives to launches.
    pub(crate) data: TemplateData,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// What a version gives to launches: members of `RunInstances`, under the same names. Launches check them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TemplateData {
    pub(crate) image_id: Option<String>,
    pub(crate) instance_type: Option<String>,
    pub(crate) security_group_ids: Option<Vec<String>>,
    pub(crate) security_groups: Option<Vec<String>>,
    pub(crate) network_interfaces: Option<Vec<InterfaceSpecification>>,
    pub(crate) placement: Option<Placement>,
    pub(crate) user_data: Option<String>,
    pub(crate) tag_specifications: Option<Vec<TagSpecification>>,
    pub(crate) disable_api_termination: Option<bool>,
    pub(crate) instance_initiated_shutdown_behavior: Option<String>,
    pub(crate) disable_api_stop: Option<bool>,
    pub(crate) ebs_optimized: Option<bool>,
    pub(crate) monitoring: Option<MonitoringRequest>,
    pub(crate) credit_specification: Option<CreditsRequest>,
    pub(crate) hibernation_options: Option<HibernationOptions>,
    pub(crate) key_name: Option<String>,
    pub(crate) iam_instance_profile: Option<ProfileRequest>,
    pub(crate) metadata_options: Option<MetadataOptionsRequest>,
    pub(crate) maintenance_options: Option<MaintenanceRequest>,
    pub(crate) capacity_reservation_specification: Option<ReservationRequest>,
    pub(crate) private_dns_name_options: Option<DnsRequest>,
    pub(crate) cpu_options: Option<CpuRequest>,
    pub(crate) enclave_options: Option<EnclaveOptions>,
}

/// The members of one structure, each from a second one where the first does not have it.
macro_rules! fill {
    ($into:expr, $from:expr; $($member:ident),+ $(,)?) => {
        $( if $into.$member.is_none() { $into.$member = $from.$member; } )+
    };
}
pub(crate) use fill;

/// Tags of a request, and those of a template for the types of resources that the request has no tags for.
pub(crate) fn fill_tags(
    into: &mut Option<Vec<TagSpecification>>,
    from: Option<Vec<TagSpecification>>,
) {
    let Some(from) = from else { return };
    let own = into.get_or_insert_default();
    let present: Vec<Option<String>> = own.iter().map(|s| s.resource_type.clone()).collect();
    own.extend(
        from.into_iter()
            .filter(|s| !present.contains(&s.resource_type)),
    );
}

impl TemplateData {
    /// These, and those of another version where they say nothing.
    fn or(mut self, other: TemplateData) -> TemplateData {
        fill_tags(&mut self.tag_specifications, other.tag_specifications);
        fill!(
            self, other;
            image_id, instance_type, security_group_ids, security_groups, network_interfaces, placement, user_data,
            disable_api_termination, instance_initiated_shutdown_behavior, disable_api_stop, ebs_optimized, monitoring,
            credit_specification, hibernation_options, key_name, iam_instance_profile, metadata_options,
            maintenance_options, capacity_reservation_specification, private_dns_name_options, cpu_options,
            enclave_options,
        );
        self
    }
}

resource!(LaunchTemplate, "launch-template", |_this, _keys| {}, |id| {
    if resource::is_well_formed(id, LaunchTemplateId::PREFIX) {
        ApiError::new(
            "InvalidLaunchTemplateId.NotFound",
            format!("The specified launch template, with template ID {id}, does not exist."),
        )
    } else {
        ApiError::new(
            "InvalidLaunchTemplateId.Malformed",
            format!("The specified launch template ID {id} is not well-formed."),
        )
    }
});

/// The client's template of that id or of that name.
///
/// # Errors
/// Its "not found"; `MissingParameter` without either, `InvalidParameterCombination` with both.
pub(crate) fn find<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<&'t LaunchTemplate, ApiError> {
    match (id, name) {
        (Some(id), None) => resource::find::<LaunchTemplate>(tx, ctx, id),
        (None, Some(name)) => resource::own::<LaunchTemplate>(tx, ctx)
            .find(|template| template.name == name)
            .ok_or_else(|| {
                ApiError::new(
                    "InvalidLaunchTemplateName.NotFoundException",
                    format!(
                        "The specified launch template, with template name {name}, does not exist."
                    ),
                )
            }),
        (None, None) => Err(ApiError::new(
            "MissingParameter",
            "You must specify either launchTemplateId or launchTemplateName",
        )),
        (Some(_), Some(_)) => Err(combination(
            "Only one of launchTemplateId and launchTemplateName can be specified",
        )),
    }
}

impl LaunchTemplate {
    /// The version that a text means: a number, `$Latest` or `$Default`.
    ///
    /// # Errors
    /// `InvalidLaunchTemplateId.VersionNotFound`, `InvalidParameterValue` for another text.
    pub(crate) fn version(&self, text: &str) -> Result<(u64, &Version), ApiError> {
        let number = match text {
            "$Default" => self.default,
            // The highest one that there is: the latest may have been deleted.
            "$Latest" => self.versions.keys().next_back().copied().unwrap_or(0),
            other => other.parse().map_err(|_| {
                invalid(
                    "version",
                    other,
                    "It must be a number, $Latest or $Default.",
                )
            })?,
        };
        let version = self.versions.get(&number).ok_or_else(|| {
            ApiError::new(
                "InvalidLaunchTemplateId.VersionNotFound",
                format!(
                    "Could not find the specified version {text} for the launch template with ID {}.",
                    self.id
                ),
            )
        })?;
        Ok((number, version))
    }
}

/// The launch template of a `RunInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TemplateSpecification {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    version: Option<String>,
}

impl TemplateSpecification {
    /// What the named version gives; the default one if none is named.
    pub(crate) fn read(&self, tx: &Tx, ctx: &Context<'_>) -> Result<TemplateData, ApiError> {
        let (id, name) = (&self.launch_template_id, &self.launch_template_name);
        let template = find(tx, ctx, id.as_deref(), name.as_deref())?;
        let version = self
            .version
            .as_deref()
            .filter(|version| !version.is_empty());
        let (_, version) = template.version(version.unwrap_or("$Default"))?;
        Ok(version.data.clone())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateLaunchTemplateRequest {
    client_token: Option<String>,
    launch_template_name: String,
    version_description: Option<String>,
    launch_template_data: TemplateData,
    tag_specifications: Option<Vec<TagSpecification>>,
}

/// The reply that makes, changes or deletes a template.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LaunchTemplateReply {
    launch_template: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    launch_template_id: LaunchTemplateId,
    launch_template_name: String,
    create_time: api::Timestamp,
    created_by: String,
    default_version_number: u64,
    latest_version_number: u64,
    tags: Vec<Tag>,
}

impl LaunchTemplate {
    /// Who made it: Polder notes the account only.
    pub(crate) fn created_by(&self) -> String {
        format!("arn:aws:iam::{}:root", self.account)
    }

    fn reply(&self) -> LaunchTemplateReply {
        LaunchTemplateReply {
            launch_template: self.item(),
        }
    }

    fn item(&self) -> Item {
        Item {
            launch_template_id: self.id,
            launch_template_name: self.name.clone(),
            create_time: api::Timestamp::from_millis(self.created.0),
            created_by: self.created_by(),
            default_version_number: self.default,
            latest_version_number: self.latest,
            tags: self.tags.reply(),
        }
    }
}

/// EC2: "Length Constraints: Minimum length of 3. Maximum length of 128. Pattern: `[a-zA-Z0-9\(\)\.\-/_]+`".
fn check_name(name: &str) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"().-/_".contains(&b);
    if (3..=128).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidLaunchTemplateName.MalformedException",
        "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the \
         following characters: - ( ) . / _.",
    ))
}

pub(crate) fn create_launch_template(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateLaunchTemplateRequest,
) -> Result<LaunchTemplateReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &LaunchTemplate| {
        made.client_token.as_ref()
    })?;
    if let Some(id) = earlier {
        return Ok(resource::get::<LaunchTemplate>(tx, &id)?.reply());
    }
    let name = req.launch_template_name;
    check_name(&name)?;
    let mut present = 0;
    for template in resource::own::<LaunchTemplate>(tx, ctx) {
        present += 1;
        if template.name == name {
            return Err(ApiError::new(
                "InvalidLaunchTemplateName.AlreadyExistsException",
                "Launch template name already in use.",
            ));
        }
    }
    quota::LAUNCH_TEMPLATES.one_more(tx, ctx, present)?;
    let version = Version {
        created: ctx.now,
        description: crate::mortal::description(req.version_description)?,
        data: req.launch_template_data,
        client_token: None,
    };
    let template = LaunchTemplate {
        id: LaunchTemplateId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::of_new(req.tag_specifications.as_deref(), LaunchTemplate::TYPE)?,
        name,
        created: ctx.now,
        default: 1,
        latest: 1,
        versions: BTreeMap::from([(1, version)]),
        client_token: token,
    };
    let reply = template.reply();
    tx.put(template);
    Ok(reply)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateLaunchTemplateVersionRequest {
    client_token: Option<String>,
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    source_version: Option<String>,
    version_description: Option<String>,
    launch_template_data: TemplateData,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateLaunchTemplateVersionReply {
    launch_template_version: crate::launch_template_version::Item,
}

/// Adds a version. "If you specify SourceVersion, the new version inherits the launch parameters from the source
/// version", where it has none of its own.
pub(crate) fn create_launch_template_version(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateLaunchTemplateVersionRequest,
) -> Result<CreateLaunchTemplateVersionReply, ApiError> {
    let (id, name) = (&req.launch_template_id, &req.launch_template_name);
    let mut template = find(tx, ctx, id.as_deref(), name.as_deref())?.clone();
    let token = ClientToken::new(tx, req.client_token)?;
    if let Some(token) = &token {
        for (number, made) in &template.versions {
            if let Some(earlier) = &made.client_token
                && token.repeats(earlier)?
            {
                return Ok(CreateLaunchTemplateVersionReply {
                    launch_template_version: template.version_reply(*number, made),
                });
            }
        }
    }
    quota::LAUNCH_TEMPLATE_VERSIONS.one_more(tx, ctx, template.versions.len())?;
    let data = match &req.source_version {
        Some(source) => {
            let (_, source) = template.version(source)?;
            req.launch_template_data.or(source.data.clone())
        }
        None => req.launch_template_data,
    };
    let version = Version {
        created: ctx.now,
        description: crate::mortal::description(req.version_description)?,
        data,
        client_token: token,
    };
    template.latest += 1;
    let reply = template.version_reply(template.latest, &version);
    template.versions.insert(template.latest, version);
    tx.put(template);
    Ok(CreateLaunchTemplateVersionReply {
        launch_template_version: reply,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeLaunchTemplatesRequest {
    launch_template_ids: Option<Vec<String>>,
    launch_template_names: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeLaunchTemplatesReply {
    launch_templates: Vec<Item>,
    next_token: Option<String>,
}

const FILTERS: &[Field<LaunchTemplate>] = &[
    ("create-time", |_, t| {
        vec![api::Timestamp::from_millis(t.created.0).to_string()]
    }),
    ("launch-template-name", |_, t| vec![t.name.clone()]),
];

pub(crate) fn describe_launch_templates(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeLaunchTemplatesRequest,
) -> Result<DescribeLaunchTemplatesReply, ApiError> {
    let mut ids = req.launch_template_ids.unwrap_or_default();
    for name in req.launch_template_names.unwrap_or_default() {
        ids.push(find(tx, ctx, None, Some(&name))?.id.to_string());
    }
    let query = Query {
        ids: Some(&ids),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<LaunchTemplate>(tx, ctx, &query, FILTERS, &(1..=200))?;
    Ok(DescribeLaunchTemplatesReply {
        launch_templates: page.items.into_iter().map(LaunchTemplate::item).collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyLaunchTemplateRequest {
    /// The same change twice is one change.
    #[serde(rename = "ClientToken")]
    _client_token: Option<String>,
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    default_version: Option<String>,
}

/// Chooses the default version.
pub(crate) fn modify_launch_template(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyLaunchTemplateRequest,
) -> Result<LaunchTemplateReply, ApiError> {
    let (id, name) = (&req.launch_template_id, &req.launch_template_name);
    let mut template = find(tx, ctx, id.as_deref(), name.as_deref())?.clone();
    if let Some(version) = &req.default_version {
        template.default = template.version(version)?.0;
    }
    let reply = template.reply();
    tx.put(template);
    Ok(reply)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteLaunchTemplateRequest {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
}

pub(crate) fn delete_launch_template(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteLaunchTemplateRequest,
) -> Result<LaunchTemplateReply, ApiError> {
    let (id, name) = (&req.launch_template_id, &req.launch_template_name);
    let template = find(tx, ctx, id.as_deref(), name.as_deref())?;
    let (id, reply) = (template.id, template.reply());
    tx.remove::<LaunchTemplate>(&id);
    Ok(reply)
}
