//! Sets of DHCP options: what a VPC's DHCP server tells instances besides their address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, DhcpOptionsId, RegionName, VpcId};

use crate::account::{Account, AccountKey};
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, State, Tx, Vpc, quota};

actions! {
    "AssociateDhcpOptions" => associate_dhcp_options, Enforced;
    "CreateDhcpOptions" => create_dhcp_options, Enforced;
    "DeleteDhcpOptions" => delete_dhcp_options, Control;
    "DescribeDhcpOptions" => describe_dhcp_options, Control;
}

/// A set of DHCP options. It never changes: a VPC is given another one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DhcpOptions {
    /// Its identifier.
    pub id: DhcpOptionsId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The options by EC2's names, each with at least one value, checked when the set was made.
    pub options: BTreeMap<String, Vec<String>>,
}

resource!(DhcpOptions, "dhcp-options", |this, keys| {}, |id| {
    if resource::is_well_formed(id, "dopt") {
        not_found(id)
    } else {
        ApiError::new(
            "InvalidDhcpOptionsId.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"dopt-...\")"),
        )
    }
});

fn not_found(id: &str) -> ApiError {
    ApiError::new(
        "InvalidDhcpOptionID.NotFound",
        format!("The dhcpOption ID '{id}' does not exist"),
    )
}

/// The value that stands for the VPC's own resolver.
const PROVIDED_DNS: &str = "AmazonProvidedDNS";
/// The name by which no options at all are associated.
const NONE: &str = "default";
/// EC2: at most four servers of a kind.
const MAX_SERVERS: usize = 4;
/// RFC 1035 section 2.3.4.
const MAX_NAME: usize = 255;
/// EC2 "DHCP option sets": seconds between IPv6 renewals. 140 at least, 2,147,483,647 at most.
const IPV6_LEASE: std::ops::RangeInclusive<u32> = 140..=2_147_483_647;

impl DhcpOptions {
    /// The set that an account has in a region from the beginning.
    pub(crate) fn of_region(ctx: &Context<'_>, id: DhcpOptionsId) -> DhcpOptions {
        let domain = match ctx.region.as_str() {
            "us-east-1" => "ec2.internal".to_owned(),
            other => format!("{other}.compute.internal"),
        };
        DhcpOptions {
            id,
            account: ctx.account,
            region: ctx.region.clone(),
            tags: Tags::default(),
            options: BTreeMap::from([
                ("domain-name".to_owned(), vec![domain]),
                (
                    "domain-name-servers".to_owned(),
                    vec![PROVIDED_DNS.to_owned()],
                ),
            ]),
        }
    }

    fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.options
            .get(key)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    fn servers(&self, key: &str) -> Vec<Ipv4Addr> {
        self.values(key)
            .filter_map(|text| text.parse().ok())
            .collect()
    }

    /// What instances are told, as hosts know it: IPv4 alone, as DHCP here is.
    fn project(&self) -> topology::DhcpOptions {
        topology::DhcpOptions {
            domain_name: self.values("domain-name").next().map(ToOwned::to_owned),
            name_servers: self
                .values("domain-name-servers")
                .filter_map(|text| match text {
                    PROVIDED_DNS => Some(topology::NameServer::Provided),
                    other => other.parse().ok().map(topology::NameServer::At),
                })
                .collect(),
            ntp_servers: self.servers("ntp-servers"),
            netbios_name_servers: self.servers("netbios-name-servers"),
            netbios_node_type: self
                .values("netbios-node-type")
                .find_map(|text| text.parse().ok()),
        }
    }
}

/// What a VPC's instances are told, as hosts know it.
pub(crate) fn project(state: &State, vpc: &Vpc) -> topology::DhcpOptions {
    vpc.dhcp_options
        .and_then(|id| state.dhcp_options.get(&id))
        .map_or_else(topology::DhcpOptions::none, DhcpOptions::project)
}

