//! What a participant wants done in the world.

use std::convert::Infallible;

use async_trait::async_trait;
use sagaline_contracts::{EventId, OrderId};
use sagaline_saga::{EffectFailure, Participant};
use sagaline_store::StoreError;

use crate::BrokerError;

/// Carries out a participant's effects.
#[async_trait]
pub trait Effects<P: Participant>: Send + Sync + 'static {
    /// Carries out the effects of many orders at once; gives one result per request, in the same order. A request may come
    /// again after a crash: it must be idempotent for its order and attempt.
    ///
    /// # Errors
    /// The dependency as a whole is down. The runtime keeps the batch, backs off and asks again.
    async fn carry_out(
        &self,
        requests: &[EffectRequest<P::Effect>],
    ) -> Result<Vec<Result<P::Outcome, EffectFailure>>, Outage>;

    /// These orders' documents are saved, and everything that they caused is published. It is called for every order that was
    /// worked on, changed or not, and it must not wait.
    fn saved(&self, _saved: &[Saved<'_, P::State>]) {}
}

/// An order as its saved document has it. Another instance may have saved a later state since, never another history.
#[derive(Debug)]
pub struct Saved<'a, S> {
    /// The order.
    pub order_id: &'a OrderId,
    /// Its state.
    pub state: &'a S,
}

/// An effect, for one order, because of one event.
#[derive(Debug, Clone)]
pub struct EffectRequest<F> {
    /// The order.
    pub order_id: OrderId,
    /// The event that asked for it.
    pub event_id: EventId,
    /// What to do.
    pub effect: F,
}

/// A dependency as a whole is down. It is waited out; no order is the worse for it.
#[derive(Debug, thiserror::Error)]
#[error("{dependency} is unavailable")]
pub struct Outage {
    /// What is down: `store`, `kafka`, `gateway`, …
    pub dependency: &'static str,
    /// What it said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Outage {
    /// `dependency` is down.
    pub fn new(
        dependency: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            dependency,
            source: source.into(),
        }
    }

    /// The whole chain of what went wrong, for a log or a person.
    pub fn chain(&self) -> String {
        format!("{self}: {}", self.source_chain())
    }

    /// The same without the dependency.
    pub(crate) fn source_chain(&self) -> String {
        let mut text = self.source.to_string();
        let mut source: Option<&(dyn std::error::Error + 'static)> = self.source.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

impl From<StoreError> for Outage {
    fn from(error: StoreError) -> Self {
        Self::new("store", error)
    }
}

impl From<BrokerError> for Outage {
    fn from(error: BrokerError) -> Self {
        Self::new("kafka", error)
    }
}

/// For participants that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEffects;

#[async_trait]
impl<P: Participant<Effect = Infallible>> Effects<P> for NoEffects {
    async fn carry_out(
        &self,
        requests: &[EffectRequest<Infallible>],
    ) -> Result<Vec<Result<P::Outcome, EffectFailure>>, Outage> {
        match requests.first() {
            None => Ok(Vec::new()),
            Some(request) => match request.effect {},
        }
    }
}
