//! What policies say about a request (IAM User Guide, "Policy evaluation logic").

use crate::Context;
use crate::document::{Policy, Principals, Set, Statement};

/// What policies of one kind say about one action on one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// A statement allows it, none denies it.
    Allow,
    /// This statement denies it: its `Sid`, if it has one.
    ExplicitDeny(Option<String>),
    /// No statement says anything about it.
    ImplicitDeny,
}

/// Who asks to assume a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller<'a> {
    /// The account, as twelve digits.
    pub account: &'a str,
    /// The user's, root's or session's ARN.
    pub arn: &'a str,
    /// The ARN of the role that a session is of.
    pub role: Option<&'a str>,
}

/// What a trust policy says about a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// It names the caller itself, or everybody: in one account that is enough.
    Principal,
    /// It names the caller's account, whose own policies must allow it too.
    Account,
    /// It denies it.
    ExplicitDeny,
    /// It does not name the caller.
    No,
}

/// What policies that count together say about `action` (`ec2:CreateVpc`) on `resource` (an ARN, or `*` for an action
/// that has no resources).
#[must_use]
pub fn evaluate(policies: &[&Policy], action: &str, resource: &str, context: &Context) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for statement in policies.iter().flat_map(|policy| &policy.statements) {
        if !is_about(statement, action, resource, context) {
            continue;
        }
        if !statement.allow {
            return Decision::ExplicitDeny(statement.sid.clone());
        }
        decision = Decision::Allow;
    }
    decision
}

/// What a role's trust policy says about somebody who asks to do `action` (`sts:AssumeRole`).
#[must_use]
pub fn trusts(policy: &Policy, caller: &Caller<'_>, action: &str, context: &Context) -> Trust {
    let mut trust = Trust::No;
    for statement in &policy.statements {
        if !is_about(statement, action, "*", context) {
            continue;
        }
        let named = match &statement.principals {
            Principals::Holder => Trust::No,
            Principals::All => Trust::Principal,
            Principals::These(these) => {
                these
                    .iter()
                    .fold(Trust::No, |best, one| match (best, names(one, caller)) {
                        (Trust::Principal, _) | (_, Trust::Principal) => Trust::Principal,
                        (_, found @ Trust::Account) => found,
                        (best, _) => best,
                    })
            }
        };
        match (named, statement.allow) {
            (Trust::No | Trust::ExplicitDeny, _) => {}
            (_, false) => return Trust::ExplicitDeny,
            (Trust::Principal, true) => trust = Trust::Principal,
            (Trust::Account, true) => {
                if trust == Trust::No {
                    trust = Trust::Account;
                }
            }
        }
    }
    trust
}

/// How a principal in a policy names the caller, if it does.
fn names(principal: &str, caller: &Caller<'_>) -> Trust {
    if principal == caller.arn || caller.role == Some(principal) {
        // A root user is its account.
        return if principal.ends_with(":root") {
            Trust::Account
        } else {
            Trust::Principal
        };
    }
    let account = principal
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.strip_suffix(":root"))
        .unwrap_or(principal);
    if account == caller.account {
        Trust::Account
    } else {
        Trust::No
    }
}

fn is_about(statement: &Statement, action: &str, resource: &str, context: &Context) -> bool {
    // Actions have no variables and no case; resources have both.
    has(&statement.actions, action, &Context::new(), true)
        && statement
            .resources
            .as_ref()
            .is_none_or(|resources| has(resources, resource, context, false))
        && statement
            .conditions
            .iter()
            .all(|condition| condition.holds(context))
}

