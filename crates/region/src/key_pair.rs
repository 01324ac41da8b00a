//! Key pairs. The private key is told once, in the reply that makes it, and is stored nowhere.

use api::{ApiError, Blob};
use serde::{Deserialize, Serialize};
use types::{AccountId, KeyPairId, RegionName};

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::key_material::{self, KeyFormat, KeyType, RsaKey};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, quota};

actions! {
    "CreateKeyPair" => create_key_pair, Control;
    "DeleteKeyPair" => delete_key_pair, Control;
    "DescribeKeyPairs" => describe_key_pairs, Control;
    "ImportKeyPair" => import_key_pair, Control;
}

/// A key pair.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyPair {
    /// Its identifier.
    pub id: KeyPairId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Its name; no other one of the account in the region has it. 1 to 255 characters.
    pub name: String,
    /// The kind of its keys.
    pub key_type: KeyType,
    /// EC2's fingerprint of it.
    pub fingerprint: String,
    /// The public key as a line of `authorized_keys`.
    pub public_key: String,
    /// When it was made or imported.
    pub created: Timestamp,
}

resource!(KeyPair, "key-pair", |_this, keys| {}, |id| {
    resource::unknown_id(
        id,
        "key",
        "key pair ID",
        "InvalidKeyPair.NotFound",
        "InvalidKeyPairId.Malformed",
    )
});

/// The client's key pair of that name.
///
/// # Errors
/// `InvalidKeyPair.NotFound`.
pub(crate) fn by_name<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    name: &str,
) -> Result<&'t KeyPair, ApiError> {
    resource::own::<KeyPair>(tx, ctx)
        .find(|pair| pair.name == name)
        .ok_or_else(|| {
            ApiError::new(
                "InvalidKeyPair.NotFound",
                format!("The key pair '{name}' does not exist"),
            )
        })
}

/// EC2: "Up to 255 ASCII characters. The name can't include leading or trailing spaces."
fn check_new(tx: &Tx, ctx: &Context<'_>, name: &str) -> Result<(), ApiError> {
    const MAX: usize = 255;
    if name.is_empty() {
        return Err(resource::missing("KeyName"));
    }
    let plain = name.bytes().all(|b| (b' '..=b'~').contains(&b));
    if name.len() > MAX || !plain || name.trim() != name {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("Value ({name}) for parameter KeyName is invalid."),
        ));
    }
    let mut present = 0;
    for pair in resource::own::<KeyPair>(tx, ctx) {
        present += 1;
        if pair.name == name {
            return Err(ApiError::new(
                "InvalidKeyPair.Duplicate",
                "The keypair already exists",
            ));
        }
    }
    quota::KEY_PAIRS.one_more(tx, ctx, present)
}

/// `CreateKeyPair`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateKeyPairRequest {
    key_name: String,
    key_type: Option<String>,
    key_format: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateKeyPairReply {
    key_pair_id: KeyPairId,
    tags: Vec<Tag>,
    key_name: String,
    key_fingerprint: String,
    key_material: String,
}

fn invalid_value(parameter: &str, value: &str) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!("Invalid value '{value}' for {parameter}."),
    )
}

/// Makes a key pair and tells its private key.
pub(crate) fn create_key_pair(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateKeyPairRequest,
) -> Result<CreateKeyPairReply, ApiError> {
    let key_type = match req.key_type.as_deref() {
        None | Some("rsa") => KeyType::Rsa,
        Some("ed25519") => KeyType::Ed25519,
        Some(other) => return Err(invalid_value("KeyType", other)),
    };
    let format = match req.key_format.as_deref() {
        None | Some("pem") => KeyFormat::Pem,
        Some("ppk") => KeyFormat::Ppk,
        Some(other) => return Err(invalid_value("KeyFormat", other)),
    };
    check_new(tx, ctx, &req.key_name)?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), KeyPair::TYPE)?;
    let random = || ctx.random();
    let made = match key_type {
        KeyType::Ed25519 => Some(key_material::new_ed25519(format, &req.key_name, &random)),
        KeyType::Rsa => ctx
            .prepared()
            .rsa
            .or_else(|| RsaKey::new(key_material::seed(&random)))
            .and_then(|key| key_material::of_rsa(&key, format, &req.key_name)),
    };
    let made = made.ok_or_else(|| ApiError::internal("the key cannot be made"))?;
    let pair = KeyPair {
        id: KeyPairId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        name: req.key_name,
        key_type,
        fingerprint: made.fingerprint,
        public_key: made.public.line(),
        created: ctx.now,
    };
    let reply = CreateKeyPairReply {
        key_pair_id: pair.id,
        tags: pair.tags.reply(),
        key_name: pair.name.clone(),
        key_fingerprint: pair.fingerprint.clone(),
        key_material: made.material,
    };
    tx.put(pair);
    Ok(reply)
}

