//! Security groups. Their rules change in [`crate::security_group_permissions`].

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, GroupId, GroupRuleId, RegionName, SubnetId, VpcId};

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, resource};
use crate::security_group_rules::{
    GroupRule, IpPermission, RuleKey, RulePeer, Traffic, blocks, is_plain, permissions,
};
use crate::security_group_vpc::VpcAssociation;
use crate::tags::{Tag, TagSpecification};
use crate::{
    Context, NetworkInterface, State, Tags, Tx, Vpc, mortal, quota, security_group_reference,
};

actions! {
    "CreateSecurityGroup" => create_security_group, Enforced;
    "DeleteSecurityGroup" => delete_security_group, Enforced;
    "DescribeSecurityGroups" => describe_security_groups, Control;
}

/// A security group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Its identifier.
    pub id: GroupId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// Its name, one of its kind in the VPC. `default` is the VPC's own.
    pub name: String,
    /// What its owner says about it.
    pub description: String,
    /// Its rules of both directions, in the order in which they were made. No two of a direction have the same key.
    pub rules: Vec<GroupRule>,
    /// Other VPCs of its owner whose interfaces may have it, by VPC.
    #[serde(default)]
    pub vpcs: Vec<VpcAssociation>,
}

resource!(
    SecurityGroup,
    "security-group",
    |this, keys| {
        keys.of(this.usable_in());
        keys.of(this.rules.iter().filter_map(|rule| rule.key.peer.group()));
        keys.of(this
            .rules
            .iter()
            .filter_map(|rule| rule.key.peer.prefix_list()));
    },
    |id| resource::unknown_id(
        id,
        "sg",
        "security group",
        "InvalidGroup.NotFound",
        "InvalidGroupId.Malformed"
    )
);

/// The name of the group that every VPC has and that nobody can delete.
pub(crate) const DEFAULT: &str = "default";

impl SecurityGroup {
    /// Its rules of one direction.
    pub(crate) fn direction(&self, egress: bool) -> impl Iterator<Item = &GroupRule> {
        self.rules.iter().filter(move |rule| rule.egress == egress)
    }

    /// The group as hosts know it.
    pub(crate) fn project(&self, state: &State) -> topology::SecurityGroup {
        let rules = |egress| {
            self.direction(egress)
                .flat_map(|rule| rule.project(state, &self.region, self.account))
                .collect()
        };
        topology::SecurityGroup {
            id: self.id,
            vpc: self.vpc,
            also_in: self.associated().collect(),
            ingress: rules(false),
            egress: rules(true),
        }
    }

    fn arn(&self) -> String {
        format!(
            "arn:aws:ec2:{}:{}:security-group/{}",
            self.region, self.account, self.id
        )
    }
}

/// A group's identifier and name, in replies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GroupIdentifier {
    pub(crate) group_id: GroupId,
    pub(crate) group_name: String,
}

/// The groups' identifiers and names, in their order.
pub(crate) fn identifiers(state: &State, groups: &[GroupId]) -> Vec<GroupIdentifier> {
    let name = |id: &GroupId| {
        state
            .security_groups
            .get(id)
            .map(|group| group.name.clone())
            .unwrap_or_default()
    };
    groups
        .iter()
        .map(|id| GroupIdentifier {
            group_id: *id,
            group_name: name(id),
        })
        .collect()
}

/// The VPC's own group.
pub(crate) fn default_of(tx: &Tx, vpc: VpcId) -> Option<&SecurityGroup> {
    tx.of::<SecurityGroup>(vpc)
        .find(|group| group.vpc == vpc && group.name == DEFAULT)
}

