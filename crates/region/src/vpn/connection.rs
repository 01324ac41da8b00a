//! Site-to-site VPN connections. Their tunnels' options are in [`super::tunnel`]; changes in [`super::change`]. No
//! tunnel is ever up: its telemetry says so.

use std::collections::BTreeMap;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, Cidr, CustomerGatewayId, RegionName, TransitGatewayId, VpnConnectionId, VpnGatewayId,
};

use super::configuration::{Ends, document};
use super::customer_gateway::{CustomerGateway, TYPE};
use super::gateway::VpnGateway;
use super::tunnel::{Requested, Tunnel};
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, combination, describe, invalid, mortal};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::transit_gateway::attachment;
use crate::{Context, Life, Timestamp, Tx, quota};

actions! {
    "CreateVpnConnection" => create_vpn_connection, Recorded;
    "CreateVpnConnectionRoute" => create_vpn_connection_route, Recorded;
    "DeleteVpnConnection" => delete_vpn_connection, Recorded;
    "DeleteVpnConnectionRoute" => delete_vpn_connection_route, Recorded;
    "DescribeVpnConnections" => describe_vpn_connections, Control;
}

/// A VPN connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VpnConnection {
    /// Its identifier.
    pub id: VpnConnectionId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The far end.
    pub customer_gateway: CustomerGatewayId,
    /// The near end: a virtual private gateway,
    pub vpn_gateway: Option<VpnGatewayId>,
    /// or a transit gateway, or none.
    pub transit_gateway: Option<TransitGatewayId>,
    /// Whether its routes are static.
    pub static_routes_only: bool,
    /// The customer's side of what the tunnels carry.
    pub local: Cidr,
    /// Amazon's side of what the tunnels carry.
    pub remote: Cidr,
    /// Its two tunnels.
    pub tunnels: Vec<Tunnel>,
    /// Its static routes.
    pub routes: BTreeMap<Cidr, Life>,
    /// Since when its tunnels are down.
    pub created: Timestamp,
    /// Where it stands.
    pub life: Life,
}

resource!(
    VpnConnection,
    "vpn-connection",
    |this, keys| {
        if !this.life.has_ended() {
            keys.of([this.customer_gateway]);
            keys.of(this.vpn_gateway);
            keys.of(this.transit_gateway);
        }
    },
    |id| resource::unknown_id(
        id,
        "vpn",
        "vpnConnection ID",
        "InvalidVpnConnectionID.NotFound",
        "InvalidVpnConnectionID.Malformed",
    )
);

mortal!(VpnConnection);

