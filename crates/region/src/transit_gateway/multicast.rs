//! Multicast domains of transit gateways, and the subnets that are part of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, InterfaceId, RegionName, SubnetId, TransitGatewayAttachmentId, TransitGatewayId,
    TransitGatewayMulticastDomainId,
};

use super::association::attachment_of;
use super::attachment::AttachmentKind;
use super::{
    Mortal as _, TransitGateway, TransitGatewayAttachment, association_word, available, forget,
    incorrect_state, invalid_value, mortal, present, state_word, switch, time, unknown, word,
};
use crate::dispatch::actions;
use crate::filter::{self, Field, Filter};
use crate::life::{Life, Phase};
use crate::page::{self, USUAL_BOUNDS};
use crate::resource::{self, Query, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, NetworkInterface, Subnet, Timestamp, Tx, quota};

actions! {
    "AssociateTransitGatewayMulticastDomain" => associate_transit_gateway_multicast_domain, Recorded;
    "CreateTransitGatewayMulticastDomain" => create_transit_gateway_multicast_domain, Recorded;
    "DeleteTransitGatewayMulticastDomain" => delete_transit_gateway_multicast_domain, Recorded;
    "DescribeTransitGatewayMulticastDomains" => describe_transit_gateway_multicast_domains, Control;
    "DisassociateTransitGatewayMulticastDomain" => disassociate_transit_gateway_multicast_domain, Recorded;
    "GetTransitGatewayMulticastDomainAssociations" => get_transit_gateway_multicast_domain_associations, Control;
}

/// The interfaces of multicast groups, by the group's address.
pub(crate) type Groups = BTreeMap<IpAddr, BTreeSet<InterfaceId>>;

/// A multicast domain of a transit gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitGatewayMulticastDomain {
    /// Its identifier.
    pub id: TransitGatewayMulticastDomainId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The transit gateway it belongs to.
    pub gateway: TransitGatewayId,
    /// When it was created.
    pub created: Timestamp,
    /// Where it stands between pending and deleted.
    pub life: Life,
    /// Whether interfaces may join groups by IGMP (RFC 2236).
    pub igmp: bool,
    /// Whether sources are registered.
    pub static_sources: bool,
    /// Whether associations of other accounts need no acceptance.
    pub auto_accept: bool,
    /// The subnets that are part of it, each by its VPC's attachment.
    pub subnets: BTreeMap<SubnetId, (TransitGatewayAttachmentId, Life)>,
    /// Registered members of groups: interfaces in its subnets.
    pub members: BTreeMap<IpAddr, BTreeSet<InterfaceId>>,
    /// Registered sources of groups: interfaces in its subnets.
    pub sources: BTreeMap<IpAddr, BTreeSet<InterfaceId>>,
}

resource!(
    TransitGatewayMulticastDomain,
    "transit-gateway-multicast-domain",
    |this, keys| {
        keys.of([this.gateway]);
        keys.of(this.subnets.keys().copied());
        keys.of(this.subnets.values().map(|(attachment, _)| *attachment));
    },
    |id| unknown(
        id,
        "tgw-mcast-domain",
        "Transit Gateway Multicast Domain",
        "InvalidTransitGatewayMulticastDomainId.NotFound",
        "InvalidTransitGatewayMulticastDomainId.Malformed"
    )
);
mortal!(TransitGatewayMulticastDomain);

