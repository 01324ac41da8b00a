//! `MaxResults` and `NextToken`: a list in pieces.

use std::ops::RangeInclusive;

use api::ApiError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One piece of a list, and the token that asks for the next one.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_token: Option<String>,
}

/// What most Describe actions take as `MaxResults`.
pub(crate) const USUAL_BOUNDS: RangeInclusive<i64> = 5..=1000;

/// Cuts a list that is ordered by `key`. A token is the last key of the piece before, so that a list that changes
/// meanwhile neither repeats nor skips what stays in it.
///
/// # Errors
/// `InvalidParameterValue` for a `MaxResults` out of bounds, `InvalidNextToken` for a token of someone else's making.
pub(crate) fn cut<T>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
    bounds: &RangeInclusive<i64>,
    max_results: Option<i64>,
    next_token: Option<&str>,
) -> Result<Page<T>, ApiError> {
    let last = next_token.map(decode).transpose()?;
    let limit = match max_results {
        None => *bounds.end(),
        Some(number) if bounds.contains(&number) => number,
        Some(number) => {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value ( {number} ) for parameter maxResults is invalid. Expecting a value between {} and {}.",
                    bounds.start(),
                    bounds.end()
                ),
            ));
        }
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Without MaxResults EC2 answers with everything.
    let limit = if max_results.is_some() || next_token.is_some() {
        limit
    } else {
        usize::MAX
    };
    let mut items = items.filter(|item| last.as_ref().is_none_or(|last| key(item) > *last));
    let mut piece = Vec::new();
    while piece.len() < limit {
        let Some(item) = items.next() else { break };
        piece.push(item);
    }
    let more = items.next().is_some();
    let next_token = if more {
        piece.last().map(|item| encode(&key(item)))
    } else {
        None
    };
    Ok(Page {
        items: piece,
        next_token,
    })
}

fn encode(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn decode(token: &str) -> Result<String, ApiError> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|octets| String::from_utf8(octets).ok())
        .ok_or_else(|| {
            ApiError::new(
                "InvalidNextToken",
                format!("The token '{token}' is invalid"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole() {
        let all: Vec<String> = (0..23).map(|i| format!("{i:02}")).collect();
        let mut seen = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = cut(
                all.iter(),
                |s| (*s).clone(),
                &USUAL_BOUNDS,
                Some(5),
                token.as_deref(),
            )
            .unwrap();
            assert!(page.items.len() <= 5);
            seen.extend(page.items.into_iter().cloned());
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn bounds_and_strange_tokens() {
        let cut = |max, token| {
            cut(
                ["a"].into_iter(),
                ToString::to_string,
                &USUAL_BOUNDS,
                max,
                token,
            )
        };
        assert!(cut(Some(4), None).is_err());
        assert!(cut(Some(1001), None).is_err());
        assert!(cut(None, Some("!")).is_err());
        assert!(
            cut(None, None).is_ok_and(|page| page.items.len() == 1 && page.next_token.is_none())
        );
    }
}
