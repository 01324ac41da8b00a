//! Where routes lead, and for which destinations. A kind of target is known here and nowhere else: how a request names
//! it, whether a route to it is active, and what packets meet on it.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    CarrierGatewayId, Cidr, EgressOnlyGatewayId, EndpointId, GatewayId, InterfaceId, NatGatewayId,
    ObjectId, PeeringConnectionId, PrefixListId, TransitGatewayId, VpnGatewayId,
};

use crate::filter::View;
use crate::peering::Status;
use crate::resource::Resource as _;
use crate::{
    Context, EgressOnlyGateway, Endpoint, Instance, InternetGateway, NatGateway, NetworkInterface,
    PeeringConnection, Phase, RouteTable, State, Tx, Vpc, VpnGateway, carrier_gateway, mortal,
    resource, transit_gateway,
};

/// Which destinations a route is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Destination {
    /// A block of addresses.
    Cidr(Cidr),
    /// The blocks of a managed prefix list.
    PrefixList(PrefixListId),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Destination::Cidr(cidr) => std::fmt::Display::fmt(cidr, f),
            Destination::PrefixList(id) => std::fmt::Display::fmt(id, f),
        }
    }
}

impl Serialize for Destination {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let list = text.parse().map(Destination::PrefixList);
        list.or_else(|_| text.parse().map(Destination::Cidr))
            .map_err(serde::de::Error::custom)
    }
}

impl Destination {
    /// The block, if it is one.
    pub(crate) const fn cidr(self) -> Option<Cidr> {
        match self {
            Destination::Cidr(cidr) => Some(cidr),
            Destination::PrefixList(_) => None,
        }
    }

    /// The prefix list, if it is one.
    pub(crate) const fn prefix_list(self) -> Option<PrefixListId> {
        match self {
            Destination::PrefixList(id) => Some(id),
            Destination::Cidr(_) => None,
        }
    }
}

/// Where a route leads. The target may be gone or detached meanwhile: then the route is a black hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RouteTarget {
    /// An internet gateway.
    Gateway(GatewayId),
    /// An interface, also one that was named by its instance.
    Interface(InterfaceId),
    /// A virtual private gateway.
    VpnGateway(VpnGatewayId),
    /// A NAT gateway.
    Nat(NatGatewayId),
    /// An egress-only internet gateway.
    EgressOnly(EgressOnlyGatewayId),
    /// A carrier gateway.
    Carrier(CarrierGatewayId),
    /// A transit gateway.
    Transit(TransitGatewayId),
    /// A VPC peering connection.
    Peering(PeeringConnectionId),
    /// A Gateway Load Balancer endpoint.
    Endpoint(EndpointId),
}

impl RouteTarget {
    /// Which resource it is.
    pub(crate) fn object(self) -> ObjectId {
        match self {
            RouteTarget::Gateway(id) => id.into(),
            RouteTarget::Interface(id) => id.into(),
            RouteTarget::VpnGateway(id) => id.into(),
            RouteTarget::Nat(id) => id.into(),
            RouteTarget::EgressOnly(id) => id.into(),
            RouteTarget::Carrier(id) => id.into(),
            RouteTarget::Transit(id) => id.into(),
            RouteTarget::Peering(id) => id.into(),
            RouteTarget::Endpoint(id) => id.into(),
        }
    }

    /// Whether a middlebox can be it: what may hide a local route, and what a gateway's table may lead to besides
    /// (EC2 "Routing for a middlebox appliance").
    pub(crate) const fn is_middlebox(self) -> bool {
        matches!(
            self,
            RouteTarget::Interface(_) | RouteTarget::Endpoint(_) | RouteTarget::Nat(_)
        )
    }

    /// Whether a route of a table of this VPC leads there now: else it is a black hole.
    pub(crate) fn is_active(self, view: &View<'_>, vpc: &Vpc) -> bool {
        match self {
            RouteTarget::Gateway(id) => vpc.internet_gateway == Some(id),
            RouteTarget::Interface(id) => view
                .interfaces
                .get(&id)
                .is_some_and(|interface| interface.status() == "in-use"),
            RouteTarget::VpnGateway(id) => view
                .vpn_gateways
                .get(&id)
                .is_some_and(|gateway| gateway.vpc() == Some(vpc.id)),
            RouteTarget::Transit(id) => {
                transit_gateway::is_attached(view.state, view.now, id, vpc.id)
            }
            RouteTarget::EgressOnly(id) => view.egress_only_gateways.contains_key(&id),
            RouteTarget::Carrier(id) => view
                .carrier_gateways
                .get(&id)
                .is_some_and(|gateway| gateway.life.phase(view.now) == Phase::Live),
            RouteTarget::Peering(id) => view
                .peering_connections
                .get(&id)
                .is_some_and(|connection| connection.status(view.now) == Status::Active),
            RouteTarget::Nat(id) => view
                .nat_gateways
                .get(&id)
                .is_some_and(|gateway| gateway.is_available(view.now)),
            // No table has these kinds yet, so none of them exists.
            RouteTarget::Endpoint(id) => view.endpoints.get(&id).is_some_and(|endpoint| {
                endpoint.vpc == vpc.id && endpoint.state_name(view.now) == "available"
            }),
        }
    }

