//! Client tokens: a request that is repeated has no second effect.

use api::{ApiError, Value};
use serde::{Deserialize, Serialize};

use crate::Tx;

/// What makes a repeated request recognizable (EC2 "Ensuring idempotency").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientToken {
    /// The client's text.
    pub token: String,
    /// A digest of the request's other parameters: they must be the same.
    pub parameters: u64,
}

impl ClientToken {
    /// The request's token, if it has one.
    ///
    /// # Errors
    /// `InvalidParameterValue` for more than 64 characters, or other than ASCII.
    pub(crate) fn new(tx: &Tx, token: Option<String>) -> Result<Option<ClientToken>, ApiError> {
        /// EC2: "Up to 64 ASCII characters".
        const MAX: usize = 64;
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        if token.len() > MAX || !token.is_ascii() {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value ({token}) for parameter clientToken is invalid. It must be up to {MAX} ASCII characters"
                ),
            ));
        }
        let parameters = tx.parameters();
        Ok(Some(ClientToken { token, parameters }))
    }

    /// Whether this is a repeat of the request that had `earlier`.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch` if the token is the same and the rest is not.
    pub(crate) fn repeats(&self, earlier: &ClientToken) -> Result<bool, ApiError> {
        if self.token != earlier.token {
            return Ok(false);
        }
        if self.parameters == earlier.parameters {
            return Ok(true);
        }
        Err(ApiError::new(
            "IdempotentParameterMismatch",
            format!(
                "The client token '{}' was used before with other parameters",
                self.token
            ),
        ))
    }
}

/// A digest of a request's parameters without its token, the same in every version of Polder. 64-bit FNV-1a: it
/// guards against mistakes of the client's own, not against anybody else.
pub(crate) fn digest(input: &Value) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut take = |octets: &[u8]| {
        for octet in octets {
            hash = (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    if let Value::Structure(members) = input {
        for (name, value) in members {
            if name != "ClientToken" {
                feed(&mut take, name.as_bytes());
                feed_value(&mut take, value);
            }
        }
    }
    hash
}

/// Octets with their length before them, so that no two sequences are the same text.
fn feed(take: &mut impl FnMut(&[u8]), octets: &[u8]) {
    take(&length(octets.len()));
    take(octets);
}

fn length(number: usize) -> [u8; 8] {
    u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes()
}

fn feed_value(take: &mut impl FnMut(&[u8]), value: &Value) {
    match value {
        Value::Structure(members) | Value::Map(members) => {
            take(b"m");
            take(&length(members.len()));
            for (name, value) in members {
                feed(take, name.as_bytes());
                feed_value(take, value);
            }
        }
        Value::List(elements) => {
            take(b"l");
            take(&length(elements.len()));
            for element in elements {
                feed_value(take, element);
            }
        }
        Value::String(text) => {
            take(b"s");
            feed(take, text.as_bytes());
        }
        Value::Integer(number) => {
            take(b"i");
            take(&number.to_be_bytes());
        }
        Value::Float(number) => {
            take(b"f");
            take(&number.to_be_bytes());
        }
        Value::Boolean(truth) => take(if *truth { b"t" } else { b"n" }),
        Value::Timestamp(time) => {
            take(b"d");
            take(&time.millis().to_be_bytes());
        }
        Value::Blob(octets) => {
            take(b"b");
            feed(take, octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(input: &serde_json::Value) -> u64 {
        let Value::Map(members) = api::to_value(input).unwrap() else {
            panic!("no object")
        };
        digest(&Value::Structure(members))
    }

    #[test]
    fn digests_are_of_the_parameters_and_stay_the_same() {
        let request = json!({"SubnetId": "subnet-1", "Groups": ["a", "b"], "Count": 2});
        // Stores on disk have such numbers: they never change.
        assert_eq!(of(&request), 0xa090_85b1_2bda_8c9f);
        assert_eq!(of(&json!({})), 0xcbf2_9ce4_8422_2325);
        let with_token =
            json!({"SubnetId": "subnet-1", "Groups": ["a", "b"], "Count": 2, "ClientToken": "x"});
        assert_eq!(of(&request), of(&with_token));
        for other in [
            json!({"SubnetId": "subnet-1", "Groups": ["ab"], "Count": 2}),
            json!({"SubnetId": "subnet-1", "Groups": ["b", "a"], "Count": 2}),
            json!({"SubnetId": "subnet-1", "Groups": ["a", "b"], "Count": "2"}),
            json!({"SubnetId": "subnet-1", "Groups": ["a", "b"]}),
            json!({"SubnetId": "subnet-1", "Groups": ["a", "b"], "Count": true}),
        ] {
            assert_ne!(of(&request), of(&other), "{other}");
        }
    }
}
