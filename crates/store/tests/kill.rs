//! What was acknowledged survives `kill -9`: a child process commits and is killed in the middle of it.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use store::{Sqlite, Store, StoredRecord, Write};

/// Names the state directory to the child; without it, the child's test has nothing to do.
const DIR: &str = "STORE_KILL_TEST_DIR";
/// Begins the lines that acknowledge a commit.
const ACKNOWLEDGED: &str = "acknowledged ";
const ROUNDS: u64 = 8;

/// Three writes at each revision: one new record, one old record deleted, one that every commit changes.
fn writes(next: u64) -> Vec<Write> {
    let body = vec![u8::try_from(next % 251).unwrap(); 2000];
    let write = |id: String, body| Write {
        kind: "k".to_owned(),
        id,
        body,
    };
    vec![
        write(format!("{next:020}"), Some(body)),
        write(format!("{:020}", next / 2), None),
        write("last".to_owned(), Some(next.to_be_bytes().to_vec())),
    ]
}

/// How many commits are written together after this revision.
fn together(revision: u64) -> u64 {
    1 + revision % 5
}

/// The child: commits until it is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let store = Sqlite::open(Path::new(&dir)).unwrap();
    let mut revision = store.load().unwrap().revision;
    loop {
        let commits: Vec<Vec<Write>> = (1..=together(revision))
            .map(|nth| writes(revision + nth))
            .collect();
        let commits: Vec<&[Write]> = commits.iter().map(Vec::as_slice).collect();
        revision = store.commit_many(revision, &commits).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{ACKNOWLEDGED}{revision}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn acknowledged_commits_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=ROUNDS {
        acknowledged = commit_and_kill(dir.path(), acknowledged, 5 + round * 13);
        check(dir.path(), acknowledged);
    }
    assert!(acknowledged > ROUNDS);
}

/// Lets a child commit, kills it after so many more commits. Returns the last revision that it acknowledged.
fn commit_and_kill(dir: &Path, before: u64, commits: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let number = |line: &String| line.strip_prefix(ACKNOWLEDGED).and_then(|n| n.parse().ok());
    let mut last = before;
    while last < before + commits {
        let Some(line) = lines.next() else { break };
        last = number(&line).unwrap_or(last);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it wrote until the signal came; a line that was cut is shorter and so never a later revision.
    let rest: Vec<u64> = lines.filter_map(|line| number(&line)).collect();
    last.max(rest.into_iter().max().unwrap_or(0))
}

/// Every acknowledged commit is there, the feed has no gap, and it leads to the records.
fn check(dir: &Path, acknowledged: u64) {
    let store = Sqlite::open(dir).unwrap();
    let loaded = store.load().unwrap();
    // At most one group of commits was under way when the signal came, and one more acknowledgement may not have
    // been written. A group is there whole or not at all.
    let mut possible = vec![acknowledged];
    while let Some(last) = possible.last().filter(|_| possible.len() < 3) {
        possible.push(last + together(*last));
    }
    assert!(
        possible.contains(&loaded.revision),
        "{} is none of {possible:?}",
        loaded.revision
    );
    let changes = store.changes(0, usize::MAX).unwrap();
    let mut records: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut expected = 0;
    for commit in changes.chunks(3) {
        expected += 1;
        for (change, write) in commit.iter().zip(writes(expected)) {
            assert_eq!(change.revision, expected);
            assert_eq!((&change.id, &change.body), (&write.id, &write.body));
            match write.body {
                Some(body) => records.insert(write.id, body),
                None => records.remove(&write.id),
            };
        }
    }
    assert_eq!(expected, loaded.revision);
    let records: Vec<_> = records
        .into_iter()
        .map(|(id, body)| StoredRecord {
            kind: "k".to_owned(),
            id,
            body,
        })
        .collect();
    assert_eq!(records, loaded.records);
}
