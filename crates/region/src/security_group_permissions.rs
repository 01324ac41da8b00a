//! Rules come to security groups and go, and are shown one by one. They change in
//! [`crate::security_group_rule_changes`].

use std::ops::RangeInclusive;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::GroupRuleId;

use crate::dispatch::actions;
use crate::filter::{self, Filter, View};
use crate::page::{self, USUAL_BOUNDS};
use crate::resource;
use crate::security_group::{SecurityGroup, default_vpc, find_by_id_or_name};
use crate::security_group_reference::{Purpose, paired_group, peering_of};
use crate::security_group_rules::{
    GroupRule, IpPermission, IpRange, NamedRule, ReferencedSecurityGroup, RevokedSecurityGroupRule,
    RuleKey, RulePeer, SecurityGroupRule, UserIdGroupPair, blocks, named_rules, permissions,
};
use crate::tags::TagSpecification;
use crate::{Context, PrefixList, Tags, Tx, mortal, prefix_list, quota};

actions! {
    "AuthorizeSecurityGroupEgress" => authorize_egress, Enforced;
    "AuthorizeSecurityGroupIngress" => authorize_ingress, Enforced;
    "DescribeSecurityGroupRules" => describe_rules, Control;
    "RevokeSecurityGroupEgress" => revoke_egress, Enforced;
    "RevokeSecurityGroupIngress" => revoke_ingress, Enforced;
}

/// `AuthorizeSecurityGroupIngress` and `AuthorizeSecurityGroupEgress`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AuthorizeRequest {
    group_id: Option<String>,
    group_name: Option<String>,
    ip_permissions: Option<Vec<IpPermission>>,
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ip: Option<String>,
    source_security_group_name: Option<String>,
    source_security_group_owner_id: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AuthorizeReply {
    r#return: bool,
    pub(crate) security_group_rules: Vec<SecurityGroupRule>,
}

/// `AuthorizeSecurityGroupIngress`.
pub(crate) fn authorize_ingress(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AuthorizeRequest,
) -> Result<AuthorizeReply, ApiError> {
    authorize(tx, ctx, req, false)
}

/// `AuthorizeSecurityGroupEgress`.
pub(crate) fn authorize_egress(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AuthorizeRequest,
) -> Result<AuthorizeReply, ApiError> {
    authorize(tx, ctx, req, true)
}

fn authorize(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AuthorizeRequest,
    egress: bool,
) -> Result<AuthorizeReply, ApiError> {
    let mut group =
        find_by_id_or_name(tx, ctx, req.group_id.as_deref(), req.group_name.as_deref())?.clone();
    let flat = Flat {
        protocol: req.ip_protocol,
        from: req.from_port,
        to: req.to_port,
        cidr: req.cidr_ip,
        group: req.source_security_group_name,
        owner: req.source_security_group_owner_id,
    };
    let purpose = Purpose::New { egress };
    let wanted = wanted_rules(tx, ctx, &group, req.ip_permissions, flat, purpose)?;
    if wanted.is_empty() {
        return Err(missing_rules());
    }
    let tags = Tags::of_new(req.tag_specifications.as_deref(), "security-group-rule")?;
    let mut made = Vec::new();
    for rule in wanted {
        if group.direction(egress).any(|old| old.key == rule.key) {
            return Err(duplicate(&rule.key));
        }
        made.push(GroupRule {
            id: GroupRuleId::from_bits(ctx.random()),
            egress,
            key: rule.key,
            description: rule.description,
            tags: tags.clone(),
        });
    }
    group.rules.extend(made.iter().cloned());
    check_quota(tx, ctx, &group, egress)?;
    let shown = made
        .iter()
        .map(|rule| reply(&mortal::view(tx, ctx), &group, rule))
        .collect();
    tx.put(group);
    Ok(AuthorizeReply {
        r#return: true,
        security_group_rules: shown,
    })
}

pub(crate) fn duplicate(key: &RuleKey) -> ApiError {
    ApiError::new(
        "InvalidPermission.Duplicate",
        format!("the specified rule \"{key}\" already exists"),
    )
}

pub(crate) fn missing_rules() -> ApiError {
    ApiError::new(
        "MissingParameter",
        "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.".to_owned(),
    )
}

pub(crate) fn rule_not_found() -> ApiError {
    ApiError::new(
        "InvalidPermission.NotFound",
        "The specified rule does not exist in this security group.".to_owned(),
    )
}

