//! Where an instance is put: its placement group, its tenancy.

use api::ApiError;
use serde::Deserialize;

use crate::dispatch::actions;
use crate::instance_options::either;
use crate::instance_options_change::{DONE, Done, stopped};
use crate::{Context, PlacementGroup, Tx, instance_type, placement_group, resource};

actions! {
    "ModifyInstancePlacement" => modify_instance_placement, Recorded;
}

/// `ModifyInstancePlacement`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstancePlacementRequest {
    instance_id: String,
    group_name: Option<String>,
    group_id: Option<String>,
    partition_number: Option<i64>,
    tenancy: Option<String>,
}

/// Moves a stopped instance into a placement group, or with an empty name out of one.
pub(crate) fn modify_instance_placement(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstancePlacementRequest,
) -> Result<Done, ApiError> {
    let mut instance = stopped(tx, ctx, &req.instance_id)?;
    if let Some(tenancy) = req.tenancy {
        instance.options.dedicated =
            match either("tenancy", Some(&tenancy), ("default", "dedicated")) {
                Ok(chosen) => chosen.unwrap_or(false),
                Err(_) if tenancy == "host" => {
                    return Err(resource::unsupported("Tenancy", &tenancy));
                }
                Err(error) => return Err(error),
            };
    }
    let leaves = req.group_name.as_deref() == Some("") && req.group_id.is_none();
    if leaves {
        instance.placement_group = None;
        instance.partition = None;
    }
    let chosen = chosen_group(tx, ctx, req.group_name.as_deref(), req.group_id.as_deref())?;
    let group = match (chosen, leaves, req.partition_number) {
        (Some(group), ..) => Some(group.clone()),
        (None, false, Some(_)) => instance
            .placement_group
            .and_then(|id| tx.get::<PlacementGroup>(&id).cloned()),
        (None, ..) => None,
    };
    if let Some(group) = group {
        check_in_group(&group, &instance.instance_type)?;
        // It does not count as its own neighbour.
        instance.placement_group = None;
        tx.put(instance.clone());
        instance.partition =
            placement_group::place(tx, &group, &instance.zone, req.partition_number)?;
        instance.placement_group = Some(group.id);
    } else if req.partition_number.is_some() {
        return Err(no_group());
    }
    tx.put(instance);
    Ok(DONE)
}

fn no_group() -> ApiError {
    ApiError::new(
        "InvalidParameterCombination",
        "The partition number can only be specified together with a placement group.",
    )
}

/// The placement group that a request names, if it names one.
///
/// # Errors
/// Those of the look-up, and `InvalidParameterCombination` for both a name and an id.
pub(crate) fn chosen_group<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    name: Option<&str>,
    id: Option<&str>,
) -> Result<Option<&'t PlacementGroup>, ApiError> {
    let some = |text: Option<&'_ str>| text.is_some_and(|text| !text.is_empty());
    match (name, id) {
        (name, id) if some(name) && some(id) => Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter GroupId cannot be used with the parameter GroupName",
        )),
        (Some(name), _) if !name.is_empty() => placement_group::by_name(tx, ctx, name).map(Some),
        (_, Some(id)) if !id.is_empty() => resource::find(tx, ctx, id).map(Some),
        _ => Ok(None),
    }
}

/// Checks that instances of the type may be in the group ("You can't use … burstable performance instances" in
/// cluster placement groups).
pub(crate) fn check_in_group(group: &PlacementGroup, instance_type: &str) -> Result<(), ApiError> {
    if group.strategy == placement_group::Strategy::Cluster
        && instance_type::is_burstable(instance_type)
    {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            format!(
                "Cluster placement groups are not supported by the '{instance_type}' instance type. Specify a \
                 supported instance type or change the placement group strategy, and try again."
            ),
        ));
    }
    Ok(())
}

/// Where `RunInstances` puts an instance: the group that it names, which has been checked.
pub(crate) fn launch_group(
    tx: &Tx,
    ctx: &Context<'_>,
    (name, id): (Option<&str>, Option<&str>),
    partition: Option<i64>,
    instance_type: &str,
) -> Result<Option<PlacementGroup>, ApiError> {
    let group = chosen_group(tx, ctx, name, id)?;
    match group {
        Some(group) => check_in_group(group, instance_type)?,
        None if partition.is_some() => return Err(no_group()),
        None => {}
    }
    Ok(group.cloned())
}
