//! What all resources have in common: an owner, a region, tags, and the way to find and to list them.

use std::ops::RangeInclusive;

use api::ApiError;
use types::{AccountId, RegionName};

use crate::client_token::ClientToken;
use crate::filter::{self, Field, Filter, View};
use crate::page::{self, Page};
use crate::table::{Key, keys_of};
use crate::{Context, Record, Tags, Tx};

/// A record that belongs to an account in a region and has tags.
pub(crate) trait Resource: Record {
    /// The type's name in tag specifications: `vpc`.
    const TYPE: &'static str;

    /// Its owner.
    fn account(&self) -> AccountId;
    /// Where it is.
    fn region(&self) -> &RegionName;
    /// Its tags.
    fn tags(&self) -> &Tags;
    /// Its tags, to change them.
    fn tags_mut(&mut self) -> &mut Tags;
    /// EC2's error for an id that names none of the client's; the text may be no id of this kind at all.
    fn not_found(id: &str) -> ApiError;
    /// Whether its owner is told of it.
    fn is_shown(&self) -> bool {
        true
    }
}

/// Implements [`Resource`] for a record with the fields `account`, `region` and `tags`: the name of its type in tag
/// specifications, what it refers to (its keys besides its owner's), and the error for an id that names none.
macro_rules! resource {
    ($record:ty, $type:literal, |$this:ident, $keys:ident| $refers:expr, $not_found:expr $(,)?) => {
        impl $crate::table::Indexed for $record {
            fn keys(&self, $keys: &mut $crate::table::Keys<'_>) {
                let $this = self;
                $keys.owner($this.account, &$this.region);
                $refers;
            }
        }

        impl $crate::resource::Resource for $record {
            const TYPE: &'static str = $type;

            fn account(&self) -> types::AccountId {
                self.account
            }
            fn region(&self) -> &types::RegionName {
                &self.region
            }
            fn tags(&self) -> &$crate::tags::Tags {
                &self.tags
            }
            fn tags_mut(&mut self) -> &mut $crate::tags::Tags {
                &mut self.tags
            }
            fn not_found(id: &str) -> api::ApiError {
                let not_found: fn(&str) -> api::ApiError = $not_found;
                not_found(id)
            }
        }
    };
}
pub(crate) use resource;

/// Whether the text is an id with this prefix in one of EC2's two forms, of 8 or of 17 digits. One that is not is
/// malformed; one that is may still name nothing.
pub(crate) fn is_well_formed(id: &str, prefix: &str) -> bool {
    let digits = id
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .unwrap_or_default();
    matches!(digits.len(), 8 | 17)
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The error for an id that names none of the client's: not found if it is of the kind's form, else malformed. EC2
/// spells the two codes of a kind as it pleases ("Error codes for the Amazon EC2 API").
pub(crate) fn unknown_id(
    id: &str,
    prefix: &str,
    noun: &str,
    not_found: &'static str,
    malformed: &'static str,
) -> ApiError {
    if is_well_formed(id, prefix) {
        ApiError::new(not_found, format!("The {noun} '{id}' does not exist"))
    } else {
        ApiError::new(
            malformed,
            format!("Invalid id: \"{id}\" (expecting \"{prefix}-...\")"),
        )
    }
}

/// Which error answers a list of ids, of those of its unknown ones: EC2 looks at the form of every id before it looks
/// any of them up.
///
/// # Errors
/// The first "malformed", else the first "not found", if there are any.
pub(crate) fn first_unknown(mut errors: impl Iterator<Item = ApiError>) -> Result<(), ApiError> {
    let is_malformed = |error: &ApiError| error.code.ends_with(".Malformed");
    match errors.next() {
        None => Ok(()),
        Some(first) if is_malformed(&first) => Err(first),
        Some(first) => Err(errors.find(is_malformed).unwrap_or(first)),
    }
}

/// Whether the client may know of the record: its own in this region, or one that is also shown to it.
pub(crate) fn is_visible<R: Resource>(ctx: &Context<'_>, record: &R) -> bool {
    record.is_shown() && record.account() == ctx.account && *record.region() == ctx.region
        || keys_of(record).contains(&Key::Owner(ctx.account, ctx.region.clone()))
}

/// The client's record of that id.
///
/// # Errors
/// The kind's "malformed" or "not found", also for another account's or region's record.
pub(crate) fn find<'t, R: Resource>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t R, ApiError> {
    let key: R::Id = id.parse().map_err(|_| R::not_found(id))?;
    tx.get::<R>(&key)
        .filter(|record| is_visible(ctx, *record))
        .ok_or_else(|| R::not_found(id))
}

