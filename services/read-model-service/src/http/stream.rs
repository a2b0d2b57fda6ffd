//! Event streams: one order's events, and every order's latest state.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use sagaline_contracts::{OrderId, Timestamp};
use sagaline_service_kit::{Path, Problem, Query};
use sagaline_store::ListQuery;
use serde::Deserialize;

use super::{App, store_is_down};
use crate::collections::ORDERS;
use crate::live::{
    FeedForm, FeedReader, HEARTBEAT_INTERVAL, RETRY, Seen, Snapshot, Watch, chunk, comment, frame,
};
use crate::projection::Order;

/// Orders that a resumed feed tells again at most, the latest of them.
const REPLAYED_MAX: usize = 1_000;
const REPLAYED_AT_ONCE: usize = 100;
/// A resumed feed begins so much earlier: an update may be older than the moment when it was told.
const REPLAY_MARGIN_US: i64 = 10_000_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamQuery {
    from: Option<String>,
    last_event_id: Option<String>,
    batch: Option<String>,
    pace: Option<String>,
}

impl StreamQuery {
    /// Where the client was, if it has been here before.
    fn resume_from<'a>(&'a self, headers: &'a HeaderMap) -> Result<Option<&'a str>, Problem> {
        let not_ascii = |_| Problem::bad_request("Last-Event-ID", "is not one of ours");
        let header = headers.get("last-event-id").map(HeaderValue::to_str);
        let header = header.transpose().map_err(not_ascii)?;
        Ok(header
            .or(self.last_event_id.as_deref())
            .filter(|id| !id.is_empty()))
    }

    fn is_from_start(&self) -> Result<bool, Problem> {
        match self.from.as_deref() {
            None | Some("now") => Ok(false),
            Some("start") => Ok(true),
            Some(_) => Err(Problem::bad_request("from", "must be start or now")),
        }
    }

    fn form(&self) -> Result<FeedForm, Problem> {
        let is_batch = match self.batch.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::bad_request("batch", "must be true or false")),
        };
        match (self.pace.as_deref(), is_batch) {
            (None | Some("quick"), false) => Ok(FeedForm::Each),
            (None | Some("quick"), true) => Ok(FeedForm::Batch),
            (Some("slow"), true) => Ok(FeedForm::Slow),
            (Some("slow"), false) => Err(Problem::bad_request("pace", "slow needs batch=true")),
            (Some(_), _) => Err(Problem::bad_request("pace", "must be quick or slow")),
        }
    }
}

/// `GET /orders/{orderId}/stream`: one message per event of the order. An order that is not known yet is waited for.
pub(super) async fn order(
    State(app): State<App>,
    Path(id): Path<OrderId>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let resumed = query.resume_from(&headers)?.map(Seen::parse).transpose();
    let resumed =
        resumed.map_err(|error| Problem::bad_request("Last-Event-ID", error.to_string()))?;
    let is_from_start = query.is_from_start()?;
    // First watched, then loaded: what is saved in between is seen twice, and sent once.
    let watch = app.hub.watchers.watch(id.clone());
    let now = app.load_order(&id).await?;
    app.elsewhere.watched(&id);
    let snapshot = now.as_ref().map(Snapshot::of).unwrap_or_default();
    let is_new = resumed.is_none();
    let mut seen = resumed.unwrap_or_default();
    if is_new && !is_from_start {
        seen.skip(&snapshot);
    }
    Ok(event_stream(order_events(watch, seen, &snapshot)))
}

struct OrderStream {
    watch: Watch,
    seen: Seen,
}

/// The events that were not seen, now and from now on. It holds nothing but what was seen: a reader that does not read
/// finds everything else when it reads again.
fn order_events(watch: Watch, mut seen: Seen, now: &Snapshot) -> impl Stream<Item = Bytes> + use<> {
    let mut first = RETRY.as_bytes().to_vec();
    // A client that is cut off before its first message resumes from here.
    frame(&mut first, Some(&seen.id()), None);
    tell(&mut first, &mut seen, now);
    let rest = stream::unfold(OrderStream { watch, seen }, |mut state| async move {
        loop {
            let snapshot = tokio::select! {
                biased;
                snapshot = state.watch.changed() => snapshot,
                () = tokio::time::sleep(HEARTBEAT_INTERVAL) => return Some((comment(), state)),
            };
            let mut chunk = Vec::new();
            tell(&mut chunk, &mut state.seen, &snapshot);
            if !chunk.is_empty() {
                return Some((chunk.into(), state));
            }
        }
    });
    stream::iter([Bytes::from(first)]).chain(rest)
}

fn tell(into: &mut Vec<u8>, seen: &mut Seen, snapshot: &Snapshot) {
    for (id, data) in seen.unseen(snapshot) {
        frame(into, Some(&id), Some(&data));
    }
}

/// `GET /orders/stream`: every order's latest state, coalesced.
pub(super) async fn feed(
    State(app): State<App>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = query.form()?;
    let since = match query.resume_from(&headers)? {
        Some(id) => Some(parse_moment(id)?),
        None => query
            .is_from_start()?
            .then_some(Timestamp::from_micros(i64::MIN)),
    };
    let now = app.ports.clock.now();
    let reader = app.hub.feed.subscribe(form);
    app.elsewhere.all_watched();
    let mut first = RETRY.as_bytes().to_vec();
    // A client that is cut off before its first message resumes from here.
    frame(&mut first, Some(&now.micros().to_string()), None);
    if let Some(since) = since {
        let states = missed_states(&app, since).await?;
        if !states.is_empty() {
            first.extend_from_slice(&chunk(form, &states, now));
        }
    }
    Ok(event_stream(
        stream::iter([Bytes::from(first)]).chain(feed_chunks(reader)),
    ))
}

fn parse_moment(id: &str) -> Result<Timestamp, Problem> {
    id.parse().map(Timestamp::from_micros).map_err(|_| {
        let what =
            "is not an id that this stream has sent; leave it out to get what changes from now on";
        Problem::bad_request("Last-Event-ID", what)
    })
}

/// The latest states of orders that were updated since; of too many, the latest.
async fn missed_states(app: &App, since: Timestamp) -> Result<Vec<Bytes>, Problem> {
    let earliest = since.micros().saturating_sub(REPLAY_MARGIN_US);
    let mut states = Vec::new();
    let mut after = None;
    while states.len() < REPLAYED_MAX {
        let query = ListQuery {
            tag: None,
            after,
            limit: REPLAYED_AT_ONCE,
        };
        let page = app
            .ports
            .store
            .list(ORDERS, query)
            .await
            .map_err(store_is_down)?;
        let is_last = page.len() < REPLAYED_AT_ONCE;
        after = None;
        for document in page {
            let Ok(order) = Order::parse(&document.body) else {
                continue;
            };
            let rank = order.updated_at().micros();
            if rank < earliest {
                states.reverse();
                return Ok(states);
            }
            states.push(order.fold().state());
            after = Some(sagaline_store::Rank {
                rank,
                id: document.id,
            });
        }
        if is_last || after.is_none() {
            break;
        }
    }
    // The latest was found first, and is told last.
    states.reverse();
    Ok(states)
}

fn feed_chunks(reader: FeedReader) -> impl Stream<Item = Bytes> {
    stream::unfold(reader, |mut reader| async move {
        tokio::select! {
            biased;
            // A reader that did not keep up is cut off; it resumes.
            chunk = reader.next() => Some((chunk.ok()?, reader)),
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => Some((comment(), reader)),
        }
    })
}

fn event_stream(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(chunks.map(Ok::<Bytes, Infallible>));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // Proxies must not wait until they have enough.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}
