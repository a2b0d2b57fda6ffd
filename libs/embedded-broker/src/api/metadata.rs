//! What the cluster looks like: one node that leads everything.

use super::wire::{Reply, Request, WireError, text};
use crate::broker::{Broker, CLUSTER_ID, NODE_ID};
use crate::log::{Topic, TopicError};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest,
    MetadataResponse, TopicName,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const GROUP_COORDINATOR: i8 = 0;
const NO_TRANSACTIONS: &str = "this broker has no transactions, only consumer groups";

pub(super) fn metadata(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: MetadataRequest = request.body()?;
    // Version 0 asks for all topics with an empty list.
    let wanted = body
        .topics
        .filter(|topics| request.version > 0 || !topics.is_empty());
    // The field came with version 4; before that, asking was creating.
    let may_create =
        broker.config.auto_create_topics && (request.version < 4 || body.allow_auto_topic_creation);
    let mut created = false;
    let topics = match wanted {
        None => broker.topics.all().iter().map(describe_topic).collect(),
        Some(wanted) => wanted
            .into_iter()
            .map(|wanted| {
                let (topic, is_new) = find_or_create(broker, &wanted, may_create);
                created |= is_new;
                topic.map_or_else(
                    |error| missing_topic(wanted, error),
                    |topic| describe_topic(&topic),
                )
            })
            .collect(),
    };
    let node = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(broker.host.clone())
        .with_port(broker.port);
    let response = MetadataResponse::default()
        .with_brokers(vec![node])
        .with_cluster_id(Some(text(CLUSTER_ID)))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics);
    if created {
        return broker.reply_when_durable(&request, &response);
    }
    request.reply(&response)
}

type Found = Result<Arc<Topic>, ResponseError>;

/// The topic, and whether it is new.
fn find_or_create(
    broker: &Broker,
    wanted: &MetadataRequestTopic,
    may_create: bool,
) -> (Found, bool) {
    let Some(name) = &wanted.name else {
        let by_id = broker
            .topics
            .all()
            .into_iter()
            .find(|topic| topic.id == wanted.topic_id);
        return (by_id.ok_or(ResponseError::UnknownTopicId), false);
    };
    if let Some(topic) = broker.topics.get(name) {
        return (Ok(topic), false);
    }
    if !may_create {
        return (Err(ResponseError::UnknownTopicOrPartition), false);
    }
    match broker
        .topics
        .create(name, broker.config.default_partitions, BTreeMap::new())
    {
        Ok(topic) => (Ok(topic), true),
        Err(TopicError::Exists) => {
            let topic = broker
                .topics
                .get(name)
                .ok_or(ResponseError::UnknownTopicOrPartition);
            (topic, false)
        }
        Err(TopicError::Name) => (Err(ResponseError::InvalidTopicException), false),
        Err(_) => (Err(ResponseError::InvalidPartitions), false),
    }
}

fn missing_topic(wanted: MetadataRequestTopic, error: ResponseError) -> MetadataResponseTopic {
    // Before version 12 a name cannot be null.
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_topic_id(wanted.topic_id)
        .with_name(Some(wanted.name.unwrap_or_default()))
}

fn describe_topic(topic: &Arc<Topic>) -> MetadataResponseTopic {
    let node = || vec![BrokerId(NODE_ID)];
    let partitions = topic.partitions().into_iter().map(|partition| {
        MetadataResponsePartition::default()
            .with_partition_index(partition.index)
            .with_leader_id(BrokerId(NODE_ID))
            .with_leader_epoch(0)
            .with_replica_nodes(node())
            .with_isr_nodes(node())
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}

pub(super) fn describe_cluster(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let _: DescribeClusterRequest = request.body()?;
    let node = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(broker.host.clone())
        .with_port(broker.port);
    let response = DescribeClusterResponse::default()
        .with_cluster_id(text(CLUSTER_ID))
        .with_controller_id(BrokerId(NODE_ID))
        .with_brokers(vec![node]);
    request.reply(&response)
}

pub(super) fn describe_log_dirs(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: DescribeLogDirsRequest = request.body()?;
    let is_wanted = |name: &str, index: i32| match &body.topics {
        None => true,
        Some(topics) => topics
            .iter()
            .any(|topic| *topic.topic == *name && topic.partitions.contains(&index)),
    };
    let topics = broker.topics.all().into_iter().filter_map(|topic| {
        let partitions: Vec<_> = topic
            .partitions()
            .iter()
            .filter(|partition| is_wanted(&topic.name, partition.index))
            .map(|partition| {
                let bytes = i64::try_from(partition.bounds().bytes).unwrap_or(i64::MAX);
                DescribeLogDirsPartition::default()
                    .with_partition_index(partition.index)
                    .with_partition_size(bytes)
            })
            .collect();
        (!partitions.is_empty()).then(|| {
            DescribeLogDirsTopic::default()
                .with_name(TopicName(text(&topic.name)))
                .with_partitions(partitions)
        })
    });
    let directory = match &broker.config.data_dir {
        Some(path) => path.to_string_lossy().into_owned(),
        None => "memory".to_owned(),
    };
    let result = DescribeLogDirsResult::default()
        .with_log_dir(text(&directory))
        .with_topics(topics.collect());
    request.reply(&DescribeLogDirsResponse::default().with_results(vec![result]))
}

pub(super) fn find_coordinator(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: FindCoordinatorRequest = request.body()?;
    let is_group = body.key_type == GROUP_COORDINATOR;
    let refusal = ResponseError::TransactionalIdAuthorizationFailed.code();
    let response = FindCoordinatorResponse::default();
    let response = if request.version >= 4 {
        let one = |key| {
            let coordinator = Coordinator::default().with_key(key);
            if is_group {
                coordinator
                    .with_node_id(BrokerId(NODE_ID))
                    .with_host(broker.host.clone())
                    .with_port(broker.port)
            } else {
                coordinator
                    .with_node_id(BrokerId(-1))
                    .with_port(-1)
                    .with_error_code(refusal)
                    .with_error_message(Some(text(NO_TRANSACTIONS)))
            }
        };
        response.with_coordinators(body.coordinator_keys.into_iter().map(one).collect())
    } else if is_group {
        response
            .with_node_id(BrokerId(NODE_ID))
            .with_host(broker.host.clone())
            .with_port(broker.port)
    } else {
        response
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(refusal)
            .with_error_message(Some(text(NO_TRANSACTIONS)))
    };
    request.reply(&response)
}
