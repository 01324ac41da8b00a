//! VPCs.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AclId, AssociationId, Cidr, DhcpOptionsId, GatewayId, RegionName, RouteTableId, Vni,
    VpcId,
};

use crate::account::{Account, AccountKey};
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::ipam::allocation;
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::vpc_cidr::{self, CidrAssociation, CidrItem, Ipv6Association, Ipv6Item};
use crate::{
    Context, DhcpOptions, Key, Life, NetworkAcl, Phase, RouteTable, SecurityGroup, State,
    Timestamp, Tx, dhcp_options, egress_only_gateway, internet_gateway, network_acl, peering,
    quota, route_table, security_group, subnet, zones,
};

actions! {
    "CreateDefaultVpc" => create_default_vpc, Enforced;
    "CreateVpc" => create_vpc, Enforced;
    "DeleteVpc" => delete_vpc, Enforced;
    "DescribeVpcs" => describe_vpcs, Control;
}

/// A VPC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vpc {
    /// Its identifier.
    pub id: VpcId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Its number on the wire; no other VPC of any account or region has it.
    pub vni: Vni,
    /// Its blocks, the primary one first. Never empty, never overlapping, 5 at most.
    pub cidrs: Vec<CidrAssociation>,
    /// Whether it is the account's default VPC in the region.
    pub is_default: bool,
    /// Whether its resolver answers (`EnableDnsSupport`).
    pub dns_support: bool,
    /// Whether instances with public addresses have public names (`EnableDnsHostnames`).
    pub dns_hostnames: bool,
    /// Its DHCP options.
    /// `None` if its instances are told nothing but their address (`default`).
    pub dhcp_options: Option<DhcpOptionsId>,
    /// The route table of the subnets that have none of their own.
    pub main_route_table: RouteTableId,
    /// The association that makes it the main one.
    pub main_association: AssociationId,
    /// The network ACL that came with the VPC and that new subnets have.
    pub default_acl: AclId,
    /// The internet gateway that is attached. The gateway's record says the same.
    pub internet_gateway: Option<GatewayId>,
    /// Its IPv6 blocks, of the region's pool; no other VPC's.
    #[serde(default)]
    pub ipv6: Vec<Ipv6Association>,
    /// What instances are launched on unless they ask for something else: shared machines, or the account's alone.
    #[serde(default)]
    pub dedicated: bool,
    /// Whether metrics of its addresses are wanted. There are none.
    #[serde(default)]
    pub usage_metrics: bool,
    /// Since when it is there.
    #[serde(default)]
    pub life: Life,
}

resource!(
    Vpc,
    "vpc",
    |this, keys| {
        keys.number(this.vni.get().into());
        keys.of([this.main_route_table]);
        keys.of([this.main_association]);
        keys.of(this.dhcp_options);
        keys.of(this.cidrs.iter().map(|association| association.id));
        keys.of(this.ipv6.iter().map(|association| association.id));
        for association in &this.ipv6 {
            keys.address(association.cidr.network());
        }
        keys.of(this.internet_gateway);
    },
    |id| resource::unknown_id(
        id,
        "vpc",
        "vpc ID",
        "InvalidVpcID.NotFound",
        "InvalidVpcID.Malformed"
    )
);

impl Vpc {
    /// Its IPv4 blocks.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.cidrs.iter().map(|association| association.cidr)
    }

    /// Its blocks of both families.
    pub(crate) fn all_blocks(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.blocks()
            .chain(self.ipv6.iter().map(|association| association.cidr))
    }

    /// The VPC as hosts see it.
    pub(crate) fn project(&self, state: &State) -> topology::Vpc {
        topology::Vpc {
            id: self.id,
            account: self.account,
            vni: self.vni,
            cidrs: self.all_blocks().collect(),
            internet_gateway: self.internet_gateway,
            edge_table: self.internet_gateway.and_then(|gateway| {
                let mut tables = state.route_tables.of(gateway);
                tables
                    .find(|table| table.serves(gateway.into()))
                    .map(|table| table.id)
            }),
            dhcp: dhcp_options::project(state, self),
            dns: topology::Dns {
                support: self.dns_support,
                hostnames: self.dns_hostnames,
                region: self.region.as_str().to_owned(),
            },
            egress_only_gateways: egress_only_gateway::of_vpc(state, self.id).collect(),
        }
    }
}

