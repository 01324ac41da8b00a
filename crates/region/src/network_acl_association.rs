//! Associations of network ACLs with subnets: every subnet has one ACL, always.

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::resource;
use crate::{Context, NetworkAcl, Subnet, Tx};

actions! {
    "ReplaceNetworkAclAssociation" => replace_network_acl_association, Enforced;
}

/// A new association's id: `aclassoc-` and 17 hexadecimal digits.
pub(crate) fn new_id(ctx: &Context<'_>) -> String {
    format!("aclassoc-{:017x}", ctx.random() & ((1 << 68) - 1))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReplaceNetworkAclAssociationRequest {
    association_id: String,
    network_acl_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplaceNetworkAclAssociationReply {
    new_association_id: String,
}

pub(crate) fn replace_network_acl_association(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReplaceNetworkAclAssociationRequest,
) -> Result<ReplaceNetworkAclAssociationReply, ApiError> {
    let mut subnet = resource::own::<Subnet>(tx, ctx)
        .find(|subnet| subnet.acl_association == req.association_id)
        .cloned()
        .ok_or_else(|| {
            ApiError::new(
                "InvalidAssociationID.NotFound",
                format!("The association ID '{}' does not exist", req.association_id),
            )
        })?;
    let acl = resource::find::<NetworkAcl>(tx, ctx, &req.network_acl_id)?;
    if subnet.vpc != acl.vpc {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "network acl {} and subnet {} belong to different networks",
                acl.id, subnet.id
            ),
        ));
    }
    subnet.acl = acl.id;
    subnet.acl_association = new_id(ctx);
    let new_association_id = subnet.acl_association.clone();
    tx.put(subnet);
    Ok(ReplaceNetworkAclAssociationReply { new_association_id })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    #[test]
    fn a_subnet_changes_its_acl() {
        let mut world = World::new();
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&reply, "Vpc.VpcId");
        let subnet = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"}),
        );
        let subnet = text(&subnet, "Subnet.SubnetId");
        let reply = world.ok("CreateNetworkAcl", json!({"VpcId": vpc}));
        let acl = text(&reply, "NetworkAcl.NetworkAclId");
        let of_subnet = json!([{"Name": "association.subnet-id", "Values": [subnet]}]);
        let described = |world: &mut World| {
            let reply = world.ok("DescribeNetworkAcls", json!({"Filters": of_subnet}));
            assert_eq!(count(&reply, "NetworkAcls"), 1);
            let member = |path| text(&reply, &format!("NetworkAcls.0.{path}"));
            (
                member("NetworkAclId"),
                member("Associations.0.NetworkAclAssociationId"),
            )
        };
        let (default, first) = described(&mut world);
        let change = json!({"AssociationId": first, "NetworkAclId": acl});
        let reply = world.ok("ReplaceNetworkAclAssociation", change.clone());
        let second = text(&reply, "NewAssociationId");
        assert_eq!(described(&mut world), (acl.clone(), second.clone()));
        let projected = |world: &World| {
            let subnet = &world.state.subnets[&subnet.parse().unwrap()];
            subnet.project(&world.state).unwrap().acl.to_string()
        };
        assert_eq!(projected(&world), acl);
        assert_ne!(second, first);
        assert_eq!(
            world.err("ReplaceNetworkAclAssociation", change),
            "InvalidAssociationID.NotFound"
        );
        // What a subnet has stays.
        let delete = json!({"NetworkAclId": acl});
        assert_eq!(
            world.err("DeleteNetworkAcl", delete.clone()),
            "DependencyViolation"
        );
        let back = json!({"AssociationId": second, "NetworkAclId": default});
        world.ok("ReplaceNetworkAclAssociation", back);
        assert_eq!(projected(&world), default);
        world.ok("DeleteNetworkAcl", delete);
    }

    #[test]
    fn acls_stay_in_their_vpc() {
        let mut world = World::new();
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let reply = world.ok(
            "CreateNetworkAcl",
            json!({"VpcId": text(&reply, "Vpc.VpcId")}),
        );
        let acl = text(&reply, "NetworkAcl.NetworkAclId");
        let filters = json!([{"Name": "default", "Values": ["true"]}, {"Name": "association.subnet-id", "Values": ["*"]}]);
        let reply = world.ok("DescribeNetworkAcls", json!({"Filters": filters}));
        let association = text(
            &reply,
            "NetworkAcls.0.Associations.0.NetworkAclAssociationId",
        );
        assert_eq!(
            world.err(
                "ReplaceNetworkAclAssociation",
                json!({"AssociationId": association, "NetworkAclId": acl}),
            ),
            "InvalidParameterValue"
        );
    }
}
