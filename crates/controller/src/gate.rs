//! What stands between a client and the region: who it is, what it may do, how fast, and the record of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use api::{ApiError, SignedRequest, Value};
use serde_json::json;
use types::RegionName;

use crate::audit::{self, Audit};
use crate::auth::{self, Caller, Who};
use crate::authorize::{self, Circumstances};
use crate::directory::Accounts;
use crate::throttle::{Asked, Throttle, is_read};
use crate::{resources, sts};

/// Whether signatures count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Auth {
    /// The access key's id says whose a request is; nobody checks it, and policies do not count.
    None,
    /// Signature Version 4 is checked, and policies are evaluated.
    Sigv4,
}

/// The gate of one server.
pub struct Gate {
    auth: Auth,
    accounts: Arc<Accounts>,
    throttle: Option<Mutex<Throttle>>,
    audit: Option<Audit>,
    opened: Instant,
}

/// One call, as far as it is known.
pub(crate) struct Visit<'a> {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) user_agent: &'a str,
    pub(crate) request_id: &'a str,
    /// The time, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) now: i64,
    pub(crate) caller: Option<Caller>,
    pub(crate) region: Option<RegionName>,
    pub(crate) operation: Option<&'static api::Operation>,
    /// The request, if it is recorded.
    pub(crate) request: Option<api::Request>,
}

impl Gate {
    /// A gate. `throttle` says whether accounts are slowed down as EC2 does.
    #[must_use]
    pub fn new(auth: Auth, accounts: Arc<Accounts>, throttle: bool, audit: Option<Audit>) -> Gate {
        Gate {
            auth,
            accounts,
            throttle: throttle.then(Mutex::default),
            audit,
            opened: Instant::now(),
        }
    }

    /// Whether signatures count.
    #[must_use]
    pub const fn auth(&self) -> Auth {
        self.auth
    }

    /// Who asks, by the signature.
    ///
    /// # Errors
    /// What the service answers to a signature that it does not take.
    pub(crate) fn caller(&self, request: &SignedRequest<'_>, now: i64) -> Result<Caller, ApiError> {
        auth::authenticated(&self.accounts, request, now)
    }

    /// Who says that they ask, when signatures do not count.
    pub(crate) fn believed(&self, key: &str, token: Option<&str>) -> Caller {
        auth::believed(&self.accounts, key, token)
    }

    /// Whether a record of each call is kept.
    pub(crate) fn records(&self) -> bool {
        self.audit.is_some()
    }

    /// Whether the call may go on: fast enough, allowed, and recorded if it changes something.
    ///
    /// # Errors
    /// `RequestLimitExceeded`, `UnauthorizedOperation` or `AccessDenied`, `Unavailable` while the audit log cannot be
    /// written.
    pub(crate) fn admit(
        &self,
        visit: &Visit<'_>,
        caller: &Caller,
        region: &RegionName,
        request: &api::Request,
        state: impl FnOnce() -> Arc<region::State>,
    ) -> Result<(), ApiError> {
        let (service, action) = (request.service().name(), request.action());
        if service == "ec2"
            && let Some(throttle) = &self.throttle
        {
            let asked = Asked {
                account: caller.account,
                region,
                action,
                narrowed: is_narrowed(request.input()),
                instances: instances(request.input()),
            };
            let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            let mut throttle = throttle.lock().unwrap_or_else(PoisonError::into_inner);
            if !throttle.take(&asked, now) {
                return Err(ApiError::new(
                    "RequestLimitExceeded",
                    "Request limit exceeded.",
                ));
            }
        }
        // The service of sessions decides itself: much of it needs no permission.
        let is_free = caller.who == Who::Root && caller.session.is_none();
        if self.auth == Auth::Sigv4 && service != "sts" && !is_free {
            let base = authorize::context(caller, &circumstances(visit, region));
            let wanted = if service == "ec2" {
                resources::of_ec2(&state(), caller.account, region, action, request.input())
            } else {
                resources::of_other(service, action, request.input())
            };
            authorize::authorize(
                caller,
                &self.accounts.directory(),
                self.accounts.seal(),
                service,
                &base,
                &wanted,
            )?;
        }
        if let Some(audit) = &self.audit
            && !is_read(action)
            && !audit.ready()
        {
            return Err(ApiError::new(
                "Unavailable",
                "The audit log cannot be written, so nothing is changed",
            ));
        }
        Ok(())
    }

    /// Carries out a request to the Security Token Service.
    ///
    /// # Errors
    /// STS's error.
    pub(crate) fn sts(
        &self,
        visit: &Visit<'_>,
        caller: &Caller,
        region: &RegionName,
        request: &api::Request,
    ) -> Result<Value, ApiError> {
        let context = authorize::context(caller, &circumstances(visit, region));
        let asked = sts::Asked {
            accounts: &self.accounts,
            caller,
            context: &context,
            checked: self.auth == Auth::Sigv4,
            now: visit.now,
        };
        sts::execute(&asked, request)
    }