/// A CIDR block of a request, in canonical form.
///
/// # Errors
/// `InvalidParameterValue` for what is no IPv4 block.
pub(crate) fn parse_cidr(text: &str, parameter: &str) -> Result<Cidr, ApiError> {
    text.parse::<Cidr>().ok().filter(|cidr| cidr.is_v4()).ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({text}) for parameter {parameter} is invalid. This is not a valid CIDR block."
            ),
        )
    })
}

/// Blocks that no VPC can have (EC2 "VPC CIDR blocks"; RFC 6890).
fn is_reserved(cidr: Cidr) -> bool {
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"]
        .iter()
        .filter_map(|text| text.parse::<Cidr>().ok())
        .any(|reserved| reserved.overlaps(cidr))
}

/// A block that a VPC can have.
///
/// # Errors
/// `InvalidVpc.Range`, or what [`parse_cidr`] finds.
pub(crate) fn parse_block(text: &str) -> Result<Cidr, ApiError> {
    let cidr = parse_cidr(text, "cidrBlock")?;
    if !(16..=28).contains(&cidr.length()) || is_reserved(cidr) {
        return Err(ApiError::new(
            "InvalidVpc.Range",
            format!("The CIDR '{text}' is invalid."),
        ));
    }
    Ok(cidr)
}

/// A number that no VPC of any account and region has: the one after as many as there are VPCs, which is free unless
/// VPCs were deleted; then some that the new VPC's id leads to, of which nearly all are.
fn free_vni(state: &State, id: u128) -> Result<Vni, ApiError> {
    /// With half of all numbers taken, one of so many is free but for a chance of 2⁻⁶⁴.
    const TRIES: usize = 64;
    let next = state
        .vpcs
        .size()
        .checked_add(1)
        .and_then(|next| u32::try_from(next).ok());
    // A linear congruential generator (Knuth's MMIX), of which the high bits count.
    let [.., a, b, c, d, e, f, g, h] = id.to_be_bytes();
    let others = std::iter::successors(Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])), |n| {
        Some(
            n.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    });
    let others = others.take(TRIES).map(|n| {
        let [a, b, c, ..] = n.to_be_bytes();
        u32::from_be_bytes([0, a, b, c])
    });
    next.into_iter()
        .chain(others)
        .filter_map(Vni::new)
        .find(|vni| !state.vpcs.has(&Key::Number(vni.get().into())))
        .ok_or_else(|| {
            ApiError::new(
                "InsufficientCapacity",
                "every VXLAN network identifier is taken".to_owned(),
            )
        })
}

/// A VPC with what comes with every VPC: main route table, default ACL, default security group.
pub(crate) fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    cidr: Cidr,
    tags: Tags,
    is_default: bool,
) -> Result<VpcId, ApiError> {
    quota::VPCS.one_more(tx, ctx, resource::own::<Vpc>(tx, ctx).count())?;
    let bits = ctx.random();
    let id = VpcId::from_bits(bits);
    let vni = free_vni(tx.state(), bits)?;
    let key = AccountKey {
        account: ctx.account,
        region: ctx.region.clone(),
    };
    let dhcp_options = tx
        .get::<Account>(&key)
        .map(|account| account.dhcp_options)
        .filter(|options| tx.get::<DhcpOptions>(options).is_some());
    let main_route_table = route_table::make(tx, ctx, id, Tags::default(), None);
    let default_acl = network_acl::make_default(tx, ctx, id);
    tx.put(Vpc {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        vni,
        cidrs: vec![CidrAssociation::new(ctx, cidr)],
        is_default,
        dns_support: true,
        dns_hostnames: is_default,
        dhcp_options,
        main_route_table,
        main_association: AssociationId::from_bits(ctx.random()),
        default_acl,
        internet_gateway: None,
        ipv6: Vec::new(),
        dedicated: false,
        usage_metrics: false,
        life: Life::begin(ctx),
    });
    security_group::make_default(tx, ctx, id);
    Ok(id)
}

