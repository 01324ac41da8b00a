//! Where a resource stands between being asked for and being there, and between being deleted and being gone.
//!
//! The stored record says when a state settles; which state is shown follows from the time of the request. So nothing
//! has to happen for a state to change, and a delay of 0 (`--settle 0`) makes every state final at once.

use serde::{Deserialize, Serialize};

use crate::{Context, Timestamp};

/// How long EC2 still shows what is deleted, for the kinds that it shows at all: "for about an hour".
const SHOWN_FOR: i64 = 3_600_000;

/// The life of a resource that takes time to come and to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Life {
    /// It was created, and is there from this time on.
    From(Timestamp),
    /// It was deleted, and is gone from this time on.
    Until(Timestamp),
}

/// What a life shows at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Created, not yet there: EC2's `pending`.
    Pending,
    /// There: `available`, or `active`.
    Live,
    /// Deleted, not yet gone: `deleting`.
    Deleting,
    /// Gone, and still shown: `deleted`.
    Deleted,
}

impl Default for Life {
    /// The life of records of before lives were kept: they have always been there.
    fn default() -> Life {
        Life::From(Timestamp(0))
    }
}

impl Life {
    /// The life of what this request creates.
    pub const fn begin(ctx: &Context<'_>) -> Life {
        Life::From(settled(ctx))
    }

    /// The life of what this request deletes.
    pub const fn end(ctx: &Context<'_>) -> Life {
        Life::Until(settled(ctx))
    }

    /// What is shown now.
    pub const fn phase(self, now: Timestamp) -> Phase {
        match self {
            Life::From(at) if now.0 < at.0 => Phase::Pending,
            Life::From(_) => Phase::Live,
            Life::Until(at) if now.0 < at.0 => Phase::Deleting,
            Life::Until(_) => Phase::Deleted,
        }
    }

    /// Whether it was deleted, shown or not.
    pub const fn has_ended(self) -> bool {
        matches!(self, Life::Until(_))
    }

    /// Whether it is no longer shown.
    pub const fn is_forgotten(self, now: Timestamp) -> bool {
        matches!(self, Life::Until(at) if now.0.saturating_sub(at.0) > SHOWN_FOR)
    }
}

/// When what a request changes has settled.
pub(crate) const fn settled(ctx: &Context<'_>) -> Timestamp {
    Timestamp(ctx.now.0.saturating_add(ctx.settings.settle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn states_follow_from_time() {
        let mut world = World::new();
        world.settle = 1000;
        let start = world.now.0;
        let (begin, end) = world.with(|_, ctx| (Life::begin(ctx), Life::end(ctx)));
        let at = |life: Life, after: i64| life.phase(Timestamp(start + after));
        assert_eq!(at(begin, 999), Phase::Pending);
        assert_eq!(at(begin, 1000), Phase::Live);
        assert_eq!(at(end, 999), Phase::Deleting);
        assert_eq!(at(end, 1000), Phase::Deleted);
        assert!(end.has_ended() && !begin.has_ended());
        assert!(!end.is_forgotten(Timestamp(start + SHOWN_FOR)));
        assert!(end.is_forgotten(Timestamp(start + SHOWN_FOR + 1001)));
        assert!(!begin.is_forgotten(Timestamp(i64::MAX)));
    }
}
