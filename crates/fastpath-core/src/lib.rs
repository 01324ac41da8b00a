//! What the kernel program and the host share: the records of the BPF maps, the parser and the rewriting.
//!
//! Contract: no allocation, no `unsafe`, no loop without a constant bound, so that the kernel's verifier accepts
//! the same functions that tests run on the host. There is no policy here: a session says what to do with a
//! packet, this crate does it.
//!
//! The fast path carries TCP, UDP, ICMP echo and every other IP protocol that needs no port rewriting, over IPv4
//! without options and IPv6 without extension headers, unfragmented. It hands to the slow path: ARP, ICMP errors
//! and neighbour discovery, broadcasts, fragments, and whatever has no session. It drops the rest (see [`parse`]).
//!
//! Limitations: of the protocols that have a checksum over the addresses, only TCP, UDP and ICMPv6 are rewritten;
//! UDP-Lite and DCCP packets of a session that translates addresses would arrive with a wrong checksum.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

pub mod abi;
pub mod bucket;
pub mod checksum;
pub mod execute;
pub mod ingress;
pub mod parse;
#[cfg(feature = "std")]
mod slice_frame;
pub mod template;

pub use execute::{Account, Frame, Obstacle, Verdict, execute, forward, pass_routers};
pub use ingress::{Ingress, ingress};
pub use parse::{HEAD_LEN, Head, Ip, Parsed, parse, parse_frame};
#[cfg(feature = "std")]
pub use slice_frame::{ChecksumState, OutOfBounds, SliceFrame};
pub use template::Template;
