//! References between security groups of different VPCs: what joins two groups, who refers to a group, which references
//! are stale; and the groups that a VPC's interfaces can have.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, GroupId, PeeringConnectionId, TransitGatewayId, VpcId};

use crate::dispatch::actions;
use crate::filter::{self, Field, Filter, View};
use crate::page::{self, USUAL_BOUNDS};
use crate::peering::{self, Status};
use crate::security_group::find_by_name;
use crate::security_group_rules::{GroupRule, IpPermission, UserIdGroupPair, permissions};
use crate::tags::Tag;
use crate::{Context, SecurityGroup, State, Tx, Vpc, mortal, resource, transit_gateway};

actions! {
    "DescribeSecurityGroupReferences" => describe_references, Control;
    "DescribeStaleSecurityGroups" => describe_stale, Control;
    "GetSecurityGroupsForVpc" => get_for_vpc, Control;
}

/// What lets a rule of one group mean the interfaces of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Link {
    /// Both can be had by interfaces of one VPC.
    SameVpc,
    /// An active peering connection of their VPCs, in one region ("You cannot reference the security group of a peer VPC
    /// across a peering connection that is between Regions").
    Peering(PeeringConnectionId),
    /// A transit gateway that lets groups of the VPCs at it refer to each other, for inbound rules only.
    Transit(TransitGatewayId),
}

/// What joins two groups, if anything does.
pub(crate) fn link(view: &View<'_>, one: &SecurityGroup, other: &SecurityGroup) -> Option<Link> {
    if one.usable_in().any(|vpc| other.is_usable_in(vpc)) {
        return Some(Link::SameVpc);
    }
    if one.region != other.region {
        return None;
    }
    let peering = peering::between(view, one.vpc, other.vpc, view.now);
    if let Some(connection) = peering.filter(|c| c.status(view.now) == Status::Active) {
        return Some(Link::Peering(connection.id));
    }
    transit_gateway::attachment::joining_groups(view, view.now, one.vpc, other.vpc)
        .map(Link::Transit)
}

/// What a pair of a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A new rule, of this direction.
    New {
        /// Out of the group's interfaces.
        egress: bool,
    },
    /// A rule that the group has: what it refers to may be stale, and is still known by its id.
    Known,
}

/// The group that a pair of a request names, for a rule of `group`. Another account's must come with its owner.
///
/// # Errors
/// `InvalidGroup.NotFound`, also if nothing joins the two; `MissingParameter` without a group.
pub(crate) fn paired_group(
    tx: &Tx,
    ctx: &Context<'_>,
    group: &SecurityGroup,
    pair: &UserIdGroupPair,
    purpose: Purpose,
) -> Result<GroupId, ApiError> {
    let text = match (&pair.group_id, &pair.group_name) {
        (Some(text), _) => text,
        (None, Some(name)) => &find_by_name(tx, ctx, name)?.id.to_string(),
        (None, None) => {
            return Err(ApiError::new(
                "MissingParameter",
                "The request must contain the parameter groupName or groupId".to_owned(),
            ));
        }
    };
    let id = text.parse::<GroupId>().ok();
    let known = |id| {
        let mut rules = group.rules.iter();
        purpose == Purpose::Known && rules.any(|rule| rule.referenced() == Some(id))
    };
    if let Some(id) = id.filter(|id| known(*id)) {
        return Ok(id);
    }
    let view = mortal::view(tx, ctx);
    let other = id
        .and_then(|id| tx.get::<SecurityGroup>(&id))
        .map(|other| (other, link(&view, group, other)));
    match other {
        Some((other, Some(link))) if is_named_right(ctx, other, link, pair, purpose) => {
            Ok(other.id)
        }
        _ => {
            // One's own is told apart from one that does not exist.
            let own = resource::find::<SecurityGroup>(tx, ctx, text)?;
            if other.is_some_and(|(_, link)| link.is_some()) {
                return Err(<SecurityGroup as resource::Resource>::not_found(
                    &own.id.to_string(),
                ));
            }
            Err(ApiError::new(
                "InvalidGroup.NotFound",
                "You have specified two resources that belong to different networks.".to_owned(),
            ))
        }
    }
}

