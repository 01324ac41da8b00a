//! Rules of security groups: stored form, the two forms on the wire, and how one becomes the other.

use std::fmt;

use api::ApiError;
use serde::{Deserialize, Serialize};
use topology::{IcmpMatch, Peer, ProtocolMatch};
use types::{
    AccountId, Cidr, GroupId, GroupRuleId, PeeringConnectionId, PortRange, PrefixListId,
    RegionName, VpcId, proto,
};

use crate::tags::{Tag, Tags};
use crate::{State, prefix_list};

/// Which packets a rule of a security group, or an entry of a network ACL, is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Traffic {
    /// Every protocol (EC2's `-1`).
    All,
    /// TCP or UDP to one of the ports `from` to `to`.
    Ports {
        /// 6 or 17.
        protocol: u8,
        /// The first port.
        from: u16,
        /// The last port; never below the first.
        to: u16,
    },
    /// ICMP or ICMPv6; `None` is every type or code.
    Icmp {
        /// 1 or 58.
        protocol: u8,
        /// The type.
        kind: Option<u8>,
        /// The code; `None` if the type is.
        code: Option<u8>,
    },
    /// Another protocol, by number.
    Protocol(u8),
}

/// The other end of a rule: one source or one destination.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum RulePeer {
    /// Addresses of a block.
    Cidr(Cidr),
    /// Interfaces that have this group.
    Group(GroupId),
    /// Addresses of a managed prefix list's entries.
    PrefixList(PrefixListId),
}

impl RulePeer {
    /// The group, if it is one.
    pub(crate) const fn group(&self) -> Option<GroupId> {
        match self {
            RulePeer::Group(group) => Some(*group),
            RulePeer::Cidr(_) | RulePeer::PrefixList(_) => None,
        }
    }

    /// The prefix list, if it is one.
    pub(crate) const fn prefix_list(&self) -> Option<PrefixListId> {
        match self {
            RulePeer::PrefixList(list) => Some(*list),
            RulePeer::Cidr(_) | RulePeer::Group(_) => None,
        }
    }
}

/// What makes a rule the same as another: EC2 refuses a second one in a group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct RuleKey {
    /// Which packets.
    pub traffic: Traffic,
    /// From or to whom.
    pub peer: RulePeer,
}

/// A rule of a security group, as `DescribeSecurityGroupRules` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupRule {
    /// Its identifier.
    pub id: GroupRuleId,
    /// Whether it is for packets out of the group's interfaces.
    pub egress: bool,
    /// What it allows.
    pub key: RuleKey,
    /// The owner's remark.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

impl GroupRule {
    /// The rule as hosts know it, of a group of that region: none if it can match nothing, one for each entry of a
    /// prefix list.
    pub(crate) fn project(
        &self,
        state: &State,
        region: &RegionName,
        account: AccountId,
    ) -> Vec<topology::Rule> {
        let Some(protocol) = self.key.traffic.project() else {
            return Vec::new();
        };
        let rule = |peer| topology::Rule {
            id: self.id,
            protocol,
            peer,
        };
        match self.key.peer {
            RulePeer::Cidr(cidr) => vec![rule(Peer::Cidr(cidr))],
            RulePeer::Group(id) => vec![rule(Peer::Group(id))],
            RulePeer::PrefixList(id) => prefix_list::of_id(state, region, account, id)
                .map(|list| list.entries().map(Peer::Cidr).map(rule).collect())
                .unwrap_or_default(),
        }
    }

    /// The group that the rule refers to.
    pub(crate) const fn referenced(&self) -> Option<GroupId> {
        self.key.peer.group()
    }
}

