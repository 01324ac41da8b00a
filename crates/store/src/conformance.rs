//! The suite that every store must pass.
//!
//! Limitations: what only a crash can show (an acknowledged commit survives `kill -9`) needs a process to kill; see
//! this crate's own tests.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Change, Error, Loaded, Revision, Store, StoredRecord, Write};

/// Opens a store again whose earlier handle was dropped.
pub type Reopen = Box<dyn Fn() -> Box<dyn Store>>;

/// Runs every test. `make` gives an empty store and the way to open it again; each test has its own.
///
/// # Panics
/// If the store does not conform.
pub fn all(make: impl Fn() -> (Box<dyn Store>, Reopen)) {
    for (name, test) in TESTS {
        let (store, reopen) = make();
        let run = std::panic::AssertUnwindSafe(|| test(store, reopen));
        if let Err(panic) = std::panic::catch_unwind(run) {
            let why = panic.downcast_ref::<String>().map(String::as_str);
            let why = why
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("?");
            panic!("the store does not conform: {name}: {why}");
        }
    }
}

type Test = fn(Box<dyn Store>, Reopen);

const TESTS: &[(&str, Test)] = &[
    ("an empty store is empty", empty),
    ("commits count, and records are ordered", ordering),
    ("a commit on an old revision is refused", conflicts),
    ("a refused commit leaves nothing", refused_leaves_nothing),
    ("a commit without writes leaves no trace", nothing_to_write),
    ("deleted records are gone", deletion),
    (
        "writes of one commit happen in their order",
        same_record_twice,
    ),
    (
        "changes of one commit share a revision and are not parted",
        whole_commits,
    ),
    (
        "the feed leads from nothing to everything",
        feed_completeness,
    ),
    ("forgotten changes are refused, not skipped", compaction),
    ("several commits at once are as if one by one", many_at_once),
    ("several commits at once happen all or none", all_or_none),
    ("concurrent counters lose nothing", concurrency),
    (
        "what was committed is there after opening again",
        durability,
    ),
    ("names and contents of any kind", strange_content),
    ("big records", big_bodies),
    ("a watcher wakes up", watch),
];

fn put(kind: &str, id: &str, body: &[u8]) -> Write {
    Write {
        kind: kind.to_owned(),
        id: id.to_owned(),
        body: Some(body.to_vec()),
    }
}

fn delete(kind: &str, id: &str) -> Write {
    Write {
        kind: kind.to_owned(),
        id: id.to_owned(),
        body: None,
    }
}

fn names(loaded: &Loaded) -> Vec<(&str, &str)> {
    loaded
        .records
        .iter()
        .map(|record| (record.kind.as_str(), record.id.as_str()))
        .collect()
}

/// All changes after a revision, page by page.
fn feed(store: &dyn Store, mut after: Revision, limit: usize) -> Vec<Change> {
    let mut all = Vec::new();
    loop {
        let page = store.changes(after, limit).unwrap();
        let Some(last) = page.last() else { return all };
        assert!(last.revision > after, "the feed goes forward");
        after = last.revision;
        all.extend(page);
    }
}

/// What the changes lead to from nothing.
fn folded(changes: &[Change]) -> Vec<StoredRecord> {
    let mut records: BTreeMap<(String, String), Vec<u8>> = BTreeMap::new();
    for change in changes {
        let key = (change.kind.clone(), change.id.clone());
        match &change.body {
            Some(body) => records.insert(key, body.clone()),
            None => records.remove(&key),
        };
    }
    records
        .into_iter()
        .map(|((kind, id), body)| StoredRecord { kind, id, body })
        .collect()
}

fn empty(store: Box<dyn Store>, _: Reopen) {
    assert_eq!(
        store.load().unwrap(),
        Loaded {
            revision: 0,
            records: vec![]
        }
    );
    assert_eq!(store.changes(0, 100).unwrap(), vec![]);
    assert_eq!(*store.watch().borrow(), 0);
}

fn ordering(store: Box<dyn Store>, _: Reopen) {
    assert_eq!(
        store
            .commit(0, &[put("b", "2", b"x"), put("a", "9", b"x")])
            .unwrap(),
        1
    );
    assert_eq!(
        store
            .commit(1, &[put("a", "10", b"x"), put("b", "1", b"x")])
            .unwrap(),
        2
    );
    let loaded = store.load().unwrap();
    assert_eq!(loaded.revision, 2);
    assert_eq!(
        names(&loaded),
        [("a", "10"), ("a", "9"), ("b", "1"), ("b", "2")]
    );
}

