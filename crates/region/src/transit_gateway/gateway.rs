//! Transit gateways themselves.

use std::collections::BTreeSet;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, RegionName, TransitGatewayId, TransitGatewayRouteTableId};

use super::{
    Mortal as _, TransitGatewayAttachment, TransitGatewayPolicyTable, TransitGatewayRouteTable,
    available, forget, incorrect_state, invalid_value, mortal, present, route_table,
    state_or_modifying, switch, time, unknown, word,
};
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::life::{Life, Phase, settled};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, quota};

actions! {
    "CreateTransitGateway" => create_transit_gateway, Enforced;
    "DeleteTransitGateway" => delete_transit_gateway, Enforced;
    "DescribeTransitGateways" => describe_transit_gateways, Control;
    "ModifyTransitGateway" => modify_transit_gateway, Enforced;
}

/// A transit gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitGateway {
    /// Its identifier.
    pub id: TransitGatewayId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// What its owner says about it.
    pub description: String,
    /// When it was created.
    pub created: Timestamp,
    /// Where it stands between pending and deleted.
    pub life: Life,
    /// Until when it shows that it is being modified.
    pub modifying_until: Option<Timestamp>,
    /// Its side's autonomous system number in BGP: a private one (RFC 6996).
    pub asn: i64,
    /// Blocks for the outer addresses of Connect peers. At most 5, which do not overlap.
    pub cidrs: BTreeSet<Cidr>,
    /// Whether attachments of other accounts need no acceptance.
    pub auto_accept: bool,
    /// The table that new attachments are associated with. A table of this gateway.
    pub association_table: Option<TransitGatewayRouteTableId>,
    /// The table that new attachments propagate to. A table of this gateway.
    pub propagation_table: Option<TransitGatewayRouteTableId>,
    /// Whether equal routes of VPN connections share the load.
    pub vpn_ecmp: bool,
    /// Whether public names resolve to private addresses across attachments.
    pub dns: bool,
    /// Whether groups may refer to groups of other attached VPCs.
    pub group_references: bool,
    /// Whether it can have multicast domains.
    pub multicast: bool,
}

resource!(
    TransitGateway,
    "transit-gateway",
    |this, keys| {
        keys.of(this.association_table);
        keys.of(this.propagation_table);
    },
    |id| unknown(
        id,
        "tgw",
        "Transit Gateway",
        "InvalidTransitGatewayID.NotFound",
        "InvalidTransitGatewayID.Malformed"
    )
);
mortal!(TransitGateway);

impl TransitGateway {
    fn state(&self, now: Timestamp) -> &'static str {
        state_or_modifying(self.phase(now), self.modifying_until, now)
    }

    fn arn(&self) -> String {
        format!(
            "arn:aws:ec2:{}:{}:transit-gateway/{}",
            self.region, self.account, self.id
        )
    }

    fn reply(&self, now: Timestamp) -> TransitGatewayItem {
        TransitGatewayItem {
            transit_gateway_id: self.id,
            transit_gateway_arn: self.arn(),
            state: self.state(now),
            owner_id: self.account,
            description: self.description.clone(),
            creation_time: time(self.created),
            options: OptionsItem {
                amazon_side_asn: self.asn,
                transit_gateway_cidr_blocks: self.cidrs.iter().copied().collect(),
                auto_accept_shared_attachments: word(self.auto_accept),
                default_route_table_association: word(self.association_table.is_some()),
                association_default_route_table_id: self.association_table,
                default_route_table_propagation: word(self.propagation_table.is_some()),
                propagation_default_route_table_id: self.propagation_table,
                vpn_ecmp_support: word(self.vpn_ecmp),
                dns_support: word(self.dns),
                security_group_referencing_support: word(self.group_references),
                multicast_support: word(self.multicast),
            },
            tags: self.tags.reply(),
        }
    }
}

