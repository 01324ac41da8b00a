//! How fast an account may ask ("Request throttling for the Amazon EC2 API"): token buckets per account, region and
//! action, and for instances also per resource.
//!
//! The sizes are EC2's: by the action's class, and for some actions their own. Time comes in as a parameter.

use std::collections::HashMap;

use types::{AccountId, RegionName};

/// How many buckets are remembered. Full ones are forgotten first: a new one is full too.
const MAX_BUCKETS: usize = 65_536;

/// A bucket's size, and how many tokens come back in a second.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Rate {
    size: f64,
    refill: f64,
}

const fn rate(size: u32, refill: f64) -> Rate {
    Rate {
        size: size as f64,
        refill,
    }
}

const NON_MUTATING: Rate = rate(100, 20.0);
/// A describe without filters and without pages costs more.
const UNFILTERED: Rate = rate(50, 10.0);
const MUTATING: Rate = rate(50, 5.0);
const RESOURCE_INTENSIVE: Rate = rate(50, 5.0);

/// The actions that cost the service more than others do.
const INTENSIVE: [&str; 4] = [
    "AuthorizeSecurityGroupIngress",
    "CancelSpotInstanceRequests",
    "CreateKeyPair",
    "RequestSpotInstances",
];

/// Actions that have a bucket of a size of their own.
const OWN: [(&str, Rate); 19] = [
    ("AcceptVpcEndpointConnections", rate(10, 1.0)),
    ("AdvertiseByoipCidr", rate(1, 0.1)),
    ("CreateDefaultSubnet", rate(1, 1.0)),
    ("CreateDefaultVpc", rate(1, 1.0)),
    ("CreateVpcEndpoint", rate(4, 0.3)),
    ("CreateVpcEndpointServiceConfiguration", rate(10, 1.0)),
    ("DeleteVpcEndpointServiceConfigurations", rate(10, 1.0)),
    ("DeleteVpcEndpoints", rate(4, 0.3)),
    ("DescribeByoipCidrs", rate(1, 0.5)),
    ("DescribeMovingAddresses", rate(1, 1.0)),
    ("DescribeVpcEndpointServices", rate(10, 1.0)),
    ("ModifyVpcEndpoint", rate(4, 0.3)),
    ("ModifyVpcEndpointServiceConfiguration", rate(10, 1.0)),
    ("MoveAddressToVpc", rate(1, 1.0)),
    ("ProvisionByoipCidr", rate(1, 0.1)),
    ("RejectVpcEndpointConnections", rate(10, 1.0)),
    ("RunInstances", rate(5, 2.0)),
    ("StartInstances", rate(5, 2.0)),
    ("WithdrawByoipCidr", rate(1, 0.1)),
];

/// Actions that also pay a token for every instance.
const PER_INSTANCE: [(&str, Rate); 4] = [
    ("RunInstances", rate(1000, 2.0)),
    ("StartInstances", rate(1000, 2.0)),
    ("StopInstances", rate(1000, 20.0)),
    ("TerminateInstances", rate(1000, 20.0)),
];

/// One request, as far as its price goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked<'a> {
    /// Whose request it is.
    pub(crate) account: AccountId,
    /// Where.
    pub(crate) region: &'a RegionName,
    /// The action's name.
    pub(crate) action: &'static str,
    /// Whether it names ids, filters or a page's size.
    pub(crate) narrowed: bool,
    /// How many instances it is about.
    pub(crate) instances: u32,
}

/// The buckets of all accounts.
#[derive(Default, Debug)]
pub(crate) struct Throttle {
    buckets: HashMap<Key, Bucket>,
}

type Key = (AccountId, RegionName, &'static str, Pays);

/// What a bucket's tokens are for. The two classes of a describe have a bucket each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Pays {
    Request,
    Narrowed,
    Instances,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: Rate,
    tokens: f64,
    /// When `tokens` was right, in milliseconds of any clock that only goes forward.
    at: u64,
}

impl Bucket {
    fn at(self, now: u64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds between two requests"
        )]
        let seconds = now.saturating_sub(self.at) as f64 / 1000.0;
        (self.tokens + seconds * self.rate.refill).min(self.rate.size)
    }
}

fn class(asked: &Asked<'_>) -> Rate {
    let own = OWN.iter().find(|(name, _)| *name == asked.action);
    if let Some((_, rate)) = own {
        *rate
    } else if is_read(asked.action) {
        if asked.narrowed || !asked.action.starts_with("Describe") {
            NON_MUTATING
        } else {
            UNFILTERED
        }
    } else if INTENSIVE.contains(&asked.action) {
        RESOURCE_INTENSIVE
    } else {
        MUTATING
    }
}

/// Whether the action changes nothing, as EC2 and CloudTrail see it.
pub(crate) fn is_read(action: &str) -> bool {
    ["Describe", "Get", "List", "Search", "Decode", "Export"]
        .iter()
        .any(|prefix| action.starts_with(prefix))
}

