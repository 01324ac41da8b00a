//! Connect peers: the GRE tunnels of Connect attachments, with their BGP sessions. Nobody speaks BGP here, so that the
//! sessions are down.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, RegionName, TransitGatewayAttachmentId, TransitGatewayConnectPeerId};

use super::attachment::AttachmentKind;
use super::{
    Mortal as _, TransitGateway, TransitGatewayAttachment, available, forget, invalid_value,
    mortal, present, state_word, time, unknown,
};
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::life::Life;
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, quota};

actions! {
    "CreateTransitGatewayConnectPeer" => create_transit_gateway_connect_peer, Recorded;
    "DeleteTransitGatewayConnectPeer" => delete_transit_gateway_connect_peer, Recorded;
    "DescribeTransitGatewayConnectPeers" => describe_transit_gateway_connect_peers, Control;
}

/// A GRE peer of a Connect attachment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransitGatewayConnectPeer {
    /// Its identifier.
    pub id: TransitGatewayConnectPeerId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The Connect attachment it belongs to.
    pub attachment: TransitGatewayAttachmentId,
    /// When it was created.
    pub created: Timestamp,
    /// Where it stands between pending and deleted.
    pub life: Life,
    /// The outer address of the gateway's side: of one of its blocks, and no other peer's.
    pub gateway_address: IpAddr,
    /// The outer address of the peer.
    pub peer_address: IpAddr,
    /// The blocks of the BGP sessions' addresses: one of IPv4, and at most one of IPv6. No other peer of the gateway
    /// has them.
    pub inside: BTreeSet<Cidr>,
    /// The gateway's autonomous system number.
    pub gateway_asn: i64,
    /// The peer's.
    pub peer_asn: i64,
}

