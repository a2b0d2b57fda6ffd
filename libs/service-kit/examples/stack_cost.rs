//! What the layers around a route cost, against the bare route:
//! `cargo run --release -p sagaline-service-kit --example stack_cost`.
//!
//! Both are driven in process, then over one loopback connection. The client's half of the loopback figures is the
//! same for both, so their difference is the stack's.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement stops where it cannot be made"
)]

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::post;
use sagaline_service_kit::clock::Stopwatch;
use sagaline_service_kit::http::{HttpOptions, HttpStack, bind, serve};
use sagaline_service_kit::{CorsOrigins, Health, Json};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const IN_PROCESS: u32 = 300_000;
const OVER_LOOPBACK: u32 = 60_000;
const ROUNDS: usize = 5;
const BODY: &str = r#"{"clientRequestId":"load-1-1","items":[{"sku":"SKU-1","qty":1,"price":10},{"sku":"SKU-2","qty":2,"price":10}],"total":30}"#;

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed for the sake of parsing")]
#[serde(rename_all = "camelCase")]
struct Order {
    client_request_id: String,
    items: Vec<Item>,
    total: u32,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed for the sake of parsing")]
struct Item {
    sku: String,
    qty: u32,
    price: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    order_id: &'static str,
}

const ACCEPTED: Accepted = Accepted {
    order_id: "0190a6d2-1f6b-7c3e-8a55-2f1d3c4b5a69",
};

fn bare() -> Router {
    Router::new().route(
        "/orders",
        post(|axum::Json(_): axum::Json<Order>| async { axum::Json(ACCEPTED) }),
    )
}

fn stacked() -> Router {
    let stack = HttpStack {
        health: Health::new("order-service", &[]),
        cors: CorsOrigins::These(vec![]),
        shutdown: CancellationToken::new(),
        options: HttpOptions::default(),
    };
    stack.wrap(Router::new().route(
        "/orders",
        post(|Json(_): Json<Order>| async { Json(ACCEPTED) }),
    ))
}

async fn in_process(router: &Router) -> f64 {
    let stopwatch = Stopwatch::start();
    for _ in 0..IN_PROCESS {
        let request = Request::post("/orders")
            .header("content-type", "application/json")
            .body(Body::from(BODY));
        let response = router.clone().oneshot(request.unwrap()).await.unwrap();
        assert!(response.status().is_success());
    }
    stopwatch.elapsed_seconds() * 1e6 / f64::from(IN_PROCESS)
}

async fn over_loopback(stream: &mut TcpStream) -> f64 {
    let length = BODY.len();
    let request = format!(
        "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{BODY}"
    );
    let mut answer = [0; 4_096];
    let stopwatch = Stopwatch::start();
    for _ in 0..OVER_LOOPBACK {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = 0;
        while !answer[..read].ends_with(b"}") {
            read += stream.read(&mut answer[read..]).await.unwrap();
        }
    }
    stopwatch.elapsed_seconds() * 1e6 / f64::from(OVER_LOOPBACK)
}

fn best(times: impl IntoIterator<Item = f64>) -> f64 {
    times.into_iter().fold(f64::INFINITY, f64::min)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (bare_router, stacked_router) = (bare(), stacked());
    let (mut bare_us, mut stacked_us) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare_us.push(in_process(&bare_router).await);
        stacked_us.push(in_process(&stacked_router).await);
    }
    println!(
        "in process     bare {:.2} us   stack {:.2} us",
        best(bare_us),
        best(stacked_us)
    );

    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let bare_address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, bare_router).await });
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let stacked_address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        stacked_router,
        CancellationToken::new(),
        HttpOptions::default(),
    ));

    let (mut bare_us, mut stacked_us) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare_us.push(over_loopback(&mut TcpStream::connect(bare_address).await.unwrap()).await);
        stacked_us
            .push(over_loopback(&mut TcpStream::connect(stacked_address).await.unwrap()).await);
    }
    println!(
        "over loopback  bare {:.2} us   stack {:.2} us",
        best(bare_us),
        best(stacked_us)
    );
}
