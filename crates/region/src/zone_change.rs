//! Changes of hosted zones, and what became of them. A change's id says when it was submitted and by whom, so that
//! nothing has to be kept for it.

use api::{ApiError, Value};
use serde::{Deserialize, Serialize};
use types::AccountId;

use crate::dispatch::actions;
use crate::hosted_zone::base36;
use crate::{Context, Timestamp, Tx, client_token};

actions! {
    "GetChange" => get_change, Control;
}

/// Bits of an id: a time in milliseconds, a random number, and a digest of both with the account.
const TIME: u32 = 44;
const NONCE: u32 = 26;
const DIGEST: u32 = 48;
/// With the path before it, an id has the 32 characters that the model allows.
const DIGITS: usize = 23;

/// A change, as replies have it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChangeInfo {
    id: String,
    status: &'static str,
    submitted_at: api::Timestamp,
    comment: Option<String>,
}

fn digest(account: AccountId, what: u128) -> u128 {
    let members = [
        ("account", account.to_string()),
        ("change", what.to_string()),
    ];
    let members = members.map(|(name, text)| (name.to_owned(), Value::String(text)));
    let digest = client_token::digest(&Value::Structure(members.into()));
    u128::from(digest) & ((1 << DIGEST) - 1)
}

fn info(ctx: &Context<'_>, id: &str, submitted: i64, comment: Option<String>) -> ChangeInfo {
    let pending = ctx.now.0 < submitted.saturating_add(ctx.settings.settle);
    ChangeInfo {
        id: format!("/change/{id}"),
        status: if pending { "PENDING" } else { "INSYNC" },
        submitted_at: api::Timestamp::from_millis(submitted),
        comment,
    }
}

/// A change that is submitted now.
pub(crate) fn make(ctx: &Context<'_>, comment: Option<String>) -> ChangeInfo {
    let Timestamp(now) = ctx.now;
    let time = u128::try_from(now).unwrap_or_default() & ((1 << TIME) - 1);
    let what = time << NONCE | ctx.random() & ((1 << NONCE) - 1);
    let whole = what << DIGEST | digest(ctx.account, what);
    info(ctx, &format!("C{}", base36(whole, DIGITS)), now, comment)
}

/// When the change of that id was submitted, if the account did that.
fn submitted(account: AccountId, id: &str) -> Option<i64> {
    let digits = id
        .strip_prefix('C')
        .filter(|digits| digits.len() == DIGITS)?;
    let capital = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase();
    if !digits.bytes().all(capital) {
        return None;
    }
    let whole = u128::from_str_radix(digits, 36).ok()?;
    let what = whole >> DIGEST;
    let genuine = digest(account, what) == whole & ((1 << DIGEST) - 1);
    genuine.then(|| i64::try_from(what >> NONCE).ok()).flatten()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetChangeRequest {
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetChangeReply {
    change_info: ChangeInfo,
}

pub(crate) fn get_change(
    _: &mut Tx,
    ctx: &Context<'_>,
    req: GetChangeRequest,
) -> Result<GetChangeReply, ApiError> {
    let time = submitted(ctx.account, &req.id).ok_or_else(|| {
        let message = format!("Could not find resource with ID: {}", req.id);
        ApiError::new("NoSuchChange", message)
    })?;
    Ok(GetChangeReply {
        change_info: info(ctx, &req.id, time, None),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, account, text};

    #[test]
    fn changes_settle() {
        let mut world = World::new();
        world.settle = 1000;
        let made = world.with(|_, ctx| make(ctx, None));
        assert_eq!(made.status, "PENDING");
        assert!(made.id.len() <= 32, "{}", made.id);
        let id = made.id.strip_prefix("/change/").unwrap();
        let request = json!({"Id": id});
        assert_eq!(
            text(&world.ok("GetChange", request.clone()), "ChangeInfo.Status"),
            "PENDING"
        );
        world.now.0 += 1000;
        assert_eq!(
            text(&world.ok("GetChange", request.clone()), "ChangeInfo.Status"),
            "INSYNC"
        );
        world.account = account("444455556666");
        assert_eq!(world.err("GetChange", request), "NoSuchChange");
        for id in [
            "C",
            "C0",
            "x",
            &"C0".repeat(12),
            &"9".repeat(24),
            &"C".repeat(24),
        ] {
            assert_eq!(
                world.err("GetChange", json!({"Id": id})),
                "NoSuchChange",
                "{id}"
            );
        }
    }
}
