//! What a running service has around it.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use sagaline_contracts::Timestamp;
use sagaline_runtime::{HealthSink, Ports};
use sagaline_saga::Clock;
use sagaline_service_kit::auth::{AdminLimits, JwtKeys};
use sagaline_service_kit::clock::SystemClock;
use sagaline_service_kit::config::LimitArgs;
use sagaline_service_kit::http::{self, HttpOptions, HttpStack};
use sagaline_service_kit::{AdminGate, CorsOrigins, Health, Problem, ids};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The machine's clock as the runtime's port.
#[derive(Debug, Clone, Copy, Default)]
pub struct KitClock;

impl Clock for KitClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now_micros())
    }
}

/// The kit's health record as the runtime's port.
#[derive(Debug, Clone)]
pub struct KitHealth(pub Health);

impl HealthSink for KitHealth {
    fn up(&self, dependency: &'static str) {
        self.0.up(dependency);
    }

    fn down(&self, dependency: &'static str, reason: &str) {
        self.0.down(dependency, reason);
    }
}

/// Where a service's requests come in.
#[derive(Debug)]
pub enum Front {
    /// A port of this machine.
    Listener(TcpListener),
    /// Callers in the same process: they get the routes, with everything around them.
    InProcess(oneshot::Sender<Router>),
}

impl From<TcpListener> for Front {
    fn from(listener: TcpListener) -> Self {
        Self::Listener(listener)
    }
}

/// How soon it is worth while to ask a service again that waits.
const RETRY_AFTER_S: u64 = 2;

async fn waits() -> Problem {
    let why = "the service waits for what it depends on; /healthz says for what";
    Problem::unavailable(why, RETRY_AFTER_S)
}

/// What a running service has around it.
#[derive(Clone)]
pub struct ServiceHost {
    /// The world: store, broker, clock, and the health record as a sink.
    pub ports: Ports,
    /// What `/healthz` answers from.
    pub health: Health,
    /// Who may sign in.
    pub keys: JwtKeys,
    /// How often they may call admin endpoints.
    pub admin_limits: AdminLimits,
    /// Which pages may call.
    pub cors: CorsOrigins,
    /// The limits of the HTTP server.
    pub http: HttpOptions,
    /// Draws the ids of what starts outside and brings none.
    pub draw_id: fn() -> Uuid,
    /// Cancelled when the service shall stop: take no new work, finish what was begun, return.
    pub shutdown: CancellationToken,
}

impl ServiceHost {
    /// A host for `service` on these ports; the ports' health sink is replaced by the service's own record.
    pub fn new(
        service: &str,
        ports: Ports,
        keys: JwtKeys,
        cors: CorsOrigins,
        shutdown: CancellationToken,
    ) -> Self {
        // The runtime says `up` when it has reached them.
        let health = Health::new(service, &["kafka", "store"]);
        let ports = Ports {
            health: Arc::new(KitHealth(health.clone())),
            ..ports
        };
        Self {
            ports,
            health,
            keys,
            admin_limits: AdminLimits::default(),
            cors,
            http: HttpOptions::default(),
            draw_id: ids::random_uuid,
            shutdown,
        }
    }

    /// The same host with limits that were configured.
    #[must_use]
    pub fn with_limits(mut self, limits: &LimitArgs) -> Self {
        self.admin_limits = limits.admin();
        self.http.max_connections = usize::try_from(limits.max_connections).unwrap_or(usize::MAX);
        self
    }

    /// What stands before the admin endpoints.
    pub fn gate(&self) -> AdminGate {
        AdminGate::with_limits(self.keys.clone(), self.admin_limits)
    }

    /// Answers `/health`, `/healthz` and `/metrics` of a service that has to wait for what it depends on, and everything else with 503,
    /// until `until`; then it leaves the port to whoever has another handle of it.
    pub(crate) async fn serve_waiting(
        &self,
        listener: TcpListener,
        until: CancellationToken,
    ) -> anyhow::Result<()> {
        let waiting = Self {
            shutdown: until,
            ..self.clone()
        };
        let routes = Router::new()
            .route("/", any(waits))
            .route("/{*path}", any(waits));
        waiting.serve(listener, routes).await
    }

    /// Serves `routes` with everything around them until the shutdown, then drains.
    pub async fn serve(&self, front: impl Into<Front>, routes: Router) -> anyhow::Result<()> {
        let stack = HttpStack {
            health: self.health.clone(),
            cors: self.cors.clone(),
            shutdown: self.shutdown.clone(),
            options: self.http,
        };
        let routes = stack.wrap(routes);
        match front.into() {
            Front::Listener(listener) => {
                http::serve(listener, routes, self.shutdown.clone(), self.http).await?;
            }
            Front::InProcess(callers) => {
                // Whoever has gone will not call; the service runs all the same.
                let _ = callers.send(routes);
                self.shutdown.cancelled().await;
            }
        }
        Ok(())
    }
}
