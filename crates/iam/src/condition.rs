//! Conditions (IAM User Guide, "IAM JSON policy elements: Condition operators").

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::Context;
use crate::pattern::{Pattern, Wild};
use crate::time::parse_time;

/// One operator on one key.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Condition {
    quantifier: Quantifier,
    test: Test,
    /// Whether the test must fail for every value of the policy, instead of succeed for one.
    negated: bool,
    if_exists: bool,
    key: String,
    values: Vec<Pattern>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Quantifier {
    Plain,
    ForAll,
    ForAny,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Test {
    String { fold: bool },
    Like,
    Numeric(Comparison),
    Date(Comparison),
    Bool,
    IpAddress,
    Arn,
    Null,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// The operators, and whether they negate.
const OPERATORS: [(&str, Test, bool); 25] = {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    const FOLD: Test = Test::String { fold: true };
    const EXACT: Test = Test::String { fold: false };
    [
        ("StringEquals", EXACT, false),
        ("StringNotEquals", EXACT, true),
        ("StringEqualsIgnoreCase", FOLD, false),
        ("StringNotEqualsIgnoreCase", FOLD, true),
        ("StringLike", Test::Like, false),
        ("StringNotLike", Test::Like, true),
        ("NumericEquals", Test::Numeric(Equal), false),
        ("NumericNotEquals", Test::Numeric(Equal), true),
        ("NumericLessThan", Test::Numeric(Less), false),
        ("NumericLessThanEquals", Test::Numeric(LessOrEqual), false),
        ("NumericGreaterThan", Test::Numeric(Greater), false),
        (
            "NumericGreaterThanEquals",
            Test::Numeric(GreaterOrEqual),
            false,
        ),
        ("DateEquals", Test::Date(Equal), false),
        ("DateNotEquals", Test::Date(Equal), true),
        ("DateLessThan", Test::Date(Less), false),
        ("DateLessThanEquals", Test::Date(LessOrEqual), false),
        ("DateGreaterThan", Test::Date(Greater), false),
        ("DateGreaterThanEquals", Test::Date(GreaterOrEqual), false),
        ("Bool", Test::Bool, false),
        ("IpAddress", Test::IpAddress, false),
        ("NotIpAddress", Test::IpAddress, true),
        ("ArnEquals", Test::Arn, false),
        ("ArnLike", Test::Arn, false),
        ("ArnNotEquals", Test::Arn, true),
        ("ArnNotLike", Test::Arn, true),
    ]
};

impl Condition {
    /// Reads one operator with one key and its values.
    ///
    /// # Errors
    /// What is wrong, naming the operator or the value.
    pub(crate) fn parse(
        operator: &str,
        key: &str,
        values: &[String],
        variables: bool,
    ) -> Result<Condition, String> {
        let (quantifier, bare) = match operator.split_once(':') {
            None => (Quantifier::Plain, operator),
            Some(("ForAllValues", bare)) => (Quantifier::ForAll, bare),
            Some(("ForAnyValue", bare)) => (Quantifier::ForAny, bare),
            Some(_) => return Err(format!("`{operator}` is not a condition operator")),
        };
        let (bare, if_exists) = match bare.strip_suffix("IfExists") {
            Some(bare) => (bare, true),
            None => (bare, false),
        };
        let known = OPERATORS.iter().find(|(name, ..)| *name == bare);
        let (test, negated) = match known {
            Some((_, test, negated)) => (*test, *negated),
            None if bare == "Null" && !if_exists && quantifier == Quantifier::Plain => {
                (Test::Null, false)
            }
            None => return Err(format!("`{operator}` is not a condition operator")),
        };
        if !key.contains(':') || key.chars().any(char::is_control) {
            return Err(format!("`{key}` is not a condition key"));
        }
        if values.is_empty() {
            return Err(format!(
                "the condition `{operator}` on `{key}` has no values"
            ));
        }
        let wild = match test {
            Test::Like | Test::Arn => Wild::Yes,
            Test::String { .. }
            | Test::Numeric(_)
            | Test::Date(_)
            | Test::Bool
            | Test::IpAddress
            | Test::Null => Wild::No,
        };
        let values = values
            .iter()
            .map(|value| {
                let pattern = Pattern::parse(value, wild, variables)?;
                if !pattern.has_variables() && !test.takes(value) {
                    return Err(format!("`{value}` is not a value for `{operator}`"));
                }
                Ok(pattern)
            })
            .collect::<Result<_, String>>()?;
        Ok(Condition {
            quantifier,
            test,
            negated,
            if_exists,
            key: key.to_owned(),
            values,
        })
    }

    /// Whether the request is so.
    pub(crate) fn holds(&self, context: &Context) -> bool {
        let found = context.get(&self.key).unwrap_or_default();
        if self.test == Test::Null {
            let absent = found.is_empty();
            return self.values.iter().any(|value| {
                value
                    .text()
                    .eq_ignore_ascii_case(if absent { "true" } else { "false" })
            });
        }
        if found.is_empty() {
            return self.if_exists
                || match self.quantifier {
                    Quantifier::Plain => self.negated,
                    Quantifier::ForAll => true,
                    Quantifier::ForAny => false,
                };
        }
        let passes = |value: &String| {
            let matched = self
                .values
                .iter()
                .any(|wanted| self.test.matches(wanted, value, context));
            matched != self.negated
        };
        match self.quantifier {
            Quantifier::ForAll => found.iter().all(passes),
            Quantifier::ForAny => found.iter().any(passes),
            // A key of several values: a positive operator asks for one that fits, a negated one that none does.
            Quantifier::Plain if self.negated => found.iter().all(passes),
            Quantifier::Plain => found.iter().any(passes),
        }
    }
}

impl Test {
    /// Whether a policy may have this value.
    fn takes(self, value: &str) -> bool {
        match self {
            Test::String { .. } | Test::Like => true,
            Test::Numeric(_) => number(value).is_some(),
            Test::Date(_) => parse_time(value).is_some(),
            Test::Bool | Test::Null => {
                value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Test::IpAddress => block(value).is_some(),
            Test::Arn => value == "*" || value.starts_with("arn:"),
        }
    }

    fn matches(self, wanted: &Pattern, found: &str, context: &Context) -> bool {
        let resolved = || wanted.resolve(context);
        match self {
            Test::String { fold } => wanted.matches(found, context, fold),
            Test::Like => wanted.matches(found, context, false),
            Test::Arn => wanted.text() == "*" || wanted.matches_arn(found, context),
            Test::Bool => resolved().is_some_and(|wanted| wanted.eq_ignore_ascii_case(found)),
            Test::Numeric(comparison) => {
                let wanted = resolved().and_then(|text| number(&text));
                let ordering = number(found)
                    .zip(wanted)
                    .and_then(|(f, w)| f.partial_cmp(&w));
                ordering.is_some_and(|ordering| comparison.holds(ordering))
            }
            Test::Date(comparison) => {
                let wanted = resolved().and_then(|text| parse_time(&text));
                let both = parse_time(found).zip(wanted);
                both.is_some_and(|(found, wanted)| comparison.holds(found.cmp(&wanted)))
            }
            Test::IpAddress => {
                let wanted = resolved().and_then(|text| block(&text));
                let found: Option<IpAddr> = found.parse().ok();
                wanted
                    .zip(found)
                    .is_some_and(|(block, address)| within(address, block))
            }
            // Decided before any value is looked at.
            Test::Null => false,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// `192.0.2.0/24`, `2001:db8::/32` or an address alone.
fn block(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(length) => length.parse().ok().filter(|length| *length <= longest)?,
        None => longest,
    };
    Some((address, length))
}

fn within(address: IpAddr, (network, length): (IpAddr, u32)) -> bool {
    match (address.to_canonical(), network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let host = 32 - length;
            u32::from(a).checked_shr(host) == u32::from(n).checked_shr(host)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let host = 128 - length;
            u128::from(a).checked_shr(host) == u128::from(n).checked_shr(host)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, values: &[&str], found: &[&str]) -> bool {
        let mut context = Context::new();
        for value in found {
            context.add("aws:k", *value);
        }
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        Condition::parse(operator, "aws:K", &values, true)
            .unwrap()
            .holds(&context)
    }

    #[test]
    fn operators() {
        let table: &[(&str, &[&str], &[&str], bool)] = &[
            ("StringEquals", &["a", "b"], &["b"], true),
            ("StringEquals", &["a*"], &["ab"], false),
            ("StringEquals", &["a"], &[], false),
            ("StringEqualsIfExists", &["a"], &[], true),
            ("StringEqualsIfExists", &["a"], &["b"], false),
            ("StringNotEquals", &["a", "b"], &["b"], false),
            ("StringNotEquals", &["a", "b"], &["c"], true),
            ("StringNotEquals", &["a"], &[], true),
            ("StringEqualsIgnoreCase", &["AbC"], &["aBc"], true),
            ("StringNotEqualsIgnoreCase", &["AbC"], &["aBc"], false),
            ("StringLike", &["a*"], &["ab"], true),
            ("StringNotLike", &["a*"], &["ab"], false),
            ("NumericEquals", &["1"], &["1.0"], true),
            ("NumericNotEquals", &["1"], &["2"], true),
            ("NumericLessThan", &["10"], &["9"], true),
            ("NumericLessThan", &["10"], &["10"], false),
            ("NumericLessThanEquals", &["10"], &["10"], true),
            ("NumericGreaterThan", &["10"], &["9"], false),
            ("NumericGreaterThanEquals", &["10"], &["10"], true),
            ("NumericLessThan", &["10"], &["nine"], false),
            (
                "DateLessThan",
                &["2026-01-02T00:00:00Z"],
                &["2026-01-01T23:59:59Z"],
                true,
            ),
            ("DateGreaterThan", &["0"], &["2026-01-01T23:59:59Z"], true),
            (
                "DateEquals",
                &["2026-01-01"],
                &["2026-01-01T00:00:00Z"],
                true,
            ),
            (
                "DateNotEquals",
                &["2026-01-01"],
                &["2026-01-01T00:00:00Z"],
                false,
            ),
            (
                "DateLessThanEquals",
                &["2026-01-01"],
                &["2026-01-01T00:00:00Z"],
                true,
            ),
            (
                "DateGreaterThanEquals",
                &["2026-01-01"],
                &["2025-12-31"],
                false,
            ),
            ("Bool", &["true"], &["True"], true),
            ("Bool", &["false"], &["true"], false),
            ("Bool", &["false"], &[], false),
            ("BoolIfExists", &["false"], &[], true),
            ("IpAddress", &["192.0.2.0/24"], &["192.0.2.77"], true),
            ("IpAddress", &["192.0.2.0/24"], &["::ffff:192.0.2.77"], true),
            ("IpAddress", &["0.0.0.0/0"], &["192.0.2.77"], true),
            ("IpAddress", &["0.0.0.0/0"], &["2001:db8::1"], false),
            ("IpAddress", &["2001:db8::/32"], &["2001:db8:1::1"], true),
            ("IpAddress", &["192.0.2.1"], &["192.0.2.2"], false),
            ("NotIpAddress", &["192.0.2.0/24"], &["192.0.3.1"], true),
            ("NotIpAddress", &["192.0.2.0/24"], &["192.0.2.1"], false),
            (
                "ArnLike",
                &["arn:aws:iam::*:role/*"],
                &["arn:aws:iam::111122223333:role/x"],
                true,
            ),
            (
                "ArnEquals",
                &["arn:aws:iam::*:role/*"],
                &["arn:aws:iam::111122223333:role/x"],
                true,
            ),
            (
                "ArnNotLike",
                &["arn:aws:iam::*:role/*"],
                &["arn:aws:iam::111122223333:user/x"],
                true,
            ),
            (
                "ArnNotEquals",
                &["*"],
                &["arn:aws:iam::111122223333:user/x"],
                false,
            ),
            ("Null", &["true"], &[], true),
            ("Null", &["true"], &["x"], false),
            ("Null", &["false"], &["x"], true),
            ("Null", &["FALSE"], &[], false),
            ("ForAllValues:StringEquals", &["a", "b"], &["a", "b"], true),
            ("ForAllValues:StringEquals", &["a", "b"], &["a", "c"], false),
            ("ForAllValues:StringEquals", &["a"], &[], true),
            ("ForAnyValue:StringEquals", &["a"], &["a", "c"], true),
            ("ForAnyValue:StringEquals", &["a"], &["c"], false),
            ("ForAnyValue:StringEquals", &["a"], &[], false),
            ("ForAnyValue:StringEqualsIfExists", &["a"], &[], true),
            ("ForAllValues:StringNotEquals", &["a"], &["a", "b"], false),
            ("ForAnyValue:StringNotEquals", &["a"], &["a", "b"], true),
            ("StringNotEquals", &["a"], &["a", "b"], false),
            ("StringEquals", &["${aws:missing}"], &[""], false),
        ];
        for (name, ..) in OPERATORS {
            assert!(
                table.iter().any(|(operator, ..)| *operator == name),
                "{name}"
            );
        }
        for (operator, values, found, expected) in table {
            assert_eq!(
                holds(operator, values, found),
                *expected,
                "{operator} {values:?} {found:?}"
            );
        }
    }

    #[test]
    fn what_is_refused() {
        let parse = |operator: &str, key: &str, values: &[&str]| {
            let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
            Condition::parse(operator, key, &values, true).unwrap_err()
        };
        for operator in [
            "Equals",
            "stringEquals",
            "BinaryEquals",
            "NullIfExists",
            "ForAllValues:Null",
            "ForSome:StringEquals",
            "",
        ] {
            assert!(
                parse(operator, "aws:k", &["x"]).contains(operator),
                "{operator}"
            );
        }
        assert!(parse("StringEquals", "k", &["x"]).contains("`k`"));
        assert!(parse("StringEquals", "aws:k", &[]).contains("no values"));
        for (operator, value) in [
            ("NumericEquals", "x"),
            ("NumericEquals", "inf"),
            ("DateEquals", "soon"),
            ("Bool", "yes"),
            ("Null", "x"),
            ("IpAddress", "192.0.2.0/33"),
            ("IpAddress", "example.org"),
            ("ArnLike", "role/x"),
        ] {
            assert!(
                parse(operator, "aws:k", &[value]).contains(value),
                "{operator}"
            );
        }
    }
}
