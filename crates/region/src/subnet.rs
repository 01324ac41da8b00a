//! Subnets.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, AclId, AssociationId, Cidr, RegionName, RouteTableId, SubnetId, VpcId};

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::vpc::parse_cidr;
use crate::vpc_attribute::BooleanAttribute;
use crate::{
    Context, NetworkInterface, State, Tx, Vpc, network_acl_association, quota, subnet_addresses,
    zones,
};

actions! {
    "CreateSubnet" => create_subnet, Enforced;
    "DeleteSubnet" => delete_subnet, Enforced;
    "DescribeSubnets" => describe_subnets, Control;
    "ModifySubnetAttribute" => modify_subnet_attribute, Enforced;
}

/// A subnet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subnet {
    /// Its identifier.
    pub id: SubnetId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// Its addresses: within a block of its VPC, apart from every other subnet of it.
    pub cidr: Cidr,
    /// The zone's name.
    pub zone: String,
    /// Whether it is its zone's default subnet.
    pub default_for_zone: bool,
    /// The route table that is associated explicitly; without one it is the VPC's main one.
    pub route_table: Option<(AssociationId, RouteTableId)>,
    /// The network ACL that is associated.
    pub acl: AclId,
    /// The association's id: `aclassoc-` and 17 hexadecimal digits.
    pub acl_association: String,
    /// Whether instances that are launched into it get a public address of Amazon's.
    #[serde(default)]
    pub public_on_launch: bool,
}

resource!(
    Subnet,
    "subnet",
    |this, keys| {
        keys.of([this.vpc]);
        keys.of(this.route_table.map(|(_, table)| table));
        keys.of(this.route_table.map(|(association, _)| association));
        keys.of([this.acl]);
    },
    |id| resource::unknown_id(
        id,
        "subnet",
        "subnet ID",
        "InvalidSubnetID.NotFound",
        "InvalidSubnetID.Malformed"
    )
);

impl Subnet {
    /// The subnet as hosts see it; `None` if its VPC is gone.
    pub(crate) fn project(&self, state: &State) -> Option<topology::Subnet> {
        Some(topology::Subnet {
            id: self.id,
            vpc: self.vpc,
            cidr: self.cidr,
            route_table: match self.route_table {
                Some((_, table)) => table,
                None => state.vpcs.get(&self.vpc)?.main_route_table,
            },
            acl: self.acl,
            zone: self.zone.clone(),
        })
    }
}

/// The subnets of a VPC, by id.
pub(crate) fn of_vpc(state: &State, vpc: VpcId) -> impl Iterator<Item = &Subnet> {
    state.subnets.of(vpc)
}

