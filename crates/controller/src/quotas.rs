//! What an operator does with quotas: the commands of `polder quota`, over the socket of [`crate::accounts`]. They need a
//! server that runs, for quotas are part of the region's state.

use serde::{Deserialize, Serialize};
use types::{AccountId, RegionName};

use crate::accounts::Outcome;
use crate::core::Controller;

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Shows every quota of an account in a region.
    ListQuotas {
        /// The account.
        account: AccountId,
        /// The region.
        region: RegionName,
    },
    /// Gives an account another number, or the default again.
    SetQuota {
        /// The account.
        account: AccountId,
        /// The region.
        region: RegionName,
        /// The quota's code in Service Quotas; Polder's own begin with `P-`.
        code: String,
        /// The number; the default if there is none.
        value: Option<usize>,
    },
}

/// A quota of an account, in the words of Service Quotas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Quota {
    /// Its code.
    pub quota_code: String,
    /// Its name.
    pub quota_name: String,
    /// What the account may have at most.
    pub value: usize,
    /// What accounts may have unless it was adjusted for them.
    pub default_value: usize,
    /// Whether it can be.
    pub adjustable: bool,
}

impl Controller {
    /// Carries out a command.
    pub async fn quota(&self, command: Command) -> Outcome {
        let (Command::ListQuotas { account, region }
        | Command::SetQuota {
            account, region, ..
        }) = &command;
        let (account, region) = (*account, region.clone());
        if !region::is_region(&region) {
            return Outcome::Refused(format!("there is no region `{region}`"));
        }
        if let Command::SetQuota { code, value, .. } = command {
            if let Err(error) = self.set_quota(account, region, code, value).await {
                return Outcome::Refused(error.message);
            }
            return Outcome::Done;
        }
        let all = region::quotas(&self.published().state, account, &region);
        let quotas = all.into_iter().map(|(quota, value)| Quota {
            quota_code: quota.code.to_owned(),
            quota_name: quota.name.to_owned(),
            value,
            default_value: quota.default,
            adjustable: quota.is_adjustable(),
        });
        Outcome::Quotas(quotas.collect())
    }
}
