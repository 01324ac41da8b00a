//! What a request brings besides its parameters.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use types::{AccountId, RegionName};

use crate::prepared::Prepared;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// How a region is set up; the same for every request.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether hosts run instances. Without any ("control plane only"), instances change state at once, on paper.
    pub hosts: bool,
    /// Whether instances are placed on hosts of their zone. Otherwise one host, which no record names, runs them all.
    pub fleet: bool,
    /// The pool of public addresses, and the one in it that is the host's own.
    pub pool: topology::Uplink,
    /// Where the IPv6 blocks of VPCs come from, a /56 each.
    pub ipv6_pool: types::Cidr,
    /// How long what is created stays `pending` and what is deleted stays `deleting`, in milliseconds. 0: every state
    /// is final at once.
    pub settle: i64,
    /// Which zone a zone's name means.
    pub zone_names: ZoneNames,
}

/// Which zone a zone's name means. Zone ids are fixed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZoneNames {
    /// Every account has its own order (EC2: "we independently map Availability Zones to names for each account").
    PerAccount,
    /// `a` is the first zone for everybody.
    Fixed,
}

/// Who asks, where, when; and where new identifiers come from.
pub struct Context<'a> {
    /// The account that asks.
    pub account: AccountId,
    /// The region that is asked.
    pub region: RegionName,
    /// The time of the request.
    pub now: Timestamp,
    /// How the region is set up.
    pub settings: &'a Settings,
    random: RefCell<&'a mut dyn FnMut() -> u128>,
    prepared: RefCell<Prepared>,
}

impl<'a> Context<'a> {
    /// A context that takes its randomness from `random`.
    pub fn new(
        account: AccountId,
        region: RegionName,
        now: Timestamp,
        settings: &'a Settings,
        random: &'a mut dyn FnMut() -> u128,
    ) -> Context<'a> {
        Context {
            account,
            region,
            now,
            settings,
            random: RefCell::new(random),
            prepared: RefCell::default(),
        }
    }

    /// Brings what was computed for the request before.
    pub fn bring(&self, prepared: Prepared) {
        *self.prepared.borrow_mut() = prepared;
    }

    /// What was computed for the request before.
    pub(crate) fn prepared(&self) -> Prepared {
        self.prepared.borrow().clone()
    }

    /// Random bits, for a new identifier: `VpcId::from_bits(ctx.random())`.
    #[must_use]
    pub fn random(&self) -> u128 {
        (self.random.borrow_mut())()
    }
}
