//! Virtual private gateways: the VPC's side of VPN connections.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, RegionName, VpcId, VpnGatewayId};

use super::customer_gateway::TYPE;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, describe, invalid, mortal};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Phase, Timestamp, Tx, Vpc, quota, zones};

actions! {
    "AttachVpnGateway" => attach_vpn_gateway, Recorded;
    "CreateVpnGateway" => create_vpn_gateway, Recorded;
    "DeleteVpnGateway" => delete_vpn_gateway, Recorded;
    "DescribeVpnGateways" => describe_vpn_gateways, Control;
    "DetachVpnGateway" => detach_vpn_gateway, Recorded;
}

/// A virtual private gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VpnGateway {
    /// Its identifier.
    pub id: VpnGatewayId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The number of its side in BGP.
    pub asn: u32,
    /// The zone that its maker named.
    pub zone: Option<String>,
    /// The VPC it is attached to, or was until a moment ago. At most one gateway of a VPC is attached.
    pub attachment: Option<VpcAttachment>,
    /// Where it stands.
    pub life: Life,
}

/// The place of a gateway at a VPC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VpcAttachment {
    /// The VPC.
    pub vpc: VpcId,
    /// Where the attachment stands.
    pub life: Life,
}

resource!(
    VpnGateway,
    "vpn-gateway",
    |this, keys| keys.of(this.vpc()),
    |id| resource::unknown_id(
        id,
        "vgw",
        "vpnGateway ID",
        "InvalidVpnGatewayID.NotFound",
        "InvalidVpnGatewayID.Malformed",
    )
);

mortal!(VpnGateway);

/// EC2: the Amazon side's number, if the request names none.
pub(super) const DEFAULT_ASN: u32 = 64_512;

/// Whether Amazon's side may have the number in BGP: the private ones.
pub(crate) fn is_private_asn(number: i64) -> bool {
    (64_512..=65_534).contains(&number) || (4_200_000_000..=4_294_967_294).contains(&number)
}

impl VpnGateway {
    /// The VPC that it is attached to.
    pub(crate) fn vpc(&self) -> Option<VpcId> {
        self.attachment
            .filter(|attachment| !attachment.life.has_ended())
            .map(|attachment| attachment.vpc)
    }

    fn attachments(&self, now: Timestamp) -> Vec<AttachmentItem> {
        // What is detached is shown for a while: amazon.aws waits for it.
        let shown = self.attachment.and_then(|attachment| {
            let state = match attachment.life.phase(now) {
                Phase::Pending => "attaching",
                Phase::Live => "attached",
                Phase::Deleting => "detaching",
                Phase::Deleted if attachment.life.is_forgotten(now) => return None,
                Phase::Deleted => "detached",
            };
            Some(AttachmentItem {
                state,
                vpc_id: attachment.vpc,
            })
        });
        shown.into_iter().collect()
    }

