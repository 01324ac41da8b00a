//! Network ACLs: the default one that comes with a VPC.

use api::ApiError;
use serde::{Deserialize, Serialize};
use topology::{AclEntry, ProtocolMatch};
use types::{AccountId, AclId, Cidr, RegionName, SubnetId, VpcId};

use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, resource};
use crate::tags::{Tag, Tags};
use crate::{Context, State, Subnet, Tx, subnet};

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
    /// Its entries, by direction and number, without the last one that denies the rest.
    pub entries: Vec<Entry>,
}

/// An entry of a network ACL for every protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Whether it is for packets that leave subnets.
    pub egress: bool,
    /// Its place in the order, 1 to 32766.
    pub number: u16,
    /// Whether it allows or denies.
    pub allow: bool,
    /// From or to which addresses.
    pub cidr: Cidr,
}

/// The number of the entry that denies what no other matches (EC2 shows it; nobody can change it).
const LAST: u16 = 32767;

resource!(NetworkAcl, "network-acl", |id| resource::unknown_id(
    id,
    "acl",
    "networkAcl ID",
    "InvalidNetworkAclID.NotFound",
    "InvalidNetworkAclId.Malformed"
));

impl NetworkAcl {
    /// The ACL as hosts see it.
    pub(crate) fn project(&self) -> topology::NetworkAcl {
        let entries = |egress: bool| {
            self.entries
                .iter()
                .filter(|entry| entry.egress == egress)
                .map(|entry| AclEntry {
                    number: entry.number,
                    allow: entry.allow,
                    protocol: ProtocolMatch::Any,
                    cidr: entry.cidr,
                })
                .collect()
        };
        topology::NetworkAcl {
            id: self.id,
            vpc: self.vpc,
            ingress: entries(false),
            egress: entries(true),
        }
    }

    fn subnets<'s>(&self, state: &'s State) -> impl Iterator<Item = &'s Subnet> {
        let id = self.id;
        subnet::of_vpc(state, self.vpc).filter(move |subnet| subnet.acl == id)
    }

    /// The entries that EC2 shows: ours, and in each direction the one that denies the rest.
    fn shown(&self) -> Vec<Entry> {
        let last = |egress| Entry {
            egress,
            number: LAST,
            allow: false,
            cidr: Cidr::ALL_V4,
        };
        let mut entries = self.entries.clone();
        entries.extend([last(true), last(false)]);
        entries.sort_by_key(|entry| (!entry.egress, entry.number));
        entries
    }
}

/// A VPC's default ACL, which allows everything (EC2 "Default network ACL").
pub(crate) fn make_default(tx: &mut Tx, ctx: &Context<'_>, vpc: VpcId) -> AclId {
    let id = AclId::from_bits(ctx.random());
    let all = |egress| Entry {
        egress,
        number: 100,
        allow: true,
        cidr: Cidr::ALL_V4,
    };
    tx.put(NetworkAcl {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::default(),
        vpc,
        is_default: true,
        entries: vec![all(true), all(false)],
    });
    id
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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EntryItem {
    cidr_block: Cidr,
    egress: bool,
    protocol: &'static str,
    rule_action: &'static str,
    rule_number: u16,
}

fn action(entry: &Entry) -> &'static str {
    if entry.allow { "allow" } else { "deny" }
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
            entries: self
                .shown()
                .iter()
                .map(|entry| EntryItem {
                    cidr_block: entry.cidr,
                    egress: entry.egress,
                    protocol: "-1",
                    rule_action: action(entry),
                    rule_number: entry.number,
                })
                .collect(),
            is_default: self.is_default,
            network_acl_id: self.id,
            tags: self.tags.reply(),
            vpc_id: self.vpc,
            owner_id: self.account,
        }
    }
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
        acl.shown()
            .iter()
            .map(|entry| entry.cidr.to_string())
            .collect()
    }),
    ("entry.icmp.code", |_, _| vec![]),
    ("entry.icmp.type", |_, _| vec![]),
    ("entry.ipv6-cidr", |_, _| vec![]),
    ("entry.port-range.from", |_, _| vec![]),
    ("entry.port-range.to", |_, _| vec![]),
    ("entry.protocol", |_, _| vec!["-1".to_owned()]),
    ("entry.rule-action", |_, acl| {
        acl.shown().iter().map(|e| action(e).to_owned()).collect()
    }),
    ("entry.egress", |_, acl| {
        acl.shown().iter().map(|e| e.egress.to_string()).collect()
    }),
    ("entry.rule-number", |_, acl| {
        acl.shown().iter().map(|e| e.number.to_string()).collect()
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
