//! The inventory service in a process of its own.

use std::process::ExitCode;

use inventory_service::{PORT, SERVICE};
use sagaline_service_host::ServiceSpec;
use sagaline_service_kit::config::ServiceDefaults;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        defaults: ServiceDefaults {
            name: SERVICE,
            port: PORT,
        },
        about: "Sets stock aside for orders, gives it back, and books it out",
    };
    sagaline_service_host::main(spec, inventory_service::run)
}
