//! Subnets.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AclId, AssociationId, Cidr, RegionName, RouteTableId, SubnetCidrReservationId,
    SubnetId, VpcId,
};

use crate::dispatch::actions;
use crate::filter::{Field, Filter, View};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, resource};
use crate::subnet_cidr::{Ipv6Association, Ipv6Item};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::vpc::parse_cidr;
use crate::{
    Context, Life, Phase, State, SubnetCidrReservation, Timestamp, Tx, Vpc,
    network_acl_association, public_access, quota, subnet_addresses, vpc, vpc_cidr, zones,
};

actions! {
    "CreateDefaultSubnet" => create_default_subnet, Enforced;
    "CreateSubnet" => create_subnet, Enforced;
    "DeleteSubnet" => delete_subnet, Enforced;
    "DescribeSubnets" => describe_subnets, Control;
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
    /// The zone's id.
    #[serde(deserialize_with = "zones::stored")]
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
    /// Its IPv6 block: within one of its VPC.
    #[serde(default)]
    pub ipv6: Option<Ipv6Association>,
    /// What its new interfaces and instances get.
    #[serde(default)]
    pub on_launch: OnLaunch,
    /// Whether the resolver makes IPv6 addresses of those that have IPv4 only (RFC 6147).
    #[serde(default)]
    pub dns64: bool,
    /// Since when it is there.
    #[serde(default)]
    pub life: Life,
}

/// What a subnet's new interfaces and instances get.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OnLaunch {
    /// An IPv6 address.
    pub ipv6_address: bool,
    /// A name of the instance's id instead of one of its address.
    pub named_by_resource: bool,
    /// An A record for such a name.
    pub a_record: bool,
    /// An AAAA record for such a name.
    pub aaaa_record: bool,
}

resource!(
    Subnet,
    "subnet",
    |this, keys| {
        keys.of([this.vpc]);
        keys.of(this.route_table.map(|(_, table)| table));
        keys.of(this.route_table.map(|(association, _)| association));
        keys.of([this.acl]);
        keys.of(this.ipv6.iter().map(|association| association.id));
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
    /// Its blocks of both families.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Cidr> + '_ {
        std::iter::once(self.cidr).chain(self.ipv6.iter().map(|association| association.cidr))
    }

    /// The subnet as hosts see it; `None` if its VPC is gone.
    pub(crate) fn project(&self, state: &State) -> Option<topology::Subnet> {
        Some(topology::Subnet {
            id: self.id,
            vpc: self.vpc,
            cidr: self.cidr,
            ipv6: self.ipv6.as_ref().map(|association| association.cidr),
            route_table: match self.route_table {
                Some((_, table)) => table,
                None => state.vpcs.get(&self.vpc)?.main_route_table,
            },
            acl: self.acl,
            zone: self.zone.clone(),
            public_access: public_access::project(state, self),
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
        ipv6: None,
        on_launch: OnLaunch::default(),
        dns64: false,
        life: Life::begin(ctx),
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
    ipv6_cidr_block: Option<String>,
    ipv6_native: Option<bool>,
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
    ipv6_cidr_block_association_set: Vec<Ipv6Item>,
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

/// How instances of a subnet are named.
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

    /// EC2's word for its state.
    fn state(&self, now: Timestamp) -> &'static str {
        match self.life.phase(now) {
            Phase::Pending => "pending",
            Phase::Live | Phase::Deleting | Phase::Deleted => "available",
        }
    }

    const fn hostname_type(&self) -> &'static str {
        if self.on_launch.named_by_resource {
            "resource-name"
        } else {
            "ip-name"
        }
    }

    fn reply(&self, view: &View<'_>) -> SubnetItem {
        SubnetItem {
            availability_zone_id: self.zone.clone(),
            map_customer_owned_ip_on_launch: false,
            owner_id: self.account,
            assign_ipv6_address_on_creation: self.on_launch.ipv6_address,
            ipv6_cidr_block_association_set: self.ipv6.iter().map(|a| a.reply(view.now)).collect(),
            tags: self.tags.reply(),
            subnet_arn: self.arn(),
            enable_dns64: self.dns64,
            ipv6_native: false,
            private_dns_name_options_on_launch: PrivateDnsNameOptions {
                hostname_type: self.hostname_type(),
                enable_resource_name_dns_a_record: self.on_launch.a_record,
                enable_resource_name_dns_aaaa_record: self.on_launch.aaaa_record,
            },
            subnet_id: self.id,
            state: self.state(view.now),
            vpc_id: self.vpc,
            cidr_block: self.cidr,
            available_ip_address_count: self.available(view.state),
            availability_zone: view.zone_name(&self.region, &self.zone),
            default_for_az: self.default_for_zone,
            map_public_ip_on_launch: self.public_on_launch,
        }
    }
}

/// The id of the zone that a request means, by name or id; EC2 chooses when it names none.
fn zone(ctx: &Context<'_>, name: Option<&str>, id: Option<&str>) -> Result<String, ApiError> {
    if name.is_some() && id.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameters AvailabilityZone and AvailabilityZoneId cannot be used together"
                .to_owned(),
        ));
    }
    let zones = zones::own(ctx);
    let names: Vec<_> = zones.iter().map(|zone| zone.name.clone()).collect();
    zones
        .into_iter()
        .find(|zone| {
            name.is_none_or(|name| name == zone.name) && id.is_none_or(|id| id == zone.id)
        })
        .map(|zone| zone.id)
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
    resource::only_false("Ipv6Native", req.ipv6_native)?;
    let id = make(tx, ctx, vpc, cidr, zone, tags, false)?;
    if let Some(text) = &req.ipv6_cidr_block {
        let mut subnet = resource::get::<Subnet>(tx, &id)?.clone();
        subnet.ipv6 = Some(Ipv6Association::new(tx, ctx, &subnet, text)?);
        tx.put(subnet);
    }
    created(tx, ctx, id)
}

