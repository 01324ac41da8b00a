//! Attachments to transit gateways, of every kind: the record, and how all of them are listed.
//!
//! A peering joins two transit gateways, and is one record for both: with two ends, each with its own association.

use std::collections::{BTreeMap, BTreeSet};

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, InterfaceId, ObjectId, RegionName, SubnetId, TransitGatewayAttachmentId,
    TransitGatewayId, TransitGatewayPolicyTableId, TransitGatewayRouteTableId, VpcId,
    VpnConnectionId,
};

use super::{
    Mortal, TransitGateway, association_word, available, forget, propagation_word,
    state_or_modifying, time, unknown,
};
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::life::{Life, Phase, settled};
use crate::page::{self, Page, USUAL_BOUNDS};
use crate::resource::{self, resource};
use crate::tags::{Tag, Tags};
use crate::{Context, State, Timestamp, Tx, quota};

actions! {
    "DescribeTransitGatewayAttachments" => describe_transit_gateway_attachments, Control;
}

/// An attachment to a transit gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitGatewayAttachment {
    /// Its identifier.
    pub id: TransitGatewayAttachmentId,
    /// Its owner; of a peering, who requested it.
    pub account: AccountId,
    /// Where it is; of a peering, where it was requested.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// When it was created.
    pub created: Timestamp,
    /// Where it stands between requested and deleted.
    pub standing: Standing,
    /// Until when it shows that it is being modified.
    pub modifying_until: Option<Timestamp>,
    /// Its place at the transit gateway; of a peering, at the requester's.
    pub end: End,
    /// What is attached.
    pub kind: AttachmentKind,
}

/// Where an attachment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Standing {
    /// It waits to be accepted, from this time on.
    Requested(Timestamp),
    /// It was not accepted; its state is final from this time on.
    Rejected(Timestamp),
    /// It needs no acceptance, or was accepted.
    Life(Life),
}

/// An attachment's place at one transit gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    /// The transit gateway.
    pub gateway: TransitGatewayId,
    /// The table that routes what comes from the attachment. A table of this gateway.
    pub association: Option<(TransitGatewayRouteTableId, Life)>,
    /// The policy table that chooses a route table. Of this gateway.
    pub policy: Option<(TransitGatewayPolicyTableId, Life)>,
    /// The tables that its routes are propagated to, of this gateway.
    pub propagations: BTreeMap<TransitGatewayRouteTableId, Life>,
}

/// What is attached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AttachmentKind {
    /// A VPC.
    Vpc {
        /// Which one.
        vpc: VpcId,
        /// A subnet in each zone that can reach the gateway, with the gateway's interface in it. Never empty.
        subnets: BTreeMap<SubnetId, InterfaceId>,
        /// Whether public names resolve to private addresses across the gateway.
        dns: bool,
        /// Whether groups may refer to groups of other attached VPCs.
        group_references: bool,
        /// Whether the attachment carries IPv6.
        ipv6: bool,
        /// Appliance mode: both directions of a flow use the same zone's interface.
        appliance_mode: bool,
    },
    /// A site-to-site VPN connection.
    Vpn {
        /// Which one.
        connection: VpnConnectionId,
    },
    /// GRE over another attachment.
    Connect {
        /// The VPC attachment that carries it.
        transport: TransitGatewayAttachmentId,
    },
    /// Another transit gateway.
    Peering {
        /// Its place at that one.
        accepter: End,
        /// Who owns that one.
        account: AccountId,
        /// Where that one is.
        region: RegionName,
        /// Whether the two exchange routes by themselves (`DynamicRouting`).
        dynamic_routing: bool,
    },
}

resource!(
    TransitGatewayAttachment,
    "transit-gateway-attachment",
    |this, keys| {
        for end in this.ends() {
            keys.of([end.gateway]);
            keys.of(end.association.map(|(table, _)| table));
            keys.of(end.policy.map(|(table, _)| table));
            keys.of(end.propagations.keys().copied());
        }
        if let AttachmentKind::Peering {
            account, region, ..
        } = &this.kind
        {
            keys.owner(*account, region);
        }
        // What is deleted holds nothing any more.
        if this.ended().is_none() {
            keys.of(this.kind.refers());
        }
    },
    |id| unknown(
        id,
        "tgw-attach",
        "Transit Gateway Attachment",
        "InvalidTransitGatewayAttachmentID.NotFound",
        "InvalidTransitGatewayAttachmentID.Malformed"
    )
);

