//! The HTTP server: one lean layer around a service's routes, and the loop that accepts connections.

mod govern;
mod refuse;
mod request_metrics;
mod routes;
mod serve;
mod until;

use std::time::Duration;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use crate::cors::CorsOrigins;
use crate::health::Health;
use govern::{Gate, GovernLayer};

pub use serve::{ServeError, bind, serve};
pub use until::until_shutdown;

/// The limits of one HTTP server.
#[derive(Debug, Clone, Copy)]
pub struct HttpOptions {
    /// The largest body that is read, in bytes.
    pub body_limit: usize,
    /// How long a handler may take to answer. Streams are not cut: their headers are their answer.
    pub request_timeout: Duration,
    /// Requests in flight; beyond it 503 with `Retry-After`. Streams do not count once their headers are sent.
    pub max_in_flight: usize,
    /// Open connections; beyond it a connection is answered with 503 and closed.
    pub max_connections: usize,
    /// How long a client may take to send its headers, and how long a connection may idle between requests.
    pub header_read_timeout: Duration,
    /// How long a client may leave unread what was sent to it, before its connection is cut.
    pub unread_limit: Duration,
    /// How long connections may take to finish when the server shuts down: less than the process may take in all
    /// ([`DRAIN_LIMIT`](crate::lifecycle::DRAIN_LIMIT)), so that what is left of them fails no stop.
    pub drain_limit: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            body_limit: 64 * 1_024,
            request_timeout: Duration::from_secs(30),
            max_in_flight: 2_048,
            max_connections: 16_384,
            header_read_timeout: Duration::from_secs(15),
            unread_limit: Duration::from_secs(30),
            drain_limit: Duration::from_secs(6),
        }
    }
}

/// What stands around a service's routes.
#[derive(Debug, Clone)]
pub struct HttpStack {
    /// What `/healthz` answers from.
    pub health: Health,
    /// Which pages may call.
    pub cors: CorsOrigins,
    /// Ends event streams when the process shuts down.
    pub shutdown: CancellationToken,
    /// The limits.
    pub options: HttpOptions,
}

impl HttpStack {
    /// The routes with everything around them: `/health`, `/healthz` and `/metrics`; problems for unknown routes and
    /// methods; limits of size, time and concurrency; panics as 500; CORS; the duration of each request as a metric.
    ///
    /// The routes must not have a fallback of their own.
    pub fn wrap(&self, routes: Router) -> Router {
        let domain = routes
            .fallback(routes::not_found)
            .method_not_allowed_fallback(routes::method_not_allowed);
        let domain = self.govern(domain, Gate::new(self.options.max_in_flight));
        // Not behind the same gate: an overloaded service still says that it lives.
        let standard = self.govern(routes::standard(self.health.clone()), Gate::new(usize::MAX));
        domain.merge(standard)
    }

    fn govern(&self, routes: Router, gate: Gate) -> Router {
        let govern = GovernLayer::new(gate, self.shutdown.clone(), &self.options);
        // One layer of layers: the router boxes each that it is given.
        routes.layer(ServiceBuilder::new().layer(self.cors.layer()).layer(govern))
    }
}

#[cfg(test)]
mod tests;
