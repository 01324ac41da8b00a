//! AWS protocols: shapes as data, one codec for requests and replies.
//!
//! Contract: a request goes [`Scope::of`] → [`route`] → [`decode`] → [`Request::read`] into a handler's own struct;
//! the handler's reply goes [`to_value`] → [`encode_reply`]. Everything on the way is checked against the service's
//! table of shapes: what AWS does not know is refused with AWS's code, what AWS knows and the handler's struct does
//! not have is refused as unsupported, by name. Nothing that a client sends can panic or be ignored.
//!
//! A signature is read by [`Signature::of`] and checked by [`Signature::verify`]; whose key it is, the caller knows.
//!
//! Limitations: the ec2, query and rest-xml protocols only; the regular expressions of the models are facts in the
//! table that nobody checks.
#![forbid(unsafe_code)]

mod auth;
mod codec;
mod de;
mod decode;
mod error;
mod form;
mod rest;
mod ser;
mod shapes;
mod sigv4;
mod value;
mod xml;
mod xml_in;

pub use auth::Scope;
pub use codec::{HttpReply, HttpRequest, decode, encode_error, encode_reply, route, service_at};
pub use de::from_value;
pub use decode::{DecodeError, DecodeKind, MAX_DEPTH, Request, Segment};
pub use error::{ApiError, malformed_id};
pub use form::{MAX_FORM_LEN, MAX_PARAMETERS};
pub use ser::to_value;
pub use shapes::{Element, Entry, Kind, Member, Operation, Place, Protocol, Service, Shape};
pub use sigv4::{MAX_SKEW, Signature, SignatureError, SignedRequest, presigned_token};
pub use value::{Blob, Timestamp, Value};
pub use xml::EncodeError;
