//! The service's own flags.

use std::time::Duration;

use clap::Args;
use sagaline_contracts::EventType;
use sagaline_runtime::RelayFaults;
use sagaline_service_kit::http::HttpOptions;

use crate::intake::IN_FLIGHT_MAX;

/// The order service's own flags.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Options {
    /// An order in flight for longer is stalled, and cancelled through shipping; for instance 500ms, 30s or 5m
    #[arg(long, env = "SAGA_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = duration)]
    pub saga_timeout: Duration,

    /// Orders that may be without an outcome at a time, of all instances together; beyond that, new ones are refused with 503 until some have ended
    #[arg(long, env = "IN_FLIGHT_MAX", default_value_t = IN_FLIGHT_MAX, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub in_flight_max: u32,

    /// How long a checkout waits for the outcome before it answers 202; at most 29s, because every request is answered within 30s
    #[arg(long, env = "CHECKOUT_WAIT", default_value = "10s", value_name = "DURATION", value_parser = checkout_wait)]
    pub checkout_wait: Duration,

    /// Rehearsal: the very first event of a new order is not published at once
    #[arg(long, env = "RELAY_FAIL_ONCE")]
    pub relay_fail_once: bool,

    /// Rehearsal: no event of this type is published out of the outbox
    #[arg(long, env = "RELAY_FAIL_TYPE", value_name = "TYPE", value_parser = event_type)]
    pub relay_fail_type: Option<EventType>,

    /// Rehearsal: no event is published out of the outbox before its attempt of this number
    #[arg(
        long,
        env = "RELAY_FAIL_UNTIL_ATTEMPT",
        default_value = "0",
        value_name = "N"
    )]
    pub relay_fail_until_attempt: u32,
}

impl Options {
    /// The faults of the relay that publishes new orders' events.
    pub(crate) fn relay_faults(&self) -> RelayFaults {
        RelayFaults {
            fail_once: self.relay_fail_once.into(),
            ..self.sweep_faults()
        }
    }

    /// The faults of the sweep, which has the later attempts.
    pub(crate) fn sweep_faults(&self) -> RelayFaults {
        RelayFaults {
            fail_once: false.into(),
            fail_type: self.relay_fail_type,
            fail_until_attempt: self.relay_fail_until_attempt,
        }
    }
}

/// What a checkout has left for its answer when it has waited.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);
/// A year: longer is a mistake.
const DURATION_MAX: Duration = Duration::from_hours(24 * 365);

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "" | "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        _ => Duration::ZERO,
    };
    number
        .parse()
        .ok()
        .and_then(|number| unit.checked_mul(number))
        .filter(|duration| !duration.is_zero() && *duration <= DURATION_MAX)
        .ok_or_else(|| format!("`{text}` is no duration: say for instance 500ms, 90s or 5m"))
}

/// Longer than a request may take, the order would be placed and its caller told 503.
fn checkout_wait(text: &str) -> Result<Duration, String> {
    let limit = HttpOptions::default().request_timeout;
    let wait = duration(text)?;
    if wait > limit.saturating_sub(ANSWER_MARGIN) {
        let most = limit.saturating_sub(ANSWER_MARGIN).as_secs();
        let limit = limit.as_secs();
        return Err(format!(
            "`{text}` is too long: every request is answered within {limit}s, so say {most}s or less"
        ));
    }
    Ok(wait)
}

fn event_type(text: &str) -> Result<EventType, String> {
    EventType::parse(text)
        .ok_or_else(|| format!("`{text}` is no event type; one is order.OrderCreated.v1"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(args: &[&str]) -> Result<Options, String> {
        let args = std::iter::once(&"order-service").chain(args);
        Cli::try_parse_from(args)
            .map(|cli| cli.options)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_nothing_fails_on_purpose_and_the_waits_are_the_documented_ones() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.saga_timeout, Duration::from_secs(30));
        assert_eq!(options.checkout_wait, Duration::from_secs(10));
        assert!(!options.relay_fail_once && options.relay_fail_type.is_none());
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write_instead() {
        for (argument, says) in [
            ("--saga-timeout=0", "500ms"),
            ("--saga-timeout=soon", "500ms"),
            ("--saga-timeout=3h", "500ms"),
            ("--checkout-wait=", "500ms"),
            ("--checkout-wait=-1s", "500ms"),
            ("--checkout-wait=99999999999m", "500ms"),
            ("--checkout-wait=30s", "29s or less"),
            ("--checkout-wait=5m", "29s or less"),
            ("--relay-fail-type=OrderCreated", "order.OrderCreated.v1"),
            ("--in-flight-max=0", "1.."),
        ] {
            let error = parse(&[argument]).unwrap_err();
            assert!(error.contains(says), "{argument}: {error}");
        }
    }

    #[test]
    fn a_checkout_may_wait_nearly_as_long_as_a_request_may_take() {
        let options = parse(&["--checkout-wait=29s"]).unwrap();
        assert_eq!(options.checkout_wait, Duration::from_secs(29));
    }

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        for (text, milliseconds) in [("500ms", 500), ("2s", 2_000), ("2", 2_000), ("5m", 300_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
    }

    #[test]
    fn the_first_publish_is_the_relays_so_only_it_fails_once() {
        let options = parse(&["--relay-fail-once", "--relay-fail-until-attempt=3"]).unwrap();
        assert!(options.relay_faults().fail_once.into_inner());
        assert!(!options.sweep_faults().fail_once.into_inner());
        assert_eq!(options.sweep_faults().fail_until_attempt, 3);
    }
}
