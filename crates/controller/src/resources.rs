//! Which resources a request is about, as policies name them, and what policies may ask of each.
//!
//! They follow from the request's parameters: every id of a resource is that resource, and a create is also about what
//! it creates ("Service Authorization Reference", Amazon EC2). What the reference leaves out is left out here: a route's
//! target, the groups that a rule names. What a request names otherwise (a group by its name, an address by itself, an
//! association) is looked up, so that no way around a policy leads through another name.

use std::collections::BTreeMap;

use api::Value;
use region::{Key, State};
use types::{AccountId, RegionName};

/// A resource of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resource {
    /// Its ARN; `*` where an action has none.
    pub(crate) arn: String,
    /// Context keys that it has besides the request's own.
    pub(crate) keys: BTreeMap<String, Vec<String>>,
}

impl Resource {
    /// A resource of which nothing else is known.
    pub(crate) fn plain(arn: &str) -> Resource {
        Resource {
            arn: arn.to_owned(),
            keys: BTreeMap::new(),
        }
    }
}

/// What begins the ids of a type, and the type as ARNs have it.
const TYPES: [(&str, &str); 59] = [
    ("acl", "network-acl"),
    ("ami", "image"),
    ("cagw", "carrier-gateway"),
    ("cgw", "customer-gateway"),
    ("cr", "capacity-reservation"),
    ("dopt", "dhcp-options"),
    ("eice", "instance-connect-endpoint"),
    ("eigw", "egress-only-internet-gateway"),
    ("eipalloc", "elastic-ip"),
    ("eni", "network-interface"),
    ("fl", "vpc-flow-log"),
    ("h", "dedicated-host"),
    ("i", "instance"),
    ("igw", "internet-gateway"),
    ("ipam", "ipam"),
    ("ipam-pool", "ipam-pool"),
    ("ipam-res-disco", "ipam-resource-discovery"),
    (
        "ipam-res-disco-assoc",
        "ipam-resource-discovery-association",
    ),
    ("ipam-scope", "ipam-scope"),
    ("key", "key-pair"),
    ("lgw", "local-gateway"),
    ("lgw-rtb", "local-gateway-route-table"),
    ("lt", "launch-template"),
    ("nat", "natgateway"),
    ("nia", "network-insights-analysis"),
    ("nip", "network-insights-path"),
    ("nis", "network-insights-access-scope"),
    ("nisa", "network-insights-access-scope-analysis"),
    ("pcx", "vpc-peering-connection"),
    ("pg", "placement-group"),
    ("pl", "prefix-list"),
    ("rtb", "route-table"),
    ("scr", "subnet-cidr-reservation"),
    ("sg", "security-group"),
    ("sgr", "security-group-rule"),
    ("snap", "snapshot"),
    ("subnet", "subnet"),
    ("tgw", "transit-gateway"),
    ("tgw-attach", "transit-gateway-attachment"),
    ("tgw-connect-peer", "transit-gateway-connect-peer"),
    ("tgw-mcast-domain", "transit-gateway-multicast-domain"),
    ("tgw-ptb", "transit-gateway-policy-table"),
    ("tgw-rtb", "transit-gateway-route-table"),
    ("tgw-rtb-ann", "transit-gateway-route-table-announcement"),
    ("tmf", "traffic-mirror-filter"),
    ("tmfr", "traffic-mirror-filter-rule"),
    ("tms", "traffic-mirror-session"),
    ("tmt", "traffic-mirror-target"),
    ("vae", "verified-access-endpoint"),
    ("vagr", "verified-access-group"),
    ("vai", "verified-access-instance"),
    ("vgw", "vpn-gateway"),
    ("vol", "volume"),
    ("vpc", "vpc"),
    ("vpcbpa-exclude", "vpc-block-public-access-exclusion"),
    ("vpce", "vpc-endpoint"),
    ("vpce-nsf", "vpc-endpoint-connection-notification"),
    ("vpce-svc", "vpc-endpoint-service"),
    ("vpn", "vpn-connection"),
];

