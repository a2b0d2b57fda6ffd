//! Offsets committed, fetched and deleted.

use super::consumer_groups::group_error_code;
use super::wire::{Reply, Request, WireError, text};
use crate::broker::Broker;
use crate::clock;
use crate::group::{CommittedOffset, Group};
use crate::journal::Record;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use std::sync::Arc;

const MAX_METADATA_LEN: usize = 4096;
const NO_OFFSET: i64 = -1;
/// Version from which one request asks for several groups.
const BATCH_FETCH: i16 = 8;
/// Version from which responses carry the leader epoch.
const WITH_LEADER_EPOCH: i16 = 5;

pub(super) fn commit(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: OffsetCommitRequest = request.body()?;
    let topics = broker.groups.with_new(&body.group_id, |group| {
        let allowed = group.check_commit(
            &body.member_id,
            body.group_instance_id.as_deref(),
            body.generation_id_or_member_epoch,
            clock::now(),
        );
        commit_topics(&body, |topic, partition| match allowed {
            Ok(()) => commit_one(broker, (&body.group_id, group), topic, partition),
            Err(error) => group_error_code(error),
        })
    });
    let full = || commit_topics(&body, |_, _| ResponseError::GroupMaxSizeReached.code());
    let response = OffsetCommitResponse::default().with_topics(topics.unwrap_or_else(full));
    broker.reply_when_durable(&request, &response)
}

fn commit_topics(
    body: &OffsetCommitRequest,
    mut commit: impl FnMut(&str, &OffsetCommitRequestPartition) -> i16,
) -> Vec<OffsetCommitResponseTopic> {
    let topics = body.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(commit(&topic.name, partition))
        });
        OffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name.clone())
    });
    topics.collect()
}

fn commit_one(
    broker: &Broker,
    (group_id, group): (&str, &mut Group),
    topic: &str,
    wanted: &OffsetCommitRequestPartition,
) -> i16 {
    let index = wanted.partition_index;
    let exists = broker
        .topics
        .get(topic)
        .is_some_and(|topic| topic.partition(index).is_some());
    if !exists {
        return ResponseError::UnknownTopicOrPartition.code();
    }
    let metadata = wanted.committed_metadata.as_deref().unwrap_or_default();
    if metadata.len() > MAX_METADATA_LEN {
        return ResponseError::OffsetMetadataTooLarge.code();
    }
    let committed = CommittedOffset {
        offset: wanted.committed_offset,
        leader_epoch: wanted.committed_leader_epoch,
        metadata: metadata.to_owned(),
    };
    broker.groups.record(&Record::Offset {
        group: group_id,
        topic,
        partition: index,
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata,
    });
    group.offsets.commit(topic, index, committed);
    0
}

/// The topics and partitions that a client asks for; `None` for all that there are.
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;
/// By topic: partitions with their offsets.
type Fetched = Vec<(TopicName, Vec<(i32, Option<CommittedOffset>)>)>;

fn committed(broker: &Broker, group_id: &str, wanted: &Wanted) -> Fetched {
    let fetched = broker.groups.with(group_id, |group| match wanted {
        Some(topics) => topics
            .iter()
            .map(|(topic, partitions)| {
                let offset = |&index: &i32| (index, group.offsets.get(topic, index).cloned());
                (topic.clone(), partitions.iter().map(offset).collect())
            })
            .collect(),
        None => group
            .offsets
            .iter()
            .map(|(topic, partitions)| {
                let offset =
                    |(&index, offset): (&i32, &CommittedOffset)| (index, Some(offset.clone()));
                (
                    TopicName(text(topic)),
                    partitions.iter().map(offset).collect(),
                )
            })
            .collect(),
    });
    let nothing = || {
        let topics = wanted.iter().flatten();
        let none = |(topic, partitions): &(TopicName, Vec<i32>)| {
            (
                topic.clone(),
                partitions.iter().map(|&index| (index, None)).collect(),
            )
        };
        topics.map(none).collect()
    };
    fetched.unwrap_or_else(nothing)
}

/// Offset, leader epoch and metadata for a response.
fn response_fields(offset: Option<CommittedOffset>) -> (i64, i32, String) {
    offset.map_or((NO_OFFSET, -1, String::new()), |offset| {
        (offset.offset, offset.leader_epoch, offset.metadata)
    })
}

pub(super) fn fetch(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: OffsetFetchRequest = request.body()?;
    if request.version >= BATCH_FETCH {
        let groups = body.groups.into_iter().map(|group| {
            let wanted = group.topics.map(|topics| {
                let topics = topics.into_iter();
                topics
                    .map(|topic| (topic.name, topic.partition_indexes))
                    .collect()
            });
            group_response(
                group.group_id.clone(),
                committed(broker, &group.group_id, &wanted),
            )
        });
        return request.reply(&OffsetFetchResponse::default().with_groups(groups.collect()));
    }
    let wanted = body.topics.map(|topics| {
        let topics = topics.into_iter();
        topics
            .map(|topic| (topic.name, topic.partition_indexes))
            .collect()
    });
    let topics =
        committed(broker, &body.group_id, &wanted)
            .into_iter()
            .map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, offset)| {
                    let (offset, epoch, metadata) = response_fields(offset);
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(index)
                        .with_committed_offset(offset)
                        .with_committed_leader_epoch(if request.version >= WITH_LEADER_EPOCH {
                            epoch
                        } else {
                            -1
                        })
                        .with_metadata(Some(text(&metadata)))
                });
                OffsetFetchResponseTopic::default()
                    .with_name(name)
                    .with_partitions(partitions.collect())
            });
    request.reply(&OffsetFetchResponse::default().with_topics(topics.collect()))
}

fn group_response(
    group_id: kafka_protocol::messages::GroupId,
    fetched: Fetched,
) -> OffsetFetchResponseGroup {
    let topics = fetched.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, offset)| {
            let (offset, epoch, metadata) = response_fields(offset);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(Some(text(&metadata)))
        });
        OffsetFetchResponseTopics::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(group_id)
        .with_topics(topics.collect())
}

pub(super) fn delete(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: OffsetDeleteRequest = request.body()?;
    let topics = broker.groups.with(&body.group_id, |group| {
        let topics = body.topics.iter().map(|topic| {
            let in_use = group.subscribes_to(&topic.name);
            let partitions = topic.partitions.iter().map(|partition| {
                let error = if in_use {
                    ResponseError::GroupSubscribedToTopic.code()
                } else {
                    let partition = partition.partition_index;
                    group.offsets.remove(&topic.name, partition);
                    broker.groups.record(&Record::OffsetDeleted {
                        group: &body.group_id,
                        topic: &topic.name,
                        partition,
                    });
                    0
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(error)
            });
            OffsetDeleteResponseTopic::default()
                .with_partitions(partitions.collect())
                .with_name(topic.name.clone())
        });
        topics.collect()
    });
    let response = match topics {
        Some(topics) => OffsetDeleteResponse::default().with_topics(topics),
        None => {
            OffsetDeleteResponse::default().with_error_code(ResponseError::GroupIdNotFound.code())
        }
    };
    broker.reply_when_durable(&request, &response)
}
