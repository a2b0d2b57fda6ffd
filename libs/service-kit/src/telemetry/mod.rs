//! Logs and metrics.

mod log;
mod metric;
mod process;
mod recorder;

pub use log::{LogFormat, LogLevel, LogSetupError, init_logging};
pub(crate) use metric::http_request_duration;
pub use metric::{
    EventMetrics, EventStatus, Metric, consumer_group_lag, dead_letters, outbox_left_to_sweep,
    outbox_pending, projector_event_lag, saga_duration, sagas_in_flight, sagas_stalled,
};
pub use recorder::{install_metrics, render_metrics};