/// Creates whose type has another name than the action says.
const CREATES: [(&str, &[&str]); 13] = [
    ("AllocateAddress", &["elastic-ip"]),
    ("AllocateIpamPoolCidr", &["ipam-pool"]),
    ("CreateDefaultSubnet", &["subnet"]),
    ("CreateDefaultVpc", &["vpc"]),
    ("CreateFlowLogs", &["vpc-flow-log"]),
    ("CreateManagedPrefixList", &["prefix-list"]),
    ("CreateNatGateway", &["natgateway"]),
    (
        "CreateVpcEndpointServiceConfiguration",
        &["vpc-endpoint-service"],
    ),
    (
        "CreateTransitGatewayVpcAttachment",
        &["transit-gateway-attachment"],
    ),
    (
        "CreateTransitGatewayPeeringAttachment",
        &["transit-gateway-attachment"],
    ),
    (
        "CreateTransitGatewayConnect",
        &["transit-gateway-attachment"],
    ),
    ("ImportKeyPair", &["key-pair"]),
    ("RunInstances", &["instance", "network-interface"]),
];

/// Actions on a route table's routes: its targets are no resources of theirs.
const ROUTES: [&str; 3] = ["CreateRoute", "DeleteRoute", "ReplaceRoute"];
/// Parameters that are text of the client's own, whatever it looks like.
const TEXT: [&str; 7] = [
    "ClientToken",
    "Description",
    "DryRun",
    "KeyName",
    "NextToken",
    "TagSpecifications",
    "UserData",
];

/// Actions on a group's rules: the groups and lists that a rule names are no resources of theirs.
fn is_of_rules(action: &str) -> bool {
    action.starts_with("AuthorizeSecurityGroup")
        || action.starts_with("RevokeSecurityGroup")
        || action.starts_with("UpdateSecurityGroupRuleDescriptions")
        || action == "ModifySecurityGroupRules"
}

/// What must be allowed for a request to EC2: action and resource, each of them.
pub(crate) fn of_ec2(
    state: &State,
    account: AccountId,
    region: &RegionName,
    action: &str,
    input: &Value,
) -> Vec<(String, Resource)> {
    let asked = Asked {
        state,
        account,
        region,
        action,
        input,
    };
    let mut wanted: Vec<(String, Resource)> = asked
        .resources()
        .into_iter()
        .map(|resource| (format!("ec2:{action}"), resource))
        .collect();
    // Tags on what is created are `CreateTags` on it, with the creating action as a context key.
    for (kind, tags) in &asked.specified() {
        let mut resource = asked.made(kind);
        tag_keys(&mut resource.keys, tags);
        set(&mut resource.keys, "ec2:CreateAction", action);
        wanted.push(("ec2:CreateTags".to_owned(), resource));
    }
    wanted
}

/// What must be allowed for a request to another service, of which only the ids of hosted zones are known.
pub(crate) fn of_other(service: &str, action: &str, input: &Value) -> Vec<(String, Resource)> {
    let zone = ["HostedZoneId", "Id"]
        .iter()
        .find_map(|name| input.get(name).and_then(Value::as_str))
        .map(|id| id.rsplit('/').next().unwrap_or_default());
    let arn = match zone {
        Some(id) if service == "route53" && id.starts_with('Z') => {
            format!("arn:aws:route53:::hostedzone/{id}")
        }
        _ => "*".to_owned(),
    };
    vec![(format!("{service}:{action}"), Resource::plain(&arn))]
}

struct Asked<'a> {
    state: &'a State,
    account: AccountId,
    region: &'a RegionName,
    action: &'a str,
    input: &'a Value,
}

