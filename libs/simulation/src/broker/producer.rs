//! Publishing, with all that can go wrong on the way.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sagaline_runtime::{BrokerError, Outbound, Producer};

use super::{Cluster, PATIENCE_MS};
use crate::life::Life;
use crate::weather::Dependency;

/// When a publish that was given up is written after all.
const LATE_MS: u64 = 3_000;

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
        write(&self.cluster, messages, self.life.id);
    }

    fn write_later(&self, messages: Vec<Outbound>, millis: u64) {
        let (cluster, by) = (Arc::clone(&self.cluster), self.life.id);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            write(&cluster, &messages, by);
        });
    }
}

fn write(cluster: &Cluster, messages: &[Outbound], by: u64) {
    for message in messages {
        let key = Some(message.key.as_bytes()).filter(|key| !key.is_empty());
        cluster.append(&message.topic, key, Some(&message.value), by);
    }
}

#[async_trait]
impl Producer for SimProducer {
    async fn publish(&self, mut messages: Vec<Outbound>) -> Result<(), BrokerError> {
        let env = &self.cluster.env;
        self.life.before().await;
        let dice = &env.broker_dice;
        let climate = env.weather.read(|now| {
            (
                now.ack_ms,
                now.publish_lost,
                now.publish_partial,
                now.ack_lost,
                now.publish_late,
            )
        });
        let (ack_ms, lost, partial, ack_lost, late) = climate;
        for message in &mut messages {
            message.value = self.life.version.writes(std::mem::take(&mut message.value));
        }
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
        } else if dice.chance(late) {
            env.fault("publish written later");
            self.write_later(messages, 1 + dice.up_to(LATE_MS));
            Err(unavailable("no answer came in time"))
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
