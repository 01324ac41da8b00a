//! What a request needs that takes long to compute and does not depend on the state: whoever carries out requests one
//! after the other computes it before their turn.

use api::Value;

use crate::key_material::RsaKey;

/// What was computed for a request; nothing by default. A request for which nothing was prepared computes itself what it
/// needs.
#[derive(Clone, Default)]
pub struct Prepared {
    /// The key of a `CreateKeyPair`.
    pub(crate) rsa: Option<RsaKey>,
}

/// Computes what a request needs, from 256 random bits. It takes up to seconds.
pub type Preparation = fn([u8; 32]) -> Prepared;

/// What there is to compute for a request, if anything.
#[must_use]
pub fn preparation(service: &str, action: &str, input: &Value) -> Option<Preparation> {
    if (service, action) != ("ec2", "CreateKeyPair") {
        return None;
    }
    let Value::Structure(members) = input else {
        return None;
    };
    let is_rsa = match members.get("KeyType") {
        None => true,
        Some(kind) => *kind == Value::String("rsa".to_owned()),
    };
    is_rsa.then_some(|seed| Prepared {
        rsa: RsaKey::new(seed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute;
    use crate::testing::{World, text};

    #[test]
    fn only_rsa_keys_are_prepared() {
        let asks = |action: &str, kind: Option<&str>| {
            let kind = kind.map(|kind| ("KeyType".to_owned(), Value::String(kind.to_owned())));
            let input = Value::Structure(kind.into_iter().collect());
            preparation("ec2", action, &input).is_some()
        };
        assert!(asks("CreateKeyPair", None));
        assert!(asks("CreateKeyPair", Some("rsa")));
        assert!(!asks("CreateKeyPair", Some("ed25519")));
        assert!(!asks("CreateKeyPair", Some("x")));
        assert!(!asks("ImportKeyPair", None));
    }

    #[test]
    fn the_prepared_key_is_the_one_that_is_told() {
        let mut world = World::new();
        let input =
            Value::Structure([("KeyName".to_owned(), Value::String("k".to_owned()))].into());
        let prepared = preparation("ec2", "CreateKeyPair", &input).unwrap()([7; 32]);
        let mut create = || {
            world.with(|state, ctx| {
                ctx.bring(prepared.clone());
                let done = execute(state, ctx, "ec2", "CreateKeyPair", input.clone());
                text(&done.ok().unwrap().reply, "KeyMaterial")
            })
        };
        // Decided twice, it is the same.
        assert_eq!(create(), create());
    }
}