fn created(tx: &Tx, ctx: &Context<'_>, id: SubnetId) -> Result<SubnetReply, ApiError> {
    let subnet = resource::get::<Subnet>(tx, &id)?;
    Ok(SubnetReply {
        subnet: subnet.reply(&View::new(tx.state(), ctx)),
    })
}

/// `CreateDefaultSubnet`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateDefaultSubnetRequest {
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    ipv6_native: Option<bool>,
}

/// Makes a zone's default subnet again: the first free /20 of the default VPC.
pub(crate) fn create_default_subnet(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateDefaultSubnetRequest,
) -> Result<SubnetReply, ApiError> {
    /// The prefix of default subnets (EC2 "Default VPC components").
    const LENGTH: u8 = 20;
    resource::only_false("Ipv6Native", req.ipv6_native)?;
    if req.availability_zone.is_none() && req.availability_zone_id.is_none() {
        return Err(resource::missing("availabilityZone"));
    }
    let zone = zone(
        ctx,
        req.availability_zone.as_deref(),
        req.availability_zone_id.as_deref(),
    )?;
    let Some(vpc) = vpc::default_of(tx, ctx) else {
        return Err(ApiError::new(
            "DefaultVpcDoesNotExist",
            "No default VPC exists for this account in this region.",
        ));
    };
    let others: Vec<&Subnet> = of_vpc(tx.state(), vpc.id).collect();
    if others.iter().any(|s| s.default_for_zone && s.zone == zone) {
        return Err(ApiError::new(
            "DefaultSubnetAlreadyExistsInAvailabilityZone",
            format!("A default subnet already exists in this Availability Zone: {zone}"),
        ));
    }
    let blocks = vpc.blocks().flat_map(|block| {
        let count = 1u128 << LENGTH.saturating_sub(block.length()).min(LENGTH);
        (0..count)
            .filter_map(move |index| block.nth(index << (32 - LENGTH)))
            .filter_map(|address| Cidr::containing(address, LENGTH))
            .filter(move |cidr| block.covers(*cidr))
    });
    let free = blocks
        .into_iter()
        .find(|cidr| others.iter().all(|other| !other.cidr.overlaps(*cidr)));
    let cidr = free.ok_or_else(|| {
        ApiError::new(
            "InsufficientCidrBlocks",
            "There is not enough space in the default VPC to create a default subnet.",
        )
    })?;
    let vpc = vpc.id;
    let id = make(tx, ctx, vpc, cidr, zone, Tags::default(), true)?;
    created(tx, ctx, id)
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
    ("availability-zone", |view, subnet| {
        vec![view.zone_name(&subnet.region, &subnet.zone)]
    }),
    ("availabilityZone", |view, subnet| {
        vec![view.zone_name(&subnet.region, &subnet.zone)]
    }),
    ("availability-zone-id", |_, subnet| {
        vec![subnet.zone.clone()]
    }),
    ("availabilityZoneId", |_, subnet| vec![subnet.zone.clone()]),
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
    ("enable-dns64", |_, subnet| vec![subnet.dns64.to_string()]),
    ("enable-lni-at-device-index", |_, _| vec![]),
    (
        "ipv6-cidr-block-association.ipv6-cidr-block",
        |_, subnet| subnet.ipv6.iter().map(|a| a.cidr.to_string()).collect(),
    ),
    ("ipv6-cidr-block-association.association-id", |_, subnet| {
        subnet.ipv6.iter().map(|a| a.id.to_string()).collect()
    }),
    ("ipv6-cidr-block-association.state", |view, subnet| {
        let states = subnet
            .ipv6
            .iter()
            .map(|a| vpc_cidr::state(a.life, view.now));
        states.map(ToOwned::to_owned).collect()
    }),
    ("ipv6-native", |_, _| vec!["false".to_owned()]),
    ("map-customer-owned-ip-on-launch", |_, _| {
        vec!["false".to_owned()]
    }),
    ("map-public-ip-on-launch", |_, subnet| {
        vec![subnet.public_on_launch.to_string()]
    }),
    ("outpost-arn", |_, _| vec![]),
    ("owner-id", |_, subnet| vec![subnet.account.to_string()]),
    (
        "private-dns-name-options-on-launch.hostname-type",
        |_, subnet| vec![subnet.hostname_type().to_owned()],
    ),
    (
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
        |_, subnet| vec![subnet.on_launch.a_record.to_string()],
    ),
    (
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
        |_, subnet| vec![subnet.on_launch.aaaa_record.to_string()],
    ),
    ("state", |view, subnet| {
        vec![subnet.state(view.now).to_owned()]
    }),
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
    let view = View::new(tx.state(), ctx);
    let page = resource::describe::<Subnet>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    Ok(DescribeSubnetsReply {
        next_token: page.next_token,
        subnets: page
            .items
            .into_iter()
            .map(|subnet| subnet.reply(&view))
            .collect(),
    })
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
    // What a service has in a subnet is there with an interface. Reservations go with their subnet.
    let reservations: Vec<SubnetCidrReservationId> = tx
        .state()
        .subnet_cidr_reservations
        .of(id)
        .map(|reservation| reservation.id)
        .collect();
    if tx.state().interfaces.of(id).next().is_some() {
        return Err(ApiError::new(
            "DependencyViolation",
            format!("The subnet '{id}' has dependencies and cannot be deleted."),
        ));
    }
    for reservation in reservations {
        tx.remove::<SubnetCidrReservation>(&reservation);
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

    #[test]
    fn default_subnets_come_again() {
        let mut world = World::new();
        let zone = json!({"AvailabilityZone": "us-east-1b"});
        let action = "CreateDefaultSubnet";
        let code = "DefaultSubnetAlreadyExistsInAvailabilityZone";
        assert_eq!(world.err(action, zone.clone()), code);
        let filters = json!({"Filters": [{"Name": "availability-zone", "Values": ["us-east-1b"]}]});
        let old = world.ok("DescribeSubnets", filters);
        let id = text(&old, "Subnets.0.SubnetId");
        world.ok("DeleteSubnet", json!({"SubnetId": id}));
        let new = world.ok(action, zone.clone());
        assert_eq!(text(&new, "Subnet.CidrBlock"), "172.31.16.0/20");
        assert_eq!(text(&new, "Subnet.DefaultForAz"), "true");
        assert_eq!(world.err(action, json!({})), "MissingParameter");
        let strange = json!({"AvailabilityZoneId": "usw2-az1"});
        assert_eq!(world.err(action, strange), "InvalidParameterValue");
        // Without a default VPC there is no place for one.
        for subnet in world.state.subnets.keys().copied().collect::<Vec<_>>() {
            world.ok("DeleteSubnet", json!({"SubnetId": subnet}));
        }
        let vpc = text(&world.ok("DescribeVpcs", json!({})), "Vpcs.0.VpcId");
        let gateway = text(
            &world.ok("DescribeInternetGateways", json!({})),
            "InternetGateways.0.InternetGatewayId",
        );
        let pair = json!({"VpcId": vpc, "InternetGatewayId": gateway});
        world.ok("DetachInternetGateway", pair);
        world.ok("DeleteVpc", json!({"VpcId": vpc}));
        assert_eq!(world.err(action, zone), "DefaultVpcDoesNotExist");
    }

    #[test]
    fn subnets_settle() {
        let mut world = World::new();
        world.settle = 500;
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let request = json!({"VpcId": text(&vpc, "Vpc.VpcId"), "CidrBlock": "10.0.0.0/24"});
        let subnet = world.ok("CreateSubnet", request);
        assert_eq!(text(&subnet, "Subnet.State"), "pending");
        let ids = json!({"SubnetIds": [text(&subnet, "Subnet.SubnetId")]});
        world.now.0 += 500;
        let shown = world.ok("DescribeSubnets", ids);
        assert_eq!(text(&shown, "Subnets.0.State"), "available");
    }
}
