//! `GET /stats`.

use axum::extract::State;
use sagaline_service_kit::{Json, Problem};
use schemars::JsonSchema;
use serde::Serialize;

use super::{App, store_is_down};
use crate::collections::DEAD_LETTERS;
use crate::projection::LetterState;
use crate::stats::Report;

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
    let waiting = app
        .ports
        .store
        .count_tagged(DEAD_LETTERS, LetterState::Waiting.as_str())
        .await
        .map_err(store_is_down)?;
    Ok(Json(StatsView {
        report: app.stats.report(app.ports.clock.now()),
        dead_letters: LettersView { waiting },
        readers: ReadersView {
            feed: app.hub.feed.readers(),
            orders_watched: app.hub.watchers.watched(),
        },
    }))
}
