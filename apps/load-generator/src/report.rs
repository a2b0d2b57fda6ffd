//! What a run has shown.

use std::time::Duration;

use serde::Serialize;

use crate::args::{Plan, Thresholds};
use crate::interval::{Latencies, Second};
use crate::ledger::{Closed, Counts, LostOrder};

/// Lost orders that are listed by name.
const LOST_SHOWN: usize = 20;

/// A run's report. As JSON its names are in camel case.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether every threshold held.
    pub ok: bool,
    /// Whether the run was ended early.
    pub interrupted: bool,
    /// What was asked for.
    pub asked: Asked,
    /// How many orders came to what.
    pub orders: Orders,
    /// Share of due orders that were not accepted.
    pub error_rate: f64,
    /// Orders per second.
    pub throughput: Throughput,
    /// From due time to the answer of `POST /orders`; accepted orders alone.
    pub post: Latency,
    /// From due time to the outcome in the read model.
    pub end_to_end: Latency,
    /// By how much orders left later than they were due. It is part of the other latencies.
    pub schedule_lag: Latency,
    /// How often the feed was lost and found again.
    pub feed_reconnects: u64,
    /// Each threshold, and whether it held.
    pub thresholds: Vec<ThresholdResult>,
    /// What went wrong, and how often.
    pub errors: Vec<ErrorCount>,
    /// The first of the orders that came to no outcome.
    pub lost_orders: Vec<LostOrder>,
    /// The run second by second.
    pub series: Series,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The order service's address.
    pub order_service: String,
    /// The read model's address.
    pub read_model: String,
    /// Orders per second.
    pub rate: f64,
    /// For how long, in seconds.
    pub duration_s: f64,
    /// The seed of the orders.
    pub seed: u64,
    /// Most lines per order.
    pub items: u32,
    /// Share of lines that ask for the hot SKU.
    pub hot_sku_share: f64,
}

/// How many orders came to what. `due = accepted + refused + errors + notSent`, and
/// `accepted = confirmed + cancelled + lost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Orders {
    /// Due by the schedule.
    pub due: u64,
    /// Answered with 201 or 200.
    pub accepted: u64,
    /// Answered with 503.
    pub refused: u64,
    /// Answered otherwise, or not at all.
    pub errors: u64,
    /// Not sent, because too many were in flight.
    pub not_sent: u64,
    /// Sent twice under one idempotency key, because the connection broke.
    pub resent: u64,
    /// Shipped.
    pub confirmed: u64,
    /// Undone.
    pub cancelled: u64,
    /// Accepted, and without an outcome at the end.
    pub lost: u64,
    /// Outcomes that the feed did not tell, so that the read model was asked.
    pub asked_for: u64,
}

/// Orders per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throughput {
    /// Due.
    pub offered: f64,
    /// Accepted.
    pub accepted: f64,
    /// Brought to an outcome, from the start to the last outcome.
    pub concluded: f64,
}

/// Percentiles in milliseconds; absent when nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Mean.
    pub mean_ms: Option<f64>,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub p999_ms: Option<f64>,
    /// Highest.
    pub max_ms: Option<f64>,
}

impl Latency {
    fn of(latencies: &Latencies) -> Self {
        Self {
            mean_ms: latencies.mean_ms(),
            p50_ms: latencies.quantile_ms(0.5),
            p90_ms: latencies.quantile_ms(0.9),
            p99_ms: latencies.quantile_ms(0.99),
            p999_ms: latencies.quantile_ms(0.999),
            max_ms: latencies.max_ms(),
        }
    }
}

/// One threshold. Something that was not measured holds no threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThresholdResult {
    /// What it is about.
    pub name: &'static str,
    /// The highest value that holds.
    pub limit: f64,
    /// What was measured.
    pub actual: Option<f64>,
    /// Whether it held.
    pub held: bool,
}

