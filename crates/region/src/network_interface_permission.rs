//! Permissions to attach another account's interface. They are recorded: an interface is attached by its owner alone.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, InterfaceId, InterfacePermissionId, RegionName};

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::resource::{self, Query, resource};
use crate::{Context, Tags, Tx, network_interface};

actions! {
    "CreateNetworkInterfacePermission" => create_network_interface_permission, Control;
    "DeleteNetworkInterfacePermission" => delete_network_interface_permission, Control;
    "DescribeNetworkInterfacePermissions" => describe_network_interface_permissions, Control;
}

/// A permission for another account to attach an interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InterfacePermission {
    /// Its identifier.
    pub id: InterfacePermissionId,
    /// Who gave it: the interface's owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Always empty: permissions have no tags.
    #[serde(default, skip_serializing)]
    pub tags: Tags,
    /// The interface.
    pub interface: InterfaceId,
    /// Who has it.
    pub grantee: AccountId,
    /// What it allows: `INSTANCE-ATTACH` or `EIP-ASSOCIATE`.
    pub permission: String,
}

resource!(
    InterfacePermission,
    "network-interface-permission",
    |this, keys| keys.of([this.interface]),
    |id| resource::unknown_id(
        id,
        "eni-perm",
        "network interface permission ID",
        "InvalidPermissionID.NotFound",
        "InvalidNetworkInterfacePermissionId.Malformed",
    )
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateNetworkInterfacePermissionRequest {
    network_interface_id: String,
    aws_account_id: Option<String>,
    permission: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateNetworkInterfacePermissionReply {
    interface_permission: PermissionItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PermissionItem {
    network_interface_permission_id: InterfacePermissionId,
    network_interface_id: InterfaceId,
    aws_account_id: AccountId,
    permission: String,
    permission_state: PermissionState,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PermissionState {
    state: &'static str,
}

impl InterfacePermission {
    fn reply(&self) -> PermissionItem {
        PermissionItem {
            network_interface_permission_id: self.id,
            network_interface_id: self.interface,
            aws_account_id: self.grantee,
            permission: self.permission.clone(),
            permission_state: PermissionState { state: "granted" },
        }
    }
}

pub(crate) fn create_network_interface_permission(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateNetworkInterfacePermissionRequest,
) -> Result<CreateNetworkInterfacePermissionReply, ApiError> {
    let interface = network_interface::find_own(tx, ctx, &req.network_interface_id)?.id;
    let text = req
        .aws_account_id
        .ok_or_else(|| resource::missing("awsAccountId"))?;
    let grantee: AccountId = text
        .parse()
        .map_err(|_| resource::invalid_value(&text, "awsAccountId"))?;
    if !["INSTANCE-ATTACH", "EIP-ASSOCIATE"].contains(&req.permission.as_str()) {
        return Err(resource::invalid_value(&req.permission, "permission"));
    }
    let present = |other: &InterfacePermission| {
        other.grantee == grantee && other.permission == req.permission
    };
    if tx.state().interface_permissions.of(interface).any(present) {
        return Err(ApiError::new(
            "OperationNotPermitted",
            format!(
                "The permission {} for account {grantee} exists already on {interface}",
                req.permission
            ),
        ));
    }
    let record = InterfacePermission {
        id: InterfacePermissionId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::default(),
        interface,
        grantee,
        permission: req.permission,
    };
    let interface_permission = record.reply();
    tx.put(record);
    Ok(CreateNetworkInterfacePermissionReply {
        interface_permission,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeNetworkInterfacePermissionsRequest {
    network_interface_permission_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeNetworkInterfacePermissionsReply {
    network_interface_permissions: Vec<PermissionItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<InterfacePermission>] = &[
    (
        "network-interface-permission.network-interface-permission-id",
        |_, p| vec![p.id.to_string()],
    ),
    (
        "network-interface-permission.network-interface-id",
        |_, p| vec![p.interface.to_string()],
    ),
    ("network-interface-permission.aws-account-id", |_, p| {
        vec![p.grantee.to_string()]
    }),
    ("network-interface-permission.aws-service", |_, _| vec![]),
    ("network-interface-permission.permission", |_, p| {
        vec![p.permission.clone()]
    }),
];

pub(crate) fn describe_network_interface_permissions(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeNetworkInterfacePermissionsRequest,
) -> Result<DescribeNetworkInterfacePermissionsReply, ApiError> {
    let query = Query {
        ids: req.network_interface_permission_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<InterfacePermission>(tx, ctx, &query, FILTERS, &(5..=255))?;
    Ok(DescribeNetworkInterfacePermissionsReply {
        network_interface_permissions: page
            .items
            .into_iter()
            .map(InterfacePermission::reply)
            .collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteNetworkInterfacePermissionRequest {
    network_interface_permission_id: String,
    /// Also if the interface is attached: nobody else can have attached it here.
    #[serde(rename = "Force")]
    _force: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteNetworkInterfacePermissionReply {
    r#return: bool,
}

pub(crate) fn delete_network_interface_permission(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteNetworkInterfacePermissionRequest,
) -> Result<DeleteNetworkInterfacePermissionReply, ApiError> {
    let id = &req.network_interface_permission_id;
    let id = resource::find::<InterfacePermission>(tx, ctx, id)?.id;
    tx.remove::<InterfacePermission>(&id);
    Ok(DeleteNetworkInterfacePermissionReply { r#return: true })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    #[test]
    fn permissions_come_and_go_with_their_interface() {
        let mut world = World::new();
        let subnet = text(
            &world.ok("DescribeSubnets", json!({})),
            "Subnets.0.SubnetId",
        );
        let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        let interface = text(&made, "NetworkInterface.NetworkInterfaceId");
        let grant = |account: &str, permission: &str| json!({"NetworkInterfaceId": interface, "AwsAccountId": account, "Permission": permission});
        let action = "CreateNetworkInterfacePermission";
        let made = world.ok(action, grant("444455556666", "INSTANCE-ATTACH"));
        assert_eq!(
            text(&made, "InterfacePermission.PermissionState.State"),
            "granted"
        );
        world.ok(action, grant("444455556666", "EIP-ASSOCIATE"));
        assert_eq!(
            world.err(action, grant("444455556666", "EIP-ASSOCIATE")),
            "OperationNotPermitted"
        );
        assert_eq!(
            world.err(action, grant("4444", "EIP-ASSOCIATE")),
            "InvalidParameterValue"
        );
        assert_eq!(
            world.err(action, grant("444455556666", "x")),
            "InvalidParameterValue"
        );
        let filter = json!({"Filters": [{"Name": "network-interface-permission.permission", "Values": ["INSTANCE*"]}]});
        let shown = world.ok("DescribeNetworkInterfacePermissions", filter);
        assert_eq!(count(&shown, "NetworkInterfacePermissions"), 1);
        let id = json!({"NetworkInterfacePermissionId": text(&made, "InterfacePermission.NetworkInterfacePermissionId")});
        let owner = world.account;
        world.account = account("444455556666");
        assert_eq!(
            world.err("DeleteNetworkInterfacePermission", id.clone()),
            "InvalidPermissionID.NotFound"
        );
        world.account = owner;
        world.ok("DeleteNetworkInterfacePermission", id);
        world.ok(
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": interface}),
        );
        assert_eq!(world.state.interface_permissions.size(), 0);
    }
}
