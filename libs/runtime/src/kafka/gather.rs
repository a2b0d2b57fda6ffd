//! What a client has in its queue.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::message::BorrowedMessage;

use crate::{BrokerError, Inbound};

const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Errors that are taken at once; a client that is refused has more all the time.
pub(super) const ERRORS_MAX: usize = 1_000;

/// The messages that are there, as `own` makes them ours. The first one is waited for.
///
/// In an outage a client says several times a second that it lasts, whether somebody asks or not. All that gathered is taken at once: what was said before a
/// message is over, and if there is none the last error stands for all. One at a time, with the pause that each error is followed by,
/// they would keep the messages behind them waiting for seconds after the outage.
pub(super) fn gather<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    first: Duration,
    batch_max: usize,
    own: impl Fn(&BorrowedMessage<'_>) -> Inbound,
) -> Result<Vec<Inbound>, BrokerError> {
    let (mut batch, mut bytes, mut errors, mut last) = (Vec::new(), 0, 0, None);
    let mut wait = first;
    while batch.len() < batch_max && bytes < BATCH_BYTES_MAX && errors < ERRORS_MAX {
        match client.poll(wait) {
            None => break,
            Some(Ok(message)) => {
                bytes += message.payload_len();
                batch.push(own(&message));
            }
            Some(Err(error)) => {
                errors += 1;
                last = Some(error);
            }
        }
        wait = Duration::ZERO;
    }
    match last {
        // What was collected is handed on; the error comes again if it lasts.
        Some(error) if batch.is_empty() => {
            Err(BrokerError::unavailable("hand out messages", error))
        }
        _ => Ok(batch),
    }
}
