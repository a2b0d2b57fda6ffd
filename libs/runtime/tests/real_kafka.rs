//! The runtime on real Apache Kafka: nothing lost, nothing out of order, whatever members come and go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use sagaline_contracts::payload::{OrderCreated, OrderItem};
use sagaline_contracts::{EventType, Money, OrderId, Sku, Timestamp};
use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use sagaline_runtime::kafka::{KafkaBroker, KafkaOptions};
use sagaline_runtime::{
    BatchHandler, Broker, ConsumerLoop, Inbound, LoopOptions, Outage, Outbound, Ports, Producer,
    Replay, SilentHealth,
};
use sagaline_saga::{Clock, given};
use sagaline_store::MemoryStore;
use sagaline_testkit::ApacheKafka;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_mins(1);

struct TestClock;

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }
}

fn ports(broker: &KafkaBroker) -> Ports {
    Ports {
        store: Arc::new(MemoryStore::default()),
        broker: Arc::new(broker.clone()),
        clock: Arc::new(TestClock),
        health: Arc::new(SilentHealth),
    }
}

/// What all instances of a group have handled, by partition.
#[derive(Default)]
struct Ledger {
    offsets: Mutex<HashMap<i32, Vec<i64>>>,
    handled: AtomicU64,
    down: AtomicBool,
    refused: AtomicU64,
}

impl Ledger {
    fn distinct(&self) -> usize {
        let offsets = self.offsets.lock();
        offsets
            .values()
            .map(|seen| seen.iter().collect::<std::collections::HashSet<_>>().len())
            .sum()
    }
}

struct Recorder(Arc<Ledger>);

#[async_trait]
impl BatchHandler for Recorder {
    async fn handle(&self, batch: &[Inbound]) -> Result<(), Outage> {
        if self.0.down.load(Ordering::SeqCst) {
            self.0.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Outage::new("gateway", "switched off"));
        }
        let mut offsets = self.0.offsets.lock();
        for message in batch {
            offsets
                .entry(message.partition)
                .or_default()
                .push(message.offset);
        }
        self.0
            .handled
            .fetch_add(batch.len() as u64, Ordering::SeqCst);
        Ok(())
    }
}

fn start(broker: &KafkaBroker, ledger: &Arc<Ledger>) -> (CancellationToken, JoinHandle<()>) {
    let token = CancellationToken::new();
    let topics = vec![EventType::OrderCreated.as_str()];
    let handler = Arc::new(Recorder(Arc::clone(ledger)));
    let looped = ConsumerLoop::new(
        "test-group",
        topics,
        handler,
        ports(broker),
        LoopOptions::default(),
    );
    let running = looped.run(token.clone());
    (token, tokio::spawn(async move { running.await.unwrap() }))
}

fn message(n: usize) -> Outbound {
    let order_id = OrderId::new(format!("order-{n}")).unwrap();
    let items = vec![OrderItem {
        sku: Sku::new("SKU-1").unwrap(),
        qty: 1,
        price: None,
    }];
    Outbound::event(&given::event(
        &format!("event-{n}"),
        OrderCreated {
            order_id,
            items,
            total: Money::ZERO,
            currency: None,
            customer_id: None,
        },
    ))
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {LIMIT:?}: {what}");
}

/// On a busy machine a broker that has just been started may take longer than one publish waits.
async fn publish(producer: &dyn Producer, messages: impl Fn() -> Vec<Outbound>) {
    let published = tokio::time::timeout(LIMIT, async {
        while producer.publish(messages()).await.is_err() {}
    });
    assert!(published.await.is_ok(), "not published within {LIMIT:?}");
}

