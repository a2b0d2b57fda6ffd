//! `GET /stats`.

use axum::extract::State;
use sagaline_service_kit::{Json, Problem};
use sagaline_store::ListQuery;
use schemars::JsonSchema;
use serde::Serialize;

use super::{App, store_is_down};
use crate::collections::DEAD_LETTERS;
use crate::projection::LetterState;
use crate::stats::Report;

/// Dead letters are counted up to here.
const LETTERS_COUNTED_MAX: usize = 1_000;

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
    /// They wait for an operator; 1000 means so many or more.
    waiting: usize,
}

/// Who watches at this instance.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReadersView {
    feed: usize,
    orders_watched: usize,
}

pub(super) async fn stats(State(app): State<App>) -> Result<Json<StatsView>, Problem> {
    let query = ListQuery {
        tag: Some(LetterState::Waiting.as_str().to_owned()),
        after: None,
        limit: LETTERS_COUNTED_MAX,
    };
    let letters = app
        .ports
        .store
        .list(DEAD_LETTERS, query)
        .await
        .map_err(store_is_down)?;
    Ok(Json(StatsView {
        report: app.stats.report(app.ports.clock.now()),
        dead_letters: LettersView {
            waiting: letters.len(),
        },
        readers: ReadersView {
            feed: app.hub.feed.readers(),
            orders_watched: app.hub.watchers.watched(),
        },
    }))
}