/// The client's default VPC in the region.
pub(crate) fn default_of<'t>(tx: &'t Tx, ctx: &Context<'_>) -> Option<&'t Vpc> {
    resource::own::<Vpc>(tx, ctx).find(|vpc| vpc.is_default)
}

/// EC2's default VPC: 172.31.0.0/16, a /20 in each zone, an internet gateway and a route to it.
pub(crate) fn make_default(tx: &mut Tx, ctx: &Context<'_>) -> Result<VpcId, ApiError> {
    let cidr = parse_block("172.31.0.0/16")?;
    let id = make(tx, ctx, cidr, Tags::default(), true)?;
    for (index, zone) in (0u128..).zip(zones::own(ctx)) {
        let block = cidr
            .nth(index << 12)
            .and_then(|address| Cidr::containing(address, 20));
        if let Some(block) = block {
            subnet::make(tx, ctx, id, block, zone.id, Tags::default(), true)?;
        }
    }
    let gateway = internet_gateway::make(tx, ctx, Tags::default())?;
    internet_gateway::attach(tx, gateway, id);
    let main = tx.get::<Vpc>(&id).map(|vpc| vpc.main_route_table);
    if let Some(main) = main {
        route_table::add_default_route(tx, main, gateway);
    }
    Ok(id)
}

/// `CreateVpc`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateVpcRequest {
    cidr_block: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    instance_tenancy: Option<String>,
    amazon_provided_ipv6_cidr_block: Option<bool>,
    ipv4_ipam_pool_id: Option<String>,
    ipv4_netmask_length: Option<i64>,
    ipv6_cidr_block_network_border_group: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VpcReply {
    vpc: VpcItem,
}

/// A VPC in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VpcItem {
    owner_id: AccountId,
    instance_tenancy: &'static str,
    cidr_block_association_set: Vec<CidrItem>,
    /// EC2 has an empty list in the reply that creates a VPC only.
    ipv6_cidr_block_association_set: Option<Vec<Ipv6Item>>,
    is_default: bool,
    tags: Vec<Tag>,
    vpc_id: VpcId,
    state: &'static str,
    cidr_block: String,
    dhcp_options_id: String,
}

impl Vpc {
    /// EC2's word for what instances are launched on.
    pub(crate) const fn tenancy(&self) -> &'static str {
        if self.dedicated {
            "dedicated"
        } else {
            "default"
        }
    }

    fn primary(&self) -> String {
        self.blocks()
            .next()
            .map(|cidr| cidr.to_string())
            .unwrap_or_default()
    }

    fn is_pending(&self, now: Timestamp) -> bool {
        self.life.phase(now) == Phase::Pending
    }

    fn state(&self, now: Timestamp) -> &'static str {
        if self.is_pending(now) {
            "pending"
        } else {
            "available"
        }
    }

    fn reply(&self, now: Timestamp) -> VpcItem {
        let ipv6: Vec<Ipv6Item> = self
            .ipv6
            .iter()
            .map(|a| a.reply(&self.region, now))
            .collect();
        VpcItem {
            owner_id: self.account,
            instance_tenancy: self.tenancy(),
            cidr_block_association_set: self
                .cidrs
                .iter()
                .map(|association| association.reply(now))
                .collect(),
            ipv6_cidr_block_association_set: Some(ipv6).filter(|set| !set.is_empty()),
            is_default: self.is_default,
            tags: self.tags.reply(),
            vpc_id: self.id,
            state: self.state(now),
            cidr_block: self.primary(),
            dhcp_options_id: dhcp_options::name_of(self.dhcp_options),
        }
    }
}

