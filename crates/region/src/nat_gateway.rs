//! NAT gateways: record, create, describe, delete. Their addresses change in [`crate::nat_gateway_address`].

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AddressAssociationId, AllocationId, InterfaceId, NatGatewayId, RegionName, SubnetId,
    VpcId,
};

use crate::address::Association;
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::mortal::{self, mortal};
use crate::network_interface::{self, Extras, Plan};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Address, Context, Life, NetworkInterface, Phase, Subnet, Timestamp, Tx, Vpc, quota};

actions! {
    "CreateNatGateway" => create_nat_gateway, Enforced;
    "DeleteNatGateway" => delete_nat_gateway, Enforced;
    "DescribeNatGateways" => describe_nat_gateways, Control;
}

/// A NAT gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NatGateway {
    /// Its identifier.
    pub id: NatGatewayId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC of its subnet.
    pub vpc: VpcId,
    /// The subnet it is in.
    pub subnet: SubnetId,
    /// The interface that it holds, as long as it lives. A failed one never had any.
    pub interface: Option<InterfaceId>,
    /// Whether it has public addresses.
    pub public: bool,
    /// Its addresses, the primary one first; a deleted one shows those that it had.
    pub addresses: Vec<NatAddress>,
    /// Where it stands.
    pub life: Life,
    /// Why it failed: EC2's code and message.
    pub failure: Option<(String, String)>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// An address of a NAT gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NatAddress {
    /// The interface's address; a failed gateway has none.
    pub private: Option<IpAddr>,
    /// The elastic IP address that stands for it, of a public gateway.
    pub elastic: Option<Elastic>,
}

/// The elastic IP address of a NAT gateway's address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Elastic {
    /// The allocation.
    pub allocation: AllocationId,
    /// The association; a failed gateway has none.
    pub association: Option<AddressAssociationId>,
    /// The address that the outside sees.
    pub public: IpAddr,
}

resource!(
    NatGateway,
    "natgateway",
    |this, keys| {
        keys.of([this.vpc]);
        keys.of([this.subnet]);
        keys.of(this.interface);
    },
    |id| {
        if resource::is_well_formed(id, "nat") {
            ApiError::new(
                "NatGatewayNotFound",
                format!("NAT gateway {id} was not found"),
            )
        } else {
            ApiError::new(
                "NatGatewayMalformed",
                format!("The NAT gateway ID '{id}' is malformed"),
            )
        }
    }
);

mortal!(NatGateway);

impl NatGateway {
    /// The gateway as hosts see it: from when it is made until it is deleted, whatever is shown meanwhile.
    pub(crate) fn project(&self) -> Option<topology::NatGateway> {
        let works = !self.life.has_ended() && self.failure.is_none();
        Some(topology::NatGateway {
            id: self.id,
            vpc: self.vpc,
            subnet: self.subnet,
            interface: self.interface.filter(|_| works)?,
        })
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match self.life.phase(now) {
            Phase::Pending => "pending",
            Phase::Live if self.failure.is_some() => "failed",
            Phase::Live => "available",
            Phase::Deleting => "deleting",
            Phase::Deleted => "deleted",
        }
    }

    /// Whether it is there for packets.
    pub(crate) fn is_available(&self, now: Timestamp) -> bool {
        self.state(now) == "available"
    }

    /// Whether it is no longer shown: failed ones go as deleted ones do.
    fn is_over(&self, now: Timestamp) -> bool {
        match (self.life, self.failure.is_some()) {
            (Life::From(at), true) => Life::Until(at).is_forgotten(now),
            (life, _) => life.is_forgotten(now),
        }
    }

    /// What its addresses are in replies. `status` is what is done with those of `which`.
    pub(crate) fn shown_addresses(
        &self,
        which: impl Fn(&NatAddress) -> bool,
        status: &'static str,
    ) -> Vec<AddressItem> {
        let item = |(place, address): (usize, &NatAddress)| AddressItem {
            allocation_id: address.elastic.as_ref().map(|e| e.allocation),
            association_id: address.elastic.as_ref().and_then(|e| e.association),
            is_primary: place == 0,
            network_interface_id: self.interface,
            private_ip: address.private,
            public_ip: address.elastic.as_ref().map(|e| e.public),
            status,
        };
        self.addresses
            .iter()
            .enumerate()
            .filter(|(_, address)| which(address))
            .map(item)
            .collect()
    }

