//! Images: opaque names. Every well-formed id is one, public and Amazon's; an account sees those that it asks for by
//! id, and otherwise those that its instances were made from.

use std::collections::BTreeSet;

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::instance_launch::check_image;
use crate::{Context, Instance, Tx, page, resource};

actions! {
    "DescribeImageAttribute" => describe_image_attribute, Control;
    "DescribeImages" => describe_images, Control;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeImagesRequest {
    image_ids: Option<Vec<String>>,
    owners: Option<Vec<String>>,
    executable_users: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    /// No image is deprecated.
    #[serde(rename = "IncludeDeprecated")]
    _include_deprecated: Option<bool>,
    /// No image is disabled.
    #[serde(rename = "IncludeDisabled")]
    _include_disabled: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeImagesReply {
    images: Vec<Image>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    image_id: String,
    image_location: String,
    name: String,
    state: &'static str,
    owner_id: &'static str,
    image_owner_alias: &'static str,
    public: bool,
    architecture: &'static str,
    image_type: &'static str,
    hypervisor: &'static str,
    virtualization_type: &'static str,
    root_device_name: &'static str,
    root_device_type: &'static str,
    ena_support: bool,
    block_device_mappings: [(); 0],
    platform_details: &'static str,
    usage_operation: &'static str,
}

/// The account that owns Amazon Linux.
const OWNER: &str = "137112412989";

fn image(id: String) -> Image {
    Image {
        image_location: format!("amazon/{id}"),
        name: id.clone(),
        image_id: id,
        state: "available",
        owner_id: OWNER,
        image_owner_alias: "amazon",
        public: true,
        architecture: "x86_64",
        image_type: "machine",
        hypervisor: "xen",
        virtualization_type: "hvm",
        root_device_name: "/dev/xvda",
        root_device_type: "ebs",
        ena_support: true,
        block_device_mappings: [],
        platform_details: "Linux/UNIX",
        usage_operation: "RunInstances",
    }
}

/// Lists images: those of the ids, else those of the account's instances.
pub(crate) fn describe_images(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeImagesRequest,
) -> Result<DescribeImagesReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &[
            "architecture",
            "ena-support",
            "hypervisor",
            "image-id",
            "image-type",
            "is-public",
            "manifest-location",
            "name",
            "owner-alias",
            "owner-id",
            "root-device-name",
            "root-device-type",
            "state",
            "virtualization-type",
        ],
    )?;
    let mut ids: BTreeSet<String> = req.image_ids.unwrap_or_default().into_iter().collect();
    for id in &ids {
        check_image(id)?;
    }
    if ids.is_empty() {
        ids = resource::own::<Instance>(tx, ctx)
            .map(|instance| instance.image.clone())
            .collect();
    }
    let owners = req.owners.unwrap_or_default();
    let is_owned = owners.is_empty() || owners.iter().any(|o| o == "amazon" || o == OWNER);
    // Everybody may launch them; nobody was named for it.
    let users = req.executable_users.unwrap_or_default();
    let is_executable = users.is_empty() || users.iter().any(|user| user == "all");
    let passes = |image: &Image| {
        is_owned
            && is_executable
            && filter::matches_plain(
                &filters,
                &[
                    ("architecture", image.architecture),
                    ("ena-support", "true"),
                    ("hypervisor", image.hypervisor),
                    ("image-id", &image.image_id),
                    ("image-type", image.image_type),
                    ("is-public", "true"),
                    ("manifest-location", &image.image_location),
                    ("name", &image.name),
                    ("owner-alias", image.image_owner_alias),
                    ("owner-id", image.owner_id),
                    ("root-device-name", image.root_device_name),
                    ("root-device-type", image.root_device_type),
                    ("state", image.state),
                    ("virtualization-type", image.virtualization_type),
                ],
            )
    };
    let page = page::cut(
        ids.into_iter().map(image).filter(passes),
        |image| image.image_id.clone(),
        &page::USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribeImagesReply {
        images: page.items,
        next_token: page.next_token,
    })
}

