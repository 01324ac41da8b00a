//! The Security Token Service: who a caller is, and temporary keys.
//!
//! A temporary key comes with a session token in which everything about it is sealed; nothing is stored. It ends at its
//! time, and with the user or role that it is of.
//!
//! When nobody checks signatures, everybody may assume every role; the token then only says as whom `GetCallerIdentity`
//! answers.

use std::collections::BTreeMap;

use api::{ApiError, Timestamp, Value};
use iam::{Context, Kind, Policy, Trust};
use serde::{Deserialize, Serialize};
use types::AccountId;

use crate::accounts::{SESSION, secret, unique};
use crate::auth::{Caller, Session, Who};
use crate::authorize::Permissions;
use crate::directory::{Accounts, Directory};
use crate::resources::Resource;
use crate::seal::Purpose;

/// Seconds.
const LEAST: i64 = 900;
/// How long `GetSessionToken` and `GetFederationToken` give a key for unless they are told.
const TWELVE_HOURS: i64 = 43_200;
/// The longest for an account's own key.
const ONE_HOUR: i64 = 3600;
/// The longest for a user.
const MAX_TOKEN: i64 = 129_600;
/// STS's bound on session policies, in characters.
const MAX_POLICY: usize = 2048;
const MAX_TAGS: usize = 50;

/// One request to the service.
pub(crate) struct Asked<'a> {
    pub(crate) accounts: &'a Accounts,
    pub(crate) caller: &'a Caller,
    /// The context keys that the request has as such.
    pub(crate) context: &'a Context,
    /// Whether signatures and policies count.
    pub(crate) checked: bool,
    /// The time, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) now: i64,
}

/// Carries out one request.
///
/// # Errors
/// STS's error; `UnsupportedOperation` for what is not served.
pub(crate) fn execute(asked: &Asked<'_>, request: &api::Request) -> Result<Value, ApiError> {
    let reply = match request.action() {
        "AssumeRole" => to_value(&asked.assume_role(request.read()?)?),
        "DecodeAuthorizationMessage" => to_value(&asked.decode(&request.read()?)?),
        "GetAccessKeyInfo" => to_value(&asked.key_info(&request.read()?)?),
        "GetCallerIdentity" => {
            let GetCallerIdentity {} = request.read()?;
            to_value(&CallerIdentity {
                user_id: asked.caller.user_id(),
                account: asked.caller.account,
                arn: asked.caller.arn(),
            })
        }
        "GetFederationToken" => to_value(&asked.federation_token(request.read()?)?),
        "GetSessionToken" => to_value(&asked.session_token(&request.read()?)?),
        other => return Err(ApiError::unsupported_action(other)),
    };
    reply.map_err(|error| ApiError::internal(format!("reply of {}: {error}", request.action())))
}