    fn reply(&self, now: Timestamp) -> GatewayItem {
        let status = match (self.failure.is_some(), self.life.phase(now)) {
            (true, _) => "failed",
            (false, Phase::Pending) if self.public => "associating",
            (false, Phase::Pending) => "assigning",
            (false, Phase::Live | Phase::Deleted) => "succeeded",
            (false, Phase::Deleting) if self.public => "disassociating",
            (false, Phase::Deleting) => "unassigning",
        };
        let failure = self
            .failure
            .as_ref()
            .filter(|_| self.life.phase(now) != Phase::Pending);
        let millis = |at: Timestamp| api::Timestamp::from_millis(at.0);
        GatewayItem {
            availability_mode: "zonal",
            connectivity_type: if self.public { "public" } else { "private" },
            create_time: millis(self.created),
            delete_time: self.deleted.map(millis),
            failure_code: failure.map(|(code, _)| code.clone()),
            failure_message: failure.map(|(_, message)| message.clone()),
            nat_gateway_addresses: self.shown_addresses(|_| true, status),
            nat_gateway_id: self.id,
            state: self.state(now),
            subnet_id: self.subnet,
            tags: self.tags.reply(),
            vpc_id: self.vpc,
        }
    }
}

/// `CreateNatGateway`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateRequest {
    allocation_id: Option<String>,
    availability_mode: Option<String>,
    client_token: Option<String>,
    connectivity_type: Option<String>,
    private_ip_address: Option<String>,
    secondary_allocation_ids: Option<Vec<String>>,
    secondary_private_ip_address_count: Option<i64>,
    secondary_private_ip_addresses: Option<Vec<String>>,
    subnet_id: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateReply {
    client_token: Option<String>,
    nat_gateway: GatewayItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayItem {
    availability_mode: &'static str,
    connectivity_type: &'static str,
    create_time: api::Timestamp,
    delete_time: Option<api::Timestamp>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    nat_gateway_addresses: Vec<AddressItem>,
    nat_gateway_id: NatGatewayId,
    state: &'static str,
    subnet_id: SubnetId,
    tags: Vec<Tag>,
    vpc_id: VpcId,
}

/// An address in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AddressItem {
    allocation_id: Option<AllocationId>,
    association_id: Option<AddressAssociationId>,
    is_primary: bool,
    network_interface_id: Option<InterfaceId>,
    private_ip: Option<IpAddr>,
    public_ip: Option<IpAddr>,
    status: &'static str,
}

fn wrong_combination(message: &str) -> ApiError {
    ApiError::new("InvalidParameterCombination", message.to_owned())
}

/// The elastic addresses of these allocations, none twice.
///
/// # Errors
/// `InvalidAllocationID.NotFound`, `InvalidParameterValue`.
pub(crate) fn elastic_addresses(
    tx: &Tx,
    ctx: &Context<'_>,
    ids: &[String],
) -> Result<Vec<Address>, ApiError> {
    let mut found: Vec<Address> = Vec::new();
    for id in ids {
        let address = resource::find::<Address>(tx, ctx, id)?.clone();
        if found.iter().any(|other| other.id == address.id) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("The allocation ID '{id}' is specified more than once"),
            ));
        }
        found.push(address);
    }
    Ok(found)
}

/// Lets an elastic address lead to an address of the gateway's interface.
pub(crate) fn associate(
    tx: &mut Tx,
    ctx: &Context<'_>,
    mut address: Address,
    interface: InterfaceId,
    private: IpAddr,
) -> Elastic {
    let id = AddressAssociationId::from_bits(ctx.random());
    address.association = Some(Association {
        id,
        interface,
        private,
    });
    let elastic = Elastic {
        allocation: address.id,
        association: Some(id),
        public: address.public,
    };
    tx.put(address);
    elastic
}

/// EC2's error for an elastic address that leads elsewhere.
pub(crate) fn check_free(address: &Address) -> Result<(), ApiError> {
    if address.association.is_some() {
        return Err(ApiError::new(
            "Resource.AlreadyAssociated",
            format!("Elastic IP address [{}] is already associated", address.id),
        ));
    }
    Ok(())
}

