//! Reverse names of elastic IP addresses, and what is left of EC2-Classic's addresses. Nobody resolves the names.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::AllocationId;

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::life::settled;
use crate::page::{self, USUAL_BOUNDS};
use crate::resource::{self, Query};
use crate::{Address, Context, DnsName, Timestamp, Tx, address};

actions! {
    "DescribeAddressesAttribute" => describe_addresses_attribute, Control;
    "DescribeMovingAddresses" => describe_moving_addresses, Control;
    "ModifyAddressAttribute" => modify_address_attribute, Control;
    "MoveAddressToVpc" => move_address_to_vpc, Control;
    "ResetAddressAttribute" => reset_address_attribute, Control;
}

/// The reverse name that an address gets, or loses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reverse {
    /// The name; none once it was reset.
    pub name: Option<DnsName>,
    /// The one before.
    pub before: Option<DnsName>,
    /// From when on the new one counts.
    pub settled: Timestamp,
}

/// The attributes of an address in a reply: the reverse name is the only one.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeItem {
    public_ip: IpAddr,
    allocation_id: AllocationId,
    ptr_record: Option<String>,
    ptr_record_update: Option<Update>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Update {
    value: String,
    status: &'static str,
}

fn item(address: &Address, is_pending: impl Fn(&Reverse) -> bool) -> AttributeItem {
    let reverse = address.reverse.as_ref();
    let text = |name: &Option<DnsName>| name.as_ref().map(ToString::to_string);
    let pending = reverse.filter(|reverse| is_pending(reverse));
    AttributeItem {
        public_ip: address.public,
        allocation_id: address.id,
        ptr_record: match pending {
            Some(reverse) => text(&reverse.before),
            None => reverse.and_then(|reverse| text(&reverse.name)),
        },
        ptr_record_update: pending.map(|reverse| Update {
            value: text(&reverse.name).unwrap_or_default(),
            status: "PENDING",
        }),
    }
}

fn check_attribute(attribute: Option<&str>) -> Result<(), ApiError> {
    match attribute {
        None | Some("domain-name") => Ok(()),
        Some(other) => Err(resource::invalid_value(&other, "attribute")),
    }
}

/// `DescribeAddressesAttribute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeAddressesAttributeRequest {
    allocation_ids: Option<Vec<String>>,
    attribute: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeAddressesAttributeReply {
    addresses: Vec<AttributeItem>,
    next_token: Option<String>,
}

/// Lists addresses with their reverse names.
pub(crate) fn describe_addresses_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeAddressesAttributeRequest,
) -> Result<DescribeAddressesAttributeReply, ApiError> {
    check_attribute(req.attribute.as_deref())?;
    let query = Query {
        ids: req.allocation_ids.as_deref(),
        filters: None,
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<Address>(tx, ctx, &query, &[], &(1..=1000))?;
    let is_pending = |reverse: &Reverse| ctx.now < reverse.settled;
    let addresses = page.items.into_iter().map(|a| item(a, is_pending));
    Ok(DescribeAddressesAttributeReply {
        addresses: addresses.collect(),
        next_token: page.next_token,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttributeReply {
    address: AttributeItem,
}

/// Sets or resets the name; EC2 answers before that has settled.
fn set(
    tx: &mut Tx,
    ctx: &Context<'_>,
    id: &str,
    name: Option<DnsName>,
) -> Result<AttributeReply, ApiError> {
    let mut address = resource::find::<Address>(tx, ctx, id)?.clone();
    let before = address.reverse.take().and_then(|reverse| reverse.name);
    address.reverse = Some(Reverse {
        name,
        before,
        settled: settled(ctx),
    });
    let reply = AttributeReply {
        address: item(&address, |_| true),
    };
    // What had a name and has none, once that has settled, is as it was before.
    let is_gone = |reverse: &Reverse| reverse.name.is_none() && reverse.settled <= ctx.now;
    if address.reverse.as_ref().is_some_and(is_gone) {
        address.reverse = None;
    }
    tx.put(address);
    Ok(reply)
}

/// `ModifyAddressAttribute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyAddressAttributeRequest {
    allocation_id: String,
    domain_name: Option<String>,
}

/// Gives an address a reverse name. Whether the name leads to the address, as EC2 wants it to, cannot be known here.
pub(crate) fn modify_address_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyAddressAttributeRequest,
) -> Result<AttributeReply, ApiError> {
    let text = req
        .domain_name
        .ok_or_else(|| resource::missing("domainName"))?;
    let name = text.parse::<DnsName>().ok().filter(|name| name.depth() > 1);
    let name = name.ok_or_else(|| resource::invalid_value(&text, "domainName"))?;
    set(tx, ctx, &req.allocation_id, Some(name))
}

/// `ResetAddressAttribute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ResetAddressAttributeRequest {
    allocation_id: String,
    attribute: String,
}

pub(crate) fn reset_address_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ResetAddressAttributeRequest,
) -> Result<AttributeReply, ApiError> {
    check_attribute(Some(&req.attribute))?;
    set(tx, ctx, &req.allocation_id, None)
}

