//! From an action's name to its handler.

use api::{ApiError, Segment, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Context, State, Tx, Write, account, address, attachment, client_token, instance,
    instance_attribute, instance_describe, instance_launch, instance_type, internet_gateway,
    network_acl, network_acl_association, network_acl_entry, network_interface,
    network_interface_attribute, network_interface_describe, route, route_table,
    route_table_association, security_group, security_group_permissions,
    security_group_rule_changes, sts, subnet, tags, vpc, vpc_attribute, vpc_cidr, zones,
};

/// What became of a request.
pub struct Executed {
    /// The reply, of the action's output shape.
    pub reply: Value,
    /// The state after it.
    pub state: State,
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
    state: &State,
    ctx: &Context<'_>,
    service: &str,
    action: &str,
    input: Value,
) -> Result<Executed, ApiError> {
    let mut tx = Tx::new(state);
    account::ensure(&mut tx, ctx)?;
    let (input, dry_run) = split_dry_run(input)?;
    tx.note_parameters(client_token::digest(&input));
    let reply = match service {
        "sts" => sts(&mut Call {
            tx: &mut tx,
            ctx,
            action,
            input,
        }),
        _ => ec2(&mut Call {
            tx: &mut tx,
            ctx,
            action,
            input,
        }),
    }?;
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

/// A request on its way to the handler.
struct Call<'c, 'r> {
    tx: &'c mut Tx,
    ctx: &'c Context<'r>,
    action: &'c str,
    input: Value,
}

impl Call<'_, '_> {
    /// Lets a handler answer: its struct refuses every parameter that it does not honour.
    fn to<Q: DeserializeOwned, P: Serialize>(
        &mut self,
        handler: fn(&mut Tx, &Context<'_>, Q) -> Result<P, ApiError>,
    ) -> Result<Value, ApiError> {
        let input = std::mem::replace(&mut self.input, Value::empty());
        let request = api::from_value(input)
            .map_err(|error| ApiError::from_decode(&error, self.action, &path(&error.path)))?;
        let reply = handler(self.tx, self.ctx, request)?;
        // `()`: EC2 answers nothing but that it is done.
        if std::mem::size_of::<P>() == 0 {
            return Ok(Value::empty());
        }
        api::to_value(&reply)
            .map_err(|error| ApiError::internal(format!("reply of {}: {error}", self.action)))
    }

    fn unsupported(&self) -> Result<Value, ApiError> {
        Err(ApiError::unsupported_action(self.action))
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

fn sts(call: &mut Call<'_, '_>) -> Result<Value, ApiError> {
    match call.action {
        "GetCallerIdentity" => call.to(sts::get_caller_identity),
        _ => call.unsupported(),
    }
}

fn ec2(call: &mut Call<'_, '_>) -> Result<Value, ApiError> {
    match call.action {
        "AllocateAddress" => call.to(address::allocate_address),
        "AssignPrivateIpAddresses" => call.to(attachment::assign_private_ip_addresses),
        "AssociateAddress" => call.to(address::associate_address),
        "AssociateRouteTable" => call.to(route_table_association::associate_route_table),
        "AssociateVpcCidrBlock" => call.to(vpc_cidr::associate_vpc_cidr_block),
        "AttachInternetGateway" => call.to(internet_gateway::attach_internet_gateway),
        "AttachNetworkInterface" => call.to(attachment::attach_network_interface),
        "AuthorizeSecurityGroupEgress" => call.to(security_group_permissions::authorize_egress),
        "AuthorizeSecurityGroupIngress" => call.to(security_group_permissions::authorize_ingress),
        "CreateDefaultVpc" => call.to(vpc::create_default_vpc),
        "CreateInternetGateway" => call.to(internet_gateway::create_internet_gateway),
        "CreateNetworkAcl" => call.to(network_acl::create_network_acl),
        "CreateNetworkAclEntry" => call.to(network_acl_entry::create_network_acl_entry),
        "CreateNetworkInterface" => call.to(network_interface::create_network_interface),
        "CreateRoute" => call.to(route::create_route),
        "CreateRouteTable" => call.to(route_table::create_route_table),
        "CreateSecurityGroup" => call.to(security_group::create_security_group),
        "CreateSubnet" => call.to(subnet::create_subnet),
        "CreateTags" => call.to(tags::create_tags),
        "CreateVpc" => call.to(vpc::create_vpc),
        "DeleteInternetGateway" => call.to(internet_gateway::delete_internet_gateway),
        "DeleteNetworkAcl" => call.to(network_acl::delete_network_acl),
        "DeleteNetworkAclEntry" => call.to(network_acl_entry::delete_network_acl_entry),
        "DeleteNetworkInterface" => call.to(network_interface::delete_network_interface),
        "DeleteRoute" => call.to(route::delete_route),
        "DeleteRouteTable" => call.to(route_table::delete_route_table),
        "DeleteSecurityGroup" => call.to(security_group::delete_security_group),
        "DeleteSubnet" => call.to(subnet::delete_subnet),
        "DeleteTags" => call.to(tags::delete_tags),
        "DeleteVpc" => call.to(vpc::delete_vpc),
        "DescribeAccountAttributes" => call.to(account::describe_account_attributes),
        "DescribeAddresses" => call.to(address::describe_addresses),
        "DescribeAddressesAttribute" => call.to(address::describe_addresses_attribute),
        "DescribeAvailabilityZones" => call.to(zones::describe_availability_zones),
        "DescribeInstanceAttribute" => call.to(instance_attribute::describe_instance_attribute),
        "DescribeInstanceStatus" => call.to(instance_describe::describe_instance_status),
        "DescribeInstanceTypes" => call.to(instance_type::describe_instance_types),
        "DescribeInstances" => call.to(instance_describe::describe_instances),
        "DescribeInternetGateways" => call.to(internet_gateway::describe_internet_gateways),
        "DescribeNetworkAcls" => call.to(network_acl::describe_network_acls),
        "DescribeNetworkInterfaceAttribute" => {
            call.to(network_interface_attribute::describe_network_interface_attribute)
        }
        "DescribeNetworkInterfaces" => {
            call.to(network_interface_describe::describe_network_interfaces)
        }
        "DescribeRegions" => call.to(zones::describe_regions),
        "DescribeRouteTables" => call.to(route_table::describe_route_tables),
        "DescribeSecurityGroupRules" => call.to(security_group_permissions::describe_rules),
        "DescribeSecurityGroups" => call.to(security_group::describe_security_groups),
        "DescribeSubnets" => call.to(subnet::describe_subnets),
        "DescribeTags" => call.to(tags::describe_tags),
        "DescribeVpcAttribute" => call.to(vpc_attribute::describe_vpc_attribute),
        "DescribeVpcs" => call.to(vpc::describe_vpcs),
        "DetachInternetGateway" => call.to(internet_gateway::detach_internet_gateway),
        "DetachNetworkInterface" => call.to(attachment::detach_network_interface),
        "DisassociateAddress" => call.to(address::disassociate_address),
        "DisassociateRouteTable" => call.to(route_table_association::disassociate_route_table),
        "DisassociateVpcCidrBlock" => call.to(vpc_cidr::disassociate_vpc_cidr_block),
        "ModifyInstanceAttribute" => call.to(instance_attribute::modify_instance_attribute),
        "ModifyNetworkInterfaceAttribute" => {
            call.to(network_interface_attribute::modify_network_interface_attribute)
        }
        "ModifySecurityGroupRules" => call.to(security_group_rule_changes::modify_rules),
        "ModifySubnetAttribute" => call.to(subnet::modify_subnet_attribute),
        "ModifyVpcAttribute" => call.to(vpc_attribute::modify_vpc_attribute),
        "RebootInstances" => call.to(instance::reboot_instances),
        "ReleaseAddress" => call.to(address::release_address),
        "ReplaceNetworkAclAssociation" => {
            call.to(network_acl_association::replace_network_acl_association)
        }
        "ReplaceNetworkAclEntry" => call.to(network_acl_entry::replace_network_acl_entry),
        "ReplaceRoute" => call.to(route::replace_route),
        "ReplaceRouteTableAssociation" => {
            call.to(route_table_association::replace_route_table_association)
        }
        "ResetNetworkInterfaceAttribute" => {
            call.to(network_interface_attribute::reset_network_interface_attribute)
        }
        "RevokeSecurityGroupEgress" => call.to(security_group_permissions::revoke_egress),
        "RevokeSecurityGroupIngress" => call.to(security_group_permissions::revoke_ingress),
        "RunInstances" => call.to(instance_launch::run_instances),
        "StartInstances" => call.to(instance::start_instances),
        "StopInstances" => call.to(instance::stop_instances),
        "TerminateInstances" => call.to(instance::terminate_instances),
        "UnassignPrivateIpAddresses" => call.to(attachment::unassign_private_ip_addresses),
        "UpdateSecurityGroupRuleDescriptionsEgress" => {
            call.to(security_group_rule_changes::update_descriptions_egress)
        }
        "UpdateSecurityGroupRuleDescriptionsIngress" => {
            call.to(security_group_rule_changes::update_descriptions_ingress)
        }
        _ => call.unsupported(),
    }
}
