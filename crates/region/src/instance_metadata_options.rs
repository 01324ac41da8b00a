//! The options of instances' metadata service, and an account's defaults for them.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::InstanceId;

use crate::account::{Account, AccountKey};
use crate::dispatch::actions;
use crate::instance_options::{ENABLED, TOKENS, either, invalid, word};
use crate::instance_options_change::{DONE, Done, to_change};
use crate::{Context, Tx};

actions! {
    "GetInstanceMetadataDefaults" => get_instance_metadata_defaults, Control;
    "ModifyInstanceMetadataDefaults" => modify_instance_metadata_defaults, Recorded;
    "ModifyInstanceMetadataOptions" => modify_instance_metadata_options, Recorded;
}

/// The options of an instance's metadata service. What is `None` was not chosen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataOptions {
    /// Whether requests need a session's token.
    pub tokens_required: Option<bool>,
    /// How many hops its answers may go, 1 to 64.
    pub hop_limit: Option<u32>,
    /// Whether it answers at all.
    pub enabled: Option<bool>,
    /// Whether it answers over IPv6.
    pub ipv6: Option<bool>,
    /// Whether it tells the instance's tags.
    pub tags: Option<bool>,
    /// Of an account's defaults only: whether launches must require tokens.
    pub tokens_enforced: Option<bool>,
}

/// `MetadataOptions` of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct MetadataOptionsRequest {
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<i64>,
    http_endpoint: Option<String>,
    http_protocol_ipv6: Option<String>,
    instance_metadata_tags: Option<String>,
}

fn hop_limit(number: Option<i64>) -> Result<Option<u32>, ApiError> {
    number
        .map(|number| {
            u32::try_from(number)
                .ok()
                .filter(|limit| (1..=64).contains(limit))
                .ok_or_else(|| invalid("HttpPutResponseHopLimit", &number))
        })
        .transpose()
}

impl MetadataOptionsRequest {
    pub(crate) fn read(self) -> Result<MetadataOptions, ApiError> {
        let is_enabled = |name, value: &Option<String>| either(name, value.as_deref(), ENABLED);
        Ok(MetadataOptions {
            tokens_required: either("HttpTokens", self.http_tokens.as_deref(), TOKENS)?,
            hop_limit: hop_limit(self.http_put_response_hop_limit)?,
            enabled: is_enabled("HttpEndpoint", &self.http_endpoint)?,
            ipv6: is_enabled("HttpProtocolIpv6", &self.http_protocol_ipv6)?,
            tags: is_enabled("InstanceMetadataTags", &self.instance_metadata_tags)?,
            tokens_enforced: None,
        })
    }
}

/// `MetadataOptions` of a reply.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetadataOptionsReply {
    pub(crate) state: &'static str,
    pub(crate) http_tokens: &'static str,
    pub(crate) http_put_response_hop_limit: u32,
    pub(crate) http_endpoint: &'static str,
    pub(crate) http_protocol_ipv6: &'static str,
    pub(crate) instance_metadata_tags: &'static str,
}

impl MetadataOptions {
    /// These where they are chosen, else those.
    pub(crate) fn or(self, other: MetadataOptions) -> MetadataOptions {
        MetadataOptions {
            tokens_required: self.tokens_required.or(other.tokens_required),
            hop_limit: self.hop_limit.or(other.hop_limit),
            enabled: self.enabled.or(other.enabled),
            ipv6: self.ipv6.or(other.ipv6),
            tags: self.tags.or(other.tags),
            tokens_enforced: self.tokens_enforced.or(other.tokens_enforced),
        }
    }

    pub(crate) fn reply(&self) -> MetadataOptionsReply {
        MetadataOptionsReply {
            state: "applied",
            http_tokens: word(self.tokens_required.unwrap_or(false), TOKENS),
            http_put_response_hop_limit: self.hop_limit.unwrap_or(1),
            http_endpoint: word(self.enabled.unwrap_or(true), ENABLED),
            http_protocol_ipv6: word(self.ipv6.unwrap_or(false), ENABLED),
            instance_metadata_tags: word(self.tags.unwrap_or(false), ENABLED),
        }
    }
}

/// `ModifyInstanceMetadataOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceMetadataOptionsRequest {
    instance_id: String,
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<i64>,
    http_endpoint: Option<String>,
    http_protocol_ipv6: Option<String>,
    instance_metadata_tags: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInstanceMetadataOptionsReply {
    instance_id: InstanceId,
    instance_metadata_options: MetadataOptionsReply,
}

pub(crate) fn modify_instance_metadata_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceMetadataOptionsRequest,
) -> Result<ModifyInstanceMetadataOptionsReply, ApiError> {
    let mut instance = to_change(tx, ctx, &req.instance_id)?;
    let new = MetadataOptionsRequest {
        http_tokens: req.http_tokens,
        http_put_response_hop_limit: req.http_put_response_hop_limit,
        http_endpoint: req.http_endpoint,
        http_protocol_ipv6: req.http_protocol_ipv6,
        instance_metadata_tags: req.instance_metadata_tags,
    }
    .read()?;
    if new == MetadataOptions::default() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "At least one metadata option must be specified",
        ));
    }
    instance.options.metadata = new.or(instance.options.metadata);
    // EC2 answers before it has applied them.
    let mut shown = instance.options.metadata.reply();
    shown.state = "pending";
    let instance_id = instance.id;
    tx.put(instance);
    Ok(ModifyInstanceMetadataOptionsReply {
        instance_id,
        instance_metadata_options: shown,
    })
}