/// A subnet with the VPC's default ACL and main route table. The caller has checked the block's length.
///
/// # Errors
/// `InvalidSubnet.Range`, `InvalidSubnet.Conflict`, `SubnetLimitExceeded`.
pub(crate) fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    vpc: VpcId,
    cidr: Cidr,
    zone: String,
    tags: Tags,
    default_for_zone: bool,
) -> Result<SubnetId, ApiError> {
    let parent = resource::get::<Vpc>(tx, &vpc)?;
    if !(16..=28).contains(&cidr.length()) || !parent.blocks().any(|block| block.covers(cidr)) {
        return Err(ApiError::new(
            "InvalidSubnet.Range",
            format!("The CIDR '{cidr}' is invalid."),
        ));
    }
    let mut count = 0;
    for other in of_vpc(tx.state(), vpc) {
        count += 1;
        if other.cidr.overlaps(cidr) {
            return Err(ApiError::new(
                "InvalidSubnet.Conflict",
                format!("The CIDR '{cidr}' conflicts with another subnet"),
            ));
        }
    }
    quota::SUBNETS.one_more(tx, ctx, count)?;
    let acl = parent.default_acl;
    let id = SubnetId::from_bits(ctx.random());
    let acl_association = network_acl_association::new_id(ctx);
    tx.put(Subnet {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        vpc,
        cidr,
        zone,
        default_for_zone,
        route_table: None,
        acl,
        acl_association,
        // "By default, nondefault subnets have this attribute set to false, and default subnets … to true."
        public_on_launch: default_for_zone,
    });
    Ok(id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateSubnetRequest {
    tag_specifications: Option<Vec<TagSpecification>>,
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    cidr_block: Option<String>,
    vpc_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SubnetReply {
    subnet: SubnetItem,
}

/// A subnet in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SubnetItem {
    availability_zone_id: String,
    map_customer_owned_ip_on_launch: bool,
    owner_id: AccountId,
    assign_ipv6_address_on_creation: bool,
    ipv6_cidr_block_association_set: [(); 0],
    tags: Vec<Tag>,
    subnet_arn: String,
    enable_dns64: bool,
    ipv6_native: bool,
    private_dns_name_options_on_launch: PrivateDnsNameOptions,
    subnet_id: SubnetId,
    state: &'static str,
    vpc_id: VpcId,
    cidr_block: Cidr,
    available_ip_address_count: u64,
    availability_zone: String,
    default_for_az: bool,
    map_public_ip_on_launch: bool,
}

/// How instances of a subnet are named: always by their address.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateDnsNameOptions {
    hostname_type: &'static str,
    enable_resource_name_dns_a_record: bool,
    #[serde(rename = "EnableResourceNameDnsAAAARecord")]
    enable_resource_name_dns_aaaa_record: bool,
}

impl Subnet {
    fn arn(&self) -> String {
        format!(
            "arn:aws:ec2:{}:{}:subnet/{}",
            self.region, self.account, self.id
        )
    }

    /// Addresses that an interface may still get: without the five reserved ones (EC2 "Subnet CIDR blocks").
    fn available(&self, state: &State) -> u64 {
        let free = self
            .cidr
            .size()
            .saturating_sub(5)
            .saturating_sub(subnet_addresses::used(state, self.id));
        u64::try_from(free).unwrap_or(u64::MAX)
    }

    fn reply(&self, state: &State) -> SubnetItem {
        SubnetItem {
            availability_zone_id: zones::id_of(&self.region, &self.zone),
            map_customer_owned_ip_on_launch: false,
            owner_id: self.account,
            assign_ipv6_address_on_creation: false,
            ipv6_cidr_block_association_set: [],
            tags: self.tags.reply(),
            subnet_arn: self.arn(),
            enable_dns64: false,
            ipv6_native: false,
            private_dns_name_options_on_launch: PrivateDnsNameOptions {
                hostname_type: "ip-name",
                enable_resource_name_dns_a_record: false,
                enable_resource_name_dns_aaaa_record: false,
            },
            subnet_id: self.id,
            state: "available",
            vpc_id: self.vpc,
            cidr_block: self.cidr,
            available_ip_address_count: self.available(state),
            availability_zone: self.zone.clone(),
            default_for_az: self.default_for_zone,
            map_public_ip_on_launch: self.public_on_launch,
        }
    }
}

/// The name of the zone that a request means, by name or id; EC2 chooses when it names none.
fn zone(ctx: &Context<'_>, name: Option<&str>, id: Option<&str>) -> Result<String, ApiError> {
    if name.is_some() && id.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameters AvailabilityZone and AvailabilityZoneId cannot be used together"
                .to_owned(),
        ));
    }
    let zones = zones::of(&ctx.region);
    let names: Vec<_> = zones.iter().map(|zone| zone.name.clone()).collect();
    zones
        .into_iter()
        .find(|zone| {
            name.is_none_or(|name| name == zone.name) && id.is_none_or(|id| id == zone.id)
        })
        .map(|zone| zone.name)
        .ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value ({}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: {}.",
                    name.or(id).unwrap_or_default(),
                    names.join(", ")
                ),
            )
        })
}

