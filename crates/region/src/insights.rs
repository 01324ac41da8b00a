//! Network Insights: what its analyses shall look at.

pub(crate) mod path;
pub(crate) mod scope;

use types::{AccountId, RegionName};

/// The ARN of a resource of EC2's.
fn arn(region: &RegionName, account: AccountId, kind: &str, id: &dyn std::fmt::Display) -> String {
    format!("arn:aws:ec2:{region}:{account}:{kind}/{id}")
}
