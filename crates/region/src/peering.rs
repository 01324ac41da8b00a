//! VPC peering connections: record, states, create, describe. They change in [`crate::peering_change`].

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, PeeringConnectionId, RegionName, VpcId};

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource as _};
use crate::table::{Indexed, Keys};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, State, Timestamp, Tx, Vpc, quota, zones};

actions! {
    "CreateVpcPeeringConnection" => create_vpc_peering_connection, Enforced;
    "DescribeVpcPeeringConnections" => describe_vpc_peering_connections, Control;
}

/// A VPC peering connection. Both sides' owners see it, each in its region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeeringConnection {
    /// Its identifier.
    pub id: PeeringConnectionId,
    /// The account that asked for it.
    pub account: AccountId,
    /// Where that asked.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC whose owner asked.
    pub requester: Side,
    /// The VPC whose owner accepts.
    pub accepter: Side,
    /// What was done last.
    pub deed: Deed,
    /// When that was done.
    pub at: Timestamp,
    /// When it settles: until then the state of the way there is shown.
    pub settled: Timestamp,
}

/// One end of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Side {
    /// The VPC's owner.
    pub account: AccountId,
    /// Where the VPC is.
    pub region: RegionName,
    /// The VPC. It may not exist: then the connection fails.
    pub vpc: VpcId,
    /// Its blocks when the connection was asked for.
    pub cidrs: Vec<Cidr>,
    /// Whether public names of this side's instances shall resolve to private addresses for the other side.
    pub dns: bool,
}

/// What was done to a connection last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Deed {
    /// It was asked for. After a week without an answer it expires.
    Requested,
    /// It was asked for in vain.
    Failed,
    /// It was accepted.
    Accepted,
    /// It was rejected by the accepter.
    Rejected,
    /// It was deleted by this account.
    Deleted(AccountId),
}

/// The state of a connection at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Initiating,
    Pending,
    Provisioning,
    Active,
    Failed,
    Expired,
    Rejected,
    Deleting,
    Deleted,
}

impl Status {
    /// EC2's word.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Status::Initiating => "initiating-request",
            Status::Pending => "pending-acceptance",
            Status::Provisioning => "provisioning",
            Status::Active => "active",
            Status::Failed => "failed",
            Status::Expired => "expired",
            Status::Rejected => "rejected",
            Status::Deleting => "deleting",
            Status::Deleted => "deleted",
        }
    }

    /// Whether the connection is there or may yet be.
    pub(crate) const fn is_alive(self) -> bool {
        matches!(
            self,
            Status::Initiating | Status::Pending | Status::Provisioning | Status::Active
        )
    }
}

impl PeeringConnection {
    /// The connection as hosts see it: once it is accepted. Packets obey at once, only what is shown waits.
    pub(crate) fn project(&self) -> Option<topology::Peering> {
        (self.deed == Deed::Accepted).then_some(topology::Peering {
            id: self.id,
            vpcs: [self.requester.vpc, self.accepter.vpc],
        })
    }
}

impl Indexed for PeeringConnection {
    fn keys(&self, keys: &mut Keys<'_>) {
        keys.owner(self.requester.account, &self.requester.region);
        // "failed: the accepter cannot see it."
        if self.deed != Deed::Failed {
            keys.owner(self.accepter.account, &self.accepter.region);
        }
        keys.of([self.requester.vpc, self.accepter.vpc]);
    }
}

impl resource::Resource for PeeringConnection {
    const TYPE: &'static str = "vpc-peering-connection";

    fn account(&self) -> AccountId {
        self.account
    }
    fn region(&self) -> &RegionName {
        &self.region
    }
    fn tags(&self) -> &Tags {
        &self.tags
    }
    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
    fn not_found(id: &str) -> ApiError {
        resource::unknown_id(
            id,
            "pcx",
            "vpcPeeringConnection ID",
            "InvalidVpcPeeringConnectionID.NotFound",
            "InvalidVpcPeeringConnectionId.Malformed",
        )
    }
}

const HOUR: i64 = 3_600_000;
/// "7 days": how long a request waits for its answer.
const WEEK: i64 = 7 * 24 * HOUR;

impl PeeringConnection {
    /// Its state at a time.
    pub(crate) fn status(&self, now: Timestamp) -> Status {
        let settled = now >= self.settled;
        match self.deed {
            Deed::Requested if !settled => Status::Initiating,
            Deed::Requested if now.0.saturating_sub(self.at.0) >= WEEK => Status::Expired,
            Deed::Requested => Status::Pending,
            Deed::Failed => Status::Failed,
            Deed::Accepted if settled => Status::Active,
            Deed::Accepted => Status::Provisioning,
            Deed::Rejected => Status::Rejected,
            Deed::Deleted(_) if settled => Status::Deleted,
            Deed::Deleted(_) => Status::Deleting,
        }
    }

