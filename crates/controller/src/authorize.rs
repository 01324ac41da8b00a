//! What a caller may do: its policies, the request's context keys, and EC2's refusal.
//!
//! An account's own keys may do everything. Everybody else may do what the policy of the user or role allows, and of
//! that only what a session's policy allows too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use api::ApiError;
use iam::{Context, Decision, Kind, Policy};
use serde_json::json;
use types::RegionName;

use crate::auth::{Caller, Who};
use crate::directory::{Directory, KnownRole, KnownUser};
use crate::resources::Resource;
use crate::seal::{Purpose, Seal};

/// What a request is made with, besides its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances<'a> {
    /// Where the request comes from, if it came over a network.
    pub(crate) peer: Option<IpAddr>,
    /// The client's name for itself.
    pub(crate) user_agent: &'a str,
    /// The region that is asked.
    pub(crate) region: &'a RegionName,
    /// The time, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) now: i64,
}

/// What limits a caller.
pub(crate) struct Permissions {
    /// The account's own key: nothing does, but a session's policy.
    root: bool,
    /// The user or the role, whose policy counts.
    holder: Holder,
    /// The session's policy.
    session: Option<Policy>,
}

enum Holder {
    Nobody,
    User(Arc<KnownUser>),
    Role(Arc<KnownRole>),
}

/// Why something is not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Denial {
    /// Whether a statement denies it, instead of none allowing it.
    pub(crate) explicit: bool,
    /// Which policy decided: `an identity-based`.
    which: &'static str,
}

const IDENTITY: &str = "identity-based";
const SESSION: &str = "session";

impl Permissions {
    /// The policies of a caller, as they are now.
    pub(crate) fn of(caller: &Caller, directory: &Directory) -> Permissions {
        let user = |name: &String| {
            let user = directory.users.get(&(caller.account, name.clone()));
            user.cloned().map_or(Holder::Nobody, Holder::User)
        };
        let holder = match &caller.who {
            Who::Root | Who::Federated { by: None, .. } => Holder::Nobody,
            Who::User { name, .. }
            | Who::Federated {
                by: Some((name, _)),
                ..
            } => user(name),
            Who::Role { name, .. } => {
                let role = directory.roles.get(&(caller.account, name.clone()));
                role.cloned().map_or(Holder::Nobody, Holder::Role)
            }
        };
        let text = caller.session.as_ref().and_then(|s| s.policy.as_deref());
        // What this server sealed was read before; a federated user without a policy may do nothing.
        let session = text.and_then(|text| Policy::parse(text, Kind::Identity).ok());
        Permissions {
            root: matches!(caller.who, Who::Root | Who::Federated { by: None, .. }),
            holder,
            session,
        }
    }

    /// Whether there is nothing to look at.
    pub(crate) fn are_all(&self, caller: &Caller) -> bool {
        self.root && matches!(caller.who, Who::Root)
    }

    /// What the policies say about one action on one resource.
    pub(crate) fn decide(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Result<(), Denial> {
        let own = match &self.holder {
            Holder::Nobody => None,
            Holder::User(known) => known.policy.as_ref(),
            Holder::Role(known) => known.policy.as_ref(),
        };
        let say = |policy: Option<&Policy>| {
            let policies: Vec<&Policy> = policy.into_iter().collect();
            iam::evaluate(&policies, action, resource, context)
        };
        let mut layers = Vec::new();
        if !self.root {
            layers.push((IDENTITY, say(own)));
        }
        let is_limited = matches!(caller.who, Who::Federated { .. })
            || caller.session.as_ref().is_some_and(|s| s.policy.is_some());
        if is_limited {
            layers.push((SESSION, say(self.session.as_ref())));
        }
        let explicit = layers
            .iter()
            .find(|(_, decision)| matches!(decision, Decision::ExplicitDeny(_)));
        if let Some((which, _)) = explicit {
            return Err(Denial {
                explicit: true,
                which,
            });
        }
        let silent = layers
            .iter()
            .find(|(_, decision)| *decision == Decision::ImplicitDeny);
        silent.map_or(Ok(()), |(which, _)| {
            Err(Denial {
                explicit: false,
                which,
            })
        })
    }
}

/// The context keys that every request has (IAM User Guide, "AWS global condition context keys").
pub(crate) fn context(caller: &Caller, circumstances: &Circumstances<'_>) -> Context {
    let mut context = Context::new();
    context.set("aws:CurrentTime", iam::iso(circumstances.now));
    context.set(
        "aws:EpochTime",
        circumstances.now.div_euclid(1000).to_string(),
    );
    // The server speaks HTTP; what encrypts in front of it is not visible here.
    context.set("aws:SecureTransport", "false");
    if let Some(peer) = circumstances.peer {
        context.set("aws:SourceIp", peer.to_canonical().to_string());
    }
    if !circumstances.user_agent.is_empty() {
        context.set("aws:UserAgent", circumstances.user_agent);
    }
    context.set("aws:RequestedRegion", circumstances.region.as_str());
    context.set("ec2:Region", circumstances.region.as_str());
    context.set("aws:PrincipalAccount", caller.account.to_string());
    context.set(
        "aws:PrincipalArn",
        caller.role_arn().unwrap_or_else(|| caller.arn()),
    );
    context.set("aws:PrincipalType", caller.kind());
    context.set("aws:userid", caller.user_id());
    if let Who::User { name, .. } = &caller.who {
        context.set("aws:username", name.as_str());
    }
    if let Some(session) = &caller.session {
        context.set("aws:TokenIssueTime", iam::iso(session.issued));
        context.set("aws:MultiFactorAuthPresent", "false");
        for (key, value) in &session.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.as_str());
        }
    }
    context
}

