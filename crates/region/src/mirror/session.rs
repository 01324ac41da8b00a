//! Sessions: whose packets are mirrored, through which filter, to which target.

use std::collections::BTreeSet;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, InterfaceId, MirrorFilterId, MirrorSessionId, MirrorTargetId, RegionName};

use super::filter::MirrorFilter;
use super::target::{Destination, MirrorTarget};
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, describe, invalid};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, NetworkInterface, Tx, quota};

actions! {
    "CreateTrafficMirrorSession" => create_traffic_mirror_session, Recorded;
    "DeleteTrafficMirrorSession" => delete_traffic_mirror_session, Recorded;
    "DescribeTrafficMirrorSessions" => describe_traffic_mirror_sessions, Control;
    "ModifyTrafficMirrorSession" => modify_traffic_mirror_session, Recorded;
}

/// A session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MirrorSession {
    /// Its identifier.
    pub id: MirrorSessionId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Whose packets are mirrored.
    pub interface: InterfaceId,
    /// Where they go.
    pub target: MirrorTargetId,
    /// Which of them.
    pub filter: MirrorFilterId,
    /// How much of each, in bytes; none for all.
    pub length: Option<i64>,
    /// Its place; no other session of the interface has it. 1 to 32766.
    pub number: i64,
    /// The number in VXLAN's header, of 24 bits.
    pub network: i64,
    /// What its owner says about it.
    pub description: Option<String>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(
    MirrorSession,
    "traffic-mirror-session",
    |this, keys| {
        keys.of([this.interface]);
        keys.of([this.target]);
        keys.of([this.filter]);
    },
    |id| resource::unknown_id(
        id,
        "tms",
        "traffic mirror session ID",
        "InvalidTrafficMirrorSessionId.NotFound",
        "InvalidTrafficMirrorSessionId.Malformed",
    )
);

/// EC2's bounds of a session's number.
const NUMBERS: std::ops::RangeInclusive<i64> = 1..=32_766;
/// EC2's bounds of a packet's length.
const LENGTHS: std::ops::RangeInclusive<i64> = 1..=8500;
/// What a VXLAN header holds (RFC 7348, section 5).
const LAST_NETWORK: i64 = (1 << 24) - 1;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTrafficMirrorSessionRequest {
    network_interface_id: String,
    traffic_mirror_target_id: String,
    traffic_mirror_filter_id: String,
    packet_length: Option<i64>,
    session_number: i64,
    virtual_network_id: Option<i64>,
    description: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SessionReply {
    traffic_mirror_session: Item,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    description: Option<String>,
    network_interface_id: InterfaceId,
    owner_id: AccountId,
    packet_length: Option<i64>,
    session_number: i64,
    tags: Vec<Tag>,
    traffic_mirror_filter_id: MirrorFilterId,
    traffic_mirror_session_id: MirrorSessionId,
    traffic_mirror_target_id: MirrorTargetId,
    virtual_network_id: i64,
}

impl MirrorSession {
    fn reply(&self, _: &View<'_>) -> Item {
        Item {
            description: self.description.clone(),
            network_interface_id: self.interface,
            owner_id: self.account,
            packet_length: self.length,
            session_number: self.number,
            tags: self.tags.reply(),
            traffic_mirror_filter_id: self.filter,
            traffic_mirror_session_id: self.id,
            traffic_mirror_target_id: self.target,
            virtual_network_id: self.network,
        }
    }

    fn check(&self, tx: &Tx) -> Result<(), ApiError> {
        if !NUMBERS.contains(&self.number) {
            return Err(invalid(
                "sessionNumber",
                self.number,
                "It must be between 1 and 32766.",
            ));
        }
        if let Some(length) = self.length
            && !LENGTHS.contains(&length)
        {
            return Err(invalid(
                "packetLength",
                length,
                "It must be between 1 and 8500.",
            ));
        }
        if !(0..=LAST_NETWORK).contains(&self.network) {
            return Err(invalid(
                "virtualNetworkId",
                self.network,
                "It must be between 0 and 16777215.",
            ));
        }
        let others = tx.state().mirror_sessions.of(self.interface);
        if others
            .into_iter()
            .any(|o| o.id != self.id && o.number == self.number)
        {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "The session number {} is already in use for the network interface {}",
                    self.number, self.interface
                ),
            ));
        }
        let target = resource::get::<MirrorTarget>(tx, &self.target)?;
        if target.to == Destination::Interface(self.interface) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "The source and the target of a traffic mirror session must be different.",
            ));
        }
        Ok(())
    }
}