impl Asked<'_> {
    fn resources(&self) -> Vec<Resource> {
        let is_list = self.action.starts_with("Describe") && !self.action.ends_with("Attribute");
        if is_list {
            return vec![Resource::plain("*")];
        }
        let mut ids = Vec::new();
        let nested = !is_of_rules(self.action);
        collect(self.input, nested, &mut ids);
        self.named_otherwise(&mut ids);
        ids.sort();
        ids.dedup();
        let mut found: Vec<Resource> = ids
            .iter()
            .filter_map(|id| Some((id, type_of(id)?)))
            .filter(|(_, kind)| !ROUTES.contains(&self.action) || *kind == "route-table")
            .filter(|(_, kind)| nested || *kind == "security-group")
            .map(|(id, kind)| self.existing(id, kind))
            .collect();
        let specified = self.specified();
        for kind in self.created() {
            let mut resource = self.made(&kind);
            if let Some(tags) = specified.get(&kind) {
                tag_keys(&mut resource.keys, tags);
            }
            found.push(resource);
        }
        if ["CreateTags", "DeleteTags"].contains(&self.action) {
            let tags = tags_of(self.input);
            for resource in &mut found {
                tag_keys(&mut resource.keys, &tags);
            }
        }
        if found.is_empty() {
            found.push(Resource::plain("*"));
        }
        found
    }

    /// The types that the action creates.
    fn created(&self) -> Vec<String> {
        if let Some((_, kinds)) = CREATES.iter().find(|(name, _)| *name == self.action) {
            return kinds.iter().map(|kind| (*kind).to_owned()).collect();
        }
        let kind = self.action.strip_prefix("Create").map(kebab);
        let known = kind.filter(|kind| TYPES.iter().any(|(_, known)| known == kind));
        known.into_iter().collect()
    }

    /// The tags of `TagSpecifications`, by type.
    fn specified(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut by_type: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for name in ["TagSpecifications", "TagSpecification"] {
            let Some(Value::List(specifications)) = self.input.get(name) else {
                continue;
            };
            for specification in specifications {
                let kind = specification.get("ResourceType").and_then(Value::as_str);
                let tags = tags_of(specification);
                if let Some(kind) = kind.filter(|_| !tags.is_empty()) {
                    by_type.entry(kind.to_owned()).or_default().extend(tags);
                }
            }
        }
        by_type
    }

    /// Something that the request makes, whose id nobody knows yet.
    fn made(&self, kind: &str) -> Resource {
        let mut resource = Resource::plain(&self.arn(self.account, kind, "*"));
        let text = |name: &str| self.input.get(name).and_then(Value::as_str);
        let vpc = text("VpcId").map(str::to_owned).or_else(|| {
            let subnet = self.state.subnets.get(&text("SubnetId")?.parse().ok()?)?;
            Some(subnet.vpc.to_string())
        });
        if let Some(vpc) = vpc.filter(|_| kind != "vpc") {
            set(
                &mut resource.keys,
                "ec2:Vpc",
                &self.arn(self.account, "vpc", &vpc),
            );
        }
        if kind == "instance"
            && let Some(instance_type) = text("InstanceType")
        {
            set(&mut resource.keys, "ec2:InstanceType", instance_type);
        }
        resource
    }

    /// Something that has an id, whether it is there or not.
    fn existing(&self, id: &str, kind: &str) -> Resource {
        let facts = region::facts(self.state, id);
        let owner = facts.as_ref().map_or(self.account, |facts| facts.account);
        let mut resource = Resource::plain(&self.arn(owner, kind, id));
        for (key, value) in facts.iter().flat_map(|facts| &facts.tags.0) {
            for name in ["aws:ResourceTag", "ec2:ResourceTag"] {
                set(&mut resource.keys, &format!("{name}/{key}"), value);
            }
        }
        if let Some(vpc) = self.vpc_of(id) {
            set(&mut resource.keys, "ec2:Vpc", &self.arn(owner, "vpc", &vpc));
        }
        resource
    }

    fn vpc_of(&self, id: &str) -> Option<String> {
        let state = self.state;
        let vpc = None
            .or_else(|| Some(state.subnets.get(&id.parse().ok()?)?.vpc))
            .or_else(|| Some(state.security_groups.get(&id.parse().ok()?)?.vpc))
            .or_else(|| Some(state.interfaces.get(&id.parse().ok()?)?.vpc))
            .or_else(|| Some(state.route_tables.get(&id.parse().ok()?)?.vpc))
            .or_else(|| Some(state.network_acls.get(&id.parse().ok()?)?.vpc))
            .or_else(|| Some(state.instances.get(&id.parse().ok()?)?.vpc));
        vpc.map(|vpc| vpc.to_string())
    }

    fn arn(&self, owner: AccountId, kind: &str, id: &str) -> String {
        let region = self.region;
        // Images and snapshots have no account in their ARNs.
        if ["image", "snapshot"].contains(&kind) {
            format!("arn:aws:ec2:{region}::{kind}/{id}")
        } else {
            format!("arn:aws:ec2:{region}:{owner}:{kind}/{id}")
        }
    }

    /// What the request means without naming its id.
    fn named_otherwise(&self, ids: &mut Vec<String>) {
        let state = self.state;
        let own = || Key::Owner(self.account, self.region.clone());
        for id in ids.clone() {
            if id.starts_with("rtbassoc-") {
                for subnet in state.subnets.by(own()) {
                    if let Some((association, table)) = &subnet.route_table
                        && association.to_string() == id
                    {
                        ids.extend([table.to_string(), subnet.id.to_string()]);
                    }
                }
                let main = state.vpcs.by(own());
                let main = main.filter(|vpc| vpc.main_association.to_string() == id);
                ids.extend(main.map(|vpc| vpc.main_route_table.to_string()));
            } else if id.starts_with("aclassoc-") {
                let with = state.subnets.by(own());
                for subnet in with.filter(|subnet| subnet.acl_association == id) {
                    ids.extend([subnet.acl.to_string(), subnet.id.to_string()]);
                }
            } else if id.starts_with("eipassoc-") {
                let with = state.addresses.by(own()).filter(|address| {
                    let association = address.association.as_ref();
                    association.is_some_and(|association| association.id.to_string() == id)
                });
                ids.extend(with.map(|address| address.id.to_string()));
            } else if id.starts_with("eni-attach-") {
                for interface in state.interfaces.by(own()) {
                    if let Some(attachment) = &interface.attachment
                        && attachment.id.to_string() == id
                    {
                        ids.extend([interface.id.to_string(), attachment.instance.to_string()]);
                    }
                }
            } else if id.starts_with("vpc-cidr-assoc-") {
                let with = state.vpcs.by(own());
                let with =
                    with.filter(|vpc| vpc.cidrs.iter().any(|cidr| cidr.id.to_string() == id));
                ids.extend(with.map(|vpc| vpc.id.to_string()));
            }
        }
        if let Some(Ok(public)) = self
            .input
            .get("PublicIp")
            .and_then(Value::as_str)
            .map(str::parse::<std::net::IpAddr>)
        {
            let with = state.addresses.by(own());
            let with = with.filter(|address| address.public == public);
            ids.extend(with.map(|address| address.id.to_string()));
        }
        let mut names = Vec::new();
        if self.action != "CreateSecurityGroup" {
            for name in ["GroupName", "GroupNames", "SecurityGroups"] {
                strings(self.input.get(name), &mut names);
            }
        }
        // Names count in one VPC; groups of that name in others are looked at too, which only refuses more.
        let groups = state.security_groups.by(own());
        let groups = groups.filter(|group| names.contains(&group.name));
        ids.extend(groups.map(|group| group.id.to_string()));
        if self.action == "RunInstances" {
            self.defaults(ids);
        }
    }

    /// Where instances go that name no subnet, and the groups of those that name none.
    fn defaults(&self, ids: &mut Vec<String>) {
        let state = self.state;
        let own = || Key::Owner(self.account, self.region.clone());
        let has = |ids: &[String], prefix: &str| ids.iter().any(|id| id.starts_with(prefix));
        if has(ids, "eni-") {
            return;
        }
        if !has(ids, "subnet-") {
            let subnets = state.subnets.by(own());
            let subnets = subnets.filter(|subnet| subnet.default_for_zone);
            ids.extend(subnets.map(|subnet| subnet.id.to_string()));
        }
        if !has(ids, "sg-") {
            let vpcs: Vec<String> = ids
                .iter()
                .filter(|id| id.starts_with("subnet-"))
                .filter_map(|id| self.vpc_of(id))
                .collect();
            let groups = state
                .security_groups
                .by(own())
                .filter(|group| group.name == "default" && vpcs.contains(&group.vpc.to_string()));
            ids.extend(groups.map(|group| group.id.to_string()));
        }
    }
}

