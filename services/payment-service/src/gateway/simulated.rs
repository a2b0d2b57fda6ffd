//! A gateway that charges nobody.

use async_trait::async_trait;
use sagaline_contracts::{Money, OrderId};
use sagaline_external_calls::{CallError, Draw, Rate, Rehearsal};

use super::{Authorization, Gateway, Refunded};

/// The reason of a simulated decline.
pub const CARD_DECLINED: &str = "card_declined";

/// A simulated gateway: no money moves.
///
/// Its answers follow from the idempotency key alone, a hash of it: the same key gives the same answer without any
/// memory, on every instance and in every run. The key is `orderId/attempt`, so the same order ids are declined in each run,
/// and yet an order that was declined may come through when it is tried again.
#[derive(Debug)]
pub struct SimulatedGateway {
    decline_rate: Rate,
    rehearsal: Rehearsal,
}

impl SimulatedGateway {
    /// A gateway that declines this share of all charges.
    pub fn new(decline_rate: Rate, rehearsal: Rehearsal) -> Self {
        Self {
            decline_rate,
            rehearsal,
        }
    }

    /// The faults that can be switched on.
    pub fn rehearsal(&self) -> &Rehearsal {
        &self.rehearsal
    }
}

#[async_trait]
impl Gateway for SimulatedGateway {
    fn name(&self) -> &'static str {
        "simulated-gateway"
    }

    async fn authorize(
        &self,
        key: &str,
        _: &OrderId,
        _: Money,
    ) -> Result<Authorization, CallError> {
        self.rehearsal.before_answer(key).await?;
        let draw = Draw::new("payment-gateway", key);
        Ok(if draw.hits(self.decline_rate) {
            Authorization::Declined {
                reason: CARD_DECLINED.to_owned(),
            }
        } else {
            Authorization::Approved {
                auth_id: format!("auth_{}", draw.hex()),
            }
        })
    }

    async fn refund(&self, key: &str, _: &str, _: Money) -> Result<Refunded, CallError> {
        self.rehearsal.before_answer(key).await?;
        let draw = Draw::new("payment-gateway", key);
        Ok(Refunded {
            refund_id: format!("refund_{}", draw.hex()),
        })
    }

    async fn void(&self, key: &str) -> Result<(), CallError> {
        self.rehearsal.before_answer(key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount() -> Money {
        Money::from_cents(1_999).unwrap()
    }

    async fn authorize(gateway: &SimulatedGateway, order: &str, attempt: u32) -> Authorization {
        let order_id = OrderId::new(order).unwrap();
        let key = format!("{order}/{attempt}");
        gateway.authorize(&key, &order_id, amount()).await.unwrap()
    }

    #[tokio::test]
    async fn the_same_key_gets_the_same_answer_from_every_instance_and_in_every_run() {
        let [a, b] =
            [0, 1].map(|_| SimulatedGateway::new("0.5".parse().unwrap(), Rehearsal::default()));
        for n in 0..100 {
            let order = format!("order-{n}");
            assert_eq!(
                authorize(&a, &order, 1).await,
                authorize(&b, &order, 1).await
            );
        }
        let refund = a
            .refund("order-1/1/refund", "auth_1", amount())
            .await
            .unwrap();
        assert_eq!(
            refund,
            b.refund("order-1/1/refund", "auth_1", amount())
                .await
                .unwrap()
        );
        assert_eq!(
            a.void("order-1/1").await.ok(),
            b.void("order-1/1").await.ok()
        );
    }

    #[tokio::test]
    async fn another_attempt_is_another_charge_and_a_declined_order_may_come_through() {
        let gateway = SimulatedGateway::new("0.5".parse().unwrap(), Rehearsal::default());
        let mut recovered = 0;
        for n in 0..100 {
            let order = format!("order-{n}");
            let (first, second) = (
                authorize(&gateway, &order, 1).await,
                authorize(&gateway, &order, 2).await,
            );
            if let (Authorization::Declined { reason }, Authorization::Approved { .. }) =
                (&first, &second)
            {
                assert_eq!(reason, CARD_DECLINED);
                recovered += 1;
            } else if let Authorization::Approved { .. } = first {
                assert_ne!(first, second);
            }
        }
        assert!((10..40).contains(&recovered), "{recovered}");
    }

    #[tokio::test]
    async fn the_demo_s_rate_declines_one_in_twenty() {
        let gateway = SimulatedGateway::new("0.05".parse().unwrap(), Rehearsal::default());
        let mut declined = 0;
        for n in 0..4_000 {
            let answer = authorize(&gateway, &format!("order-{n}"), 1).await;
            declined += usize::from(matches!(answer, Authorization::Declined { .. }));
        }
        assert!((160..240).contains(&declined), "{declined} of 4000");
    }

    #[tokio::test]
    async fn every_call_of_a_gateway_that_is_down_is_an_outage() {
        let gateway = SimulatedGateway::new(Rate::NEVER, Rehearsal::default());
        gateway.rehearsal().set_down(true);
        let order_id = OrderId::new("order-1").unwrap();
        let outages = [
            gateway
                .authorize("order-1/1", &order_id, amount())
                .await
                .err(),
            gateway
                .refund("order-1/1/refund", "auth_1", amount())
                .await
                .err(),
            gateway.void("order-1/1").await.err(),
        ];
        assert!(
            outages
                .iter()
                .all(|error| matches!(error, Some(CallError::Outage(_)))),
            "{outages:?}"
        );
    }
}