    fn reply(&self, view: &View<'_>) -> Item {
        Item {
            amazon_side_asn: i64::from(self.asn),
            availability_zone: self.zone.clone(),
            state: mortal::state_name(self.life, view),
            tags: self.tags.reply(),
            r#type: TYPE,
            vpc_attachments: self.attachments(view.now),
            vpn_gateway_id: self.id,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachmentItem {
    state: &'static str,
    vpc_id: VpcId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    amazon_side_asn: i64,
    availability_zone: Option<String>,
    state: &'static str,
    tags: Vec<Tag>,
    r#type: &'static str,
    vpc_attachments: Vec<AttachmentItem>,
    vpn_gateway_id: VpnGatewayId,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateVpnGatewayRequest {
    availability_zone: Option<String>,
    r#type: String,
    amazon_side_asn: Option<i64>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateVpnGatewayReply {
    vpn_gateway: Item,
}

pub(crate) fn create_vpn_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateVpnGatewayRequest,
) -> Result<CreateVpnGatewayReply, ApiError> {
    if req.r#type != TYPE {
        return Err(invalid("type", &req.r#type, "Unknown VPN type."));
    }
    let asn = match req.amazon_side_asn {
        None => DEFAULT_ASN,
        Some(number) => u32::try_from(number)
            .ok()
            .filter(|_| is_private_asn(number))
            .ok_or_else(|| {
                invalid(
                    "amazonSideAsn",
                    number,
                    "It must be between 64512 and 65534, or between 4200000000 and 4294967294.",
                )
            })?,
    };
    // Terraform sends a zone without a name when it is given none.
    let zone = req.availability_zone.filter(|zone| !zone.is_empty());
    if let Some(zone) = &zone
        && zones::own(ctx).iter().all(|known| known.name != *zone)
    {
        return Err(invalid("availabilityZone", zone, "Unknown zone."));
    }
    let tags = Tags::of_new(req.tag_specifications.as_deref(), VpnGateway::TYPE)?;
    mortal::forget::<VpnGateway>(tx, ctx);
    let present = mortal::own::<VpnGateway>(tx, ctx).count();
    quota::VPN_GATEWAYS.one_more(tx, ctx, present)?;
    let gateway = VpnGateway {
        id: VpnGatewayId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        asn,
        zone,
        attachment: None,
        life: Life::begin(ctx),
    };
    let reply = gateway.reply(&mortal::view(tx, ctx));
    tx.put(gateway);
    Ok(CreateVpnGatewayReply { vpn_gateway: reply })
}

const FILTERS: &[Field<VpnGateway>] = &[
    ("amazon-side-asn", |_, g| vec![g.asn.to_string()]),
    ("attachment.state", |view, g| {
        let shown = g.attachments(view.now).into_iter();
        shown.map(|a| a.state.to_owned()).collect()
    }),
    ("attachment.vpc-id", |view, g| {
        let shown = g.attachments(view.now).into_iter();
        shown.map(|a| a.vpc_id.to_string()).collect()
    }),
    ("availability-zone", |_, g| g.zone.iter().cloned().collect()),
    ("state", |view, g| {
        vec![mortal::state_name(g.life, view).to_owned()]
    }),
    ("type", |_, _| vec![TYPE.to_owned()]),
    ("vpn-gateway-id", |_, g| vec![g.id.to_string()]),
];

describe!(
    describe_vpn_gateways(DescribeVpnGatewaysRequest { vpn_gateway_ids, filters })
        -> DescribeVpnGatewaysReply { vpn_gateways: Item },
    VpnGateway, FILTERS, USUAL_BOUNDS, forget VpnGateway
);

/// `AttachVpnGateway` and `DetachVpnGateway`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AttachmentRequest {
    vpc_id: String,
    vpn_gateway_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttachVpnGatewayReply {
    vpc_attachment: Option<AttachmentItem>,
}

pub(crate) fn attach_vpn_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AttachmentRequest,
) -> Result<AttachVpnGatewayReply, ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let mut gateway = mortal::find::<VpnGateway>(tx, ctx, &req.vpn_gateway_id)?.clone();
    if gateway.life.phase(ctx.now) == Phase::Pending {
        return Err(ApiError::new(
            "InvalidVpnGatewayState",
            format!(
                "The virtual private gateway {} is not available.",
                gateway.id
            ),
        ));
    }
    match gateway.vpc() {
        // Once more: as it is.
        Some(there) if there == vpc => {}
        Some(other) => {
            return Err(ApiError::new(
                "VpnGatewayAttachmentLimitExceeded",
                format!(
                    "The maximum number of VPC attachments of {} has been reached: it is attached to {other}.",
                    gateway.id
                ),
            ));
        }
        None => {
            if tx.state().vpn_gateways.of(vpc).next().is_some() {
                return Err(ApiError::new(
                    "InvalidVpcState",
                    format!("The VPC {vpc} already has a virtual private gateway attached to it."),
                ));
            }
            gateway.attachment = Some(VpcAttachment {
                vpc,
                life: Life::begin(ctx),
            });
            tx.put(gateway.clone());
        }
    }
    Ok(AttachVpnGatewayReply {
        vpc_attachment: gateway.attachments(ctx.now).pop(),
    })
}

pub(crate) fn detach_vpn_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AttachmentRequest,
) -> Result<(), ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let mut gateway = mortal::find::<VpnGateway>(tx, ctx, &req.vpn_gateway_id)?.clone();
    if gateway.vpc() != Some(vpc) {
        return Err(ApiError::new(
            "InvalidVpnGatewayAttachment.NotFound",
            format!(
                "The attachment with vpn gateway ID '{}' and vpc ID '{vpc}' does not exist",
                gateway.id
            ),
        ));
    }
    gateway.attachment = Some(VpcAttachment {
        vpc,
        life: Life::end(ctx),
    });
    tx.put(gateway);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteVpnGatewayRequest {
    vpn_gateway_id: String,
}

pub(crate) fn delete_vpn_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteVpnGatewayRequest,
) -> Result<(), ApiError> {
    let mut gateway = mortal::find::<VpnGateway>(tx, ctx, &req.vpn_gateway_id)?.clone();
    let detaching = gateway
        .attachments(ctx.now)
        .iter()
        .any(|attachment| attachment.state != "detached");
    // A route to a gateway that is gone is a black hole; a connection holds it.
    let referrers = tx.state().referrers(gateway.id);
    let holds = referrers.iter().any(|(kind, _)| *kind == "vpn-connection");
    if detaching || holds {
        return Err(ApiError::new(
            "IncorrectState",
            format!("The vpnGateway '{}' is in use.", gateway.id),
        ));
    }
    gateway.life = Life::end(ctx);
    tx.put(gateway);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    fn vpc(world: &mut World) -> String {
        let made = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        text(&made, "Vpc.VpcId")
    }

    fn gateway(world: &mut World) -> String {
        let made = world.ok(
            "CreateVpnGateway",
            json!({"Type": "ipsec.1", "AvailabilityZone": ""}),
        );
        assert_eq!(text(&made, "VpnGateway.AmazonSideAsn"), "64512");
        text(&made, "VpnGateway.VpnGatewayId")
    }

    #[test]
    fn one_gateway_of_a_vpc_is_attached() {
        let mut world = World::new();
        let (vpc, other) = (vpc(&mut world), vpc(&mut world));
        let (gateway, second) = (gateway(&mut world), gateway(&mut world));
        world.settle = 1000;
        let pair = json!({"VpcId": vpc, "VpnGatewayId": gateway});
        let code = world.err("DetachVpnGateway", pair.clone());
        assert_eq!(code, "InvalidVpnGatewayAttachment.NotFound");
        let reply = world.ok("AttachVpnGateway", pair.clone());
        assert_eq!(text(&reply, "VpcAttachment.State"), "attaching");
        let code = world.err(
            "AttachVpnGateway",
            json!({"VpcId": other, "VpnGatewayId": gateway}),
        );
        assert_eq!(code, "VpnGatewayAttachmentLimitExceeded");
        let code = world.err(
            "AttachVpnGateway",
            json!({"VpcId": vpc, "VpnGatewayId": second}),
        );
        assert_eq!(code, "InvalidVpcState");
        world.now.0 += 1000;
        let filters = json!([{"Name": "attachment.state", "Values": ["attached"]}]);
        let found = world.ok("DescribeVpnGateways", json!({"Filters": filters}));
        assert_eq!(count(&found, "VpnGateways"), 1);
        assert_eq!(text(&found, "VpnGateways.0.VpcAttachments.0.VpcId"), vpc);
        let one = json!({"VpnGatewayId": gateway});
        assert_eq!(world.err("DeleteVpnGateway", one.clone()), "IncorrectState");
        let code = world.err("DeleteVpc", json!({"VpcId": vpc}));
        assert_eq!(code, "DependencyViolation");
        world.ok("DetachVpnGateway", pair);
        assert_eq!(world.err("DeleteVpnGateway", one.clone()), "IncorrectState");
        world.now.0 += 1000;
        let shown = |world: &mut World| {
            let request = json!({"VpnGatewayIds": [gateway]});
            world.ok("DescribeVpnGateways", request)
        };
        let state = text(&shown(&mut world), "VpnGateways.0.VpcAttachments.0.State");
        assert_eq!(state, "detached");
        world.now.0 += 4_000_000;
        let forgotten = shown(&mut world);
        assert_eq!(count(&forgotten, "VpnGateways.0.VpcAttachments"), 0);
        world.ok("DeleteVpnGateway", one.clone());
        let code = world.err("DeleteVpnGateway", one);
        assert_eq!(code, "InvalidVpnGatewayID.NotFound");
        world.ok("DeleteVpc", json!({"VpcId": vpc}));
    }

    #[test]
    fn what_a_gateway_may_not_be() {
        let mut world = World::new();
        for request in [
            json!({"Type": "ipsec.1", "AmazonSideAsn": 65_535}),
            json!({"Type": "ipsec.1", "AmazonSideAsn": 4_294_967_295_i64}),
            json!({"Type": "ipsec.1", "AvailabilityZone": "nowhere"}),
            json!({"Type": "other"}),
        ] {
            let code = world.err("CreateVpnGateway", request.clone());
            assert_eq!(code, "InvalidParameterValue", "{request}");
        }
        for n in 0..5 {
            let request = json!({"Type": "ipsec.1", "AmazonSideAsn": 4_200_000_000_i64 + n});
            world.ok("CreateVpnGateway", request);
        }
        let code = world.err("CreateVpnGateway", json!({"Type": "ipsec.1"}));
        assert_eq!(code, "VpnGatewayLimitExceeded");
    }
}
