use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{HttpOptions, HttpStack, bind, serve};
use crate::extract::Json;
use crate::health::Health;
use crate::problem::PROBLEM_JSON;

const TEST_LIMIT: Duration = Duration::from_secs(20);

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = stream::iter([Ok(Event::default().data("first"))]);
    Sse::new(futures::StreamExt::chain(first, stream::pending()))
}

fn routes() -> Router {
    Router::new()
        .route("/orders/{id}", get(|| async { "an order" }))
        .route(
            "/orders",
            post(|Json(body): Json<Value>| async { Json(body) }),
        )
        .route("/events", get(events))
        .route("/slow", get(std::future::pending::<&'static str>))
        .route("/bug", get(bug))
}

async fn bug() -> &'static str {
    assert!(std::hint::black_box(false), "a bug");
    "no bug"
}

fn stack(options: HttpOptions) -> HttpStack {
    HttpStack {
        health: Health::new("order-service", &["kafka"]),
        cors: "http://localhost:5173".parse().unwrap(),
        shutdown: CancellationToken::new(),
        options,
    }
}

fn app() -> Router {
    stack(HttpOptions::default()).wrap(routes())
}

fn request(method: Method, uri: &str) -> Request {
    Request::builder()
        .method(method)
        .uri(uri)
        .body(Body::empty())
        .unwrap()
}

async fn call(app: &Router, request: Request) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_living_process_says_ok_whatever_it_depends_on() {
    let response = call(&app(), request(Method::GET, "/health")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(json(response).await, serde_json::json!({"ok": true}));
}

#[tokio::test]
async fn readiness_follows_the_dependencies() {
    let stack = stack(HttpOptions::default());
    let app = stack.wrap(routes());
    let response = call(&app, request(Method::GET, "/healthz")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    stack.health.up("kafka");
    let response = call(&app, request(Method::GET, "/healthz")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let report = json(response).await;
    assert_eq!(report["ok"], true);
    assert_eq!(report["service"], "order-service");
    assert_eq!(report["dependencies"]["kafka"]["state"], "up");
    assert!(report["ts"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn requests_are_measured_by_the_template_of_their_route() {
    let app = app();
    call(&app, request(Method::GET, "/orders/o-1")).await;
    call(&app, request(Method::GET, "/orders/o-2")).await;
    call(&app, request(Method::GET, "/no/such/path")).await;
    let response = call(&app, request(Method::GET, "/metrics")).await;
    let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
    assert!(content_type.starts_with("text/plain; version=0.0.4"));
    let text = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    let order =
        r#"http_request_duration_seconds_count{method="GET",path="/orders/:id",status="200"}"#;
    assert!(text.contains(order), "{text}");
    let unknown =
        r#"http_request_duration_seconds_count{method="GET",path="unmatched",status="404"}"#;
    assert!(text.contains(unknown), "{text}");
    assert!(
        !text.contains("o-1") && !text.contains("/no/such"),
        "{text}"
    );
}

#[tokio::test]
async fn an_unknown_route_is_a_problem() {
    let response = call(&app(), request(Method::GET, "/no/such/path")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    assert_eq!(
        json(response).await["error"],
        "there is no GET /no/such/path"
    );
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_that_says_what_is_allowed() {
    for (method, uri, allowed) in [
        (Method::DELETE, "/orders", "POST"),
        (Method::POST, "/orders/o-1", "GET,HEAD"),
        (Method::POST, "/health", "GET,HEAD"),
    ] {
        let response = call(&app(), request(method, uri)).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], allowed);
        assert_eq!(json(response).await["status"], 405);
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_problem_and_the_service_goes_on() {
    let app = app();
    let response = call(&app, request(Method::GET, "/bug")).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let problem = json(response).await;
    assert!(!problem.to_string().contains("a bug"), "{problem}");
    assert_eq!(
        call(&app, request(Method::GET, "/orders/1")).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_announced_body_over_the_limit_is_refused_before_it_is_read() {
    let unread = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let request = Request::post("/orders")
        .header(header::CONTENT_LENGTH, 64 * 1_024 + 1)
        .body(unread)
        .unwrap();
    let response = call(&app(), request).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(json(response).await["status"], 413);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_read_up_to_the_limit() {
    let chunks = |count| {
        let chunks = (0..count).map(|_| Ok::<_, Infallible>(Bytes::from(vec![b' '; 1_024])));
        let json = stream::iter(
            chunks
                .chain([Ok(Bytes::from_static(b"{}"))])
                .collect::<Vec<_>>(),
        );
        Request::post("/orders")
            .body(Body::from_stream(json))
            .unwrap()
    };
    assert_eq!(call(&app(), chunks(63)).await.status(), StatusCode::OK);
    assert_eq!(
        call(&app(), chunks(64)).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_answer_is_given_up() {
    let response = call(&app(), request(Method::GET, "/slow")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_come_back_while_health_still_answers() {
    let entered = Arc::new(Semaphore::new(0));
    let leave = Arc::new(Notify::new());
    let hold = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.add_permits(1);
            leave.notified().await;
            "held"
        }
    };
    let routes = Router::new().route("/hold", get(hold));
    let app = stack(HttpOptions {
        max_in_flight: 1,
        ..HttpOptions::default()
    })
    .wrap(routes);
    let first = tokio::spawn({
        let app = app.clone();
        async move { call(&app, request(Method::GET, "/hold")).await.status() }
    });
    entered.acquire().await.unwrap().forget();
    let refused = call(&app, request(Method::GET, "/hold")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert_eq!(
        call(&app, request(Method::GET, "/health")).await.status(),
        StatusCode::OK
    );
    leave.notify_one();
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    leave.notify_one();
    assert_eq!(
        call(&app, request(Method::GET, "/hold")).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_known_origin_may_call_and_an_unknown_one_may_not() {
    let from = |method: Method, origin: &str| {
        Request::builder()
            .method(method)
            .uri("/orders")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .body(Body::empty())
            .unwrap()
    };
    let app = app();
    let preflight = call(&app, from(Method::OPTIONS, "http://localhost:5173")).await;
    assert_eq!(preflight.status(), StatusCode::OK);
    assert_eq!(
        preflight.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "http://localhost:5173"
    );
    let allowed = preflight.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS]
        .to_str()
        .unwrap();
    assert!(
        allowed.contains("idempotency-key") && allowed.contains("authorization"),
        "{allowed}"
    );
    let errors_too = call(&app, from(Method::POST, "http://localhost:5173")).await;
    assert_eq!(errors_too.status(), StatusCode::BAD_REQUEST);
    assert!(
        errors_too
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
    let stranger = call(&app, from(Method::OPTIONS, "http://evil.example")).await;
    assert!(
        !stranger
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
}

#[tokio::test]
async fn answers_are_not_sniffed_and_not_kept_unless_the_handler_says_so() {
    let routes = routes().route(
        "/kept",
        get(|| async { [(header::CACHE_CONTROL, "max-age=60")].into_response() }),
    );
    let app = stack(HttpOptions::default()).wrap(routes);
    let response = call(&app, request(Method::GET, "/orders/1")).await;
    assert_eq!(
        response.headers()[header::X_CONTENT_TYPE_OPTIONS],
        "nosniff"
    );
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let kept = call(&app, request(Method::GET, "/kept")).await;
    assert_eq!(kept.headers()[header::CACHE_CONTROL], "max-age=60");
}

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<Result<(), Infallible>>,
}

impl Running {
    async fn start(routes: Router, options: HttpOptions) -> Self {
        let stack = stack(options);
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = stack.shutdown.clone();
        let server = tokio::spawn(serve(
            listener,
            stack.wrap(routes),
            shutdown.clone(),
            options,
        ));
        Self {
            address,
            shutdown,
            server,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn stopped(self) {
        tokio::time::timeout(TEST_LIMIT, self.server)
            .await
            .expect("the server did not stop")
            .unwrap()
            .unwrap();
    }
}

/// Reads until the server closes the connection.
async fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    tokio::time::timeout(TEST_LIMIT, read)
        .await
        .expect("the connection was not closed")
        .unwrap();
    String::from_utf8(text).unwrap()
}

async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut chunk = [0; 4_096];
        let read = tokio::time::timeout(TEST_LIMIT, stream.read(&mut chunk)).await;
        let read = read.expect("the answer did not come").unwrap();
        assert_ne!(read, 0, "closed before {wanted}: {text}");
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    text
}

#[tokio::test]
async fn a_client_that_drips_its_headers_is_cut_off() {
    let options = HttpOptions {
        header_read_timeout: Duration::from_millis(100),
        ..HttpOptions::default()
    };
    let server = Running::start(routes(), options).await;
    let stream = server
        .send("GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        .await;
    // Nothing more is sent: the end of the stream is the server's doing.
    read_to_end(stream).await;
}

#[tokio::test]
async fn shutdown_ends_event_streams_and_idle_connections_without_waiting_for_the_limit() {
    let options = HttpOptions {
        drain_limit: Duration::from_hours(1),
        ..HttpOptions::default()
    };
    let server = Running::start(routes(), options).await;
    let mut reader = server.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let received = read_until(&mut reader, "data: first").await;
    assert!(received.contains("text/event-stream"));
    let mut idle = server.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    read_until(&mut idle, r#"{"ok":true}"#).await;
    server.shutdown.cancel();
    let rest = read_to_end(reader).await;
    assert!(
        rest.ends_with("0\r\n\r\n"),
        "the stream was cut, not ended: {rest:?}"
    );
    read_to_end(idle).await;
    server.stopped().await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_server_stops() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let hold = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.notify_one();
            leave.notified().await;
            "finished"
        }
    };
    let server = Running::start(
        Router::new().route("/hold", get(hold)),
        HttpOptions::default(),
    )
    .await;
    let client = server.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
    entered.notified().await;
    server.shutdown.cancel();
    leave.notify_one();
    assert!(read_to_end(client).await.ends_with("finished"));
    server.stopped().await;
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_at_the_drain_limit() {
    let entered = Arc::new(Notify::new());
    let hold = {
        let entered = Arc::clone(&entered);
        move || async move {
            entered.notify_one();
            std::future::pending::<&'static str>().await
        }
    };
    let options = HttpOptions {
        drain_limit: Duration::from_millis(50),
        ..HttpOptions::default()
    };
    let server = Running::start(Router::new().route("/hold", get(hold)), options).await;
    let client = server.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
    entered.notified().await;
    server.shutdown.cancel();
    server.stopped().await;
    assert_eq!(read_to_end(client).await, "");
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_told_so_and_a_freed_place_is_given_again() {
    let options = HttpOptions {
        max_connections: 1,
        ..HttpOptions::default()
    };
    let server = Running::start(routes(), options).await;
    let mut first = server.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    read_until(&mut first, r#"{"ok":true}"#).await;
    let turned_away = server.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = read_to_end(turned_away).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("Retry-After: 1\r\n") && answer.contains("too many connections"),
        "{answer}"
    );
    drop(first);
    let again = async {
        loop {
            let next = server
                .send("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .await;
            if read_to_end(next).await.contains("200 OK") {
                break;
            }
        }
    };
    tokio::time::timeout(TEST_LIMIT, again)
        .await
        .expect("the place was not given again");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = bind(taken.local_addr().unwrap())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("--port"), "{error}");
}
