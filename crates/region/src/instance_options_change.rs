//! Changes of what an instance was told to be at its launch.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::InstanceId;

use crate::dispatch::actions;
use crate::instance::{self, Instance, InstanceState};
use crate::instance_options::{
    CpuRequest, ENABLED, HOSTNAME, MonitoringReply, RECOVERY, ReservationRequest, either, word,
};
use crate::{Context, Tx};

actions! {
    "ModifyInstanceCapacityReservationAttributes" => modify_instance_capacity_reservation_attributes, Recorded;
    "ModifyInstanceCpuOptions" => modify_instance_cpu_options, Recorded;
    "ModifyInstanceMaintenanceOptions" => modify_instance_maintenance_options, Recorded;
    "ModifyPrivateDnsNameOptions" => modify_private_dns_name_options, Recorded;
    "MonitorInstances" => monitor_instances, Recorded;
    "UnmonitorInstances" => unmonitor_instances, Recorded;
}

/// The client's instance, to change it.
pub(crate) fn to_change(tx: &Tx, ctx: &Context<'_>, id: &str) -> Result<Instance, ApiError> {
    let instance = instance::find(tx, ctx, id)?;
    if matches!(
        instance.state,
        InstanceState::ShuttingDown | InstanceState::Terminated
    ) {
        return Err(ApiError::new(
            "IncorrectInstanceState",
            format!(
                "The instance '{id}' is not in a state from which it can be modified: {}.",
                instance.state.name()
            ),
        ));
    }
    Ok(instance.clone())
}

/// The client's instance, which must be stopped to be changed so.
pub(crate) fn stopped(tx: &Tx, ctx: &Context<'_>, id: &str) -> Result<Instance, ApiError> {
    let instance = instance::find(tx, ctx, id)?;
    if instance.state == InstanceState::Stopped {
        return Ok(instance.clone());
    }
    Err(ApiError::new(
        "IncorrectInstanceState",
        format!("The instance '{id}' is not in the 'stopped' state."),
    ))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Done {
    r#return: bool,
}

pub(crate) const DONE: Done = Done { r#return: true };

/// `MonitorInstances` and `UnmonitorInstances`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct MonitorInstancesRequest {
    instance_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MonitorInstancesReply {
    instance_monitorings: Vec<InstanceMonitoring>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceMonitoring {
    instance_id: InstanceId,
    monitoring: MonitoringReply,
}

fn monitor(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: &MonitorInstancesRequest,
    monitored: bool,
) -> Result<MonitorInstancesReply, ApiError> {
    let mut instance_monitorings = Vec::new();
    for mut instance in instance::find_all(tx, ctx, &req.instance_ids)? {
        let before = instance.options.monitored;
        instance.options.monitored = monitored;
        // EC2 shows that it has begun to.
        let state = if before == monitored {
            word(monitored, ENABLED)
        } else {
            word(monitored, ("disabling", "pending"))
        };
        instance_monitorings.push(InstanceMonitoring {
            instance_id: instance.id,
            monitoring: MonitoringReply { state },
        });
        tx.put(instance);
    }
    Ok(MonitorInstancesReply {
        instance_monitorings,
    })
}

pub(crate) fn monitor_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: MonitorInstancesRequest,
) -> Result<MonitorInstancesReply, ApiError> {
    monitor(tx, ctx, &req, true)
}

pub(crate) fn unmonitor_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: MonitorInstancesRequest,
) -> Result<MonitorInstancesReply, ApiError> {
    monitor(tx, ctx, &req, false)
}

/// `ModifyInstanceMaintenanceOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceMaintenanceOptionsRequest {
    instance_id: String,
    auto_recovery: Option<String>,
    reboot_migration: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInstanceMaintenanceOptionsReply {
    instance_id: InstanceId,
    auto_recovery: &'static str,
    reboot_migration: &'static str,
}

pub(crate) fn modify_instance_maintenance_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceMaintenanceOptionsRequest,
) -> Result<ModifyInstanceMaintenanceOptionsReply, ApiError> {
    let mut instance = to_change(tx, ctx, &req.instance_id)?;
    let options = &mut instance.options;
    if let Some(off) = either("AutoRecovery", req.auto_recovery.as_deref(), RECOVERY)? {
        options.no_auto_recovery = off;
    }
    if let Some(off) = either("RebootMigration", req.reboot_migration.as_deref(), RECOVERY)? {
        options.no_reboot_migration = off;
    }
    let reply = ModifyInstanceMaintenanceOptionsReply {
        instance_id: instance.id,
        auto_recovery: word(options.no_auto_recovery, RECOVERY),
        reboot_migration: word(options.no_reboot_migration, RECOVERY),
    };
    tx.put(instance);
    Ok(reply)
}

/// `ModifyPrivateDnsNameOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyPrivateDnsNameOptionsRequest {
    instance_id: String,
    private_dns_hostname_type: Option<String>,
    #[serde(rename = "EnableResourceNameDnsARecord")]
    a: Option<bool>,
    #[serde(rename = "EnableResourceNameDnsAAAARecord")]
    aaaa: Option<bool>,
}

pub(crate) fn modify_private_dns_name_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyPrivateDnsNameOptionsRequest,
) -> Result<Done, ApiError> {
    let kind = either(
        "PrivateDnsHostnameType",
        req.private_dns_hostname_type.as_deref(),
        HOSTNAME,
    )?;
    // The kind of the name is the guest's host name, which it reads when it boots.
    let mut instance = if kind.is_some() {
        stopped(tx, ctx, &req.instance_id)?
    } else {
        to_change(tx, ctx, &req.instance_id)?
    };
    let dns = &mut instance.options.dns;
    dns.resource_name = kind.unwrap_or(dns.resource_name);
    dns.a = req.a.unwrap_or(dns.a);
    dns.aaaa = req.aaaa.unwrap_or(dns.aaaa);
    tx.put(instance);
    Ok(DONE)
}

/// `ModifyInstanceCpuOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceCpuOptionsRequest {
    instance_id: String,
    core_count: i64,
    threads_per_core: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInstanceCpuOptionsReply {
    instance_id: InstanceId,
    core_count: u32,
    threads_per_core: u32,
}

pub(crate) fn modify_instance_cpu_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceCpuOptionsRequest,
) -> Result<ModifyInstanceCpuOptionsReply, ApiError> {
    let mut instance = stopped(tx, ctx, &req.instance_id)?;
    let chosen = CpuRequest {
        core_count: Some(req.core_count),
        threads_per_core: Some(req.threads_per_core),
    }
    .read(&instance.instance_type)?;
    instance.options.cpu = chosen;
    let (core_count, threads_per_core) = chosen.unwrap_or_default();
    let instance_id = instance.id;
    tx.put(instance);
    Ok(ModifyInstanceCpuOptionsReply {
        instance_id,
        core_count,
        threads_per_core,
    })
}

/// `ModifyInstanceCapacityReservationAttributes`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceCapacityReservationAttributesRequest {
    instance_id: String,
    capacity_reservation_specification: ReservationRequest,
}

