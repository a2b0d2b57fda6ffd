//! What the protocol says about single requests, including those that no well-behaved client sends.
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

use bytes::{Buf, Bytes, BytesMut};
use common::raw::{RawClient, batch, frame, produce, produced};
use common::{producer, send, start, start_with};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, InitProducerIdRequest, MetadataRequest, TransactionalId,
};
use kafka_protocol::messages::{TopicName, fetch_request};
use kafka_protocol::protocol::StrBytes;
use sagaline_embedded_broker::BrokerConfig;
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

const LATEST_PRODUCE: i16 = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_batch_keeps_its_offset_and_a_gap_is_refused() {
    for durable in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = durable.then(|| directory.path().to_owned());
        let config = BrokerConfig {
            data_dir,
            ..BrokerConfig::default()
        };
        let mut broker = start_with(config.clone()).await;
        broker.create_topics(&["orders"], 1).await.unwrap();
        let mut client = RawClient::connect(&broker.address().to_string()).await;
        let ask = InitProducerIdRequest::default().with_transactional_id(None);
        let id = client.call(4, &ask).await.producer_id.0;
        assert!(id > 0);
        for n in 0..3 {
            let response = client
                .call(
                    LATEST_PRODUCE,
                    &produce("orders", 0, batch(id, 0, n * 5, 5)),
                )
                .await;
            assert_eq!(produced(&response), (0, i64::from(n) * 5));
        }
        if durable {
            // What is remembered of a producer survives.
            broker.shutdown().await;
            broker = start_with(config).await;
            client = RawClient::connect(&broker.address().to_string()).await;
        }
        let again = client
            .call(LATEST_PRODUCE, &produce("orders", 0, batch(id, 0, 5, 5)))
            .await;
        assert_eq!(produced(&again), (0, 5));
        let gap = client
            .call(LATEST_PRODUCE, &produce("orders", 0, batch(id, 0, 16, 5)))
            .await;
        assert_eq!(
            produced(&gap),
            (ResponseError::OutOfOrderSequenceNumber.code(), -1)
        );
        let next = client
            .call(LATEST_PRODUCE, &produce("orders", 0, batch(id, 0, 15, 5)))
            .await;
        assert_eq!(produced(&next), (0, 15));
        let unknown = client
            .call(
                LATEST_PRODUCE,
                &produce("orders", 0, batch(id + 1, 0, 77, 1)),
            )
            .await;
        assert_eq!(
            produced(&unknown),
            (0, 20),
            "a producer that is not known may begin anywhere"
        );
        let fenced = client
            .call(4, &ask.with_producer_id(id.into()).with_producer_epoch(0))
            .await;
        assert_eq!((fenced.producer_id.0, fenced.producer_epoch), (id, 1));
        let newer = client
            .call(LATEST_PRODUCE, &produce("orders", 0, batch(id, 1, 0, 1)))
            .await;
        assert_eq!(produced(&newer), (0, 21));
        let older = client
            .call(LATEST_PRODUCE, &produce("orders", 0, batch(id, 0, 20, 1)))
            .await;
        assert_eq!(
            produced(&older).0,
            ResponseError::InvalidProducerEpoch.code()
        );
        broker.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_is_refused_and_the_connection_goes_on() {
    let broker = start().await;
    broker.create_topics(&["orders"], 1).await.unwrap();
    let mut client = RawClient::connect(&broker.address().to_string()).await;
    let good = batch(-1, -1, -1, 3);
    for at in [8, 11, 17, 20, 21, 30, 60, good.len() - 1] {
        let mut bad = BytesMut::from(&good[..]);
        bad[at] ^= 0x01;
        let response = client
            .call(LATEST_PRODUCE, &produce("orders", 0, bad.freeze()))
            .await;
        assert_eq!(
            produced(&response).0,
            ResponseError::CorruptMessage.code(),
            "byte {at}"
        );
    }
    let cut = client
        .call(
            LATEST_PRODUCE,
            &produce("orders", 0, good.slice(..good.len() - 1)),
        )
        .await;
    assert_eq!(produced(&cut).0, ResponseError::CorruptMessage.code());
    let two = Bytes::from([&good[..], &good[..]].concat());
    let response = client
        .call(LATEST_PRODUCE, &produce("orders", 0, two))
        .await;
    assert_eq!(produced(&response).0, ResponseError::InvalidRecord.code());
    let nowhere = client
        .call(LATEST_PRODUCE, &produce("orders", 7, good.clone()))
        .await;
    assert_eq!(
        produced(&nowhere).0,
        ResponseError::UnknownTopicOrPartition.code()
    );
    let response = client
        .call(LATEST_PRODUCE, &produce("orders", 0, good))
        .await;
    assert_eq!(
        produced(&response),
        (0, 0),
        "nothing of the above was stored"
    );
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_refused() {
    let broker = start().await;
    let mut client = RawClient::connect(&broker.address().to_string()).await;
    let transactional = TransactionalId(StrBytes::from_static_str("tx"));
    let request = InitProducerIdRequest::default().with_transactional_id(Some(transactional));
    let response = client.call(4, &request).await;
    assert_eq!(
        response.error_code,
        ResponseError::TransactionalIdAuthorizationFailed.code()
    );
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_future_is_told_which_versions_there_are() {
    let broker = start().await;
    let mut client = RawClient::connect(&broker.address().to_string()).await;
    let mut request = frame(4, 9, &ApiVersionsRequest::default());
    request[6..8].copy_from_slice(&99_i16.to_be_bytes());
    client.send_bytes(&request).await.unwrap();
    let mut answer = client.receive().await;
    assert_eq!(answer.get_i32(), 9);
    assert_eq!(answer.get_i16(), ResponseError::UnsupportedVersion.code());
    assert!(answer.get_i32() > 20, "the supported requests are listed");
    // The connection goes on in a version that both know.
    assert_eq!(
        client
            .call(3, &ApiVersionsRequest::default())
            .await
            .error_code,
        0
    );
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_order_also_behind_a_long_poll() {
    let broker = start().await;
    broker.create_topics(&["orders"], 1).await.unwrap();
    let mut client = RawClient::connect(&broker.address().to_string()).await;
    let partition = fetch_request::FetchPartition::default().with_partition_max_bytes(1_000);
    let topic = fetch_request::FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_static_str("orders")))
        .with_partitions(vec![partition]);
    let poll = FetchRequest::default()
        .with_max_wait_ms(300)
        .with_min_bytes(1)
        .with_topics(vec![topic]);
    let mut all = BytesMut::new();
    all.extend_from_slice(&frame(12, 1, &poll));
    for n in 2..200 {
        all.extend_from_slice(&frame(9, n, &MetadataRequest::default()));
    }
    let begun = Instant::now();
    client.send_bytes(&all).await.unwrap();
    for n in 1..200 {
        assert_eq!(client.receive().await.get_i32(), n);
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(250),
        "the poll did not wait"
    );
    broker.shutdown().await;
}

/// A small generator, so that a failure can be repeated.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_closes_its_own_connection_and_nothing_else() {
    let broker = start().await;
    let address = broker.address().to_string();
    let sender = producer(&address);
    send(&sender, "orders", None, "before").await;
    let mut noise = Noise(0x5eed);
    for round in 0..600_u32 {
        let mut bytes = if round % 3 == 0 {
            noise.bytes(64)
        } else {
            broken_request(&mut noise)
        };
        if round % 3 == 1 {
            // A true length, so that the body is looked at.
            let length = u32::try_from(bytes.len() - 4).unwrap();
            bytes[..4].copy_from_slice(&length.to_be_bytes());
        }
        let mut client = RawClient::connect(&address).await;
        // The broker may close before all is written.
        drop(client.send_bytes(&bytes).await);
        drop(tokio::time::timeout(Duration::from_millis(2), client.read_to_end()).await);
    }
    let begun = Instant::now();
    send(&sender, "orders", None, "after").await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(
        RawClient::connect(&address)
            .await
            .call(3, &ApiVersionsRequest::default())
            .await
            .error_code,
        0
    );
    broker.shutdown().await;
}

/// A request with a good header, a body of another kind, cut somewhere, and some bytes changed.
fn broken_request(noise: &mut Noise) -> Vec<u8> {
    let template = match noise.next() % 4 {
        0 => frame(9, 1, &MetadataRequest::default()),
        1 => frame(
            LATEST_PRODUCE,
            1,
            &produce("orders", 0, batch(-1, -1, -1, 2)),
        ),
        2 => frame(12, 1, &FetchRequest::default()),
        _ => frame(5, 1, &produce("orders", 0, batch(5, 0, 0, 2))),
    };
    let mut bytes = template.to_vec();
    bytes[5] = noise.next().to_le_bytes()[0] % 75;
    bytes[7] = noise.next().to_le_bytes()[0] % 13;
    for _ in 0..noise.next() % 8 {
        let at = 8 + usize::try_from(noise.next()).unwrap_or(0) % (bytes.len() - 8);
        bytes[at] = noise.next().to_le_bytes()[0];
    }
    let cut = 12 + usize::try_from(noise.next()).unwrap_or(0) % (bytes.len() - 11);
    bytes.truncate(cut.max(12));
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_limited_and_idle_ones_are_closed() {
    let broker = start_with(BrokerConfig {
        max_connections: 2,
        idle_timeout: Duration::from_millis(200),
        ..BrokerConfig::default()
    })
    .await;
    let address = broker.address().to_string();
    let mut first = RawClient::connect(&address).await;
    let mut second = RawClient::connect(&address).await;
    first.call(3, &ApiVersionsRequest::default()).await;
    second.call(3, &ApiVersionsRequest::default()).await;
    let mut third = RawClient::connect(&address).await;
    assert!(third.read_to_end().await.is_empty());
    let begun = Instant::now();
    assert!(first.read_to_end().await.is_empty());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "an idle connection stays open"
    );
    second.read_to_end().await;
    RawClient::connect(&address)
        .await
        .call(3, &ApiVersionsRequest::default())
        .await;
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kcat_lists_topics() {
    let broker = start().await;
    broker.create_topics(&["orders"], 3).await.unwrap();
    let address = broker.address().to_string();
    let listed = tokio::task::spawn_blocking(move || {
        Command::new("kcat").args(["-L", "-b", &address]).output()
    });
    let Ok(output) = listed.await.unwrap() else {
        println!("skipped: kcat is not installed (Debian package kcat)");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.contains("topic \"orders\" with 3 partitions"),
        "{text}"
    );
    broker.shutdown().await;
}