    /// Whether it is no longer shown (EC2 "VPC peering connection lifecycle": what was deleted or failed is shown for
    /// two hours, what was rejected or expired for two days).
    fn is_forgotten(&self, now: Timestamp) -> bool {
        let past = now.0.saturating_sub(self.at.0);
        match self.status(now) {
            Status::Failed | Status::Deleted => past > 2 * HOUR,
            Status::Rejected => past > 48 * HOUR,
            Status::Expired => past > WEEK + 48 * HOUR,
            Status::Initiating
            | Status::Pending
            | Status::Provisioning
            | Status::Active
            | Status::Deleting => false,
        }
    }

    /// Both ends.
    pub(crate) const fn sides(&self) -> [&Side; 2] {
        [&self.requester, &self.accepter]
    }

    /// Whether it joins the two VPCs.
    pub(crate) fn joins(&self, one: VpcId, other: VpcId) -> bool {
        let (requester, accepter) = (self.requester.vpc, self.accepter.vpc);
        (requester, accepter) == (one, other) || (accepter, requester) == (one, other)
    }

    /// Marks what is done now.
    pub(crate) fn now(&mut self, ctx: &Context<'_>, deed: Deed) {
        self.deed = deed;
        self.at = ctx.now;
        self.settled = Timestamp(ctx.now.0.saturating_add(ctx.settings.settle));
    }

    fn message(&self, now: Timestamp) -> String {
        match self.status(now) {
            Status::Initiating => format!("Initiating Request to {}", self.accepter.account),
            Status::Pending => format!("Pending Acceptance by {}", self.accepter.account),
            Status::Provisioning => "Provisioning".to_owned(),
            Status::Active => "Active".to_owned(),
            Status::Failed => {
                "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range".to_owned()
            }
            Status::Expired => "Expired".to_owned(),
            Status::Rejected => format!("Rejected by {}", self.accepter.account),
            Status::Deleting => "Deleting".to_owned(),
            Status::Deleted => match self.deed {
                Deed::Deleted(by) => format!("Deleted by {by}"),
                Deed::Requested | Deed::Failed | Deed::Accepted | Deed::Rejected => {
                    "Deleted".to_owned()
                }
            },
        }
    }
}

/// A connection between two VPCs: the one that is alive, else the latest that is still known.
pub(crate) fn between(
    state: &State,
    one: VpcId,
    other: VpcId,
    now: Timestamp,
) -> Option<&PeeringConnection> {
    let joining = state.peering_connections.of(one);
    joining
        .filter(|connection| connection.joins(one, other))
        .max_by_key(|connection| (connection.status(now).is_alive(), connection.at))
}

/// Ends the connections of a VPC that goes.
pub(crate) fn end_all(tx: &mut Tx, ctx: &Context<'_>, vpc: VpcId) {
    let mut ending: Vec<PeeringConnection> = tx
        .state()
        .peering_connections
        .of(vpc)
        .filter(|connection| connection.status(ctx.now).is_alive())
        .cloned()
        .collect();
    for connection in &mut ending {
        connection.now(ctx, Deed::Deleted(ctx.account));
        tx.put(connection.clone());
    }
}

/// `CreateVpcPeeringConnection`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateRequest {
    peer_region: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    vpc_id: String,
    peer_vpc_id: Option<String>,
    peer_owner_id: Option<String>,
}

/// The reply of the actions that create and accept a connection.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConnectionReply {
    pub(crate) vpc_peering_connection: ConnectionItem,
}

