//! Network ACLs. Their entries are in [`crate::network_acl_entry`], associations in
//! [`crate::network_acl_association`].

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, AclId, Cidr, RegionName, SubnetId, VpcId};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::network_acl_entry::{Entry, EntryItem, LAST};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource, resource};
use crate::security_group_rules::Traffic;
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, State, Subnet, Tx, Vpc, quota, subnet};

actions! {
    "CreateNetworkAcl" => create_network_acl, Enforced;
    "DeleteNetworkAcl" => delete_network_acl, Enforced;
    "DescribeNetworkAcls" => describe_network_acls, Control;
}

/// A network ACL. Which subnets have it stands in the subnets' records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworkAcl {
    /// Its identifier.
    pub id: AclId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// Whether it came with the VPC.
    pub is_default: bool,
    /// Its entries, without the last one that denies the rest; no two of a direction have the same number.
    pub entries: Vec<Entry>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(
    NetworkAcl,
    "network-acl",
    |this, keys| keys.of([this.vpc]),
    |id| resource::unknown_id(
        id,
        "acl",
        "networkAcl ID",
        "InvalidNetworkAclID.NotFound",
        "InvalidNetworkAclId.Malformed"
    )
);

impl NetworkAcl {
    /// The ACL as hosts see it.
    pub(crate) fn project(&self) -> topology::NetworkAcl {
        let entries = |egress: bool| {
            let mut entries: Vec<topology::AclEntry> = self
                .entries
                .iter()
                .filter(|entry| entry.egress == egress)
                .filter_map(Entry::project)
                .collect();
            entries.sort_by_key(|entry| entry.number);
            entries
        };
        topology::NetworkAcl {
            id: self.id,
            vpc: self.vpc,
            ingress: entries(false),
            egress: entries(true),
        }
    }

    /// The subnets that have it, by id.
    pub(crate) fn subnets<'s>(&self, state: &'s State) -> impl Iterator<Item = &'s Subnet> {
        let id = self.id;
        subnet::of_vpc(state, self.vpc).filter(move |subnet| subnet.acl == id)
    }

    /// The entries that EC2 shows: ours, and in each direction the one that denies the rest.
    fn shown(&self) -> Vec<Entry> {
        let last = |egress| Entry {
            egress,
            number: LAST,
            allow: false,
            traffic: Traffic::All,
            cidr: Cidr::ALL_V4,
        };
        let mut entries = self.entries.clone();
        entries.extend([last(true), last(false)]);
        entries.sort_by_key(|entry| (!entry.egress, entry.number));
        entries
    }
}

/// The entries that allow everything of a family.
fn everything(number: u16, cidr: Cidr) -> Vec<Entry> {
    let all = |egress| Entry {
        egress,
        number,
        allow: true,
        traffic: Traffic::All,
        cidr,
    };
    vec![all(true), all(false)]
}

/// A VPC's default ACL lets IPv6 through when the VPC gets a block of it, in each direction in which nobody has changed
/// an entry (EC2 "Default network ACL").
pub(crate) fn open_ipv6(tx: &mut Tx, vpc: VpcId) {
    let found = tx.of::<NetworkAcl>(vpc).find(|acl| acl.is_default);
    let Some(mut acl) = found.cloned() else {
        return;
    };
    for (old, new) in everything(100, Cidr::ALL_V4)
        .into_iter()
        .zip(everything(101, Cidr::ALL_V6))
    {
        let mut same = acl.entries.iter().filter(|e| e.egress == old.egress);
        if same.next() == Some(&old) && same.next().is_none() {
            acl.entries.push(new);
        }
    }
    tx.put(acl);
}