fn conflicts(store: Box<dyn Store>, _: Reopen) {
    store.commit(0, &[put("k", "a", b"1")]).unwrap();
    for wrong in [0, 2, Revision::MAX] {
        let error = store.commit(wrong, &[put("k", "a", b"2")]).unwrap_err();
        assert!(matches!(error, Error::Conflict { current: 1 }), "{error}");
    }
    assert_eq!(store.commit(1, &[put("k", "a", b"2")]).unwrap(), 2);
}

fn refused_leaves_nothing(store: Box<dyn Store>, _: Reopen) {
    store.commit(0, &[put("k", "a", b"1")]).unwrap();
    store
        .commit(0, &[put("k", "b", b"1"), delete("k", "a")])
        .unwrap_err();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.revision, names(&loaded)), (1, vec![("k", "a")]));
    assert_eq!(feed(&*store, 0, 10).len(), 1);
    assert_eq!(*store.watch().borrow(), 1);
}

fn nothing_to_write(store: Box<dyn Store>, _: Reopen) {
    assert_eq!(store.commit(0, &[]).unwrap(), 0);
    store.commit(0, &[put("k", "a", b"1")]).unwrap();
    assert_eq!(store.commit(1, &[]).unwrap(), 1);
    assert!(matches!(
        store.commit(0, &[]),
        Err(Error::Conflict { current: 1 })
    ));
    assert_eq!(feed(&*store, 0, 10).len(), 1);
}

fn deletion(store: Box<dyn Store>, _: Reopen) {
    store
        .commit(
            0,
            &[
                put("k", "a", b"1"),
                put("k", "b", b"1"),
                put("l", "a", b"1"),
            ],
        )
        .unwrap();
    store
        .commit(1, &[delete("k", "a"), delete("k", "never there")])
        .unwrap();
    assert_eq!(names(&store.load().unwrap()), [("k", "b"), ("l", "a")]);
    let changes = store.changes(1, 10).unwrap();
    assert_eq!(changes.len(), 2);
    assert!(
        changes
            .iter()
            .all(|change| change.revision == 2 && change.body.is_none())
    );
}

fn same_record_twice(store: Box<dyn Store>, _: Reopen) {
    let writes = [put("k", "a", b"1"), delete("k", "a"), put("k", "a", b"2")];
    store.commit(0, &writes).unwrap();
    assert_eq!(store.load().unwrap().records.first().unwrap().body, b"2");
    let bodies: Vec<_> = feed(&*store, 0, 10)
        .into_iter()
        .map(|change| change.body)
        .collect();
    assert_eq!(bodies, [Some(b"1".to_vec()), None, Some(b"2".to_vec())]);
}

fn whole_commits(store: Box<dyn Store>, _: Reopen) {
    let three = |n: u8| {
        [
            put("k", "a", &[n]),
            put("k", "b", &[n]),
            put("k", "c", &[n]),
        ]
    };
    for revision in 0..4 {
        store
            .commit(revision, &three(u8::try_from(revision).unwrap()))
            .unwrap();
    }
    let counts = |limit: usize| {
        let page = store.changes(0, limit).unwrap();
        let mut counts: BTreeMap<Revision, usize> = BTreeMap::new();
        for change in page {
            *counts.entry(change.revision).or_default() += 1;
        }
        counts.into_iter().collect::<Vec<_>>()
    };
    for limit in [0, 1, 2, 3, 4, 5] {
        assert_eq!(counts(limit), [(1, 3)], "limit {limit}");
    }
    assert_eq!(counts(6), [(1, 3), (2, 3)]);
    assert_eq!(counts(usize::MAX), [(1, 3), (2, 3), (3, 3), (4, 3)]);
    let page = store.changes(2, 3).unwrap();
    let order: Vec<_> = page
        .iter()
        .map(|change| (change.revision, change.id.as_str()))
        .collect();
    assert_eq!(order, [(3, "a"), (3, "b"), (3, "c")]);
    assert_eq!(store.changes(4, 3).unwrap(), vec![]);
    assert_eq!(store.changes(Revision::MAX, 3).unwrap(), vec![]);
}

