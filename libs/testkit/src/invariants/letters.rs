//! Nothing vanishes: what is no event is a dead letter at each consumer, once, and is decided; and nothing else is one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Broken, Violations};
use crate::lag::consumers_of;
use crate::operators::{Acts, Poison};
use crate::topics::TopicMessage;

/// A place in a topic.
type Place = (String, i64, i64);

/// The dead letters on their topics.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    /// The ids of what was told of each message by each consumer.
    told: BTreeMap<Place, BTreeMap<String, BTreeSet<String>>>,
    /// The letter of each message.
    letters: BTreeMap<Place, String>,
}

impl Deaths {
    pub(super) fn told(messages: &[TopicMessage]) -> Self {
        let mut deaths = Self::default();
        for event in messages.iter().map(TopicMessage::json) {
            let letter = &event["payload"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let number = |value: &Value| value.as_i64().unwrap_or(-1);
            let place = (
                text(&letter["originalTopic"]),
                number(&letter["partition"]),
                number(&letter["offset"]),
            );
            let id = text(&letter["deadLetterId"]);
            deaths.letters.insert(place.clone(), id);
            let by_consumer = deaths.told.entry(place).or_default();
            let ids = by_consumer.entry(text(&letter["consumer"])).or_default();
            ids.insert(text(&event["eventId"]));
        }
        deaths
    }

    /// The letter of this message.
    pub(super) fn letter(&self, message: &Poison) -> Option<&str> {
        self.letters.get(&place(message)).map(String::as_str)
    }
}

fn place(message: &Poison) -> Place {
    let Poison {
        topic,
        partition,
        offset,
        ..
    } = message;
    (topic.clone(), i64::from(*partition), *offset)
}

/// The messages that are no events, in the order of their places.
pub(super) fn poison(messages: &[TopicMessage]) -> BTreeSet<Poison> {
    let dead = messages
        .iter()
        .filter(|message| message.json()["eventId"].is_null());
    dead.map(|message| Poison {
        topic: message.topic.clone(),
        partition: message.partition,
        offset: message.offset,
        order: key(message).to_owned(),
    })
    .collect()
}

pub(super) fn key(message: &TopicMessage) -> &str {
    let key = message.key.as_deref();
    key.and_then(|key| std::str::from_utf8(key).ok())
        .unwrap_or_default()
}

/// Each message that is no event is one dead letter, which everybody told of who consumes its topic, and which is decided; and there are
/// no other ones.
pub(super) fn check(
    acts: &Acts,
    messages: &[TopicMessage],
    deaths: &Deaths,
    records: &[Value],
    found: &mut Violations,
) {
    let poison = poison(messages);
    for lost in acts.poison.iter().filter(|sent| !poison.contains(*sent)) {
        let what = format!("{lost:?} was acknowledged, and is not on its topic");
        found.push(Broken::Lost, what);
    }
    let nobody = BTreeMap::new();
    for message in &poison {
        let told = deaths.told.get(&place(message)).unwrap_or(&nobody);
        check_told(message, told, found);
        let of_it: Vec<&Value> = records
            .iter()
            .filter(|record| is_at(record, message))
            .collect();
        check_record(message, &of_it, acts, found);
    }
    let dead: BTreeSet<Place> = poison.iter().map(place).collect();
    for fine in deaths.told.keys().filter(|place| !dead.contains(*place)) {
        found.push(
            Broken::Wrong,
            format!("{fine:?} was fine, and is a dead letter"),
        );
    }
    for record in records
        .iter()
        .filter(|record| !poison.iter().any(|message| is_at(record, message)))
    {
        found.push(
            Broken::Wrong,
            format!("a dead letter of nothing dead: {record}"),
        );
    }
}

fn is_at(record: &Value, message: &Poison) -> bool {
    record["topic"] == message.topic.as_str()
        && record["partition"] == message.partition
        && record["offset"] == message.offset
}

fn check_told(message: &Poison, told: &BTreeMap<String, BTreeSet<String>>, found: &mut Violations) {
    let wanted = consumers_of(&message.topic);
    for consumer in &wanted {
        match told.get(*consumer).map_or(0, BTreeSet::len) {
            1 => {}
            0 => found.push(Broken::Lost, format!("{message:?} vanished at {consumer}")),
            more => {
                let what = format!("{message:?} is {more} dead letters of {consumer}");
                found.push(Broken::Doubled, what);
            }
        }
    }
    for other in told.keys().filter(|name| !wanted.contains(&name.as_str())) {
        let what = format!("{message:?} is a dead letter of {other}, which does not read it");
        found.push(Broken::Wrong, what);
    }
}

/// What is shown of it: one letter with all who gave it up, decided once, by what was accepted.
fn check_record(message: &Poison, records: &[&Value], acts: &Acts, found: &mut Violations) {
    let record = match records {
        [record] => record,
        [] => {
            found.push(
                Broken::Lost,
                format!("{message:?} is not among the dead letters"),
            );
            return;
        }
        _ => {
            found.push(
                Broken::Doubled,
                format!("{message:?} is several dead letters: {records:?}"),
            );
            return;
        }
    };
    let copies: Vec<&Value> = record["consumers"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let mut names: Vec<&str> = copies
        .iter()
        .filter_map(|copy| copy["consumer"].as_str())
        .collect();
    names.sort_unstable();
    if names != consumers_of(&message.topic) {
        found.push(
            Broken::Wrong,
            format!("{message:?} is shown as given up by {names:?}"),
        );
    }
    let waits = copies.iter().any(|copy| copy["state"] == "waiting");
    if waits || record["state"] == "waiting" {
        found.push(
            Broken::Lost,
            format!("{message:?} still waits for a decision: {record}"),
        );
    }
    let decisions = record["decisions"].as_array().into_iter().flatten();
    let decisions: Vec<&str> = decisions
        .filter_map(|decision| decision["eventId"].as_str())
        .collect();
    let asked = acts
        .accepted
        .iter()
        .filter(|action| action.letter.as_deref() == record["deadLetterId"].as_str());
    let asked: Vec<&str> = asked.map(|action| action.command_id.as_str()).collect();
    if decisions != asked {
        let what =
            format!("{message:?} was decided by {decisions:?}, but {asked:?} were asked for");
        found.push(
            if decisions.len() > asked.len() {
                Broken::Doubled
            } else {
                Broken::Lost
            },
            what,
        );
    }
}

#[cfg(test)]
mod tests;
