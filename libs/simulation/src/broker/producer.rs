//! Publishing, with all that can go wrong on the way.

use std::sync::Arc;

use async_trait::async_trait;
use sagaline_runtime::{BrokerError, Outbound, Producer};

use super::{Cluster, PATIENCE_MS};
use crate::life::Life;
use crate::weather::Dependency;

/// What one process publishes with.
pub(crate) struct SimProducer {
    pub(super) cluster: Arc<Cluster>,
    pub(super) life: Arc<Life>,
}

fn unavailable(why: &'static str) -> BrokerError {
    BrokerError::unavailable("publish", why)
}

impl SimProducer {
    fn write(&self, messages: &[Outbound]) {
        for message in messages {
            let key = Some(message.key.as_bytes()).filter(|key| !key.is_empty());
            self.cluster
                .append(&message.topic, key, Some(&message.value), self.life.id);
        }
    }
}

#[async_trait]
impl Producer for SimProducer {
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        let env = &self.cluster.env;
        self.life.before().await;
        let dice = &env.broker_dice;
        let climate = env.weather.read(|now| {
            (
                now.ack_ms,
                now.publish_lost,
                now.publish_partial,
                now.ack_lost,
            )
        });
        let (ack_ms, lost, partial, ack_lost) = climate;
        env.take_time(dice, ack_ms / 2).await;
        if env
            .fails_because_down(Dependency::Broker, PATIENCE_MS)
            .await
        {
            self.life.after().await;
            return Err(unavailable("the broker is down"));
        }
        self.life.before().await;
        let result = if dice.chance(lost) {
            env.fault("publish lost");
            Err(unavailable("the connection broke"))
        } else if dice.chance(partial) {
            env.fault("publish partly written");
            let some = dice.index(messages.len() + 1);
            self.write(messages.get(..some).unwrap_or_default());
            Err(unavailable("the connection broke in the middle"))
        } else {
            self.write(&messages);
            if dice.chance(ack_lost) {
                env.fault("publish written, acknowledgement lost");
                Err(unavailable("the acknowledgement was lost"))
            } else {
                Ok(())
            }
        };
        env.take_time(dice, ack_ms / 2).await;
        self.life.after().await;
        result
    }
}
