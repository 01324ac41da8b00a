//! Accounts: they come into being, with a default VPC, when they are first used in a region.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, DhcpOptionsId, ParseError, RegionName};

use crate::dispatch::actions;
use crate::instance_metadata_options::MetadataOptions;
use crate::public_access::BlockPublicAccess;
use crate::table::{Indexed, Keys};
use crate::{Context, DhcpOptions, Timestamp, Tx, quota, vpc};

actions! {
    "DescribeAccountAttributes" => describe_account_attributes, Control;
}

/// An account in a region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Which account, where.
    pub id: AccountKey,
    /// When it was first used there.
    pub created: Timestamp,
    /// The DHCP options that its VPCs have (EC2: one default set for each account and region).
    pub dhcp_options: DhcpOptionsId,
    /// Whether the account deleted that set.
    #[serde(default)]
    pub options_deleted: bool,
    /// Quotas that were adjusted, by code.
    #[serde(default)]
    pub quotas: BTreeMap<String, usize>,
    /// What block public access blocks; `None` if nobody ever said.
    #[serde(default)]
    pub public_access: Option<BlockPublicAccess>,
    /// What new instances have of metadata options that their launch does not choose.
    #[serde(default)]
    pub metadata_defaults: MetadataOptions,
    /// The CPU credits of new instances that choose none, by family, where that was changed.
    #[serde(default)]
    pub credit_defaults: BTreeMap<String, String>,
}

impl Indexed for Account {
    fn keys(&self, keys: &mut Keys<'_>) {
        keys.owner(self.id.account, &self.id.region);
        keys.of([self.dhcp_options]);
    }
}

/// An account's place in a region: `111122223333/us-east-1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AccountKey {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionName,
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

impl FromStr for AccountKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<AccountKey, ParseError> {
        let wrong = || ParseError {
            expected: "account and region",
            found: text.to_owned(),
        };
        let (account, region) = text.split_once('/').ok_or_else(wrong)?;
        Ok(AccountKey {
            account: account.parse()?,
            region: region.parse()?,
        })
    }
}

impl Serialize for AccountKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AccountKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<AccountKey, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Brings the account into being in the region, with its default VPC, unless it is there.
///
/// # Errors
/// Those of creating a default VPC; only running out of network numbers is left of them.
pub(crate) fn ensure(tx: &mut Tx, ctx: &Context<'_>) -> Result<(), ApiError> {
    let id = AccountKey {
        account: ctx.account,
        region: ctx.region.clone(),
    };
    if let Some(account) = tx.get::<Account>(&id) {
        // Accounts of before 2026-12 had only the name of their options.
        let dhcp_options = account.dhcp_options;
        if tx.get::<DhcpOptions>(&dhcp_options).is_none() && !account.options_deleted {
            tx.put(DhcpOptions::of_region(ctx, dhcp_options));
        }
        return Ok(());
    }
    let dhcp_options = DhcpOptionsId::from_bits(ctx.random());
    tx.put(DhcpOptions::of_region(ctx, dhcp_options));
    tx.put(Account {
        id,
        created: ctx.now,
        dhcp_options,
        options_deleted: false,
        quotas: BTreeMap::new(),
        public_access: None,
        metadata_defaults: MetadataOptions::default(),
        credit_defaults: BTreeMap::new(),
    });
    vpc::make_default(tx, ctx)?;
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeAccountAttributesRequest {
    attribute_names: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeAccountAttributesReply {
    account_attributes: Vec<Attribute>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    attribute_name: &'static str,
    attribute_values: Vec<AttributeValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeValue {
    attribute_value: String,
}

pub(crate) fn describe_account_attributes(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeAccountAttributesRequest,
) -> Result<DescribeAccountAttributesReply, ApiError> {
    let default_vpc =
        vpc::default_of(tx, ctx).map_or_else(|| "none".to_owned(), |vpc| vpc.id.to_string());
    let addresses = quota::ADDRESSES.max(tx, ctx).to_string();
    let all = [
        ("supported-platforms", "VPC".to_owned()),
        (
            "vpc-max-security-groups-per-interface",
            quota::GROUPS_PER_INTERFACE.max(tx, ctx).to_string(),
        ),
        ("max-elastic-ips", addresses.clone()),
        ("max-instances", quota::INSTANCES.max(tx, ctx).to_string()),
        ("vpc-max-elastic-ips", addresses),
        ("default-vpc", default_vpc),
    ];
    let asked = req.attribute_names.unwrap_or_default();
    if let Some(stranger) = asked
        .iter()
        .find(|name| all.iter().all(|(known, _)| known != name))
    {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({stranger}) for parameter attributeNames is invalid. Unknown attribute."
            ),
        ));
    }
    let account_attributes = all
        .into_iter()
        .filter(|(name, _)| asked.is_empty() || asked.iter().any(|wanted| wanted == name))
        .map(|(attribute_name, attribute_value)| Attribute {
            attribute_name,
            attribute_values: vec![AttributeValue { attribute_value }],
        })
        .collect();
    Ok(DescribeAccountAttributesReply { account_attributes })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, count, text};

    #[test]
    fn keys_are_text() {
        let key: AccountKey = "111122223333/us-east-1".parse().unwrap();
        assert_eq!(key.to_string(), "111122223333/us-east-1");
        for bad in [
            "",
            "111122223333",
            "1/us-east-1",
            "111122223333/",
            "111122223333/us-east-1/x",
        ] {
            assert!(bad.parse::<AccountKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn who_and_what() {
        let mut world = World::new();
        let reply = world.ok("DescribeAccountAttributes", json!({}));
        assert_eq!(world.state.accounts.size(), 1);
        assert_eq!(count(&reply, "AccountAttributes"), 6);
        let reply = world.ok(
            "DescribeAccountAttributes",
            json!({"AttributeNames": ["default-vpc"]}),
        );
        let default = text(
            &reply,
            "AccountAttributes.0.AttributeValues.0.AttributeValue",
        );
        assert!(default.starts_with("vpc-"), "{default}");
        let reply = world.ok("DescribeRegions", json!({"RegionNames": ["eu-central-1"]}));
        assert_eq!(
            text(&reply, "Regions.0.Endpoint"),
            "ec2.eu-central-1.amazonaws.com"
        );
        let filters = json!({"Filters": [{"Name": "zone-id", "Values": ["use1-az2"]}]});
        let reply = world.ok("DescribeAvailabilityZones", filters);
        assert_eq!(text(&reply, "AvailabilityZones.0.ZoneName"), "us-east-1b");
        assert_eq!(
            world.err("DescribeFpgaImages", json!({})),
            "UnsupportedOperation"
        );
        let unknown = json!({"Filters": [{"Name": "nonsense", "Values": ["x"]}]});
        for action in [
            "DescribeVpcs",
            "DescribeSubnets",
            "DescribeRouteTables",
            "DescribeInternetGateways",
            "DescribeNetworkAcls",
            "DescribeTags",
            "DescribeRegions",
            "DescribeAvailabilityZones",
        ] {
            assert_eq!(
                world.err(action, unknown.clone()),
                "InvalidParameterValue",
                "{action}"
            );
        }
    }
}