/// `DescribeImageAttribute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeImageAttributeRequest {
    attribute: String,
    image_id: String,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeImageAttributeReply {
    image_id: String,
    description: Option<AttributeValue>,
    boot_mode: Option<AttributeValue>,
    sriov_net_support: Option<AttributeValue>,
    last_launched_time: Option<AttributeValue>,
    deregistration_protection: Option<AttributeValue>,
    launch_permissions: Option<Vec<LaunchPermission>>,
    product_codes: Option<[(); 0]>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeValue {
    value: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LaunchPermission {
    group: &'static str,
}

/// One attribute of an image. Images are Amazon's and public: everybody may launch them, and of most attributes there is
/// nothing to tell.
pub(crate) fn describe_image_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeImageAttributeRequest,
) -> Result<DescribeImageAttributeReply, ApiError> {
    check_image(&req.image_id)?;
    let mut reply = DescribeImageAttributeReply::default();
    let nothing = || Some(AttributeValue::default());
    match req.attribute.as_str() {
        "launchPermission" => {
            reply.launch_permissions = Some(vec![LaunchPermission { group: "all" }]);
        }
        "description" => reply.description = nothing(),
        "productCodes" => reply.product_codes = Some([]),
        "bootMode" => reply.boot_mode = nothing(),
        "sriovNetSupport" => reply.sriov_net_support = nothing(),
        "deregistrationProtection" => {
            reply.deregistration_protection = Some(AttributeValue {
                value: Some("disabled".to_owned()),
            });
        }
        "lastLaunchedTime" => {
            let last = resource::own::<Instance>(tx, ctx)
                .filter(|instance| instance.image == req.image_id)
                .map(|instance| instance.launched)
                .max();
            reply.last_launched_time = Some(AttributeValue {
                value: last.map(|at| api::Timestamp::from_millis(at.0).to_string()),
            });
        }
        // "The blockDeviceMapping attribute is deprecated. Using this attribute returns the Client.AuthFailure error."
        // The others are told to an image's owner.
        "blockDeviceMapping" | "kernel" | "ramdisk" | "tpmSupport" | "uefiData" | "imdsSupport" => {
            return Err(ApiError::new(
                "AuthFailure",
                format!("Not authorized for image:{}", req.image_id),
            ));
        }
        other => {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Value ({other}) for parameter attribute is invalid. Unknown attribute."),
            ));
        }
    }
    reply.image_id = req.image_id;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    #[test]
    fn images_are_those_that_are_named_or_used() {
        let mut world = World::new();
        assert_eq!(count(&world.ok("DescribeImages", json!({})), "Images"), 0);
        let named = json!({"ImageIds": ["ami-0123456789abcdef0", "ami-12345678"]});
        let shown = world.ok("DescribeImages", named);
        assert_eq!(count(&shown, "Images"), 2);
        assert_eq!(text(&shown, "Images.0.State"), "available");
        assert_eq!(
            world.err("DescribeImages", json!({"ImageIds": ["x"]})),
            "InvalidAMIID.Malformed"
        );
        let run = json!({"ImageId": "ami-12345678", "MinCount": 2, "MaxCount": 2});
        world.ok("RunInstances", run);
        for (request, number) in [
            (json!({}), 1),
            (json!({"Owners": ["amazon"]}), 1),
            (json!({"Owners": ["self"]}), 0),
            (json!({"ExecutableUsers": ["self"]}), 0),
            (
                json!({"Filters": [{"Name": "image-id", "Values": ["ami-1*"]}]}),
                1,
            ),
            (
                json!({"Filters": [{"Name": "architecture", "Values": ["arm64"]}]}),
                0,
            ),
        ] {
            let shown = world.ok("DescribeImages", request.clone());
            assert_eq!(count(&shown, "Images"), number, "{request}");
        }
    }

    #[test]
    fn attributes_of_what_is_public() {
        let mut world = World::new();
        let ask = |attribute: &str| json!({"ImageId": "ami-12345678", "Attribute": attribute});
        let action = "DescribeImageAttribute";
        let shown = world.ok(action, ask("launchPermission"));
        assert_eq!(text(&shown, "LaunchPermissions.0.Group"), "all");
        let run = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        world.ok("RunInstances", run);
        let shown = world.ok(action, ask("lastLaunchedTime"));
        assert!(text(&shown, "LastLaunchedTime.Value").starts_with("2023-11-14T"));
        for (input, code) in [
            (ask("blockDeviceMapping"), "AuthFailure"),
            (ask("x"), "InvalidParameterValue"),
            (
                json!({"ImageId": "x", "Attribute": "description"}),
                "InvalidAMIID.Malformed",
            ),
        ] {
            assert_eq!(world.err(action, input), code);
        }
    }
}
