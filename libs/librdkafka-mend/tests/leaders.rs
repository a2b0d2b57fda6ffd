//! What librdkafka makes of a broker that does not know who leads a partition, against librdkafka's own simulated brokers.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    reason = "the simulated brokers are steered through librdkafka's C functions"
)]

use std::{
    ffi::CString,
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::bindings as librdkafka;
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};

// What is tested.
use librdkafka_mend as _;

const TOPIC: &str = "orders";
const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps what librdkafka says.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl ClientContext for Said {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.lock().unwrap().push(format!("{facility} {message}"));
    }
}
impl ConsumerContext for Said {}

/// Two simulated brokers, which live as long as the producer that has them, and a topic with one partition.
struct Brokers(BaseProducer);

impl Brokers {
    fn start() -> Self {
        let started = ClientConfig::new()
            .set("test.mock.num.brokers", "2")
            .create()
            .unwrap();
        let brokers = Self(started);
        brokers.cluster().create_topic(TOPIC, 1, 2).unwrap();
        brokers
    }

    fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.0.client().mock_cluster().unwrap()
    }

    fn lead_by(&self, broker: i32) {
        let leads = self.cluster().partition_leader(TOPIC, 0, Some(broker));
        leads.unwrap();
    }

    /// The next answer to who leads the partition is that this is not known.
    fn forget_once(&self) {
        let topic = CString::new(TOPIC).unwrap();
        let (nobody, epoch) = (-1, 1);
        // SAFETY: the producer lives, and its brokers with it; the name is copied.
        unsafe {
            let brokers = librdkafka::rd_kafka_handle_mock_cluster(self.0.client().native_ptr());
            librdkafka::rd_kafka_mock_partition_push_leader_response(
                brokers,
                topic.as_ptr(),
                0,
                nobody,
                epoch,
            );
        }
    }

    fn publish(&self, value: &str) {
        let record = BaseRecord::<(), _>::to(TOPIC).partition(0).payload(value);
        self.0.send(record).map_err(|(error, _)| error).unwrap();
        self.0.flush(PATIENCE).unwrap();
    }
}

/// Reads the partition from its beginning.
fn reader(brokers: &Brokers, said: &Said) -> BaseConsumer<Said> {
    let consumer: BaseConsumer<Said> = ClientConfig::new()
        .set_log_level(RDKafkaLogLevel::Warning)
        .set("bootstrap.servers", brokers.cluster().bootstrap_servers())
        .set("group.id", "one")
        .set("fetch.wait.max.ms", "50")
        .create_with_context(said.clone())
        .unwrap();
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(TOPIC, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&all).unwrap();
    consumer
}

fn next(consumer: &BaseConsumer<Said>) -> Option<String> {
    // A look at the queue may end early, with nothing.
    let message = (0..PATIENCE.as_secs()).find_map(|_| consumer.poll(Duration::from_secs(1)))?;
    Some(String::from_utf8(message.unwrap().payload().unwrap().to_vec()).unwrap())
}

#[test]
fn of_a_partition_whose_leader_is_not_known_nothing_is_made_up() {
    // given a consumer that reads from the first of two brokers, in a process where memory that nobody has written is no partition and no broker
    let brokers = Brokers::start();
    brokers.lead_by(1);
    let said = Said::default();
    let consumer = reader(&brokers, &said);
    brokers.publish("one");
    assert_eq!(next(&consumer).as_deref(), Some("one"));
    // SAFETY: sets a number inside of the allocator.
    assert_eq!(unsafe { libc::mallopt(libc::M_PERTURB, 0x5a) }, 1);

    // when the partition moves to the second one, and at first nobody knows
    (0..6).for_each(|_| brokers.forget_once());
    brokers.lead_by(2);
    consumer
        .seek(TOPIC, 0, Offset::Beginning, PATIENCE)
        .unwrap();

    // then the consumer finds it, and has heard of no partition that is not there
    assert_eq!(next(&consumer).as_deref(), Some("one"));
    let said = said.0.lock().unwrap();
    let made_up: Vec<_> = said
        .iter()
        .filter(|line| line.starts_with("METADATAUPDATE"))
        .collect();
    assert!(made_up.is_empty(), "{made_up:#?}");
}
