//! The report as one HTML page that needs nothing else.

use std::fmt::Write;

use crate::chart::{Line, chart};
use crate::format::{count, optional_milliseconds, percent, rate};
use crate::interval::Second;
use crate::report::{Latency, Report};
use crate::text::judged;

const STYLE: &str = include_str!("report.css");

impl Report {
    /// The report as a self-contained page.
    pub fn to_html(&self) -> String {
        let verdict = if self.ok { "passed" } else { "failed" };
        let early = if self.interrupted {
            ", ended early"
        } else {
            ""
        };
        let asked = &self.asked;
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>Load report: {verdict}</title>\
             <style>{STYLE}</style></head><body><h1>Load report <span class=\"{verdict}\">{verdict}</span></h1>\
             <p>{} orders/s for {} s to {}{early}</p>{}{}<h2>Throughput</h2>{}<h2>Latency</h2>{}{}</body></html>\n",
            rate(asked.rate),
            asked.duration_s,
            escape(&asked.order_service),
            self.thresholds_table(),
            self.orders_table(),
            self.throughput_chart(),
            self.latency_chart(),
            self.latency_table() + &self.troubles(),
        )
    }

    fn thresholds_table(&self) -> String {
        let rows = self
            .thresholds
            .iter()
            .fold(String::new(), |mut rows, threshold| {
                let verdict = if threshold.held { "passed" } else { "failed" };
                // Writing to a string cannot fail, here as below.
                let _ = write!(
                    rows,
                    "<tr><th>{}</th><td class=\"{verdict}\">{}</td></tr>",
                    threshold.name,
                    judged(threshold)
                );
                rows
            });
        format!("<h2>Thresholds</h2><table>{rows}</table>")
    }

    fn orders_table(&self) -> String {
        let (orders, throughput) = (&self.orders, &self.throughput);
        let concluded = orders.confirmed + orders.cancelled;
        let rows = [
            ("due", orders.due, format!("{}/s", rate(throughput.offered))),
            (
                "accepted",
                orders.accepted,
                format!("{}/s", rate(throughput.accepted)),
            ),
            (
                "concluded",
                concluded,
                format!("{}/s", rate(throughput.concluded)),
            ),
            ("confirmed", orders.confirmed, String::new()),
            ("cancelled", orders.cancelled, String::new()),
            ("refused (503)", orders.refused, String::new()),
            ("errors", orders.errors, String::new()),
            ("not sent", orders.not_sent, String::new()),
            (
                "lost",
                orders.lost,
                format!("error rate {}", percent(self.error_rate)),
            ),
        ];
        let rows = rows
            .into_iter()
            .fold(String::new(), |mut table, (name, value, note)| {
                let _ = write!(
                    table,
                    "<tr><th>{name}</th><td>{}</td><td>{note}</td></tr>",
                    count(value)
                );
                table
            });
        format!("<h2>Orders</h2><table>{rows}</table>")
    }

    fn latency_table(&self) -> String {
        let row = |name: &str, latency: &Latency| {
            let Latency {
                mean_ms,
                p50_ms,
                p90_ms,
                p99_ms,
                p999_ms,
                max_ms,
            } = latency;
            let cells = [p50_ms, p90_ms, p99_ms, p999_ms, max_ms, mean_ms];
            let cells = cells
                .map(|ms| format!("<td>{}</td>", optional_milliseconds(*ms)))
                .concat();
            format!("<tr><th>{name}</th>{cells}</tr>")
        };
        format!(
            "<table><tr><th>from due time to</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th>\
             <th>mean</th></tr>{}{}{}</table>",
            row("sending", &self.schedule_lag),
            row("POST answer", &self.post),
            row("outcome", &self.end_to_end),
        )
    }

    fn throughput_chart(&self) -> String {
        #[expect(
            clippy::cast_precision_loss,
            reason = "orders in a second are far below 2^53"
        )]
        let line = |name, class, value: fn(&Second) -> u64| {
            let values = self
                .series
                .iter()
                .map(|second| Some(value(second) as f64))
                .collect();
            Line {
                name,
                class,
                values,
            }
        };
        let lines = [
            line("due", "due", |second| second.due),
            line("accepted", "accepted", |second| second.accepted),
            line("concluded", "concluded", |second| second.concluded),
            line("refused, failed or not sent", "trouble", |second| {
                second.failed
            }),
        ];
        chart("Orders in each second", "", &lines)
    }

    fn latency_chart(&self) -> String {
        let line = |name, class, value: fn(&Second) -> Option<f64>| Line {
            name,
            class,
            values: self.series.iter().map(value).collect(),
        };
        let lines = [
            line("outcome p99", "concluded", |second| {
                second.end_to_end_p99_ms
            }),
            line("outcome p50", "due", |second| second.end_to_end_p50_ms),
            line("POST p99", "accepted", |second| second.post_p99_ms),
        ];
        chart("Latency in each second, in milliseconds", " ms", &lines)
    }

    fn troubles(&self) -> String {
        let mut items = String::new();
        for error in &self.errors {
            let _ = write!(
                items,
                "<li>{} × {}</li>",
                count(error.count),
                escape(&error.kind)
            );
        }
        for order in &self.lost_orders {
            let _ = write!(
                items,
                "<li>lost {}: {}</li>",
                escape(&order.order_id),
                escape(&order.state)
            );
        }
        if self.feed_reconnects > 0 {
            let _ = write!(
                items,
                "<li>feed reconnected {} times</li>",
                count(self.feed_reconnects)
            );
        }
        if items.is_empty() {
            items
        } else {
            format!("<h2>Troubles</h2><ul>{items}</ul>")
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use crate::ledger::LostOrder;
    use crate::report::tests::{LENIENT, report};

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_escapes_what_services_said() {
        let lost = LostOrder {
            order_id: "<script>".to_owned(),
            state: "\"x\"".to_owned(),
        };
        let page = report(LENIENT, vec![lost]).to_html();
        assert!(
            !page.contains("<script") && !page.contains("<b>bad"),
            "{page}"
        );
        assert!(page.contains("&lt;b&gt;bad &amp; worse"), "{page}");
        for outside in ["src=", "href=", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.contains("class=\"failed\""), "{page}");
    }
}