fn feed_completeness(store: Box<dyn Store>, _: Reopen) {
    for revision in 0..100_u64 {
        let id = |n: u64| (n % 17).to_string();
        let body = revision.to_be_bytes();
        let mut writes = vec![
            put("k", &id(revision), &body),
            put("l", &id(revision * 5), &body),
        ];
        if revision % 3 == 0 {
            writes.push(delete("k", &id(revision * 7)));
        }
        store.commit(revision, &writes).unwrap();
    }
    let changes = feed(&*store, 0, 7);
    let mut revisions: Vec<_> = changes.iter().map(|change| change.revision).collect();
    revisions.dedup();
    assert_eq!(revisions, (1..=100).collect::<Vec<_>>());
    assert_eq!(folded(&changes), store.load().unwrap().records);
}

fn compaction(store: Box<dyn Store>, _: Reopen) {
    for revision in 0..10 {
        store
            .commit(revision, &[put("k", &revision.to_string(), b"1")])
            .unwrap();
    }
    store.compact(0).unwrap();
    store.compact(1).unwrap();
    assert_eq!(feed(&*store, 0, 3).len(), 10);
    store.compact(6).unwrap();
    assert!(matches!(
        store.changes(4, 10),
        Err(Error::Compacted { forgotten: 5 })
    ));
    assert_eq!(feed(&*store, 5, 3).len(), 5);
    store.compact(3).unwrap();
    assert!(matches!(
        store.changes(4, 10),
        Err(Error::Compacted { forgotten: 5 })
    ));
    store.compact(Revision::MAX).unwrap();
    assert!(matches!(
        store.changes(9, 10),
        Err(Error::Compacted { forgotten: 10 })
    ));
    assert_eq!(store.changes(10, 10).unwrap(), vec![]);
    assert_eq!(store.load().unwrap().records.len(), 10);
    assert_eq!(store.commit(10, &[put("k", "new", b"1")]).unwrap(), 11);
    assert_eq!(store.changes(10, 10).unwrap().len(), 1);
}

/// Three commits that build on each other, and one without writes among them.
fn many() -> [Vec<Write>; 4] {
    [
        vec![put("k", "a", b"1"), put("k", "b", b"1")],
        vec![delete("k", "b"), put("k", "a", b"2")],
        vec![],
        vec![put("k", "b", b"3")],
    ]
}

fn many_at_once(store: Box<dyn Store>, reopen: Reopen) {
    store.commit(0, &[put("k", "first", b"0")]).unwrap();
    let many = many();
    let slices: Vec<&[Write]> = many.iter().map(Vec::as_slice).collect();
    assert_eq!(store.commit_many(1, &slices).unwrap(), 4);
    assert_eq!(*store.watch().borrow(), 4);
    let changes = feed(&*store, 1, 1);
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.revision, change.id.as_str(), change.body.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (2, "a", Some(&b"1"[..])),
            (2, "b", Some(b"1")),
            (3, "b", None),
            (3, "a", Some(b"2")),
            (4, "b", Some(b"3")),
        ]
    );
    // Somebody who was in the middle goes on from there.
    assert_eq!(feed(&*store, 3, 9).len(), 1);
    assert_eq!(folded(&feed(&*store, 0, 1)), store.load().unwrap().records);
    assert_eq!(store.commit(4, &[put("k", "last", b"0")]).unwrap(), 5);
    let before = store.load().unwrap();
    drop(store);
    assert_eq!(reopen().load().unwrap(), before);
}

fn all_or_none(store: Box<dyn Store>, _: Reopen) {
    let many = many();
    let slices: Vec<&[Write]> = many.iter().map(Vec::as_slice).collect();
    store.commit(0, &[put("k", "a", b"0")]).unwrap();
    for wrong in [0, 2, 3, Revision::MAX] {
        let error = store.commit_many(wrong, &slices).unwrap_err();
        assert!(matches!(error, Error::Conflict { current: 1 }), "{error}");
    }
    assert_eq!(feed(&*store, 0, 9).len(), 1);
    assert_eq!(names(&store.load().unwrap()), [("k", "a")]);
    for nothing in [&[][..], &[&[][..], &[]]] {
        assert_eq!(store.commit_many(1, nothing).unwrap(), 1);
        store.commit_many(0, nothing).unwrap_err();
    }
    assert_eq!(*store.watch().borrow(), 1);
    let mut shown = 0;
    let revision = store.scan(&mut |kind, id, body| {
        assert_eq!((kind, id, body), ("k", "a", &b"0"[..]));
        shown += 1;
    });
    assert_eq!((revision.unwrap(), shown), (1, 1));
}

