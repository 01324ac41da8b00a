//! What can go wrong between this process and the kernel.

use std::path::PathBuf;

/// A refusal of the kernel, or a state that is not ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused the program or one of its maps.
    #[error("the kernel does not take the eBPF program")]
    Load(#[source] Box<aya::EbpfError>),
    /// The kernel refused to load, attach or replace a program.
    #[error("the kernel refuses program `{name}`")]
    Program {
        /// The program's name.
        name: &'static str,
        /// What the kernel said.
        source: aya::programs::ProgramError,
    },
    /// A pinned link cannot be opened, made or removed.
    #[error("the link at `{path}` cannot be used")]
    Link {
        /// Where it is pinned.
        path: PathBuf,
        /// What the kernel said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The object in this binary lacks a part that this crate expects.
    #[error("the eBPF object has no `{0}`")]
    Incomplete(&'static str),
    /// A map operation failed.
    #[error("map `{name}` refuses the operation")]
    Map {
        /// The map's name.
        name: &'static str,
        /// What the kernel said.
        source: aya::maps::MapError,
    },
    /// A map has reached its bound.
    #[error("map `{0}` is full")]
    Full(&'static str),
    /// A key of a session leads to another one.
    #[error("a session has this key already")]
    Taken(Box<fastpath_core::abi::FlowKey>),
    /// An interface index that does not exist in this namespace, or does not fit 24 bits.
    #[error("there is no usable interface with index {0}")]
    NoInterface(u32),
    /// A file or device cannot be used.
    #[error("`{path}`: {action} failed")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }
}
