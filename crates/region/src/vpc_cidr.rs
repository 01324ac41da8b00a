//! The address blocks of VPCs.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{Cidr, RegionName, VpcCidrAssociationId, VpcId};

use crate::dispatch::actions;
use crate::ipam::allocation;
use crate::resource::Resource as _;
use crate::{
    Context, Key, Life, Phase, Timestamp, Tx, Vpc, network_acl, quota, resource, route_table,
    security_group, subnet,
};

actions! {
    "AssociateVpcCidrBlock" => associate_vpc_cidr_block, Enforced;
    "DisassociateVpcCidrBlock" => disassociate_vpc_cidr_block, Enforced;
}

/// An IPv4 block of a VPC, under the id that `AssociateVpcCidrBlock` gives it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CidrAssociation {
    /// Its identifier.
    pub id: VpcCidrAssociationId,
    /// The block.
    pub cidr: Cidr,
    /// Since when it is the VPC's.
    #[serde(default)]
    pub life: Life,
}

/// An IPv6 block of a VPC: a /56 of the region's pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ipv6Association {
    /// Its identifier.
    pub id: VpcCidrAssociationId,
    /// The block.
    pub cidr: Cidr,
    /// Since when it is the VPC's.
    pub life: Life,
}

/// The name of the pool that IPv6 blocks come from, as EC2 has it.
pub(crate) const POOL: &str = "Amazon";
/// How large the IPv6 block of a VPC is.
const LENGTH: u8 = 56;
/// How often a free block is guessed before none is taken for left.
const GUESSES: usize = 128;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CidrItem {
    association_id: VpcCidrAssociationId,
    cidr_block: Cidr,
    cidr_block_state: CidrState,
}

/// An IPv6 block in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ipv6Item {
    association_id: VpcCidrAssociationId,
    ipv6_cidr_block: Cidr,
    ipv6_cidr_block_state: CidrState,
    network_border_group: RegionName,
    ipv6_pool: &'static str,
    ipv6_address_attribute: &'static str,
    ip_source: &'static str,
}

/// The state of an association in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CidrState {
    pub(crate) state: &'static str,
}

/// EC2's word for the state of an association.
pub(crate) const fn state(life: Life, now: Timestamp) -> &'static str {
    match life.phase(now) {
        Phase::Pending => "associating",
        Phase::Live => "associated",
        Phase::Deleting => "disassociating",
        Phase::Deleted => "disassociated",
    }
}

impl CidrAssociation {
    /// The association of a block that no VPC's association is yet.
    pub(crate) fn new(ctx: &Context<'_>, cidr: Cidr) -> CidrAssociation {
        CidrAssociation {
            id: VpcCidrAssociationId::from_bits(ctx.random()),
            cidr,
            life: Life::begin(ctx),
        }
    }

    pub(crate) fn reply(&self, now: Timestamp) -> CidrItem {
        self.item(state(self.life, now))
    }

    fn item(&self, state: &'static str) -> CidrItem {
        CidrItem {
            association_id: self.id,
            cidr_block: self.cidr,
            cidr_block_state: CidrState { state },
        }
    }
}

impl Ipv6Association {
    /// The association of a free block of the pool, which is chosen at random.
    ///
    /// # Errors
    /// `InsufficientCidrBlocks` if none was found.
    pub(crate) fn new(tx: &Tx, ctx: &Context<'_>) -> Result<Ipv6Association, ApiError> {
        let pool = ctx.settings.ipv6_pool;
        let blocks = 1u128
            .checked_shl(u32::from(LENGTH.saturating_sub(pool.length())))
            .unwrap_or(1);
        let vpcs = &tx.state().vpcs;
        // The first block is the host's: its own address is there.
        let free = |cidr: &Cidr| {
            cidr.network() != pool.network() && !vpcs.has(&Key::Address(cidr.network()))
        };
        let cidr = (0..GUESSES)
            .filter_map(|_| pool.nth(((ctx.random() >> 48) % blocks) << (128 - LENGTH)))
            .filter_map(|address| Cidr::containing(address, LENGTH))
            .find(free);
        let cidr = cidr.ok_or_else(|| {
            ApiError::new(
                "InsufficientCidrBlocks",
                "There are not enough free IPv6 CIDR blocks in the pool to satisfy your request.",
            )
        })?;
        Ok(Ipv6Association {
            id: VpcCidrAssociationId::from_bits(ctx.random()),
            cidr,
            life: Life::begin(ctx),
        })
    }

