//! The controller as its clients and its host meet it, over TCP.

mod host;
mod http;
mod server;
