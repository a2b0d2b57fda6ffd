//! Notices a consumer that gets nothing although there is something.
//!
//! A client of Kafka believes what brokers have told it of who leads what, and in some of their failures it has come to believe what no
//! later answer corrects: it goes on for ever, is a member of its group, and reads nothing. It cannot know that itself. So somebody asks the broker
//! through another client what there is to read, and when that does not become less for a while, the consumer is replaced.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use tokio::time::Instant;

use super::PingClient;
use super::lag::{committed, offsets};
use super::observers::Observers;
use super::places::{Next, Place};
use crate::BrokerError;

/// How long the broker may take for an answer: the thread that asks does nothing else meanwhile.
const LIMIT: Duration = Duration::from_secs(2);
/// How often is looked, in the time that a partition may stand still.
const LOOKS: u32 = 3;

/// What a broker knows of its consumers that stood still: group and place, and where that was.
pub(super) type Known = Arc<Mutex<HashMap<(String, Place), i64>>>;

/// Watches one consumer.
pub(super) struct Watch {
    group: String,
    observers: Arc<Observers>,
    /// Where another consumer did not get on either: there is nothing to read, for instance but the marker of a transaction.
    known: Known,
    patience: Duration,
    looked: Instant,
    still: Still,
}

impl Watch {
    pub(super) fn new(
        group: &str,
        observers: Arc<Observers>,
        known: Known,
        patience: Duration,
    ) -> Self {
        Self {
            group: group.to_owned(),
            observers,
            known,
            patience,
            looked: Instant::now(),
            still: Still::default(),
        }
    }

    /// The consumer was kept from reading, by a batch that took long: what it did not read meanwhile says nothing.
    pub(super) fn excuse(&mut self) {
        self.still = Still::default();
    }

    /// To be called whenever the consumer has nothing in hand and nothing to give; looks now and then. Of a place that is the consumer's own and of
    /// which it has read nothing, what its group has committed is next.
    ///
    /// # Errors
    /// [`BrokerError::StoodStill`].
    pub(super) fn look(&mut self, next: impl FnOnce() -> Next) -> Result<(), BrokerError> {
        let now = Instant::now();
        if now.duration_since(self.looked) < self.patience / LOOKS {
            return Ok(());
        }
        self.looked = now;
        match self.stands_still(now, &next()) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            // Then nothing can be read, and nothing can be said of who does not read.
            Err(error) => {
                tracing::debug!(error = %error, group = self.group, "it is not known what there is to read");
                self.observers.forget(&self.group);
                self.excuse();
                Ok(())
            }
        }
    }

    fn stands_still(
        &mut self,
        now: Instant,
        next: &Next,
    ) -> Result<Option<BrokerError>, Box<dyn std::error::Error + Send + Sync>> {
        if next.is_empty() {
            self.excuse();
            return Ok(None);
        }
        let client = self.observers.of(&self.group)?;
        let mut waiting = behind(&client, next)?;
        {
            let known = self.known.lock();
            waiting.retain(|(place, next)| {
                known.get(&(self.group.clone(), place.clone())) != Some(next)
            });
        }
        let Some((place, next)) = self.still.since(now, self.patience, waiting) else {
            return Ok(None);
        };
        // What retention has dropped is not there to be read.
        let (low, high) = client.fetch_watermarks(&place.0, place.1, LIMIT)?;
        let left = high - next.max(low);
        self.known
            .lock()
            .insert((self.group.clone(), place.clone()), next);
        if left <= 0 {
            return Ok(None);
        }
        Ok(Some(BrokerError::StoodStill {
            group: self.group.clone(),
            topic: place.0.to_string(),
            partition: place.1,
            messages: left,
        }))
    }
}

/// The places that have more than was read, and what is next there.
fn behind(client: &PingClient, next: &Next) -> Result<Vec<(Place, i64)>, KafkaError> {
    let unread = next.iter().filter(|(_, next)| next.is_none());
    let unread = unread.map(|((topic, partition), _)| (&**topic, *partition));
    let committed = committed(client, unread, LIMIT)?;
    let places = next.keys().map(|(topic, partition)| (&**topic, *partition));
    let ends = offsets(client, places, Offset::End, LIMIT)?;
    let behind = next.iter().filter_map(|(place, read)| {
        let key = (place.0.to_string(), place.1);
        let next = read.or_else(|| committed.get(&key).copied()).unwrap_or(0);
        (*ends.get(&key)? > next).then(|| (place.clone(), next))
    });
    Ok(behind.collect())
}

/// A place that was behind at the last look.
struct Waits {
    /// The message that it waits at.
    next: i64,
    since: Instant,
    looks: u32,
}

/// What was behind at each look so far, and has not moved.
#[derive(Default)]
struct Still(HashMap<Place, Waits>);

impl Still {
    /// What has been behind, at the same message, for as long as `patience` and as many looks as that has: the one that waits longest. A process
    /// that was stopped has not looked. `behind` is what is behind now.
    fn since(
        &mut self,
        now: Instant,
        patience: Duration,
        behind: Vec<(Place, i64)>,
    ) -> Option<(Place, i64)> {
        let mut before = std::mem::take(&mut self.0);
        for (place, next) in behind {
            let same = before.remove(&place).filter(|waits| waits.next == next);
            let mut waits = same.unwrap_or(Waits {
                next,
                since: now,
                looks: 0,
            });
            waits.looks += 1;
            self.0.insert(place, waits);
        }
        let long = self.0.iter().filter(|(_, waits)| {
            waits.looks > LOOKS && now.duration_since(waits.since) >= patience
        });
        let longest = long.min_by_key(|(_, waits)| waits.since);
        longest.map(|(place, waits)| (place.clone(), waits.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn at(partition: i32, next: i64) -> (Place, i64) {
        ((Arc::from("t"), partition), next)
    }

    #[test]
    fn what_is_behind_at_the_same_message_for_long_stands_still() {
        let (mut still, start) = (Still::default(), Instant::now());
        let mut look =
            |after: u64, behind| still.since(start + Duration::from_secs(after), PATIENCE, behind);
        assert_eq!(look(0, vec![at(0, 5), at(1, 7)]), None);
        assert_eq!(look(10, vec![at(1, 7)]), None);
        assert_eq!(look(20, vec![at(0, 5), at(1, 7)]), None);
        assert_eq!(look(29, vec![at(0, 5), at(1, 7)]), None);
        assert_eq!(look(30, vec![at(0, 5), at(1, 7)]), Some(at(1, 7)));
    }

    #[test]
    fn a_process_that_was_stopped_does_not_take_that_for_a_standstill() {
        let (mut still, start) = (Still::default(), Instant::now());
        let mut look =
            |after: u64| still.since(start + Duration::from_secs(after), PATIENCE, vec![at(0, 5)]);
        assert_eq!(look(0), None);
        assert_eq!(look(600), None);
        assert_eq!(look(610), None);
        assert_eq!(look(620), Some(at(0, 5)));
    }

    #[test]
    fn what_moves_does_not_stand_still_however_far_it_is_behind() {
        let (mut still, start) = (Still::default(), Instant::now());
        for step in 0..100_u32 {
            let now = start + Duration::from_secs(10) * step;
            // two looks at each message
            let behind = vec![at(0, i64::from(step / 2))];
            assert_eq!(still.since(now, PATIENCE, behind), None, "step {step}");
        }
    }
}
