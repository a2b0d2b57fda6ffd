//! The service: its flags, its consumer and its HTTP server.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sagaline_external_calls::{CallLimits, Flaky, Rate, Rehearsal};
use sagaline_runtime::{Runner, RunnerOptions};
use sagaline_service_host::{Front, ServiceHost};
use sagaline_service_kit::telemetry;

use crate::COLLECTION;
use crate::carrier::{Carrier, SimulatedCarrier};
use crate::domain::{SERVICE, Shipments};
use crate::effects::CarrierEffects;
use crate::http;

/// The service's own flags: they are about the simulated carrier, and how it is called.
#[derive(Debug, Clone, clap::Args)]
// No group: the name of this struct is that of other services' too, and one process may take them all.
#[group(skip)]
pub struct Options {
    /// Share of shipments that the simulated carrier refuses, 0 to 1; which ones follows from order id and attempt, so a run can be repeated
    #[arg(
        long,
        env = "CARRIER_FAILURE_RATE",
        default_value = "0.02",
        value_name = "RATE"
    )]
    pub carrier_failure_rate: Rate,

    /// How long the simulated carrier takes for an answer, in milliseconds
    #[arg(
        long,
        env = "CARRIER_LATENCY_MS",
        default_value_t = 0,
        value_name = "MS"
    )]
    pub carrier_latency_ms: u64,

    /// Rehearsal: the simulated carrier is down while this file exists
    #[arg(long, env = "CARRIER_OUTAGE_FILE", value_name = "FILE")]
    pub carrier_outage_file: Option<PathBuf>,

    /// Rehearsal: calls for orders whose id begins so fail at first
    #[arg(long, env = "CARRIER_FLAKY_PREFIX", value_name = "TEXT")]
    pub carrier_flaky_prefix: Option<String>,

    /// Rehearsal: how often each of those calls fails
    #[arg(
        long,
        env = "CARRIER_FLAKY_TIMES",
        default_value_t = 2,
        value_name = "N"
    )]
    pub carrier_flaky_times: u32,

    /// Calls to the carrier at a time
    #[arg(
        long,
        env = "CARRIER_CONCURRENCY",
        default_value = "64",
        value_name = "N"
    )]
    pub carrier_concurrency: NonZeroUsize,

    /// How long one call to the carrier may take before it is given up and tried again later, in milliseconds
    #[arg(
        long,
        env = "CARRIER_TIME_LIMIT_MS",
        default_value_t = 5_000,
        value_name = "MS"
    )]
    pub carrier_time_limit_ms: u64,
}

impl Options {
    /// The simulated carrier that these flags describe.
    pub fn carrier(&self) -> SimulatedCarrier {
        let times = self.carrier_flaky_times;
        let flaky = self
            .carrier_flaky_prefix
            .clone()
            .map(|prefix| Flaky { prefix, times });
        let rehearsal = Rehearsal::default()
            .with_latency(Duration::from_millis(self.carrier_latency_ms))
            .with_outage_file(self.carrier_outage_file.clone())
            .with_flaky(flaky);
        SimulatedCarrier::new(self.carrier_failure_rate, rehearsal)
    }

    /// The limits that the carrier is called within.
    pub fn limits(&self) -> CallLimits {
        CallLimits::new(
            self.carrier_concurrency,
            Duration::from_millis(self.carrier_time_limit_ms),
        )
    }
}

/// Runs the service on a simulated carrier until the shutdown, then drains.
pub async fn run(
    host: ServiceHost,
    options: Options,
    front: impl Into<Front>,
) -> anyhow::Result<()> {
    run_on(host, Arc::new(options.carrier()), options.limits(), front).await
}

/// Runs the service on any carrier until the shutdown, then drains.
pub async fn run_on(
    host: ServiceHost,
    carrier: Arc<dyn Carrier>,
    limits: CallLimits,
    front: impl Into<Front>,
) -> anyhow::Result<()> {
    let ports = host.ports.clone();
    let routes = http::routes(ports.store.clone(), carrier.name());
    let effects = CarrierEffects::new(carrier, limits, ports.health.clone());
    let runner = Runner::new(
        Arc::new(Shipments),
        Arc::new(effects),
        ports,
        RunnerOptions::new(COLLECTION),
    )
    .with_outbox_gauge(telemetry::outbox_pending(SERVICE));
    let consume = async { Ok(runner.run(host.shutdown.clone()).await?) };
    tokio::try_join!(consume, host.serve(front, routes))?;
    Ok(())
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

    fn parse(args: &[&str]) -> Result<Options, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"shipping-service").chain(args)).map(|cli| cli.options)
    }

    #[test]
    fn without_flags_one_shipment_in_fifty_is_refused_and_nothing_else_goes_wrong() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.carrier_failure_rate, "0.02".parse().unwrap());
        assert_eq!(
            (options.carrier_latency_ms, options.carrier_outage_file),
            (0, None)
        );
        assert_eq!(options.carrier_flaky_prefix, None);
    }

    #[test]
    fn a_rate_beyond_1_and_no_concurrency_are_refused() {
        for wrong in [
            ["--carrier-failure-rate", "5"],
            ["--carrier-concurrency", "0"],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn one_process_can_take_the_flags_of_payment_and_shipping() {
        use clap::CommandFactory;

        #[derive(Debug, Parser)]
        struct Both {
            #[command(flatten)]
            payment: payment_service::Options,
            #[command(flatten)]
            shipping: Options,
        }

        Both::command().debug_assert();
        let both = Both::try_parse_from([
            "up",
            "--carrier-failure-rate",
            "0",
            "--payment-decline-rate",
            "1",
        ])
        .unwrap();
        assert_eq!(
            (
                both.payment.payment_decline_rate,
                both.shipping.carrier_failure_rate
            ),
            (Rate::ALWAYS, Rate::NEVER)
        );
    }

    #[tokio::test]
    async fn the_flags_describe_the_carrier() {
        let flags = [
            "--carrier-failure-rate",
            "0",
            "--carrier-flaky-prefix",
            "flaky-",
            "--carrier-flaky-times",
            "1",
        ];
        let carrier = parse(&flags).unwrap().carrier();
        assert!(carrier.void("flaky-1/1").await.is_err());
        assert!(carrier.void("flaky-1/1").await.is_ok());
        assert!(carrier.void("order-1/1").await.is_ok());
    }
}