/// The group of that name in the client's default VPC, where alone EC2 lets a name stand for a group.
///
/// # Errors
/// `InvalidGroup.NotFound`, or `VPCIdNotSpecified` without a default VPC.
pub(crate) fn find_by_name<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    name: &str,
) -> Result<&'t SecurityGroup, ApiError> {
    let vpc = default_vpc(tx, ctx)?.id;
    tx.of::<SecurityGroup>(vpc)
        .find(|group| group.vpc == vpc && group.name == name)
        .ok_or_else(|| {
            ApiError::new(
                "InvalidGroup.NotFound",
                format!("The security group '{name}' does not exist in default VPC '{vpc}'"),
            )
        })
}

/// The groups that a client names for an interface in this subnet; its VPC's own without any.
///
/// # Errors
/// `InvalidParameter` for one of another VPC, `SecurityGroupsPerInterfaceLimitExceeded` over EC2's quota,
/// `InvalidParameterValue` if one is named twice.
pub(crate) fn for_interface(
    tx: &Tx,
    ctx: &Context<'_>,
    vpc: VpcId,
    subnet: SubnetId,
    ids: Option<&[String]>,
) -> Result<Vec<GroupId>, ApiError> {
    let mut groups = Vec::new();
    for id in ids.unwrap_or_default() {
        let group = resource::find::<SecurityGroup>(tx, ctx, id)?;
        if !group.is_usable_in(vpc) {
            return Err(ApiError::new(
                "InvalidParameter",
                format!(
                    "Security group {} and subnet {subnet} belong to different networks.",
                    group.id
                ),
            ));
        }
        if groups.contains(&group.id) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("The security group '{id}' is specified more than once"),
            ));
        }
        groups.push(group.id);
    }
    quota::GROUPS_PER_INTERFACE.check(tx, ctx, groups.len())?;
    if groups.is_empty() {
        let own = default_of(tx, vpc).ok_or_else(|| SecurityGroup::not_found_default(vpc))?;
        groups.push(own.id);
    }
    Ok(groups)
}

impl SecurityGroup {
    fn not_found_default(vpc: VpcId) -> ApiError {
        ApiError::new(
            "InvalidGroup.NotFound",
            format!("The VPC '{vpc}' has no default security group"),
        )
    }
}

/// The client's default VPC.
///
/// # Errors
/// `VPCIdNotSpecified` if it was deleted.
pub(crate) fn default_vpc<'t>(tx: &'t Tx, ctx: &Context<'_>) -> Result<&'t Vpc, ApiError> {
    resource::own::<Vpc>(tx, ctx)
        .find(|vpc| vpc.is_default)
        .ok_or_else(|| ApiError::new("VPCIdNotSpecified", "No default VPC for this user"))
}

/// The rule that lets everything of a family out.
fn to_everywhere(ctx: &Context<'_>, cidr: Cidr) -> GroupRule {
    GroupRule {
        id: GroupRuleId::from_bits(ctx.random()),
        egress: true,
        key: RuleKey {
            traffic: Traffic::All,
            peer: RulePeer::Cidr(cidr),
        },
        description: None,
        tags: Tags::default(),
    }
}

/// Groups of a VPC let IPv6 out when the VPC gets a block of it, if nobody has changed their outbound rules (EC2
/// "Security groups": "If you've modified the outbound rules", no rule is added).
pub(crate) fn open_ipv6(tx: &mut Tx, ctx: &Context<'_>, vpc: VpcId) {
    let groups: Vec<SecurityGroup> = tx
        .of::<SecurityGroup>(vpc)
        .filter(|group| group.vpc == vpc)
        .cloned()
        .collect();
    for mut group in groups {
        let mut out = group.rules.iter().filter(|rule| rule.egress);
        let first = out.next().map(|rule| &rule.key);
        let new = to_everywhere(ctx, Cidr::ALL_V4);
        if first == Some(&new.key) && out.next().is_none() {
            group.rules.push(to_everywhere(ctx, Cidr::ALL_V6));
            tx.put(group);
        }
    }
}

