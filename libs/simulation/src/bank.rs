//! The payment gateway: what was really charged and paid back, and what can go wrong in telling so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use payment_service::gateway::{Authorization, CARD_DECLINED, Gateway, Refunded};
use sagaline_contracts::{Money, OrderId};
use sagaline_external_calls::{CallError, Draw};

use crate::env::Env;
use crate::life::Life;
use crate::weather::Dependency;

/// How long a call waits for a party that is down.
pub(crate) const PATIENCE_MS: u64 = 500;
/// Longer than anybody waits for an answer.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// What stands under one idempotency key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Charge {
    pub(crate) order: String,
    /// Hundredths.
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    /// It was charged: also nothing, for what costs nothing.
    approved: bool,
    pub(crate) voided: bool,
    /// How many refunds with different keys were asked for.
    pub(crate) refund_keys: Vec<String>,
    declined: bool,
}

/// The gateway's books.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    charges: Mutex<BTreeMap<String, Charge>>,
}

impl Bank {
    /// Every charge by its key.
    pub(crate) fn charges(&self) -> Vec<(String, Charge)> {
        let charges = self.charges.lock();
        charges
            .iter()
            .map(|(key, charge)| (key.clone(), charge.clone()))
            .collect()
    }

    /// What an order has paid and not been paid back.
    pub(crate) fn kept(&self, order: &str) -> i64 {
        let charges = self.charges.lock();
        let of_order = charges.values().filter(|charge| charge.order == order);
        of_order
            .map(|charge| charge.captured - charge.refunded)
            .sum()
    }

    fn authorize(&self, env: &Env, key: &str, order: &OrderId, amount: Money) -> Authorization {
        let mut charges = self.charges.lock();
        let charge = charges.entry(key.to_owned()).or_default();
        order.as_str().clone_into(&mut charge.order);
        let auth_id = format!("auth-{key}");
        if charge.voided || charge.declined {
            let reason = if charge.voided {
                "voided"
            } else {
                CARD_DECLINED
            };
            return Authorization::Declined {
                reason: reason.to_owned(),
            };
        }
        if !charge.approved {
            let declined = env.weather.read(|now| now.declined);
            if hits(&Draw::new("bank", key), declined) {
                charge.declined = true;
                return Authorization::Declined {
                    reason: CARD_DECLINED.to_owned(),
                };
            }
            charge.approved = true;
            charge.captured = amount.cents();
            env.trace.note((7_u8, key, amount.cents()), || {
                format!("bank: {key} is charged {}", amount.cents())
            });
        } else if charge.captured != amount.cents() {
            env.broken(format!(
                "money: {key} was charged {} and is asked for {}",
                charge.captured,
                amount.cents()
            ));
        }
        Authorization::Approved { auth_id }
    }

    fn refund(
        &self,
        env: &Env,
        key: &str,
        auth_id: &str,
        amount: Money,
    ) -> Result<Refunded, CallError> {
        let mut charges = self.charges.lock();
        let Some(charge) = auth_id
            .strip_prefix("auth-")
            .and_then(|key| charges.get_mut(key))
            .filter(|charge| charge.approved)
        else {
            env.broken(format!(
                "money: a refund of {auth_id}, which was never charged"
            ));
            return Err(CallError::Permanent("there is no such charge".to_owned()));
        };
        if charge.captured != amount.cents() {
            env.broken(format!(
                "money: {auth_id} is paid back {} of {}",
                amount.cents(),
                charge.captured
            ));
        }
        if !charge.refund_keys.iter().any(|known| known == key) {
            charge.refund_keys.push(key.to_owned());
            // Voided and refunded is paid back twice.
            charge.refunded += amount.cents();
            env.trace.note((8_u8, key, amount.cents()), || {
                format!("bank: {key} is paid back {}", amount.cents())
            });
        }
        Ok(Refunded {
            refund_id: format!("refund-{key}"),
        })
    }

    fn void(&self, env: &Env, key: &str) {
        let mut charges = self.charges.lock();
        let charge = charges.entry(key.to_owned()).or_default();
        if charge.order.is_empty() {
            key.rsplit_once('/')
                .map_or(key, |(order, _)| order)
                .clone_into(&mut charge.order);
        }
        if !charge.voided {
            charge.voided = true;
            charge.refunded += charge.captured;
        }
        env.trace
            .note((9_u8, key), || format!("bank: {key} is voided"));
    }
}

/// Whether a draw is among so many of a thousand.
pub(crate) fn hits(draw: &Draw, per_mille: u32) -> bool {
    let digits = draw.hex();
    let bits = u64::from_str_radix(digits.get(..12).unwrap_or_default(), 16).unwrap_or(0);
    bits % 1_000 < u64::from(per_mille)
}

/// What one process sees of the gateway.
pub(crate) struct SimGateway {
    pub(crate) bank: Arc<Bank>,
    pub(crate) env: Arc<Env>,
    pub(crate) life: Arc<Life>,
}

/// Calls a party: `effect` may happen although the caller hears of nothing.
pub(crate) async fn call<T>(
    env: &Env,
    life: &Life,
    party: Dependency,
    effect: impl FnOnce() -> Result<T, CallError>,
) -> Result<T, CallError> {
    life.before().await;
    let dice = &env.party_dice;
    let climate = env.weather.read(|now| {
        (
            now.party_ms,
            now.party_silent,
            now.party_lost,
            now.party_ack_lost,
        )
    });
    let (latency, silent, lost, ack_lost) = climate;
    env.take_time(dice, latency / 2).await;
    if env.fails_because_down(party, PATIENCE_MS).await {
        life.after().await;
        return Err(CallError::Outage("it is down".into()));
    }
    life.before().await;
    if dice.chance(lost) {
        env.fault("party call lost");
        life.after().await;
        return Err(CallError::Transient("the call was lost".to_owned()));
    }
    let is_silent = dice.chance(silent);
    if is_silent && dice.chance(500) {
        env.fault("party silent, nothing done");
        tokio::time::sleep(SILENCE).await;
    }
    let result = effect();
    if is_silent {
        env.fault("party silent, but done");
        tokio::time::sleep(SILENCE).await;
    }
    env.take_time(dice, latency / 2).await;
    life.after().await;
    if dice.chance(ack_lost) {
        env.fault("party answer lost");
        return Err(CallError::Transient("the answer was lost".to_owned()));
    }
    result
}

#[async_trait]
impl Gateway for SimGateway {
    fn name(&self) -> &'static str {
        "gateway"
    }

    async fn authorize(
        &self,
        key: &str,
        order_id: &OrderId,
        amount: Money,
    ) -> Result<Authorization, CallError> {
        let effect = || Ok(self.bank.authorize(&self.env, key, order_id, amount));
        call(&self.env, &self.life, Dependency::Gateway, effect).await
    }

    async fn refund(&self, key: &str, auth_id: &str, amount: Money) -> Result<Refunded, CallError> {
        let effect = || self.bank.refund(&self.env, key, auth_id, amount);
        call(&self.env, &self.life, Dependency::Gateway, effect).await
    }

    async fn void(&self, key: &str) -> Result<(), CallError> {
        let effect = || {
            self.bank.void(&self.env, key);
            Ok(())
        };
        call(&self.env, &self.life, Dependency::Gateway, effect).await
    }
}
