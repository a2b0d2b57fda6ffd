//! `GET /shipments/{orderId}`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use sagaline_contracts::OrderId;
use sagaline_service_host::Records;
use sagaline_service_kit::{Api, Json, Operation, Path, Problem};
use sagaline_store::Store;
use schemars::JsonSchema;
use serde::Serialize;

use crate::COLLECTION;
use crate::domain::{OrderShipments, SERVICE, Shipment};

/// The service's routes, on its documents in `store`; `carrier` is named in the answers.
pub fn routes(store: Arc<dyn Store>, carrier: &'static str) -> Router {
    let describe = Operation::new("showShipment", "An order's shipment")
        .path::<OrderId>("orderId", "The order")
        .answers::<ShipmentView<'_>>(200, "The shipment")
        .refuses(404, "No shipment of this order is known here");
    Api::new(
        SERVICE,
        "Books the parcel: the pivot, which also rules on everything that is to be undone",
    )
    .get("/shipments/{orderId}", shipment, describe)
    .with_state(Reader {
        records: Records::new(store, COLLECTION, "shipment", "shipments"),
        carrier,
    })
}

#[derive(Clone)]
struct Reader {
    records: Records,
    carrier: &'static str,
}

/// The answer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShipmentView<'a> {
    order_id: &'a OrderId,
    /// Status, attempt, and carrier and tracking id or the reason.
    #[serde(flatten)]
    shipment: &'a Shipment,
    /// The highest attempt that must not be shipped any more; 0 for none.
    barred: u32,
    /// Whom shipments are booked with: a simulated carrier moves no goods.
    booked_with: &'static str,
}

async fn shipment(
    State(reader): State<Reader>,
    Path(order_id): Path<OrderId>,
) -> Result<Response, Problem> {
    let state: OrderShipments = reader.records.state(&order_id).await?;
    let view = ShipmentView {
        order_id: &order_id,
        shipment: &state.shipment,
        barred: state.barred,
        booked_with: reader.carrier,
    };
    Ok(Json(view).into_response())
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

    async fn with_state(state: OrderShipments) -> Arc<MemoryStore> {
        let mut record = OrderRecord::unknown(OrderId::new("o-1").unwrap());
        record.state = state;
        holding(serde_json::to_vec(&record).unwrap()).await
    }

    async fn get(store: Arc<dyn Store>, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = routes(store, "simulated-carrier")
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_shipment_is_shown_with_its_carrier_and_tracking_id() {
        let shipment = Shipment::Shipped {
            attempt: 1,
            carrier: "Northline".to_owned(),
            tracking_id: "NOR-1".to_owned(),
            refund_ruled: true,
        };
        let state = OrderShipments {
            attempt: 1,
            shipment,
            ..OrderShipments::default()
        };
        let (status, body) = get(with_state(state).await, "/shipments/o-1").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            body,
            json!({
                "orderId": "o-1", "status": "SHIPPED", "attempt": 1, "carrier": "Northline", "trackingId": "NOR-1",
                "refundRuled": true, "barred": 0, "bookedWith": "simulated-carrier",
            })
        );
    }

    #[tokio::test]
    async fn a_shipment_that_will_not_be_says_why() {
        let shipment = Shipment::Failed {
            attempt: 2,
            reason: "timeout".to_owned(),
        };
        let state = OrderShipments {
            attempt: 2,
            barred: 2,
            shipment,
            ..OrderShipments::default()
        };
        let (_, body) = get(with_state(state).await, "/shipments/o-1").await;
        assert_eq!(
            body,
            json!({
                "orderId": "o-1", "status": "FAILED", "attempt": 2, "reason": "timeout", "barred": 2,
                "bookedWith": "simulated-carrier",
            })
        );
    }

    #[tokio::test]
    async fn an_order_that_ended_before_it_was_paid_is_pending() {
        let state = OrderShipments {
            ended: 1,
            ..OrderShipments::default()
        };
        let (status, body) = get(with_state(state).await, "/shipments/o-1").await;
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::OK, &json!("PENDING"))
        );
    }

    #[tokio::test]
    async fn an_unknown_order_is_not_found_and_an_impossible_id_is_a_bad_request() {
        let store = Arc::new(MemoryStore::default());
        let (status, body) = get(store.clone(), "/shipments/o-2").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body["error"].as_str().unwrap().contains("o-2"));
        let (status, body) = get(store, "/shipments/a%20b").await;
        assert_eq!(
            (status, body["error"].is_string()),
            (StatusCode::BAD_REQUEST, true)
        );
    }

    #[tokio::test]
    async fn a_damaged_record_is_an_internal_error_that_tells_nothing_of_it() {
        let (status, body) = get(holding(b"{\"state\":7}".to_vec()).await, "/shipments/o-1").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!body.to_string().contains("state"), "{body}");
    }

    #[tokio::test]
    async fn every_route_is_described_and_answers_are_as_described() {
        use sagaline_service_kit::openapi::testing::{agreed, complaints, described};
        let record = serde_json::to_vec(&OrderRecord::<OrderShipments>::unknown(
            OrderId::new("o-1").unwrap(),
        ));
        let store = holding(record.unwrap()).await;
        let description = agreed(routes(store.clone(), "simulated")).await;
        let route = "GET /shipments/{orderId}";
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
            let (status, answer) = get(store.clone(), &format!("/shipments/{path}")).await;
            assert_eq!(status, expected, "{path}: {answer}");
            let complaints = complaints(&description, route, expected, &answer);
            assert_eq!(complaints, Vec::<String>::new(), "{path}: {answer}");
        }
    }
}
