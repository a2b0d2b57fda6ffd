//! An order's events as swim lanes: a row for each service, time from left to right, an arrow from each cause to its effect.
//!
//! Steps take milliseconds and waits may take hours, so the axis is neither linear nor a mere sequence: the distance between
//! two events grows with the logarithm of the time between them, and long waits are labelled.

use std::collections::HashMap;

use sagaline_views::{Entry, Moment};

use crate::event::{Kind, Lane, lane};
use crate::text::duration;

/// The height of a row.
const ROW_HEIGHT: f64 = 68.0;
const TOP: f64 = 34.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 72.0;
/// Events of different rows may stand close together; those of one row need room for their names.
const GAP_MIN: f64 = 26.0;
const GAP_MAX: f64 = 190.0;
const NAME_WIDTH: f64 = 96.0;
/// A longer wait is labelled.
const WAIT_MS: f64 = 400.0;

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// The rows from the top.
    pub rows: Vec<Row>,
    /// The events.
    pub nodes: Vec<Node>,
    /// From causes to effects.
    pub arrows: Vec<Arrow>,
    /// The attempts, side by side, when there is more than one.
    pub attempts: Vec<Band>,
    /// The long waits.
    pub waits: Vec<Band>,
}

/// A row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Whose it is.
    pub lane: Lane,
    /// The middle of it.
    pub y: f64,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Which of the events.
    pub index: usize,
    /// Where.
    pub x: f64,
    /// Where.
    pub y: f64,
    /// How long after its cause, in words.
    pub after: Option<String>,
}

/// From a cause to its effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrow {
    /// As an SVG path.
    pub path: String,
    /// The effect undoes something.
    pub is_compensation: bool,
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// From here.
    pub from: f64,
    /// To here.
    pub to: f64,
    /// What it is.
    pub label: String,
}

/// Lays out events that are in order.
pub fn draw(events: &[Entry]) -> Drawing {
    let rows = rows(events);
    let y_of: HashMap<Lane, f64> = rows.iter().map(|row| (row.lane, row.y)).collect();
    let at: HashMap<&str, usize> = events
        .iter()
        .enumerate()
        .map(|(index, entry)| (entry.event_id.as_str(), index))
        .collect();
    let xs = positions(events);
    let mut drawing = Drawing {
        width: xs.last().map_or(LEFT, |x| x + RIGHT),
        height: TOP + ROW_HEIGHT * as_f64(rows.len()),
        rows,
        nodes: Vec::with_capacity(events.len()),
        arrows: Vec::new(),
        attempts: attempts(events, &xs),
        waits: waits(events, &xs),
    };
    for (index, entry) in events.iter().enumerate() {
        let (x, y) = (xs[index], y_of[&lane(entry)]);
        let cause = entry
            .causation_id
            .as_deref()
            .and_then(|cause| at.get(cause))
            .copied()
            .filter(|cause| *cause < index);
        let after =
            cause.map(|cause| format!("+{}", duration(entry.at.ms_since(events[cause].at))));
        drawing.nodes.push(Node { index, x, y, after });
        if let Some(cause) = cause {
            let from = (xs[cause], y_of[&lane(&events[cause])]);
            let is_compensation = Kind::of(entry) == Kind::Compensation;
            drawing.arrows.push(Arrow {
                path: arrow(from, (x, y)),
                is_compensation,
            });
        }
    }
    drawing
}

/// The five of every order, and whoever else has something to say.
fn rows(events: &[Entry]) -> Vec<Row> {
    let used: Vec<Lane> = events.iter().map(lane).collect();
    let always = [Lane::Order, Lane::Inventory, Lane::Payment, Lane::Shipping];
    [
        Lane::Operator,
        Lane::Order,
        Lane::Inventory,
        Lane::Payment,
        Lane::Shipping,
        Lane::ReadModel,
    ]
    .into_iter()
    .filter(|lane| always.contains(lane) || used.contains(lane))
    .enumerate()
    .map(|(at, lane)| Row {
        lane,
        y: TOP + ROW_HEIGHT * (as_f64(at) + 0.5),
    })
    .collect()
}

