//! Transfers of elastic IP addresses to other accounts: offered by the one, accepted by the other.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, AllocationId, RegionName};

use crate::dispatch::actions;
use crate::mortal::invalid;
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource, resource};
use crate::tags::TagSpecification;
use crate::{Address, Context, Key, Tags, Timestamp, Tx, quota};

actions! {
    "AcceptAddressTransfer" => accept_address_transfer, Enforced;
    "DescribeAddressTransfers" => describe_address_transfers, Control;
    "DisableAddressTransfer" => disable_address_transfer, Control;
    "EnableAddressTransfer" => enable_address_transfer, Control;
}

const DAY: i64 = 86_400_000;
/// "The transfer account has seven days to accept the Elastic IP address transfer."
const OPEN_FOR: i64 = 7 * DAY;
/// "Accepted transfers are visible to the source account for 14 days after the transfers have been accepted."
const SHOWN_FOR: i64 = 14 * DAY;

/// The latest transfer of an address. It belongs to the account that offered it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AddressTransfer {
    /// The address's identifier, which it keeps.
    pub id: AllocationId,
    /// Who offers it.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Always empty: transfers have no tags.
    #[serde(default, skip_serializing)]
    pub tags: Tags,
    /// The address.
    pub public: IpAddr,
    /// Who may have it.
    pub to: AccountId,
    /// Until when.
    pub expires: Timestamp,
    /// When that account took it.
    pub accepted: Option<Timestamp>,
}

resource!(
    AddressTransfer,
    "elastic-ip-transfer",
    |this, keys| {},
    <Address as Resource>::not_found,
);

impl AddressTransfer {
    fn is_over(&self, now: Timestamp) -> bool {
        match self.accepted {
            Some(at) => now.0.saturating_sub(at.0) > SHOWN_FOR,
            None => now >= self.expires,
        }
    }

    fn is_open(&self, now: Timestamp) -> bool {
        self.accepted.is_none() && !self.is_over(now)
    }

    fn reply(&self) -> TransferItem {
        let time = |at: Timestamp| api::Timestamp::from_millis(at.0);
        TransferItem {
            public_ip: self.public,
            allocation_id: self.id,
            transfer_account_id: self.to,
            transfer_offer_expiration_timestamp: Some(time(self.expires)),
            transfer_offer_accepted_timestamp: self.accepted.map(time),
            address_transfer_status: match self.accepted {
                None => "pending",
                Some(_) => "accepted",
            },
        }
    }
}

/// Ends an offer of an address that is released.
pub(crate) fn withdraw(tx: &mut Tx, id: AllocationId) {
    let offered = tx.get::<AddressTransfer>(&id);
    if offered.is_some_and(|transfer| transfer.accepted.is_none()) {
        tx.remove::<AddressTransfer>(&id);
    }
}

/// Removes those of the client's transfers that are no longer shown.
fn forget(tx: &mut Tx, ctx: &Context<'_>) {
    let over: Vec<AllocationId> = resource::own::<AddressTransfer>(tx, ctx)
        .filter(|transfer| transfer.is_over(ctx.now))
        .map(|transfer| transfer.id)
        .collect();
    for id in over {
        tx.remove::<AddressTransfer>(&id);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransferReply {
    address_transfer: TransferItem,
}

/// A transfer in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TransferItem {
    public_ip: IpAddr,
    allocation_id: AllocationId,
    transfer_account_id: AccountId,
    transfer_offer_expiration_timestamp: Option<api::Timestamp>,
    transfer_offer_accepted_timestamp: Option<api::Timestamp>,
    address_transfer_status: &'static str,
}

/// `EnableAddressTransfer`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct EnableAddressTransferRequest {
    allocation_id: String,
    transfer_account_id: String,
}

/// Offers an address to another account, for seven days. An offer before it counts no more.
pub(crate) fn enable_address_transfer(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: EnableAddressTransferRequest,
) -> Result<TransferReply, ApiError> {
    const TO: &str = "transferAccountId";
    let address = resource::find::<Address>(tx, ctx, &req.allocation_id)?;
    let text = &req.transfer_account_id;
    let to: AccountId = text
        .parse()
        .map_err(|_| resource::invalid_value(text, TO))?;
    if to == ctx.account {
        return Err(invalid(TO, to, "The address is this account's already."));
    }
    let transfer = AddressTransfer {
        id: address.id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::default(),
        public: address.public,
        to,
        expires: Timestamp(ctx.now.0.saturating_add(OPEN_FOR)),
        accepted: None,
    };
    let reply = transfer.reply();
    forget(tx, ctx);
    tx.put(transfer);
    Ok(TransferReply {
        address_transfer: reply,
    })
}

/// `DescribeAddressTransfers`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeAddressTransfersRequest {
    allocation_ids: Option<Vec<String>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeAddressTransfersReply {
    address_transfers: Vec<TransferItem>,
    next_token: Option<String>,
}

