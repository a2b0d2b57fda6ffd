//! Offsets by position and by time.

use super::wire::{Reply, Request, WireError};
use crate::broker::Broker;
use crate::log::Partition;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const UNKNOWN: i64 = -1;
/// Versions from which responses carry the leader epoch.
const WITH_LEADER_EPOCH: i16 = 4;

pub(super) fn list_offsets(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: ListOffsetsRequest = request.body()?;
    let topics = body.topics.into_iter().map(|wanted| {
        let topic = broker.topics.get(&wanted.name);
        let partitions = wanted.partitions.iter().map(|wanted| {
            let response = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
            let partition = topic.as_ref().and_then(|topic| topic.partition(wanted.partition_index));
            let Some(partition) = partition else {
                return response
                    .with_error_code(ResponseError::UnknownTopicOrPartition.code())
                    .with_offset(UNKNOWN)
                    .with_timestamp(UNKNOWN);
            };
            let (offset, timestamp) = find(&partition, wanted.timestamp);
            let epoch = if request.version >= WITH_LEADER_EPOCH && offset != UNKNOWN { 0 } else { -1 };
            response
                .with_offset(offset)
                .with_timestamp(timestamp)
                .with_leader_epoch(epoch)
        });
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(wanted.name.clone())
    });
    request.reply(&ListOffsetsResponse::default().with_topics(topics.collect()))
}

/// (offset, timestamp), -1 for what there is not.
fn find(partition: &Partition, timestamp: i64) -> (i64, i64) {
    match timestamp {
        LATEST => (partition.bounds().high_watermark, UNKNOWN),
        EARLIEST => (partition.bounds().log_start, UNKNOWN),
        MAX_TIMESTAMP => partition.latest_timestamp().unwrap_or((UNKNOWN, UNKNOWN)),
        time if time >= 0 => partition.find_timestamp(time).unwrap_or((UNKNOWN, UNKNOWN)),
        _ => (UNKNOWN, UNKNOWN),
    }
}

/// There was only ever one leader epoch, so it ends where the log ends.
pub(super) fn offset_for_leader_epoch(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: OffsetForLeaderEpochRequest = request.body()?;
    let topics = body.topics.into_iter().map(|wanted| {
        let topic = broker.topics.get(&wanted.topic);
        let partitions = wanted.partitions.iter().map(|wanted| {
            let response = EpochEndOffset::default().with_partition(wanted.partition);
            match topic.as_ref().and_then(|topic| topic.partition(wanted.partition)) {
                None => response.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                Some(_) if wanted.leader_epoch != 0 => response,
                Some(partition) => response
                    .with_leader_epoch(0)
                    .with_end_offset(partition.bounds().high_watermark),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(wanted.topic.clone())
    });
    request.reply(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}
