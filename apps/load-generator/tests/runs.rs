//! Whole runs against services that behave, and against services that do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests and their helpers fail loudly"
)]

mod fake;

use std::time::Duration;

use fake::{Fake, Faults};
use load_generator::{BaseUrl, Plan, Report, RunError, Silent, Stop, Thresholds, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TEST_LIMIT: Duration = Duration::from_mins(1);

fn plan(url: &BaseUrl) -> Plan {
    Plan {
        order_service: url.clone(),
        read_model: url.clone(),
        rate: 200.0,
        duration: Duration::from_secs(1),
        drain_timeout: Duration::from_secs(5),
        thresholds: Thresholds {
            end_to_end_p99_ms: None,
            post_p99_ms: None,
            error_rate: 0.01,
        },
        hot_sku_share: 0.2,
        items: 3,
        seed: 42,
        connections: 64,
        max_in_flight: 10_000,
    }
}

async fn report(plan: &Plan) -> Report {
    let running = async { run(plan, &Stop::default(), &Silent).await };
    tokio::time::timeout(TEST_LIMIT, running)
        .await
        .expect("the run did not end")
        .unwrap()
}

fn adds_up(report: &Report) {
    let orders = &report.orders;
    assert_eq!(
        orders.due,
        orders.accepted + orders.refused + orders.errors + orders.not_sent,
        "{orders:?}"
    );
    assert_eq!(
        orders.accepted,
        orders.confirmed + orders.cancelled + orders.lost,
        "{orders:?}"
    );
}

#[tokio::test]
async fn every_order_is_sent_once_and_followed_to_its_outcome() {
    let (fake, url) = Fake::start(Faults::default()).await;
    let report = report(&plan(&url)).await;
    adds_up(&report);
    assert!(report.ok, "{report}");
    assert_eq!(
        (
            report.orders.due,
            report.orders.confirmed,
            report.orders.cancelled
        ),
        (200, 180, 20)
    );
    assert_eq!((report.orders.asked_for, report.feed_reconnects), (0, 0));
    assert!(
        report.end_to_end.p50_ms.unwrap() >= 5.0,
        "outcomes came before they were told: {report}"
    );
    let bodies = fake.bodies();
    assert_eq!(bodies.len(), 200);
    for body in &bodies {
        let items = body["items"].as_array().unwrap().iter();
        let total: u64 = items
            .map(|i| i["qty"].as_u64().unwrap() * i["price"].as_u64().unwrap())
            .sum();
        assert_eq!(body["total"], total);
    }
}

#[tokio::test]
async fn a_stall_shows_in_the_latency_of_every_order_that_was_due_in_it() {
    let stalled_for = Duration::from_millis(800);
    let (_, url) = Fake::start(Faults {
        stalled_for,
        ..Faults::default()
    })
    .await;
    // One connection: a closed loop would see one slow order in a hundred, and a 90th percentile of a millisecond.
    let plan = Plan {
        connections: 1,
        rate: 100.0,
        ..plan(&url)
    };
    let report = report(&plan).await;
    adds_up(&report);
    assert_eq!(report.orders.accepted, 100);
    assert!(report.post.p90_ms.unwrap() > 600.0, "{report}");
    assert!(report.post.p50_ms.unwrap() > 200.0, "{report}");
    assert!(report.schedule_lag.p90_ms.unwrap() > 600.0, "{report}");
}

#[tokio::test]
async fn refused_orders_are_counted_and_break_the_error_rate() {
    let (_, url) = Fake::start(Faults {
        refuse_every: Some(2),
        ..Faults::default()
    })
    .await;
    let strict = plan(&url);
    let broken = report(&strict).await;
    adds_up(&broken);
    assert_eq!((broken.orders.refused, broken.orders.accepted), (100, 100));
    assert!(!broken.ok, "{broken}");
    let thresholds = Thresholds {
        error_rate: 0.5,
        ..strict.thresholds
    };
    let lenient = report(&Plan {
        thresholds,
        ..strict
    })
    .await;
    assert!(lenient.ok, "{lenient}");
}

#[tokio::test]
async fn orders_without_an_outcome_are_lost_and_named_with_their_state() {
    let (_, url) = Fake::start(Faults {
        forget_every: Some(20),
        ..Faults::default()
    })
    .await;
    let plan = Plan {
        drain_timeout: Duration::from_millis(200),
        ..plan(&url)
    };
    let report = report(&plan).await;
    adds_up(&report);
    assert_eq!(report.orders.lost, 10);
    assert!(!report.ok, "{report}");
    assert_eq!(report.lost_orders.len(), 10);
    assert_eq!(report.lost_orders[0].state, "PENDING SHIPPED");
}

#[tokio::test]
async fn a_feed_that_breaks_loses_no_order() {
    let faults = Faults {
        feeds_cut_after: vec![20, 20, 20],
        ..Faults::default()
    };
    let (fake, url) = Fake::start(faults).await;
    let report = report(&plan(&url)).await;
    adds_up(&report);
    assert!(report.ok, "{report}");
    assert_eq!(report.feed_reconnects, 3);
    assert_eq!(fake.feeds_opened(), 4);
}

#[tokio::test]
async fn outcomes_that_the_feed_does_not_tell_are_asked_for_before_an_order_counts_as_lost() {
    let (_, url) = Fake::start(Faults {
        feed_is_mute: true,
        ..Faults::default()
    })
    .await;
    let plan = Plan {
        drain_timeout: Duration::from_millis(500),
        ..plan(&url)
    };
    let report = report(&plan).await;
    adds_up(&report);
    assert!(report.ok, "{report}");
    assert_eq!(report.orders.asked_for, 200);
}

#[tokio::test]
async fn outcomes_that_come_before_the_answer_are_not_lost() {
    let (_, url) = Fake::start(Faults {
        feed_is_first: true,
        ..Faults::default()
    })
    .await;
    let report = report(&plan(&url)).await;
    adds_up(&report);
    assert!(report.ok, "{report}");
    assert_eq!(report.orders.asked_for, 0);
    assert!(report.end_to_end.p50_ms < report.post.p50_ms, "{report}");
}

#[tokio::test]
async fn beyond_the_bound_of_orders_in_flight_orders_are_reported_as_not_sent() {
    let faults = Faults {
        forget_every: Some(1),
        ..Faults::default()
    };
    let (fake, url) = Fake::start(faults).await;
    let plan = Plan {
        max_in_flight: 25,
        drain_timeout: Duration::from_millis(100),
        ..plan(&url)
    };
    let report = report(&plan).await;
    adds_up(&report);
    assert_eq!((report.orders.accepted, report.orders.not_sent), (25, 175));
    assert_eq!(fake.bodies().len(), 25);
    assert!(!report.ok, "{report}");
}

#[tokio::test]
async fn a_run_that_is_ended_early_reports_what_ran() {
    let (_, url) = Fake::start(Faults::default()).await;
    let plan = Plan {
        duration: Duration::from_hours(1),
        ..plan(&url)
    };
    let stop = Stop::default();
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.sending.cancel();
    };
    let (report, ()) = tokio::join!(run(&plan, &stop, &Silent), ending);
    let report = report.unwrap();
    adds_up(&report);
    assert!(report.ok && report.interrupted, "{report}");
    assert!((20..=200).contains(&report.orders.accepted), "{report}");
}

