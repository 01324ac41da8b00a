//! Security groups in other VPCs of their owner: interfaces there may have them too.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, GroupId, VpcId};

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::page::{self, USUAL_BOUNDS};
use crate::security_group::DEFAULT;
use crate::{Context, Life, NetworkInterface, Phase, SecurityGroup, State, Tx, Vpc, resource};

actions! {
    "AssociateSecurityGroupVpc" => associate, Enforced;
    "DescribeSecurityGroupVpcAssociations" => describe, Control;
    "DisassociateSecurityGroupVpc" => disassociate, Enforced;
}

/// Another VPC whose interfaces may have a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VpcAssociation {
    /// The VPC.
    pub vpc: VpcId,
    /// Whether it may still be used there. It is no longer shown once that has settled.
    pub life: Life,
}

impl SecurityGroup {
    /// The VPCs that it is associated with.
    pub(crate) fn associated(&self) -> impl Iterator<Item = VpcId> {
        let there = self.vpcs.iter().filter(|a| !a.life.has_ended());
        there.map(|association| association.vpc)
    }

    /// The VPCs whose interfaces may have it: its own first.
    pub(crate) fn usable_in(&self) -> impl Iterator<Item = VpcId> {
        std::iter::once(self.vpc).chain(self.associated())
    }

    /// Whether interfaces of the VPC may have it.
    pub(crate) fn is_usable_in(&self, vpc: VpcId) -> bool {
        self.usable_in().any(|other| other == vpc)
    }
}

/// Whether a group of another VPC is associated with this one.
pub(crate) fn hold(state: &State, vpc: VpcId) -> bool {
    let mut groups = state.security_groups.of(vpc);
    groups.any(|group| group.vpc != vpc)
}

const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "associating",
        Phase::Live => "associated",
        Phase::Deleting => "disassociating",
        Phase::Deleted => "disassociated",
    }
}

/// `AssociateSecurityGroupVpc` and `DisassociateSecurityGroupVpc`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociationRequest {
    group_id: String,
    vpc_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssociationReply {
    state: &'static str,
}

/// Puts what the group's associations shall be, without those that are over.
fn put(
    tx: &mut Tx,
    ctx: &Context<'_>,
    mut group: SecurityGroup,
    association: VpcAssociation,
) -> AssociationReply {
    group.vpcs.retain(|other| {
        other.vpc != association.vpc && other.life.phase(ctx.now) != Phase::Deleted
    });
    let phase = association.life.phase(ctx.now);
    if phase != Phase::Deleted {
        group.vpcs.push(association);
        group.vpcs.sort_by_key(|association| association.vpc);
    }
    tx.put(group);
    AssociationReply { state: word(phase) }
}

/// "You cannot use this feature with default security groups"; "with the default VPC".
pub(crate) fn associate(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociationRequest,
) -> Result<AssociationReply, ApiError> {
    let group = resource::find::<SecurityGroup>(tx, ctx, &req.group_id)?.clone();
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?;
    let invalid = |message: String| Err(ApiError::new("InvalidParameterValue", message));
    if group.name == DEFAULT {
        return invalid(format!(
            "The default security group '{}' cannot be associated with another VPC.",
            group.id
        ));
    }
    let of_default = tx.get::<Vpc>(&group.vpc).is_some_and(|vpc| vpc.is_default);
    if vpc.is_default || of_default {
        return invalid(format!(
            "Security group '{}' cannot be associated with VPC '{}': security group VPC associations cannot be used with a default VPC.",
            group.id, vpc.id
        ));
    }
    if group.vpc == vpc.id {
        return invalid(format!(
            "Security group '{}' belongs to VPC '{}'.",
            group.id, vpc.id
        ));
    }
    if group.is_usable_in(vpc.id) {
        return Err(ApiError::new(
            "Resource.AlreadyAssociated",
            format!(
                "Security group '{}' is already associated with VPC '{}'.",
                group.id, vpc.id
            ),
        ));
    }
    let association = VpcAssociation {
        vpc: vpc.id,
        life: Life::begin(ctx),
    };
    Ok(put(tx, ctx, group, association))
}

