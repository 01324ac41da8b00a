//! EC2 Instance Connect endpoints. They are kept; nobody connects through them.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, GroupId, InstanceConnectEndpointId, InterfaceId, RegionName, SubnetId, VpcId,
};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, describe, mortal};
use crate::network_interface::{self, Extras, Plan};
use crate::resource::{self, Resource as _, resource};
use crate::security_group;
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Phase, Subnet, Timestamp, Tx, quota, zones};

actions! {
    "CreateInstanceConnectEndpoint" => create_instance_connect_endpoint, Recorded;
    "DeleteInstanceConnectEndpoint" => delete_instance_connect_endpoint, Recorded;
    "DescribeInstanceConnectEndpoints" => describe_instance_connect_endpoints, Control;
}

/// An EC2 Instance Connect endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InstanceConnectEndpoint {
    /// Its identifier.
    pub id: InstanceConnectEndpointId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC it is in.
    pub vpc: VpcId,
    /// The subnet it is in.
    pub subnet: SubnetId,
    /// The id of the subnet's zone.
    #[serde(deserialize_with = "zones::stored")]
    pub zone: String,
    /// Its interface.
    pub interface: InterfaceId,
    /// Its groups.
    pub groups: Vec<GroupId>,
    /// Whether instances see the client's address.
    pub preserve_client_ip: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Where it stands.
    pub life: Life,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(
    InstanceConnectEndpoint,
    "instance-connect-endpoint",
    |this, keys| {
        if !this.life.has_ended() {
            keys.of([this.vpc]);
            keys.of([this.subnet]);
            keys.of([this.interface]);
            keys.of(this.groups.iter().copied());
        }
    },
    |id| resource::unknown_id(
        id,
        "eice",
        "instance connect endpoint ID",
        "InvalidInstanceConnectEndpointId.NotFound",
        "InvalidInstanceConnectEndpointId.Malformed",
    )
);

mortal!(InstanceConnectEndpoint);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateRequest {
    subnet_id: String,
    security_group_ids: Option<Vec<String>>,
    preserve_client_ip: Option<bool>,
    client_token: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateReply {
    instance_connect_endpoint: Item,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    availability_zone: String,
    created_at: api::Timestamp,
    dns_name: String,
    fips_dns_name: String,
    instance_connect_endpoint_arn: String,
    instance_connect_endpoint_id: InstanceConnectEndpointId,
    ip_address_type: &'static str,
    network_interface_ids: Vec<InterfaceId>,
    owner_id: AccountId,
    preserve_client_ip: bool,
    security_group_ids: Vec<GroupId>,
    state: &'static str,
    state_message: &'static str,
    subnet_id: SubnetId,
    tags: Vec<Tag>,
    vpc_id: VpcId,
}

impl InstanceConnectEndpoint {
    const fn state_name(&self, now: Timestamp) -> &'static str {
        match self.life.phase(now) {
            Phase::Pending => "create-in-progress",
            Phase::Live => "create-complete",
            Phase::Deleting => "delete-in-progress",
            Phase::Deleted => "delete-complete",
        }
    }

    fn reply(&self, view: &View<'_>) -> Item {
        let (id, region, account) = (self.id, &self.region, self.account);
        Item {
            availability_zone: view.zone_name(&self.region, &self.zone),
            created_at: api::Timestamp::from_millis(self.created.0),
            dns_name: format!(
                "{id}.{:08x}.ec2-instance-connect-endpoint.{region}.amazonaws.com",
                id.bits() & 0xffff_ffff
            ),
            fips_dns_name: format!(
                "{id}.{:08x}.fips.ec2-instance-connect-endpoint.{region}.amazonaws.com",
                id.bits() & 0xffff_ffff
            ),
            instance_connect_endpoint_arn: format!(
                "arn:aws:ec2:{region}:{account}:instance-connect-endpoint/{id}"
            ),
            instance_connect_endpoint_id: id,
            ip_address_type: "ipv4",
            network_interface_ids: vec![self.interface],
            owner_id: account,
            preserve_client_ip: self.preserve_client_ip,
            security_group_ids: self.groups.clone(),
            state: self.state_name(view.now),
            state_message: "",
            subnet_id: self.subnet,
            tags: self.tags.reply(),
            vpc_id: self.vpc,
        }
    }
}

