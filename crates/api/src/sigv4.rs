//! Signature Version 4 (AWS, "Create a signed AWS API request"): what a request's signature says, and whether it is
//! the one that its secret key makes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::auth::Scope;
use crate::error::ApiError;
use crate::form;

/// How far a request's time may be from the server's, in seconds.
pub const MAX_SKEW: i64 = 15 * 60;
/// How long a presigned request may be good for, in seconds.
const MAX_EXPIRES: i64 = 7 * 24 * 60 * 60;

/// The parts of an HTTP request that a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// What follows `?`, as it was sent.
    pub query: &'a str,
    /// The headers in the order in which they came.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, whole.
    pub body: &'a [u8],
}

/// What a request's signature says, before anybody knows whether it is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Key, day, region and service.
    pub scope: Scope,
    /// `X-Amz-Security-Token`: the session that the key is of.
    pub token: Option<String>,
    /// When it was made, in seconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// How long it is good for, in seconds, if it is presigned.
    pub expires: Option<i64>,
    /// The time as it was written.
    date: String,
    /// The signed headers' names, in small letters, in their order.
    signed: Vec<String>,
    /// The signature's 64 hexadecimal digits.
    value: String,
}

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    /// It is not the one that the key makes.
    Mismatch,
    /// It is too old.
    Expired,
    /// It is of a time to come.
    NotYet,
}

impl Signature {
    /// Reads a request's signature, from its headers or its query string.
    ///
    /// # Errors
    /// `MissingAuthenticationToken` if there is none, else as [`Scope::of`]; `IncompleteSignature` for a time, an
    /// expiry or a list of headers that is none, or that leaves out a header which must be signed.
    pub fn of(request: &SignedRequest<'_>) -> Result<Signature, ApiError> {
        let mut authorization = request.headers_named("authorization");
        let header = authorization.next();
        if authorization.next().is_some() {
            return Err(incomplete("There is more than one Authorization header"));
        }
        let scope = Scope::of(header, request.query)?;
        if scope.service.is_none() {
            return Err(ApiError::new(
                "MissingAuthenticationToken",
                "Request is missing Authentication Token",
            ));
        }
        let query = form::pairs(request.query.as_bytes())?;
        let in_query = |wanted: &str| {
            one(
                query
                    .iter()
                    .filter(|(name, _)| name == wanted)
                    .map(|(_, v)| v.as_str()),
                wanted,
            )
        };
        let in_header = |wanted: &str| one(request.headers_named(wanted), wanted);
        let signature = match header {
            Some(header) => {
                let date = in_header("x-amz-date")?.ok_or_else(|| {
                    incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
                })?;
                Signature {
                    token: in_header("x-amz-security-token")?.map(str::to_owned),
                    time: time(date)?,
                    expires: None,
                    date: date.to_owned(),
                    signed: names(&part(header, "SignedHeaders")),
                    value: part(header, "Signature"),
                    scope,
                }
            }
            None => {
                let required = |name: &str| {
                    in_query(name)?.ok_or_else(|| incomplete(&format!("{name} is missing")))
                };
                let date = required("X-Amz-Date")?;
                let expires = required("X-Amz-Expires")?;
                let expires = expires
                    .parse()
                    .ok()
                    .filter(|seconds| (1..=MAX_EXPIRES).contains(seconds))
                    .ok_or_else(|| {
                        incomplete(&format!(
                            "X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES}"
                        ))
                    })?;
                required("X-Amz-Credential")?;
                Signature {
                    token: in_query("X-Amz-Security-Token")?.map(str::to_owned),
                    time: time(date)?,
                    expires: Some(expires),
                    date: date.to_owned(),
                    signed: names(required("X-Amz-SignedHeaders")?),
                    value: required("X-Amz-Signature")?.to_owned(),
                    scope,
                }
            }
        };
        signature.check_form(request)?;
        Ok(signature)
    }

