//! What other instances of this service save.
//!
//! Each instance projects the partitions that its group has given it, and tells its readers of them in process. Of all the others it
//! learns here: it follows every topic, from where the group has got to, and as soon as the store has what an event tells, it tells of the order as it is
//! stored. Nothing is told before it is saved, so whoever is told finds it there. What this instance has projected itself comes by here as
//! well and is told twice, which does no harm: a reader gets the events that it has not seen.
//!
//! An event is waited for whether anybody watches or not: whoever comes between its publication and its save has to be told, too. But an
//! order that nobody watches is asked for once, when it is quiet, and is forgotten when everything is there.

mod awaited;

use std::time::Duration;

use parking_lot::Mutex;
use sagaline_contracts::{Event, EventType, OrderId};
use sagaline_runtime::{BrokerError, Inbound, Tail};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::collections::{ORDERS, is_blank};
use crate::http::App;
use crate::projection::{Order, PROJECTOR};
use crate::projector::Projector;
use awaited::Awaited;

/// How long to wait before broker or store are asked again after an outage.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);
/// Orders that are looked at together.
const LOOKED_AT_ONCE: usize = 500;

/// What other instances of this service save. One that follows nobody waits for nothing.
#[derive(Debug, Default)]
pub struct Elsewhere {
    awaited: Mutex<Awaited>,
    /// Something is to be looked at sooner than before.
    sooner: Notify,
}

impl Elsewhere {
    /// Somebody watches this order from now on, and has loaded it.
    pub(crate) fn watched(&self, order: &OrderId) {
        self.awaited.lock().watched(order, Instant::now());
        self.sooner.notify_one();
    }

    /// Somebody reads the feed from now on.
    pub(crate) fn all_watched(&self) {
        self.awaited.lock().all_watched(Instant::now());
        self.sooner.notify_one();
    }

    /// Messages were published.
    fn published(&self, messages: &[Inbound]) {
        if sagaline_saga::planted!("others are not followed") {
            return;
        }
        let now = Instant::now();
        let mut awaited = self.awaited.lock();
        for message in messages {
            let kind = EventType::parse(&message.topic).unwrap_or(EventType::DeadLetter);
            let (key, value) = (message.key.as_deref(), message.value.as_deref());
            // What is no event will not be in any document.
            if let Ok(event) = Event::decode(kind, key, value)
                && let Some(order) = event.order_id
            {
                awaited.published(&order, event.id, now);
            }
        }
        drop(awaited);
        self.sooner.notify_one();
    }

    /// Waits for the next look.
    async fn until_due(&self) {
        loop {
            let due = self.awaited.lock().next_due();
            let sooner = self.sooner.notified();
            match due {
                None => sooner.await,
                Some(due) if due <= Instant::now() => return,
                Some(due) => {
                    // Whichever comes first.
                    drop(tokio::time::timeout_at(due, sooner).await);
                }
            }
        }
    }
}

/// Tells this instance's readers of what other instances save, until the shutdown.
pub(crate) async fn follow(app: &App, shutdown: &CancellationToken) {
    let following = async {
        tokio::join!(listen(app), look(app));
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = following => {}
    }
}

/// Hears of what is published.
async fn listen(app: &App) {
    let mut tail = open(app).await;
    // Whoever came before this may have missed something: readers of the feed come back, those of orders are told what is stored.
    app.hub.feed.cut();
    app.tell_watchers().await;
    loop {
        match tail.next().await {
            Ok(messages) => app.elsewhere.published(&messages),
            Err(error) => wait_out(&error).await,
        }
    }
}

async fn open(app: &App) -> Box<dyn Tail> {
    let topics = Projector::topics();
    loop {
        // What the group has committed is in the store.
        match app.ports.broker.tail(PROJECTOR, &topics).await {
            Ok(tail) => return tail,
            Err(error) => wait_out(&error).await,
        }
    }
}

async fn wait_out(error: &BrokerError) {
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "nobody says what other instances are about to save"
    );
    tokio::time::sleep(OUTAGE_PAUSE).await;
}

/// Looks for what was published, and tells of it when it is there.
async fn look(app: &App) {
    let elsewhere = &app.elsewhere;
    loop {
        elsewhere.until_due().await;
        let is_watched =
            |order: &OrderId| app.hub.feed.has_readers() || app.hub.watchers.is_watched(order);
        let due = elsewhere
            .awaited
            .lock()
            .due(Instant::now(), LOOKED_AT_ONCE, is_watched);
        if due.is_empty() {
            continue;
        }
        if !look_at(app, &due).await {
            tokio::time::sleep(OUTAGE_PAUSE).await;
        }
    }
}

/// Looks at these orders; says whether the store could be asked.
async fn look_at(app: &App, orders: &[OrderId]) -> bool {
    let ids: Vec<&str> = orders.iter().map(OrderId::as_str).collect();
    let loaded = app.ports.store.load(ORDERS, &ids).await;
    let now = Instant::now();
    let (documents, is_there) = match loaded {
        Ok(documents) => (documents, true),
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "nobody knows what other instances have saved"
            );
            (vec![None; orders.len()], false)
        }
    };
    for (id, document) in orders.iter().zip(documents) {
        // What cannot be read is for whoever projects it to say.
        let order = document
            .filter(|stored| !is_blank(stored))
            .and_then(|stored| Order::parse(&stored.body).ok());
        let has = |event: &_| {
            let order = order.as_ref();
            // One that is too long leaves events out.
            order.is_some_and(|order| order.knows(event) || order.is_truncated())
                || sagaline_saga::planted!("looked for once")
        };
        let is_news = app.elsewhere.awaited.lock().looked(id, has, now);
        if let Some(order) = order.filter(|_| is_news) {
            app.hub.announce(&order);
        }
    }
    is_there
}