/// "The quota is enforced separately for IPv4 rules and IPv6 rules"; one that refers to a group counts as both, one
/// that refers to a prefix list as many as that may have entries.
pub(crate) fn check_quota(
    tx: &Tx,
    ctx: &Context<'_>,
    group: &SecurityGroup,
    egress: bool,
) -> Result<(), ApiError> {
    check_weight(tx, ctx, group, egress, None)
}

/// As [`check_quota`], with a prefix list as it shall be.
pub(crate) fn check_quota_with(
    tx: &Tx,
    ctx: &Context<'_>,
    group: &SecurityGroup,
    egress: bool,
    resized: &PrefixList,
) -> Result<(), ApiError> {
    check_weight(tx, ctx, group, egress, Some(resized))
}

fn check_weight(
    tx: &Tx,
    ctx: &Context<'_>,
    group: &SecurityGroup,
    egress: bool,
    resized: Option<&PrefixList>,
) -> Result<(), ApiError> {
    let (mut v4, mut v6) = (0_usize, 0_usize);
    for rule in group.direction(egress) {
        let (for_v4, for_v6) = match rule.key.peer {
            RulePeer::Cidr(cidr) if cidr.is_v4() => (1, 0),
            RulePeer::Cidr(_) => (0, 1),
            RulePeer::Group(_) => (1, 1),
            RulePeer::PrefixList(id) => {
                let (is_v6, weight) = match resized.filter(|list| list.id == id) {
                    Some(list) => (list.v6, list.max_entries),
                    None => prefix_list::of_id(tx.state(), &group.region, group.account, id)
                        .map_or((false, 1), |list| (list.v6, list.max_entries)),
                };
                if is_v6 { (0, weight) } else { (weight, 0) }
            }
        };
        v4 = v4.saturating_add(for_v4);
        v6 = v6.saturating_add(for_v6);
    }
    quota::RULES.check(tx, ctx, v4.max(v6))
}

/// The members that name a single rule without `IpPermissions`.
struct Flat {
    protocol: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
    cidr: Option<String>,
    group: Option<String>,
    owner: Option<String>,
}

impl Flat {
    /// The members as permissions. A source group alone means all of TCP, UDP and ICMP ("Creates rules that grant
    /// full ICMP, UDP, and TCP access", `AuthorizeSecurityGroupIngress`).
    fn permissions(self) -> Result<Vec<IpPermission>, ApiError> {
        if let Some(name) = self.group {
            if self.protocol.is_some()
                || self.cidr.is_some()
                || self.from.is_some()
                || self.to.is_some()
            {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    "The parameter SourceSecurityGroupName may not be used with IpProtocol, FromPort, ToPort or CidrIp"
                        .to_owned(),
                ));
            }
            let pair = UserIdGroupPair {
                group_name: Some(name),
                user_id: self.owner,
                ..UserIdGroupPair::default()
            };
            let all = [("tcp", 0, 65535), ("udp", 0, 65535), ("icmp", -1, -1)];
            let permission = |(protocol, from, to): (&str, i64, i64)| IpPermission {
                ip_protocol: Some(protocol.to_owned()),
                from_port: Some(from),
                to_port: Some(to),
                user_id_group_pairs: vec![pair.clone()],
                ..IpPermission::default()
            };
            return Ok(all.into_iter().map(permission).collect());
        }
        if self.owner.is_some() {
            return Err(ApiError::new(
                "MissingParameter",
                "The request must contain the parameter SourceSecurityGroupName".to_owned(),
            ));
        }
        if self.protocol.is_none()
            && self.cidr.is_none()
            && self.from.is_none()
            && self.to.is_none()
        {
            return Ok(Vec::new());
        }
        Ok(vec![IpPermission {
            ip_protocol: self.protocol,
            from_port: self.from,
            to_port: self.to,
            ip_ranges: vec![IpRange {
                cidr_ip: self.cidr,
                description: None,
            }],
            ..IpPermission::default()
        }])
    }
}

fn wanted_rules(
    tx: &Tx,
    ctx: &Context<'_>,
    group: &SecurityGroup,
    listed: Option<Vec<IpPermission>>,
    flat: Flat,
    purpose: Purpose,
) -> Result<Vec<NamedRule>, ApiError> {
    let flat = flat.permissions()?;
    let listed = listed.unwrap_or_default();
    if !flat.is_empty() && !listed.is_empty() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter 'ipPermissions' may not be used in combination with 'ipProtocol'"
                .to_owned(),
        ));
    }
    let all = if listed.is_empty() { flat } else { listed };
    named_rules(
        &all,
        &|pair| paired_group(tx, ctx, group, pair, purpose),
        &|id| prefix_list::find(tx, ctx, id).map(|list| list.id),
    )
}

