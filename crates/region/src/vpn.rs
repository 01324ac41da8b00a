//! Site-to-site VPN: customer gateways, virtual private gateways, connections.

pub(crate) mod change;
mod configuration;
pub(crate) mod connection;
pub(crate) mod customer_gateway;
pub(crate) mod gateway;
mod tunnel;
