//! The address blocks of VPCs.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{Cidr, VpcId};

use crate::dispatch::actions;
use crate::ipam::allocation;
use crate::{Context, Tx, Vpc, quota, resource, route_table, subnet};

actions! {
    "AssociateVpcCidrBlock" => associate_vpc_cidr_block, Enforced;
    "DisassociateVpcCidrBlock" => disassociate_vpc_cidr_block, Enforced;
}

/// A block of a VPC, under the id that `AssociateVpcCidrBlock` gives it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CidrAssociation {
    /// `vpc-cidr-assoc-` and 17 hexadecimal digits.
    pub id: String,
    /// The block.
    pub cidr: Cidr,
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
    /// The association of a block that no VPC's association is yet.
    pub(crate) fn new(ctx: &Context<'_>, cidr: Cidr) -> CidrAssociation {
        let id = format!("vpc-cidr-assoc-{:017x}", ctx.random() & ((1 << 68) - 1));
        CidrAssociation { id, cidr }
    }

    pub(crate) fn reply(&self, state: &'static str) -> CidrItem {
        CidrItem {
            association_id: self.id.clone(),
            cidr_block: self.cidr.to_string(),
            cidr_block_state: CidrState { state },
        }
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
    let (pool, cidr) = allocation::block_of_vpc(
        tx,
        ctx,
        req.ipv4_ipam_pool_id.as_deref(),
        req.cidr_block.as_deref(),
        req.ipv4_netmask_length,
        &vpc.tags,
    )?;
    if vpc.blocks().any(|block| block.overlaps(cidr)) {
        return Err(ApiError::new(
            "InvalidVpc.Range",
            format!(
                "The CIDR '{cidr}' conflicts with one or more existing associations on the VPC."
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
    let association = CidrAssociation::new(ctx, cidr);
    let reply = CidrBlockReply {
        cidr_block_association: association.reply("associating"),
        vpc_id: vpc.id,
    };
    vpc.cidrs.push(association);
    if let Some(pool) = pool {
        allocation::bind_vpc(tx, ctx, pool, cidr, vpc.id)?;
    }
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
    allocation::release_vpc(tx, vpc.id, Some(association.cidr));
    let reply = CidrBlockReply {
        cidr_block_association: association.reply("disassociating"),
        vpc_id: vpc.id,
    };
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
}
