//! Consumer groups: the classic group protocol and committed offsets.
//!
//! [`Group`] is a state machine that takes the time as an argument and reads no clock; [`GroupCoordinator`] holds the
//! groups and tells them when time has passed.

mod coordinator;
mod member;
mod membership;
mod offsets;
mod rebalance;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use coordinator::GroupCoordinator;
pub(crate) use member::{JoinRequest, JoinResult, SyncResult};
pub(crate) use offsets::CommittedOffset;
pub(crate) use state::{Group, GroupError, Outcome, State};
