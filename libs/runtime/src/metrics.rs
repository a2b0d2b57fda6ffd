//! The runtime's metrics, with their handles kept: looking one up by its labels for each event would cost more than
//! handling the event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Histogram};
use parking_lot::Mutex;
use sagaline_saga::Status;

type Labels = (Arc<str>, Status);

/// Counts what became of events, per service.
pub(crate) struct EventMetrics {
    service: &'static str,
    processed: Mutex<HashMap<Labels, Counter>>,
    durations: Mutex<HashMap<Arc<str>, Histogram>>,
}

impl EventMetrics {
    pub(crate) fn new(service: &'static str) -> Self {
        Self {
            service,
            processed: Mutex::default(),
            durations: Mutex::default(),
        }
    }

    pub(crate) fn processed(&self, topic: &Arc<str>, status: Status, count: u64) {
        let mut counters = self.processed.lock();
        let counter = counters.entry((Arc::clone(topic), status)).or_insert_with(|| {
            metrics::counter!("events_processed_total", "service" => self.service, "eventType" => topic.to_string(), "status" => status.as_str())
        });
        counter.increment(count);
        if status == Status::Dead {
            metrics::counter!("dead_letters_total", "topic" => topic.to_string(), "consumer" => self.service).increment(count);
        }
    }

    pub(crate) fn duration(&self, topic: &Arc<str>, duration: Duration, count: usize) {
        let mut histograms = self.durations.lock();
        let histogram = histograms.entry(Arc::clone(topic)).or_insert_with(|| {
            metrics::histogram!("event_processing_duration_seconds", "service" => self.service, "eventType" => topic.to_string())
        });
        histogram.record_many(duration.as_secs_f64(), count);
    }
}

/// Counts consumers that are replaced because they get nothing of what is there. It is told from the start, as nothing.
pub(crate) fn standstills(service: &'static str) -> Counter {
    metrics::counter!("consumer_standstills_total", "service" => service)
}