    pub(crate) fn reply(&self, region: &RegionName, now: Timestamp) -> Ipv6Item {
        self.item(region, state(self.life, now))
    }

    /// What the request that associates it is told.
    pub(crate) fn new_reply(&self, region: &RegionName) -> Ipv6Item {
        self.item(region, "associating")
    }

    fn item(&self, region: &RegionName, state: &'static str) -> Ipv6Item {
        Ipv6Item {
            association_id: self.id,
            ipv6_cidr_block: self.cidr,
            ipv6_cidr_block_state: CidrState { state },
            network_border_group: region.clone(),
            ipv6_pool: POOL,
            ipv6_address_attribute: "public",
            ip_source: "amazon",
        }
    }
}

/// Whether a request asks for an IPv6 block.
///
/// # Errors
/// `InvalidParameterValue` for a border group other than the region, `InvalidParameterCombination` for one without a
/// block.
pub(crate) fn wants_ipv6(
    ctx: &Context<'_>,
    provided: Option<bool>,
    border_group: Option<&str>,
) -> Result<bool, ApiError> {
    let wants = provided == Some(true);
    match border_group {
        Some(_) if !wants => Err(ApiError::new(
            "InvalidParameterCombination",
            "Ipv6CidrBlockNetworkBorderGroup requires AmazonProvidedIpv6CidrBlock",
        )),
        Some(group) if group != ctx.region.as_str() => Err(resource::invalid_value(
            &group,
            "ipv6CidrBlockNetworkBorderGroup",
        )),
        _ => Ok(wants),
    }
}

/// Where a block lies, for what may stand beside it in a VPC.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Range {
    Ten,
    OneSevenTwo,
    OneNineTwo,
    Benchmark,
    Public,
}

fn range(cidr: Cidr) -> Range {
    let within = |text: &str| text.parse::<Cidr>().is_ok_and(|range| range.overlaps(cidr));
    if within("10.0.0.0/8") {
        Range::Ten
    } else if within("172.16.0.0/12") {
        Range::OneSevenTwo
    } else if within("192.168.0.0/16") {
        Range::OneNineTwo
    } else if within("198.19.0.0/16") {
        Range::Benchmark
    } else {
        Range::Public
    }
}

