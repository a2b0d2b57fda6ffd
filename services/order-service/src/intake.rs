//! Group commit: requests that wait are saved together, and answered when they are durable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sagaline_contracts::{EventId, OrderId, Timestamp};
use sagaline_runtime::{OutboxRelay, Ports};
use sagaline_saga::{Emission, OUTBOX_GRACE, OrderRecord, command_id};
use sagaline_store::{Index, SaveResult, StoreError, Stored, Write};
use tokio::sync::{mpsc, oneshot};

use crate::domain::{COLLECTION, Fingerprint, Identities, Identity, NewOrder, Order, SERVICE};

const QUEUE_MAX: usize = 4_096;
const BATCH_MAX: usize = 512;
const ROUNDS_MAX: usize = 8;

/// What comes of placing an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is new, and durable.
    Created(OrderId),
    /// The same request was accepted before.
    Again(OrderId),
    /// Another request was accepted under the same identity.
    Conflict(&'static str),
}

/// Why an order could not be placed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("too many orders wait to be saved")]
    Full,
    #[error("the store is unavailable")]
    Outage,
}

struct Ticket {
    request: NewOrder,
    identities: Identities,
    fingerprint: Fingerprint,
    answer: oneshot::Sender<Result<Placed, Refused>>,
}

/// Where requests wait.
#[derive(Clone)]
pub(crate) struct Intake {
    queue: mpsc::Sender<Ticket>,
}

impl Intake {
    /// A queue, and the task that works it off.
    pub(crate) fn new(ports: Ports, relay: OutboxRelay, timeout: Duration) -> (Self, IntakeTask) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        (
            Self { queue },
            IntakeTask {
                ports,
                relay,
                timeout,
                waiting,
            },
        )
    }

    /// Places an order; answers when it is durable.
    pub(crate) async fn place(
        &self,
        request: NewOrder,
        key: Option<&str>,
    ) -> Result<Placed, Refused> {
        let identities = Identities::of(&request, key, sagaline_service_kit::ids::random_uuid);
        let fingerprint = request.fingerprint();
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Ticket {
                request,
                identities,
                fingerprint,
                answer,
            })
            .map_err(|_| Refused::Full)?;
        answered.await.unwrap_or(Err(Refused::Outage))
    }
}

/// Saves what waits.
pub(crate) struct IntakeTask {
    ports: Ports,
    relay: OutboxRelay,
    timeout: Duration,
    waiting: mpsc::Receiver<Ticket>,
}

struct Open {
    ticket: Ticket,
    record: Option<OrderRecord<Order>>,
}