impl Traffic {
    /// `IpProtocol`, `FromPort` and `ToPort` of a request.
    ///
    /// Protocols are `tcp`, `udp`, `icmp`, `icmpv6`, `-1` or a number from 0 to 255. For others than the four, ports
    /// mean nothing and EC2 takes any (API reference, `IpPermission`).
    pub(crate) fn parse(
        protocol: Option<&str>,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<Traffic, ApiError> {
        let Some(name) = protocol else {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.",
            ));
        };
        match Traffic::parse_protocol(name)? {
            None => Ok(Traffic::All),
            Some(number @ (proto::TCP | proto::UDP)) => Traffic::parse_ports(number, from, to),
            Some(number @ (proto::ICMP | proto::ICMPV6)) => Traffic::parse_icmp(number, from, to),
            Some(other) => Ok(Traffic::Protocol(other)),
        }
    }

    /// The number of a protocol of a request; `None` for all of them.
    pub(crate) fn parse_protocol(name: &str) -> Result<Option<u8>, ApiError> {
        Ok(Some(match name.to_ascii_lowercase().as_str() {
            "-1" | "all" => return Ok(None),
            "tcp" => proto::TCP,
            "udp" => proto::UDP,
            "icmp" => proto::ICMP,
            "icmpv6" => proto::ICMPV6,
            other => other.parse::<u8>().map_err(|_| {
                ApiError::new(
                    "InvalidParameterValue",
                    format!("Invalid value '{name}' for IP protocol. Unknown protocol."),
                )
            })?,
        }))
    }

    fn parse_ports(protocol: u8, from: Option<i64>, to: Option<i64>) -> Result<Traffic, ApiError> {
        let (Some(from), Some(to)) = (from, to) else {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
            ));
        };
        let port = |which: &str, value: i64| {
            u16::try_from(value).map_err(|_| {
                ApiError::new(
                    "InvalidParameterValue",
                    format!("TCP/UDP ({which}) port ({value}) out of range"),
                )
            })
        };
        let (from, to) = (port("from", from)?, port("to", to)?);
        if from > to {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Invalid TCP/UDP port range ({from}:{to})"),
            ));
        }
        Ok(Traffic::Ports { protocol, from, to })
    }

    fn parse_icmp(protocol: u8, from: Option<i64>, to: Option<i64>) -> Result<Traffic, ApiError> {
        // ICMPv6 needs no type: "If you omit it, traffic for all types and codes is allowed" (`IpPermission`).
        let (kind, code) = match (from, to) {
            (Some(kind), Some(code)) => (kind, code),
            (None, None) if protocol == proto::ICMPV6 => (-1, -1),
            _ => {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    "Invalid value 'Must specify both from and to ports with ICMP.' for portRange.",
                ));
            }
        };
        let octet = |which: &str, value: i64| match value {
            -1 => Ok(None),
            value => u8::try_from(value).map(Some).map_err(|_| {
                ApiError::new(
                    "InvalidParameterValue",
                    format!("ICMP {which} ({value}) out of range"),
                )
            }),
        };
        let (kind, code) = (octet("type", kind)?, octet("code", code)?);
        if let (None, Some(code)) = (kind, code) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "ICMP code ({code}) needs an ICMP type: all types (-1) have all codes (-1)"
                ),
            ));
        }
        Ok(Traffic::Icmp {
            protocol,
            kind,
            code,
        })
    }

    /// `IpProtocol` of a reply.
    pub(crate) fn protocol(self) -> String {
        match self {
            Traffic::All => "-1".to_owned(),
            Traffic::Ports { protocol, .. }
            | Traffic::Icmp { protocol, .. }
            | Traffic::Protocol(protocol) => match protocol {
                proto::TCP => "tcp".to_owned(),
                proto::UDP => "udp".to_owned(),
                proto::ICMP => "icmp".to_owned(),
                proto::ICMPV6 => "icmpv6".to_owned(),
                other => other.to_string(),
            },
        }
    }

    /// `FromPort` and `ToPort` of a reply; −1 where they mean nothing.
    pub(crate) fn ports(self) -> (i64, i64) {
        let octet = |value: Option<u8>| value.map_or(-1, i64::from);
        match self {
            Traffic::Ports { from, to, .. } => (from.into(), to.into()),
            Traffic::Icmp { kind, code, .. } => (octet(kind), octet(code)),
            Traffic::All | Traffic::Protocol(_) => (-1, -1),
        }
    }

    /// `None` for a range that is none: it matches nothing.
    pub(crate) fn project(self) -> Option<ProtocolMatch> {
        Some(match self {
            Traffic::All => ProtocolMatch::Any,
            Traffic::Ports { protocol, from, to } => {
                ProtocolMatch::Ports(protocol, PortRange::new(from, to)?)
            }
            Traffic::Icmp {
                protocol,
                kind,
                code,
            } => ProtocolMatch::Icmp(protocol, IcmpMatch { kind, code }),
            Traffic::Protocol(number) => ProtocolMatch::Number(number),
        })
    }
}

