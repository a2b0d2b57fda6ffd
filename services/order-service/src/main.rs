//! The order service in a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    sagaline_service_host::main(order_service::SPEC, order_service::run)
}
