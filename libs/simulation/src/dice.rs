//! Chance that follows from a seed.

use parking_lot::Mutex;
use uuid::Uuid;

/// A source of chance of its own: what one part of the world draws does not change what another one gets.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    /// Chance from `seed`, for one `purpose`.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose
            .bytes()
            .fold(seed ^ 0x9e37_79b9_7f4a_7c15, |mixed, byte| {
                (mixed ^ u64::from(byte))
                    .wrapping_mul(0x0100_0000_01b3)
                    .rotate_left(17)
            });
        Self(Mutex::new(fastrand::Rng::with_seed(mixed)))
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&self, per_mille: u32) -> bool {
        per_mille > 0 && self.0.lock().u32(0..1_000) < per_mille
    }

    /// A number from 0 to `most`, both included.
    pub(crate) fn up_to(&self, most: u64) -> u64 {
        if most == 0 {
            0
        } else {
            self.0.lock().u64(0..=most)
        }
    }

    /// A number of this range, both ends included.
    pub(crate) fn between(&self, least: u64, most: u64) -> u64 {
        least + self.up_to(most.saturating_sub(least))
    }

    /// A place in a list of `len`, 0 for an empty one.
    pub(crate) fn index(&self, len: usize) -> usize {
        if len < 2 {
            0
        } else {
            self.0.lock().usize(0..len)
        }
    }

    /// One of `choices`.
    pub(crate) fn pick<'a, T>(&self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.index(choices.len()))
    }
}

/// Makes the chance that libraries draw on this thread follow from `seed` as well: ids and the jitter of a backoff.
pub(crate) fn seed_this_thread(seed: u64) {
    fastrand::seed(seed);
}

/// An id as [`ServiceHost`](sagaline_service_host::ServiceHost) draws it, from this thread's seed.
pub(crate) fn draw_id() -> Uuid {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid()
}
