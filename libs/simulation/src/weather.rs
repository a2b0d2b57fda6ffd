//! How rough the world is.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

/// How rough the world is, while it is: chances in a thousand, times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Climate {
    /// Partitions of each topic.
    pub partitions: usize,
    /// Messages that a consumer gets at once, at most.
    pub batch_max: usize,
    /// How long a consumer lets messages gather.
    pub fetch_ms: u64,
    /// How often a consumer commits what is done.
    pub commit_ms: u64,
    /// How long a member may be silent before its group goes on without it.
    pub session_ms: u64,
    /// Every rebalance takes all partitions away and gives them out anew; otherwise only those that move.
    pub eager: bool,
    /// Partitions of the same number may belong to different members.
    pub scattered: bool,
    /// A partition's messages are not there yet although they were acknowledged.
    pub hold: u32,
    /// How long the broker takes for an acknowledgement, at most.
    pub ack_ms: u64,
    /// A publish fails, and nothing was written.
    pub publish_lost: u32,
    /// A publish fails, and a part of it was written.
    pub publish_partial: u32,
    /// A publish fails, and all of it was written.
    pub ack_lost: u32,
    /// A publish fails, and is written later.
    #[serde(default)]
    pub publish_late: u32,
    /// A rebalance takes partitions away without a last commit.
    pub commit_lost: u32,
    /// How long the store takes, at most.
    pub store_ms: u64,
    /// A call of the store fails, and nothing happened.
    pub store_lost: u32,
    /// A save fails, and some of it was saved.
    pub save_partial: u32,
    /// A save fails, and all of it was saved.
    pub save_ack_lost: u32,
    /// A save fails, and happens later.
    pub save_late: u32,
    /// A save happens, and the repeated request behind it says that somebody else was faster.
    pub save_conflict: u32,
    /// How long gateway and carrier take, at most.
    pub party_ms: u64,
    /// A call of theirs takes longer than anybody waits for it.
    pub party_silent: u32,
    /// A call of theirs fails, and had no effect.
    pub party_lost: u32,
    /// A call of theirs fails, and had its effect.
    pub party_ack_lost: u32,
    /// An answer to a client is lost.
    pub answer_lost: u32,
    /// Charges that are declined.
    pub declined: u32,
    /// Parcels that are refused.
    pub refused: u32,
    /// Parcels that are gone when they are called back.
    pub picked_up: u32,
    /// How long an order may be in flight before it is cancelled.
    pub saga_timeout_ms: u64,
}

impl Climate {
    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self {
            partitions: 2,
            batch_max: 100,
            fetch_ms: 2,
            commit_ms: 0,
            session_ms: 3_000,
            eager: false,
            scattered: false,
            hold: 0,
            ack_ms: 0,
            publish_lost: 0,
            publish_partial: 0,
            ack_lost: 0,
            publish_late: 0,
            commit_lost: 0,
            store_ms: 0,
            store_lost: 0,
            save_partial: 0,
            save_ack_lost: 0,
            save_late: 0,
            save_conflict: 0,
            party_ms: 0,
            party_silent: 0,
            party_lost: 0,
            party_ack_lost: 0,
            answer_lost: 0,
            declined: 0,
            refused: 0,
            picked_up: 0,
            saga_timeout_ms: 10_000,
        }
    }

    /// The same world after its last fault: what it is like stays, nothing more goes wrong.
    fn after_the_storm(&self) -> Self {
        Self {
            partitions: self.partitions,
            batch_max: self.batch_max,
            session_ms: self.session_ms,
            eager: self.eager,
            scattered: self.scattered,
            declined: self.declined,
            refused: self.refused,
            picked_up: self.picked_up,
            saga_timeout_ms: self.saga_timeout_ms,
            ..Self::calm()
        }
    }
}

/// What can be down as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Dependency {
    /// The broker.
    Broker,
    /// The store.
    Store,
    /// The payment gateway.
    Gateway,
    /// The carrier.
    Carrier,
}

/// The weather as it is now.
#[derive(Debug)]
pub(crate) struct Weather {
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    climate: Climate,
    down_until: [Option<Instant>; 4],
}

impl Weather {
    pub(crate) fn new(climate: Climate) -> Self {
        Self {
            now: Mutex::new(Now {
                climate,
                down_until: [None; 4],
            }),
        }
    }

    /// Something of the climate.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Climate) -> T) -> T {
        read(&self.now.lock().climate)
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn calm_down(&self) {
        let mut now = self.now.lock();
        now.climate = now.climate.after_the_storm();
        now.down_until = [None; 4];
    }

    /// Something is down for a while.
    pub(crate) fn take_down(&self, what: Dependency, millis: u64) {
        let until = Instant::now() + Duration::from_millis(millis);
        let mut now = self.now.lock();
        if let Some(slot) = now.down_until.get_mut(what as usize) {
            *slot = Some(slot.map_or(until, |known| known.max(until)));
        }
    }

    /// Until when it is down, if it is.
    pub(crate) fn down_until(&self, what: Dependency) -> Option<Instant> {
        let until = self.now.lock().down_until.get(what as usize).copied();
        until.flatten().filter(|until| *until > Instant::now())
    }

    pub(crate) fn is_down(&self, what: Dependency) -> bool {
        self.down_until(what).is_some()
    }
}