/// Whether a block may not join a VPC because of where it lies (EC2 "IPv4 CIDR block association restrictions").
fn is_restricted(vpc: &Vpc, cidr: Cidr) -> bool {
    let within =
        |text: &str, block: Cidr| text.parse::<Cidr>().is_ok_and(|range| range.covers(block));
    let Some(primary) = vpc.blocks().next() else {
        return true;
    };
    match (range(primary), range(cidr)) {
        // Public ones, and those of 100.64.0.0/10, go with everything.
        (_, Range::Public) => false,
        (_, Range::Benchmark) => true,
        (Range::Ten, Range::Ten) => {
            within("10.0.0.0/16", cidr) && vpc.blocks().any(|block| within("10.0.0.0/15", block))
        }
        (Range::OneSevenTwo, Range::OneSevenTwo) => within("172.31.0.0/16", cidr),
        (primary, new) => primary != new,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateVpcCidrBlockRequest {
    vpc_id: String,
    cidr_block: Option<String>,
    amazon_provided_ipv6_cidr_block: Option<bool>,
    ipv4_ipam_pool_id: Option<String>,
    ipv4_netmask_length: Option<i64>,
    ipv6_cidr_block_network_border_group: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CidrBlockReply {
    ipv6_cidr_block_association: Option<Ipv6Item>,
    cidr_block_association: Option<CidrItem>,
    vpc_id: VpcId,
}

pub(crate) fn associate_vpc_cidr_block(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateVpcCidrBlockRequest,
) -> Result<CidrBlockReply, ApiError> {
    let mut vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.clone();
    let wants_ipv6 = wants_ipv6(
        ctx,
        req.amazon_provided_ipv6_cidr_block,
        req.ipv6_cidr_block_network_border_group.as_deref(),
    )?;
    let wants_ipv4 = req.cidr_block.is_some()
        || req.ipv4_ipam_pool_id.is_some()
        || req.ipv4_netmask_length.is_some();
    let reply = match (wants_ipv4, wants_ipv6) {
        (true, true) => {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "Only one of cidrBlock and amazonProvidedIpv6CidrBlock can be specified",
            ));
        }
        (false, false) => {
            return Err(resource::missing(
                "cidrBlock or amazonProvidedIpv6CidrBlock",
            ));
        }
        (false, true) => {
            quota::IPV6_CIDRS.one_more(tx, ctx, vpc.ipv6.len())?;
            let association = Ipv6Association::new(tx, ctx)?;
            let item = association.new_reply(&vpc.region);
            vpc.ipv6.push(association);
            CidrBlockReply {
                ipv6_cidr_block_association: Some(item),
                cidr_block_association: None,
                vpc_id: vpc.id,
            }
        }
        (true, false) => {
            let (pool, cidr) = allocation::block_of_vpc(
                tx,
                ctx,
                req.ipv4_ipam_pool_id.as_deref(),
                req.cidr_block.as_deref(),
                req.ipv4_netmask_length,
                &vpc.tags,
            )?;
            check(tx, ctx, &vpc, cidr)?;
            let association = CidrAssociation::new(ctx, cidr);
            let item = association.item("associating");
            vpc.cidrs.push(association);
            if let Some(pool) = pool {
                allocation::bind_vpc(tx, ctx, pool, cidr, vpc.id)?;
            }
            CidrBlockReply {
                ipv6_cidr_block_association: None,
                cidr_block_association: Some(item),
                vpc_id: vpc.id,
            }
        }
    };
    let (id, is_ipv6) = (vpc.id, reply.ipv6_cidr_block_association.is_some());
    tx.put(vpc);
    if is_ipv6 {
        open_ipv6(tx, ctx, id);
    }
    Ok(reply)
}

/// What allows every IPv4 packet as it was made allows every IPv6 packet too (EC2 "Default network ACL" and "Default
/// security groups"): the default ACL, and groups whose outbound rules nobody has changed.
pub(crate) fn open_ipv6(tx: &mut Tx, ctx: &Context<'_>, vpc: VpcId) {
    network_acl::open_ipv6(tx, vpc);
    security_group::open_ipv6(tx, ctx, vpc);
}

/// Checks that the VPC can have a block besides those that it has.
fn check(tx: &Tx, ctx: &Context<'_>, vpc: &Vpc, cidr: Cidr) -> Result<(), ApiError> {
    if vpc.blocks().any(|block| block.overlaps(cidr)) {
        return Err(ApiError::new(
            "InvalidVpc.Range",
            format!(
                "The CIDR '{cidr}' conflicts with one or more existing associations on the VPC."
            ),
        ));
    }
    if is_restricted(vpc, cidr) {
        return Err(ApiError::new(
            "InvalidVpc.Range",
            format!(
                "The CIDR '{cidr}' is restricted. Use a CIDR from the same private address range as the current VPC CIDR, or use a publicly-routable CIDR."
            ),
        ));
    }
    quota::CIDRS.one_more(tx, ctx, vpc.cidrs.len())?;
    // The new block's local route must not hide a route that a client made (EC2 "IPv4 CIDR block association
    // restrictions").
    let hides = route_table::of_vpc(tx.state(), vpc.id)
        .flat_map(|table| table.routes.keys())
        .any(|to| to.cidr().is_some_and(|to| cidr.covers(to)));
    if hides {
        return Err(ApiError::new(
            "InvalidCidrBlock.InUse",
            format!("The CIDR '{cidr}' conflicts with a route of the VPC's route tables."),
        ));
    }
    Ok(())
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
    let text = &req.association_id;
    let found = text.parse::<VpcCidrAssociationId>().ok().and_then(|id| {
        let vpc = tx
            .state()
            .vpcs
            .of(id)
            .find(|vpc| resource::is_visible(ctx, *vpc))?;
        Some((vpc.clone(), id))
    });
    let Some((mut vpc, id)) = found else {
        return Err(ApiError::new(
            "InvalidVpcCidrBlockAssociationID.NotFound",
            format!("The vpc CIDR block association ID '{text}' does not exist"),
        ));
    };
    if vpc.cidrs.first().is_some_and(|primary| primary.id == id) {
        return Err(ApiError::new(
            "OperationNotPermitted",
            format!(
                "The vpc CIDR block with association ID {text} may not be disassociated. It is the primary IPv4 CIDR block of the VPC"
            ),
        ));
    }
    let mut reply = CidrBlockReply {
        ipv6_cidr_block_association: None,
        cidr_block_association: None,
        vpc_id: vpc.id,
    };
    let cidr = if let Some(place) = vpc.cidrs.iter().position(|a| a.id == id) {
        let association = vpc.cidrs.remove(place);
        reply.cidr_block_association = Some(association.item("disassociating"));
        association.cidr
    } else if let Some(place) = vpc.ipv6.iter().position(|a| a.id == id) {
        let association = vpc.ipv6.remove(place);
        reply.ipv6_cidr_block_association = Some(association.item(&vpc.region, "disassociating"));
        association.cidr
    } else {
        return Err(Vpc::not_found(&vpc.id.to_string()));
    };
    let in_use = subnet::of_vpc(tx.state(), vpc.id)
        .any(|subnet| subnet.blocks().any(|block| cidr.covers(block)));
    if in_use {
        return Err(ApiError::new(
            "InvalidCidrBlock.InUse",
            format!(
                "The vpc '{}' currently has subnet(s) in CIDR block '{cidr}'",
                vpc.id
            ),
        ));
    }
    allocation::release_vpc(tx, vpc.id, Some(cidr));
    tx.put(vpc);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

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
    fn blocks_that_do_not_go_together() {
        for (primary, added, good) in [
            ("10.0.0.0/16", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/20", false),
            ("10.2.0.0/16", "10.0.0.0/20", true),
            ("10.0.0.0/16", "172.16.0.0/16", false),
            ("10.0.0.0/16", "192.168.0.0/24", false),
            ("10.0.0.0/16", "198.19.0.0/24", false),
            ("10.0.0.0/16", "100.64.0.0/16", true),
            ("10.0.0.0/16", "203.0.113.0/24", true),
            ("172.16.0.0/16", "172.17.0.0/16", true),
            ("172.16.0.0/16", "172.31.0.0/20", false),
            ("172.16.0.0/16", "10.0.0.0/16", false),
            ("192.168.0.0/24", "192.168.1.0/24", true),
            ("192.168.0.0/24", "10.0.0.0/16", false),
            ("100.64.0.0/16", "100.65.0.0/16", true),
            ("100.64.0.0/16", "10.0.0.0/16", false),
            ("198.19.0.0/24", "198.19.1.0/24", false),
            ("198.19.0.0/24", "203.0.113.0/24", true),
        ] {
            let mut world = World::new();
            let vpc = world.ok("CreateVpc", json!({"CidrBlock": primary}));
            let request = json!({"VpcId": text(&vpc, "Vpc.VpcId"), "CidrBlock": added});
            let code = world
                .call("AssociateVpcCidrBlock", &request)
                .map_err(|e| e.code.into_owned());
            match code {
                Ok(_) => assert!(good, "{primary} {added}"),
                Err(code) => assert!(
                    !good && code == "InvalidVpc.Range",
                    "{primary} {added} {code}"
                ),
            }
        }
    }

    #[test]
    fn blocks_of_ipv6() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let id = text(&vpc, "Vpc.VpcId");
        let add = json!({"VpcId": id, "AmazonProvidedIpv6CidrBlock": true});
        let reply = world.ok("AssociateVpcCidrBlock", add.clone());
        let at = |member: &str| text(&reply, &format!("Ipv6CidrBlockAssociation.{member}"));
        assert_eq!(at("Ipv6CidrBlockState.State"), "associating");
        assert_eq!(at("NetworkBorderGroup"), "us-east-1");
        let block = at("Ipv6CidrBlock").replace("/56", "/64");
        let request = json!({"VpcId": id, "CidrBlock": "10.0.0.0/24", "Ipv6CidrBlock": block});
        let subnet = world.ok("CreateSubnet", request);
        let off = json!({"AssociationId": at("AssociationId")});
        let action = "DisassociateVpcCidrBlock";
        assert_eq!(world.err(action, off.clone()), "InvalidCidrBlock.InUse");
        world.ok(
            "DeleteSubnet",
            json!({"SubnetId": text(&subnet, "Subnet.SubnetId")}),
        );
        let reply = world.ok(action, off.clone());
        assert_eq!(
            text(&reply, "Ipv6CidrBlockAssociation.Ipv6CidrBlockState.State"),
            "disassociating"
        );
        assert_eq!(
            world.err(action, off),
            "InvalidVpcCidrBlockAssociationID.NotFound"
        );
        for _ in 0..5 {
            world.ok("AssociateVpcCidrBlock", add.clone());
        }
        assert_eq!(
            world.err("AssociateVpcCidrBlock", add.clone()),
            "CidrLimitExceeded"
        );
        let mut both = add;
        both["CidrBlock"] = json!("10.1.0.0/16");
        assert_eq!(
            world.err("AssociateVpcCidrBlock", both),
            "InvalidParameterCombination"
        );
        let neither = json!({"VpcId": id});
        assert_eq!(
            world.err("AssociateVpcCidrBlock", neither),
            "MissingParameter"
        );
    }
}
