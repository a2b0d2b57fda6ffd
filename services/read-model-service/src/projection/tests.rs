//! The projection as a whole: every arrival order gives the same bytes, and no effect stands before its cause.

mod laws;
mod letters;
mod readers;
mod stories;
