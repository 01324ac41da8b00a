//! Customer gateways: the far ends of VPN connections.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, CustomerGatewayId, RegionName};

use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, combination, describe, invalid, mortal};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Tx, quota};

actions! {
    "CreateCustomerGateway" => create_customer_gateway, Recorded;
    "DeleteCustomerGateway" => delete_customer_gateway, Recorded;
    "DescribeCustomerGateways" => describe_customer_gateways, Control;
}

/// A customer gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CustomerGateway {
    /// Its identifier.
    pub id: CustomerGatewayId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Its number in BGP.
    pub asn: u32,
    /// Its address outside; without one it has a certificate.
    pub address: Option<IpAddr>,
    /// Its certificate.
    pub certificate: Option<String>,
    /// What its owner calls it.
    pub device_name: Option<String>,
    /// Where it stands.
    pub life: Life,
}

resource!(
    CustomerGateway,
    "customer-gateway",
    |_this, _keys| {},
    |id| resource::unknown_id(
        id,
        "cgw",
        "customerGateway ID",
        "InvalidCustomerGatewayID.NotFound",
        "InvalidCustomerGatewayId.Malformed",
    )
);

mortal!(CustomerGateway);

/// Numbers over this one are "extended" in EC2's parameters.
const LAST_PLAIN_ASN: u32 = 2_147_483_647;

/// What a gateway has whose request names no number.
const DEFAULT_ASN: u32 = 65_000;

