//! The form of identifiers. Every kind has had 17 digits for years; what is left of the choice is shown.

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::mortal::{invalid, is_arn};
use crate::{Context, Tx, page, resource};

actions! {
    "DescribeAggregateIdFormat" => describe_aggregate, Control;
    "DescribeIdFormat" => describe, Control;
    "DescribeIdentityIdFormat" => describe_identity, Control;
    "DescribePrincipalIdFormat" => describe_principal, Control;
    "ModifyIdFormat" => modify, Control;
    "ModifyIdentityIdFormat" => modify_identity, Control;
}

/// The kinds of resources with a form of identifiers that could once be chosen (`DescribeIdFormat`).
const KINDS: [&str; 31] = [
    "bundle",
    "conversion-task",
    "customer-gateway",
    "dhcp-options",
    "elastic-ip-allocation",
    "elastic-ip-association",
    "export-task",
    "flow-log",
    "image",
    "import-task",
    "instance",
    "internet-gateway",
    "network-acl",
    "network-acl-association",
    "network-interface",
    "network-interface-attachment",
    "prefix-list",
    "reservation",
    "route-table",
    "route-table-association",
    "security-group",
    "snapshot",
    "subnet",
    "subnet-cidr-block-association",
    "volume",
    "vpc",
    "vpc-cidr-block-association",
    "vpc-endpoint",
    "vpc-peering-connection",
    "vpn-connection",
    "vpn-gateway",
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IdFormat {
    resource: &'static str,
    use_long_ids: bool,
}

/// The kind of that name, or all of them.
fn formats(kind: Option<&str>) -> Result<Vec<IdFormat>, ApiError> {
    if let Some(kind) = kind {
        check(kind)?;
    }
    Ok(KINDS
        .into_iter()
        .filter(|known| kind.is_none_or(|kind| kind == *known))
        .map(|resource| IdFormat {
            resource,
            use_long_ids: true,
        })
        .collect())
}

fn check(kind: &str) -> Result<(), ApiError> {
    if KINDS.contains(&kind) || kind == "all-current" {
        Ok(())
    } else {
        Err(invalid("resource", kind, "Unknown resource type."))
    }
}

fn check_principal(arn: &str) -> Result<(), ApiError> {
    if is_arn(arn, "iam") || arn == "all" {
        Ok(())
    } else {
        Err(invalid(
            "principalArn",
            arn,
            "It must be the ARN of a principal.",
        ))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StatusesReply {
    statuses: Vec<IdFormat>,
}

/// `DescribeIdFormat`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    resource: Option<String>,
}

pub(crate) fn describe(
    _: &mut Tx,
    _: &Context<'_>,
    req: DescribeRequest,
) -> Result<StatusesReply, ApiError> {
    Ok(StatusesReply {
        statuses: formats(req.resource.as_deref())?,
    })
}

/// `DescribeIdentityIdFormat`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeIdentityRequest {
    resource: Option<String>,
    principal_arn: String,
}

pub(crate) fn describe_identity(
    _: &mut Tx,
    _: &Context<'_>,
    req: DescribeIdentityRequest,
) -> Result<StatusesReply, ApiError> {
    check_principal(&req.principal_arn)?;
    Ok(StatusesReply {
        statuses: formats(req.resource.as_deref())?,
    })
}

/// `DescribeAggregateIdFormat`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeAggregateRequest {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeAggregateReply {
    use_long_ids_aggregated: bool,
    statuses: Vec<IdFormat>,
}

pub(crate) fn describe_aggregate(
    _: &mut Tx,
    _: &Context<'_>,
    _: DescribeAggregateRequest,
) -> Result<DescribeAggregateReply, ApiError> {
    let statuses = formats(None)?;
    Ok(DescribeAggregateReply {
        use_long_ids_aggregated: statuses.iter().all(|format| format.use_long_ids),
        statuses,
    })
}

