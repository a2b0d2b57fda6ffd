//! Receives batches, hands them on, waits out outages, commits.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sagaline_contracts::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::{BrokerError, Consumer, Inbound, Outage, Ports};

const JOIN_LIMIT: Duration = Duration::from_secs(20);
/// The dependencies by their names in the health record.
const KAFKA: &str = "kafka";
const STORE: &str = "store";
const JOIN_POLL: Duration = Duration::from_millis(10);

/// What a service does with messages.
#[async_trait]
pub trait BatchHandler: Send + Sync {
    /// Handles a batch. When it returns, everything that the batch caused is durable and acknowledged.
    ///
    /// # Errors
    /// A dependency is down: the same messages come again.
    async fn handle(&self, batch: &[Inbound]) -> Result<(), Outage>;

    /// Connects to what the first batch will need. It is called until it succeeds, while the group forms.
    async fn prepare(&self) -> Result<(), Outage> {
        Ok(())
    }

    /// Does what is due without a message.
    async fn tick(&self, _now: Timestamp) -> Result<(), Outage> {
        Ok(())
    }
}

/// How a consumer loop runs.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// How often [`BatchHandler::tick`] is called.
    pub tick_interval: Duration,
    /// How long the batch in hand may still take at a shutdown; then it is left to the next start.
    pub drain_limit: Duration,
    /// How often the broker is asked whether it is there.
    pub ping_interval: Duration,
    /// How long leaving the group may take.
    pub close_limit: Duration,
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self {
            tick_interval: Duration::from_millis(500),
            // Together with leaving the group it is less than the process has to drain: what comes after it needs time as well.
            drain_limit: Duration::from_secs(4),
            ping_interval: Duration::from_secs(2),
            close_limit: Duration::from_secs(2),
        }
    }
}

/// Why a service's consumer ended.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// It could not be started.
    #[error("the consumer of {service} could not be started")]
    Start {
        /// The service.
        service: String,
        /// What the broker said.
        #[source]
        source: BrokerError,
    },
}

/// Receives batches for one service until it is told to stop.
pub struct ConsumerLoop {
    service: &'static str,
    topics: Vec<&'static str>,
    handler: Arc<dyn BatchHandler>,
    ports: Ports,
    options: LoopOptions,
    /// Whether a batch is in hand that an outage keeps from being done.
    stuck: AtomicBool,
}

/// Why a consumer is read no more.
enum End {
    Stopped,
    Replaced(BrokerError),
}

impl ConsumerLoop {
    /// A loop for `service`, which is its consumer group too.
    pub fn new(
        service: &'static str,
        topics: Vec<&'static str>,
        handler: Arc<dyn BatchHandler>,
        ports: Ports,
        options: LoopOptions,
    ) -> Self {
        Self {
            service,
            topics,
            handler,
            ports,
            options,
            stuck: AtomicBool::new(false),
        }
    }