pub(crate) fn modify_instance_capacity_reservation_attributes(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceCapacityReservationAttributesRequest,
) -> Result<Done, ApiError> {
    let mut instance = stopped(tx, ctx, &req.instance_id)?;
    instance.options.no_capacity_reservation = req.capacity_reservation_specification.read()?;
    tx.put(instance);
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{World, text};

    fn run(world: &mut World, extra: &Value) -> String {
        let mut request = json!({"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1});
        for (name, value) in extra.as_object().unwrap() {
            request[name] = value.clone();
        }
        let made = world.ok("RunInstances", request);
        text(&made, "Instances.0.InstanceId")
    }

    fn shown(world: &mut World, id: &str, path: &str) -> String {
        let reply = world.ok("DescribeInstances", json!({"InstanceIds": [id]}));
        text(&reply, &format!("Reservations.0.Instances.0.{path}"))
    }

    #[test]
    fn options_change() {
        let mut world = World::new();
        let id = run(&mut world, &json!({}));
        let reply = world.ok("MonitorInstances", json!({"InstanceIds": [id]}));
        let path = "InstanceMonitorings.0.Monitoring.State";
        assert_eq!(text(&reply, path), "pending");
        assert_eq!(shown(&mut world, &id, "Monitoring.State"), "enabled");
        let reply = world.ok("UnmonitorInstances", json!({"InstanceIds": [id]}));
        assert_eq!(text(&reply, path), "disabling");
        let reply = world.ok(
            "ModifyInstanceMetadataOptions",
            json!({"InstanceId": id, "HttpTokens": "required"}),
        );
        assert_eq!(text(&reply, "InstanceMetadataOptions.State"), "pending");
        assert_eq!(
            shown(&mut world, &id, "MetadataOptions.HttpTokens"),
            "required"
        );
        let reply = world.ok(
            "ModifyInstanceMaintenanceOptions",
            json!({"InstanceId": id, "RebootMigration": "disabled"}),
        );
        assert_eq!(text(&reply, "AutoRecovery"), "default");
        assert_eq!(text(&reply, "RebootMigration"), "disabled");
        let credits = |id: &str, kind: &str| {
            json!({"InstanceCreditSpecifications": [{"InstanceId": id, "CpuCredits": kind},
                {"InstanceId": "i-0123456789abcdef0", "CpuCredits": kind}]})
        };
        let reply = world.ok(
            "ModifyInstanceCreditSpecification",
            credits(&id, "standard"),
        );
        let path = "SuccessfulInstanceCreditSpecifications.0.InstanceId";
        assert_eq!(text(&reply, path), id);
        let path = "UnsuccessfulInstanceCreditSpecifications.0.Error.Code";
        assert_eq!(text(&reply, path), "InvalidInstanceID.NotFound");
        world.ok(
            "CreatePlacementGroup",
            json!({"GroupName": "s", "Strategy": "spread"}),
        );
        let stopped = [
            (
                "ModifyInstancePlacement",
                json!({"InstanceId": id, "GroupName": "s"}),
            ),
            (
                "ModifyPrivateDnsNameOptions",
                json!({"InstanceId": id, "PrivateDnsHostnameType": "resource-name"}),
            ),
            (
                "ModifyInstanceCpuOptions",
                json!({"InstanceId": id, "CoreCount": 1, "ThreadsPerCore": 1}),
            ),
            (
                "ModifyInstanceCapacityReservationAttributes",
                json!({"InstanceId": id, "CapacityReservationSpecification": {"CapacityReservationPreference": "none"}}),
            ),
        ];
        for (action, request) in &stopped {
            assert_eq!(world.err(action, request.clone()), "IncorrectInstanceState");
        }
        world.ok("StopInstances", json!({"InstanceIds": [id]}));
        for (action, request) in stopped {
            world.ok(action, request);
        }
        assert_eq!(shown(&mut world, &id, "Placement.GroupName"), "s");
        assert_eq!(
            shown(
                &mut world,
                &id,
                "CapacityReservationSpecification.CapacityReservationPreference"
            ),
            "none"
        );
        world.ok(
            "ModifyInstancePlacement",
            json!({"InstanceId": id, "GroupName": ""}),
        );
        world.ok("DeletePlacementGroup", json!({"GroupName": "s"}));
        world.ok("TerminateInstances", json!({"InstanceIds": [id]}));
        assert_eq!(
            world.err(
                "ModifyInstanceMetadataOptions",
                json!({"InstanceId": id, "HttpTokens": "required"})
            ),
            "IncorrectInstanceState"
        );
    }
}