    /// `host`, and whatever AWS gives a meaning, must be signed: an unsigned one could be anybody's.
    fn check_form(&self, request: &SignedRequest<'_>) -> Result<(), ApiError> {
        if !self
            .date
            .starts_with(self.scope.date.as_deref().unwrap_or("?"))
        {
            return Err(incomplete(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
            ));
        }
        let sent = request
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase());
        let must = sent
            .filter(|name| name.starts_with("x-amz-"))
            .chain(["host".to_owned()]);
        for name in must {
            if !self.signed.contains(&name) {
                return Err(incomplete(&format!(
                    "'{name}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        Ok(())
    }

    /// Whether the signature is the one that this secret key makes for the request, and of this time (seconds since
    /// 1970-01-01T00:00:00Z). The comparison takes as long for a wrong signature as for a right one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(
        &self,
        secret: &str,
        request: &SignedRequest<'_>,
        now: i64,
    ) -> Result<(), SignatureError> {
        let made = self.sign(secret, request);
        let mut given = [0_u8; 32];
        if !unhex(&self.value, &mut given) || made.verify_slice(&given).is_err() {
            return Err(SignatureError::Mismatch);
        }
        let age = now.saturating_sub(self.time);
        if age < -MAX_SKEW {
            Err(SignatureError::NotYet)
        } else if age > self.expires.unwrap_or(MAX_SKEW) {
            Err(SignatureError::Expired)
        } else {
            Ok(())
        }
    }

    fn sign(&self, secret: &str, request: &SignedRequest<'_>) -> Hmac<Sha256> {
        let canonical = self.canonical(request);
        let day = self.scope.date.as_deref().unwrap_or_default();
        let service = self.scope.service.as_deref().unwrap_or_default();
        let region = self.scope.region.as_str();
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{day}/{region}/{service}/aws4_request\n{}",
            self.date,
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        let mut key = mac(format!("AWS4{secret}").as_bytes(), day.as_bytes());
        for part in [region, service, "aws4_request"] {
            key = mac(&key.finalize().into_bytes(), part.as_bytes());
        }
        mac(&key.finalize().into_bytes(), text.as_bytes())
    }

    /// The canonical request.
    fn canonical(&self, request: &SignedRequest<'_>) -> String {
        let mut text = format!("{}\n{}\n", request.method, canonical_path(request.path));
        // What cannot be decoded was refused when the scope was read.
        let mut pairs: Vec<(String, String)> = form::pairs(request.query.as_bytes())
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, _)| name != "X-Amz-Signature")
            .map(|(name, value)| (encoded(&name), encoded(&value)))
            .collect();
        pairs.sort();
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        text.push_str(&pairs.join("&"));
        text.push('\n');
        for name in &self.signed {
            let values: Vec<String> = request
                .headers_named(name)
                .map(|value| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            text.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        text.push('\n');
        text.push_str(&self.signed.join(";"));
        text.push('\n');
        text.push_str(&hex(&Sha256::digest(request.body)));
        text
    }
}

impl<'a> SignedRequest<'a> {
    fn headers_named(&self, wanted: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| *value)
    }
}

/// The session token of a presigned request, as it was sent.
///
/// # Errors
/// The query is no form.
pub fn presigned_token(query: &str) -> Result<Option<String>, ApiError> {
    let pairs = form::pairs(query.as_bytes())?;
    let token = pairs
        .into_iter()
        .find(|(name, _)| name == "X-Amz-Security-Token");
    Ok(token.map(|(_, value)| value))
}

/// The only one of the values.
fn one<'v>(
    mut values: impl Iterator<Item = &'v str>,
    name: &str,
) -> Result<Option<&'v str>, ApiError> {
    let first = values.next();
    if values.next().is_some() {
        return Err(incomplete(&format!("{name} is there twice")));
    }
    Ok(first)
}

fn incomplete(message: &str) -> ApiError {
    ApiError::new("IncompleteSignature", message)
}

/// A part of the Authorization header that [`Scope::of`] has found there.
fn part(header: &str, wanted: &str) -> String {
    let rest = header.trim().split_once(' ').map_or("", |(_, rest)| rest);
    rest.split(',')
        .filter_map(|part| part.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted && !value.is_empty()).then(|| value.to_owned()))
        .unwrap_or_default()
}

fn names(list: &str) -> Vec<String> {
    list.split(';').map(str::to_owned).collect()
}

/// `20260102T030405Z` as seconds since 1970-01-01T00:00:00Z.
fn time(text: &str) -> Result<i64, ApiError> {
    let wrong = || incomplete("Date must be in ISO-8601 'basic format', as in 20260102T030405Z");
    let in_form = text.len() == 16
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 => b == b'T',
            15 => b == b'Z',
            _ => b.is_ascii_digit(),
        });
    let cut = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    if !in_form {
        return Err(wrong());
    }
    let extended = format!(
        "{}-{}-{}T{}:{}:{}Z",
        cut(0, 4),
        cut(4, 6),
        cut(6, 8),
        cut(9, 11),
        cut(11, 13),
        cut(13, 15)
    );
    let time: jiff::Timestamp = extended.parse().map_err(|_| wrong())?;
    Ok(time.as_second())
}

fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes keys of every length (RFC 2104 section 2)"
    )]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Reads exactly as many octets as there is room for, of small letters as the algorithm writes them.
