//! The `Idempotency-Key` header.

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::text;

/// The `Idempotency-Key`, when the caller sent one: an argument of every handler that takes it.
///
/// 400 when it is sent twice, or is no short text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    pub(crate) const HEADER: &str = "Idempotency-Key";

    /// What a description says of the header: everything that is taken fits it, and what does not fit it is refused.
    ///
    /// It says less than the rule. Headers are bytes, and clients disagree about which stand for what is beyond ASCII (these are read
    /// as UTF-8), so no pattern over characters can tell all that is refused. White space around a key is no part of it.
    pub(crate) fn schema() -> Value {
        json!({
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            "pattern": r"^[^\u0000-\u0008\u000a-\u001f\u007f]+$",
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all(Self::HEADER).iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(key), None) => key,
            (Some(_), Some(_)) => {
                return Err(Problem::bad_request(Self::HEADER, "must be sent once"));
            }
        };
        std::str::from_utf8(HeaderValue::as_bytes(key))
            .ok()
            .filter(|key| text::is_short(key))
            .map(|key| Self(Some(key.to_owned())))
            .ok_or_else(|| Problem::bad_request(Self::HEADER, text::RULE))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn read(keys: &[&[u8]]) -> Result<IdempotencyKey, Problem> {
        let mut request = Request::get("/");
        for key in keys {
            request = request.header(
                IdempotencyKey::HEADER,
                HeaderValue::from_bytes(key).unwrap(),
            );
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
            assert_eq!(
                problem.errors()[0].field,
                IdempotencyKey::HEADER,
                "{keys:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_key_that_does_not_fit_the_description_is_refused_and_a_taken_one_fits() {
        let described = jsonschema::validator_for(&IdempotencyKey::schema()).unwrap();
        let printable: String = (' '..='~').collect();
        let long = "x".repeat(129);
        let mut keys = vec!["k", "^K '1Hs", "a b", "größer", &printable[1..], "", &long];
        let one_each: Vec<String> = ('\u{1}'..='\u{ff}').map(|c| format!("a{c}b")).collect();
        keys.extend(one_each.iter().map(String::as_str));
        let (mut taken, mut refused) = (0, 0);
        for key in keys {
            let fits = described.is_valid(&Value::from(key));
            // what is no header at all never arrives
            let is_header = HeaderValue::from_bytes(key.as_bytes()).is_ok();
            let is_taken = is_header && read(&[key.as_bytes()]).await.is_ok();
            assert!(fits || !is_taken, "{key:?} is taken and not described");
            assert!(
                !fits || is_taken || key.chars().any(|c| c == '\t' || !c.is_ascii()),
                "{key:?} is described and refused"
            );
            if is_taken { taken += 1 } else { refused += 1 }
        }
        assert!(taken > 150 && refused > 30, "{taken} {refused}");
    }
}
