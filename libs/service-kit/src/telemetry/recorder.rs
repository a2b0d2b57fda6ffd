use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::metric::{Kind, Metric};
use super::process;

/// How often the samples of histograms are folded into their buckets, which bounds the memory between two scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the process-wide recorder of metrics, the first time that it is called. Services that share a process share it.
pub fn install_metrics() {
    handle();
}

/// All metrics of the process, in Prometheus' text format.
pub fn render_metrics() -> String {
    let mut text = handle().render();
    process::render(&mut text);
    text
}

fn handle() -> &'static PrometheusHandle {
    HANDLE.get_or_init(|| {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!(
                "another metrics recorder is installed in this process: /metrics will stay empty"
            );
        }
        describe();
        keep_up(handle.clone());
        handle
    })
}

fn builder() -> PrometheusBuilder {
    Metric::ALL
        .into_iter()
        .fold(PrometheusBuilder::new(), |builder, metric| {
            let Kind::Histogram(buckets) = metric.kind() else {
                return builder;
            };
            let matcher = Matcher::Full(metric.name().to_owned());
            match builder.set_buckets_for_metric(matcher, buckets) {
                Ok(builder) => builder,
                // It only refuses an empty list of buckets, and none of ours is.
                Err(error) => {
                    tracing::error!(%error, metric = metric.name(), "histogram without buckets");
                    PrometheusBuilder::new()
                }
            }
        })
}

fn describe() {
    for metric in Metric::ALL {
        match metric.kind() {
            Kind::Counter => metrics::describe_counter!(metric.name(), metric.help()),
            Kind::Gauge => metrics::describe_gauge!(metric.name(), metric.help()),
            Kind::Histogram(_) => metrics::describe_histogram!(metric.name(), metric.help()),
        }
    }
}

/// A plain thread, because the recorder lives as long as the process and belongs to no async runtime.
fn keep_up(handle: PrometheusHandle) {
    let keeper = std::thread::Builder::new().name("metrics-upkeep".to_owned());
    let spawned = keeper.spawn(move || {
        loop {
            std::thread::sleep(UPKEEP_INTERVAL);
            handle.run_upkeep();
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread for the upkeep of metrics: they are folded at each scrape alone");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{EventMetrics, EventStatus, outbox_pending, saga_duration};

    #[test]
    fn metrics_have_the_names_labels_help_and_buckets_of_the_contract() {
        let events = EventMetrics::register("recorder-test", "order.OrderCreated.v1");
        events.processed(EventStatus::Ok, 2);
        events.processed(EventStatus::Duplicate, 1);
        events.batch_took(0.002, 3);
        outbox_pending("recorder-test").set(7.0);
        saga_duration("CONFIRMED").record(0.02);
        let text = render_metrics();
        for line in [
            "# TYPE events_processed_total counter",
            "# HELP outbox_pending Outbox entries not acknowledged by the broker yet",
            r#"events_processed_total{service="recorder-test",eventType="order.OrderCreated.v1",status="ok"} 2"#,
            r#"events_processed_total{service="recorder-test",eventType="order.OrderCreated.v1",status="duplicate"} 1"#,
            r#"event_processing_duration_seconds_bucket{service="recorder-test",eventType="order.OrderCreated.v1",le="0.0025"} 3"#,
            r#"outbox_pending{service="recorder-test"} 7"#,
            r#"saga_duration_seconds_bucket{outcome="CONFIRMED",le="0.025"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_process_itself_is_measured() {
        let text = render_metrics();
        let resident = text
            .lines()
            .find_map(|l| l.strip_prefix("process_resident_memory_bytes "));
        assert!(
            resident.unwrap().parse::<u64>().unwrap() > 1_000_000,
            "{text}"
        );
        assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
        assert!(text.contains("\nprocess_open_fds "), "{text}");
    }
}