/// The client's account in its region.
pub(crate) fn account(tx: &Tx, ctx: &Context<'_>) -> Option<Account> {
    let key = AccountKey {
        account: ctx.account,
        region: ctx.region.clone(),
    };
    tx.get::<Account>(&key).cloned()
}

/// The account's defaults.
pub(crate) fn defaults(tx: &Tx, ctx: &Context<'_>) -> MetadataOptions {
    account(tx, ctx)
        .map(|account| account.metadata_defaults)
        .unwrap_or_default()
}

/// `GetInstanceMetadataDefaults`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetInstanceMetadataDefaultsRequest {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetInstanceMetadataDefaultsReply {
    account_level: AccountLevel,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountLevel {
    http_tokens: Option<&'static str>,
    http_put_response_hop_limit: Option<u32>,
    http_endpoint: Option<&'static str>,
    instance_metadata_tags: Option<&'static str>,
    http_tokens_enforced: Option<&'static str>,
    managed_by: &'static str,
}

pub(crate) fn get_instance_metadata_defaults(
    tx: &mut Tx,
    ctx: &Context<'_>,
    _: GetInstanceMetadataDefaultsRequest,
) -> Result<GetInstanceMetadataDefaultsReply, ApiError> {
    let defaults = defaults(tx, ctx);
    Ok(GetInstanceMetadataDefaultsReply {
        account_level: AccountLevel {
            http_tokens: defaults.tokens_required.map(|value| word(value, TOKENS)),
            http_put_response_hop_limit: defaults.hop_limit,
            http_endpoint: defaults.enabled.map(|value| word(value, ENABLED)),
            instance_metadata_tags: defaults.tags.map(|value| word(value, ENABLED)),
            http_tokens_enforced: defaults.tokens_enforced.map(|value| word(value, ENABLED)),
            managed_by: "account",
        },
    })
}

/// `ModifyInstanceMetadataDefaults`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceMetadataDefaultsRequest {
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<i64>,
    http_endpoint: Option<String>,
    instance_metadata_tags: Option<String>,
    http_tokens_enforced: Option<String>,
}

/// Sets defaults of the account; `no-preference`, or -1 for the hop limit, takes one back.
pub(crate) fn modify_instance_metadata_defaults(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceMetadataDefaultsRequest,
) -> Result<Done, ApiError> {
    let mut account = account(tx, ctx).ok_or_else(|| ApiError::internal("no account"))?;
    let defaults = &mut account.metadata_defaults;
    let set = |slot: &mut Option<bool>, name: &str, value: Option<&str>, words| {
        match value {
            None => {}
            Some("no-preference") => *slot = None,
            Some(_) => *slot = either(name, value, words)?,
        }
        Ok::<(), ApiError>(())
    };
    set(
        &mut defaults.tokens_required,
        "HttpTokens",
        req.http_tokens.as_deref(),
        TOKENS,
    )?;
    set(
        &mut defaults.enabled,
        "HttpEndpoint",
        req.http_endpoint.as_deref(),
        ENABLED,
    )?;
    set(
        &mut defaults.tags,
        "InstanceMetadataTags",
        req.instance_metadata_tags.as_deref(),
        ENABLED,
    )?;
    set(
        &mut defaults.tokens_enforced,
        "HttpTokensEnforced",
        req.http_tokens_enforced.as_deref(),
        ENABLED,
    )?;
    match req.http_put_response_hop_limit {
        None => {}
        Some(-1) => defaults.hop_limit = None,
        number => defaults.hop_limit = hop_limit(number)?,
    }
    tx.put(account);
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{World, at, text};

    fn run(world: &mut World, extra: &Value) -> String {
        let mut request = json!({"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1});
        for (name, value) in extra.as_object().unwrap() {
            request[name] = value.clone();
        }
        let made = world.ok("RunInstances", request);
        text(&made, "Instances.0.InstanceId")
    }

    fn shown(world: &mut World, id: &str, path: &str) -> String {
        let reply = world.ok("DescribeInstances", json!({"InstanceIds": [id]}));
        text(&reply, &format!("Reservations.0.Instances.0.{path}"))
    }

    #[test]
    fn the_accounts_defaults_of_metadata() {
        let mut world = World::new();
        let set = json!({"HttpTokens": "required", "HttpPutResponseHopLimit": 3, "HttpTokensEnforced": "enabled"});
        world.ok("ModifyInstanceMetadataDefaults", set);
        let id = run(
            &mut world,
            &json!({"MetadataOptions": {"HttpPutResponseHopLimit": 5}}),
        );
        assert_eq!(
            shown(&mut world, &id, "MetadataOptions.HttpTokens"),
            "required"
        );
        assert_eq!(
            shown(&mut world, &id, "MetadataOptions.HttpPutResponseHopLimit"),
            "5"
        );
        let launch = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1,
            "MetadataOptions": {"HttpTokens": "optional"}});
        assert_eq!(world.err("RunInstances", launch), "UnsupportedOperation");
        let back = json!({"HttpTokens": "no-preference", "HttpPutResponseHopLimit": -1, "HttpTokensEnforced": "disabled"});
        world.ok("ModifyInstanceMetadataDefaults", back);
        let reply = world.ok("GetInstanceMetadataDefaults", json!({}));
        assert_eq!(text(&reply, "AccountLevel.HttpTokensEnforced"), "disabled");
        let api::Value::Structure(level) = at(&reply, "AccountLevel") else {
            panic!("no structure")
        };
        assert!(
            !level.contains_key("HttpTokens") && !level.contains_key("HttpPutResponseHopLimit")
        );
        assert_eq!(
            world.err("ModifyInstanceMetadataDefaults", json!({"HttpTokens": "x"})),
            "InvalidParameterValue"
        );
    }
}
