//! What is known of a request besides its action and resource.

use std::collections::BTreeMap;

/// Context keys with their values. Keys are compared without regard to case, as IAM does.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Context {
    keys: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// A context without keys.
    #[must_use]
    pub fn new() -> Context {
        Context::default()
    }

    /// Sets a key of one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.keys.insert(key.to_lowercase(), vec![value.into()]);
    }

    /// Adds a value to a key of many (`aws:TagKeys`).
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.keys
            .entry(key.to_lowercase())
            .or_default()
            .push(value.into());
    }

    /// The values of a key; `None` if the request does not have it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.keys.get(&key.to_lowercase()).map(Vec::as_slice)
    }

    /// Everything, for an authorization message: keys in small letters, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.keys
            .iter()
            .map(|(key, values)| (key.as_str(), values.as_slice()))
    }
}
