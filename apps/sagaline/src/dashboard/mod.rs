//! The dashboard: a page that is part of this binary, and a way for it to the services under the page's own origin.
//!
//! The browser talks to nobody but this server, so the page needs no configuration, no CORS, and its Content-Security-Policy
//! allows nothing but itself.

mod assets;
mod proxy;
mod serve;
#[cfg(test)]
mod tests;

use std::convert::Infallible;

use axum::Router;
use axum::routing::{any, get};
use sagaline_service_kit::{CorsOrigins, Health};

use sagaline_service_kit::http::{self, HttpOptions, HttpStack};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use proxy::Upstreams;
pub(crate) use serve::{DashboardArgs, serve};

/// Browsers that may be connected; each holds a stream or two.
const CONNECTIONS_MAX: usize = 1_024;
const IN_FLIGHT_MAX: usize = 256;

/// Serves the dashboard until `shutdown`.
pub(crate) async fn run(
    listener: TcpListener,
    upstreams: Upstreams,
    cors: CorsOrigins,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let options = HttpOptions {
        max_connections: CONNECTIONS_MAX,
        max_in_flight: IN_FLIGHT_MAX,
        ..HttpOptions::default()
    };
    let stack = HttpStack {
        health: Health::new("dashboard", &[]),
        cors,
        shutdown: shutdown.clone(),
        options,
    };
    let router = stack.wrap(routes(upstreams));
    http::serve(listener, router, shutdown, options).await
}

fn routes(upstreams: Upstreams) -> Router {
    Router::new()
        .route("/", get(assets::page))
        .route("/assets/{*path}", get(assets::asset))
        .route("/api/{service}/{*path}", any(proxy::forward))
        .with_state(upstreams)
        // A deep link is a page like the first one.
        .route("/{*path}", get(assets::page))
}