fn set(keys: &mut BTreeMap<String, Vec<String>>, key: &str, value: &str) {
    keys.insert(key.to_owned(), vec![value.to_owned()]);
}

fn tag_keys(keys: &mut BTreeMap<String, Vec<String>>, tags: &BTreeMap<String, String>) {
    for (key, value) in tags {
        set(keys, &format!("aws:RequestTag/{key}"), value);
    }
    if !tags.is_empty() {
        keys.insert("aws:TagKeys".to_owned(), tags.keys().cloned().collect());
    }
}

/// The member `Tags`.
fn tags_of(value: &Value) -> BTreeMap<String, String> {
    let Some(Value::List(tags)) = value.get("Tags") else {
        return BTreeMap::new();
    };
    tags.iter()
        .filter_map(|tag| {
            let text = |name: &str| tag.get(name).and_then(Value::as_str).map(str::to_owned);
            Some((text("Key")?, text("Value").unwrap_or_default()))
        })
        .collect()
}

/// The texts in a request that have the form of an id: of its own members, or of all below them too.
fn collect(value: &Value, nested: bool, ids: &mut Vec<String>) {
    let below = |value: &Value| nested || !matches!(value, Value::Structure(_));
    if let Value::Structure(members) = value {
        for (name, member) in members {
            if !TEXT.contains(&name.as_str()) && below(member) {
                collect(member, nested, ids);
            }
        }
    } else if let Value::List(items) = value {
        for item in items.iter().filter(|item| below(item)) {
            collect(item, nested, ids);
        }
    } else if let Some(text) = value.as_str().filter(|text| is_id(text)) {
        ids.push(text.to_owned());
    }
}

