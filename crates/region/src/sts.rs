//! The Security Token Service: who a client is.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::AccountId;

use crate::dispatch::actions;
use crate::{Context, Tx};

actions! {
    "GetCallerIdentity" => get_caller_identity, Control;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetCallerIdentityRequest {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetCallerIdentityReply {
    user_id: AccountId,
    account: AccountId,
    arn: String,
}

/// Every client is its account's root user (STS `GetCallerIdentity`: the root user's id is the account's).
pub(crate) fn get_caller_identity(
    _: &mut Tx,
    ctx: &Context<'_>,
    _: GetCallerIdentityRequest,
) -> Result<GetCallerIdentityReply, ApiError> {
    let account = ctx.account;
    Ok(GetCallerIdentityReply {
        user_id: account,
        account,
        arn: format!("arn:aws:iam::{account}:root"),
    })
}
