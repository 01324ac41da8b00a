//! Secondary addresses of NAT gateways: private ones of private gateways, elastic ones of public gateways.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::NatGatewayId;

use crate::dispatch::actions;
use crate::mortal;
use crate::nat_gateway::{
    AddressItem, NatAddress, NatGateway, associate, check_free, elastic_addresses,
};
use crate::resource;
use crate::subnet_addresses::{self, Taken};
use crate::{Address, Context, NetworkInterface, Subnet, Tx, quota};

actions! {
    "AssignPrivateNatGatewayAddress" => assign_private_nat_gateway_address, Enforced;
    "AssociateNatGatewayAddress" => associate_nat_gateway_address, Enforced;
    "DisassociateNatGatewayAddress" => disassociate_nat_gateway_address, Enforced;
    "UnassignPrivateNatGatewayAddress" => unassign_private_nat_gateway_address, Enforced;
}

/// The reply of all four: the addresses that the request is about.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AddressesReply {
    nat_gateway_addresses: Vec<AddressItem>,
    nat_gateway_id: NatGatewayId,
}

fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

/// The client's gateway of that id, available and of that type, and its interface.
fn find(
    tx: &Tx,
    ctx: &Context<'_>,
    id: &str,
    public: bool,
) -> Result<(NatGateway, NetworkInterface), ApiError> {
    let gateway = mortal::find::<NatGateway>(tx, ctx, id)?.clone();
    let interface = gateway
        .interface
        .filter(|_| gateway.is_available(ctx.now))
        .and_then(|id| tx.get::<NetworkInterface>(&id))
        .ok_or_else(|| {
            ApiError::new(
                "IncorrectState",
                format!("The NAT gateway '{id}' is not available"),
            )
        })?
        .clone();
    if gateway.public != public {
        let kind = if public { "public" } else { "private" };
        return Err(invalid(format!(
            "The NAT gateway '{id}' is not a {kind} NAT gateway"
        )));
    }
    Ok((gateway, interface))
}

/// Gives the interface more addresses: those that are asked for, and `more` of the lowest free ones.
fn extend(
    tx: &Tx,
    ctx: &Context<'_>,
    interface: &mut NetworkInterface,
    requested: &[String],
    more: usize,
) -> Result<Vec<IpAddr>, ApiError> {
    let number = interface.addresses.len() + requested.len() + more;
    quota::NAT_PRIVATE_ADDRESSES.check(tx, ctx, number)?;
    let subnet = resource::get::<Subnet>(tx, &interface.subnet)?;
    let mut taken = Taken::of(tx.state(), subnet.id);
    let chosen = subnet_addresses::choose(&mut taken, subnet, requested, more)?;
    interface.addresses.extend(&chosen);
    Ok(chosen)
}

/// `AssignPrivateNatGatewayAddress`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssignRequest {
    nat_gateway_id: String,
    private_ip_address_count: Option<i64>,
    private_ip_addresses: Option<Vec<String>>,
}

pub(crate) fn assign_private_nat_gateway_address(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssignRequest,
) -> Result<AddressesReply, ApiError> {
    let (mut gateway, mut interface) = find(tx, ctx, &req.nat_gateway_id, false)?;
    let named = req.private_ip_addresses.unwrap_or_default();
    let more = match req.private_ip_address_count {
        None => 0,
        Some(count) => usize::try_from(count)
            .ok()
            .filter(|count| (1..=31).contains(count))
            .ok_or_else(|| {
                invalid(format!(
                    "Value ({count}) for parameter privateIpAddressCount is invalid."
                ))
            })?,
    };
    if named.is_empty() == (more == 0) {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Either PrivateIpAddresses or PrivateIpAddressCount must be specified, but not both",
        ));
    }
    let added = extend(tx, ctx, &mut interface, &named, more)?;
    gateway
        .addresses
        .extend(added.iter().map(|private| NatAddress {
            private: Some(*private),
            elastic: None,
        }));
    let is_new = |address: &NatAddress| address.private.is_some_and(|a| added.contains(&a));
    let reply = AddressesReply {
        nat_gateway_addresses: gateway.shown_addresses(is_new, "assigning"),
        nat_gateway_id: gateway.id,
    };
    tx.put(interface);
    tx.put(gateway);
    Ok(reply)
}