/// EC2 answers before anything has settled.
fn created(tx: &Tx, ctx: &Context<'_>, id: VpcId) -> Result<VpcReply, ApiError> {
    let record = resource::get::<Vpc>(tx, &id)?;
    let mut vpc = record.reply(ctx.now);
    vpc.state = "pending";
    vpc.ipv6_cidr_block_association_set = Some(
        record
            .ipv6
            .iter()
            .map(|a| a.new_reply(&record.region))
            .collect(),
    );
    Ok(VpcReply { vpc })
}

pub(crate) fn create_vpc(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateVpcRequest,
) -> Result<VpcReply, ApiError> {
    let dedicated = match req.instance_tenancy.as_deref() {
        None | Some("default") => false,
        Some("dedicated") => true,
        // EC2: "The host value cannot be used with this parameter".
        Some(other) => return Err(resource::invalid_value(&other, "instanceTenancy")),
    };
    let wants_ipv6 = vpc_cidr::wants_ipv6(
        ctx,
        req.amazon_provided_ipv6_cidr_block,
        req.ipv6_cidr_block_network_border_group.as_deref(),
    )?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), "vpc")?;
    let (pool, cidr) = allocation::block_of_vpc(
        tx,
        ctx,
        req.ipv4_ipam_pool_id.as_deref(),
        req.cidr_block.as_deref(),
        req.ipv4_netmask_length,
        &tags,
    )?;
    let id = make(tx, ctx, cidr, tags, false)?;
    if let Some(pool) = pool {
        allocation::bind_vpc(tx, ctx, pool, cidr, id)?;
    }
    let mut vpc = resource::get::<Vpc>(tx, &id)?.clone();
    vpc.dedicated = dedicated;
    if wants_ipv6 {
        vpc.ipv6.push(Ipv6Association::new(tx, ctx)?);
    }
    tx.put(vpc);
    if wants_ipv6 {
        vpc_cidr::open_ipv6(tx, ctx, id);
    }
    created(tx, ctx, id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateDefaultVpcRequest {}

pub(crate) fn create_default_vpc(
    tx: &mut Tx,
    ctx: &Context<'_>,
    _: CreateDefaultVpcRequest,
) -> Result<VpcReply, ApiError> {
    if let Some(vpc) = default_of(tx, ctx) {
        return Err(ApiError::new(
            "DefaultVpcAlreadyExists",
            format!(
                "A Default VPC already exists for this account in this region: {}",
                vpc.id
            ),
        ));
    }
    let id = make_default(tx, ctx)?;
    created(tx, ctx, id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeVpcsRequest {
    filters: Option<Vec<Filter>>,
    vpc_ids: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeVpcsReply {
    next_token: Option<String>,
    vpcs: Vec<VpcItem>,
}

const FILTERS: &[Field<Vpc>] = &[
    ("cidr", |_, vpc| vec![vpc.primary()]),
    // Not documented, and sent by Ansible.
    ("cidr-block", |_, vpc| vec![vpc.primary()]),
    ("cidrBlock", |_, vpc| vec![vpc.primary()]),
    ("cidr-block-association.cidr-block", |_, vpc| {
        vpc.blocks().map(|cidr| cidr.to_string()).collect()
    }),
    ("cidr-block-association.association-id", |_, vpc| {
        vpc.cidrs
            .iter()
            .map(|association| association.id.to_string())
            .collect()
    }),
    ("cidr-block-association.state", |view, vpc| {
        vpc.cidrs
            .iter()
            .map(|a| vpc_cidr::state(a.life, view.now).to_owned())
            .collect()
    }),
    ("dhcp-options-id", |_, vpc| {
        vec![dhcp_options::name_of(vpc.dhcp_options)]
    }),
    ("ipv6-cidr-block-association.association-id", |_, vpc| {
        vpc.ipv6.iter().map(|a| a.id.to_string()).collect()
    }),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_, vpc| {
        vpc.ipv6.iter().map(|a| a.cidr.to_string()).collect()
    }),
    ("ipv6-cidr-block-association.ipv6-pool", |_, vpc| {
        vpc.ipv6.iter().map(|_| vpc_cidr::POOL.to_owned()).collect()
    }),
    ("ipv6-cidr-block-association.state", |view, vpc| {
        vpc.ipv6
            .iter()
            .map(|a| vpc_cidr::state(a.life, view.now).to_owned())
            .collect()
    }),
    ("is-default", |_, vpc| vec![vpc.is_default.to_string()]),
    // The name of before 2017, which tools still send.
    ("isDefault", |_, vpc| vec![vpc.is_default.to_string()]),
    ("owner-id", |_, vpc| vec![vpc.account.to_string()]),
    ("state", |view, vpc| vec![vpc.state(view.now).to_owned()]),
    ("vpc-id", |_, vpc| vec![vpc.id.to_string()]),
];

pub(crate) fn describe_vpcs(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeVpcsRequest,
) -> Result<DescribeVpcsReply, ApiError> {
    let query = Query {
        ids: req.vpc_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<Vpc>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeVpcsReply {
        next_token: page.next_token,
        vpcs: page
            .items
            .into_iter()
            .map(|vpc| vpc.reply(ctx.now))
            .collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteVpcRequest {
    vpc_id: String,
}

pub(crate) fn delete_vpc(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteVpcRequest,
) -> Result<(), ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.clone();
    let state = tx.state();
    let acls: Vec<AclId> = state.network_acls.of(vpc.id).map(|a| a.id).collect();
    let groups: Vec<&SecurityGroup> = state
        .security_groups
        .of(vpc.id)
        .filter(|group| group.vpc == vpc.id)
        .collect();
    let tables: Vec<RouteTableId> = route_table::of_vpc(state, vpc.id).map(|t| t.id).collect();
    let in_use = vpc.internet_gateway.is_some()
        || egress_only_gateway::hold(state, vpc.id)
        || subnet::of_vpc(state, vpc.id).next().is_some()
        || state.interfaces.of(vpc.id).next().is_some()
        || groups.iter().any(|group| group.name != "default")
        || acls.iter().any(|acl| *acl != vpc.default_acl)
        || tables.iter().any(|table| *table != vpc.main_route_table)
        || crate::security_group_vpc::hold(state, vpc.id)
        || crate::mortal::is_held(state, vpc.id);
    if in_use {
        return Err(resource::in_use("vpc", &vpc.id));
    }
    let groups: Vec<_> = groups.into_iter().map(|group| group.id).collect();
    for group in groups {
        tx.remove::<SecurityGroup>(&group);
    }
    for acl in acls {
        tx.remove::<NetworkAcl>(&acl);
    }
    for table in tables {
        tx.remove::<RouteTable>(&table);
    }
    crate::mortal::forget_what_watches(tx, vpc.id);
    peering::end_all(tx, ctx, vpc.id);
    allocation::release_vpc(tx, vpc.id, None);
    tx.remove::<Vpc>(&vpc.id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    #[test]
    fn an_account_begins_with_its_default_vpc() {
        let mut world = World::new();
        let vpcs = world.ok("DescribeVpcs", json!({}));
        assert_eq!(count(&vpcs, "Vpcs"), 1);
        assert_eq!(text(&vpcs, "Vpcs.0.CidrBlock"), "172.31.0.0/16");
        assert_eq!(text(&vpcs, "Vpcs.0.IsDefault"), "true");
        assert_eq!(text(&vpcs, "Vpcs.0.OwnerId"), "111122223333");
        let id = text(&vpcs, "Vpcs.0.VpcId");
        let of_vpc = json!({"Filters": [{"Name": "vpc-id", "Values": [id.clone()]}]});
        let subnets = world.ok("DescribeSubnets", of_vpc.clone());
        assert_eq!(count(&subnets, "Subnets"), 3);
        let gateways = world.ok(
            "DescribeInternetGateways",
            json!({"Filters": [{"Name": "attachment.vpc-id", "Values": [id.clone()]}]}),
        );
        assert_eq!(count(&gateways, "InternetGateways"), 1);
        let tables = world.ok("DescribeRouteTables", of_vpc.clone());
        assert_eq!(text(&tables, "RouteTables.0.Routes.0.GatewayId"), "local");
        assert_eq!(
            text(&tables, "RouteTables.0.Routes.1.DestinationCidrBlock"),
            "0.0.0.0/0"
        );
        assert_eq!(text(&tables, "RouteTables.0.Routes.1.State"), "active");
        assert_eq!(
            count(
                &world.ok("DescribeNetworkAcls", of_vpc.clone()),
                "NetworkAcls"
            ),
            1
        );
        assert_eq!(
            count(
                &world.ok("DescribeSecurityGroups", of_vpc),
                "SecurityGroups"
            ),
            1
        );
        assert_eq!(
            world.err("CreateDefaultVpc", json!({})),
            "DefaultVpcAlreadyExists"
        );
    }

    #[test]
    fn accounts_and_regions_are_apart() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let ids = json!({"VpcIds": [text(&vpc, "Vpc.VpcId")]});
        world.ok("DescribeVpcs", ids.clone());
        world.region = "eu-central-1";
        assert_eq!(
            world.err("DescribeVpcs", ids.clone()),
            "InvalidVpcID.NotFound"
        );
        world.region = "us-east-1";
        world.account = account("444455556666");
        assert_eq!(world.err("DescribeVpcs", ids), "InvalidVpcID.NotFound");
        world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vnis: std::collections::BTreeSet<u32> =
            world.state.vpcs.values().map(|vpc| vpc.vni.get()).collect();
        // Two accounts' default VPCs and their two others. A request that failed left no account behind.
        assert_eq!(vnis, (1..=4).collect());
    }

    #[test]
    fn blocks_have_bounds() {
        let mut world = World::new();
        for (cidr, code) in [
            ("10.0.0.0/15", "InvalidVpc.Range"),
            ("10.0.0.0/29", "InvalidVpc.Range"),
            ("127.0.0.0/16", "InvalidVpc.Range"),
            ("10.0.0.0", "InvalidParameterValue"),
            ("fd00::/16", "InvalidParameterValue"),
        ] {
            assert_eq!(
                world.err("CreateVpc", json!({"CidrBlock": cidr})),
                code,
                "{cidr}"
            );
        }
        assert_eq!(world.err("CreateVpc", json!({})), "MissingParameter");
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.5.0/16"}));
        assert_eq!(text(&vpc, "Vpc.CidrBlock"), "10.0.0.0/16");
    }

    #[test]
    fn what_is_not_honoured_is_refused_by_name() {
        let mut world = World::new();
        let refused = |world: &mut World, member: &str, value: serde_json::Value| {
            let mut input = json!({"CidrBlock": "10.0.0.0/16"});
            input[member] = value;
            let error = world.call("CreateVpc", &input).unwrap_err();
            assert_eq!(error.code, "UnsupportedOperation");
            assert!(error.message.contains(member), "{}", error.message);
        };
        refused(&mut world, "Ipv6Pool", json!("ipv6pool-ec2-1"));
        let spelled_out = json!({"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "default",
            "AmazonProvidedIpv6CidrBlock": false});
        world.ok("CreateVpc", spelled_out);
    }

    #[test]
    fn a_vpc_of_two_families() {
        let mut world = World::new();
        world.settle = 1000;
        let request = json!({"CidrBlock": "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock": true,
            "Ipv6CidrBlockNetworkBorderGroup": "us-east-1", "InstanceTenancy": "dedicated"});
        let first = world.ok("CreateVpc", request.clone());
        let second = world.ok("CreateVpc", request.clone());
        let block =
            |reply: &api::Value| text(reply, "Vpc.Ipv6CidrBlockAssociationSet.0.Ipv6CidrBlock");
        assert!(
            block(&first).starts_with("2001:db8:") && block(&first).ends_with("::/56"),
            "{}",
            block(&first)
        );
        assert_ne!(block(&first), block(&second));
        let ids = json!({"VpcIds": [text(&first, "Vpc.VpcId")]});
        let mut shown = |after: i64| {
            world.now.0 += after;
            let reply = world.ok("DescribeVpcs", ids.clone());
            let state = "Vpcs.0.Ipv6CidrBlockAssociationSet.0.Ipv6CidrBlockState.State";
            assert_eq!(text(&reply, "Vpcs.0.InstanceTenancy"), "dedicated");
            (text(&reply, "Vpcs.0.State"), text(&reply, state))
        };
        assert_eq!(shown(0), ("pending".to_owned(), "associating".to_owned()));
        assert_eq!(
            shown(1000),
            ("available".to_owned(), "associated".to_owned())
        );
        let id = &ids["VpcIds"][0];
        let tenancy = |tenancy: &str| json!({"VpcId": id, "InstanceTenancy": tenancy});
        assert_eq!(
            world.err("ModifyVpcTenancy", tenancy("dedicated")),
            "InvalidParameterValue"
        );
        let reply = world.ok("ModifyVpcTenancy", tenancy("default"));
        assert_eq!(text(&reply, "ReturnValue"), "true");
        for (member, value, code) in [
            ("InstanceTenancy", json!("host"), "InvalidParameterValue"),
            (
                "Ipv6CidrBlockNetworkBorderGroup",
                json!("us-west-2"),
                "InvalidParameterValue",
            ),
        ] {
            let mut request = request.clone();
            request[member] = value;
            assert_eq!(world.err("CreateVpc", request), code);
        }
        let filters = json!({"Filters": [{"Name": "ipv6-cidr-block-association.ipv6-cidr-block", "Values": [block(&second)]}]});
        assert_eq!(count(&world.ok("DescribeVpcs", filters), "Vpcs"), 1);
    }

    #[test]
    fn dry_run_changes_nothing_and_still_finds_errors() {
        let mut world = World::new();
        let dry = |cidr| json!({"CidrBlock": cidr, "DryRun": true});
        assert_eq!(
            world.err("CreateVpc", dry("10.0.0.0/16")),
            "DryRunOperation"
        );
        assert_eq!(
            world.err("CreateVpc", dry("10.0.0.0/8")),
            "InvalidVpc.Range"
        );
        assert_eq!(world.state.vpcs.size(), 0);
    }

    #[test]
    fn deletion_waits_for_what_is_inside() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let id = json!({"VpcId": text(&vpc, "Vpc.VpcId")});
        let subnet = world.ok(
            "CreateSubnet",
            json!({"VpcId": id["VpcId"], "CidrBlock": "10.0.0.0/24"}),
        );
        assert_eq!(world.err("DeleteVpc", id.clone()), "DependencyViolation");
        world.ok(
            "DeleteSubnet",
            json!({"SubnetId": text(&subnet, "Subnet.SubnetId")}),
        );
        let table = world.ok("CreateRouteTable", id.clone());
        assert_eq!(world.err("DeleteVpc", id.clone()), "DependencyViolation");
        world.ok(
            "DeleteRouteTable",
            json!({"RouteTableId": text(&table, "RouteTable.RouteTableId")}),
        );
        world.ok("DeleteVpc", id.clone());
        assert_eq!(world.err("DeleteVpc", id), "InvalidVpcID.NotFound");
        // The default VPC's own table, ACL and group are all that is left.
        let state = &world.state;
        let left = [
            state.route_tables.size(),
            state.network_acls.size(),
            state.security_groups.size(),
        ];
        assert_eq!(left, [1, 1, 1]);
    }
}
