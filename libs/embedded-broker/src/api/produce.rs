//! Produce and the ids of idempotent producers.

use super::wire::{Reply, Request, WireError, text};
use crate::broker::Broker;
use crate::log::{AppendError, BatchError, BatchHeader};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
};
use std::sync::Arc;

/// Why one partition's records are refused.
struct Refusal {
    code: ResponseError,
    message: String,
}

impl Refusal {
    fn new(code: ResponseError, message: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
}

impl Refusal {
    fn storage() -> Self {
        Self::new(
            ResponseError::KafkaStorageError,
            "the log can no longer be written",
        )
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        let code = match error {
            BatchError::Corrupt => ResponseError::CorruptMessage,
            BatchError::TooLarge => ResponseError::MessageTooLarge,
            BatchError::UnsupportedFormat => ResponseError::UnsupportedForMessageFormat,
            BatchError::Invalid => ResponseError::InvalidRecord,
            BatchError::Transactional => ResponseError::InvalidTxnState,
        };
        Self::new(code, error)
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let code = match error {
            AppendError::OutOfOrder => ResponseError::OutOfOrderSequenceNumber,
            AppendError::Fenced => ResponseError::InvalidProducerEpoch,
        };
        Self::new(code, error)
    }
}

pub(super) async fn produce(
    broker: &Arc<Broker>,
    request: Request,
) -> Result<Option<Reply>, WireError> {
    let body: ProduceRequest = request.body()?;
    let acks = body.acks;
    // Hold the client back while the disk is behind; a disk that has failed is answered below.
    let writable = match &broker.journal {
        Some(journal) => journal.admit().await.is_ok(),
        None => true,
    };
    let mut responses = Vec::with_capacity(body.topic_data.len());
    for data in body.topic_data {
        let topic = broker.topics.get(&data.name);
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        for part in data.partition_data {
            let appended = if !writable {
                Err(Refusal::storage())
            } else if matches!(acks, -1..=1) {
                append(topic.as_deref(), part.index, part.records)
            } else {
                let message = "acks is 0, 1 or -1 (all)";
                Err(Refusal::new(ResponseError::InvalidRequiredAcks, message))
            };
            partitions.push(partition_response(part.index, appended));
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(data.name)
                .with_partition_responses(partitions),
        );
    }
    if acks == 0 {
        return Ok(None);
    }
    let response = ProduceResponse::default().with_responses(responses);
    acknowledge(broker, request, response).map(Some)
}

/// Acknowledges once the batches are durable, or says that they are not.
fn acknowledge(
    broker: &Broker,
    request: Request,
    mut response: ProduceResponse,
) -> Result<Reply, WireError> {
    let Some(journal) = &broker.journal else {
        return request.reply(&response);
    };
    let journal = Arc::clone(journal);
    let end = journal.end();
    Ok(Reply::Later(Box::pin(async move {
        if journal.durable(end).await.is_err() {
            let partitions = response.responses.iter_mut();
            for partition in partitions.flat_map(|topic| &mut topic.partition_responses) {
                *partition = partition_response(partition.index, Err(Refusal::storage()));
            }
        }
        request.answer(&response).map(Some)
    })))
}

/// The offset of the first record and the start of the log.
fn append(
    topic: Option<&crate::log::Topic>,
    index: i32,
    records: Option<Bytes>,
) -> Result<(i64, i64), Refusal> {
    let unknown = || {
        Refusal::new(
            ResponseError::UnknownTopicOrPartition,
            "there is no such partition",
        )
    };
    let topic = topic.ok_or_else(unknown)?;
    let partition = topic.partition(index).ok_or_else(unknown)?;
    let settings = topic.settings();
    let records = records.ok_or(BatchError::Invalid)?;
    let header = BatchHeader::validate(&records, settings.message_max_bytes)?;
    let appended = partition.append(&records, &header, &settings)?;
    Ok((appended.base_offset, appended.log_start))
}

fn partition_response(
    index: i32,
    appended: Result<(i64, i64), Refusal>,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(index)
        .with_log_append_time_ms(-1);
    match appended {
        Ok((base_offset, log_start)) => response
            .with_base_offset(base_offset)
            .with_log_start_offset(log_start),
        Err(refusal) => response
            .with_error_code(refusal.code.code())
            .with_error_message(Some(text(&refusal.message)))
            .with_base_offset(-1)
            .with_log_start_offset(-1),
    }
}

pub(super) fn init_producer_id(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: InitProducerIdRequest = request.body()?;
    let refused = |code: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    let response = if body.transactional_id.is_some() {
        // The one answer after which both librdkafka and the Java client give up cleanly.
        refused(ResponseError::TransactionalIdAuthorizationFailed)
    } else if body.producer_id.0 >= 0 && body.producer_epoch >= 0 && body.producer_epoch < i16::MAX
    {
        // A producer that recovers from an error keeps its id and starts its next epoch.
        InitProducerIdResponse::default()
            .with_producer_id(body.producer_id)
            .with_producer_epoch(body.producer_epoch + 1)
    } else {
        InitProducerIdResponse::default()
            .with_producer_id(ProducerId(broker.new_producer_id()))
            .with_producer_epoch(0)
    };
    request.reply(&response)
}