impl Mortal for TransitGatewayAttachment {
    fn phase(&self, now: Timestamp) -> Phase {
        match self.standing {
            Standing::Requested(_) => Phase::Pending,
            Standing::Rejected(_) => Phase::Deleted,
            Standing::Life(life) => life.phase(now),
        }
    }

    fn ended(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Rejected(at) | Standing::Life(Life::Until(at)) => Some(at),
            Standing::Requested(_) | Standing::Life(Life::From(_)) => None,
        }
    }
}

impl AttachmentKind {
    /// EC2's name for the kind.
    pub(crate) const fn resource_type(&self) -> &'static str {
        match self {
            AttachmentKind::Vpc { .. } => "vpc",
            AttachmentKind::Vpn { .. } => "vpn",
            AttachmentKind::Connect { .. } => "connect",
            AttachmentKind::Peering { .. } => "peering",
        }
    }

    /// What EC2 calls several of the kind when they are in the way.
    pub(crate) const fn noun(&self) -> &'static str {
        match self {
            AttachmentKind::Vpc { .. } => "Transit Gateway Attachments",
            AttachmentKind::Vpn { .. } => "VPN Attachments",
            AttachmentKind::Connect { .. } => "Transit Gateway Connect Attachments",
            AttachmentKind::Peering { .. } => "Transit Gateway Cross Region Peering Attachments",
        }
    }

    /// What it refers to besides transit gateways and their tables.
    fn refers(&self) -> Vec<ObjectId> {
        match self {
            AttachmentKind::Vpc { vpc, subnets, .. } => {
                let mut ids = vec![ObjectId::from(*vpc)];
                for (subnet, interface) in subnets {
                    ids.extend([ObjectId::from(*subnet), ObjectId::from(*interface)]);
                }
                ids
            }
            AttachmentKind::Vpn { connection } => vec![ObjectId::from(*connection)],
            AttachmentKind::Connect { transport } => vec![ObjectId::from(*transport)],
            AttachmentKind::Peering { .. } => vec![],
        }
    }
}

impl End {
    /// A place without association or propagation.
    pub(crate) const fn new(gateway: TransitGatewayId) -> End {
        End {
            gateway,
            association: None,
            policy: None,
            propagations: BTreeMap::new(),
        }
    }

    /// The table it is associated with now, and EC2's word for how.
    pub(crate) fn associated(
        &self,
        now: Timestamp,
    ) -> Option<(TransitGatewayRouteTableId, &'static str)> {
        let (table, life) = self.association?;
        Some((table, association_word(life.phase(now))?))
    }

    /// The policy table it is associated with now, and EC2's word for how.
    pub(crate) fn policy(
        &self,
        now: Timestamp,
    ) -> Option<(TransitGatewayPolicyTableId, &'static str)> {
        let (table, life) = self.policy?;
        Some((table, association_word(life.phase(now))?))
    }

    /// The tables it propagates to now, and EC2's word for how.
    pub(crate) fn propagates(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (TransitGatewayRouteTableId, &'static str)> {
        self.propagations
            .iter()
            .filter_map(move |(table, life)| Some((*table, propagation_word(life.phase(now))?)))
    }

    /// Ends all ties to a table.
    pub(crate) fn forget_table(&mut self, table: TransitGatewayRouteTableId) {
        self.association = self.association.filter(|(of, _)| *of != table);
        self.propagations.remove(&table);
    }

    /// Makes the ties that its gateway gives to new attachments.
    pub(crate) fn take_defaults(&mut self, ctx: &Context<'_>, gateway: &TransitGateway) {
        let life = Life::begin(ctx);
        self.association = gateway.association_table.map(|table| (table, life));
        self.propagations
            .extend(gateway.propagation_table.map(|table| (table, life)));
    }
}

impl TransitGatewayAttachment {
    /// Its places: one, or two of a peering.
    pub(crate) fn ends(&self) -> impl Iterator<Item = &End> {
        let other = match &self.kind {
            AttachmentKind::Peering { accepter, .. } => Some(accepter),
            AttachmentKind::Vpc { .. }
            | AttachmentKind::Vpn { .. }
            | AttachmentKind::Connect { .. } => None,
        };
        std::iter::once(&self.end).chain(other)
    }

    /// Its places, to change them.
    pub(crate) fn ends_mut(&mut self) -> impl Iterator<Item = &mut End> {
        let other = match &mut self.kind {
            AttachmentKind::Peering { accepter, .. } => Some(accepter),
            AttachmentKind::Vpc { .. }
            | AttachmentKind::Vpn { .. }
            | AttachmentKind::Connect { .. } => None,
        };
        std::iter::once(&mut self.end).chain(other)
    }

