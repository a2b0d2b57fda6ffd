//! Clients against the brokers that librdkafka simulates: they can say what no real one should, and are down and up at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unsafe_code,
    reason = "a test fails by panicking; one function of the simulated brokers has no safe form"
)]

use std::ffi::CString;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings::{
    rd_kafka_handle_mock_cluster, rd_kafka_mock_partition_push_leader_response,
};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use sagaline_runtime::kafka::{KafkaBroker, KafkaOptions};
use sagaline_runtime::{Broker, BrokerError, Consumer, Inbound};

const LIMIT: Duration = Duration::from_mins(1);
const STANDSTILL: Duration = Duration::from_secs(3);
const TOPIC: &str = "orders";
const GROUP: &str = "test-group";

/// A simulated broker, which lives as long as the producer that has them, and a topic with one partition.
struct Brokers(BaseProducer);

impl Brokers {
    fn start() -> Self {
        let started = ClientConfig::new()
            .set("test.mock.num.brokers", "1")
            .create()
            .unwrap();
        let brokers = Self(started);
        brokers.cluster().create_topic(TOPIC, 1, 1).unwrap();
        brokers
    }

    fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.0.client().mock_cluster().unwrap()
    }

    /// The next who asks who leads the partition is told that nobody does, in a term that is far ahead: it believes nothing else any more.
    fn mislead_once(&self) {
        let topic = CString::new(TOPIC).unwrap();
        let (nobody, term) = (-1, 1_000);
        // SAFETY: the producer lives, and its brokers with it; the name is copied.
        unsafe {
            let brokers = rd_kafka_handle_mock_cluster(self.0.client().native_ptr());
            rd_kafka_mock_partition_push_leader_response(brokers, topic.as_ptr(), 0, nobody, term);
        }
    }

    fn publish(&self, value: &str) {
        let record = BaseRecord::<(), _>::to(TOPIC).partition(0).payload(value);
        self.0.send(record).map_err(|(error, _)| error).unwrap();
        self.0.flush(LIMIT).unwrap();
    }

    fn fail(&self) {
        self.cluster().broker_down(1).unwrap();
    }

    fn come_back(&self) {
        self.cluster().broker_up(1).unwrap();
    }

    fn consumers(&self) -> KafkaBroker {
        KafkaBroker::new(KafkaOptions {
            standstill: STANDSTILL,
            ..KafkaOptions::new(self.cluster().bootstrap_servers())
        })
    }
}

async fn next(consumer: &mut dyn Consumer) -> Result<Vec<Inbound>, BrokerError> {
    let reading = async {
        loop {
            // What a client says of a broker that it cannot ask passes.
            match consumer.next().await {
                Ok(batch) => return Ok(batch.expect("it is open")),
                Err(BrokerError::Unavailable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    };
    tokio::time::timeout(LIMIT, reading).await.expect("bounded")
}

fn values(batch: &[Inbound]) -> Vec<&[u8]> {
    batch
        .iter()
        .filter_map(|message| message.value.as_deref())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_gets_nothing_of_what_is_there_says_so_and_another_one_goes_on() {
    // given a message, and a consumer that comes to believe that nobody leads its partition, and will believe nothing else
    let brokers = Brokers::start();
    let broker = brokers.consumers();
    brokers.publish("one");
    brokers.mislead_once();
    let mut consumer = broker.consumer(GROUP, &[TOPIC]).await.unwrap();

    // when it is asked for messages
    let stood_still = next(consumer.as_mut()).await;

    // then it is found out, and another one reads
    let Err(BrokerError::StoodStill {
        topic, messages, ..
    }) = stood_still
    else {
        panic!("{stood_still:?}");
    };
    assert_eq!((topic.as_str(), messages), (TOPIC, 1));
    consumer.close(LIMIT).await;
    let mut consumer = broker.consumer(GROUP, &[TOPIC]).await.unwrap();
    let batch = next(consumer.as_mut()).await.unwrap();
    assert_eq!(values(&batch), [b"one"]);
    consumer.done(&batch).await;
    consumer.close(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_group_and_gets_nothing_of_what_is_there_goes_on_by_another_client() {
    // given a message, and a follower that comes to believe that nobody leads its partition, and will believe nothing else
    let brokers = Brokers::start();
    let broker = brokers.consumers();
    brokers.publish("one");
    brokers.mislead_once();
    let mut tail = broker.tail(GROUP, &[TOPIC]).await.unwrap();

    // when it is asked for messages
    let reading = async {
        loop {
            match tail.next().await {
                Ok(batch) => return batch,
                // What a client says of a broker that it cannot ask passes.
                Err(BrokerError::Unavailable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let batch = tokio::time::timeout(LIMIT, reading).await.expect("bounded");

    // then it has them
    assert_eq!(values(&batch), [b"one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wrong_in_an_outage_is_said_once_when_it_is_over_and_not_before_every_message() {
    // given a consumer that has read all there was
    let brokers = Brokers::start();
    let broker = brokers.consumers();
    let mut consumer = broker.consumer(GROUP, &[TOPIC]).await.unwrap();
    brokers.publish("one");
    let batch = next(consumer.as_mut()).await.unwrap();
    consumer.done(&batch).await;

    // when the broker is away for a while, in which it is asked for nothing
    brokers.fail();
    let mut refused = 0;
    let away = async {
        while refused < 6 {
            refused += u32::from(broker.ping().await.is_err());
        }
    };
    tokio::time::timeout(LIMIT, away).await.expect("bounded");
    brokers.come_back();
    let back = async { while broker.ping().await.is_err() {} };
    tokio::time::timeout(LIMIT, back).await.expect("bounded");
    brokers.publish("two");

    // then it has little to say of that before the next message: what it had in its hand, the rest in one, and what it says until it has
    // connected again. One at a time there are thirty.
    let mut said = Vec::new();
    let batch = loop {
        let asked = tokio::time::timeout(LIMIT, consumer.next()).await;
        match asked.expect("bounded") {
            Ok(batch) => break batch.expect("it is open"),
            Err(error) => said.push(error.to_string()),
        }
    };
    // What was read before may come again: the outage came before it was committed.
    assert!(!batch.is_empty());
    assert!(said.len() <= 10, "{said:#?}");
    consumer.done(&batch).await;
    consumer.close(LIMIT).await;
}
