//! Instances: the record, its states, and what moves it from one to another. They are made in
//! [`crate::instance_launch`] and shown in [`crate::instance_describe`].

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, HostId, InstanceId, InterfaceId, PlacementGroupId, RegionName, ReservationId,
    SubnetId, VpcId,
};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::instance_options::InstanceOptions;
use crate::instance_report::{finish_termination, without_hosts};
use crate::resource::{self, Resource as _, resource};
use crate::{
    Context, NetworkInterface, PlacementGroup, State, Tags, Timestamp, Tx, host, public_on_launch,
    zones,
};

actions! {
    "RebootInstances" => reboot_instances, Enforced;
    "StartInstances" => start_instances, Enforced;
    "StopInstances" => stop_instances, Enforced;
    "TerminateInstances" => terminate_instances, Enforced;
}

/// An instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Its identifier.
    pub id: InstanceId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// What one `RunInstances` made together.
    pub reservation: ReservationId,
    /// Its place among those, from 0.
    pub launch_index: u32,
    /// The image that it was made from: opaque.
    pub image: String,
    /// Its type: opaque, `family.size`.
    pub instance_type: String,
    /// The zone's id.
    #[serde(deserialize_with = "zones::stored")]
    pub zone: String,
    /// The VPC of its primary interface.
    pub vpc: VpcId,
    /// The subnet of its primary interface.
    pub subnet: SubnetId,
    /// Its state.
    pub state: InstanceState,
    /// Why it is in that state, if somebody or something made it so: EC2's code and message.
    pub state_reason: Option<(String, String)>,
    /// EC2's `StateTransitionReason`: `User initiated (2026-01-02 03:04:05 GMT)`.
    pub transition_reason: String,
    /// When it was last started.
    pub launched: Timestamp,
    /// When it was terminated: it is shown for an hour after that.
    pub terminated: Option<Timestamp>,
    /// Counts its starts, from 1.
    pub boot: u64,
    /// The last of its starts that the host has reported to run.
    pub reported_boot: u64,
    /// Its user data in base64; empty for none. At most 16 KiB without the base64.
    pub user_data: String,
    /// Its interfaces by device index. The interfaces' records say the same. Index 0 is there until it is terminated.
    pub interfaces: BTreeMap<u32, InterfaceId>,
    /// Whether `TerminateInstances` refuses it.
    pub disable_api_termination: bool,
    /// Whether it terminates, not stops, when it shuts itself down.
    pub terminate_on_shutdown: bool,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
    /// The placement group that it is in.
    #[serde(default)]
    pub placement_group: Option<PlacementGroupId>,
    /// Its partition in that group, from 1.
    #[serde(default)]
    pub partition: Option<u32>,
    /// The host that it is placed on; none in a region that has only one, or if its host was removed.
    #[serde(default)]
    pub host: Option<HostId>,
    /// What else it is told to be.
    #[serde(default)]
    pub options: InstanceOptions,
}

resource!(
    Instance,
    "instance",
    |this, keys| {
        keys.of([this.vpc]);
        keys.of([this.subnet]);
        keys.of(this.interfaces.values().copied());
        keys.of(this.placement_group);
        keys.of(this.host);
        keys.of(this.profile_key());
        if let Some(at) = this.terminated {
            keys.number(at.0.unsigned_abs());
        }
    },
    |id| resource::unknown_id(
        id,
        "i",
        "instance ID",
        "InvalidInstanceID.NotFound",
        "InvalidInstanceID.Malformed"
    )
);

/// The state of an instance (EC2 "Amazon EC2 instance state changes").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It is being started.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated.
    ShuttingDown,
    /// It is gone for good; only its record is left.
    Terminated,
    /// It is being stopped.
    Stopping,
    /// It does not run and can be started.
    Stopped,
}

