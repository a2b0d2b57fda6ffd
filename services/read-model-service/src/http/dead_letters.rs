//! Messages that could not be handled, and what operators decide about them.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use sagaline_contracts::payload::RedriveAction;
use sagaline_runtime::Outbound;
use sagaline_service_kit::extract::{parse_json, read_body};
use sagaline_service_kit::{Admin, Json, Path, Problem, Query};
use sagaline_store::Stored;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::admin::accepted;
use super::page::{Listing, json_response, parse_flag};
use super::{App, RETRY_AFTER_S, store_is_down, unreadable};
use crate::collections::DEAD_LETTERS;
use crate::decisions;
use crate::projection::{Asked, Audit, LetterState, PostMortem, redrive_name, stored_name};
use crate::rebuild::is_rebuild_unfinished;
use crate::redrive::{Plan, Refusal, Wish, plan, refusal_id};

#[derive(Debug, Deserialize)]
pub(super) struct LettersQuery {
    state: Option<String>,
    topic: Option<String>,
    consumer: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// What of a dead letter decides whether it is listed.
#[derive(Deserialize)]
struct Peek {
    topic: String,
    consumers: Vec<PeekCopy>,
}

#[derive(Deserialize)]
struct PeekCopy {
    consumer: String,
}

/// `GET /dead-letters`: the latest to die first.
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<LettersQuery>,
) -> Result<Response, Problem> {
    let state = query.state.as_deref().map(parse_state).transpose()?;
    let listing = Listing {
        collection: DEAD_LETTERS,
        tag: state.map(LetterState::as_str),
        limit: query.limit.as_deref(),
        cursor: query.cursor.as_deref(),
        before: None,
        listed_by: "lastDiedAt",
        is_filtered: query.topic.is_some() || query.consumer.is_some(),
    };
    let keep = |document: &Stored| {
        if !listing.is_filtered {
            return true;
        }
        let peek = serde_json::from_slice::<Peek>(&document.body);
        peek.is_ok_and(|peek| {
            query
                .topic
                .as_ref()
                .is_none_or(|topic| peek.topic == *topic)
                && query.consumer.as_ref().is_none_or(|consumer| {
                    peek.consumers.iter().any(|copy| copy.consumer == *consumer)
                })
        })
    };
    let page = listing.read(&*app.ports.store, keep).await?;
    let asked = [
        ("state", query.state.as_deref()),
        ("topic", query.topic.as_deref()),
        ("consumer", query.consumer.as_deref()),
        ("limit", query.limit.as_deref()),
    ];
    Ok(page.into_response("/dead-letters", &asked))
}

fn parse_state(name: &str) -> Result<LetterState, Problem> {
    LetterState::parse(name)
        .ok_or_else(|| Problem::bad_request("state", "must be one of waiting, redriven, discarded"))
}

/// `GET /dead-letters/{deadLetterId}`.
pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = app.load(DEAD_LETTERS, &stored_name(&id)).await?;
    let stored = stored.ok_or_else(|| unknown_letter(&id))?;
    Ok(json_response(stored.body))
}

fn unknown_letter(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    Problem::not_found(format!("dead letter {shown} is not known here"))
}

/// The body of a redrive.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct RedriveBody {
    /// What to handle in place of the payload that could not be; absent: the payload as it was.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    payload: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RedriveQuery {
    dry_run: Option<String>,
}

/// The answer to a redrive that was only tried.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checked {
    /// Always true.
    dry_run: bool,
}

/// `POST /admin/dead-letters/{deadLetterId}/redrive`: the body may be empty, or have a corrected payload.
pub(super) async fn redrive(
    admin: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<RedriveQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let is_dry = parse_flag("dryRun", query.dry_run.as_deref())? == Some(true);
    let body = read_body(request, &app).await?;
    let body: RedriveBody = if body.trim_ascii().is_empty() {
        RedriveBody::default()
    } else {
        parse_json(&body)?
    };
    if is_dry {
        let (_, plan) = considered(&app, &admin, &id, RedriveAction::Redrive, body.payload).await?;
        plan.map_err(refused)?;
        return Ok(Json(Checked { dry_run: true }).into_response());
    }
    decide(&app, &admin, &id, RedriveAction::Redrive, body.payload).await
}

