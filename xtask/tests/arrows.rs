//! Which crate may use which, each with its reason: the architecture as a test.
//!
//! A new arrow is a decision: add it here with its reason, or do without it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pure shelf: no runtime, sockets, clock, randomness or kernel.
const PURE: &[&str] = &[
    "types",
    "packet",
    "fastpath-core",
    "topology",
    "walk",
    "slowpath",
    "reachability",
    "feed",
    "region",
    "iam",
];

/// What the pure shelf must never use, directly or through others, and why.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "a runtime"),
    ("mio", "sockets"),
    ("axum", "a server"),
    ("hyper", "a server"),
    ("aya", "the kernel"),
    ("rtnetlink", "the kernel"),
    ("rustix", "system calls"),
    ("nix", "system calls"),
    ("socket2", "sockets"),
    ("rusqlite", "a file"),
    ("tempfile", "files"),
    ("chrono", "a clock"),
    ("getrandom", "randomness"),
    ("rand", "randomness"),
    ("tracing-subscriber", "output"),
];

/// (crate, what it may use of this workspace, why).
const ARROWS: &[(&str, &[&str], &str)] = &[
    ("types", &[], "the words stand on nothing"),
    (
        "fastpath-core",
        &["types"],
        "shared with the kernel: only words without an allocator",
    ),
    (
        "packet",
        &["types", "fastpath-core"],
        "views of frames; the checksum code is the kernel's own",
    ),
    ("topology", &["types"], "data that a walk looks at"),
    (
        "walk",
        &["types", "topology"],
        "decides from a snapshot and a packet, from nothing else",
    ),
    (
        "reachability",
        &["types", "topology", "walk"],
        "asks the walk; has no rules of its own",
    ),
    (
        "feed",
        &["types", "topology", "walk"],
        "carries what snapshots are made of, and back what packets met, in the words of the walk",
    ),
    (
        "slowpath",
        &["types", "packet", "topology", "walk", "fastpath-core"],
        "turns walks into sessions and answers",
    ),
    ("api", &["types"], "wire forms only; knows no resource"),
    (
        "region",
        &["types", "api", "topology", "feed", "reachability", "walk"],
        "resources; projects them for hosts; analyzes them with the walk; knows no store",
    ),
    (
        "link",
        &["types", "topology", "feed"],
        "certificates, TLS and frames between controller and hosts; carries the feed",
    ),
    ("iam", &[], "policies; knows no resource and no account"),
    ("store", &[], "keeps bytes under keys; knows no resource"),
    (
        "fastpath",
        &["types", "fastpath-core"],
        "the kernel's maps; knows no policy",
    ),
    (
        "agent",
        &[
            "types",
            "topology",
            "slowpath",
            "fastpath-core",
            "fastpath",
            "feed",
        ],
        "a host; knows no EC2 and no store",
    ),
    (
        "controller",
        &[
            "types",
            "api",
            "region",
            "iam",
            "store",
            "feed",
            "link",
            "topology",
            "reachability",
        ],
        "the region's servers; reach a host through the feed alone",
    ),
    ("testkit", &[], "helps tests; nothing that ships uses it"),
    (
        "polder",
        &[
            "types",
            "topology",
            "agent",
            "controller",
            "feed",
            "link",
            "store",
        ],
        "the program: puts the parts together",
    ),
    (
        "xtask",
        &["api", "region"],
        "the toolbox; builds the product, is not part of it; lists what is served",
    ),
];

struct Package {
    normal: BTreeSet<String>,
}