/// Whether the caller may do this to all the resources.
///
/// # Errors
/// `UnauthorizedOperation` for the first resource that it must not, with EC2's words; `AccessDenied` of other services.
pub(crate) fn authorize(
    caller: &Caller,
    directory: &Directory,
    seal: &Seal,
    service: &str,
    base: &Context,
    wanted: &[(String, Resource)],
) -> Result<(), ApiError> {
    let permissions = Permissions::of(caller, directory);
    if permissions.are_all(caller) && caller.session.as_ref().is_none_or(|s| s.policy.is_none()) {
        return Ok(());
    }
    for (action, resource) in wanted {
        let mut context = base.clone();
        for (key, values) in &resource.keys {
            for value in values {
                context.add(key, value.as_str());
            }
        }
        if let Err(denial) = permissions.decide(caller, action, &resource.arn, &context) {
            let message = explain(caller, action, &resource.arn, denial);
            if service != "ec2" {
                return Err(ApiError::new("AccessDenied", message));
            }
            let details = encoded(caller, seal, action, &resource.arn, denial, &context);
            return Err(ApiError::new(
                "UnauthorizedOperation",
                format!(
                    "You are not authorized to perform this operation. {message}. Encoded authorization failure \
                     message: {details}"
                ),
            ));
        }
    }
    Ok(())
}

/// Who must not do what, and why (IAM User Guide, "Troubleshoot access denied error messages").
pub(crate) fn explain(caller: &Caller, action: &str, resource: &str, denial: Denial) -> String {
    let arn = caller.arn();
    let on = if resource == "*" {
        String::new()
    } else {
        format!(" on resource: {resource}")
    };
    let which = denial.which;
    let article = if which == IDENTITY { "an" } else { "a" };
    let why = if denial.explicit {
        format!("with an explicit deny in {article} {which} policy")
    } else {
        format!("because no {which} policy allows the {action} action")
    };
    format!("User: {arn} is not authorized to perform: {action}{on} {why}")
}

/// What `DecodeAuthorizationMessage` shows, sealed; only the caller's account may have it opened.
fn encoded(
    caller: &Caller,
    seal: &Seal,
    action: &str,
    resource: &str,
    denial: Denial,
    context: &Context,
) -> String {
    let conditions: Vec<_> = context
        .iter()
        .map(|(key, values)| {
            let values: Vec<_> = values.iter().map(|value| json!({"value": value})).collect();
            json!({"key": key, "values": {"items": values}})
        })
        .collect();
    let message = json!({
        "allowed": false,
        "explicitDeny": denial.explicit,
        "matchedStatements": {"items": []},
        "failures": {"items": []},
        "context": {
            "principal": {"id": caller.user_id(), "arn": caller.arn()},
            "action": action,
            "resource": resource,
            "conditions": {"items": conditions},
        },
    });
    let sealed = BTreeMap::from([
        ("account", caller.account.to_string()),
        ("message", message.to_string()),
    ]);
    serde_json::to_vec(&sealed)
        .ok()
        .and_then(|text| seal.seal(Purpose::Message, &text))
        .unwrap_or_default()
}
