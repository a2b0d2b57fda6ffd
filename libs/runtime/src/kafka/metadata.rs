//! What the broker says about itself, or why it does not.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::Metadata;

/// Events of a client that are looked through for why it got no answer; a refused client has a few of them a second.
const EVENTS_MAX: usize = 1_000;

/// Why the broker says nothing about itself.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It does not let us in.
    #[error(
        "it refuses the sign-in: check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and the password"
    )]
    SignIn,
    /// It cannot be talked to in confidence.
    #[error(
        "no TLS connection comes about: check KAFKA_SECURITY_PROTOCOL, that the broker's certificate is for the name in \
         KAFKA_BROKERS, and that KAFKA_SSL_CA or the system knows who signed it"
    )]
    Tls,
    /// Anything else.
    #[error(transparent)]
    Client(KafkaError),
}

/// What the broker has. To a client that is refused the broker is just away; what it was refused for it learns beside that.
pub fn metadata<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    limit: Duration,
) -> Result<Metadata, MetadataError> {
    let fetched = client.fetch_metadata(None, limit);
    fetched.map_err(|error| refusal(client).unwrap_or(MetadataError::Client(error)))
}

fn refusal<C: ConsumerContext>(client: &BaseConsumer<C>) -> Option<MetadataError> {
    let refusals = events(client).filter_map(|event| match event.err()?.rdkafka_error_code()? {
        RDKafkaErrorCode::Authentication => Some(MetadataError::SignIn),
        RDKafkaErrorCode::SSL => Some(MetadataError::Tls),
        _ => None,
    });
    // All are taken: what is old must not explain a later outage.
    let mut latest = None;
    for refusal in refusals {
        latest = Some(refusal);
    }
    latest
}

/// What a client has to say besides its answers.
fn events<C: ConsumerContext>(
    client: &BaseConsumer<C>,
) -> impl Iterator<Item = Result<BorrowedMessage<'_>, KafkaError>> {
    // A line for the log is an event too, and looks like none: so nothing does not mean that nothing follows.
    (0..EVENTS_MAX).filter_map(|_| client.poll(Duration::ZERO))
}

/// Takes what a client has to say, which it keeps for whoever asks, and forgets it.
pub(super) fn drain<C: ConsumerContext>(client: &BaseConsumer<C>) {
    events(client).for_each(drop);
}