impl InstanceState {
    /// EC2's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::ShuttingDown => "shutting-down",
            InstanceState::Terminated => "terminated",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
        }
    }

    /// EC2's number.
    pub(crate) const fn code(self) -> u32 {
        match self {
            InstanceState::Pending => 0,
            InstanceState::Running => 16,
            InstanceState::ShuttingDown => 32,
            InstanceState::Terminated => 48,
            InstanceState::Stopping => 64,
            InstanceState::Stopped => 80,
        }
    }

    /// Whether its host should run it.
    pub(crate) const fn is_up(self) -> bool {
        matches!(self, InstanceState::Pending | InstanceState::Running)
    }

    /// Whether nothing is under way: it runs, or is stopped.
    pub(crate) const fn is_settled(self) -> bool {
        matches!(self, InstanceState::Running | InstanceState::Stopped)
    }
}

/// A state in a reply.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StateReply {
    code: u32,
    name: &'static str,
}

impl From<InstanceState> for StateReply {
    fn from(state: InstanceState) -> StateReply {
        StateReply {
            code: state.code(),
            name: state.name(),
        }
    }
}

/// How long a terminated instance is still shown ("for a short while", EC2 "Terminate instances"), in milliseconds.
const REMEMBERED_MS: i64 = 3_600_000;
/// How many terminated instances of an account in a region are told of, the latest ones.
const MAX_REMEMBERED: usize = 1000;

impl Instance {
    /// The instance as its host knows it; `None` once it is terminated.
    pub(crate) fn project(&self) -> Option<feed::Instance> {
        if self.state == InstanceState::Terminated {
            return None;
        }
        Some(feed::Instance {
            id: self.id,
            interfaces: self.interfaces.clone(),
            user_data: Arc::from(STANDARD.decode(&self.user_data).unwrap_or_default()),
            boot: self.boot,
            running: self.state.is_up(),
        })
    }

    /// Whether it takes up room on a host.
    pub(crate) const fn needs_host(&self) -> bool {
        !matches!(
            self.state,
            InstanceState::Stopped | InstanceState::Terminated
        )
    }

    /// Whether it was terminated so long ago that nobody is told of it any more.
    pub(crate) fn is_forgotten(&self, now: Timestamp) -> bool {
        self.terminated
            .is_some_and(|at| now.0.saturating_sub(at.0) > REMEMBERED_MS)
    }

    /// Its interfaces that exist, by device index.
    pub(crate) fn interfaces<'s>(
        &'s self,
        state: &'s State,
    ) -> impl Iterator<Item = &'s NetworkInterface> {
        self.interfaces
            .values()
            .filter_map(|id| state.interfaces.get(id))
    }

    /// Its primary interface; none once it is terminated.
    pub(crate) fn primary<'s>(&'s self, state: &'s State) -> Option<&'s NetworkInterface> {
        self.interfaces
            .get(&0)
            .and_then(|id| state.interfaces.get(id))
    }
}

/// Deletes the records of instances that were terminated long ago.
pub(crate) fn purge(tx: &mut Tx, now: Timestamp) {
    let forgotten: Vec<InstanceId> = tx
        .state()
        .instances
        .below(
            now.0
                .unsigned_abs()
                .saturating_sub(REMEMBERED_MS.unsigned_abs()),
        )
        .filter(|instance| instance.is_forgotten(now))
        .map(|instance| instance.id)
        .collect();
    for id in forgotten {
        tx.remove::<Instance>(&id);
    }
}

/// Forgets the client's oldest terminated instances over [`MAX_REMEMBERED`], so that one that launches and terminates
/// without end fills nobody's memory.
pub(crate) fn forget_surplus(tx: &mut Tx, ctx: &Context<'_>) {
    let mut terminated: Vec<(Timestamp, InstanceId)> = resource::own::<Instance>(tx, ctx)
        .filter_map(|instance| Some((instance.terminated?, instance.id)))
        .collect();
    terminated.sort_unstable();
    let surplus = terminated.len().saturating_sub(MAX_REMEMBERED);
    for (_, id) in terminated.into_iter().take(surplus) {
        tx.remove::<Instance>(&id);
    }
}

