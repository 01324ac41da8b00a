//! Who asks, from the signature's credential scope. The signature itself is verified in [`crate::sigv4`].

use types::{AccountId, RegionName};

use crate::error::{ApiError, clip};
use crate::form;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The region of a request that names none.
const DEFAULT_REGION: &str = "us-east-1";

/// What a Signature Version 4 credential says: who, where, which service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The access key id; empty for an unsigned request.
    pub access_key: String,
    /// The day, as eight digits; none for an unsigned request.
    pub date: Option<String>,
    /// The region.
    pub region: RegionName,
    /// The service's name: `ec2`; none for an unsigned request.
    pub service: Option<String>,
}

impl Scope {
    /// The scope of a request without a signature: no key, the default region, any service.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a constant, read in a test")]
    pub fn unsigned() -> Scope {
        let region = DEFAULT_REGION.parse().expect("a region name");
        Scope {
            access_key: String::new(),
            date: None,
            region,
            service: None,
        }
    }

    /// The account that the access key names.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId::from_access_key(&self.access_key)
    }

    /// The scope of a request, from its `Authorization` header or its query string (presigned).
    ///
    /// # Errors
    /// `IncompleteSignature` when a part is missing or has no form, `AuthFailure` when it is another scheme than
    /// Signature Version 4, two signatures at once, or a name that can be no region's.
    pub fn of(authorization: Option<&str>, query: &str) -> Result<Scope, ApiError> {
        let query = form::pairs(query.as_bytes())?;
        let in_query = |wanted: &str| {
            query
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
        };
        if in_query("AWSAccessKeyId").is_some() {
            return Err(version_two());
        }
        let algorithm = in_query("X-Amz-Algorithm");
        let credential = in_query("X-Amz-Credential");
        match (authorization, algorithm.or(credential)) {
            (Some(_), Some(_)) => Err(failure("The request is signed twice")),
            (Some(header), None) => from_header(header),
            (None, Some(_)) => {
                if algorithm != Some(ALGORITHM) {
                    return Err(failure(&format!("X-Amz-Algorithm must be {ALGORITHM}")));
                }
                for part in ["X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date"] {
                    in_query(part).ok_or_else(|| incomplete(&format!("{part} is missing")))?;
                }
                from_credential(
                    credential.ok_or_else(|| incomplete("X-Amz-Credential is missing"))?,
                )
            }
            (None, None) => Ok(Scope::unsigned()),
        }
    }
}

/// What a client of Signature Version 2 is told.
pub(crate) fn version_two() -> ApiError {
    failure("Signature version 2 is not supported; sign with version 4")
}

fn incomplete(message: &str) -> ApiError {
    ApiError::new("IncompleteSignature", message)
}

fn failure(message: &str) -> ApiError {
    ApiError::new("AuthFailure", message)
}

fn from_header(header: &str) -> Result<Scope, ApiError> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme == "AWS" {
        return Err(version_two());
    }
    if scheme.starts_with("AWS4-") && scheme != ALGORITHM {
        return Err(failure(&format!(
            "The algorithm {} is not supported",
            clip(scheme)
        )));
    }
    if scheme != ALGORITHM {
        return Err(incomplete(&format!(
            "The Authorization header must begin with {ALGORITHM}, not with {}",
            clip(scheme)
        )));
    }
    let part = |wanted: &str| {
        rest.split(',')
            .filter_map(|part| part.trim().split_once('='))
            .find_map(|(name, value)| (name == wanted && !value.is_empty()).then_some(value))
            .ok_or_else(|| {
                incomplete(&format!(
                    "Authorization header requires '{wanted}' parameter."
                ))
            })
    };
    part("SignedHeaders")?;
    part("Signature")?;
    from_credential(part("Credential")?)
}