    /// Its place at a transit gateway.
    pub(crate) fn end_at(&self, gateway: TransitGatewayId) -> Option<&End> {
        self.ends().find(|end| end.gateway == gateway)
    }

    /// Its place at a transit gateway, to change it.
    pub(crate) fn end_at_mut(&mut self, gateway: TransitGatewayId) -> Option<&mut End> {
        self.ends_mut().find(|end| end.gateway == gateway)
    }

    /// Who owns the gateway of a place, and where it is.
    pub(crate) fn owner_at(&self, end: &End) -> (AccountId, &RegionName) {
        match &self.kind {
            AttachmentKind::Peering {
                accepter,
                account,
                region,
                ..
            } if accepter.gateway == end.gateway => (*account, region),
            AttachmentKind::Peering { .. }
            | AttachmentKind::Vpc { .. }
            | AttachmentKind::Vpn { .. }
            | AttachmentKind::Connect { .. } => (self.account, &self.region),
        }
    }

    /// What is attached, as seen from a place: its id and its owner.
    pub(crate) fn resource_at(&self, end: &End) -> (String, AccountId) {
        match &self.kind {
            AttachmentKind::Vpc { vpc, .. } => (vpc.to_string(), self.account),
            AttachmentKind::Vpn { connection } => (connection.to_string(), self.account),
            AttachmentKind::Connect { transport } => (transport.to_string(), self.account),
            AttachmentKind::Peering { accepter, .. } if accepter.gateway == end.gateway => {
                (self.end.gateway.to_string(), self.account)
            }
            AttachmentKind::Peering {
                accepter, account, ..
            } => (accepter.gateway.to_string(), *account),
        }
    }

    /// What is attached, as seen from a gateway.
    pub(crate) fn resource(&self, gateway: TransitGatewayId) -> String {
        self.end_at(gateway)
            .map(|end| self.resource_at(end).0)
            .unwrap_or_default()
    }

    /// EC2's word for its state.
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match self.standing {
            Standing::Requested(at) if now < at => "initiatingRequest",
            Standing::Requested(_) => "pendingAcceptance",
            Standing::Rejected(at) if now < at => "rejecting",
            Standing::Rejected(_) => "rejected",
            Standing::Life(life) => state_or_modifying(life.phase(now), self.modifying_until, now),
        }
    }

    fn item(&self, end: &End, now: Timestamp) -> AttachmentItem {
        let (resource_id, resource_owner_id) = self.resource_at(end);
        let (table, policy) = (end.associated(now), end.policy(now));
        let state = table.map(|(_, word)| word).or(policy.map(|(_, word)| word));
        AttachmentItem {
            transit_gateway_attachment_id: self.id,
            transit_gateway_id: end.gateway,
            transit_gateway_owner_id: self.owner_at(end).0,
            resource_owner_id,
            resource_type: self.kind.resource_type(),
            resource_id,
            state: self.state(now),
            association: state.map(|state| AssociationItem {
                transit_gateway_route_table_id: table.map(|(id, _)| id),
                transit_gateway_policy_table_id: policy.map(|(id, _)| id),
                state,
            }),
            creation_time: time(self.created),
            tags: self.tags.reply(),
        }
    }
}

/// An attachment of a gateway that takes new ones, with the gateway's default association and propagation.
///
/// # Errors
/// `TransitGatewayAttachmentLimitExceeded`.
pub(crate) fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    gateway: &TransitGateway,
    kind: AttachmentKind,
    tags: Tags,
) -> Result<TransitGatewayAttachment, ApiError> {
    forget::<TransitGatewayAttachment>(tx, ctx);
    let present = tx
        .state()
        .transit_gateway_attachments
        .of(gateway.id)
        .filter(|attachment| attachment.ended().is_none())
        .count();
    quota::TRANSIT_GATEWAY_ATTACHMENTS.one_more(tx, ctx, present)?;
    let mut end = End::new(gateway.id);
    // Routes over a peering are static ones, and its association is made by hand (EC2 "Transit gateway peering
    // attachments").
    if !matches!(kind, AttachmentKind::Peering { .. }) {
        end.take_defaults(ctx, gateway);
    }
    let standing = match kind {
        AttachmentKind::Peering { .. } => Standing::Requested(settled(ctx)),
        AttachmentKind::Vpc { .. }
        | AttachmentKind::Vpn { .. }
        | AttachmentKind::Connect { .. } => Standing::Life(Life::begin(ctx)),
    };
    let attachment = TransitGatewayAttachment {
        id: TransitGatewayAttachmentId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        created: ctx.now,
        standing,
        modifying_until: None,
        end,
        kind,
    };
    tx.put(attachment.clone());
    Ok(attachment)
}

