//! Which pages in a browser may call a service.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember the answer to its preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(1);

/// The origins that may call, as configured by `CORS_ORIGIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Any page. Tokens travel in a header and never in cookies, so this gives no page more than a command line has.
    Any,
    /// These pages. An empty list is none.
    These(Vec<HeaderValue>),
}

/// An origin is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no origin: use scheme://host[:port] without a path, such as http://localhost:5173, or * for any"
)]
pub struct BadOrigin(String);

impl FromStr for CorsOrigins {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let entries = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let mut origins = Vec::new();
        for entry in entries {
            if entry == "*" {
                return Ok(Self::Any);
            }
            origins.push(origin(entry).ok_or_else(|| BadOrigin(entry.to_owned()))?);
        }
        Ok(Self::These(origins))
    }
}

fn origin(text: &str) -> Option<HeaderValue> {
    // A trailing slash is a common slip, and browsers never send one.
    let text = text.strip_suffix('/').unwrap_or(text);
    let (scheme, host) = text.split_once("://")?;
    let known = matches!(scheme, "http" | "https");
    let plain = !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']);
    (known && plain).then(|| HeaderValue::from_str(text).ok())?
}

impl CorsOrigins {
    /// The layer that answers preflights and marks answers.
    pub(crate) fn layer(&self) -> CorsLayer {
        let allowed = match self {
            Self::Any => AllowOrigin::any(),
            Self::These(origins) => AllowOrigin::list(origins.iter().cloned()),
        };
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("idempotency-key"),
                HeaderName::from_static("last-event-id"),
            ])
            .expose_headers([header::LINK, header::RETRY_AFTER, header::LOCATION])
            .max_age(PREFLIGHT_MAX_AGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_a_star_and_nothing_are_understood() {
        let these = |list: &[&'static str]| {
            CorsOrigins::These(list.iter().map(|o| HeaderValue::from_static(o)).collect())
        };
        assert_eq!("*".parse(), Ok(CorsOrigins::Any));
        assert_eq!("http://a:1, *".parse(), Ok(CorsOrigins::Any));
        assert_eq!("".parse(), Ok(these(&[])));
        assert_eq!(
            "http://localhost:5173, https://ops.example/".parse(),
            Ok(these(&["http://localhost:5173", "https://ops.example"]))
        );
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in [
            "localhost:5173",
            "http://",
            "http://a/path",
            "ftp://a",
            "http://*.a",
        ] {
            assert_eq!(
                wrong.parse::<CorsOrigins>(),
                Err(BadOrigin(wrong.to_owned()))
            );
        }
    }
}
