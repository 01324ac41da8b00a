//! Who asks: from the signature of a request to an account, and a user or session in it.

use std::collections::BTreeMap;

use api::{ApiError, Signature, SignatureError, SignedRequest};
use serde::{Deserialize, Serialize};
use types::AccountId;

use crate::directory::Accounts;
use crate::seal::{Purpose, Seal};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account.
    pub(crate) account: AccountId,
    /// The access key's id; empty for a request that is not signed.
    pub(crate) access_key: String,
    /// Who in the account.
    pub(crate) who: Who,
    /// The session, if the key is a temporary one.
    pub(crate) session: Option<Session>,
}

/// Who in an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Who {
    /// The account itself.
    Root,
    /// A user.
    User { name: String, id: String },
    /// A session of a role.
    Role {
        name: String,
        id: String,
        session: String,
    },
    /// Somebody for whom a user (or the account itself) asked for a session.
    Federated {
        name: String,
        /// The user, by name and unique id.
        by: Option<(String, String)>,
    },
}

/// A temporary key with all that is known of it. Its client keeps it, sealed: the session token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// `ASIA…`, which ends in the account's number.
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) account: AccountId,
    pub(crate) who: Who,
    /// When it began and when it ends, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) issued: i64,
    pub(crate) expires: i64,
    /// A policy that limits it further.
    pub(crate) policy: Option<String>,
    /// `aws:PrincipalTag/…`.
    pub(crate) tags: BTreeMap<String, String>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, {:?})", self.key, self.who)
    }
}

impl Session {
    /// The session token; `None` if the system gives no random numbers.
    pub(crate) fn token(&self, seal: &Seal) -> Option<String> {
        seal.seal(Purpose::Session, &serde_json::to_vec(self).ok()?)
    }

    /// The session of a token that this server made.
    pub(crate) fn of(token: &str, seal: &Seal) -> Option<Session> {
        serde_json::from_slice(&seal.open(Purpose::Session, token)?).ok()
    }
}

impl Caller {
    /// The account itself, as every client is when nobody checks signatures.
    pub(crate) fn root(account: AccountId, access_key: &str) -> Caller {
        Caller {
            account,
            access_key: access_key.to_owned(),
            who: Who::Root,
            session: None,
        }
    }

    fn of_session(session: Session) -> Caller {
        Caller {
            account: session.account,
            access_key: session.key.clone(),
            who: session.who.clone(),
            session: Some(session),
        }
    }

    /// The ARN (IAM User Guide, "IAM ARNs").
    pub(crate) fn arn(&self) -> String {
        let account = self.account;
        match &self.who {
            Who::Root => format!("arn:aws:iam::{account}:root"),
            Who::User { name, .. } => format!("arn:aws:iam::{account}:user/{name}"),
            Who::Role { name, session, .. } => {
                format!("arn:aws:sts::{account}:assumed-role/{name}/{session}")
            }
            Who::Federated { name, .. } => format!("arn:aws:sts::{account}:federated-user/{name}"),
        }
    }

    /// The ARN of the role that this is a session of.
    pub(crate) fn role_arn(&self) -> Option<String> {
        match &self.who {
            Who::Role { name, .. } => Some(format!("arn:aws:iam::{}:role/{name}", self.account)),
            Who::Root | Who::User { .. } | Who::Federated { .. } => None,
        }
    }

    /// `aws:userid`.
    pub(crate) fn user_id(&self) -> String {
        match &self.who {
            Who::Root => self.account.to_string(),
            Who::User { id, .. } => id.clone(),
            Who::Role { id, session, .. } => format!("{id}:{session}"),
            Who::Federated { name, .. } => format!("{}:{name}", self.account),
        }
    }

    /// `aws:PrincipalType`.
    pub(crate) const fn kind(&self) -> &'static str {
        match &self.who {
            Who::Root => "Account",
            Who::User { .. } => "User",
            Who::Role { .. } => "AssumedRole",
            Who::Federated { .. } => "FederatedUser",
        }
    }
}

/// The caller when nobody checks signatures: the account that the key names, or the session of a token of ours.
pub(crate) fn believed(accounts: &Accounts, key: &str, token: Option<&str>) -> Caller {
    let session = token.and_then(|token| Session::of(token, accounts.seal()));
    if let Some(session) = session.filter(|session| session.key == key) {
        return Caller::of_session(session);
    }
    let known = accounts.directory().keys.get(key).map(|key| key.account);
    let account = known.unwrap_or_else(|| AccountId::from_access_key(key));
    Caller::root(account, key)
}