/// A transit gateway in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TransitGatewayItem {
    transit_gateway_id: TransitGatewayId,
    transit_gateway_arn: String,
    state: &'static str,
    owner_id: AccountId,
    description: String,
    creation_time: api::Timestamp,
    options: OptionsItem,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OptionsItem {
    amazon_side_asn: i64,
    transit_gateway_cidr_blocks: Vec<Cidr>,
    auto_accept_shared_attachments: &'static str,
    default_route_table_association: &'static str,
    association_default_route_table_id: Option<TransitGatewayRouteTableId>,
    default_route_table_propagation: &'static str,
    propagation_default_route_table_id: Option<TransitGatewayRouteTableId>,
    vpn_ecmp_support: &'static str,
    dns_support: &'static str,
    security_group_referencing_support: &'static str,
    multicast_support: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransitGatewayReply {
    transit_gateway: TransitGatewayItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTransitGatewayRequest {
    description: Option<String>,
    options: Option<CreateOptions>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateOptions {
    amazon_side_asn: Option<i64>,
    auto_accept_shared_attachments: Option<String>,
    default_route_table_association: Option<String>,
    default_route_table_propagation: Option<String>,
    vpn_ecmp_support: Option<String>,
    dns_support: Option<String>,
    security_group_referencing_support: Option<String>,
    multicast_support: Option<String>,
    transit_gateway_cidr_blocks: Option<Vec<String>>,
}

/// The number of a transit gateway that names none ("CreateTransitGateway": `AmazonSideAsn`).
const DEFAULT_ASN: i64 = 64512;

fn checked_asn(number: i64) -> Result<i64, ApiError> {
    if (64512..=65534).contains(&number) || (4_200_000_000..=4_294_967_294).contains(&number) {
        return Ok(number);
    }
    Err(ApiError::new(
        "InvalidParameterValue",
        format!(
            "Value ({number}) for parameter AmazonSideAsn is invalid. The private ASN range is 64512 to 65534 for 16-bit ASNs, and 4200000000 to 4294967294 for 32-bit ASNs."
        ),
    ))
}

/// Adds blocks: of /24 or larger, or /64 or larger in IPv6, none of link-local or multicast addresses.
fn add_cidrs(cidrs: &mut BTreeSet<Cidr>, texts: &[String]) -> Result<(), ApiError> {
    let reserved = ["169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8"];
    for text in texts {
        let wrong = || invalid_value(text, "TransitGatewayCidrBlocks");
        let cidr: Cidr = text.parse().map_err(|_| wrong())?;
        let longest = if cidr.is_v4() { 24 } else { 64 };
        let is_reserved = reserved
            .iter()
            .filter_map(|text| text.parse::<Cidr>().ok())
            .any(|reserved| reserved.overlaps(cidr));
        if cidr.length() > longest || is_reserved || cidrs.iter().any(|other| other.overlaps(cidr))
        {
            return Err(wrong());
        }
        cidrs.insert(cidr);
    }
    quota::TRANSIT_GATEWAY_CIDRS.check_fixed(cidrs.len())
}

pub(crate) fn create_transit_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateTransitGatewayRequest,
) -> Result<TransitGatewayReply, ApiError> {
    forget::<TransitGateway>(tx, ctx);
    let options = req.options.unwrap_or_default();
    let on = |text: &Option<String>, parameter: &str, default: bool| {
        switch(text.as_deref(), parameter).map(|on| on.unwrap_or(default))
    };
    let mut cidrs = BTreeSet::new();
    let blocks = options.transit_gateway_cidr_blocks.unwrap_or_default();
    add_cidrs(&mut cidrs, &blocks)?;
    let associates = on(
        &options.default_route_table_association,
        "DefaultRouteTableAssociation",
        true,
    )?;
    let propagates = on(
        &options.default_route_table_propagation,
        "DefaultRouteTablePropagation",
        true,
    )?;
    let mut gateway = TransitGateway {
        id: TransitGatewayId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::of_new(req.tag_specifications.as_deref(), "transit-gateway")?,
        description: req.description.unwrap_or_default(),
        created: ctx.now,
        life: Life::begin(ctx),
        modifying_until: None,
        asn: checked_asn(options.amazon_side_asn.unwrap_or(DEFAULT_ASN))?,
        cidrs,
        auto_accept: on(
            &options.auto_accept_shared_attachments,
            "AutoAcceptSharedAttachments",
            false,
        )?,
        association_table: None,
        propagation_table: None,
        vpn_ecmp: on(&options.vpn_ecmp_support, "VpnEcmpSupport", true)?,
        dns: on(&options.dns_support, "DnsSupport", true)?,
        group_references: on(
            &options.security_group_referencing_support,
            "SecurityGroupReferencingSupport",
            false,
        )?,
        multicast: on(&options.multicast_support, "MulticastSupport", false)?,
    };
    let present = resource::own::<TransitGateway>(tx, ctx)
        .filter(|gateway| gateway.phase(ctx.now) != Phase::Deleted)
        .count();
    quota::TRANSIT_GATEWAYS.one_more(tx, ctx, present)?;
    if associates || propagates {
        let table = route_table::make(tx, ctx, gateway.id, Tags::default());
        gateway.association_table = associates.then_some(table);
        gateway.propagation_table = propagates.then_some(table);
    }
    let reply = gateway.reply(ctx.now);
    tx.put(gateway);
    Ok(TransitGatewayReply {
        transit_gateway: reply,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeTransitGatewaysRequest {
    transit_gateway_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeTransitGatewaysReply {
    transit_gateways: Vec<TransitGatewayItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<TransitGateway>] = &[
    ("options.propagation-default-route-table-id", |_, g| {
        g.propagation_table
            .iter()
            .map(ToString::to_string)
            .collect()
    }),
    ("options.amazon-side-asn", |_, g| vec![g.asn.to_string()]),
    ("options.association-default-route-table-id", |_, g| {
        g.association_table
            .iter()
            .map(ToString::to_string)
            .collect()
    }),
    ("options.auto-accept-shared-attachments", |_, g| {
        vec![word(g.auto_accept).to_owned()]
    }),
    ("options.default-route-table-association", |_, g| {
        vec![word(g.association_table.is_some()).to_owned()]
    }),
    ("options.default-route-table-propagation", |_, g| {
        vec![word(g.propagation_table.is_some()).to_owned()]
    }),
    ("options.dns-support", |_, g| vec![word(g.dns).to_owned()]),
    ("options.vpn-ecmp-support", |_, g| {
        vec![word(g.vpn_ecmp).to_owned()]
    }),
    ("owner-id", |_, g| vec![g.account.to_string()]),
    ("state", |view, g| vec![g.state(view.now).to_owned()]),
    ("transit-gateway-id", |_, g| vec![g.id.to_string()]),
];

pub(crate) fn describe_transit_gateways(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeTransitGatewaysRequest,
) -> Result<DescribeTransitGatewaysReply, ApiError> {
    forget::<TransitGateway>(tx, ctx);
    let query = Query {
        ids: req.transit_gateway_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<TransitGateway>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeTransitGatewaysReply {
        transit_gateways: page.items.into_iter().map(|g| g.reply(ctx.now)).collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyTransitGatewayRequest {
    transit_gateway_id: String,
    description: Option<String>,
    options: Option<ModifyOptions>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyOptions {
    add_transit_gateway_cidr_blocks: Option<Vec<String>>,
    remove_transit_gateway_cidr_blocks: Option<Vec<String>>,
    vpn_ecmp_support: Option<String>,
    dns_support: Option<String>,
    security_group_referencing_support: Option<String>,
    auto_accept_shared_attachments: Option<String>,
    default_route_table_association: Option<String>,
    association_default_route_table_id: Option<String>,
    default_route_table_propagation: Option<String>,
    propagation_default_route_table_id: Option<String>,
    amazon_side_asn: Option<i64>,
}

/// A default table after a modification: on with a table, or off. One that is on keeps its table.
fn default_table(
    tx: &Tx,
    ctx: &Context<'_>,
    gateway: TransitGatewayId,
    current: Option<TransitGatewayRouteTableId>,
    (on, on_name): (Option<&str>, &str),
    (id, id_name): (Option<&str>, &str),
) -> Result<Option<TransitGatewayRouteTableId>, ApiError> {
    let on = switch(on, on_name)?;
    if let Some(id) = id {
        if !on.unwrap_or(current.is_some()) {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                format!("{id_name} cannot be specified when {on_name} is disabled"),
            ));
        }
        let table = available::<TransitGatewayRouteTable>(tx, ctx, id)?;
        if table.gateway != gateway {
            return Err(invalid_value(&id, id_name));
        }
        return Ok(Some(table.id));
    }
    match on {
        None => Ok(current),
        Some(false) => Ok(None),
        Some(true) => current.map(Some).ok_or_else(|| resource::missing(id_name)),
    }
}

pub(crate) fn modify_transit_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyTransitGatewayRequest,
) -> Result<TransitGatewayReply, ApiError> {
    let mut gateway = available::<TransitGateway>(tx, ctx, &req.transit_gateway_id)?.clone();
    let before = gateway.clone();
    let options = req.options.unwrap_or_default();
    for text in options.remove_transit_gateway_cidr_blocks.iter().flatten() {
        let name = "RemoveTransitGatewayCidrBlocks";
        let cidr: Cidr = text.parse().map_err(|_| invalid_value(text, name))?;
        if !gateway.cidrs.remove(&cidr) {
            return Err(invalid_value(text, name));
        }
    }
    let added = options.add_transit_gateway_cidr_blocks.unwrap_or_default();
    add_cidrs(&mut gateway.cidrs, &added)?;
    for (field, text, name) in [
        (
            &mut gateway.vpn_ecmp,
            &options.vpn_ecmp_support,
            "VpnEcmpSupport",
        ),
        (&mut gateway.dns, &options.dns_support, "DnsSupport"),
        (
            &mut gateway.group_references,
            &options.security_group_referencing_support,
            "SecurityGroupReferencingSupport",
        ),
        (
            &mut gateway.auto_accept,
            &options.auto_accept_shared_attachments,
            "AutoAcceptSharedAttachments",
        ),
    ] {
        *field = switch(text.as_deref(), name)?.unwrap_or(*field);
    }
    gateway.association_table = default_table(
        tx,
        ctx,
        gateway.id,
        gateway.association_table,
        (
            options.default_route_table_association.as_deref(),
            "DefaultRouteTableAssociation",
        ),
        (
            options.association_default_route_table_id.as_deref(),
            "AssociationDefaultRouteTableId",
        ),
    )?;
    gateway.propagation_table = default_table(
        tx,
        ctx,
        gateway.id,
        gateway.propagation_table,
        (
            options.default_route_table_propagation.as_deref(),
            "DefaultRouteTablePropagation",
        ),
        (
            options.propagation_default_route_table_id.as_deref(),
            "PropagationDefaultRouteTableId",
        ),
    )?;
    if let Some(asn) = options.amazon_side_asn {
        gateway.asn = checked_asn(asn)?;
    }
    if let Some(description) = req.description {
        gateway.description = description;
    }
    if gateway != before {
        gateway.modifying_until = Some(settled(ctx));
        tx.put(gateway.clone());
    }
    Ok(TransitGatewayReply {
        transit_gateway: gateway.reply(ctx.now),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTransitGatewayRequest {
    transit_gateway_id: String,
}

/// Deletes a gateway with its route tables and policy tables; it must have no attachment and no multicast domain.
pub(crate) fn delete_transit_gateway(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteTransitGatewayRequest,
) -> Result<TransitGatewayReply, ApiError> {
    let mut gateway = present::<TransitGateway>(tx, ctx, &req.transit_gateway_id)?.clone();
    let state = tx.state();
    let attached: Vec<&TransitGatewayAttachment> = state
        .transit_gateway_attachments
        .of(gateway.id)
        .filter(|attachment| attachment.phase(ctx.now) != Phase::Deleted)
        .collect();
    if let Some(first) = attached.first() {
        let ids: Vec<String> = attached.iter().map(|a| a.id.to_string()).collect();
        return Err(incorrect_state(format!(
            "{} has non-deleted {}: {}.",
            gateway.id,
            first.kind.noun(),
            ids.join(", ")
        )));
    }
    let has_domains = state
        .transit_gateway_multicast_domains
        .of(gateway.id)
        .any(|domain| domain.phase(ctx.now) != Phase::Deleted);
    if has_domains {
        return Err(incorrect_state(format!(
            "{} has non-deleted Transit Gateway Multicast Domains.",
            gateway.id
        )));
    }
    if !gateway.life.has_ended() {
        let policies: Vec<TransitGatewayPolicyTable> = state
            .transit_gateway_policy_tables
            .of(gateway.id)
            .filter(|table| !table.life.has_ended())
            .cloned()
            .collect();
        let tables: Vec<TransitGatewayRouteTable> = state
            .transit_gateway_route_tables
            .of(gateway.id)
            .filter(|table| !table.life.has_ended())
            .cloned()
            .collect();
        for table in tables {
            route_table::end(tx, ctx, table);
        }
        for mut table in policies {
            table.entries.clear();
            table.life = Life::end(ctx);
            tx.put(table);
        }
        gateway.life = Life::end(ctx);
        tx.put(gateway.clone());
        crate::mortal::forget_what_watches(tx, gateway.id);
    }
    Ok(TransitGatewayReply {
        transit_gateway: gateway.reply(ctx.now),
    })
}