impl fmt::Display for RulePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RulePeer::Cidr(cidr) => fmt::Display::fmt(cidr, f),
            RulePeer::Group(id) => fmt::Display::fmt(id, f),
            RulePeer::PrefixList(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl fmt::Display for RuleKey {
    /// As EC2 writes a rule in `InvalidPermission.Duplicate`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer: {}, ", self.peer)?;
        let protocol = self.traffic.protocol().to_ascii_uppercase();
        let octet = |value: Option<u8>| value.map_or_else(|| "ALL".to_owned(), |v| v.to_string());
        match self.traffic {
            Traffic::All => f.write_str("ALL")?,
            Traffic::Ports { from, to, .. } => {
                write!(f, "{protocol}, from port: {from}, to port: {to}")?
            }
            Traffic::Icmp { kind, code, .. } => {
                write!(
                    f,
                    "{protocol}, type: {}, code: {}",
                    octet(kind),
                    octet(code)
                )?;
            }
            Traffic::Protocol(_) => f.write_str(&protocol)?,
        }
        f.write_str(", ALLOW")
    }
}

/// Rules of one kind of packets (EC2's `IpPermission`), of requests and replies.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct IpPermission {
    pub(crate) ip_protocol: Option<String>,
    pub(crate) from_port: Option<i64>,
    pub(crate) to_port: Option<i64>,
    pub(crate) user_id_group_pairs: Vec<UserIdGroupPair>,
    pub(crate) ip_ranges: Vec<IpRange>,
    pub(crate) ipv6_ranges: Vec<Ipv6Range>,
    pub(crate) prefix_list_ids: Vec<PrefixListRange>,
}

/// A block of IPv4 addresses in a permission.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct IpRange {
    pub(crate) cidr_ip: Option<String>,
    pub(crate) description: Option<String>,
}

/// A block of IPv6 addresses in a permission.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct Ipv6Range {
    pub(crate) cidr_ipv6: Option<String>,
    pub(crate) description: Option<String>,
}

/// A group in a permission.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct UserIdGroupPair {
    pub(crate) user_id: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) group_name: Option<String>,
    pub(crate) vpc_id: Option<String>,
    pub(crate) vpc_peering_connection_id: Option<String>,
    pub(crate) peering_status: Option<String>,
    pub(crate) description: Option<String>,
}

/// A prefix list in a permission.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct PrefixListRange {
    pub(crate) prefix_list_id: Option<String>,
    pub(crate) description: Option<String>,
}

/// One rule that a request names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NamedRule {
    pub(crate) key: RuleKey,
    pub(crate) description: Option<String>,
}

/// The rules that permissions name, one for each source. `group` finds the group that a pair means, `list` the prefix
/// list of an id.
pub(crate) fn named_rules(
    permissions: &[IpPermission],
    group: &dyn Fn(&UserIdGroupPair) -> Result<GroupId, ApiError>,
    list: &dyn Fn(&str) -> Result<PrefixListId, ApiError>,
) -> Result<Vec<NamedRule>, ApiError> {
    let mut rules: Vec<NamedRule> = Vec::new();
    let mut add = |traffic: Traffic, peer: RulePeer, description: Option<&String>| {
        let key = RuleKey { traffic, peer };
        if rules.iter().any(|rule| rule.key == key) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "The same permission must not appear multiple times",
            ));
        }
        let description = rule_description(description.map(String::as_str))?;
        rules.push(NamedRule { key, description });
        Ok(())
    };
    for permission in permissions {
        let traffic = Traffic::parse(
            permission.ip_protocol.as_deref(),
            permission.from_port,
            permission.to_port,
        )?;
        if permission.ip_ranges.is_empty()
            && permission.ipv6_ranges.is_empty()
            && permission.user_id_group_pairs.is_empty()
            && permission.prefix_list_ids.is_empty()
        {
            return Err(ApiError::new(
                "InvalidPermission.Malformed",
                "The permission has neither an IP range nor a security group",
            ));
        }
        for range in &permission.ip_ranges {
            let cidr = block("CidrIp", range.cidr_ip.as_deref(), true)?;
            add(traffic, RulePeer::Cidr(cidr), range.description.as_ref())?;
        }
        for range in &permission.ipv6_ranges {
            let cidr = block("CidrIpv6", range.cidr_ipv6.as_deref(), false)?;
            add(traffic, RulePeer::Cidr(cidr), range.description.as_ref())?;
        }
        for pair in &permission.user_id_group_pairs {
            add(
                traffic,
                RulePeer::Group(group(pair)?),
                pair.description.as_ref(),
            )?;
        }
        for range in &permission.prefix_list_ids {
            let id = range.prefix_list_id.as_deref().unwrap_or_default();
            let peer = RulePeer::PrefixList(list(id)?);
            add(traffic, peer, range.description.as_ref())?;
        }
    }
    Ok(rules)
}

