//! A change as a call of EC2's API, and as a line for a shell.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value, json};
use types::{Cidr, proto};

/// A call of EC2's API.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Call {
    /// The action: `AuthorizeSecurityGroupIngress`.
    pub action: &'static str,
    /// Its parameters, as an SDK takes them. A string `$name` stands for what an earlier call saved.
    pub parameters: Value,
    /// What later calls need of the reply: a name, and the member's path in the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save: Option<Save>,
    /// The same for a shell with the AWS CLI.
    pub command: String,
}

/// A part of a reply that later calls name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Save {
    /// By which name, without the `$`.
    pub name: String,
    /// Which part, as the AWS CLI's `--query` has it: `Addresses[0].PublicIp`.
    pub path: &'static str,
}

impl Call {
    /// Replaces an address that nobody knows yet by the name of what an earlier call saved.
    pub(crate) fn rename(&mut self, address: IpAddr, name: &str) {
        let known = format!("{address}/");
        rename_in(&mut self.parameters, &known, &format!("${name}/"));
        // Within single quotes a shell replaces nothing.
        let quoted = if self.command.contains('\'') {
            format!("'\"${name}\"'/")
        } else {
            format!("\"${name}\"/")
        };
        self.command = self.command.replace(&known, &quoted);
    }
}

fn rename_in(value: &mut Value, known: &str, name: &str) {
    match value {
        Value::String(text) => {
            if let Some(rest) = text.strip_prefix(known) {
                *text = format!("{name}{rest}");
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| rename_in(item, known, name)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| rename_in(member, known, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Builds both forms of a call side by side.
pub(crate) struct Draft {
    action: &'static str,
    parameters: Map<String, Value>,
    command: String,
}

/// `CreateRoute`: `create-route`.
fn kebab(action: &str) -> String {
    let mut text = String::new();
    for letter in action.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

impl Draft {
    pub(crate) fn new(action: &'static str) -> Draft {
        Draft {
            action,
            parameters: Map::new(),
            command: format!("aws ec2 {}", kebab(action)),
        }
    }

    /// A parameter that is text or a number.
    pub(crate) fn with(self, name: &str, value: &(impl Serialize + ToString)) -> Draft {
        let plain = value.to_string();
        let quoted = if plain.starts_with('$') {
            format!("\"{plain}\"")
        } else {
            plain
        };
        let option = format!("--{} {quoted}", kebab(name));
        self.also(name, json!(value), &option)
    }

    /// A parameter whose option on the command line has another form.
    pub(crate) fn also(mut self, name: &str, value: Value, option: &str) -> Draft {
        self.parameters.insert(name.to_owned(), value);
        self.option(option)
    }

    pub(crate) fn option(mut self, option: &str) -> Draft {
        if !option.is_empty() {
            self.command.push(' ');
            self.command.push_str(option);
        }
        self
    }

    pub(crate) fn call(self) -> Call {
        Call {
            action: self.action,
            parameters: Value::Object(self.parameters),
            save: None,
            command: self.command,
        }
    }

    /// A call of whose reply a part gets a name.
    pub(crate) fn saving(self, name: &str, path: &'static str) -> Call {
        let command = format!("{name}=$({} --query '{path}' --output text)", self.command);
        Call {
            save: Some(Save {
                name: name.to_owned(),
                path,
            }),
            command,
            ..self.call()
        }
    }
}

/// Which packets a new rule shall be for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Service {
    pub(crate) protocol: u8,
    /// The destination ports, of TCP and UDP.
    pub(crate) ports: (u16, u16),
    /// Type and code, of ICMP and ICMPv6.
    pub(crate) icmp: Option<(u8, u8)>,
}

impl Service {
    fn name(self) -> String {
        match self.protocol {
            proto::TCP => "tcp".to_owned(),
            proto::UDP => "udp".to_owned(),
            proto::ICMP => "icmp".to_owned(),
            proto::ICMPV6 => "icmpv6".to_owned(),
            other => other.to_string(),
        }
    }

    fn bounds(self) -> Option<(u16, u16)> {
        match (self.protocol, self.icmp) {
            (proto::TCP | proto::UDP, _) => Some(self.ports),
            (_, Some((kind, code))) => Some((kind.into(), code.into())),
            (_, None) => None,
        }
    }
}

/// The other end of a new rule of a security group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Block(Cidr),
    Group(types::GroupId),
}

/// `AuthorizeSecurityGroupIngress` or `…Egress`.
pub(crate) fn authorize(group: types::GroupId, inbound: bool, service: Service, end: End) -> Call {
    let action = if inbound {
        "AuthorizeSecurityGroupIngress"
    } else {
        "AuthorizeSecurityGroupEgress"
    };
    let mut permission = Map::new();
    permission.insert("IpProtocol".to_owned(), json!(service.name()));
    if let Some((from, to)) = service.bounds() {
        permission.insert("FromPort".to_owned(), json!(from));
        permission.insert("ToPort".to_owned(), json!(to));
    }
    let (member, ranges) = match end {
        End::Block(cidr) if cidr.is_v4() => ("IpRanges", json!([{"CidrIp": cidr}])),
        End::Block(cidr) => ("Ipv6Ranges", json!([{"CidrIpv6": cidr}])),
        End::Group(id) => ("UserIdGroupPairs", json!([{"GroupId": id}])),
    };
    permission.insert(member.to_owned(), ranges);
    let permissions = json!([permission]);
    let draft = Draft::new(action).with("GroupId", &group);
    // The short form knows TCP and UDP, IPv4 and groups.
    let short = match (service.protocol, end) {
        (proto::TCP | proto::UDP, End::Block(cidr)) if cidr.is_v4() => {
            Some(format!("--cidr {cidr}"))
        }
        (proto::TCP | proto::UDP, End::Group(id)) => Some(format!("--source-group {id}")),
        (_, End::Block(_) | End::Group(_)) => None,
    };
    let option = match short {
        Some(end) => {
            let (from, to) = service.ports;
            let ports = if from == to {
                from.to_string()
            } else {
                format!("{from}-{to}")
            };
            format!("--protocol {} --port {ports} {end}", service.name())
        }
        None => format!("--ip-permissions '{permissions}'"),
    };
    draft.also("IpPermissions", permissions, &option).call()
}

/// An entry of a network ACL: `CreateNetworkAclEntry` or `ReplaceNetworkAclEntry`.
pub(crate) fn acl_entry(
    create: bool,
    acl: types::AclId,
    inbound: bool,
    entry: &topology::AclEntry,
) -> Call {
    use topology::{IcmpMatch, ProtocolMatch};
    let draft = Draft::new(if create {
        "CreateNetworkAclEntry"
    } else {
        "ReplaceNetworkAclEntry"
    })
    .with("NetworkAclId", &acl)
    .with("RuleNumber", &entry.number);
    let (number, ports, icmp) = match entry.protocol {
        ProtocolMatch::Any => (None, None, None),
        ProtocolMatch::Ports(number, ports) => (Some(number), Some(ports), None),
        ProtocolMatch::Icmp(number, IcmpMatch { kind, code }) => {
            let wanted = |part: Option<u8>| part.map_or(-1, i64::from);
            (Some(number), None, Some((wanted(kind), wanted(code))))
        }
        ProtocolMatch::Number(number) => (Some(number), None, None),
    };
    let protocol = number.map_or("-1".to_owned(), |number| number.to_string());
    let option = format!("--protocol {protocol}");
    let draft = draft.also("Protocol", json!(protocol), &option);
    let draft = match ports {
        Some(ports) => draft.also(
            "PortRange",
            json!({"From": ports.first(), "To": ports.last()}),
            &format!("--port-range From={},To={}", ports.first(), ports.last()),
        ),
        None => draft,
    };
    let draft = match icmp {
        Some((kind, code)) => draft.also(
            "IcmpTypeCode",
            json!({"Type": kind, "Code": code}),
            &format!("--icmp-type-code Type={kind},Code={code}"),
        ),
        None => draft,
    };
    let draft = if entry.cidr.is_v4() {
        draft.with("CidrBlock", &entry.cidr)
    } else {
        draft.with("Ipv6CidrBlock", &entry.cidr)
    };
    let action = if entry.allow { "allow" } else { "deny" };
    let side = if inbound { "--ingress" } else { "--egress" };
    draft
        .also(
            "RuleAction",
            json!(action),
            &format!("--rule-action {action}"),
        )
        .also("Egress", json!(!inbound), side)
        .call()
}
