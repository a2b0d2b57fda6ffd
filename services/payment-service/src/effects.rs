//! Carries out what the domain asks for: calls to the gateway, many at a time, each within a time limit.

use std::sync::Arc;

use async_trait::async_trait;
use sagaline_contracts::OrderId;
use sagaline_external_calls::{CallError, CallLimits, Caller};
use sagaline_runtime::{EffectRequest, Effects, HealthSink, Outage};
use sagaline_saga::EffectFailure;

use crate::domain::{PaymentEffect, PaymentOutcome, Payments};
use crate::gateway::{Authorization, Gateway};

/// Payment's effects, on a gateway.
pub struct GatewayEffects {
    gateway: Arc<dyn Gateway>,
    caller: Caller,
}

impl GatewayEffects {
    /// Calls `gateway` within `limits`, and tells `health` when it is back after an outage.
    pub fn new(gateway: Arc<dyn Gateway>, limits: CallLimits, health: Arc<dyn HealthSink>) -> Self {
        let caller = Caller::new(gateway.name(), limits, health);
        Self { gateway, caller }
    }
}

#[async_trait]
impl Effects<Payments> for GatewayEffects {
    async fn carry_out(
        &self,
        requests: &[EffectRequest<PaymentEffect>],
    ) -> Result<Vec<Result<PaymentOutcome, EffectFailure>>, Outage> {
        let calls = requests.iter().map(|request| {
            let call = call(&*self.gateway, &request.order_id, &request.effect);
            (request.effect.key(), call)
        });
        self.caller.call_all(calls.collect()).await
    }
}

