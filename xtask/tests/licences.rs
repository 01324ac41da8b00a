//! What `deny.toml` says about licences, sources and unwanted crates, checked also where cargo-deny is not installed.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use spdx::{Expression, ParseMode};

/// The part of `deny.toml` that is checked here.
#[derive(Deserialize)]
struct Policy {
    graph: Graph,
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
    /// None for a crate of this workspace.
    source: Option<String>,
}

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn dependencies_are_what_the_policy_accepts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let text = std::fs::read_to_string(root.join("deny.toml")).expect("deny.toml");
    let policy: Policy = toml::from_str(&text).expect("a policy");
    for workspace in [root.to_owned(), root.join("ebpf")] {
        let packages = packages(&workspace, &policy.graph.targets);
        assert!(
            packages.len() > 1,
            "{} has no dependency",
            workspace.display()
        );
        let wrong: Vec<String> = packages
            .iter()
            .filter_map(|package| {
                Some(format!(
                    "`{}`: {}",
                    package.name,
                    objection(&policy, package)?
                ))
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{}:\n{}",
            workspace.display(),
            wrong.join("\n")
        );
    }
}

/// Every package that a build for one of the targets may use.
fn packages(workspace: &Path, targets: &[String]) -> Vec<Package> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--all-features",
        ])
        .current_dir(workspace);
    for target in targets {
        cargo.args(["--filter-platform", target]);
    }
    let output = cargo.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo's metadata");
    metadata.packages
}

/// Why a package is not acceptable.
fn objection(policy: &Policy, package: &Package) -> Option<String> {
    if policy
        .bans
        .deny
        .iter()
        .any(|banned| banned.name == package.name)
    {
        return Some("banned".to_owned());
    }
    // Ours are not published; what they may be is not deny.toml's matter.
    let source = package.source.as_ref()?;
    if source != REGISTRY {
        return Some(format!("from `{source}`"));
    }
    let Some(licence) = &package.license else {
        return Some("no licence".to_owned());
    };
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else {
        return Some(format!("`{licence}` is no SPDX expression"));
    };
    let accepted = expression.evaluate(|requirement| {
        policy
            .licenses
            .allow
            .iter()
            .any(|allowed| *allowed == requirement.to_string())
    });
    (!accepted).then(|| format!("`{licence}` is not among the licences that are allowed"))
}

#[test]
fn an_unacceptable_package_is_seen() {
    let policy: Policy = toml::from_str(
        "graph.targets = []\nlicenses.allow = [\"MIT\", \"Unicode-3.0\"]\nbans.deny = [{ crate = \"bad\" }]",
    )
    .expect("a policy");
    let objects = |name: &str, licence: Option<&str>, source: Option<&str>| {
        let package = Package {
            name: name.to_owned(),
            license: licence.map(str::to_owned),
            source: source.map(str::to_owned),
        };
        objection(&policy, &package).is_some()
    };
    let registry = Some(REGISTRY);
    assert!(!objects("a", Some("MIT/Apache-2.0"), registry));
    assert!(!objects(
        "a",
        Some("(MIT OR Apache-2.0) AND Unicode-3.0"),
        registry
    ));
    assert!(!objects("ours", Some("Apache-2.0"), None));
    assert!(objects("bad", Some("MIT"), registry));
    assert!(objects("a", Some("Apache-2.0"), registry));
    assert!(objects("a", Some("MIT AND GPL-3.0"), registry));
    assert!(objects("a", None, registry));
    assert!(objects("a", Some("MIT"), Some("git+https://example.com/a")));
}