/// `KEY/20260101/us-east-1/ec2/aws4_request`; a key may hold slashes itself.
fn from_credential(credential: &str) -> Result<Scope, ApiError> {
    let wrong = || {
        incomplete(&format!(
            "Credential must have the form <access key>/<YYYYMMDD>/<region>/<service>/aws4_request, not {}",
            clip(credential)
        ))
    };
    let mut parts = credential.rsplitn(5, '/');
    let mut part = || {
        parts
            .next()
            .filter(|part| !part.is_empty())
            .ok_or_else(wrong)
    };
    let (end, service, region, date, key) = (part()?, part()?, part()?, part()?, part()?);
    let plain = |text: &str, longest: usize| {
        text.len() <= longest && text.bytes().all(|octet| octet.is_ascii_graphic())
    };
    let a_day = date.len() == 8 && date.bytes().all(|octet| octet.is_ascii_digit());
    if end != "aws4_request" || !a_day || !plain(key, 128) || !plain(service, 64) {
        return Err(wrong());
    }
    let region = region.parse().map_err(|_| {
        failure(&format!(
            "Credential should be scoped to a valid region, not '{}'",
            clip(region)
        ))
    })?;
    Ok(Scope {
        access_key: key.to_owned(),
        date: Some(date.to_owned()),
        region,
        service: Some(service.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=AKIA111122223333/20260101/eu-central-1/ec2/aws4_request, \
                        SignedHeaders=host;x-amz-date, Signature=0a1b";

    #[test]
    fn headers() {
        let scope = Scope::of(Some(GOOD), "Action=DescribeVpcs").unwrap();
        assert_eq!(scope.account().to_string(), "111122223333");
        assert_eq!(scope.region.as_str(), "eu-central-1");
        assert_eq!(scope.service.as_deref(), Some("ec2"));
        assert_eq!(scope.date.as_deref(), Some("20260101"));
        let dense = GOOD.replace(", ", ",");
        assert_eq!(Scope::of(Some(&dense), "").unwrap(), scope);
    }

    #[test]
    fn presigned() {
        let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb%2F20260101%2Fus-east-1%2Fsts%2F\
                     aws4_request&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0a";
        let scope = Scope::of(None, query).unwrap();
        assert_eq!(
            (scope.access_key.as_str(), scope.service.as_deref()),
            ("a/b", Some("sts"))
        );
        assert_eq!(
            Scope::of(Some(GOOD), query).unwrap_err().code,
            "AuthFailure"
        );
        let disguised = query.replace("X-Amz-Credential", "X%2DAmz%2DCredential");
        assert_eq!(Scope::of(None, &disguised).unwrap(), scope);
        let unsigned = query.replace("&X-Amz-Signature=0a", "");
        assert_eq!(
            Scope::of(None, &unsigned).unwrap_err().code,
            "IncompleteSignature"
        );
    }

    #[test]
    fn unsigned() {
        let scope = Scope::of(None, "Action=DescribeVpcs").unwrap();
        assert_eq!(scope, Scope::unsigned());
        assert_eq!(scope.account(), AccountId::DEFAULT);
    }

    #[test]
    fn other_schemes_and_garbage() {
        let code = |header: &str| Scope::of(Some(header), "").unwrap_err().code;
        assert_eq!(code("AWS AKID:c2ln"), "AuthFailure");
        assert_eq!(code("AWS4-ECDSA-P256-SHA256 Credential=x"), "AuthFailure");
        assert_eq!(code(&GOOD.replace("eu-central-1", "moon")), "AuthFailure");
        let without_signature = GOOD.split(", Signature").next().unwrap();
        for bad in [
            "",
            "Bearer x",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=,SignedHeaders=a,Signature=b",
            without_signature,
            &GOOD.replace("/aws4_request", ""),
            &GOOD.replace("20260101", "today"),
            &GOOD.replace("AKIA111122223333", "ключ"),
            &GOOD.replace("/ec2/", "//"),
        ] {
            assert_eq!(code(bad), "IncompleteSignature", "{bad}");
        }
        let old = "AWSAccessKeyId=a&SignatureVersion=2&Signature=x";
        assert_eq!(Scope::of(None, old).unwrap_err().code, "AuthFailure");
    }
}