pub(crate) fn create_subnet(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateSubnetRequest,
) -> Result<SubnetReply, ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let text = req
        .cidr_block
        .as_deref()
        .ok_or_else(|| resource::missing("cidrBlock"))?;
    let cidr = parse_cidr(text, "cidrBlock")?;
    let zone = zone(
        ctx,
        req.availability_zone.as_deref(),
        req.availability_zone_id.as_deref(),
    )?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), "subnet")?;
    let id = make(tx, ctx, vpc, cidr, zone, tags, false)?;
    let subnet = resource::get::<Subnet>(tx, &id)?;
    Ok(SubnetReply {
        subnet: subnet.reply(tx.state()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeSubnetsRequest {
    filters: Option<Vec<Filter>>,
    subnet_ids: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeSubnetsReply {
    next_token: Option<String>,
    subnets: Vec<SubnetItem>,
}

const FILTERS: &[Field<Subnet>] = &[
    ("availability-zone", |_, subnet| vec![subnet.zone.clone()]),
    ("availabilityZone", |_, subnet| vec![subnet.zone.clone()]),
    ("availability-zone-id", |_, subnet| {
        vec![zones::id_of(&subnet.region, &subnet.zone)]
    }),
    ("availabilityZoneId", |_, subnet| {
        vec![zones::id_of(&subnet.region, &subnet.zone)]
    }),
    ("available-ip-address-count", |state, subnet| {
        vec![subnet.available(state).to_string()]
    }),
    ("cidr-block", |_, subnet| vec![subnet.cidr.to_string()]),
    ("cidr", |_, subnet| vec![subnet.cidr.to_string()]),
    ("cidrBlock", |_, subnet| vec![subnet.cidr.to_string()]),
    ("customer-owned-ipv4-pool", |_, _| vec![]),
    ("default-for-az", |_, subnet| {
        vec![subnet.default_for_zone.to_string()]
    }),
    ("defaultForAz", |_, subnet| {
        vec![subnet.default_for_zone.to_string()]
    }),
    ("enable-dns64", |_, _| vec!["false".to_owned()]),
    ("enable-lni-at-device-index", |_, _| vec![]),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_, _| vec![]),
    ("ipv6-cidr-block-association.association-id", |_, _| vec![]),
    ("ipv6-cidr-block-association.state", |_, _| vec![]),
    ("ipv6-native", |_, _| vec!["false".to_owned()]),
    ("map-customer-owned-ip-on-launch", |_, _| {
        vec!["false".to_owned()]
    }),
    ("map-public-ip-on-launch", |_, subnet| {
        vec![subnet.public_on_launch.to_string()]
    }),
    ("outpost-arn", |_, _| vec![]),
    ("owner-id", |_, subnet| vec![subnet.account.to_string()]),
    ("state", |_, _| vec!["available".to_owned()]),
    ("subnet-arn", |_, subnet| vec![subnet.arn()]),
    ("subnet-id", |_, subnet| vec![subnet.id.to_string()]),
    ("vpc-id", |_, subnet| vec![subnet.vpc.to_string()]),
];

pub(crate) fn describe_subnets(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeSubnetsRequest,
) -> Result<DescribeSubnetsReply, ApiError> {
    let query = Query {
        ids: req.subnet_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<Subnet>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeSubnetsReply {
        next_token: page.next_token,
        subnets: page
            .items
            .into_iter()
            .map(|subnet| subnet.reply(tx.state()))
            .collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifySubnetAttributeRequest {
    subnet_id: String,
    assign_ipv6_address_on_creation: Option<BooleanAttribute>,
    map_public_ip_on_launch: Option<BooleanAttribute>,
    map_customer_owned_ip_on_launch: Option<BooleanAttribute>,
    enable_dns64: Option<BooleanAttribute>,
}

/// What subnets do not have yet can only be turned off.
pub(crate) fn modify_subnet_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifySubnetAttributeRequest,
) -> Result<(), ApiError> {
    let mut subnet = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?.clone();
    for (parameter, attribute) in [
        (
            "AssignIpv6AddressOnCreation",
            req.assign_ipv6_address_on_creation,
        ),
        (
            "MapCustomerOwnedIpOnLaunch",
            req.map_customer_owned_ip_on_launch,
        ),
        ("EnableDns64", req.enable_dns64),
    ] {
        resource::only_false(parameter, attribute.and_then(|attribute| attribute.value))?;
    }
    if let Some(public) = req.map_public_ip_on_launch.and_then(|public| public.value) {
        subnet.public_on_launch = public;
        tx.put(subnet);
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteSubnetRequest {
    subnet_id: String,
}

pub(crate) fn delete_subnet(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteSubnetRequest,
) -> Result<(), ApiError> {
    let id = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?.id;
    if tx
        .of::<NetworkInterface>(id)
        .any(|interface| interface.subnet == id)
    {
        return Err(resource::in_use("subnet", &id));
    }
    crate::mortal::forget_what_watches(tx, id);
    tx.remove::<Subnet>(&id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    fn world() -> (World, String) {
        let mut world = World::new();
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let id = text(&vpc, "Vpc.VpcId");
        (world, id)
    }

    #[test]
    fn a_new_subnet() {
        let (mut world, vpc) = world();
        let reply = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1b",
                "TagSpecifications": [{"ResourceType": "subnet", "Tags": [{"Key": "Name", "Value": "a"}]}]}),
        );
        assert_eq!(text(&reply, "Subnet.AvailableIpAddressCount"), "251");
        assert_eq!(text(&reply, "Subnet.AvailabilityZone"), "us-east-1b");
        assert_eq!(text(&reply, "Subnet.AvailabilityZoneId"), "use1-az2");
        assert_eq!(text(&reply, "Subnet.DefaultForAz"), "false");
        assert_eq!(text(&reply, "Subnet.Tags.0.Value"), "a");
        let by_id =
            json!({"VpcId": vpc, "CidrBlock": "10.0.2.0/24", "AvailabilityZoneId": "use1-az3"});
        let reply = world.ok("CreateSubnet", by_id);
        assert_eq!(text(&reply, "Subnet.AvailabilityZone"), "us-east-1c");
        let reply = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.3.0/28"}),
        );
        assert_eq!(text(&reply, "Subnet.AvailabilityZone"), "us-east-1a");
        assert_eq!(text(&reply, "Subnet.AvailableIpAddressCount"), "11");
    }

    #[test]
    fn blocks_and_zones_that_are_refused() {
        let (mut world, vpc) = world();
        let input = |cidr: &str| json!({"VpcId": vpc, "CidrBlock": cidr});
        world.ok("CreateSubnet", input("10.0.1.0/24"));
        for (cidr, code) in [
            ("10.0.1.0/24", "InvalidSubnet.Conflict"),
            ("10.0.0.0/16", "InvalidSubnet.Conflict"),
            ("10.0.1.128/25", "InvalidSubnet.Conflict"),
            ("10.1.0.0/24", "InvalidSubnet.Range"),
            ("10.0.0.0/15", "InvalidSubnet.Range"),
            ("10.0.2.0/29", "InvalidSubnet.Range"),
            ("nonsense", "InvalidParameterValue"),
        ] {
            assert_eq!(world.err("CreateSubnet", input(cidr)), code, "{cidr}");
        }
        let elsewhere =
            json!({"VpcId": vpc, "CidrBlock": "10.0.2.0/24", "AvailabilityZone": "us-west-2a"});
        assert_eq!(
            world.err("CreateSubnet", elsewhere),
            "InvalidParameterValue"
        );
        let nowhere = json!({"VpcId": "vpc-00000000000000000", "CidrBlock": "10.0.2.0/24"});
        assert_eq!(world.err("CreateSubnet", nowhere), "InvalidVpcID.NotFound");
    }

    #[test]
    fn interfaces_use_addresses_and_hold_the_subnet() {
        let (mut world, vpc) = world();
        let reply = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.1.0/24"}),
        );
        let id = json!({"SubnetId": text(&reply, "Subnet.SubnetId")});
        let reply = world.ok("CreateNetworkInterface", id.clone());
        let interface = text(&reply, "NetworkInterface.NetworkInterfaceId");
        let reply = world.ok(
            "DescribeSubnets",
            json!({"Filters": [{"Name": "available-ip-address-count", "Values": ["250"]}]}),
        );
        assert_eq!(text(&reply, "Subnets.0.SubnetId"), id["SubnetId"]);
        assert_eq!(world.err("DeleteSubnet", id.clone()), "DependencyViolation");
        world.ok(
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": interface}),
        );
        world.ok("DeleteSubnet", id);
    }
}