fn check_drain(seconds: Option<i64>) -> Result<(), ApiError> {
    match seconds {
        Some(seconds) if !(1..=4000).contains(&seconds) => Err(invalid(format!(
            "Value ({seconds}) for parameter maxDrainDurationSeconds is invalid. It must be between 1 and 4000."
        ))),
        Some(_) | None => Ok(()),
    }
}

/// `UnassignPrivateNatGatewayAddress`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UnassignRequest {
    max_drain_duration_seconds: Option<i64>,
    nat_gateway_id: String,
    private_ip_addresses: Vec<String>,
}

/// Takes addresses away: connections through them have nothing to drain.
pub(crate) fn unassign_private_nat_gateway_address(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: UnassignRequest,
) -> Result<AddressesReply, ApiError> {
    check_drain(req.max_drain_duration_seconds)?;
    let (gateway, interface) = find(tx, ctx, &req.nat_gateway_id, false)?;
    let named = |address: &NatAddress| {
        address
            .private
            .is_some_and(|private| req.private_ip_addresses.contains(&private.to_string()))
    };
    let known = gateway.addresses.iter().filter(|a| named(a)).count();
    if req.private_ip_addresses.is_empty() || known != req.private_ip_addresses.len() {
        return Err(invalid(format!(
            "Some of the private IP addresses are not assigned to the NAT gateway '{}'",
            gateway.id
        )));
    }
    take_away(tx, gateway, interface, "unassigning", named)
}

/// Takes addresses away, but never the primary one.
fn take_away(
    tx: &mut Tx,
    mut gateway: NatGateway,
    mut interface: NetworkInterface,
    status: &'static str,
    goes: impl Fn(&NatAddress) -> bool,
) -> Result<AddressesReply, ApiError> {
    if gateway.addresses.first().is_some_and(&goes) {
        return Err(invalid(format!(
            "The primary address of the NAT gateway '{}' cannot be taken away",
            gateway.id
        )));
    }
    let reply = AddressesReply {
        nat_gateway_addresses: gateway.shown_addresses(&goes, status),
        nat_gateway_id: gateway.id,
    };
    for gone in gateway.addresses.iter().filter(|address| goes(address)) {
        interface
            .addresses
            .retain(|address| Some(*address) != gone.private);
        let elastic = gone.elastic.as_ref();
        if let Some(mut address) = elastic
            .and_then(|elastic| tx.get::<Address>(&elastic.allocation))
            .cloned()
        {
            address.association = None;
            tx.put(address);
        }
    }
    gateway.addresses.retain(|address| !goes(address));
    tx.put(interface);
    tx.put(gateway);
    Ok(reply)
}

/// `AssociateNatGatewayAddress`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateRequest {
    allocation_ids: Vec<String>,
    nat_gateway_id: String,
    private_ip_addresses: Option<Vec<String>>,
}

pub(crate) fn associate_nat_gateway_address(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateRequest,
) -> Result<AddressesReply, ApiError> {
    let (mut gateway, mut interface) = find(tx, ctx, &req.nat_gateway_id, true)?;
    if req.allocation_ids.is_empty() {
        return Err(resource::missing("AllocationIds"));
    }
    let elastic = elastic_addresses(tx, ctx, &req.allocation_ids)?;
    elastic.iter().try_for_each(check_free)?;
    quota::NAT_ELASTIC_ADDRESSES.check(tx, ctx, gateway.addresses.len() + elastic.len())?;
    let named = req.private_ip_addresses.unwrap_or_default();
    let more = elastic.len().checked_sub(named.len()).ok_or_else(|| {
        invalid("There are more private IP addresses than allocation IDs".to_owned())
    })?;
    let added = extend(tx, ctx, &mut interface, &named, more)?;
    let id = interface.id;
    tx.put(interface);
    for (address, private) in elastic.into_iter().zip(&added) {
        let elastic = associate(tx, ctx, address, id, *private);
        gateway.addresses.push(NatAddress {
            private: Some(*private),
            elastic: Some(elastic),
        });
    }
    let is_new = |address: &NatAddress| address.private.is_some_and(|a| added.contains(&a));
    let reply = AddressesReply {
        nat_gateway_addresses: gateway.shown_addresses(is_new, "associating"),
        nat_gateway_id: gateway.id,
    };
    tx.put(gateway);
    Ok(reply)
}