impl ThresholdResult {
    fn new(name: &'static str, limit: f64, actual: Option<f64>) -> Self {
        Self {
            name,
            limit,
            actual,
            held: actual.is_some_and(|actual| actual <= limit),
        }
    }
}

/// One kind of error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// What happened.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// A run second by second.
pub type Series = Vec<Second>;

/// What a report is made of.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) sent_for: Duration,
    pub(crate) interrupted: bool,
    pub(crate) lost: Vec<LostOrder>,
    pub(crate) closed: Closed,
}

impl Report {
    pub(crate) fn new(plan: &Plan, facts: Facts) -> Self {
        let Facts {
            sent_for,
            interrupted,
            mut lost,
            closed,
        } = facts;
        let counts = closed.counts;
        let orders = orders(&counts, lost.len() as u64);
        let error_rate = share(orders.refused + orders.errors + orders.not_sent, orders.due);
        let (post, end_to_end) = (Latency::of(&closed.post), Latency::of(&closed.end_to_end));
        let thresholds = judge(&plan.thresholds, &orders, error_rate, &post, &end_to_end);
        let until_last = Duration::from_micros(closed.last_concluded_us).max(sent_for);
        lost.sort_by(|a, b| a.order_id.cmp(&b.order_id));
        lost.truncate(LOST_SHOWN);
        Self {
            ok: thresholds.iter().all(|threshold| threshold.held),
            interrupted,
            asked: asked(plan),
            orders,
            error_rate,
            throughput: Throughput {
                offered: per_second(orders.due, sent_for),
                accepted: per_second(orders.accepted, sent_for),
                concluded: per_second(counts.concluded(), until_last),
            },
            post,
            end_to_end,
            schedule_lag: Latency::of(&closed.lag),
            feed_reconnects: counts.reconnects,
            thresholds,
            errors: closed
                .errors
                .into_iter()
                .map(|(kind, count)| ErrorCount { kind, count })
                .collect(),
            lost_orders: lost,
            series: closed.seconds,
        }
    }
}

fn asked(plan: &Plan) -> Asked {
    Asked {
        order_service: plan.order_service.to_string(),
        read_model: plan.read_model.to_string(),
        rate: plan.rate,
        duration_s: plan.duration.as_secs_f64(),
        seed: plan.seed,
        items: plan.items,
        hot_sku_share: plan.hot_sku_share,
    }
}

