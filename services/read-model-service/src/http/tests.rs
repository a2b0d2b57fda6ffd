//! The HTTP interface, from the outside.

mod commands;
mod elsewhere;
mod hostile;
mod hostile_commands;
mod letters;
mod listing;
mod streams;
