//! Messages that are no events, and what an operator decides about them.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Poison;
use super::ask::{ANSWER_LIMIT, Click};
use super::desk::Desk;
use crate::lag::{consumers_of, topics_of_participants};
use crate::topics::produce;

const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What is no event: none of it has an id.
const KINDS: [Option<&[u8]>; 4] = [
    Some(b"poison"),
    Some(br#"{"poison":true}"#),
    Some(b"\xff\xfe{}"),
    None,
];

/// What is left to chance.
mod question {
    pub(super) const TOPIC: u64 = 11;
    pub(super) const KIND: u64 = 12;
    pub(super) const EDIT: u64 = 13;
}

impl Desk {
    /// Puts a message that is no event among those of the order.
    pub(super) async fn poison(&self) -> Result<Poison> {
        let mut topics = topics_of_participants();
        // Those that can be corrected as often as all others.
        let corrected = topics
            .iter()
            .filter(|topic| self.correction(topic).is_some());
        topics.extend(corrected.copied().collect::<Vec<_>>().repeat(3));
        let topic = self
            .chances
            .one(question::TOPIC, &topics)
            .context("no topics")?;
        let value = self.chances.one(question::KIND, &KINDS).flatten();
        self.at(format!("puts poison on {topic}"));
        let key = Some(self.order.as_bytes());
        let kafka = &self.client.addresses().kafka;
        let (partition, offset) = produce(kafka, topic, key, value)
            .await
            .with_context(|| format!("poison on {topic}"))?;
        let poison = Poison {
            topic: topic.to_owned(),
            partition,
            offset,
            order: self.order.clone(),
        };
        self.note(|acts| acts.poison.push(poison.clone()));
        Ok(poison)
    }

    /// Waits until everybody who consumes the topic has given it up.
    pub(super) async fn letter(&self, poison: &Poison) -> Result<String> {
        let topic = &poison.topic;
        let wanted = consumers_of(topic);
        let path = format!("/dead-letters?state=waiting&topic={topic}&limit=100");
        loop {
            let listed = tokio::time::timeout(ANSWER_LIMIT, self.client.listed(&path)).await;
            let letters = listed.ok().and_then(Result::ok).unwrap_or_default();
            let ours = letters.iter().find(|letter| is_of(letter, poison));
            let given_up = ours.map(consumers).unwrap_or_default();
            if given_up == wanted {
                let id = ours.and_then(|letter| letter["deadLetterId"].as_str());
                return Ok(id.context("a dead letter without an id")?.to_owned());
            }
            self.at(format!(
                "{poison:?} is given up by {given_up:?} of {wanted:?}"
            ));
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Has what should have been there handled in its place, or drops it.
    pub(super) async fn decide(&self, poison: &Poison) -> Result<()> {
        let letter = self.letter(poison).await?;
        let edited = self.correction(&poison.topic);
        let edited = edited
            .filter(|_| self.chances.one(question::EDIT, &[true, true, true, false]) == Some(true));
        let (command, body) = match edited {
            Some(payload) => ("redrive", json!({ "payload": payload })),
            None => ("discard", json!({})),
        };
        self.at(format!("asks: {command} of {letter}"));
        let read_model = &self.client.addresses().read_model;
        let url = format!("{read_model}/admin/dead-letters/{letter}/{command}");
        let click = Click {
            urls: self.once_or_twice(vec![url.clone(), url]),
            body,
            // The same decision about the same deaths is the same command.
            key: None,
        };
        self.accepted(command, Some(&letter), click).await
    }

    /// What the message may have been meant to be, where the order goes its way with it: a step that it takes anyway, or somebody's
    /// wish to undo it. Nobody can make up a charge or a parcel.
    fn correction(&self, topic: &str) -> Option<Value> {
        let order = &self.order;
        let items = self.body["items"].as_array()?;
        match topic {
            "order.OrderCreated.v1" => Some(json!({
                "orderId": order, "items": items, "total": self.body["total"],
            })),
            "inventory.InventoryReserved.v1" => {
                let reserved = items
                    .iter()
                    .map(|item| json!({ "sku": item["sku"], "qty": item["qty"] }));
                Some(json!({
                    "orderId": order, "reservedItems": reserved.collect::<Vec<_>>(),
                    "total": self.body["total"], "attempt": 1,
                }))
            }
            "ops.CompensationRequested.v1" => Some(json!({
                "orderId": order, "action": "releaseInventory", "requestedBy": "somebody",
            })),
            _ => None,
        }
    }
}

/// Whether a dead letter is about this message.
fn is_of(letter: &Value, poison: &Poison) -> bool {
    letter["topic"] == poison.topic.as_str()
        && letter["partition"] == poison.partition
        && letter["offset"] == poison.offset
}

/// Who could not handle it, in alphabetical order.
fn consumers(letter: &Value) -> Vec<&str> {
    let copies = letter["consumers"].as_array().into_iter().flatten();
    let mut names: Vec<&str> = copies
        .filter_map(|copy| copy["consumer"].as_str())
        .collect();
    names.sort_unstable();
    names
}