/// What a reply calls a VPC's options.
pub(crate) fn name_of(options: Option<DhcpOptionsId>) -> String {
    options.map_or_else(|| NONE.to_owned(), |id| id.to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NewConfiguration {
    key: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateDhcpOptionsRequest {
    dhcp_configurations: Vec<NewConfiguration>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateDhcpOptionsReply {
    dhcp_options: OptionsItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OptionsItem {
    owner_id: AccountId,
    tags: Vec<Tag>,
    dhcp_options_id: DhcpOptionsId,
    dhcp_configurations: Vec<Configuration>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    key: String,
    values: Vec<ConfigurationValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigurationValue {
    value: String,
}

impl DhcpOptions {
    fn reply(&self) -> OptionsItem {
        OptionsItem {
            owner_id: self.account,
            tags: self.tags.reply(),
            dhcp_options_id: self.id,
            dhcp_configurations: self
                .options
                .iter()
                .map(|(key, values)| Configuration {
                    key: key.clone(),
                    values: values
                        .iter()
                        .map(|value| ConfigurationValue {
                            value: value.clone(),
                        })
                        .collect(),
                })
                .collect(),
        }
    }
}

/// Options of a request by name; the values of a list may also stand in one text with commas between.
fn checked(
    configurations: Vec<NewConfiguration>,
) -> Result<BTreeMap<String, Vec<String>>, ApiError> {
    let mut options = BTreeMap::new();
    for configuration in configurations {
        let key = configuration.key.ok_or_else(|| resource::missing("key"))?;
        let values: Vec<String> = configuration
            .values
            .iter()
            .flat_map(|value| value.split(','))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        if values.is_empty() {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("No values were specified for DHCP option {key}"),
            ));
        }
        check(&key, &values)?;
        if options.insert(key.clone(), values).is_some() {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("The DHCP option {key} is specified more than once"),
            ));
        }
    }
    if options.is_empty() {
        return Err(resource::missing("dhcpConfiguration"));
    }
    Ok(options)
}

fn check(key: &str, values: &[String]) -> Result<(), ApiError> {
    let invalid = |value: &str| {
        Err(ApiError::new(
            "InvalidParameterValue",
            format!("Value ({value}) for parameter {key} is invalid. Invalid DHCP option value."),
        ))
    };
    let most = match key {
        "domain-name-servers" | "ntp-servers" | "netbios-name-servers" => MAX_SERVERS,
        _ => 1,
    };
    if values.len() > most {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({}) for parameter {key} is invalid. At most {most} can be specified.",
                values.join(",")
            ),
        ));
    }
    for value in values {
        let good = match key {
            "domain-name" => {
                value.len() <= MAX_NAME && value.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
            }
            "domain-name-servers" => value == PROVIDED_DNS || value.parse::<IpAddr>().is_ok(),
            "ntp-servers" => value.parse::<IpAddr>().is_ok(),
            "netbios-name-servers" => value.parse::<Ipv4Addr>().is_ok(),
            // RFC 1533 section 8.7.
            "netbios-node-type" => ["1", "2", "4", "8"].contains(&value.as_str()),
            "ipv6-address-preferred-lease-time" => value
                .parse::<u32>()
                .is_ok_and(|seconds| IPV6_LEASE.contains(&seconds)),
            _ => {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("Value ({key}) for parameter key is invalid. Unknown DHCP option."),
                ));
            }
        };
        if !good {
            return invalid(value);
        }
    }
    Ok(())
}

