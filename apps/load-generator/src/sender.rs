//! Sending orders over kept-alive connections, one order at a time on each.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{StatusCode, Uri};
use serde::Deserialize;
use tokio::time::Instant;

use crate::backlog::{Backlog, Due};
use crate::http::{Answer, BaseUrl, Client, HttpError};
use crate::ledger::Ledger;
use crate::mix::OrderMix;

/// How long an order may wait for its answer, once it was sent.
const POST_LIMIT: Duration = Duration::from_secs(10);

/// What every sender has in common.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) start: Instant,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) mix: OrderMix,
    pub(crate) target: Uri,
}

/// Microseconds since the start.
pub(crate) fn since_us(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Sends orders until the backlog is closed and empty.
pub(crate) async fn sender(sending: Arc<Sending>, base: BaseUrl) {
    let mut client = Client::new(base);
    while let Some(due) = sending.backlog.next().await {
        sending.send(&mut client, due).await;
    }
}

impl Sending {
    async fn send(&self, client: &mut Client, due: Due) {
        self.ledger
            .sending(since_us(self.start).saturating_sub(due.due_us));
        let body = Bytes::from(self.mix.body(due.order));
        let mut answer = client
            .post(self.target.clone(), body.clone(), POST_LIMIT)
            .await;
        // A server may close an idle connection just as it is used. The idempotency key makes the second try safe.
        if let Err(HttpError::Connection(_)) = answer {
            self.ledger.resent();
            answer = client.post(self.target.clone(), body, POST_LIMIT).await;
        }
        let now_us = since_us(self.start);
        match answer {
            Ok(answer) => self.answered(&answer, due, now_us),
            Err(error) => self.ledger.failed(error.kind(), now_us),
        }
    }

    fn answered(&self, answer: &Answer, due: Due, now_us: u64) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Accepted<'a> {
            order_id: &'a str,
        }

        match answer.status {
            StatusCode::CREATED | StatusCode::OK => {
                match serde_json::from_slice::<Accepted<'_>>(&answer.body) {
                    Ok(accepted) => self.ledger.accepted(accepted.order_id, due.due_us, now_us),
                    Err(_) => self
                        .ledger
                        .failed(format!("{} without an orderId", answer.status), now_us),
                }
            }
            StatusCode::SERVICE_UNAVAILABLE => self.ledger.refused(now_us),
            status => self.ledger.failed(complaint(status, &answer.body), now_us),
        }
    }
}

/// A status with the beginning of what the service said about it.
fn complaint(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: String,
    }

    match serde_json::from_slice::<Said>(body) {
        Ok(said) => format!(
            "{status}: {}",
            said.error.chars().take(120).collect::<String>()
        ),
        Err(_) => status.to_string(),
    }
}