/// A block of addresses of a rule. Bits behind the prefix are cleared, as EC2 does.
pub(crate) fn block(member: &str, text: Option<&str>, v4: bool) -> Result<Cidr, ApiError> {
    let Some(text) = text else {
        return Err(ApiError::new(
            "MissingParameter",
            format!("The request must contain the parameter {member}"),
        ));
    };
    text.parse::<Cidr>()
        .ok()
        .filter(|cidr| cidr.is_v4() == v4)
        .ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!("CIDR block {text} is malformed"),
            )
        })
}

/// Whether a name or a description has only what EC2 lets stand in one, and fewer than 256 characters.
pub(crate) fn is_plain(text: &str) -> bool {
    text.len() < 256
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ". _-:/()#,@[]+=&;{}!$*".contains(c))
}

/// A rule's description: absent if empty.
pub(crate) fn rule_description(text: Option<&str>) -> Result<Option<String>, ApiError> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if is_plain(text) => Ok(Some(text.to_owned())),
        Some(_) => Err(ApiError::new(
            "InvalidParameterValue",
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following \
             set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        )),
    }
}

/// Rules as `DescribeSecurityGroups` shows them: those for the same packets in one permission, in stored order.
pub(crate) fn permissions<'a>(
    rules: impl Iterator<Item = (RuleKey, Option<&'a String>)>,
    account: AccountId,
) -> Vec<IpPermission> {
    let mut shown: Vec<(Traffic, IpPermission)> = Vec::new();
    for (RuleKey { traffic, peer }, description) in rules {
        let at = shown
            .iter()
            .position(|(t, _)| *t == traffic)
            .unwrap_or_else(|| {
                let (from, to) = traffic.ports();
                let has_ports = matches!(traffic, Traffic::Ports { .. } | Traffic::Icmp { .. });
                let permission = IpPermission {
                    ip_protocol: Some(traffic.protocol()),
                    from_port: has_ports.then_some(from),
                    to_port: has_ports.then_some(to),
                    ..IpPermission::default()
                };
                shown.push((traffic, permission));
                shown.len() - 1
            });
        let Some((_, permission)) = shown.get_mut(at) else {
            continue;
        };
        let description = description.cloned();
        match peer {
            RulePeer::Cidr(cidr) if cidr.is_v4() => {
                permission.ip_ranges.push(IpRange {
                    cidr_ip: Some(cidr.to_string()),
                    description,
                });
            }
            RulePeer::Cidr(cidr) => {
                permission.ipv6_ranges.push(Ipv6Range {
                    cidr_ipv6: Some(cidr.to_string()),
                    description,
                });
            }
            RulePeer::Group(id) => permission.user_id_group_pairs.push(UserIdGroupPair {
                user_id: Some(account.to_string()),
                group_id: Some(id.to_string()),
                description,
                ..UserIdGroupPair::default()
            }),
            RulePeer::PrefixList(id) => permission.prefix_list_ids.push(PrefixListRange {
                prefix_list_id: Some(id.to_string()),
                description,
            }),
        }
    }
    shown
        .into_iter()
        .map(|(_, permission)| permission)
        .collect()
}

