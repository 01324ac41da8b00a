//! VPCs.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AclId, AssociationId, Cidr, DhcpOptionsId, GatewayId, RegionName, RouteTableId, Vni,
    VpcId,
};

use crate::account::{Account, AccountKey};
use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{
    Context, NetworkAcl, NetworkInterface, RouteTable, SecurityGroup, State, Tx, internet_gateway,
    network_acl, route_table, security_group, subnet, zones,
};

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
    pub dhcp_options: DhcpOptionsId,
    /// The route table of the subnets that have none of their own.
    pub main_route_table: RouteTableId,
    /// The association that makes it the main one.
    pub main_association: AssociationId,
    /// The network ACL that came with the VPC and that new subnets have.
    pub default_acl: AclId,
    /// The internet gateway that is attached. The gateway's record says the same.
    pub internet_gateway: Option<GatewayId>,
}

/// A block of a VPC, under the id that `AssociateVpcCidrBlock` gives it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CidrAssociation {
    /// `vpc-cidr-assoc-` and 17 hexadecimal digits.
    pub id: String,
    /// The block.
    pub cidr: Cidr,
}

/// EC2's default is 5 and adjustable; more than any experiment needs, and still a bound.
const MAX_VPCS: usize = 256;
/// "IPv4 CIDR blocks per VPC" of the VPC quotas.
const MAX_CIDRS: usize = 5;

resource!(Vpc, "vpc", |id| ApiError::new(
    "InvalidVpcID.NotFound",
    format!("The vpc ID '{id}' does not exist")
));

