//! The flags of `sagaline up`.

use std::path::PathBuf;

use sagaline_service_kit::config::{CommonArgs, ConnectionArgs};

/// Where things listen, where data is, and how the services behave.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) connections: ConnectionArgs,
    #[command(flatten)]
    pub(crate) ports: PortArgs,
    /// Keep everything in this directory; without it everything is in memory and gone at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// With --data-dir: do not wait for the disk. What was acknowledged survives the process's end, not the machine's
    #[arg(long)]
    pub(crate) no_fsync: bool,
    /// In memory: finished orders that each service remembers; older ones are forgotten
    #[arg(long, default_value_t = 100_000, value_name = "ORDERS")]
    pub(crate) memory_orders: usize,
    #[command(flatten)]
    pub(crate) order: order_service::Options,
    #[command(flatten)]
    pub(crate) inventory: inventory_service::Options,
    #[command(flatten)]
    pub(crate) payment: payment_service::Options,
    #[command(flatten)]
    pub(crate) shipping: shipping_service::Options,
    #[command(flatten)]
    pub(crate) read_model: read_model_service::Options,
}

/// Ports; 0 means any free one.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "they are the flags' names")]
pub(crate) struct PortArgs {
    /// Port of the order service; 0: any free one
    #[arg(long, default_value_t = 4001)]
    pub(crate) order_port: u16,
    /// Port of the inventory service
    #[arg(long, default_value_t = 4002)]
    pub(crate) inventory_port: u16,
    /// Port of the payment service
    #[arg(long, default_value_t = 4003)]
    pub(crate) payment_port: u16,
    /// Port of the shipping service
    #[arg(long, default_value_t = 4004)]
    pub(crate) shipping_port: u16,
    /// Port of the read model service
    #[arg(long, default_value_t = 4005)]
    pub(crate) read_model_port: u16,
    /// Port of the dashboard
    #[arg(long, default_value_t = 5173)]
    pub(crate) dashboard_port: u16,
    /// Port of the embedded broker
    #[arg(long, default_value_t = 29092)]
    pub(crate) kafka_port: u16,
}
