//! `POST /admin/products/{sku}/restock`.

use axum::extract::{FromRequestParts, State};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use sagaline_contracts::Sku;
use sagaline_service_kit::{Admin, Json, Path, Problem, ids};
use serde::{Deserialize, Serialize};

use super::products::Product;
use super::{Api, damaged, unknown};
use crate::stock::{LedgerError, Restock, RestockError, Restocked};

/// Units that one command may add.
const QTY_MAX: u32 = 100_000_000;
const KEY_LENGTH_MAX: usize = 128;

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    qty: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    ok: bool,
    /// The command, by which the audit names it.
    command_id: String,
    /// The same command added these units before; nothing was added now.
    repeated: bool,
    #[serde(flatten)]
    product: Product,
}

/// The `Idempotency-Key`. Without one every request adds: somebody may well mean it twice.
pub(super) struct CommandId(String);

impl<S: Sync> FromRequestParts<S> for CommandId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => return Ok(Self(ids::random_uuid().to_string())),
            (Some(key), None) => std::str::from_utf8(HeaderValue::as_bytes(key)).ok(),
            (Some(_), Some(_)) => None,
        };
        key.filter(|key| is_key(key))
            .map(|key| Self(key.to_owned()))
            .ok_or_else(|| {
                let rule = "must be sent once, as 1 to 128 printable characters";
                Problem::bad_request("Idempotency-Key", rule)
            })
    }
}

fn is_key(text: &str) -> bool {
    let printable = !text.chars().any(char::is_control);
    (1..=KEY_LENGTH_MAX).contains(&text.chars().count()) && printable
}

pub(super) async fn restock(
    Admin { sub }: Admin,
    State(api): State<Api>,
    Path(sku): Path<String>,
    CommandId(command_id): CommandId,
    Json(Request { qty }): Json<Request>,
) -> Result<Json<Answer>, Problem> {
    if !(1..=QTY_MAX).contains(&qty) {
        return Err(Problem::bad_request(
            "qty",
            format!("must be 1 to {QTY_MAX}"),
        ));
    }
    let known = Sku::new(&sku).map_err(|_| unknown(&sku))?;
    let restock = Restock {
        key: command_id.clone(),
        qty,
        by: sub,
        at: api.clock.now(),
    };
    let written = api.effects.ledger().restock(&known, &restock).await;
    let (restocked, document, version) = written.map_err(|error| refusal(&sku, error))?;
    match restocked {
        Restocked::Now => tracing::info!(sku, qty, by = restock.by, command_id, "restocked"),
        Restocked::Before => {}
        Restocked::KeyReused => {
            return Err(Problem::conflict(
                "this Idempotency-Key has added another quantity: use a new key for a new command",
            ));
        }
        Restocked::TooMany => {
            let problem = "there would be more units of it than can be counted";
            return Err(Problem::unprocessable("qty", problem));
        }
    }
    Ok(Json(Answer {
        ok: true,
        command_id,
        repeated: restocked == Restocked::Before,
        product: Product::new(&document, version),
    }))
}

fn refusal(sku: &str, error: RestockError) -> Problem {
    match error {
        RestockError::Unknown(_) => unknown(sku),
        RestockError::Damaged(why) => damaged(sku, &why),
        RestockError::Ledger(LedgerError::Store(error)) => super::outage(&error),
        RestockError::Ledger(error) => {
            tracing::warn!(sku, %error, "a restock has to wait");
            Problem::unavailable("the product is written all the time: try again", 1)
        }
    }
}
