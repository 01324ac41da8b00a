//! From an action's name to its handler.
//!
//! Each resource's file has a table of its actions; [`SERVICES`] lists the tables. What an action honours, and whether
//! packets obey it, is read off the same tables: see [`support`].

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use api::{ApiError, Segment, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::members;
use crate::{
    Context, State, Tx, Write, account, address, attachment, carrier_gateway, client_token,
    dhcp_options, egress_only_gateway, hosted_zone, hosted_zone_tags, hosted_zone_vpc, instance,
    instance_attribute, instance_describe, instance_launch, internet_gateway, key_pair,
    network_acl, network_acl_association, network_acl_entry, network_interface,
    network_interface_attribute, network_interface_describe, network_interface_ipv6,
    network_interface_permission, peering, peering_change, placement_group, prefix_list,
    prefix_list_entries, record_change, record_set, route, route_table, route_table_association,
    security_group, security_group_permissions, security_group_rule_changes, subnet,
    subnet_attribute, subnet_cidr, subnet_cidr_reservation, tags, transit_gateway, vpc,
    vpc_attribute, vpc_cidr, zone_change, zones,
};

/// Every table of actions, by service.
const SERVICES: &[(&str, &[&[Action]])] = &[
    (
        "ec2",
        &[
            account::ACTIONS,
            address::ACTIONS,
            crate::address_attribute::ACTIONS,
            crate::address_transfer::ACTIONS,
            attachment::ACTIONS,
            dhcp_options::ACTIONS,
            crate::endpoint::ACTIONS,
            crate::endpoint::change::ACTIONS,
            crate::endpoint::connection::ACTIONS,
            crate::endpoint::create::ACTIONS,
            crate::endpoint::notification::ACTIONS,
            crate::endpoint::permission::ACTIONS,
            crate::endpoint::service::ACTIONS,
            crate::endpoint::services::ACTIONS,
            crate::flow_log::ACTIONS,
            crate::id_format::ACTIONS,
            crate::image::ACTIONS,
            crate::ipam::allocation::ACTIONS,
            crate::ipam::manager::ACTIONS,
            crate::ipam::pool::ACTIONS,
            crate::ipam::pool_cidr::ACTIONS,
            crate::ipam::scope::ACTIONS,
            crate::insights::analysis::ACTIONS,
            crate::insights::path::ACTIONS,
            crate::insights::scope::ACTIONS,
            crate::insights::scope_analysis::ACTIONS,
            crate::instance_connect::ACTIONS,
            crate::launch_template::ACTIONS,
            crate::launch_template_data::ACTIONS,
            crate::launch_template_version::ACTIONS,
            crate::mirror::filter::ACTIONS,
            crate::mirror::rule::ACTIONS,
            crate::mirror::session::ACTIONS,
            crate::mirror::target::ACTIONS,
            crate::vpn::change::ACTIONS,
            crate::vpn::connection::ACTIONS,
            crate::vpn::customer_gateway::ACTIONS,
            crate::vpn::gateway::ACTIONS,
            carrier_gateway::ACTIONS,
            egress_only_gateway::ACTIONS,
            instance::ACTIONS,
            instance_attribute::ACTIONS,
            instance_describe::ACTIONS,
            crate::instance_status::ACTIONS,
            instance_launch::ACTIONS,
            crate::instance_credits::ACTIONS,
            crate::instance_metadata_options::ACTIONS,
            crate::instance_options_change::ACTIONS,
            crate::instance_placement::ACTIONS,
            crate::instance_profile::ACTIONS,
            crate::instance_type_describe::ACTIONS,
            internet_gateway::ACTIONS,
            key_pair::ACTIONS,
            crate::nat_gateway::ACTIONS,
            crate::nat_gateway_address::ACTIONS,
            network_acl::ACTIONS,
            network_acl_association::ACTIONS,
            network_acl_entry::ACTIONS,
            network_interface::ACTIONS,
            network_interface_attribute::ACTIONS,
            network_interface_describe::ACTIONS,
            network_interface_ipv6::ACTIONS,
            network_interface_permission::ACTIONS,
            peering::ACTIONS,
            peering_change::ACTIONS,
            prefix_list::ACTIONS,
            prefix_list_entries::ACTIONS,
            placement_group::ACTIONS,
            crate::public_access::ACTIONS,
            crate::public_access_exclusion::ACTIONS,
            route::ACTIONS,
            route_table::ACTIONS,
            route_table_association::ACTIONS,
            security_group::ACTIONS,
            security_group_permissions::ACTIONS,
            crate::security_group_reference::ACTIONS,
            security_group_rule_changes::ACTIONS,
            crate::security_group_vpc::ACTIONS,
            subnet::ACTIONS,
            subnet_attribute::ACTIONS,
            subnet_cidr::ACTIONS,
            subnet_cidr_reservation::ACTIONS,
            tags::ACTIONS,
            transit_gateway::association::ACTIONS,
            transit_gateway::attachment::ACTIONS,
            transit_gateway::connect::ACTIONS,
            transit_gateway::connect_peer::ACTIONS,
            transit_gateway::gateway::ACTIONS,
            transit_gateway::multicast::ACTIONS,
            transit_gateway::multicast_group::ACTIONS,
            transit_gateway::peering::ACTIONS,
            transit_gateway::policy_entry::ACTIONS,
            transit_gateway::policy_table::ACTIONS,
            transit_gateway::prefix_list::ACTIONS,
            transit_gateway::propagation::ACTIONS,
            transit_gateway::route::ACTIONS,
            transit_gateway::route_table::ACTIONS,
            transit_gateway::search::ACTIONS,
            transit_gateway::vpc_attachment::ACTIONS,
            vpc::ACTIONS,
            vpc_attribute::ACTIONS,
            vpc_cidr::ACTIONS,
            zones::ACTIONS,
        ],
    ),
    (
        "route53",
        &[
            hosted_zone::ACTIONS,
            hosted_zone_tags::ACTIONS,
            hosted_zone_vpc::ACTIONS,
            record_change::ACTIONS,
            record_set::ACTIONS,
            zone_change::ACTIONS,
        ],
    ),
];

/// What an action means for packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packets {
    /// Packets obey it.
    Enforced,
    /// It is recorded, checked and answered; packets do not know of it yet.
    Recorded,
    /// It has nothing to do with packets: it reads, or it names.
    Control,
}

