//! What a service depends on and whether it can work just now.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use crate::clock::{SystemClock, rfc3339};

/// Where a dependency stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DependencyState {
    /// It works.
    Up,
    /// It does not work, so the service is not ready.
    Down,
}

#[derive(Debug, Clone)]
struct Dependency {
    state: DependencyState,
    reason: Option<String>,
    since_micros: i64,
}

/// One dependency as `/healthz` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DependencyReport {
    /// Up or down.
    pub state: DependencyState,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in this state, RFC 3339.
    pub since: String,
}

/// What `/healthz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HealthReport {
    /// Whether the service can work.
    pub ok: bool,
    /// The service's name.
    pub service: String,
    /// The time of the answer, RFC 3339.
    pub ts: String,
    /// Everything that the service named as a dependency.
    pub dependencies: BTreeMap<String, DependencyReport>,
}

/// The shared record of a service's dependencies: the runtime writes it, `/healthz` reads it.
///
/// A service is ready when all its dependencies are up. One without dependencies is always ready.
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: String,
    dependencies: Mutex<BTreeMap<String, Dependency>>,
    ready: watch::Sender<bool>,
}

impl Health {
    /// A record in which each of the `dependencies` is down until it is said to be up.
    pub fn new(service: impl Into<String>, dependencies: &[&str]) -> Self {
        let since_micros = SystemClock.now_micros();
        let dependencies: BTreeMap<_, _> = dependencies
            .iter()
            .map(|&name| {
                let starting = Dependency {
                    state: DependencyState::Down,
                    reason: Some("starting".to_owned()),
                    since_micros,
                };
                (name.to_owned(), starting)
            })
            .collect();
        let ready = watch::Sender::new(dependencies.is_empty());
        Self(Arc::new(Inner {
            service: service.into(),
            dependencies: Mutex::new(dependencies),
            ready,
        }))
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// Says that a dependency works.
    pub fn up(&self, dependency: &str) {
        self.set(dependency, DependencyState::Up, None);
    }

    /// Says that a dependency does not work, and why.
    pub fn down(&self, dependency: &str, reason: impl Into<String>) {
        self.set(dependency, DependencyState::Down, Some(reason.into()));
    }

    fn set(&self, name: &str, state: DependencyState, reason: Option<String>) {
        let mut dependencies = self.0.dependencies.lock();
        match dependencies.get_mut(name) {
            Some(known) if known.state == state => {
                known.reason = reason;
                return;
            }
            Some(known) => {
                known.state = state;
                known.reason.clone_from(&reason);
                known.since_micros = SystemClock.now_micros();
            }
            None => {
                let since_micros = SystemClock.now_micros();
                let new = Dependency {
                    state,
                    reason: reason.clone(),
                    since_micros,
                };
                dependencies.insert(name.to_owned(), new);
            }
        }
        let ready = dependencies
            .values()
            .all(|d| d.state == DependencyState::Up);
        // Sent under the lock, so that two changes cannot be announced in the wrong order.
        self.0
            .ready
            .send_if_modified(|known| std::mem::replace(known, ready) != ready);
        drop(dependencies);
        let service = self.0.service.as_str();
        match state {
            DependencyState::Up => tracing::info!(service, dependency = name, "dependency is up"),
            DependencyState::Down => {
                let reason = reason.unwrap_or_default();
                tracing::warn!(service, dependency = name, reason, "dependency is down");
            }
        }
    }

    /// Whether the service can work just now.
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Waits until the service can work.
    pub async fn ready(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.0.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// What `/healthz` answers just now.
    pub fn report(&self) -> HealthReport {
        let dependencies = self.0.dependencies.lock();
        let shown = dependencies
            .iter()
            .map(|(name, dependency)| {
                let report = DependencyReport {
                    state: dependency.state,
                    reason: dependency.reason.clone(),
                    since: rfc3339(dependency.since_micros),
                };
                (name.clone(), report)
            })
            .collect();
        HealthReport {
            ok: dependencies
                .values()
                .all(|d| d.state == DependencyState::Up),
            service: self.0.service.clone(),
            ts: rfc3339(SystemClock.now_micros()),
            dependencies: shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_not_ready_until_every_dependency_is_up() {
        let health = Health::new("order-service", &["kafka", "store"]);
        assert!(!health.is_ready());
        health.up("kafka");
        assert!(!health.is_ready());
        health.up("store");
        assert!(health.is_ready());
        assert!(health.report().ok);
    }

    #[test]
    fn a_dependency_that_goes_down_names_the_reason_and_makes_the_service_unready() {
        let health = Health::new("order-service", &["store"]);
        health.up("store");
        health.down("store", "connection refused");
        let report = health.report();
        assert!(!report.ok && !health.is_ready());
        assert_eq!(report.dependencies["store"].state, DependencyState::Down);
        assert_eq!(
            report.dependencies["store"].reason.as_deref(),
            Some("connection refused")
        );
    }

    #[test]
    fn a_repeated_report_renews_the_reason_but_not_the_time() {
        let health = Health::new("order-service", &[]);
        health.down("store", "timeout");
        let first = health.report().dependencies["store"].clone();
        health.down("store", "connection refused");
        let second = health.report().dependencies["store"].clone();
        assert_eq!(first.since, second.since);
        assert_eq!(second.reason.as_deref(), Some("connection refused"));
    }

    #[test]
    fn a_service_without_dependencies_is_ready_from_the_start() {
        assert!(Health::new("dashboard", &[]).is_ready());
    }

    #[tokio::test]
    async fn waiting_for_readiness_ends_when_the_last_dependency_comes_up() {
        let health = Health::new("order-service", &["kafka"]);
        let waiting = tokio::spawn({
            let health = health.clone();
            async move { health.ready().await }
        });
        health.up("kafka");
        waiting.await.unwrap();
    }
}
