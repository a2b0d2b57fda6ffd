//! Settings reported and changed.

use super::topics::topic_error_code;
use super::wire::{Reply, Request, WireError, text};
use crate::broker::{Broker, NODE_ID};
use crate::log::{MAX_MESSAGE_BYTES, REPORTED_ONLY, RETENTION_BYTES, RETENTION_MS, TopicError};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs_response,
    incremental_alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::Arc;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;
const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;
const ONLY_TOPICS: &str = "only the settings of topics can be changed while the broker runs";

/// A setting: name, value, where it comes from.
type Setting = (String, String, i8);

pub(super) fn describe(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: DescribeConfigsRequest = request.body()?;
    let results = body.resources.into_iter().map(|resource| {
        let settings = match resource.resource_type {
            TOPIC => topic_settings(broker, &resource.resource_name).ok_or(TopicError::Unknown),
            BROKER => Ok(broker_settings(broker)),
            _ => Err(TopicError::Config),
        };
        describe_resource(resource, settings)
    });
    request.reply(&DescribeConfigsResponse::default().with_results(results.collect()))
}

fn describe_resource(
    resource: DescribeConfigsResource,
    settings: Result<Vec<Setting>, TopicError>,
) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name);
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            return result
                .with_error_code(topic_error_code(error).code())
                .with_error_message(Some(text(error.advice())));
        }
    };
    let wanted = |name: &str| {
        resource
            .configuration_keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(|key| **key == *name))
    };
    let configs = settings.into_iter().filter(|(name, _, _)| wanted(name));
    let configs = configs.map(|(name, value, source)| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(name))
            .with_value(Some(StrBytes::from_string(value)))
            .with_config_source(source)
            .with_read_only(resource.resource_type == BROKER)
    });
    result.with_configs(configs.collect())
}

fn topic_settings(broker: &Broker, name: &str) -> Option<Vec<Setting>> {
    let overrides = broker.topics.get(name)?.overrides();
    let defaults = broker.topics.defaults();
    let age = defaults
        .retention
        .map_or(-1, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let mut settings = BTreeMap::from([
        (
            RETENTION_BYTES,
            (limit(defaults.retention_bytes).to_string(), SOURCE_STATIC),
        ),
        (RETENTION_MS, (age.to_string(), SOURCE_STATIC)),
        (
            MAX_MESSAGE_BYTES,
            (defaults.message_max_bytes.to_string(), SOURCE_STATIC),
        ),
    ]);
    for (name, value) in REPORTED_ONLY {
        settings.insert(name, (value.to_owned(), SOURCE_DEFAULT));
    }
    for (name, value) in &overrides {
        settings.insert(name, (value.clone(), SOURCE_TOPIC));
    }
    let flat = |(name, (value, source)): (&str, (String, i8))| (name.to_owned(), value, source);
    Some(settings.into_iter().map(flat).collect())
}

/// A limit as Kafka writes it: -1 for none.
fn limit(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(-1)
}

fn broker_settings(broker: &Broker) -> Vec<Setting> {
    let config = &broker.config;
    let durable = config.data_dir.as_ref();
    let settings = [
        (
            "auto.create.topics.enable",
            config.auto_create_topics.to_string(),
        ),
        ("broker.id", NODE_ID.to_string()),
        (
            "connections.max.idle.ms",
            config.idle_timeout.as_millis().to_string(),
        ),
        ("default.replication.factor", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        (
            "log.dirs",
            durable.map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
        ),
        (
            "log.retention.bytes",
            limit(broker.topics.defaults().retention_bytes).to_string(),
        ),
        ("log.segment.bytes", config.segment_bytes.to_string()),
        ("max.connections", config.max_connections.to_string()),
        ("message.max.bytes", config.message_max_bytes.to_string()),
        ("num.partitions", config.default_partitions.to_string()),
        ("offsets.topic.replication.factor", "1".to_owned()),
    ];
    let flat = |(name, value): (&str, String)| (name.to_owned(), value, SOURCE_STATIC);
    settings.into_iter().map(flat).collect()
}

/// Code and message of a change's outcome.
fn outcome(result: Result<(), TopicError>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(()) => (0, None),
        Err(error) => (topic_error_code(error).code(), Some(text(error.advice()))),
    }
}

fn only_topics() -> (i16, Option<StrBytes>) {
    (
        ResponseError::InvalidRequest.code(),
        Some(text(ONLY_TOPICS)),
    )
}

/// Replaces all settings of a topic.
pub(super) fn alter(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: AlterConfigsRequest = request.body()?;
    let responses = body.resources.iter().map(|resource| {
        let (code, message) = if resource.resource_type == TOPIC {
            let settings = resource.configs.iter();
            let settings = settings
                .filter_map(|config| {
                    Some((config.name.to_string(), config.value.as_ref()?.to_string()))
                })
                .collect();
            outcome(
                broker
                    .topics
                    .configure(&resource.resource_name, settings, body.validate_only),
            )
        } else {
            only_topics()
        };
        alter_configs_response::AlterConfigsResourceResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
    });
    let response = AlterConfigsResponse::default().with_responses(responses.collect());
    broker.reply_when_durable(&request, &response)
}

/// Changes some settings of a topic and leaves the others.
pub(super) fn incremental_alter(
    broker: &Arc<Broker>,
    request: Request,
) -> Result<Reply, WireError> {
    let body: IncrementalAlterConfigsRequest = request.body()?;
    let responses = body.resources.iter().map(|resource| {
        let (code, message) =
            if resource.resource_type == TOPIC {
                let name = &resource.resource_name;
                let changes = resource.configs.iter();
                let changes = changes.map(|config| {
                    (
                        config.config_operation,
                        &*config.name,
                        config.value.as_deref(),
                    )
                });
                let wanted = changed_settings(broker, name, changes);
                outcome(wanted.and_then(|settings| {
                    broker.topics.configure(name, settings, body.validate_only)
                }))
            } else {
                only_topics()
            };
        incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
    });
    let response = IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
    broker.reply_when_durable(&request, &response)
}

fn changed_settings<'a>(
    broker: &Broker,
    topic: &str,
    changes: impl Iterator<Item = (i8, &'a str, Option<&'a str>)>,
) -> Result<BTreeMap<String, String>, TopicError> {
    let mut settings = broker
        .topics
        .get(topic)
        .ok_or(TopicError::Unknown)?
        .overrides();
    for (operation, name, value) in changes {
        match (operation, value) {
            (OPERATION_SET, Some(value)) => {
                settings.insert(name.to_owned(), value.to_owned());
            }
            (OPERATION_DELETE, _) => {
                settings.remove(name);
            }
            _ => return Err(TopicError::Config),
        }
    }
    Ok(settings)
}
