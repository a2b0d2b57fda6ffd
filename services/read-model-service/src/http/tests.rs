//! The HTTP interface, from the outside.

mod commands;
mod letters;
mod listing;
mod streams;
