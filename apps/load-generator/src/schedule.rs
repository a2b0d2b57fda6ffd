//! When which order is due.

use std::time::Duration;

/// Evenly spaced orders at a fixed rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    rate: f64,
    total: u64,
}

impl Schedule {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rate and duration are positive and bounded by the command line"
    )]
    pub(crate) fn new(rate: f64, duration: Duration) -> Self {
        let total = (rate * duration.as_secs_f64()).round().max(1.0) as u64;
        Self { rate, total }
    }

    /// How many orders there will be.
    pub(crate) fn total(self) -> u64 {
        self.total
    }

    /// When an order is due, in microseconds from the start.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a week in microseconds is far below 2^53"
    )]
    pub(crate) fn due_us(self, order: u64) -> u64 {
        (order as f64 * 1e6 / self.rate) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_evenly_spaced_from_the_start() {
        let schedule = Schedule::new(4.0, Duration::from_secs(2));
        assert_eq!(schedule.total(), 8);
        let due: Vec<u64> = (0..4).map(|n| schedule.due_us(n)).collect();
        assert_eq!(due, [0, 250_000, 500_000, 750_000]);
    }

    #[test]
    fn rounding_does_not_add_up() {
        let schedule = Schedule::new(3.0, Duration::from_hours(1));
        assert_eq!(schedule.due_us(3 * 3_600), 3_600_000_000);
    }

    #[test]
    fn the_shortest_run_sends_one_order() {
        assert_eq!(Schedule::new(0.1, Duration::from_secs(1)).total(), 1);
    }
}
