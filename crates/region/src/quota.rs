//! How much an account may have, so that at the bound it suffers and never its neighbour.
//!
//! The numbers are EC2's defaults ("Amazon VPC quotas", "Amazon EC2 service quotas"); where one differs, its docstring
//! says so. `docs/limits.md` has the same table.

use api::ApiError;

/// A bound, and what a request that goes over it is told.
pub(crate) struct Quota {
    /// The largest number.
    pub(crate) max: usize,
    code: &'static str,
    what: &'static str,
    #[cfg(test)]
    per: &'static str,
}

impl Quota {
    /// Checks a number that shall be.
    ///
    /// # Errors
    /// The quota's own code.
    pub(crate) fn check(&self, number: usize) -> Result<(), ApiError> {
        if number > self.max {
            return Err(self.exceeded());
        }
        Ok(())
    }

    /// Checks that there is room for one more beside those that are present.
    ///
    /// # Errors
    /// The quota's own code.
    pub(crate) fn one_more(&self, present: usize) -> Result<(), ApiError> {
        self.check(present.saturating_add(1))
    }

    /// The error of a request that goes over it.
    pub(crate) fn exceeded(&self) -> ApiError {
        ApiError::new(
            self.code,
            format!("The maximum number of {} has been reached.", self.what),
        )
    }
}

macro_rules! quotas {
    ($( $(#[doc = $doc:literal])* $name:ident = $max:literal $what:literal per $per:literal, $code:literal; )+) => {
        $(
            $(#[doc = $doc])*
            pub(crate) const $name: Quota = Quota { max: $max, code: $code, what: $what, #[cfg(test)] per: $per };
        )+

        #[cfg(test)]
        const ALL: &[&Quota] = &[$(&$name),+];
    };
}

quotas! {
    /// Five with EC2, adjustable: a lab makes more.
    VPCS = 256 "VPCs" per "account and region", "VpcLimitExceeded";
    CIDRS = 5 "CIDR blocks" per "VPC", "CidrLimitExceeded";
    SUBNETS = 200 "subnets" per "VPC", "SubnetLimitExceeded";
    /// EC2's is its quota of VPCs.
    INTERNET_GATEWAYS = 256 "internet gateways" per "account and region", "InternetGatewayLimitExceeded";
    ROUTE_TABLES = 200 "route tables" per "VPC", "RouteTableLimitExceeded";
    ROUTES = 500 "routes" per "route table", "RouteLimitExceeded";
    NETWORK_ACLS = 200 "network ACLs" per "VPC", "NetworkAclLimitExceeded";
    NETWORK_ACL_ENTRIES = 20 "entries per network ACL" per "direction and family", "NetworkAclEntryLimitExceeded";
    SECURITY_GROUPS = 2500 "security groups" per "account and region", "SecurityGroupLimitExceeded";
    RULES = 60 "rules per security group" per "direction", "RulesPerSecurityGroupLimitExceeded";
    GROUPS_PER_INTERFACE = 5 "security groups per interface" per "interface", "SecurityGroupsPerInterfaceLimitExceeded";
    INTERFACES = 5000 "network interfaces" per "account and region", "NetworkInterfaceLimitExceeded";
    /// What EC2's largest instance types have.
    PRIVATE_ADDRESSES = 50 "private addresses" per "interface", "PrivateIpAddressLimitExceeded";
    ADDRESSES = 5 "addresses" per "account and region", "AddressLimitExceeded";
    /// EC2 counts processors.
    INSTANCES = 1000 "instances that are not terminated" per "account and region", "InstanceLimitExceeded";
    TAGS = 50 "tags" per "resource", "TagLimitExceeded";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, text};

    #[test]
    fn the_documentation_has_them() {
        let page = include_str!("../../../docs/limits.md");
        for quota in ALL {
            let row = format!(
                "| {} | {} | {} | `{}` |",
                quota.what, quota.per, quota.max, quota.code
            );
            assert!(page.contains(&row), "docs/limits.md has no row {row}");
        }
    }

    #[test]
    fn at_the_bound_the_account_suffers_alone() {
        let mut world = World::new();
        let neighbour = crate::testing::account("444455556666");
        for (action, request, quota) in [
            ("CreateInternetGateway", json!({}), INTERNET_GATEWAYS),
            ("AllocateAddress", json!({}), ADDRESSES),
        ] {
            let first = world.account;
            let code = (0..=quota.max)
                .find_map(|_| world.call(action, &request).err())
                .unwrap()
                .code;
            assert_eq!(code, quota.code);
            world.account = neighbour;
            world.ok(action, request.clone());
            world.account = first;
        }
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&vpc, "Vpc.VpcId");
        for _ in 1..ROUTE_TABLES.max {
            world.ok("CreateRouteTable", json!({"VpcId": vpc}));
        }
        let code = world.err("CreateRouteTable", json!({"VpcId": vpc}));
        assert_eq!(code, ROUTE_TABLES.code);
    }
}