fn concurrency(store: Box<dyn Store>, _: Reopen) {
    const THREADS: u64 = 8;
    const EACH: u64 = 40;
    let store = &*store;
    let increment = || {
        for _ in 0..EACH {
            loop {
                let loaded = store.load().unwrap();
                let body = loaded.records.first().map(|record| record.body.as_slice());
                let count = u64::from_be_bytes(body.unwrap_or(&[0; 8]).try_into().unwrap());
                // Every commit so far was an increment: a reader never sees half of one.
                assert_eq!(loaded.revision, count);
                let write = put("counter", "one", &(count + 1).to_be_bytes());
                match store.commit(loaded.revision, &[write]) {
                    Ok(revision) => {
                        assert_eq!(revision, loaded.revision + 1);
                        break;
                    }
                    Err(Error::Conflict { current }) => assert!(current > loaded.revision),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(increment);
        }
    });
    let loaded = store.load().unwrap();
    assert_eq!(loaded.revision, THREADS * EACH);
    assert_eq!(
        loaded.records.first().unwrap().body,
        (THREADS * EACH).to_be_bytes()
    );
    let counts: Vec<_> = feed(store, 0, 9)
        .into_iter()
        .map(|change| change.revision)
        .collect();
    assert_eq!(counts, (1..=THREADS * EACH).collect::<Vec<_>>());
}

fn durability(store: Box<dyn Store>, reopen: Reopen) {
    store
        .commit(0, &[put("k", "a", b"1"), put("k", "b", b"1")])
        .unwrap();
    store.commit(1, &[delete("k", "a")]).unwrap();
    store.compact(2).unwrap();
    let before = store.load().unwrap();
    drop(store);
    let store = reopen();
    assert_eq!(store.load().unwrap(), before);
    assert_eq!(*store.watch().borrow(), 2);
    assert!(matches!(
        store.changes(0, 10),
        Err(Error::Compacted { forgotten: 1 })
    ));
    assert_eq!(store.changes(1, 10).unwrap().len(), 1);
    assert_eq!(store.commit(2, &[put("k", "c", b"1")]).unwrap(), 3);
}

fn strange_content(store: Box<dyn Store>, reopen: Reopen) {
    let every_octet: Vec<u8> = (0..=255).collect();
    let writes = [
        put("", "", b""),
        put("kind with space", "'; DROP TABLE record; --", &every_octet),
        put("ключ", "111122223333/us-east-1", b"\0"),
    ];
    store.commit(0, &writes).unwrap();
    let before = store.load().unwrap();
    assert_eq!(before.records.len(), 3);
    for write in &writes {
        let found = before
            .records
            .iter()
            .find(|record| record.id == write.id)
            .unwrap();
        assert_eq!(Some(&found.body), write.body.as_ref());
    }
    // An empty record is there; it is not a deleted one.
    assert_eq!(feed(&*store, 0, 10).first().unwrap().body, Some(vec![]));
    drop(store);
    assert_eq!(reopen().load().unwrap(), before);
}

fn big_bodies(store: Box<dyn Store>, reopen: Reopen) {
    let big: Vec<u8> = (0..8 << 20)
        .map(|n: u32| n.to_be_bytes()[2] ^ n.to_be_bytes()[3])
        .collect();
    store
        .commit(0, &[put("k", "big", &big), put("k", "small", b"1")])
        .unwrap();
    drop(store);
    let store = reopen();
    assert_eq!(store.load().unwrap().records.first().unwrap().body, big);
    assert_eq!(
        store.changes(0, 1).unwrap().first().unwrap().body.as_ref(),
        Some(&big)
    );
}

fn watch(store: Box<dyn Store>, _: Reopen) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut early = store.watch();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let wait = async { early.wait_for(|revision| *revision >= 3).await.map(|r| *r) };
            let bounded = async { tokio::time::timeout(Duration::from_secs(10), wait).await };
            runtime.block_on(bounded).unwrap().unwrap()
        });
        for revision in 0..3 {
            store.commit(revision, &[put("k", "a", b"1")]).unwrap();
        }
        assert_eq!(waiter.join().unwrap(), 3);
    });
    let late = store.watch();
    assert_eq!(*late.borrow(), 3);
    assert!(
        !late.has_changed().unwrap(),
        "the current revision is no news"
    );
}
