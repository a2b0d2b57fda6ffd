//! The report for a terminal.

use std::fmt;

use crate::format::{count, optional_milliseconds, percent, rate};
use crate::report::{Latency, Report, ThresholdResult};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = &self.asked;
        let early = if self.interrupted {
            ", ended early"
        } else {
            ""
        };
        writeln!(
            f,
            "{} orders/s for {} s to {}{early}",
            rate(asked.rate),
            asked.duration_s,
            asked.order_service
        )?;
        self.write_orders(f)?;
        self.write_latencies(f)?;
        self.write_troubles(f)?;
        for threshold in &self.thresholds {
            let verdict = if threshold.held { "ok    " } else { "BROKEN" };
            writeln!(f, "  {verdict}  {}: {}", threshold.name, judged(threshold))?;
        }
        f.write_str(if self.ok { "PASSED" } else { "FAILED" })
    }
}

impl Report {
    fn write_orders(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (orders, throughput) = (&self.orders, &self.throughput);
        let line = |f: &mut fmt::Formatter<'_>, name: &str, value: u64, note: String| {
            writeln!(f, "  {name:<10} {:>12}  {note}", count(value))
        };
        writeln!(f)?;
        line(
            f,
            "due",
            orders.due,
            format!("{}/s", rate(throughput.offered)),
        )?;
        line(
            f,
            "accepted",
            orders.accepted,
            format!("{}/s", rate(throughput.accepted)),
        )?;
        let concluded = orders.confirmed + orders.cancelled;
        line(
            f,
            "concluded",
            concluded,
            format!("{}/s", rate(throughput.concluded)),
        )?;
        line(f, "confirmed", orders.confirmed, String::new())?;
        line(f, "cancelled", orders.cancelled, String::new())?;
        line(f, "refused", orders.refused, "answered with 503".to_owned())?;
        line(f, "errors", orders.errors, String::new())?;
        line(
            f,
            "not sent",
            orders.not_sent,
            "too many in flight".to_owned(),
        )?;
        line(
            f,
            "lost",
            orders.lost,
            "accepted, without an outcome".to_owned(),
        )
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n  from due time to     p50        p90        p99      p99.9        max"
        )?;
        let line = |f: &mut fmt::Formatter<'_>, name: &str, latency: &Latency| {
            write!(f, "  {name:<11}")?;
            let Latency {
                p50_ms,
                p90_ms,
                p99_ms,
                p999_ms,
                max_ms,
                ..
            } = latency;
            for ms in [p50_ms, p90_ms, p99_ms, p999_ms, max_ms] {
                write!(f, " {:>10}", optional_milliseconds(*ms))?;
            }
            writeln!(f)
        };
        line(f, "sending", &self.schedule_lag)?;
        line(f, "POST answer", &self.post)?;
        line(f, "outcome", &self.end_to_end)?;
        writeln!(f)
    }

    fn write_troubles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(f, "  {} x {}", count(error.count), error.kind)?;
        }
        if self.orders.resent > 0 {
            writeln!(
                f,
                "  {} sent again after their connection broke",
                count(self.orders.resent)
            )?;
        }
        if self.feed_reconnects > 0 || self.orders.asked_for > 0 {
            let (lost, asked) = (count(self.feed_reconnects), count(self.orders.asked_for));
            writeln!(
                f,
                "  feed reconnected {lost} times; {asked} outcomes had to be asked for"
            )?;
        }
        for order in &self.lost_orders {
            writeln!(f, "  lost {}: {}", order.order_id, order.state)?;
        }
        Ok(())
    }
}

/// A threshold's measured value beside its limit.
pub(crate) fn judged(threshold: &ThresholdResult) -> String {
    let value = |value: f64| match threshold.name {
        "error rate" => percent(value),
        "lost orders" => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    };
    let actual = threshold
        .actual
        .map_or_else(|| "nothing measured".to_owned(), value);
    format!("{actual}, at most {}", value(threshold.limit))
}

#[cfg(test)]
mod tests {
    use crate::args::Thresholds;
    use crate::report::tests::{LENIENT, report};

    #[test]
    fn a_report_reads_like_a_report() {
        let text = report(LENIENT, vec![]).to_string();
        for part in [
            "2.0 orders/s for 2 s to http://127.0.0.1:4001",
            "20.0 ms",
            "error rate: 50.00 %, at most 50.00 %",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.ends_with("PASSED"), "{text}");
    }

    #[test]
    fn a_broken_threshold_is_pointed_at() {
        let text = report(
            Thresholds {
                end_to_end_p99_ms: Some(1.0),
                ..LENIENT
            },
            vec![],
        )
        .to_string();
        assert!(
            text.contains("BROKEN  end-to-end p99 (ms): 40.0, at most 1.0"),
            "{text}"
        );
        assert!(text.ends_with("FAILED"), "{text}");
    }
}
