//! `cargo xtask support`: docs/support.md from the tables of actions, so that it cannot say what is not so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use region::{Packets, Support};

/// What `cargo xtask support` is asked for.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Compare with the committed file instead of writing it
    #[arg(long)]
    check: bool,
}

/// Writes the list, or compares it when `--check` is given.
///
/// # Errors
/// The file cannot be written or read, or differs.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let text = page(&region::support());
    if !options.check {
        return Ok(std::fs::write(file(), text)?);
    }
    ensure!(
        std::fs::read_to_string(file())? == text,
        "docs/support.md is not what the code says: run `cargo xtask support`"
    );
    Ok(())
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/support.md")
}

const HEAD: &str = "\
# What is served

Derived from the code by `cargo xtask support`; a test compares. Every action that is not listed, and every parameter
that is not listed, is refused by name (`UnsupportedOperation`); nothing is accepted and ignored. `DryRun` works in
every action of EC2.

Packets: **yes**, packets obey it; **no**, it is recorded, checked and answered as EC2 does, but no packet meets it yet,
and what it would let through is not let through; **–**, it has nothing to do with packets.

STS (`GetCallerIdentity`, `AssumeRole` and others) is described in [security.md](security.md).
";

fn page(all: &[Support]) -> String {
    let mut text = HEAD.to_owned();
    let mut service = "";
    for support in all {
        if support.service != service {
            service = support.service;
            let count = all.iter().filter(|s| s.service == service).count();
            let _ = write!(
                text,
                "\n## {service}: {count} actions\n\n| action | packets | parameters | refused |\n|---|---|---|---|\n"
            );
        }
        let packets = match support.packets {
            Packets::Enforced => "yes",
            Packets::Recorded => "no",
            Packets::Control => "–",
        };
        let refused = refused(support);
        let _ = writeln!(
            text,
            "| {} | {packets} | {} | {} |",
            support.action,
            support.parameters.join(" "),
            refused.join(" ")
        );
    }
    text
}

/// The parameters of the model that the action does not take.
fn refused(support: &Support) -> Vec<&'static str> {
    let service = api::Service::by_name(support.service);
    let members = service.and_then(|service| {
        let operation = service.operation(support.action)?;
        Some(service.shape(operation.input?)?.members())
    });
    let mut refused: Vec<&'static str> = members
        .unwrap_or_default()
        .iter()
        .map(|member| member.name)
        .filter(|name| *name != "DryRun" && !support.parameters.contains(name))
        .collect();
    refused.sort_unstable();
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_list_is_what_the_code_says() {
        run(&Options { check: true }).unwrap();
    }
}
