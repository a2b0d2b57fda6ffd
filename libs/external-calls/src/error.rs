//! Why a call did not get an answer.

/// An error of any kind, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call did not get an answer. A refusal is an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The party as a whole is down: no order is the worse for it, all calls are made again once it is back.
    #[error("the other side is down")]
    Outage(#[source] BoxError),
    /// This call failed and may work later, with the same key.
    #[error("{0}")]
    Transient(String),
    /// This call will never work as it is: a person has to look at it.
    #[error("{0}")]
    Permanent(String),
}
