//! Errors on the wire: `application/problem+json` (RFC 9457), which also carries `"error"` for older readers.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's path, such as `items[0].qty`.
    pub field: String,
    /// What is wrong, in words.
    pub message: String,
}

impl FieldError {
    /// A complaint about one field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// An error answer to an HTTP request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} {}: {}", .0.status.as_u16(), .0.kind, .0.detail)]
pub struct Problem(Box<Fields>);

#[derive(Debug, Clone)]
struct Fields {
    status: StatusCode,
    kind: &'static str,
    detail: Cow<'static, str>,
    instance: Option<String>,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    retry_after_s: Option<u64>,
    challenge: Option<&'static str>,
}

impl Problem {
    /// A problem of a kind that has no constructor of its own. The `kind` ends up in `type`, as
    /// `urn:sagaline:problem:<kind>`: a stable name that programs may branch on.
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Fields {
            status,
            kind,
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
            members: Map::new(),
            retry_after_s: None,
            challenge: None,
        }))
    }

    /// 400: one field of the request is wrong.
    pub fn bad_request(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, message)])
    }

    /// 400: several fields of the request are wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::with_errors(StatusCode::BAD_REQUEST, "invalid-request", errors)
    }

    /// 422: the request is well formed, yet cannot be carried out as it is.
    pub fn unprocessable(field: impl Into<String>, message: impl Into<String>) -> Self {
        let errors = vec![FieldError::new(field, message)];
        Self::with_errors(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", errors)
    }

    fn with_errors(status: StatusCode, kind: &'static str, errors: Vec<FieldError>) -> Self {
        let detail = errors
            .iter()
            .map(|e| format!("{}: {}", e.field, e.message))
            .collect::<Vec<_>>()
            .join("; ");
        let mut problem = Self::new(status, kind, detail);
        problem.0.errors = errors;
        problem
    }

    /// 404.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 409: the request contradicts the present state.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 401, with the challenge that RFC 6750 asks for. It never says which part of a token was wrong.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        problem.0.challenge = Some("Bearer");
        problem
    }

    /// 403: signed in, but not allowed.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::FORBIDDEN, "forbidden", detail);
        problem.0.challenge = Some(r#"Bearer error="insufficient_scope""#);
        problem
    }

    /// 413: the body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than the limit of {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// 415: the body's media type is not JSON.
    pub fn unsupported_media_type(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            detail,
        )
    }

    /// 429, with `Retry-After`.
    pub fn too_many_requests(retry_after_s: u64) -> Self {
        let detail = format!("too many requests: try again in {retry_after_s} s");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
        problem.retry_after(retry_after_s)
    }

    /// 503, with `Retry-After`.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, retry_after_s: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(retry_after_s)
    }

    /// 500. The cause is for the log; a caller learns only that it was not their fault.
    pub fn internal() -> Self {
        let detail = "the service failed to answer; the failure has been logged";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Names the very thing that the problem is about, as a URI reference.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.0.instance = Some(instance.into());
        self
    }

    /// Adds a member of our own, such as `orderId`. The standard members cannot be replaced.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(member.to_owned(), value.into());
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What is wrong, in words.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is wrong with which fields.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The problem as JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        let fields = &*self.0;
        let mut json = fields.members.clone();
        let status = fields.status;
        json.insert(
            "type".into(),
            format!("urn:sagaline:problem:{}", fields.kind).into(),
        );
        json.insert(
            "title".into(),
            status.canonical_reason().unwrap_or("Error").into(),
        );
        json.insert("status".into(), status.as_u16().into());
        json.insert("detail".into(), fields.detail.as_ref().into());
        json.insert("error".into(), fields.detail.as_ref().into());
        if let Some(instance) = &fields.instance {
            json.insert("instance".into(), instance.as_str().into());
        }
        if let Some(first) = fields.errors.first() {
            json.insert("field".into(), first.field.as_str().into());
            let errors = fields.errors.iter().map(|e| {
                let mut error = Map::new();
                error.insert("field".into(), e.field.as_str().into());
                error.insert("message".into(), e.message.as_str().into());
                Value::Object(error)
            });
            json.insert("errors".into(), errors.collect());
        }
        Value::Object(json).to_string().into_bytes()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.0.challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_json()).unwrap()
    }

    #[test]
    fn a_problem_carries_the_standard_members_and_error() {
        let problem = Problem::not_found("order o-1 does not exist").instance("/orders/o-1");
        assert_eq!(
            json(&problem),
            serde_json::json!({
                "type": "urn:sagaline:problem:not-found", "title": "Not Found", "status": 404,
                "detail": "order o-1 does not exist", "error": "order o-1 does not exist",
                "instance": "/orders/o-1",
            })
        );
    }

    #[test]
    fn an_invalid_request_names_the_first_field_and_lists_them_all() {
        let problem = Problem::invalid(vec![
            FieldError::new("items[0].qty", "must be at least 1"),
            FieldError::new("total", "must not be negative"),
        ]);
        let json = json(&problem);
        assert_eq!(json["field"], "items[0].qty");
        assert_eq!(json["errors"][1]["field"], "total");
        assert_eq!(
            json["error"],
            "items[0].qty: must be at least 1; total: must not be negative"
        );
    }

    #[test]
    fn own_members_cannot_replace_standard_ones() {
        let json = json(
            &Problem::conflict("in flight")
                .with("orderId", "o-1")
                .with("status", 200),
        );
        assert_eq!(json["orderId"], "o-1");
        assert_eq!(json["status"], 409);
    }

    #[test]
    fn unavailable_says_when_to_try_again() {
        let response = Problem::unavailable("the queue is full", 2).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    }

    #[test]
    fn unauthorized_carries_the_bearer_challenge() {
        let response = Problem::unauthorized("sign in").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