/// The client's instances that a request names: each once, in the order of the request.
///
/// # Errors
/// `InvalidInstanceID.NotFound` with every id that names none, `InvalidInstanceID.Malformed`.
pub(crate) fn find_all(
    tx: &Tx,
    ctx: &Context<'_>,
    ids: &[String],
) -> Result<Vec<Instance>, ApiError> {
    let mut found: Vec<Instance> = Vec::new();
    let mut missing: Vec<&str> = Vec::new();
    for id in ids {
        match find(tx, ctx, id) {
            Ok(instance) if found.iter().any(|other| other.id == instance.id) => {}
            Ok(instance) => found.push(instance.clone()),
            Err(error) if error.code == "InvalidInstanceID.NotFound" => missing.push(id),
            Err(error) => return Err(error),
        }
    }
    match missing.as_slice() {
        [] if found.is_empty() => Err(resource::missing("InstanceId")),
        [] => Ok(found),
        [one] => Err(Instance::not_found(one)),
        several => Err(ApiError::new(
            "InvalidInstanceID.NotFound",
            format!("The instance IDs '{}' do not exist", several.join(", ")),
        )),
    }
}

/// The client's instance of that id, unless it is forgotten.
///
/// # Errors
/// `InvalidInstanceID.NotFound`, `InvalidInstanceID.Malformed`.
pub(crate) fn find<'t>(tx: &'t Tx, ctx: &Context<'_>, id: &str) -> Result<&'t Instance, ApiError> {
    let instance = resource::find::<Instance>(tx, ctx, id)?;
    if instance.is_forgotten(ctx.now) {
        Err(Instance::not_found(id))
    } else {
        Ok(instance)
    }
}

/// The state of an instance before and after a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceStateChange {
    instance_id: InstanceId,
    current_state: StateReply,
    previous_state: StateReply,
}

fn change(instance: &Instance, previous: InstanceState) -> InstanceStateChange {
    InstanceStateChange {
        instance_id: instance.id,
        current_state: instance.state.into(),
        previous_state: previous.into(),
    }
}

fn incorrect(instance: &Instance, verb: &str) -> ApiError {
    ApiError::new(
        "IncorrectInstanceState",
        format!(
            "The instance '{}' is not in a state from which it can be {verb}.",
            instance.id
        ),
    )
}

fn by_user(instance: &mut Instance, ctx: &Context<'_>, what: &str) {
    let time = api::Timestamp::from_millis(ctx.now.0).to_string();
    // `2026-01-02T03:04:05.000Z` in the form of this member: `2026-01-02 03:04:05 GMT`.
    let time = time.get(..19).unwrap_or_default().replace('T', " ");
    instance.transition_reason = format!("User initiated ({time} GMT)");
    let code = format!("Client.UserInitiated{what}");
    instance.state_reason = Some((
        code.clone(),
        format!("{code}: User initiated {}", what.to_lowercase()),
    ));
}

/// `StartInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StartInstancesRequest {
    instance_ids: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StartInstancesReply {
    starting_instances: Vec<InstanceStateChange>,
}

/// Starts stopped instances; for those that run already it does nothing.
pub(crate) fn start_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: StartInstancesRequest,
) -> Result<StartInstancesReply, ApiError> {
    let mut starting_instances = Vec::new();
    for mut instance in find_all(tx, ctx, &req.instance_ids)? {
        let previous = instance.state;
        match previous {
            InstanceState::Stopped => {
                instance.state = InstanceState::Pending;
                instance.state_reason = None;
                instance.transition_reason = String::new();
                instance.launched = ctx.now;
                instance.boot += 1;
                instance.host = placed(tx, ctx, &instance)?;
                public_on_launch::start(tx, ctx, &instance)?;
            }
            InstanceState::Pending | InstanceState::Running => {}
            InstanceState::Stopping | InstanceState::ShuttingDown | InstanceState::Terminated => {
                return Err(incorrect(&instance, "started"));
            }
        }
        starting_instances.push(change(&instance, previous));
        tx.put(instance.clone());
        without_hosts(tx, ctx, &instance);
    }
    Ok(StartInstancesReply { starting_instances })
}

/// The host that a stopped instance starts on. It may be another than before (EC2 "Stop and start Amazon EC2
/// instances": "we move the instance to a new host computer").
fn placed(tx: &Tx, ctx: &Context<'_>, instance: &Instance) -> Result<Option<HostId>, ApiError> {
    let group = instance.placement_group;
    let group = group.and_then(|group| tx.get::<PlacementGroup>(&group));
    let wanted = host::Wanted {
        zone: &instance.zone,
        instance_type: &instance.instance_type,
        group,
        partition: instance.partition,
        but: Some(instance.id),
    };
    host::place(tx, ctx, &wanted)
}