/// The gateway's interface with its addresses; what fails here fails the gateway, not the request.
fn make_interface(
    tx: &mut Tx,
    ctx: &Context<'_>,
    gateway: &NatGateway,
    elastic: &[Address],
    requested: Vec<String>,
    more: usize,
) -> Result<NetworkInterface, ApiError> {
    elastic.iter().try_for_each(check_free)?;
    let attached = tx
        .get::<Vpc>(&gateway.vpc)
        .is_some_and(|vpc| vpc.internet_gateway.is_some());
    if gateway.public && !attached {
        return Err(ApiError::new(
            "Gateway.NotAttached",
            format!("Network {} has no Internet gateway attached", gateway.vpc),
        ));
    }
    // An interface has a primary address anyway.
    let more = if requested.is_empty() {
        more.saturating_sub(1)
    } else {
        more
    };
    let plan = Plan {
        subnet: gateway.subnet,
        requested,
        more,
        groups: Vec::new(),
        description: format!("Interface for NAT Gateway {}", gateway.id),
        tags: Tags::default(),
        client_token: None,
        extras: Extras::ipv4_only(),
    };
    let mut interface = network_interface::make(tx, ctx, plan)?;
    interface.holder = Some(gateway.id.into());
    interface.source_dest_check = false;
    tx.put(interface.clone());
    Ok(interface)
}

/// What a request asks of the gateway's addresses, checked against its type.
struct Wanted {
    public: bool,
    allocations: Vec<String>,
    requested: Vec<String>,
    more: usize,
}

fn wanted(req: &CreateRequest) -> Result<Wanted, ApiError> {
    let invalid = |name: &str, value: &str| {
        ApiError::new(
            "InvalidParameterValue",
            format!("Value ({value}) for parameter {name} is invalid."),
        )
    };
    match req.availability_mode.as_deref() {
        None | Some("zonal") => {}
        Some("regional") => return Err(resource::unsupported("AvailabilityMode", &"regional")),
        Some(other) => return Err(invalid("availabilityMode", other)),
    }
    let public = match req.connectivity_type.as_deref() {
        None | Some("public") => true,
        Some("private") => false,
        Some(other) => return Err(invalid("connectivityType", other)),
    };
    let secondary = req.secondary_allocation_ids.clone().unwrap_or_default();
    let named = req
        .secondary_private_ip_addresses
        .clone()
        .unwrap_or_default();
    let count = match req.secondary_private_ip_address_count {
        None => 0,
        Some(count) => usize::try_from(count)
            .ok()
            .filter(|count| (1..=31).contains(count))
            .ok_or_else(|| invalid("secondaryPrivateIpAddressCount", &count.to_string()))?,
    };
    if count > 0 && !named.is_empty() {
        return Err(wrong_combination(
            "The parameters SecondaryPrivateIpAddresses and SecondaryPrivateIpAddressCount cannot be used together",
        ));
    }
    let mut allocations = Vec::new();
    let secondaries = if public {
        let first = req.allocation_id.clone();
        allocations.push(first.ok_or_else(|| resource::missing("AllocationId"))?);
        allocations.extend(secondary.iter().cloned());
        if count > 0 {
            return Err(wrong_combination(
                "The parameter SecondaryPrivateIpAddressCount is for private NAT gateways only",
            ));
        }
        if named.len() > secondary.len() {
            return Err(wrong_combination(
                "There are more secondary private IP addresses than secondary allocation IDs",
            ));
        }
        secondary.len()
    } else {
        if req.allocation_id.is_some() || !secondary.is_empty() {
            return Err(wrong_combination(
                "A private NAT gateway cannot have an allocation ID",
            ));
        }
        named.len() + count
    };
    // The primary address comes first, so one that is not asked for must be chosen before the secondary ones.
    let requested: Vec<String> = req
        .private_ip_address
        .iter()
        .cloned()
        .chain(named)
        .collect();
    let more = (secondaries + 1).saturating_sub(requested.len());
    Ok(Wanted {
        public,
        allocations,
        requested,
        more,
    })
}

