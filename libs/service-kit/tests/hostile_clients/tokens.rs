//! Tokens that are not ours open nothing, and trying is limited.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sagaline_service_kit::rate_limit::Allowance;
use serde_json::json;

use super::*;

fn token(header: &Value, claims: &Value, secret: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let algorithm = match header["alg"].as_str() {
        Some("HS512") => jsonwebtoken::Algorithm::HS512,
        _ => jsonwebtoken::Algorithm::HS256,
    };
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

fn alg(alg: &str) -> Value {
    json!({ "alg": alg, "typ": "JWT" })
}

fn claims() -> Value {
    json!({ "sub": "ana", "role": "admin", "exp": 9_999_999_999_i64 })
}

fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

async fn operate(server: &Server, token: &str) -> String {
    let request = format!(
        "POST /admin HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    server.answer(request.as_bytes()).await
}

/// Signed with the right secret, but not as ours are; or with another secret.
fn wrong() -> Vec<(&'static str, String)> {
    let ours = |claims: Value| token(&alg("HS256"), &claims, SECRET);
    let unsigned = token(&alg("none"), &claims(), SECRET);
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    let own_key = json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "AAAA" } });
    let path = json!({ "alg": "HS256", "kid": "../../dev/null" });
    vec![
        ("forged", token(&alg("HS256"), &claims(), &"x".repeat(32))),
        ("signed with nothing", token(&alg("HS256"), &claims(), "")),
        ("expired", ours(but("exp", json!(1)))),
        ("without exp", ours(but("exp", Value::Null))),
        ("exp as text", ours(but("exp", json!("9999999999")))),
        ("not yet valid", ours(but("nbf", json!(9_999_999_998_i64)))),
        ("none", format!("{unsigned}.")),
        ("None, signed", token(&alg("None"), &claims(), SECRET)),
        ("HS512", token(&alg("HS512"), &claims(), SECRET)),
        (
            "RS256, our secret as its public key",
            token(&alg("RS256"), &claims(), SECRET),
        ),
        ("ES256", token(&alg("ES256"), &claims(), SECRET)),
        ("without alg", token(&json!({}), &claims(), SECRET)),
        ("for another audience", ours(but("aud", json!("billing")))),
        (
            "a subject that breaks lines",
            ours(but("sub", json!("a\nb"))),
        ),
        (
            "a role as an object",
            ours(but("role", json!({ "admin": true }))),
        ),
        ("a key of its own", token(&own_key, &claims(), "\0\0\0")),
        ("a path as its key", token(&path, &claims(), "")),
        ("no token", String::new()),
    ]
}

#[tokio::test]
async fn tokens_that_are_not_ours_open_nothing() {
    let server = Server::start(HttpOptions::default()).await;
    let good = token(&alg("HS256"), &claims(), SECRET);
    let answer = operate(&server, &good).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for (what, token) in wrong() {
        let answer = operate(&server, &token).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{what}: {answer}");
        let lower = answer.to_ascii_lowercase();
        assert!(
            lower.contains("\r\nwww-authenticate: bearer\r\n"),
            "{answer}"
        );
        assert!(!answer.contains(SECRET), "{answer}");
    }
}

#[tokio::test]
async fn a_good_token_without_the_role_is_told_that_it_may_not() {
    let server = Server::start(HttpOptions::default()).await;
    for role in [
        json!(null),
        json!("viewer"),
        json!(""),
        json!("Admin"),
        json!("admin "),
    ] {
        let token = token(&alg("HS256"), &but("role", role.clone()), SECRET);
        let answer = operate(&server, &token).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{role}: {answer}");
    }
}

#[tokio::test]
async fn who_fails_to_sign_in_too_often_is_told_to_wait_while_operators_go_on() {
    let limits = AdminLimits {
        failures_per_address: Allowance {
            per_second: 1,
            burst: 3,
        },
        ..AdminLimits::default()
    };
    let server = Server::with_limits(HttpOptions::default(), limits).await;
    let good = keys().mint("ana", "admin", Duration::from_mins(1)).unwrap();
    let mut waits = 0;
    for _ in 0..20 {
        let answer = operate(&server, "x.y.z").await;
        if answer.starts_with("HTTP/1.1 429 ") {
            let lower = answer.to_ascii_lowercase();
            assert!(lower.contains("\r\nretry-after: 1\r\n"), "{answer}");
            waits += 1;
        }
        let answer = operate(&server, &good).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(waits > 0, "nobody was told to wait");
}
