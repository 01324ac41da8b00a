//! `/_polder/path`: what people call places, turned into a question for the walk.

use std::collections::BTreeMap;
use std::net::IpAddr;

use reachability::{Query, SOMEWHERE, Source, Verdict};
use topology::{Interface, Snapshot};
use types::{GatewayId, InstanceId, InterfaceId, NatGatewayId, proto};

use crate::core::View;
use crate::wire;

/// The word for everybody outside.
const INTERNET: &str = "internet";

/// A place as people name it.
#[derive(Clone, Copy)]
enum Place<'a> {
    Interface(&'a Interface),
    /// An instance or interface that no packet can come from or go to.
    Absent(Source),
    Outside(IpAddr),
}

/// Answers `from`, `to`, `protocol` (`tcp`, `udp`, `icmp`) and `port`; `colour=1` colours the text.
pub(crate) fn answer(
    view: &View,
    parameters: &BTreeMap<String, String>,
) -> Result<wire::Path, String> {
    let snapshot: &Snapshot = &view.snapshot;
    const KNOWN: [&str; 5] = ["from", "to", "protocol", "port", "colour"];
    if let Some(stranger) = parameters
        .keys()
        .find(|name| !KNOWN.contains(&name.as_str()))
    {
        return Err(format!("`{stranger}` is not a parameter"));
    }
    let text = |name: &str| parameters.get(name).map(String::as_str);
    let required = |name: &str| text(name).ok_or_else(|| format!("`{name}` is missing"));
    let (from, to) = (required("from")?, required("to")?);
    let to = place(view, to, None)?;
    let from = place(view, from, vpc(to))?;
    // Once more: an address means one in the VPC that it is asked from.
    let to = place(view, required("to")?, vpc(from))?;
    let source = match from {
        Place::Interface(interface) => Source::Interface(interface.id),
        Place::Absent(source) => source,
        Place::Outside(address) => Source::Outside(address),
    };
    let destination = destination(snapshot, from, to)?;
    let (protocol, port) = service(
        text("protocol").unwrap_or("icmp"),
        text("port"),
        destination,
    )?;
    gateways(snapshot, required("from")?, required("to")?, [from, to])?;
    let everybody = |name: &str| name == INTERNET || name.parse::<GatewayId>().is_ok();
    let query = Query {
        everybody: everybody(required("from")?) || everybody(required("to")?),
        ..Query::new(source, destination, protocol, port)
    };
    let report = reachability::explain(snapshot, &query);
    let value = serde_json::to_value(&report).map_err(|error| error.to_string())?;
    Ok(wire::Path {
        reachable: matches!(report.verdict, Verdict::Reachable { .. }),
        text: reachability::render(&report, text("colour") == Some("1")),
        report: value,
    })
}

/// Refuses an internet gateway that is not the one of the VPC at the other end.
fn gateways(
    snapshot: &Snapshot,
    from: &str,
    to: &str,
    places: [Place<'_>; 2],
) -> Result<(), String> {
    for (name, other) in [from, to].into_iter().zip(places.into_iter().rev()) {
        let Ok(gateway) = name.parse::<GatewayId>() else {
            continue;
        };
        let Some(vpc) = vpc(other) else {
            return Err(format!(
                "`{gateway}` has no VPC's interface at its other end"
            ));
        };
        let attached = snapshot
            .vpc(vpc)
            .and_then(|view| view.vpc.as_ref()?.internet_gateway);
        if attached != Some(gateway) {
            return Err(format!("`{gateway}` is not attached to `{vpc}`"));
        }
    }
    Ok(())
}

fn vpc(place: Place<'_>) -> Option<types::VpcId> {
    match place {
        Place::Interface(interface) => Some(interface.vpc),
        Place::Absent(_) | Place::Outside(_) => None,
    }
}

/// `near` is the VPC that a private address is looked for in first.
fn place<'a>(view: &'a View, name: &str, near: Option<types::VpcId>) -> Result<Place<'a>, String> {
    let (snapshot, state) = (&view.snapshot, &view.published.state);
    if name == INTERNET || name.parse::<GatewayId>().is_ok() {
        let outside = snapshot.uplink().map(|uplink| {
            if uplink.internet {
                SOMEWHERE
            } else {
                uplink.host
            }
        });
        return Ok(Place::Outside(outside.unwrap_or(SOMEWHERE)));
    }
    if let Ok(id) = name.parse::<InstanceId>() {
        if state.instances.get(&id).is_none() {
            return Err(format!("there is no instance `{id}`"));
        }
        let instance = state.instances.get(&id);
        let primary = instance.and_then(|instance| instance.interfaces.get(&0));
        let running = primary
            .and_then(|id| snapshot.interface(*id))
            .filter(|interface| interface.instance.is_some());
        return Ok(running.map_or(Place::Absent(Source::Instance(id)), Place::Interface));
    }
    if let Ok(id) = name.parse::<NatGatewayId>() {
        let found = state.nat_gateways.get(&id);
        let interface = found
            .and_then(|gateway| snapshot.vpc(gateway.vpc)?.nat_gateway(id))
            .and_then(|gateway| snapshot.interface(gateway.interface));
        return interface
            .map(Place::Interface)
            .ok_or_else(|| format!("there is no available NAT gateway `{id}`"));
    }
    if let Ok(id) = name.parse::<InterfaceId>() {
        if state.interfaces.get(&id).is_none() {
            return Err(format!("there is no interface `{id}`"));
        }
        let found = snapshot.interface(id);
        return Ok(found.map_or(Place::Absent(Source::Interface(id)), Place::Interface));
    }
    let address: IpAddr = name.parse().map_err(|_| {
        format!(
            "`{}` is neither an instance, an interface, an internet gateway, a NAT gateway, an IP address nor `internet`",
            clip(name)
        )
    })?;
    by_address(snapshot, address, near)
}

