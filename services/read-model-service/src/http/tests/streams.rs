use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode, header};
use futures::{FutureExt, StreamExt};
use sagaline_contracts::Event;
use serde_json::Value;

use crate::testing::given::*;
use crate::testing::{World, of_order};

/// A client of an event stream.
pub(super) struct Client {
    pub(super) body: BodyDataStream,
    /// The id of the last message, for `Last-Event-ID`.
    pub(super) last_id: Option<String>,
}

impl Client {
    pub(super) async fn open(world: &World, uri: &str, last_id: Option<&str>) -> Self {
        let mut request = Request::get(uri);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/event-stream"
        );
        Self {
            body: response.into_body().into_data_stream(),
            last_id: last_id.map(str::to_owned),
        }
    }

    /// What is there to be read now, without waiting.
    pub(super) fn read(&mut self) -> Vec<Value> {
        let mut read = Vec::new();
        while let Some(Some(chunk)) = self.body.next().now_or_never() {
            read.extend(self.parse(&chunk.unwrap()));
        }
        read
    }

    fn parse(&mut self, chunk: &[u8]) -> Vec<Value> {
        let text = std::str::from_utf8(chunk).unwrap();
        assert!(text.ends_with("\n\n"), "{text:?}");
        let mut read = Vec::new();
        for line in text.lines() {
            if let Some(id) = line.strip_prefix("id: ") {
                self.last_id = Some(id.to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                read.push(serde_json::from_str(data).unwrap());
            }
        }
        read
    }
}

