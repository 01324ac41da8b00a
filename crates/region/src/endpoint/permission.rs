//! Who may have endpoints to an account's service.

use std::collections::BTreeMap;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, EndpointServiceId, EndpointServicePermissionId};

use super::service::EndpointService;
use super::{BOUNDS, at_most};
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::mortal::{self, invalid};
use crate::{Context, Tx, page, resource};

actions! {
    "DescribeVpcEndpointServicePermissions" => describe_permissions, Control;
    "ModifyVpcEndpointServicePermissions" => modify_permissions, Recorded;
}

/// Polder's bound: EC2 documents none.
const MAX: usize = 1000;

/// What kind of principal a text names, in EC2's words; `None` if it names none.
fn kind(principal: &str) -> Option<&'static str> {
    if principal == "*" {
        return Some("All");
    }
    if principal.len() <= 128 && principal.ends_with(".amazonaws.com") && !principal.contains(':') {
        return Some("Service");
    }
    if mortal::is_arn(principal, "organizations") {
        return Some("OrganizationUnit");
    }
    if !mortal::is_arn(principal, "iam") {
        return None;
    }
    let resource = principal.splitn(6, ':').nth(5)?;
    match resource.split('/').next()? {
        "root" => Some("Account"),
        "user" => Some("User"),
        "role" => Some("Role"),
        _ => None,
    }
}

/// Whether a permission is for the whole account. One for a user or a role is not: requests do not say who of the
/// account they are from.
pub(super) fn means(principal: &str, account: AccountId) -> bool {
    let of_account = |text: &str| {
        let mut parts = text.splitn(6, ':').skip(4);
        parts.next() == Some(account.to_string().as_str()) && parts.next() == Some("root")
    };
    principal == "*" || kind(principal) == Some("Account") && of_account(principal)
}

/// EC2's only type of permission here.
const TYPE: &str = "vpc-endpoint";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyPermissionsRequest {
    service_id: String,
    add_allowed_principals: Option<Vec<String>>,
    remove_allowed_principals: Option<Vec<String>>,
    permission_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyPermissionsReply {
    added_principals: Vec<Item>,
    return_value: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    permission_type: &'static str,
    principal: String,
    principal_type: &'static str,
    service_id: EndpointServiceId,
    service_permission_id: EndpointServicePermissionId,
}

fn item(service: EndpointServiceId, id: EndpointServicePermissionId, principal: &str) -> Item {
    Item {
        permission_type: TYPE,
        principal: principal.to_owned(),
        principal_type: kind(principal).unwrap_or("All"),
        service_id: service,
        service_permission_id: id,
    }
}

/// Changes who may have endpoints. Endpoints that are there stay.
pub(crate) fn modify_permissions(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyPermissionsRequest,
) -> Result<ModifyPermissionsReply, ApiError> {
    let mut service = mortal::find::<EndpointService>(tx, ctx, &req.service_id)?.clone();
    if let Some(other) = req.permission_type.filter(|kind| kind != TYPE) {
        return Err(resource::unsupported("PermissionType", &other));
    }
    let gone = req.remove_allowed_principals.unwrap_or_default();
    service
        .permissions
        .retain(|_, principal| !gone.contains(principal));
    let mut added = Vec::new();
    for principal in req.add_allowed_principals.unwrap_or_default() {
        if kind(&principal).is_none() {
            return Err(ApiError::new(
                "InvalidPrincipal",
                format!("Invalid Principal: '{principal}'"),
            ));
        }
        if service
            .permissions
            .values()
            .any(|there| *there == principal)
        {
            continue;
        }
        let id = EndpointServicePermissionId::from_bits(ctx.random());
        added.push(item(service.id, id, &principal));
        service.permissions.insert(id, principal);
    }
    if service.permissions.len() > MAX {
        return Err(invalid(
            "addAllowedPrincipals",
            service.permissions.len(),
            "A service has at most 1000 permissions.",
        ));
    }
    tx.put(service);
    Ok(ModifyPermissionsReply {
        added_principals: added,
        return_value: true,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribePermissionsRequest {
    service_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribePermissionsReply {
    allowed_principals: Vec<Item>,
    next_token: Option<String>,
}

pub(crate) fn describe_permissions(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribePermissionsRequest,
) -> Result<DescribePermissionsReply, ApiError> {
    let service = mortal::find::<EndpointService>(tx, ctx, &req.service_id)?;
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &["permission-type", "principal", "principal-type"],
    )?;
    let permissions: &BTreeMap<_, _> = &service.permissions;
    let all = permissions
        .iter()
        .map(|(id, principal)| item(service.id, *id, principal));
    let passes = |item: &Item| {
        filter::matches_plain(
            &filters,
            &[
                ("permission-type", item.permission_type),
                ("principal", &item.principal),
                ("principal-type", item.principal_type),
            ],
        )
    };
    let page = page::cut(
        all.filter(passes),
        |item| item.service_permission_id.to_string(),
        &BOUNDS,
        at_most(req.max_results),
        req.next_token.as_deref(),
    )?;
    Ok(DescribePermissionsReply {
        allowed_principals: page.items,
        next_token: page.next_token,
    })
}