resource!(
    TransitGatewayConnectPeer,
    "transit-gateway-connect-peer",
    |this, keys| keys.of([this.attachment]),
    |id| unknown(
        id,
        "tgw-connect-peer",
        "Transit Gateway Connect Peer",
        "InvalidTransitGatewayConnectPeerID.NotFound",
        "InvalidTransitGatewayConnectPeerID.Malformed"
    )
);
mortal!(TransitGatewayConnectPeer);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PeerItem {
    transit_gateway_attachment_id: TransitGatewayAttachmentId,
    transit_gateway_connect_peer_id: TransitGatewayConnectPeerId,
    state: &'static str,
    creation_time: api::Timestamp,
    connect_peer_configuration: ConfigurationItem,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigurationItem {
    transit_gateway_address: IpAddr,
    peer_address: IpAddr,
    inside_cidr_blocks: Vec<Cidr>,
    protocol: &'static str,
    bgp_configurations: Vec<BgpItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BgpItem {
    transit_gateway_asn: i64,
    peer_asn: i64,
    transit_gateway_address: Option<IpAddr>,
    peer_address: Option<IpAddr>,
    bgp_status: &'static str,
}

impl TransitGatewayConnectPeer {
    fn reply(&self, now: Timestamp) -> PeerItem {
        // The first address of a block is the peer's, the next two are the gateway's (Amazon VPC Transit Gateways,
        // "Connect peers").
        let session = |block: Cidr, place: u128| BgpItem {
            transit_gateway_asn: self.gateway_asn,
            peer_asn: self.peer_asn,
            transit_gateway_address: block.nth(place),
            peer_address: block.nth(1),
            bgp_status: "down",
        };
        PeerItem {
            transit_gateway_attachment_id: self.attachment,
            transit_gateway_connect_peer_id: self.id,
            state: state_word(self.phase(now)),
            creation_time: time(self.created),
            connect_peer_configuration: ConfigurationItem {
                transit_gateway_address: self.gateway_address,
                peer_address: self.peer_address,
                inside_cidr_blocks: self.inside.iter().copied().collect(),
                protocol: "gre",
                bgp_configurations: self
                    .inside
                    .iter()
                    .flat_map(|block| [session(*block, 2), session(*block, 3)])
                    .collect(),
            },
            tags: self.tags.reply(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PeerReply {
    transit_gateway_connect_peer: PeerItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreatePeerRequest {
    transit_gateway_attachment_id: String,
    transit_gateway_address: Option<String>,
    peer_address: String,
    bgp_options: Option<BgpOptions>,
    inside_cidr_blocks: Vec<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BgpOptions {
    peer_asn: Option<i64>,
}

/// The inside blocks of a request: a /29 of 169.254.0.0/16, without those that AWS keeps for itself, and possibly a
/// /125 of fd00::/8 (EC2 "CreateTransitGatewayConnectPeer": `InsideCidrBlocks`).
fn inside(texts: &[String]) -> Result<BTreeSet<Cidr>, ApiError> {
    let kept = [
        "169.254.0.0/29",
        "169.254.1.0/29",
        "169.254.2.0/29",
        "169.254.3.0/29",
        "169.254.4.0/29",
        "169.254.5.0/29",
        "169.254.169.248/29",
    ];
    let mut blocks = BTreeSet::new();
    for text in texts {
        let wrong = || invalid_value(text, "InsideCidrBlocks");
        let block: Cidr = text.parse().map_err(|_| wrong())?;
        let (length, space) = if block.is_v4() {
            (29, "169.254.0.0/16")
        } else {
            (125, "fd00::/8")
        };
        let is_within = space.parse().is_ok_and(|space: Cidr| space.covers(block));
        let is_second = blocks
            .iter()
            .any(|other: &Cidr| other.is_v4() == block.is_v4());
        let is_kept = kept.iter().any(|text| text.parse() == Ok(block));
        if block.length() != length || !is_within || is_second || is_kept {
            return Err(wrong());
        }
        blocks.insert(block);
    }
    if !blocks.iter().any(|block| block.is_v4()) {
        return Err(resource::missing("InsideCidrBlocks"));
    }
    Ok(blocks)
}

/// The outer address of the gateway's side: the one that is asked for, or the first free one of the gateway's blocks
/// of the peer's family.
fn gateway_address(
    gateway: &TransitGateway,
    asked: Option<&str>,
    peer: IpAddr,
    taken: &BTreeSet<IpAddr>,
) -> Result<IpAddr, ApiError> {
    let name = "TransitGatewayAddress";
    if let Some(text) = asked {
        let address: IpAddr = text.parse().map_err(|_| invalid_value(&text, name))?;
        let is_of_gateway = gateway.cidrs.iter().any(|block| block.contains(address));
        if !is_of_gateway || address.is_ipv4() != peer.is_ipv4() || taken.contains(&address) {
            return Err(invalid_value(&text, name));
        }
        return Ok(address);
    }
    // As many as can be taken, and the one after them.
    let candidates = u128::try_from(taken.len()).unwrap_or(u128::MAX);
    gateway
        .cidrs
        .iter()
        .filter(|block| block.is_v4() == peer.is_ipv4())
        .flat_map(|block| (1..=candidates.saturating_add(1)).filter_map(|n| block.nth(n)))
        .find(|address| !taken.contains(address))
        .ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!(
                    "{} has no CIDR block with a free address for the Connect peer",
                    gateway.id
                ),
            )
        })
}

pub(crate) fn create_transit_gateway_connect_peer(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreatePeerRequest,
) -> Result<PeerReply, ApiError> {
    forget::<TransitGatewayConnectPeer>(tx, ctx);
    let id = &req.transit_gateway_attachment_id;
    let attachment = available::<TransitGatewayAttachment>(tx, ctx, id)?;
    if !matches!(attachment.kind, AttachmentKind::Connect { .. }) {
        return Err(TransitGatewayAttachment::not_found(id));
    }
    let gateway = resource::get::<TransitGateway>(tx, &attachment.end.gateway)?;
    let peer_address: IpAddr = req
        .peer_address
        .parse()
        .map_err(|_| invalid_value(&req.peer_address, "PeerAddress"))?;
    let inside = inside(&req.inside_cidr_blocks)?;
    let asn = req.bgp_options.unwrap_or_default().peer_asn;
    let peer_asn = asn.unwrap_or(gateway.asn);
    if !(1..=i64::from(u32::MAX)).contains(&peer_asn) {
        return Err(invalid_value(&peer_asn, "PeerAsn"));
    }
    let state = tx.state();
    let others: Vec<&TransitGatewayConnectPeer> = state
        .transit_gateway_attachments
        .of(gateway.id)
        .flat_map(|attachment| state.transit_gateway_connect_peers.of(attachment.id))
        .filter(|peer| !peer.life.has_ended())
        .collect();
    let mut taken_blocks = others.iter().flat_map(|peer| &peer.inside);
    if let Some(block) = taken_blocks.find(|block| inside.contains(block)) {
        return Err(invalid_value(block, "InsideCidrBlocks"));
    }
    let taken = others.iter().map(|peer| peer.gateway_address).collect();
    let asked = req.transit_gateway_address.as_deref();
    let gateway_address = gateway_address(gateway, asked, peer_address, &taken)?;
    let siblings = others
        .iter()
        .filter(|peer| peer.attachment == attachment.id);
    quota::CONNECT_PEERS.check_fixed(siblings.count().saturating_add(1))?;
    let peer = TransitGatewayConnectPeer {
        id: TransitGatewayConnectPeerId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::of_new(
            req.tag_specifications.as_deref(),
            "transit-gateway-connect-peer",
        )?,
        attachment: attachment.id,
        created: ctx.now,
        life: Life::begin(ctx),
        gateway_address,
        peer_address,
        inside,
        gateway_asn: gateway.asn,
        peer_asn,
    };
    let item = peer.reply(ctx.now);
    tx.put(peer);
    Ok(PeerReply {
        transit_gateway_connect_peer: item,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribePeersRequest {
    transit_gateway_connect_peer_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribePeersReply {
    transit_gateway_connect_peers: Vec<PeerItem>,
    next_token: Option<String>,
}

const FILTERS: &[Field<TransitGatewayConnectPeer>] = &[
    ("state", |view, peer| {
        vec![state_word(peer.phase(view.now)).to_owned()]
    }),
    ("transit-gateway-attachment-id", |_, peer| {
        vec![peer.attachment.to_string()]
    }),
    ("transit-gateway-connect-peer-id", |_, peer| {
        vec![peer.id.to_string()]
    }),
];

pub(crate) fn describe_transit_gateway_connect_peers(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribePeersRequest,
) -> Result<DescribePeersReply, ApiError> {
    forget::<TransitGatewayConnectPeer>(tx, ctx);
    let query = Query {
        ids: req.transit_gateway_connect_peer_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page =
        resource::describe::<TransitGatewayConnectPeer>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribePeersReply {
        transit_gateway_connect_peers: page.items.into_iter().map(|p| p.reply(ctx.now)).collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeletePeerRequest {
    transit_gateway_connect_peer_id: String,
}

pub(crate) fn delete_transit_gateway_connect_peer(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeletePeerRequest,
) -> Result<PeerReply, ApiError> {
    let id = &req.transit_gateway_connect_peer_id;
    let mut peer = present::<TransitGatewayConnectPeer>(tx, ctx, id)?.clone();
    if !peer.life.has_ended() {
        peer.life = Life::end(ctx);
        tx.put(peer.clone());
    }
    Ok(PeerReply {
        transit_gateway_connect_peer: peer.reply(ctx.now),
    })
}
