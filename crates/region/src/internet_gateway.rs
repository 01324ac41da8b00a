//! Internet gateways.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, GatewayId, RegionName, VpcId};

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Key, RouteTable, State, Tx, Vpc, quota};

actions! {
    "AttachInternetGateway" => attach_internet_gateway, Enforced;
    "CreateInternetGateway" => create_internet_gateway, Enforced;
    "DeleteInternetGateway" => delete_internet_gateway, Enforced;
    "DescribeInternetGateways" => describe_internet_gateways, Control;
    "DetachInternetGateway" => detach_internet_gateway, Enforced;
}

/// An internet gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InternetGateway {
    /// Its identifier.
    pub id: GatewayId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC it is attached to. The VPC's record says the same.
    pub vpc: Option<VpcId>,
}

resource!(
    InternetGateway,
    "internet-gateway",
    |this, keys| keys.of(this.vpc),
    |id| {
        resource::unknown_id(
            id,
            "igw",
            "internetGateway ID",
            "InvalidInternetGatewayID.NotFound",
            "InvalidInternetGatewayId.Malformed",
        )
    }
);

/// A gateway that is not attached.
pub(crate) fn make(tx: &mut Tx, ctx: &Context<'_>, tags: Tags) -> Result<GatewayId, ApiError> {
    quota::INTERNET_GATEWAYS.one_more(
        tx,
        ctx,
        resource::own::<InternetGateway>(tx, ctx).count(),
    )?;
    let id = GatewayId::from_bits(ctx.random());
    tx.put(InternetGateway {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        vpc: None,
    });
    Ok(id)
}

/// Joins the two records; neither may be attached.
pub(crate) fn attach(tx: &mut Tx, gateway: GatewayId, vpc: VpcId) {
    set_attachment(tx, gateway, vpc, true);
}

