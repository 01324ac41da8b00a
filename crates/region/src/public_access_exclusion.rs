//! Exclusions from block public access: VPCs and subnets for which it does not count, or not wholly.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, BlockPublicAccessExclusionId, ObjectId, RegionName, SubnetId, VpcId};

use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::life::settled;
use crate::mortal::{self, combination, describe, mortal};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Phase, State, Subnet, Timestamp, Tx, Vpc, quota};

actions! {
    "CreateVpcBlockPublicAccessExclusion" => create_vpc_block_public_access_exclusion, Enforced;
    "DeleteVpcBlockPublicAccessExclusion" => delete_vpc_block_public_access_exclusion, Enforced;
    "DescribeVpcBlockPublicAccessExclusions" => describe_vpc_block_public_access_exclusions, Control;
    "ModifyVpcBlockPublicAccessExclusion" => modify_vpc_block_public_access_exclusion, Enforced;
}

/// An exclusion. A VPC or subnet has one at most. Packets obey it as soon as it is made, and as long as it is not
/// deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublicAccessExclusion {
    /// Its identifier.
    pub id: BlockPublicAccessExclusionId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// What is excluded.
    pub excluded: Excluded,
    /// From what.
    pub exempt: Exempt,
    /// When it was made.
    pub created: Timestamp,
    /// When it was made or changed, and from when on that is final if it was changed.
    pub updated: (Timestamp, Option<Timestamp>),
    /// Since when it is there, or until when it was.
    pub life: Life,
}

/// What an exclusion is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Excluded {
    /// A VPC with all its subnets.
    Vpc(VpcId),
    /// A subnet.
    Subnet(SubnetId),
}

/// What an exclusion allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Exempt {
    /// Everything.
    Bidirectional,
    /// What begins inside, by NAT gateways and egress-only internet gateways.
    Egress,
}

impl Exempt {
    /// EC2's word for it.
    const fn name(self) -> &'static str {
        match self {
            Exempt::Bidirectional => "allow-bidirectional",
            Exempt::Egress => "allow-egress",
        }
    }

    fn of_request(text: &str) -> Result<Exempt, ApiError> {
        [Exempt::Bidirectional, Exempt::Egress]
            .into_iter()
            .find(|exempt| exempt.name() == text)
            .ok_or_else(|| resource::invalid_value(&text, "internetGatewayExclusionMode"))
    }
}

resource!(
    PublicAccessExclusion,
    "vpc-block-public-access-exclusion",
    |this, keys| match this.excluded {
        Excluded::Vpc(id) => keys.of([id]),
        Excluded::Subnet(id) => keys.of([id]),
    },
    |id| resource::unknown_id(
        id,
        "vpcbpa-exclude",
        "VPC Block Public Access exclusion ID",
        "InvalidVpcBlockPublicAccessExclusionId.NotFound",
        "InvalidVpcBlockPublicAccessExclusionId.Malformed",
    )
);

mortal!(PublicAccessExclusion);

/// What a VPC or subnet is exempt from by an exclusion of its own.
pub(crate) fn of(state: &State, excluded: impl Into<ObjectId>) -> Option<Exempt> {
    let mut exclusions = state.public_access_exclusions.of(excluded);
    let present = exclusions.find(|exclusion| !exclusion.life.has_ended());
    present.map(|exclusion| exclusion.exempt)
}

/// Removes those of a VPC or subnet that goes.
pub(crate) fn forget_excluded(tx: &mut Tx, excluded: ObjectId) {
    let gone: Vec<BlockPublicAccessExclusionId> = tx
        .of::<PublicAccessExclusion>(excluded)
        .map(|exclusion| exclusion.id)
        .collect();
    for id in gone {
        tx.remove::<PublicAccessExclusion>(&id);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ExclusionReply {
    vpc_block_public_access_exclusion: Item,
}

/// An exclusion in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Item {
    exclusion_id: BlockPublicAccessExclusionId,
    internet_gateway_exclusion_mode: &'static str,
    resource_arn: String,
    state: &'static str,
    creation_timestamp: api::Timestamp,
    last_update_timestamp: api::Timestamp,
    deletion_timestamp: Option<api::Timestamp>,
    tags: Vec<Tag>,
}

impl PublicAccessExclusion {
    /// The ARN of what is excluded.
    fn arn(&self) -> String {
        let (region, account) = (&self.region, self.account);
        match self.excluded {
            Excluded::Vpc(id) => format!("arn:aws:ec2:{region}:{account}:vpc/{id}"),
            Excluded::Subnet(id) => format!("arn:aws:ec2:{region}:{account}:subnet/{id}"),
        }
    }

    fn state_name(&self, now: Timestamp) -> &'static str {
        match (self.life.phase(now), self.updated.1) {
            (Phase::Pending, None) => "create-in-progress",
            (Phase::Live, None) => "create-complete",
            (Phase::Pending | Phase::Live, Some(settled)) if now < settled => "update-in-progress",
            (Phase::Pending | Phase::Live, Some(_)) => "update-complete",
            (Phase::Deleting, _) => "delete-in-progress",
            (Phase::Deleted, _) => "delete-complete",
        }
    }

    fn reply(&self, view: &View<'_>) -> Item {
        let time = |at: Timestamp| api::Timestamp::from_millis(at.0);
        Item {
            exclusion_id: self.id,
            internet_gateway_exclusion_mode: self.exempt.name(),
            resource_arn: self.arn(),
            state: self.state_name(view.now),
            creation_timestamp: time(self.created),
            last_update_timestamp: time(self.updated.0),
            deletion_timestamp: match self.life {
                Life::From(_) => None,
                Life::Until(at) => Some(time(at)),
            },
            tags: self.tags.reply(),
        }
    }
}

