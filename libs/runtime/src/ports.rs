//! What all services of a process share.

use std::sync::Arc;

use sagaline_saga::Clock;
use sagaline_store::Store;

use crate::Broker;

/// The world as a service sees it.
#[derive(Clone)]
pub struct Ports {
    /// Where documents are.
    pub store: Arc<dyn Store>,
    /// Where events are.
    pub broker: Arc<dyn Broker>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who is told what is up and what is down.
    pub health: Arc<dyn HealthSink>,
}

/// Is told what a service depends on, and whether it is there.
pub trait HealthSink: Send + Sync + 'static {
    /// The dependency works.
    fn up(&self, dependency: &'static str);
    /// The dependency does not work, and why.
    fn down(&self, dependency: &'static str, reason: &str);
}

/// Tells nobody.
#[derive(Debug, Default, Clone, Copy)]
pub struct SilentHealth;

impl HealthSink for SilentHealth {
    fn up(&self, _: &'static str) {}
    fn down(&self, _: &'static str, _: &str) {}
}