/// "You cannot disassociate the security group if any Elastic network interfaces in the associated VPC are still
/// associated with the security group."
pub(crate) fn disassociate(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociationRequest,
) -> Result<AssociationReply, ApiError> {
    let group = resource::find::<SecurityGroup>(tx, ctx, &req.group_id)?.clone();
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    if !group.associated().any(|other| other == vpc) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Security group '{}' is not associated with VPC '{vpc}'.",
                group.id
            ),
        ));
    }
    if tx
        .of::<NetworkInterface>(group.id)
        .any(|interface| interface.vpc == vpc)
    {
        return Err(ApiError::new(
            "DependencyViolation",
            format!(
                "Security group '{}' is used by network interfaces in VPC '{vpc}'.",
                group.id
            ),
        ));
    }
    let association = VpcAssociation {
        vpc,
        life: Life::end(ctx),
    };
    Ok(put(tx, ctx, group, association))
}

/// `DescribeSecurityGroupVpcAssociations`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    filters: Option<Vec<Filter>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeReply {
    security_group_vpc_associations: Vec<AssociationItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    group_id: GroupId,
    vpc_id: VpcId,
    vpc_owner_id: AccountId,
    state: &'static str,
    group_owner_id: AccountId,
}

const FILTERS: [&str; 5] = [
    "group-id",
    "group-owner-id",
    "state",
    "vpc-id",
    "vpc-owner-id",
];

