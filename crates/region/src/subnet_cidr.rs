//! The IPv6 block of a subnet.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{Cidr, SubnetCidrAssociationId, SubnetId};

use crate::dispatch::actions;
use crate::vpc_cidr::{CidrState, state};
use crate::{Context, Life, NetworkInterface, Subnet, Timestamp, Tx, Vpc, quota, resource, subnet};

actions! {
    "AssociateSubnetCidrBlock" => associate_subnet_cidr_block, Enforced;
    "DisassociateSubnetCidrBlock" => disassociate_subnet_cidr_block, Enforced;
}

/// The IPv6 block of a subnet, within one of its VPC and apart from every other subnet's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ipv6Association {
    /// Its identifier.
    pub id: SubnetCidrAssociationId,
    /// The block.
    pub cidr: Cidr,
    /// Since when it is the subnet's.
    pub life: Life,
}

/// An IPv6 block in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ipv6Item {
    association_id: SubnetCidrAssociationId,
    ipv6_cidr_block: Cidr,
    ipv6_cidr_block_state: CidrState,
    ipv6_address_attribute: &'static str,
    ip_source: &'static str,
}

impl Ipv6Association {
    /// The association of a block that a request names.
    ///
    /// # Errors
    /// `InvalidParameterValue` for what is no IPv6 block, `InvalidSubnet.Range` for one of a length that subnets do
    /// not have or outside of the VPC, `InvalidSubnet.Conflict` for one that another subnet has a part of.
    pub(crate) fn new(
        tx: &Tx,
        ctx: &Context<'_>,
        subnet: &Subnet,
        text: &str,
    ) -> Result<Ipv6Association, ApiError> {
        let cidr = parse_ipv6(text, "ipv6CidrBlock")?;
        let vpc = resource::get::<Vpc>(tx, &subnet.vpc)?;
        // EC2: "between /44 and /64 in increments of /4".
        let sized = (44..=64).contains(&cidr.length()) && cidr.length() % 4 == 0;
        if !sized || !vpc.ipv6.iter().any(|block| block.cidr.covers(cidr)) {
            return Err(ApiError::new(
                "InvalidSubnet.Range",
                format!("The CIDR '{text}' is invalid."),
            ));
        }
        let conflicts = subnet::of_vpc(tx.state(), subnet.vpc)
            .filter_map(|other| other.ipv6.as_ref())
            .any(|other| other.cidr.overlaps(cidr));
        if conflicts {
            return Err(ApiError::new(
                "InvalidSubnet.Conflict",
                format!("The CIDR '{text}' conflicts with another subnet"),
            ));
        }
        Ok(Ipv6Association {
            id: SubnetCidrAssociationId::from_bits(ctx.random()),
            cidr,
            life: Life::begin(ctx),
        })
    }

    pub(crate) fn reply(&self, now: Timestamp) -> Ipv6Item {
        self.item(state(self.life, now))
    }

    fn item(&self, state: &'static str) -> Ipv6Item {
        Ipv6Item {
            association_id: self.id,
            ipv6_cidr_block: self.cidr,
            ipv6_cidr_block_state: CidrState { state },
            ipv6_address_attribute: "public",
            ip_source: "amazon",
        }
    }
}

