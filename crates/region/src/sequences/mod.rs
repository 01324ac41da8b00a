//! Random sequences of requests of every family, and what must hold after each of them.
//!
//! [`generate`] makes requests out of a table, [`check`] knows the invariants. Beside them this test holds that the
//! writes lead to the state, that the index is as one that is built from scratch, that what hosts are told bit by bit is
//! what they would be told at once, and that deleting undoes creating. A failing case prints its seed;
//! `POLDER_SEED=N` runs that one alone, `POLDER_SEQUENCES=N` runs that many.

mod check;
mod generate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use generate::{Dice, Stored};
use serde_json::Value as Json;

use crate::invariants::{Replica, check as check_core, host_tells};
use crate::testing::{World, account, text};
use crate::{Loading, State, Write, delta, full, report};

/// How many sequences a run of the tests makes, and how long each is.
const SEQUENCES: u64 = 6;
const STEPS: usize = 700;
/// Where clients ask: mostly in the first.
const REGIONS: [&str; 2] = ["us-east-1", "eu-central-1"];

/// What deletes what an action creates, where the reply has its id, and the parameters; see the file.
fn inverse(create: &str) -> Option<[&'static str; 3]> {
    let lines = include_str!("inverses.txt").lines();
    let mut words = lines.map(|line| line.splitn(4, ' '));
    let line = words.find_map(|mut words| (words.next() == Some(create)).then_some(words));
    line.map(|mut words| [(); 3].map(|()| words.next().unwrap()))
}

/// Says which case failed.
struct Case {
    seed: u64,
    step: usize,
    last: String,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Case { seed, step, last } = self;
            eprintln!("POLDER_SEED={seed}, step {step}: {last}");
        }
    }
}

/// The records as the store would have them.
fn store(stored: &mut Stored, writes: &[Write]) {
    for write in writes {
        let key = (write.kind.to_owned(), write.id.clone());
        match &write.body {
            Some(body) => {
                let body = String::from_utf8(body.clone()).unwrap();
                stored.insert(key, body);
            }
            None => {
                assert!(stored.remove(&key).is_some(), "{key:?} was not there");
            }
        }
    }
}

/// The state that a store of these records loads.
fn load(stored: &Stored) -> State {
    let mut loading = Loading::default();
    for ((kind, id), body) in stored {
        loading.take(kind, id, body.as_bytes()).unwrap();
    }
    loading.state()
}

/// Whether a record was deleted, or never came to be: it is shown for a while, and means nothing.
fn is_over(body: &str) -> bool {
    let record: Json = serde_json::from_str(body).unwrap();
    let deed = &record["deed"];
    let standing = &record["standing"];
    !record["life"]["Until"].is_null()
        || !standing["Life"]["Until"].is_null()
        || !standing["Rejected"].is_null()
        || !record["failure"].is_null()
        || !deed["Deleted"].is_null()
        || *deed == "Failed"
        || *deed == "Rejected"
}

/// What of a store is alive.
fn alive(stored: &Stored) -> BTreeMap<&(String, String), &String> {
    stored.iter().filter(|(_, body)| !is_over(body)).collect()
}

/// Deletes what was just created, and compares with what was before; the state stays as it is.
fn undo(world: &mut World, stored: &Stored, created: &Created<'_>) {
    let Some([delete, path, template]) = inverse(created.action) else {
        return;
    };
    // A repetition creates nothing, and neither does a failure.
    let bodies = created
        .writes
        .iter()
        .filter_map(|write| write.body.as_ref());
    let mut bodies = bodies.map(|body| String::from_utf8(body.clone()).unwrap());
    if created.writes.is_empty() || bodies.any(|body| is_over(&body)) {
        return;
    }
    let input: Json = if template == "=" {
        created.input.clone()
    } else {
        let id = text(created.reply, path);
        serde_json::from_str(&template.replace('$', &id)).unwrap()
    };
    let done = world
        .execute(delete, api::to_value(&input).unwrap())
        .unwrap_or_else(|error| panic!("{delete} {input}: {error}"));
    let mut after = stored.clone();
    store(&mut after, created.writes);
    store(&mut after, &done.writes);
    let (before, after) = (alive(stored), alive(&after));
    for (key, body) in &before {
        let now = after.get(*key);
        assert!(now == Some(body), "{delete} left {body} as {now:?}");
    }
    for (key, body) in &after {
        assert!(before.contains_key(*key), "{delete} left {body}");
    }
}

struct Created<'c> {
    action: &'c str,
    input: &'c Json,
    reply: &'c api::Value,
    writes: &'c [Write],
}