/// A rule in a reply (EC2's `SecurityGroupRule`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SecurityGroupRule {
    pub(crate) security_group_rule_id: GroupRuleId,
    pub(crate) group_id: GroupId,
    pub(crate) group_owner_id: AccountId,
    pub(crate) is_egress: bool,
    pub(crate) ip_protocol: String,
    pub(crate) from_port: i64,
    pub(crate) to_port: i64,
    pub(crate) cidr_ipv4: Option<Cidr>,
    pub(crate) cidr_ipv6: Option<Cidr>,
    pub(crate) prefix_list_id: Option<PrefixListId>,
    pub(crate) referenced_group_info: Option<ReferencedSecurityGroup>,
    pub(crate) description: Option<String>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) security_group_rule_arn: String,
}

/// The group that a rule in a reply refers to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReferencedSecurityGroup {
    pub(crate) group_id: GroupId,
    pub(crate) peering_status: Option<&'static str>,
    pub(crate) user_id: Option<AccountId>,
    pub(crate) vpc_id: Option<VpcId>,
    pub(crate) vpc_peering_connection_id: Option<PeeringConnectionId>,
}

/// A rule that was taken away (EC2's `RevokedSecurityGroupRule`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RevokedSecurityGroupRule {
    pub(crate) security_group_rule_id: GroupRuleId,
    pub(crate) group_id: GroupId,
    pub(crate) is_egress: bool,
    pub(crate) ip_protocol: String,
    pub(crate) from_port: i64,
    pub(crate) to_port: i64,
    pub(crate) cidr_ipv4: Option<Cidr>,
    pub(crate) cidr_ipv6: Option<Cidr>,
    pub(crate) prefix_list_id: Option<PrefixListId>,
    pub(crate) referenced_group_id: Option<GroupId>,
    pub(crate) description: Option<String>,
}

impl RevokedSecurityGroupRule {
    pub(crate) fn new(group: GroupId, rule: &GroupRule) -> RevokedSecurityGroupRule {
        let (from_port, to_port) = rule.key.traffic.ports();
        let (cidr_ipv4, cidr_ipv6) = blocks(rule.key.peer);
        RevokedSecurityGroupRule {
            security_group_rule_id: rule.id,
            group_id: group,
            is_egress: rule.egress,
            ip_protocol: rule.key.traffic.protocol(),
            from_port,
            to_port,
            cidr_ipv4,
            cidr_ipv6,
            prefix_list_id: rule.key.peer.prefix_list(),
            referenced_group_id: rule.referenced(),
            description: rule.description.clone(),
        }
    }
}