/// `DescribePrincipalIdFormat`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribePrincipalRequest {
    resources: Option<Vec<String>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribePrincipalReply {
    principals: Vec<Principal>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Principal {
    arn: String,
    statuses: Vec<IdFormat>,
}

/// "The root user and all IAM roles and IAM users that have explicitly specified a longer ID preference": none has, as
/// there is nothing left to prefer.
pub(crate) fn describe_principal(
    _: &mut Tx,
    _: &Context<'_>,
    req: DescribePrincipalRequest,
) -> Result<DescribePrincipalReply, ApiError> {
    for kind in req.resources.iter().flatten() {
        check(kind)?;
    }
    let page = page::cut(
        std::iter::empty::<Principal>(),
        |principal| principal.arn.clone(),
        &(1..=1000),
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribePrincipalReply {
        principals: page.items,
        next_token: page.next_token,
    })
}

/// `ModifyIdFormat`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyRequest {
    resource: String,
    use_long_ids: bool,
}

/// Asks for what is so anyway; short identifiers cannot be had any more.
fn set(kind: &str, long: bool) -> Result<(), ApiError> {
    check(kind)?;
    if long {
        Ok(())
    } else {
        Err(resource::unsupported("UseLongIds", &long))
    }
}

pub(crate) fn modify(_: &mut Tx, _: &Context<'_>, req: ModifyRequest) -> Result<(), ApiError> {
    set(&req.resource, req.use_long_ids)
}

/// `ModifyIdentityIdFormat`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyIdentityRequest {
    resource: String,
    use_long_ids: bool,
    principal_arn: String,
}

pub(crate) fn modify_identity(
    _: &mut Tx,
    _: &Context<'_>,
    req: ModifyIdentityRequest,
) -> Result<(), ApiError> {
    check_principal(&req.principal_arn)?;
    set(&req.resource, req.use_long_ids)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    #[test]
    fn every_identifier_is_long() {
        let mut world = World::new();
        let all = world.ok("DescribeIdFormat", json!({}));
        assert_eq!(count(&all, "Statuses"), 31);
        let one = world.ok("DescribeIdFormat", json!({"Resource": "vpc"}));
        assert_eq!(count(&one, "Statuses"), 1);
        assert_eq!(text(&one, "Statuses.0.UseLongIds"), "true");
        let all = world.ok("DescribeAggregateIdFormat", json!({}));
        assert_eq!(text(&all, "UseLongIdsAggregated"), "true");
        let root = "arn:aws:iam::111122223333:root";
        let one = json!({"PrincipalArn": root, "Resource": "subnet"});
        let one = world.ok("DescribeIdentityIdFormat", one);
        assert_eq!(text(&one, "Statuses.0.Resource"), "subnet");
        world.ok(
            "ModifyIdFormat",
            json!({"Resource": "vpc", "UseLongIds": true}),
        );
        let none = world.ok("DescribePrincipalIdFormat", json!({"Resources": ["vpc"]}));
        assert_eq!(count(&none, "Principals"), 0);
        for (action, input, code) in [
            (
                "ModifyIdFormat",
                json!({"Resource": "vpc", "UseLongIds": false}),
                "UnsupportedOperation",
            ),
            (
                "ModifyIdFormat",
                json!({"Resource": "x", "UseLongIds": true}),
                "InvalidParameterValue",
            ),
            (
                "ModifyIdentityIdFormat",
                json!({"Resource": "vpc", "UseLongIds": true, "PrincipalArn": "x"}),
                "InvalidParameterValue",
            ),
            (
                "DescribeIdFormat",
                json!({"Resource": "x"}),
                "InvalidParameterValue",
            ),
            (
                "DescribePrincipalIdFormat",
                json!({"MaxResults": 1001}),
                "InvalidParameterValue",
            ),
        ] {
            assert_eq!(world.err(action, input), code, "{action}");
        }
    }
}
