//! The real clients that the tests drive: installed below `target`, and again when what they are to be has changed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::test::step;

/// The virtual environment with the Python clients and Ansible's collection.
pub(crate) fn python(root: &Path) -> anyhow::Result<PathBuf> {
    let venv = root.join("target/venv");
    let given = root.join("tests/clients");
    let pip = |arguments: &[&str]| {
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.args(arguments).args([
            "--quiet",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "-r",
        ]);
        pip
    };
    let requirements = given.join("requirements.txt");
    if !is_of(&venv, &requirements) {
        step(
            "python environment",
            Command::new("python3").args(["-m", "venv"]).arg(&venv),
        )?;
        step("python clients", pip(&["install"]).arg(&requirements))?;
        stamp(&venv, &requirements)?;
    }
    let collections = given.join("collections.txt");
    if !is_of(&venv, &collections) {
        // The package has a hundred collections in 600 MB: only one is taken out of it.
        let wheels = venv.join("wheels");
        step(
            "ansible's collection",
            pip(&["download", "--no-deps"])
                .arg(&collections)
                .arg("--dest")
                .arg(&wheels),
        )?;
        step(
            "ansible's collection, unpacked",
            Command::new(venv.join("bin/python"))
                .args(["-c", UNPACK])
                .arg(&wheels),
        )?;
        std::fs::remove_dir_all(&wheels)?;
        stamp(&venv, &collections)?;
    }
    Ok(venv)
}

/// Takes the collection amazon.aws out of the wheels of a directory, to where Python's packages are.
const UNPACK: &str = r#"
import pathlib, sys, sysconfig, zipfile
for wheel in pathlib.Path(sys.argv[1]).glob("*.whl"):
    with zipfile.ZipFile(wheel) as files:
        wanted = [name for name in files.namelist() if name.startswith("ansible_collections/amazon/aws/")]
        files.extractall(sysconfig.get_path("purelib"), wanted)
"#;

/// Amazon's SDK for JavaScript, where there is an npm and it succeeds. Its test is skipped, and says so, without it.
pub(crate) fn node(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("target/node");
    let wanted = root.join("tests/clients/package.json");
    let npm = Command::new("npm")
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    if is_of(&folder, &wanted) || !npm.is_ok_and(|npm| npm.status.success()) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(&wanted, folder.join("package.json"))?;
    let mut install = Command::new("npm");
    install.current_dir(&folder).args([
        "install",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--loglevel=error",
    ]);
    match step("javascript client", &mut install) {
        Ok(()) => stamp(&folder, &wanted),
        Err(error) => {
            println!("== NOT INSTALLED: {error}");
            Ok(())
        }
    }
}

/// Where an installation keeps what it was made from.
fn stamp_of(installation: &Path, wanted: &Path) -> PathBuf {
    let name = wanted.file_name().unwrap_or_default();
    let mut stamp = std::ffi::OsString::from("of-");
    stamp.push(name);
    installation.join(stamp)
}

fn is_of(installation: &Path, wanted: &Path) -> bool {
    let stamp = stamp_of(installation, wanted);
    match (std::fs::read(stamp), std::fs::read(wanted)) {
        (Ok(was), Ok(is)) => was == is,
        _ => false,
    }
}

fn stamp(installation: &Path, wanted: &Path) -> anyhow::Result<()> {
    std::fs::copy(wanted, stamp_of(installation, wanted))?;
    Ok(())
}
