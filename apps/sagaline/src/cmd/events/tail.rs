//! `sagaline events tail`.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as ClientFailure, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use sagaline_contracts::{OrderId, Timestamp};
use sagaline_runtime::kafka::lag::Topic;

use super::super::Common;
use super::line;
use crate::kafka::{self, KafkaError};
use crate::output::{Out, note};
use crate::text::counted;

/// It is named in the broker's logs, and never joined.
const GROUP: &str = "sagaline-cli";
const POLL: Duration = Duration::from_millis(200);

/// Which messages.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TailArgs {
    /// Only this topic, by its name or its event's: order.OrderCreated.v1 or `OrderCreated`; may be repeated
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Only messages of this order
    #[arg(long, value_name = "ID")]
    order: Option<OrderId>,
    /// Begin with the oldest message that the broker has. Messages of one partition come in order, others as they are read;
    /// with --order and --no-follow all come in order of time
    #[arg(long)]
    from_beginning: bool,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop at the end of what is there now
    #[arg(long, requires = "from_beginning")]
    no_follow: bool,
}

/// Shows messages until there are enough, or until nobody wants to see any more.
pub(super) async fn run(args: &TailArgs, common: &Common) -> anyhow::Result<()> {
    let config = kafka::config(&common.at).await?;
    let (args, out) = (args.clone(), common.out());
    let tailing = tokio::task::spawn_blocking(move || tail(&config, &args, out));
    tailing.await.map_err(KafkaError::Interrupted)?
}

fn tail(config: &ClientConfig, args: &TailArgs, mut out: Out) -> anyhow::Result<()> {
    let consumer = kafka::reader(config, GROUP)?;
    let topics = wanted(args, kafka::topics(&consumer)?)?;
    let places = places(&consumer, &topics)?;
    let mut assignment = TopicPartitionList::with_capacity(places.len());
    for ((topic, partition), (low, high)) in &places {
        let from = if args.from_beginning { *low } else { *high };
        assignment
            .add_partition_offset(topic, *partition, Offset::Offset(from))
            .map_err(KafkaError::failed("take where to begin"))?;
    }
    let assigned = consumer.assign(&assignment);
    assigned.map_err(KafkaError::failed("take where to begin"))?;
    if !args.no_follow {
        let (topics, partitions) = (
            counted(topics.len(), "topic"),
            counted(places.len(), "partition"),
        );
        note(format_args!(
            "reading {topics}, {partitions}; stop with Ctrl-C"
        ));
    }
    let ends = places.into_iter().filter(|(_, (low, high))| low < high);
    let is_sorted = args.order.is_some() && args.no_follow;
    let tail = Tail {
        sorted: is_sorted.then(Vec::new),
        wanted: args.order.as_ref().map(OrderId::as_str),
        left: args.count,
        ends: args
            .no_follow
            .then(|| ends.map(|(place, (_, high))| (place, high)).collect()),
    };
    tail.run(&consumer, &mut out)
}

fn wanted(args: &TailArgs, there: Vec<Topic>) -> Result<Vec<Topic>, KafkaError> {
    if args.topic.is_empty() {
        return Ok(there);
    }
    let mut topics: Vec<Topic> = Vec::new();
    for name in &args.topic {
        let topic = kafka::find(name, &there)?;
        if !topics.contains(topic) {
            topics.push(topic.clone());
        }
    }
    Ok(topics)
}

type Place = (String, i32);

/// Where each partition begins and ends now. What comes after this is seen, however long the assignment takes.
fn places(
    consumer: &BaseConsumer,
    topics: &[Topic],
) -> Result<HashMap<Place, (i64, i64)>, KafkaError> {
    let mut places = HashMap::new();
    for topic in topics {
        for partition in &topic.partitions {
            let ends = kafka::ends(consumer, &topic.name, *partition)?;
            places.insert((topic.name.clone(), *partition), ends);
        }
    }
    Ok(places)
}

struct Tail<'a> {
    /// What is shown at the end, in order of time: one order's messages are few.
    sorted: Option<Vec<(Option<Timestamp>, Vec<u8>)>>,
    /// Only messages with this key.
    wanted: Option<&'a str>,
    /// How many are still to be shown.
    left: Option<u64>,
    /// Where the partitions end that are not read to their end yet, when it is to stop there.
    ends: Option<HashMap<Place, i64>>,
}

impl Tail<'_> {
    fn run(mut self, consumer: &BaseConsumer, out: &mut Out) -> anyhow::Result<()> {
        let mut is_away = false;
        while !self.is_done() {
            // What was written is shown whenever there is nothing more to write at once.
            let message = match consumer.poll(Duration::ZERO) {
                None => {
                    out.flush()?;
                    consumer.poll(POLL)
                }
                some => some,
            };
            match message {
                None => {}
                Some(Ok(message)) => {
                    is_away = false;
                    self.take(&message, out)?;
                }
                Some(Err(error)) if is_passing(&error) && is_away => {}
                Some(Err(error)) if is_passing(&error) => {
                    is_away = true;
                    note(format_args!("the broker is away ({error}): waiting for it"));
                }
                Some(Err(error)) => {
                    return Err(KafkaError::failed("give more messages")(error).into());
                }
            }
        }
        let mut sorted = self.sorted.unwrap_or_default();
        sorted.sort_by_key(|(at, _)| *at);
        for (_, line) in sorted {
            out.raw(&line)?;
        }
        out.flush()?;
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.left == Some(0) || self.ends.as_ref().is_some_and(HashMap::is_empty)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, out: &mut Out) -> anyhow::Result<()> {
        if let Some(ends) = &mut self.ends {
            let place = (message.topic().to_owned(), message.partition());
            match ends.get(&place) {
                Some(end) if message.offset() + 1 >= *end => {
                    ends.remove(&place);
                }
                Some(_) => {}
                // It came after the end.
                None => return Ok(()),
            }
        }
        let is_wanted = self
            .wanted
            .is_none_or(|key| message.key() == Some(key.as_bytes()));
        if !is_wanted {
            return Ok(());
        }
        let line = if out.json {
            line::json_line(message)
        } else {
            line::human(message, out.paint).into_bytes()
        };
        match &mut self.sorted {
            Some(sorted) => sorted.push((line::time_of(message), line)),
            None => out.raw(&line)?,
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }
}

/// Whether the client gets over it by itself.
fn is_passing(error: &ClientFailure) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::NotCoordinator
        )
    )
}