/// `DisassociateNatGatewayAddress`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisassociateRequest {
    association_ids: Vec<String>,
    max_drain_duration_seconds: Option<i64>,
    nat_gateway_id: String,
}

pub(crate) fn disassociate_nat_gateway_address(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DisassociateRequest,
) -> Result<AddressesReply, ApiError> {
    check_drain(req.max_drain_duration_seconds)?;
    let (gateway, interface) = find(tx, ctx, &req.nat_gateway_id, true)?;
    let association = |address: &NatAddress| {
        let elastic = address.elastic.as_ref()?;
        elastic.association.map(|id| id.to_string())
    };
    let unknown = |id: &&String| {
        let mut known = gateway.addresses.iter().filter_map(association);
        !known.any(|known| known == **id)
    };
    if let Some(id) = req.association_ids.iter().find(unknown) {
        return Err(ApiError::new(
            "InvalidAssociationID.NotFound",
            format!("The association ID '{id}' does not exist"),
        ));
    }
    if req.association_ids.is_empty() {
        return Err(resource::missing("AssociationIds"));
    }
    let named = |address: &NatAddress| {
        association(address).is_some_and(|id| req.association_ids.contains(&id))
    };
    take_away(tx, gateway, interface, "disassociating", named)
}

#[cfg(test)]
pub(crate) mod testing {
    use serde_json::json;

    use crate::testing::{World, text};

    /// A VPC with a subnet, a route table and an internet gateway that is not attached.
    pub(crate) struct Network {
        pub(crate) world: World,
        pub(crate) vpc: String,
        pub(crate) subnet: String,
        pub(crate) table: String,
        pub(crate) gateway: String,
    }

    impl Network {
        pub(crate) fn new() -> Network {
            let mut world = World::new();
            let made = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
            let vpc = text(&made, "Vpc.VpcId");
            let input = json!({"VpcId": vpc, "CidrBlock": "10.0.1.0/24"});
            let subnet = text(&world.ok("CreateSubnet", input), "Subnet.SubnetId");
            let made = world.ok("CreateRouteTable", json!({"VpcId": vpc}));
            let table = text(&made, "RouteTable.RouteTableId");
            let made = world.ok("CreateInternetGateway", json!({}));
            let gateway = text(&made, "InternetGateway.InternetGatewayId");
            Network {
                world,
                vpc,
                subnet,
                table,
                gateway,
            }
        }

        pub(crate) fn attach(&mut self) {
            let pair = json!({"InternetGatewayId": self.gateway, "VpcId": self.vpc});
            self.world.ok("AttachInternetGateway", pair);
        }

        pub(crate) fn allocate(&mut self) -> String {
            text(&self.world.ok("AllocateAddress", json!({})), "AllocationId")
        }

        pub(crate) fn state(&mut self, id: &str) -> String {
            let ask = json!({"NatGatewayIds": [id]});
            let shown = self.world.ok("DescribeNatGateways", ask);
            text(&shown, "NatGateways.0.State")
        }