fn reply(view: &View<'_>, group: &SecurityGroup, rule: &GroupRule) -> SecurityGroupRule {
    let (from_port, to_port) = rule.key.traffic.ports();
    let (cidr_ipv4, cidr_ipv6) = blocks(rule.key.peer);
    let referenced = rule.referenced().map(|id| {
        let other = view.security_groups.get(&id);
        let peering = other.and_then(|other| peering_of(view, group, other));
        ReferencedSecurityGroup {
            group_id: id,
            peering_status: peering.map(|(_, status)| status),
            user_id: other.map(|other| other.account),
            vpc_id: other.map(|other| other.vpc),
            vpc_peering_connection_id: peering.map(|(id, _)| id),
        }
    });
    SecurityGroupRule {
        security_group_rule_id: rule.id,
        group_id: group.id,
        group_owner_id: group.account,
        is_egress: rule.egress,
        ip_protocol: rule.key.traffic.protocol(),
        from_port,
        to_port,
        cidr_ipv4,
        cidr_ipv6,
        prefix_list_id: rule.key.peer.prefix_list(),
        referenced_group_info: referenced,
        description: rule.description.clone(),
        tags: rule.tags.reply(),
        security_group_rule_arn: format!(
            "arn:aws:ec2:{}:{}:security-group-rule/{}",
            group.region, group.account, rule.id
        ),
    }
}

/// `DescribeSecurityGroupRules`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRulesRequest {
    security_group_rule_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeRulesReply {
    pub(crate) security_group_rules: Vec<SecurityGroupRule>,
    next_token: Option<String>,
}

const RULE_BOUNDS: RangeInclusive<i64> = USUAL_BOUNDS;

/// The filters besides tags.
const RULE_FILTERS: [&str; 2] = ["group-id", "security-group-rule-id"];

/// Lists rules one by one, by rule id.
pub(crate) fn describe_rules(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRulesRequest,
) -> Result<DescribeRulesReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check(&filters, RULE_FILTERS.into_iter())?;
    let ids = req.security_group_rule_ids.unwrap_or_default();
    let mut rules: Vec<(&SecurityGroup, &GroupRule)> = resource::own::<SecurityGroup>(tx, ctx)
        .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
        .collect();
    rules.sort_by_key(|(_, rule)| rule.id);
    let unknown = |id: &&String| !rules.iter().any(|(_, rule)| rule.id.to_string() == **id);
    resource::first_unknown(ids.iter().filter(unknown).map(|id| rule_id_not_found(id)))?;
    rules.retain(|(_, rule)| ids.is_empty() || ids.contains(&rule.id.to_string()));
    rules.retain(|(group, rule)| filters.iter().all(|filter| passes(filter, group, rule)));
    let page = page::cut(
        rules.into_iter(),
        |(_, rule)| rule.id.to_string(),
        &RULE_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    let shown = page
        .items
        .into_iter()
        .map(|(group, rule)| reply(&mortal::view(tx, ctx), group, rule))
        .collect();
    Ok(DescribeRulesReply {
        security_group_rules: shown,
        next_token: page.next_token,
    })
}

fn passes(filter: &Filter, group: &SecurityGroup, rule: &GroupRule) -> bool {
    let any = |value: &str| {
        filter
            .values
            .iter()
            .any(|pattern| filter::like(pattern, value))
    };
    match filter.name.as_deref().unwrap_or_default() {
        "group-id" => any(&group.id.to_string()),
        "security-group-rule-id" => any(&rule.id.to_string()),
        "tag-key" => rule.tags.0.keys().any(|key| any(key)),
        other => other
            .strip_prefix("tag:")
            .and_then(|key| rule.tags.0.get(key))
            .is_some_and(|value| any(value)),
    }
}

pub(crate) fn rule_id_not_found(id: &str) -> ApiError {
    resource::unknown_id(
        id,
        "sgr",
        "security group rule ID",
        "InvalidSecurityGroupRuleId.NotFound",
        "InvalidSecurityGroupRuleId.Malformed",
    )
}

