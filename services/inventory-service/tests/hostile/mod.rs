//! A world in which everything that can go wrong does.

pub(crate) mod dice;
pub(crate) mod instance;
pub(crate) mod schedule;
pub(crate) mod store;
pub(crate) mod world;
