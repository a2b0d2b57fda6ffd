//! Offsets by position and by time.

use super::wire::{Reply, Request, WireError};
use crate::broker::Broker;
use crate::log::Partition;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};
use std::io;
use std::sync::Arc;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const UNKNOWN: i64 = -1;
/// Versions from which responses carry the leader epoch.
const WITH_LEADER_EPOCH: i16 = 4;

pub(super) fn list_offsets(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: ListOffsetsRequest = request.body()?;
    let broker = Arc::clone(broker);
    let by_time = |wanted: &ListOffsetsPartition| !matches!(wanted.timestamp, LATEST | EARLIEST);
    let searches = body
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .any(by_time);
    if !searches || broker.journal.is_none() {
        return request.reply(&answer(&broker, request.version, body));
    }
    // A search by time reads the disk.
    Ok(Reply::Later(Box::pin(async move {
        let version = request.version;
        let answered = tokio::task::spawn_blocking(move || answer(&broker, version, body)).await;
        let response = answered.map_err(|_| WireError::Abandoned)?;
        request.answer(&response).map(Some)
    })))
}

fn answer(broker: &Broker, version: i16, body: ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = body.topics.into_iter().map(|wanted| {
        let topic = broker.topics.get(&wanted.name);
        let partitions = wanted.partitions.iter().map(|wanted| {
            let partition = topic
                .as_ref()
                .and_then(|topic| topic.partition(wanted.partition_index));
            partition_answer(version, wanted, partition.as_deref())
        });
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(wanted.name.clone())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn partition_answer(
    version: i16,
    wanted: &ListOffsetsPartition,
    partition: Option<&Partition>,
) -> ListOffsetsPartitionResponse {
    let response =
        ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    let found = partition
        .ok_or(ResponseError::UnknownTopicOrPartition)
        .and_then(|partition| {
            find(partition, wanted.timestamp).map_err(|_| ResponseError::KafkaStorageError)
        });
    match found {
        Err(error) => response
            .with_error_code(error.code())
            .with_offset(UNKNOWN)
            .with_timestamp(UNKNOWN),
        Ok((offset, timestamp)) => {
            let epoch = if version >= WITH_LEADER_EPOCH && offset != UNKNOWN {
                0
            } else {
                -1
            };
            response
                .with_offset(offset)
                .with_timestamp(timestamp)
                .with_leader_epoch(epoch)
        }
    }
}

/// (offset, timestamp), -1 for what there is not.
fn find(partition: &Partition, timestamp: i64) -> io::Result<(i64, i64)> {
    let found = match timestamp {
        LATEST => Some((partition.bounds().high_watermark, UNKNOWN)),
        EARLIEST => Some((partition.bounds().log_start, UNKNOWN)),
        MAX_TIMESTAMP => partition.latest_timestamp()?,
        time if time >= 0 => partition.find_timestamp(time)?,
        _ => None,
    };
    Ok(found.unwrap_or((UNKNOWN, UNKNOWN)))
}

/// There was only ever one leader epoch, so it ends where the log ends.
pub(super) fn offset_for_leader_epoch(
    broker: &Broker,
    request: &Request,
) -> Result<Reply, WireError> {
    let body: OffsetForLeaderEpochRequest = request.body()?;
    let topics = body.topics.into_iter().map(|wanted| {
        let topic = broker.topics.get(&wanted.topic);
        let partitions = wanted.partitions.iter().map(|wanted| {
            let response = EpochEndOffset::default().with_partition(wanted.partition);
            match topic
                .as_ref()
                .and_then(|topic| topic.partition(wanted.partition))
            {
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
