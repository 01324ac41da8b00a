//! What hosts say of instances, and what comes of it.

use std::sync::Arc;

use feed::Report;
use types::InstanceId;

use crate::instance::{Instance, InstanceState, purge};
use crate::{
    Context, Executed, NetworkInterface, State, Timestamp, Tx, attachment, network_interface,
    public_on_launch,
};

/// Without hosts, instances arrive at once where they are going.
pub(crate) fn without_hosts(tx: &mut Tx, ctx: &Context<'_>, instance: &Instance) {
    if ctx.settings.hosts {
        return;
    }
    let report = match instance.state {
        InstanceState::Pending => Report::Running(instance.id, instance.boot),
        InstanceState::Stopping | InstanceState::ShuttingDown => Report::Stopped(instance.id),
        InstanceState::Running | InstanceState::Stopped | InstanceState::Terminated => return,
    };
    take(tx, ctx.now, &report);
}

/// What a host says of an instance, as a change. A report that no longer fits the instance changes nothing.
pub fn report(state: &Arc<State>, ctx: &Context<'_>, report: &Report) -> Executed {
    let mut tx = Tx::new(state);
    purge(&mut tx, ctx.now);
    take(&mut tx, ctx.now, report);
    let (state, writes) = tx.finish();
    Executed {
        reply: api::Value::empty(),
        state,
        writes,
    }
}

fn take(tx: &mut Tx, now: Timestamp, report: &Report) {
    match report {
        Report::Running(id, boot) => {
            let Some(mut instance) = tx.get::<Instance>(id).cloned() else {
                return;
            };
            let known = instance.state == InstanceState::Running && instance.reported_boot == *boot;
            if instance.state.is_up() && instance.boot == *boot && !known {
                instance.reported_boot = *boot;
                instance.state = InstanceState::Running;
                tx.put(instance);
            }
        }
        Report::Stopped(id) => take_stopped(tx, now, *id, None),
        Report::Failed(id, why) => take_stopped(tx, now, *id, Some(why)),
    }
}

/// The instance does not run: because it was told so, because it shut itself down, or because it could not start.
fn take_stopped(tx: &mut Tx, now: Timestamp, id: InstanceId, failure: Option<&String>) {
    let Some(mut instance) = tx.get::<Instance>(&id).cloned() else {
        return;
    };
    let failed = |why: &String| {
        (
            "Server.InternalError".to_owned(),
            format!("Server.InternalError: {why}"),
        )
    };
    match instance.state {
        InstanceState::Stopped | InstanceState::Terminated => {}
        InstanceState::Stopping => {
            instance.state = InstanceState::Stopped;
            tx.put(instance);
        }
        InstanceState::ShuttingDown => finish_termination(tx, now, id),
        InstanceState::Pending | InstanceState::Running => {
            // Before the present start runs, what stops is an earlier one; once it runs, it has not failed to start.
            if failure.is_some() == (instance.reported_boot == instance.boot) {
                return;
            }
            let shutdown = "Client.InstanceInitiatedShutdown";
            instance.state_reason = Some(failure.map_or_else(
                || {
                    (
                        shutdown.to_owned(),
                        format!("{shutdown}: Instance initiated shutdown"),
                    )
                },
                failed,
            ));
            // A launch that fails leaves a terminated instance, a later start that fails a stopped one (EC2
            // "Instance terminates immediately").
            let first = failure.is_some() && instance.boot == 1 && instance.reported_boot == 0;
            let terminates = first || (failure.is_none() && instance.terminate_on_shutdown);
            instance.state = if terminates {
                InstanceState::ShuttingDown
            } else {
                InstanceState::Stopped
            };
            public_on_launch::stop(tx, &instance);
            tx.put(instance);
            if terminates {
                finish_termination(tx, now, id);
            }
        }
    }
}

/// The instance has no host any more: it does not run, for this reason.
pub(crate) fn strand(tx: &mut Tx, now: Timestamp, id: InstanceId, why: &str) {
    let Some(mut instance) = tx.get::<Instance>(&id).cloned() else {
        return;
    };
    instance.host = None;
    match instance.state {
        InstanceState::Pending | InstanceState::Running => {
            instance.state = InstanceState::Stopped;
            instance.state_reason = Some((
                "Server.InternalError".to_owned(),
                format!("Server.InternalError: {why}"),
            ));
            public_on_launch::stop(tx, &instance);
        }
        InstanceState::Stopping => instance.state = InstanceState::Stopped,
        InstanceState::ShuttingDown | InstanceState::Stopped | InstanceState::Terminated => {}
    }
    let ends = instance.state == InstanceState::ShuttingDown;
    tx.put(instance);
    if ends {
        finish_termination(tx, now, id);
    }
}

/// The last step of a termination: its interfaces go with it, or become free.
pub(crate) fn finish_termination(tx: &mut Tx, now: Timestamp, id: InstanceId) {
    let Some(instance) = tx.get::<Instance>(&id) else {
        return;
    };
    for interface in instance.interfaces.clone().into_values() {
        let goes = tx
            .get::<NetworkInterface>(&interface)
            .and_then(|interface| interface.attachment.as_ref())
            .is_some_and(|attachment| attachment.delete_on_termination);
        attachment::detach(tx, interface);
        if goes {
            network_interface::remove(tx, interface);
        }
    }
    if let Some(mut instance) = tx.get::<Instance>(&id).cloned() {
        instance.state = InstanceState::Terminated;
        instance.terminated = Some(now);
        tx.put(instance);
    }
}