/// Whether all that a pair says of a group besides its id is so, and the link good for the purpose.
fn is_named_right(
    ctx: &Context<'_>,
    other: &SecurityGroup,
    link: Link,
    pair: &UserIdGroupPair,
    purpose: Purpose,
) -> bool {
    let fits = |named: &Option<String>, value: String| named.as_ref().is_none_or(|n| *n == value);
    let by_peering = match link {
        Link::Peering(id) => {
            fits(&pair.vpc_peering_connection_id, id.to_string())
                && fits(&pair.peering_status, Status::Active.code().to_owned())
        }
        Link::SameVpc | Link::Transit(_) => {
            pair.vpc_peering_connection_id.is_none() && pair.peering_status.is_none()
        }
    };
    let may_refer = !matches!(link, Link::Transit(_)) || purpose != (Purpose::New { egress: true });
    by_peering
        && may_refer
        && (other.account == ctx.account || pair.user_id.is_some())
        && fits(&pair.user_id, other.account.to_string())
        && fits(&pair.vpc_id, other.vpc.to_string())
}

/// Completes the groups of another VPC in permissions of a reply: whose they are, and how they are reached.
pub(crate) fn complete(view: &View<'_>, group: &SecurityGroup, permissions: &mut [IpPermission]) {
    for permission in permissions {
        for pair in &mut permission.user_id_group_pairs {
            let id = pair.group_id.as_ref().and_then(|id| id.parse().ok());
            if let Some(id) = id {
                complete_pair(view, group, id, pair);
            }
        }
    }
}

fn complete_pair(view: &View<'_>, group: &SecurityGroup, id: GroupId, pair: &mut UserIdGroupPair) {
    let Some(other) = view.security_groups.get(&id) else {
        // "If the referenced security group is deleted, this value is not returned."
        pair.user_id = None;
        return;
    };
    if other.vpc == group.vpc {
        return;
    }
    pair.user_id = Some(other.account.to_string());
    pair.vpc_id = Some(other.vpc.to_string());
    if let Some((id, status)) = peering_of(view, group, other) {
        pair.vpc_peering_connection_id = Some(id.to_string());
        pair.peering_status = Some(status.to_owned());
    }
}

/// The peering connection between the VPCs of two groups that no VPC has both of, and the word for its state.
pub(crate) fn peering_of(
    view: &View<'_>,
    one: &SecurityGroup,
    other: &SecurityGroup,
) -> Option<(PeeringConnectionId, &'static str)> {
    if link(view, one, other) == Some(Link::SameVpc) {
        return None;
    }
    peering::between(view, one.vpc, other.vpc, view.now)
        .map(|connection| (connection.id, connection.status(view.now).code()))
}

/// Whether a rule refers to a group that is gone, or to which nothing leads any more.
fn is_stale(view: &View<'_>, group: &SecurityGroup, rule: &GroupRule) -> bool {
    rule.referenced().is_some_and(|id| {
        let other = view.security_groups.get(&id);
        other.is_none_or(|other| link(view, group, other).is_none())
    })
}

/// Whether a group of the same VPC refers to it: that one would be left with nothing. References from other VPCs become
/// stale.
pub(crate) fn is_referred_to(state: &State, group: &SecurityGroup) -> bool {
    state
        .security_groups
        .of(group.id)
        .any(|other| other.id != group.id && other.usable_in().any(|vpc| group.is_usable_in(vpc)))
}

/// `DescribeSecurityGroupReferences`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReferencesRequest {
    group_id: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReferencesReply {
    security_group_reference_set: Vec<Reference>,
}

#[derive(Serialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Reference {
    group_id: GroupId,
    referencing_vpc_id: VpcId,
    vpc_peering_connection_id: Option<PeeringConnectionId>,
    transit_gateway_id: Option<TransitGatewayId>,
}

/// "Describes the VPCs on the other side of a VPC peering or Transit Gateway connection that are referencing the
/// security groups you've specified in this request."
pub(crate) fn describe_references(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReferencesRequest,
) -> Result<ReferencesReply, ApiError> {
    let view = mortal::view(tx, ctx);
    let mut groups = Vec::new();
    let mut unknown = Vec::new();
    for id in &req.group_id {
        match resource::find::<SecurityGroup>(tx, ctx, id) {
            Ok(group) => groups.push(group),
            Err(error) => unknown.push(error),
        }
    }
    resource::first_unknown(unknown.into_iter())?;
    let mut found: Vec<Reference> = Vec::new();
    for group in groups {
        for other in tx.state().security_groups.of(group.id) {
            let link = link(&view, group, other);
            if link == Some(Link::SameVpc) {
                continue;
            }
            let transit = match link {
                Some(Link::Transit(id)) => Some(id),
                Some(Link::Peering(_) | Link::SameVpc) | None => None,
            };
            let reference = Reference {
                group_id: group.id,
                referencing_vpc_id: other.vpc,
                vpc_peering_connection_id: peering_of(&view, group, other)
                    .filter(|_| transit.is_none())
                    .map(|(id, _)| id),
                transit_gateway_id: transit,
            };
            if !found.contains(&reference) {
                found.push(reference);
            }
        }
    }
    Ok(ReferencesReply {
        security_group_reference_set: found,
    })
}

