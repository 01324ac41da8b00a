//! Resources that are shown for a while after their deletion: they are found by nothing but Describe actions, hold
//! nothing, and are forgotten in the end.

use api::ApiError;
use types::ObjectId;

use crate::filter::View;
use crate::resource::{self, Resource};
use crate::{
    Context, Life, Phase, State, Timestamp, Tx, flow_log, mirror, public_access_exclusion,
};

/// A resource that takes time to come and to go, and is shown for a while after.
pub(crate) trait Mortal: Resource {
    /// What it shows at a time.
    fn phase(&self, now: Timestamp) -> Phase;
    /// From when on it is gone, if it was deleted.
    fn ended(&self) -> Option<Timestamp>;
}

/// Implements [`Mortal`] for a record with a `life`.
macro_rules! mortal {
    ($record:ty) => {
        impl $crate::mortal::Mortal for $record {
            fn phase(&self, now: $crate::Timestamp) -> $crate::life::Phase {
                self.life.phase(now)
            }
            fn ended(&self) -> Option<$crate::Timestamp> {
                match self.life {
                    $crate::life::Life::From(_) => None,
                    $crate::life::Life::Until(at) => Some(at),
                }
            }
        }
    };
}
pub(crate) use mortal;

/// The client's record of that id, unless it was deleted.
///
/// # Errors
/// As for [`resource::find`], also for a deleted one.
pub(crate) fn find<'t, R: Mortal>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t R, ApiError> {
    let record = resource::find::<R>(tx, ctx, id)?;
    if record.ended().is_some() {
        return Err(R::not_found(id));
    }
    Ok(record)
}

/// The client's records that were not deleted, by id.
pub(crate) fn own<'t, R: Mortal>(tx: &'t Tx, ctx: &Context<'_>) -> impl Iterator<Item = &'t R> {
    resource::own::<R>(tx, ctx).filter(|record| record.ended().is_none())
}

/// How many deleted records of a kind an account's region remembers at most.
const MAX_REMEMBERED: usize = 1000;

/// Forgets deleted records of the client that are no longer shown.
pub(crate) fn forget<R: Mortal>(tx: &mut Tx, ctx: &Context<'_>) {
    let mut ended: Vec<(Timestamp, R::Id)> = resource::own::<R>(tx, ctx)
        .filter_map(|record| Some((record.ended()?, record.id())))
        .collect();
    ended.sort_unstable_by(|a, b| b.cmp(a));
    for (place, (at, id)) in ended.into_iter().enumerate() {
        if place >= MAX_REMEMBERED || Life::Until(at).is_forgotten(ctx.now) {
            tx.remove::<R>(&id);
        }
    }
}

/// Kinds of records that hold what they refer to: it cannot be deleted before them.
const HOLDING: &[&str] = &["traffic-mirror-target", "vpc-endpoint", "vpn-gateway"];

/// Whether such a record refers to the resource.
pub(crate) fn is_held(state: &State, id: impl Into<ObjectId>) -> bool {
    let referrers = state.referrers(id);
    referrers.iter().any(|(kind, _)| HOLDING.contains(kind))
}

/// Removes what goes with a resource that goes: its flow logs, its exclusion from block public access, and the
/// mirroring of an interface.
pub(crate) fn forget_what_watches(tx: &mut Tx, id: impl Into<ObjectId>) {
    let id = id.into();
    flow_log::forget_resource(tx, id);
    public_access_exclusion::forget_excluded(tx, id);
    if let ObjectId::InterfaceId(interface) = id {
        mirror::session::forget_interface(tx, interface);
    }
}

