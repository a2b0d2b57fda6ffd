//! `GET /stats` and `GET /stats/history`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// All orders.
    pub total: u64,
    /// By `currentStatus`.
    pub by_status: BTreeMap<String, u64>,
    /// By `outcome`.
    pub by_outcome: BTreeMap<String, u64>,
    /// Without an outcome.
    pub in_flight: u64,
    /// In flight for longer than the saga timeout.
    pub stalled: u64,
    /// Per second.
    pub throughput: Throughput,
    /// From the placing of an order to its outcome.
    pub latency_ms: Latency,
    /// How far the read model is behind.
    pub projector: Projector,
    /// Messages that wait for an operator.
    pub dead_letters: WaitingLetters,
    /// How far each service's consumer group is behind.
    #[serde(default)]
    pub lag: Vec<ConsumerLag>,
}

/// How far a consumer group is behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerLag {
    /// The group.
    pub group: String,
    /// Messages that it has yet to read, when somebody knows.
    pub messages: Option<u64>,
    /// The same by topic.
    #[serde(default)]
    pub topics: BTreeMap<String, u64>,
    /// How old this is.
    #[serde(default)]
    pub age_ms: Option<f64>,
}

/// Per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Orders placed.
    pub created: Rates,
    /// Orders that reached an outcome.
    pub finished: Rates,
    /// Events projected.
    pub events: Rates,
}

/// Over the last second, ten and sixty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// One.
    #[serde(rename = "1s")]
    pub second: f64,
    /// Ten.
    #[serde(rename = "10s")]
    pub ten: f64,
    /// Sixty.
    #[serde(rename = "60s")]
    pub sixty: f64,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Of so many. Of none, the others say nothing.
    pub count: u64,
    /// Half took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// How far the read model is behind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Projector {
    /// In milliseconds.
    pub lag_ms: f64,
}

/// Messages that wait for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingLetters {
    /// How many.
    pub waiting: u64,
}

/// What was counted before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The earliest first.
    pub samples: Vec<Sample>,
}

/// What was counted at one moment. What nobody knew then is absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
    /// Orders placed per second.
    pub created: f64,
    /// Orders that reached an outcome, per second.
    pub finished: f64,
    /// Half took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95 of 100 took no longer.
    pub p95_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<f64>,
    /// How far the read model was behind, in milliseconds.
    pub projector_lag_ms: f64,
    /// Orders without an outcome.
    pub in_flight: Option<u64>,
    /// In flight for longer than the saga timeout.
    pub stalled: Option<u64>,
    /// Confirmed.
    pub confirmed: Option<u64>,
    /// Cancelled.
    pub cancelled: Option<u64>,
    /// Messages that waited for an operator.
    pub dead_letters: Option<u64>,
}