/// `StopInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StopInstancesRequest {
    instance_ids: Vec<String>,
    hibernate: Option<bool>,
    /// Instances are always stopped without asking them.
    #[serde(rename = "Force")]
    _force: Option<bool>,
    #[serde(rename = "SkipOsShutdown")]
    _skip_os_shutdown: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StopInstancesReply {
    stopping_instances: Vec<InstanceStateChange>,
}

/// Stops running instances; for those that are stopped already it does nothing.
pub(crate) fn stop_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: StopInstancesRequest,
) -> Result<StopInstancesReply, ApiError> {
    resource::only_false("Hibernate", req.hibernate)?;
    let mut stopping_instances = Vec::new();
    for mut instance in find_all(tx, ctx, &req.instance_ids)? {
        let previous = instance.state;
        match previous {
            InstanceState::Running => {
                if instance.options.disable_api_stop {
                    return Err(ApiError::new(
                        "OperationNotPermitted",
                        format!(
                            "The instance '{}' may not be stopped. Modify its 'disableApiStop' instance attribute and \
                             try again.",
                            instance.id
                        ),
                    ));
                }
                instance.state = InstanceState::Stopping;
                public_on_launch::stop(tx, &instance);
                by_user(&mut instance, ctx, "Shutdown");
            }
            InstanceState::Stopping | InstanceState::Stopped => {}
            InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated => {
                return Err(incorrect(&instance, "stopped"));
            }
        }
        stopping_instances.push(change(&instance, previous));
        tx.put(instance.clone());
        without_hosts(tx, ctx, &instance);
    }
    Ok(StopInstancesReply { stopping_instances })
}

/// `RebootInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RebootInstancesRequest {
    instance_ids: Vec<String>,
}

/// Starts running instances anew; their state does not change.
pub(crate) fn reboot_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RebootInstancesRequest,
) -> Result<(), ApiError> {
    for mut instance in find_all(tx, ctx, &req.instance_ids)? {
        if instance.state != InstanceState::Running {
            return Err(incorrect(&instance, "rebooted"));
        }
        instance.boot += 1;
        if !ctx.settings.hosts {
            instance.reported_boot = instance.boot;
        }
        tx.put(instance);
    }
    Ok(())
}

/// `TerminateInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TerminateInstancesRequest {
    instance_ids: Vec<String>,
    /// Instances are always terminated without asking them.
    #[serde(rename = "Force")]
    _force: Option<bool>,
    #[serde(rename = "SkipOsShutdown")]
    _skip_os_shutdown: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TerminateInstancesReply {
    pub(crate) terminating_instances: Vec<InstanceStateChange>,
}

/// Terminates instances; for those that are terminated already it does nothing.
pub(crate) fn terminate_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: TerminateInstancesRequest,
) -> Result<TerminateInstancesReply, ApiError> {
    let mut terminating_instances = Vec::new();
    for mut instance in find_all(tx, ctx, &req.instance_ids)? {
        let previous = instance.state;
        let gone = matches!(
            previous,
            InstanceState::ShuttingDown | InstanceState::Terminated
        );
        if instance.disable_api_termination && !gone {
            return Err(ApiError::new(
                "OperationNotPermitted",
                format!(
                    "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute \
                     and try again.",
                    instance.id
                ),
            ));
        }
        if !gone {
            by_user(&mut instance, ctx, "Shutdown");
            instance.state = InstanceState::ShuttingDown;
            public_on_launch::stop(tx, &instance);
        }
        terminating_instances.push(change(&instance, previous));
        tx.put(instance.clone());
        // Nothing of a stopped instance runs that a host could report to have ended.
        if previous == InstanceState::Stopped {
            finish_termination(tx, ctx.now, instance.id);
        } else {
            without_hosts(tx, ctx, &instance);
        }
    }
    Ok(TerminateInstancesReply {
        terminating_instances,
    })
}

