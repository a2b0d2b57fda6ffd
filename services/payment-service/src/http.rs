//! `GET /payments/{orderId}`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use sagaline_contracts::{Money, OrderId};
use sagaline_service_host::Records;
use sagaline_service_kit::{Api, Json, Operation, Path, Problem};
use sagaline_store::Store;
use schemars::JsonSchema;
use serde::Serialize;

use crate::COLLECTION;
use crate::domain::{Charge, Payment, SERVICE};

/// The service's routes, on its documents in `store`; `gateway` is named in the answers.
pub fn routes(store: Arc<dyn Store>, gateway: &'static str) -> Router {
    let describe = Operation::new("showPayment", "An order's payment")
        .path::<OrderId>("orderId", "The order")
        .answers::<PaymentView<'_>>(200, "The payment")
        .refuses(404, "No payment of this order is known here");
    Api::new(SERVICE, "Charges once per attempt, and refunds")
        .get("/payments/{orderId}", payment, describe)
        .with_state(Reader {
            records: Records::new(store, COLLECTION, "payment", "payments"),
            gateway,
        })
}

#[derive(Clone)]
struct Reader {
    records: Records,
    gateway: &'static str,
}

/// The answer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PaymentView<'a> {
    order_id: &'a OrderId,
    /// The latest charge: status, attempt, amount and ids.
    #[serde(flatten)]
    latest: &'a Charge,
    /// What was charged over all attempts that are kept.
    captured: Money,
    /// What of it was paid back.
    refunded: Money,
    /// Every charge that is kept, oldest first.
    attempts: Vec<&'a Charge>,
    /// Who charges: a simulated gateway moves no money.
    gateway: &'static str,
}

async fn payment(
    State(reader): State<Reader>,
    Path(order_id): Path<OrderId>,
) -> Result<Response, Problem> {
    let payment: Payment = reader.records.state(&order_id).await?;
    let view = PaymentView::new(&order_id, &payment, reader.gateway);
    Ok(Json(view).into_response())
}

impl<'a> PaymentView<'a> {
    fn new(order_id: &'a OrderId, payment: &'a Payment, gateway: &'static str) -> Self {
        let tried = Some(&payment.charge).filter(|charge| **charge != Charge::None);
        let attempts: Vec<&Charge> = payment.history.iter().chain(tried).collect();
        Self {
            order_id,
            latest: &payment.charge,
            captured: sum(&attempts, |charge| match charge {
                Charge::Authorized { amount, .. } | Charge::Refunded { amount, .. } => *amount,
                Charge::None | Charge::Failed { .. } => Money::ZERO,
            }),
            refunded: sum(&attempts, |charge| match charge {
                Charge::Refunded { amount, .. } => *amount,
                _ => Money::ZERO,
            }),
            attempts,
            gateway,
        }
    }
}

