//! The order service in a process of its own.

use std::process::ExitCode;

use order_service::{PORT, domain::SERVICE};
use sagaline_service_host::ServiceSpec;
use sagaline_service_kit::config::ServiceDefaults;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        defaults: ServiceDefaults {
            name: SERVICE,
            port: PORT,
        },
        about: "Takes orders, and sees each to its outcome",
    };
    sagaline_service_host::main(spec, order_service::run)
}