impl TransitGatewayMulticastDomain {
    /// The subnets that are part of it now, with their attachments and EC2's word for how.
    pub(crate) fn associated(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (SubnetId, TransitGatewayAttachmentId, &'static str)> {
        self.subnets
            .iter()
            .filter_map(move |(subnet, (attachment, life))| {
                Some((*subnet, *attachment, association_word(life.phase(now))?))
            })
    }

    fn reply(&self, now: Timestamp) -> DomainItem {
        DomainItem {
            transit_gateway_multicast_domain_id: self.id,
            transit_gateway_id: self.gateway,
            transit_gateway_multicast_domain_arn: format!(
                "arn:aws:ec2:{}:{}:transit-gateway-multicast-domain/{}",
                self.region, self.account, self.id
            ),
            owner_id: self.account,
            options: OptionsItem {
                igmpv2_support: word(self.igmp),
                static_sources_support: word(self.static_sources),
                auto_accept_shared_associations: word(self.auto_accept),
            },
            state: state_word(self.phase(now)),
            creation_time: time(self.created),
            tags: self.tags.reply(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DomainItem {
    transit_gateway_multicast_domain_id: TransitGatewayMulticastDomainId,
    transit_gateway_id: TransitGatewayId,
    transit_gateway_multicast_domain_arn: String,
    owner_id: AccountId,
    options: OptionsItem,
    state: &'static str,
    creation_time: api::Timestamp,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OptionsItem {
    igmpv2_support: &'static str,
    static_sources_support: &'static str,
    auto_accept_shared_associations: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DomainReply {
    transit_gateway_multicast_domain: DomainItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateDomainRequest {
    transit_gateway_id: String,
    options: Option<Options>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    igmpv2_support: Option<String>,
    static_sources_support: Option<String>,
    auto_accept_shared_associations: Option<String>,
}

pub(crate) fn create_transit_gateway_multicast_domain(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateDomainRequest,
) -> Result<DomainReply, ApiError> {
    forget::<TransitGatewayMulticastDomain>(tx, ctx);
    let gateway = available::<TransitGateway>(tx, ctx, &req.transit_gateway_id)?;
    if !gateway.multicast {
        return Err(incorrect_state(format!(
            "Multicast support is not enabled on {}.",
            gateway.id
        )));
    }
    let domains = tx.state().transit_gateway_multicast_domains.of(gateway.id);
    let present = domains.filter(|domain| !domain.life.has_ended()).count();
    quota::MULTICAST_DOMAINS.one_more(tx, ctx, present)?;
    let options = req.options.unwrap_or_default();
    let on =
        |text: &Option<String>, name| switch(text.as_deref(), name).map(|on| on.unwrap_or(false));
    let domain = TransitGatewayMulticastDomain {
        id: TransitGatewayMulticastDomainId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::of_new(
            req.tag_specifications.as_deref(),
            "transit-gateway-multicast-domain",
        )?,
        gateway: gateway.id,
        created: ctx.now,
        life: Life::begin(ctx),
        igmp: on(&options.igmpv2_support, "Igmpv2Support")?,
        static_sources: on(&options.static_sources_support, "StaticSourcesSupport")?,
        auto_accept: on(
            &options.auto_accept_shared_associations,
            "AutoAcceptSharedAssociations",
        )?,
        subnets: BTreeMap::new(),
        members: BTreeMap::new(),
        sources: BTreeMap::new(),
    };
    let reply = domain.reply(ctx.now);
    tx.put(domain);
    Ok(DomainReply {
        transit_gateway_multicast_domain: reply,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeDomainsRequest {
    transit_gateway_multicast_domain_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeDomainsReply {
    transit_gateway_multicast_domains: Vec<DomainItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<TransitGatewayMulticastDomain>] = &[
    ("state", |view, domain| {
        vec![state_word(domain.phase(view.now)).to_owned()]
    }),
    ("transit-gateway-id", |_, domain| {
        vec![domain.gateway.to_string()]
    }),
    ("transit-gateway-multicast-domain-id", |_, domain| {
        vec![domain.id.to_string()]
    }),
];

pub(crate) fn describe_transit_gateway_multicast_domains(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeDomainsRequest,
) -> Result<DescribeDomainsReply, ApiError> {
    forget::<TransitGatewayMulticastDomain>(tx, ctx);
    let query = Query {
        ids: req.transit_gateway_multicast_domain_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let bounds = &USUAL_BOUNDS;
    let page =
        resource::describe::<TransitGatewayMulticastDomain>(tx, ctx, &query, FILTERS, bounds)?;
    Ok(DescribeDomainsReply {
        transit_gateway_multicast_domains: page
            .items
            .into_iter()
            .map(|domain| domain.reply(ctx.now))
            .collect(),
        next_token: page.next_token,
    })
}

/// `AssociateTransitGatewayMulticastDomain` and `DisassociateTransitGatewayMulticastDomain`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct SubnetsRequest {
    transit_gateway_multicast_domain_id: String,
    transit_gateway_attachment_id: String,
    subnet_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SubnetsReply {
    associations: AssociationsItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationsItem {
    transit_gateway_multicast_domain_id: TransitGatewayMulticastDomainId,
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    resource_id: String,
    resource_type: &'static str,
    resource_owner_id: AccountId,
    subnets: Vec<SubnetItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetItem {
    subnet_id: SubnetId,
    state: &'static str,
}

fn reply(
    domain: TransitGatewayMulticastDomainId,
    attachment: &TransitGatewayAttachment,
    subnets: &[SubnetId],
    state: &'static str,
) -> SubnetsReply {
    let (resource_id, resource_owner_id) = attachment.resource_at(&attachment.end);
    SubnetsReply {
        associations: AssociationsItem {
            transit_gateway_multicast_domain_id: domain,
            transit_gateway_attachment_id: attachment.id,
            resource_id,
            resource_type: attachment.kind.resource_type(),
            resource_owner_id,
            subnets: subnets
                .iter()
                .map(|subnet_id| SubnetItem {
                    subnet_id: *subnet_id,
                    state,
                })
                .collect(),
        },
    }
}

pub(crate) fn associate_transit_gateway_multicast_domain(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: SubnetsRequest,
) -> Result<SubnetsReply, ApiError> {
    let id = &req.transit_gateway_multicast_domain_id;
    let mut domain = available::<TransitGatewayMulticastDomain>(tx, ctx, id)?.clone();
    let id = &req.transit_gateway_attachment_id;
    let attachment = attachment_of(tx, ctx, domain.gateway, &domain.id, id)?.clone();
    let AttachmentKind::Vpc { vpc, .. } = attachment.kind else {
        return Err(invalid_value(id, "TransitGatewayAttachmentId"));
    };
    if req.subnet_ids.is_empty() {
        return Err(resource::missing("SubnetIds"));
    }
    let life = Life::begin(ctx);
    let mut added = Vec::new();
    for text in &req.subnet_ids {
        let subnet = resource::find::<Subnet>(tx, ctx, text)?;
        if subnet.vpc != vpc {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Subnet {text} does not belong to VPC {vpc}."),
            ));
        }
        // "A subnet can only be associated with one multicast domain."
        let is_taken = tx
            .state()
            .transit_gateway_multicast_domains
            .of(subnet.id)
            .any(|other| other.associated(ctx.now).any(|(of, _, _)| of == subnet.id));
        if is_taken || added.contains(&subnet.id) {
            return Err(ApiError::new(
                "Resource.AlreadyAssociated",
                format!("{text} is already associated to a Transit Gateway Multicast Domain."),
            ));
        }
        domain.subnets.insert(subnet.id, (attachment.id, life));
        added.push(subnet.id);
    }
    let state = association_word(life.phase(ctx.now)).unwrap_or("associated");
    let reply = reply(domain.id, &attachment, &added, state);
    tx.put(domain);
    Ok(reply)
}

/// Takes subnets out, and with them the registrations of their interfaces.
pub(crate) fn disassociate_transit_gateway_multicast_domain(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: SubnetsRequest,
) -> Result<SubnetsReply, ApiError> {
    let id = &req.transit_gateway_multicast_domain_id;
    let mut domain = present::<TransitGatewayMulticastDomain>(tx, ctx, id)?.clone();
    let id = &req.transit_gateway_attachment_id;
    let attachment = present::<TransitGatewayAttachment>(tx, ctx, id)?.clone();
    if req.subnet_ids.is_empty() {
        return Err(resource::missing("SubnetIds"));
    }
    let life = Life::end(ctx);
    let mut removed = Vec::new();
    for text in &req.subnet_ids {
        let found = text.parse().ok().filter(|id: &SubnetId| {
            domain
                .associated(ctx.now)
                .any(|(subnet, of, _)| subnet == *id && of == attachment.id)
        });
        let Some(subnet) = found else {
            return Err(ApiError::new(
                "InvalidTransitGatewayMulticastDomainAssociation.NotFound",
                format!("{text} is not associated to {} by {id}.", domain.id),
            ));
        };
        if life.phase(ctx.now) == Phase::Deleted {
            domain.subnets.remove(&subnet);
        } else {
            domain.subnets.insert(subnet, (attachment.id, life));
        }
        removed.push(subnet);
    }
    let is_there = |interface: &InterfaceId| {
        tx.get::<NetworkInterface>(interface)
            .is_some_and(|interface| !removed.contains(&interface.subnet))
    };
    for groups in [&mut domain.members, &mut domain.sources] {
        for interfaces in groups.values_mut() {
            interfaces.retain(|interface| is_there(interface));
        }
        groups.retain(|_, interfaces| !interfaces.is_empty());
    }
    let reply = reply(domain.id, &attachment, &removed, "disassociating");
    tx.put(domain);
    Ok(reply)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetAssociationsRequest {
    transit_gateway_multicast_domain_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetAssociationsReply {
    multicast_domain_associations: Vec<AssociationItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    resource_id: String,
    resource_type: &'static str,
    resource_owner_id: AccountId,
    subnet: SubnetItem,
}

pub(crate) fn get_transit_gateway_multicast_domain_associations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetAssociationsRequest,
) -> Result<GetAssociationsReply, ApiError> {
    let id = &req.transit_gateway_multicast_domain_id;
    let domain = present::<TransitGatewayMulticastDomain>(tx, ctx, id)?;
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &[
            "resource-id",
            "resource-type",
            "state",
            "subnet-id",
            "transit-gateway-attachment-id",
        ],
    )?;
    let items = domain
        .associated(ctx.now)
        .filter_map(|(subnet_id, id, state)| {
            let attachment = tx.get::<TransitGatewayAttachment>(&id)?;
            let (resource_id, resource_owner_id) = attachment.resource_at(&attachment.end);
            Some(AssociationItem {
                transit_gateway_attachment_id: id,
                resource_id,
                resource_type: attachment.kind.resource_type(),
                resource_owner_id,
                subnet: SubnetItem { subnet_id, state },
            })
        })
        .filter(|item| {
            let subnet = item.subnet.subnet_id.to_string();
            let attachment = item.transit_gateway_attachment_id.to_string();
            filter::matches_plain(
                &filters,
                &[
                    ("resource-id", &item.resource_id),
                    ("resource-type", item.resource_type),
                    ("state", item.subnet.state),
                    ("subnet-id", &subnet),
                    ("transit-gateway-attachment-id", &attachment),
                ],
            )
        });
    let page = page::cut(
        items,
        |item| item.subnet.subnet_id.to_string(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(GetAssociationsReply {
        multicast_domain_associations: page.items,
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteDomainRequest {
    transit_gateway_multicast_domain_id: String,
}

/// Deletes a domain without subnets.
pub(crate) fn delete_transit_gateway_multicast_domain(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteDomainRequest,
) -> Result<DomainReply, ApiError> {
    let id = &req.transit_gateway_multicast_domain_id;
    let mut domain = present::<TransitGatewayMulticastDomain>(tx, ctx, id)?.clone();
    if domain.associated(ctx.now).next().is_some() {
        return Err(incorrect_state(format!(
            "{id} has non-deleted Transit Gateway Multicast Domain Associations"
        )));
    }
    if !domain.life.has_ended() {
        domain.life = Life::end(ctx);
        domain.subnets.clear();
        tx.put(domain.clone());
    }
    Ok(DomainReply {
        transit_gateway_multicast_domain: domain.reply(ctx.now),
    })
}
