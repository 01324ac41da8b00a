//! `CustomerGatewayConfiguration`: what the far end of a connection must know, as an XML document.

use std::fmt::Write as _;

use super::connection::VpnConnection;
use super::customer_gateway::CustomerGateway;
use super::tunnel::Tunnel;

/// The number of Amazon's side in BGP and the far end, and how they are joined.
pub(super) struct Ends<'e> {
    pub(super) customer: &'e CustomerGateway,
    pub(super) amazon_asn: u32,
}

/// The document. It has the secrets of both tunnels.
pub(super) fn document(connection: &VpnConnection, ends: &Ends<'_>) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // A `String` takes whatever is written to it.
    let _ = writeln!(xml, "<vpn_connection id=\"{}\">", connection.id);
    leaf(
        &mut xml,
        2,
        "customer_gateway_id",
        &connection.customer_gateway,
    );
    match (connection.vpn_gateway, connection.transit_gateway) {
        (Some(id), _) => leaf(&mut xml, 2, "vpn_gateway_id", &id),
        (None, Some(id)) => leaf(&mut xml, 2, "transit_gateway_id", &id),
        (None, None) => {}
    }
    leaf(
        &mut xml,
        2,
        "vpn_connection_type",
        &super::customer_gateway::TYPE,
    );
    if connection.static_routes_only {
        leaf(
            &mut xml,
            2,
            "vpn_connection_attributes",
            &"NoBGPVPNConnection",
        );
    }
    for tunnel in &connection.tunnels {
        write_tunnel(&mut xml, connection, tunnel, ends);
    }
    xml.push_str("</vpn_connection>\n");
    xml
}

fn leaf(xml: &mut String, indent: usize, name: &str, value: &dyn std::fmt::Display) {
    // Values are ids, numbers, addresses and secrets of letters that XML leaves as they are.
    let _ = writeln!(xml, "{:indent$}<{name}>{value}</{name}>", "");
}

fn write_tunnel(xml: &mut String, connection: &VpnConnection, tunnel: &Tunnel, ends: &Ends<'_>) {
    let address = |offset: u128| {
        let address = tunnel.tunnel_inside_cidr.nth(offset);
        address
            .map(|address| address.to_string())
            .unwrap_or_default()
    };
    let side = |xml: &mut String, name: &str, outside: &str, inside: &str, asn: u32| {
        let _ = writeln!(xml, "    <{name}>");
        xml.push_str("      <tunnel_outside_address>\n");
        leaf(xml, 8, "ip_address", &outside);
        xml.push_str("      </tunnel_outside_address>\n      <tunnel_inside_address>\n");
        leaf(xml, 8, "ip_address", &inside);
        leaf(xml, 8, "network_mask", &"255.255.255.252");
        leaf(xml, 8, "network_cidr", &30);
        xml.push_str("      </tunnel_inside_address>\n");
        if !connection.static_routes_only {
            xml.push_str("      <bgp>\n");
            leaf(xml, 8, "asn", &asn);
            leaf(xml, 8, "hold_time", &30);
            xml.push_str("      </bgp>\n");
        }
        let _ = writeln!(xml, "    </{name}>");
    };
    let customer = ends.customer.address.map(|address| address.to_string());
    xml.push_str("  <ipsec_tunnel>\n");
    // The first address inside is Amazon's, the second one the customer's.
    side(
        xml,
        "customer_gateway",
        &customer.unwrap_or_default(),
        &address(2),
        ends.customer.asn,
    );
    side(
        xml,
        "vpn_gateway",
        &tunnel.outside_ip_address.to_string(),
        &address(1),
        ends.amazon_asn,
    );
    let first = |list: Option<&Vec<super::tunnel::Listed<String>>>, default: &str| {
        list.and_then(|list| list.first()?.value.clone())
            .unwrap_or_else(|| default.to_owned())
            .to_ascii_lowercase()
    };
    let group = |list: Option<&Vec<super::tunnel::Listed<i64>>>| {
        format!(
            "group{}",
            list.and_then(|list| list.first()?.value).unwrap_or(2)
        )
    };
    xml.push_str("    <ike>\n");
    leaf(
        xml,
        6,
        "authentication_protocol",
        &first(tunnel.phase1_integrity_algorithms.as_ref(), "sha1"),
    );
    leaf(
        xml,
        6,
        "encryption_protocol",
        &first(tunnel.phase1_encryption_algorithms.as_ref(), "aes-128-cbc"),
    );
    leaf(
        xml,
        6,
        "lifetime",
        &tunnel.phase1_lifetime_seconds.unwrap_or(28_800),
    );
    leaf(
        xml,
        6,
        "perfect_forward_secrecy",
        &group(tunnel.phase1_dh_group_numbers.as_ref()),
    );
    leaf(xml, 6, "mode", &"main");
    leaf(xml, 6, "pre_shared_key", &tunnel.pre_shared_key);
    xml.push_str("    </ike>\n    <ipsec>\n");
    leaf(xml, 6, "protocol", &"esp");
    leaf(
        xml,
        6,
        "authentication_protocol",
        &first(tunnel.phase2_integrity_algorithms.as_ref(), "hmac-sha1-96"),
    );
    leaf(
        xml,
        6,
        "encryption_protocol",
        &first(tunnel.phase2_encryption_algorithms.as_ref(), "aes-128-cbc"),
    );
    leaf(
        xml,
        6,
        "lifetime",
        &tunnel.phase2_lifetime_seconds.unwrap_or(3600),
    );
    leaf(
        xml,
        6,
        "perfect_forward_secrecy",
        &group(tunnel.phase2_dh_group_numbers.as_ref()),
    );
    leaf(xml, 6, "mode", &"tunnel");
    leaf(xml, 6, "clear_df_bit", &true);
    leaf(xml, 6, "fragmentation_before_encryption", &true);
    leaf(xml, 6, "tcp_mss_adjustment", &1379);
    xml.push_str("      <dead_peer_detection>\n");
    leaf(xml, 8, "interval", &10);
    leaf(xml, 8, "retries", &3);
    xml.push_str("      </dead_peer_detection>\n    </ipsec>\n  </ipsec_tunnel>\n");
}
