//! A pipeline that confirms every order at once, to measure what the load generator itself costs and adds:
//! `cargo run --release -p load-generator --example instant_pipeline`, then in another terminal
//! `time load-generator --order-service http://127.0.0.1:4090 --read-model http://127.0.0.1:4090 --rate 5000`.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement stops where it cannot be made"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// How often the feed tells what was confirmed since the last time.
const FEED_INTERVAL: Duration = Duration::from_millis(5);

struct Pipeline {
    orders: AtomicU64,
    confirmed: Mutex<Vec<u64>>,
    feed: broadcast::Sender<Bytes>,
}

/// As long as a real id.
fn order_id(order: u64) -> String {
    format!("0190a6d2-1f6b-7c3e-8a55-{order:012x}")
}

async fn place(State(pipeline): State<Arc<Pipeline>>, _order: Bytes) -> Response {
    let order = pipeline.orders.fetch_add(1, Ordering::Relaxed);
    pipeline.confirmed.lock().push(order);
    let body = format!(r#"{{"orderId":"{}"}}"#, order_id(order));
    (
        StatusCode::CREATED,
        [(header::CONTENT_TYPE, "application/json")],
        body,
    )
        .into_response()
}

async fn follow(State(pipeline): State<Arc<Pipeline>>) -> Response {
    let updates = stream::unfold(pipeline.feed.subscribe(), |mut feed| async move {
        Some((feed.recv().await.ok()?, feed))
    });
    let body = Body::from_stream(updates.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn tell(pipeline: Arc<Pipeline>) {
    let mut ticks = tokio::time::interval(FEED_INTERVAL);
    loop {
        ticks.tick().await;
        let confirmed = std::mem::take(&mut *pipeline.confirmed.lock());
        if confirmed.is_empty() {
            continue;
        }
        let states = confirmed.into_iter().map(|order| {
            format!(
                r#"{{"orderId":"{}","currentStatus":"SHIPPED","outcome":"CONFIRMED","updatedAt":"2026-01-01T00:00:00.000000Z"}}"#,
                order_id(order)
            )
        });
        let states = states.collect::<Vec<_>>().join(",");
        // Nobody may be listening.
        let _ = pipeline.feed.send(format!("data: [{states}]\n\n").into());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let feed = broadcast::channel(1_024).0;
    let pipeline = Arc::new(Pipeline {
        orders: AtomicU64::new(0),
        confirmed: Mutex::default(),
        feed,
    });
    tokio::spawn(tell(Arc::clone(&pipeline)));
    let router = Router::new()
        .route("/health", get(|| async { "{}" }))
        .route("/orders", post(place))
        .route("/orders/stream", get(follow))
        .with_state(pipeline);
    let listener = TcpListener::bind("127.0.0.1:4090").await.unwrap();
    // Without it, a piece of the feed would wait until the client has acknowledged the piece before, 40 ms at worst.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}
