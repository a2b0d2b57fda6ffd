//! Lines over time.

use std::collections::VecDeque;

/// How far back samples are kept.
const KEPT_S: f64 = 3_600.0;

/// Samples that are kept at most: an hour, one per second, and what was measured before somebody looked.
const KEPT_MAX: usize = 4_400;

/// Between samples further apart than this nobody looked, and no line is drawn: nothing is known of that time. What the read
/// model has kept is five seconds apart, and one of them may be late.
const GAP_S: f64 = 11.0;

/// Where there is a sample so near, no other is needed.
const NEAR_S: f64 = 2.0;

/// The latest samples of several figures, one row per second; of the time in which nobody looked, what was measured elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series<const N: usize> {
    rows: VecDeque<(f64, [f64; N])>,
}

impl<const N: usize> Series<N> {
    /// One more row, at so many seconds.
    pub fn add(&mut self, at_s: f64, row: [f64; N]) {
        // The clock was set back: of what it called later nobody can say when it was.
        while self.rows.back().is_some_and(|(at, _)| *at > at_s) {
            self.rows.pop_back();
        }
        self.rows.push_back((at_s, row));
        self.forget();
    }

    /// When the time began of which nothing is known and that ended with the latest row. None when the row before is near.
    pub fn unseen_since(&self) -> Option<f64> {
        let mut latest = self.rows.iter().rev().map(|(at, _)| *at);
        let (last, before) = (latest.next()?, latest.next());
        let began = before.unwrap_or(last - KEPT_S);
        (last - began > GAP_S).then_some(began)
    }

    /// What was measured elsewhere, at times of which nothing is known here.
    pub fn fill(&mut self, rows: impl IntoIterator<Item = (f64, [f64; N])>) {
        let is_near = |at: f64| {
            let next = self.rows.partition_point(|(own, _)| *own < at);
            let around = next.checked_sub(1).into_iter().chain([next]);
            let mut around = around.filter_map(|place| self.rows.get(place));
            around.any(|(own, _)| (own - at).abs() < NEAR_S)
        };
        let unseen: Vec<_> = rows.into_iter().filter(|(at, _)| !is_near(*at)).collect();
        self.rows.extend(unseen);
        self.rows
            .make_contiguous()
            .sort_by(|(a, _), (b, _)| a.total_cmp(b));
        self.forget();
    }

    fn forget(&mut self) {
        let last = self.rows.back().map_or(0.0, |(at, _)| *at);
        let is_old = |rows: &VecDeque<(f64, _)>| {
            rows.front().is_some_and(|(at, _)| last - at > KEPT_S) || rows.len() > KEPT_MAX
        };
        while is_old(&self.rows) {
            self.rows.pop_front();
        }
    }

    /// The rows of the last `window_s` seconds before `now_s`, one figure of them: seconds before now, and value.
    pub fn window(&self, figure: usize, now_s: f64, window_s: f64) -> Vec<(f64, f64)> {
        let rows = self.rows.iter().filter(|(at, _)| now_s - at <= window_s);
        rows.map(|(at, row)| (now_s - at, row[figure])).collect()
    }

    /// One figure as it was at so many seconds, if that is known.
    pub fn at(&self, figure: usize, at_s: f64) -> Option<f64> {
        let (at, row) = self
            .rows
            .iter()
            .min_by(|(a, _), (b, _)| (a - at_s).abs().total_cmp(&(b - at_s).abs()))?;
        let value = Some(row[figure]).filter(|value| !value.is_nan());
        value.filter(|_| (at - at_s).abs() <= GAP_S)
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

/// Samples as an SVG path in a box of this size; the right edge is now. What is no number is not known, and is not drawn.
pub fn path(
    samples: &[(f64, f64)],
    axis: Axis,
    window_s: f64,
    (width, height): (f64, f64),
) -> String {
    use std::fmt::Write as _;
    let mut path = String::with_capacity(samples.len() * 12);
    let mut before = f64::INFINITY;
    for (ago, value) in samples.iter().filter(|(_, value)| !value.is_nan()) {
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

    fn seen(series: &Series<1>) -> Vec<(f64, f64)> {
        let rows = series.rows.iter();
        rows.map(|(at, row)| (*at, row[0])).collect()
    }

    #[test]
    fn given_a_page_that_has_just_been_opened_when_it_is_told_what_was_before_then_the_line_begins_there()
     {
        let mut series = Series::<1>::default();
        assert_eq!(series.unseen_since(), None, "nothing is asked for yet");
        series.add(4_000.0, [9.0]);
        assert_eq!(series.unseen_since(), Some(400.0), "the longest window");
        series.fill([(3_989.0, [1.0]), (3_994.0, [2.0]), (3_999.0, [3.0])]);
        assert_eq!(
            seen(&series),
            [(3_989.0, 1.0), (3_994.0, 2.0), (4_000.0, 9.0)]
        );
        assert_eq!(series.unseen_since(), None);
        series.add(4_001.0, [9.0]);
        assert_eq!(series.first_s(), Some(3_989.0));
    }

    #[test]
    fn given_a_time_in_which_the_page_was_not_told_then_that_time_alone_is_filled() {
        let mut series = Series::<1>::default();
        for second in [0_u32, 1, 2, 3, 40] {
            series.add(second.into(), [0.0]);
        }
        assert_eq!(series.unseen_since(), Some(3.0));
        let told = (0..8_u32).map(|n| (f64::from(n * 5) + 0.5, [1.0]));
        series.fill(told);
        let filled: Vec<f64> = seen(&series)
            .into_iter()
            .filter_map(|(at, value)| (value > 0.5).then_some(at))
            .collect();
        assert_eq!(filled, [5.5, 10.5, 15.5, 20.5, 25.5, 30.5, 35.5]);
        assert_eq!(
            path(
                &series.window(0, 40.0, 40.0),
                Axis { max: 1.0 },
                40.0,
                (40.0, 1.0)
            )
            .matches('M')
            .count(),
            1
        );
    }

    #[test]
    fn given_a_clock_that_was_set_back_or_a_long_day_then_rows_stay_in_their_order_and_few() {
        let mut series = Series::<1>::default();
        series.add(9_000.0, [1.0]);
        series.add(100.0, [2.0]);
        assert_eq!(seen(&series), [(100.0, 2.0)]);
        series.add(5_000.0, [3.0]);
        assert_eq!(seen(&series), [(5_000.0, 3.0)], "older than an hour");
        series.fill((0..9_000_u32).map(|n| (2_000.0 + f64::from(n) / 4.0, [0.0])));
        assert_eq!(series.rows.len(), KEPT_MAX);
        assert_eq!(series.last(), Some(&[3.0]));
    }

    #[test]
    fn given_a_figure_that_was_not_known_then_nothing_is_drawn_or_told_of_it() {
        let mut series = Series::<2>::default();
        for second in (0..60_u32).step_by(5) {
            let unknown = if (20..40).contains(&second) {
                f64::NAN
            } else {
                1.0
            };
            series.add(second.into(), [unknown, 1.0]);
        }
        let drawn = |figure| {
            let samples = series.window(figure, 55.0, 55.0);
            path(
                &samples,
                axis(samples.iter().map(|it| it.1)),
                55.0,
                (55.0, 1.0),
            )
        };
        assert_eq!(drawn(0).matches('M').count(), 2, "{}", drawn(0));
        assert_eq!(drawn(1).matches('M').count(), 1);
        assert!(!drawn(0).contains("NaN"));
        assert_eq!((series.at(0, 30.0), series.at(1, 30.0)), (None, Some(1.0)));
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