/// `RevokeSecurityGroupIngress` and `RevokeSecurityGroupEgress`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RevokeRequest {
    group_id: Option<String>,
    group_name: Option<String>,
    ip_permissions: Option<Vec<IpPermission>>,
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ip: Option<String>,
    source_security_group_name: Option<String>,
    source_security_group_owner_id: Option<String>,
    security_group_rule_ids: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RevokeReply {
    r#return: bool,
    unknown_ip_permissions: Vec<IpPermission>,
    revoked_security_group_rules: Vec<RevokedSecurityGroupRule>,
}

/// `RevokeSecurityGroupIngress`.
pub(crate) fn revoke_ingress(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RevokeRequest,
) -> Result<RevokeReply, ApiError> {
    revoke(tx, ctx, req, false)
}

/// `RevokeSecurityGroupEgress`.
pub(crate) fn revoke_egress(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RevokeRequest,
) -> Result<RevokeReply, ApiError> {
    revoke(tx, ctx, req, true)
}

/// "For a default VPC, if the values you specify do not match the existing rule's values, no error is returned, and
/// the output describes the security group rules that were not revoked"; elsewhere `InvalidPermission.NotFound`
/// (API reference, `RevokeSecurityGroupIngress`).
fn revoke(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RevokeRequest,
    egress: bool,
) -> Result<RevokeReply, ApiError> {
    let mut group =
        find_by_id_or_name(tx, ctx, req.group_id.as_deref(), req.group_name.as_deref())?.clone();
    let flat = Flat {
        protocol: req.ip_protocol,
        from: req.from_port,
        to: req.to_port,
        cidr: req.cidr_ip,
        group: req.source_security_group_name,
        owner: req.source_security_group_owner_id,
    };
    let named = wanted_rules(tx, ctx, &group, req.ip_permissions, flat, Purpose::Known)?;
    let ids = req.security_group_rule_ids.unwrap_or_default();
    if named.is_empty() && ids.is_empty() {
        return Err(missing_rules());
    }
    if !named.is_empty() && !ids.is_empty() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter 'ipPermissions' may not be used in combination with 'securityGroupRuleIds'".to_owned(),
        ));
    }
    for id in &ids {
        if !group
            .direction(egress)
            .any(|rule| rule.id.to_string() == *id)
        {
            return Err(rule_id_not_found(id));
        }
    }
    let unknown: Vec<&NamedRule> = named
        .iter()
        .filter(|rule| !group.direction(egress).any(|old| old.key == rule.key))
        .collect();
    let in_default_vpc = default_vpc(tx, ctx).is_ok_and(|vpc| vpc.id == group.vpc);
    if !unknown.is_empty() && !in_default_vpc {
        return Err(rule_not_found());
    }
    let unknown = permissions(
        unknown
            .into_iter()
            .map(|rule| (rule.key, rule.description.as_ref())),
        group.account,
    );
    let meant = |rule: &GroupRule| {
        rule.egress == egress
            && (ids.contains(&rule.id.to_string())
                || named.iter().any(|named| named.key == rule.key))
    };
    let (revoked, kept): (Vec<GroupRule>, Vec<GroupRule>) = group.rules.drain(..).partition(meant);
    let revoked = revoked
        .iter()
        .map(|rule| RevokedSecurityGroupRule::new(group.id, rule))
        .collect();
    group.rules = kept;
    tx.put(group);
    Ok(RevokeReply {
        r#return: true,
        unknown_ip_permissions: unknown,
        revoked_security_group_rules: revoked,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{World, count, text};

    fn tcp(port: u16, cidr: &str) -> Value {
        json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]})
    }

    /// A group of a VPC that is not the default one, and one of the default VPC.
    fn groups(world: &mut World) -> (String, String) {
        let vpc = text(
            &world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})),
            "Vpc.VpcId",
        );
        let request = json!({"GroupName": "g", "Description": "d", "VpcId": vpc});
        let other = text(&world.ok("CreateSecurityGroup", request), "GroupId");
        let request = json!({"GroupName": "g", "Description": "d"});
        (
            other,
            text(&world.ok("CreateSecurityGroup", request), "GroupId"),
        )
    }

    #[test]
    fn rules_come_and_go() {
        let mut world = World::new();
        let (group, _) = groups(&mut world);
        let request = json!({"GroupId": group, "IpPermissions": [tcp(22, "10.0.0.0/8"), tcp(80, "0.0.0.0/0")]});
        let made = world.ok("AuthorizeSecurityGroupIngress", request.clone());
        assert_eq!(count(&made, "SecurityGroupRules"), 2);
        assert_eq!(text(&made, "SecurityGroupRules.0.CidrIpv4"), "10.0.0.0/8");
        assert_eq!(text(&made, "SecurityGroupRules.0.IsEgress"), "false");
        let error = world
            .call("AuthorizeSecurityGroupIngress", &request)
            .unwrap_err();
        assert_eq!(error.code, "InvalidPermission.Duplicate");
        assert_eq!(
            error.message,
            "the specified rule \"peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW\" already exists"
        );
        let of_group = json!({"Filters": [{"Name": "group-id", "Values": [group]}]});
        assert_eq!(
            count(
                &world.ok("DescribeSecurityGroupRules", of_group.clone()),
                "SecurityGroupRules"
            ),
            3
        );
        let rule = text(&made, "SecurityGroupRules.1.SecurityGroupRuleId");
        let by_id = json!({"GroupId": group, "SecurityGroupRuleIds": [rule]});
        assert_eq!(
            world.err("RevokeSecurityGroupEgress", by_id.clone()),
            "InvalidSecurityGroupRuleId.NotFound"
        );
        let gone = world.ok("RevokeSecurityGroupIngress", by_id);
        assert_eq!(
            text(&gone, "RevokedSecurityGroupRules.0.SecurityGroupRuleId"),
            rule
        );
        let flat = json!({"GroupId": group, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "10.0.0.0/8"});
        world.ok("RevokeSecurityGroupIngress", flat.clone());
        assert_eq!(
            world.err("RevokeSecurityGroupIngress", flat.clone()),
            "InvalidPermission.NotFound"
        );
        world.ok("AuthorizeSecurityGroupIngress", flat);
        assert_eq!(
            count(
                &world.ok("DescribeSecurityGroupRules", of_group),
                "SecurityGroupRules"
            ),
            2
        );
    }

    #[test]
    fn in_the_default_vpc_unknown_rules_are_told_not_refused() {
        let mut world = World::new();
        let (_, group) = groups(&mut world);
        let request = json!({"GroupId": group, "IpPermissions": [tcp(22, "10.0.0.0/8")]});
        let reply = world.ok("RevokeSecurityGroupIngress", request);
        assert_eq!(
            text(&reply, "UnknownIpPermissions.0.IpRanges.0.CidrIp"),
            "10.0.0.0/8"
        );
        assert_eq!(count(&reply, "RevokedSecurityGroupRules"), 0);
    }

    #[test]
    fn groups_of_rules_are_of_the_same_vpc() {
        let mut world = World::new();
        let (group, other) = groups(&mut world);
        let rule = |pair: Value| json!({"GroupId": group, "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [pair]}]});
        let action = "AuthorizeSecurityGroupIngress";
        assert_eq!(
            world.err(action, rule(json!({"GroupId": other}))),
            "InvalidGroup.NotFound"
        );
        assert_eq!(
            world.err(
                action,
                rule(json!({"GroupId": group, "UserId": "444455556666"}))
            ),
            "InvalidGroup.NotFound"
        );
        assert_eq!(world.err(action, rule(json!({}))), "MissingParameter");
        let made = world.ok(
            action,
            rule(json!({"GroupId": group, "UserId": "111122223333"})),
        );
        assert_eq!(
            text(&made, "SecurityGroupRules.0.ReferencedGroupInfo.GroupId"),
            group
        );
        let source = json!({"GroupId": other, "SourceSecurityGroupName": "default"});
        assert_eq!(count(&world.ok(action, source), "SecurityGroupRules"), 3);
        assert_eq!(
            world.err(action, json!({"GroupId": other})),
            "MissingParameter"
        );
    }

    #[test]
    fn sixty_rules_and_no_more() {
        let mut world = World::new();
        let (group, _) = groups(&mut world);
        let rules = |from: u16, to: u16| {
            let rules: Vec<Value> = (from..to).map(|port| tcp(port, "0.0.0.0/0")).collect();
            json!({"GroupId": group, "IpPermissions": rules})
        };
        world.ok("AuthorizeSecurityGroupIngress", rules(1, 61));
        let code = world.err("AuthorizeSecurityGroupIngress", rules(61, 62));
        assert_eq!(code, "RulesPerSecurityGroupLimitExceeded");
        // The other family and the other direction have quotas of their own.
        let v6 = json!({"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]});
        world.ok(
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": group, "IpPermissions": [v6]}),
        );
        world.ok("AuthorizeSecurityGroupEgress", rules(61, 62));
    }
}