/// A connection in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConnectionItem {
    accepter_vpc_info: VpcInfo,
    expiration_time: Option<api::Timestamp>,
    requester_vpc_info: VpcInfo,
    status: StatusItem,
    tags: Vec<Tag>,
    vpc_peering_connection_id: PeeringConnectionId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatusItem {
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VpcInfo {
    cidr_block: Option<Cidr>,
    cidr_block_set: Option<Vec<CidrItem>>,
    ipv6_cidr_block_set: Option<Vec<Ipv6CidrItem>>,
    owner_id: AccountId,
    peering_options: Option<Options>,
    region: RegionName,
    vpc_id: VpcId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CidrItem {
    cidr_block: Cidr,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6CidrItem {
    ipv6_cidr_block: Cidr,
}

/// The options of one side in a reply. ClassicLink is no more.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Options {
    pub(crate) allow_dns_resolution_from_remote_vpc: bool,
    pub(crate) allow_egress_from_local_classic_link_to_remote_vpc: bool,
    pub(crate) allow_egress_from_local_vpc_to_remote_classic_link: bool,
}

impl Side {
    pub(crate) const fn options(&self) -> Options {
        Options {
            allow_dns_resolution_from_remote_vpc: self.dns,
            allow_egress_from_local_classic_link_to_remote_vpc: false,
            allow_egress_from_local_vpc_to_remote_classic_link: false,
        }
    }

    /// Its blocks now, or when it was there.
    pub(crate) fn blocks(&self, state: &State) -> Vec<Cidr> {
        match state.vpcs.get(&self.vpc) {
            Some(vpc) => vpc.blocks().collect(),
            None => self.cidrs.clone(),
        }
    }

    fn reply(&self, state: &State, with_blocks: bool) -> VpcInfo {
        let blocks = self.blocks(state);
        let (v4, v6): (Vec<Cidr>, Vec<Cidr>) = blocks.into_iter().partition(|cidr| cidr.is_v4());
        VpcInfo {
            cidr_block: v4.first().copied().filter(|_| with_blocks),
            cidr_block_set: with_blocks.then(|| {
                let item = |cidr_block| CidrItem { cidr_block };
                v4.into_iter().map(item).collect()
            }),
            ipv6_cidr_block_set: (with_blocks && !v6.is_empty()).then(|| {
                let item = |ipv6_cidr_block| Ipv6CidrItem { ipv6_cidr_block };
                v6.into_iter().map(item).collect()
            }),
            owner_id: self.account,
            peering_options: with_blocks.then(|| self.options()),
            region: self.region.clone(),
            vpc_id: self.vpc,
        }
    }
}

impl ConnectionItem {
    /// Shows an acceptance as its reply does: under way.
    pub(crate) fn provisioning(&mut self) {
        self.status = StatusItem {
            code: Status::Provisioning.code(),
            message: "Provisioning".to_owned(),
        };
    }
}

impl PeeringConnection {
    pub(crate) fn reply(&self, state: &State, now: Timestamp) -> ConnectionItem {
        let status = self.status(now);
        // What the accepter's VPC is like is nobody's business before it accepts.
        let joined = matches!(status, Status::Active | Status::Provisioning);
        let expires = matches!(status, Status::Initiating | Status::Pending);
        ConnectionItem {
            accepter_vpc_info: self.accepter.reply(state, joined),
            expiration_time: expires
                .then(|| api::Timestamp::from_millis(self.at.0.saturating_add(WEEK))),
            requester_vpc_info: self.requester.reply(state, true),
            status: StatusItem {
                code: status.code(),
                message: self.message(now),
            },
            tags: self.tags.reply(),
            vpc_peering_connection_id: self.id,
        }
    }
}

/// Removes those of the client's that are no longer shown.
fn forget(tx: &mut Tx, ctx: &Context<'_>) {
    let over: Vec<PeeringConnectionId> = resource::own::<PeeringConnection>(tx, ctx)
        .filter(|connection| connection.is_forgotten(ctx.now))
        .map(|connection| connection.id)
        .collect();
    for id in over {
        tx.remove::<PeeringConnection>(&id);
    }
}

/// The other side that a request names, and whether it can be joined: it exists, and no block of it is the client's.
fn accepter(
    tx: &Tx,
    ctx: &Context<'_>,
    req: &CreateRequest,
    own: &Vpc,
) -> Result<(Side, bool), ApiError> {
    let text = req
        .peer_vpc_id
        .as_deref()
        .ok_or_else(|| resource::missing("peerVpcId"))?;
    let malformed = |what: &str, text: &str| {
        ApiError::new(
            "InvalidParameterValue",
            format!("Value ({text}) for parameter {what} is invalid."),
        )
    };
    let account = match req.peer_owner_id.as_deref() {
        None => ctx.account,
        Some(text) => text
            .parse::<AccountId>()
            .map_err(|_| malformed("peerOwnerId", text))?,
    };
    let region = match req.peer_region.as_deref() {
        None => ctx.region.clone(),
        Some(text) => text
            .parse::<RegionName>()
            .ok()
            .filter(zones::is_region)
            .ok_or_else(|| malformed("peerRegion", text))?,
    };
    let vpc = text
        .parse::<VpcId>()
        .map_err(|_| <Vpc as resource::Resource>::not_found(text))?;
    if vpc == own.id {
        return Err(malformed("peerVpcId", text));
    }
    let found = tx
        .get::<Vpc>(&vpc)
        .filter(|vpc| vpc.account == account && vpc.region == region);
    // Of its own VPCs a client learns at once that there is no such one; of others', by the failure.
    if found.is_none() && account == ctx.account && region == ctx.region {
        return Err(<Vpc as resource::Resource>::not_found(text));
    }
    let cidrs: Vec<Cidr> = found.map(|vpc| vpc.blocks().collect()).unwrap_or_default();
    let fits = found.is_some() && !overlap(&cidrs, &own.blocks().collect::<Vec<_>>());
    let side = Side {
        account,
        region,
        vpc,
        cidrs,
        dns: false,
    };
    Ok((side, fits))
}

/// "You cannot create a VPC peering connection between VPCs that have matching or overlapping IPv4 or IPv6 CIDR
/// blocks."
pub(crate) fn overlap(one: &[Cidr], other: &[Cidr]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.overlaps(*b)))
}