fn unhex(text: &str, into: &mut [u8]) -> bool {
    if text.len() != into.len() * 2 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    {
        return false;
    }
    into.iter_mut().enumerate().all(|(at, octet)| {
        let digits = text.get(at * 2..at * 2 + 2);
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        value.map(|value| *octet = value).is_some()
    })
}

/// RFC 3986 section 2.3: everything but the unreserved characters is encoded.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

/// The path without empty, `.` and `..` segments (RFC 3986 section 5.2.4), encoded once more than it was sent, as all
/// services but S3 have it.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let encoded: Vec<String> = segments.iter().map(|segment| encoded(segment)).collect();
    let end = if !encoded.is_empty() && path.ends_with('/') {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", encoded.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const NOW: i64 = 1_440_938_160;
    const DATE: (&str, &str) = ("X-Amz-Date", "20150830T123600Z");
    const HOST: (&str, &str) = ("Host", "example.amazonaws.com");

    fn verified(
        request: &SignedRequest<'_>,
        signed: &str,
        value: &str,
        now: i64,
    ) -> Result<(), SignatureError> {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, \
             Signature={value}"
        );
        let mut headers = request.headers.to_vec();
        headers.push(("Authorization", &header));
        let request = SignedRequest {
            headers: &headers,
            ..*request
        };
        Signature::of(&request)
            .unwrap()
            .verify(SECRET, &request, now)
    }

    /// AWS's published test suite for Signature Version 4 (`aws-sig-v4-test-suite`): its key, time and results.
    #[test]
    fn known_answers() {
        let plain = SignedRequest {
            method: "GET",
            path: "/",
            query: "",
            headers: &[HOST, DATE],
            body: b"",
        };
        let usual = "host;x-amz-date";
        let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let cases = [
            ("get-vanilla", plain, usual, vanilla),
            (
                "get-slash",
                SignedRequest {
                    path: "//",
                    ..plain
                },
                usual,
                vanilla,
            ),
            (
                "get-relative",
                SignedRequest {
                    path: "/example/..",
                    ..plain
                },
                usual,
                vanilla,
            ),
            (
                "post-vanilla",
                SignedRequest {
                    method: "POST",
                    ..plain
                },
                usual,
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "get-vanilla-query-order-key-case",
                SignedRequest {
                    query: "Param2=value2&Param1=value1",
                    ..plain
                },
                usual,
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-header-value-trim",
                SignedRequest {
                    headers: &[
                        HOST,
                        ("My-Header1", " value1"),
                        ("My-Header2", " \"a   b   c\""),
                        DATE,
                    ],
                    ..plain
                },
                "host;my-header1;my-header2;x-amz-date",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                "post-x-www-form-urlencoded",
                SignedRequest {
                    method: "POST",
                    headers: &[
                        ("Content-Type", "application/x-www-form-urlencoded"),
                        HOST,
                        DATE,
                    ],
                    body: b"Param1=value1",
                    ..plain
                },
                "content-type;host;x-amz-date",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ];
        for (name, request, signed, value) in cases {
            assert_eq!(verified(&request, signed, value, NOW), Ok(()), "{name}");
            let other = SignedRequest {
                body: b"x",
                ..request
            };
            assert_eq!(
                verified(&other, signed, value, NOW),
                Err(SignatureError::Mismatch),
                "{name}"
            );
        }
    }

    #[test]
    fn every_part_counts() {
        let request = SignedRequest {
            method: "POST",
            path: "/",
            query: "a=b%20c",
            headers: &[HOST, DATE],
            body: b"Action=DescribeVpcs",
        };
        let signed = "host;x-amz-date";
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, \
             Signature={}",
            "0".repeat(64)
        );
        let headers = [HOST, DATE, ("Authorization", header.as_str())];
        let with = SignedRequest {
            headers: &headers,
            ..request
        };
        let signature = Signature::of(&with).unwrap();
        let value = hex(&signature.sign(SECRET, &with).finalize().into_bytes());
        let ok = |request: &SignedRequest<'_>| verified(request, signed, &value, NOW);
        assert_eq!(ok(&request), Ok(()));
        assert_eq!(
            ok(&SignedRequest {
                query: "a=b+c",
                ..request
            }),
            Ok(()),
            "the same text, sent otherwise"
        );
        for other in [
            SignedRequest {
                method: "GET",
                ..request
            },
            SignedRequest {
                path: "/x",
                ..request
            },
            SignedRequest {
                query: "a=b",
                ..request
            },
            SignedRequest {
                headers: &[("Host", "other.example"), DATE],
                ..request
            },
            SignedRequest {
                body: b"Action=DescribeVpcS",
                ..request
            },
        ] {
            assert_eq!(ok(&other), Err(SignatureError::Mismatch), "{other:?}");
        }
        for wrong in ["", &value[1..], &value.to_uppercase(), &format!("{value}0")] {
            if wrong.is_empty() {
                continue;
            }
            assert_eq!(
                verified(&request, signed, wrong, NOW),
                Err(SignatureError::Mismatch),
                "{wrong}"
            );
        }
        assert_eq!(verified(&request, signed, &value, NOW + MAX_SKEW), Ok(()));
        assert_eq!(
            verified(&request, signed, &value, NOW + MAX_SKEW + 1),
            Err(SignatureError::Expired)
        );
        assert_eq!(verified(&request, signed, &value, NOW - MAX_SKEW), Ok(()));
        assert_eq!(
            verified(&request, signed, &value, NOW - MAX_SKEW - 1),
            Err(SignatureError::NotYet)
        );
    }

    fn presigned(expires: &str) -> String {
        format!(
            "Action=DescribeVpcs&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F20150830%2Fus-east-1%2Fec2%2F\
             aws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&\
             X-Amz-Security-Token=t%2B"
        )
    }

    #[test]
    fn presigned_requests() {
        let unsigned = format!("{}&X-Amz-Signature={}", presigned("3600"), "0".repeat(64));
        fn request(query: &str) -> SignedRequest<'_> {
            SignedRequest {
                method: "GET",
                path: "/",
                query,
                headers: &[HOST],
                body: b"",
            }
        }
        let signature = Signature::of(&request(&unsigned)).unwrap();
        assert_eq!(signature.token.as_deref(), Some("t+"));
        let value = hex(&signature
            .sign(SECRET, &request(&unsigned))
            .finalize()
            .into_bytes());
        let query = unsigned.replace(&"0".repeat(64), &value);
        let at = |now| {
            Signature::of(&request(&query))
                .unwrap()
                .verify(SECRET, &request(&query), now)
        };
        assert_eq!(at(NOW), Ok(()));
        assert_eq!(at(NOW + 3600), Ok(()));
        assert_eq!(at(NOW + 3601), Err(SignatureError::Expired));
        let longer = query.replace("Expires=3600", "Expires=3601");
        let verdict =
            Signature::of(&request(&longer))
                .unwrap()
                .verify(SECRET, &request(&longer), NOW);
        assert_eq!(verdict, Err(SignatureError::Mismatch));
        for bad in ["0", "-1", "604801", "x", ""] {
            let query = format!("{}&X-Amz-Signature=00", presigned(bad));
            assert_eq!(
                Signature::of(&request(&query)).unwrap_err().code,
                "IncompleteSignature",
                "{bad}"
            );
        }
        let twice = format!("{query}&X-Amz-Date=20150830T123600Z");
        assert_eq!(
            Signature::of(&request(&twice)).unwrap_err().code,
            "IncompleteSignature"
        );
    }

    #[test]
    fn what_is_no_signature() {
        let header = |signed: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/ec2/aws4_request, SignedHeaders={signed}, Signature=00"
            )
        };
        let code = |headers: &[(&str, &str)]| {
            let request = SignedRequest {
                method: "GET",
                path: "/",
                query: "",
                headers,
                body: b"",
            };
            Signature::of(&request).unwrap_err().code.into_owned()
        };
        let good = header("host;x-amz-date");
        let auth = ("authorization", good.as_str());
        assert_eq!(code(&[HOST]), "MissingAuthenticationToken");
        assert_eq!(code(&[HOST, auth]), "IncompleteSignature");
        assert_eq!(code(&[HOST, auth, auth, DATE]), "IncompleteSignature");
        assert_eq!(code(&[HOST, auth, DATE, DATE]), "IncompleteSignature");
        for date in [
            "20150830",
            "20150831T123600Z",
            "20151330T123600Z",
            "2015-08-30T12:36:00Z",
        ] {
            assert_eq!(
                code(&[HOST, auth, ("x-amz-date", date)]),
                "IncompleteSignature",
                "{date}"
            );
        }
        assert_eq!(
            code(&[HOST, ("authorization", &header("x-amz-date")), DATE]),
            "IncompleteSignature"
        );
        assert_eq!(
            code(&[HOST, ("authorization", &header("host")), DATE]),
            "IncompleteSignature"
        );
        assert_eq!(
            code(&[HOST, auth, DATE, ("x-amz-security-token", "t")]),
            "IncompleteSignature"
        );
    }
}
