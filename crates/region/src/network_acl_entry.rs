//! Entries of network ACLs: stored form, form on the wire, and the actions that change them.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{Cidr, proto};

use crate::dispatch::actions;
use crate::security_group_rules::{Traffic, block};
use crate::{Context, NetworkAcl, Tx, quota, resource};

actions! {
    "CreateNetworkAclEntry" => create_network_acl_entry, Enforced;
    "DeleteNetworkAclEntry" => delete_network_acl_entry, Enforced;
    "ReplaceNetworkAclEntry" => replace_network_acl_entry, Enforced;
}

/// An entry of a network ACL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Whether it is for packets that leave subnets.
    pub egress: bool,
    /// Its place in the order, 1 to 32766.
    pub number: u16,
    /// Whether it allows or denies.
    pub allow: bool,
    /// Which packets. Entries that were stored before there were others have no such member and are for all.
    #[serde(default = "everything")]
    pub traffic: Traffic,
    /// From or to which addresses.
    pub cidr: Cidr,
}

/// The number of the entry that denies what no other matches (EC2 shows it; nobody can change it).
pub(crate) const LAST: u16 = 32767;

fn everything() -> Traffic {
    Traffic::All
}

/// ICMP type and code of requests and replies; −1 is every one.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct IcmpTypeCode {
    #[serde(rename = "Type")]
    pub(crate) kind: Option<i64>,
    pub(crate) code: Option<i64>,
}

/// Ports of requests and replies.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct PortRange {
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// An entry as EC2 shows it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EntryItem {
    cidr_block: Option<Cidr>,
    egress: bool,
    icmp_type_code: Option<IcmpTypeCode>,
    ipv6_cidr_block: Option<Cidr>,
    port_range: Option<PortRange>,
    protocol: String,
    rule_action: &'static str,
    rule_number: u16,
}

impl Entry {
    /// The entry as hosts know it; `None` if it can match nothing.
    pub(crate) fn project(&self) -> Option<topology::AclEntry> {
        Some(topology::AclEntry {
            number: self.number,
            allow: self.allow,
            protocol: self.traffic.project()?,
            cidr: self.cidr,
        })
    }

    /// Its protocol by number, as replies have it; −1 is every one.
    pub(crate) fn protocol(&self) -> String {
        match self.traffic {
            Traffic::All => "-1".to_owned(),
            Traffic::Ports { protocol, .. }
            | Traffic::Icmp { protocol, .. }
            | Traffic::Protocol(protocol) => protocol.to_string(),
        }
    }

    /// `allow` or `deny`.
    pub(crate) const fn action(&self) -> &'static str {
        if self.allow { "allow" } else { "deny" }
    }

    /// Its ICMP type and code, if it is for ICMP.
    pub(crate) fn icmp(&self) -> Option<IcmpTypeCode> {
        let (kind, code) = self.traffic.ports();
        matches!(self.traffic, Traffic::Icmp { .. }).then_some(IcmpTypeCode {
            kind: Some(kind),
            code: Some(code),
        })
    }

    /// Its ports, if it is for TCP or UDP.
    pub(crate) fn ports(&self) -> Option<PortRange> {
        let (from, to) = self.traffic.ports();
        matches!(self.traffic, Traffic::Ports { .. }).then_some(PortRange {
            from: Some(from),
            to: Some(to),
        })
    }

    pub(crate) fn reply(&self) -> EntryItem {
        EntryItem {
            cidr_block: Some(self.cidr).filter(|cidr| cidr.is_v4()),
            egress: self.egress,
            icmp_type_code: self.icmp(),
            ipv6_cidr_block: Some(self.cidr).filter(|cidr| !cidr.is_v4()),
            port_range: self.ports(),
            protocol: self.protocol(),
            rule_action: self.action(),
            rule_number: self.number,
        }
    }
}

/// `CreateNetworkAclEntry` and `ReplaceNetworkAclEntry`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct EntryRequest {
    network_acl_id: String,
    rule_number: i64,
    protocol: String,
    rule_action: String,
    egress: bool,
    cidr_block: Option<String>,
    ipv6_cidr_block: Option<String>,
    icmp_type_code: Option<IcmpTypeCode>,
    port_range: Option<PortRange>,
}