fn workspace() -> (
    BTreeMap<String, Package>,
    BTreeMap<String, BTreeSet<String>>,
) {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform",
            env!("XTASK_TARGET"),
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let members: BTreeSet<String> = metadata["workspace_members"]
        .as_array()
        .expect("members")
        .iter()
        .map(text)
        .collect();
    let names: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    // Resolved normal dependencies by name, of every package in the graph.
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut packages = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
        let id = text(&node["id"]);
        let normal: BTreeSet<String> = node["deps"]
            .as_array()
            .expect("deps")
            .iter()
            .filter(|dep| {
                dep["dep_kinds"]
                    .as_array()
                    .expect("kinds")
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            })
            .map(|dep| names[&text(&dep["pkg"])].clone())
            .collect();
        graph
            .entry(names[&id].clone())
            .or_default()
            .extend(normal.iter().cloned());
        if members.contains(&id) {
            packages.insert(names[&id].clone(), Package { normal });
        }
    }
    (packages, graph)
}

#[test]
fn crates_use_only_what_they_may() {
    let (packages, _) = workspace();
    let allowed: BTreeMap<&str, (&[&str], &str)> = ARROWS
        .iter()
        .map(|(name, uses, why)| (*name, (*uses, *why)))
        .collect();
    let mut wrong = Vec::new();
    for (name, package) in &packages {
        let Some((uses, why)) = allowed.get(name.as_str()) else {
            wrong.push(format!("`{name}` has no entry"));
            continue;
        };
        for used in package
            .normal
            .iter()
            .filter(|used| packages.contains_key(*used))
        {
            if !uses.contains(&used.as_str()) {
                wrong.push(format!("`{name}` must not use `{used}`: {why}"));
            }
        }
        for unused in uses.iter().filter(|used| !package.normal.contains(**used)) {
            wrong.push(format!("`{name}` may use `{unused}` but does not"));
        }
    }
    for name in allowed.keys() {
        if !packages.contains_key(*name) {
            wrong.push(format!("`{name}` has an entry but no package"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_pure_shelf_is_pure() {
    let (_, graph) = workspace();
    let mut wrong = Vec::new();
    for start in PURE {
        let mut seen = BTreeSet::new();
        let mut open = vec![(*start).to_owned()];
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some((_, what)) = IMPURE.iter().find(|(impure, _)| *impure == name) {
                wrong.push(format!("`{start}` reaches `{name}`: {what}"));
            }
            open.extend(graph.get(&name).into_iter().flatten().cloned());
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What the standard library has of the outside.
const OUTSIDE: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "RandomState::new",
];

#[test]
fn the_pure_shelf_asks_the_standard_library_for_nothing_of_the_outside() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let mut wrong = Vec::new();
    for name in PURE {
        let src = root.join("crates").join(name).join("src");
        // A module that is there for tests only, as a file or a folder, may do as it likes too.
        let lib = std::fs::read_to_string(src.join("lib.rs")).expect("a library");
        let tests: Vec<PathBuf> = lib
            .split("#[cfg(test)]\nmod ")
            .skip(1)
            .filter_map(|rest| Some(src.join(rest.split_once(';')?.0)))
            .collect();
        let mut open = vec![src];
        while let Some(path) = open.pop() {
            if tests.contains(&path.with_extension("")) {
                continue;
            }
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).expect("a readable folder");
                open.extend(entries.map(|entry| entry.expect("an entry").path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a readable file");
            // Tests come last in a file, and may do as they like.
            let product = text
                .split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default();
            for what in OUTSIDE.iter().filter(|what| product.contains(*what)) {
                wrong.push(format!("{}: `{what}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_only_where_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    for (name, path) in [("polder", "bin/polder/src/main.rs")]
        .into_iter()
        .map(|(name, path)| (name, path.to_owned()))
        .chain(
            ARROWS
                .iter()
                .map(|(name, ..)| *name)
                .filter(|n| !["polder", "xtask"].contains(n))
                .map(|name| (name, format!("crates/{name}/src/lib.rs"))),
        )
    {
        let text = std::fs::read_to_string(root.join(&path)).expect(&path);
        let forbids = text.contains("#![forbid(unsafe_code)]");
        assert_eq!(
            forbids,
            name != "fastpath",
            "{path}: every crate but `fastpath` forbids unsafe code"
        );
    }
}
