//! `dashboard`, before a pipeline of other processes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::header::CONTENT_SECURITY_POLICY;
use sagaline_testkit::client::order;
use sagaline_testkit::sse::{self, SseEvent};
use sagaline_testkit::stack::{Backend, Stack};
use sagaline_testkit::{Port, Process};

const LIMIT: Duration = Duration::from_secs(30);

/// A page: its status, its policy, its text.
async fn page(http: &reqwest::Client, base: &str, path: &str) -> (u16, String, String) {
    let answer = http.get(format!("{base}{path}")).send().await.unwrap();
    let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    let policy = policy.to_owned();
    (
        answer.status().as_u16(),
        policy,
        answer.text().await.unwrap(),
    )
}

/// The feed of all orders tells states.
fn is_shown(events: &[SseEvent]) -> bool {
    let text = |event: &SseEvent| event.data.to_string();
    events.iter().any(|event| text(event).contains("shown-1"))
}

/// An order's own stream tells events.
fn has_ended(events: &[SseEvent]) -> bool {
    let ends = |event: &SseEvent| {
        let text = event.data.to_string();
        text.contains("order.OrderConfirmed.v1") || text.contains("order.OrderCancelled.v1")
    };
    events.iter().any(ends)
}

#[tokio::test]
async fn the_dashboard_by_itself_shows_another_process_s_pipeline_and_drains_when_told_to() {
    let binary = Path::new(env!("CARGO_BIN_EXE_sagaline"));
    let binaries = binary.parent().unwrap();
    let stack = Stack::start(Backend::Embedded, binaries, &[])
        .await
        .unwrap();
    let at = stack.addresses();
    let port = Port::reserve().unwrap();
    let base = format!("http://127.0.0.1:{}", port.number());
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("PORT", port.number().to_string())
        .arg("dashboard")
        .args(["--order-service", &at.order])
        .args(["--inventory-service", &at.inventory])
        .args(["--read-model", &at.read_model]);
    let log = folder.path().join("log");
    let mut dashboard = Process::spawn("sagaline dashboard", command, "ready {", &log).unwrap();
    dashboard.ready(LIMIT).await.unwrap();

    let http = reqwest::Client::new();
    for path in ["/health", "/healthz"] {
        let answer = http.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    for path in ["/", "/orders/shown-1"] {
        let all_in_one = page(&http, &at.dashboard, path).await;
        assert_eq!(page(&http, &base, path).await, all_in_one, "{path}");
    }
    let product = http
        .get(format!("{base}/api/inventory/products/SKU-1"))
        .send();
    assert_eq!(product.await.unwrap().status(), 200);

    // live, and from the first event on: the stream is there before the order
    let stream = format!("{base}/api/read-model/orders/stream");
    let watching = sse::read_until(&http, &stream, None, LIMIT, is_shown);
    let placing = async {
        let placed = http.post(format!("{base}/api/order/orders"));
        let placed = placed.json(&order("shown-1", "SKU-1", 1)).send().await;
        assert_eq!(placed.unwrap().status(), 201);
        let its_own = format!("{base}/api/read-model/orders/shown-1/stream?from=start");
        sse::read_until(&http, &its_own, None, LIMIT, has_ended).await
    };
    let (all, one) = tokio::join!(watching, placing);
    assert!(!all.unwrap().is_empty() && !one.unwrap().is_empty());

    // a reader who stays does not keep it from ending
    let mut open = http.get(&stream).send().await.unwrap();
    let ended = dashboard.terminate(Duration::from_secs(9)).await.unwrap();
    assert!(ended.success(), "{ended}");
    while let Ok(Some(_)) = open.chunk().await {}
}
