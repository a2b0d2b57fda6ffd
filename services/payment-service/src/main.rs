//! The payment service in a process of its own.

use std::process::ExitCode;

use payment_service::{PORT, domain::SERVICE};
use sagaline_service_host::ServiceSpec;
use sagaline_service_kit::config::ServiceDefaults;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        defaults: ServiceDefaults {
            name: SERVICE,
            port: PORT,
        },
        about: "Charges an order when its stock is reserved, on a simulated gateway: no money moves",
    };
    sagaline_service_host::main(spec, payment_service::run)
}
