//! The HTTP interface, from the outside.

mod commands;
mod elsewhere;
mod hostile;
mod letters;
mod listing;
mod streams;