impl IntakeTask {
    /// Works until every [`Intake`] is gone.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let mut open: Vec<Ticket> = std::mem::take(&mut batch);
            for _ in 0..ROUNDS_MAX {
                if open.is_empty() {
                    break;
                }
                open = self.round(open).await;
            }
            for ticket in open {
                let _ = ticket.answer.send(Err(Refused::Outage));
            }
        }
    }

    /// Saves what can be saved together; gives back the tickets that have to look again.
    async fn round(&self, tickets: Vec<Ticket>) -> Vec<Ticket> {
        let now = self.ports.clock.now();
        let mut writes = Vec::with_capacity(tickets.len());
        let mut owners = Vec::with_capacity(tickets.len());
        let mut named: HashMap<OrderId, ()> = HashMap::with_capacity(tickets.len());
        let mut open = Vec::with_capacity(tickets.len());
        let mut later = Vec::new();
        for ticket in tickets {
            // One save may name an id once: who comes second looks what became of the first.
            if ticket
                .identities
                .iter()
                .any(|identity| named.contains_key(&identity.id))
            {
                later.push(ticket);
                continue;
            }
            let at = open.len();
            for Identity { id, .. } in ticket.identities.iter() {
                named.insert(id.clone(), ());
            }
            for alias in &ticket.identities.further {
                let order = Order::alias(
                    ticket.identities.primary.id.clone(),
                    ticket.fingerprint,
                    now,
                );
                push(
                    &mut writes,
                    &OrderRecord {
                        state: order,
                        ..OrderRecord::unknown(alias.id.clone())
                    },
                    Index {
                        settled: true,
                        ..Index::default()
                    },
                );
                owners.push(at);
            }
            let record = self.record(&ticket, now);
            let due = Some((now + OUTBOX_GRACE).min(now + self.timeout).micros());
            push(
                &mut writes,
                &record,
                Index {
                    due,
                    ..Index::default()
                },
            );
            owners.push(at);
            open.push(Open {
                ticket,
                record: Some(record),
            });
        }
        match self.ports.store.save(COLLECTION, writes).await {
            Ok(results) => {
                let mut conflicts = vec![false; open.len()];
                for (owner, result) in owners.into_iter().zip(results) {
                    if result == SaveResult::Conflict
                        && let Some(flag) = conflicts.get_mut(owner)
                    {
                        *flag = true;
                    }
                }
                later.extend(self.answer(open, &conflicts).await);
            }
            Err(error) => {
                tracing::warn!(error = %error, "orders could not be saved");
                self.ports.health.down("store", &error.to_string());
                for open in open {
                    let _ = open.ticket.answer.send(Err(Refused::Outage));
                }
            }
        }
        later
    }

    fn record(&self, ticket: &Ticket, now: Timestamp) -> OrderRecord<Order> {
        let order_id = ticket.identities.primary.id.clone();
        let order = Order::placed(
            ticket.request.clone(),
            ticket.fingerprint,
            now,
            self.timeout,
        );
        let created = order.created(&order_id);
        let cause: EventId = command_id(&order_id, "place", "");
        OrderRecord::create(order_id, order, SERVICE, &cause, vec![created.into()], now)
    }

    async fn answer(&self, open: Vec<Open>, conflicts: &[bool]) -> Vec<Ticket> {
        let mut created: Vec<(OrderId, Emission)> = Vec::with_capacity(open.len());
        let mut contested = Vec::new();
        for (open, conflict) in open.into_iter().zip(conflicts) {
            if *conflict {
                contested.push(open.ticket);
                continue;
            }
            let id = open.ticket.identities.primary.id.clone();
            let entries = open.record.into_iter().flat_map(|record| record.outbox);
            created.extend(entries.map(|entry| (id.clone(), entry.emission)));
            let _ = open.ticket.answer.send(Ok(Placed::Created(id)));
        }
        if !created.is_empty() {
            self.relay.hand_over(created);
        }
        let mut later = Vec::new();
        for ticket in contested {
            match self.look(&ticket).await {
                Ok(Some(placed)) => {
                    let _ = ticket.answer.send(Ok(placed));
                }
                Ok(None) => later.push(ticket),
                Err(_) => {
                    let _ = ticket.answer.send(Err(Refused::Outage));
                }
            }
        }
        later
    }

    /// What was accepted under one of the ticket's identities; `None` when it has to be completed: an alias was saved, but not
    /// the order (a crash, or half of the batch).
    async fn look(&self, ticket: &Ticket) -> Result<Option<Placed>, StoreError> {
        let ids: Vec<&str> = ticket
            .identities
            .iter()
            .map(|identity| identity.id.as_str())
            .collect();
        let stored = self.ports.store.load(COLLECTION, &ids).await?;
        let mut complete = None;
        for (identity, stored) in ticket.identities.iter().zip(stored) {
            let Some(record) = stored.as_ref().and_then(parse) else {
                continue;
            };
            let same = record.state.fingerprint == Some(ticket.fingerprint);
            let target = record
                .state
                .redirect
                .clone()
                .unwrap_or_else(|| record.order_id.clone());
            if !same || target != ticket.identities.primary.id {
                return Ok(Some(Placed::Conflict(identity.kind.name())));
            }
            if record.state.redirect.is_none() {
                complete = Some(Placed::Again(target));
            }
        }
        Ok(complete)
    }
}

fn parse(stored: &Stored) -> Option<OrderRecord<Order>> {
    serde_json::from_slice(&stored.body).ok()
}

fn push(writes: &mut Vec<Write>, record: &OrderRecord<Order>, index: Index) {
    match serde_json::to_vec(record) {
        Ok(body) => writes.push(Write {
            id: record.order_id.to_string(),
            expected: 0,
            body: Bytes::from(body),
            index,
        }),
        Err(error) => unreachable!("a record of ours is JSON: {error}"),
    }
}

/// Something that shares an [`Intake`].
pub(crate) type SharedIntake = Arc<Intake>;
