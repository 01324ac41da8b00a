//! Transit gateways: their attachments, route tables and routes, and what hangs on them.
//!
//! A packet's way through one: an attachment is associated with one route table; the table's static routes, the routes
//! of the prefix lists it refers to, and those that attachments propagate to it say at which attachment the packet
//! leaves. Propagated routes are computed and never stored. [`lookup`] answers that question from the state.

use api::ApiError;

use crate::life::Phase;
use crate::resource;
use crate::{Context, Timestamp, Tx};

pub(crate) mod association;
pub(crate) mod attachment;
pub(crate) mod connect;
pub(crate) mod connect_peer;
pub(crate) mod gateway;
pub(crate) mod multicast;
pub(crate) mod multicast_group;
pub(crate) mod peering;
pub(crate) mod policy_entry;
pub(crate) mod policy_table;
pub(crate) mod prefix_list;
pub(crate) mod project;
pub(crate) mod propagation;
pub(crate) mod route;
pub(crate) mod route_table;
pub(crate) mod search;
pub(crate) mod vpc_attachment;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_more;

pub use attachment::{AttachmentKind, TransitGatewayAttachment, attach_vpn, detach_vpn};
pub(crate) use attachment::{is_attached, of_vpc};
pub use connect_peer::TransitGatewayConnectPeer;
pub use gateway::TransitGateway;
pub use multicast::TransitGatewayMulticastDomain;
pub use policy_table::TransitGatewayPolicyTable;
pub use route::{Next, lookup};
pub use route_table::TransitGatewayRouteTable;

pub(crate) use crate::mortal::{Mortal, forget, mortal};

/// The client's record of that id, unless it is deleted: such a one is shown, and good for nothing else.
///
/// # Errors
/// The kind's "malformed" or "not found".
pub(crate) fn present<'t, R: Mortal>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t R, ApiError> {
    let record = resource::find::<R>(tx, ctx, id)?;
    if record.phase(ctx.now) == Phase::Deleted {
        return Err(R::not_found(id));
    }
    Ok(record)
}

/// The client's record of that id, which must be there: neither pending nor on its way out.
///
/// # Errors
/// Those of [`present`]; `IncorrectState`.
pub(crate) fn available<'t, R: Mortal>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t R, ApiError> {
    let record = present::<R>(tx, ctx, id)?;
    if record.phase(ctx.now) != Phase::Live {
        return Err(invalid_state(&record.id()));
    }
    Ok(record)
}

/// EC2's error for what cannot be changed as it stands.
pub(crate) fn invalid_state(id: &impl std::fmt::Display) -> ApiError {
    incorrect_state(format!("{id} is in invalid state"))
}

pub(crate) fn incorrect_state(message: String) -> ApiError {
    ApiError::new("IncorrectState", message)
}

/// EC2's error for an id that names none of the client's, as transit gateways word it.
pub(crate) fn unknown(
    id: &str,
    prefix: &str,
    noun: &str,
    not_found: &'static str,
    malformed: &'static str,
) -> ApiError {
    if resource::is_well_formed(id, prefix) {
        ApiError::new(
            not_found,
            format!("{noun} {id} was deleted or does not exist."),
        )
    } else {
        ApiError::new(
            malformed,
            format!("Invalid id: \"{id}\" (expecting \"{prefix}-...\")"),
        )
    }
}

/// EC2's error for a value that a parameter cannot have.
pub(crate) fn invalid_value(value: &impl std::fmt::Display, parameter: &str) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!("Value ({value}) for parameter {parameter} is invalid."),
    )
}

/// An option that is `enable` or `disable`.
///
/// # Errors
/// `InvalidParameterValue` for any other text.
pub(crate) fn switch(text: Option<&str>, parameter: &str) -> Result<Option<bool>, ApiError> {
    match text {
        None => Ok(None),
        Some("enable") => Ok(Some(true)),
        Some("disable") => Ok(Some(false)),
        Some(other) => Err(invalid_value(&other, parameter)),
    }
}

/// The word for an option in a reply.
pub(crate) const fn word(on: bool) -> &'static str {
    if on { "enable" } else { "disable" }
}

/// EC2's word for the state of what has a life.
pub(crate) const fn state_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Live => "available",
        Phase::Deleting => "deleting",
        Phase::Deleted => "deleted",
    }
}

/// EC2's word for the state of what can also be modified, which shows until a time.
pub(crate) fn state_or_modifying(
    phase: Phase,
    until: Option<Timestamp>,
    now: Timestamp,
) -> &'static str {
    if phase == Phase::Live && until.is_some_and(|until| now < until) {
        return "modifying";
    }
    state_word(phase)
}

/// EC2's word for an association; `None` if it is gone.
pub(crate) const fn association_word(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Pending => Some("associating"),
        Phase::Live => Some("associated"),
        Phase::Deleting => Some("disassociating"),
        Phase::Deleted => None,
    }
}

/// EC2's word for a propagation; `None` if it is gone.
pub(crate) const fn propagation_word(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Pending => Some("enabling"),
        Phase::Live => Some("enabled"),
        Phase::Deleting => Some("disabling"),
        Phase::Deleted => None,
    }
}

/// A time as replies have it.
pub(crate) const fn time(at: Timestamp) -> api::Timestamp {
    api::Timestamp::from_millis(at.0)
}