/// A VPC's default ACL, which allows everything (EC2 "Default network ACL").
pub(crate) fn make_default(tx: &mut Tx, ctx: &Context<'_>, vpc: VpcId) -> AclId {
    let id = AclId::from_bits(ctx.random());
    tx.put(NetworkAcl {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::default(),
        vpc,
        is_default: true,
        entries: everything(100, Cidr::ALL_V4),
        client_token: None,
    });
    id
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateNetworkAclRequest {
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
    vpc_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateNetworkAclReply {
    network_acl: AclItem,
    client_token: Option<String>,
}

pub(crate) fn create_network_acl(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateNetworkAclRequest,
) -> Result<CreateNetworkAclReply, ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), NetworkAcl::TYPE)?;
    let client_token = ClientToken::new(tx, req.client_token.clone())?;
    let id = match resource::earlier(tx, ctx, client_token.as_ref(), |made: &NetworkAcl| {
        made.client_token.as_ref()
    })? {
        Some(id) => id,
        None => {
            let present = tx.of::<NetworkAcl>(vpc).count();
            quota::NETWORK_ACLS.one_more(tx, ctx, present)?;
            let id = AclId::from_bits(ctx.random());
            // Without entries of its own it denies everything.
            tx.put(NetworkAcl {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags,
                vpc,
                is_default: false,
                entries: Vec::new(),
                client_token,
            });
            id
        }
    };
    let acl = resource::get::<NetworkAcl>(tx, &id)?;
    Ok(CreateNetworkAclReply {
        network_acl: acl.reply(tx.state()),
        client_token: req.client_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeNetworkAclsRequest {
    filters: Option<Vec<Filter>>,
    network_acl_ids: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeNetworkAclsReply {
    network_acls: Vec<AclItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AclItem {
    associations: Vec<AssociationItem>,
    entries: Vec<EntryItem>,
    is_default: bool,
    network_acl_id: AclId,
    tags: Vec<Tag>,
    vpc_id: VpcId,
    owner_id: AccountId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    network_acl_association_id: String,
    network_acl_id: AclId,
    subnet_id: SubnetId,
}

impl NetworkAcl {
    fn reply(&self, state: &State) -> AclItem {
        AclItem {
            associations: self
                .subnets(state)
                .map(|subnet| AssociationItem {
                    network_acl_association_id: subnet.acl_association.clone(),
                    network_acl_id: self.id,
                    subnet_id: subnet.id,
                })
                .collect(),
            entries: self.shown().iter().map(Entry::reply).collect(),
            is_default: self.is_default,
            network_acl_id: self.id,
            tags: self.tags.reply(),
            vpc_id: self.vpc,
            owner_id: self.account,
        }
    }
}

/// What the entries of an ACL that EC2 shows have in one place.
fn each<T: ToString>(acl: &NetworkAcl, value: impl Fn(&Entry) -> Option<T>) -> Vec<String> {
    let values = acl.shown().into_iter().filter_map(|entry| value(&entry));
    values.map(|value| value.to_string()).collect()
}

const FILTERS: &[Field<NetworkAcl>] = &[
    ("association.association-id", |state, acl| {
        acl.subnets(state)
            .map(|subnet| subnet.acl_association.clone())
            .collect()
    }),
    ("association.network-acl-id", |state, acl| {
        acl.subnets(state).map(|_| acl.id.to_string()).collect()
    }),
    ("association.subnet-id", |state, acl| {
        acl.subnets(state)
            .map(|subnet| subnet.id.to_string())
            .collect()
    }),
    ("default", |_, acl| vec![acl.is_default.to_string()]),
    ("entry.cidr", |_, acl| {
        each(acl, |entry| Some(entry.cidr).filter(|cidr| cidr.is_v4()))
    }),
    ("entry.icmp.code", |_, acl| {
        each(acl, |entry| entry.icmp().and_then(|icmp| icmp.code))
    }),
    ("entry.icmp.type", |_, acl| {
        each(acl, |entry| entry.icmp().and_then(|icmp| icmp.kind))
    }),
    ("entry.ipv6-cidr", |_, acl| {
        each(acl, |entry| Some(entry.cidr).filter(|cidr| !cidr.is_v4()))
    }),
    ("entry.port-range.from", |_, acl| {
        each(acl, |entry| entry.ports().and_then(|ports| ports.from))
    }),
    ("entry.port-range.to", |_, acl| {
        each(acl, |entry| entry.ports().and_then(|ports| ports.to))
    }),
    // "tcp | udp | icmp or a protocol number"
    ("entry.protocol", |_, acl| {
        let mut protocols = each(acl, |entry| Some(entry.protocol()));
        protocols.extend(each(acl, |entry| Some(entry.traffic.protocol())));
        protocols
    }),
    ("entry.rule-action", |_, acl| {
        each(acl, |entry| Some(entry.action()))
    }),
    ("entry.egress", |_, acl| {
        each(acl, |entry| Some(entry.egress))
    }),
    ("entry.rule-number", |_, acl| {
        each(acl, |entry| Some(entry.number))
    }),
    ("network-acl-id", |_, acl| vec![acl.id.to_string()]),
    ("owner-id", |_, acl| vec![acl.account.to_string()]),
    ("vpc-id", |_, acl| vec![acl.vpc.to_string()]),
];

pub(crate) fn describe_network_acls(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeNetworkAclsRequest,
) -> Result<DescribeNetworkAclsReply, ApiError> {
    let query = Query {
        ids: req.network_acl_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<NetworkAcl>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeNetworkAclsReply {
        network_acls: page
            .items
            .into_iter()
            .map(|acl| acl.reply(tx.state()))
            .collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteNetworkAclRequest {
    network_acl_id: String,
}

pub(crate) fn delete_network_acl(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteNetworkAclRequest,
) -> Result<(), ApiError> {
    let acl = resource::find::<NetworkAcl>(tx, ctx, &req.network_acl_id)?;
    let id = acl.id;
    if acl.is_default {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("cannot delete default network ACL {id}"),
        ));
    }
    if acl.subnets(tx.state()).next().is_some() {
        return Err(resource::in_use("networkAcl", &id));
    }
    tx.remove::<NetworkAcl>(&id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    fn vpc(world: &mut World) -> String {
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        text(&reply, "Vpc.VpcId")
    }

    #[test]
    fn a_new_one_denies_everything() {
        let mut world = World::new();
        let vpc = vpc(&mut world);
        let tags = json!([{"ResourceType": "network-acl", "Tags": [{"Key": "k", "Value": "v"}]}]);
        let input = json!({"VpcId": vpc, "TagSpecifications": tags, "ClientToken": "t"});
        let reply = world.ok("CreateNetworkAcl", input.clone());
        let id = text(&reply, "NetworkAcl.NetworkAclId");
        assert_eq!(text(&reply, "NetworkAcl.IsDefault"), "false");
        assert_eq!(text(&reply, "NetworkAcl.Tags.0.Value"), "v");
        assert_eq!(count(&reply, "NetworkAcl.Associations"), 0);
        for (index, egress) in ["true", "false"].into_iter().enumerate() {
            let entry = |member| text(&reply, &format!("NetworkAcl.Entries.{index}.{member}"));
            assert_eq!(entry("Egress"), egress);
            assert_eq!(entry("RuleNumber"), "32767");
            assert_eq!(entry("RuleAction"), "deny");
            assert_eq!(entry("Protocol"), "-1");
            assert_eq!(entry("CidrBlock"), "0.0.0.0/0");
        }
        assert_eq!(count(&reply, "NetworkAcl.Entries"), 2);
        // A repeat makes no second one.
        let again = world.ok("CreateNetworkAcl", input);
        assert_eq!(text(&again, "NetworkAcl.NetworkAclId"), id);
        let other = json!({"VpcId": vpc, "ClientToken": "t"});
        assert_eq!(
            world.err("CreateNetworkAcl", other),
            "IdempotentParameterMismatch"
        );
        // The VPC depends on it.
        assert_eq!(
            world.err("DeleteVpc", json!({"VpcId": vpc})),
            "DependencyViolation"
        );
        world.ok("DeleteNetworkAcl", json!({"NetworkAclId": id}));
        assert_eq!(
            world.err("DeleteNetworkAcl", json!({"NetworkAclId": id})),
            "InvalidNetworkAclID.NotFound"
        );
        world.ok("DeleteVpc", json!({"VpcId": vpc}));
    }

    #[test]
    fn the_default_one_stays() {
        let mut world = World::new();
        let filters = json!([{"Name": "default", "Values": ["true"]}]);
        let reply = world.ok("DescribeNetworkAcls", json!({"Filters": filters}));
        let default = json!({"NetworkAclId": text(&reply, "NetworkAcls.0.NetworkAclId")});
        assert_eq!(
            world.err("DeleteNetworkAcl", default),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn filters_look_at_the_entries() {
        let mut world = World::new();
        let vpc = vpc(&mut world);
        let reply = world.ok("CreateNetworkAcl", json!({"VpcId": vpc}));
        let id = text(&reply, "NetworkAcl.NetworkAclId");
        for entry in [
            json!({"NetworkAclId": id, "RuleNumber": 7, "Protocol": "6", "RuleAction": "allow", "Egress": false,
                "CidrBlock": "192.0.2.0/24", "PortRange": {"From": 80, "To": 81}}),
            json!({"NetworkAclId": id, "RuleNumber": 8, "Protocol": "58", "RuleAction": "deny", "Egress": true,
                "Ipv6CidrBlock": "2001:db8::/32", "IcmpTypeCode": {"Type": 128, "Code": -1}}),
        ] {
            world.ok("CreateNetworkAclEntry", entry);
        }
        for (name, value) in [
            ("entry.cidr", "192.0.2.0/24"),
            ("entry.icmp.code", "-1"),
            ("entry.icmp.type", "128"),
            ("entry.ipv6-cidr", "2001:db8::/32"),
            ("entry.port-range.from", "80"),
            ("entry.port-range.to", "81"),
            ("entry.protocol", "6"),
            ("entry.protocol", "tcp"),
            ("entry.rule-number", "8"),
        ] {
            let filters = json!([{"Name": name, "Values": [value]}]);
            let reply = world.ok("DescribeNetworkAcls", json!({"Filters": filters}));
            assert_eq!(count(&reply, "NetworkAcls"), 1, "{name}");
            assert_eq!(text(&reply, "NetworkAcls.0.NetworkAclId"), id);
        }
    }
}