/// The caller whose key made the signature, at this time in milliseconds.
///
/// # Errors
/// What the service answers to a signature that is missing, malformed, wrong, too old, or of nobody.
pub(crate) fn authenticated(
    accounts: &Accounts,
    request: &SignedRequest<'_>,
    now: i64,
) -> Result<Caller, ApiError> {
    let signature = Signature::of(request)?;
    let is_ec2 = signature.scope.service.as_deref() == Some("ec2");
    let unknown = || unknown_key(is_ec2);
    let directory = accounts.directory();
    let key = signature.scope.access_key.as_str();
    let (secret, caller) = match &signature.token {
        Some(token) => {
            let session = Session::of(token, accounts.seal())
                .filter(|session| session.key == key)
                .ok_or_else(unknown)?;
            (session.secret.clone(), Caller::of_session(session))
        }
        None => {
            let key = directory
                .keys
                .get(key)
                .filter(|key| key.active)
                .ok_or_else(unknown)?;
            let who = match &key.user {
                None => Who::Root,
                Some(name) => {
                    let user = directory.users.get(&(key.account, name.clone()));
                    let user = &user.ok_or_else(unknown)?.user;
                    Who::User {
                        name: user.name.clone(),
                        id: user.id.clone(),
                    }
                }
            };
            let caller = Caller {
                who,
                ..Caller::root(key.account, &key.id)
            };
            (key.secret.clone(), caller)
        }
    };
    signature
        .verify(&secret, request, now.div_euclid(1000))
        .map_err(|error| refused(error, is_ec2, &signature, now))?;
    if let Some(session) = &caller.session {
        if now >= session.expires {
            return Err(expired_token(is_ec2));
        }
        if !exists(&directory, &caller) {
            return Err(unknown());
        }
    }
    Ok(caller)
}

/// Whether whom a session is of is still there: the same, not one that came later by the same name.
fn exists(directory: &crate::directory::Directory, caller: &Caller) -> bool {
    let user = |name: &String, id: &String| {
        let user = directory.users.get(&(caller.account, name.clone()));
        user.is_some_and(|known| known.user.id == *id)
    };
    match &caller.who {
        Who::Root | Who::Federated { by: None, .. } => {
            directory.accounts.contains_key(&caller.account)
        }
        Who::User { name, id }
        | Who::Federated {
            by: Some((name, id)),
            ..
        } => user(name, id),
        Who::Role { name, id, .. } => {
            let role = directory.roles.get(&(caller.account, name.clone()));
            role.is_some_and(|known| known.role.id == *id)
        }
    }
}

/// EC2 says the same of every key that it does not take; STS, and what speaks like it, says more.
fn unknown_key(is_ec2: bool) -> ApiError {
    if is_ec2 {
        ApiError::new(
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        )
    } else {
        ApiError::new(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    }
}

fn expired_token(is_ec2: bool) -> ApiError {
    if is_ec2 {
        ApiError::new("RequestExpired", "Request has expired.")
    } else {
        ApiError::new(
            "ExpiredToken",
            "The security token included in the request is expired",
        )
    }
}

fn refused(error: SignatureError, is_ec2: bool, signature: &Signature, now: i64) -> ApiError {
    let basic = |seconds: i64| iam::iso(seconds * 1000).replace(['-', ':'], "");
    let (made, now) = (signature.time, now.div_euclid(1000));
    match error {
        SignatureError::Mismatch if is_ec2 => unknown_key(true),
        SignatureError::Mismatch => ApiError::new(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ),
        SignatureError::Expired | SignatureError::NotYet if is_ec2 => {
            ApiError::new("RequestExpired", "Request has expired.")
        }
        SignatureError::Expired => {
            let limit = signature.expires.unwrap_or(api::MAX_SKEW);
            let message = format!(
                "Signature expired: {} is now earlier than {} ({} - {} min.)",
                basic(made),
                basic(now - limit),
                basic(now),
                limit / 60
            );
            ApiError::new("SignatureDoesNotMatch", message)
        }
        SignatureError::NotYet => {
            let message = format!(
                "Signature not yet current: {} is still later than {} ({} + {} min.)",
                basic(made),
                basic(now + api::MAX_SKEW),
                basic(now),
                api::MAX_SKEW / 60
            );
            ApiError::new("SignatureDoesNotMatch", message)
        }
    }
}