/// Makes an endpoint with its interface. A VPC has one at most.
pub(crate) fn create_instance_connect_endpoint(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateRequest,
) -> Result<CreateReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    mortal::forget::<InstanceConnectEndpoint>(tx, ctx);
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &InstanceConnectEndpoint| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let subnet = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?.clone();
            let tags = Tags::of_new(
                req.tag_specifications.as_deref(),
                InstanceConnectEndpoint::TYPE,
            )?;
            let groups = security_group::for_interface(
                tx,
                ctx,
                subnet.vpc,
                subnet.id,
                req.security_group_ids.as_deref(),
            )?;
            let present = mortal::own::<InstanceConnectEndpoint>(tx, ctx).count();
            quota::CONNECT_ENDPOINTS.one_more(tx, ctx, present)?;
            if tx
                .state()
                .instance_connect_endpoints
                .of(subnet.vpc)
                .next()
                .is_some()
            {
                return Err(ApiError::new(
                    "InstanceConnectEndpointLimitExceeded",
                    format!(
                        "The VPC {} already has an instance connect endpoint.",
                        subnet.vpc
                    ),
                ));
            }
            let id = InstanceConnectEndpointId::from_bits(ctx.random());
            let plan = Plan {
                subnet: subnet.id,
                requested: Vec::new(),
                more: 0,
                groups: groups.clone(),
                description: format!("EC2 Instance Connect Endpoint {id}"),
                tags: Tags::default(),
                client_token: None,
                extras: Extras::ipv4_only(),
            };
            let mut interface = network_interface::make(tx, ctx, plan)?;
            interface.holder = Some(id.into());
            let interface_id = interface.id;
            tx.put(interface);
            tx.put(InstanceConnectEndpoint {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags,
                vpc: subnet.vpc,
                subnet: subnet.id,
                zone: subnet.zone,
                interface: interface_id,
                groups,
                preserve_client_ip: req.preserve_client_ip.unwrap_or(false),
                created: ctx.now,
                life: Life::begin(ctx),
                client_token: token,
            });
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(CreateReply {
        instance_connect_endpoint: resource::get::<InstanceConnectEndpoint>(tx, &id)?.reply(&view),
        client_token: req.client_token,
    })
}

const FILTERS: &[Field<InstanceConnectEndpoint>] = &[
    ("instance-connect-endpoint-id", |_, e| {
        vec![e.id.to_string()]
    }),
    ("state", |view, e| vec![e.state_name(view.now).to_owned()]),
    ("subnet-id", |_, e| vec![e.subnet.to_string()]),
    ("tag-value", |_, e| e.tags.0.values().cloned().collect()),
    ("vpc-id", |_, e| vec![e.vpc.to_string()]),
];

/// EC2's bounds of `MaxResults`.
const BOUNDS: std::ops::RangeInclusive<i64> = 1..=50;

describe!(
    describe_instance_connect_endpoints(DescribeRequest { instance_connect_endpoint_ids, filters })
        -> DescribeReply { instance_connect_endpoints: Item },
    InstanceConnectEndpoint, FILTERS, BOUNDS, forget InstanceConnectEndpoint
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRequest {
    instance_connect_endpoint_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeletedReply {
    instance_connect_endpoint: Item,
}

pub(crate) fn delete_instance_connect_endpoint(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRequest,
) -> Result<DeletedReply, ApiError> {
    let id = &req.instance_connect_endpoint_id;
    let mut endpoint = mortal::find::<InstanceConnectEndpoint>(tx, ctx, id)?.clone();
    endpoint.life = Life::end(ctx);
    tx.put(endpoint.clone());
    network_interface::remove(tx, endpoint.interface);
    Ok(DeletedReply {
        instance_connect_endpoint: endpoint.reply(&mortal::view(tx, ctx)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn life_of_an_endpoint() {
        let mut world = World::new();
        let subnets = world.ok("DescribeSubnets", json!({}));
        let subnet = json!({"SubnetId": text(&subnets, "Subnets.0.SubnetId")});
        world.settle = 1000;
        let made = world.ok("CreateInstanceConnectEndpoint", subnet.clone());
        assert_eq!(
            text(&made, "InstanceConnectEndpoint.State"),
            "create-in-progress"
        );
        let id = text(&made, "InstanceConnectEndpoint.InstanceConnectEndpointId");
        let code = world.err("CreateInstanceConnectEndpoint", subnet.clone());
        assert_eq!(code, "InstanceConnectEndpointLimitExceeded");
        let interface = text(&made, "InstanceConnectEndpoint.NetworkInterfaceIds.0");
        let one = json!({"NetworkInterfaceId": interface});
        world.call("DeleteNetworkInterface", &one).unwrap_err();
        assert_eq!(
            world.err("DeleteSubnet", subnet.clone()),
            "DependencyViolation"
        );
        let one = json!({"InstanceConnectEndpointId": id});
        let gone = world.ok("DeleteInstanceConnectEndpoint", one.clone());
        assert_eq!(
            text(&gone, "InstanceConnectEndpoint.State"),
            "delete-in-progress"
        );
        let code = world.err("DeleteInstanceConnectEndpoint", one);
        assert_eq!(code, "InvalidInstanceConnectEndpointId.NotFound");
        world.ok("DeleteSubnet", subnet);
    }
}