fn has(set: &Set, text: &str, context: &Context, fold: bool) -> bool {
    let one = set
        .patterns
        .iter()
        .any(|pattern| pattern.matches(text, context, fold));
    one != set.negated
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::Kind;

    fn policy(statements: Value) -> Policy {
        let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        Policy::parse(&text, Kind::Identity).unwrap()
    }

    fn decide(statements: Value, action: &str, resource: &str) -> Decision {
        let mut context = Context::new();
        context.set("aws:username", "ann");
        context.set("ec2:ResourceTag/team", "blue");
        evaluate(&[&policy(statements)], action, resource, &context)
    }

    const VPC: &str = "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-1";
    const OTHER: &str = "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-2";

    #[test]
    fn explicit_deny_wins_and_silence_is_a_deny() {
        let allow = json!({"Effect": "Allow", "Action": "ec2:*", "Resource": "*"});
        let deny =
            json!({"Sid": "No", "Effect": "Deny", "Action": "ec2:DeleteVpc", "Resource": VPC});
        for both in [json!([allow, deny]), json!([deny, allow])] {
            let decide = |action, resource| decide(both.clone(), action, resource);
            assert_eq!(decide("ec2:CreateVpc", "*"), Decision::Allow);
            assert_eq!(
                decide("ec2:DeleteVpc", VPC),
                Decision::ExplicitDeny(Some("No".to_owned()))
            );
            assert_eq!(decide("ec2:DeleteVpc", OTHER), Decision::Allow);
            assert_eq!(decide("sts:AssumeRole", "*"), Decision::ImplicitDeny);
        }
        assert_eq!(
            evaluate(&[], "ec2:X", "*", &Context::new()),
            Decision::ImplicitDeny
        );
    }

    #[test]
    fn names_cases_and_negations() {
        let one = |statement: Value, action, resource| decide(json!([statement]), action, resource);
        let allow = Decision::Allow;
        let nothing = Decision::ImplicitDeny;
        let with = |action: &str, resource: &str| json!({"Effect": "Allow", "Action": action, "Resource": resource});
        assert_eq!(
            one(with("EC2:describe*", "*"), "ec2:DescribeVpcs", "*"),
            allow
        );
        assert_eq!(
            one(with("ec2:DescribeVpc?", "*"), "ec2:DescribeVpcs", "*"),
            allow
        );
        assert_eq!(
            one(
                with("*", &VPC.to_uppercase().replace("ARN:AWS", "arn:aws")),
                "ec2:X",
                VPC
            ),
            nothing
        );
        assert_eq!(
            one(with("*", "arn:aws:ec2:*:*:vpc/*"), "ec2:DescribeVpcs", "*"),
            nothing
        );
        assert_eq!(
            one(
                with("*", "arn:aws:ec2:*:*:user/${aws:username}"),
                "ec2:X",
                "arn:aws:ec2:::user/ann"
            ),
            allow
        );
        assert_eq!(
            one(
                with("*", "arn:aws:ec2:*:*:user/${aws:username}"),
                "ec2:X",
                "arn:aws:ec2:::user/bob"
            ),
            nothing
        );
        let not = json!({"Effect": "Allow", "NotAction": "ec2:Delete*", "NotResource": "arn:aws:ec2:*:*:subnet/*"});
        assert_eq!(one(not.clone(), "ec2:CreateVpc", VPC), allow);
        assert_eq!(one(not.clone(), "ec2:DeleteVpc", VPC), nothing);
        assert_eq!(
            one(not, "ec2:CreateSubnet", "arn:aws:ec2:a:b:subnet/s"),
            nothing
        );
        let blue = json!({"Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {"StringEquals": {"ec2:ResourceTag/team": "blue"}, "Null": {"aws:TokenIssueTime": "true"}}});
        assert_eq!(one(blue.clone(), "ec2:X", VPC), allow);
        let text = blue.to_string().replace("\"blue\"", "\"red\"");
        assert_eq!(
            one(serde_json::from_str(&text).unwrap(), "ec2:X", VPC),
            nothing
        );
    }

    #[test]
    fn trust() {
        let policy = |principal: Value, effect: &str| {
            let text = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "444455556666"}},
                {"Effect": effect, "Action": "sts:AssumeRole", "Principal": principal,
                 "Condition": {"StringEquals": {"sts:ExternalId": "x"}}},
            ]});
            Policy::parse(&text.to_string(), Kind::Trust).unwrap()
        };
        let ann = Caller {
            account: "111122223333",
            arn: "arn:aws:iam::111122223333:user/ann",
            role: None,
        };
        let session = Caller {
            account: "111122223333",
            arn: "arn:aws:sts::111122223333:assumed-role/r/s",
            role: Some("arn:aws:iam::111122223333:role/r"),
        };
        let mut context = Context::new();
        context.set("sts:ExternalId", "x");
        let ask = |principal: Value, caller: &Caller<'_>| {
            trusts(
                &policy(principal, "Allow"),
                caller,
                "sts:AssumeRole",
                &context,
            )
        };
        assert_eq!(ask(json!("*"), &ann), Trust::Principal);
        assert_eq!(ask(json!({"AWS": ann.arn}), &ann), Trust::Principal);
        assert_eq!(ask(json!({"AWS": ann.arn}), &session), Trust::No);
        assert_eq!(
            ask(json!({"AWS": ["111122223333", session.role]}), &session),
            Trust::Principal
        );
        assert_eq!(ask(json!({"AWS": session.arn}), &session), Trust::Principal);
        assert_eq!(
            ask(json!({"AWS": "arn:aws:iam::111122223333:root"}), &ann),
            Trust::Account
        );
        assert_eq!(ask(json!({"AWS": "111122223334"}), &ann), Trust::No);
        let root = Caller {
            account: "111122223333",
            arn: "arn:aws:iam::111122223333:root",
            role: None,
        };
        assert_eq!(ask(json!({"AWS": root.arn}), &root), Trust::Account);
        let other = Caller {
            account: "444455556666",
            arn: "arn:aws:iam::444455556666:user/b",
            role: None,
        };
        assert_eq!(
            trusts(
                &policy(json!("*"), "Deny"),
                &other,
                "sts:AssumeRole",
                &context
            ),
            Trust::ExplicitDeny
        );
        assert_eq!(
            trusts(
                &policy(json!("*"), "Deny"),
                &other,
                "sts:AssumeRole",
                &Context::new()
            ),
            Trust::Account
        );
        assert_eq!(
            trusts(
                &policy(json!("*"), "Allow"),
                &other,
                "sts:TagSession",
                &context
            ),
            Trust::No
        );
    }

    /// A second evaluation, by the definition: statements as JSON, patterns as words of a small alphabet.
    fn naive(statements: &[Value], action: &str, resource: &str, context: &Context) -> Decision {
        fn fits(pattern: &str, text: &str) -> bool {
            match pattern.split_once('*') {
                None => pattern == text,
                Some((head, tail)) => text
                    .strip_prefix(head)
                    .is_some_and(|rest| (0..=rest.len()).any(|at| fits(tail, &rest[at..]))),
            }
        }
        let listed = |statement: &Value, plain: &str, text: &str| {
            let list = |name: &str| statement[name].as_array().cloned();
            let any = |list: Vec<Value>| list.iter().any(|p| fits(p.as_str().unwrap(), text));
            match (list(plain), list(&format!("Not{plain}"))) {
                (Some(list), _) => any(list),
                (_, Some(list)) => !any(list),
                _ => false,
            }
        };
        let about: Vec<&Value> = statements
            .iter()
            .filter(|s| listed(s, "Action", action) && listed(s, "Resource", resource))
            .filter(|s| match s["Condition"]["StringEquals"]["aws:k"].as_str() {
                Some(wanted) => context
                    .get("aws:k")
                    .is_some_and(|found| found.iter().any(|f| f == wanted)),
                None => true,
            })
            .collect();
        if about.iter().any(|s| s["Effect"] == "Deny") {
            Decision::ExplicitDeny(None)
        } else if about.is_empty() {
            Decision::ImplicitDeny
        } else {
            Decision::Allow
        }
    }

    fn any_statement() -> impl Strategy<Value = Value> {
        let action = prop::collection::vec("ec2:[AB*]{1,3}", 1..3);
        let resource = prop::collection::vec(
            prop_oneof![Just("*".to_owned()), "arn:aws:ec2:r:a:[ab*]{0,3}"],
            1..3,
        );
        let condition = prop::option::of(prop_oneof![Just("x"), Just("y")]);
        (any::<[bool; 3]>(), action, resource, condition).prop_map(
            |([allow, not_action, not_resource], action, resource, condition)| {
                let mut statement = json!({"Effect": if allow { "Allow" } else { "Deny" }});
                statement[if not_action { "NotAction" } else { "Action" }] = json!(action);
                statement[if not_resource {
                    "NotResource"
                } else {
                    "Resource"
                }] = json!(resource);
                if let Some(value) = condition {
                    statement["Condition"] = json!({"StringEquals": {"aws:k": value}});
                }
                statement
            },
        )
    }

    proptest! {
        #[test]
        fn as_a_second_evaluation_says(
            statements in prop::collection::vec(any_statement(), 1..5),
            action in "ec2:[AB]{1,3}",
            resource in prop_oneof![Just("*".to_owned()), "arn:aws:ec2:r:a:[ab]{0,3}"],
            value in prop::option::of(prop_oneof![Just("x"), Just("y")]),
        ) {
            let mut context = Context::new();
            if let Some(value) = value {
                context.set("aws:k", value);
            }
            let found = evaluate(&[&policy(json!(statements))], &action, &resource, &context);
            prop_assert_eq!(found, naive(&statements, &action, &resource, &context));
        }
    }
}