/// Makes the VPC's own group: everything from itself, everything to everywhere.
pub(crate) fn make_default(tx: &mut Tx, ctx: &Context<'_>, vpc: VpcId) -> GroupId {
    let id = GroupId::from_bits(ctx.random());
    let rule = |egress, peer| GroupRule {
        id: GroupRuleId::from_bits(ctx.random()),
        egress,
        key: RuleKey {
            traffic: Traffic::All,
            peer,
        },
        description: None,
        tags: Tags::default(),
    };
    let rules = vec![
        rule(false, RulePeer::Group(id)),
        rule(true, RulePeer::Cidr(Cidr::ALL_V4)),
    ];
    tx.put(SecurityGroup {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::default(),
        vpc,
        name: DEFAULT.to_owned(),
        description: "default VPC security group".to_owned(),
        rules,
        vpcs: Vec::new(),
    });
    id
}

/// `CreateSecurityGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateSecurityGroupRequest {
    description: String,
    group_name: String,
    vpc_id: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateSecurityGroupReply {
    pub(crate) group_id: GroupId,
    tags: Vec<Tag>,
    security_group_arn: String,
}

/// Makes a group that lets nothing in and everything out (to IPv4), as EC2 does.
pub(crate) fn create_security_group(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateSecurityGroupRequest,
) -> Result<CreateSecurityGroupReply, ApiError> {
    let vpc = match &req.vpc_id {
        Some(id) => resource::find::<Vpc>(tx, ctx, id)?.id,
        None => default_vpc(tx, ctx)?.id,
    };
    check_name(&req.group_name)?;
    check_description(&req.description)?;
    if tx
        .of::<SecurityGroup>(vpc)
        .any(|group| group.vpc == vpc && group.name == req.group_name)
    {
        return Err(ApiError::new(
            "InvalidGroup.Duplicate",
            format!(
                "The security group '{}' already exists for VPC '{vpc}'",
                req.group_name
            ),
        ));
    }
    quota::SECURITY_GROUPS.one_more(tx, ctx, resource::own::<SecurityGroup>(tx, ctx).count())?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), "security-group")?;
    let mut rules = vec![to_everywhere(ctx, Cidr::ALL_V4)];
    if !resource::get::<Vpc>(tx, &vpc)?.ipv6.is_empty() {
        rules.push(to_everywhere(ctx, Cidr::ALL_V6));
    }
    let group = SecurityGroup {
        id: GroupId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        vpc,
        name: req.group_name,
        description: req.description,
        rules,
        vpcs: Vec::new(),
    };
    let reply = CreateSecurityGroupReply {
        group_id: group.id,
        tags: group.tags.reply(),
        security_group_arn: group.arn(),
    };
    tx.put(group);
    Ok(reply)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::new(
            "MissingParameter",
            "The request must contain the parameter GroupName".to_owned(),
        ));
    }
    if name.eq_ignore_ascii_case(DEFAULT) {
        return Err(ApiError::new(
            "InvalidGroup.Reserved",
            format!("Cannot use reserved security group name: {name}"),
        ));
    }
    if name.starts_with("sg-") {
        return Err(ApiError::new(
            "InvalidGroup.Reserved",
            format!(
                "Invalid value '{name}' for groupName. Group names may not be in the format sg-*"
            ),
        ));
    }
    if !is_plain(name) || name.trim() != name {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({name}) for parameter GroupName is invalid. Valid names are strings less than 256 characters \
                 from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$*"
            ),
        ));
    }
    Ok(())
}

fn check_description(description: &str) -> Result<(), ApiError> {
    if description.is_empty() {
        return Err(ApiError::new(
            "MissingParameter",
            "The request must contain the parameter GroupDescription".to_owned(),
        ));
    }
    if !is_plain(description) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            "Invalid security group description. Valid descriptions are strings less than 256 characters from the \
             following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
                .to_owned(),
        ));
    }
    Ok(())
}