pub(crate) fn create_vpc_peering_connection(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateRequest,
) -> Result<ConnectionReply, ApiError> {
    let own = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.clone();
    let (accepter, fits) = accepter(tx, ctx, &req, &own)?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), PeeringConnection::TYPE)?;
    if let Some(there) = between(tx.state(), own.id, accepter.vpc, ctx.now)
        .filter(|connection| connection.status(ctx.now).is_alive())
    {
        return Err(ApiError::new(
            "VpcPeeringConnectionAlreadyExists",
            format!(
                "A VPC peering connection ({}) between the VPCs {} and {} already exists.",
                there.id, own.id, accepter.vpc
            ),
        ));
    }
    forget(tx, ctx);
    let outstanding = resource::own::<PeeringConnection>(tx, ctx)
        .filter(|c| c.account == ctx.account && c.status(ctx.now) == Status::Pending)
        .count();
    quota::PEERING_REQUESTS.one_more(tx, ctx, outstanding)?;
    check_active(tx, ctx, own.id)?;
    let mut connection = PeeringConnection {
        id: PeeringConnectionId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        requester: Side {
            account: ctx.account,
            region: ctx.region.clone(),
            vpc: own.id,
            cidrs: own.blocks().collect(),
            dns: false,
        },
        accepter,
        deed: Deed::Requested,
        at: ctx.now,
        settled: ctx.now,
    };
    connection.now(ctx, if fits { Deed::Requested } else { Deed::Failed });
    let mut item = connection.reply(tx.state(), ctx.now);
    // Whether it fails, a client learns later.
    item.status = StatusItem {
        code: Status::Initiating.code(),
        message: format!("Initiating Request to {}", connection.accepter.account),
    };
    tx.put(connection);
    Ok(ConnectionReply {
        vpc_peering_connection: item,
    })
}

/// Whether a VPC can have one more active connection.
pub(crate) fn check_active(tx: &Tx, ctx: &Context<'_>, vpc: VpcId) -> Result<(), ApiError> {
    let joined =
        |c: &&PeeringConnection| matches!(c.status(ctx.now), Status::Active | Status::Provisioning);
    let active = tx
        .state()
        .peering_connections
        .of(vpc)
        .filter(joined)
        .count();
    quota::ACTIVE_PEERINGS.one_more(tx, ctx, active)
}

/// `DescribeVpcPeeringConnections`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
    vpc_peering_connection_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeReply {
    vpc_peering_connections: Vec<ConnectionItem>,
    next_token: Option<String>,
}

fn blocks(side: &Side, state: &State) -> Vec<String> {
    let v4 = side.blocks(state).into_iter().filter(|cidr| cidr.is_v4());
    v4.map(|cidr| cidr.to_string()).collect()
}

const FILTERS: &[Field<PeeringConnection>] = &[
    ("accepter-vpc-info.cidr-block", |view, c| {
        let joined = matches!(c.status(view.now), Status::Active | Status::Provisioning);
        if joined {
            blocks(&c.accepter, view)
        } else {
            Vec::new()
        }
    }),
    ("accepter-vpc-info.owner-id", |_, c| {
        vec![c.accepter.account.to_string()]
    }),
    ("accepter-vpc-info.vpc-id", |_, c| {
        vec![c.accepter.vpc.to_string()]
    }),
    ("expiration-time", |view, c| {
        let expires = matches!(c.status(view.now), Status::Initiating | Status::Pending);
        expires
            .then(|| api::Timestamp::from_millis(c.at.0.saturating_add(WEEK)).to_string())
            .into_iter()
            .collect()
    }),
    ("requester-vpc-info.cidr-block", |view, c| {
        blocks(&c.requester, view)
    }),
    ("requester-vpc-info.owner-id", |_, c| {
        vec![c.requester.account.to_string()]
    }),
    ("requester-vpc-info.vpc-id", |_, c| {
        vec![c.requester.vpc.to_string()]
    }),
    ("status-code", |view, c| {
        vec![c.status(view.now).code().to_owned()]
    }),
    ("status-message", |view, c| vec![c.message(view.now)]),
    ("vpc-peering-connection-id", |_, c| vec![c.id.to_string()]),
];

pub(crate) fn describe_vpc_peering_connections(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeReply, ApiError> {
    let query = Query {
        ids: req.vpc_peering_connection_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<PeeringConnection>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let items = page
        .items
        .into_iter()
        .filter(|connection| !connection.is_forgotten(ctx.now))
        .map(|connection| connection.reply(tx.state(), ctx.now));
    Ok(DescribeReply {
        vpc_peering_connections: items.collect(),
        next_token: page.next_token,
    })
}