impl Throttle {
    /// Takes the tokens for a request, at this time in milliseconds; `false` if there are too few, and then it takes
    /// none.
    pub(crate) fn take(&mut self, asked: &Asked<'_>, now: u64) -> bool {
        let request = class(asked);
        let instances = PER_INSTANCE
            .iter()
            .find(|(name, _)| *name == asked.action)
            .map(|(_, rate)| (*rate, f64::from(asked.instances.max(1))));
        let key = |pays| (asked.account, asked.region.clone(), asked.action, pays);
        let request_key = key(if asked.narrowed {
            Pays::Narrowed
        } else {
            Pays::Request
        });
        let instances_key = key(Pays::Instances);
        let left = |key: &Key, rate: Rate| {
            self.buckets
                .get(key)
                .map_or(rate.size, |bucket| bucket.at(now))
        };
        let request_left = left(&request_key, request) - 1.0;
        let resource_left =
            instances.map(|(rate, price)| (rate, left(&instances_key, rate) - price));
        if request_left < 0.0 || resource_left.is_some_and(|(_, left)| left < 0.0) {
            return false;
        }
        self.put(request_key, request, request_left, now);
        if let Some((rate, left)) = resource_left {
            self.put(instances_key, rate, left, now);
        }
        true
    }

    fn put(&mut self, key: Key, rate: Rate, tokens: f64, now: u64) {
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&key) {
            self.buckets
                .retain(|_, bucket| bucket.at(now) < bucket.rate.size);
            if self.buckets.len() >= MAX_BUCKETS {
                // All of them in use at once: whoever waited longest since its last request starts anew.
                let mut times: Vec<u64> = self.buckets.values().map(|bucket| bucket.at).collect();
                let half = times.len() / 2;
                let (_, median, _) = times.select_nth_unstable(half);
                let median = *median;
                let mut room = half;
                self.buckets.retain(|_, bucket| {
                    let goes = bucket.at <= median && room > 0;
                    room -= usize::from(goes);
                    !goes
                });
            }
        }
        self.buckets.insert(
            key,
            Bucket {
                rate,
                tokens,
                at: now,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(region: &'a RegionName, action: &'static str) -> Asked<'a> {
        Asked {
            account: AccountId::DEFAULT,
            region,
            action,
            narrowed: false,
            instances: 0,
        }
    }

    fn burst(throttle: &mut Throttle, asked: &Asked<'_>, now: u64) -> usize {
        (0..2000).take_while(|_| throttle.take(asked, now)).count()
    }

    #[test]
    fn classes_have_their_sizes_and_rates() {
        let region = "us-east-1".parse().unwrap();
        for (action, narrowed, size, in_a_second) in [
            ("DescribeVpcs", false, 50, 10),
            ("DescribeVpcs", true, 100, 20),
            ("GetManagedPrefixListEntries", false, 100, 20),
            ("CreateVpc", false, 50, 5),
            ("AuthorizeSecurityGroupIngress", false, 50, 5),
            ("CreateDefaultVpc", false, 1, 1),
            ("RunInstances", false, 5, 2),
        ] {
            let mut throttle = Throttle::default();
            let asked = Asked {
                narrowed,
                ..asked(&region, action)
            };
            assert_eq!(burst(&mut throttle, &asked, 5_000), size, "{action}");
            assert_eq!(burst(&mut throttle, &asked, 6_000), in_a_second, "{action}");
            assert_eq!(
                burst(&mut throttle, &asked, 5_500),
                0,
                "a clock that goes back gives nothing"
            );
            assert_eq!(burst(&mut throttle, &asked, 10_000_000), size, "{action}");
        }
    }

    #[test]
    fn accounts_regions_and_actions_are_apart() {
        let (here, there) = (
            "us-east-1".parse().unwrap(),
            "eu-central-1".parse().unwrap(),
        );
        let mut throttle = Throttle::default();
        let first = asked(&here, "CreateVpc");
        assert_eq!(burst(&mut throttle, &first, 0), 50);
        assert!(throttle.take(&asked(&there, "CreateVpc"), 0));
        assert!(throttle.take(&asked(&here, "DeleteVpc"), 0));
        let other = Asked {
            account: "111122223333".parse().unwrap(),
            ..first
        };
        assert!(throttle.take(&other, 0));
        assert!(!throttle.take(&first, 0));
    }

    #[test]
    fn instances_are_paid_for_one_by_one() {
        let region = "us-east-1".parse().unwrap();
        let mut throttle = Throttle::default();
        let many = Asked {
            instances: 600,
            ..asked(&region, "TerminateInstances")
        };
        assert!(throttle.take(&many, 0));
        assert!(!throttle.take(&many, 0), "400 are left");
        assert!(!throttle.take(&many, 9_900));
        assert!(throttle.take(&many, 10_000), "200 came back");
    }

    #[test]
    fn memory_is_bounded() {
        let region = "us-east-1".parse().unwrap();
        let mut throttle = Throttle::default();
        for account in 0..MAX_BUCKETS + 10 {
            let asked = Asked {
                account: format!("{account:012}").parse().unwrap(),
                ..asked(&region, "CreateVpc")
            };
            assert!(throttle.take(&asked, 0));
            assert!(throttle.buckets.len() <= MAX_BUCKETS);
        }
        assert!(
            throttle.buckets.len() >= MAX_BUCKETS / 2,
            "not more than needed is forgotten"
        );
    }
}
