//! Ranges of subnets that are set aside: their addresses are given only to who names them, or as prefixes.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, RegionName, SubnetCidrReservationId, SubnetId};

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Subnet, Tx, network_interface, quota};

actions! {
    "CreateSubnetCidrReservation" => create_subnet_cidr_reservation, Control;
    "DeleteSubnetCidrReservation" => delete_subnet_cidr_reservation, Control;
    "GetSubnetCidrReservations" => get_subnet_cidr_reservations, Control;
}

/// A range of a subnet that is set aside (EC2 "Subnet CIDR reservations").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubnetCidrReservation {
    /// Its identifier.
    pub id: SubnetCidrReservationId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The subnet.
    pub subnet: SubnetId,
    /// The range: within the subnet's blocks, apart from every other reservation.
    pub cidr: Cidr,
    /// Whether prefixes for interfaces come from it; else its addresses are for those who name them.
    pub for_prefixes: bool,
    /// What its owner says about it.
    pub description: Option<String>,
}

resource!(
    SubnetCidrReservation,
    "subnet-cidr-reservation",
    |this, keys| keys.of([this.subnet]),
    |id| resource::unknown_id(
        id,
        "scr",
        "subnet CIDR reservation ID",
        "InvalidSubnetCidrReservationID.NotFound",
        "InvalidSubnetCidrReservationID.Malformed",
    )
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateSubnetCidrReservationRequest {
    subnet_id: String,
    cidr: String,
    reservation_type: String,
    description: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateSubnetCidrReservationReply {
    subnet_cidr_reservation: ReservationItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReservationItem {
    subnet_cidr_reservation_id: SubnetCidrReservationId,
    subnet_id: SubnetId,
    cidr: Cidr,
    reservation_type: &'static str,
    owner_id: AccountId,
    description: Option<String>,
    tags: Vec<Tag>,
}

impl SubnetCidrReservation {
    const fn kind(&self) -> &'static str {
        if self.for_prefixes {
            "prefix"
        } else {
            "explicit"
        }
    }

    fn reply(&self) -> ReservationItem {
        ReservationItem {
            subnet_cidr_reservation_id: self.id,
            subnet_id: self.subnet,
            cidr: self.cidr,
            reservation_type: self.kind(),
            owner_id: self.account,
            description: self.description.clone(),
            tags: self.tags.reply(),
        }
    }
}

pub(crate) fn create_subnet_cidr_reservation(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateSubnetCidrReservationRequest,
) -> Result<CreateSubnetCidrReservationReply, ApiError> {
    let subnet = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?;
    let invalid = |why: &str| {
        Err(ApiError::new(
            "InvalidParameterValue",
            format!("Value ({}) for parameter cidr is invalid. {why}", req.cidr),
        ))
    };
    let Ok(cidr) = req.cidr.parse::<Cidr>() else {
        return invalid("This is not a valid CIDR block.");
    };
    if !subnet.blocks().any(|block| block.covers(cidr)) {
        return invalid("It does not fall within the subnet's address range.");
    }
    let for_prefixes = match req.reservation_type.as_str() {
        "prefix" => true,
        "explicit" => false,
        other => return Err(resource::invalid_value(&other, "reservationType")),
    };
    let mut present = 0;
    for other in tx.state().subnet_cidr_reservations.of(subnet.id) {
        present += 1;
        if other.cidr.overlaps(cidr) {
            return invalid("It overlaps with another reservation of the subnet.");
        }
    }
    quota::SUBNET_CIDR_RESERVATIONS.one_more(tx, ctx, present)?;
    let reservation = SubnetCidrReservation {
        id: SubnetCidrReservationId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::of_new(
            req.tag_specifications.as_deref(),
            SubnetCidrReservation::TYPE,
        )?,
        subnet: subnet.id,
        cidr,
        for_prefixes,
        description: match req.description {
            None => None,
            text => Some(network_interface::checked_description(text)?),
        },
    };
    let subnet_cidr_reservation = reservation.reply();
    tx.put(reservation);
    Ok(CreateSubnetCidrReservationReply {
        subnet_cidr_reservation,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetSubnetCidrReservationsRequest {
    subnet_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetSubnetCidrReservationsReply {
    subnet_ipv4_cidr_reservations: Vec<ReservationItem>,
    subnet_ipv6_cidr_reservations: Vec<ReservationItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<SubnetCidrReservation>] = &[
    ("reservationType", |_, r| vec![r.kind().to_owned()]),
    ("subnet-id", |_, r| vec![r.subnet.to_string()]),
];

/// Lists the reservations of one subnet.
pub(crate) fn get_subnet_cidr_reservations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetSubnetCidrReservationsRequest,
) -> Result<GetSubnetCidrReservationsReply, ApiError> {
    let subnet = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?.id;
    let mut filters = req.filters.unwrap_or_default();
    filters.push(Filter {
        name: Some("subnet-id".to_owned()),
        values: vec![subnet.to_string()],
    });
    let query = Query {
        ids: None,
        filters: Some(&filters),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page =
        resource::describe::<SubnetCidrReservation>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let (v4, v6): (Vec<_>, Vec<_>) = page.items.into_iter().partition(|r| r.cidr.is_v4());
    let reply = |items: Vec<&SubnetCidrReservation>| {
        items
            .into_iter()
            .map(SubnetCidrReservation::reply)
            .collect()
    };
    Ok(GetSubnetCidrReservationsReply {
        subnet_ipv4_cidr_reservations: reply(v4),
        subnet_ipv6_cidr_reservations: reply(v6),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteSubnetCidrReservationRequest {
    subnet_cidr_reservation_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteSubnetCidrReservationReply {
    deleted_subnet_cidr_reservation: ReservationItem,
}

pub(crate) fn delete_subnet_cidr_reservation(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteSubnetCidrReservationRequest,
) -> Result<DeleteSubnetCidrReservationReply, ApiError> {
    let id = &req.subnet_cidr_reservation_id;
    let reservation = resource::find::<SubnetCidrReservation>(tx, ctx, id)?;
    let (id, deleted_subnet_cidr_reservation) = (reservation.id, reservation.reply());
    tx.remove::<SubnetCidrReservation>(&id);
    Ok(DeleteSubnetCidrReservationReply {
        deleted_subnet_cidr_reservation,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    #[test]
    fn what_is_set_aside_is_given_to_who_names_it() {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&vpc, "Vpc.VpcId");
        let subnet = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"}),
        );
        let subnet = text(&subnet, "Subnet.SubnetId");
        let reserve = |cidr: &str, kind: &str| json!({"SubnetId": subnet, "Cidr": cidr, "ReservationType": kind, "Description": "d"});
        let action = "CreateSubnetCidrReservation";
        let made = world.ok(action, reserve("10.0.0.0/28", "explicit"));
        assert_eq!(
            text(&made, "SubnetCidrReservation.ReservationType"),
            "explicit"
        );
        for (cidr, kind) in [
            ("10.0.0.0/29", "explicit"),
            ("10.0.1.0/28", "explicit"),
            ("nonsense", "explicit"),
            ("10.0.0.32/28", "nonsense"),
        ] {
            assert_eq!(
                world.err(action, reserve(cidr, kind)),
                "InvalidParameterValue",
                "{cidr}"
            );
        }
        world.ok(action, reserve("10.0.0.16/28", "prefix"));
        let interface =
            |address: Option<&str>| json!({"SubnetId": subnet, "PrivateIpAddress": address});
        let chosen = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        assert_eq!(
            text(&chosen, "NetworkInterface.PrivateIpAddress"),
            "10.0.0.32"
        );
        world.ok("CreateNetworkInterface", interface(Some("10.0.0.5")));
        let get = json!({"SubnetId": subnet});
        let all = world.ok("GetSubnetCidrReservations", get.clone());
        assert_eq!(count(&all, "SubnetIpv4CidrReservations"), 2);
        assert_eq!(count(&all, "SubnetIpv6CidrReservations"), 0);
        let mut prefixes = get.clone();
        prefixes["Filters"] = json!([{"Name": "reservationType", "Values": ["prefix"]}]);
        let some = world.ok("GetSubnetCidrReservations", prefixes);
        assert_eq!(
            text(&some, "SubnetIpv4CidrReservations.0.Cidr"),
            "10.0.0.16/28"
        );
        let id = json!({"SubnetCidrReservationId": text(&made, "SubnetCidrReservation.SubnetCidrReservationId")});
        let first = world.account;
        world.account = account("444455556666");
        let not_found = "InvalidSubnetCidrReservationID.NotFound";
        assert_eq!(
            world.err("DeleteSubnetCidrReservation", id.clone()),
            not_found
        );
        assert_eq!(
            world.err("GetSubnetCidrReservations", get),
            "InvalidSubnetID.NotFound"
        );
        world.account = first;
        world.ok("DeleteSubnetCidrReservation", id);
        let chosen = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        assert_eq!(
            text(&chosen, "NetworkInterface.PrivateIpAddress"),
            "10.0.0.4"
        );
        // The rest goes with the subnet.
        for id in world.state.interfaces.keys().copied().collect::<Vec<_>>() {
            world.ok("DeleteNetworkInterface", json!({"NetworkInterfaceId": id}));
        }
        world.ok("DeleteSubnet", json!({"SubnetId": subnet}));
        assert_eq!(world.state.subnet_cidr_reservations.size(), 0);
    }
}
