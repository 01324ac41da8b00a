//! Text with wildcards and policy variables (IAM User Guide, "IAM policy elements: Variables and tags").

use crate::Context;

/// A pattern: `*` is any text, `?` any one character, `${key}` a context key's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    text: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Literal(String),
    /// `*`.
    Many,
    /// `?`.
    One,
    /// `${key}` or `${key, 'default'}`.
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// One element of a pattern whose variables are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Element {
    Char(char),
    Many,
    One,
}

/// Which of a pattern's special characters count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wild {
    /// `*` and `?` are wildcards.
    Yes,
    /// They are themselves.
    No,
}

impl Pattern {
    /// Reads a pattern; `variables` says whether `${…}` means anything (version 2012-10-17).
    ///
    /// # Errors
    /// What is wrong with a variable.
    pub(crate) fn parse(text: &str, wild: Wild, variables: bool) -> Result<Pattern, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let special = match first {
                '*' if wild == Wild::Yes => Some((Part::Many, 1)),
                '?' if wild == Wild::Yes => Some((Part::One, 1)),
                '$' if variables && rest.starts_with("${") => {
                    let end = rest
                        .find('}')
                        .ok_or_else(|| format!("`{text}` has a `${{` without its `}}`"))?;
                    let inner = rest.get(2..end).unwrap_or_default();
                    Some((variable(inner)?, end + 1))
                }
                _ => None,
            };
            let length = match special {
                None => {
                    literal.push(first);
                    first.len_utf8()
                }
                Some((Part::Literal(text), length)) => {
                    literal.push_str(&text);
                    length
                }
                Some((part @ (Part::Many | Part::One | Part::Variable { .. }), length)) => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(part);
                    length
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Pattern {
            parts,
            text: text.to_owned(),
        })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has a variable, so that its text is known only with a request.
    pub(crate) fn has_variables(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Variable { .. }))
    }

    /// The text with its variables' values; `None` if one of them has no value, or more than one. Wildcards are
    /// written as themselves: for operators that have none.
    pub(crate) fn resolve(&self, context: &Context) -> Option<String> {
        let elements = self.elements(context)?;
        let text = elements.into_iter().map(|element| match element {
            Element::Char(c) => c,
            Element::Many => '*',
            Element::One => '?',
        });
        Some(text.collect())
    }

    /// Whether the whole text is of this pattern. A variable without a value matches nothing.
    pub(crate) fn matches(&self, text: &str, context: &Context, fold: bool) -> bool {
        self.elements(context)
            .is_some_and(|pattern| glob(&pattern, text, fold))
    }

    /// The same for ARNs, part by part: a wildcard does not reach over one of the first five colons (IAM, "ArnLike").
    pub(crate) fn matches_arn(&self, arn: &str, context: &Context) -> bool {
        let Some(pattern) = self.elements(context) else {
            return false;
        };
        let mut parts = pattern.splitn(6, |element| *element == Element::Char(':'));
        let mut texts = arn.splitn(6, ':');
        loop {
            match (parts.next(), texts.next()) {
                (None, None) => return true,
                (Some(part), Some(text)) if glob(part, text, false) => {}
                _ => return false,
            }
        }
    }

    fn elements(&self, context: &Context) -> Option<Vec<Element>> {
        let mut elements = Vec::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Literal(text) => elements.extend(text.chars().map(Element::Char)),
                Part::Many => elements.push(Element::Many),
                Part::One => elements.push(Element::One),
                Part::Variable { key, default } => {
                    let value = match (context.get(key), default) {
                        (Some([value]), _) => value,
                        (None | Some([]), Some(default)) => default,
                        _ => return None,
                    };
                    elements.extend(value.chars().map(Element::Char));
                }
            }
        }
        Some(elements)
    }
}

/// What stands between `${` and `}`.
fn variable(inner: &str) -> Result<Part, String> {
    if let "*" | "?" | "$" = inner {
        return Ok(Part::Literal(inner.to_owned()));
    }
    let (key, default) = match inner.split_once(',') {
        None => (inner, None),
        Some((key, default)) => {
            let default = default
                .trim()
                .strip_prefix('\'')
                .and_then(|rest| rest.strip_suffix('\''));
            let default =
                default.ok_or_else(|| format!("the default in `${{{inner}}}` is not quoted"))?;
            (key, Some(default.to_owned()))
        }
    };
    let key = key.trim();
    let plain = |c: char| c.is_alphanumeric() || "_.:/=+-@".contains(c);
    if !key.contains(':') || !key.chars().all(plain) {
        return Err(format!("`${{{inner}}}` is not a policy variable"));
    }
    Ok(Part::Variable {
        key: key.to_owned(),
        default,
    })
}

