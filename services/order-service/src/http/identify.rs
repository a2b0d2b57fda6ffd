//! The `Idempotency-Key` header.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use sagaline_service_kit::{FieldError, Problem};

use super::body::is_short_text;

const HEADER: &str = "Idempotency-Key";

/// The key, when the caller sent one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, FieldError> {
    let mut keys = headers.get_all(HEADER).iter();
    let key = match (keys.next(), keys.next()) {
        (None, _) => return Ok(None),
        (Some(key), None) => key,
        (Some(_), Some(_)) => return Err(FieldError::new(HEADER, "must be sent once")),
    };
    std::str::from_utf8(HeaderValue::as_bytes(key))
        .ok()
        .filter(|key| is_short_text(key))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| FieldError::new(HEADER, "must be 1 to 128 printable characters"))
}

/// The key as a handler's argument.
pub(super) struct IdempotencyKey(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        idempotency_key(&parts.headers)
            .map(Self)
            .map_err(|error| Problem::invalid(vec![error]))
    }
}
