//! Puts a service's domain, the runtime and the kit together.
//!
//! Every service has one `run(host, options, listener)`: its own binary calls it through [`main`], the all-in-one calls all
//! five with one broker and one store. The code paths are the same, only addresses differ.

mod host;
mod process;
mod records;

pub use host::{Front, KitClock, KitHealth, ServiceHost};
pub use process::{ServiceSpec, kafka_options, main};
pub use records::Records;

/// Events are many small pieces on several threads: glibc's allocator took a third of the processor's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
