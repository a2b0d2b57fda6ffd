use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::auth::{ADMIN_ROLE, JwtKeys};
use crate::problem::Problem;
use crate::rate_limit::{Allowance, RateLimiter, retry_after_seconds};

/// How often admin endpoints may be called.
#[derive(Debug, Clone, Copy)]
pub struct AdminLimits {
    /// Per signed-in subject.
    pub per_subject: Allowance,
    /// Failed sign-ins, per client address.
    pub failures_per_address: Allowance,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            per_subject: Allowance {
                per_second: 100,
                burst: 1_000,
            },
            failures_per_address: Allowance {
                per_second: 5,
                burst: 100,
            },
        }
    }
}

/// The gate before the admin endpoints: keys and limits. It stands in a router's state, where [`Admin`] finds it.
#[derive(Debug, Clone)]
pub struct AdminGate {
    keys: JwtKeys,
    subjects: RateLimiter,
    failures: RateLimiter,
}

impl AdminGate {
    /// A gate with the default limits.
    pub fn new(keys: JwtKeys) -> Self {
        Self::with_limits(keys, AdminLimits::default())
    }

    /// A gate with these limits.
    pub fn with_limits(keys: JwtKeys, limits: AdminLimits) -> Self {
        Self {
            keys,
            subjects: RateLimiter::new(limits.per_subject),
            failures: RateLimiter::new(limits.failures_per_address),
        }
    }

    fn admit(
        &self,
        authorization: Option<&[u8]>,
        address: Option<IpAddr>,
    ) -> Result<Admin, Problem> {
        let claims = bearer(authorization)
            .and_then(|token| {
                self.keys
                    .verify(token)
                    .map_err(|e| Problem::unauthorized(e.to_string()))
            })
            .map_err(|refusal| match self.failures.check(address) {
                Ok(()) => refusal,
                Err(wait) => Problem::too_many_requests(retry_after_seconds(wait)),
            })?;
        self.subjects
            .check(&claims.sub)
            .map_err(|wait| Problem::too_many_requests(retry_after_seconds(wait)))?;
        if !claims.has_role(ADMIN_ROLE) {
            return Err(Problem::forbidden(
                "this needs a token with the role `admin`",
            ));
        }
        Ok(Admin { sub: claims.sub })
    }
}

fn bearer(authorization: Option<&[u8]>) -> Result<&str, Problem> {
    let missing =
        || Problem::unauthorized("sign in: send a token as `Authorization: Bearer <token>`");
    let text = authorization
        .and_then(|value| std::str::from_utf8(value).ok())
        .ok_or_else(missing)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(missing()),
    }
}

/// An operator who has signed in and may operate: an argument of every admin handler.
///
/// 401 without a valid token, 403 without the role, 429 beyond the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Who it is, for the audit.
    pub sub: String,
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    AdminGate: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // The address of the connection: a forwarded one is whatever the client says it is.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer.map(|ConnectInfo(peer)| peer.ip());
        let authorization = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        AdminGate::from_ref(state).admit(authorization, address)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::http::{Request, StatusCode, header};
    use axum::response::Response;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    fn keys() -> JwtKeys {
        JwtKeys::new(&"0123456789abcdef0123456789abcdef".parse().unwrap())
    }

    fn app(limits: AdminLimits) -> Router {
        Router::new()
            .route("/admin", post(|admin: Admin| async { admin.sub }))
            .with_state(AdminGate::with_limits(keys(), limits))
    }

    async fn call(app: &Router, authorization: Option<&str>) -> Response {
        let mut request = Request::post("/admin");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap()
    }

    fn token(role: &str) -> String {
        let token = keys().mint("ana", role, Duration::from_mins(1)).unwrap();
        format!("Bearer {token}")
    }

    #[tokio::test]
    async fn an_admin_is_let_in_by_name() {
        let app = app(AdminLimits::default());
        for authorization in [token("admin"), token("admin").replace("Bearer", "bearer")] {
            let response = call(&app, Some(&authorization)).await;
            assert_eq!(response.status(), StatusCode::OK);
            let body = axum::body::to_bytes(response.into_body(), 100)
                .await
                .unwrap();
            assert_eq!(body, "ana");
        }
    }

    #[tokio::test]
    async fn a_missing_or_wrong_token_is_unauthorized_with_a_challenge() {
        let app = app(AdminLimits::default());
        for authorization in [
            None,
            Some("Bearer"),
            Some("Bearer x.y.z"),
            Some("Basic YTpi"),
            Some(""),
        ] {
            let response = call(&app, authorization).await;
            assert_eq!(
                response.status(),
                StatusCode::UNAUTHORIZED,
                "{authorization:?}"
            );
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        }
    }

    #[tokio::test]
    async fn a_valid_token_without_the_role_is_forbidden() {
        let response = call(&app(AdminLimits::default()), Some(&token("viewer"))).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn failures_beyond_the_allowance_are_told_to_wait_while_valid_tokens_pass() {
        let one = Allowance {
            per_second: 1,
            burst: 1,
        };
        let app = app(AdminLimits {
            failures_per_address: one,
            ..AdminLimits::default()
        });
        assert_eq!(call(&app, None).await.status(), StatusCode::UNAUTHORIZED);
        let refused = call(&app, None).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        assert_eq!(
            call(&app, Some(&token("admin"))).await.status(),
            StatusCode::OK
        );
    }

    #[tokio::test]
    async fn a_subject_beyond_its_allowance_is_told_to_wait() {
        let one = Allowance {
            per_second: 1,
            burst: 1,
        };
        let app = app(AdminLimits {
            per_subject: one,
            ..AdminLimits::default()
        });
        assert_eq!(
            call(&app, Some(&token("admin"))).await.status(),
            StatusCode::OK
        );
        let second = call(&app, Some(&token("admin"))).await;
        assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    }
}