/// EC2's only type of VPN.
pub(crate) const TYPE: &str = "ipsec.1";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateCustomerGatewayRequest {
    bgp_asn: Option<i64>,
    bgp_asn_extended: Option<i64>,
    public_ip: Option<String>,
    ip_address: Option<String>,
    certificate_arn: Option<String>,
    r#type: String,
    device_name: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateCustomerGatewayReply {
    customer_gateway: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    bgp_asn: Option<String>,
    bgp_asn_extended: Option<String>,
    certificate_arn: Option<String>,
    customer_gateway_id: CustomerGatewayId,
    device_name: Option<String>,
    ip_address: Option<IpAddr>,
    state: &'static str,
    tags: Vec<Tag>,
    r#type: &'static str,
}

impl CustomerGateway {
    fn reply(&self, view: &View<'_>) -> Item {
        let (plain, extended) = if self.asn > LAST_PLAIN_ASN {
            (None, Some(self.asn.to_string()))
        } else {
            (Some(self.asn.to_string()), None)
        };
        Item {
            bgp_asn: plain,
            bgp_asn_extended: extended,
            certificate_arn: self.certificate.clone(),
            customer_gateway_id: self.id,
            device_name: self.device_name.clone(),
            ip_address: self.address,
            state: mortal::state_name(self.life, view),
            tags: self.tags.reply(),
            r#type: TYPE,
        }
    }
}

fn asn(plain: Option<i64>, extended: Option<i64>) -> Result<u32, ApiError> {
    let within = |number: i64, parameter: &str, from: u32, to: u32| {
        u32::try_from(number)
            .ok()
            .filter(|number| (from..=to).contains(number))
            .ok_or_else(|| {
                invalid(
                    parameter,
                    number,
                    &format!("It must be between {from} and {to}."),
                )
            })
    };
    match (plain, extended) {
        (None, None) => Ok(DEFAULT_ASN),
        (Some(number), None) => within(number, "bgpAsn", 1, LAST_PLAIN_ASN),
        (None, Some(number)) => within(number, "bgpAsnExtended", LAST_PLAIN_ASN + 1, u32::MAX - 1),
        (Some(_), Some(_)) => Err(combination(
            "The parameter bgpAsn cannot be used with the parameter bgpAsnExtended",
        )),
    }
}

fn address(public: Option<&str>, any: Option<&str>) -> Result<Option<IpAddr>, ApiError> {
    let (text, parameter) = match (public, any) {
        (None, None) => return Ok(None),
        (Some(text), None) => (text, "publicIp"),
        (None, Some(text)) => (text, "ipAddress"),
        (Some(_), Some(_)) => {
            return Err(combination(
                "The parameter publicIp cannot be used with the parameter ipAddress",
            ));
        }
    };
    let wrong = || invalid(parameter, text, "Invalid IP address.");
    let address: IpAddr = text.parse().map_err(|_| wrong())?;
    let no_host = match address {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    if no_host || address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(wrong());
    }
    Ok(Some(address))
}

/// Makes a gateway. EC2: "an identical request returns information about the existing customer gateway".
pub(crate) fn create_customer_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateCustomerGatewayRequest,
) -> Result<CreateCustomerGatewayReply, ApiError> {
    const MAX_NAME: usize = 255;
    if req.r#type != TYPE {
        return Err(invalid("type", &req.r#type, "Unknown VPN type."));
    }
    let asn = asn(req.bgp_asn, req.bgp_asn_extended)?;
    let address = address(req.public_ip.as_deref(), req.ip_address.as_deref())?;
    if let Some(arn) = &req.certificate_arn
        && !mortal::is_arn(arn, "acm")
    {
        return Err(invalid("certificateArn", arn, "Invalid certificate ARN."));
    }
    if address.is_none() && req.certificate_arn.is_none() {
        return Err(resource::missing("ipAddress"));
    }
    if let Some(name) = &req.device_name
        && (name.is_empty() || name.chars().count() > MAX_NAME)
    {
        return Err(invalid(
            "deviceName",
            name,
            "It must have 1 to 255 characters.",
        ));
    }
    let tags = Tags::of_new(req.tag_specifications.as_deref(), CustomerGateway::TYPE)?;
    mortal::forget::<CustomerGateway>(tx, ctx);
    let same = mortal::own::<CustomerGateway>(tx, ctx).find(|gateway| {
        gateway.asn == asn
            && gateway.address == address
            && gateway.certificate == req.certificate_arn
            && gateway.device_name == req.device_name
    });
    let id = match same {
        Some(there) => there.id,
        None => {
            let present = mortal::own::<CustomerGateway>(tx, ctx).count();
            quota::CUSTOMER_GATEWAYS.one_more(tx, ctx, present)?;
            let id = CustomerGatewayId::from_bits(ctx.random());
            tx.put(CustomerGateway {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags,
                asn,
                address,
                certificate: req.certificate_arn,
                device_name: req.device_name,
                life: Life::begin(ctx),
            });
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(CreateCustomerGatewayReply {
        customer_gateway: resource::get::<CustomerGateway>(tx, &id)?.reply(&view),
    })
}

const FILTERS: &[Field<CustomerGateway>] = &[
    ("bgp-asn", |_, g| vec![g.asn.to_string()]),
    ("customer-gateway-id", |_, g| vec![g.id.to_string()]),
    ("ip-address", |_, g| {
        g.address.map(|a| a.to_string()).into_iter().collect()
    }),
    ("state", |view, g| {
        vec![mortal::state_name(g.life, view).to_owned()]
    }),
    ("type", |_, _| vec![TYPE.to_owned()]),
];

describe!(
    describe_customer_gateways(DescribeCustomerGatewaysRequest { customer_gateway_ids, filters })
        -> DescribeCustomerGatewaysReply { customer_gateways: Item },
    CustomerGateway, FILTERS, USUAL_BOUNDS, forget CustomerGateway
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteCustomerGatewayRequest {
    customer_gateway_id: String,
}

pub(crate) fn delete_customer_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteCustomerGatewayRequest,
) -> Result<(), ApiError> {
    let mut gateway = mortal::find::<CustomerGateway>(tx, ctx, &req.customer_gateway_id)?.clone();
    if !tx.state().referrers(gateway.id).is_empty() {
        return Err(ApiError::new(
            "IncorrectState",
            "The customer gateway is in use.",
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

    #[test]
    fn life_of_a_customer_gateway() {
        let mut world = World::new();
        world.settle = 1000;
        let request = json!({"Type": "ipsec.1", "PublicIp": "198.51.100.7", "BgpAsn": 65001});
        let made = world.ok("CreateCustomerGateway", request.clone());
        assert_eq!(text(&made, "CustomerGateway.State"), "pending");
        let id = text(&made, "CustomerGateway.CustomerGatewayId");
        // The same request again makes nothing; another name, another gateway.
        let again = world.ok("CreateCustomerGateway", request.clone());
        assert_eq!(text(&again, "CustomerGateway.CustomerGatewayId"), id);
        let mut named = request;
        named["DeviceName"] = json!("edge");
        let other = world.ok("CreateCustomerGateway", named);
        assert_ne!(text(&other, "CustomerGateway.CustomerGatewayId"), id);
        world.now.0 += 1000;
        let all = world.ok("DescribeCustomerGateways", json!({}));
        assert_eq!(count(&all, "CustomerGateways"), 2);
        assert_eq!(text(&all, "CustomerGateways.0.State"), "available");
        for (name, value, found) in [
            ("bgp-asn", "65001", 2),
            ("customer-gateway-id", id.as_str(), 1),
            ("ip-address", "198.51.100.*", 2),
            ("state", "deleted", 0),
            ("type", "ipsec.1", 2),
        ] {
            let filters = json!({"Filters": [{"Name": name, "Values": [value]}]});
            let some = world.ok("DescribeCustomerGateways", filters);
            assert_eq!(count(&some, "CustomerGateways"), found, "{name}");
        }
        let one = json!({"CustomerGatewayId": id});
        world.ok("DeleteCustomerGateway", one.clone());
        assert_eq!(
            world.err("DeleteCustomerGateway", one),
            "InvalidCustomerGatewayID.NotFound"
        );
        let ids = json!({"CustomerGatewayIds": [id]});
        let shown = world.ok("DescribeCustomerGateways", ids.clone());
        assert_eq!(text(&shown, "CustomerGateways.0.State"), "deleting");
        world.now.0 += 1000;
        let shown = world.ok("DescribeCustomerGateways", ids.clone());
        assert_eq!(text(&shown, "CustomerGateways.0.State"), "deleted");
        world.now.0 += 3_600_001;
        assert_eq!(
            world.err("DescribeCustomerGateways", ids),
            "InvalidCustomerGatewayID.NotFound"
        );
    }

    #[test]
    fn numbers_and_addresses() {
        let mut world = World::new();
        let reply = world.ok(
            "CreateCustomerGateway",
            json!({"Type": "ipsec.1", "IpAddress": "198.51.100.7", "BgpAsnExtended": 4_200_000_000_i64}),
        );
        assert_eq!(text(&reply, "CustomerGateway.BgpAsnExtended"), "4200000000");
        let reply = world.ok(
            "CreateCustomerGateway",
            json!({"Type": "ipsec.1", "IpAddress": "198.51.100.8"}),
        );
        assert_eq!(text(&reply, "CustomerGateway.BgpAsn"), "65000");
        for (request, code) in [
            (
                json!({"Type": "ipsec.2", "IpAddress": "198.51.100.7"}),
                "InvalidParameterValue",
            ),
            (json!({"Type": "ipsec.1"}), "MissingParameter"),
            (json!({"IpAddress": "198.51.100.7"}), "MissingParameter"),
            (
                json!({"Type": "ipsec.1", "IpAddress": "x"}),
                "InvalidParameterValue",
            ),
            (
                json!({"Type": "ipsec.1", "IpAddress": "127.0.0.1"}),
                "InvalidParameterValue",
            ),
            (
                json!({"Type": "ipsec.1", "IpAddress": "224.0.0.1"}),
                "InvalidParameterValue",
            ),
            (
                json!({"Type": "ipsec.1", "IpAddress": "198.51.100.7", "BgpAsn": 0}),
                "InvalidParameterValue",
            ),
            (
                json!({"Type": "ipsec.1", "IpAddress": "198.51.100.7", "BgpAsnExtended": 65000}),
                "InvalidParameterValue",
            ),
            (
                json!({"Type": "ipsec.1", "IpAddress": "198.51.100.7", "PublicIp": "198.51.100.7"}),
                "InvalidParameterCombination",
            ),
            (
                json!({"Type": "ipsec.1", "CertificateArn": "x"}),
                "InvalidParameterValue",
            ),
        ] {
            assert_eq!(
                world.err("CreateCustomerGateway", request.clone()),
                code,
                "{request}"
            );
        }
        world.account = crate::testing::account("444455556666");
        let none = world.ok("DescribeCustomerGateways", json!({}));
        assert_eq!(count(&none, "CustomerGateways"), 0);
    }
}