/// The client's records of a kind, by id.
pub(crate) fn own<'t, R: Resource>(tx: &'t Tx, ctx: &Context<'_>) -> impl Iterator<Item = &'t R> {
    R::table(tx.state()).by(Key::Owner(ctx.account, ctx.region.clone()))
}

/// The client's record that an earlier request with the same token made; `of` is the token a record was made with.
pub(crate) fn earlier<R: Resource>(
    tx: &Tx,
    ctx: &Context<'_>,
    token: Option<&ClientToken>,
    of: impl Fn(&R) -> Option<&ClientToken>,
) -> Result<Option<R::Id>, ApiError> {
    let Some(token) = token else { return Ok(None) };
    for record in own::<R>(tx, ctx) {
        if let Some(earlier) = of(record)
            && token.repeats(earlier)?
        {
            return Ok(Some(record.id()));
        }
    }
    Ok(None)
}

/// The parameters that Describe actions share.
pub(crate) struct Query<'q> {
    pub(crate) ids: Option<&'q [String]>,
    pub(crate) filters: Option<&'q [Filter]>,
    pub(crate) max_results: Option<i64>,
    pub(crate) next_token: Option<&'q str>,
}

/// The client's records that a Describe action asks for, by id. `bounds` are those of `MaxResults`.
///
/// # Errors
/// The kind's "malformed" or "not found" for an id, `InvalidParameterValue` for an unknown filter,
/// `InvalidParameterCombination` for ids together with `MaxResults`.
pub(crate) fn describe<'t, R: Resource>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    query: &Query<'_>,
    fields: &[Field<R>],
    bounds: &RangeInclusive<i64>,
) -> Result<Page<&'t R>, ApiError> {
    let ids = query.ids.unwrap_or_default();
    let filters = query.filters.unwrap_or_default();
    filter::check(filters, fields.iter().map(|(name, _)| *name))?;
    if !ids.is_empty() && query.max_results.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            format!(
                "The parameter {} ids cannot be used with the parameter maxResults",
                R::TYPE
            ),
        ));
    }
    let mut wanted = Vec::new();
    let mut unknown = Vec::new();
    for id in ids {
        match find::<R>(tx, ctx, id) {
            Ok(record) => wanted.push(record),
            Err(error) => unknown.push(error),
        }
    }
    first_unknown(unknown.into_iter())?;
    wanted.sort_by_key(|record| record.id());
    wanted.dedup_by_key(|record| record.id());
    let view = View::new(tx.state(), ctx);
    let matching = |record: &&'t R| filter::matches(filters, fields, &view, *record);
    let key = |record: &&'t R| record.id().to_string();
    let (max, token) = (query.max_results, query.next_token);
    if ids.is_empty() {
        page::cut(own::<R>(tx, ctx).filter(matching), key, bounds, max, token)
    } else {
        page::cut(wanted.into_iter().filter(matching), key, bounds, max, token)
    }
}

/// EC2's error for a parameter that this request must have.
pub(crate) fn missing(parameter: &str) -> ApiError {
    ApiError::missing_parameter(parameter)
}

/// EC2's error for a value that a parameter cannot have.
pub(crate) fn invalid_value(value: &impl std::fmt::Display, parameter: &str) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!("Value ({value}) for parameter {parameter} is invalid."),
    )
}

/// EC2's error for deleting what other resources depend on.
pub(crate) fn in_use(noun: &str, id: &impl std::fmt::Display) -> ApiError {
    ApiError::new(
        "DependencyViolation",
        format!("The {noun} '{id}' has dependencies and cannot be deleted."),
    )
}