/// A number of VXLAN that no other session of the account has.
fn new_network(tx: &Tx, ctx: &Context<'_>) -> Result<i64, ApiError> {
    const TRIES: usize = 64;
    let taken: BTreeSet<i64> = resource::own::<MirrorSession>(tx, ctx)
        .map(|session| session.network)
        .collect();
    for _ in 0..TRIES {
        // The high bits: the last ones of a counter's multiples repeat soon.
        let [_, a, b, c, ..] = ctx.random().to_be_bytes();
        let number = i64::from(u32::from_be_bytes([0, a, b, c]));
        if !taken.contains(&number) {
            return Ok(number);
        }
    }
    Err(ApiError::internal("no free virtual network id was found"))
}

pub(crate) fn create_traffic_mirror_session(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateTrafficMirrorSessionRequest,
) -> Result<SessionReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &MirrorSession| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let session = MirrorSession {
                id: MirrorSessionId::from_bits(ctx.random()),
                account: ctx.account,
                region: ctx.region.clone(),
                tags: Tags::of_new(req.tag_specifications.as_deref(), MirrorSession::TYPE)?,
                interface: resource::find::<NetworkInterface>(tx, ctx, &req.network_interface_id)?
                    .id,
                target: resource::find::<MirrorTarget>(tx, ctx, &req.traffic_mirror_target_id)?.id,
                filter: resource::find::<MirrorFilter>(tx, ctx, &req.traffic_mirror_filter_id)?.id,
                length: req.packet_length,
                number: req.session_number,
                network: match req.virtual_network_id {
                    Some(number) => number,
                    None => new_network(tx, ctx)?,
                },
                description: mortal::description(req.description)?,
                client_token: token,
            };
            session.check(tx)?;
            let present = tx.state().mirror_sessions.of(session.interface).count();
            quota::MIRROR_SESSIONS_PER_INTERFACE.check_fixed(present + 1)?;
            let present = resource::own::<MirrorSession>(tx, ctx).count();
            quota::MIRROR_SESSIONS.one_more(tx, ctx, present)?;
            let id = session.id;
            tx.put(session);
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(SessionReply {
        traffic_mirror_session: resource::get::<MirrorSession>(tx, &id)?.reply(&view),
        client_token: req.client_token,
    })
}

const FILTERS: &[Field<MirrorSession>] = &[
    ("description", |_, s| {
        s.description.iter().cloned().collect()
    }),
    ("network-interface-id", |_, s| vec![s.interface.to_string()]),
    ("owner-id", |_, s| vec![s.account.to_string()]),
    ("packet-length", |_, s| {
        s.length.map(|l| l.to_string()).into_iter().collect()
    }),
    ("session-number", |_, s| vec![s.number.to_string()]),
    ("traffic-mirror-filter-id", |_, s| {
        vec![s.filter.to_string()]
    }),
    ("traffic-mirror-session-id", |_, s| vec![s.id.to_string()]),
    ("traffic-mirror-target-id", |_, s| {
        vec![s.target.to_string()]
    }),
    ("virtual-network-id", |_, s| vec![s.network.to_string()]),
];

