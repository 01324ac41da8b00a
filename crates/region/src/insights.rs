//! Network Insights: paths and access scopes, and their analyses by the walk.

pub(crate) mod analysis;
pub(crate) mod path;
pub(crate) mod scope;
pub(crate) mod scope_analysis;

use topology::{Change, Snapshot};
use types::{AccountId, RegionName};

use crate::{Context, Tx};

/// The ARN of a resource of EC2's.
fn arn(region: &RegionName, account: AccountId, kind: &str, id: &dyn std::fmt::Display) -> String {
    format!("arn:aws:ec2:{region}:{account}:{kind}/{id}")
}

/// The network as packets meet it: an analysis asks the same walk.
fn snapshot(tx: &Tx, ctx: &Context<'_>) -> Snapshot {
    let full = crate::project::full(tx.state(), 0);
    let changes: Vec<Change> = full.objects.into_iter().map(Change::Put).collect();
    Snapshot::new(Some(ctx.settings.pool)).apply(0, &changes)
}
