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
use crate::domain::{Payments, SERVICE};
use crate::effects::GatewayEffects;
use crate::gateway::{Gateway, SimulatedGateway};
use crate::http;

/// The service's own flags: they are about the simulated gateway, and how it is called.
#[derive(Debug, Clone, clap::Args)]
// No group: the name of this struct is that of other services' too, and one process may take them all.
#[group(skip)]
pub struct Options {
    /// Share of charges that the simulated gateway declines, 0 to 1; which ones follows from order id and attempt, so a run can be repeated
    #[arg(
        long,
        env = "PAYMENT_DECLINE_RATE",
        default_value = "0.05",
        value_name = "RATE"
    )]
    pub payment_decline_rate: Rate,

    /// How long the simulated gateway takes for an answer, in milliseconds
    #[arg(
        long,
        env = "GATEWAY_LATENCY_MS",
        default_value_t = 0,
        value_name = "MS"
    )]
    pub gateway_latency_ms: u64,

    /// Rehearsal: the simulated gateway is down while this file exists
    #[arg(long, env = "GATEWAY_OUTAGE_FILE", value_name = "FILE")]
    pub gateway_outage_file: Option<PathBuf>,

    /// Rehearsal: calls for orders whose id begins so fail at first
    #[arg(long, env = "GATEWAY_FLAKY_PREFIX", value_name = "TEXT")]
    pub gateway_flaky_prefix: Option<String>,

    /// Rehearsal: how often each of those calls fails
    #[arg(
        long,
        env = "GATEWAY_FLAKY_TIMES",
        default_value_t = 2,
        value_name = "N"
    )]
    pub gateway_flaky_times: u32,

    /// Calls to the gateway at a time
    #[arg(
        long,
        env = "GATEWAY_CONCURRENCY",
        default_value = "64",
        value_name = "N"
    )]
    pub gateway_concurrency: NonZeroUsize,

    /// How long one call to the gateway may take before it is given up and tried again later, in milliseconds
    #[arg(
        long,
        env = "GATEWAY_TIME_LIMIT_MS",
        default_value_t = 5_000,
        value_name = "MS"
    )]
    pub gateway_time_limit_ms: u64,
}

impl Options {
    /// The simulated gateway that these flags describe.
    pub fn gateway(&self) -> SimulatedGateway {
        let times = self.gateway_flaky_times;
        let flaky = self
            .gateway_flaky_prefix
            .clone()
            .map(|prefix| Flaky { prefix, times });
        let rehearsal = Rehearsal::default()
            .with_latency(Duration::from_millis(self.gateway_latency_ms))
            .with_outage_file(self.gateway_outage_file.clone())
            .with_flaky(flaky);
        SimulatedGateway::new(self.payment_decline_rate, rehearsal)
    }

    /// The limits that the gateway is called within.
    pub fn limits(&self) -> CallLimits {
        CallLimits::new(
            self.gateway_concurrency,
            Duration::from_millis(self.gateway_time_limit_ms),
        )
    }
}

/// Runs the service on a simulated gateway until the shutdown, then drains.
pub async fn run(
    host: ServiceHost,
    options: Options,
    front: impl Into<Front>,
) -> anyhow::Result<()> {
    run_on(host, Arc::new(options.gateway()), options.limits(), front).await
}

/// Runs the service on any gateway until the shutdown, then drains.
pub async fn run_on(
    host: ServiceHost,
    gateway: Arc<dyn Gateway>,
    limits: CallLimits,
    front: impl Into<Front>,
) -> anyhow::Result<()> {
    let ports = host.ports.clone();
    let routes = http::routes(ports.store.clone(), gateway.name());
    let effects = GatewayEffects::new(gateway, limits, ports.health.clone());
    let runner = Runner::new(
        Arc::new(Payments),
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
        Cli::try_parse_from(std::iter::once(&"payment-service").chain(args)).map(|cli| cli.options)
    }

    #[test]
    fn without_flags_one_charge_in_twenty_is_declined_and_nothing_else_goes_wrong() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.payment_decline_rate, "0.05".parse().unwrap());
        assert_eq!(
            (options.gateway_latency_ms, options.gateway_outage_file),
            (0, None)
        );
        assert_eq!(options.gateway_flaky_prefix, None);
    }

    #[test]
    fn a_rate_beyond_1_and_no_concurrency_are_refused() {
        for wrong in [
            ["--payment-decline-rate", "5"],
            ["--gateway-concurrency", "0"],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn the_flags_describe_the_gateway() {
        let flags = [
            "--payment-decline-rate",
            "0",
            "--gateway-flaky-prefix",
            "flaky-",
            "--gateway-flaky-times",
            "1",
        ];
        let gateway = parse(&flags).unwrap().gateway();
        assert!(gateway.void("flaky-1/1").await.is_err());
        assert!(gateway.void("flaky-1/1").await.is_ok());
        assert!(gateway.void("order-1/1").await.is_ok());
    }
}