pub(crate) fn create_nat_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateRequest,
) -> Result<CreateReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &NatGateway| {
        made.client_token.as_ref()
    })?;
    if let Some(id) = earlier {
        return Ok(CreateReply {
            nat_gateway: resource::get::<NatGateway>(tx, &id)?.reply(ctx.now),
            client_token: req.client_token,
        });
    }
    let wanted = wanted(&req)?;
    let subnet = req
        .subnet_id
        .as_deref()
        .ok_or_else(|| resource::missing("SubnetId"))?;
    let subnet = resource::find::<Subnet>(tx, ctx, subnet)?.clone();
    let elastic = elastic_addresses(tx, ctx, &wanted.allocations)?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), NatGateway::TYPE)?;
    check_quotas(
        tx,
        ctx,
        &subnet,
        &elastic,
        wanted.requested.len() + wanted.more,
    )?;
    let over: Vec<NatGatewayId> = resource::own::<NatGateway>(tx, ctx)
        .filter(|gateway| gateway.is_over(ctx.now))
        .map(|gateway| gateway.id)
        .collect();
    for id in over {
        tx.remove::<NatGateway>(&id);
    }
    let mut gateway = NatGateway {
        id: NatGatewayId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        vpc: subnet.vpc,
        subnet: subnet.id,
        interface: None,
        public: wanted.public,
        addresses: Vec::new(),
        life: Life::begin(ctx),
        failure: None,
        created: ctx.now,
        deleted: None,
        client_token: token,
    };
    let primary_first = req.private_ip_address.is_some() || wanted.requested.is_empty();
    match make_interface(tx, ctx, &gateway, &elastic, wanted.requested, wanted.more) {
        Ok(mut interface) => {
            // Chosen addresses come after those that are asked for; the primary one was to be chosen.
            if !primary_first {
                interface.addresses.rotate_right(1);
                tx.put(interface.clone());
            }
            gateway.interface = Some(interface.id);
            let mut elastic = elastic.into_iter();
            for private in interface.addresses {
                let elastic = elastic
                    .next()
                    .map(|address| associate(tx, ctx, address, interface.id, private));
                gateway.addresses.push(NatAddress {
                    private: Some(private),
                    elastic,
                });
            }
        }
        Err(error) if is_failure(&error) => {
            let failed = |address: &Address| NatAddress {
                private: None,
                elastic: Some(Elastic {
                    allocation: address.id,
                    association: None,
                    public: address.public,
                }),
            };
            gateway.addresses = elastic.iter().map(failed).collect();
            gateway.failure = Some((error.code.into_owned(), error.message));
        }
        Err(error) => return Err(error),
    }
    let mut item = gateway.reply(ctx.now);
    item.state = "pending";
    (item.failure_code, item.failure_message) = (None, None);
    tx.put(gateway);
    Ok(CreateReply {
        client_token: req.client_token,
        nat_gateway: item,
    })
}

/// The codes with which EC2 fails a gateway that it has begun to create (`FailureCode`).
fn is_failure(error: &ApiError) -> bool {
    [
        "Gateway.NotAttached",
        "InsufficientFreeAddressesInSubnet",
        "Resource.AlreadyAssociated",
    ]
    .contains(&error.code.as_ref())
}

fn check_quotas(
    tx: &Tx,
    ctx: &Context<'_>,
    subnet: &Subnet,
    elastic: &[Address],
    addresses: usize,
) -> Result<(), ApiError> {
    let in_zone = |gateway: &&NatGateway| {
        let other = tx.get::<Subnet>(&gateway.subnet);
        gateway.failure.is_none() && other.is_some_and(|other| other.zone == subnet.zone)
    };
    let present = mortal::own::<NatGateway>(tx, ctx).filter(in_zone).count();
    quota::NAT_GATEWAYS.one_more(tx, ctx, present)?;
    quota::NAT_ELASTIC_ADDRESSES.check(tx, ctx, elastic.len())?;
    quota::NAT_PRIVATE_ADDRESSES.check(tx, ctx, addresses)
}

/// `DescribeNatGateways`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    filter: Option<Vec<Filter>>,
    max_results: Option<i64>,
    nat_gateway_ids: Option<Vec<String>>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeReply {
    nat_gateways: Vec<GatewayItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<NatGateway>] = &[
    ("nat-gateway-id", |_, gateway| vec![gateway.id.to_string()]),
    ("state", |view, gateway| {
        vec![gateway.state(view.now).to_owned()]
    }),
    ("subnet-id", |_, gateway| vec![gateway.subnet.to_string()]),
    ("vpc-id", |_, gateway| vec![gateway.vpc.to_string()]),
];