/// `MoveAddressToVpc`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct MoveAddressToVpcRequest {
    public_ip: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MoveAddressToVpcReply {
    allocation_id: AllocationId,
    status: &'static str,
}

/// Every address is for VPCs: since EC2-Classic is gone there is nothing left to move.
pub(crate) fn move_address_to_vpc(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: MoveAddressToVpcRequest,
) -> Result<MoveAddressToVpcReply, ApiError> {
    Ok(MoveAddressToVpcReply {
        allocation_id: address::find_public(tx, ctx, &req.public_ip)?.id,
        status: "InVpc",
    })
}

/// `DescribeMovingAddresses`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeMovingAddressesRequest {
    filters: Option<Vec<Filter>>,
    public_ips: Option<Vec<String>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeMovingAddressesReply {
    moving_address_statuses: [(); 0],
    next_token: Option<String>,
}

/// No address is on its way from or to EC2-Classic.
pub(crate) fn describe_moving_addresses(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeMovingAddressesRequest,
) -> Result<DescribeMovingAddressesReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(&filters, &["moving-status"])?;
    for public in req.public_ips.unwrap_or_default() {
        address::find_public(tx, ctx, &public)?;
    }
    let page = page::cut(
        std::iter::empty(),
        |key: &String| key.clone(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribeMovingAddressesReply {
        moving_address_statuses: [],
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, at, count, text};

    fn has(value: &api::Value, path: &str, member: &str) -> bool {
        let api::Value::Structure(members) = at(value, path) else {
            panic!("{value:?}")
        };
        members.contains_key(member)
    }

    #[test]
    fn reverse_names() {
        let mut world = World::new();
        world.settle = 1000;
        let made = world.ok("AllocateAddress", json!({}));
        let id = text(&made, "AllocationId");
        let set = |name: &str| json!({"AllocationId": id, "DomainName": name});
        let ask = json!({"AllocationIds": [id], "Attribute": "domain-name"});
        let shown = |world: &mut World| world.ok("DescribeAddressesAttribute", ask.clone());
        assert!(!has(&shown(&mut world), "Addresses.0", "PtrRecord"));
        let reply = world.ok("ModifyAddressAttribute", set("Mail.Example.com"));
        assert!(!has(&reply, "Address", "PtrRecord"));
        let update = "PtrRecordUpdate.Value";
        let name = "mail.example.com.";
        assert_eq!(text(&reply, &format!("Address.{update}")), name);
        let pending = shown(&mut world);
        assert_eq!(text(&pending, &format!("Addresses.0.{update}")), name);
        let status = "Addresses.0.PtrRecordUpdate.Status";
        assert_eq!(text(&pending, status), "PENDING");
        world.now.0 += 1000;
        let settled = shown(&mut world);
        assert_eq!(text(&settled, "Addresses.0.PtrRecord"), name);
        assert!(!has(&settled, "Addresses.0", "PtrRecordUpdate"));
        let release = json!({"AllocationId": id});
        let locked = world.err("ReleaseAddress", release.clone());
        assert_eq!(locked, "InvalidAddress.Locked");
        let reset = |attribute: &str| json!({"AllocationId": id, "Attribute": attribute});
        let reply = world.ok("ResetAddressAttribute", reset("domain-name"));
        assert_eq!(text(&reply, "Address.PtrRecord"), name);
        assert_eq!(text(&reply, &format!("Address.{update}")), "");
        world.now.0 += 1000;
        assert!(!has(&shown(&mut world), "Addresses.0", "PtrRecord"));
        let codes: [(&str, Json, &str); 4] = [
            (
                "ModifyAddressAttribute",
                set("a..b"),
                "InvalidParameterValue",
            ),
            (
                "ModifyAddressAttribute",
                set("com"),
                "InvalidParameterValue",
            ),
            (
                "ModifyAddressAttribute",
                json!({"AllocationId": id}),
                "MissingParameter",
            ),
            ("ResetAddressAttribute", reset("x"), "InvalidParameterValue"),
        ];
        for (action, request, code) in codes {
            assert_eq!(world.err(action, request), code);
        }
        world.ok("ReleaseAddress", release);
    }

    #[test]
    fn nothing_is_left_to_move() {
        let mut world = World::new();
        let made = world.ok("AllocateAddress", json!({}));
        let public = json!({"PublicIp": text(&made, "PublicIp")});
        let moved = world.ok("MoveAddressToVpc", public);
        assert_eq!(text(&moved, "Status"), "InVpc");
        assert_eq!(text(&moved, "AllocationId"), text(&made, "AllocationId"));
        let strange = json!({"PublicIp": "198.51.100.1"});
        let code = world.err("MoveAddressToVpc", strange);
        assert_eq!(code, "InvalidAddress.NotFound");
        let filter = json!({"Filters": [{"Name": "moving-status", "Values": ["MovingToVpc"]}]});
        let moving = world.ok("DescribeMovingAddresses", filter);
        assert_eq!(count(&moving, "MovingAddressStatuses"), 0);
    }
}
