//! The way from the page to the services: known prefixes, known headers, and streams that are passed on as they come.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::response::Response;
use sagaline_service_kit::Problem;

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Streams say every 15 s that they are still there; whoever is silent for longer than this is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(40);
const BODY_LIMIT: usize = 64 * 1_024;
const RETRY_AFTER_S: u64 = 1;

/// What of a request is passed on.
const ASKED: [HeaderName; 5] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
];
/// What of an answer is.
const ANSWERED: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::LINK,
    header::RETRY_AFTER,
    header::LOCATION,
    header::WWW_AUTHENTICATE,
];

/// Where the services are.
#[derive(Debug, Clone)]
pub(crate) struct Upstreams {
    http: reqwest::Client,
    order: String,
    inventory: String,
    read_model: String,
}

impl Upstreams {
    /// The services at these base URLs.
    pub(crate) fn new(
        order: String,
        inventory: String,
        read_model: String,
    ) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            order,
            inventory,
            read_model,
        })
    }

    fn base(&self, service: &str) -> Option<&str> {
        match service {
            "order" => Some(&self.order),
            "inventory" => Some(&self.inventory),
            "read-model" => Some(&self.read_model),
            _ => None,
        }
    }
}

/// `/api/{service}/…`: the service's own answer.
pub(super) async fn forward(
    State(upstreams): State<Upstreams>,
    Path((service, _)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let base = upstreams
        .base(&service)
        .ok_or_else(|| Problem::not_found("there is no such service here"))?;
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Err(Problem::not_found("only GET and POST are passed on"));
    }
    // The path as it was sent: taken apart and put together again it might be another one.
    let path_and_query = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    let prefix = "/api/".len() + service.len();
    let rest = path_and_query.get(prefix..).unwrap_or("/");
    let url = format!("{base}{rest}");
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| Problem::too_large(BODY_LIMIT))?;
    let mut asked = upstreams
        .http
        .request(parts.method, url)
        .headers(only(&ASKED, &parts.headers));
    if !body.is_empty() {
        asked = asked.body(body);
    }
    let answer = asked.send().await.map_err(|error| {
        tracing::debug!(%error, service, "a service does not answer the dashboard");
        Problem::unavailable(
            format!("the {service} service does not answer; try again"),
            RETRY_AFTER_S,
        )
    })?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = only(&ANSWERED, answer.headers());
    Ok(response.map(|_| Body::from_stream(answer.bytes_stream())))
}

fn only(names: &[HeaderName], headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in names {
        for value in headers.get_all(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}
