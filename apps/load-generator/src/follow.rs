//! Following orders to their outcomes: over the feed, and by asking where the feed was interrupted.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backlog::{Backlog, Due};
use crate::http::{BaseUrl, Client, HttpError, Stream, next_page, segment};
use crate::ledger::{Ledger, LostOrder, Source};
use crate::sender::since_us;
use crate::sse::Events;
use crate::update::{Update, each_update};

/// One message per batch of orders where the server can do so; others ignore it.
const FEED: &str = "/orders/stream?batch=true";

/// How long an answer to a question may take.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// A feed sends a heartbeat every 15 s. After more than two of them it is dead, whatever the connection says.
const SILENCE_LIMIT: Duration = Duration::from_secs(35);

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(1);

/// Connections that ask for single orders at the end.
const ASKERS: usize = 8;

/// How often a single order is asked for before it counts as lost.
const ASK_ATTEMPTS: u32 = 3;

/// The read model, as one run sees it.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    pub(crate) base: BaseUrl,
    pub(crate) ledger: Arc<Ledger>,
}

impl Follower {
    /// Opens the feed.
    pub(crate) async fn open(&self) -> Result<Stream, HttpError> {
        Client::new(self.base.clone()).stream(FEED, ASK_LIMIT).await
    }

    /// Reads the feed until it is told to stop; reconnects, and then asks for what it missed.
    pub(crate) async fn follow(
        self,
        mut stream: Stream,
        start: Instant,
        mut stop: oneshot::Receiver<()>,
    ) {
        let mut missed = false;
        loop {
            let reading = self.read(&mut stream, start);
            let catching_up = async {
                if missed {
                    // Should it fail, the orders are asked for one by one at the end.
                    let _ = self.catch_up(start).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = reading => {}
                () = catching_up => {}
                _ = &mut stop => return,
            }
            tokio::select! {
                reopened = self.reopen() => stream = reopened,
                _ = &mut stop => return,
            }
            self.ledger.reconnected();
            missed = true;
        }
    }

    /// Reads until the feed ends, breaks or falls silent.
    async fn read(&self, stream: &mut Stream, start: Instant) {
        let mut events = Events::default();
        while let Ok(Ok(Some(piece))) = tokio::time::timeout(SILENCE_LIMIT, stream.next()).await {
            let now_us = since_us(start);
            let fed = events.feed(&piece, |data| {
                // What is no update is not about an order of ours.
                let _ = each_update(data, |update| self.take(update, Source::Feed, now_us));
            });
            if fed.is_err() {
                return;
            }
        }
    }

    fn take(&self, update: &Update<'_>, source: Source, now_us: u64) {
        if let (Some(order_id), Some(outcome)) = (update.order_id(), update.outcome()) {
            self.ledger.outcome(order_id, outcome, source, now_us);
        }
    }

    async fn reopen(&self) -> Stream {
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.open().await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(backoff).await,
            }
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }

    /// Reads the list of orders, newest update first, for as many pages as the open orders can fill, twice over.
    async fn catch_up(&self, start: Instant) -> Result<(), HttpError> {
        let mut client = Client::new(self.base.clone());
        let mut page = Some("/orders?limit=100".to_owned());
        let mut pages_left = 10 + self.ledger.open_count() / 50;
        while let Some(path) = page.take().filter(|_| pages_left > 0) {
            let answer = client.get(&path, ASK_LIMIT).await?;
            if answer.status != StatusCode::OK {
                return Err(HttpError::Status(answer.status));
            }
            let now_us = since_us(start);
            let _ = each_update(&answer.body, |update| {
                self.take(update, Source::Asked, now_us);
            });
            pages_left -= 1;
            page = next_page(&answer.headers);
        }
        Ok(())
    }

    /// Asks for every order that is still open; returns those that have no outcome even so.
    pub(crate) async fn ask_for_open(&self, start: Instant) -> Vec<LostOrder> {
        let open = Arc::new(Backlog::default());
        let ids = Arc::new(self.ledger.open());
        for order in 0..ids.len() as u64 {
            open.put(Due { order, due_us: 0 });
        }
        open.close();
        // Dropped with this future, when nobody waits for it any more.
        let mut askers = JoinSet::new();
        for _ in 0..ASKERS.min(ids.len()) {
            askers.spawn(
                self.clone()
                    .asker(Arc::clone(&open), Arc::clone(&ids), start),
            );
        }
        let mut lost = Vec::new();
        while let Some(asked) = askers.join_next().await {
            lost.extend(asked.unwrap_or_default());
        }
        lost
    }

    async fn asker(
        self,
        open: Arc<Backlog>,
        ids: Arc<Vec<Box<str>>>,
        start: Instant,
    ) -> Vec<LostOrder> {
        let mut client = Client::new(self.base.clone());
        let mut lost = Vec::new();
        while let Some(due) = open.next().await {
            let Some(order_id) = usize::try_from(due.order).ok().and_then(|n| ids.get(n)) else {
                continue;
            };
            let state = self.ask(&mut client, order_id, start).await;
            // The feed may have been faster.
            if self.ledger.is_open(order_id) {
                lost.push(LostOrder {
                    order_id: order_id.to_string(),
                    state,
                });
            }
        }
        lost
    }

    async fn ask(&self, client: &mut Client, order_id: &str, start: Instant) -> String {
        let path = format!("/orders/{}", segment(order_id));
        let mut state = String::new();
        for attempt in 0..ASK_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(FIRST_BACKOFF * 4_u32.pow(attempt)).await;
            }
            match client.get(&path, ASK_LIMIT).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    let now_us = since_us(start);
                    let read = each_update(&answer.body, |update| {
                        state = update.state();
                        self.take(update, Source::Asked, now_us);
                    });
                    return read.map_or_else(|error| format!("unreadable: {error}"), |()| state);
                }
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
                    return "unknown to the read model".to_owned();
                }
                Ok(answer) => state = answer.status.to_string(),
                Err(error) => state = error.kind(),
            }
        }
        state
    }
}
