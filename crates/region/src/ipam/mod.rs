//! IP address managers (EC2 "IPAM"): a manager has scopes, a scope has pools of address blocks, and from a pool come
//! the blocks of further pools, of VPCs, and of whatever else a client names.
//!
//! Pools hand out and remember; nothing here reaches a packet by itself. A VPC whose block came from a pool is like
//! any other.

pub(crate) mod allocation;
pub(crate) mod manager;
pub(crate) mod pool;
pub(crate) mod pool_cidr;
pub(crate) mod scope;
#[cfg(test)]
mod tests;

use types::AccountId;

use crate::filter::View;
use crate::{Life, Phase};

pub use allocation::IpamAllocation;
pub use manager::Ipam;
pub use pool::IpamPool;
pub use scope::IpamScope;

/// The name of a manager, a scope or a pool: of all regions, so without one.
fn arn(account: AccountId, kind: &str, id: impl std::fmt::Display) -> String {
    format!("arn:aws:ec2::{account}:{kind}/{id}")
}

/// EC2's word for the state of what is there; `modified` says whether it was changed since it was made.
const fn state_name(life: Life, modified: bool, view: &View<'_>) -> &'static str {
    match (life.phase(view.now), modified) {
        (Phase::Pending, _) => "create-in-progress",
        (Phase::Live, false) => "create-complete",
        (Phase::Live, true) => "modify-complete",
        (Phase::Deleting, _) => "delete-in-progress",
        (Phase::Deleted, _) => "delete-complete",
    }
}