fn strings(value: Option<&Value>, into: &mut Vec<String>) {
    let texts = match value {
        Some(Value::List(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    into.extend(texts.iter().filter_map(Value::as_str).map(str::to_owned));
}

/// `prefix-` and hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(prefix, digits)| {
        !prefix.is_empty()
            && digits.len() >= 8
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn type_of(id: &str) -> Option<&'static str> {
    let (prefix, _) = id.rsplit_once('-')?;
    let known = TYPES.iter().find(|(known, _)| *known == prefix);
    known.map(|(_, kind)| *kind)
}

/// `VpcPeeringConnection` as `vpc-peering-connection`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFIX: &str = "0123456789abcdef0";

    fn text(text: &str) -> Value {
        Value::String(text.replace('#', SUFFIX))
    }

    fn input(members: &[(&str, Value)]) -> Value {
        let members = members.iter();
        Value::Structure(
            members
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        )
    }

    fn arns(action: &str, members: &[(&str, Value)]) -> Vec<String> {
        let account = "111122223333".parse().unwrap();
        let region = "us-east-1".parse().unwrap();
        of_ec2(&State::default(), account, &region, action, &input(members))
            .into_iter()
            .map(|(action, resource)| {
                let arn = resource
                    .arn
                    .replace("arn:aws:ec2:us-east-1:111122223333:", "");
                format!(
                    "{} {}",
                    action.trim_start_matches("ec2:"),
                    arn.replace(SUFFIX, "#")
                )
            })
            .collect()
    }

    /// An action, its parameters, and the resources that it is about.
    type Case = (&'static str, Vec<(&'static str, Value)>, Vec<&'static str>);

    #[test]
    fn resources_follow_from_parameters() {
        let list = |items: Vec<Value>| Value::List(items);
        let cases: Vec<Case> = vec![
            (
                "DescribeVpcs",
                vec![("VpcIds", list(vec![text("vpc-#")]))],
                vec!["*"],
            ),
            (
                "DescribeVpcAttribute",
                vec![("VpcId", text("vpc-#"))],
                vec!["vpc/vpc-#"],
            ),
            (
                "CreateVpc",
                vec![("CidrBlock", text("10.0.0.0/16"))],
                vec!["vpc/*"],
            ),
            (
                "CreateSubnet",
                vec![("VpcId", text("vpc-#"))],
                vec!["vpc/vpc-#", "subnet/*"],
            ),
            (
                "CreateNatGateway",
                vec![("SubnetId", text("subnet-#"))],
                vec!["subnet/subnet-#", "natgateway/*"],
            ),
            (
                "CreateRoute",
                vec![
                    ("RouteTableId", text("rtb-#")),
                    ("GatewayId", text("igw-#")),
                ],
                vec!["route-table/rtb-#"],
            ),
            (
                "AuthorizeSecurityGroupIngress",
                vec![
                    ("GroupId", text("sg-#")),
                    (
                        "IpPermissions",
                        list(vec![input(&[("GroupId", text("sg-0123456789abcdef1"))])]),
                    ),
                ],
                vec!["security-group/sg-#"],
            ),
            (
                "CreateTags",
                vec![("Resources", list(vec![text("vpc-#"), text("subnet-#")]))],
                vec!["subnet/subnet-#", "vpc/vpc-#"],
            ),
            (
                "DeleteVpc",
                vec![("VpcId", text("vpc-#")), ("ClientToken", text("vpc-#1"))],
                vec!["vpc/vpc-#"],
            ),
            (
                "RunInstances",
                vec![
                    ("ImageId", text("ami-12345678")),
                    (
                        "NetworkInterfaces",
                        list(vec![input(&[("SubnetId", text("subnet-#"))])]),
                    ),
                ],
                vec![
                    "arn:aws:ec2:us-east-1::image/ami-12345678",
                    "subnet/subnet-#",
                    "instance/*",
                    "network-interface/*",
                ],
            ),
            (
                "ModifyVpcAttribute",
                vec![("VpcId", text("nonsense"))],
                vec!["*"],
            ),
        ];
        for (action, members, expected) in cases {
            let expected: Vec<String> = expected
                .iter()
                .map(|arn| format!("{action} {arn}"))
                .collect();
            assert_eq!(arns(action, &members), expected, "{action}");
        }
    }

    #[test]
    fn tags_on_create_are_create_tags() {
        let tag = input(&[("Key", text("team")), ("Value", text("blue"))]);
        let specification = input(&[
            ("ResourceType", text("subnet")),
            ("Tags", Value::List(vec![tag])),
        ]);
        let members = [
            ("VpcId", text("vpc-#")),
            ("TagSpecifications", Value::List(vec![specification])),
        ];
        assert_eq!(
            arns("CreateSubnet", &members),
            [
                "CreateSubnet vpc/vpc-#",
                "CreateSubnet subnet/*",
                "CreateTags subnet/*"
            ]
        );
        let region = "us-east-1".parse().unwrap();
        let wanted = of_ec2(
            &State::default(),
            AccountId::DEFAULT,
            &region,
            "CreateSubnet",
            &input(&members),
        );
        let key =
            |at: usize, name: &str| wanted[at].1.keys.get(name).map(|values| values.join(","));
        assert_eq!(
            key(0, "aws:RequestTag/team"),
            None,
            "the VPC is not created"
        );
        assert_eq!(key(1, "aws:RequestTag/team").as_deref(), Some("blue"));
        assert_eq!(key(1, "ec2:CreateAction"), None);
        assert_eq!(key(2, "ec2:CreateAction").as_deref(), Some("CreateSubnet"));
        assert_eq!(key(2, "aws:TagKeys").as_deref(), Some("team"));
        assert!(
            key(1, "ec2:Vpc")
                .unwrap()
                .ends_with(&format!("vpc/vpc-{SUFFIX}"))
        );
    }

    #[test]
    fn the_types_are_in_order_and_hosted_zones_have_arns() {
        assert!(TYPES.is_sorted_by_key(|(prefix, _)| prefix));
        let zone = |id: &str| of_other("route53", "GetHostedZone", &input(&[("Id", text(id))]));
        assert_eq!(
            zone("/hostedzone/Z1")[0].1.arn,
            "arn:aws:route53:::hostedzone/Z1"
        );
        assert_eq!(
            of_other("route53", "ListHostedZones", &Value::empty())[0]
                .1
                .arn,
            "*"
        );
    }
}
