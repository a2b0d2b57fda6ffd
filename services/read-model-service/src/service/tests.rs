use std::sync::atomic::Ordering;

use sagaline_contracts::Event;
use sagaline_service_kit::{AdminGate, JwtKeys};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::rebuild::{RebuildOptions, rebuild};
use crate::testing::World;
use crate::testing::given::*;

/// Sends a request and reads until `enough` has come, or the connection ends.
async fn read(port: u16, path: &str, enough: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains(enough) {
        let mut buffer = [0; 4_096];
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "the connection ended with {text}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    (stream, text)
}

#[tokio::test]
async fn what_the_broker_brings_is_streamed_listed_and_counted_until_the_shutdown() {
    let world = World::new();
    let keys = JwtKeys::new(&"0123456789abcdef0123456789abcdef".parse().unwrap());
    let shutdown = CancellationToken::new();
    let cors = "*".parse().unwrap();
    let host = ServiceHost::new(PROJECTOR, world.ports.clone(), keys, cors, shutdown.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = tokio::spawn(run(host, Options::default(), listener));

    let (mut stream, _) = read(port, "/orders/o-1/stream?from=start", "\r\n\r\n").await;
    let (_feed, _) = read(port, "/orders/stream", "retry").await;
    let events: Vec<Event> = happy();
    let batch = events.iter().map(|event| world.message(event)).collect();
    world.broker.batches.lock().push_back(batch);
    let mut told = String::new();
    while !told.contains("order.OrderConfirmed.v1") {
        let mut buffer = [0; 4_096];
        let length = stream.read(&mut buffer).await.unwrap();
        told.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    let (_, order) = read(port, "/orders/o-1", "CONFIRMED").await;
    assert!(order.starts_with("HTTP/1.1 200"), "{order}");
    let (_, health) = read(port, "/healthz", "read-model-service").await;
    assert!(health.contains("\"kafka\""), "{health}");
    let (_, metrics) = read(port, "/metrics", "projector_event_lag_seconds").await;
    assert!(metrics.contains("events_processed_total"), "{metrics}");

    // the open streams end, and so does the service
    shutdown.cancel();
    service.await.unwrap().unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

fn app(world: &World) -> App {
    App {
        ports: world.ports.clone(),
        hub: Arc::clone(&world.hub),
        stats: Arc::clone(&world.stats),
        publisher: Publisher::new(Arc::clone(&world.ports.broker)),
        gate: AdminGate::new(JwtKeys::new(
            &"0123456789abcdef0123456789abcdef".parse().unwrap(),
        )),
        rebuilds: Arc::default(),
        elsewhere: Arc::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_was_cut_off_is_taken_up_again_under_the_same_command() {
    let world = World::new();
    world.broker.is_endless.store(true, Ordering::Relaxed);
    let cut_off = rebuild(&world.ports, RebuildOptions::by("ann"));
    let limit = Duration::from_secs(1);
    assert!(tokio::time::timeout(limit, cut_off).await.is_err());
    world.broker.is_endless.store(false, Ordering::Relaxed);
    // Meanwhile the topics have lost messages, which was not accepted: it is not tried for ever.
    world.broker.gone.store(1, Ordering::Relaxed);
    finish(&app(&world)).await.unwrap();
    assert!(unfinished(&*world.store).await.unwrap().is_some());
    world.broker.gone.store(0, Ordering::Relaxed);
    finish(&app(&world)).await.unwrap();
    assert_eq!(unfinished(&*world.store).await.unwrap(), None);
    let audit = world.audit().await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(
        (&audit[0]["requestedBy"], &audit[0]["outcome"]),
        (&"ann".into(), &"accepted".into())
    );
}

#[tokio::test(start_paused = true)]
async fn given_a_store_that_goes_away_then_samples_are_kept_without_what_only_it_knows() {
    let world = World::new();
    let app = app(&world);
    let shutdown = CancellationToken::new();
    let (keeping, until) = (app.clone(), shutdown.clone());
    let keeping = tokio::spawn(async move { keep_history(&keeping, &until).await });
    let history = || app.stats.history(world.ports.clock.now(), Duration::MAX);
    let letters = || history().iter().map(|it| it.dead_letters).collect();
    for (is_down, expected) in [
        (false, vec![Some(0)]),
        (true, vec![Some(0), None]),
        (false, vec![Some(0), None, Some(0)]),
    ] {
        world.store.is_down.store(is_down, Ordering::Relaxed);
        let mut told: Vec<_> = letters();
        while told.len() < expected.len() {
            tokio::time::sleep(SAMPLE_INTERVAL / 2).await;
            told = letters();
        }
        assert_eq!(told, expected);
        world.clock.advance(5);
    }
    shutdown.cancel();
    keeping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_elsewhere_is_noticed_by_counts_and_readers() {
    let world = World::new();
    world.project(&happy()[..1]).await;
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    assert_eq!(world.stats.counts.total().total, 1);
    let app = app(&world);
    let shutdown = CancellationToken::new();
    let (noticing, until) = (app.clone(), shutdown.clone());
    let noticing = tokio::spawn(async move { notice_rebuilds(&noticing, &until).await });
    let mut watch = world.hub.watchers.watch(order_id());

    // The command line rebuilds from topics that tell more of this order, and it tells nobody.
    let replayed = happy().iter().map(|event| world.message(event)).collect();
    world.broker.batches.lock().push_back(replayed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    rebuild(&world.ports, RebuildOptions::by("the command line"))
        .await
        .unwrap();
    let told = tokio::time::timeout(2 * REBUILDS_INTERVAL, watch.changed()).await;
    assert_eq!(crate::live::Seen::default().unseen(&told.unwrap()).len(), 5);
    assert!(world.stats.counts.total().counting);
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    assert_eq!(world.stats.counts.total().by_outcome["CONFIRMED"], 1);
    shutdown.cancel();
    noticing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn readers_are_told_what_a_rebuild_found_although_the_store_is_away_when_it_ends() {
    let world = World::new();
    world.project(&happy()[..1]).await;
    let app = app(&world);
    let mut watch = world.hub.watchers.watch(order_id());
    // The rebuild has just ended.
    world.store.is_down.store(true, Ordering::Relaxed);
    let looking = tokio::spawn(async move { app.look_again().await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!looking.is_finished());
    world.store.is_down.store(false, Ordering::Relaxed);
    let told = tokio::time::timeout(Duration::from_secs(1), watch.changed()).await;
    assert!(told.is_ok());
    looking.await.unwrap();
}