fn to_value<T: Serialize>(reply: &T) -> Result<Value, String> {
    api::to_value(reply).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetCallerIdentity {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CallerIdentity {
    user_id: String,
    account: AccountId,
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AssumeRole {
    role_arn: String,
    role_session_name: String,
    policy: Option<String>,
    duration_seconds: Option<i64>,
    tags: Option<Vec<Tag>>,
    external_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRole {
    credentials: Credentials,
    assumed_role_user: AssumedRoleUser,
    packed_policy_size: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetSessionToken {
    duration_seconds: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SessionToken {
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetFederationToken {
    name: String,
    policy: Option<String>,
    duration_seconds: Option<i64>,
    tags: Option<Vec<Tag>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FederationToken {
    credentials: Credentials,
    federated_user: FederatedUser,
    packed_policy_size: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FederatedUser {
    federated_user_id: String,
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetAccessKeyInfo {
    access_key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKeyInfo {
    account: AccountId,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DecodeAuthorizationMessage {
    encoded_message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DecodedMessage {
    decoded_message: String,
}

fn denied(message: impl Into<String>) -> ApiError {
    ApiError::new("AccessDenied", message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

impl Asked<'_> {
    fn assume_role(&self, req: AssumeRole) -> Result<AssumedRole, ApiError> {
        let (account, path) = role_of(&req.role_arn)
            .ok_or_else(|| invalid(format!("{} is invalid", req.role_arn)))?;
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        check_name(&req.role_session_name, "roleSessionName", 64)?;
        let policy = session_policy(req.policy)?;
        let tags = session_tags(req.tags)?;
        let directory = self.accounts.directory();
        let found = directory.roles.get(&(account, path.to_owned()));
        if self.checked {
            self.may_assume(
                &req.role_arn,
                found.map(AsRef::as_ref),
                &directory,
                &tags,
                req.external_id.as_deref(),
                &req.role_session_name,
            )?;
        }
        let role_id = found.map(|known| known.role.id.clone());
        let id = match role_id {
            Some(id) => id,
            None => unique("AROA").map_err(ApiError::internal)?,
        };
        let longest = found.map_or(TWELVE_HOURS, |known| known.role.max_session);
        let chained = self.checked && self.caller.role_arn().is_some();
        let duration = req.duration_seconds.unwrap_or(SESSION);
        if chained && duration > ONE_HOUR {
            return Err(invalid(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            ));
        }
        if duration > longest {
            return Err(invalid(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        let packed = packed(policy.as_deref(), &tags);
        let caller = Caller {
            who: Who::Role {
                name,
                id: id.clone(),
                session: req.role_session_name.clone(),
            },
            ..Caller::root(account, "")
        };
        let credentials = self.issue(&caller, duration.max(LEAST), policy, tags)?;
        Ok(AssumedRole {
            credentials,
            assumed_role_user: AssumedRoleUser {
                assumed_role_id: caller.user_id(),
                arn: caller.arn(),
            },
            packed_policy_size: packed,
        })
    }

    /// The role must trust the caller, and the caller's own policies must allow it: in one account, a role that names
    /// the caller itself is enough (IAM User Guide, "Policy evaluation logic": cross-account and role trust policies).
    fn may_assume(
        &self,
        arn: &str,
        role: Option<&crate::directory::KnownRole>,
        directory: &Directory,
        tags: &BTreeMap<String, String>,
        external_id: Option<&str>,
        session: &str,
    ) -> Result<(), ApiError> {
        let caller = self.caller;
        if matches!(caller.who, Who::Root) {
            return Err(denied("Roles may not be assumed by root accounts."));
        }
        let mut context = self.context.clone();
        context.set("sts:RoleSessionName", session);
        if let Some(id) = external_id {
            context.set("sts:ExternalId", id);
        }
        for (key, value) in tags {
            context.set(&format!("aws:RequestTag/{key}"), value.as_str());
            context.add("aws:TagKeys", key.as_str());
        }
        let (account, own, role_arn) =
            (caller.account.to_string(), caller.arn(), caller.role_arn());
        let principal = iam::Caller {
            account: &account,
            arn: &own,
            role: role_arn.as_deref(),
        };
        let permissions = Permissions::of(caller, directory);
        let mut actions = vec!["sts:AssumeRole"];
        if !tags.is_empty() {
            actions.push("sts:TagSession");
        }
        for action in actions {
            let trust = role.map_or(Trust::No, |known| {
                iam::trusts(&known.trust, &principal, action, &context)
            });
            let here = role.is_some_and(|known| known.role.account == caller.account);
            let own = permissions.decide(caller, action, arn, &context);
            let allowed = match (trust, own) {
                (Trust::ExplicitDeny | Trust::No, _) => false,
                (_, Err(denial)) if denial.explicit => false,
                (Trust::Principal, _) if here => true,
                (Trust::Principal | Trust::Account, own) => own.is_ok(),
            };
            if !allowed {
                // One answer for every reason: a caller does not learn which roles there are.
                return Err(denied(format!(
                    "User: {} is not authorized to perform: {action} on resource: {arn}",
                    caller.arn()
                )));
            }
        }
        Ok(())
    }

    fn session_token(&self, req: &GetSessionToken) -> Result<SessionToken, ApiError> {
        if self.checked && self.caller.session.is_some() {
            return Err(denied(
                "Cannot call GetSessionToken with session credentials",
            ));
        }
        let duration = self.token_duration(req.duration_seconds);
        let credentials = self.issue(self.caller, duration, None, BTreeMap::new())?;
        Ok(SessionToken { credentials })
    }

    fn federation_token(&self, req: GetFederationToken) -> Result<FederationToken, ApiError> {
        check_name(&req.name, "name", 32)?;
        let by = match &self.caller.who {
            Who::Root => None,
            Who::User { name, id } => Some((name.clone(), id.clone())),
            Who::Role { .. } | Who::Federated { .. } => {
                return Err(denied(
                    "Cannot call GetFederationToken with session credentials",
                ));
            }
        };
        if self.caller.session.is_some() {
            return Err(denied(
                "Cannot call GetFederationToken with session credentials",
            ));
        }
        let policy = session_policy(req.policy)?;
        let tags = session_tags(req.tags)?;
        let federated = Caller {
            who: Who::Federated { name: req.name, by },
            ..Caller::root(self.caller.account, "")
        };
        self.authorize("sts:GetFederationToken", &federated.arn())?;
        let packed = packed(policy.as_deref(), &tags);
        let duration = self.token_duration(req.duration_seconds);
        let credentials = self.issue(&federated, duration, policy, tags)?;
        Ok(FederationToken {
            credentials,
            federated_user: FederatedUser {
                federated_user_id: federated.user_id(),
                arn: federated.arn(),
            },
            packed_policy_size: packed,
        })
    }

    fn key_info(&self, req: &GetAccessKeyInfo) -> Result<AccessKeyInfo, ApiError> {
        self.authorize("sts:GetAccessKeyInfo", "*")?;
        let key = req.access_key_id.as_str();
        let known = self
            .accounts
            .directory()
            .keys
            .get(key)
            .map(|key| key.account);
        let temporary = key
            .strip_prefix("ASIA")
            .and_then(|rest| rest.get(4..)?.parse().ok());
        let account = match known.or(temporary) {
            Some(account) => account,
            None if !self.checked => AccountId::from_access_key(key),
            None => return Err(invalid(format!("Invalid value for access key id: {key}"))),
        };
        Ok(AccessKeyInfo { account })
    }

    fn decode(&self, req: &DecodeAuthorizationMessage) -> Result<DecodedMessage, ApiError> {
        self.authorize("sts:DecodeAuthorizationMessage", "*")?;
        let opened = self
            .accounts
            .seal()
            .open(Purpose::Message, &req.encoded_message)
            .and_then(|text| serde_json::from_slice::<BTreeMap<String, String>>(&text).ok())
            .filter(|sealed| sealed.get("account") == Some(&self.caller.account.to_string()))
            .and_then(|mut sealed| sealed.remove("message"));
        let decoded_message = opened.ok_or_else(|| {
            ApiError::new(
                "InvalidAuthorizationMessageException",
                "Message is not valid",
            )
        })?;
        Ok(DecodedMessage { decoded_message })
    }

    fn authorize(&self, action: &str, resource: &str) -> Result<(), ApiError> {
        if !self.checked {
            return Ok(());
        }
        let wanted = [(action.to_owned(), Resource::plain(resource))];
        crate::authorize::authorize(
            self.caller,
            &self.accounts.directory(),
            self.accounts.seal(),
            "sts",
            self.context,
            &wanted,
        )
    }

    /// An account's own key gets an hour at most, however much is asked for.
    fn token_duration(&self, asked: Option<i64>) -> i64 {
        let longest = if self.caller.who == Who::Root {
            ONE_HOUR
        } else {
            MAX_TOKEN
        };
        asked.unwrap_or(TWELVE_HOURS).clamp(LEAST, longest)
    }

    fn issue(
        &self,
        caller: &Caller,
        seconds: i64,
        policy: Option<String>,
        tags: BTreeMap<String, String>,
    ) -> Result<Credentials, ApiError> {
        let random = unique("").map_err(ApiError::internal)?;
        let session = Session {
            key: format!(
                "ASIA{}{}",
                random.get(..4).unwrap_or_default(),
                caller.account
            ),
            secret: secret().map_err(ApiError::internal)?,
            account: caller.account,
            who: caller.who.clone(),
            issued: self.now,
            expires: self.now.saturating_add(seconds * 1000),
            policy,
            tags,
        };
        let session_token = session
            .token(self.accounts.seal())
            .ok_or_else(|| ApiError::internal("the session cannot be sealed"))?;
        Ok(Credentials {
            access_key_id: session.key,
            secret_access_key: session.secret,
            session_token,
            expiration: Timestamp::from_millis(session.expires.div_euclid(1000) * 1000),
        })
    }
}

/// The account and the name of `arn:aws:iam::111122223333:role/name`.
fn role_of(arn: &str) -> Option<(AccountId, &str)> {
    let (account, name) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let account = account.parse().ok()?;
    (!name.is_empty()).then_some((account, name))
}

/// STS's names: letters, digits and `_=,.@-`.
fn check_name(name: &str, parameter: &str, longest: usize) -> Result<(), ApiError> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    if plain && (2..=longest).contains(&name.len()) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at '{parameter}' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: [\\w+=,.@-]*"
    )))
}

fn session_policy(policy: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(text) = policy else { return Ok(None) };
    if text.chars().count() > MAX_POLICY {
        return Err(ApiError::new(
            "PackedPolicyTooLarge",
            format!("The session policy is longer than {MAX_POLICY} characters"),
        ));
    }
    Policy::parse(&text, Kind::Identity)
        .map_err(|error| ApiError::new("MalformedPolicyDocument", error.to_string()))?;
    Ok(Some(text))
}

fn session_tags(tags: Option<Vec<Tag>>) -> Result<BTreeMap<String, String>, ApiError> {
    let tags = tags.unwrap_or_default();
    if tags.len() > MAX_TAGS {
        return Err(invalid(format!("A session has at most {MAX_TAGS} tags")));
    }
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for tag in tags {
        let same = |key: &String| key.eq_ignore_ascii_case(&tag.key);
        if found.keys().any(same) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        found.insert(tag.key, tag.value);
    }
    Ok(found)
}

/// How much of the room for policy and tags is used, in per cent; none if there is neither.
fn packed(policy: Option<&str>, tags: &BTreeMap<String, String>) -> Option<i64> {
    if policy.is_none() && tags.is_empty() {
        return None;
    }
    let tags: usize = tags
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let used = policy.map_or(0, str::len) + tags;
    i64::try_from((used * 100).div_ceil(MAX_POLICY + MAX_TAGS * 384)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_roles() {
        let of = |arn| role_of(arn).map(|(account, name)| (account.to_string(), name));
        assert_eq!(
            of("arn:aws:iam::111122223333:role/ops"),
            Some(("111122223333".to_owned(), "ops"))
        );
        for bad in [
            "",
            "ops",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::111122223333:role/",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
