mod hostile;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use sagaline_contracts::Timestamp;
use sagaline_saga::Clock;
use sagaline_service_kit::openapi::testing::{agreed, complaints, described};
use sagaline_service_kit::{AdminGate, JwtKeys};
use sagaline_store::{MemoryStore, Store};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::effects::StockEffects;
use crate::stock::{Ledger, Limits, StockDocument};
use crate::{STOCK, catalogue};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }
}

struct App {
    store: Arc<MemoryStore>,
    router: Router,
    keys: JwtKeys,
}

async fn app() -> App {
    let store = Arc::new(MemoryStore::default());
    catalogue::seed(&*store).await.unwrap();
    let port: Arc<dyn Store> = Arc::clone(&store) as _;
    let ledger = Ledger::new(Arc::clone(&port), Arc::new(Noon), Limits::default());
    let effects = Arc::new(StockEffects::new(ledger));
    let keys = JwtKeys::new(&"0123456789abcdef0123456789abcdef".parse().unwrap());
    let router = super::routes(port, Arc::new(Noon), effects, AdminGate::new(keys.clone()));
    App {
        store,
        router,
        keys,
    }
}

impl App {
    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    /// Asks as an operator.
    async fn admin(&self, path: &str) -> (StatusCode, Value) {
        let token = self.keys.mint("ana", "admin", Duration::from_mins(1));
        let request =
            Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", token.unwrap()));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn restock(&self, sku: &str, key: Option<&str>, body: &Value) -> (StatusCode, Value) {
        let token = self
            .keys
            .mint("ana", "admin", Duration::from_mins(1))
            .unwrap();
        let mut request = Request::post(format!("/admin/products/{sku}/restock"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    async fn document(&self, sku: &str) -> StockDocument {
        let stored = self
            .store
            .load(STOCK, &[sku])
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        StockDocument::decode(&stored.body).unwrap()
    }
}

#[tokio::test]
async fn a_new_installation_has_the_catalogue_of_the_contract() {
    let app = app().await;
    let (status, products) = app.get("/products").await;
    assert_eq!(status, StatusCode::OK);
    let products = products.as_array().unwrap();
    assert_eq!(products.len(), 110);
    for n in 1..=100 {
        let sku = format!("SKU-{n}");
        let product = products
            .iter()
            .find(|product| product["sku"] == *sku)
            .unwrap();
        assert_eq!(
            (&product["price"], &product["available"]),
            (&json!(10), &json!(1_000_000))
        );
    }
    let named = products
        .iter()
        .filter(|p| !p["sku"].as_str().unwrap().starts_with("SKU-"));
    assert_eq!(
        named
            .filter(|product| !product["name"].as_str().unwrap().is_empty())
            .count(),
        10
    );
    let (_, limited) = app.get("/products/LIMITED-1").await;
    let expected = json!({
        "sku": "LIMITED-1", "name": "Limited Stock Item", "price": 49.99, "initial": 5, "restocked": 0,
        "available": 5, "reserved": 0, "shipped": 0, "version": 1,
    });
    assert_eq!(limited, expected);
}

#[tokio::test]
async fn instances_that_start_together_or_later_seed_once() {
    let app = app().await;
    app.restock("LIMITED-1", Some("k"), &json!({ "qty": 2 }))
        .await;
    catalogue::seed(&*app.store).await.unwrap();
    assert_eq!(app.document("LIMITED-1").await.counters().available, 7);
    assert_eq!(app.store.count(STOCK).await.unwrap(), 110);
}

#[tokio::test]
async fn an_unknown_product_is_not_found() {
    let app = app().await;
    let (status, problem) = app.get("/products/NONE").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem["error"].as_str().unwrap().contains("NONE"));
    let (status, _) = app.restock("NONE", None, &json!({ "qty": 1 })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn one_damaged_document_does_not_hide_the_other_products() {
    let app = app().await;
    let write = sagaline_store::Write {
        id: "SKU-7".to_owned(),
        expected: 1,
        body: "{}".into(),
        index: sagaline_store::Index::default(),
    };
    app.store.save(STOCK, vec![write]).await.unwrap();
    let (_, products) = app.get("/products").await;
    assert_eq!(products.as_array().unwrap().len(), 109);
    assert_eq!(
        app.get("/products/SKU-7").await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn a_restock_is_added_and_says_who_what_and_when() {
    let app = app().await;
    let (status, answer) = app
        .restock("LIMITED-1", Some("k-1"), &json!({ "qty": 3 }))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        (&answer["ok"], &answer["repeated"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&answer["available"], &answer["restocked"]),
        (&json!(8), &json!(3))
    );
    assert_eq!(
        (&answer["commandId"], &answer["version"]),
        (&json!("k-1"), &json!(2))
    );
    let (_, product) = app.get("/products/LIMITED-1").await;
    assert_eq!(
        (&product["available"], &product["version"]),
        (&json!(8), &json!(2))
    );
    let document = app.document("LIMITED-1").await;
    let [restock] = document.restocks() else {
        panic!("{document:?}")
    };
    assert_eq!((restock.by.as_str(), restock.qty), ("ana", 3));
    assert_eq!(restock.at, Noon.now());
}

#[tokio::test]
async fn two_clicks_with_one_key_add_once_and_another_quantity_is_a_conflict() {
    let app = app().await;
    for repeated in [false, true] {
        let (status, answer) = app
            .restock("LIMITED-1", Some("k"), &json!({ "qty": 3 }))
            .await;
        assert_eq!(
            (status, &answer["repeated"]),
            (StatusCode::OK, &json!(repeated))
        );
        assert_eq!(answer["available"], 8);
    }
    let (status, _) = app
        .restock("LIMITED-1", Some("k"), &json!({ "qty": 4 }))
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
    // another product is another command
    let (status, _) = app.restock("SKU-1", Some("k"), &json!({ "qty": 4 })).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn operators_are_shown_who_added_what() {
    let app = app().await;
    for (sku, key, qty) in [("SKU-2", "b", 1), ("LIMITED-1", "c", 2), ("SKU-2", "a", 3)] {
        app.restock(sku, Some(key), &json!({ "qty": qty })).await;
    }
    // a second click is no second entry, and what was refused is none
    app.restock("SKU-2", Some("a"), &json!({ "qty": 3 })).await;
    app.restock("SKU-2", Some("a"), &json!({ "qty": 4 })).await;
    app.restock("SKU-2", Some("z"), &json!({ "qty": 0 })).await;
    let (status, entries) = app.admin("/admin/restocks").await;
    assert_eq!(status, StatusCode::OK);
    let entry = |sku: &str, key: &str, qty: u32| json!({ "commandId": key, "sku": sku, "qty": qty, "requestedBy": "ana", "at": "2026-01-31T12:00:00.000000Z" });
    // all at the same moment here: by product and command
    let all = [
        entry("LIMITED-1", "c", 2),
        entry("SKU-2", "a", 3),
        entry("SKU-2", "b", 1),
    ];
    assert_eq!(entries, json!(all));
    let (_, entries) = app.admin("/admin/restocks?sku=SKU-2&limit=1").await;
    assert_eq!(entries, json!(all[1..2]));
    let (_, entries) = app.admin("/admin/restocks?requestedBy=bob").await;
    assert_eq!(entries, json!([]));
    let (status, problem) = app.admin("/admin/restocks?limit=none").await;
    assert_eq!(
        (status, &problem["field"]),
        (StatusCode::BAD_REQUEST, &json!("limit"))
    );
}

#[tokio::test]
async fn without_a_key_each_request_adds() {
    let app = app().await;
    for available in [6, 7] {
        let (_, answer) = app.restock("LIMITED-1", None, &json!({ "qty": 1 })).await;
        assert_eq!(answer["available"], available);
    }
}

#[tokio::test]
async fn a_quantity_that_makes_no_sense_is_named() {
    let app = app().await;
    for body in [
        json!({ "qty": 0 }),
        json!({ "qty": 100_000_001 }),
        json!({ "qty": -1 }),
        json!({ "qty": 1.5 }),
        json!({ "qty": "1" }),
        json!({}),
    ] {
        let (status, problem) = app.restock("SKU-1", None, &body).await;
        assert_eq!(
            (status, &problem["field"]),
            (StatusCode::BAD_REQUEST, &json!("qty")),
            "{body}"
        );
    }
    assert_eq!(app.document("SKU-1").await.counters().restocked, 0);
}

#[tokio::test]
async fn a_key_must_be_short_and_printable() {
    let app = app().await;
    let long = "x".repeat(129);
    for key in ["", long.as_str(), "a\tb"] {
        let (status, problem) = app.restock("SKU-1", Some(key), &json!({ "qty": 1 })).await;
        let field = &problem["field"];
        assert_eq!(
            (status, field),
            (StatusCode::BAD_REQUEST, &json!("Idempotency-Key")),
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn only_an_admin_may_restock_or_see_who_did() {
    let app = app().await;
    let viewer = app
        .keys
        .mint("bob", "viewer", Duration::from_mins(1))
        .unwrap();
    for (authorization, expected) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("Bearer nonsense".to_owned()), StatusCode::UNAUTHORIZED),
        (Some(format!("Bearer {viewer}")), StatusCode::FORBIDDEN),
    ] {
        for mut request in [
            Request::post("/admin/products/SKU-1/restock"),
            Request::get("/admin/restocks"),
        ] {
            if let Some(value) = &authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let request = request.body(Body::from(r#"{"qty":1}"#)).unwrap();
            assert_eq!(app.send(request).await.0, expected);
        }
    }
    assert_eq!(app.document("SKU-1").await.counters().restocked, 0);
}

#[tokio::test]
async fn the_sums_of_every_product_add_up() {
    let app = app().await;
    app.restock("SKU-1", None, &json!({ "qty": 5 })).await;
    let (_, products) = app.get("/products").await;
    for product in products.as_array().unwrap() {
        let number = |name: &str| product[name].as_u64().unwrap();
        let there = number("available") + number("reserved") + number("shipped");
        assert_eq!(number("initial") + number("restocked"), there, "{product}");
    }
}

#[tokio::test]
async fn every_route_is_described_the_contract_s_are_there_and_answers_are_as_described() {
    let app = app().await;
    let description = agreed(app.router.clone()).await;
    let described = described(&description);
    for route in [
        "GET /products",
        "GET /products/{sku}",
        "POST /admin/products/{sku}/restock",
        "GET /admin/restocks",
        "GET /health",
        "GET /healthz",
        "GET /metrics",
    ] {
        assert!(described.contains(route), "{route} is not in {described:?}");
    }
    for (route, path, expected) in [
        ("GET /products", "/products", 200),
        ("GET /products/{sku}", "/products/LIMITED-1", 200),
        ("GET /products/{sku}", "/products/NONE", 404),
        ("GET /products/{sku}", "/products/%00%1b%5b2J", 404),
        ("GET /products/{sku}", "/products/%FF", 400),
    ] {
        let (status, answer) = app.get(path).await;
        assert_eq!(status, expected, "{path}: {answer}");
        let complaints = complaints(&description, route, expected, &answer);
        assert_eq!(complaints, Vec::<String>::new(), "{path}: {answer}");
    }
    app.restock("SKU-1", Some("k"), &json!({ "qty": 1 })).await;
    let (status, answer) = app.admin("/admin/restocks").await;
    let complaints = complaints(&description, "GET /admin/restocks", 200, &answer);
    assert_eq!(
        (status.as_u16(), complaints),
        (200, Vec::<String>::new()),
        "{answer}"
    );
}

#[tokio::test]
async fn hostile_whatever_a_restock_says_is_answered_as_described() {
    let description = agreed(app().await.router).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/commands");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let app = app().await;
        let token = app
            .keys
            .mint("ana", "admin", Duration::from_mins(1))
            .unwrap();
        let request = Request::post("/admin/products/SKU-1/restock")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(std::fs::read(&file).unwrap()))
            .unwrap();
        let (status, answer) = app.send(request).await;
        assert!(!status.is_server_error(), "{}: {answer}", file.display());
        let route = "POST /admin/products/{sku}/restock";
        let complaints = complaints(&description, route, status.as_u16(), &answer);
        assert_eq!(complaints, Vec::<String>::new(), "{}", file.display());
        files += 1;
    }
    assert!(files > 5, "the corpus is not where it should be");
}