/// `POST /admin/dead-letters/{deadLetterId}/discard`.
pub(super) async fn discard(
    admin: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    decide(&app, &admin, &id, RedriveAction::Discard, None).await
}

/// What would be done about a wish, or why nothing would, and the letter that it is about.
async fn considered(
    app: &App,
    admin: &Admin,
    id: &str,
    action: RedriveAction,
    payload: Option<Value>,
) -> Result<(PostMortem, Result<Plan, Refusal>), Problem> {
    // Until a rebuild has ended not all of a letter is there: not its order, not who waits for it.
    if is_rebuild_unfinished(&*app.ports.store)
        .await
        .map_err(store_is_down)?
    {
        return Err(Problem::unavailable(
            "the read model is being rebuilt; decide when that is done",
            RETRY_AFTER_S,
        ));
    }
    let stored = app.load(DEAD_LETTERS, &stored_name(id)).await?;
    let stored = stored.ok_or_else(|| unknown_letter(id))?;
    let letter =
        PostMortem::parse(&stored.body).map_err(|error| unreadable(DEAD_LETTERS, id, &error))?;
    let order = match letter.order_id() {
        Some(order_id) => app.load_order(order_id).await?,
        None => None,
    };
    let wish = Wish {
        action,
        payload,
        requested_by: admin.sub.clone(),
    };
    let plan = plan(&letter, order.as_ref(), wish, app.ports.clock.now());
    Ok((letter, plan))
}

async fn decide(
    app: &App,
    admin: &Admin,
    id: &str,
    action: RedriveAction,
    payload: Option<Value>,
) -> Result<Response, Problem> {
    let (letter, plan) = considered(app, admin, id, action, payload).await?;
    let plan = match plan {
        Ok(plan) => plan,
        Err(refusal) => {
            record_refusal(app, admin, &letter, action, &refusal).await;
            return Err(refused(refusal));
        }
    };
    let command_id = match plan {
        Plan::Before(command_id) => command_id,
        Plan::Publish(event) => {
            app.publish(Outbound::event(&event)).await?;
            event.id
        }
        Plan::Keep(discard) => {
            let command_id = discard.command_id.clone();
            decisions::keep(&*app.ports.store, discard)
                .await
                .map_err(|outage| {
                    app.rebuilds.unshown.notify_one();
                    tracing::warn!(error = outage.chain(), "a decision could not be kept");
                    Problem::unavailable(
                        "the store did not take the decision; try again",
                        RETRY_AFTER_S,
                    )
                })?;
            command_id
        }
    };
    tracing::info!(dead_letter_id = id, %command_id, ?action, by = admin.sub, "a dead letter was decided");
    Ok(accepted(command_id))
}

/// Records a refusal where every other operator's action is. Whether it can be recorded or not: the answer is the same.
async fn record_refusal(
    app: &App,
    admin: &Admin,
    letter: &PostMortem,
    action: RedriveAction,
    refusal: &Refusal,
) {
    let now = app.ports.clock.now().max(letter.updated_at().next());
    let asked = Asked {
        id: refusal_id(letter, action, &admin.sub, refusal),
        command: redrive_name(action),
        dead_letter_id: Some(letter.id()),
        order_id: letter.order_id().cloned(),
        requested_by: &admin.sub,
        note: None,
        at: now,
    };
    let audit = Audit::of_asked(asked).answered(now, Some(&refusal.to_string()));
    if app.record(audit).await.is_err() {
        tracing::warn!(dead_letter_id = letter.id(), %refusal, "a refusal was not recorded");
    }
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Decided(state) => {
            Problem::conflict(refusal.to_string()).with("state", state.as_str())
        }
        Refusal::Invalid { field, what } => Problem::unprocessable(field, what),
    }
}
