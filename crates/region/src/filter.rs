//! The `Filters` parameter of Describe actions: every filter must match, by any of its values.

use api::ApiError;
use serde::Deserialize;
use types::{AccountId, RegionName};

use crate::resource::Resource;
use crate::zones::Zone;
use crate::{Context, State, Timestamp, ZoneNames, zones};

/// One filter of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) values: Vec<String>,
}

/// The state as an account sees it at a time.
#[derive(Clone, Copy)]
pub(crate) struct View<'s> {
    pub(crate) state: &'s State,
    pub(crate) now: Timestamp,
    account: AccountId,
    zone_names: ZoneNames,
}

impl<'s> View<'s> {
    /// What the client sees now.
    pub(crate) const fn new(state: &'s State, ctx: &Context<'_>) -> View<'s> {
        View {
            state,
            now: ctx.now,
            account: ctx.account,
            zone_names: ctx.settings.zone_names,
        }
    }

    /// The zones of a region as the client names them, by name.
    pub(crate) fn zones(&self, region: &RegionName) -> Vec<Zone> {
        zones::of(region, self.account, self.zone_names)
    }

    /// What the client calls a zone of that id.
    pub(crate) fn zone_name(&self, region: &RegionName, id: &str) -> String {
        self.zones(region)
            .into_iter()
            .find(|zone| zone.id == id)
            .map(|zone| zone.name)
            .unwrap_or_default()
    }
}

impl std::ops::Deref for View<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state
    }
}

/// A documented filter of a Describe action: its name, and what a record has there. A record without any value
/// matches no pattern.
pub(crate) type Field<R> = (&'static str, fn(&View<'_>, &R) -> Vec<String>);

/// EC2's bound on the values of one filter ("Filter", `Values`).
const MAX_VALUES: usize = 200;

/// Whether a record passes every filter, whose names [`check`] has seen. Tags are matched by `tag:KEY` and `tag-key`
/// in every action on resources.
pub(crate) fn matches<R: Resource>(
    filters: &[Filter],
    fields: &[Field<R>],
    view: &View<'_>,
    record: &R,
) -> bool {
    filters.iter().all(|filter| {
        let name = filter.name.as_deref().unwrap_or_default();
        let any = |value: &str| filter.values.iter().any(|pattern| like(pattern, value));
        let tags = &record.tags().0;
        if let Some(key) = name.strip_prefix("tag:") {
            return tags.get(key).is_some_and(|value| any(value));
        }
        if name == "tag-key" {
            return tags.keys().any(|key| any(key));
        }
        fields
            .iter()
            .filter(|(field, _)| *field == name)
            .any(|(_, values)| values(view, record).iter().any(|value| any(value)))
    })
}

/// Checks the filters of an action on resources, whose own filters these are.
///
/// # Errors
/// `InvalidParameterValue` naming the filter.
pub(crate) fn check<'n>(
    filters: &[Filter],
    names: impl Iterator<Item = &'n str> + Clone,
) -> Result<(), ApiError> {
    check_names(filters, |name| {
        name == "tag-key"
            || name.strip_prefix("tag:").is_some_and(|key| !key.is_empty())
            || names.clone().any(|known| known == name)
    })
}

/// Checks the filters of an action on what has no tags.
///
/// # Errors
/// `InvalidParameterValue` naming the filter.
pub(crate) fn check_plain(filters: &[Filter], names: &[&str]) -> Result<(), ApiError> {
    check_names(filters, |name| names.contains(&name))
}

/// Whether plain values, by filter name, pass filters that [`check_plain`] has seen.
pub(crate) fn matches_plain(filters: &[Filter], values: &[(&str, &str)]) -> bool {
    filters.iter().all(|filter| {
        values
            .iter()
            .filter(|(name, _)| filter.name.as_deref() == Some(*name))
            .any(|(_, value)| filter.values.iter().any(|pattern| like(pattern, value)))
    })
}

fn check_names(filters: &[Filter], is_known: impl Fn(&str) -> bool) -> Result<(), ApiError> {
    let invalid = |message: String| Err(ApiError::new("InvalidParameterValue", message));
    for filter in filters {
        let Some(name) = filter.name.as_deref() else {
            return Err(ApiError::missing_parameter("Filter.Name"));
        };
        if !is_known(name) {
            return invalid(format!("The filter '{name}' is invalid"));
        }
        if filter.values.is_empty() {
            return invalid(format!("The filter '{name}' must have at least one value"));
        }
        if filter.values.len() > MAX_VALUES {
            return Err(ApiError::new(
                "FilterLimitExceeded",
                format!(
                    "The maximum number of filter values specified on a single call is {MAX_VALUES}"
                ),
            ));
        }
    }
    Ok(())
}

/// EC2's patterns: `*` is any text, `?` any one character, a backslash takes the next one as it is.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    // The usual two-pointer match: on a mismatch go back to the last star and let it take one more character.
    // Linear in memory, at worst quadratic in time, never exponential.
    let pattern = tokens(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&character) = text.get(t) {
        match pattern.get(p) {
            Some(Token::Any) => {
                star = Some((p, t));
                p += 1;
            }
            Some(Token::One) => {
                p += 1;
                t += 1;
            }
            Some(&Token::Is(wanted)) if wanted == character => {
                p += 1;
                t += 1;
            }
            Some(Token::Is(_)) | None => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern
        .iter()
        .skip(p)
        .all(|token| matches!(token, Token::Any))
}

enum Token {
    Any,
    One,
    Is(char),
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Is(characters.next().unwrap_or('\\')),
            other => Token::Is(other),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "anything"),
            ("a*c", "abbbc"),
            ("a*b*c", "aXbYbZc"),
            ("?b?", "abc"),
            (r"\*", "*"),
            (r"a\?", "a?"),
            ("?", "ж"),
        ] {
            assert!(like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "A"),
            ("", "a"),
            ("a*c", "abbb"),
            ("?", ""),
            (r"\*", "x"),
            ("a?", "a"),
        ] {
            assert!(!like(pattern, text), "{pattern} {text}");
        }
        assert!(!like(&"*a".repeat(200), &"a".repeat(199)));
    }
}
