//! Requests out of the table `requests.txt`, whose gaps are filled with what there is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value as Json;
use types::AccountId;

/// The records of a store, by kind and id, as JSON.
pub(super) type Stored = BTreeMap<(String, String), String>;

/// A generator of numbers: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn word(&mut self) -> u16 {
        u16::try_from(self.next() >> 48).unwrap()
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap() % bound
    }

    fn choose<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }
}

/// A line of the table.
struct Line {
    action: &'static str,
    /// Identifiers that are chosen before the parameters are filled.
    first: Vec<&'static str>,
    parameters: &'static str,
}

static TABLE: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let mut table = Vec::new();
    for line in include_str!("requests.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (head, parameters) = line.split_at(line.find('{').unwrap());
        let mut words = head.split_whitespace();
        let times: usize = words.next().unwrap().parse().unwrap();
        let action = words.next().unwrap();
        let first: Vec<&str> = words.collect();
        for _ in 0..times {
            table.push(Line {
                action,
                first: first.clone(),
                parameters,
            });
        }
    }
    table
});

/// Every action of the table.
pub(super) fn actions() -> impl Iterator<Item = String> {
    TABLE.iter().map(|line| line.action.to_owned())
}

/// One request: an action and its parameters. Half of the time it is an action that has not succeeded yet.
pub(super) fn request(
    dice: &mut Dice,
    succeeded: &BTreeMap<String, u32>,
    stored: &Stored,
    account: AccountId,
    region: &str,
) -> (String, Json) {
    let fresh: Vec<&Line> = TABLE
        .iter()
        .filter(|line| !succeeded.contains_key(line.action))
        .collect();
    let line = if fresh.is_empty() || dice.below(2) == 0 {
        dice.choose(&TABLE)
    } else {
        dice.choose(&fresh)
    };
    let mut chooser = Chooser {
        stored,
        own: format!("\"account\":\"{account}\""),
        here: format!("\"region\":\"{region}\""),
        bound: BTreeMap::new(),
    };
    for token in &line.first {
        chooser.identifier(dice, token.trim_start_matches('$'), false);
    }
    let words = fill(line.parameters, '%', &mut |gap| word(dice, gap));
    let text = fill(&words, '$', &mut |gap| chooser.identifier(dice, gap, true));
    (line.action.to_owned(), serde_json::from_str(&text).unwrap())
}

/// Replaces what stands behind a mark: letters, digits and `-`, `|`, `@`.
fn fill(text: &str, mark: char, value: &mut dyn FnMut(&str) -> String) -> String {
    let mut parts = text.split(mark);
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-|@".contains(c)))
            .unwrap_or(part.len());
        let (gap, rest) = part.split_at(end);
        filled.push_str(&value(gap));
        filled.push_str(rest);
    }
    filled
}

/// Blocks come from a small space, so that they often meet.
fn word(dice: &mut Dice, gap: &str) -> String {
    let (a, b) = (dice.below(3), dice.below(4) * 16);
    match gap {
        "block" => format!("10.{a}.0.0/16"),
        "subnet" => format!("10.{a}.{b}.0/20"),
        "wide" => match dice.below(3) {
            0 => "0.0.0.0/0".to_owned(),
            1 => format!("10.{a}.0.0/16"),
            _ => format!("10.{a}.{b}.0/{}", 20 + dice.below(2) * 4),
        },
        words => {
            let words: Vec<&str> = words.split('|').collect();
            (*dice.choose(&words)).to_owned()
        }
    }
}

struct Chooser<'s> {
    stored: &'s Stored,
    own: String,
    here: String,
    /// What was chosen, by prefix.
    bound: BTreeMap<String, String>,
}

impl Chooser<'_> {
    /// The identifier for a gap. `again`: what was chosen before the parameters stands for itself.
    fn identifier(&mut self, dice: &mut Dice, gap: &str, again: bool) -> String {
        let (prefix, near) = gap.split_once('@').unwrap_or((gap, ""));
        let first = format!("first {prefix}");
        if again
            && near.is_empty()
            && let Some(id) = self.bound.get(&first)
        {
            return id.clone();
        }
        let near = self.bound.get(near).cloned().unwrap_or_default();
        let anybodys = dice.below(12) == 0;
        let ended = dice.below(8) == 0;
        let mut found = Vec::new();
        for ((_, key), body) in self.stored {
            let is_own = body.contains(&self.own) && body.contains(&self.here);
            if !(anybodys || is_own) || !ended && super::is_over(body) {
                continue;
            }
            if is_of(key, prefix) {
                found.push((key.as_str(), body.as_str()));
            } else {
                for (at, _) in body.match_indices(&format!("\"{prefix}-")) {
                    let id = body[at + 1..].split('"').next().unwrap();
                    if is_of(id, prefix) && !self.is_key(id) {
                        found.push((id, body.as_str()));
                    }
                }
            }
        }
        let of_near = self.stored.iter().find(|((_, key), _)| *key == near);
        let is_near = |(id, body): &&(&str, &str)| {
            body.contains(&near) || of_near.is_some_and(|(_, body)| body.contains(*id))
        };
        let close: Vec<(&str, &str)> = found.iter().filter(is_near).copied().collect();
        let from = if close.is_empty() { &found } else { &close };
        let id = if from.is_empty() {
            format!("{prefix}-{:017x}", dice.below(7))
        } else {
            dice.choose(from).0.to_owned()
        };
        self.bound.insert(prefix.to_owned(), id.clone());
        if !again {
            self.bound.insert(first, id.clone());
        }
        id
    }

    fn is_key(&self, id: &str) -> bool {
        self.stored.keys().any(|(_, key)| key == id)
    }
}

/// Whether the text is an identifier with this prefix.
fn is_of(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|digits| {
            digits.len() == 17 && digits.bytes().all(|octet| octet.is_ascii_hexdigit())
        })
}