#[cfg(test)]
mod tests {
    use feed::Report;
    use serde_json::json;

    use super::*;
    use crate::instance_report::report;
    use crate::testing::{World, count, text};

    fn launch(world: &mut World) -> InstanceId {
        let request = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        text(&world.ok("RunInstances", request), "Instances.0.InstanceId")
            .parse()
            .unwrap()
    }

    fn hear(world: &mut World, said: &Report) {
        world.state = world.with(|state, ctx| report(state, ctx, said).state);
    }

    fn state_of(world: &World, id: InstanceId) -> InstanceState {
        world.state.instances.get(&id).unwrap().state
    }

    fn ask(world: &mut World, action: &str, id: InstanceId) -> String {
        let reply = world.call(action, &json!({"InstanceIds": [id.to_string()]}));
        reply
            .err()
            .map(|error| error.code.into_owned())
            .unwrap_or_default()
    }

    #[test]
    fn the_dead_are_remembered_up_to_a_bound() {
        let mut world = World::new();
        let first = launch(&mut world);
        assert_eq!(ask(&mut world, "TerminateInstances", first), "");
        world.now.0 += 1;
        let half = i64::try_from(MAX_REMEMBERED / 2).unwrap();
        for _ in 0..2 {
            let request = json!({"ImageId": "ami-12345678", "MinCount": half, "MaxCount": half});
            let made = world.ok("RunInstances", request);
            let ids: Vec<String> = (0..half)
                .map(|index| text(&made, &format!("Instances.{index}.InstanceId")))
                .collect();
            world.ok("TerminateInstances", json!({"InstanceIds": ids}));
        }
        assert_eq!(world.state.instances.size(), MAX_REMEMBERED + 1);
        launch(&mut world);
        assert_eq!(world.state.instances.size(), MAX_REMEMBERED + 1);
        assert!(world.state.instances.get(&first).is_none());
    }

    #[test]
    fn a_life_with_a_host() {
        let mut world = World::new();
        world.hosts = true;
        let id = launch(&mut world);
        let project = |world: &World| world.state.instances.get(&id).unwrap().project();
        assert_eq!(state_of(&world, id), InstanceState::Pending);
        assert!(project(&world).unwrap().running);
        assert_eq!(
            ask(&mut world, "StopInstances", id),
            "IncorrectInstanceState"
        );
        hear(&mut world, &Report::Running(id, 2));
        assert_eq!(state_of(&world, id), InstanceState::Pending);
        hear(&mut world, &Report::Running(id, 1));
        assert_eq!(state_of(&world, id), InstanceState::Running);
        let interface = world
            .state
            .interfaces
            .values()
            .next()
            .unwrap()
            .project(&world.state);
        assert_eq!(interface.instance, Some(id));

        assert_eq!(ask(&mut world, "StopInstances", id), "");
        assert!(!project(&world).unwrap().running);
        let interface = world
            .state
            .interfaces
            .values()
            .next()
            .unwrap()
            .project(&world.state);
        assert_eq!(interface.instance, None);
        assert_eq!(
            ask(&mut world, "StartInstances", id),
            "IncorrectInstanceState"
        );
        hear(&mut world, &Report::Stopped(id));
        assert_eq!(state_of(&world, id), InstanceState::Stopped);
        assert_eq!(
            ask(&mut world, "RebootInstances", id),
            "IncorrectInstanceState"
        );
        assert_eq!(ask(&mut world, "StartInstances", id), "");
        assert_eq!(project(&world).unwrap().boot, 2);
        // What is said late of the start before changes nothing.
        hear(&mut world, &Report::Stopped(id));
        assert_eq!(state_of(&world, id), InstanceState::Pending);
        hear(&mut world, &Report::Running(id, 2));
        assert_eq!(ask(&mut world, "RebootInstances", id), "");
        hear(&mut world, &Report::Stopped(id));
        assert_eq!(state_of(&world, id), InstanceState::Running);
        hear(&mut world, &Report::Running(id, 3));

        assert_eq!(ask(&mut world, "TerminateInstances", id), "");
        assert_eq!(state_of(&world, id), InstanceState::ShuttingDown);
        hear(&mut world, &Report::Stopped(id));
        assert_eq!(state_of(&world, id), InstanceState::Terminated);
        assert_eq!(project(&world), None);
        assert_eq!(world.state.interfaces.size(), 0);
        assert_eq!(
            ask(&mut world, "StartInstances", id),
            "IncorrectInstanceState"
        );
        assert_eq!(ask(&mut world, "TerminateInstances", id), "");
    }

