//! Changes of VPN connections and their tunnels.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{CustomerGatewayId, TransitGatewayId, VpnConnectionId, VpnGatewayId};

use super::connection::{VpnConnection, VpnConnectionReply, carried, inside_blocks, shown};
use super::customer_gateway::CustomerGateway;
use super::gateway::VpnGateway;
use super::tunnel::Requested;
use crate::dispatch::actions;
use crate::mortal::{self, combination, invalid};
use crate::transit_gateway::attachment;
use crate::{Context, Tx};

actions! {
    "GetVpnTunnelReplacementStatus" => get_vpn_tunnel_replacement_status, Control;
    "ModifyVpnConnection" => modify_vpn_connection, Recorded;
    "ModifyVpnConnectionOptions" => modify_vpn_connection_options, Recorded;
    "ModifyVpnTunnelOptions" => modify_vpn_tunnel_options, Recorded;
    "ReplaceVpnTunnel" => replace_vpn_tunnel, Recorded;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyVpnConnectionRequest {
    vpn_connection_id: String,
    transit_gateway_id: Option<String>,
    customer_gateway_id: Option<String>,
    vpn_gateway_id: Option<String>,
}

/// Moves a connection to another gateway at either end.
pub(crate) fn modify_vpn_connection(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyVpnConnectionRequest,
) -> Result<VpnConnectionReply, ApiError> {
    let mut connection = mortal::find::<VpnConnection>(tx, ctx, &req.vpn_connection_id)?.clone();
    if let Some(id) = &req.customer_gateway_id {
        connection.customer_gateway = mortal::find::<CustomerGateway>(tx, ctx, id)?.id;
    }
    match (&req.vpn_gateway_id, &req.transit_gateway_id) {
        (Some(_), Some(_)) => {
            return Err(combination(
                "The parameter VpnGatewayId cannot be used with the parameter TransitGatewayId",
            ));
        }
        (Some(id), None) => {
            connection.vpn_gateway = Some(mortal::find::<VpnGateway>(tx, ctx, id)?.id);
            attachment::detach_vpn(tx, ctx, connection.id);
            connection.transit_gateway = None;
        }
        (None, Some(id)) => {
            attachment::detach_vpn(tx, ctx, connection.id);
            attachment::attach_vpn(tx, ctx, id, connection.id, connection.tags.clone())?;
            connection.transit_gateway = id.parse().ok();
            connection.vpn_gateway = None;
        }
        (None, None) if req.customer_gateway_id.is_none() => {
            return Err(ApiError::new(
                "MissingParameter",
                "The request must contain one of CustomerGatewayId, VpnGatewayId or TransitGatewayId",
            ));
        }
        (None, None) => {}
    }
    let others = inside_blocks(tx, &connection);
    if connection
        .tunnels
        .iter()
        .any(|tunnel| others.contains(&tunnel.tunnel_inside_cidr))
    {
        return Err(ApiError::new(
            "InvalidParameterValue",
            "The inside CIDR block of a tunnel is used by another VPN connection of the gateway.",
        ));
    }
    tx.put(connection.clone());
    Ok(shown(tx, ctx, &connection))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyVpnConnectionOptionsRequest {
    vpn_connection_id: String,
    local_ipv4_network_cidr: Option<String>,
    remote_ipv4_network_cidr: Option<String>,
}

pub(crate) fn modify_vpn_connection_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyVpnConnectionOptionsRequest,
) -> Result<VpnConnectionReply, ApiError> {
    let mut connection = mortal::find::<VpnConnection>(tx, ctx, &req.vpn_connection_id)?.clone();
    if let Some(text) = &req.local_ipv4_network_cidr {
        connection.local = carried(Some(text), "localIpv4NetworkCidr")?;
    }
    if let Some(text) = &req.remote_ipv4_network_cidr {
        connection.remote = carried(Some(text), "remoteIpv4NetworkCidr")?;
    }
    tx.put(connection.clone());
    Ok(shown(tx, ctx, &connection))
}

/// The place of the tunnel with this address outside.
fn tunnel(connection: &VpnConnection, outside: &str) -> Result<usize, ApiError> {
    let mut tunnels = connection.tunnels.iter();
    tunnels
        .position(|tunnel| tunnel.outside_ip_address.to_string() == outside)
        .ok_or_else(|| {
            invalid(
                "vpnTunnelOutsideIpAddress",
                outside,
                "The VPN connection has no tunnel with this address.",
            )
        })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyVpnTunnelOptionsRequest {
    vpn_connection_id: String,
    vpn_tunnel_outside_ip_address: String,
    tunnel_options: Requested,
}

pub(crate) fn modify_vpn_tunnel_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyVpnTunnelOptionsRequest,
) -> Result<VpnConnectionReply, ApiError> {
    let mut connection = mortal::find::<VpnConnection>(tx, ctx, &req.vpn_connection_id)?.clone();
    let place = tunnel(&connection, &req.vpn_tunnel_outside_ip_address)?;
    let mut others = inside_blocks(tx, &connection);
    let beside = connection.tunnels.iter().enumerate();
    others.extend(
        beside
            .filter(|(other, _)| *other != place)
            .map(|(_, tunnel)| tunnel.tunnel_inside_cidr),
    );
    if let Some(tunnel) = connection.tunnels.get_mut(place) {
        req.tunnel_options.change(tunnel, &others)?;
    }
    tx.put(connection.clone());
    Ok(shown(tx, ctx, &connection))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReplacementStatusRequest {
    vpn_connection_id: String,
    vpn_tunnel_outside_ip_address: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplacementStatusReply {
    customer_gateway_id: CustomerGatewayId,
    maintenance_details: Maintenance,
    transit_gateway_id: Option<TransitGatewayId>,
    vpn_connection_id: VpnConnectionId,
    vpn_gateway_id: Option<VpnGatewayId>,
    vpn_tunnel_outside_ip_address: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Maintenance {
    pending_maintenance: &'static str,
}

/// Whether a tunnel waits to be replaced: none ever does.
pub(crate) fn get_vpn_tunnel_replacement_status(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReplacementStatusRequest,
) -> Result<ReplacementStatusReply, ApiError> {
    let connection = mortal::find::<VpnConnection>(tx, ctx, &req.vpn_connection_id)?;
    tunnel(connection, &req.vpn_tunnel_outside_ip_address)?;
    Ok(ReplacementStatusReply {
        customer_gateway_id: connection.customer_gateway,
        maintenance_details: Maintenance {
            pending_maintenance: "NONE",
        },
        transit_gateway_id: connection.transit_gateway,
        vpn_connection_id: connection.id,
        vpn_gateway_id: connection.vpn_gateway,
        vpn_tunnel_outside_ip_address: req.vpn_tunnel_outside_ip_address,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReplaceVpnTunnelRequest {
    vpn_connection_id: String,
    vpn_tunnel_outside_ip_address: String,
    /// No maintenance is ever pending.
    #[serde(rename = "ApplyPendingMaintenance")]
    _apply_pending_maintenance: Option<bool>,
}

/// Replaces a tunnel's end by one with the same options and the same address: as records go, by itself.
pub(crate) fn replace_vpn_tunnel(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReplaceVpnTunnelRequest,
) -> Result<mortal::ReturnReply, ApiError> {
    let connection = mortal::find::<VpnConnection>(tx, ctx, &req.vpn_connection_id)?;
    tunnel(connection, &req.vpn_tunnel_outside_ip_address)?;
    Ok(mortal::DONE)
}