/// `DescribeStaleSecurityGroups`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StaleRequest {
    vpc_id: String,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StaleReply {
    stale_security_group_set: Vec<StaleGroup>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StaleGroup {
    description: String,
    group_id: GroupId,
    group_name: String,
    stale_ip_permissions: Vec<StalePermission>,
    stale_ip_permissions_egress: Vec<StalePermission>,
    vpc_id: VpcId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StalePermission {
    from_port: Option<i64>,
    ip_protocol: Option<String>,
    to_port: Option<i64>,
    user_id_group_pairs: Vec<UserIdGroupPair>,
}

fn stale_permissions(view: &View<'_>, group: &SecurityGroup, egress: bool) -> Vec<StalePermission> {
    let rules = group
        .direction(egress)
        .filter(|rule| is_stale(view, group, rule))
        .map(|rule| (rule.key, rule.description.as_ref()));
    let mut shown = permissions(rules, group.account);
    complete(view, group, &mut shown);
    let stale = |permission: IpPermission| StalePermission {
        from_port: permission.from_port,
        ip_protocol: permission.ip_protocol,
        to_port: permission.to_port,
        user_id_group_pairs: permission.user_id_group_pairs,
    };
    shown.into_iter().map(stale).collect()
}

/// The groups of a VPC with rules that refer to what is gone or cannot be reached.
pub(crate) fn describe_stale(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: StaleRequest,
) -> Result<StaleReply, ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let view = mortal::view(tx, ctx);
    let groups = tx.state().security_groups.of(vpc);
    let stale = groups.filter(|group| {
        group.vpc == vpc && group.rules.iter().any(|rule| is_stale(&view, group, rule))
    });
    let page = page::cut(
        stale,
        |group| group.id.to_string(),
        &(5..=255),
        req.max_results,
        req.next_token.as_deref(),
    )?;
    let item = |group: &SecurityGroup| StaleGroup {
        description: group.description.clone(),
        group_id: group.id,
        group_name: group.name.clone(),
        stale_ip_permissions: stale_permissions(&view, group, false),
        stale_ip_permissions_egress: stale_permissions(&view, group, true),
        vpc_id: group.vpc,
    };
    Ok(StaleReply {
        stale_security_group_set: page.items.into_iter().map(item).collect(),
        next_token: page.next_token,
    })
}

/// `GetSecurityGroupsForVpc`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ForVpcRequest {
    vpc_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ForVpcReply {
    security_group_for_vpcs: Vec<ForVpcItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ForVpcItem {
    description: String,
    group_id: GroupId,
    group_name: String,
    owner_id: AccountId,
    primary_vpc_id: VpcId,
    tags: Vec<Tag>,
}

const FILTERS: &[Field<SecurityGroup>] = &[
    ("description", |_, group| vec![group.description.clone()]),
    ("group-id", |_, group| vec![group.id.to_string()]),
    ("group-name", |_, group| vec![group.name.clone()]),
    ("owner-id", |_, group| vec![group.account.to_string()]),
    ("primary-vpc-id", |_, group| vec![group.vpc.to_string()]),
];

/// The groups that interfaces of a VPC can have: its own, and those that are associated with it.
pub(crate) fn get_for_vpc(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ForVpcRequest,
) -> Result<ForVpcReply, ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let filters = req.filters.unwrap_or_default();
    filter::check(&filters, FILTERS.iter().map(|(name, _)| *name))?;
    let view = mortal::view(tx, ctx);
    let groups = tx.state().security_groups.of(vpc);
    let page = page::cut(
        groups.filter(|group| filter::matches(&filters, FILTERS, &view, *group)),
        |group| group.id.to_string(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    let item = |group: &SecurityGroup| ForVpcItem {
        description: group.description.clone(),
        group_id: group.id,
        group_name: group.name.clone(),
        owner_id: group.account,
        primary_vpc_id: group.vpc,
        tags: group.tags.reply(),
    };
    Ok(ForVpcReply {
        security_group_for_vpcs: page.items.into_iter().map(item).collect(),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{World, account, count, text};

    const OTHER: &str = "444455556666";

    fn vpc_with_group(world: &mut World, block: &str) -> (String, String) {
        let made = world.ok("CreateVpc", json!({"CidrBlock": block}));
        let vpc = text(&made, "Vpc.VpcId");
        let input = json!({"GroupName": "g", "Description": "d", "VpcId": vpc});
        let group = text(&world.ok("CreateSecurityGroup", input), "GroupId");
        (vpc, group)
    }

    fn ssh(group: &str, pair: Value) -> Value {
        json!({"GroupId": group, "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
            "UserIdGroupPairs": [pair]}]})
    }

    const INGRESS: &str = "AuthorizeSecurityGroupIngress";

    #[test]
    fn groups_across_a_peering_connection() {
        let mut world = World::new();
        let (own, group) = vpc_with_group(&mut world, "10.0.0.0/16");
        world.account = account(OTHER);
        let (theirs, other) = vpc_with_group(&mut world, "10.1.0.0/16");
        world.account = account("111122223333");
        let rule = ssh(&group, json!({"GroupId": other, "UserId": OTHER}));
        assert_eq!(world.err(INGRESS, rule.clone()), "InvalidGroup.NotFound");
        let input = json!({"VpcId": own, "PeerVpcId": theirs, "PeerOwnerId": OTHER});
        let made = world.ok("CreateVpcPeeringConnection", input);
        let peering = text(&made, "VpcPeeringConnection.VpcPeeringConnectionId");
        let named = json!({"VpcPeeringConnectionId": peering});
        assert_eq!(world.err(INGRESS, rule.clone()), "InvalidGroup.NotFound");
        world.account = account(OTHER);
        world.ok("AcceptVpcPeeringConnection", named.clone());
        world.account = account("111122223333");
        for wrong in [
            json!({"GroupId": other}),
            json!({"GroupId": other, "UserId": "111122223333"}),
            json!({"GroupId": other, "UserId": OTHER, "VpcId": own}),
            json!({"GroupId": other, "UserId": OTHER, "VpcPeeringConnectionId": "pcx-01234567"}),
        ] {
            assert_eq!(
                world.err(INGRESS, ssh(&group, wrong.clone())),
                "InvalidGroup.NotFound",
                "{wrong}"
            );
        }
        let made = world.ok(INGRESS, rule.clone());
        let info = "SecurityGroupRules.0.ReferencedGroupInfo";
        assert_eq!(text(&made, &format!("{info}.UserId")), OTHER);
        assert_eq!(
            text(&made, &format!("{info}.VpcPeeringConnectionId")),
            peering
        );
        let shown = world.ok("DescribeSecurityGroups", json!({"GroupIds": [group]}));
        let pair = "SecurityGroups.0.IpPermissions.0.UserIdGroupPairs.0";
        assert_eq!(text(&shown, &format!("{pair}.VpcId")), theirs);
        assert_eq!(text(&shown, &format!("{pair}.PeeringStatus")), "active");
        let by_owner = json!({"Filters": [{"Name": "ip-permission.user-id", "Values": [OTHER]}]});
        let shown = world.ok("DescribeSecurityGroups", by_owner);
        assert_eq!(text(&shown, "SecurityGroups.0.GroupId"), group);
        let stale = |world: &mut World| {
            let shown = world.ok("DescribeStaleSecurityGroups", json!({"VpcId": own}));
            count(&shown, "StaleSecurityGroupSet")
        };
        assert_eq!(stale(&mut world), 0);
        world.account = account(OTHER);
        let shown = world.ok(
            "DescribeSecurityGroupReferences",
            json!({"GroupId": [other]}),
        );
        let reference = "SecurityGroupReferenceSet.0";
        assert_eq!(text(&shown, &format!("{reference}.ReferencingVpcId")), own);
        assert_eq!(
            text(&shown, &format!("{reference}.VpcPeeringConnectionId")),
            peering
        );
        world.ok("DeleteVpcPeeringConnection", named);
        world.account = account("111122223333");
        assert_eq!(stale(&mut world), 1);
        world.account = account(OTHER);
        // References from other VPCs do not hold a group.
        world.ok("DeleteSecurityGroup", json!({"GroupId": other}));
        world.account = account("111122223333");
        assert_eq!(stale(&mut world), 1);
        // What is stale can be taken away, and not be made again.
        let again = ssh(&group, json!({"GroupId": other}));
        assert_eq!(world.err(INGRESS, again.clone()), "InvalidGroup.NotFound");
        world.ok("RevokeSecurityGroupIngress", again);
        assert_eq!(stale(&mut world), 0);
    }

    #[test]
    fn groups_across_a_transit_gateway() {
        let mut world = World::new();
        let support = |on| json!({"SecurityGroupReferencingSupport": on});
        let made = world.ok(
            "CreateTransitGateway",
            json!({"Options": support("enable")}),
        );
        let gateway = text(&made, "TransitGateway.TransitGatewayId");
        let mut side = |block: &str, cidr: &str| {
            let (vpc, group) = vpc_with_group(&mut world, block);
            let made = world.ok("CreateSubnet", json!({"VpcId": vpc, "CidrBlock": cidr}));
            let subnet = text(&made, "Subnet.SubnetId");
            let input = json!({"TransitGatewayId": gateway, "VpcId": vpc, "SubnetIds": [subnet],
                "Options": support("enable")});
            let made = world.ok("CreateTransitGatewayVpcAttachment", input);
            let id = text(
                &made,
                "TransitGatewayVpcAttachment.TransitGatewayAttachmentId",
            );
            (vpc, group, id)
        };
        let (near, group, _) = side("10.0.0.0/16", "10.0.0.0/24");
        let (_, far, attachment) = side("10.1.0.0/16", "10.1.0.0/24");
        let rule = ssh(&group, json!({"GroupId": far}));
        // "Inbound rules only".
        assert_eq!(
            world.err("AuthorizeSecurityGroupEgress", rule.clone()),
            "InvalidGroup.NotFound"
        );
        world.ok(INGRESS, rule.clone());
        let shown = world.ok("DescribeSecurityGroupReferences", json!({"GroupId": [far]}));
        let reference = "SecurityGroupReferenceSet.0";
        assert_eq!(
            text(&shown, &format!("{reference}.TransitGatewayId")),
            gateway
        );
        let stale = |world: &mut World| {
            let shown = world.ok("DescribeStaleSecurityGroups", json!({"VpcId": near}));
            count(&shown, "StaleSecurityGroupSet")
        };
        assert_eq!(stale(&mut world), 0);
        let off = json!({"TransitGatewayAttachmentId": attachment, "Options": support("disable")});
        world.ok("ModifyTransitGatewayVpcAttachment", off);
        assert_eq!(stale(&mut world), 1);
        world.ok("RevokeSecurityGroupIngress", rule.clone());
        assert_eq!(world.err(INGRESS, rule), "InvalidGroup.NotFound");
    }

    #[test]
    fn the_groups_of_a_vpc() {
        let mut world = World::new();
        let (vpc, _) = vpc_with_group(&mut world, "10.0.0.0/16");
        let shown = world.ok("GetSecurityGroupsForVpc", json!({"VpcId": vpc}));
        assert_eq!(count(&shown, "SecurityGroupForVpcs"), 2);
        let filters = json!([{"Name": "group-name", "Values": ["g"]}]);
        let input = json!({"VpcId": vpc, "Filters": filters});
        let shown = world.ok("GetSecurityGroupsForVpc", input);
        assert_eq!(count(&shown, "SecurityGroupForVpcs"), 1);
        assert_eq!(text(&shown, "SecurityGroupForVpcs.0.PrimaryVpcId"), vpc);
        let small = json!({"VpcId": vpc, "MaxResults": 4});
        assert_eq!(
            world.err("GetSecurityGroupsForVpc", small.clone()),
            "InvalidParameterValue"
        );
        assert_eq!(
            world.err("DescribeStaleSecurityGroups", small),
            "InvalidParameterValue"
        );
        for action in ["GetSecurityGroupsForVpc", "DescribeStaleSecurityGroups"] {
            let unknown = json!({"VpcId": "vpc-01234567"});
            assert_eq!(world.err(action, unknown), "InvalidVpcID.NotFound");
        }
        let unknown = json!({"GroupId": ["sg-01234567", "x"]});
        assert_eq!(
            world.err("DescribeSecurityGroupReferences", unknown),
            "InvalidGroupId.Malformed"
        );
    }
}