fn positions(events: &[Entry]) -> Vec<f64> {
    let mut xs: Vec<f64> = Vec::with_capacity(events.len());
    let mut last_in: HashMap<Lane, f64> = HashMap::new();
    for (index, entry) in events.iter().enumerate() {
        let after_previous = match index.checked_sub(1) {
            None => LEFT,
            Some(before) => xs[before] + gap(events[before].at, entry.at),
        };
        let lane = lane(entry);
        let room = last_in.get(&lane).map_or(0.0, |x| x + NAME_WIDTH);
        let x = after_previous.max(room);
        last_in.insert(lane, x);
        xs.push(x);
    }
    xs
}

fn gap(from: Moment, to: Moment) -> f64 {
    let ms = to.ms_since(from).max(0.0);
    (GAP_MIN + 24.0 * (1.0 + ms).log10()).min(GAP_MAX)
}

/// Between neighbours of one attempt the boundary is half way.
fn attempts(events: &[Entry], xs: &[f64]) -> Vec<Band> {
    let mut bands: Vec<(u32, Band)> = Vec::new();
    for (entry, x) in events.iter().zip(xs) {
        let attempt = entry
            .attempt
            .unwrap_or_else(|| bands.last().map_or(1, |(attempt, _)| *attempt));
        match bands.last_mut() {
            Some((last, band)) if attempt <= *last => band.to = *x,
            last => {
                let from = match last {
                    Some((_, before)) => {
                        let middle = f64::midpoint(before.to, *x);
                        before.to = middle;
                        middle
                    }
                    None => 0.0,
                };
                let label = format!("Attempt {attempt}");
                bands.push((
                    attempt,
                    Band {
                        from,
                        to: *x,
                        label,
                    },
                ));
            }
        }
    }
    if let Some((_, last)) = bands.last_mut() {
        last.to += RIGHT;
    }
    let bands: Vec<Band> = bands.into_iter().map(|(_, band)| band).collect();
    if bands.len() > 1 { bands } else { Vec::new() }
}

fn waits(events: &[Entry], xs: &[f64]) -> Vec<Band> {
    let pairs = events.windows(2).zip(xs.windows(2));
    pairs
        .filter_map(|(events, xs)| {
            let ms = events[1].at.ms_since(events[0].at);
            let label = format!("{} later", duration(ms));
            (ms >= WAIT_MS).then(|| Band {
                from: xs[0],
                to: xs[1],
                label,
            })
        })
        .collect()
}

fn arrow((x0, y0): (f64, f64), (x1, y1): (f64, f64)) -> String {
    const RADIUS: f64 = 9.0;
    let (from, to) = (x0 + RADIUS, x1 - RADIUS - 3.0);
    if (y0 - y1).abs() < 1.0 {
        return format!("M{from:.1} {y0:.1}H{to:.1}");
    }
    let bend = ((to - from) / 2.0).max(10.0);
    format!(
        "M{from:.1} {y0:.1}C{:.1} {y0:.1} {:.1} {y1:.1} {to:.1} {y1:.1}",
        from + bend,
        to - bend
    )
}

