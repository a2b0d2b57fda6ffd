//! `GET /stats` and `GET /stats/history`.

use std::time::Duration;

use axum::extract::State;
use sagaline_service_kit::{Json, Problem, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{App, store_is_down};
use crate::stats::{Report, SAMPLE_INTERVAL, SPAN_MAX, Sample};

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatsView {
    #[serde(flatten)]
    report: Report,
    dead_letters: LettersView,
    readers: ReadersView,
}

#[derive(Serialize, JsonSchema)]
struct LettersView {
    /// They wait for an operator.
    waiting: u64,
}

/// Who watches at this instance.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReadersView {
    feed: usize,
    orders_watched: usize,
}

pub(super) async fn stats(State(app): State<App>) -> Result<Json<StatsView>, Problem> {
    let waiting = app.waiting_letters().await.map_err(store_is_down)?;
    Ok(Json(StatsView {
        report: app.stats.report(app.ports.clock.now()),
        dead_letters: LettersView { waiting },
        readers: ReadersView {
            feed: app.hub.feed.readers(),
            orders_watched: app.hub.watchers.watched(),
        },
    }))
}

#[derive(Debug, Deserialize)]
pub(super) struct HistoryQuery {
    seconds: Option<String>,
}

/// What was counted before.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryView {
    /// The time between two samples, in milliseconds.
    every_ms: u64,
    /// The earliest first. There is none of the time before this instance was started, nor of a time in which it stood still.
    samples: Vec<Sample>,
}

pub(super) async fn history(
    State(app): State<App>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<HistoryView>, Problem> {
    let span = match query.seconds.as_deref() {
        None => SPAN_MAX,
        Some(text) => parse_span(text)?,
    };
    Ok(Json(HistoryView {
        every_ms: u64::try_from(SAMPLE_INTERVAL.as_millis()).unwrap_or(u64::MAX),
        samples: app.stats.history(app.ports.clock.now(), span),
    }))
}

fn parse_span(text: &str) -> Result<Duration, Problem> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| Problem::bad_request("seconds", "must be a positive number"))
}
