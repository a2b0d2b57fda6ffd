//! Everything but the batches, written at the start of each segment, so that a segment needs none before it.

use super::record::Record;
use crate::group::GroupCoordinator;
use crate::log::TopicRegistry;

/// Appends the present state to `out`.
pub(super) fn write(topics: &TopicRegistry, groups: &GroupCoordinator, out: &mut Vec<u8>) {
    let next_topic = topics.next_number();
    for topic in topics.all() {
        Record::Topic(topic.record()).write(out);
        for (partition, number) in topic.partitions().iter().zip(0_u32..) {
            let (log_start, high_watermark, producers) = partition.checkpoint();
            Record::Partition {
                topic: topic.number,
                partition: number,
                log_start,
                high_watermark,
                producers,
            }
            .write(out);
        }
    }
    for (id, group) in groups.all() {
        for (topic, partitions) in group.lock().offsets.iter() {
            for (&partition, committed) in partitions {
                Record::Offset {
                    group: &id,
                    topic,
                    partition,
                    offset: committed.offset,
                    leader_epoch: committed.leader_epoch,
                    metadata: &committed.metadata,
                }
                .write(out);
            }
        }
    }
    Record::CheckpointEnd { next_topic }.write(out);
}