pub(super) fn names(read: &[Value]) -> Vec<&str> {
    read.iter()
        .map(|data| data["eventId"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_client_that_connects_late_gets_what_it_missed_when_it_asks() {
    let world = World::new();
    world.project(&happy()[..3]).await;
    let mut from_start = Client::open(&world, "/orders/o-1/stream?from=start", None).await;
    let mut from_now = Client::open(&world, "/orders/o-1/stream", None).await;
    assert_eq!(names(&from_start.read()), ["a", "b", "c"]);
    assert_eq!(names(&from_now.read()), [""; 0]);
    world.project(&happy()[3..]).await;
    assert_eq!(names(&from_start.read()), ["d", "e"]);
    let read = from_now.read();
    assert_eq!(names(&read), ["d", "e"]);
    assert_eq!(
        (&read[1]["type"], &read[1]["status"]),
        (&"order.OrderConfirmed.v1".into(), &"SHIPPED".into())
    );
}

#[tokio::test]
async fn a_client_may_wait_for_an_order_that_is_not_known_yet() {
    let world = World::new();
    let mut client = Client::open(&world, "/orders/o-1/stream", None).await;
    assert!(client.read().is_empty());
    world.project(&happy()).await;
    assert_eq!(names(&client.read()), ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn a_client_that_is_cut_off_resumes_on_another_instance_without_gap_or_double() {
    let world = World::new();
    let events = failed();
    // late arrivals: some of the middle come last
    let arrival: Vec<&Event> = [0, 3, 5, 1, 4, 2].iter().map(|at| &events[*at]).collect();
    let mut last_id = None;
    let mut told = Vec::new();
    for event in arrival {
        let other = World::on(world.store.clone());
        let mut client =
            Client::open(&other, "/orders/o-1/stream?from=start", last_id.as_deref()).await;
        told.extend(client.read());
        other.project(std::slice::from_ref(event)).await;
        told.extend(client.read());
        last_id = client.last_id;
    }
    assert_eq!(names(&told), ["a", "d", "f", "b", "e", "c"]);
}

#[tokio::test]
async fn a_client_that_was_cut_off_before_its_first_message_misses_nothing() {
    let world = World::new();
    world.project(&happy()[..2]).await;
    let mut client = Client::open(&world, "/orders/o-1/stream", None).await;
    assert!(client.read().is_empty());
    world.project(&happy()[2..3]).await;
    let id = client.last_id.unwrap();
    let mut resumed = Client::open(&world, "/orders/o-1/stream", Some(&id)).await;
    assert_eq!(names(&resumed.read()), ["c"]);
    let uri = format!("/orders/o-1/stream?lastEventId={id}");
    let mut by_query = Client::open(&world, &uri, None).await;
    assert_eq!(names(&by_query.read()), ["c"]);
}

#[tokio::test]
async fn what_a_stream_cannot_do_is_refused() {
    let world = World::new();
    for (uri, field) in [
        ("/orders/o-1/stream?lastEventId=7", "Last-Event-ID"),
        ("/orders/o-1/stream?from=middle", "from"),
        ("/orders/stream?lastEventId=x", "Last-Event-ID"),
        ("/orders/stream?batch=some", "batch"),
        ("/orders/stream?batch=true&pace=some", "pace"),
        ("/orders/stream?pace=slow", "pace"),
        ("/orders/a%20b/stream", "path"),
    ] {
        let (status, body) = world.get(uri).await;
        assert_eq!(
            (status, &body["field"]),
            (StatusCode::BAD_REQUEST, &Value::from(field)),
            "{uri}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_still_there() {
    let world = World::new();
    for uri in ["/orders/o-1/stream", "/orders/stream"] {
        let mut client = Client::open(&world, uri, None).await;
        client.read();
        let began = tokio::time::Instant::now();
        let heartbeat = client.body.next().await.unwrap().unwrap();
        assert_eq!(heartbeat.as_ref(), crate::live::HEARTBEAT);
        assert_eq!(began.elapsed().as_secs(), 15, "{uri}");
    }
}

#[tokio::test]
async fn the_feed_tells_what_changes_and_on_resuming_what_was_missed() {
    let world = World::new();
    world.project(&of_order(&happy(), "o-2")).await;
    let mut client = Client::open(&world, "/orders/stream", None).await;
    assert!(client.read().is_empty());
    for event in happy() {
        world.project(&[event]).await;
    }
    world.hub.feed.flush(world.ports.clock.now());
    let read = client.read();
    assert_eq!(read.len(), 1);
    assert_eq!(
        (&read[0]["orderId"], &read[0]["outcome"]),
        (&"o-1".into(), &"CONFIRMED".into())
    );
    // while it was away another one changed
    let mut later = of_order(&failed(), "o-3");
    for event in &mut later {
        event.timestamp = world.ports.clock.now();
    }
    world.project(&later).await;
    let mut resumed = Client::open(
        &world,
        "/orders/stream?batch=true",
        client.last_id.as_deref(),
    )
    .await;
    let read = resumed.read();
    assert_eq!(read[0].as_array().unwrap().len(), 1);
    assert_eq!(read[0][0]["orderId"], "o-3");
    let mut from_start = Client::open(&world, "/orders/stream?from=start", None).await;
    assert_eq!(from_start.read().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_comes_while_the_read_model_is_rebuilt_is_told_what_the_rebuild_finds() {
    let world = World::new();
    let events = happy();
    let id = events[0].key().to_owned();
    let mut client = Client::open(&world, &format!("/orders/{id}/stream?from=start"), None).await;
    assert!(client.read().is_empty(), "the read model was just cleared");
    let messages = events.iter().map(|event| world.message(event)).collect();
    world.broker.batches.lock().extend([messages, Vec::new()]);
    world.post("/admin/rebuild", "").await;
    assert_eq!(client.read().len(), events.len());
}

#[tokio::test]
async fn a_client_of_the_feed_that_was_cut_off_before_its_first_message_misses_nothing() {
    let world = World::new();
    let mut cut_off = Client::open(&world, "/orders/stream?batch=true", None).await;
    assert!(cut_off.read().is_empty());
    let id = cut_off.last_id.clone();
    drop(cut_off);
    let mut events = happy();
    for event in &mut events {
        event.timestamp = world.ports.clock.now();
    }
    world.project(&events).await;
    let mut back = Client::open(&world, "/orders/stream?batch=true", id.as_deref()).await;
    assert_eq!(back.read()[0][0]["orderId"], "o-1");
}
