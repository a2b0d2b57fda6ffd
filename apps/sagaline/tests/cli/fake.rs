//! A service that answers as it is told, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use sagaline_service_kit::JwtKeys;
use serde_json::Value;

use crate::process::SECRET;

/// What it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Asked {
    /// Who asked, by a token that the services would accept.
    pub(crate) fn operator(&self) -> Option<String> {
        let token = self.headers.get("authorization")?.to_str().ok()?;
        let keys = JwtKeys::new(&SECRET.parse().unwrap());
        let claims = keys.verify(token.strip_prefix("Bearer ")?).ok()?;
        claims.has_role("admin").then_some(claims.sub)
    }
}

enum Reply {
    Plain(StatusCode, Vec<(&'static str, String)>, String),
    /// A stream that ends after its text, or stays open.
    Stream(String, bool),
}

#[derive(Default)]
struct Inner {
    replies: Mutex<HashMap<String, VecDeque<Reply>>>,
    asked: Mutex<Vec<Asked>>,
}

/// A service that answers as it is told. What it was told nothing about, it does not know (404).
#[derive(Clone)]
pub(crate) struct Fake {
    inner: Arc<Inner>,
    address: String,
}

impl Fake {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inner, address }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn tell(&self, request: &str, reply: Reply) -> &Self {
        let mut replies = self.inner.replies.lock().unwrap();
        replies
            .entry(request.to_owned())
            .or_default()
            .push_back(reply);
        drop(replies);
        self
    }

    /// How to answer `METHOD /target`: in this order, the last of them for ever.
    pub(crate) fn on(&self, request: &str, status: u16, body: &Value) -> &Self {
        self.on_with(request, status, &[], &body.to_string())
    }

    /// The same with headers and any text.
    pub(crate) fn on_with(
        &self,
        request: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> &Self {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        self.tell(
            request,
            Reply::Plain(status, headers.collect(), body.to_owned()),
        )
    }

    /// Answers with a stream that stays open.
    pub(crate) fn on_stream(&self, request: &str, messages: &[Value]) -> &Self {
        self.tell(request, Reply::Stream(sse(messages), false))
    }

    /// Answers with a stream that is cut after these.
    pub(crate) fn on_cut_stream(&self, request: &str, messages: &[Value]) -> &Self {
        self.tell(request, Reply::Stream(sse(messages), true))
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap().clone()
    }

    /// The one time that it was asked this.
    #[track_caller]
    pub(crate) fn asked_once(&self, request: &str) -> Asked {
        let (method, target) = request.split_once(' ').unwrap();
        let mut asked = self.asked();
        asked.retain(|asked| asked.method == method && asked.target == target);
        assert_eq!(asked.len(), 1, "{:#?}", self.asked());
        asked.remove(0)
    }
}

/// Messages as a stream has them: each with an id, and a heartbeat between them.
fn sse(messages: &[Value]) -> String {
    let mut text = "retry: 1000\nid: 0.\n\n: still here\n\n".to_owned();
    for message in messages {
        let id = message["eventId"].as_str().unwrap_or("none");
        write!(text, "id: after-{id}\ndata: {message}\n\n").unwrap();
    }
    text
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    inner.asked.lock().unwrap().push(Asked {
        method: method.to_string(),
        target: uri.to_string(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    let mut replies = inner.replies.lock().unwrap();
    let Some(queue) = replies.get_mut(&format!("{method} {uri}")) else {
        return (
            StatusCode::NOT_FOUND,
            r#"{"error":"the fake was not told about this"}"#,
        )
            .into_response();
    };
    let reply = if queue.len() > 1 {
        queue.pop_front()
    } else {
        None
    };
    respond(reply.as_ref().or(queue.front()).unwrap())
}

fn respond(reply: &Reply) -> Response {
    match reply {
        Reply::Plain(status, headers, body) => {
            let mut response = (*status, body.clone()).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        }
        Reply::Stream(text, is_cut) => {
            let first = stream::iter([Ok::<Bytes, Infallible>(text.clone().into())]);
            let body = if *is_cut {
                Body::from_stream(first)
            } else {
                Body::from_stream(first.chain(stream::pending()))
            };
            ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
    }
}