/// Lists what the client has offered.
pub(crate) fn describe_address_transfers(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeAddressTransfersRequest,
) -> Result<DescribeAddressTransfersReply, ApiError> {
    forget(tx, ctx);
    let mut ids = req.allocation_ids;
    if let Some(ids) = ids.as_mut().filter(|ids| !ids.is_empty()) {
        let mut offered = Vec::new();
        for id in ids.drain(..) {
            if resource::find::<AddressTransfer>(tx, ctx, &id).is_ok() {
                offered.push(id);
            } else {
                resource::find::<Address>(tx, ctx, &id)?;
            }
        }
        if offered.is_empty() {
            // No ids would mean all.
            return Ok(DescribeAddressTransfersReply {
                address_transfers: Vec::new(),
                next_token: None,
            });
        }
        *ids = offered;
    }
    let query = Query {
        ids: ids.as_deref(),
        filters: None,
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<AddressTransfer>(tx, ctx, &query, &[], &USUAL_BOUNDS)?;
    Ok(DescribeAddressTransfersReply {
        address_transfers: page.items.into_iter().map(AddressTransfer::reply).collect(),
        next_token: page.next_token,
    })
}

/// `AcceptAddressTransfer`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AcceptAddressTransferRequest {
    address: String,
    tag_specifications: Option<Vec<TagSpecification>>,
}

/// Takes an address that another account offers. Its tags stay behind.
pub(crate) fn accept_address_transfer(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AcceptAddressTransferRequest,
) -> Result<TransferReply, ApiError> {
    let text = &req.address;
    let public: IpAddr = text
        .parse()
        .map_err(|_| resource::invalid_value(text, "address"))?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), Address::TYPE)?;
    let named = tx.state().addresses.by(Key::Address(public)).next();
    let offered = named.and_then(|address| {
        let transfer = tx.get::<AddressTransfer>(&address.id)?;
        let open = transfer.is_open(ctx.now) && transfer.account == address.account;
        let mine = transfer.to == ctx.account && transfer.region == ctx.region;
        (open && mine).then_some((address, transfer))
    });
    let Some((address, transfer)) = offered else {
        return Err(ApiError::new(
            "InvalidAddress.NotFound",
            format!("Address '{text}' not found."),
        ));
    };
    if address.association.is_some() {
        return Err(ApiError::new(
            "InvalidTransfer.AddressAssociated",
            format!("The address '{public}' is associated with a resource of the source account."),
        ));
    }
    if address.has_reverse_name(ctx.now) {
        return Err(ApiError::new(
            "InvalidTransfer.AddressCustomPtrSet",
            format!("The address '{public}' has a custom PTR record."),
        ));
    }
    quota::ADDRESSES.one_more(tx, ctx, resource::own::<Address>(tx, ctx).count())?;
    let address = Address {
        account: ctx.account,
        tags,
        ..address.clone()
    };
    let transfer = AddressTransfer {
        accepted: Some(ctx.now),
        ..transfer.clone()
    };
    let reply = transfer.reply();
    tx.put(address);
    tx.put(transfer);
    Ok(TransferReply {
        address_transfer: reply,
    })
}

/// `DisableAddressTransfer`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisableAddressTransferRequest {
    allocation_id: String,
}

