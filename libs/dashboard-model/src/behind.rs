//! How far a service is behind, in words.

use sagaline_views::ConsumerLag;

use crate::{count, duration};

/// What was told longer ago is not how it is now: the broker does not answer.
const OLD_MS: f64 = 15_000.0;

/// A line of the table of services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The service, without what all their names have in common.
    pub service: String,
    /// Messages, or `unknown`.
    pub messages: String,
    /// Whether it has anything left to read.
    pub is_behind: bool,
    /// What else is to be said: where most of them are, or how old that is.
    pub note: String,
}

impl Behind {
    /// Of what is known of a consumer group.
    pub fn of(lag: &ConsumerLag) -> Self {
        let worst = lag.topics.iter().max_by_key(|(_, messages)| **messages);
        let worst = worst.filter(|(_, messages)| **messages > 0);
        let note = match (lag.messages, lag.age_ms) {
            (None, _) => "the broker has not told".to_owned(),
            (_, Some(age)) if age > OLD_MS => {
                format!("as told {} ago", duration(age))
            }
            _ => worst.map_or_else(String::new, |(topic, _)| {
                format!("most in {}", topic.split('.').nth(1).unwrap_or(topic))
            }),
        };
        Self {
            service: lag.group.trim_end_matches("-service").replace('-', " "),
            messages: lag.messages.map_or_else(|| "unknown".to_owned(), count),
            is_behind: lag.messages.is_some_and(|messages| messages > 0),
            note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(messages: Option<u64>, age_ms: f64) -> ConsumerLag {
        let topics = [
            ("order.OrderCreated.v1", 2),
            ("payment.PaymentFailed.v1", 5),
        ];
        ConsumerLag {
            group: "read-model-service".to_owned(),
            messages,
            topics: topics.map(|(topic, n)| (topic.to_owned(), n)).into(),
            age_ms: Some(age_ms),
        }
    }

    #[test]
    fn what_nobody_knows_is_not_nothing() {
        let unknown = Behind::of(&ConsumerLag {
            messages: None,
            topics: std::collections::BTreeMap::new(),
            ..lag(None, 0.0)
        });
        assert_eq!(unknown.messages, "unknown");
        assert!(!unknown.is_behind && !unknown.note.is_empty());
    }

    #[test]
    fn where_most_of_it_is_stands_beside_it_unless_it_is_old() {
        let fresh = Behind::of(&lag(Some(1_007), 900.0));
        assert_eq!(fresh.service, "read model");
        assert_eq!(fresh.messages, count(1_007));
        assert_eq!(fresh.note, "most in PaymentFailed");
        assert!(fresh.is_behind);
        let old = Behind::of(&lag(Some(7), 90_000.0));
        assert!(old.note.starts_with("as told 1"), "{}", old.note);
        let none = Behind::of(&ConsumerLag {
            topics: [("order.OrderCreated.v1".to_owned(), 0)].into(),
            ..lag(Some(0), 10.0)
        });
        assert_eq!((none.note.as_str(), none.is_behind), ("", false));
    }
}
