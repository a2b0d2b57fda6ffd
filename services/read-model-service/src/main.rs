//! The read model in a process of its own.

use std::process::ExitCode;

use read_model_service::{PORT, projection::PROJECTOR};
use sagaline_service_host::ServiceSpec;
use sagaline_service_kit::config::ServiceDefaults;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        defaults: ServiceDefaults {
            name: PROJECTOR,
            port: PORT,
        },
        about: "Shows every order's timeline and state, live; dead letters, the audit, and the operator's commands",
    };
    sagaline_service_host::main(spec, read_model_service::run)
}