describe!(
    describe_traffic_mirror_sessions(DescribeTrafficMirrorSessionsRequest { traffic_mirror_session_ids, filters })
        -> DescribeTrafficMirrorSessionsReply { traffic_mirror_sessions: Item },
    MirrorSession, FILTERS, USUAL_BOUNDS
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyTrafficMirrorSessionRequest {
    traffic_mirror_session_id: String,
    traffic_mirror_target_id: Option<String>,
    traffic_mirror_filter_id: Option<String>,
    packet_length: Option<i64>,
    session_number: Option<i64>,
    virtual_network_id: Option<i64>,
    description: Option<String>,
    remove_fields: Option<Vec<String>>,
}

pub(crate) fn modify_traffic_mirror_session(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyTrafficMirrorSessionRequest,
) -> Result<SessionReply, ApiError> {
    let id = &req.traffic_mirror_session_id;
    let mut session = resource::find::<MirrorSession>(tx, ctx, id)?.clone();
    for field in req.remove_fields.iter().flatten() {
        match field.as_str() {
            "packet-length" => session.length = None,
            "description" => session.description = None,
            // Without a number of the client's own, one is chosen.
            "virtual-network-id" => session.network = new_network(tx, ctx)?,
            other => return Err(invalid("removeFields", other, "Unknown field.")),
        }
    }
    if let Some(id) = &req.traffic_mirror_target_id {
        session.target = resource::find::<MirrorTarget>(tx, ctx, id)?.id;
    }
    if let Some(id) = &req.traffic_mirror_filter_id {
        session.filter = resource::find::<MirrorFilter>(tx, ctx, id)?.id;
    }
    session.length = req.packet_length.or(session.length);
    session.number = req.session_number.unwrap_or(session.number);
    session.network = req.virtual_network_id.unwrap_or(session.network);
    if req.description.is_some() {
        session.description = mortal::description(req.description)?;
    }
    session.check(tx)?;
    tx.put(session.clone());
    Ok(SessionReply {
        traffic_mirror_session: session.reply(&mortal::view(tx, ctx)),
        client_token: None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTrafficMirrorSessionRequest {
    traffic_mirror_session_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteTrafficMirrorSessionReply {
    traffic_mirror_session_id: MirrorSessionId,
}

pub(crate) fn delete_traffic_mirror_session(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteTrafficMirrorSessionRequest,
) -> Result<DeleteTrafficMirrorSessionReply, ApiError> {
    let id = resource::find::<MirrorSession>(tx, ctx, &req.traffic_mirror_session_id)?.id;
    tx.remove::<MirrorSession>(&id);
    Ok(DeleteTrafficMirrorSessionReply {
        traffic_mirror_session_id: id,
    })
}

/// Removes the sessions of an interface that goes.
pub(crate) fn forget_interface(tx: &mut Tx, interface: InterfaceId) {
    let sessions: Vec<MirrorSessionId> = tx
        .state()
        .mirror_sessions
        .of(interface)
        .map(|session| session.id)
        .collect();
    for id in sessions {
        tx.remove::<MirrorSession>(&id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, count, text};

    struct Scene {
        world: World,
        interfaces: Vec<String>,
        target: String,
        filter: String,
    }

    fn scene() -> Scene {
        let mut world = World::new();
        let subnets = world.ok("DescribeSubnets", json!({}));
        let subnet = text(&subnets, "Subnets.0.SubnetId");
        let interfaces: Vec<String> = (0..3)
            .map(|_| {
                let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
                text(&made, "NetworkInterface.NetworkInterfaceId")
            })
            .collect();
        let made = world.ok(
            "CreateTrafficMirrorTarget",
            json!({"NetworkInterfaceId": interfaces[0], "Description": "d", "ClientToken": "t"}),
        );
        let again = world.ok(
            "CreateTrafficMirrorTarget",
            json!({"NetworkInterfaceId": interfaces[0], "Description": "d", "ClientToken": "t"}),
        );
        let target = text(&made, "TrafficMirrorTarget.TrafficMirrorTargetId");
        assert_eq!(
            text(&again, "TrafficMirrorTarget.TrafficMirrorTargetId"),
            target
        );
        let made = world.ok("CreateTrafficMirrorFilter", json!({"Description": "f"}));
        let filter = text(&made, "TrafficMirrorFilter.TrafficMirrorFilterId");
        Scene {
            world,
            interfaces,
            target,
            filter,
        }
    }

    impl Scene {
        fn session(&self, interface: usize, number: i64, more: &Json) -> Json {
            let mut request = json!({
                "NetworkInterfaceId": self.interfaces[interface], "SessionNumber": number,
                "TrafficMirrorTargetId": self.target, "TrafficMirrorFilterId": self.filter,
            });
            for (name, value) in more.as_object().unwrap() {
                request[name] = value.clone();
            }
            request
        }
    }

    #[test]
    fn life_of_a_session() {
        let mut s = scene();
        let request = s.session(1, 1, &json!({"PacketLength": 100}));
        let made = s.world.ok("CreateTrafficMirrorSession", request.clone());
        let id = text(&made, "TrafficMirrorSession.TrafficMirrorSessionId");
        let network: i64 = text(&made, "TrafficMirrorSession.VirtualNetworkId")
            .parse()
            .unwrap();
        assert!((0..1 << 24).contains(&network));
        let code = s.world.err("CreateTrafficMirrorSession", request);
        assert_eq!(code, "InvalidParameterValue");
        for (number, more) in [
            (0, json!({})),
            (32_767, json!({})),
            (2, json!({"PacketLength": 0})),
            (2, json!({"VirtualNetworkId": 1 << 24})),
        ] {
            let request = s.session(1, number, &more);
            let code = s.world.err("CreateTrafficMirrorSession", request);
            assert_eq!(code, "InvalidParameterValue", "{number} {more}");
        }
        let itself = s.session(0, 1, &json!({}));
        let code = s.world.err("CreateTrafficMirrorSession", itself);
        assert_eq!(code, "InvalidParameterValue");
        for number in 2..=3 {
            let request = s.session(1, number, &json!({}));
            s.world.ok("CreateTrafficMirrorSession", request);
        }
        let fourth = s.session(1, 4, &json!({}));
        let code = s.world.err("CreateTrafficMirrorSession", fourth);
        assert_eq!(code, "TrafficMirrorSessionsPerInterfaceLimitExceeded");
        let target = json!({"TrafficMirrorTargetId": s.target});
        let code = s.world.err("DeleteTrafficMirrorTarget", target);
        assert_eq!(code, "TrafficMirrorTargetInUseException");
        let filter = json!({"TrafficMirrorFilterId": s.filter});
        let code = s.world.err("DeleteTrafficMirrorFilter", filter.clone());
        assert_eq!(code, "TrafficMirrorFilterInUse");
        let change = json!({"TrafficMirrorSessionId": id, "SessionNumber": 2});
        let code = s.world.err("ModifyTrafficMirrorSession", change);
        assert_eq!(code, "InvalidParameterValue");
        let change = json!({"TrafficMirrorSessionId": id, "SessionNumber": 9, "RemoveFields": ["packet-length"]});
        let reply = s.world.ok("ModifyTrafficMirrorSession", change);
        assert_eq!(text(&reply, "TrafficMirrorSession.SessionNumber"), "9");
        for (name, value, found) in [
            ("network-interface-id", s.interfaces[1].clone(), 3),
            ("packet-length", "*".to_owned(), 0),
            ("session-number", "9".to_owned(), 1),
            ("traffic-mirror-target-id", s.target.clone(), 3),
        ] {
            let filters = json!({"Filters": [{"Name": name, "Values": [value]}]});
            let some = s.world.ok("DescribeTrafficMirrorSessions", filters);
            assert_eq!(count(&some, "TrafficMirrorSessions"), found, "{name}");
        }
        // The sessions go with the interface; the target's interface is held.
        let held = json!({"NetworkInterfaceId": s.interfaces[0]});
        let code = s.world.err("DeleteNetworkInterface", held);
        assert_eq!(code, "InvalidParameterValue");
        let source = json!({"NetworkInterfaceId": s.interfaces[1]});
        s.world.ok("DeleteNetworkInterface", source);
        let none = s.world.ok("DescribeTrafficMirrorSessions", json!({}));
        assert_eq!(count(&none, "TrafficMirrorSessions"), 0);
        s.world.ok("DeleteTrafficMirrorFilter", filter);
        let target = json!({"TrafficMirrorTargetId": s.target});
        s.world.ok("DeleteTrafficMirrorTarget", target);
        let session = json!({"TrafficMirrorSessionId": id});
        let code = s.world.err("DeleteTrafficMirrorSession", session);
        assert_eq!(code, "InvalidTrafficMirrorSessionId.NotFound");
    }

    #[test]
    fn rules_of_a_filter() {
        let mut s = scene();
        let rule = |filter: &str, more: &Json| {
            let mut request = json!({
                "TrafficMirrorFilterId": filter, "TrafficDirection": "ingress", "RuleNumber": 10,
                "RuleAction": "accept", "Protocol": 6, "DestinationCidrBlock": "10.0.0.0/8",
                "SourceCidrBlock": "0.0.0.0/0", "DestinationPortRange": {"FromPort": 80, "ToPort": 90},
            });
            for (name, value) in more.as_object().unwrap() {
                request[name] = value.clone();
            }
            request
        };
        let request = rule(&s.filter, &json!({}));
        let made = s.world.ok("CreateTrafficMirrorFilterRule", request.clone());
        let id = text(&made, "TrafficMirrorFilterRule.TrafficMirrorFilterRuleId");
        let code = s.world.err("CreateTrafficMirrorFilterRule", request);
        assert_eq!(code, "TrafficMirrorFilterRuleAlreadyExists");
        let egress = rule(&s.filter, &json!({"TrafficDirection": "egress"}));
        s.world.ok("CreateTrafficMirrorFilterRule", egress);
        for (more, code) in [
            (json!({"RuleNumber": 0}), "InvalidParameterValue"),
            (
                json!({"RuleNumber": 11, "Protocol": 256}),
                "InvalidParameterValue",
            ),
            (
                json!({"RuleNumber": 11, "Protocol": 1}),
                "InvalidParameterCombination",
            ),
            (
                json!({"RuleNumber": 11, "SourceCidrBlock": "::/0"}),
                "InvalidParameterValue",
            ),
            (
                json!({"RuleNumber": 11, "SourceCidrBlock": "x"}),
                "InvalidParameterValue",
            ),
            (
                json!({"RuleNumber": 11, "SourcePortRange": {"FromPort": 9, "ToPort": 8}}),
                "InvalidParameterValue",
            ),
            (
                json!({"RuleNumber": 11, "SourcePortRange": {"FromPort": 9}}),
                "MissingParameter",
            ),
        ] {
            let request = rule(&s.filter, &more);
            let found = s.world.err("CreateTrafficMirrorFilterRule", request);
            assert_eq!(found, code, "{more}");
        }
        let change = json!({
            "TrafficMirrorFilterRuleId": id, "RuleAction": "reject",
            "RemoveFields": ["destination-port-range", "protocol"],
        });
        s.world.ok("ModifyTrafficMirrorFilterRule", change);
        let of_filter = json!({"TrafficMirrorFilterId": s.filter, "Filters": [{"Name": "rule-action", "Values": ["reject"]}]});
        let shown = s.world.ok("DescribeTrafficMirrorFilterRules", of_filter);
        assert_eq!(count(&shown, "TrafficMirrorFilterRules"), 1);
        let services =
            json!({"TrafficMirrorFilterId": s.filter, "AddNetworkServices": ["amazon-dns"]});
        let reply = s
            .world
            .ok("ModifyTrafficMirrorFilterNetworkServices", services);
        assert_eq!(
            text(&reply, "TrafficMirrorFilter.NetworkServices.0"),
            "amazon-dns"
        );
        assert_eq!(count(&reply, "TrafficMirrorFilter.IngressFilterRules"), 1);
        assert_eq!(count(&reply, "TrafficMirrorFilter.EgressFilterRules"), 1);
        let one = json!({"TrafficMirrorFilterRuleId": id});
        s.world.ok("DeleteTrafficMirrorFilterRule", one.clone());
        let code = s.world.err("DeleteTrafficMirrorFilterRule", one);
        assert_eq!(code, "InvalidTrafficMirrorFilterRuleId.NotFound");
        let filter = json!({"TrafficMirrorFilterId": s.filter});
        s.world.ok("DeleteTrafficMirrorFilter", filter);
        let none = s.world.ok("DescribeTrafficMirrorFilterRules", json!({}));
        assert_eq!(count(&none, "TrafficMirrorFilterRules"), 0);
    }

    #[test]
    fn targets() {
        let mut s = scene();
        let balancer = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/a/0123456789abcdef";
        for (request, code) in [
            (json!({}), "MissingParameter"),
            (
                json!({"NetworkLoadBalancerArn": "x"}),
                "InvalidParameterValue",
            ),
            (
                json!({"NetworkLoadBalancerArn": balancer, "NetworkInterfaceId": s.interfaces[1]}),
                "InvalidParameterCombination",
            ),
            (
                json!({"NetworkInterfaceId": s.interfaces[0]}),
                "InvalidParameterValue",
            ),
        ] {
            let found = s.world.err("CreateTrafficMirrorTarget", request.clone());
            assert_eq!(found, code, "{request}");
        }
        let request = json!({"NetworkLoadBalancerArn": balancer});
        let made = s.world.ok("CreateTrafficMirrorTarget", request);
        assert_eq!(
            text(&made, "TrafficMirrorTarget.Type"),
            "network-load-balancer"
        );
        let filters =
            json!({"Filters": [{"Name": "network-load-balancer-arn", "Values": [balancer]}]});
        let some = s.world.ok("DescribeTrafficMirrorTargets", filters);
        assert_eq!(count(&some, "TrafficMirrorTargets"), 1);
    }
}