pub(crate) fn describe_nat_gateways(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeReply, ApiError> {
    let query = Query {
        ids: req.nat_gateway_ids.as_deref(),
        filters: req.filter.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<NatGateway>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let items = page
        .items
        .into_iter()
        .filter(|gateway| !gateway.is_over(ctx.now))
        .map(|gateway| gateway.reply(ctx.now));
    Ok(DescribeReply {
        nat_gateways: items.collect(),
        next_token: page.next_token,
    })
}

/// `DeleteNatGateway`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRequest {
    nat_gateway_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteReply {
    nat_gateway_id: NatGatewayId,
}

/// Its interface goes at once, and its elastic addresses are free; routes to it stay, as black holes. To delete it
/// again is no error as long as it is shown.
pub(crate) fn delete_nat_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRequest,
) -> Result<DeleteReply, ApiError> {
    let id = &req.nat_gateway_id;
    let mut gateway = resource::find::<NatGateway>(tx, ctx, id)?.clone();
    if gateway.is_over(ctx.now) {
        return Err(NatGateway::not_found(id));
    }
    let nat_gateway_id = gateway.id;
    if !gateway.life.has_ended() {
        if let Some(interface) = gateway.interface {
            network_interface::remove(tx, interface);
        }
        gateway.life = Life::end(ctx);
        gateway.deleted = Some(ctx.now);
        tx.put(gateway);
    }
    Ok(DeleteReply { nat_gateway_id })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::nat_gateway_address::testing::Network;
    use crate::testing::{count, text};

    #[test]
    fn a_public_gateway() {
        let mut n = Network::new();
        n.world.settle = 1000;
        n.attach();
        let allocation = n.allocate();
        let input = json!({"SubnetId": n.subnet, "AllocationId": allocation, "ClientToken": "t", "TagSpecifications":
            [{"ResourceType": "natgateway", "Tags": [{"Key": "k", "Value": "v"}]}]});
        let made = n.world.ok("CreateNatGateway", input.clone());
        let id = text(&made, "NatGateway.NatGatewayId");
        assert_eq!(text(&made, "NatGateway.State"), "pending");
        let again = n.world.ok("CreateNatGateway", input);
        assert_eq!(text(&again, "NatGateway.NatGatewayId"), id);
        let route = json!({"RouteTableId": n.table, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": id});
        n.world.ok("CreateRoute", route.clone());
        assert_eq!(n.route_state(), "blackhole");
        n.world.now.0 += 1000;
        assert_eq!(n.route_state(), "active");
        // Packets go through it.
        let table = &n.world.state.route_tables[&n.table.parse().unwrap()];
        let projected = table.project(&n.world.state).unwrap();
        let gateway = &n.world.state.nat_gateways[&id.parse().unwrap()];
        let told = gateway.project().unwrap();
        assert_eq!(
            projected.routes[1].target,
            topology::Target::NatGateway(told.id)
        );
        assert_eq!(told.subnet.to_string(), n.subnet);
        let filter = json!([{"Name": "state", "Values": ["available"]}, {"Name": "vpc-id", "Values": [n.vpc]},
            {"Name": "subnet-id", "Values": [n.subnet]}, {"Name": "tag:k", "Values": ["v"]}]);
        let shown = n.world.ok("DescribeNatGateways", json!({"Filter": filter}));
        let at = |member: &str| {
            text(
                &shown,
                &format!("NatGateways.0.NatGatewayAddresses.0.{member}"),
            )
        };
        let (interface, private) = (at("NetworkInterfaceId"), at("PrivateIp"));
        assert_eq!(at("AllocationId"), allocation);
        assert_eq!(at("Status"), "succeeded");
        // Its interface is shown, and nobody's to change.
        let held = n.world.ok(
            "DescribeNetworkInterfaces",
            json!({"NetworkInterfaceIds": [interface]}),
        );
        let at = |member: &str| text(&held, &format!("NetworkInterfaces.0.{member}"));
        assert_eq!(at("Description"), format!("Interface for NAT Gateway {id}"));
        assert_eq!(at("PrivateIpAddress"), private);
        assert_eq!(at("RequesterManaged"), "true");
        for (action, input) in [
            (
                "DeleteNetworkInterface",
                json!({"NetworkInterfaceId": interface}),
            ),
            ("DeleteSubnet", json!({"SubnetId": n.subnet})),
            ("ReleaseAddress", json!({"AllocationId": allocation})),
            (
                "DisassociateAddress",
                json!({"AssociationId": text(&shown, "NatGateways.0.NatGatewayAddresses.0.AssociationId")}),
            ),
            (
                "DetachInternetGateway",
                json!({"InternetGatewayId": n.gateway, "VpcId": n.vpc}),
            ),
        ] {
            let code = n.world.err(action, input);
            let expected = [
                "OperationNotPermitted",
                "InvalidParameterValue",
                "DependencyViolation",
                "InvalidIPAddress.InUse",
                "AuthFailure",
            ];
            assert!(expected.contains(&code.as_str()), "{action}: {code}");
        }
        let delete = json!({"NatGatewayId": id});
        n.world.ok("DeleteNatGateway", delete.clone());
        n.world.ok("DeleteNatGateway", delete.clone());
        assert_eq!(n.state(&id), "deleting");
        assert_eq!(n.route_state(), "blackhole");
        assert_eq!(
            n.world.err("ReplaceRoute", route),
            "InvalidNatGatewayID.NotFound"
        );
        n.world
            .ok("ReleaseAddress", json!({"AllocationId": allocation}));
        n.world.ok("DeleteSubnet", json!({"SubnetId": n.subnet}));
        n.world.now.0 += 1000;
        assert_eq!(n.state(&id), "deleted");
        n.world.now.0 += 3_700_000;
        let shown = n.world.ok("DescribeNatGateways", json!({}));
        assert_eq!(count(&shown, "NatGateways"), 0);
        assert_eq!(
            n.world.err("DeleteNatGateway", delete),
            "NatGatewayNotFound"
        );
    }

    #[test]
    fn gateways_that_fail() {
        let mut n = Network::new();
        let allocation = n.allocate();
        let input = json!({"SubnetId": n.subnet, "AllocationId": allocation});
        let failed = |n: &mut Network, code: &str| {
            let made = n.world.ok("CreateNatGateway", input.clone());
            let id = text(&made, "NatGateway.NatGatewayId");
            assert_eq!(text(&made, "NatGateway.State"), "pending");
            let shown = n
                .world
                .ok("DescribeNatGateways", json!({"NatGatewayIds": [id]}));
            assert_eq!(text(&shown, "NatGateways.0.State"), "failed");
            assert_eq!(text(&shown, "NatGateways.0.FailureCode"), code);
        };
        failed(&mut n, "Gateway.NotAttached");
        n.attach();
        n.world.ok("CreateNatGateway", input.clone());
        failed(&mut n, "Resource.AlreadyAssociated");
        // What failed holds nothing and counts for nothing.
        assert_eq!(n.world.state.interfaces.size(), 1);
        for (input, code) in [
            (json!({"SubnetId": n.subnet}), "MissingParameter"),
            (
                json!({"AllocationId": allocation, "SubnetId": "subnet-00000000000000001"}),
                "InvalidSubnetID.NotFound",
            ),
            (
                json!({"AllocationId": "eipalloc-00000000000000001", "SubnetId": n.subnet}),
                "InvalidAllocationID.NotFound",
            ),
            (
                json!({"AllocationId": allocation, "SubnetId": n.subnet, "ConnectivityType": "private"}),
                "InvalidParameterCombination",
            ),
            (
                json!({"SubnetId": n.subnet, "ConnectivityType": "private", "PrivateIpAddress": "10.9.0.1"}),
                "InvalidParameterValue",
            ),
            (
                json!({"AvailabilityMode": "regional"}),
                "UnsupportedOperation",
            ),
            (
                json!({"SubnetId": n.subnet, "ConnectivityType": "private", "SecondaryPrivateIpAddressCount": 8}),
                "NatGatewayPrivateAddressLimitExceeded",
            ),
        ] {
            assert_eq!(
                n.world.err("CreateNatGateway", input.clone()),
                code,
                "{input}"
            );
        }
        for _ in 1..5 {
            n.world.ok(
                "CreateNatGateway",
                json!({"SubnetId": n.subnet, "ConnectivityType": "private"}),
            );
        }
        let one_more = json!({"SubnetId": n.subnet, "ConnectivityType": "private"});
        assert_eq!(
            n.world.err("CreateNatGateway", one_more),
            "NatGatewayLimitExceeded"
        );
    }
}
