//! The shipping service in a process of its own.

use std::process::ExitCode;

use sagaline_service_host::ServiceSpec;
use sagaline_service_kit::config::ServiceDefaults;
use shipping_service::{PORT, domain::SERVICE};

fn main() -> ExitCode {
    let spec = ServiceSpec {
        defaults: ServiceDefaults {
            name: SERVICE,
            port: PORT,
        },
        about: "Sends the goods of a paid order, with a simulated carrier: no goods move",
    };
    sagaline_service_host::main(spec, shipping_service::run)
}