impl Vpc {
    /// Its blocks.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.cidrs.iter().map(|association| association.cidr)
    }

    /// The VPC as hosts see it.
    pub(crate) fn project(&self) -> topology::Vpc {
        topology::Vpc {
            id: self.id,
            account: self.account,
            vni: self.vni,
            cidrs: self.blocks().collect(),
            internet_gateway: self.internet_gateway,
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

fn parse_block(text: &str) -> Result<Cidr, ApiError> {
    let cidr = parse_cidr(text, "cidrBlock")?;
    if !(16..=28).contains(&cidr.length()) || is_reserved(cidr) {
        return Err(ApiError::new(
            "InvalidVpc.Range",
            format!("The CIDR '{text}' is invalid."),
        ));
    }
    Ok(cidr)
}

/// The smallest number that no VPC of any account and region has.
fn free_vni(state: &State) -> Result<Vni, ApiError> {
    let taken: std::collections::BTreeSet<u32> =
        state.vpcs.values().map(|vpc| vpc.vni.get()).collect();
    let mut wanted = 1;
    for number in taken {
        if number != wanted {
            break;
        }
        wanted += 1;
    }
    Vni::new(wanted).ok_or_else(|| {
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
    if resource::own::<Vpc>(tx, ctx).count() >= MAX_VPCS {
        return Err(ApiError::new(
            "VpcLimitExceeded",
            "The maximum number of VPCs has been reached.".to_owned(),
        ));
    }
    let id = VpcId::from_bits(ctx.random());
    let vni = free_vni(tx.state())?;
    let key = AccountKey {
        account: ctx.account,
        region: ctx.region.clone(),
    };
    let dhcp_options = tx
        .get::<Account>(&key)
        .map_or(DhcpOptionsId::from_bits(0), |account| account.dhcp_options);
    let main_route_table = route_table::make(tx, ctx, id, Tags::default(), None);
    let default_acl = network_acl::make_default(tx, ctx, id);
    tx.put(Vpc {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        vni,
        cidrs: vec![CidrAssociation {
            id: association_id(ctx),
            cidr,
        }],
        is_default,
        dns_support: true,
        dns_hostnames: is_default,
        dhcp_options,
        main_route_table,
        main_association: AssociationId::from_bits(ctx.random()),
        default_acl,
        internet_gateway: None,
    });
    security_group::make_default(tx, ctx, id);
    Ok(id)
}

fn association_id(ctx: &Context<'_>) -> String {
    format!("vpc-cidr-assoc-{:017x}", ctx.random() & ((1 << 68) - 1))
}

/// The client's default VPC in the region.
pub(crate) fn default_of<'t>(tx: &'t Tx, ctx: &Context<'_>) -> Option<&'t Vpc> {
    resource::own::<Vpc>(tx, ctx).find(|vpc| vpc.is_default)
}

/// EC2's default VPC: 172.31.0.0/16, a /20 in each zone, an internet gateway and a route to it.
pub(crate) fn make_default(tx: &mut Tx, ctx: &Context<'_>) -> Result<VpcId, ApiError> {
    let cidr = parse_block("172.31.0.0/16")?;
    let id = make(tx, ctx, cidr, Tags::default(), true)?;
    for (index, zone) in (0u128..).zip(zones::of(&ctx.region)) {
        let block = cidr
            .nth(index << 12)
            .and_then(|address| Cidr::containing(address, 20));
        if let Some(block) = block {
            subnet::make(tx, ctx, id, block, zone.name, Tags::default(), true)?;
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
    is_default: bool,
    tags: Vec<Tag>,
    vpc_id: VpcId,
    state: &'static str,
    cidr_block: String,
    dhcp_options_id: DhcpOptionsId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CidrItem {
    association_id: String,
    cidr_block: String,
    cidr_block_state: CidrState,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CidrState {
    state: &'static str,
}

impl CidrAssociation {
    fn reply(&self, state: &'static str) -> CidrItem {
        CidrItem {
            association_id: self.id.clone(),
            cidr_block: self.cidr.to_string(),
            cidr_block_state: CidrState { state },
        }
    }
}

impl Vpc {
    fn primary(&self) -> String {
        self.blocks()
            .next()
            .map(|cidr| cidr.to_string())
            .unwrap_or_default()
    }

    fn reply(&self, state: &'static str) -> VpcItem {
        VpcItem {
            owner_id: self.account,
            instance_tenancy: "default",
            cidr_block_association_set: self
                .cidrs
                .iter()
                .map(|association| association.reply("associated"))
                .collect(),
            is_default: self.is_default,
            tags: self.tags.reply(),
            vpc_id: self.id,
            state,
            cidr_block: self.primary(),
            dhcp_options_id: self.dhcp_options,
        }
    }
}

fn created(tx: &Tx, id: VpcId) -> Result<VpcReply, ApiError> {
    let vpc = resource::get::<Vpc>(tx, &id)?;
    Ok(VpcReply {
        vpc: vpc.reply("pending"),
    })
}

pub(crate) fn create_vpc(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateVpcRequest,
) -> Result<VpcReply, ApiError> {
    let text = req
        .cidr_block
        .as_deref()
        .ok_or_else(|| resource::missing("cidrBlock"))?;
    let cidr = parse_block(text)?;
    if let Some(tenancy) = req.instance_tenancy.filter(|tenancy| tenancy != "default") {
        return Err(resource::unsupported("InstanceTenancy", &tenancy));
    }
    resource::only_false(
        "AmazonProvidedIpv6CidrBlock",
        req.amazon_provided_ipv6_cidr_block,
    )?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), "vpc")?;
    let id = make(tx, ctx, cidr, tags, false)?;
    created(tx, id)
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
    created(tx, id)
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
    ("cidr-block-association.cidr-block", |_, vpc| {
        vpc.blocks().map(|cidr| cidr.to_string()).collect()
    }),
    ("cidr-block-association.association-id", |_, vpc| {
        vpc.cidrs
            .iter()
            .map(|association| association.id.clone())
            .collect()
    }),
    ("cidr-block-association.state", |_, _| {
        vec!["associated".to_owned()]
    }),
    ("dhcp-options-id", |_, vpc| {
        vec![vpc.dhcp_options.to_string()]
    }),
    // No VPC has an IPv6 block.
    ("ipv6-cidr-block-association.association-id", |_, _| vec![]),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_, _| vec![]),
    ("ipv6-cidr-block-association.ipv6-pool", |_, _| vec![]),
    ("ipv6-cidr-block-association.state", |_, _| vec![]),
    ("is-default", |_, vpc| vec![vpc.is_default.to_string()]),
    // The name of before 2017, which tools still send.
    ("isDefault", |_, vpc| vec![vpc.is_default.to_string()]),
    ("owner-id", |_, vpc| vec![vpc.account.to_string()]),
    ("state", |_, _| vec!["available".to_owned()]),
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
            .map(|vpc| vpc.reply("available"))
            .collect(),
    })
}

/// A boolean in a structure of its own, as attribute actions have it.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct BooleanAttribute {
    pub(crate) value: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeVpcAttributeRequest {
    attribute: String,
    vpc_id: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeVpcAttributeReply {
    enable_dns_hostnames: Option<BooleanAttribute>,
    enable_dns_support: Option<BooleanAttribute>,
    enable_network_address_usage_metrics: Option<BooleanAttribute>,
    vpc_id: String,
}

pub(crate) fn describe_vpc_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeVpcAttributeRequest,
) -> Result<DescribeVpcAttributeReply, ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?;
    let mut reply = DescribeVpcAttributeReply {
        vpc_id: req.vpc_id,
        ..Default::default()
    };
    let (place, value) = match req.attribute.as_str() {
        "enableDnsSupport" => (&mut reply.enable_dns_support, vpc.dns_support),
        "enableDnsHostnames" => (&mut reply.enable_dns_hostnames, vpc.dns_hostnames),
        "enableNetworkAddressUsageMetrics" => {
            (&mut reply.enable_network_address_usage_metrics, false)
        }
        other => {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Value ({other}) for parameter attribute is invalid. Unknown attribute."),
            ));
        }
    };
    *place = Some(BooleanAttribute { value: Some(value) });
    Ok(reply)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyVpcAttributeRequest {
    vpc_id: String,
    enable_dns_support: Option<BooleanAttribute>,
    enable_dns_hostnames: Option<BooleanAttribute>,
    enable_network_address_usage_metrics: Option<BooleanAttribute>,
}

pub(crate) fn modify_vpc_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyVpcAttributeRequest,
) -> Result<(), ApiError> {
    let mut vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.clone();
    let value = |attribute: Option<BooleanAttribute>| attribute.and_then(|a| a.value);
    resource::only_false(
        "EnableNetworkAddressUsageMetrics",
        value(req.enable_network_address_usage_metrics),
    )?;
    let given = [
        req.enable_dns_support.is_some(),
        req.enable_dns_hostnames.is_some(),
        req.enable_network_address_usage_metrics.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Exactly one attribute must be modified at a time".to_owned(),
        ));
    }
    vpc.dns_support = value(req.enable_dns_support).unwrap_or(vpc.dns_support);
    vpc.dns_hostnames = value(req.enable_dns_hostnames).unwrap_or(vpc.dns_hostnames);
    tx.put(vpc);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateVpcCidrBlockRequest {
    vpc_id: String,
    cidr_block: Option<String>,
    amazon_provided_ipv6_cidr_block: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CidrBlockReply {
    cidr_block_association: CidrItem,
    vpc_id: VpcId,
}

pub(crate) fn associate_vpc_cidr_block(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateVpcCidrBlockRequest,
) -> Result<CidrBlockReply, ApiError> {
    let mut vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.clone();
    resource::only_false(
        "AmazonProvidedIpv6CidrBlock",
        req.amazon_provided_ipv6_cidr_block,
    )?;
    let text = req
        .cidr_block
        .as_deref()
        .ok_or_else(|| resource::missing("cidrBlock"))?;
    let cidr = parse_block(text)?;
    if vpc.blocks().any(|block| block.overlaps(cidr)) {
        return Err(ApiError::new(
            "InvalidVpc.Range",
            format!(
                "The CIDR '{text}' conflicts with one or more existing associations on the VPC."
            ),
        ));
    }
    if vpc.cidrs.len() >= MAX_CIDRS {
        return Err(ApiError::new(
            "CidrLimitExceeded",
            format!(
                "This network '{}' has met its maximum number of allowed CIDRs: {MAX_CIDRS}",
                vpc.id
            ),
        ));
    }
    // The new block's local route must not hide a route that a client made (EC2 "IPv4 CIDR block association
    // restrictions").
    let hides = route_table::of_vpc(tx.state(), vpc.id)
        .flat_map(|table| table.routes.keys())
        .any(|destination| cidr.covers(*destination));
    if hides {
        return Err(ApiError::new(
            "InvalidCidrBlock.InUse",
            format!("The CIDR '{text}' conflicts with a route of the VPC's route tables."),
        ));
    }
    let association = CidrAssociation {
        id: association_id(ctx),
        cidr,
    };
    let reply = CidrBlockReply {
        cidr_block_association: association.reply("associating"),
        vpc_id: vpc.id,
    };
    vpc.cidrs.push(association);
    tx.put(vpc);
    Ok(reply)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisassociateVpcCidrBlockRequest {
    association_id: String,
}

pub(crate) fn disassociate_vpc_cidr_block(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DisassociateVpcCidrBlockRequest,
) -> Result<CidrBlockReply, ApiError> {
    let found = resource::own::<Vpc>(tx, ctx).find_map(|vpc| {
        let index = vpc.cidrs.iter().position(|a| a.id == req.association_id)?;
        Some((vpc.clone(), index))
    });
    let Some((mut vpc, index)) = found else {
        return Err(ApiError::new(
            "InvalidVpcCidrBlockAssociationID.NotFound",
            format!(
                "The vpc CIDR block association ID '{}' does not exist",
                req.association_id
            ),
        ));
    };
    if index == 0 {
        return Err(ApiError::new(
            "OperationNotPermitted",
            format!(
                "The vpc CIDR block with association ID {} may not be disassociated. It is the primary IPv4 CIDR block of the VPC",
                req.association_id
            ),
        ));
    }
    let association = vpc.cidrs.remove(index);
    if subnet::of_vpc(tx.state(), vpc.id).any(|s| association.cidr.covers(s.cidr)) {
        return Err(ApiError::new(
            "InvalidCidrBlock.InUse",
            format!(
                "The vpc '{}' currently has subnet(s) in CIDR block '{}'",
                vpc.id, association.cidr
            ),
        ));
    }
    let reply = CidrBlockReply {
        cidr_block_association: association.reply("disassociating"),
        vpc_id: vpc.id,
    };
    tx.put(vpc);
    Ok(reply)
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
    let acls: Vec<AclId> = tx
        .all::<NetworkAcl>()
        .filter(|a| a.vpc == vpc.id)
        .map(|a| a.id)
        .collect();
    let groups: Vec<&SecurityGroup> = tx
        .all::<SecurityGroup>()
        .filter(|group| group.vpc == vpc.id)
        .collect();
    let tables: Vec<RouteTableId> = route_table::of_vpc(state, vpc.id).map(|t| t.id).collect();
    let in_use = vpc.internet_gateway.is_some()
        || subnet::of_vpc(state, vpc.id).next().is_some()
        || tx
            .all::<NetworkInterface>()
            .any(|interface| interface.vpc == vpc.id)
        || groups.iter().any(|group| group.name != "default")
        || acls.iter().any(|acl| *acl != vpc.default_acl)
        || tables.iter().any(|table| *table != vpc.main_route_table);
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
        refused(&mut world, "InstanceTenancy", json!("dedicated"));
        refused(&mut world, "AmazonProvidedIpv6CidrBlock", json!(true));
        refused(&mut world, "Ipv4IpamPoolId", json!("ipam-pool-1"));
        let spelled_out = json!({"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "default",
            "AmazonProvidedIpv6CidrBlock": false});
        world.ok("CreateVpc", spelled_out);
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
        assert!(world.state.vpcs.is_empty());
    }

    #[test]
    fn attributes() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let id = text(&vpc, "Vpc.VpcId");
        let value = |world: &mut World, attribute: &str, member: &str| {
            let reply = world.ok(
                "DescribeVpcAttribute",
                json!({"VpcId": id, "Attribute": attribute}),
            );
            text(&reply, &format!("{member}.Value"))
        };
        assert_eq!(
            value(&mut world, "enableDnsSupport", "EnableDnsSupport"),
            "true"
        );
        assert_eq!(
            value(&mut world, "enableDnsHostnames", "EnableDnsHostnames"),
            "false"
        );
        world.ok(
            "ModifyVpcAttribute",
            json!({"VpcId": id, "EnableDnsHostnames": {"Value": true}}),
        );
        assert_eq!(
            value(&mut world, "enableDnsHostnames", "EnableDnsHostnames"),
            "true"
        );
        let metrics = "EnableNetworkAddressUsageMetrics";
        assert_eq!(
            value(&mut world, "enableNetworkAddressUsageMetrics", metrics),
            "false"
        );
        let on = json!({"VpcId": id, metrics: {"Value": true}});
        assert_eq!(world.err("ModifyVpcAttribute", on), "UnsupportedOperation");
    }

    #[test]
    fn further_blocks() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let id = text(&vpc, "Vpc.VpcId");
        let add = |cidr: &str| json!({"VpcId": id, "CidrBlock": cidr});
        assert_eq!(
            world.err("AssociateVpcCidrBlock", add("10.0.128.0/17")),
            "InvalidVpc.Range"
        );
        let reply = world.ok("AssociateVpcCidrBlock", add("10.1.0.0/16"));
        let association = text(&reply, "CidrBlockAssociation.AssociationId");
        let subnet = world.ok("CreateSubnet", add("10.1.0.0/24"));
        let off = json!({"AssociationId": association});
        assert_eq!(
            world.err("DisassociateVpcCidrBlock", off.clone()),
            "InvalidCidrBlock.InUse"
        );
        world.ok(
            "DeleteSubnet",
            json!({"SubnetId": text(&subnet, "Subnet.SubnetId")}),
        );
        world.ok("DisassociateVpcCidrBlock", off);
        let primary =
            json!({"AssociationId": text(&vpc, "Vpc.CidrBlockAssociationSet.0.AssociationId")});
        assert_eq!(
            world.err("DisassociateVpcCidrBlock", primary),
            "OperationNotPermitted"
        );
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