/// Takes an offer back.
pub(crate) fn disable_address_transfer(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DisableAddressTransferRequest,
) -> Result<TransferReply, ApiError> {
    let id = resource::find::<Address>(tx, ctx, &req.allocation_id)?.id;
    let offered = tx
        .get::<AddressTransfer>(&id)
        .filter(|transfer| transfer.account == ctx.account && transfer.is_open(ctx.now));
    let reply = offered
        .map(AddressTransfer::reply)
        .ok_or_else(|| invalid("allocationId", id, "The address is not being transferred."))?;
    tx.remove::<AddressTransfer>(&id);
    Ok(TransferReply {
        address_transfer: TransferItem {
            address_transfer_status: "disabled",
            transfer_offer_expiration_timestamp: None,
            ..reply
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{DAY, OPEN_FOR, SHOWN_FOR};
    use crate::testing::{World, account, count, text};

    const HERE: &str = "111122223333";
    const THERE: &str = "444455556666";

    fn allocate(world: &mut World) -> (String, String) {
        let tags = json!([{"ResourceType": "elastic-ip", "Tags": [{"Key": "k", "Value": "v"}]}]);
        let made = world.ok("AllocateAddress", json!({"TagSpecifications": tags}));
        (text(&made, "AllocationId"), text(&made, "PublicIp"))
    }

    fn offer(id: &str) -> Json {
        json!({"AllocationId": id, "TransferAccountId": THERE})
    }

    fn shown(world: &mut World, ids: &Json) -> usize {
        let request = json!({"AllocationIds": ids});
        let reply = world.ok("DescribeAddressTransfers", request);
        count(&reply, "AddressTransfers")
    }

    #[test]
    fn an_address_changes_hands() {
        let mut world = World::new();
        let (id, public) = allocate(&mut world);
        let (other, _) = allocate(&mut world);
        assert_eq!(shown(&mut world, &json!([])), 0);
        let reply = world.ok("EnableAddressTransfer", offer(&id));
        let at = |member: &str| text(&reply, &format!("AddressTransfer.{member}"));
        assert_eq!(at("AddressTransferStatus"), "pending");
        assert_eq!(at("TransferAccountId"), THERE);
        assert_eq!(shown(&mut world, &json!([])), 1);
        assert_eq!(shown(&mut world, &json!([id])), 1);
        assert_eq!(shown(&mut world, &json!([other])), 0);
        let accept = json!({"Address": public});
        // Only who it is offered to takes it, and where it is.
        let unknown = "InvalidAddress.NotFound";
        for (who, place) in [
            (HERE, "us-east-1"),
            ("777788889999", "us-east-1"),
            (THERE, "eu-west-1"),
        ] {
            world.account = account(who);
            world.region = place;
            assert_eq!(world.err("AcceptAddressTransfer", accept.clone()), unknown);
        }
        world.region = "us-east-1";
        world.account = account(THERE);
        assert_eq!(shown(&mut world, &json!([])), 0);
        let done = world.ok("AcceptAddressTransfer", accept.clone());
        let status = "AddressTransfer.AddressTransferStatus";
        assert_eq!(text(&done, status), "accepted");
        let all = world.ok("DescribeAddresses", json!({}));
        assert_eq!(text(&all, "Addresses.0.PublicIp"), public);
        assert_eq!(count(&all, "Addresses.0.Tags"), 0);
        assert_eq!(world.err("AcceptAddressTransfer", accept), unknown);
        // Whose it was sees that for two weeks.
        world.account = account(HERE);
        assert_eq!(
            count(&world.ok("DescribeAddresses", json!({})), "Addresses"),
            1
        );
        assert_eq!(
            world.err("ReleaseAddress", json!({"AllocationId": id})),
            "InvalidAllocationID.NotFound"
        );
        assert_eq!(shown(&mut world, &json!([id])), 1);
        world.now.0 += SHOWN_FOR + 1;
        assert_eq!(shown(&mut world, &json!([])), 0);
    }

    #[test]
    fn offers_end() {
        let mut world = World::new();
        let (id, public) = allocate(&mut world);
        let accept = json!({"Address": public});
        let off = json!({"AllocationId": id});
        world.ok("EnableAddressTransfer", offer(&id));
        let reply = world.ok("DisableAddressTransfer", off.clone());
        let status = "AddressTransfer.AddressTransferStatus";
        assert_eq!(text(&reply, status), "disabled");
        let again = world.err("DisableAddressTransfer", off.clone());
        assert_eq!(again, "InvalidParameterValue");
        let refused = |world: &mut World| {
            world.account = account(THERE);
            let code = world.err("AcceptAddressTransfer", accept.clone());
            world.account = account(HERE);
            assert_eq!(code, "InvalidAddress.NotFound");
        };
        refused(&mut world);
        world.ok("EnableAddressTransfer", offer(&id));
        world.now.0 += OPEN_FOR;
        refused(&mut world);
        assert_eq!(shown(&mut world, &json!([])), 0);
        // A later offer is open, and ends with the address.
        world.ok("EnableAddressTransfer", offer(&id));
        world.now.0 += OPEN_FOR - DAY;
        world.ok("ReleaseAddress", off);
        assert_eq!(shown(&mut world, &json!([])), 0);
        let asked = json!({"Address": public});
        world.ok("AllocateAddress", asked);
        refused(&mut world);
    }

    #[test]
    fn what_cannot_be_transferred() {
        let mut world = World::new();
        let (id, public) = allocate(&mut world);
        for (request, code) in [
            (
                json!({"AllocationId": id, "TransferAccountId": HERE}),
                "InvalidParameterValue",
            ),
            (
                json!({"AllocationId": id, "TransferAccountId": "1"}),
                "InvalidParameterValue",
            ),
            (offer("eipalloc-12345678"), "InvalidAllocationID.NotFound"),
        ] {
            assert_eq!(world.err("EnableAddressTransfer", request), code);
        }
        world.ok("EnableAddressTransfer", offer(&id));
        let accept = |world: &mut World| {
            world.account = account(THERE);
            let code = world.err("AcceptAddressTransfer", json!({"Address": public}));
            world.account = account(HERE);
            code
        };
        let name = json!({"AllocationId": id, "DomainName": "mail.example.com"});
        world.ok("ModifyAddressAttribute", name);
        assert_eq!(accept(&mut world), "InvalidTransfer.AddressCustomPtrSet");
        let reset = json!({"AllocationId": id, "Attribute": "domain-name"});
        world.ok("ResetAddressAttribute", reset);
        let launch = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        let made = world.ok("RunInstances", launch);
        let instance = text(&made, "Instances.0.InstanceId");
        let done = world.ok(
            "AssociateAddress",
            json!({"AllocationId": id, "InstanceId": instance}),
        );
        assert_eq!(accept(&mut world), "InvalidTransfer.AddressAssociated");
        let association = text(&done, "AssociationId");
        world.ok("DisassociateAddress", json!({"AssociationId": association}));
        world.account = account(THERE);
        for _ in 0..crate::quota::ADDRESSES.default {
            world.ok("AllocateAddress", json!({}));
        }
        assert_eq!(accept(&mut world), "AddressLimitExceeded");
    }
}
