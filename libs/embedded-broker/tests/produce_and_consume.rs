//! Records go in and come out: in order, once, and soon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    dead_code,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::duration_suboptimal_units,
    clippy::redundant_closure_for_method_calls,
    reason = "a test fails by panicking, measures real time, and its modules are nobody else's"
)]
mod common;

use common::{PATIENCE, consumer, producer, receive, send, start, start_with, subscribe};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};
use sagaline_embedded_broker::BrokerConfig;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_an_idempotent_producer_come_out_in_order() {
    let broker = start().await;
    broker.create_topics(&["orders"], 4).await.unwrap();
    let address = broker.address().to_string();
    let producer = producer(&address);
    let mut sent = FuturesUnordered::new();
    for n in 0..5_000 {
        let (key, value) = (format!("key-{}", n % 17), format!("{n}"));
        let record = FutureRecord::to("orders").key(&key).payload(&value);
        sent.push(
            producer
                .send_result(record)
                .map_err(|(error, _)| error)
                .unwrap(),
        );
    }
    while let Some(delivery) = sent.next().await {
        delivery.unwrap().unwrap();
    }
    let consumer = consumer(&address, "readers", &[]);
    subscribe(&consumer, &["orders"]);
    let mut seen = Vec::new();
    for value in receive(&consumer, 5_000).await {
        seen.push(value.parse::<usize>().unwrap());
    }
    for key in 0..17 {
        let of_key: Vec<usize> = seen.iter().copied().filter(|n| n % 17 == key).collect();
        assert!(of_key.is_sorted(), "key {key} is out of order");
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..5_000));
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_consumer_is_woken_by_new_data() {
    let broker = start().await;
    let address = broker.address().to_string();
    broker.create_topics(&["events"], 4).await.unwrap();
    let consumer = consumer(&address, "readers", &[]);
    subscribe(&consumer, &["events"]);
    let producer = producer(&address);
    send(&producer, "events", None, "first").await;
    receive(&consumer, 1).await;
    let mut latencies = Vec::new();
    for n in 0..100 {
        let sent = Instant::now();
        send(&producer, "events", None, &n.to_string()).await;
        receive(&consumer, 1).await;
        latencies.push(sent.elapsed());
    }
    latencies.sort_unstable();
    println!(
        "produce to consume: p50 {:?}, p99 {:?}",
        latencies[50], latencies[98]
    );
    // A client polls for 500 ms unless it is woken.
    assert!(
        latencies[50] < Duration::from_millis(100),
        "consumers are not woken: {:?}",
        latencies[50]
    );
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_consumer_joins_soon_and_resumes_where_it_committed() {
    let broker = start().await;
    let address = broker.address().to_string();
    let producer = producer(&address);
    for n in 0..10 {
        send(&producer, "orders", Some(0), &n.to_string()).await;
    }
    let first = consumer(&address, "readers", &[]);
    let begun = Instant::now();
    subscribe(&first, &["orders"]);
    assert_eq!(receive(&first, 4).await, ["0", "1", "2", "3"]);
    println!("first record {:?} after subscribing", begun.elapsed());
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset("orders", 0, Offset::Offset(4))
        .unwrap();
    first.commit(&offsets, CommitMode::Sync).unwrap();
    drop(first);
    let second = consumer(&address, "readers", &[]);
    subscribe(&second, &["orders"]);
    assert_eq!(receive(&second, 6).await, ["4", "5", "6", "7", "8", "9"]);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_found_by_time() {
    let broker = start().await;
    let address = broker.address().to_string();
    let producer = producer(&address);
    for n in 1..=50_i64 {
        let record: FutureRecord<'_, str, str> = FutureRecord::to("log")
            .partition(0)
            .payload("x")
            .timestamp(n * 1000);
        producer
            .send(record, PATIENCE)
            .await
            .map_err(|(error, _)| error)
            .unwrap();
    }
    let consumer: BaseConsumer = common::client(&address).create().unwrap();
    let at = |millis: i64| {
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset("log", 0, Offset::Offset(millis))
            .unwrap();
        let found = consumer.offsets_for_times(wanted, PATIENCE).unwrap();
        found.elements()[0].offset()
    };
    assert_eq!(at(0), Offset::Offset(0));
    assert_eq!(at(10_000), Offset::Offset(9));
    assert_eq!(at(10_001), Offset::Offset(10));
    assert_eq!(at(50_001), Offset::End);
    assert_eq!(
        consumer.fetch_watermarks("log", 0, PATIENCE).unwrap(),
        (0, 50)
    );
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_over_the_limit_is_refused() {
    let broker = start_with(BrokerConfig {
        message_max_bytes: 10_000,
        ..BrokerConfig::default()
    })
    .await;
    let producer = producer(&broker.address().to_string());
    let value = "x".repeat(20_000);
    let record: FutureRecord<'_, str, str> = FutureRecord::to("orders").payload(&value);
    let (error, _) = producer.send(record, PATIENCE).await.unwrap_err();
    assert_eq!(
        error,
        KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)
    );
    send(&producer, "orders", None, "small").await;
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_records_go_when_a_partition_is_full() {
    let broker = start_with(BrokerConfig {
        retention_bytes: 100_000,
        ..BrokerConfig::default()
    })
    .await;
    let address = broker.address().to_string();
    let producer = producer(&address);
    let value = "x".repeat(5_000);
    for _ in 0..100 {
        send(&producer, "orders", Some(0), &value).await;
    }
    let reader: BaseConsumer = common::client(&address).create().unwrap();
    let (low, high) = reader.fetch_watermarks("orders", 0, PATIENCE).unwrap();
    assert_eq!(high, 100);
    assert!(
        (75..90).contains(&low),
        "about 19 of 100 records fit, the log starts at {low}"
    );
    let consumer = consumer(&address, "readers", &[]);
    subscribe(&consumer, &["orders"]);
    assert_eq!(
        receive(&consumer, usize::try_from(high - low).unwrap())
            .await
            .len(),
        100 - usize::try_from(low).unwrap()
    );
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_fetch_is_cut_and_continued() {
    let broker = start().await;
    let address = broker.address().to_string();
    let producer = producer(&address);
    let value = "x".repeat(50_000);
    for _ in 0..100 {
        send(&producer, "orders", Some(0), &value).await;
    }
    let limits = [
        ("fetch.max.bytes", "120000"),
        ("max.partition.fetch.bytes", "1000"),
        ("message.max.bytes", "100000"),
    ];
    let consumer = consumer(&address, "readers", &limits);
    subscribe(&consumer, &["orders"]);
    assert_eq!(receive(&consumer, 100).await.len(), 100);
    broker.shutdown().await;
}
