//! What was acknowledged survives `kill -9`, and nothing is there by half: a child process with many writers is killed
//! in the middle of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use store::{Sqlite, Store};

use crate::server::{Server, text};

/// Names the state directory to the child; without it, the child's test has nothing to do.
const DIR: &str = "CONTROLLER_KILL_TEST_DIR";
const WRITERS: usize = 64;
const ROUNDS: usize = 4;

/// Tells the parent, in a line that begins with the writer's mark.
fn tell(what: &str, id: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n~{what} {id}~").unwrap();
    out.flush().unwrap();
}

/// The child: clients make VPCs, and delete every second one, until the process is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let server = Server::on(Path::new(&dir));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let server = &server;
            scope.spawn(move || {
                let ask = |form: &str| {
                    let form = format!("Version=2016-11-15&{form}");
                    let reply = server.call(&format!("{:012}", writer + 1), "us-east-1", &form);
                    assert_eq!(reply.status, 200, "{}", reply.body);
                    text(&reply.body, "vpcId")
                };
                for n in 0.. {
                    let vpc = ask("Action=CreateVpc&CidrBlock=10.0.0.0/16");
                    tell("created", &vpc);
                    if n % 2 == 0 {
                        tell("deleting", &vpc);
                        ask(&format!("Action=DeleteVpc&VpcId={vpc}"));
                        tell("deleted", &vpc);
                    }
                }
            });
        }
    });
}

#[test]
fn acknowledged_changes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut told: BTreeMap<String, &'static str> = BTreeMap::new();
    for round in 0..ROUNDS {
        write_and_kill(dir.path(), 150 + round * 77, &mut told);
        check(dir.path(), &told);
    }
    let count = |what: &str| told.values().filter(|told| **told == what).count();
    assert!(count("created") > ROUNDS && count("deleted") > ROUNDS);
}

/// Lets a child write, kills it after so many lines more, and notes what it told last of each VPC.
fn write_and_kill(dir: &Path, lines: usize, told: &mut BTreeMap<String, &'static str>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut out = out.lines().map_while(Result::ok);
    let mut note = |line: &str| {
        // A line that was cut does not count.
        let Some(line) = line
            .strip_prefix('~')
            .and_then(|line| line.strip_suffix('~'))
        else {
            return false;
        };
        let (what, id) = line.split_once(' ').unwrap();
        let known = ["created", "deleting", "deleted"];
        let what = known.into_iter().find(|known| *known == what).unwrap();
        told.insert(id.to_owned(), what);
        true
    };
    let mut noted = 0;
    while noted < lines {
        let line = out.next().expect("the child ended by itself");
        noted += usize::from(note(&line));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    out.for_each(|line| {
        note(&line);
    });
}

fn check(dir: &Path, told: &BTreeMap<String, &'static str>) {
    let store = Sqlite::open(dir).unwrap();
    let loaded = store.load().unwrap();
    let of = |kind: &'static str| {
        let records = loaded
            .records
            .iter()
            .filter(move |record| record.kind == kind);
        records.map(|record| serde_json::from_slice::<Value>(&record.body).unwrap())
    };
    let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_owned();
    let vpcs: BTreeSet<String> = of("vpc").map(|vpc| text(&vpc, "id")).collect();
    for (vpc, what) in told {
        match *what {
            "created" => assert!(vpcs.contains(vpc), "{vpc} was created and is lost"),
            "deleted" => assert!(!vpcs.contains(vpc), "{vpc} was deleted and is there"),
            _ => {}
        }
    }
    // Of each VPC, all that came with it is there; of each that is gone, nothing.
    for kind in ["route-table", "network-acl", "security-group"] {
        let of_vpcs: Vec<String> = of(kind).map(|record| text(&record, "vpc")).collect();
        let distinct: BTreeSet<String> = of_vpcs.iter().cloned().collect();
        assert_eq!(distinct, vpcs, "{kind}");
        assert_eq!(of_vpcs.len(), vpcs.len(), "{kind}");
    }
    let numbers: BTreeSet<String> = of("vpc").map(|vpc| vpc["vni"].to_string()).collect();
    assert_eq!(numbers.len(), vpcs.len(), "two VPCs have one number");
    // The feed has no gap, each commit is whole, and it leads to the records.
    let mut records = BTreeMap::new();
    let mut last = 0;
    for change in store.changes(0, usize::MAX).unwrap() {
        assert!(change.revision == last || change.revision == last + 1);
        last = change.revision;
        match change.body {
            Some(body) => records.insert((change.kind, change.id), body),
            None => records.remove(&(change.kind, change.id)),
        };
    }
    assert_eq!(last, loaded.revision);
    let stored = loaded.records.into_iter();
    assert!(
        records
            .into_iter()
            .eq(stored.map(|r| ((r.kind, r.id), r.body)))
    );
}
