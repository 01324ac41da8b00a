//! Builds the eBPF program, and checks that the committed object is what its source says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// The committed object.
const OBJECT: &str = "crates/fastpath/src/polder.bpf.o";
/// Who built it: another compiler makes other bytes of the same source.
const BUILDER: &str = "crates/fastpath/src/polder.bpf.builder";
/// Exit code of `--check` when this machine cannot tell.
const CANNOT_TELL: i32 = 3;
const TARGET: &str = "bpfel-unknown-none";
/// Debian's compiler, which comes with a `core` for eBPF (package `rustc-web`).
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LLVM: &str = "/usr/lib/llvm-22/lib";

/// Options of `cargo xtask ebpf`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build elsewhere and compare with the committed object; exit code 1 if they differ, 3 if this machine cannot
    /// build it or has another compiler than the one that did
    #[arg(long)]
    check: bool,
}

/// Where a compiler for eBPF comes from.
enum Toolchain {
    /// Debian's, with a prebuilt `core`.
    Debian,
    /// A nightly of rustup's, which builds `core` from its source.
    Nightly,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match build_or_check(options)? {
        0 => Ok(()),
        code => std::process::exit(code),
    }
}

/// The exit code.
#[expect(clippy::print_stderr, reason = "a tool says what is wrong")]
fn build_or_check(options: &Options) -> anyhow::Result<i32> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask is a folder of the workspace")?;
    let Some((toolchain, builder)) = find_toolchain() else {
        eprintln!(
            "no compiler for {TARGET}. Install one of:\n\
             - on Debian: apt-get install --no-install-recommends rustc-web libstd-rust-web-dev-bpf llvm-22-dev\n\
             - anywhere: rustup toolchain install nightly --component rust-src\n\
             and bpf-linker, see docs/ebpf.md"
        );
        return Ok(CANNOT_TELL);
    };
    let object = root.join(OBJECT);
    if !options.check {
        let built = build(root, &toolchain, &root.join("ebpf/target"))?;
        std::fs::write(&object, built)?;
        std::fs::write(root.join(BUILDER), builder)?;
        println!("built {OBJECT}");
        return Ok(0);
    }
    let committed_builder = std::fs::read_to_string(root.join(BUILDER))
        .with_context(|| format!("{BUILDER} says who built the object"))?;
    if committed_builder != builder {
        eprintln!(
            "{OBJECT} was built by\n{committed_builder}and this machine has\n{builder}\
             whose object may differ without being wrong: nothing compared"
        );
        return Ok(CANNOT_TELL);
    }
    let elsewhere = tempfile::tempdir()?;
    let built = build(root, &toolchain, elsewhere.path())?;
    if built != std::fs::read(&object)? {
        eprintln!("{OBJECT} is not what ebpf/ builds: run `cargo xtask ebpf`, test and commit it");
        return Ok(1);
    }
    println!("{OBJECT} is what ebpf/ builds");
    Ok(0)
}

/// The first toolchain that is complete, and the words that identify it.
fn find_toolchain() -> Option<(Toolchain, String)> {
    let linker = output(
        Command::new("bpf-linker")
            .arg("--version")
            .env("PATH", path()),
    )?;
    let debian =
        output(Command::new(DEBIAN_RUSTC).args(["--print", "target-libdir", "--target", TARGET]))
            .is_some_and(|directory| has_core(Path::new(directory.trim())));
    if debian {
        let rustc = output(Command::new(DEBIAN_RUSTC).arg("--version"))?;
        return Some((Toolchain::Debian, format!("{rustc}{linker}")));
    }
    let mut nightly = Command::new("rustup");
    nightly.args(["run", "nightly", "rustc"]);
    let sysroot = output(nightly.args(["--print", "sysroot"]))?;
    if !Path::new(sysroot.trim())
        .join("lib/rustlib/src/rust/library/core")
        .is_dir()
    {
        return None;
    }
    let rustc = output(Command::new("rustup").args(["run", "nightly", "rustc", "--version"]))?;
    Some((Toolchain::Nightly, format!("{rustc}{linker}")))
}

fn has_core(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// The standard output of a command that succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `PATH` with cargo's own programs, where `cargo install` puts bpf-linker.
fn path() -> OsString {
    let mut directories: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    directories.push(cargo_home().join("bin"));
    std::env::join_paths(directories).unwrap_or_default()
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    )
}

/// Builds the benchmark's do-nothing program, where there is a toolchain for it.
pub(crate) fn redirect(root: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Some((toolchain, _)) = find_toolchain() else {
        return Ok(None);
    };
    let target = root.join("ebpf/target");
    build(root, &toolchain, &target)?;
    Ok(Some(target.join(TARGET).join("release/redirect")))
}

/// Builds the object and returns its bytes, which do not depend on where the source or `target` is.
fn build(root: &Path, toolchain: &Toolchain, target: &Path) -> anyhow::Result<Vec<u8>> {
    let flags = [
        "-Clinker=bpf-linker".to_owned(),
        // Otherwise zeroing a record is a loop over its bytes, which costs a good part of the program's time.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        // Compare-and-swap, 32-bit registers: Linux 5.12 and later.
        "-Ctarget-cpu=v3".to_owned(),
        format!("--remap-path-prefix={}=polder", root.display()),
        format!("--remap-path-prefix={}=cargo", cargo_home().display()),
    ];
    let mut cargo = match toolchain {
        Toolchain::Debian => {
            let mut cargo = Command::new("cargo");
            cargo.arg("build").env("RUSTC", DEBIAN_RUSTC);
            cargo
        }
        Toolchain::Nightly => {
            let mut cargo = Command::new("rustup");
            cargo.args(["run", "nightly", "cargo", "build", "-Zbuild-std=core"]);
            // Set by the cargo that runs us, and would win over the one that rustup picks.
            cargo.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
            cargo
        }
    };
    if Path::new(DEBIAN_LLVM).is_dir() {
        cargo.env("LD_LIBRARY_PATH", DEBIAN_LLVM);
    }
    let status = cargo
        .args(["--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(target)
        .current_dir(root.join("ebpf"))
        .env("PATH", path())
        // Atomic intrinsics are unstable; Debian's compiler is a stable one.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("RUSTFLAGS")
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("the eBPF program does not build");
    }
    let path = target.join(TARGET).join("release/polder");
    std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
}