    /// What packets meet there. Whatever they cannot follow drops them.
    pub(crate) fn project(self, state: &State, vpc: &Vpc) -> topology::Target {
        match self {
            RouteTarget::Gateway(id) if vpc.internet_gateway == Some(id) => {
                topology::Target::InternetGateway(id)
            }
            RouteTarget::Interface(id) if state.interfaces.contains_key(&id) => {
                topology::Target::Interface(id)
            }
            // Whether these are there, the walk sees.
            RouteTarget::Transit(id) => topology::Target::TransitGateway(id),
            RouteTarget::EgressOnly(id) => topology::Target::EgressOnlyGateway(id),
            RouteTarget::Peering(id) => topology::Target::Peering(id),
            RouteTarget::Nat(id) => topology::Target::NatGateway(id),
            RouteTarget::Gateway(_)
            | RouteTarget::Interface(_)
            | RouteTarget::VpnGateway(_)
            | RouteTarget::Carrier(_)
            | RouteTarget::Endpoint(_) => topology::Target::Blackhole,
        }
    }
}

/// What a request names as target; at most one of them.
#[derive(Default)]
pub(crate) struct Named<'n> {
    pub(crate) gateway: Option<&'n str>,
    pub(crate) nat_gateway: Option<&'n str>,
    pub(crate) egress_only: Option<&'n str>,
    pub(crate) carrier: Option<&'n str>,
    pub(crate) transit: Option<&'n str>,
    pub(crate) peering: Option<&'n str>,
    pub(crate) interface: Option<&'n str>,
    pub(crate) instance: Option<&'n str>,
    pub(crate) endpoint: Option<&'n str>,
}

/// EC2's error for a target of another VPC.
pub(crate) fn elsewhere(
    table: &RouteTable,
    noun: &str,
    id: &(impl std::fmt::Display + ?Sized),
) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!(
            "route table {} and {noun} {id} belong to different networks",
            table.id
        ),
    )
}

fn gateway_not_found(id: &str, prefix: &str) -> ApiError {
    resource::unknown_id(
        id,
        prefix,
        "gateway ID",
        "InvalidGatewayID.NotFound",
        "InvalidGatewayID.Malformed",
    )
}

/// The internet gateway of that id, attached to the table's VPC.
pub(crate) fn internet_gateway(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    id: &str,
) -> Result<GatewayId, ApiError> {
    let gateway =
        resource::find::<InternetGateway>(tx, ctx, id).map_err(|_| gateway_not_found(id, "igw"))?;
    if gateway.vpc != Some(table.vpc) {
        return Err(elsewhere(table, "network gateway", id));
    }
    Ok(gateway.id)
}

/// The virtual private gateway of that id, attached to the table's VPC.
///
/// # Errors
/// `InvalidGatewayID.NotFound`, `InvalidParameterValue` for one that is not attached to this VPC.
pub(crate) fn vpn_gateway(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    id: &str,
) -> Result<VpnGatewayId, ApiError> {
    let gateway =
        mortal::find::<VpnGateway>(tx, ctx, id).map_err(|_| gateway_not_found(id, "vgw"))?;
    if gateway.vpc() != Some(table.vpc) {
        return Err(elsewhere(table, "network gateway", id));
    }
    Ok(gateway.id)
}

fn interface(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    id: &str,
) -> Result<RouteTarget, ApiError> {
    let interface = resource::find::<NetworkInterface>(tx, ctx, id)?;
    if interface.vpc != table.vpc {
        return Err(elsewhere(table, "interface", id));
    }
    Ok(RouteTarget::Interface(interface.id))
}

fn instance(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    id: &str,
) -> Result<RouteTarget, ApiError> {
    let instance = resource::find::<Instance>(tx, ctx, id)?;
    let mut interfaces = instance
        .interfaces
        .values()
        .filter_map(|id| tx.get::<NetworkInterface>(id));
    match (interfaces.next(), interfaces.next()) {
        (Some(interface), None) if interface.vpc == table.vpc => {
            Ok(RouteTarget::Interface(interface.id))
        }
        (Some(_), None) => Err(elsewhere(table, "instance", id)),
        (Some(_), Some(_)) => Err(ApiError::new(
            "InvalidInstanceID",
            format!(
                "There are multiple interfaces attached to instance '{id}'. Please specify an interface ID for the operation instead."
            ),
        )),
        (None, _) => Err(ApiError::new(
            "InvalidInstanceID",
            format!("There are no interfaces attached to instance '{id}'."),
        )),
    }
}

