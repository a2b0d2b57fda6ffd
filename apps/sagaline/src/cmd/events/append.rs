//! `sagaline events append`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use sagaline_contracts::EventType;
use sagaline_service_kit::ids::random_uuid;
use serde_json::{Value, json};

use super::super::{Common, now};
use super::envelope::{self, Outgoing, Stamp};
use crate::input;
use crate::kafka::{self, KafkaError};
use crate::output::Out;

const QUEUE_LIMIT: Duration = Duration::from_secs(10);

/// What goes where.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["file", "payload", "input"]))]
pub(super) struct AppendArgs {
    /// The topic, by its name or its event's: order.OrderCreated.v1 or `OrderCreated`
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// Key of the message [default: the order's id]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Whole events, or payloads, one after the other in a file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A payload, which gets an envelope: JSON, or @FILE
    #[arg(long, value_name = "JSON|@FILE")]
    payload: Option<String>,
    /// -: like --file, on standard input
    #[arg(value_name = "-", value_parser = ["-"])]
    input: Option<String>,
    /// Publish it as it is, as one message, whatever the contract says
    #[arg(long)]
    raw: bool,
}

/// Publishes messages, and says where they stand.
pub(super) async fn run(args: &AppendArgs, common: &Common) -> anyhow::Result<()> {
    let given = given(args)?;
    let config = kafka::config(&common.at).await?;
    let topic = topic(&config, &args.topic).await?;
    let outgoing = messages(args, &topic, &given)?;
    let mut out = common.out();
    publish(&config, &topic, &outgoing, &mut out).await
}

fn given(args: &AppendArgs) -> anyhow::Result<Vec<u8>> {
    match (&args.payload, &args.file) {
        (Some(payload), _) => input::given(payload),
        (None, Some(path)) => input::file(path),
        (None, None) => input::standard_input(),
    }
}

/// The topic's whole name; it must be there, for a broker might make it up.
async fn topic(config: &ClientConfig, name: &str) -> anyhow::Result<String> {
    let (config, name) = (config.clone(), name.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        let client = kafka::reader(&config, "sagaline-cli")?;
        let topics = kafka::topics(&client)?;
        kafka::find(&name, &topics).map(|topic| topic.name.clone())
    });
    Ok(found.await.map_err(KafkaError::Interrupted)??)
}

fn messages(args: &AppendArgs, topic: &str, given: &[u8]) -> anyhow::Result<Vec<Outgoing>> {
    if args.raw {
        return Ok(vec![Outgoing {
            key: args.key.clone(),
            value: given.to_vec(),
        }]);
    }
    let kind = envelope::carried(topic).with_context(|| {
        format!("{topic} is no topic of the contract: publish to it with --raw")
    })?;
    let values = serde_json::Deserializer::from_slice(given).into_iter::<Value>();
    let mut outgoing = Vec::new();
    for (at, value) in values.enumerate() {
        let place = || format!("nothing was published: message {} is not right", at + 1);
        let value = value
            .context("it is not JSON: publish it with --raw")
            .with_context(place)?;
        let is_whole = args.payload.is_none() && envelope::is_envelope(&value);
        let built = build(kind, args.key.as_deref(), &value, is_whole);
        outgoing.push(built.with_context(place)?);
    }
    anyhow::ensure!(!outgoing.is_empty(), "there is nothing to publish");
    Ok(outgoing)
}

fn build(
    kind: EventType,
    key: Option<&str>,
    value: &Value,
    is_whole: bool,
) -> Result<Outgoing, sagaline_contracts::Rejected> {
    if is_whole {
        return envelope::whole(kind, key, value);
    }
    let stamp = Stamp {
        event_id: random_uuid().to_string(),
        now: now(),
    };
    envelope::around(kind, key, value, &stamp)
}

async fn publish(
    config: &ClientConfig,
    topic: &str,
    outgoing: &[Outgoing],
    out: &mut Out,
) -> anyhow::Result<()> {
    let mut config = config.clone();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // As the services have it, so that an order's messages stand in its partition.
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", "10000")
        .set("message.max.bytes", "2000000");
    let producer: Result<FutureProducer, _> = config.create();
    let producer = producer.map_err(KafkaError::failed("take the settings"))?;
    for Outgoing { key, value } in outgoing {
        let mut record: FutureRecord<'_, str, [u8]> = FutureRecord::to(topic).payload(value);
        record.key = key.as_deref();
        let sent = producer.send(record, QUEUE_LIMIT).await;
        let place = sent.map_err(|(error, _)| KafkaError::failed("take the message")(error))?;
        if out.json {
            out.json(&json!({
                "topic": topic, "partition": place.partition, "offset": place.offset, "key": key,
            }))?;
        } else {
            out.line(format_args!(
                "{topic} [{}] at {}",
                place.partition, place.offset
            ))?;
        }
        // Each line stands for what is there, whatever becomes of the next.
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(raw: bool, payload: Option<&str>) -> AppendArgs {
        AppendArgs {
            topic: "OrderCancelled".to_owned(),
            key: None,
            file: None,
            payload: payload.map(str::to_owned),
            input: None,
            raw,
        }
    }

    const TOPIC: &str = "order.OrderCancelled.v1";

    #[test]
    fn a_file_may_hold_many_and_one_bad_message_stops_them_all() {
        let good = br#"{"orderId":"a","reason":"x"} {"orderId":"b","reason":"x"}"#;
        let keys: Vec<_> = messages(&args(false, None), TOPIC, good).unwrap();
        let keys: Vec<_> = keys
            .into_iter()
            .map(|message| message.key.unwrap())
            .collect();
        assert_eq!(keys, ["a", "b"]);
        let bad = br#"{"orderId":"a","reason":"x"} {"orderId":"b"}"#;
        let error = messages(&args(false, None), TOPIC, bad).unwrap_err();
        let said = format!("{error:#}");
        assert!(
            said.contains("message 2") && said.contains("reason"),
            "{said}"
        );
    }

    #[test]
    fn raw_is_published_as_it_is() {
        let message = messages(&args(true, None), "anything", b"not JSON\n").unwrap();
        assert_eq!(message[0].value, b"not JSON\n");
        assert!(messages(&args(false, None), "anything", b"{}").is_err());
        assert!(messages(&args(false, None), TOPIC, b"  ").is_err());
    }

    #[test]
    fn a_payload_is_one_even_if_it_looks_like_an_event() {
        let text = r#"{"orderId":"a","reason":"x","type":"?","payload":1}"#;
        let message = messages(&args(false, Some(text)), TOPIC, text.as_bytes()).unwrap();
        let sent: Value = serde_json::from_slice(&message[0].value).unwrap();
        assert_eq!(sent["payload"]["payload"], 1);
    }
}