    #[test]
    fn an_instance_that_shuts_itself_down_or_fails() {
        let mut world = World::new();
        world.hosts = true;
        let (a, b, c) = (launch(&mut world), launch(&mut world), launch(&mut world));
        hear(&mut world, &Report::Running(a, 1));
        hear(&mut world, &Report::Running(b, 1));
        hear(&mut world, &Report::Stopped(a));
        assert_eq!(state_of(&world, a), InstanceState::Stopped);
        let request = json!({"InstanceId": b.to_string(), "InstanceInitiatedShutdownBehavior": {"Value": "terminate"}});
        world.ok("ModifyInstanceAttribute", request);
        hear(&mut world, &Report::Stopped(b));
        assert_eq!(state_of(&world, b), InstanceState::Terminated);
        hear(&mut world, &Report::Failed(c, "no namespace".to_owned()));
        let shown = world.ok("DescribeInstances", json!({"InstanceIds": [c.to_string()]}));
        assert_eq!(
            text(&shown, "Reservations.0.Instances.0.State.Name"),
            "terminated"
        );
        assert_eq!(
            text(&shown, "Reservations.0.Instances.0.StateReason.Code"),
            "Server.InternalError"
        );
        // A start that is not the first one leaves the instance to be tried again.
        assert_eq!(ask(&mut world, "StartInstances", a), "");
        hear(&mut world, &Report::Failed(a, "no namespace".to_owned()));
        assert_eq!(state_of(&world, a), InstanceState::Stopped);
    }

    #[test]
    fn without_hosts_and_after_an_hour() {
        let mut world = World::new();
        let id = launch(&mut world);
        assert_eq!(state_of(&world, id), InstanceState::Running);
        assert_eq!(ask(&mut world, "StopInstances", id), "");
        assert_eq!(state_of(&world, id), InstanceState::Stopped);
        assert_eq!(ask(&mut world, "StartInstances", id), "");
        let protect = |on: bool| json!({"InstanceId": id.to_string(), "DisableApiTermination": {"Value": on}});
        world.ok("ModifyInstanceAttribute", protect(true));
        assert_eq!(
            ask(&mut world, "TerminateInstances", id),
            "OperationNotPermitted"
        );
        world.ok("ModifyInstanceAttribute", protect(false));
        assert_eq!(ask(&mut world, "TerminateInstances", id), "");
        let all = json!({});
        assert_eq!(
            count(&world.ok("DescribeInstances", all.clone()), "Reservations"),
            1
        );
        world.now = Timestamp(world.now.0 + REMEMBERED_MS + 1);
        assert_eq!(
            count(&world.ok("DescribeInstances", all), "Reservations"),
            0
        );
        assert_eq!(
            ask(&mut world, "DescribeInstances", id),
            "InvalidInstanceID.NotFound"
        );
        launch(&mut world);
        assert_eq!(world.state.instances.size(), 1);
    }

    #[test]
    fn instances_that_are_not_there() {
        let mut world = World::new();
        let missing = json!({"InstanceIds": ["i-00000000000000001", "i-12345678"]});
        let error = world.call("TerminateInstances", &missing).unwrap_err();
        assert_eq!(error.code, "InvalidInstanceID.NotFound");
        assert_eq!(
            error.message,
            "The instance IDs 'i-00000000000000001, i-12345678' do not exist"
        );
        let code = world.err("DescribeInstances", json!({"InstanceIds": ["x"]}));
        assert_eq!(code, "InvalidInstanceID.Malformed");
        let code = world.err("RebootInstances", json!({"InstanceIds": ["i-1"]}));
        assert_eq!(code, "InvalidInstanceID.Malformed");
        assert_eq!(
            world.err("StopInstances", json!({"InstanceIds": []})),
            "MissingParameter"
        );
    }
}
