//! Extractors whose rejections are [`Problem`]s.

use std::time::Duration;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, Visitor};

use crate::problem::Problem;

/// How long a client may take to send a body, once its headers are there.
const BODY_READ_LIMIT: Duration = Duration::from_secs(5);

/// A JSON body, in or out. What cannot be read is answered with a problem that names the field.
///
/// A body without a content type is read as JSON; one with another content type is refused.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let body = read_body(request, state).await?;
        parse_json(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Reads the whole body, within the limits of size and time.
pub async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_READ_LIMIT, Bytes::from_request(request, state)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) => Err(unreadable(&rejection)),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "request-timeout",
            "the body did not arrive in time",
        )),
    }
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = "the body is larger than this service accepts";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail);
    }
    Problem::bad_request("body", "could not be read to its end")
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    if is_json(content_type) {
        return Ok(());
    }
    Err(Problem::unsupported_media_type(
        "the body must be JSON: send it with Content-Type: application/json",
    ))
}

fn is_json(content_type: &HeaderValue) -> bool {
    // Nearly every client sends just this.
    if content_type.as_bytes() == b"application/json" {
        return true;
    }
    let Ok(text) = content_type.to_str() else {
        return false;
    };
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Parses JSON. The path to a wrong field is only looked for once parsing has failed, so good requests pay nothing for it.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    read::<T>(body).map_err(|error| explain::<T>(body, &error))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = T::deserialize(ObjectOnly(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}

/// Reads structs from objects alone: serde would take their fields from an array as well, in an order that is nobody's business.
struct ObjectOnly<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectOnly<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn explain<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    if body.is_empty() {
        return Problem::bad_request("body", "is empty: send JSON");
    }
    if !error.is_data() {
        return Problem::bad_request("body", format!("is not valid JSON: {error}"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(ObjectOnly(&mut deserializer)) {
        Err(located) => {
            let message = without_position(&located.inner().to_string());
            Problem::bad_request(field_path(&located.path().to_string(), &message), message)
        }
        Ok(_) => Problem::bad_request("body", without_position(&error.to_string())),
    }
}

/// `serde_json` ends its messages with the position, which says less than the path of the field.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message.to_owned(),
    }
}

/// A field that is missing is reported at its parent: its own name stands in the message.
fn field_path(parent: &str, message: &str) -> String {
    let parent = if parent == "." { "" } else { parent };
    let missing = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    match (parent, missing) {
        ("", Some(field)) => field.to_owned(),
        ("", None) => "body".to_owned(),
        (parent, Some(field)) => format!("{parent}.{field}"),
        (parent, None) => parent.to_owned(),
    }
}

/// The query string. What cannot be read is a problem.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::bad_request("query", rejection.body_text())),
        }
    }
}

/// The parameters of the path. What cannot be read is a problem.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(rejection) => Err(Problem::bad_request("path", rejection.body_text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use serde::Deserialize;
    use tower::ServiceExt;

    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    struct Item {
        sku: String,
        qty: u32,
    }

    #[derive(Debug, Deserialize, Serialize)]
    struct Order {
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    struct Page {
        limit: u8,
    }

    fn app() -> Router {
        Router::new()
            .route(
                "/orders",
                post(|Json(order): Json<Order>| async { Json(order) }),
            )
            .route(
                "/page",
                get(|Query(page): Query<Page>| async move { page.limit.to_string() }),
            )
            .route(
                "/n/{n}",
                get(|Path(n): Path<u8>| async move { n.to_string() }),
            )
    }

    async fn send(request: Request) -> (StatusCode, serde_json::Value) {
        let response = app().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 65_536)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn post_orders(
        content_type: Option<&str>,
        body: &str,
    ) -> (StatusCode, serde_json::Value) {
        let mut request = Request::post("/orders");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    const GOOD: &str = r#"{"items":[{"sku":"SKU-1","qty":1}]}"#;

    #[tokio::test]
    async fn json_is_accepted_with_a_json_type_a_charset_a_suffix_or_no_type_at_all() {
        for content_type in [
            Some("application/json"),
            Some("Application/JSON; charset=utf-8"),
            Some("application/vnd.order+json"),
            None,
        ] {
            let (status, body) = post_orders(content_type, GOOD).await;
            assert_eq!(status, StatusCode::OK, "{content_type:?}: {body}");
        }
    }

    #[tokio::test]
    async fn another_content_type_is_refused_and_told_what_to_send() {
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "text/x+json",
        ] {
            let (status, body) = post_orders(Some(content_type), GOOD).await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
            assert!(body["error"].as_str().unwrap().contains("application/json"));
        }
    }

    #[tokio::test]
    async fn a_wrong_type_names_the_path_of_the_field() {
        let (status, body) = post_orders(None, r#"{"items":[{"sku":"SKU-1","qty":"x"}]}"#).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["field"], "items[0].qty");
        assert!(!body["error"].as_str().unwrap().contains("line"), "{body}");
    }

    #[tokio::test]
    async fn a_missing_field_is_named_with_its_path() {
        let (_, body) = post_orders(None, r#"{"items":[{"sku":"SKU-1"}]}"#).await;
        assert_eq!(body["field"], "items[0].qty");
        let (_, body) = post_orders(None, "{}").await;
        assert_eq!(body["field"], "items");
    }

    #[tokio::test]
    async fn broken_json_and_an_empty_body_are_bad_requests() {
        for (sent, said) in [
            ("{\"items\":[", "not valid JSON"),
            ("", "empty"),
            ("7", "body"),
        ] {
            let (status, body) = post_orders(None, sent).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert_eq!(body["field"], "body", "{body}");
            assert!(body["error"].as_str().unwrap().contains(said), "{body}");
        }
    }

    #[tokio::test]
    async fn an_array_is_no_object_however_well_its_elements_fit() {
        let (status, body) = post_orders(None, r#"[[{"sku":"SKU-1","qty":1}]]"#).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(body["field"], "body");
    }

    #[tokio::test]
    async fn a_bad_query_and_a_bad_path_are_problems() {
        for (uri, field) in [("/page?limit=many", "query"), ("/n/x", "path")] {
            let (status, body) = send(Request::get(uri).body(Body::empty()).unwrap()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert_eq!(body["field"], field);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_arrives_is_given_up() {
        let endless =
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let (status, _) = send(Request::post("/orders").body(endless).unwrap()).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    }
}