fn run(seed: u64, hosts: bool, steps: usize) -> BTreeMap<String, u32> {
    let mut case = Case {
        seed,
        step: 0,
        last: String::new(),
    };
    let accounts = [account("111122223333"), account("444455556666")];
    let mut dice = Dice::new(seed);
    let mut world = World::new();
    world.hosts = hosts;
    let mut stored = Stored::new();
    let mut incremental = State::default();
    // Accounts come into being with what belongs to them, once.
    for account in accounts {
        for region in REGIONS {
            (world.account, world.region) = (account, region);
            let done = world.execute("DescribeVpcs", api::Value::empty()).unwrap();
            store(&mut stored, &done.writes);
            for write in &done.writes {
                let body = write.body.as_deref();
                incremental.load(write.kind, &write.id, body).unwrap();
            }
            world.state = done.state;
        }
    }
    let mut host = Replica::of(full(&world.state, 0));
    let mut succeeded = BTreeMap::new();
    for step in 0..steps {
        world.account = accounts[usize::from(dice.below(6) == 0)];
        world.region = REGIONS[usize::from(dice.below(16) == 0)];
        // What is deleted is forgotten after an hour.
        world.now.0 += 60_000;
        let (name, done, input) = if dice.below(12) == 0 {
            let Some(told) = host_tells(&host, dice.word(), dice.word()) else {
                continue;
            };
            let done = world.with(|state, ctx| report(state, ctx, &told));
            ("report".to_owned(), done, Json::Null)
        } else {
            let request =
                generate::request(&mut dice, &succeeded, &stored, world.account, world.region);
            let (action, input) = request;
            case.last = format!("{action} {input}");
            case.step = step;
            match world.execute(&action, api::to_value(&input).unwrap()) {
                Ok(done) => (action, done, input),
                Err(error) => {
                    assert_ne!(error.code, "InternalError", "{error}");
                    continue;
                }
            }
        };
        *succeeded.entry(name.clone()).or_default() += 1;
        host.take(delta(&world.state, &done.state, &done.writes, 0, 1));
        for write in &done.writes {
            let body = write.body.as_deref();
            incremental.load(write.kind, &write.id, body).unwrap();
        }
        world.state = Arc::clone(&done.state);
        if dice.below(2) == 0 {
            let created = Created {
                action: &name,
                input: &input,
                reply: &done.reply,
                writes: &done.writes,
            };
            undo(&mut world, &stored, &created);
        }
        store(&mut stored, &done.writes);
        check_core(&world.state);
        check::families(&world.state, world.now);
        check::references(&world.state, &stored);
        assert_eq!(host, Replica::of(full(&world.state, 1)), "after {name}");
    }
    for (name, state) in [
        ("the published state", world.state.as_ref()),
        ("the state that changes led to", &incremental),
    ] {
        state.check_indices();
        let same = load(&stored).bodies() == state.bodies();
        assert!(same, "{name} is not what is stored");
    }
    succeeded
}

fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_sequence_keeps_the_invariants() {
    let seeds: Vec<u64> = asked("POLDER_SEED").map_or_else(
        || (1..=asked("POLDER_SEQUENCES").unwrap_or(SEQUENCES)).collect(),
        |seed| vec![seed],
    );
    let mut succeeded: BTreeMap<String, u32> = BTreeMap::new();
    let mut failed = Vec::new();
    // Two at a time.
    for pair in seeds.chunks(2) {
        std::thread::scope(|scope| {
            let run = |seed: &u64| {
                let seed = *seed;
                (
                    seed,
                    scope.spawn(move || run(seed, seed.is_multiple_of(2), STEPS)),
                )
            };
            let threads: Vec<_> = pair.iter().map(run).collect();
            for (seed, thread) in threads {
                match thread.join() {
                    Ok(done) => {
                        for (action, times) in done {
                            *succeeded.entry(action).or_default() += times;
                        }
                    }
                    Err(_) => failed.push(seed),
                }
            }
        });
    }
    assert!(failed.is_empty(), "POLDER_SEED: {failed:?}");
    // The property means something only if the sequences get somewhere: most actions succeed in one of them.
    let all: BTreeSet<String> = generate::actions().collect();
    let missing: Vec<&String> = all
        .iter()
        .filter(|action| !succeeded.contains_key(*action))
        .collect();
    let few = missing.len() * 6 <= all.len();
    assert!(
        few || asked("POLDER_SEED").is_some(),
        "never succeeded: {missing:?}"
    );
}
