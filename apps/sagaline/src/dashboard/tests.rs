//! The page's server, from the outside.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Upstreams, routes};

async fn ask(upstream: &str, request: Request<Body>) -> Response {
    let upstreams = Upstreams::new(upstream.into(), upstream.into(), upstream.into()).unwrap();
    routes(upstreams).oneshot(request).await.unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_deep_link_is_the_page_with_a_policy_that_allows_only_itself() {
    for path in ["/", "/orders/o-1", "/dead-letters"] {
        let response = ask("http://127.0.0.1:1", get(path)).await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("http"),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn only_known_services_are_asked_and_a_silent_one_is_said_to_be_so() {
    let unknown = ask("http://127.0.0.1:1", get("/api/payment/payments/o-1")).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let silent = ask("http://127.0.0.1:1", get("/api/order/orders/o-1")).await;
    assert_eq!(silent.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn path_query_body_and_known_headers_are_passed_on_and_others_are_not() {
    let echo = Router::new().route(
        "/orders/{id}",
        post(|request: axum::extract::Request| async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1_000).await.unwrap();
            Json(json!({
                "uri": parts.uri.to_string(),
                "key": parts.headers.get("idempotency-key").map(|v| v.to_str().unwrap()),
                "cookie": parts.headers.contains_key("cookie"),
                "body": String::from_utf8_lossy(&body),
            }))
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, echo).await });
    let request = Request::post("/api/order/orders/a%2Fb?x=%20y")
        .header("idempotency-key", "k-1")
        .header("cookie", "secret")
        .body(Body::from("{}"))
        .unwrap();
    let response = ask(&base, request).await;
    let body = axum::body::to_bytes(response.into_body(), 1_000)
        .await
        .unwrap();
    let heard: Value = serde_json::from_slice(&body).unwrap();
    let expected =
        json!({ "uri": "/orders/a%2Fb?x=%20y", "key": "k-1", "cookie": false, "body": "{}" });
    assert_eq!(heard, expected);
    serving.abort();
}
