//! `POST /admin/products/{sku}/restock`.

use axum::extract::State;
use sagaline_contracts::Sku;
use sagaline_service_kit::{Admin, IdempotencyKey, Json, Operation, Path, Problem, ids};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::products::Product;
use super::{Api, damaged, unknown};
use crate::stock::{LedgerError, Restock, RestockError, Restocked};

/// Units that one command may add.
const QTY_MAX: u32 = 100_000_000;

/// The body of a restock.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "RestockRequest")]
pub(super) struct Request {
    /// How many more.
    #[schemars(range(min = 1, max = 100_000_000))]
    qty: u32,
}

/// The product, and the command that added to it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Restocked")]
pub(super) struct Answer {
    ok: bool,
    /// The command, by which the audit names it.
    command_id: String,
    /// The same command added these units before; nothing was added now.
    repeated: bool,
    #[serde(flatten)]
    product: Product,
}

pub(super) fn describe() -> Operation {
    Operation::new("restock", "Adds to the stock of a product")
        .path::<Sku>("sku", "The product")
        .idempotent()
        .for_admins()
        .body::<Request>()
        .answers::<Answer>(
            200,
            "The product as it is now; `repeated` when the key has added before",
        )
        .refuses(404, "There is no such product")
        .refuses(409, "The key has added another quantity")
        .refuses(422, "There would be more of it than can be counted")
}

pub(super) async fn restock(
    Admin { sub }: Admin,
    State(api): State<Api>,
    Path(sku): Path<String>,
    IdempotencyKey(key): IdempotencyKey,
    Json(Request { qty }): Json<Request>,
) -> Result<Json<Answer>, Problem> {
    if !(1..=QTY_MAX).contains(&qty) {
        return Err(Problem::bad_request(
            "qty",
            format!("must be 1 to {QTY_MAX}"),
        ));
    }
    // Without a key every request adds: somebody may well mean it twice.
    let command_id = key.unwrap_or_else(|| ids::random_uuid().to_string());
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