/// EC2's usual words for a life: `pending`, `available`, `deleting`, `deleted`.
pub(crate) const fn state_name(life: Life, view: &View<'_>) -> &'static str {
    match life.phase(view.now) {
        Phase::Pending => "pending",
        Phase::Live => "available",
        Phase::Deleting => "deleting",
        Phase::Deleted => "deleted",
    }
}

/// The state as this request sees it.
pub(crate) fn view<'t>(tx: &'t Tx, ctx: &Context<'_>) -> View<'t> {
    View::new(tx.state(), ctx)
}

/// A Describe action of resources whose record has `fn reply(&self, &View) -> Item`: its request, its reply and its
/// handler. `forget` names the kind of which forgotten records go first.
macro_rules! describe {
    (
        $handler:ident($request:ident { $ids:ident, $filters_member:ident }) -> $reply:ident { $list:ident: $item:ty },
        $record:ty, $filters:expr, $bounds:expr $(, forget $mortal:ty)? $(,)?
    ) => {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $request {
            $ids: Option<Vec<String>>,
            $filters_member: Option<Vec<$crate::filter::Filter>>,
            max_results: Option<i64>,
            next_token: Option<String>,
        }

        #[derive(serde::Serialize)]
        #[serde(rename_all = "PascalCase")]
        pub(crate) struct $reply {
            $list: Vec<$item>,
            next_token: Option<String>,
        }

        pub(crate) fn $handler(
            tx: &mut $crate::Tx,
            ctx: &$crate::Context<'_>,
            req: $request,
        ) -> Result<$reply, api::ApiError> {
            $( $crate::mortal::forget::<$mortal>(tx, ctx); )?
            let query = $crate::resource::Query {
                ids: req.$ids.as_deref(),
                filters: req.$filters_member.as_deref(),
                max_results: req.max_results,
                next_token: req.next_token.as_deref(),
            };
            let page = $crate::resource::describe::<$record>(tx, ctx, &query, $filters, &$bounds)?;
            let view = $crate::mortal::view(tx, ctx);
            Ok($reply {
                $list: page.items.into_iter().map(|record| record.reply(&view)).collect(),
                next_token: page.next_token,
            })
        }
    };
}
pub(crate) use describe;

/// The error for a parameter's value, as most actions word it.
pub(crate) fn invalid(parameter: &str, value: impl std::fmt::Display, why: &str) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!("Value ({value}) for parameter {parameter} is invalid. {why}"),
    )
}

/// EC2's error for parameters that exclude each other, or that need each other.
pub(crate) fn combination(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterCombination", message)
}

/// One of a list that a request could not serve.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Unsuccessful {
    error: UnsuccessfulError,
    resource_id: String,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct UnsuccessfulError {
    code: String,
    message: String,
}

impl Unsuccessful {
    pub(crate) fn new(id: &str, error: ApiError) -> Unsuccessful {
        Unsuccessful {
            error: UnsuccessfulError {
                code: error.code.into_owned(),
                message: error.message,
            },
            resource_id: id.to_owned(),
        }
    }
}

/// The reply of actions that do to each of a list what they can.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UnsuccessfulReply {
    pub(crate) unsuccessful: Vec<Unsuccessful>,
}

/// The reply of actions that say `true`.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReturnReply {
    r#return: bool,
}

/// It is done.
pub(crate) const DONE: ReturnReply = ReturnReply { r#return: true };

/// A description of a resource: "Up to 255 characters".
pub(crate) fn description(text: Option<String>) -> Result<Option<String>, ApiError> {
    const MAX: usize = 255;
    match text {
        Some(text) if text.chars().count() > MAX => Err(invalid(
            "description",
            text,
            "The description must be at most 255 characters.",
        )),
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

/// Whether the text is an ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`, of this service.
pub(crate) fn is_arn(text: &str, service: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, of, region, account, resource] = parts.as_slice() else {
        return false;
    };
    let plain = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    *arn == "arn"
        && partition.starts_with("aws")
        && plain(partition)
        && *of == service
        && plain(region)
        && (account.is_empty()
            || account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
        && !resource.is_empty()
        && text.len() <= 1283
        && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        assert!(is_arn("arn:aws:s3:::bucket/prefix", "s3"));
        assert!(is_arn("arn:aws:sns:us-east-1:111122223333:topic", "sns"));
        for wrong in [
            "",
            "arn",
            "arn:aws:s3:::",
            "arn:aws:sns:::x",
            "arn:aws:s3:us east:1:x",
            "arn:aws:s3::12:x",
        ] {
            assert!(!is_arn(wrong, "s3"), "{wrong}");
        }
    }
}
