//! TCP: accepting connections, cutting frames, answering in order.

mod connection;
mod frame;
mod listener;

pub(crate) use listener::{bind, serve};
