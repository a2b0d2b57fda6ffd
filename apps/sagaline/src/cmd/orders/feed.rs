//! Every order's changes as they happen.

use anyhow::Context;

use super::Filter;
use super::view::Order;
use crate::client::Api;
use crate::event::status_tone;
use crate::output::{Out, Paint, Tone};
use crate::text::{duration, printable, time};

/// Shows each change until nobody wants to see any more.
pub(super) async fn follow(read_model: &Api, filter: &Filter, out: &mut Out) -> anyhow::Result<()> {
    let mut stream = read_model.stream(&["orders", "stream"], &[]);
    loop {
        let message = stream.next().await?;
        let order: Order = serde_json::from_str(&message.data)
            .context("the read model's feed is not what it should be: is it of this version?")?;
        if !order.is_of(filter) {
            continue;
        }
        if out.json {
            out.line(message.data.replace('\n', " "))?;
        } else {
            let line = line(&order, out.paint);
            out.line(line)?;
        }
        out.flush()?;
    }
}

fn line(order: &Order, paint: Paint) -> String {
    let status = format!("{:<18}", printable(order.status()));
    let outcome = format!("{:<9}", printable(&order.outcome));
    let since = duration(order.updated_at.since(order.created_at));
    let (remarks, tone) = order.remarks(order.updated_at);
    let attempt = match order.attempt {
        Some(attempt) if attempt > 1 => format!("  attempt {attempt}"),
        _ => String::new(),
    };
    let line = format!(
        "{}  {}  {}  {}  +{since}{attempt}  {}",
        paint.tone(Tone::Dim, &time(order.updated_at)),
        printable(&order.id),
        paint.tone(status_tone(order.status()), &status),
        paint.tone(status_tone(&order.outcome), &outcome),
        paint.tone(tone, &printable(&remarks)),
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_a_line() {
        let order = json!({
            "orderId": "o-1", "currentStatus": "SHIPPED", "outcome": "CONFIRMED", "attempt": 2, "total": 10,
            "createdAt": "2026-01-31T12:00:00Z", "updatedAt": "2026-01-31T12:00:00.042Z",
        });
        let order: Order = serde_json::from_value(order).unwrap();
        assert_eq!(
            line(&order, Paint::none()),
            "2026-01-31 12:00:00.042  o-1  SHIPPED             CONFIRMED  +42ms  attempt 2"
        );
    }
}