fn by_address(
    snapshot: &Snapshot,
    address: IpAddr,
    near: Option<types::VpcId>,
) -> Result<Place<'_>, String> {
    if let Some(public) = snapshot.public_address(address) {
        return Ok(snapshot
            .interface(public.interface)
            .map_or(Place::Outside(address), Place::Interface));
    }
    let with =
        |view: &'_ topology::VpcView| view.interface_at(address).map(|interface| interface.id);
    let found: Vec<_> = snapshot
        .vpcs()
        .filter_map(|(id, view)| Some((id, with(view)?)))
        .collect();
    let here = found.iter().find(|(id, _)| Some(*id) == near);
    match (here, found.as_slice()) {
        (Some((_, id)), _) | (None, [(_, id)]) => Ok(snapshot
            .interface(*id)
            .map_or(Place::Outside(address), Place::Interface)),
        (None, []) => Ok(Place::Outside(address)),
        (None, several) => {
            let ids: Vec<String> = several.iter().map(|(_, id)| id.to_string()).collect();
            Err(format!(
                "`{address}` is in several VPCs; name one of {}",
                ids.join(", ")
            ))
        }
    }
}

/// The address by which `from` reaches `to`: private within a VPC, public from elsewhere, if there is a public one.
fn destination(snapshot: &Snapshot, from: Place<'_>, to: Place<'_>) -> Result<IpAddr, String> {
    let interface = match to {
        Place::Outside(address) => return Ok(address),
        Place::Absent(Source::Instance(id)) => {
            return Err(format!("the instance `{id}` does not run"));
        }
        Place::Absent(Source::Interface(id)) => {
            return Err(format!("the interface `{id}` is not in use"));
        }
        Place::Absent(Source::Outside(address)) => return Ok(address),
        Place::Interface(interface) => interface,
    };
    let private = interface
        .addresses
        .first()
        .copied()
        .ok_or_else(|| format!("`{}` has no address", interface.id))?;
    let together = vpc(from) == Some(interface.vpc);
    let public = snapshot
        .public_of(interface.id, private)
        .map(|address| address.public);
    Ok(if together {
        private
    } else {
        public.unwrap_or(private)
    })
}

fn service(protocol: &str, port: Option<&str>, destination: IpAddr) -> Result<(u8, u16), String> {
    let number = port
        .map(|text| {
            text.parse::<u16>()
                .map_err(|_| format!("`{}` is not a port", clip(text)))
        })
        .transpose()?;
    let with_port = |protocol| {
        number
            .map(|port| (protocol, port))
            .ok_or_else(|| "`port` is missing".to_owned())
    };
    match protocol {
        "tcp" => with_port(proto::TCP),
        "udp" => with_port(proto::UDP),
        "icmp" if number.is_some() => Err("ICMP has no ports".to_owned()),
        "icmp" => Ok((
            if destination.is_ipv6() {
                proto::ICMPV6
            } else {
                proto::ICMP
            },
            0,
        )),
        other => Err(format!("`{}` is not `tcp`, `udp` or `icmp`", clip(other))),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
