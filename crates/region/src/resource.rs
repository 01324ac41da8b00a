//! What all resources have in common: an owner, a region, tags, and the way to find and to list them.

use std::ops::RangeInclusive;

use api::ApiError;
use types::{AccountId, RegionName};

use crate::filter::{self, Field, Filter};
use crate::page::{self, Page};
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
}

/// Implements [`Resource`] for a record with the fields `account`, `region` and `tags`.
macro_rules! resource {
    ($record:ty, $type:literal, $not_found:expr) => {
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

/// Whether the client may know of the record: its own, in this region.
pub(crate) fn is_visible<R: Resource>(ctx: &Context<'_>, record: &R) -> bool {
    record.account() == ctx.account && *record.region() == ctx.region
}

/// The client's record of that id.
///
/// # Errors
/// The kind's "not found", also for another account's or region's record.
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
    tx.all::<R>().filter(move |record| is_visible(ctx, *record))
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
/// The kind's "not found" for an id, `InvalidParameterValue` for an unknown filter,
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
    for id in ids {
        wanted.push(find::<R>(tx, ctx, id)?);
    }
    wanted.sort_by_key(|record| record.id());
    wanted.dedup_by_key(|record| record.id());
    let matching = |record: &&'t R| filter::matches(filters, fields, tx.state(), *record);
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