fn sum(charges: &[&Charge], amount: impl Fn(&Charge) -> Money) -> Money {
    let amounts = charges.iter().map(|charge| amount(charge));
    amounts.fold(Money::ZERO, |sum, amount| {
        sum.checked_add(amount).unwrap_or(Money::MAX)
    })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use bytes::Bytes;
    use sagaline_saga::OrderRecord;
    use sagaline_store::{Index, MemoryStore, Write};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    fn cents(cents: i64) -> Money {
        Money::from_cents(cents).unwrap()
    }

    async fn holding(body: Vec<u8>) -> Arc<MemoryStore> {
        let store = Arc::new(MemoryStore::default());
        let write = Write {
            id: "o-1".to_owned(),
            expected: 0,
            body: Bytes::from(body),
            index: Index::default(),
        };
        store.save(COLLECTION, vec![write]).await.unwrap();
        store
    }

    async fn with_state(state: Payment) -> Arc<MemoryStore> {
        let mut record = OrderRecord::unknown(OrderId::new("o-1").unwrap());
        record.state = state;
        holding(serde_json::to_vec(&record).unwrap()).await
    }

    async fn get(store: Arc<dyn Store>, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = routes(store, "simulated-gateway")
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_payment_is_shown_with_what_was_captured_and_refunded_and_its_history() {
        let refunded = Charge::Refunded {
            attempt: 1,
            amount: cents(1_999),
            auth_id: "auth_1".to_owned(),
            refund_id: "refund_1".to_owned(),
        };
        let authorized = Charge::Authorized {
            attempt: 2,
            amount: cents(1_999),
            auth_id: "auth_2".to_owned(),
        };
        let state = Payment {
            attempt: 2,
            barred: 1,
            barring: 0,
            charge: authorized,
            history: vec![refunded],
        };
        let (status, body) = get(with_state(state).await, "/payments/o-1").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            body,
            json!({
                "orderId": "o-1", "status": "AUTHORIZED", "attempt": 2, "amount": 19.99, "authId": "auth_2",
                "captured": 39.98, "refunded": 19.99,
                "attempts": [
                    { "status": "REFUNDED", "attempt": 1, "amount": 19.99, "authId": "auth_1", "refundId": "refund_1" },
                    { "status": "AUTHORIZED", "attempt": 2, "amount": 19.99, "authId": "auth_2" },
                ],
                "gateway": "simulated-gateway",
            })
        );
    }

    #[tokio::test]
    async fn a_failed_payment_says_why() {
        let charge = Charge::Failed {
            attempt: 1,
            amount: Some(cents(500)),
            reason: "card_declined".to_owned(),
        };
        let state = Payment {
            attempt: 1,
            charge,
            ..Payment::default()
        };
        let (_, body) = get(with_state(state).await, "/payments/o-1").await;
        assert_eq!(
            (&body["status"], &body["reason"]),
            (&json!("FAILED"), &json!("card_declined"))
        );
        assert_eq!(
            (&body["amount"], &body["captured"], &body["refunded"]),
            (&json!(5), &json!(0), &json!(0))
        );
    }

    #[tokio::test]
    async fn an_order_whose_first_event_waits_is_pending() {
        let (status, body) = get(with_state(Payment::default()).await, "/payments/o-1").await;
        assert_eq!(
            (status, &body["status"], &body["attempts"]),
            (StatusCode::OK, &json!("PENDING"), &json!([]))
        );
    }

    #[tokio::test]
    async fn an_unknown_order_is_not_found_and_an_impossible_id_is_a_bad_request() {
        let store = Arc::new(MemoryStore::default());
        let (status, body) = get(store.clone(), "/payments/o-2").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body["error"].as_str().unwrap().contains("o-2"));
        let (status, body) = get(store, "/payments/a%20b").await;
        assert_eq!(
            (status, body["error"].is_string()),
            (StatusCode::BAD_REQUEST, true)
        );
    }

    #[tokio::test]
    async fn a_damaged_record_is_an_internal_error_that_tells_nothing_of_it() {
        let (status, body) = get(holding(b"{\"state\":7}".to_vec()).await, "/payments/o-1").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!body.to_string().contains("state"), "{body}");
    }

    #[tokio::test]
    async fn every_route_is_described_and_answers_are_as_described() {
        use sagaline_service_kit::openapi::testing::{agreed, complaints, described};
        let record = serde_json::to_vec(&OrderRecord::<Payment>::unknown(
            OrderId::new("o-1").unwrap(),
        ));
        let store = holding(record.unwrap()).await;
        let description = agreed(routes(store.clone(), "simulated")).await;
        let route = "GET /payments/{orderId}";
        for expected in [route, "GET /health", "GET /healthz", "GET /metrics"] {
            assert!(described(&description).contains(expected), "{expected}");
        }
        for (path, expected) in [
            ("o-1", 200),
            ("o-2", 404),
            ("a%20b", 400),
            ("%00", 400),
            ("%FF", 400),
        ] {
            let (status, answer) = get(store.clone(), &format!("/payments/{path}")).await;
            assert_eq!(status, expected, "{path}: {answer}");
            let complaints = complaints(&description, route, expected, &answer);
            assert_eq!(complaints, Vec::<String>::new(), "{path}: {answer}");
        }
    }
}
