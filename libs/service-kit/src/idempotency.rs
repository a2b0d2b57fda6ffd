//! The `Idempotency-Key` header.

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;

use crate::problem::Problem;
use crate::text;

const HEADER: &str = "Idempotency-Key";

/// The `Idempotency-Key`, when the caller sent one: an argument of every handler that takes it.
///
/// 400 when it is sent twice, or is no short text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all(HEADER).iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(key), None) => key,
            (Some(_), Some(_)) => return Err(Problem::bad_request(HEADER, "must be sent once")),
        };
        std::str::from_utf8(HeaderValue::as_bytes(key))
            .ok()
            .filter(|key| text::is_short(key))
            .map(|key| Self(Some(key.to_owned())))
            .ok_or_else(|| Problem::bad_request(HEADER, text::RULE))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn read(keys: &[&[u8]]) -> Result<IdempotencyKey, Problem> {
        let mut request = Request::get("/");
        for key in keys {
            request = request.header(HEADER, HeaderValue::from_bytes(key).unwrap());
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        IdempotencyKey::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_key_is_any_short_text_or_none() {
        assert_eq!(read(&[]).await.unwrap(), IdempotencyKey(None));
        for key in ["k", "größer", &"é".repeat(128)] {
            let read = read(&[key.as_bytes()]).await.unwrap();
            assert_eq!(read, IdempotencyKey(Some(key.to_owned())));
        }
    }

    #[tokio::test]
    async fn two_keys_a_long_one_and_one_that_is_no_text_are_refused_by_name() {
        let long = "x".repeat(129);
        for keys in [
            &[&b"a"[..], b"b"][..],
            &[b""],
            &[b"a\tb"],
            &[b"\xff"],
            &[long.as_bytes()],
        ] {
            let problem = read(keys).await.unwrap_err();
            assert_eq!(problem.errors()[0].field, HEADER, "{keys:?}");
        }
    }
}
