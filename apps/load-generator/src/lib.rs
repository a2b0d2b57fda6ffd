//! An open-loop load generator for Sagaline that follows every order to its outcome.
//!
//! Orders are due at fixed times, whether or not the system keeps up, and every latency is measured from the time at which the
//! order was due. A system that stalls for a second therefore shows a second of latency for every order that was due
//! in it, where a closed loop would have sent fewer orders and seen nothing (coordinated omission).
//!
//! The reading order is `args` (what is asked), `run` (the phases of a run), `sender` and `follow` (the two sides that talk to
//! the system), `ledger` (what is known of every order), `report`.

mod args;
mod backlog;
mod chart;
mod follow;
mod format;
mod html;
mod http;
mod interval;
mod ledger;
mod mix;
mod progress;
mod report;
mod run;
mod schedule;
mod sender;
mod sse;
mod text;
mod update;

pub use args::{BadArgs, LoadArgs, Plan, Thresholds};
pub use http::{BadUrl, BaseUrl, HttpError};
pub use interval::Second;
pub use ledger::{LostOrder, Outcome};
pub use progress::{Progress, Silent, Snapshot, Terminal};
pub use report::{Asked, ErrorCount, Latency, Orders, Report, Series, ThresholdResult, Throughput};
pub use run::{RunError, Stop, run};