fn orders(counts: &Counts, lost: u64) -> Orders {
    Orders {
        due: counts.due,
        accepted: counts.accepted,
        refused: counts.refused,
        errors: counts.errors,
        not_sent: counts.not_sent,
        resent: counts.resent,
        confirmed: counts.confirmed,
        cancelled: counts.cancelled,
        lost,
        asked_for: counts.asked,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of orders are far below 2^53"
)]
fn judge(
    thresholds: &Thresholds,
    orders: &Orders,
    error_rate: f64,
    post: &Latency,
    end_to_end: &Latency,
) -> Vec<ThresholdResult> {
    let due = orders.due > 0;
    let mut results = vec![
        ThresholdResult::new("lost orders", 0.0, Some(orders.lost as f64)),
        ThresholdResult::new(
            "error rate",
            thresholds.error_rate,
            due.then_some(error_rate),
        ),
    ];
    if let Some(limit) = thresholds.end_to_end_p99_ms {
        results.push(ThresholdResult::new(
            "end-to-end p99 (ms)",
            limit,
            end_to_end.p99_ms,
        ));
    }
    if let Some(limit) = thresholds.post_p99_ms {
        results.push(ThresholdResult::new("POST p99 (ms)", limit, post.p99_ms));
    }
    results
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of orders are far below 2^53"
)]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of orders are far below 2^53"
)]
fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        count as f64 / time.as_secs_f64()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ledger::{Ledger, Outcome, Source};

    pub(crate) fn plan(thresholds: Thresholds) -> Plan {
        Plan {
            order_service: "http://127.0.0.1:4001".parse().unwrap(),
            read_model: "http://127.0.0.1:4005".parse().unwrap(),
            rate: 2.0,
            duration: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(1),
            thresholds,
            hot_sku_share: 0.0,
            items: 3,
            seed: 1,
            connections: 1,
            max_in_flight: 10,
        }
    }

    pub(crate) const LENIENT: Thresholds = Thresholds {
        end_to_end_p99_ms: None,
        post_p99_ms: None,
        error_rate: 0.5,
    };

    /// Four orders: confirmed after 20 ms, cancelled after 40 ms, refused, and lost.
    pub(crate) fn report(thresholds: Thresholds, lost: Vec<LostOrder>) -> Report {
        let ledger = Ledger::new().unwrap();
        for due_us in [0, 500_000, 1_000_000, 1_500_000] {
            ledger.due(due_us, 10);
        }
        ledger.accepted("a", 0, 5_000);
        ledger.outcome("a", Outcome::Confirmed, Source::Feed, 20_000);
        ledger.accepted("b", 500_000, 510_000);
        ledger.outcome("b", Outcome::Cancelled, Source::Feed, 540_000);
        ledger.refused(1_010_000);
        ledger.failed("<b>bad & worse</b>".to_owned(), 1_510_000);
        let facts = Facts {
            sent_for: Duration::from_secs(2),
            interrupted: false,
            lost,
            closed: ledger.close(),
        };
        Report::new(&plan(thresholds), facts)
    }

    fn lost() -> Vec<LostOrder> {
        vec![LostOrder {
            order_id: "c".to_owned(),
            state: "PENDING CREATED".to_owned(),
        }]
    }

    #[test]
    fn without_thresholds_a_run_that_lost_nothing_succeeds() {
        let report = report(LENIENT, vec![]);
        assert!(report.ok, "{:?}", report.thresholds);
        assert_eq!((report.orders.confirmed, report.orders.cancelled), (1, 1));
        assert!((report.error_rate - 0.5).abs() < 1e-9);
        assert!((report.throughput.concluded - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_lost_order_fails_a_run_whatever_else_is_allowed() {
        let report = report(LENIENT, lost());
        assert!(!report.ok);
        assert_eq!(report.lost_orders[0].order_id, "c");
    }

    #[test]
    fn each_threshold_can_fail_a_run_alone() {
        let strict = |change: fn(&mut Thresholds)| {
            let mut thresholds = LENIENT;
            change(&mut thresholds);
            report(thresholds, vec![])
        };
        assert!(!strict(|t| t.error_rate = 0.49).ok);
        assert!(!strict(|t| t.end_to_end_p99_ms = Some(39.0)).ok);
        assert!(strict(|t| t.end_to_end_p99_ms = Some(41.0)).ok);
        assert!(!strict(|t| t.post_p99_ms = Some(9.0)).ok);
        assert!(strict(|t| t.post_p99_ms = Some(11.0)).ok);
    }

    #[test]
    fn a_percentile_of_nothing_holds_no_threshold() {
        let thresholds = Thresholds {
            end_to_end_p99_ms: Some(1e9),
            ..LENIENT
        };
        let closed = Ledger::new().unwrap().close();
        let facts = Facts {
            sent_for: Duration::ZERO,
            interrupted: true,
            lost: vec![],
            closed,
        };
        let report = Report::new(&plan(thresholds), facts);
        assert!(!report.ok);
        assert_eq!(report.thresholds.iter().filter(|t| !t.held).count(), 2);
    }

    #[test]
    fn the_json_report_has_camel_case_names_and_every_second() {
        let json = serde_json::to_value(report(LENIENT, lost())).unwrap();
        assert_eq!(json["orders"]["notSent"], 0);
        assert!((json["endToEnd"]["p50Ms"].as_f64().unwrap() - 20.0).abs() < 0.1);
        assert_eq!(json["lostOrders"][0]["orderId"], "c");
        assert_eq!(json["series"].as_array().unwrap().len(), 2);
        assert_eq!(json["series"][0]["due"], 2);
    }
}
