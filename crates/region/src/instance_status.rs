//! Whether instances are well.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::InstanceId;

use crate::dispatch::actions;
use crate::filter::{Field, Filter, View};
use crate::instance::{Instance, InstanceState, StateReply};
use crate::instance_describe::{Wanted, select};
use crate::{Context, Tx};

actions! {
    "DescribeInstanceStatus" => describe_instance_status, Control;
}

/// `DescribeInstanceStatus`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstanceStatusRequest {
    instance_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    include_all_instances: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstanceStatusReply {
    instance_statuses: Vec<InstanceStatus>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceStatus {
    availability_zone: String,
    availability_zone_id: String,
    instance_id: InstanceId,
    instance_state: StateReply,
    instance_status: StatusSummary,
    system_status: StatusSummary,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatusSummary {
    status: &'static str,
    details: Vec<StatusDetails>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatusDetails {
    name: &'static str,
    status: &'static str,
}

/// Whether an instance is well: its present start runs, as its host says.
fn status(instance: &Instance) -> &'static str {
    match instance.state {
        InstanceState::Running if instance.reported_boot == instance.boot => "ok",
        InstanceState::Running | InstanceState::Pending => "initializing",
        InstanceState::ShuttingDown
        | InstanceState::Terminated
        | InstanceState::Stopping
        | InstanceState::Stopped => "not-applicable",
    }
}

fn summary(instance: &Instance) -> StatusSummary {
    let details = match status(instance) {
        "ok" => vec![StatusDetails {
            name: "reachability",
            status: "passed",
        }],
        "initializing" => vec![StatusDetails {
            name: "reachability",
            status: "initializing",
        }],
        _ => Vec::new(),
    };
    StatusSummary {
        status: status(instance),
        details,
    }
}

const STATUS_FIELDS: &[Field<Instance>] = &[
    ("availability-zone", |v, i| {
        vec![v.zone_name(&i.region, &i.zone)]
    }),
    ("availability-zone-id", |_, i| vec![i.zone.clone()]),
    ("application-status.status", |_, _| vec![]),
    ("attached-ebs-status.status", |_, _| vec![]),
    ("operator.managed", |_, _| vec!["false".to_owned()]),
    ("operator.principal", |_, _| vec![]),
    ("event.code", |_, _| vec![]),
    ("event.description", |_, _| vec![]),
    ("event.instance-event-id", |_, _| vec![]),
    ("event.not-after", |_, _| vec![]),
    ("event.not-before", |_, _| vec![]),
    ("event.not-before-deadline", |_, _| vec![]),
    ("instance-state-code", |_, i| {
        vec![i.state.code().to_string()]
    }),
    ("instance-state-name", |_, i| {
        vec![i.state.name().to_owned()]
    }),
    ("instance-status.reachability", |_, i| {
        summary(i)
            .details
            .iter()
            .map(|d| d.status.to_owned())
            .collect()
    }),
    ("instance-status.status", |_, i| vec![status(i).to_owned()]),
    ("system-status.reachability", |_, i| {
        summary(i)
            .details
            .iter()
            .map(|d| d.status.to_owned())
            .collect()
    }),
    ("system-status.status", |_, i| vec![status(i).to_owned()]),
];

/// Tells of running instances, or of all of them, whether they are well.
pub(crate) fn describe_instance_status(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeInstanceStatusRequest,
) -> Result<DescribeInstanceStatusReply, ApiError> {
    let wanted = Wanted {
        ids: req.instance_ids.as_deref().unwrap_or_default(),
        filters: req.filters.as_deref().unwrap_or_default(),
        fields: STATUS_FIELDS,
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let all = req.include_all_instances.unwrap_or(false);
    let page = select(tx, ctx, &wanted, |instance| {
        all || instance.state == InstanceState::Running
    })?;
    let instance_statuses = page.items.into_iter().map(|instance| InstanceStatus {
        availability_zone: View::new(tx.state(), ctx).zone_name(&instance.region, &instance.zone),
        availability_zone_id: instance.zone.clone(),
        instance_id: instance.id,
        instance_state: instance.state.into(),
        instance_status: summary(instance),
        system_status: summary(instance),
    });
    Ok(DescribeInstanceStatusReply {
        instance_statuses: instance_statuses.collect(),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    #[test]
    fn status_is_of_running_instances() {
        let mut world = World::new();
        let run = json!({"ImageId": "ami-12345678", "MinCount": 2, "MaxCount": 2});
        let made = world.ok("RunInstances", run);
        let id = text(&made, "Instances.0.InstanceId");
        world.ok("StopInstances", json!({"InstanceIds": [id]}));
        let shown = world.ok("DescribeInstanceStatus", json!({}));
        assert_eq!(count(&shown, "InstanceStatuses"), 1);
        assert_eq!(
            text(&shown, "InstanceStatuses.0.InstanceStatus.Status"),
            "ok"
        );
        let all = world.ok(
            "DescribeInstanceStatus",
            json!({"IncludeAllInstances": true}),
        );
        assert_eq!(count(&all, "InstanceStatuses"), 2);
    }
}