/// An IPv6 block of a request, in canonical form.
pub(crate) fn parse_ipv6(text: &str, parameter: &str) -> Result<Cidr, ApiError> {
    text.parse::<Cidr>().ok().filter(|cidr| !cidr.is_v4()).ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({text}) for parameter {parameter} is invalid. This is not a valid IPv6 CIDR block."
            ),
        )
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateSubnetCidrBlockRequest {
    subnet_id: String,
    ipv6_cidr_block: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SubnetCidrReply {
    ipv6_cidr_block_association: Ipv6Item,
    subnet_id: SubnetId,
}

pub(crate) fn associate_subnet_cidr_block(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateSubnetCidrBlockRequest,
) -> Result<SubnetCidrReply, ApiError> {
    let mut subnet = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?.clone();
    let text = req
        .ipv6_cidr_block
        .ok_or_else(|| resource::missing("ipv6CidrBlock"))?;
    // EC2: "You can only associate a single IPv6 CIDR block with your subnet."
    if subnet.ipv6.is_some() {
        return Err(quota::IPV6_CIDRS.exceeded());
    }
    let association = Ipv6Association::new(tx, ctx, &subnet, &text)?;
    let reply = SubnetCidrReply {
        ipv6_cidr_block_association: association.item("associating"),
        subnet_id: subnet.id,
    };
    subnet.ipv6 = Some(association);
    tx.put(subnet);
    Ok(reply)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisassociateSubnetCidrBlockRequest {
    association_id: String,
}

pub(crate) fn disassociate_subnet_cidr_block(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DisassociateSubnetCidrBlockRequest,
) -> Result<SubnetCidrReply, ApiError> {
    let text = &req.association_id;
    let found = text.parse::<SubnetCidrAssociationId>().ok().and_then(|id| {
        let mut subnets = tx.state().subnets.of(id);
        subnets
            .find(|subnet| resource::is_visible(ctx, *subnet))
            .cloned()
    });
    let taken = found.and_then(|mut subnet| Some((subnet.ipv6.take()?, subnet)));
    let Some((association, mut subnet)) = taken else {
        return Err(ApiError::new(
            "InvalidSubnetCidrBlockAssociationID.NotFound",
            format!("The subnet CIDR block association ID '{text}' does not exist"),
        ));
    };
    let in_use = tx
        .state()
        .interfaces
        .of(subnet.id)
        .any(NetworkInterface::has_ipv6);
    if in_use {
        return Err(ApiError::new(
            "InvalidCidrBlock.InUse",
            format!(
                "The subnet '{}' currently has network interfaces with addresses in CIDR block '{}'",
                subnet.id, association.cidr
            ),
        ));
    }
    let reply = SubnetCidrReply {
        ipv6_cidr_block_association: association.item("disassociating"),
        subnet_id: subnet.id,
    };
    subnet.on_launch.ipv6_address = false;
    tx.put(subnet);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    #[test]
    fn a_subnet_has_one_block_of_its_vpc() {
        let mut world = World::new();
        let vpc = world.ok(
            "CreateVpc",
            json!({"CidrBlock": "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock": true}),
        );
        let block = text(&vpc, "Vpc.Ipv6CidrBlockAssociationSet.0.Ipv6CidrBlock");
        let vpc = text(&vpc, "Vpc.VpcId");
        let first = block.replace("/56", "/64");
        let second = first.replace("00::/64", "01::/64");
        let both = json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24", "Ipv6CidrBlock": first});
        let one = world.ok("CreateSubnet", both);
        assert_eq!(
            text(&one, "Subnet.Ipv6CidrBlockAssociationSet.0.Ipv6CidrBlock"),
            first
        );
        let other = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.1.0/24"}),
        );
        let other = text(&other, "Subnet.SubnetId");
        let add = |block: &str| json!({"SubnetId": other, "Ipv6CidrBlock": block});
        let action = "AssociateSubnetCidrBlock";
        for (block, code) in [
            (first.as_str(), "InvalidSubnet.Conflict"),
            (block.as_str(), "InvalidSubnet.Conflict"),
            ("2001:db9::/64", "InvalidSubnet.Range"),
            (&second.replace("/64", "/65"), "InvalidSubnet.Range"),
            ("10.0.1.0/24", "InvalidParameterValue"),
        ] {
            assert_eq!(world.err(action, add(block)), code, "{block}");
        }
        let reply = world.ok(action, add(&second));
        let id = text(&reply, "Ipv6CidrBlockAssociation.AssociationId");
        assert_eq!(world.err(action, add(&second)), "CidrLimitExceeded");
        let on = json!({"SubnetId": other, "AssignIpv6AddressOnCreation": {"Value": true}});
        world.ok("ModifySubnetAttribute", on);
        let filters = json!({"Filters": [{"Name": "ipv6-cidr-block-association.association-id", "Values": [id]}]});
        assert_eq!(count(&world.ok("DescribeSubnets", filters), "Subnets"), 1);
        let interface = world.ok("CreateNetworkInterface", json!({"SubnetId": other}));
        let off = json!({"AssociationId": id});
        let action = "DisassociateSubnetCidrBlock";
        assert_eq!(world.err(action, off.clone()), "InvalidCidrBlock.InUse");
        let interface = text(&interface, "NetworkInterface.NetworkInterfaceId");
        world.ok(
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": interface}),
        );
        world.ok(action, off.clone());
        assert_eq!(
            world.err(action, off),
            "InvalidSubnetCidrBlockAssociationID.NotFound"
        );
        let native = json!({"VpcId": vpc, "CidrBlock": "10.0.2.0/24", "Ipv6Native": true});
        assert_eq!(world.err("CreateSubnet", native), "UnsupportedOperation");
    }
}