#[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(
        id: &str,
        kind: &str,
        at_ms: i64,
        cause: Option<&str>,
        attempt: u32,
        details: Value,
    ) -> Entry {
        Entry {
            r#type: kind.to_owned(),
            at: Moment(at_ms * 1_000),
            event_id: id.to_owned(),
            causation_id: cause.map(str::to_owned),
            attempt: Some(attempt),
            status: None,
            details,
        }
    }

    fn retried() -> Vec<Entry> {
        vec![
            entry("1", "order.OrderCreated.v1", 0, None, 1, json!({})),
            entry(
                "2",
                "inventory.InventoryReserved.v1",
                4,
                Some("1"),
                1,
                json!({}),
            ),
            entry("3", "payment.PaymentFailed.v1", 9, Some("2"), 1, json!({})),
            entry(
                "4",
                "ops.CompensationRequested.v1",
                9,
                Some("2"),
                1,
                json!({ "decidedBy": "payment" }),
            ),
            entry("5", "order.OrderCancelled.v1", 20, Some("4"), 1, json!({})),
            entry(
                "6",
                "ops.RetryRequested.v1",
                90_000,
                None,
                1,
                json!({ "requestedBy": "ann" }),
            ),
            entry(
                "7",
                "order.OrderRetried.v1",
                90_004,
                Some("6"),
                2,
                json!({}),
            ),
        ]
    }

    #[test]
    fn each_event_stands_in_the_row_of_who_told_it() {
        let drawing = draw(&retried());
        let lanes: Vec<Lane> = drawing.rows.iter().map(|row| row.lane).collect();
        assert_eq!(
            lanes,
            [
                Lane::Operator,
                Lane::Order,
                Lane::Inventory,
                Lane::Payment,
                Lane::Shipping
            ]
        );
        let row = |node: &Node| {
            lanes[drawing
                .rows
                .iter()
                .position(|row| (row.y - node.y).abs() < 0.1)
                .unwrap()]
        };
        let told_by: Vec<Lane> = drawing.nodes.iter().map(row).collect();
        assert_eq!(
            told_by,
            [
                Lane::Order,
                Lane::Inventory,
                Lane::Payment,
                Lane::Payment,
                Lane::Order,
                Lane::Operator,
                Lane::Order
            ]
        );
    }

    #[test]
    fn time_goes_to_the_right_and_names_of_a_row_do_not_overlap() {
        let drawing = draw(&retried());
        for pair in drawing.nodes.windows(2) {
            assert!(pair[0].x < pair[1].x, "{pair:?}");
        }
        for (at, one) in drawing.nodes.iter().enumerate() {
            for other in &drawing.nodes[at + 1..] {
                assert!(
                    (one.y - other.y).abs() > 1.0 || other.x - one.x >= NAME_WIDTH,
                    "{one:?} {other:?}"
                );
            }
        }
        assert!(
            drawing
                .nodes
                .iter()
                .all(|node| node.x + RIGHT <= drawing.width + 0.1)
        );
    }

    #[test]
    fn arrows_go_from_causes_to_effects_and_what_undoes_is_marked() {
        let drawing = draw(&retried());
        assert_eq!(drawing.arrows.len(), 5);
        assert_eq!(
            drawing
                .arrows
                .iter()
                .filter(|arrow| arrow.is_compensation)
                .count(),
            1
        );
        assert_eq!(drawing.nodes[1].after.as_deref(), Some("+4 ms"));
        assert_eq!(drawing.nodes[5].after, None, "nobody caused an operator");
    }

    #[test]
    fn attempts_stand_side_by_side_and_long_waits_are_told() {
        let drawing = draw(&retried());
        let labels: Vec<&str> = drawing
            .attempts
            .iter()
            .map(|band| band.label.as_str())
            .collect();
        assert_eq!(labels, ["Attempt 1", "Attempt 2"]);
        assert!((drawing.attempts[0].to - drawing.attempts[1].from).abs() < 0.1);
        let waits: Vec<&str> = drawing
            .waits
            .iter()
            .map(|band| band.label.as_str())
            .collect();
        assert_eq!(waits, ["1 min 30 s later"]);
        assert_eq!(draw(&retried()[..5]).attempts, []);
    }

    #[test]
    fn an_order_without_events_is_drawn_empty() {
        let drawing = draw(&[]);
        assert_eq!((drawing.nodes.len(), drawing.rows.len()), (0, 4));
    }
}