/// An action that is served.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) packets: Packets,
    pub(crate) run: fn(Call<'_, '_>) -> Result<Value, ApiError>,
}

/// The table of a file's actions: name, handler, what it means for packets.
macro_rules! actions {
    ($($name:literal => $handler:expr, $packets:ident;)+) => {
        pub(crate) const ACTIONS: &[$crate::dispatch::Action] = &[
            $($crate::dispatch::Action {
                name: $name,
                packets: $crate::dispatch::Packets::$packets,
                run: |call| call.to($handler),
            }),+
        ];
    };
}
pub(crate) use actions;

/// Every action by service and name.
static BY_NAME: LazyLock<HashMap<(&str, &str), &Action>> = LazyLock::new(|| {
    let tables = SERVICES
        .iter()
        .flat_map(|(service, tables)| tables.iter().map(move |table| (*service, *table)));
    tables
        .flat_map(|(service, table)| table.iter().map(move |a| ((service, a.name), a)))
        .collect()
});

/// What Polder does of an action.
#[derive(Clone, Debug)]
pub struct Support {
    /// The service: `ec2`.
    pub service: &'static str,
    /// The action's name.
    pub action: &'static str,
    /// The parameters that are honoured, by name; every other one is refused.
    pub parameters: Vec<&'static str>,
    /// What it means for packets.
    pub packets: Packets,
}

/// Every action that is served, by service and name.
#[must_use]
pub fn support() -> Vec<Support> {
    let mut all: Vec<Support> = BY_NAME
        .iter()
        .map(|((service, _), action)| {
            let mut parameters = Vec::new();
            // In this mode a call notes the parameters and answers nothing.
            let _ = (action.run)(Call(Mode::Parameters(&mut parameters)));
            // Actions that differ in one parameter may share their struct.
            parameters.retain(|name| is_in_model(service, action.name, name));
            parameters.sort_unstable();
            Support {
                service,
                action: action.name,
                parameters,
                packets: action.packets,
            }
        })
        .collect();
    all.sort_by_key(|support| (support.service, support.action));
    all
}

fn is_in_model(service: &str, action: &str, parameter: &str) -> bool {
    let Some(service) = api::Service::by_name(service) else {
        return false;
    };
    let input = service
        .operation(action)
        .and_then(|operation| operation.input);
    let shape = input.and_then(|name| service.shape(name));
    matches!(shape.map(|shape| &shape.kind), Some(api::Kind::Structure(known))
        if known.iter().any(|member| member.name == parameter))
}

