//! What a partition remembers of idempotent producers: the last batches of each, so that a retry is acknowledged with
//! its first offset instead of being stored again.

use super::batch::{BatchHeader, add_sequence};
use crate::journal::RememberedProducer;
use std::collections::{HashMap, VecDeque};

/// Batches remembered per producer: as many as a client may have in flight.
const REMEMBERED_BATCHES: usize = 5;
/// Producers remembered per partition; the longest silent ones are forgotten first.
const MAX_PRODUCERS: usize = 1_000;

/// A batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RememberedBatch {
    pub(crate) base_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) base_offset: i64,
}

#[derive(Debug, Clone, Default)]
struct Producer {
    epoch: i16,
    batches: VecDeque<RememberedBatch>,
}

impl Producer {
    fn last(&self) -> Option<&RememberedBatch> {
        self.batches.back()
    }
}

/// The verdict on a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceCheck {
    /// The next one: append it.
    Next,
    /// Already stored at this offset: acknowledge it, store nothing.
    Duplicate(i64),
    /// A gap before it.
    OutOfOrder,
    /// A newer instance of this producer has taken over.
    Fenced,
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(crate) struct ProducerStates {
    producers: HashMap<i64, Producer>,
}

impl ProducerStates {
    pub(crate) fn check(&self, batch: &BatchHeader) -> SequenceCheck {
        let Some(producer) = self.producers.get(&batch.producer_id) else {
            return SequenceCheck::Next;
        };
        if batch.producer_epoch < producer.epoch {
            return SequenceCheck::Fenced;
        }
        if batch.producer_epoch > producer.epoch {
            return if batch.base_sequence == 0 {
                SequenceCheck::Next
            } else {
                SequenceCheck::OutOfOrder
            };
        }
        let last_sequence = batch.last_sequence();
        let same = |seen: &&RememberedBatch| {
            seen.base_sequence == batch.base_sequence && seen.last_sequence == last_sequence
        };
        if let Some(seen) = producer.batches.iter().find(same) {
            return SequenceCheck::Duplicate(seen.base_offset);
        }
        match producer.last() {
            Some(last) if add_sequence(last.last_sequence, 1) != batch.base_sequence => {
                SequenceCheck::OutOfOrder
            }
            _ => SequenceCheck::Next,
        }
    }

    /// Remembers an appended batch.
    pub(crate) fn record(&mut self, batch: &BatchHeader, base_offset: i64) {
        let remembered = RememberedBatch {
            base_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset,
        };
        self.restore(batch.producer_id, batch.producer_epoch, remembered);
        if self.producers.len() > MAX_PRODUCERS {
            self.evict();
        }
    }

    /// Remembers a batch that was read back from a log.
    pub(crate) fn restore(&mut self, producer_id: i64, epoch: i16, batch: RememberedBatch) {
        let producer = self.producers.entry(producer_id).or_default();
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        if producer
            .last()
            .is_some_and(|last| last.base_offset >= batch.base_offset)
        {
            return;
        }
        if producer.batches.len() == REMEMBERED_BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(batch);
    }

    /// Forgets batches at or behind an offset: they are not in the log.
    pub(crate) fn forget_from(&mut self, offset: i64) {
        self.producers.retain(|_, producer| {
            producer.batches.retain(|batch| batch.base_offset < offset);
            !producer.batches.is_empty()
        });
    }

    /// Everything that is remembered, for a checkpoint.
    pub(crate) fn remembered(&self) -> Vec<RememberedProducer> {
        let remembered = self
            .producers
            .iter()
            .map(|(&id, producer)| RememberedProducer {
                id,
                epoch: producer.epoch,
                batches: producer.batches.iter().copied().collect(),
            });
        remembered.collect()
    }

    /// The highest id of a producer that is remembered.
    pub(crate) fn highest_id(&self) -> Option<i64> {
        self.producers.keys().copied().max()
    }

    /// Forgets the tenth of the producers that has been silent longest.
    fn evict(&mut self) {
        let newest =
            |producer: &Producer| producer.last().map_or(i64::MIN, |last| last.base_offset);
        let mut offsets: Vec<i64> = self.producers.values().map(newest).collect();
        let (_, &mut cut, _) = offsets.select_nth_unstable(MAX_PRODUCERS / 10);
        self.producers.retain(|_, producer| newest(producer) > cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_id: i64, epoch: i16, base_sequence: i32, count: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            size: 100,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: epoch,
            base_sequence,
            record_count: count,
        }
    }

    #[test]
    fn a_repeated_batch_is_a_duplicate_and_a_gap_is_refused() {
        let mut states = ProducerStates::default();
        for n in 0..6 {
            let next = batch(7, 0, n * 10, 10);
            assert_eq!(states.check(&next), SequenceCheck::Next);
            states.record(&next, i64::from(n) * 10);
        }
        assert_eq!(
            states.check(&batch(7, 0, 10, 10)),
            SequenceCheck::Duplicate(10)
        );
        assert_eq!(
            states.check(&batch(7, 0, 50, 10)),
            SequenceCheck::Duplicate(50)
        );
        assert_eq!(
            states.check(&batch(7, 0, 0, 10)),
            SequenceCheck::OutOfOrder,
            "older than the last five"
        );
        assert_eq!(states.check(&batch(7, 0, 61, 1)), SequenceCheck::OutOfOrder);
        assert_eq!(states.check(&batch(7, 0, 60, 1)), SequenceCheck::Next);
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        assert_eq!(
            ProducerStates::default().check(&batch(9, 3, 1234, 1)),
            SequenceCheck::Next
        );
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut states = ProducerStates::default();
        states.record(&batch(1, 0, 0, 3), 0);
        assert_eq!(states.check(&batch(1, 1, 3, 1)), SequenceCheck::OutOfOrder);
        assert_eq!(states.check(&batch(1, 1, 0, 1)), SequenceCheck::Next);
        states.record(&batch(1, 1, 0, 1), 3);
        assert_eq!(states.check(&batch(1, 0, 3, 1)), SequenceCheck::Fenced);
    }

    #[test]
    fn the_number_of_producers_is_bounded() {
        let mut states = ProducerStates::default();
        for n in 0..5_000 {
            states.record(&batch(n, 0, 0, 1), n);
        }
        assert!(states.producers.len() <= MAX_PRODUCERS);
        assert_eq!(
            states.check(&batch(4_999, 0, 0, 1)),
            SequenceCheck::Duplicate(4_999)
        );
    }
}
