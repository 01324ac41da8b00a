//! Random networks for as long as one likes: the properties of `walk` and `slowpath` over many more of them than the
//! tests take, with an optimised build.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// How many, from where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many networks each property sees
    #[arg(long, default_value_t = 2_000_000)]
    worlds: u64,
    /// The seed of the first; by default one that the clock gives
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the properties. Their output names the seed that shows a mismatch again.
pub(crate) fn run(options: &Options) -> Result<()> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .context("the clock is before 1970")?
            .as_secs(),
    };
    println!("{} networks from seed {seed}", options.worlds);
    for package in PACKAGES {
        let status = Command::new(env!("CARGO"))
            .args([
                "test",
                "--release",
                "--package",
                package,
                "--test",
                "worlds",
            ])
            .env("POLDER_WORLDS", options.worlds.to_string())
            .env("POLDER_SEED", seed.to_string())
            .status()
            .context("cannot run cargo")?;
        ensure!(status.success(), "a property of {package} does not hold");
    }
    Ok(())
}

/// Whose integration test `worlds` it is.
const PACKAGES: [&str; 2] = ["walk", "slowpath"];