/// One call.
pub(crate) async fn call(
    gateway: &dyn Gateway,
    order_id: &OrderId,
    effect: &PaymentEffect,
) -> Result<PaymentOutcome, CallError> {
    Ok(match effect {
        PaymentEffect::Authorize { key, amount } => {
            match gateway.authorize(key, order_id, *amount).await? {
                Authorization::Approved { auth_id } => PaymentOutcome::Authorized { auth_id },
                Authorization::Declined { reason } => PaymentOutcome::Declined { reason },
            }
        }
        PaymentEffect::Refund {
            key,
            auth_id,
            amount,
        } => {
            let refunded = gateway.refund(key, auth_id, *amount).await?;
            PaymentOutcome::Refunded {
                refund_id: refunded.refund_id,
            }
        }
        PaymentEffect::Void { key } => {
            gateway.void(key).await?;
            PaymentOutcome::Voided
        }
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use sagaline_contracts::{EventId, Money};
    use sagaline_external_calls::{Flaky, Rate, Rehearsal};
    use sagaline_runtime::SilentHealth;

    use super::*;
    use crate::gateway::{CARD_DECLINED, Ledger, SimulatedGateway};

    type Books = Arc<Ledger<SimulatedGateway>>;

    fn on(decline_rate: Rate, rehearsal: Rehearsal) -> (Books, GatewayEffects) {
        let gateway = SimulatedGateway::new(decline_rate, rehearsal);
        let books = Arc::new(Ledger::new(gateway, 1_000));
        let limits = CallLimits {
            concurrency: NonZeroUsize::new(4).unwrap(),
            time: Duration::from_secs(1),
            silence_max: NonZeroUsize::new(5).unwrap(),
        };
        let effects = GatewayEffects::new(books.clone(), limits, Arc::new(SilentHealth));
        (books, effects)
    }

    fn order(n: usize) -> OrderId {
        OrderId::new(format!("order-{n}")).unwrap()
    }

    fn amount() -> Money {
        Money::from_cents(1_999).unwrap()
    }

    fn request(n: usize, effect: PaymentEffect) -> EffectRequest<PaymentEffect> {
        let event_id = EventId::new(format!("e-{n}")).unwrap();
        EffectRequest {
            order_id: order(n),
            event_id,
            effect,
        }
    }

    fn charges(orders: std::ops::Range<usize>) -> Vec<EffectRequest<PaymentEffect>> {
        orders
            .map(|n| {
                request(
                    n,
                    PaymentEffect::Authorize {
                        key: format!("order-{n}/1"),
                        amount: amount(),
                    },
                )
            })
            .collect()
    }

    async fn ask(
        effects: &GatewayEffects,
        request: EffectRequest<PaymentEffect>,
    ) -> PaymentOutcome {
        let mut results = effects.carry_out(&[request]).await.unwrap();
        results.remove(0).unwrap()
    }

    #[tokio::test]
    async fn each_order_gets_its_own_answer_and_a_second_time_the_same_without_a_second_charge() {
        let (books, effects) = on("0.5".parse().unwrap(), Rehearsal::default());
        let first = effects.carry_out(&charges(0..40)).await.unwrap();
        assert_eq!(effects.carry_out(&charges(0..40)).await.unwrap(), first);
        let mut approved = 0;
        for (n, result) in first.iter().enumerate() {
            let captured = books.account(&order(n)).captured_cents;
            match result.as_ref().unwrap() {
                PaymentOutcome::Authorized { .. } => {
                    assert_eq!(captured, 1_999);
                    approved += 1;
                }
                PaymentOutcome::Declined { reason } => {
                    assert_eq!((captured, &**reason), (0, CARD_DECLINED));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!((5..35).contains(&approved), "{approved}");
    }

    #[tokio::test]
    async fn a_charge_can_be_paid_back_and_voided() {
        let (books, effects) = on(Rate::NEVER, Rehearsal::default());
        for (n, void) in [(1, false), (2, true)] {
            let charge = charges(n..n + 1).remove(0);
            let PaymentOutcome::Authorized { auth_id } = ask(&effects, charge).await else {
                panic!("nothing is declined here");
            };
            let key = format!("order-{n}/1");
            if void {
                let voided = ask(&effects, request(n, PaymentEffect::Void { key })).await;
                assert_eq!(voided, PaymentOutcome::Voided);
            } else {
                let refund = PaymentEffect::Refund {
                    key: key + "/refund",
                    auth_id,
                    amount: amount(),
                };
                let refunded = ask(&effects, request(n, refund)).await;
                assert!(matches!(refunded, PaymentOutcome::Refunded { .. }));
            }
            assert_eq!(books.account(&order(n)).refunded_cents, 1_999);
        }
    }

    #[tokio::test]
    async fn a_gateway_that_is_down_is_an_outage_and_fails_no_order() {
        let (books, effects) = on(Rate::NEVER, Rehearsal::default());
        books.gateway().rehearsal().set_down(true);
        let outage = effects.carry_out(&charges(0..3)).await.unwrap_err();
        assert_eq!(outage.dependency, "simulated-gateway");
        assert!(outage.chain().contains("rehearsed"), "{}", outage.chain());

        books.gateway().rehearsal().set_down(false);
        let results = effects.carry_out(&charges(0..3)).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn an_order_that_the_gateway_stumbles_over_fails_alone_until_it_comes_through() {
        let flaky = Flaky {
            prefix: "order-1/".to_owned(),
            times: 2,
        };
        let (books, effects) = on(Rate::NEVER, Rehearsal::default().with_flaky(Some(flaky)));
        for _ in 0..2 {
            let results = effects.carry_out(&charges(0..3)).await.unwrap();
            assert!(matches!(results[1], Err(EffectFailure::Transient(_))));
            assert!(results[0].is_ok() && results[2].is_ok());
            assert_eq!(books.account(&order(1)).charges, 0);
        }
        assert!(effects.carry_out(&charges(1..2)).await.unwrap()[0].is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_slower_than_the_limit_fails_the_call_for_a_later_try() {
        let slow = Rehearsal::default().with_latency(Duration::from_secs(2));
        let (_, effects) = on(Rate::NEVER, slow);
        let results = effects.carry_out(&charges(0..1)).await.unwrap();
        let Err(EffectFailure::Transient(why)) = &results[0] else {
            panic!("{results:?}")
        };
        assert!(why.contains("1000 ms"), "{why}");
    }
}