/// The error for a parameter that Polder knows, with a value that it does not honour.
pub(crate) fn unsupported(parameter: &str, value: &impl std::fmt::Display) -> ApiError {
    ApiError::new(
        "UnsupportedOperation",
        format!("the value `{value}` of the parameter {parameter} is not supported by Polder"),
    )
}

/// Refuses `true` for a feature that Polder does not have; clients often spell out the `false`.
pub(crate) fn only_false(parameter: &str, value: Option<bool>) -> Result<(), ApiError> {
    if value == Some(true) {
        Err(unsupported(parameter, &true))
    } else {
        Ok(())
    }
}

/// A record that the request itself made or found.
///
/// # Errors
/// The kind's "not found".
pub(crate) fn get<'t, R: Resource>(tx: &'t Tx, id: &R::Id) -> Result<&'t R, ApiError> {
    tx.get::<R>(id).ok_or_else(|| R::not_found(&id.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[test]
    fn malformed_ids_are_told_from_unknown_ones() {
        let mut world = World::new();
        for (action, member, prefix, not_found, malformed) in [
            (
                "DescribeVpcs",
                "VpcIds",
                "vpc",
                "InvalidVpcID.NotFound",
                "InvalidVpcID.Malformed",
            ),
            (
                "DescribeSubnets",
                "SubnetIds",
                "subnet",
                "InvalidSubnetID.NotFound",
                "InvalidSubnetID.Malformed",
            ),
            (
                "DescribeRouteTables",
                "RouteTableIds",
                "rtb",
                "InvalidRouteTableID.NotFound",
                "InvalidRouteTableId.Malformed",
            ),
            (
                "DescribeInternetGateways",
                "InternetGatewayIds",
                "igw",
                "InvalidInternetGatewayID.NotFound",
                "InvalidInternetGatewayId.Malformed",
            ),
            (
                "DescribeNetworkAcls",
                "NetworkAclIds",
                "acl",
                "InvalidNetworkAclID.NotFound",
                "InvalidNetworkAclId.Malformed",
            ),
            (
                "DescribeSecurityGroups",
                "GroupIds",
                "sg",
                "InvalidGroup.NotFound",
                "InvalidGroupId.Malformed",
            ),
            (
                "DescribeNetworkInterfaces",
                "NetworkInterfaceIds",
                "eni",
                "InvalidNetworkInterfaceID.NotFound",
                "InvalidNetworkInterfaceId.Malformed",
            ),
            (
                "DescribeInstances",
                "InstanceIds",
                "i",
                "InvalidInstanceID.NotFound",
                "InvalidInstanceID.Malformed",
            ),
            (
                "DescribeSecurityGroupRules",
                "SecurityGroupRuleIds",
                "sgr",
                "InvalidSecurityGroupRuleId.NotFound",
                "InvalidSecurityGroupRuleId.Malformed",
            ),
            // EC2 has no word for a malformed allocation.
            (
                "DescribeAddresses",
                "AllocationIds",
                "eipalloc",
                "InvalidAllocationID.NotFound",
                "InvalidAllocationID.NotFound",
            ),
        ] {
            let (old, new) = (
                format!("{prefix}-01234567"),
                format!("{prefix}-0123456789abcdef0"),
            );
            for id in [&old, &new] {
                assert_eq!(
                    world.err(action, json!({member: [id]})),
                    not_found,
                    "{action} {id}"
                );
            }
            let wrong = [
                "",
                "x",
                prefix,
                "-01234567",
                "xyz-01234567",
                &format!("{prefix}-xyz"),
                &format!("{prefix}-0123456"),
                &format!("{prefix}-0123456789ABCDEF0"),
                &format!("{prefix}_01234567"),
                &format!("{new} "),
            ];
            for id in wrong {
                assert_eq!(
                    world.err(action, json!({member: [id]})),
                    malformed,
                    "{action} {id}"
                );
            }
            // The form of all ids comes first.
            assert_eq!(
                world.err(action, json!({member: [new, "x"]})),
                malformed,
                "{action}"
            );
        }
    }
}
