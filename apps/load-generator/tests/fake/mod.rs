//! An order service and a read model in one, on one port, that misbehave as a test wants them to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt, stream};
use load_generator::BaseUrl;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// What is wrong with the services. By default, nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// All answers to orders wait until so long after the first order.
    pub(crate) stalled_for: Duration,
    /// Every n-th order is refused.
    pub(crate) refuse_every: Option<u64>,
    /// Every n-th order never comes to an outcome.
    pub(crate) forget_every: Option<u64>,
    /// The feed says nothing of outcomes.
    pub(crate) feed_is_mute: bool,
    /// The first feeds end after so many messages.
    pub(crate) feeds_cut_after: Vec<usize>,
    /// The feed tells of an order before the order is answered.
    pub(crate) feed_is_first: bool,
}

pub(crate) struct Fake {
    faults: Faults,
    begun: Mutex<Option<Instant>>,
    posts: AtomicU64,
    feeds: AtomicUsize,
    orders: Mutex<BTreeMap<String, Value>>,
    bodies: Mutex<Vec<Value>>,
    feed: broadcast::Sender<Value>,
}

impl Fake {
    pub(crate) async fn start(faults: Faults) -> (Arc<Self>, BaseUrl) {
        let fake = Arc::new(Self {
            faults,
            begun: Mutex::default(),
            posts: AtomicU64::new(0),
            feeds: AtomicUsize::new(0),
            orders: Mutex::default(),
            bodies: Mutex::default(),
            feed: broadcast::channel(65_536).0,
        });
        let router = Router::new()
            .route("/health", get(|| async { Json(json!({ "ok": true })) }))
            .route("/orders", post(place).get(list))
            .route("/orders/stream", get(follow))
            .route("/orders/{id}", get(show))
            .with_state(Arc::clone(&fake));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (fake, url.parse().unwrap())
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().clone()
    }

    pub(crate) fn feeds_opened(&self) -> usize {
        self.feeds.load(Ordering::SeqCst)
    }
}

fn every(n: Option<u64>, number: u64) -> bool {
    n.is_some_and(|n| number.is_multiple_of(n))
}

async fn place(State(fake): State<Arc<Fake>>, Json(body): Json<Value>) -> Response {
    let number = fake.posts.fetch_add(1, Ordering::SeqCst) + 1;
    let begun = *fake.begun.lock().get_or_insert_with(Instant::now);
    tokio::time::sleep_until(begun + fake.faults.stalled_for).await;
    fake.bodies.lock().push(body);
    if every(fake.faults.refuse_every, number) {
        let problem = Json(json!({ "error": "the queue is full" }));
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "1")],
            problem,
        )
            .into_response();
    }
    let order_id = format!("order-{number}");
    let outcome = match number {
        _ if every(fake.faults.forget_every, number) => "PENDING",
        _ if number.is_multiple_of(10) => "CANCELLED",
        _ => "CONFIRMED",
    };
    let state = json!({ "_id": order_id, "orderId": order_id, "currentStatus": "SHIPPED", "outcome": outcome });
    fake.orders.lock().insert(order_id.clone(), state.clone());
    if fake.faults.feed_is_first {
        tell(&fake, state);
        // Long enough for the feed to overtake the answer, whose order the test then does not depend on.
        tokio::time::sleep(Duration::from_millis(20)).await;
    } else {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            tell(&fake, state);
        });
    }
    (StatusCode::CREATED, Json(json!({ "orderId": order_id }))).into_response()
}

fn tell(fake: &Fake, state: Value) {
    if !fake.faults.feed_is_mute {
        let _ = fake.feed.send(state);
    }
}

#[derive(serde::Deserialize)]
struct FeedQuery {
    batch: Option<bool>,
}

async fn follow(
    State(fake): State<Arc<Fake>>,
    Query(query): Query<FeedQuery>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let feed = fake.feeds.fetch_add(1, Ordering::SeqCst);
    let cut_after = fake
        .faults
        .feeds_cut_after
        .get(feed)
        .copied()
        .unwrap_or(usize::MAX);
    let batch = query.batch == Some(true);
    let updates = stream::unfold(fake.feed.subscribe(), move |mut updates| async move {
        let state = updates.recv().await.ok()?;
        let state = if batch { json!([state]) } else { state };
        Some((Ok(Event::default().data(state.to_string())), updates))
    });
    Sse::new(updates.take(cut_after))
}

async fn show(State(fake): State<Arc<Fake>>, Path(id): Path<String>) -> Response {
    match fake.orders.lock().get(&id) {
        Some(state) => Json(state.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(serde::Deserialize)]
struct ListQuery {
    cursor: Option<usize>,
}

async fn list(State(fake): State<Arc<Fake>>, Query(query): Query<ListQuery>) -> Response {
    let from = query.cursor.unwrap_or(0);
    let orders = fake.orders.lock();
    let page: Vec<Value> = orders.values().skip(from).take(100).cloned().collect();
    let link = format!("</orders?limit=100&cursor={}>; rel=\"next\"", from + 100);
    if page.len() == 100 {
        ([(header::LINK, link)], Json(page)).into_response()
    } else {
        Json(page).into_response()
    }
}
