//! `application/x-www-form-urlencoded`: the parameters of a request as pairs of text.

use crate::codec::HttpRequest;
use crate::error::ApiError;

/// The longest body or query string, in octets. EC2's own limit is of this order (user data is 16 KiB).
pub const MAX_FORM_LEN: usize = 1 << 20;

/// The most parameters of a request.
pub const MAX_PARAMETERS: usize = 5_000;

/// Parameters of a query string that carry a signature, and so belong to no action.
const PRESIGNED: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// The parameters of a request, from the query string and the body, without those that carry a presigned
/// signature.
///
/// # Errors
/// Too long, too many, not a form, or text that XML 1.0 could not carry back.
pub(crate) fn parameters(http: &HttpRequest<'_>) -> Result<Vec<(String, String)>, ApiError> {
    check_length(http)?;
    if !["GET", "POST"].contains(&http.method) {
        return Err(ApiError::new(
            "MethodNotAllowed",
            "The request must be a GET or a POST",
        ));
    }
    if !http.body.is_empty() {
        if http.method == "GET" {
            return Err(malformed("A GET request must not have a body"));
        }
        let kind = http
            .content_type
            .and_then(|kind| kind.split(';').next())
            .map(str::trim);
        if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        {
            return Err(malformed(
                "The content type must be application/x-www-form-urlencoded",
            ));
        }
    }
    let mut found = pairs(http.query.as_bytes())?;
    found.retain(|(name, _)| !PRESIGNED.contains(&name.as_str()));
    found.extend(pairs(http.body)?);
    check_pairs(&found)?;
    Ok(found)
}

/// The parameters of a query string alone, without those that carry a presigned signature.
///
/// # Errors
/// Too many, not a form, or text that XML 1.0 could not carry back.
pub(crate) fn query_parameters(http: &HttpRequest<'_>) -> Result<Vec<(String, String)>, ApiError> {
    let mut found = pairs(http.query.as_bytes())?;
    found.retain(|(name, _)| !PRESIGNED.contains(&name.as_str()));
    check_pairs(&found)?;
    Ok(found)
}

/// Refuses what is longer than [`MAX_FORM_LEN`].
///
/// # Errors
/// `RequestEntityTooLarge`.
pub(crate) fn check_length(http: &HttpRequest<'_>) -> Result<(), ApiError> {
    if [http.body.len(), http.query.len(), http.path.len()]
        .into_iter()
        .any(|length| length > MAX_FORM_LEN)
    {
        return Err(ApiError::new(
            "RequestEntityTooLarge",
            format!("The request is longer than {MAX_FORM_LEN} bytes"),
        ));
    }
    Ok(())
}

fn check_pairs(found: &[(String, String)]) -> Result<(), ApiError> {
    if found.len() > MAX_PARAMETERS {
        return Err(malformed(&format!(
            "The request has more than {MAX_PARAMETERS} parameters"
        )));
    }
    for (name, value) in found {
        if !name.chars().chain(value.chars()).all(is_xml) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "The parameter {} contains a character that is not allowed in XML 1.0",
                    crate::error::clip(name)
                ),
            ));
        }
    }
    Ok(())
}

/// Whether XML 1.0 can carry the character: its production 2, `Char`.
pub(crate) fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The pairs of a form, decoded.
pub(crate) fn pairs(form: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let mut found = Vec::new();
    for part in form
        .split(|octet| *octet == b'&')
        .filter(|part| !part.is_empty())
    {
        let mut halves = part.splitn(2, |octet| *octet == b'=');
        let name = decoded(halves.next().unwrap_or_default(), b' ')?;
        let value = decoded(halves.next().unwrap_or_default(), b' ')?;
        if name.is_empty() {
            return Err(malformed("The request has a parameter without a name"));
        }
        found.push((name, value));
    }
    Ok(found)
}

/// A part of a path, decoded; other than in a form, `+` is no space there.
pub(crate) fn path_part(text: &str) -> Result<String, ApiError> {
    let part = decoded(text.as_bytes(), b'+')?;
    if part.chars().all(is_xml) {
        return Ok(part);
    }
    Err(ApiError::new(
        "InvalidInput",
        "The path contains a character that is not allowed in XML 1.0",
    ))
}

fn decoded(text: &[u8], plus: u8) -> Result<String, ApiError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        octets.push(match first {
            b'+' => plus,
            b'%' => {
                let digit = |at: usize| {
                    tail.get(at)
                        .and_then(|d| char::from(*d).to_digit(16)?.try_into().ok())
                };
                let (Some(high), Some(low)): (Option<u8>, Option<u8>) = (digit(0), digit(1)) else {
                    return Err(malformed(
                        "The request has a % without two hexadecimal digits",
                    ));
                };
                rest = tail.get(2..).unwrap_or_default();
                high << 4 | low
            }
            plain => plain,
        });
    }
    String::from_utf8(octets).map_err(|_| malformed("The request is not valid UTF-8"))
}

fn malformed(message: &str) -> ApiError {
    ApiError::new("MalformedQueryString", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
        parameters(&HttpRequest {
            method: "POST",
            body,
            ..HttpRequest::default()
        })
    }

    fn code(result: Result<Vec<(String, String)>, ApiError>) -> String {
        result.unwrap_err().code.into_owned()
    }

    #[test]
    fn forms_are_decoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            post(b"a=1&&b=x+y%2Bz&c&d=%C3%A9=%3d").unwrap(),
            [
                pair("a", "1"),
                pair("b", "x y+z"),
                pair("c", ""),
                pair("d", "é==")
            ]
        );
    }

    #[test]
    fn hostile_forms_are_refused() {
        for bad in [
            &b"a=%"[..],
            b"a=%4",
            b"a=%zz",
            b"a=%+1",
            b"a=\xff",
            b"a=%ff",
            b"=x",
            b"=",
        ] {
            assert_eq!(code(post(bad)), "MalformedQueryString", "{bad:?}");
        }
        for bad in ["a=%00", "a=%1b", "a=%EF%BF%BF", "%07=x"] {
            assert_eq!(code(post(bad.as_bytes())), "InvalidParameterValue", "{bad}");
        }
        assert_eq!(
            code(post(&vec![b'a'; MAX_FORM_LEN + 1])),
            "RequestEntityTooLarge"
        );
        assert_eq!(
            code(post("a&".repeat(MAX_PARAMETERS + 1).as_bytes())),
            "MalformedQueryString"
        );
    }

    #[test]
    fn only_forms() {
        let http = HttpRequest {
            method: "POST",
            body: b"{}",
            ..HttpRequest::default()
        };
        let json = HttpRequest {
            content_type: Some("application/x-amz-json-1.1"),
            ..http
        };
        assert_eq!(code(parameters(&json)), "MalformedQueryString");
        let form = HttpRequest {
            content_type: Some("application/x-www-form-urlencoded; charset=utf-8"),
            ..http
        };
        assert!(parameters(&form).is_ok());
        assert_eq!(
            code(parameters(&HttpRequest {
                method: "GET",
                ..http
            })),
            "MalformedQueryString"
        );
        assert_eq!(
            code(parameters(&HttpRequest {
                method: "PUT",
                ..http
            })),
            "MethodNotAllowed"
        );
    }

    #[test]
    fn a_presigned_signature_is_no_parameter() {
        let http = HttpRequest {
            method: "GET",
            query: "Action=DescribeVpcs&X-Amz-Signature=0a&X-Amz-Date=20260101T000000Z&X-Amz-Mood=good",
            ..HttpRequest::default()
        };
        let names: Vec<_> = parameters(&http)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["Action", "X-Amz-Mood"]);
    }
}