/// EC2 answers before anything has settled.
fn answer(
    tx: &Tx,
    ctx: &Context<'_>,
    exclusion: &PublicAccessExclusion,
    state: &'static str,
) -> ExclusionReply {
    let item = exclusion.reply(&mortal::view(tx, ctx));
    ExclusionReply {
        vpc_block_public_access_exclusion: Item { state, ..item },
    }
}

/// `CreateVpcBlockPublicAccessExclusion`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateExclusionRequest {
    subnet_id: Option<String>,
    vpc_id: Option<String>,
    internet_gateway_exclusion_mode: String,
    tag_specifications: Option<Vec<TagSpecification>>,
}

pub(crate) fn create_vpc_block_public_access_exclusion(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateExclusionRequest,
) -> Result<ExclusionReply, ApiError> {
    let exempt = Exempt::of_request(&req.internet_gateway_exclusion_mode)?;
    let (excluded, id): (Excluded, ObjectId) = match (&req.vpc_id, &req.subnet_id) {
        (Some(_), Some(_)) => {
            return Err(combination(
                "Only one of vpcId and subnetId can be specified",
            ));
        }
        (None, None) => return Err(resource::missing("vpcId or subnetId")),
        (Some(id), None) => {
            let vpc = resource::find::<Vpc>(tx, ctx, id)?.id;
            (Excluded::Vpc(vpc), vpc.into())
        }
        (None, Some(id)) => {
            let subnet = resource::find::<Subnet>(tx, ctx, id)?.id;
            (Excluded::Subnet(subnet), subnet.into())
        }
    };
    let tags = Tags::of_new(
        req.tag_specifications.as_deref(),
        PublicAccessExclusion::TYPE,
    )?;
    mortal::forget::<PublicAccessExclusion>(tx, ctx);
    if of(tx.state(), id).is_some() {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("A VPC Block Public Access exclusion exists already for {id}"),
        ));
    }
    let present = mortal::own::<PublicAccessExclusion>(tx, ctx).count();
    quota::PUBLIC_ACCESS_EXCLUSIONS.one_more(tx, ctx, present)?;
    let exclusion = PublicAccessExclusion {
        id: BlockPublicAccessExclusionId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        excluded,
        exempt,
        created: ctx.now,
        updated: (ctx.now, None),
        life: Life::begin(ctx),
    };
    let reply = answer(tx, ctx, &exclusion, "create-in-progress");
    tx.put(exclusion);
    Ok(reply)
}

const FILTERS: &[Field<PublicAccessExclusion>] = &[
    ("internet-gateway-exclusion-mode", |_, e| {
        vec![e.exempt.name().to_owned()]
    }),
    ("resource-arn", |_, e| vec![e.arn()]),
    ("state", |view, e| vec![e.state_name(view.now).to_owned()]),
];

describe!(
    describe_vpc_block_public_access_exclusions(DescribeExclusionsRequest {
        exclusion_ids,
        filters
    }) -> DescribeExclusionsReply { vpc_block_public_access_exclusions: Item },
    PublicAccessExclusion,
    FILTERS,
    USUAL_BOUNDS,
    forget PublicAccessExclusion,
);

/// `ModifyVpcBlockPublicAccessExclusion`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyExclusionRequest {
    exclusion_id: String,
    internet_gateway_exclusion_mode: String,
}

pub(crate) fn modify_vpc_block_public_access_exclusion(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyExclusionRequest,
) -> Result<ExclusionReply, ApiError> {
    let exempt = Exempt::of_request(&req.internet_gateway_exclusion_mode)?;
    let found = mortal::find::<PublicAccessExclusion>(tx, ctx, &req.exclusion_id)?;
    let exclusion = PublicAccessExclusion {
        exempt,
        updated: (ctx.now, Some(settled(ctx))),
        ..found.clone()
    };
    let reply = answer(tx, ctx, &exclusion, "update-in-progress");
    tx.put(exclusion);
    Ok(reply)
}

