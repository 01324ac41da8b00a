//! The first process of an instance: its user data.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use types::InstanceId;

use crate::dhcp_client::Lease;
use crate::namespace::Namespace;

/// At this size, in bytes, a console log is emptied and begins anew.
const CONSOLE_LIMIT: u64 = 16 * 1024 * 1024;

/// The files of an instance, on the host.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(crate) fn new(state_dir: &Path, instance: InstanceId) -> Files {
        Files {
            directory: state_dir.join("instances").join(instance.to_string()),
        }
    }

    fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    /// Keeps the console log within its bound. Its writers append, so they go on at its new end.
    pub(crate) fn bound_console(&self) {
        let path = self.console();
        if fs::metadata(&path).is_ok_and(|file| file.len() > CONSOLE_LIMIT) {
            let emptied = OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_len(0));
            if let Err(error) = emptied {
                tracing::warn!(%error, path = %path.display(), "cannot empty a console log");
            }
        }
    }

    /// Removes them all.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Starts user data that begins with `#!` inside the namespace, in a process group of its own and with a new
    /// console log. Other user data starts nothing, as on EC2. A script that cannot be executed is no failure of
    /// the instance either: the console log says so.
    pub(crate) fn start(
        &self,
        instance: InstanceId,
        user_data: &Arc<[u8]>,
        lease: Option<Lease>,
        namespace: &Namespace,
    ) -> io::Result<Option<Child>> {
        // Both may hold secrets, and the state directory may be one that everybody reads.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let mut console = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.console())?;
        console.set_len(0)?;
        if !user_data.starts_with(b"#!") {
            return Ok(None);
        }
        let script = self.directory.join("user-data");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o700)
            .open(&script)?
            .write_all(user_data)?;

        let mut command = Command::new(&script);
        command
            .current_dir(&self.directory)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("INSTANCE_ID", instance.to_string())
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console.try_clone()?)
            .process_group(0);
        if let Some(lease) = lease {
            command.env("LOCAL_IPV4", lease.address.to_string());
        }
        match namespace.inside(move || Ok(spawn(&mut command)))? {
            Ok(child) => Ok(Some(child)),
            Err(error) => {
                writeln!(console, "user data cannot be executed: {error}")?;
                Ok(None)
            }
        }
    }
}

/// Another thread that starts a process at this moment may hold the script open for writing in its child, for as
/// long as that takes to execute.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut attempts = 0;
    loop {
        match command.spawn() {
            Err(error)
                if error.raw_os_error() == Some(Errno::TXTBSY.raw_os_error()) && attempts < 50 =>
            {
                attempts += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}