async fn broker_with_topics() -> (ApacheKafka, KafkaBroker) {
    let kafka = ApacheKafka::start().await.unwrap();
    let broker = KafkaBroker::new(KafkaOptions::new(kafka.brokers()));
    let topics: Vec<&str> = EventType::topics().collect();
    broker.ensure_topics(&topics, 6).await.unwrap();
    (kafka, broker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_without_loss_or_disorder() {
    let (_kafka, broker) = broker_with_topics().await;
    members_come_and_go(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_without_loss_or_disorder_on_the_embedded_broker() {
    let embedded = EmbeddedBroker::start(BrokerConfig::default())
        .await
        .unwrap();
    let broker = KafkaBroker::new(KafkaOptions::new(embedded.address().to_string()));
    let topics: Vec<&str> = EventType::topics().collect();
    broker.ensure_topics(&topics, 6).await.unwrap();
    members_come_and_go(&broker).await;
    embedded.shutdown().await;
}

async fn members_come_and_go(broker: &KafkaBroker) {
    let producer = broker.producer("test").await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let mut members = vec![start(broker, &ledger)];
    let mut sent = 0;
    for round in 0..6 {
        for _ in 0..5 {
            producer
                .publish((sent..sent + 200).map(message).collect())
                .await
                .unwrap();
            sent += 200;
        }
        match round {
            0 | 1 => members.push(start(broker, &ledger)),
            3 | 4 => {
                let (token, task) = members.remove(0);
                token.cancel();
                task.await.unwrap();
            }
            _ => {}
        }
    }
    until("everything is handled", || ledger.distinct() >= sent).await;
    for (token, task) in members {
        token.cancel();
        task.await.unwrap();
    }
    let offsets = ledger.offsets.lock();
    let mut distinct = 0;
    for (partition, seen) in offsets.iter() {
        // Kafka may refuse a commit during a rebalance; then the next owner starts a little earlier, but in order.
        let rewinds = seen.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        assert!(
            rewinds <= 4,
            "partition {partition} was rewound {rewinds} times by 4 changes of membership"
        );
        let gaps = seen.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
        assert_eq!(gaps, 0, "partition {partition} has gaps");
        assert_eq!(seen.first(), Some(&0));
        distinct += usize::try_from(seen.iter().max().unwrap() + 1).unwrap();
    }
    assert_eq!(distinct, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_the_patience_is_waited_out_and_nothing_is_left_out() {
    let (mut kafka, broker) = broker_with_topics().await;
    let producer = broker.producer("test").await.unwrap();
    let ledger = Arc::new(Ledger::default());
    ledger.down.store(true, Ordering::SeqCst);
    let (token, task) = start(&broker, &ledger);
    producer
        .publish((0..100).map(message).collect())
        .await
        .unwrap();
    until("the batch is refused several times", || {
        ledger.refused.load(Ordering::SeqCst) >= 4
    })
    .await;
    // And now the broker goes, too, and comes back.
    kafka.kill_9().unwrap();
    ledger.down.store(false, Ordering::SeqCst);
    kafka.restart().await.unwrap();
    publish(producer.as_ref(), || (100..200).map(message).collect()).await;
    until("everything is handled", || {
        ledger.handled.load(Ordering::SeqCst) >= 200
    })
    .await;
    token.cancel();
    task.await.unwrap();
    for seen in ledger.offsets.lock().values() {
        assert_eq!(seen.first(), Some(&0));
        let gaps = seen.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
        assert_eq!(gaps, 0, "something was left out: {seen:?}");
        // What was handled while the broker was away could not be committed; a broker that takes long to come back has
        // forgotten the member, and gives it the partition anew.
        let rewinds = seen.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(rewinds <= 1, "{seen:?}");
    }
}

/// The batch in hand is given up when the group is lost, at a moment at which nothing is assigned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_was_lost_with_a_batch_in_hand_is_read_again_when_it_is_back() {
    let (kafka, broker) = broker_with_topics().await;
    let producer = broker.producer("test").await.unwrap();
    let quick = KafkaBroker::new(KafkaOptions {
        session_timeout_ms: 2_000,
        ..KafkaOptions::new(kafka.brokers())
    });
    let ledger = Arc::new(Ledger::default());
    ledger.down.store(true, Ordering::SeqCst);
    let (token, task) = start(&quick, &ledger);
    producer
        .publish((0..100).map(message).collect())
        .await
        .unwrap();
    until("the batch is refused several times", || {
        ledger.refused.load(Ordering::SeqCst) >= 4
    })
    .await;
    kafka.sigstop().unwrap();
    // Longer than the session.
    tokio::time::sleep(Duration::from_secs(6)).await;
    ledger.down.store(false, Ordering::SeqCst);
    kafka.sigcont().unwrap();
    until("everything is handled", || ledger.distinct() == 100).await;
    token.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_takes_its_own_place_after_a_crash_and_takes_it_back_from_another() {
    let (kafka, broker) = broker_with_topics().await;
    let producer = broker.producer("test").await.unwrap();
    let named = KafkaBroker::new(KafkaOptions {
        // Who had to wait for this one to expire would wait longer than the test does.
        session_timeout_ms: 120_000,
        instance_id: Some("the-one".to_owned()),
        ..KafkaOptions::new(kafka.brokers())
    });
    let topic = EventType::OrderCreated.as_str();
    // It is dropped without a word, as by a crash: it does not leave the group.
    let crashed = named.consumer("test-group", &[topic]).await.unwrap();
    until("it has joined", || crashed.joined()).await;
    drop(crashed);

    let ledger = Arc::new(Ledger::default());
    let (token, task) = start(&named, &ledger);
    let handled = |count: u64| {
        let ledger = Arc::clone(&ledger);
        move || ledger.handled.load(Ordering::SeqCst) >= count
    };
    producer
        .publish((0..50).map(message).collect())
        .await
        .unwrap();
    until("the successor handles everything", handled(50)).await;

    let thief = named.consumer("test-group", &[topic]).await.unwrap();
    until("the thief has joined", || thief.joined()).await;
    producer
        .publish((50..100).map(message).collect())
        .await
        .unwrap();
    until("the place is taken back", handled(100)).await;
    drop(thief);
    token.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_with_different_partition_counts_are_refused() {
    let (_kafka, broker) = broker_with_topics().await;
    broker.ensure_topics(&["elsewhere"], 3).await.unwrap();
    let refused = broker
        .ensure_topics(&["elsewhere", EventType::OrderCreated.as_str()], 3)
        .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("different partition counts")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_to_a_broker_that_is_away_is_an_outage_within_bounded_time() {
    let (mut kafka, broker) = broker_with_topics().await;
    let producer = broker.producer("test").await.unwrap();
    producer.publish(vec![message(1)]).await.unwrap();
    kafka.kill_9().unwrap();
    let failed =
        tokio::time::timeout(Duration::from_secs(20), producer.publish(vec![message(2)])).await;
    assert!(failed.expect("bounded").is_err());
    kafka.restart().await.unwrap();
    publish(producer.as_ref(), || vec![message(2)]).await;
    let empty = Outbound {
        topic: "ops.RetryRequested.v1".into(),
        key: String::new(),
        value: Bytes::from_static(b"x"),
    };
    producer.publish(vec![empty]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_read_from_their_beginning_to_where_they_ended() {
    let (kafka, broker) = broker_with_topics().await;
    read_to_the_end(&broker).await;
    // What Kafka writes behind a transaction is no message, and is the end of its partition.
    committed(&kafka.brokers()).await;
    let topics = [EventType::OrderShipped.as_str()];
    let ended = async {
        loop {
            let replay = broker.replay(&topics).await.unwrap();
            let end: i64 = replay.spans().iter().map(|span| span.end).sum();
            match end {
                // Kafka says that a transaction is committed before it has written its end into the partition.
                0 => tokio::time::sleep(Duration::from_millis(20)).await,
                end => return (end, replay),
            }
        }
    };
    let (end, mut replay) = tokio::time::timeout(LIMIT, ended).await.unwrap();
    assert_eq!((end, read(replay.as_mut()).await.len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_the_embedded_broker_are_read_from_their_beginning_to_where_they_ended() {
    let embedded = EmbeddedBroker::start(BrokerConfig::default())
        .await
        .unwrap();
    let broker = KafkaBroker::new(KafkaOptions::new(embedded.address().to_string()));
    let topics: Vec<&str> = EventType::topics().collect();
    broker.ensure_topics(&topics, 6).await.unwrap();
    read_to_the_end(&broker).await;
    embedded.shutdown().await;
}

/// A broker shows a partition, and names its leader, a little before that leader knows that it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_can_be_read_as_soon_as_they_are_created() {
    const ROUNDS: usize = 12;
    const TOPICS: usize = 5;
    let (_kafka, broker) = broker_with_topics().await;
    for round in 0..ROUNDS {
        let names: Vec<String> = (0..TOPICS).map(|n| format!("new-{round}-{n}")).collect();
        let topics: Vec<&str> = names.iter().map(String::as_str).collect();
        broker.ensure_topics(&topics, 12).await.unwrap();
        let replay = broker.replay(&topics).await.unwrap();
        assert_eq!(replay.spans().len(), TOPICS * 12);
    }
}

async fn read(replay: &mut dyn Replay) -> Vec<(Arc<str>, i32, i64)> {
    let reading = async {
        let mut places = Vec::new();
        while let Some(batch) = replay.next().await.unwrap() {
            places.extend(batch.into_iter().map(|m| (m.topic, m.partition, m.offset)));
        }
        places
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap()
}

async fn read_to_the_end(broker: &KafkaBroker) {
    const SENT: usize = 2_500;
    let producer = broker.producer("test").await.unwrap();
    let publish = |from: usize, to: usize| producer.publish((from..to).map(message).collect());
    publish(0, SENT).await.unwrap();
    let topics: Vec<&str> = EventType::topics().collect();
    let mut replay = broker.replay(&topics).await.unwrap();
    assert_eq!(replay.spans().len(), 6 * topics.len());
    // What comes afterwards is not its to read.
    publish(SENT, SENT + 500).await.unwrap();
    let mut places = read(replay.as_mut()).await;
    assert_eq!(places.len(), SENT);
    let mut in_order = places.clone();
    in_order.sort_by_key(|(_, partition, _)| *partition);
    places.sort();
    assert_eq!(in_order, places, "each partition in its order");
    places.dedup();
    assert_eq!(places.len(), SENT);
    let none = vec!["nobody.HasSuchATopic.v1"];
    assert!(broker.replay(&none).await.is_err());
}

/// One message in a transaction.
async fn committed(brokers: &str) {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    let brokers = brokers.to_owned();
    let sent = tokio::task::spawn_blocking(move || {
        let producer: BaseProducer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", "test")
            .create()
            .unwrap();
        producer.init_transactions(LIMIT).unwrap();
        producer.begin_transaction().unwrap();
        let record = BaseRecord::to(EventType::OrderShipped.as_str());
        producer.send(record.key("o-1").payload("{}")).unwrap();
        producer.commit_transaction(LIMIT).unwrap();
    });
    sent.await.unwrap();
}
