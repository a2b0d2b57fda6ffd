//! A gateway's books: what was really charged and paid back.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_contracts::{Money, OrderId};
use sagaline_external_calls::CallError;

use super::{Authorization, Gateway, Refunded};

/// The reason of a charge under a key that was voided before.
const VOIDED: &str = "voided";

/// Keeps books in front of another gateway, as a real one would: each key moves money once, and a voided one never.
/// Rehearsals read them to see that the service's view of the money is the gateway's.
#[derive(Debug)]
pub struct Ledger<G> {
    gateway: G,
    books: Mutex<Books>,
    charges_max: usize,
}

/// What moved for one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Hundredths that were charged, all attempts together.
    pub captured_cents: i64,
    /// Hundredths that were paid back.
    pub refunded_cents: i64,
    /// How many charges were made.
    pub charges: u32,
}

#[derive(Debug, Default)]
struct Books {
    entries: HashMap<String, Entry>,
    /// The keys, oldest first, to forget them in that order.
    order: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Entry {
    auth_id: Option<String>,
    captured_cents: i64,
    refunded_cents: i64,
    voided: bool,
}

impl Books {
    fn entry(&mut self, key: &str, max: usize) -> &mut Entry {
        if !self.entries.contains_key(key) {
            if self.order.len() >= max
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
            self.order.push_back(key.to_owned());
        }
        self.entries.entry(key.to_owned()).or_default()
    }
}

impl<G> Ledger<G> {
    /// Keeps the books of `gateway` for the latest `charges_max` keys.
    pub fn new(gateway: G, charges_max: usize) -> Self {
        Self {
            gateway,
            books: Mutex::default(),
            charges_max: charges_max.max(1),
        }
    }

    /// The gateway behind the books.
    pub fn gateway(&self) -> &G {
        &self.gateway
    }