    /// Records a call before it is answered.
    ///
    /// # Errors
    /// `InternalError` if the record cannot be written and the call changed something; it may have taken effect.
    pub(crate) fn record(
        &self,
        visit: &Visit<'_>,
        outcome: Result<&Value, &ApiError>,
    ) -> Result<(), ApiError> {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let Err(error) = audit.record(&record(visit, outcome)) else {
            return Ok(());
        };
        tracing::error!(%error, request = visit.request_id, "the audit log cannot be written");
        let reads = visit
            .operation
            .is_none_or(|operation| is_read(operation.name));
        if reads || outcome.is_err() {
            return Ok(());
        }
        Err(ApiError::internal(
            "The audit log cannot be written; the call may have taken effect",
        ))
    }
}

fn circumstances<'a>(visit: &'a Visit<'_>, region: &'a RegionName) -> Circumstances<'a> {
    Circumstances {
        peer: visit.peer.map(|peer| peer.ip()),
        user_agent: visit.user_agent,
        region,
        now: visit.now,
    }
}

/// Whether a describe names what it wants, or takes it in pages.
fn is_narrowed(input: &Value) -> bool {
    let Value::Structure(members) = input else {
        return false;
    };
    members.iter().any(|(name, value)| {
        let is_there = !matches!(value, Value::List(items) if items.is_empty());
        let narrows = ["Filters", "MaxResults", "NextToken"].contains(&name.as_str())
            || name.ends_with("Id")
            || name.ends_with("Ids")
            || name.ends_with("Names")
            || name.ends_with("Ips");
        narrows && is_there
    })
}

/// How many instances a request is about.
fn instances(input: &Value) -> u32 {
    let count = match (input.get("MaxCount"), input.get("InstanceIds")) {
        (Some(Value::Integer(count)), _) => u32::try_from(*count).unwrap_or(1),
        (_, Some(Value::List(ids))) => u32::try_from(ids.len()).unwrap_or(u32::MAX),
        _ => 1,
    };
    // More than the bucket holds is for the action itself to refuse.
    count.clamp(1, 1000)
}

/// A record of CloudTrail's form ("CloudTrail record contents for management, data, and network activity events").
fn record(visit: &Visit<'_>, outcome: Result<&Value, &ApiError>) -> serde_json::Value {
    let request = visit.request.as_ref();
    let action = visit.operation.map(|operation| operation.name);
    let reads = action.is_none_or(is_read);
    let service = request.map_or("ec2", |request| request.service().name());
    let account = visit
        .caller
        .as_ref()
        .map(|caller| caller.account.to_string());
    let mut record = json!({
        "eventVersion": "1.11",
        "userIdentity": identity(visit.caller.as_ref()),
        "eventTime": iam::iso(visit.now),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": action,
        "awsRegion": visit.region.as_ref().map(RegionName::as_str),
        "sourceIPAddress": visit.peer.map(|peer| peer.ip().to_canonical().to_string()),
        "userAgent": visit.user_agent,
        "requestParameters": request.map(|request| audit::part(request.input())),
        "responseElements": outcome.ok().filter(|_| !reads).map(audit::part),
        "requestID": visit.request_id,
        "eventID": crate::core::request_id(),
        "readOnly": reads,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
    });
    if let (Err(error), Some(members)) = (outcome, record.as_object_mut()) {
        // Records of EC2 say whose fault it is.
        let code = match (service, error.status) {
            ("ec2", 500..) => format!("Server.{}", error.code),
            ("ec2", _) => format!("Client.{}", error.code),
            _ => error.code.to_string(),
        };
        members.insert("errorCode".to_owned(), json!(code));
        members.insert("errorMessage".to_owned(), json!(error.message));
    }
    record
}

/// CloudTrail's `userIdentity`.
fn identity(caller: Option<&Caller>) -> serde_json::Value {
    let Some(caller) = caller else {
        return json!({"type": "Unknown"});
    };
    let mut identity = json!({
        "principalId": caller.user_id(),
        "arn": caller.arn(),
        "accountId": caller.account.to_string(),
    });
    let Some(members) = identity.as_object_mut() else {
        return identity;
    };
    let kind = match &caller.who {
        Who::Root => "Root",
        Who::User { name, .. } => {
            members.insert("userName".to_owned(), json!(name));
            "IAMUser"
        }
        Who::Role { .. } => "AssumedRole",
        Who::Federated { .. } => "FederatedUser",
    };
    members.insert("type".to_owned(), json!(kind));
    if !caller.access_key.is_empty() {
        members.insert("accessKeyId".to_owned(), json!(caller.access_key));
    }
    if let Some(session) = &caller.session {
        let mut context = json!({
            "attributes": {"creationDate": iam::iso(session.issued), "mfaAuthenticated": "false"},
        });
        if let (Who::Role { name, id, .. }, Some(context)) = (&caller.who, context.as_object_mut())
        {
            let issuer = json!({
                "type": "Role",
                "principalId": id,
                "arn": caller.role_arn(),
                "accountId": caller.account.to_string(),
                "userName": name,
            });
            context.insert("sessionIssuer".to_owned(), issuer);
        }
        members.insert("sessionContext".to_owned(), context);
    }
    identity
}
