//! `/_polder/reach`: which packets can get from here to there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use reachability::{Place, Sign};
use types::{Cidr, GroupId, InstanceId, InterfaceId, SubnetId, VpcId};

use crate::core::View;
use crate::wire;

/// How many walks a question may take: some seconds.
pub(crate) const MOST: u64 = 5_000_000;

/// Everyone there is.
pub(crate) const EVERYONE: [Place; 2] = [Place::Everybody, Place::Internet];

/// Answers `from` and `to`, each a place or, left out, everyone; `colour=1` colours the text.
pub(crate) fn answer(
    view: &View,
    parameters: &BTreeMap<String, String>,
) -> Result<wire::Reach, String> {
    const KNOWN: [&str; 3] = ["from", "to", "colour"];
    if let Some(stranger) = parameters
        .keys()
        .find(|name| !KNOWN.contains(&name.as_str()))
    {
        return Err(format!("`{stranger}` is not a parameter"));
    }
    let side = |name: &str| match parameters.get(name) {
        Some(text) => Ok(vec![place(view, text)?]),
        None => Ok::<_, String>(EVERYONE.to_vec()),
    };
    let (from, to) = (side("from")?, side("to")?);
    let found =
        reachability::reach(&view.snapshot, &from, &to, MOST).map_err(|error| error.to_string())?;
    let colour = parameters.get("colour").is_some_and(|text| text == "1");
    Ok(wire::Reach {
        text: reachability::table(&found.rows, Sign::None, colour),
        reach: serde_json::to_value(&found).map_err(|error| error.to_string())?,
    })
}

/// What people call a place; it must exist.
fn place(view: &View, text: &str) -> Result<Place, String> {
    let state = &view.published.state;
    let known = |there: bool, place: Place| {
        if there {
            Ok(place)
        } else {
            Err(format!("there is no `{text}`"))
        }
    };
    if text == "internet" {
        return Ok(Place::Internet);
    }
    if let Ok(id) = text.parse::<InterfaceId>() {
        return known(state.interfaces.contains_key(&id), Place::Interface(id));
    }
    if let Ok(id) = text.parse::<InstanceId>() {
        return known(state.instances.contains_key(&id), Place::Instance(id));
    }
    if let Ok(id) = text.parse::<GroupId>() {
        return known(state.security_groups.contains_key(&id), Place::Group(id));
    }
    if let Ok(id) = text.parse::<SubnetId>() {
        return known(state.subnets.contains_key(&id), Place::Subnet(id));
    }
    if let Ok(id) = text.parse::<VpcId>() {
        return known(state.vpcs.contains_key(&id), Place::Vpc(id));
    }
    let block = match text.parse::<IpAddr>() {
        Ok(address) => Some(Cidr::host(address)),
        Err(_) => text.parse::<Cidr>().ok(),
    };
    block.map(Place::Block).ok_or_else(|| {
        let clipped: String = text.chars().take(64).collect();
        format!(
            "`{clipped}` is neither an instance, an interface, a security group, a subnet, a VPC, a block of \
             addresses nor `internet`"
        )
    })
}