    /// What moved for an order.
    pub fn account(&self, order_id: &OrderId) -> Account {
        let books = self.books.lock();
        let of_order = |key: &str| {
            key.strip_prefix(order_id.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let entries = books.entries.iter().filter(|(key, _)| of_order(key));
        entries.fold(Account::default(), |sum, (_, entry)| Account {
            captured_cents: sum.captured_cents + entry.captured_cents,
            refunded_cents: sum.refunded_cents + entry.refunded_cents,
            charges: sum.charges + u32::from(entry.auth_id.is_some()),
        })
    }
}

#[async_trait]
impl<G: Gateway> Gateway for Ledger<G> {
    fn name(&self) -> &'static str {
        self.gateway.name()
    }

    async fn authorize(
        &self,
        key: &str,
        order_id: &OrderId,
        amount: Money,
    ) -> Result<Authorization, CallError> {
        let answer = self.gateway.authorize(key, order_id, amount).await?;
        let mut books = self.books.lock();
        let entry = books.entry(key, self.charges_max);
        if entry.voided {
            return Ok(Authorization::Declined {
                reason: VOIDED.to_owned(),
            });
        }
        if let Authorization::Approved { auth_id } = &answer
            && entry.auth_id.is_none()
        {
            entry.auth_id = Some(auth_id.clone());
            entry.captured_cents = amount.cents();
        }
        Ok(answer)
    }

    async fn refund(&self, key: &str, auth_id: &str, amount: Money) -> Result<Refunded, CallError> {
        let refunded = self.gateway.refund(key, auth_id, amount).await?;
        let mut books = self.books.lock();
        let charge = books
            .entries
            .values_mut()
            .find(|entry| entry.auth_id.as_deref() == Some(auth_id));
        let Some(charge) = charge else {
            return Err(CallError::Permanent(format!(
                "there is no charge {auth_id} to refund"
            )));
        };
        if amount.cents() != charge.captured_cents {
            return Err(CallError::Permanent(format!(
                "the refund of {auth_id} is not for the amount charged"
            )));
        }
        if charge.voided {
            return Err(CallError::Permanent(format!(
                "the charge {auth_id} is voided, which paid it back"
            )));
        }
        charge.refunded_cents = charge.captured_cents;
        Ok(refunded)
    }

    async fn void(&self, key: &str) -> Result<(), CallError> {
        self.gateway.void(key).await?;
        let mut books = self.books.lock();
        let entry = books.entry(key, self.charges_max);
        entry.voided = true;
        entry.refunded_cents = entry.captured_cents;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sagaline_external_calls::{Rate, Rehearsal};

    use super::super::SimulatedGateway;
    use super::*;

    fn order() -> OrderId {
        OrderId::new("order-1").unwrap()
    }

    fn amount() -> Money {
        Money::from_cents(1_999).unwrap()
    }

    fn ledger(charges_max: usize) -> Ledger<SimulatedGateway> {
        Ledger::new(
            SimulatedGateway::new(Rate::NEVER, Rehearsal::default()),
            charges_max,
        )
    }

    async fn approved(ledger: &Ledger<SimulatedGateway>, key: &str) -> String {
        match ledger.authorize(key, &order(), amount()).await.unwrap() {
            Authorization::Approved { auth_id } => auth_id,
            Authorization::Declined { reason } => panic!("declined: {reason}"),
        }
    }

    #[tokio::test]
    async fn a_repeated_call_moves_no_money() {
        let ledger = ledger(10);
        let auth_id = approved(&ledger, "order-1/1").await;
        assert_eq!(approved(&ledger, "order-1/1").await, auth_id);
        assert_eq!(
            ledger.account(&order()),
            Account {
                captured_cents: 1_999,
                refunded_cents: 0,
                charges: 1
            }
        );
        for _ in 0..2 {
            ledger
                .refund("order-1/1/refund", &auth_id, amount())
                .await
                .unwrap();
            assert_eq!(ledger.account(&order()).refunded_cents, 1_999);
        }
    }

    #[tokio::test]
    async fn a_void_reverses_the_charge_and_bars_a_later_one() {
        let ledger = ledger(10);
        approved(&ledger, "order-1/1").await;
        for key in ["order-1/1", "order-1/2"] {
            ledger.void(key).await.unwrap();
            let late = ledger.authorize(key, &order(), amount()).await.unwrap();
            assert_eq!(
                late,
                Authorization::Declined {
                    reason: VOIDED.to_owned()
                }
            );
        }
        assert_eq!(
            ledger.account(&order()),
            Account {
                captured_cents: 1_999,
                refunded_cents: 1_999,
                charges: 1
            }
        );
    }

    #[tokio::test]
    async fn a_charge_that_is_voided_is_not_paid_back_once_more() {
        let ledger = ledger(10);
        let auth_id = approved(&ledger, "order-1/1").await;
        ledger.void("order-1/1").await.unwrap();
        let refused = ledger.refund("order-1/1/refund", &auth_id, amount()).await;
        assert!(matches!(refused, Err(CallError::Permanent(_))));
        assert_eq!(ledger.account(&order()).refunded_cents, 1_999);
    }

    #[tokio::test]
    async fn a_refund_without_its_charge_or_of_another_amount_is_refused() {
        let ledger = ledger(10);
        let auth_id = approved(&ledger, "order-1/1").await;
        for (auth_id, amount) in [("auth_unknown", amount()), (&*auth_id, Money::ZERO)] {
            let refused = ledger.refund("order-1/1/refund", auth_id, amount).await;
            assert!(matches!(refused, Err(CallError::Permanent(_))));
        }
        assert_eq!(ledger.account(&order()).refunded_cents, 0);
    }

    #[tokio::test]
    async fn the_books_are_bounded_and_forget_the_oldest() {
        let ledger = ledger(2);
        for key in ["order-1/1", "order-1/2", "order-1/3"] {
            approved(&ledger, key).await;
        }
        assert_eq!(ledger.account(&order()).charges, 2);
        assert_eq!(
            ledger.account(&OrderId::new("order").unwrap()),
            Account::default()
        );
    }
}