/// Lists the associations of the client's groups, by group and VPC.
pub(crate) fn describe(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(&filters, &FILTERS)?;
    let items = resource::own::<SecurityGroup>(tx, ctx).flat_map(|group| {
        let shown = group.vpcs.iter().filter_map(|association| {
            let phase = association.life.phase(ctx.now);
            // Both belong to one account.
            (phase != Phase::Deleted).then_some(AssociationItem {
                group_id: group.id,
                vpc_id: association.vpc,
                vpc_owner_id: group.account,
                state: word(phase),
                group_owner_id: group.account,
            })
        });
        shown.collect::<Vec<_>>()
    });
    let matching = items.filter(|item| {
        let owner = item.group_owner_id.to_string();
        let values = [
            ("group-id", item.group_id.to_string()),
            ("group-owner-id", owner.clone()),
            ("state", item.state.to_owned()),
            ("vpc-id", item.vpc_id.to_string()),
            ("vpc-owner-id", owner),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        filter::matches_plain(&filters, &values)
    });
    let page = page::cut(
        matching,
        |item| format!("{}/{}", item.group_id, item.vpc_id),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribeReply {
        security_group_vpc_associations: page.items,
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};
    use crate::{Record as _, SecurityGroup, Vpc, delta, full};

    fn vpc(world: &mut World, block: &str) -> String {
        let made = world.ok("CreateVpc", json!({"CidrBlock": block}));
        text(&made, "Vpc.VpcId")
    }

    fn group(world: &mut World, vpc: &str) -> String {
        let input = json!({"GroupName": "g", "Description": "d", "VpcId": vpc});
        text(&world.ok("CreateSecurityGroup", input), "GroupId")
    }

    #[test]
    fn a_group_is_used_in_another_vpc() {
        let mut world = World::new();
        let (home, other) = (
            vpc(&mut world, "10.0.0.0/16"),
            vpc(&mut world, "10.1.0.0/16"),
        );
        let group = group(&mut world, &home);
        let made = world.ok(
            "CreateSubnet",
            json!({"VpcId": other, "CidrBlock": "10.1.0.0/24"}),
        );
        let subnet = text(&made, "Subnet.SubnetId");
        let create = json!({"SubnetId": subnet, "Groups": [group]});
        assert_eq!(
            world.err("CreateNetworkInterface", create.clone()),
            "InvalidParameter"
        );
        let pair = json!({"GroupId": group, "VpcId": other});
        assert_eq!(
            world.err("DisassociateSecurityGroupVpc", pair.clone()),
            "InvalidParameterValue"
        );
        let done = world.ok("AssociateSecurityGroupVpc", pair.clone());
        assert_eq!(text(&done, "State"), "associated");
        assert_eq!(
            world.err("AssociateSecurityGroupVpc", pair.clone()),
            "Resource.AlreadyAssociated"
        );
        let shown = world.ok("GetSecurityGroupsForVpc", json!({"VpcId": other}));
        assert_eq!(count(&shown, "SecurityGroupForVpcs"), 2);
        // Hosts know it in both.
        let id: types::GroupId = group.parse().unwrap();
        let there: types::VpcId = other.parse().unwrap();
        let network = topology::Snapshot::new(None).apply(
            1,
            &full(&world.state, 1)
                .objects
                .into_iter()
                .map(topology::Change::Put)
                .collect::<Vec<_>>(),
        );
        assert!(network.vpc(there).unwrap().group(id).is_some());
        let made = world.ok("CreateNetworkInterface", create);
        let interface = text(&made, "NetworkInterface.NetworkInterfaceId");
        for (action, input) in [
            ("DisassociateSecurityGroupVpc", pair.clone()),
            ("DeleteSecurityGroup", json!({"GroupId": group})),
        ] {
            assert_eq!(world.err(action, input), "DependencyViolation", "{action}");
        }
        world.ok(
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": interface}),
        );
        world.ok("DeleteSubnet", json!({"SubnetId": subnet}));
        for (action, input) in [
            ("DeleteSecurityGroup", json!({"GroupId": group})),
            ("DeleteVpc", json!({"VpcId": other})),
        ] {
            assert_eq!(world.err(action, input), "DependencyViolation", "{action}");
        }
        let before = std::sync::Arc::clone(&world.state);
        let done = world
            .execute(
                "DisassociateSecurityGroupVpc",
                api::to_value(&pair).unwrap(),
            )
            .unwrap();
        let told = delta(&before, &done.state, &done.writes, 1, 2);
        world.state = done.state;
        let network = network.apply(2, &told.changes);
        assert!(network.vpc(there).unwrap().group(id).is_none());
        let shown = world.ok("DescribeSecurityGroupVpcAssociations", json!({}));
        assert_eq!(count(&shown, "SecurityGroupVpcAssociations"), 0);
        world.ok("DeleteVpc", json!({"VpcId": other}));
        world.ok("DeleteSecurityGroup", json!({"GroupId": group}));
    }

    #[test]
    fn what_cannot_be_associated() {
        let mut world = World::new();
        let (home, other) = (
            vpc(&mut world, "10.0.0.0/16"),
            vpc(&mut world, "10.1.0.0/16"),
        );
        let group = group(&mut world, &home);
        let mut err = |group: &str, vpc: &str| {
            let input = json!({"GroupId": group, "VpcId": vpc});
            world.err("AssociateSecurityGroupVpc", input)
        };
        assert_eq!(err(&group, &home), "InvalidParameterValue");
        assert_eq!(err("x", &home), "InvalidGroupId.Malformed");
        assert_eq!(err(&group, "vpc-01234567"), "InvalidVpcID.NotFound");
        let default_group = SecurityGroup::table(&world.state)
            .values()
            .find(|g| g.name == "default" && g.vpc.to_string() == home)
            .map(|group| group.id.to_string())
            .unwrap();
        let default_vpc = Vpc::table(&world.state)
            .values()
            .find(|vpc| vpc.is_default)
            .map(|vpc| vpc.id.to_string())
            .unwrap();
        let mut err = |group: &str, vpc: &str| {
            let input = json!({"GroupId": group, "VpcId": vpc});
            world.err("AssociateSecurityGroupVpc", input)
        };
        assert_eq!(err(&default_group, &other), "InvalidParameterValue");
        assert_eq!(err(&group, &default_vpc), "InvalidParameterValue");
        world.account = account("444455556666");
        let input = json!({"GroupId": group, "VpcId": other});
        assert_eq!(
            world.err("AssociateSecurityGroupVpc", input),
            "InvalidGroup.NotFound"
        );
    }

    #[test]
    fn associations_settle() {
        let mut world = World::new();
        let (home, other) = (
            vpc(&mut world, "10.0.0.0/16"),
            vpc(&mut world, "10.1.0.0/16"),
        );
        let group = group(&mut world, &home);
        world.settle = 1000;
        let pair = json!({"GroupId": group, "VpcId": other});
        let states = |world: &mut World, state: &str| {
            let filters = json!([{"Name": "state", "Values": [state]}, {"Name": "vpc-id", "Values": [other]}]);
            let shown = world.ok(
                "DescribeSecurityGroupVpcAssociations",
                json!({"Filters": filters}),
            );
            count(&shown, "SecurityGroupVpcAssociations")
        };
        let done = world.ok("AssociateSecurityGroupVpc", pair.clone());
        assert_eq!(text(&done, "State"), "associating");
        assert_eq!(states(&mut world, "associating"), 1);
        world.now.0 += 1000;
        assert_eq!(states(&mut world, "associated"), 1);
        let done = world.ok("DisassociateSecurityGroupVpc", pair);
        assert_eq!(text(&done, "State"), "disassociating");
        assert_eq!(states(&mut world, "disassociating"), 1);
        world.now.0 += 1000;
        assert_eq!(states(&mut world, "*"), 0);
    }
}
