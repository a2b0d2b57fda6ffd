//! Line charts as inline SVG.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// Points of a line at most: more than a screen can show. Of those that fall together the highest is drawn, so no peak is lost.
const POINTS_MAX: usize = 400;

/// One line of a chart: its name, its style, and its value in each second.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) values: Vec<Option<f64>>,
}

/// A chart of lines over the seconds of a run.
pub(crate) fn chart(title: &str, unit: &str, lines: &[Line]) -> String {
    let highest = lines
        .iter()
        .flat_map(|l| &l.values)
        .flatten()
        .copied()
        .fold(0.0, f64::max);
    let top = round_up(highest);
    let seconds = lines.iter().map(|l| l.values.len()).max().unwrap_or(0);
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>"#
    );
    grid(&mut svg, top, unit, seconds);
    for line in lines {
        for part in parts(&line.values, top) {
            // Writing to a string cannot fail, here as below.
            let _ = write!(svg, r#"<polyline class="{}" points="{part}"/>"#, line.class);
        }
    }
    svg.push_str("</svg><p class=\"legend\">");
    for line in lines {
        let _ = write!(svg, r#"<span class="{}">{}</span> "#, line.class, line.name);
    }
    svg.push_str("</p>");
    svg
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of a run and tick numbers are small"
)]
fn grid(svg: &mut String, top: f64, unit: &str, seconds: usize) {
    for tick in 0..=4_u32 {
        let value = top * f64::from(tick) / 4.0;
        let y = y(value, top);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}"/>"#,
            WIDTH - RIGHT
        );
        let label = if top < 8.0 {
            format!("{value:.1}")
        } else {
            format!("{value:.0}")
        };
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}{unit}</text>"#,
            LEFT - 6.0,
            y + 4.0
        );
    }
    for tick in 0..=4_usize {
        let second = seconds * tick / 4;
        let x = LEFT + (WIDTH - LEFT - RIGHT) * tick as f64 / 4.0;
        let _ = write!(
            svg,
            r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{second} s</text>"#,
            HEIGHT - 8.0
        );
    }
}

fn y(value: f64, top: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top)
}

/// The points of a line, in as many parts as gaps leave of it.
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of a run are far below 2^53"
)]
fn parts(values: &[Option<f64>], top: f64) -> Vec<String> {
    let per_point = values.len().div_ceil(POINTS_MAX).max(1);
    let mut parts = vec![String::new()];
    for (i, merged) in values.chunks(per_point).enumerate() {
        let highest = merged.iter().flatten().copied().reduce(f64::max);
        match (highest, parts.last_mut()) {
            (Some(value), Some(part)) => {
                let middle =
                    ((i * per_point) as f64 + merged.len() as f64 / 2.0) / values.len() as f64;
                let x = LEFT + (WIDTH - LEFT - RIGHT) * middle;
                let _ = write!(part, "{x:.1},{:.1} ", y(value, top));
            }
            _ => parts.push(String::new()),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn round_up(value: f64) -> f64 {
    let value = value.max(1.0);
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps
        .into_iter()
        .find(|step| step * magnitude >= value)
        .unwrap_or(10.0);
    step * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number_at_or_above_the_highest_value() {
        for (value, top) in [
            (0.0, 1.0),
            (1.0, 1.0),
            (1.1, 2.0),
            (37.0, 50.0),
            (501.0, 1_000.0),
            (5_000.0, 5_000.0),
        ] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn a_long_run_is_drawn_with_few_points_and_keeps_its_peak() {
        let mut values = vec![Some(1.0); 86_400];
        values[43_210] = Some(100.0);
        let drawn = parts(&values, 100.0);
        assert_eq!(drawn.len(), 1);
        assert!(drawn[0].split_whitespace().count() <= POINTS_MAX);
        assert!(
            drawn[0].contains(&format!(",{TOP:.1} ")),
            "the peak is not drawn"
        );
    }

    #[test]
    fn a_gap_is_not_bridged() {
        let values = [Some(1.0), None, Some(1.0), Some(2.0)];
        assert_eq!(parts(&values, 2.0).len(), 2);
    }
}