/// What a connection's tunnels are.
const TUNNELS: usize = 2;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateVpnConnectionRequest {
    customer_gateway_id: String,
    r#type: String,
    vpn_gateway_id: Option<String>,
    transit_gateway_id: Option<String>,
    options: Option<Options>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    enable_acceleration: Option<bool>,
    tunnel_inside_ip_version: Option<String>,
    tunnel_options: Option<Vec<Requested>>,
    local_ipv4_network_cidr: Option<String>,
    remote_ipv4_network_cidr: Option<String>,
    outside_ip_address_type: Option<String>,
    static_routes_only: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VpnConnectionReply {
    vpn_connection: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    category: &'static str,
    customer_gateway_configuration: String,
    customer_gateway_id: CustomerGatewayId,
    gateway_association_state: &'static str,
    options: OptionsItem,
    routes: Vec<RouteItem>,
    state: &'static str,
    tags: Vec<Tag>,
    transit_gateway_id: Option<TransitGatewayId>,
    r#type: &'static str,
    vgw_telemetry: Vec<Telemetry>,
    vpn_connection_id: VpnConnectionId,
    vpn_gateway_id: Option<VpnGatewayId>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OptionsItem {
    enable_acceleration: bool,
    local_ipv4_network_cidr: Cidr,
    outside_ip_address_type: &'static str,
    remote_ipv4_network_cidr: Cidr,
    static_routes_only: bool,
    tunnel_inside_ip_version: &'static str,
    tunnel_options: Vec<Tunnel>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RouteItem {
    destination_cidr_block: Cidr,
    source: &'static str,
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Telemetry {
    accepted_route_count: i64,
    last_status_change: api::Timestamp,
    outside_ip_address: String,
    status: &'static str,
    status_message: &'static str,
}

impl VpnConnection {
    /// The document for the far end; empty if that is gone.
    fn configuration(&self, view: &View<'_>) -> String {
        let vpn = self
            .vpn_gateway
            .and_then(|id| view.vpn_gateways.get(&id))
            .map(|gateway| gateway.asn);
        let transit = self
            .transit_gateway
            .and_then(|id| view.transit_gateways.get(&id))
            .and_then(|gateway| u32::try_from(gateway.asn).ok());
        view.customer_gateways
            .get(&self.customer_gateway)
            .map(|customer| {
                let ends = Ends {
                    customer,
                    amazon_asn: vpn.or(transit).unwrap_or(super::gateway::DEFAULT_ASN),
                };
                document(self, &ends)
            })
            .unwrap_or_default()
    }

    fn reply(&self, view: &View<'_>) -> Item {
        let routes = self.routes.iter().map(|(cidr, life)| RouteItem {
            destination_cidr_block: *cidr,
            source: "Static",
            state: mortal::state_name(*life, view),
        });
        let telemetry = self.tunnels.iter().map(|tunnel| Telemetry {
            accepted_route_count: 0,
            last_status_change: api::Timestamp::from_millis(self.created.0),
            outside_ip_address: tunnel.outside_ip_address.to_string(),
            status: "DOWN",
            status_message: "",
        });
        let joined = self.vpn_gateway.is_some() || self.transit_gateway.is_some();
        Item {
            category: "VPN",
            customer_gateway_configuration: self.configuration(view),
            customer_gateway_id: self.customer_gateway,
            gateway_association_state: if joined {
                "associated"
            } else {
                "not-associated"
            },
            options: OptionsItem {
                enable_acceleration: false,
                local_ipv4_network_cidr: self.local,
                outside_ip_address_type: "PublicIpv4",
                remote_ipv4_network_cidr: self.remote,
                static_routes_only: self.static_routes_only,
                tunnel_inside_ip_version: "ipv4",
                tunnel_options: self.tunnels.clone(),
            },
            routes: routes.collect(),
            state: mortal::state_name(self.life, view),
            tags: self.tags.reply(),
            transit_gateway_id: self.transit_gateway,
            r#type: TYPE,
            vgw_telemetry: telemetry.collect(),
            vpn_connection_id: self.id,
            vpn_gateway_id: self.vpn_gateway,
        }
    }
}

/// The reply of actions that show a connection.
pub(super) fn shown(tx: &Tx, ctx: &Context<'_>, connection: &VpnConnection) -> VpnConnectionReply {
    VpnConnectionReply {
        vpn_connection: connection.reply(&mortal::view(tx, ctx)),
    }
}

/// The inside blocks of the tunnels that share a gateway with a connection.
pub(super) fn inside_blocks(tx: &Tx, connection: &VpnConnection) -> Vec<Cidr> {
    let state = tx.state();
    let vpn = connection.vpn_gateway.into_iter();
    let transit = connection.transit_gateway.into_iter();
    vpn.flat_map(|id| state.vpn_connections.of(id))
        .chain(transit.flat_map(|id| state.vpn_connections.of(id)))
        .filter(|other| other.id != connection.id)
        .flat_map(|other| &other.tunnels)
        .map(|tunnel| tunnel.tunnel_inside_cidr)
        .collect()
}

/// A block that a connection's tunnels carry.
pub(super) fn carried(text: Option<&str>, parameter: &str) -> Result<Cidr, ApiError> {
    crate::vpc::parse_cidr(text.unwrap_or("0.0.0.0/0"), parameter)
}

fn only(given: Option<&String>, parameter: &str, known: &str) -> Result<(), ApiError> {
    match given {
        Some(other) if other != known => Err(resource::unsupported(parameter, other)),
        _ => Ok(()),
    }
}

pub(crate) fn create_vpn_connection(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateVpnConnectionRequest,
) -> Result<VpnConnectionReply, ApiError> {
    if req.r#type != TYPE {
        return Err(invalid("type", &req.r#type, "Unknown VPN type."));
    }
    let options = req.options.unwrap_or_default();
    resource::only_false("Options.EnableAcceleration", options.enable_acceleration)?;
    only(
        options.tunnel_inside_ip_version.as_ref(),
        "Options.TunnelInsideIpVersion",
        "ipv4",
    )?;
    only(
        options.outside_ip_address_type.as_ref(),
        "Options.OutsideIpAddressType",
        "PublicIpv4",
    )?;
    let customer_gateway = mortal::find::<CustomerGateway>(tx, ctx, &req.customer_gateway_id)?.id;
    let vpn_gateway = match (&req.vpn_gateway_id, &req.transit_gateway_id) {
        (Some(_), Some(_)) => {
            return Err(combination(
                "The parameter VpnGatewayId cannot be used with the parameter TransitGatewayId",
            ));
        }
        (Some(id), None) => Some(mortal::find::<VpnGateway>(tx, ctx, id)?.id),
        (None, _) => None,
    };
    let tags = Tags::of_new(req.tag_specifications.as_deref(), VpnConnection::TYPE)?;
    mortal::forget::<VpnConnection>(tx, ctx);
    let present = mortal::own::<VpnConnection>(tx, ctx).count();
    quota::VPN_CONNECTIONS.one_more(tx, ctx, present)?;
    if let Some(id) = vpn_gateway {
        let present = tx.state().vpn_connections.of(id).count();
        quota::VPN_CONNECTIONS_PER_GATEWAY.one_more(tx, ctx, present)?;
    }
    let id = VpnConnectionId::from_bits(ctx.random());
    let transit_gateway = match &req.transit_gateway_id {
        Some(text) => {
            attachment::attach_vpn(tx, ctx, text, id, tags.clone())?;
            text.parse().ok()
        }
        None => None,
    };
    let mut connection = VpnConnection {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        customer_gateway,
        vpn_gateway,
        transit_gateway,
        static_routes_only: options.static_routes_only == Some(true),
        local: carried(
            options.local_ipv4_network_cidr.as_deref(),
            "localIpv4NetworkCidr",
        )?,
        remote: carried(
            options.remote_ipv4_network_cidr.as_deref(),
            "remoteIpv4NetworkCidr",
        )?,
        tunnels: Vec::new(),
        routes: BTreeMap::new(),
        created: ctx.now,
        life: Life::begin(ctx),
    };
    let mut taken = inside_blocks(tx, &connection);
    let mut requested = options.tunnel_options.unwrap_or_default();
    if requested.len() > TUNNELS {
        return Err(invalid(
            "tunnelOptions",
            requested.len(),
            "A VPN connection has two tunnels.",
        ));
    }
    requested.resize_with(TUNNELS, Requested::default);
    for requested in requested {
        let tunnel = requested.make(ctx, &taken)?;
        taken.push(tunnel.tunnel_inside_cidr);
        connection.tunnels.push(tunnel);
    }
    tx.put(connection.clone());
    Ok(shown(tx, ctx, &connection))
}

const FILTERS: &[Field<VpnConnection>] = &[
    ("bgp-asn", |view, c| {
        let customer = view.customer_gateways.get(&c.customer_gateway);
        customer.map(|g| g.asn.to_string()).into_iter().collect()
    }),
    ("customer-gateway-configuration", |view, c| {
        vec![c.configuration(view)]
    }),
    ("customer-gateway-id", |_, c| {
        vec![c.customer_gateway.to_string()]
    }),
    ("option.static-routes-only", |_, c| {
        vec![c.static_routes_only.to_string()]
    }),
    ("route.destination-cidr-block", |_, c| {
        c.routes.keys().map(ToString::to_string).collect()
    }),
    ("state", |view, c| {
        vec![mortal::state_name(c.life, view).to_owned()]
    }),
    ("transit-gateway-id", |_, c| {
        let id = c.transit_gateway.map(|id| id.to_string());
        id.into_iter().collect()
    }),
    ("type", |_, _| vec![TYPE.to_owned()]),
    ("vpn-connection-id", |_, c| vec![c.id.to_string()]),
    ("vpn-gateway-id", |_, c| {
        c.vpn_gateway.map(|id| id.to_string()).into_iter().collect()
    }),
];

describe!(
    describe_vpn_connections(DescribeVpnConnectionsRequest { vpn_connection_ids, filters })
        -> DescribeVpnConnectionsReply { vpn_connections: Item },
    VpnConnection, FILTERS, USUAL_BOUNDS, forget VpnConnection
);

/// `CreateVpnConnectionRoute` and `DeleteVpnConnectionRoute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RouteRequest {
    destination_cidr_block: String,
    vpn_connection_id: String,
}

pub(crate) fn create_vpn_connection_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RouteRequest,
) -> Result<(), ApiError> {
    let mut connection = mortal::find::<VpnConnection>(tx, ctx, &req.vpn_connection_id)?.clone();
    let cidr = carried(Some(&req.destination_cidr_block), "destinationCidrBlock")?;
    if !connection.static_routes_only || connection.transit_gateway.is_some() {
        return Err(ApiError::new(
            "InvalidVpnConnection.InvalidType",
            format!(
                "The VPN connection '{}' does not support static routes.",
                connection.id
            ),
        ));
    }
    quota::VPN_ROUTES.one_more(tx, ctx, connection.routes.len())?;
    // The same route again is no error.
    let life = Life::begin(ctx);
    connection.routes.entry(cidr).or_insert(life);
    tx.put(connection);
    Ok(())
}

pub(crate) fn delete_vpn_connection_route(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: RouteRequest,
) -> Result<(), ApiError> {
    let mut connection = mortal::find::<VpnConnection>(tx, ctx, &req.vpn_connection_id)?.clone();
    let cidr = carried(Some(&req.destination_cidr_block), "destinationCidrBlock")?;
    if connection.routes.remove(&cidr).is_none() {
        return Err(ApiError::new(
            "InvalidRoute.NotFound",
            format!(
                "The route '{cidr}' does not exist in the VPN connection '{}'",
                connection.id
            ),
        ));
    }
    tx.put(connection);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteVpnConnectionRequest {
    vpn_connection_id: String,
}

pub(crate) fn delete_vpn_connection(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteVpnConnectionRequest,
) -> Result<(), ApiError> {
    let mut connection = mortal::find::<VpnConnection>(tx, ctx, &req.vpn_connection_id)?.clone();
    attachment::detach_vpn(tx, ctx, connection.id);
    connection.life = Life::end(ctx);
    tx.put(connection);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, account, count, text};

    struct Scene {
        world: World,
        customer: String,
        gateway: String,
    }

    fn scene() -> Scene {
        let mut world = World::new();
        let made = world.ok(
            "CreateCustomerGateway",
            json!({"Type": "ipsec.1", "PublicIp": "198.51.100.7", "BgpAsn": 65001}),
        );
        let customer = text(&made, "CustomerGateway.CustomerGatewayId");
        let made = world.ok("CreateVpnGateway", json!({"Type": "ipsec.1"}));
        let gateway = text(&made, "VpnGateway.VpnGatewayId");
        Scene {
            world,
            customer,
            gateway,
        }
    }

    impl Scene {
        fn request(&self, options: Json) -> Json {
            json!({
                "Type": "ipsec.1", "CustomerGatewayId": self.customer,
                "VpnGatewayId": self.gateway, "Options": options,
            })
        }
    }

    #[test]
    fn life_of_a_connection() {
        let mut s = scene();
        s.world.settle = 1000;
        let options = json!({
            "StaticRoutesOnly": true,
            "TunnelOptions": [{"TunnelInsideCidr": "169.254.10.0/30", "PreSharedKey": "secret_1.x"}],
        });
        let request = s.request(options);
        let made = s.world.ok("CreateVpnConnection", request.clone());
        let id = text(&made, "VpnConnection.VpnConnectionId");
        assert_eq!(text(&made, "VpnConnection.State"), "pending");
        assert_eq!(count(&made, "VpnConnection.Options.TunnelOptions"), 2);
        assert_eq!(text(&made, "VpnConnection.VgwTelemetry.1.Status"), "DOWN");
        let chosen = text(&made, "VpnConnection.Options.TunnelOptions.1.PreSharedKey");
        assert_eq!(chosen.len(), 32);
        let document = text(&made, "VpnConnection.CustomerGatewayConfiguration");
        for part in [
            format!("<vpn_connection id=\"{id}\">"),
            "<pre_shared_key>secret_1.x</pre_shared_key>".to_owned(),
            format!("<pre_shared_key>{chosen}</pre_shared_key>"),
            "<ip_address>169.254.10.2</ip_address>".to_owned(),
            "<ip_address>198.51.100.7</ip_address>".to_owned(),
            "NoBGPVPNConnection".to_owned(),
        ] {
            assert!(document.contains(&part), "{part}");
        }
        // Another connection of the gateway cannot have the same block inside.
        assert_eq!(
            s.world.err("CreateVpnConnection", request),
            "InvalidParameterValue"
        );
        let route = json!({"VpnConnectionId": id, "DestinationCidrBlock": "192.168.0.0/16"});
        s.world.ok("CreateVpnConnectionRoute", route.clone());
        s.world.now.0 += 1000;
        let filters =
            json!({"Filters": [{"Name": "route.destination-cidr-block", "Values": ["192.168.*"]}]});
        let found = s.world.ok("DescribeVpnConnections", filters);
        assert_eq!(text(&found, "VpnConnections.0.Routes.0.State"), "available");
        assert_eq!(text(&found, "VpnConnections.0.State"), "available");
        s.world.ok("DeleteVpnConnectionRoute", route.clone());
        assert_eq!(
            s.world.err("DeleteVpnConnectionRoute", route),
            "InvalidRoute.NotFound"
        );
        let customer = json!({"CustomerGatewayId": s.customer});
        assert_eq!(
            s.world.err("DeleteCustomerGateway", customer.clone()),
            "IncorrectState"
        );
        let gateway = json!({"VpnGatewayId": s.gateway});
        assert_eq!(
            s.world.err("DeleteVpnGateway", gateway.clone()),
            "IncorrectState"
        );
        let one = json!({"VpnConnectionId": id});
        s.world.account = account("444455556666");
        assert_eq!(
            s.world.err("DeleteVpnConnection", one.clone()),
            "InvalidVpnConnectionID.NotFound"
        );
        s.world.account = account("111122223333");
        s.world.ok("DeleteVpnConnection", one.clone());
        assert_eq!(
            s.world.err("DeleteVpnConnection", one),
            "InvalidVpnConnectionID.NotFound"
        );
        let shown = s
            .world
            .ok("DescribeVpnConnections", json!({"VpnConnectionIds": [id]}));
        assert_eq!(text(&shown, "VpnConnections.0.State"), "deleting");
        s.world.ok("DeleteCustomerGateway", customer);
        s.world.ok("DeleteVpnGateway", gateway);
    }

    #[test]
    fn options_that_are_refused() {
        let mut s = scene();
        for tunnel in [
            json!({"TunnelInsideCidr": "169.254.5.0/30"}),
            json!({"TunnelInsideCidr": "169.254.169.252/30"}),
            json!({"TunnelInsideCidr": "169.254.10.0/29"}),
            json!({"TunnelInsideCidr": "10.0.0.0/30"}),
            json!({"PreSharedKey": "short"}),
            json!({"PreSharedKey": "0startswithzero"}),
            json!({"PreSharedKey": "has a space in it"}),
            json!({"PreSharedKey": "x".repeat(65)}),
            json!({"Phase1LifetimeSeconds": 899}),
            json!({"Phase2LifetimeSeconds": 3601}),
            json!({"Phase1LifetimeSeconds": 900, "Phase2LifetimeSeconds": 1000}),
            json!({"RekeyMarginTimeSeconds": 1801}),
            json!({"RekeyFuzzPercentage": 101}),
            json!({"ReplayWindowSize": 63}),
            json!({"DPDTimeoutSeconds": 29}),
            json!({"DPDTimeoutAction": "explode"}),
            json!({"StartupAction": "later"}),
            json!({"IKEVersions": [{"Value": "ikev3"}]}),
            json!({"Phase1EncryptionAlgorithms": [{"Value": "ROT13"}]}),
            json!({"Phase2IntegrityAlgorithms": [{"Value": "MD5"}]}),
            json!({"Phase1DHGroupNumbers": [{"Value": 5}]}),
            json!({"Phase2DHGroupNumbers": [{"Value": 1}]}),
        ] {
            let request = s.request(json!({"TunnelOptions": [tunnel]}));
            let error = s.world.call("CreateVpnConnection", &request).unwrap_err();
            assert_eq!(error.code, "InvalidParameterValue", "{tunnel}");
            // Secrets do not come back in errors.
            let key = tunnel["PreSharedKey"].as_str().unwrap_or("nothing to hide");
            assert!(!error.message.contains(key));
        }
        let three = s.request(json!({"TunnelOptions": [{}, {}, {}]}));
        assert_eq!(
            s.world.err("CreateVpnConnection", three),
            "InvalidParameterValue"
        );
        let fast = s.request(json!({"EnableAcceleration": true}));
        assert_eq!(
            s.world.err("CreateVpnConnection", fast),
            "UnsupportedOperation"
        );
        let good = json!({"TunnelOptions": [{"Phase2DHGroupNumbers": [{"Value": 24}, {"Value": 5}], "IKEVersions": [{"Value": "ikev2"}]}]});
        let request = s.request(good);
        let made = s.world.ok("CreateVpnConnection", request);
        let id = text(&made, "VpnConnection.VpnConnectionId");
        let route = json!({"VpnConnectionId": id, "DestinationCidrBlock": "192.168.0.0/16"});
        let code = s.world.err("CreateVpnConnectionRoute", route);
        assert_eq!(code, "InvalidVpnConnection.InvalidType");
    }

    #[test]
    fn at_a_transit_gateway() {
        let mut s = scene();
        let made = s.world.ok("CreateTransitGateway", json!({}));
        let transit = text(&made, "TransitGateway.TransitGatewayId");
        let request = json!({
            "Type": "ipsec.1", "CustomerGatewayId": s.customer, "TransitGatewayId": transit,
        });
        let made = s.world.ok("CreateVpnConnection", request);
        let id = text(&made, "VpnConnection.VpnConnectionId");
        let filters = json!({"Filters": [{"Name": "resource-id", "Values": [id]}]});
        let attached = s
            .world
            .ok("DescribeTransitGatewayAttachments", filters.clone());
        assert_eq!(
            text(&attached, "TransitGatewayAttachments.0.ResourceType"),
            "vpn"
        );
        // It can move to a virtual private gateway.
        let change = json!({"VpnConnectionId": id, "VpnGatewayId": s.gateway});
        let moved = s.world.ok("ModifyVpnConnection", change);
        assert_eq!(text(&moved, "VpnConnection.VpnGatewayId"), s.gateway);
        let attached = s.world.ok("DescribeTransitGatewayAttachments", filters);
        assert_eq!(
            text(&attached, "TransitGatewayAttachments.0.State"),
            "deleted"
        );
        let options = json!({"VpnConnectionId": id, "LocalIpv4NetworkCidr": "10.0.0.0/8"});
        let reply = s.world.ok("ModifyVpnConnectionOptions", options);
        assert_eq!(
            text(&reply, "VpnConnection.Options.LocalIpv4NetworkCidr"),
            "10.0.0.0/8"
        );
        let outside = text(&reply, "VpnConnection.VgwTelemetry.0.OutsideIpAddress");
        let tunnel = |options: Json| json!({"VpnConnectionId": id, "VpnTunnelOutsideIpAddress": outside, "TunnelOptions": options});
        let reply = s.world.ok(
            "ModifyVpnTunnelOptions",
            tunnel(json!({"ReplayWindowSize": 64})),
        );
        assert_eq!(
            text(
                &reply,
                "VpnConnection.Options.TunnelOptions.0.ReplayWindowSize"
            ),
            "64"
        );
        let wrong = tunnel(json!({"ReplayWindowSize": 1}));
        assert_eq!(
            s.world.err("ModifyVpnTunnelOptions", wrong),
            "InvalidParameterValue"
        );
        let status = json!({"VpnConnectionId": id, "VpnTunnelOutsideIpAddress": outside});
        let reply = s.world.ok("GetVpnTunnelReplacementStatus", status);
        assert_eq!(text(&reply, "VpnTunnelOutsideIpAddress"), outside);
        let status = json!({"VpnConnectionId": id, "VpnTunnelOutsideIpAddress": "192.0.2.1"});
        for action in ["GetVpnTunnelReplacementStatus", "ReplaceVpnTunnel"] {
            assert_eq!(s.world.err(action, status.clone()), "InvalidParameterValue");
        }
    }
}
