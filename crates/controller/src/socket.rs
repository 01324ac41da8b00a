//! Sockets in the state directory, for the operator alone: one command as JSON, one answer.
//!
//! Their mode is 0600: who may use one is who may read the state anyway. There is no way over the network.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

const MAX_COMMAND: u64 = 256 * 1024;
/// How long a client may take to say what it wants, and its command to be carried out.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_CLIENTS: usize = 16;

/// What a command's octets are answered with.
pub(crate) type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + Send>>;

/// What answers commands: `Err` is what a caller who is not the operator is told.
pub(crate) trait Clerk: Send + Sync + 'static {
    /// Carries out a command.
    fn answer(&self, command: Vec<u8>) -> Answer;
    /// What is said to somebody who may not do that.
    fn refusal(&self, why: &str) -> io::Result<Vec<u8>>;
}

/// Takes commands until it is dropped.
pub(crate) struct Socket {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Socket {
    /// Opens the socket. One that a killed server left is replaced: the caller holds a lock of the directory.
    pub(crate) fn open(path: PathBuf, clerk: Arc<dyn Clerk>) -> io::Result<Socket> {
        forget(&path)?;
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let clients = Arc::new(Semaphore::new(MAX_CLIENTS));
        let task = tokio::spawn(async move {
            while let Ok(slot) = Arc::clone(&clients).acquire_owned().await {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let clerk = Arc::clone(&clerk);
                        tokio::spawn(async move {
                            let served = serve(stream, clerk);
                            if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, served).await {
                                tracing::debug!(%error, "a client of the socket left");
                            }
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        Ok(Socket { path, task })
    }
}

fn forget(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
        // A socket that nobody answers on is replaced by the next server.
        let _ = forget(&self.path);
    }
}

/// Whether the peer is who runs the server, or root: the file's mode says so too, unless somebody changed it.
fn is_operator(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn serve(mut stream: UnixStream, clerk: Arc<dyn Clerk>) -> io::Result<()> {
    let answer = if is_operator(&stream) {
        let mut text = Vec::new();
        (&mut stream)
            .take(MAX_COMMAND)
            .read_to_end(&mut text)
            .await?;
        clerk.answer(text).await?
    } else {
        clerk.refusal("only the server's own user and root may do that")?
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await
}