/// What became of a request.
pub struct Executed {
    /// The reply, of the action's output shape.
    pub reply: Value,
    /// The state after it.
    pub state: Arc<State>,
    /// What the store must write for that; empty if nothing changed.
    pub writes: Vec<Write>,
}

/// Executes one request on a state. `input` is of the action's input shape. The account comes into being if this
/// is its first request in the region.
///
/// # Errors
/// EC2's error, and then nothing changed; `DryRunOperation` if the request only asked whether it would succeed;
/// `UnsupportedOperation` for an action that is not served.
pub fn execute(
    state: &Arc<State>,
    ctx: &Context<'_>,
    service: &str,
    action: &str,
    input: Value,
) -> Result<Executed, ApiError> {
    let mut tx = Tx::new(state);
    // Hosted zones belong to an account, not to a region: asking for them is no use of one.
    if service != "route53" {
        account::ensure(&mut tx, ctx)?;
    }
    let (input, dry_run) = split_dry_run(input)?;
    tx.note_parameters(client_token::digest(&input));
    let known = BY_NAME
        .get(&(service, action))
        .ok_or_else(|| ApiError::unsupported_action(action))?;
    let reply = (known.run)(Call(Mode::Execute {
        tx: &mut tx,
        ctx,
        action: known.name,
        input,
    }))?;
    if dry_run {
        return Err(ApiError::new(
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        ));
    }
    let (state, writes) = tx.finish();
    Ok(Executed {
        reply,
        state,
        writes,
    })
}

/// A request on its way to its handler.
pub(crate) struct Call<'c, 'r>(Mode<'c, 'r>);

enum Mode<'c, 'r> {
    /// The handler shall answer.
    Execute {
        tx: &'c mut Tx,
        ctx: &'c Context<'r>,
        action: &'static str,
        input: Value,
    },
    /// Only which parameters the handler takes is asked.
    Parameters(&'c mut Vec<&'static str>),
}

impl Call<'_, '_> {
    /// Lets a handler answer: its struct refuses every parameter that it does not honour.
    pub(crate) fn to<Q: DeserializeOwned, P: Serialize>(
        self,
        handler: fn(&mut Tx, &Context<'_>, Q) -> Result<P, ApiError>,
    ) -> Result<Value, ApiError> {
        let (tx, ctx, action, input) = match self.0 {
            Mode::Execute {
                tx,
                ctx,
                action,
                input,
            } => (tx, ctx, action, input),
            Mode::Parameters(parameters) => {
                parameters.extend(members::of::<Q>());
                return Ok(Value::empty());
            }
        };
        let request = api::from_value(input)
            .map_err(|error| ApiError::from_decode(&error, action, &path(&error.path)))?;
        let reply = handler(tx, ctx, request)?;
        // `()`: EC2 answers nothing but that it is done.
        if std::mem::size_of::<P>() == 0 {
            return Ok(Value::empty());
        }
        api::to_value(&reply)
            .map_err(|error| ApiError::internal(format!("reply of {action}: {error}")))
    }
}

/// A parameter's name as the SDKs have it: `TagSpecifications.1.Tags.2.Key`.
fn path(segments: &[Segment]) -> String {
    let parts: Vec<String> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Member(name) | Segment::Key(name) => name.clone(),
            Segment::Index(index) => (index + 1).to_string(),
        })
        .collect();
    parts.join(".")
}

/// Every EC2 action takes `DryRun`, and it means the same in all of them.
fn split_dry_run(input: Value) -> Result<(Value, bool), ApiError> {
    let Value::Structure(mut members) = input else {
        return Err(ApiError::internal("the parameters are no structure"));
    };
    let dry_run = members.remove("DryRun") == Some(Value::Boolean(true));
    Ok((Value::Structure(members), dry_run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_in_one_table_and_in_the_model() {
        let listed: usize = SERVICES
            .iter()
            .flat_map(|(_, tables)| tables.iter())
            .map(|table| table.len())
            .sum();
        let all = support();
        assert_eq!(all.len(), listed);
        for support in &all {
            let service = api::Service::by_name(support.service).unwrap();
            let operation = service.operation(support.action);
            assert!(operation.is_some(), "{}", support.action);
        }
        let create = all.iter().find(|s| s.action == "AttachInternetGateway");
        assert_eq!(create.unwrap().parameters, ["InternetGatewayId", "VpcId"]);
    }
}
