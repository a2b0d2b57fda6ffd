//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::http::BaseUrl;

/// Orders that the catalogue of a new installation can serve: `SKU-1` to `SKU-100`.
pub(crate) const CATALOGUE: u32 = 100;

/// Send orders at a fixed rate and follow each to its outcome
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// The order service
    #[arg(
        long,
        env = "ORDER_SERVICE",
        default_value = "http://127.0.0.1:4001",
        value_name = "URL"
    )]
    pub order_service: BaseUrl,

    /// The read model, whose feed tells the outcomes
    #[arg(
        long,
        env = "READ_MODEL",
        default_value = "http://127.0.0.1:4005",
        value_name = "URL"
    )]
    pub read_model: BaseUrl,

    /// Orders per second, kept whether or not the system keeps up
    #[arg(long, env = "RATE", default_value_t = 100.0, value_name = "PER_SECOND")]
    pub rate: f64,

    /// How long to send orders, in seconds
    #[arg(long, env = "DURATION", default_value_t = 30.0, value_name = "SECONDS")]
    pub duration: f64,

    /// Write the report as JSON (`-` for standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the report as a self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Fail when the 99th percentile from due time to outcome is higher
    #[arg(long, value_name = "MS")]
    pub max_p99_ms: Option<f64>,

    /// Fail when the 99th percentile from due time to the answer of POST /orders is higher
    #[arg(long, value_name = "MS")]
    pub max_post_p99_ms: Option<f64>,

    /// Fail when a larger share of the due orders was not accepted (refused, failed or not sent), from 0 to 1
    #[arg(long, default_value_t = 0.01, value_name = "SHARE")]
    pub max_error_rate: f64,

    /// Share of order lines that ask for the one hot SKU, from 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub hot_sku_share: f64,

    /// Most lines in one order
    #[arg(long, default_value_t = 3, value_name = "LINES")]
    pub items: u32,

    /// The same seed gives the same orders
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Most connections to the order service; opened when they are needed
    #[arg(long, default_value_t = 256)]
    pub connections: u32,

    /// Most orders that are due, being sent or waiting for their outcome; beyond it an order is counted as not sent
    #[arg(long, default_value_t = 100_000, value_name = "ORDERS")]
    pub max_in_flight: usize,

    /// How long to wait for outcomes after the last order, in seconds
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub drain_timeout: f64,
}

/// What has to hold for a run to succeed. That no order is lost always has to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Highest 99th percentile from due time to outcome, in milliseconds.
    pub end_to_end_p99_ms: Option<f64>,
    /// Highest 99th percentile from due time to the answer of `POST /orders`, in milliseconds.
    pub post_p99_ms: Option<f64>,
    /// Highest share of due orders that were not accepted.
    pub error_rate: f64,
}

/// A checked command line.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The order service.
    pub order_service: BaseUrl,
    /// The read model.
    pub read_model: BaseUrl,
    /// Orders per second.
    pub rate: f64,
    /// How long to send.
    pub duration: Duration,
    /// How long to wait for outcomes after the last order.
    pub drain_timeout: Duration,
    /// What has to hold.
    pub thresholds: Thresholds,
    /// Share of order lines that ask for the hot SKU.
    pub hot_sku_share: f64,
    /// Most lines in one order.
    pub items: u32,
    /// Of the orders.
    pub seed: u64,
    /// Most connections.
    pub connections: u32,
    /// Most orders in flight.
    pub max_in_flight: usize,
}

/// A value on the command line makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag} must be {wanted}")]
pub struct BadArgs {
    flag: &'static str,
    wanted: &'static str,
}

impl LoadArgs {
    /// Checks the values.
    pub fn plan(&self) -> Result<Plan, BadArgs> {
        let share = |flag, value: f64| {
            let holds = (0.0..=1.0).contains(&value);
            holds.then_some(value).ok_or(BadArgs {
                flag,
                wanted: "between 0 and 1",
            })
        };
        let limit = |flag, value: Option<f64>| match value {
            Some(ms) if !(ms.is_finite() && ms > 0.0) => Err(BadArgs {
                flag,
                wanted: "more than 0",
            }),
            other => Ok(other),
        };
        require(
            "rate",
            self.rate > 0.0 && self.rate <= 1e6,
            "more than 0 and at most 1000000",
        )?;
        require("items", (1..=10).contains(&self.items), "between 1 and 10")?;
        require(
            "connections",
            (1..=10_000).contains(&self.connections),
            "between 1 and 10000",
        )?;
        require("max-in-flight", self.max_in_flight > 0, "at least 1")?;
        Ok(Plan {
            order_service: self.order_service.clone(),
            read_model: self.read_model.clone(),
            rate: self.rate,
            duration: seconds("duration", self.duration)?,
            drain_timeout: seconds("drain-timeout", self.drain_timeout)?,
            thresholds: Thresholds {
                end_to_end_p99_ms: limit("max-p99-ms", self.max_p99_ms)?,
                post_p99_ms: limit("max-post-p99-ms", self.max_post_p99_ms)?,
                error_rate: share("max-error-rate", self.max_error_rate)?,
            },
            hot_sku_share: share("hot-sku-share", self.hot_sku_share)?,
            items: self.items,
            seed: self.seed,
            connections: self.connections,
            max_in_flight: self.max_in_flight,
        })
    }
}

fn require(flag: &'static str, holds: bool, wanted: &'static str) -> Result<(), BadArgs> {
    holds.then_some(()).ok_or(BadArgs { flag, wanted })
}

fn seconds(flag: &'static str, value: f64) -> Result<Duration, BadArgs> {
    require(
        flag,
        value > 0.0 && value <= 604_800.0,
        "more than 0 seconds and at most a week",
    )?;
    Ok(Duration::from_secs_f64(value))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn plan(args: &[&str]) -> Result<Plan, String> {
        let args = std::iter::once(&"load-generator").chain(args);
        let cli = Cli::try_parse_from(args).map_err(|e| e.to_string())?;
        cli.load.plan().map_err(|e| e.to_string())
    }

    #[test]
    fn the_defaults_make_a_plan() {
        let plan = plan(&[]).unwrap();
        assert_eq!(plan.order_service.to_string(), "http://127.0.0.1:4001");
        assert_eq!(plan.thresholds.end_to_end_p99_ms, None);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (args, said) in [
            (["--rate", "0"], "--rate"),
            (["--rate", "NaN"], "--rate"),
            (["--duration", "-1"], "'-1'"),
            (["--duration", "0"], "--duration"),
            (["--hot-sku-share", "1.5"], "--hot-sku-share"),
            (["--max-error-rate", "NaN"], "--max-error-rate"),
            (["--max-p99-ms", "0"], "--max-p99-ms"),
            (["--items", "0"], "--items"),
            (["--connections", "0"], "--connections"),
            (["--max-in-flight", "0"], "--max-in-flight"),
        ] {
            let error = plan(&args).unwrap_err();
            assert!(error.contains(said), "{args:?}: {error}");
        }
    }

    #[test]
    fn https_is_refused_with_what_to_do() {
        let error = plan(&["--order-service", "https://shop.example"]).unwrap_err();
        assert!(
            error.contains("TLS") && error.contains("http://"),
            "{error}"
        );
    }
}
