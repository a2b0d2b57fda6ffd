//! The figures that are drawn over time.

use sagaline_views::{Sample, Stats};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Orders placed per second.
    Placed,
    /// Orders that reached an outcome, per second.
    Finished,
    /// Half of the latest outcomes took no longer, in ms.
    P50,
    /// 95 of 100.
    P95,
    /// 99 of 100.
    P99,
    /// How far the read model is behind, in ms.
    Lag,
    /// Orders without an outcome.
    InFlight,
    /// Those that take too long.
    Stalled,
    /// Messages that wait for an operator.
    DeadLetters,
}

/// All figures at one moment; what nobody knows is no number.
pub type Figures = [f64; 9];

/// As it is now.
pub fn figures_now(stats: &Stats) -> Figures {
    let took = |ms: f64| (stats.latency_ms.count > 0).then_some(ms);
    [
        stats.throughput.created.second,
        stats.throughput.finished.second,
        known(took(stats.latency_ms.p50)),
        known(took(stats.latency_ms.p95)),
        known(took(stats.latency_ms.p99)),
        stats.projector.lag_ms,
        number(Some(stats.in_flight)),
        number(Some(stats.stalled)),
        number(Some(stats.dead_letters.waiting)),
    ]
}

/// As it was, and how many seconds ago that was.
pub fn figures_then(sample: &Sample) -> (f64, Figures) {
    let figures = [
        sample.created,
        sample.finished,
        known(sample.p50_ms),
        known(sample.p95_ms),
        known(sample.p99_ms),
        sample.projector_lag_ms,
        number(sample.in_flight),
        number(sample.stalled),
        number(sample.dead_letters),
    ];
    (number(Some(sample.age_ms)) / 1_000.0, figures)
}

fn known(figure: Option<f64>) -> f64 {
    figure.unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn number(count: Option<u64>) -> f64 {
    count.map_or(f64::NAN, |count| count as f64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sagaline_views::{Latency, Projector, Rates, Throughput, WaitingLetters};

    use super::*;

    fn stats() -> Stats {
        let rates = |second| Rates {
            second,
            ten: 0.0,
            sixty: 0.0,
        };
        Stats {
            total: 0,
            by_status: BTreeMap::new(),
            by_outcome: BTreeMap::new(),
            in_flight: 7,
            stalled: 8,
            throughput: Throughput {
                created: rates(1.0),
                finished: rates(2.0),
                events: rates(0.0),
            },
            latency_ms: Latency {
                count: 1,
                p50: 3.0,
                p95: 4.0,
                p99: 5.0,
                max: 0.0,
            },
            projector: Projector { lag_ms: 6.0 },
            dead_letters: WaitingLetters { waiting: 9 },
            lag: Vec::new(),
        }
    }

    const SAMPLE: Sample = Sample {
        age_ms: 2_500,
        created: 1.0,
        finished: 2.0,
        p50_ms: Some(3.0),
        p95_ms: Some(4.0),
        p99_ms: Some(5.0),
        projector_lag_ms: 6.0,
        in_flight: Some(7),
        stalled: Some(8),
        confirmed: Some(0),
        cancelled: Some(0),
        dead_letters: Some(9),
    };

    #[test]
    fn given_the_same_counts_then_every_figure_is_the_same_now_and_then() {
        let all = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        assert_eq!(figures_now(&stats()).to_vec(), all.to_vec());
        assert_eq!(figures_then(&SAMPLE), (2.5, all));
        assert_eq!(Figure::Placed as usize, 0);
        assert_eq!(Figure::DeadLetters as usize, all.len() - 1);
    }

    #[test]
    fn given_a_count_that_nobody_knew_then_it_is_no_number_and_not_none() {
        let unknown = Sample {
            dead_letters: None,
            p50_ms: None,
            ..SAMPLE
        };
        let (_, figures) = figures_then(&unknown);
        assert!(figures[Figure::P50 as usize].is_nan());
        let mut before_the_first = stats();
        before_the_first.latency_ms.count = 0;
        assert!(figures_now(&before_the_first)[Figure::P50 as usize].is_nan());
        assert!(figures[Figure::DeadLetters as usize].is_nan());
        assert!(!figures[Figure::InFlight as usize].is_nan());
    }
}