impl Named<'_> {
    /// How many targets are named.
    pub(crate) fn count(&self) -> usize {
        [
            self.gateway,
            self.nat_gateway,
            self.egress_only,
            self.carrier,
            self.transit,
            self.peering,
            self.interface,
            self.instance,
            self.endpoint,
        ]
        .iter()
        .flatten()
        .count()
    }

    /// The target that a request names, for a route to `destination` in a table. It must be of the table's VPC.
    ///
    /// # Errors
    /// `MissingParameter`, `InvalidParameterCombination`, the kind's "not found", `InvalidParameterValue` for one that
    /// a route to this destination cannot have.
    pub(crate) fn find(
        &self,
        tx: &Tx,
        ctx: &Context<'_>,
        table: &RouteTable,
        destination: Destination,
    ) -> Result<RouteTarget, ApiError> {
        match self.count() {
            0 => {
                return Err(ApiError::new(
                    "MissingParameter",
                    "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, vpcPeeringConnectionId, egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, carrierGatewayId, vpcEndpointId, coreNetworkArn or instanceId",
                ));
            }
            1 => {}
            _ => {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    "Only one target can be given for a route",
                ));
            }
        }
        if let Some(id) = self.gateway {
            return self::gateway(tx, ctx, table, id);
        }
        if let Some(id) = self.interface {
            return interface(tx, ctx, table, id);
        }
        if let Some(id) = self.instance {
            return instance(tx, ctx, table, id);
        }
        if let Some(id) = self.egress_only {
            if destination.cidr().is_some_and(Cidr::is_v4) {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!(
                        "The egress-only internet gateway '{id}' can be the target of a route to IPv6 addresses only"
                    ),
                ));
            }
            let gateway = resource::find::<EgressOnlyGateway>(tx, ctx, id)?;
            if gateway.vpc != table.vpc {
                return Err(elsewhere(table, "network gateway", id));
            }
            return Ok(RouteTarget::EgressOnly(gateway.id));
        }
        if let Some(id) = self.nat_gateway {
            let gateway = mortal::find::<NatGateway>(tx, ctx, id).map_err(|_| {
                unknown(
                    id,
                    "nat",
                    "natGateway ID",
                    "InvalidNatGatewayID.NotFound",
                    "InvalidNatGatewayID.Malformed",
                )
            })?;
            if gateway.vpc != table.vpc {
                return Err(elsewhere(table, "NAT gateway", id));
            }
            return Ok(RouteTarget::Nat(gateway.id));
        }
        if let Some(id) = self.carrier {
            let gateway = carrier_gateway::find(tx, ctx, id)?;
            if gateway.vpc != table.vpc {
                return Err(elsewhere(table, "carrier gateway", id));
            }
            return Ok(RouteTarget::Carrier(gateway.id));
        }
        if let Some(id) = self.peering {
            // A route may wait for a connection that is yet to be accepted.
            let connection = resource::find::<PeeringConnection>(tx, ctx, id)?;
            if !connection.status(ctx.now).is_alive() {
                return Err(PeeringConnection::not_found(id));
            }
            if !connection.sides().iter().any(|side| side.vpc == table.vpc) {
                return Err(elsewhere(table, "peering connection", id));
            }
            return Ok(RouteTarget::Peering(connection.id));
        }
        if let Some(id) = self.transit {
            let gateway = transit_gateway::of_vpc(tx, ctx, table.vpc, id)?;
            return Ok(RouteTarget::Transit(gateway));
        }
        endpoint(tx, ctx, table, self.endpoint.unwrap_or_default())
    }
}

/// The endpoint of that id: one of a Gateway Load Balancer, in the table's VPC.
fn endpoint(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    id: &str,
) -> Result<RouteTarget, ApiError> {
    let endpoint = mortal::find::<Endpoint>(tx, ctx, id)?;
    if endpoint.kind != crate::endpoint::Kind::GatewayLoadBalancer {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("Cannot target the endpoint {id}: it is no Gateway Load Balancer endpoint."),
        ));
    }
    if endpoint.vpc != table.vpc {
        return Err(elsewhere(table, "endpoint", id));
    }
    Ok(RouteTarget::Endpoint(endpoint.id))
}

use resource::unknown_id as unknown;

/// `GatewayId`: an internet gateway or a virtual private gateway, by what its id begins with.
fn gateway(
    tx: &Tx,
    ctx: &Context<'_>,
    table: &RouteTable,
    id: &str,
) -> Result<RouteTarget, ApiError> {
    if id.starts_with("vgw-") {
        return vpn_gateway(tx, ctx, table, id).map(RouteTarget::VpnGateway);
    }
    if id == "local" {
        return Err(ApiError::new(
            "InvalidParameterValue",
            "A local route comes with the VPC's CIDR block: 'local' can only replace the target of one",
        ));
    }
    if id.starts_with("vpce-") {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "A route to the endpoint '{id}' cannot be made by its gateway ID: those of gateway endpoints come with the endpoint, others take the VPC endpoint ID"
            ),
        ));
    }
    internet_gateway(tx, ctx, table, id).map(RouteTarget::Gateway)
}
