//! Lines over time.

use std::collections::VecDeque;

/// Samples that are kept: an hour, one per second.
const KEPT_MAX: usize = 3_600;

/// Between samples further apart than this nobody looked, and no line is drawn: nothing is known of that time.
const GAP_S: f64 = 5.0;

/// The latest samples of several figures, one row per second.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series<const N: usize> {
    rows: VecDeque<(f64, [f64; N])>,
}

impl<const N: usize> Series<N> {
    /// One more row, at so many seconds.
    pub fn add(&mut self, at_s: f64, row: [f64; N]) {
        self.rows.push_back((at_s, row));
        while self.rows.len() > KEPT_MAX {
            self.rows.pop_front();
        }
    }

    /// The rows of the last `window_s` seconds before `now_s`, one figure of them: seconds before now, and value.
    pub fn window(&self, figure: usize, now_s: f64, window_s: f64) -> Vec<(f64, f64)> {
        let rows = self.rows.iter().filter(|(at, _)| now_s - at <= window_s);
        rows.map(|(at, row)| (now_s - at, row[figure])).collect()
    }

    /// One figure as it was at so many seconds, if somebody looked then.
    pub fn at(&self, figure: usize, at_s: f64) -> Option<f64> {
        let (at, row) = self
            .rows
            .iter()
            .min_by(|(a, _), (b, _)| (a - at_s).abs().total_cmp(&(b - at_s).abs()))?;
        ((at - at_s).abs() <= GAP_S).then(|| row[figure])
    }

    /// When the first row was added that is still kept.
    pub fn first_s(&self) -> Option<f64> {
        self.rows.front().map(|(at, _)| *at)
    }

    /// The latest row.
    pub fn last(&self) -> Option<&[f64; N]> {
        self.rows.back().map(|(_, row)| row)
    }
}

/// A vertical axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    /// Its top.
    pub max: f64,
}

/// An axis that ends at 1, 2 or 5 times a power of ten, at or above every value.
pub fn axis(values: impl Iterator<Item = f64>) -> Axis {
    let largest = values.fold(0.0, f64::max).max(1.0);
    let power = 10_f64.powf(largest.log10().floor());
    let max = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|max| *max >= largest - 1e-9);
    Axis {
        max: max.unwrap_or(largest),
    }
}

/// Samples as an SVG path in a box of this size; the right edge is now.
pub fn path(
    samples: &[(f64, f64)],
    axis: Axis,
    window_s: f64,
    (width, height): (f64, f64),
) -> String {
    use std::fmt::Write as _;
    let mut path = String::with_capacity(samples.len() * 12);
    let mut before = f64::INFINITY;
    for (ago, value) in samples {
        let x = width * (1.0 - ago / window_s);
        let y = height * (1.0 - (value / axis.max).clamp(0.0, 1.0));
        // Writing to a string cannot fail.
        let is_begin = before - ago > GAP_S;
        let _ = write!(path, "{}{x:.1} {y:.1}", if is_begin { "M" } else { "L" });
        before = *ago;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (largest, max) in [
            (0.0, 1.0),
            (3.0, 5.0),
            (5.0, 5.0),
            (480.0, 500.0),
            (5_100.0, 10_000.0),
            (1_000.0, 1_000.0),
        ] {
            assert!(
                (axis([largest].into_iter()).max - max).abs() < 1e-6,
                "{largest}"
            );
        }
    }

    #[test]
    fn no_line_is_drawn_through_a_time_of_which_nothing_is_known() {
        let mut series = Series::<1>::default();
        for second in [0_u32, 1, 60, 61] {
            series.add(second.into(), [1.0]);
        }
        let drawn = path(
            &series.window(0, 61.0, 61.0),
            Axis { max: 1.0 },
            61.0,
            (61.0, 10.0),
        );
        assert_eq!(drawn, "M0.0 0.0L1.0 0.0M60.0 0.0L61.0 0.0");
        assert_eq!(series.at(0, 30.0), None);
        assert_eq!(series.at(0, 59.0), Some(1.0));
    }

    #[test]
    fn the_newest_sample_is_at_the_right_edge_and_old_ones_are_left_out() {
        let mut series = Series::<1>::default();
        for second in 0..100_u32 {
            series.add(second.into(), [f64::from(second)]);
        }
        let samples = series.window(0, 99.0, 10.0);
        assert_eq!(samples.len(), 11);
        assert_eq!(
            path(&samples[9..], Axis { max: 100.0 }, 10.0, (100.0, 50.0)),
            "M90.0 1.0L100.0 0.5"
        );
    }
}
