//! Policy documents (IAM User Guide, "IAM JSON policy element reference").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::condition::Condition;
use crate::pattern::{Pattern, Wild};

/// The longest document, in bytes: what IAM allows all inline policies of a role together.
pub const MAX_DOCUMENT: usize = 10_240;

/// What a document is for, which says which elements it must and must not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// What its holder may do: resources, no principal. Also session policies.
    Identity,
    /// Who may assume a role: principals, no resource.
    Trust,
}

/// Why a document is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

/// A policy that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) allow: bool,
    pub(crate) principals: Principals,
    pub(crate) actions: Set,
    pub(crate) resources: Option<Set>,
    pub(crate) conditions: Vec<Condition>,
}

/// Patterns, or everything but them.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Set {
    pub(crate) negated: bool,
    pub(crate) patterns: Vec<Pattern>,
}

/// Whom a statement is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Principals {
    /// Whoever has the policy.
    Holder,
    /// Everybody.
    All,
    /// Account ids and ARNs.
    These(Vec<String>),
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it, as far as JSON goes with line and column.
    pub fn parse(text: &str, kind: Kind) -> Result<Policy, PolicyError> {
        if text.len() > MAX_DOCUMENT {
            return Err(PolicyError(format!(
                "the policy is longer than {MAX_DOCUMENT} bytes"
            )));
        }
        let document: Document =
            serde_json::from_str(text).map_err(|error| PolicyError(error.to_string()))?;
        let variables = match document.version.as_deref() {
            Some("2012-10-17") => true,
            Some("2008-10-17") | None => false,
            Some(other) => {
                return Err(PolicyError(format!(
                    "`Version` must be `2012-10-17` or `2008-10-17`, not `{other}`"
                )));
            }
        };
        let statements = document.statements.0;
        if statements.is_empty() {
            return Err(PolicyError("the policy has no statements".to_owned()));
        }
        let mut sids = BTreeSet::new();
        for sid in statements
            .iter()
            .filter_map(|statement| statement.sid.as_ref())
        {
            if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(PolicyError(format!(
                    "the `Sid` `{sid}` has other characters than letters and digits"
                )));
            }
            if !sid.is_empty() && !sids.insert(sid.clone()) {
                return Err(PolicyError(format!(
                    "two statements have the `Sid` `{sid}`"
                )));
            }
        }
        let statements = statements
            .into_iter()
            .enumerate()
            .map(|(at, raw)| {
                let name = raw.sid.clone().filter(|sid| !sid.is_empty());
                let name = name.unwrap_or_else(|| (at + 1).to_string());
                statement(raw, kind, variables)
                    .map_err(|why| PolicyError(format!("statement {name}: {why}")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Policy { statements })
    }
}

fn statement(raw: RawStatement, kind: Kind, variables: bool) -> Result<Statement, String> {
    let allow = match raw.effect.as_str() {
        "Allow" => true,
        "Deny" => false,
        other => return Err(format!("`Effect` must be `Allow` or `Deny`, not `{other}`")),
    };
    let set = |what: &str, yes: Option<OneOrMany>, no: Option<OneOrMany>| match (yes, no) {
        (Some(_), Some(_)) => Err(format!("`{what}` and `Not{what}` exclude each other")),
        (Some(list), None) => Ok(Some((list.0, false))),
        (None, Some(list)) => Ok(Some((list.0, true))),
        (None, None) => Ok(None),
    };
    let actions = set("Action", raw.action, raw.not_action)?
        .filter(|(list, _)| !list.is_empty())
        .ok_or("it must contain actions")?;
    for action in &actions.0 {
        check_action(action)?;
    }
    let resources = set("Resource", raw.resource, raw.not_resource)?;
    let principals = raw.principal.map(|principal| principal.0);
    let (principals, resources) = match kind {
        Kind::Identity => {
            if principals.is_some() {
                return Err(
                    "it must not have a `Principal`: the policy is of whoever has it".to_owned(),
                );
            }
            let resources = resources
                .filter(|(list, _)| !list.is_empty())
                .ok_or("it must contain resources")?;
            (Principals::Holder, Some(resources))
        }
        Kind::Trust => {
            if resources.is_some() {
                return Err("it must not have a `Resource`: the role is".to_owned());
            }
            let principals = principals.ok_or("it must have a `Principal`")?;
            (principals, None)
        }
    };
    for resource in resources.iter().flat_map(|(list, _)| list) {
        if resource != "*" && (!resource.starts_with("arn:") || resource.split(':').count() < 6) {
            return Err(format!(
                "the resource `{resource}` is neither an ARN nor `*`"
            ));
        }
    }
    let patterns = |(list, negated): (Vec<String>, bool), variables| {
        let patterns = list
            .iter()
            .map(|text| Pattern::parse(text, Wild::Yes, variables))
            .collect::<Result<_, _>>()?;
        Ok::<_, String>(Set { negated, patterns })
    };
    let mut conditions = Vec::new();
    for (operator, keys) in raw.condition.map(|map| map.0).unwrap_or_default() {
        for (key, values) in keys.0 {
            conditions.push(Condition::parse(&operator, &key, &values.0, variables)?);
        }
    }
    Ok(Statement {
        sid: raw.sid,
        allow,
        principals,
        actions: patterns(actions, false)?,
        resources: resources
            .map(|resources| patterns(resources, variables))
            .transpose()?,
        conditions,
    })
}

/// `ec2:Describe*`, or `*` alone.
fn check_action(action: &str) -> Result<(), String> {
    let word = |text: &str, also: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    let well_formed = action
        .split_once(':')
        .is_some_and(|(service, name)| word(service, "-") && word(name, "*?"));
    if action == "*" || well_formed {
        Ok(())
    } else {
        Err(format!(
            "the action `{action}` has not the form `service:Name`"
        ))
    }
}

/// Twelve digits, or an ARN of IAM or STS.
fn check_principal(principal: &str) -> Result<(), String> {
    let is_account = principal.len() == 12 && principal.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    let is_arn = matches!(parts.as_slice(), ["arn", "aws", "iam" | "sts", "", account, name]
        if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
            && !name.is_empty() && !name.contains(['*', '?']));
    if is_account || is_arn {
        Ok(())
    } else {
        Err(format!(
            "`{principal}` is not a principal: give an account or an ARN"
        ))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    #[serde(rename = "Statement")]
    statements: Statements,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawStatement {
    sid: Option<String>,
    effect: String,
    principal: Option<RawPrincipal>,
    action: Option<OneOrMany>,
    not_action: Option<OneOrMany>,
    resource: Option<OneOrMany>,
    not_resource: Option<OneOrMany>,
    condition: Option<Unique<Unique<OneOrMany>>>,
}

/// One statement, or a list of them.
struct Statements(Vec<RawStatement>);

impl<'de> Deserialize<'de> for Statements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Statements, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Statements;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a statement or a list of statements")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Statements, A::Error> {
                let one = RawStatement::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Statements(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Statements, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(Statements)
            }
        }
        deserializer.deserialize_any(V)
    }
}

