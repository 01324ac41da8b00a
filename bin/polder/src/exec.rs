//! `polder exec`: a command inside an instance.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::cli::ExecArgs;
use crate::failure::Failure;

/// The exit codes of a command that was not found, and of one that could not be run, as shells have them.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// Becomes the command, in the network namespace of the instance. Comes back only with an error.
pub(crate) fn run(args: &ExecArgs) -> anyhow::Result<ExitCode> {
    let instance = args.instance;
    if !rustix::process::geteuid().is_root() {
        let hint = "run it with sudo";
        return Err(Failure::new("entering an instance needs root", hint)
            .exit(NOT_RUN)
            .into());
    }
    agent::enter(instance).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            let hint = "`aws ec2 describe-instances` shows which instances run; does `polder up` run on this machine?";
            Failure::new(format!("the instance `{instance}` does not run here"), hint).exit(NOT_RUN)
        } else {
            let hint = "`polder status` shows whether this host carries packets";
            Failure::new(format!("cannot enter the instance `{instance}`: {error}"), hint).exit(NOT_RUN)
        }
    })?;
    let (program, arguments) = args
        .command
        .split_first()
        .map_or((OsStr::new(""), &[][..]), |(p, a)| (p.as_os_str(), a));
    let error = Command::new(program).args(arguments).exec();
    let code = if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_RUN
    };
    let hint = "an instance has the programs of its host";
    Err(
        Failure::new(format!("cannot run `{}`: {error}", program.display()), hint)
            .exit(code)
            .into(),
    )
}