/// `DeleteVpcBlockPublicAccessExclusion`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteExclusionRequest {
    exclusion_id: String,
}

pub(crate) fn delete_vpc_block_public_access_exclusion(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteExclusionRequest,
) -> Result<ExclusionReply, ApiError> {
    let found = mortal::find::<PublicAccessExclusion>(tx, ctx, &req.exclusion_id)?;
    let exclusion = PublicAccessExclusion {
        updated: (ctx.now, found.updated.1),
        life: Life::end(ctx),
        ..found.clone()
    };
    let reply = answer(tx, ctx, &exclusion, "delete-in-progress");
    tx.put(exclusion);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use topology::PublicAccess;
    use types::SubnetId;

    use crate::testing::{World, account, count, text};

    const CREATE: &str = "CreateVpcBlockPublicAccessExclusion";
    const SHOW: &str = "DescribeVpcBlockPublicAccessExclusions";
    const ITEM: &str = "VpcBlockPublicAccessExclusion";

    /// The default VPC and one of its subnets.
    fn network(world: &mut World) -> (String, String) {
        let shown = world.ok("DescribeSubnets", json!({}));
        (
            text(&shown, "Subnets.0.VpcId"),
            text(&shown, "Subnets.0.SubnetId"),
        )
    }

    fn create(world: &mut World, member: &str, id: &str, mode: &str) -> String {
        let made = world.ok(
            CREATE,
            json!({member: id, "InternetGatewayExclusionMode": mode}),
        );
        text(&made, &format!("{ITEM}.ExclusionId"))
    }

    fn access(world: &World, subnet: &str) -> PublicAccess {
        let id: SubnetId = subnet.parse().unwrap();
        let projected = world.state.subnets[&id].project(&world.state);
        projected.unwrap().public_access
    }

    #[test]
    fn life_of_an_exclusion() {
        let mut world = World::new();
        world.settle = 1000;
        let (vpc, subnet) = network(&mut world);
        let tags = json!([{"ResourceType": "vpc-block-public-access-exclusion", "Tags": [{"Key": "k", "Value": "v"}]}]);
        let request = json!({"VpcId": vpc, "InternetGatewayExclusionMode": "allow-egress", "TagSpecifications": tags});
        let made = world.ok(CREATE, request.clone());
        let id = text(&made, &format!("{ITEM}.ExclusionId"));
        assert!(id.starts_with("vpcbpa-exclude-"), "{id}");
        assert_eq!(text(&made, &format!("{ITEM}.State")), "create-in-progress");
        let arn = format!("arn:aws:ec2:us-east-1:111122223333:vpc/{vpc}");
        assert_eq!(text(&made, &format!("{ITEM}.ResourceArn")), arn);
        assert_eq!(world.err(CREATE, request), "InvalidParameterValue");
        let one = json!({"ExclusionIds": [id]});
        let state = |world: &mut World| {
            let shown = world.ok(SHOW, one.clone());
            text(&shown, "VpcBlockPublicAccessExclusions.0.State")
        };
        assert_eq!(state(&mut world), "create-in-progress");
        world.now.0 += 1000;
        assert_eq!(state(&mut world), "create-complete");
        create(&mut world, "SubnetId", &subnet, "allow-bidirectional");
        for (name, value, number) in [
            ("resource-arn", arn.as_str(), 1),
            ("internet-gateway-exclusion-mode", "allow-*", 2),
            ("state", "create-complete", 1),
            ("tag:k", "v", 1),
            ("tag-key", "x", 0),
        ] {
            let shown = world.ok(
                SHOW,
                json!({"Filters": [{"Name": name, "Values": [value]}]}),
            );
            let found = count(&shown, "VpcBlockPublicAccessExclusions");
            assert_eq!(found, number, "{name}");
        }
        let change = |mode: &str| json!({"ExclusionId": id, "InternetGatewayExclusionMode": mode});
        let modify = "ModifyVpcBlockPublicAccessExclusion";
        let changed = world.ok(modify, change("allow-bidirectional"));
        assert_eq!(
            text(&changed, &format!("{ITEM}.State")),
            "update-in-progress"
        );
        world.now.0 += 1000;
        assert_eq!(state(&mut world), "update-complete");
        let delete = "DeleteVpcBlockPublicAccessExclusion";
        let gone = world.ok(delete, json!({"ExclusionId": id}));
        assert_eq!(text(&gone, &format!("{ITEM}.State")), "delete-in-progress");
        world.now.0 += 1000;
        assert_eq!(state(&mut world), "delete-complete");
        let unknown = "InvalidVpcBlockPublicAccessExclusionId.NotFound";
        assert_eq!(world.err(delete, json!({"ExclusionId": id})), unknown);
        assert_eq!(world.err(modify, change("allow-egress")), unknown);
        // What was deleted is in nobody's way, and is forgotten.
        create(&mut world, "VpcId", &vpc, "allow-egress");
        world.now.0 += 3_600_001;
        assert_eq!(world.err(SHOW, one), unknown);
    }

    #[test]
    fn what_is_no_exclusion() {
        let mut world = World::new();
        let (vpc, subnet) = network(&mut world);
        let mode = "allow-bidirectional";
        for (request, code) in [
            (
                json!({"InternetGatewayExclusionMode": mode}),
                "MissingParameter",
            ),
            (
                json!({"VpcId": vpc, "SubnetId": subnet, "InternetGatewayExclusionMode": mode}),
                "InvalidParameterCombination",
            ),
            (
                json!({"VpcId": vpc, "InternetGatewayExclusionMode": "allow"}),
                "InvalidParameterValue",
            ),
            (
                json!({"SubnetId": "subnet-12345678", "InternetGatewayExclusionMode": mode}),
                "InvalidSubnetID.NotFound",
            ),
        ] {
            assert_eq!(world.err(CREATE, request), code);
        }
        let id = create(&mut world, "VpcId", &vpc, mode);
        // Neither another account nor another region knows of it.
        let one = json!({"ExclusionIds": [id]});
        world.region = "eu-west-1";
        let unknown = "InvalidVpcBlockPublicAccessExclusionId.NotFound";
        assert_eq!(world.err(SHOW, one.clone()), unknown);
        world.region = "us-east-1";
        world.account = account("444455556666");
        assert_eq!(world.err(SHOW, one), unknown);
        let request = json!({"VpcId": vpc, "InternetGatewayExclusionMode": mode});
        assert_eq!(world.err(CREATE, request), "InvalidVpcID.NotFound");
        let malformed = json!({"ExclusionIds": ["x"]});
        let code = "InvalidVpcBlockPublicAccessExclusionId.Malformed";
        assert_eq!(world.err(SHOW, malformed), code);
    }

    #[test]
    fn exclusions_go_with_what_they_are_for() {
        let mut world = World::new();
        let (_, subnet) = network(&mut world);
        let id = create(&mut world, "SubnetId", &subnet, "allow-egress");
        world.ok("DeleteSubnet", json!({"SubnetId": subnet}));
        assert_eq!(
            world.err(SHOW, json!({"ExclusionIds": [id]})),
            "InvalidVpcBlockPublicAccessExclusionId.NotFound"
        );
    }

    #[test]
    fn what_is_left_of_the_way_out() {
        let mut world = World::new();
        let (vpc, subnet) = network(&mut world);
        let other = text(
            &world.ok("DescribeSubnets", json!({})),
            "Subnets.1.SubnetId",
        );
        let block = |world: &mut World, mode: &str| {
            let request = json!({"InternetGatewayBlockMode": mode});
            world.ok("ModifyVpcBlockPublicAccessOptions", request);
        };
        let both = |world: &World| (access(world, &subnet), access(world, &other));
        let own = create(&mut world, "SubnetId", &subnet, "allow-egress");
        assert_eq!(both(&world), (PublicAccess::Open, PublicAccess::Open));
        block(&mut world, "block-bidirectional");
        assert_eq!(
            both(&world),
            (PublicAccess::EgressOnly, PublicAccess::Closed)
        );
        // The subnet's own exclusion counts before its VPC's.
        let all = create(&mut world, "VpcId", &vpc, "allow-bidirectional");
        assert_eq!(both(&world), (PublicAccess::EgressOnly, PublicAccess::Open));
        block(&mut world, "block-ingress");
        assert_eq!(both(&world), (PublicAccess::EgressOnly, PublicAccess::Open));
        // Hosts hear of a VPC's exclusion by its subnets.
        let before = world.state.clone();
        let delete = api::to_value(&json!({"ExclusionId": all})).unwrap();
        let done = world.execute("DeleteVpcBlockPublicAccessExclusion", delete);
        let done = done.unwrap();
        world.state = done.state;
        let delta = crate::delta(&before, &world.state, &done.writes, 0, 1);
        assert_eq!(delta.changes.len(), 2, "the other two subnets");
        assert_eq!(
            both(&world),
            (PublicAccess::EgressOnly, PublicAccess::EgressOnly)
        );
        block(&mut world, "off");
        assert_eq!(both(&world), (PublicAccess::Open, PublicAccess::Open));
        world.ok(
            "DeleteVpcBlockPublicAccessExclusion",
            json!({"ExclusionId": own}),
        );
    }
}