/// Ends an attachment's life, with its associations and propagations.
pub(crate) fn end(
    tx: &mut Tx,
    ctx: &Context<'_>,
    mut attachment: TransitGatewayAttachment,
) -> TransitGatewayAttachment {
    if attachment.ended().is_none() {
        for end in attachment.ends_mut() {
            *end = End::new(end.gateway);
        }
        attachment.standing = Standing::Life(Life::end(ctx));
        tx.put(attachment.clone());
        crate::mortal::forget_what_watches(tx, attachment.id);
    }
    attachment
}

/// Whether a VPC is attached to a transit gateway now.
pub(crate) fn is_attached(
    state: &State,
    now: Timestamp,
    gateway: TransitGatewayId,
    vpc: VpcId,
) -> bool {
    state
        .transit_gateway_attachments
        .of(vpc)
        .any(|attachment| attachment.end.gateway == gateway && attachment.phase(now) == Phase::Live)
}

/// The transit gateway of that id that a VPC is attached to: what a route of the VPC can lead to.
///
/// # Errors
/// `InvalidTransitGatewayID.NotFound`, also if the VPC is not attached.
pub(crate) fn of_vpc(
    tx: &Tx,
    ctx: &Context<'_>,
    vpc: VpcId,
    id: &str,
) -> Result<TransitGatewayId, ApiError> {
    let gateway = available::<TransitGateway>(tx, ctx, id)?.id;
    if !is_attached(tx.state(), ctx.now, gateway, vpc) {
        return Err(<TransitGateway as resource::Resource>::not_found(id));
    }
    Ok(gateway)
}

/// The transit gateway over which security groups of one VPC may refer to those of another.
pub(crate) fn joining_groups(
    state: &State,
    now: Timestamp,
    one: VpcId,
    other: VpcId,
) -> Option<TransitGatewayId> {
    let gateways = |vpc: VpcId| {
        let attachments = state.transit_gateway_attachments.of(vpc);
        attachments
            .filter(move |attachment| {
                let refers = matches!(attachment.kind, AttachmentKind::Vpc { vpc: attached,
                    group_references: true, .. } if attached == vpc);
                refers && attachment.phase(now) == Phase::Live
            })
            .map(|attachment| attachment.end.gateway)
    };
    gateways(one)
        .filter(|gateway| {
            let gateway = state.transit_gateways.get(gateway);
            gateway.is_some_and(|gateway| gateway.group_references)
        })
        .find(|gateway| gateways(other).any(|other| other == *gateway))
}

/// Attaches a VPN connection, as `CreateVpnConnection` does when it names a transit gateway; the attachment gets the
/// connection's tags.
///
/// # Errors
/// EC2's for an id that names no transit gateway of the client, or one that takes no attachments now; quotas.
pub fn attach_vpn(
    tx: &mut Tx,
    ctx: &Context<'_>,
    gateway: &str,
    connection: VpnConnectionId,
    tags: Tags,
) -> Result<TransitGatewayAttachmentId, ApiError> {
    let gateway = available::<TransitGateway>(tx, ctx, gateway)?.clone();
    let kind = AttachmentKind::Vpn { connection };
    Ok(make(tx, ctx, &gateway, kind, tags)?.id)
}