/// `ImportKeyPair`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ImportKeyPairRequest {
    key_name: String,
    public_key_material: Blob,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImportKeyPairReply {
    key_fingerprint: String,
    key_name: String,
    key_pair_id: KeyPairId,
    tags: Vec<Tag>,
}

/// Takes a public key of the client's.
pub(crate) fn import_key_pair(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ImportKeyPairRequest,
) -> Result<ImportKeyPairReply, ApiError> {
    check_new(tx, ctx, &req.key_name)?;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), KeyPair::TYPE)?;
    let (public, fingerprint) =
        key_material::import(&req.public_key_material.0).ok_or_else(|| {
            ApiError::new(
                "InvalidKey.Format",
                "Key is not in valid OpenSSH public key format",
            )
        })?;
    let pair = KeyPair {
        id: KeyPairId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        name: req.key_name,
        key_type: public.kind,
        fingerprint,
        public_key: public.line(),
        created: ctx.now,
    };
    let reply = ImportKeyPairReply {
        key_fingerprint: pair.fingerprint.clone(),
        key_name: pair.name.clone(),
        key_pair_id: pair.id,
        tags: pair.tags.reply(),
    };
    tx.put(pair);
    Ok(reply)
}

/// `DescribeKeyPairs`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeKeyPairsRequest {
    key_names: Option<Vec<String>>,
    key_pair_ids: Option<Vec<String>>,
    include_public_key: Option<bool>,
    filters: Option<Vec<Filter>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeKeyPairsReply {
    key_pairs: Vec<KeyPairItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyPairItem {
    key_pair_id: KeyPairId,
    key_type: &'static str,
    tags: Vec<Tag>,
    public_key: Option<String>,
    create_time: api::Timestamp,
    key_name: String,
    key_fingerprint: String,
}

const FILTERS: &[Field<KeyPair>] = &[
    ("fingerprint", |_, pair| vec![pair.fingerprint.clone()]),
    ("key-name", |_, pair| vec![pair.name.clone()]),
    ("key-pair-id", |_, pair| vec![pair.id.to_string()]),
];

/// Lists key pairs.
pub(crate) fn describe_key_pairs(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeKeyPairsRequest,
) -> Result<DescribeKeyPairsReply, ApiError> {
    let mut ids = req.key_pair_ids.unwrap_or_default();
    for name in req.key_names.unwrap_or_default() {
        ids.push(by_name(tx, ctx, &name)?.id.to_string());
    }
    let query = Query {
        ids: Some(&ids),
        filters: req.filters.as_deref(),
        max_results: None,
        next_token: None,
    };
    let page = resource::describe::<KeyPair>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let with_key = req.include_public_key.unwrap_or(false);
    let key_pairs = page.items.into_iter().map(|pair| KeyPairItem {
        key_pair_id: pair.id,
        key_type: pair.key_type.name(),
        tags: pair.tags.reply(),
        public_key: with_key.then(|| format!("{} {}", pair.public_key, pair.name)),
        create_time: api::Timestamp::from_millis(pair.created.0),
        key_name: pair.name.clone(),
        key_fingerprint: pair.fingerprint.clone(),
    });
    Ok(DescribeKeyPairsReply {
        key_pairs: key_pairs.collect(),
    })
}

/// `DeleteKeyPair`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteKeyPairRequest {
    key_name: Option<String>,
    key_pair_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteKeyPairReply {
    r#return: bool,
    key_pair_id: Option<KeyPairId>,
}

/// Deletes a key pair. Instances that were launched with it keep its name. EC2 takes a name that names none for done.
pub(crate) fn delete_key_pair(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteKeyPairRequest,
) -> Result<DeleteKeyPairReply, ApiError> {
    let found = match (req.key_name, req.key_pair_id) {
        (Some(_), Some(_)) => {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "The parameters KeyName and KeyPairId cannot be used together",
            ));
        }
        (None, None) => return Err(resource::missing("KeyName")),
        (Some(name), None) => by_name(tx, ctx, &name).ok().map(|pair| pair.id),
        (None, Some(id)) => Some(resource::find::<KeyPair>(tx, ctx, &id)?.id),
    };
    if let Some(id) = found {
        tx.remove::<KeyPair>(&id);
    }
    Ok(DeleteKeyPairReply {
        r#return: true,
        key_pair_id: found,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::testing::{World, count, text};

    /// Made with `ssh-keygen -t rsa -b 2048`; the fingerprint is what
    /// `ssh-keygen -e -m pkcs8 | openssl rsa -pubin -outform DER | openssl md5 -c` says of it.
    const RSA: &str = include_str!("testdata/rsa.pub");
    const RSA_FINGERPRINT: &str = include_str!("testdata/rsa.md5");
    const RSA_RFC4716: &str = include_str!("testdata/rsa.rfc4716");
    const RSA_PEM: &str = include_str!("testdata/rsa.pem.pub");
    /// Made with `ssh-keygen -t ed25519`; the fingerprint is what `ssh-keygen -l` says of it, padded.
    const ED25519: &str = include_str!("testdata/ed25519.pub");
    const ED25519_FINGERPRINT: &str = include_str!("testdata/ed25519.sha256");

    fn import(world: &mut World, name: &str, material: &str) -> Result<api::Value, ApiError> {
        let input = std::collections::BTreeMap::from([
            ("KeyName".to_owned(), api::Value::String(name.to_owned())),
            (
                "PublicKeyMaterial".to_owned(),
                api::Value::Blob(material.as_bytes().to_vec()),
            ),
        ]);
        let done = world.execute("ImportKeyPair", api::Value::Structure(input))?;
        world.state = done.state;
        Ok(done.reply)
    }

    #[test]
    fn imported_keys_have_ec2s_fingerprints() {
        let mut world = World::new();
        let bare: String = RSA_PEM.lines().filter(|l| !l.starts_with('-')).collect();
        for (name, material, fingerprint) in [
            ("a", RSA, RSA_FINGERPRINT),
            ("b", RSA_RFC4716, RSA_FINGERPRINT),
            ("c", RSA_PEM, RSA_FINGERPRINT),
            ("d", &bare, RSA_FINGERPRINT),
            ("e", ED25519, ED25519_FINGERPRINT),
        ] {
            let reply = import(&mut world, name, material).unwrap();
            assert_eq!(text(&reply, "KeyFingerprint"), fingerprint.trim(), "{name}");
        }
        let shown = world.ok(
            "DescribeKeyPairs",
            json!({"KeyNames": ["b"], "IncludePublicKey": true}),
        );
        let line: Vec<&str> = RSA.split(' ').take(2).collect();
        let wanted = format!("{} b", line.join(" "));
        assert_eq!(text(&shown, "KeyPairs.0.PublicKey"), wanted);
        assert_eq!(text(&shown, "KeyPairs.0.KeyType"), "rsa");
        for bad in [
            "",
            "ssh-rsa",
            "ssh-rsa !",
            "ssh-ed25519 AAAA",
            "ssh-dss AAAAB3NzaC1kc3M=",
            "---- BEGIN SSH2 PUBLIC KEY ----",
            "AAAA",
            &RSA.replace("ssh-rsa", "ssh-ed25519"),
            &RSA[..200],
        ] {
            let code = import(&mut world, "z", bad).unwrap_err().code;
            assert_eq!(code, "InvalidKey.Format", "{bad}");
        }
    }

    #[test]
    fn life_of_a_key_pair() {
        let mut world = World::new();
        let create = json!({"KeyName": "k", "KeyType": "ed25519",
            "TagSpecifications": [{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}]});
        let made = world.ok("CreateKeyPair", create.clone());
        let id = text(&made, "KeyPairId");
        let file = text(&made, "KeyMaterial");
        let body: String = file.lines().filter(|l| !l.starts_with('-')).collect();
        let octets = STANDARD.decode(body).unwrap();
        assert!(octets.starts_with(b"openssh-key-v1\0"));
        assert_eq!(
            world.err("CreateKeyPair", create),
            "InvalidKeyPair.Duplicate"
        );
        assert_eq!(
            import(&mut world, "k", ED25519).unwrap_err().code,
            "InvalidKeyPair.Duplicate"
        );
        // The private key is not among what is stored.
        let stored = serde_json::to_string(world.state.key_pairs.values().next().unwrap()).unwrap();
        assert!(!stored.contains("PRIVATE"));
        let shown = world.ok(
            "DescribeKeyPairs",
            json!({"Filters": [{"Name": "tag:a", "Values": ["b"]}]}),
        );
        assert_eq!(text(&shown, "KeyPairs.0.KeyPairId"), id);
        assert_eq!(
            text(&shown, "KeyPairs.0.KeyFingerprint"),
            text(&made, "KeyFingerprint")
        );
        for filter in ["fingerprint", "key-name", "key-pair-id"] {
            let none = json!({"Filters": [{"Name": filter, "Values": ["x"]}]});
            assert_eq!(
                count(&world.ok("DescribeKeyPairs", none), "KeyPairs"),
                0,
                "{filter}"
            );
        }
        assert_eq!(
            world.err("DescribeKeyPairs", json!({"KeyNames": ["x"]})),
            "InvalidKeyPair.NotFound"
        );
        let first = world.account;
        world.account = crate::testing::account("444455556666");
        assert_eq!(
            world.err("DescribeKeyPairs", json!({"KeyPairIds": [id]})),
            "InvalidKeyPair.NotFound"
        );
        world.account = first;
        let gone = world.ok("DeleteKeyPair", json!({"KeyPairId": id}));
        assert_eq!(text(&gone, "KeyPairId"), id);
        world.ok("DeleteKeyPair", json!({"KeyName": "k"}));
        assert_eq!(
            world.err("DeleteKeyPair", json!({"KeyPairId": id})),
            "InvalidKeyPair.NotFound"
        );
        assert_eq!(world.err("DeleteKeyPair", json!({})), "MissingParameter");
        for bad in [
            json!({"KeyName": " k"}),
            json!({"KeyName": "k".repeat(256)}),
            json!({"KeyName": "k", "KeyType": "dsa"}),
            json!({"KeyName": "k", "KeyFormat": "der"}),
        ] {
            assert_eq!(world.err("CreateKeyPair", bad), "InvalidParameterValue");
        }
        assert_eq!(
            world.err("CreateKeyPair", json!({"KeyName": ""})),
            "MissingParameter"
        );
    }

    #[test]
    fn rsa_keys_are_made_in_both_formats() {
        let mut world = World::new();
        let made = world.ok("CreateKeyPair", json!({"KeyName": "r"}));
        assert!(text(&made, "KeyMaterial").starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        // SHA-1: 20 octets.
        assert_eq!(text(&made, "KeyFingerprint").split(':').count(), 20);
        let made = world.ok(
            "CreateKeyPair",
            json!({"KeyName": "p", "KeyFormat": "ppk", "KeyType": "ed25519"}),
        );
        let file = text(&made, "KeyMaterial");
        assert!(
            file.starts_with("PuTTY-User-Key-File-2: ssh-ed25519\nEncryption: none\nComment: p\n")
        );
        assert_eq!(
            file.lines().last().unwrap().len(),
            "Private-MAC: ".len() + 40
        );
    }
}
