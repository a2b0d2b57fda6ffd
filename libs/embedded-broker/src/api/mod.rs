//! One function per request: decode, do, answer.

mod configs;
mod consumer_groups;
mod dispatch;
mod fetch;
mod fetch_response;
mod group_admin;
mod group_offsets;
mod list_offsets;
mod metadata;
mod produce;
mod shape;
mod shapes;
mod topics;
mod versions;
mod wire;

pub(crate) use dispatch::handle;
pub(crate) use wire::{Peer, Reply, Request, WireError};