        pub(crate) fn route_state(&mut self) -> String {
            let ask = json!({"RouteTableIds": [self.table]});
            let shown = self.world.ok("DescribeRouteTables", ask);
            text(&shown, "RouteTables.0.Routes.1.State")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::Network;
    use crate::testing::{count, text};

    #[test]
    fn private_addresses() {
        let mut n = Network::new();
        let input = json!({"SubnetId": n.subnet, "ConnectivityType": "private",
            "SecondaryPrivateIpAddresses": ["10.0.1.9"]});
        let made = n.world.ok("CreateNatGateway", input);
        let id = text(&made, "NatGateway.NatGatewayId");
        // The primary address is the chosen one.
        let place = "NatGateway.NatGatewayAddresses";
        assert_eq!(text(&made, &format!("{place}.0.PrivateIp")), "10.0.1.4");
        assert_eq!(text(&made, &format!("{place}.1.PrivateIp")), "10.0.1.9");
        let assign = |count: u8| json!({"NatGatewayId": id, "PrivateIpAddressCount": count});
        let added = n.world.ok("AssignPrivateNatGatewayAddress", assign(2));
        assert_eq!(count(&added, "NatGatewayAddresses"), 2);
        assert_eq!(text(&added, "NatGatewayAddresses.0.Status"), "assigning");
        for (input, code) in [
            (assign(5), "NatGatewayPrivateAddressLimitExceeded"),
            (assign(32), "InvalidParameterValue"),
            (json!({"NatGatewayId": id}), "InvalidParameterCombination"),
            (
                json!({"NatGatewayId": id, "PrivateIpAddresses": ["10.0.1.9"]}),
                "InvalidIPAddress.InUse",
            ),
        ] {
            let action = "AssignPrivateNatGatewayAddress";
            assert_eq!(n.world.err(action, input.clone()), code, "{input}");
        }
        let unassign = |address: &str| json!({"NatGatewayId": id, "PrivateIpAddresses": [address]});
        let action = "UnassignPrivateNatGatewayAddress";
        for address in ["10.0.1.4", "10.0.1.77"] {
            assert_eq!(
                n.world.err(action, unassign(address)),
                "InvalidParameterValue"
            );
        }
        n.world.ok(action, unassign("10.0.1.9"));
        let interface = n.world.state.interfaces.values().next().unwrap();
        assert_eq!(interface.addresses.len(), 3);
        let elastic = json!({"NatGatewayId": id, "AllocationIds": [n.allocate()]});
        assert_eq!(
            n.world.err("AssociateNatGatewayAddress", elastic),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn elastic_addresses() {
        let mut n = Network::new();
        n.attach();
        let [one, two, three] = [n.allocate(), n.allocate(), n.allocate()];
        let made = n.world.ok(
            "CreateNatGateway",
            json!({"SubnetId": n.subnet, "AllocationId": one}),
        );
        let id = text(&made, "NatGateway.NatGatewayId");
        let associate =
            |allocation: &str| json!({"NatGatewayId": id, "AllocationIds": [allocation]});
        assert_eq!(
            n.world.err("AssociateNatGatewayAddress", associate(&one)),
            "Resource.AlreadyAssociated"
        );
        let added = n.world.ok("AssociateNatGatewayAddress", associate(&two));
        assert_eq!(text(&added, "NatGatewayAddresses.0.IsPrimary"), "false");
        assert_eq!(
            n.world.err("AssociateNatGatewayAddress", associate(&three)),
            "NatGatewayElasticAddressLimitExceeded"
        );
        let shown = n
            .world
            .ok("DescribeAddresses", json!({"AllocationIds": [two]}));
        let association = text(&shown, "Addresses.0.AssociationId");
        let take = |association: &str| json!({"NatGatewayId": id, "AssociationIds": [association]});
        let shown = n
            .world
            .ok("DescribeAddresses", json!({"AllocationIds": [one]}));
        let primary = text(&shown, "Addresses.0.AssociationId");
        for (id, code) in [
            (primary.as_str(), "InvalidParameterValue"),
            (
                "eipassoc-00000000000000001",
                "InvalidAssociationID.NotFound",
            ),
        ] {
            assert_eq!(n.world.err("DisassociateNatGatewayAddress", take(id)), code);
        }
        n.world
            .ok("DisassociateNatGatewayAddress", take(&association));
        n.world.ok("ReleaseAddress", json!({"AllocationId": two}));
        assert_eq!(
            n.world.err("ReleaseAddress", json!({"AllocationId": one})),
            "InvalidIPAddress.InUse"
        );
    }
}