impl EntryRequest {
    fn entry(&self) -> Result<Entry, ApiError> {
        let number = number(self.rule_number)?;
        let allow = match self.rule_action.as_str() {
            "allow" => true,
            "deny" => false,
            other => {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!(
                        "Value ({other}) for parameter ruleAction is invalid. It must be allow or deny"
                    ),
                ));
            }
        };
        let cidr = match (&self.cidr_block, &self.ipv6_cidr_block) {
            (Some(_), Some(_)) => {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    "The parameter cidrBlock cannot be used with the parameter ipv6CidrBlock",
                ));
            }
            (None, Some(v6)) => block("ipv6CidrBlock", Some(v6), false)?,
            (v4, None) => block("cidrBlock", v4.as_deref(), true)?,
        };
        Ok(Entry {
            egress: self.egress,
            number,
            allow,
            traffic: self.traffic(cidr)?,
            cidr,
        })
    }

    /// Which packets. TCP and UDP need ports, and ICMP, as well as ICMPv6 with an IPv6 block, type and code; for
    /// every other protocol, "traffic on all ports is allowed, regardless of any ports or ICMP types or codes that
    /// you specify" (API reference, `CreateNetworkAclEntry`). The names of rules in security groups are understood
    /// too.
    fn traffic(&self, cidr: Cidr) -> Result<Traffic, ApiError> {
        let protocol = self.protocol.as_str();
        let (from, to) = match Traffic::parse_protocol(protocol)? {
            Some(proto::TCP | proto::UDP) => {
                let range = self.port_range.map(|range| (range.from, range.to));
                range.ok_or_else(|| resource::missing("portRange"))?
            }
            Some(proto::ICMPV6) if cidr.is_v4() => return Ok(Traffic::Protocol(proto::ICMPV6)),
            Some(proto::ICMP | proto::ICMPV6) => {
                let icmp = self.icmp_type_code.map(|icmp| (icmp.kind, icmp.code));
                icmp.ok_or_else(|| resource::missing("icmpTypeCode"))?
            }
            _ => (None, None),
        };
        Traffic::parse(Some(protocol), from, to)
    }
}

/// A rule number of a request.
fn number(number: i64) -> Result<u16, ApiError> {
    u16::try_from(number)
        .ok()
        .filter(|number| (1..LAST).contains(number))
        .ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value ({number}) for parameter ruleNumber is invalid. It must be from 1 to {}",
                    LAST - 1
                ),
            )
        })
}

/// Where an ACL has the entry.
fn position(acl: &NetworkAcl, egress: bool, number: u16) -> Option<usize> {
    acl.entries
        .iter()
        .position(|entry| (entry.egress, entry.number) == (egress, number))
}

fn not_found(egress: bool, number: u16) -> ApiError {
    let direction = if egress { "egress" } else { "ingress" };
    ApiError::new(
        "InvalidNetworkAclEntry.NotFound",
        format!("The {direction} network acl entry identified by {number} does not exist."),
    )
}

pub(crate) fn create_network_acl_entry(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: EntryRequest,
) -> Result<(), ApiError> {
    let mut acl = resource::find::<NetworkAcl>(tx, ctx, &req.network_acl_id)?.clone();
    let entry = req.entry()?;
    if position(&acl, entry.egress, entry.number).is_some() {
        return Err(ApiError::new(
            "NetworkAclEntryAlreadyExists",
            format!(
                "The network acl entry identified by {} already exists.",
                entry.number
            ),
        ));
    }
    acl.entries.push(entry);
    check_number_of_entries(tx, ctx, &acl, &entry)?;
    tx.put(acl);
    Ok(())
}

/// Each direction and family has a quota of its own, and the entry that denies the rest counts ("Amazon VPC quotas").
fn check_number_of_entries(
    tx: &Tx,
    ctx: &Context<'_>,
    acl: &NetworkAcl,
    like: &Entry,
) -> Result<(), ApiError> {
    let kind = |entry: &Entry| (entry.egress, entry.cidr.is_v4());
    let present = acl.entries.iter().filter(|e| kind(e) == kind(like));
    quota::NETWORK_ACL_ENTRIES.one_more(tx, ctx, present.count())
}