fn set_attachment(tx: &mut Tx, gateway: GatewayId, vpc: VpcId, attached: bool) {
    if let Some(mut record) = tx.get::<InternetGateway>(&gateway).cloned() {
        record.vpc = attached.then_some(vpc);
        tx.put(record);
    }
    if let Some(mut record) = tx.get::<Vpc>(&vpc).cloned() {
        record.internet_gateway = attached.then_some(gateway);
        tx.put(record);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateInternetGatewayRequest {
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateInternetGatewayReply {
    internet_gateway: GatewayItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayItem {
    attachments: Vec<Attachment>,
    internet_gateway_id: GatewayId,
    owner_id: AccountId,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    state: &'static str,
    vpc_id: VpcId,
}

impl InternetGateway {
    fn reply(&self) -> GatewayItem {
        GatewayItem {
            // EC2 says `available` here, although the model's states are those of other attachments.
            attachments: self
                .vpc
                .map(|vpc_id| Attachment {
                    state: "available",
                    vpc_id,
                })
                .into_iter()
                .collect(),
            internet_gateway_id: self.id,
            owner_id: self.account,
            tags: self.tags.reply(),
        }
    }
}

pub(crate) fn create_internet_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateInternetGatewayRequest,
) -> Result<CreateInternetGatewayReply, ApiError> {
    let tags = Tags::of_new(req.tag_specifications.as_deref(), InternetGateway::TYPE)?;
    let id = make(tx, ctx, tags)?;
    let gateway = resource::get::<InternetGateway>(tx, &id)?;
    Ok(CreateInternetGatewayReply {
        internet_gateway: gateway.reply(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInternetGatewaysRequest {
    filters: Option<Vec<Filter>>,
    internet_gateway_ids: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInternetGatewaysReply {
    internet_gateways: Vec<GatewayItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<InternetGateway>] = &[
    ("attachment.state", |_, gateway| {
        gateway
            .vpc
            .map(|_| "available".to_owned())
            .into_iter()
            .collect()
    }),
    ("attachment.vpc-id", |_, gateway| {
        gateway.vpc.map(|vpc| vpc.to_string()).into_iter().collect()
    }),
    ("internet-gateway-id", |_, gateway| {
        vec![gateway.id.to_string()]
    }),
    ("owner-id", |_, gateway| vec![gateway.account.to_string()]),
];

pub(crate) fn describe_internet_gateways(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeInternetGatewaysRequest,
) -> Result<DescribeInternetGatewaysReply, ApiError> {
    let query = Query {
        ids: req.internet_gateway_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<InternetGateway>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeInternetGatewaysReply {
        internet_gateways: page.items.into_iter().map(InternetGateway::reply).collect(),
        next_token: page.next_token,
    })
}

/// `AttachInternetGateway` and `DetachInternetGateway`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AttachmentRequest {
    internet_gateway_id: String,
    vpc_id: String,
}

pub(crate) fn attach_internet_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AttachmentRequest,
) -> Result<(), ApiError> {
    let gateway = resource::find::<InternetGateway>(tx, ctx, &req.internet_gateway_id)?;
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?;
    if let Some(other) = gateway.vpc {
        return Err(ApiError::new(
            "Resource.AlreadyAssociated",
            format!(
                "resource {} is already attached to network {other}",
                gateway.id
            ),
        ));
    }
    if vpc.internet_gateway.is_some() {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Network {} already has an internet gateway attached",
                vpc.id
            ),
        ));
    }
    let (gateway, vpc) = (gateway.id, vpc.id);
    attach(tx, gateway, vpc);
    Ok(())
}

/// Whether an elastic IP address leads into the VPC.
fn maps_public_addresses(state: &State, vpc: VpcId) -> bool {
    let mut interfaces = state.interfaces.of(vpc);
    interfaces.any(|interface| state.addresses.has(&Key::Of(interface.id.into())))
}

pub(crate) fn detach_internet_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AttachmentRequest,
) -> Result<(), ApiError> {
    let gateway = resource::find::<InternetGateway>(tx, ctx, &req.internet_gateway_id)?;
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let gateway_id = gateway.id;
    if gateway.vpc != Some(vpc) {
        return Err(ApiError::new(
            "Gateway.NotAttached",
            format!("resource {gateway_id} is not attached to network {vpc}"),
        ));
    }
    if maps_public_addresses(tx.state(), vpc) {
        return Err(ApiError::new(
            "DependencyViolation",
            format!(
                "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway."
            ),
        ));
    }
    let serves = |table: &RouteTable| table.serves(gateway_id.into());
    if tx.state().route_tables.of(gateway_id).any(serves) {
        return Err(ApiError::new(
            "DependencyViolation",
            format!(
                "The gateway {gateway_id} is associated with a route table. Please disassociate the route table before detaching the gateway."
            ),
        ));
    }
    set_attachment(tx, gateway_id, vpc, false);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteInternetGatewayRequest {
    internet_gateway_id: String,
}

pub(crate) fn delete_internet_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteInternetGatewayRequest,
) -> Result<(), ApiError> {
    let gateway = resource::find::<InternetGateway>(tx, ctx, &req.internet_gateway_id)?;
    let id = gateway.id;
    if gateway.vpc.is_some() {
        return Err(resource::in_use("internetGateway", &id));
    }
    tx.remove::<InternetGateway>(&id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn life_of_a_gateway() {
        let mut world = World::new();
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&reply, "Vpc.VpcId");
        let reply = world.ok("CreateInternetGateway", json!({}));
        let id = json!({"InternetGatewayId": text(&reply, "InternetGateway.InternetGatewayId")});
        let mut pair = id.clone();
        pair["VpcId"] = json!(vpc);
        assert_eq!(
            world.err("DetachInternetGateway", pair.clone()),
            "Gateway.NotAttached"
        );
        world.ok("AttachInternetGateway", pair.clone());
        assert_eq!(
            world.err("AttachInternetGateway", pair.clone()),
            "Resource.AlreadyAssociated"
        );
        let reply = world.ok("CreateInternetGateway", json!({}));
        let mut second = pair.clone();
        second["InternetGatewayId"] = json!(text(&reply, "InternetGateway.InternetGatewayId"));
        assert_eq!(
            world.err("AttachInternetGateway", second),
            "InvalidParameterValue"
        );
        assert_eq!(
            world.err("DeleteInternetGateway", id.clone()),
            "DependencyViolation"
        );
        assert_eq!(
            world.err("DeleteVpc", json!({"VpcId": vpc})),
            "DependencyViolation"
        );
        world.ok("DetachInternetGateway", pair);
        world.ok("DeleteInternetGateway", id.clone());
        assert_eq!(
            world.err("DeleteInternetGateway", id),
            "InvalidInternetGatewayID.NotFound"
        );
    }

    #[test]
    fn mapped_addresses_hold_the_gateway() {
        let mut world = World::new();
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&reply, "Vpc.VpcId");
        let reply = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"}),
        );
        let subnet = text(&reply, "Subnet.SubnetId");
        let reply = world.ok("CreateInternetGateway", json!({}));
        let gateway = text(&reply, "InternetGateway.InternetGatewayId");
        let pair = json!({"InternetGatewayId": gateway, "VpcId": vpc});
        world.ok("AttachInternetGateway", pair.clone());
        let reply = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        let interface = text(&reply, "NetworkInterface.NetworkInterfaceId");
        let reply = world.ok("AllocateAddress", json!({"Domain": "vpc"}));
        let allocation = text(&reply, "AllocationId");
        let mapping = json!({"AllocationId": allocation, "NetworkInterfaceId": interface});
        let reply = world.ok("AssociateAddress", mapping);
        assert_eq!(
            world.err("DetachInternetGateway", pair.clone()),
            "DependencyViolation"
        );
        world.ok(
            "DisassociateAddress",
            json!({"AssociationId": text(&reply, "AssociationId")}),
        );
        world.ok("DetachInternetGateway", pair);
    }
}
