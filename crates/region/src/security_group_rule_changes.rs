//! Changes of the rules that a security group has: in place, keeping their identifiers.

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::resource;
use crate::security_group::{SecurityGroup, find_by_id_or_name};
use crate::security_group_permissions::{
    check_quota, duplicate, missing_rules, rule_id_not_found, rule_not_found,
};
use crate::security_group_reference::{Purpose, paired_group};
use crate::security_group_rules::{
    GroupRule, IpPermission, RuleKey, RulePeer, Traffic, UserIdGroupPair, block, named_rules,
    rule_description,
};
use crate::{Context, Tags, Tx, prefix_list};

actions! {
    "ModifySecurityGroupRules" => modify_rules, Enforced;
    "UpdateSecurityGroupRuleDescriptionsEgress" => update_descriptions_egress, Enforced;
    "UpdateSecurityGroupRuleDescriptionsIngress" => update_descriptions_ingress, Enforced;
}

/// A reply that only says that it was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReturnReply {
    r#return: bool,
}

/// `ModifySecurityGroupRules`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyRulesRequest {
    group_id: String,
    security_group_rules: Vec<RuleUpdate>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleUpdate {
    security_group_rule_id: String,
    security_group_rule: Option<RuleParameter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleParameter {
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ipv4: Option<String>,
    cidr_ipv6: Option<String>,
    prefix_list_id: Option<String>,
    referenced_group_id: Option<String>,
    description: Option<String>,
}

/// Replaces rules of a group; they keep their identifiers, directions and tags.
pub(crate) fn modify_rules(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyRulesRequest,
) -> Result<ReturnReply, ApiError> {
    let mut group = resource::find::<SecurityGroup>(tx, ctx, &req.group_id)?.clone();
    for update in req.security_group_rules {
        let Some(wanted) = update.security_group_rule else {
            return Err(ApiError::new(
                "MissingParameter",
                "The request must contain the parameter SecurityGroupRule".to_owned(),
            ));
        };
        let id = update.security_group_rule_id;
        let Some(at) = group
            .rules
            .iter()
            .position(|rule| rule.id.to_string() == id)
        else {
            return Err(rule_id_not_found(&id));
        };
        let purpose = Purpose::New {
            egress: group.rules.get(at).is_some_and(|rule| rule.egress),
        };
        let traffic = Traffic::parse(
            wanted.ip_protocol.as_deref(),
            wanted.from_port,
            wanted.to_port,
        )?;
        let peer = match (
            wanted.cidr_ipv4.as_deref(),
            wanted.cidr_ipv6.as_deref(),
            wanted.prefix_list_id.as_deref(),
            wanted.referenced_group_id,
        ) {
            (Some(v4), None, None, None) => RulePeer::Cidr(block("CidrIpv4", Some(v4), true)?),
            (None, Some(v6), None, None) => RulePeer::Cidr(block("CidrIpv6", Some(v6), false)?),
            (None, None, Some(id), None) => {
                RulePeer::PrefixList(prefix_list::find(tx, ctx, id)?.id)
            }
            (None, None, None, Some(id)) => {
                let owner = id.parse().ok().and_then(|id| tx.get::<SecurityGroup>(&id));
                let pair = UserIdGroupPair {
                    // There is no parameter for the owner here.
                    user_id: owner.map(|group| group.account.to_string()),
                    group_id: Some(id),
                    ..UserIdGroupPair::default()
                };
                RulePeer::Group(paired_group(tx, ctx, &group, &pair, purpose)?)
            }
            _ => {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    "A rule has exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId"
                        .to_owned(),
                ));
            }
        };
        let key = RuleKey { traffic, peer };
        let description = rule_description(wanted.description.as_deref())?;
        let Some(rule) = group.rules.get_mut(at) else {
            continue;
        };
        (rule.key, rule.description) = (key, description);
        let (rule_id, egress) = (rule.id, rule.egress);
        if group
            .direction(egress)
            .any(|other| other.id != rule_id && other.key == key)
        {
            return Err(duplicate(&key));
        }
        check_quota(tx, ctx, &group, egress)?;
    }
    tx.put(group);
    Ok(ReturnReply { r#return: true })
}

/// `UpdateSecurityGroupRuleDescriptionsIngress` and `UpdateSecurityGroupRuleDescriptionsEgress`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdateDescriptionsRequest {
    group_id: Option<String>,
    group_name: Option<String>,
    ip_permissions: Option<Vec<IpPermission>>,
    security_group_rule_descriptions: Option<Vec<RuleDescription>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleDescription {
    security_group_rule_id: Option<String>,
    description: Option<String>,
}

/// `UpdateSecurityGroupRuleDescriptionsIngress`.
pub(crate) fn update_descriptions_ingress(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: UpdateDescriptionsRequest,
) -> Result<ReturnReply, ApiError> {
    update_descriptions(tx, ctx, req, false)
}

/// `UpdateSecurityGroupRuleDescriptionsEgress`.
pub(crate) fn update_descriptions_egress(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: UpdateDescriptionsRequest,
) -> Result<ReturnReply, ApiError> {
    update_descriptions(tx, ctx, req, true)
}

fn update_descriptions(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: UpdateDescriptionsRequest,
    egress: bool,
) -> Result<ReturnReply, ApiError> {
    let mut group =
        find_by_id_or_name(tx, ctx, req.group_id.as_deref(), req.group_name.as_deref())?.clone();
    let listed = req.ip_permissions.unwrap_or_default();
    let named = named_rules(
        &listed,
        &|pair| paired_group(tx, ctx, &group, pair, Purpose::Known),
        &|id| prefix_list::find(tx, ctx, id).map(|list| list.id),
    )?;
    let by_id = req.security_group_rule_descriptions.unwrap_or_default();
    if named.is_empty() && by_id.is_empty() {
        return Err(missing_rules());
    }
    for rule in named {
        let old = group
            .rules
            .iter_mut()
            .find(|old| old.egress == egress && old.key == rule.key);
        old.ok_or_else(rule_not_found)?.description = rule.description;
    }
    for update in by_id {
        let id = update.security_group_rule_id.unwrap_or_default();
        let old = group
            .rules
            .iter_mut()
            .find(|old| old.egress == egress && old.id.to_string() == id);
        let description = rule_description(update.description.as_deref())?;
        old.ok_or_else(|| rule_id_not_found(&id))?.description = description;
    }
    tx.put(group);
    Ok(ReturnReply { r#return: true })
}

/// Changes the tags of a rule of one of the client's groups.
///
/// # Errors
/// `InvalidSecurityGroupRuleId.NotFound`, and those of `how`.
pub(crate) fn change_tags(
    tx: &mut Tx,
    ctx: &Context<'_>,
    id: &str,
    how: &dyn Fn(&mut Tags) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let named = |rule: &GroupRule| rule.id.to_string() == id;
    let mut group = resource::own::<SecurityGroup>(tx, ctx)
        .find(|group| group.rules.iter().any(named))
        .ok_or_else(|| rule_id_not_found(id))?
        .clone();
    if let Some(rule) = group.rules.iter_mut().find(|rule| named(rule)) {
        how(&mut rule.tags)?;
    }
    tx.put(group);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{World, count, text};

    fn tcp(port: u16, cidr: &str) -> Value {
        json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]})
    }

    #[test]
    fn rules_change_in_place() {
        let mut world = World::new();
        let request = json!({"GroupName": "g", "Description": "d"});
        let group = text(&world.ok("CreateSecurityGroup", request), "GroupId");
        let request = json!({"GroupId": group, "IpPermissions": [tcp(22, "10.0.0.0/8"), tcp(23, "10.0.0.0/8")]});
        let made = world.ok("AuthorizeSecurityGroupIngress", request);
        let rule = text(&made, "SecurityGroupRules.0.SecurityGroupRuleId");
        let update = |port: u16| {
            json!({"GroupId": group, "SecurityGroupRules": [{"SecurityGroupRuleId": rule, "SecurityGroupRule":
                {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIpv4": "10.0.0.0/8", "Description": "x"}}]})
        };
        assert_eq!(
            world.err("ModifySecurityGroupRules", update(23)),
            "InvalidPermission.Duplicate"
        );
        world.ok("ModifySecurityGroupRules", update(24));
        let tags = json!({"Resources": [rule], "Tags": [{"Key": "k", "Value": "v"}]});
        world.ok("CreateTags", tags);
        let tagged = json!({"Filters": [{"Name": "tag:k", "Values": ["v"]}]});
        assert_eq!(
            count(
                &world.ok("DescribeSecurityGroupRules", tagged),
                "SecurityGroupRules"
            ),
            1
        );
        let ask = json!({"SecurityGroupRuleIds": [rule]});
        let shown = world.ok("DescribeSecurityGroupRules", ask.clone());
        assert_eq!(text(&shown, "SecurityGroupRules.0.FromPort"), "24");
        assert_eq!(text(&shown, "SecurityGroupRules.0.Description"), "x");
        let mut described = tcp(24, "10.0.0.0/8");
        described["IpRanges"][0]["Description"] = json!("y");
        let request = json!({"GroupId": group, "IpPermissions": [described]});
        world.ok(
            "UpdateSecurityGroupRuleDescriptionsIngress",
            request.clone(),
        );
        assert_eq!(
            world.err("UpdateSecurityGroupRuleDescriptionsEgress", request),
            "InvalidPermission.NotFound"
        );
        let shown = world.ok("DescribeSecurityGroupRules", ask);
        assert_eq!(text(&shown, "SecurityGroupRules.0.Description"), "y");
    }
}
