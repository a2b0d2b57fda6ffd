//! `sagaline dashboard`: the page by itself, for services that run as processes of their own.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use anyhow::Context;
use sagaline_service_kit::CorsOrigins;
use sagaline_service_kit::config::LogArgs;
use sagaline_service_kit::http;
use sagaline_service_kit::lifecycle::{DRAIN_LIMIT, Lifecycle, raise_file_limit};
use sagaline_service_kit::telemetry;
use serde_json::json;

use super::assets;
use crate::cmd::ServiceUrls;

/// Where it listens, and where the services are.
#[derive(Debug, clap::Args)]
pub(crate) struct DashboardArgs {
    /// Address to listen on; 0.0.0.0 to be reachable from other machines
    #[arg(long, env = "HOST", default_value = "127.0.0.1", value_name = "IP")]
    host: IpAddr,
    /// Port to listen on; 0: any free one
    #[arg(long, env = "PORT", default_value_t = 5173)]
    port: u16,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    services: ServiceUrls,
}

/// Serves the page until SIGTERM.
pub(crate) async fn serve(args: DashboardArgs) -> anyhow::Result<ExitCode> {
    raise_file_limit();
    args.log.init()?;
    telemetry::install_metrics();
    let life = Lifecycle::new();
    life.listen_for_signals()?;
    let upstreams = args
        .services
        .upstreams()
        .context("the dashboard cannot reach the services")?;
    let listener = http::bind(SocketAddr::new(args.host, args.port)).await?;
    let address = format!("http://{}", listener.local_addr()?);
    if !assets::is_built() {
        tracing::warn!(
            "the page is not part of this build: run scripts/build-dashboard and build again"
        );
    }
    // The page asks its own origin alone, so nobody else need be let in.
    let strangers = CorsOrigins::These(Vec::new());
    life.spawn(
        "dashboard",
        super::run(listener, upstreams, strangers, life.shutdown_token()),
    );
    tracing::info!(service = "dashboard", address, "listening");
    println!("ready {}", json!({ "dashboard": address }));
    Ok(life.run(DRAIN_LIMIT).await)
}