#[tokio::test]
async fn whoever_does_not_want_to_wait_gets_the_report_at_once() {
    let stalled_for = Duration::from_hours(1);
    let (_, url) = Fake::start(Faults {
        stalled_for,
        ..Faults::default()
    })
    .await;
    let plan = Plan {
        connections: 2,
        drain_timeout: Duration::from_hours(1),
        ..plan(&url)
    };
    let stop = Stop::default();
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.sending.cancel();
        stop.waiting.cancel();
    };
    let running = async { tokio::join!(run(&plan, &stop, &Silent), ending) };
    let (report, ()) = tokio::time::timeout(TEST_LIMIT, running)
        .await
        .expect("the run went on");
    let report = report.unwrap();
    adds_up(&report);
    assert_eq!((report.orders.accepted, report.orders.errors), (0, 2));
    assert!(report.orders.not_sent > 0 && !report.ok, "{report}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody: BaseUrl = format!("http://{}", free.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(free);
    let (_, url) = Fake::start(Faults::default()).await;
    let without_orders = Plan {
        order_service: nobody.clone(),
        ..plan(&url)
    };
    let error = run(&without_orders, &Stop::default(), &Silent)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RunError::NoOrderService { .. })
            && error.to_string().contains("--order-service")
    );
    let without_feed = Plan {
        read_model: nobody,
        ..plan(&url)
    };
    let error = run(&without_feed, &Stop::default(), &Silent)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RunError::NoReadModel { .. }) && error.to_string().contains("--read-model")
    );
}

/// Answers every request, except that the first order's connection is closed when the order has been read.
async fn service_that_drops_the_first_order() -> BaseUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut dropped = false;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"}") && !request.starts_with(b"GET") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            if request.starts_with(b"POST") && !std::mem::replace(&mut dropped, true) {
                continue;
            }
            let body = r#"{"orderId":"order-1"}"#;
            let answer = format!(
                "HTTP/1.1 201 Created\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let answer = if request.starts_with(b"GET") {
                answer.replace("201 Created", "200 OK")
            } else {
                answer
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url.parse().unwrap()
}

#[tokio::test]
async fn an_order_whose_connection_broke_is_sent_again_under_its_key() {
    let (_, url) = Fake::start(Faults::default()).await;
    let order_service = service_that_drops_the_first_order().await;
    let once = Plan {
        order_service,
        rate: 1.0,
        drain_timeout: Duration::from_millis(10),
        ..plan(&url)
    };
    let report = report(&once).await;
    assert_eq!(
        (
            report.orders.accepted,
            report.orders.resent,
            report.orders.errors
        ),
        (1, 1, 0),
        "{report}"
    );
}
