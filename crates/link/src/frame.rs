//! Messages on a stream: four octets of length, most significant first, and JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::Error;

/// The longest first message, of somebody who has proved nothing yet, and its reply, in octets.
pub const MAX_FIRST: u32 = 64 * 1024;
/// The longest message of a host, in octets.
pub const MAX_REPORT: u32 = 16 * 1024 * 1024;
/// The longest message of a controller, in octets: a full state.
pub const MAX_FULL: u32 = 1024 * 1024 * 1024;
/// How much is made room for before it has come.
const STEP: usize = 1024 * 1024;

fn cut(source: std::io::Error) -> Error {
    if source.kind() == std::io::ErrorKind::UnexpectedEof {
        return Error::Closed;
    }
    Error::Io {
        doing: "the connection broke".to_owned(),
        source,
    }
}

/// Reads a message of at most `max` octets. Not to be cancelled: what was read of a message would be lost.
///
/// # Errors
/// [`Error::Closed`] at the end of the stream; [`Error::TooLong`] and [`Error::Malformed`] for what is no message.
pub async fn read<M: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    max: u32,
) -> Result<M, Error> {
    let length = stream.read_u32().await.map_err(cut)?;
    if length > max {
        return Err(Error::TooLong(length));
    }
    let length = usize::try_from(length).map_err(|_| Error::TooLong(length))?;
    let mut octets = Vec::new();
    while octets.len() < length {
        // Whoever announces much and sends little costs little.
        let from = octets.len();
        octets.resize(length.min(from + STEP), 0);
        let room = octets.get_mut(from..).unwrap_or_default();
        stream.read_exact(room).await.map_err(cut)?;
    }
    Ok(serde_json::from_slice(&octets)?)
}

/// Writes a message.
///
/// # Errors
/// [`Error::TooLong`] if no reader would take it; [`Error::Io`] if the connection breaks.
pub async fn write<M: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
) -> Result<(), Error> {
    let octets = serde_json::to_vec(message)?;
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    if length > MAX_FULL {
        return Err(Error::TooLong(length));
    }
    stream.write_u32(length).await.map_err(cut)?;
    stream.write_all(&octets).await.map_err(cut)?;
    stream.flush().await.map_err(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn messages_come_whole_or_not_at_all() {
        block_on(async {
            let long: Vec<u32> = (0..400_000).collect();
            let mut octets = Vec::new();
            write(&mut octets, &long).await.unwrap();
            write(&mut octets, &"next").await.unwrap();
            let mut rest = octets.as_slice();
            assert_eq!(read::<Vec<u32>>(&mut rest, MAX_REPORT).await.unwrap(), long);
            assert_eq!(read::<String>(&mut rest, MAX_REPORT).await.unwrap(), "next");
            let end = read::<String>(&mut rest, MAX_REPORT).await;
            assert!(matches!(end, Err(Error::Closed)));
            let short = read::<Vec<u32>>(&mut octets.as_slice(), 100).await;
            assert!(matches!(short, Err(Error::TooLong(_))));
            let mut half = octets.get(..octets.len() / 2).unwrap();
            let cut = read::<Vec<u32>>(&mut half, MAX_REPORT).await;
            assert!(matches!(cut, Err(Error::Closed)));
            let other = read::<u32>(&mut octets.as_slice(), MAX_REPORT).await;
            assert!(matches!(other, Err(Error::Malformed(_))));
        });
    }
}
