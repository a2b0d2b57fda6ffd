//! Which partitions somebody reads, and how far.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;

use crate::Inbound;

/// A topic and a partition.
pub(super) type Place = (Arc<str>, i32);

/// What comes next of each partition that somebody reads, if anything was read of it.
pub(super) type Next = HashMap<Place, Option<i64>>;

/// The places that are a consumer's own, as its group has told it.
#[derive(Default)]
pub(super) struct Own(Mutex<Next>);

impl Own {
    pub(super) fn add(&self, partitions: &TopicPartitionList) {
        let mut own = self.0.lock();
        own.extend(places(partitions).map(|place| (place, None)));
    }

    pub(super) fn remove(&self, partitions: &TopicPartitionList) {
        let mut own = self.0.lock();
        for place in places(partitions) {
            own.remove(&place);
        }
    }

    /// These messages were read.
    pub(super) fn read(&self, batch: &[Inbound]) {
        read(&mut self.0.lock(), batch);
    }

    pub(super) fn next(&self) -> Next {
        self.0.lock().clone()
    }
}

fn places(partitions: &TopicPartitionList) -> impl Iterator<Item = Place> {
    let elements = partitions.elements().into_iter();
    elements.map(|place| (Arc::from(place.topic()), place.partition()))
}

/// These messages were read. Those of places that are not among them are not followed.
pub(super) fn read(next: &mut Next, batch: &[Inbound]) {
    for (n, message) in batch.iter().enumerate() {
        let goes_on = batch.get(n + 1).is_some_and(|after| {
            after.partition == message.partition && after.topic == message.topic
        });
        // Most messages are followed by one of the same place.
        if goes_on {
            continue;
        }
        if let Some(next) = next.get_mut(&(Arc::clone(&message.topic), message.partition)) {
            *next = Some(message.offset + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(partition: i32, offset: i64) -> Inbound {
        Inbound {
            topic: Arc::from("t"),
            partition,
            offset,
            key: None,
            value: Some(Bytes::new()),
        }
    }

    fn partitions(numbers: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for number in numbers {
            list.add_partition("t", number);
        }
        list
    }

    #[test]
    fn after_a_batch_the_last_message_of_each_partition_is_behind_and_what_is_not_its_own_is_not_followed()
     {
        let own = Own::default();
        own.add(&partitions(0..3));
        own.read(&[
            message(0, 5),
            message(0, 6),
            message(1, 2),
            message(0, 7),
            message(9, 1),
        ]);
        let expected = [(0, Some(8)), (1, Some(3)), (2, None)];
        let expected = expected.map(|(partition, next)| ((Arc::from("t"), partition), next));
        assert_eq!(own.next(), Next::from(expected));
    }

    #[test]
    fn what_was_read_before_a_partition_was_taken_away_is_forgotten() {
        let own = Own::default();
        own.add(&partitions([0]));
        own.read(&[message(0, 5)]);
        own.remove(&partitions([0]));
        assert_eq!(own.next(), Next::new());
        own.add(&partitions([0]));
        assert_eq!(own.next(), Next::from([((Arc::from("t"), 0), None)]));
    }
}