pub(crate) fn replace_network_acl_entry(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: EntryRequest,
) -> Result<(), ApiError> {
    let mut acl = resource::find::<NetworkAcl>(tx, ctx, &req.network_acl_id)?.clone();
    let entry = req.entry()?;
    let position = position(&acl, entry.egress, entry.number)
        .ok_or_else(|| not_found(entry.egress, entry.number))?;
    let old = std::mem::replace(&mut acl.entries[position], entry);
    if old.cidr.is_v4() != entry.cidr.is_v4() {
        check_number_of_entries(tx, ctx, &acl, &entry)?;
    }
    tx.put(acl);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteNetworkAclEntryRequest {
    network_acl_id: String,
    rule_number: i64,
    egress: bool,
}

pub(crate) fn delete_network_acl_entry(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteNetworkAclEntryRequest,
) -> Result<(), ApiError> {
    let mut acl = resource::find::<NetworkAcl>(tx, ctx, &req.network_acl_id)?.clone();
    let number = number(req.rule_number)?;
    let position =
        position(&acl, req.egress, number).ok_or_else(|| not_found(req.egress, number))?;
    acl.entries.remove(position);
    tx.put(acl);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use topology::{IcmpMatch, ProtocolMatch};

    use super::*;
    use crate::testing::{World, count, text};

    struct Setting {
        world: World,
        acl: String,
    }

    fn setting() -> Setting {
        let mut world = World::new();
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&reply, "Vpc.VpcId");
        let reply = world.ok("CreateNetworkAcl", json!({"VpcId": vpc}));
        let acl = text(&reply, "NetworkAcl.NetworkAclId");
        Setting { world, acl }
    }

    impl Setting {
        /// A request for an entry that allows everything in, but for these members.
        fn entry(&self, changes: Json) -> Json {
            let mut entry = json!({"NetworkAclId": self.acl, "RuleNumber": 100, "Protocol": "-1",
                "RuleAction": "allow", "Egress": false, "CidrBlock": "0.0.0.0/0"});
            let Json::Object(changes) = changes else {
                panic!("{changes}");
            };
            entry.as_object_mut().unwrap().extend(changes);
            entry
        }

        fn projected(&self) -> topology::NetworkAcl {
            self.world.state.network_acls[&self.acl.parse().unwrap()].project()
        }
    }

    #[test]
    fn what_is_asked_for_is_told_and_projected() {
        let mut s = setting();
        let all_types = IcmpMatch {
            kind: None,
            code: None,
        };
        let ports = |from, to| types::PortRange::new(from, to).unwrap();
        let ok = [
            (
                json!({"Protocol": "17", "PortRange": {"From": 5, "To": 9}}),
                ProtocolMatch::Ports(17, ports(5, 9)),
            ),
            (
                json!({"Protocol": "tcp", "PortRange": {"From": 0, "To": 65535}}),
                ProtocolMatch::Ports(6, ports(0, 65535)),
            ),
            (
                json!({"Protocol": "1", "IcmpTypeCode": {"Type": -1, "Code": -1}}),
                ProtocolMatch::Icmp(1, all_types),
            ),
            (json!({"Protocol": "58"}), ProtocolMatch::Number(58)),
            // Ports mean nothing here.
            (
                json!({"Protocol": "47", "PortRange": {"From": 7, "To": 7}}),
                ProtocolMatch::Number(47),
            ),
            (json!({"RuleAction": "deny"}), ProtocolMatch::Any),
        ];
        for (changes, protocol) in ok {
            s.world
                .ok("CreateNetworkAclEntry", s.entry(changes.clone()));
            assert_eq!(s.projected().ingress[0].protocol, protocol);
            let reply = s
                .world
                .ok("DescribeNetworkAcls", json!({"NetworkAclIds": [s.acl]}));
            assert_eq!(count(&reply, "NetworkAcls.0.Entries"), 3);
            let shown = |member: &str| text(&reply, &format!("NetworkAcls.0.Entries.1.{member}"));
            assert_eq!(shown("RuleNumber"), "100");
            assert_eq!(shown("CidrBlock"), "0.0.0.0/0");
            let action = changes.get("RuleAction").map_or("allow", |_| "deny");
            assert_eq!(shown("RuleAction"), action);
            match protocol {
                ProtocolMatch::Ports(number, range) => {
                    assert_eq!(shown("Protocol"), number.to_string());
                    assert_eq!(shown("PortRange.From"), range.first().to_string());
                    assert_eq!(shown("PortRange.To"), range.last().to_string());
                }
                ProtocolMatch::Icmp(number, _) => {
                    assert_eq!(shown("Protocol"), number.to_string());
                    assert_eq!(shown("IcmpTypeCode.Type"), "-1");
                    assert_eq!(shown("IcmpTypeCode.Code"), "-1");
                }
                ProtocolMatch::Number(number) => assert_eq!(shown("Protocol"), number.to_string()),
                ProtocolMatch::Any => assert_eq!(shown("Protocol"), "-1"),
            }
            s.world.ok(
                "DeleteNetworkAclEntry",
                json!({"NetworkAclId": s.acl, "RuleNumber": 100, "Egress": false}),
            );
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let mut s = setting();
        for (changes, code) in [
            (json!({"RuleNumber": 0}), "InvalidParameterValue"),
            (json!({"RuleNumber": 32767}), "InvalidParameterValue"),
            (json!({"RuleNumber": 65637}), "InvalidParameterValue"),
            (json!({"Protocol": "256"}), "InvalidParameterValue"),
            (json!({"Protocol": "6"}), "MissingParameter"),
            (json!({"Protocol": "1"}), "MissingParameter"),
            (
                json!({"Protocol": "6", "PortRange": {"From": 9, "To": 5}}),
                "InvalidParameterValue",
            ),
            (
                json!({"Protocol": "6", "PortRange": {"From": 9}}),
                "InvalidParameterValue",
            ),
            (
                json!({"Protocol": "1", "IcmpTypeCode": {"Type": 256, "Code": 0}}),
                "InvalidParameterValue",
            ),
            (json!({"RuleAction": "maybe"}), "InvalidParameterValue"),
            (json!({"CidrBlock": "::/0"}), "InvalidParameterValue"),
            (json!({"CidrBlock": null}), "MissingParameter"),
            (
                json!({"Ipv6CidrBlock": "::/0"}),
                "InvalidParameterCombination",
            ),
            (
                json!({"CidrBlock": null, "Ipv6CidrBlock": "::/0", "Protocol": "58"}),
                "MissingParameter",
            ),
        ] {
            let mut entry = s.entry(changes.clone());
            entry.as_object_mut().unwrap().retain(|_, v| !v.is_null());
            assert_eq!(
                s.world.err("CreateNetworkAclEntry", entry),
                code,
                "{changes}"
            );
        }
    }

    #[test]
    fn numbers_are_of_one_direction() {
        let mut s = setting();
        s.world.ok("CreateNetworkAclEntry", s.entry(json!({})));
        let again = s.entry(json!({}));
        assert_eq!(
            s.world.err("CreateNetworkAclEntry", again),
            "NetworkAclEntryAlreadyExists"
        );
        let out = s.entry(json!({"Egress": true}));
        assert_eq!(
            s.world.err("ReplaceNetworkAclEntry", out.clone()),
            "InvalidNetworkAclEntry.NotFound"
        );
        s.world.ok("CreateNetworkAclEntry", out);
        // The order is that of the numbers, and bits behind the prefix are cleared.
        s.world.ok(
            "CreateNetworkAclEntry",
            s.entry(json!({"RuleNumber": 99, "RuleAction": "deny", "CidrBlock": "10.1.2.3/8"})),
        );
        let ingress = s.projected().ingress;
        assert_eq!((ingress[0].number, ingress[1].number), (99, 100));
        assert_eq!(ingress[0].cidr.to_string(), "10.0.0.0/8");
        s.world.ok(
            "ReplaceNetworkAclEntry",
            s.entry(json!({"RuleAction": "deny"})),
        );
        assert!(!s.projected().ingress[1].allow && s.projected().egress[0].allow);
        let gone = json!({"NetworkAclId": s.acl, "RuleNumber": 100, "Egress": true});
        s.world.ok("DeleteNetworkAclEntry", gone.clone());
        assert_eq!(
            s.world.err("DeleteNetworkAclEntry", gone),
            "InvalidNetworkAclEntry.NotFound"
        );
        assert!(s.projected().egress.is_empty());
    }

    #[test]
    fn the_last_entry_counts_and_the_families_apart() {
        let mut s = setting();
        for number in 1..20 {
            s.world.ok(
                "CreateNetworkAclEntry",
                s.entry(json!({"RuleNumber": number})),
            );
        }
        let one_more = s.entry(json!({"RuleNumber": 20}));
        assert_eq!(
            s.world.err("CreateNetworkAclEntry", one_more),
            "NetworkAclEntryLimitExceeded"
        );
        s.world.ok(
            "CreateNetworkAclEntry",
            s.entry(json!({"RuleNumber": 20, "Egress": true})),
        );
        let v6 = json!({"NetworkAclId": s.acl, "RuleNumber": 20, "Protocol": "-1", "RuleAction": "allow",
            "Egress": false, "Ipv6CidrBlock": "::/0"});
        s.world.ok("CreateNetworkAclEntry", v6);
        // Nor is there a way round it.
        let same = s.entry(json!({"RuleNumber": 20}));
        assert_eq!(
            s.world.err("ReplaceNetworkAclEntry", same),
            "NetworkAclEntryLimitExceeded"
        );
    }

    #[test]
    fn an_entry_stored_before_there_were_protocols_is_for_all() {
        let stored = r#"{"egress":true,"number":100,"allow":true,"cidr":"0.0.0.0/0"}"#;
        let entry: Entry = serde_json::from_str(stored).unwrap();
        assert_eq!(entry.traffic, Traffic::All);
    }
}
