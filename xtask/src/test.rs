//! `cargo xtask test`: every check and every test, in the order in which they fail soonest.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::installed;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the tests with real clients whose file name contains this
    #[arg(long, value_name = "NAME")]
    clients: Option<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = root()?;
    let started = Instant::now();
    if options.clients.is_none() {
        step("formatting", cargo(&root).args(["fmt", "--all", "--check"]))?;
        step(
            "lints",
            cargo(&root).args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ]),
        )?;
        ebpf(&root)?;
        step(
            "building the tests",
            cargo(&root).args(["test", "--workspace", "--locked", "--no-run"]),
        )?;
        // Tests with real packets need root; without it they are run through sudo, or say that they did not run.
        let mut tests = cargo(&root);
        tests.args([
            "test",
            "--workspace",
            "--locked",
            "--quiet",
            "--no-fail-fast",
        ]);
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|wish| wish == "1") {
            // A failed assertion says where it is.
            tests.env("RUST_BACKTRACE", "0");
        }
        if !rustix::process::geteuid().is_root() {
            let path = std::env::var("PATH").context("PATH")?;
            // `sudo` has a path of its own, without cargo's programs.
            let runner =
                ["sudo", "-E", "env", &format!("PATH={path}")].map(|word| format!("{word:?}"));
            tests.args([
                "--config",
                &format!(
                    "target.{}.runner=[{}]",
                    env!("XTASK_TARGET"),
                    runner.join(",")
                ),
            ]);
        }
        step("unit, fixture, property and packet tests", &mut tests)?;
    }
    step(
        "the program",
        cargo(&root).args(["build", "--package", "polder", "--locked", "--quiet"]),
    )?;
    clients(&root, options.clients.as_deref())?;
    println!(
        "== everything passed in {:.0} s",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

fn root() -> anyhow::Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("no workspace")?
        .to_owned())
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

pub(crate) fn step(name: &str, command: &mut Command) -> anyhow::Result<()> {
    println!("== {name}");
    let started = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{name}: failed");
    }
    println!(
        "== {name}: passed in {:.0} s",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

/// The committed kernel program against its source, where the toolchain that built it is installed.
fn ebpf(root: &Path) -> anyhow::Result<()> {
    println!("== kernel program");
    // Where tools/setup puts bpf-linker.
    let mut path = vec![root.join("target/tools/bin")];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let status = cargo(root)
        .args(["xtask", "ebpf", "--check"])
        .env("PATH", std::env::join_paths(path)?)
        .status()?;
    match status.code() {
        Some(0) => Ok(()),
        Some(3) => {
            println!(
                "== kernel program: not compared with its source, the toolchain is not installed"
            );
            Ok(())
        }
        _ => bail!("the committed kernel program is not what its source gives"),
    }
}

/// Real clients and hand-made frames against the program. Each file has a network namespace, which to it is the
/// whole machine; two run at a time.
fn clients(root: &Path, only: Option<&str>) -> anyhow::Result<()> {
    let venv = installed::python(root)?;
    installed::node(root)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("tests/clients"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with("test_")
                && name.ends_with(".py")
                && only.is_none_or(|only| name.contains(only))
        })
        .collect();
    // Those that take minutes, most of which they wait, go first: the others run beside them.
    files.sort_by_cached_key(|path| {
        let name = path.to_string_lossy();
        (
            !(name.contains("ansible") || name.contains("terraform")),
            path.clone(),
        )
    });
    if files.is_empty() {
        bail!("no client tests of that name");
    }
    println!("== real clients: {} files", files.len());
    let queue = std::sync::Mutex::new(files.into_iter());
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(file) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let output = one_file(root, &venv, &file);
                    let (passed, text) = match output {
                        Ok(output) => (
                            output.status.success(),
                            String::from_utf8_lossy(&output.stdout).into_owned()
                                + &String::from_utf8_lossy(&output.stderr),
                        ),
                        Err(error) => (false, error.to_string()),
                    };
                    println!("-- {}\n{}", file.display(), text.trim_end());
                    if !passed && let Ok(mut failed) = failed.lock() {
                        failed.push(file);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("failed: {failed:?}")
    }
}

fn one_file(root: &Path, venv: &Path, file: &Path) -> std::io::Result<std::process::Output> {
    let mut words: Vec<std::ffi::OsString> = Vec::new();
    if !rustix::process::geteuid().is_root() {
        words.extend(["sudo".into(), "-E".into()]);
    }
    words.extend(
        [
            "unshare",
            "--net",
            "--",
            "sh",
            "-c",
            "ip link set lo up && exec \"$@\"",
            "sh",
        ]
        .map(Into::into),
    );
    words.push(venv.join("bin/python").into());
    words.extend(
        [
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--color=no",
            "-rs",
        ]
        .map(Into::into),
    );
    words.push(file.into());
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| std::io::Error::other("no command"))?;
    Command::new(program)
        .args(arguments)
        .current_dir(root)
        .env("POLDER", root.join("target/debug/polder"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
}