/// One text, or a list of them. Numbers and truth values count as their texts, as in IAM's own grammar of conditions.
struct OneOrMany(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = OneOrMany;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![truth.to_string()]))
            }
            fn visit_i64<E>(self, number: i64) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![number.to_string()]))
            }
            fn visit_u64<E>(self, number: u64) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![number.to_string()]))
            }
            fn visit_f64<E>(self, number: f64) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![number.to_string()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut all = Vec::new();
                while let Some(OneOrMany(one)) = list.next_element()? {
                    if one.len() != 1 {
                        return Err(A::Error::custom("a list within a list"));
                    }
                    all.extend(one);
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_any(V)
    }
}

/// A map in which no key is twice: of two, one would not count.
struct Unique<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique<T>, D::Error> {
        struct V<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Unique<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<T>, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if found.contains_key(&key) {
                        return Err(A::Error::custom(format!("`{key}` is there twice")));
                    }
                    found.insert(key, value);
                }
                Ok(Unique(found))
            }
        }
        deserializer.deserialize_map(V(std::marker::PhantomData))
    }
}

struct RawPrincipal(Principals);

impl<'de> Deserialize<'de> for RawPrincipal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawPrincipal, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = RawPrincipal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`*` or a map with `AWS`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawPrincipal, E> {
                if text == "*" {
                    Ok(RawPrincipal(Principals::All))
                } else {
                    Err(E::custom(format!(
                        "the principal `{text}` must stand under `AWS`"
                    )))
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPrincipal, A::Error> {
                let mut all = Vec::new();
                while let Some((key, OneOrMany(values))) = map.next_entry::<String, _>()? {
                    if key != "AWS" || !all.is_empty() {
                        return Err(A::Error::custom(format!(
                            "principals of the kind `{key}` are not supported here"
                        )));
                    }
                    all = values;
                }
                if all.iter().any(|principal| principal == "*") {
                    return Ok(RawPrincipal(Principals::All));
                }
                if all.is_empty() {
                    return Err(A::Error::custom("the principal names nobody"));
                }
                for principal in &all {
                    check_principal(principal).map_err(A::Error::custom)?;
                }
                Ok(RawPrincipal(Principals::These(all)))
            }
        }
        deserializer.deserialize_any(V)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str, kind: Kind) -> String {
        Policy::parse(text, kind).unwrap_err().to_string()
    }

    #[test]
    fn forms_that_are_taken() {
        for text in [
            r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#,
            r#"{"Version": "2012-10-17", "Id": "x", "Statement": [
                {"Sid": "A1", "Effect": "Deny", "NotAction": ["ec2:Describe*", "sts:*"], "NotResource": [
                    "arn:aws:ec2:*:*:vpc/${aws:username}"],
                 "Condition": {"Bool": {"aws:SecureTransport": true}, "NumericLessThan": {"aws:x": [1, "2", 3.5]}}}]}"#,
        ] {
            assert!(Policy::parse(text, Kind::Identity).is_ok(), "{text}");
        }
        for principal in [
            r#""*""#,
            r#"{"AWS": "*"}"#,
            r#"{"AWS": ["111122223333", "arn:aws:iam::111122223333:role/x"]}"#,
        ] {
            let text = format!(
                r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {principal}}}}}"#
            );
            assert!(Policy::parse(&text, Kind::Trust).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with =
            |members: &str| format!(r#"{{"Version": "2012-10-17", "Statement": [{{{members}}}]}}"#);
        for (text, why) in [
            ("".to_owned(), "EOF"),
            ("{}".to_owned(), "Statement"),
            (r#"{"Statement": []}"#.to_owned(), "no statements"),
            (r#"{"Statement": 1}"#.to_owned(), "a statement or a list"),
            (
                r#"{"Version": "2024-01-01", "Statement": []}"#.to_owned(),
                "2024-01-01",
            ),
            (r#"{"Statements": []}"#.to_owned(), "Statements"),
            (with(r#""Action": "*", "Resource": "*""#), "Effect"),
            (
                with(r#""Effect": "allow", "Action": "*", "Resource": "*""#),
                "`allow`",
            ),
            (
                with(r#""Effect": "Allow", "Resource": "*""#),
                "must contain actions",
            ),
            (
                with(r#""Effect": "Allow", "Action": [], "Resource": "*""#),
                "must contain actions",
            ),
            (
                with(r#""Effect": "Allow", "Action": "*""#),
                "must contain resources",
            ),
            (
                with(r#""Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*""#),
                "exclude",
            ),
            (
                with(r#""Effect": "Allow", "Action": "DescribeVpcs", "Resource": "*""#),
                "`DescribeVpcs`",
            ),
            (
                with(r#""Effect": "Allow", "Action": "ec*:x", "Resource": "*""#),
                "`ec*:x`",
            ),
            (
                with(r#""Effect": "Allow", "Action": "*", "Resource": "vpc-1""#),
                "`vpc-1`",
            ),
            (
                with(r#""Effect": "Allow", "Action": "*", "Resource": "arn:aws:ec2:::${aws:x""#),
                "without",
            ),
            (
                with(r#""Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*""#),
                "Principal",
            ),
            (
                with(r#""Effect": "Allow", "Effect": "Deny", "Action": "*", "Resource": "*""#),
                "duplicate",
            ),
            (
                with(r#""Sid": "a b", "Effect": "Allow", "Action": "*", "Resource": "*""#),
                "`a b`",
            ),
            (
                with(r#""Effect": "Allow", "Action": [["x:y"], []], "Resource": "*""#),
                "a list within",
            ),
            (
                with(
                    r#""Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:a": "x", "aws:a": "y"}}"#,
                ),
                "twice",
            ),
            (
                with(
                    r#""Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Equals": {"aws:a": "x"}}"#,
                ),
                "`Equals`",
            ),
            (
                r#"{"Statement": [{"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*"},
                    {"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*"}]}"#
                    .to_owned(),
                "two statements",
            ),
            (" ".repeat(MAX_DOCUMENT + 1), "longer"),
        ] {
            let found = refused(&text, Kind::Identity);
            assert!(found.contains(why), "{text}: {found}");
        }
        for (members, why) in [
            (
                r#""Effect": "Allow", "Action": "sts:AssumeRole""#,
                "Principal",
            ),
            (
                r#""Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "me""#,
                "`me`",
            ),
            (
                r#""Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "me"}"#,
                "`me`",
            ),
            (
                r#""Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": []}"#,
                "nobody",
            ),
            (
                r#""Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}"#,
                "`Service`",
            ),
            (
                r#""Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::111122223333:role/*"}"#,
                "role/*",
            ),
            (
                r#""Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*", "Resource": "*""#,
                "Resource",
            ),
            (
                r#""Effect": "Allow", "Action": "sts:AssumeRole", "NotPrincipal": "*""#,
                "NotPrincipal",
            ),
        ] {
            let found = refused(&with(members), Kind::Trust);
            assert!(found.contains(why), "{members}: {found}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = Policy::parse(&text, Kind::Identity);
        }

        #[test]
        fn no_json_panics(key in "[A-Z][a-zA-Z]{0,12}", value in "\\PC{0,20}") {
            let value = serde_json::Value::from(value);
            let text = format!(r#"{{"Statement": {{"Effect": "Allow", "Action": {value}, "Resource": {value}, "{key}": {value}}}}}"#);
            let _ = Policy::parse(&text, Kind::Identity);
            let _ = Policy::parse(&text, Kind::Trust);
        }
    }
}