/// Ends the attachment of a VPN connection, if it has one.
pub fn detach_vpn(tx: &mut Tx, ctx: &Context<'_>, connection: VpnConnectionId) {
    let attached = tx.state().transit_gateway_attachments.of(connection);
    for attachment in attached.cloned().collect::<Vec<_>>() {
        end(tx, ctx, attachment);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachmentItem {
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    transit_gateway_id: TransitGatewayId,
    transit_gateway_owner_id: AccountId,
    resource_owner_id: AccountId,
    resource_type: &'static str,
    resource_id: String,
    state: &'static str,
    association: Option<AssociationItem>,
    creation_time: api::Timestamp,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    transit_gateway_route_table_id: Option<TransitGatewayRouteTableId>,
    transit_gateway_policy_table_id: Option<TransitGatewayPolicyTableId>,
    state: &'static str,
}

/// The request of the actions on one attachment.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct OneRequest {
    pub(crate) transit_gateway_attachment_id: String,
}

/// The request of the actions that list attachments.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    transit_gateway_attachment_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// An attachment and its place that is the client's.
pub(crate) type Place<'t> = (&'t TransitGatewayAttachment, &'t End);

/// What a place has for each filter.
pub(crate) type Values = fn(Place<'_>, Timestamp) -> Vec<(&'static str, String)>;

/// The client's attachments of one kind or of all, and which place of each is the client's. A peering of two gateways
/// of the same region has two of the client's; `every` of them is listed, or one.
///
/// # Errors
/// As for [`resource::describe`].
pub(crate) fn select<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    req: &DescribeRequest,
    is_meant: fn(&AttachmentKind) -> bool,
    every: bool,
    (names, values): (&[&str], Values),
) -> Result<Page<Place<'t>>, ApiError> {
    let ids = req.transit_gateway_attachment_ids.as_deref();
    let ids = ids.unwrap_or_default();
    let filters = req.filters.as_deref().unwrap_or_default();
    filter::check(filters, names.iter().copied())?;
    if !ids.is_empty() && req.max_results.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter transit-gateway-attachment ids cannot be used with the parameter maxResults",
        ));
    }
    let (mut wanted, mut unknown) = (BTreeSet::new(), Vec::new());
    for id in ids {
        match resource::find::<TransitGatewayAttachment>(tx, ctx, id) {
            Ok(found) if is_meant(&found.kind) => {
                wanted.insert(found.id);
            }
            Ok(_) => unknown.push(<TransitGatewayAttachment as resource::Resource>::not_found(
                id,
            )),
            Err(error) => unknown.push(error),
        }
    }
    resource::first_unknown(unknown.into_iter())?;
    let matches = |place: &Place<'_>| {
        let mut values = values(*place, ctx.now);
        let mut tags = Vec::new();
        for (key, value) in &place.0.tags.0 {
            tags.push((format!("tag:{key}"), value.clone()));
            tags.push(("tag-key".to_owned(), key.clone()));
        }
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(
            tags.iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        values.sort_unstable();
        pairs.extend(values.iter().map(|(name, value)| (*name, value.as_str())));
        filter::matches_plain(filters, &pairs)
    };
    let places = resource::own::<TransitGatewayAttachment>(tx, ctx)
        .filter(|attachment| is_meant(&attachment.kind))
        .filter(|attachment| ids.is_empty() || wanted.contains(&attachment.id))
        .flat_map(|attachment| {
            let own = attachment
                .ends()
                .filter(|end| attachment.owner_at(end) == (ctx.account, &ctx.region));
            own.take(if every { 2 } else { 1 })
                .map(move |end| (attachment, end))
                .collect::<Vec<_>>()
        })
        .filter(matches);
    // The ends of an attachment are in a fixed order, the requester's first.
    let key = |(attachment, end): &Place<'_>| {
        let is_second = attachment.end.gateway != end.gateway;
        format!("{} {}", attachment.id, u8::from(is_second))
    };
    let (max, token) = (req.max_results, req.next_token.as_deref());
    page::cut(places, key, &USUAL_BOUNDS, max, token)
}

const NAMES: &[&str] = &[
    "association.state",
    "association.transit-gateway-route-table-id",
    "resource-id",
    "resource-owner-id",
    "resource-type",
    "state",
    "transit-gateway-attachment-id",
    "transit-gateway-id",
    "transit-gateway-owner-id",
];

fn values((attachment, end): Place<'_>, now: Timestamp) -> Vec<(&'static str, String)> {
    let (resource, owner) = attachment.resource_at(end);
    let mut values = vec![
        ("resource-id", resource),
        ("resource-owner-id", owner.to_string()),
        ("resource-type", attachment.kind.resource_type().to_owned()),
        ("state", attachment.state(now).to_owned()),
        ("transit-gateway-attachment-id", attachment.id.to_string()),
        ("transit-gateway-id", end.gateway.to_string()),
        (
            "transit-gateway-owner-id",
            attachment.owner_at(end).0.to_string(),
        ),
    ];
    if let Some((table, state)) = end.associated(now) {
        values.push(("association.state", state.to_owned()));
        values.push((
            "association.transit-gateway-route-table-id",
            table.to_string(),
        ));
    }
    values
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeAttachmentsReply {
    transit_gateway_attachments: Vec<AttachmentItem>,
    next_token: Option<String>,
}

pub(crate) fn describe_transit_gateway_attachments(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeAttachmentsReply, ApiError> {
    forget::<TransitGatewayAttachment>(tx, ctx);
    let page = select(tx, ctx, &req, |_| true, true, (NAMES, values))?;
    Ok(DescribeAttachmentsReply {
        transit_gateway_attachments: page
            .items
            .into_iter()
            .map(|(attachment, end)| attachment.item(end, ctx.now))
            .collect(),
        next_token: page.next_token,
    })
}