/// A peer's block, by family.
pub(crate) fn blocks(peer: RulePeer) -> (Option<Cidr>, Option<Cidr>) {
    match peer {
        RulePeer::Cidr(cidr) if cidr.is_v4() => (Some(cidr), None),
        RulePeer::Cidr(cidr) => (None, Some(cidr)),
        RulePeer::Group(_) | RulePeer::PrefixList(_) => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_group(_: &UserIdGroupPair) -> Result<GroupId, ApiError> {
        Ok(GroupId::from_bits(7))
    }

    fn no_list(id: &str) -> Result<PrefixListId, ApiError> {
        Err(crate::prefix_list::not_found(id))
    }

    fn range(cidr: &str) -> IpRange {
        IpRange {
            cidr_ip: Some(cidr.to_owned()),
            description: None,
        }
    }

    #[test]
    fn protocols_and_ports() {
        let parse = |p: &str, f, t| Traffic::parse(Some(p), f, t).map_err(|e| e.code.to_string());
        assert_eq!(parse("-1", None, None), Ok(Traffic::All));
        assert_eq!(parse("-1", Some(22), Some(22)), Ok(Traffic::All));
        assert_eq!(
            parse("6", Some(22), Some(80)),
            Ok(Traffic::Ports {
                protocol: 6,
                from: 22,
                to: 80
            })
        );
        assert_eq!(
            parse("TCP", Some(0), Some(65535)),
            Ok(Traffic::Ports {
                protocol: 6,
                from: 0,
                to: 65535
            })
        );
        let any = Traffic::Icmp {
            protocol: 1,
            kind: None,
            code: None,
        };
        assert_eq!(parse("icmp", Some(-1), Some(-1)), Ok(any));
        let echo = Traffic::Icmp {
            protocol: 1,
            kind: Some(8),
            code: None,
        };
        assert_eq!(parse("1", Some(8), Some(-1)), Ok(echo));
        assert_eq!(parse("50", None, None), Ok(Traffic::Protocol(50)));
        for (p, f, t) in [
            ("tcp", None, Some(1)),
            ("tcp", Some(-1), Some(-1)),
            ("udp", Some(2), Some(1)),
            ("tcp", Some(0), Some(65536)),
            ("icmp", None, None),
            ("icmp", Some(256), Some(0)),
            ("icmp", Some(-1), Some(0)),
            ("256", None, None),
            ("sctp!", None, None),
            ("", None, None),
        ] {
            assert_eq!(
                parse(p, f, t),
                Err("InvalidParameterValue".to_owned()),
                "{p} {f:?} {t:?}"
            );
        }
    }

    #[test]
    fn permissions_are_rules_and_rules_are_permissions() {
        let wire = IpPermission {
            ip_protocol: Some("tcp".to_owned()),
            from_port: Some(22),
            to_port: Some(22),
            ip_ranges: vec![range("10.0.0.1/8"), range("192.168.0.0/16")],
            ipv6_ranges: vec![Ipv6Range {
                cidr_ipv6: Some("::/0".to_owned()),
                description: None,
            }],
            user_id_group_pairs: vec![UserIdGroupPair::default()],
            ..IpPermission::default()
        };
        let rules = named_rules(&[wire], &no_group, &no_list).unwrap();
        let text: Vec<String> = rules.iter().map(|r| r.key.to_string()).collect();
        assert_eq!(
            text[0],
            "peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW"
        );
        assert_eq!(
            text[2],
            "peer: ::/0, TCP, from port: 22, to port: 22, ALLOW"
        );
        let shown = permissions(
            rules.iter().map(|r| (r.key, r.description.as_ref())),
            AccountId::DEFAULT,
        );
        assert_eq!(shown.len(), 1);
        assert_eq!(
            shown[0].ip_ranges,
            [range("10.0.0.0/8"), range("192.168.0.0/16")]
        );
        assert_eq!(shown[0].ipv6_ranges.len(), 1);
        assert_eq!(
            shown[0].user_id_group_pairs[0].group_id.as_deref(),
            Some("sg-00000000000000007")
        );
    }

    #[test]
    fn what_is_refused() {
        let code = |p: IpPermission| {
            named_rules(&[p], &no_group, &no_list)
                .unwrap_err()
                .code
                .to_string()
        };
        let all = || IpPermission {
            ip_protocol: Some("-1".to_owned()),
            ..IpPermission::default()
        };
        assert_eq!(code(all()), "InvalidPermission.Malformed");
        assert_eq!(
            code(IpPermission {
                ip_ranges: vec![range("10.0.0.0/33")],
                ..all()
            }),
            "InvalidParameterValue"
        );
        assert_eq!(
            code(IpPermission {
                ip_ranges: vec![range("::/0")],
                ..all()
            }),
            "InvalidParameterValue"
        );
        let twice = vec![range("10.0.0.0/8"), range("10.1.0.0/8")];
        assert_eq!(
            code(IpPermission {
                ip_ranges: twice,
                ..all()
            }),
            "InvalidParameterValue"
        );
        let lists = vec![PrefixListRange::default()];
        assert_eq!(
            code(IpPermission {
                prefix_list_ids: lists,
                ..all()
            }),
            "InvalidPrefixListId.Malformed"
        );
        let odd = IpRange {
            cidr_ip: Some("0.0.0.0/0".to_owned()),
            description: Some("a<b".to_owned()),
        };
        assert_eq!(
            code(IpPermission {
                ip_ranges: vec![odd],
                ..all()
            }),
            "InvalidParameterValue"
        );
    }
}
