//! `stock`, `stats` and `rebuild`.

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::process::run;

fn product(sku: &str, available: u32) -> Value {
    json!({ "sku": sku, "name": "Thing", "price": 9.9, "available": available, "reserved": 1, "shipped": 2, "version": 3 })
}

#[tokio::test]
async fn the_stock_is_a_table() {
    let fake = Fake::start().await;
    fake.on(
        "GET /products",
        200,
        &json!([product("SKU-10", 5), product("SKU-2", 7)]),
    );
    let ran = run(&["stock", "--inventory", fake.address()]).await;
    let rows: Vec<Vec<&str>> = ran
        .exits(0)
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows[1], ["SKU-2", "Thing", "9.90", "7", "1", "2"]);
    assert_eq!(rows[2][0], "SKU-10");
    fake.on("GET /products/odd%20%2F", 200, &product("odd /", 0));
    let ran = run(&["stock", "odd /", "--inventory", fake.address(), "--json"]).await;
    assert_eq!(ran.json(), [product("odd /", 0)]);
}

#[tokio::test]
async fn restocking_is_an_operator_s_and_safe_to_repeat() {
    let fake = Fake::start().await;
    let restock = "POST /admin/products/SKU-1/restock";
    fake.on(
        restock,
        200,
        &json!({ "ok": true, "commandId": "c", "sku": "SKU-1", "available": 12 }),
    );
    let ran = run(&[
        "stock",
        "restock",
        "SKU-1",
        "5",
        "--inventory",
        fake.address(),
    ])
    .await;
    assert_eq!(ran.exits(0), "SKU-1: 5 more, 12 available now\n");
    let asked = fake.asked_once(restock);
    assert_eq!(asked.body, json!({ "qty": 5 }));
    assert_eq!(asked.operator().as_deref(), Some("ann"));
    assert!(!asked.headers["idempotency-key"].is_empty());
}

#[tokio::test]
async fn who_added_to_the_stock_is_shown_to_operators() {
    let fake = Fake::start().await;
    let restocks = "GET /admin/restocks?limit=1000";
    let entry = json!({ "commandId": "c-1", "sku": "SKU-1", "qty": 5, "requestedBy": "bo\u{1b}b", "at": "2026-01-31T12:00:00.123456Z" });
    fake.on(restocks, 200, &json!([entry]));
    let line = ["stock", "restocks", "--inventory", fake.address()];
    let ran = run(&line).await;
    let row = ran.exits(0).lines().nth(1).unwrap();
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[..2], ["2026-01-31", "12:00:00.123"]);
    assert_eq!(row[3..], ["SKU-1", "5", "c-1"]);
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    let asked = fake.asked_once(restocks);
    assert_eq!(asked.operator().as_deref(), Some("ann"));

    let his = "GET /admin/restocks?limit=1000&sku=SKU-1&requestedBy=bob";
    fake.on(his, 200, &json!([]));
    let asking = ["SKU-1", "--by", "bob"];
    let ran = run(&[&line[..], &asking].concat()).await;
    assert_eq!(ran.exits(0), "no restock is known\n");
}

#[tokio::test]
async fn stats_are_shown_for_people_and_as_they_came() {
    let fake = Fake::start().await;
    let stats = json!({
        "total": 4, "byStatus": { "SHIPPED": 3, "CREATED": 1 }, "byOutcome": { "CONFIRMED": 3, "PENDING": 1 }, "inFlight": 1,
        "stalled": 0, "counting": false, "throughput": { "created": { "1s": 1.0, "10s": 0.4, "60s": 0.1 } },
        "latencyMs": { "count": 3, "p50": 10.0, "p95": 11.0, "p99": 12.0, "max": 13.0 }, "projector": { "lagMs": 1.5 },
        "deadLetters": { "waiting": 2 }, "readers": { "feed": 1, "ordersWatched": 0 },
    });
    fake.on("GET /stats", 200, &stats);
    let ran = run(&["stats", "--read-model", fake.address()]).await;
    let shown = ran.exits(0);
    for part in [
        "orders      4\n",
        "dead        2 waiting",
        "p99 12.0 ms",
        "SHIPPED",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let ran = run(&["stats", "--json", "--read-model", fake.address()]).await;
    assert_eq!(ran.json(), [stats]);
}

#[tokio::test]
async fn a_rebuild_is_asked_of_the_service_that_has_the_store() {
    let fake = Fake::start().await;
    let line = ["rebuild", "read-model", "--read-model", fake.address()];
    let ran = run(&line).await;
    ran.exits(1);
    assert!(ran.stderr.contains("--mongo-url"), "{}", ran.stderr);
    fake.on(
        "POST /admin/rebuild",
        200,
        &json!({ "messages": 9, "orders": 2, "tookMs": 1500.0 }),
    );
    assert_eq!(
        run(&line).await.exits(0),
        "2 orders from 9 messages in 1.5s\n"
    );
    assert_eq!(fake.asked()[1].operator().as_deref(), Some("ann"));
}
