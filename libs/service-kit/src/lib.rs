//! What every service needs around its domain: configuration, HTTP, sign-in, health, telemetry, lifecycle.
//!
//! A service's process is put together like this:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use sagaline_service_kit::http::{HttpOptions, HttpStack, serve};
//! use sagaline_service_kit::{CorsOrigins, Health, Lifecycle, lifecycle::DRAIN_LIMIT};
//!
//! # async fn start(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! let life = Lifecycle::new();
//! life.listen_for_signals()?;
//! let health = Health::new("order-service", &["kafka", "store"]);
//! let stack = HttpStack {
//!     health: health.clone(),
//!     cors: "http://localhost:5173".parse::<CorsOrigins>()?,
//!     shutdown: life.shutdown_token(),
//!     options: HttpOptions::default(),
//! };
//! let router = stack.wrap(Router::new().route("/orders/{id}", get(|| async { "an order" })));
//! life.spawn("http", serve(listener, router, life.shutdown_token(), stack.options));
//! // ... the runtime's tasks, which call health.up("kafka") and health.down("store", "why")
//! life.run(DRAIN_LIMIT).await;
//! # Ok(())
//! # }
//! ```

pub mod auth;
pub mod clock;
pub mod config;
mod cors;
pub mod extract;
mod health;
pub mod http;
mod idempotency;
pub mod ids;
pub mod lifecycle;
pub mod openapi;
mod paging;
pub mod problem;
pub mod rate_limit;
pub mod secret;
pub mod telemetry;
mod text;

pub use auth::{Admin, AdminGate, JwtKeys};
pub use cors::{BadOrigin, CorsOrigins};
pub use extract::{Json, Path, Query};
pub use health::{DependencyReport, DependencyState, Health, HealthReport};
pub use idempotency::IdempotencyKey;
pub use lifecycle::Lifecycle;
pub use openapi::{Api, Operation};
pub use paging::page_limit;
pub use problem::{FieldError, Problem};