/// `DescribeSecurityGroups`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeSecurityGroupsRequest {
    group_ids: Option<Vec<String>>,
    group_names: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeSecurityGroupsReply {
    security_groups: Vec<SecurityGroupReply>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SecurityGroupReply {
    group_id: GroupId,
    group_name: String,
    description: String,
    owner_id: AccountId,
    vpc_id: VpcId,
    ip_permissions: Vec<IpPermission>,
    ip_permissions_egress: Vec<IpPermission>,
    tags: Vec<Tag>,
    security_group_arn: String,
}

fn values(
    group: &SecurityGroup,
    egress: bool,
    value: impl Fn(&GroupRule) -> Option<String>,
) -> Vec<String> {
    group.direction(egress).filter_map(value).collect()
}

fn cidr(rule: &GroupRule) -> Option<String> {
    blocks(rule.key.peer).0.map(|cidr| cidr.to_string())
}

fn ipv6_cidr(rule: &GroupRule) -> Option<String> {
    blocks(rule.key.peer).1.map(|cidr| cidr.to_string())
}

fn from_port(rule: &GroupRule) -> Option<String> {
    Some(rule.key.traffic.ports().0.to_string())
}

fn to_port(rule: &GroupRule) -> Option<String> {
    Some(rule.key.traffic.ports().1.to_string())
}

fn protocol(rule: &GroupRule) -> Option<String> {
    Some(rule.key.traffic.protocol())
}

fn prefix_list_id(rule: &GroupRule) -> Option<String> {
    rule.key.peer.prefix_list().map(|id| id.to_string())
}

fn group_id(rule: &GroupRule) -> Option<String> {
    rule.referenced().map(|id| id.to_string())
}

fn group_name(state: &State, rule: &GroupRule) -> Option<String> {
    rule.referenced()
        .and_then(|id| state.security_groups.get(&id))
        .map(|group| group.name.clone())
}

fn user_id(state: &State, rule: &GroupRule) -> Option<String> {
    rule.referenced()
        .and_then(|id| state.security_groups.get(&id))
        .map(|group| group.account.to_string())
}

const FIELDS: &[Field<SecurityGroup>] = &[
    ("description", |_, g| vec![g.description.clone()]),
    ("group-id", |_, g| vec![g.id.to_string()]),
    ("group-name", |_, g| vec![g.name.clone()]),
    ("owner-id", |_, g| vec![g.account.to_string()]),
    ("vpc-id", |_, g| vec![g.vpc.to_string()]),
    ("ip-permission.cidr", |_, g| values(g, false, cidr)),
    ("ip-permission.ipv6-cidr", |_, g| {
        values(g, false, ipv6_cidr)
    }),
    ("ip-permission.from-port", |_, g| {
        values(g, false, from_port)
    }),
    ("ip-permission.to-port", |_, g| values(g, false, to_port)),
    ("ip-permission.protocol", |_, g| values(g, false, protocol)),
    ("ip-permission.group-id", |_, g| values(g, false, group_id)),
    ("ip-permission.group-name", |s, g| {
        values(g, false, |rule| group_name(s, rule))
    }),
    ("ip-permission.prefix-list-id", |_, g| {
        values(g, false, prefix_list_id)
    }),
    ("ip-permission.user-id", |s, g| {
        values(g, false, |rule| user_id(s, rule))
    }),
    ("egress.ip-permission.cidr", |_, g| values(g, true, cidr)),
    ("egress.ip-permission.ipv6-cidr", |_, g| {
        values(g, true, ipv6_cidr)
    }),
    ("egress.ip-permission.from-port", |_, g| {
        values(g, true, from_port)
    }),
    ("egress.ip-permission.to-port", |_, g| {
        values(g, true, to_port)
    }),
    ("egress.ip-permission.protocol", |_, g| {
        values(g, true, protocol)
    }),
    ("egress.ip-permission.group-id", |_, g| {
        values(g, true, group_id)
    }),
    ("egress.ip-permission.group-name", |s, g| {
        values(g, true, |rule| group_name(s, rule))
    }),
    ("egress.ip-permission.prefix-list-id", |_, g| {
        values(g, true, prefix_list_id)
    }),
    ("egress.ip-permission.user-id", |s, g| {
        values(g, true, |rule| user_id(s, rule))
    }),
];

/// Lists groups.
pub(crate) fn describe_security_groups(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeSecurityGroupsRequest,
) -> Result<DescribeSecurityGroupsReply, ApiError> {
    let mut ids = req.group_ids.unwrap_or_default();
    for name in req.group_names.unwrap_or_default() {
        ids.push(find_by_name(tx, ctx, &name)?.id.to_string());
    }
    let query = Query {
        ids: Some(&ids),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<SecurityGroup>(tx, ctx, &query, FIELDS, &USUAL_BOUNDS)?;
    let view = mortal::view(tx, ctx);
    let shown = |group: &SecurityGroup, egress| {
        let rules = group
            .direction(egress)
            .map(|rule| (rule.key, rule.description.as_ref()));
        let mut shown = permissions(rules, group.account);
        security_group_reference::complete(&view, group, &mut shown);
        shown
    };
    let security_groups = page.items.into_iter().map(|group| SecurityGroupReply {
        group_id: group.id,
        group_name: group.name.clone(),
        description: group.description.clone(),
        owner_id: group.account,
        vpc_id: group.vpc,
        ip_permissions: shown(group, false),
        ip_permissions_egress: shown(group, true),
        tags: group.tags.reply(),
        security_group_arn: group.arn(),
    });
    Ok(DescribeSecurityGroupsReply {
        security_groups: security_groups.collect(),
        next_token: page.next_token,
    })
}

/// `DeleteSecurityGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteSecurityGroupRequest {
    group_id: Option<String>,
    group_name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteSecurityGroupReply {
    r#return: bool,
    group_id: GroupId,
}

/// Deletes a group that no interface has, no other group of its VPC refers to, and no other VPC is associated with.
pub(crate) fn delete_security_group(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteSecurityGroupRequest,
) -> Result<DeleteSecurityGroupReply, ApiError> {
    let group = find_by_id_or_name(tx, ctx, req.group_id.as_deref(), req.group_name.as_deref())?;
    let id = group.id;
    if group.name == DEFAULT {
        return Err(ApiError::new(
            "CannotDelete",
            format!(
                "the specified group: \"{id}\" name: \"{DEFAULT}\" cannot be deleted by a user"
            ),
        ));
    }
    if tx.of::<NetworkInterface>(id).next().is_some()
        || security_group_reference::is_referred_to(tx.state(), group)
        || group.associated().next().is_some()
    {
        return Err(ApiError::new(
            "DependencyViolation",
            format!("resource {id} has a dependent object"),
        ));
    }
    tx.remove::<SecurityGroup>(&id);
    Ok(DeleteSecurityGroupReply {
        r#return: true,
        group_id: id,
    })
}

/// The group that `GroupId` or `GroupName` names.
pub(crate) fn find_by_id_or_name<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<&'t SecurityGroup, ApiError> {
    match (id, name) {
        (Some(id), _) => resource::find::<SecurityGroup>(tx, ctx, id),
        (None, Some(name)) => find_by_name(tx, ctx, name),
        (None, None) => Err(ApiError::new(
            "MissingParameter",
            "The request must contain the parameter groupName or groupId".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    fn vpc(world: &mut World) -> String {
        text(
            &world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})),
            "Vpc.VpcId",
        )
    }

    #[test]
    fn a_new_group_lets_everything_out_and_nothing_in() {
        let mut world = World::new();
        let vpc = vpc(&mut world);
        let made = world.ok(
            "CreateSecurityGroup",
            json!({"GroupName": "web", "Description": "d", "VpcId": vpc,
                   "TagSpecifications": [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}]}]}),
        );
        let id = text(&made, "GroupId");
        let shown = world.ok("DescribeSecurityGroups", json!({"GroupIds": [id]}));
        assert_eq!(count(&shown, "SecurityGroups.0.IpPermissions"), 0);
        assert_eq!(count(&shown, "SecurityGroups.0.IpPermissionsEgress"), 1);
        assert_eq!(
            text(&shown, "SecurityGroups.0.IpPermissionsEgress.0.IpProtocol"),
            "-1"
        );
        assert_eq!(
            text(
                &shown,
                "SecurityGroups.0.IpPermissionsEgress.0.IpRanges.0.CidrIp"
            ),
            "0.0.0.0/0"
        );
        assert_eq!(text(&shown, "SecurityGroups.0.Tags.0.Value"), "b");
        let in_vpc = json!({"Filters": [{"Name": "vpc-id", "Values": [vpc]}]});
        assert_eq!(
            count(
                &world.ok("DescribeSecurityGroups", in_vpc),
                "SecurityGroups"
            ),
            2
        );
    }

    #[test]
    fn names_are_checked() {
        let mut world = World::new();
        let vpc = vpc(&mut world);
        let mut create = |name: &str, description: &str| {
            let request = json!({"GroupName": name, "Description": description, "VpcId": vpc});
            world
                .call("CreateSecurityGroup", &request)
                .err()
                .map(|e| e.code.into_owned())
                .unwrap_or_default()
        };
        assert_eq!(create("default", "d"), "InvalidGroup.Reserved");
        assert_eq!(create("sg-web", "d"), "InvalidGroup.Reserved");
        assert_eq!(create("a<b", "d"), "InvalidParameterValue");
        assert_eq!(create(&"x".repeat(256), "d"), "InvalidParameterValue");
        assert_eq!(create("web", "\u{fc}"), "InvalidParameterValue");
        assert_eq!(create("web", ""), "MissingParameter");
        assert_eq!(create("web", "d"), "");
        assert_eq!(create("web", "d"), "InvalidGroup.Duplicate");
    }

    #[test]
    fn groups_in_use_and_default_groups_stay() {
        let mut world = World::new();
        let make = |world: &mut World, name: &str| {
            text(
                &world.ok(
                    "CreateSecurityGroup",
                    json!({"GroupName": name, "Description": "d"}),
                ),
                "GroupId",
            )
        };
        let (a, b) = (make(&mut world, "a"), make(&mut world, "b"));
        let rule =
            json!({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": a}, {"GroupId": b}]});
        world.ok(
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": b, "IpPermissions": [rule]}),
        );
        assert_eq!(
            world.err("DeleteSecurityGroup", json!({"GroupId": a})),
            "DependencyViolation"
        );
        // A group's own rules do not keep it.
        world.ok("DeleteSecurityGroup", json!({"GroupId": b}));
        world.ok("DeleteSecurityGroup", json!({"GroupName": "a"}));
        assert_eq!(
            world.err("DescribeSecurityGroups", json!({"GroupIds": [a]})),
            "InvalidGroup.NotFound"
        );
        assert_eq!(
            world.err("DeleteSecurityGroup", json!({"GroupName": "default"})),
            "CannotDelete"
        );
        assert_eq!(
            world.err("DeleteSecurityGroup", json!({"GroupId": "x"})),
            "InvalidGroupId.Malformed"
        );
        assert_eq!(
            world.err("DeleteSecurityGroup", json!({})),
            "MissingParameter"
        );
    }

    #[test]
    fn groups_of_others_do_not_exist() {
        let mut world = World::new();
        let made = world.ok(
            "CreateSecurityGroup",
            json!({"GroupName": "a", "Description": "d"}),
        );
        let id = text(&made, "GroupId");
        world.account = account("444455556666");
        assert_eq!(
            world.err("DescribeSecurityGroups", json!({"GroupIds": [id]})),
            "InvalidGroup.NotFound"
        );
        world.account = account("111122223333");
        world.region = "eu-central-1";
        assert_eq!(
            world.err("DeleteSecurityGroup", json!({"GroupId": id})),
            "InvalidGroup.NotFound"
        );
    }
}
