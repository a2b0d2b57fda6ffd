//! Topics created, grown, deleted and cut.

use super::wire::{Reply, Request, WireError, text};
use crate::broker::Broker;
use crate::log::TopicError;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    TopicName,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Kafka's code for what is wrong with a topic.
pub(super) fn topic_error_code(error: TopicError) -> ResponseError {
    match error {
        TopicError::Exists => ResponseError::TopicAlreadyExists,
        TopicError::Unknown => ResponseError::UnknownTopicOrPartition,
        TopicError::Name => ResponseError::InvalidTopicException,
        TopicError::Partitions => ResponseError::InvalidPartitions,
        TopicError::TooMany => ResponseError::PolicyViolation,
        TopicError::Config => ResponseError::InvalidConfig,
    }
}

/// What was created: id, partitions; or the error and what to say about it.
type Created = Result<(Uuid, i32), (ResponseError, &'static str)>;

pub(super) fn create(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: CreateTopicsRequest = request.body()?;
    let validate_only = body.validate_only;
    let results = body.topics.into_iter().map(|wanted| {
        let created = create_one(broker, &wanted, validate_only);
        let result = CreatableTopicResult::default().with_name(wanted.name);
        match created {
            Ok((id, partitions)) => result
                .with_topic_id(id)
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(Some(Vec::new())),
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(text(message)))
                .with_configs(Some(Vec::new())),
        }
    });
    let response = CreateTopicsResponse::default().with_topics(results.collect());
    broker.reply_when_durable(&request, &response)
}

fn create_one(broker: &Broker, wanted: &CreatableTopic, validate_only: bool) -> Created {
    if !matches!(wanted.replication_factor, -1 | 1) {
        let advice = "there is one node: the replication factor can only be 1";
        return Err((ResponseError::InvalidReplicationFactor, advice));
    }
    let assigned = i32::try_from(wanted.assignments.len()).unwrap_or(i32::MAX);
    let partitions = match wanted.num_partitions {
        -1 if assigned > 0 => assigned,
        -1 => broker.config.default_partitions,
        count => count,
    };
    let overrides: BTreeMap<String, String> = wanted
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect();
    let created = if validate_only {
        let checked = broker
            .topics
            .check_new(&wanted.name, partitions, &overrides);
        checked.map(|()| Uuid::nil())
    } else {
        let topic = broker.topics.create(&wanted.name, partitions, overrides);
        topic.map(|topic| topic.id)
    };
    created
        .map(|id| (id, partitions))
        .map_err(|error| (topic_error_code(error), error.advice()))
}

pub(super) fn delete(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: DeleteTopicsRequest = request.body()?;
    let by_name = body
        .topic_names
        .into_iter()
        .map(|name| (Some(name), Uuid::nil()));
    let by_state = body
        .topics
        .into_iter()
        .map(|state| (state.name, state.topic_id));
    let results = by_name.chain(by_state).map(|(name, id)| {
        let known = name.or_else(|| {
            let all = broker.topics.all();
            let topic = all.iter().find(|topic| topic.id == id)?;
            Some(TopicName(text(&topic.name)))
        });
        let error = match &known {
            None => ResponseError::UnknownTopicId.code(),
            Some(name) => match broker.topics.delete(name) {
                Ok(_) => {
                    broker.groups.forget_topic(name);
                    0
                }
                Err(error) => topic_error_code(error).code(),
            },
        };
        // Before version 6 a name cannot be null.
        DeletableTopicResult::default()
            .with_name(Some(known.unwrap_or_default()))
            .with_topic_id(id)
            .with_error_code(error)
    });
    let response = DeleteTopicsResponse::default().with_responses(results.collect());
    broker.reply_when_durable(&request, &response)
}

pub(super) fn create_partitions(
    broker: &Arc<Broker>,
    request: Request,
) -> Result<Reply, WireError> {
    let body: CreatePartitionsRequest = request.body()?;
    let validate_only = body.validate_only;
    let results = body.topics.into_iter().map(|wanted| {
        let grown = broker
            .topics
            .grow(&wanted.name, wanted.count, validate_only);
        let result = CreatePartitionsTopicResult::default().with_name(wanted.name);
        match grown {
            Ok(()) => result,
            Err(error) => result
                .with_error_code(topic_error_code(error).code())
                .with_error_message(Some(text(error.advice()))),
        }
    });
    let response = CreatePartitionsResponse::default().with_results(results.collect());
    broker.reply_when_durable(&request, &response)
}

pub(super) fn delete_records(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: DeleteRecordsRequest = request.body()?;
    let topics = body.topics.into_iter().map(|wanted| {
        let topic = broker.topics.get(&wanted.name);
        let partitions = wanted.partitions.iter().map(|wanted| {
            let result = DeleteRecordsPartitionResult::default()
                .with_partition_index(wanted.partition_index)
                .with_low_watermark(-1);
            let partition = topic
                .as_ref()
                .and_then(|topic| topic.partition(wanted.partition_index));
            match partition.map(|partition| partition.delete_before(wanted.offset)) {
                None => result.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                Some(None) => result.with_error_code(ResponseError::OffsetOutOfRange.code()),
                Some(Some(log_start)) => result.with_low_watermark(log_start),
            }
        });
        DeleteRecordsTopicResult::default()
            .with_partitions(partitions.collect())
            .with_name(wanted.name.clone())
    });
    let response = DeleteRecordsResponse::default().with_topics(topics.collect());
    broker.reply_when_durable(&request, &response)
}