    /// Runs until `shutdown`; finishes the batch in hand, commits and leaves the group.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RuntimeError> {
        let mut backoff = Backoff::new();
        let standstills = crate::metrics::standstills(self.service);
        loop {
            let Some(mut consumer) = self.connect(&shutdown).await? else {
                return Ok(());
            };
            tokio::join!(
                self.wait_until_joined(consumer.as_mut(), &shutdown),
                self.prepare(&shutdown)
            );
            let end = tokio::select! {
                biased;
                end = self.consume(consumer.as_mut(), &shutdown) => end,
                never = self.watch_broker() => match never {},
            };
            consumer.close(self.options.close_limit).await;
            let End::Replaced(error) = end else {
                return Ok(());
            };
            if matches!(error, BrokerError::StoodStill { .. }) {
                standstills.increment(1);
            }
            self.note(&error.into());
            // Two processes with one id would throw each other out: less and less often.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    async fn consume(&self, consumer: &mut dyn Consumer, shutdown: &CancellationToken) -> End {
        let mut ticks = tokio::time::interval(self.options.tick_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        if consumer.joined() {
            self.ports.health.up(KAFKA);
        }
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return End::Stopped,
                _ = ticks.tick() => self.tick(shutdown).await,
                polled = consumer.next() => match polled {
                    Ok(None) => return End::Stopped,
                    Ok(Some(batch)) => self.process(consumer, batch, shutdown).await,
                    Err(
                        error @ (BrokerError::Replaced { .. } | BrokerError::StoodStill { .. }),
                    ) => return End::Replaced(error),
                    Err(error) => {
                        self.note(&error.into());
                        tokio::time::sleep(Backoff::new().next()).await;
                    }
                },
            }
        }
    }

    /// A consumer that nothing comes to cannot tell an idle pipeline from a broker that is gone, so somebody asks.
    async fn watch_broker(&self) -> Infallible {
        loop {
            tokio::time::sleep(self.options.ping_interval).await;
            match self.ports.broker.ping().await {
                // Who has a batch in hand that cannot be done knows better.
                Ok(()) if self.stuck.load(Ordering::Acquire) => {}
                Ok(()) => self.ports.health.up(KAFKA),
                Err(error) => {
                    let outage = Outage::from(error);
                    self.ports.health.down(outage.dependency, &outage.chain());
                }
            }
        }
    }

    async fn connect(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Box<dyn Consumer>>, RuntimeError> {
        let mut backoff = Backoff::new();
        loop {
            match self.ports.broker.consumer(self.service, &self.topics).await {
                Ok(consumer) => return Ok(Some(consumer)),
                Err(source @ (BrokerError::Settings { .. } | BrokerError::Topics(_))) => {
                    return Err(RuntimeError::Start {
                        service: self.service.to_owned(),
                        source,
                    });
                }
                Err(error) => self.note(&error.into()),
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(None),
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    /// A service that is not in its group yet would keep its first orders waiting: it is not ready. A group that takes long
    /// to form is no reason to leave what is due undone, so this ends by itself.
    async fn wait_until_joined(&self, consumer: &mut dyn Consumer, shutdown: &CancellationToken) {
        let give_up = tokio::time::Instant::now() + JOIN_LIMIT;
        while !consumer.joined() && tokio::time::Instant::now() < give_up {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(JOIN_POLL) => {}
            }
        }
    }

    /// What is not connected by then is connected by the first batch.
    async fn prepare(&self, shutdown: &CancellationToken) {
        let give_up = tokio::time::Instant::now() + JOIN_LIMIT;
        let mut backoff = Backoff::new();
        while let Err(outage) = self.handler.prepare().await {
            self.note(&outage);
            if tokio::time::Instant::now() >= give_up {
                return;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    /// Handles a batch until it is done; an outage is waited out with the batch in hand.
    async fn process(
        &self,
        consumer: &mut dyn Consumer,
        mut batch: Vec<Inbound>,
        shutdown: &CancellationToken,
    ) {
        let mut backoff: Option<Backoff> = None;
        while !batch.is_empty() {
            let handled = tokio::select! {
                biased;
                handled = self.handler.handle(&batch) => handled,
                () = self.drained(shutdown) => {
                    tracing::warn!(service = self.service, "the batch in hand takes too long: it is left to the next start");
                    return;
                }
            };
            match handled {
                Ok(()) => {
                    if backoff.is_some() {
                        self.ports.health.up(STORE);
                        self.ports.health.up(KAFKA);
                    }
                    break;
                }
                Err(outage) => self.note(&outage),
            }
            self.stuck.store(true, Ordering::Release);
            if sagaline_saga::planted!("batch dropped in an outage") {
                break;
            }
            let delay = backoff.get_or_insert_with(Backoff::new).next();
            tokio::select! {
                biased;
                // Nothing is lost: the batch is not committed and comes again after the restart.
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
            consumer.retain_assigned(&mut batch);
        }
        self.stuck.store(false, Ordering::Release);
        consumer.done(&batch).await;
    }

    /// Until the shutdown has waited long enough for the batch in hand. It is not committed then, as after a crash.
    async fn drained(&self, shutdown: &CancellationToken) {
        shutdown.cancelled().await;
        tokio::time::sleep(self.options.drain_limit).await;
    }

    async fn tick(&self, shutdown: &CancellationToken) {
        let ticked = tokio::select! {
            biased;
            ticked = self.handler.tick(self.ports.clock.now()) => ticked,
            () = self.drained(shutdown) => return,
        };
        match ticked {
            // It has asked the store, but not the broker.
            Ok(()) => self.ports.health.up(STORE),
            // What is due stays due until the next tick.
            Err(outage) => self.note(&outage),
        }
    }

    fn note(&self, outage: &Outage) {
        let reason = outage.chain();
        tracing::warn!(service = self.service, dependency = outage.dependency, error = %reason, "outage: waiting");
        self.ports.health.down(outage.dependency, &reason);
    }
}