pub(crate) fn create_dhcp_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateDhcpOptionsRequest,
) -> Result<CreateDhcpOptionsReply, ApiError> {
    let tags = Tags::of_new(req.tag_specifications.as_deref(), DhcpOptions::TYPE)?;
    let options = checked(req.dhcp_configurations)?;
    let present = resource::own::<DhcpOptions>(tx, ctx).count();
    quota::DHCP_OPTIONS.one_more(tx, ctx, present)?;
    let record = DhcpOptions {
        id: DhcpOptionsId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        options,
    };
    let dhcp_options = record.reply();
    tx.put(record);
    Ok(CreateDhcpOptionsReply { dhcp_options })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeDhcpOptionsRequest {
    dhcp_options_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeDhcpOptionsReply {
    next_token: Option<String>,
    dhcp_options: Vec<OptionsItem>,
}

const FILTERS: &[Field<DhcpOptions>] = &[
    ("dhcp-options-id", |_, set| vec![set.id.to_string()]),
    ("key", |_, set| set.options.keys().cloned().collect()),
    ("owner-id", |_, set| vec![set.account.to_string()]),
    ("value", |_, set| {
        set.options.values().flatten().cloned().collect()
    }),
];

pub(crate) fn describe_dhcp_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeDhcpOptionsRequest,
) -> Result<DescribeDhcpOptionsReply, ApiError> {
    let query = Query {
        ids: req.dhcp_options_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<DhcpOptions>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeDhcpOptionsReply {
        next_token: page.next_token,
        dhcp_options: page.items.into_iter().map(DhcpOptions::reply).collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateDhcpOptionsRequest {
    dhcp_options_id: String,
    vpc_id: String,
}

/// Gives a VPC another set, or none (`default`). Instances hear of it when they renew their lease.
pub(crate) fn associate_dhcp_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateDhcpOptionsRequest,
) -> Result<(), ApiError> {
    let mut vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.clone();
    vpc.dhcp_options = if req.dhcp_options_id == NONE {
        None
    } else {
        Some(resource::find::<DhcpOptions>(tx, ctx, &req.dhcp_options_id)?.id)
    };
    tx.put(vpc);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteDhcpOptionsRequest {
    dhcp_options_id: String,
}

pub(crate) fn delete_dhcp_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteDhcpOptionsRequest,
) -> Result<(), ApiError> {
    let id = resource::find::<DhcpOptions>(tx, ctx, &req.dhcp_options_id)?.id;
    let users: Vec<VpcId> = tx.state().vpcs.of(id).map(|vpc| vpc.id).collect();
    if !users.is_empty() {
        return Err(ApiError::new(
            "DependencyViolation",
            format!("The dhcpOptions '{id}' has dependencies and cannot be deleted."),
        ));
    }
    let key = AccountKey {
        account: ctx.account,
        region: ctx.region.clone(),
    };
    if let Some(mut account) = tx
        .get::<Account>(&key)
        .filter(|a| a.dhcp_options == id)
        .cloned()
    {
        account.options_deleted = true;
        tx.put(account);
    }
    tx.remove::<DhcpOptions>(&id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    fn make(world: &mut World, options: &[(&str, &[&str])]) -> String {
        let list: Vec<_> = options
            .iter()
            .map(|(key, values)| json!({"Key": key, "Values": values}))
            .collect();
        let reply = world.ok("CreateDhcpOptions", json!({"DhcpConfigurations": list}));
        text(&reply, "DhcpOptions.DhcpOptionsId")
    }

    #[test]
    fn the_set_that_is_there_from_the_beginning() {
        let mut world = World::new();
        let sets = world.ok("DescribeDhcpOptions", json!({}));
        assert_eq!(count(&sets, "DhcpOptions"), 1);
        let value = |path: &str| text(&sets, &format!("DhcpOptions.0.DhcpConfigurations.{path}"));
        assert_eq!(value("0.Key"), "domain-name");
        assert_eq!(value("0.Values.0.Value"), "ec2.internal");
        assert_eq!(value("1.Values.0.Value"), "AmazonProvidedDNS");
        let vpcs = world.ok("DescribeVpcs", json!({}));
        let id = text(&sets, "DhcpOptions.0.DhcpOptionsId");
        assert_eq!(text(&vpcs, "Vpcs.0.DhcpOptionsId"), id);
        let delete = json!({"DhcpOptionsId": id});
        assert_eq!(
            world.err("DeleteDhcpOptions", delete.clone()),
            "DependencyViolation"
        );
        let vpc = text(&vpcs, "Vpcs.0.VpcId");
        world.ok(
            "AssociateDhcpOptions",
            json!({"DhcpOptionsId": "default", "VpcId": vpc}),
        );
        world.ok("DeleteDhcpOptions", delete);
        // What an account deleted does not come back.
        assert_eq!(
            count(&world.ok("DescribeDhcpOptions", json!({})), "DhcpOptions"),
            0
        );
        let vpcs = world.ok("DescribeVpcs", json!({}));
        assert_eq!(text(&vpcs, "Vpcs.0.DhcpOptionsId"), "default");
        // New VPCs have none either then.
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        assert_eq!(text(&vpc, "Vpc.DhcpOptionsId"), "default");
    }

    #[test]
    fn hosts_hear_of_options() {
        let mut world = World::new();
        let vpc = text(&world.ok("DescribeVpcs", json!({})), "Vpcs.0.VpcId");
        let told = |world: &World| {
            world
                .state
                .vpcs
                .values()
                .next()
                .unwrap()
                .project(&world.state)
                .dhcp
        };
        assert_eq!(told(&world).domain_name.as_deref(), Some("ec2.internal"));
        assert_eq!(told(&world).name_servers, [topology::NameServer::Provided]);
        let id = make(
            &mut world,
            &[
                ("domain-name", &["example.com"]),
                ("domain-name-servers", &["10.2.5.1", "AmazonProvidedDNS"]),
                ("ntp-servers", &["169.254.169.123, 10.0.0.9"]),
                ("netbios-name-servers", &["10.2.5.1"]),
                ("netbios-node-type", &["2"]),
            ],
        );
        world.ok(
            "AssociateDhcpOptions",
            json!({"DhcpOptionsId": id, "VpcId": vpc}),
        );
        let told = told(&world);
        assert_eq!(told.domain_name.as_deref(), Some("example.com"));
        let first = topology::NameServer::At("10.2.5.1".parse().unwrap());
        assert_eq!(told.name_servers, [first, topology::NameServer::Provided]);
        assert_eq!(told.ntp_servers.len(), 2);
        assert_eq!(told.netbios_node_type, Some(2));
    }

    #[test]
    fn what_is_no_option_is_refused() {
        let mut world = World::new();
        let mut refused = |key: &str, values: &[&str]| {
            world.err(
                "CreateDhcpOptions",
                json!({"DhcpConfigurations": [{"Key": key, "Values": values}]}),
            )
        };
        for (key, values) in [
            ("nonsense", &["x"][..]),
            ("domain-name", &[]),
            ("domain-name", &["a", "b"]),
            ("domain-name", &["a\nb"]),
            ("domain-name-servers", &["1.2.3"]),
            (
                "domain-name-servers",
                &["10.0.0.1,10.0.0.2,10.0.0.3", "10.0.0.4", "10.0.0.5"],
            ),
            ("ntp-servers", &["AmazonProvidedDNS"]),
            ("netbios-name-servers", &["::1"]),
            ("netbios-node-type", &["3"]),
            ("ipv6-address-preferred-lease-time", &["139"]),
        ] {
            assert_eq!(
                refused(key, values),
                "InvalidParameterValue",
                "{key} {values:?}"
            );
        }
        assert_eq!(
            world.err("CreateDhcpOptions", json!({})),
            "MissingParameter"
        );
        let none = json!({"DhcpConfigurations": []});
        assert_eq!(world.err("CreateDhcpOptions", none), "MissingParameter");
        make(
            &mut world,
            &[("ipv6-address-preferred-lease-time", &["140"])],
        );
    }

    #[test]
    fn sets_are_found_and_are_their_owners() {
        let mut world = World::new();
        let id = make(&mut world, &[("domain-name", &["example.com"])]);
        let found = |world: &mut World, name: &str, value: &str| {
            let filters = json!({"Filters": [{"Name": name, "Values": [value]}]});
            count(&world.ok("DescribeDhcpOptions", filters), "DhcpOptions")
        };
        assert_eq!(found(&mut world, "key", "domain-name"), 2);
        assert_eq!(found(&mut world, "value", "example.*"), 1);
        assert_eq!(found(&mut world, "dhcp-options-id", &id), 1);
        assert_eq!(found(&mut world, "owner-id", "444455556666"), 0);
        let vpc = text(&world.ok("DescribeVpcs", json!({})), "Vpcs.0.VpcId");
        world.ok(
            "AssociateDhcpOptions",
            json!({"DhcpOptionsId": id, "VpcId": vpc}),
        );
        let delete = json!({"DhcpOptionsId": id});
        assert_eq!(
            world.err("DeleteDhcpOptions", delete.clone()),
            "DependencyViolation"
        );
        world.account = account("444455556666");
        assert_eq!(
            world.err("DeleteDhcpOptions", delete),
            "InvalidDhcpOptionID.NotFound"
        );
        let strange = json!({"DhcpOptionsId": "x"});
        assert_eq!(
            world.err("DeleteDhcpOptions", strange),
            "InvalidDhcpOptionsId.Malformed"
        );
    }

    #[test]
    fn there_is_a_quota() {
        let mut world = World::new();
        let one = json!({"DhcpConfigurations": [{"Key": "domain-name", "Values": ["a"]}]});
        let code = (0..=super::quota::DHCP_OPTIONS.default)
            .find_map(|_| world.call("CreateDhcpOptions", &one).err())
            .unwrap()
            .code;
        assert_eq!(code, "DhcpOptionsLimitExceeded");
    }
}