/// The usual match of wildcards: the last `*` takes one character more whenever the rest does not fit. Its cost is
/// bounded by the product of the lengths.
fn glob(pattern: &[Element], text: &str, fold: bool) -> bool {
    let same = |a: char, b: char| a == b || (fold && a.to_lowercase().eq(b.to_lowercase()));
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(t) {
        match pattern.get(p) {
            Some(Element::Many) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(Element::One) => {
                p += 1;
                t += 1;
                continue;
            }
            Some(Element::Char(wanted)) if same(*wanted, c) => {
                p += 1;
                t += 1;
                continue;
            }
            Some(Element::Char(_)) | None => {}
        }
        let Some((at, taken)) = star else {
            return false;
        };
        star = Some((at, taken + 1));
        p = at + 1;
        t = taken + 1;
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|element| *element == Element::Many)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, Wild::Yes, true)
            .unwrap()
            .matches(text, &Context::new(), false)
    }

    #[test]
    fn wildcards() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a:b/c"),
            ("a*c", "abc"),
            ("a*c", "ac"),
            ("a*b*c", "aXbbYc"),
            ("?", "é"),
            ("${*}", "*"),
            ("${$}{x}", "${x}"),
            ("ec2:Describe*", "ec2:DescribeVpcs"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("?", ""),
            ("a*c", "abcd"),
            ("${*}", "a"),
            ("A", "a"),
            ("${aws:username}", ""),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn variables() {
        let mut context = Context::new();
        context.set("aws:username", "a*");
        context.add("aws:TagKeys", "one");
        context.add("aws:TagKeys", "two");
        let matches = |pattern: &str, text: &str| {
            Pattern::parse(pattern, Wild::Yes, true)
                .unwrap()
                .matches(text, &context, false)
        };
        assert!(matches("user/${AWS:UserName}/*", "user/a*/x"));
        assert!(
            !matches("user/${aws:username}", "user/abc"),
            "a value is literal"
        );
        assert!(matches("${aws:PrincipalTag/team, 'none'}", "none"));
        assert!(
            !matches("${aws:TagKeys}", "one"),
            "no variable has two values"
        );
        assert!(!matches("${aws:userid}*", "x"), "no value, no match");
        for bad in ["${", "${x}", "${aws:x, y}", "${aws:a b}", "a${aws:username"] {
            assert!(Pattern::parse(bad, Wild::Yes, true).is_err(), "{bad}");
        }
        let old = Pattern::parse("${", Wild::Yes, false).unwrap();
        assert!(
            old.matches("${", &context, false),
            "the old version has none"
        );
    }

    #[test]
    fn arns_are_matched_part_by_part() {
        let matches = |pattern: &str, arn: &str| {
            Pattern::parse(pattern, Wild::Yes, true)
                .unwrap()
                .matches_arn(arn, &Context::new())
        };
        let arn = "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-1:x";
        assert!(matches("arn:aws:ec2:*:*:vpc/*", arn));
        assert!(matches("arn:*:*:*:*:*", arn));
        assert!(!matches("arn:aws:*:vpc/*", arn));
        assert!(!matches("*", arn));
    }

    /// The definition, as it reads.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                naive(rest, text) || text.split_first().is_some_and(|(_, t)| naive(pattern, t))
            }
            (Some((p, rest)), Some((t, more))) => (*p == '?' || p == t) && naive(rest, more),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn as_the_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let p: Vec<char> = pattern.chars().collect();
            let t: Vec<char> = text.chars().collect();
            prop_assert_eq!(matches(&pattern, &text), naive(&p, &t));
        }

        #[test]
        fn nothing_panics(pattern in ".{0,40}", text in ".{0,40}") {
            if let Ok(pattern) = Pattern::parse(&pattern, Wild::Yes, true) {
                let _ = pattern.matches(&text, &Context::new(), true);
                let _ = pattern.matches_arn(&text, &Context::new());
            }
        }
    }
}
