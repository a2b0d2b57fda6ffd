use metrics::{Counter, Gauge, Histogram, SharedString};

use super::recorder::install_metrics;

/// The kinds of metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// With these upper bounds of its buckets, in seconds.
    Histogram(&'static [f64]),
}

/// From half a millisecond to half a minute.
const REQUEST_BUCKETS_S: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// From a millisecond to ten minutes.
const SAGA_BUCKETS_S: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 600.0,
];

/// Every metric of the system. Names are written here and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Events that a service has consumed.
    EventsProcessed,
    /// How long it takes to handle an event.
    EventProcessingDuration,
    /// How long an HTTP request takes.
    HttpRequestDuration,
    /// How far a projector is behind.
    ProjectorEventLag,
    /// How far a consumer group is behind in a topic.
    ConsumerGroupLag,
    /// Consumers that were replaced because they got nothing of what was there.
    ConsumerStandstills,
    /// Outbox entries that the broker has not acknowledged.
    OutboxPending,
    /// Outbox entries that found no room at the publishers.
    OutboxLeftToSweep,
    /// Events in a dead letter queue.
    DeadLetters,
    /// How long an order takes to its outcome.
    SagaDuration,
    /// Orders without an outcome.
    SagasInFlight,
    /// Orders in flight for too long.
    SagasStalled,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::EventsProcessed,
        Self::EventProcessingDuration,
        Self::HttpRequestDuration,
        Self::ProjectorEventLag,
        Self::ConsumerGroupLag,
        Self::ConsumerStandstills,
        Self::OutboxPending,
        Self::OutboxLeftToSweep,
        Self::DeadLetters,
        Self::SagaDuration,
        Self::SagasInFlight,
        Self::SagasStalled,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventsProcessed => "events_processed_total",
            Self::EventProcessingDuration => "event_processing_duration_seconds",
            Self::HttpRequestDuration => "http_request_duration_seconds",
            Self::ProjectorEventLag => "projector_event_lag_seconds",
            Self::ConsumerGroupLag => "consumer_group_lag",
            Self::ConsumerStandstills => "consumer_standstills_total",
            Self::OutboxPending => "outbox_pending",
            Self::OutboxLeftToSweep => "outbox_left_to_sweep_total",
            Self::DeadLetters => "dead_letters_total",
            Self::SagaDuration => "saga_duration_seconds",
            Self::SagasInFlight => "sagas_in_flight",
            Self::SagasStalled => "sagas_stalled",
        }
    }

    /// What it says, for `# HELP`.
    pub const fn help(self) -> &'static str {
        match self {
            Self::EventsProcessed => {
                "Events consumed, by what became of them: ok, duplicate, dead or parked"
            }
            Self::EventProcessingDuration => {
                "Time from decoding an event to its durable effect, in seconds"
            }
            Self::HttpRequestDuration => {
                "Time from a request's headers to its answer's headers, in seconds"
            }
            Self::ProjectorEventLag => {
                "Time between an event's timestamp and its projection, in seconds"
            }
            Self::ConsumerGroupLag => {
                "Messages of a topic that a consumer group has yet to read, as the broker told it last"
            }
            Self::ConsumerStandstills => {
                "Kafka clients replaced because they got nothing of what was there for their group"
            }
            Self::OutboxPending => "Outbox entries not acknowledged by the broker yet",
            Self::OutboxLeftToSweep => {
                "Outbox entries not published at once, because too many waited: the sweep publishes them"
            }
            Self::DeadLetters => "Events put into a dead letter queue",
            Self::SagaDuration => "Time from an order's creation to its outcome, in seconds",
            Self::SagasInFlight => "Orders without an outcome",
            Self::SagasStalled => "Orders in flight for longer than the saga timeout",
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::EventsProcessed
            | Self::ConsumerStandstills
            | Self::OutboxLeftToSweep
            | Self::DeadLetters => Kind::Counter,
            Self::ProjectorEventLag
            | Self::ConsumerGroupLag
            | Self::OutboxPending
            | Self::SagasInFlight
            | Self::SagasStalled => Kind::Gauge,
            Self::EventProcessingDuration | Self::HttpRequestDuration => {
                Kind::Histogram(REQUEST_BUCKETS_S)
            }
            Self::SagaDuration => Kind::Histogram(SAGA_BUCKETS_S),
        }
    }
}

/// What became of a consumed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStatus {
    /// It had its effect.
    Ok,
    /// It had been handled before.
    Duplicate,
    /// It went to the dead letter queue.
    Dead,
    /// It waits behind an earlier event of its order.
    Parked,
}

/// Handles for one service and event type. Looking a metric up by its labels hashes them and takes a lock, some 200 ns;
/// a handle costs one atomic addition. So get the handles once, at start, and keep them.
#[derive(Debug, Clone)]
pub struct EventMetrics {
    by_status: [Counter; 4],
    duration: Histogram,
}

impl EventMetrics {
    /// The handles of one service and event type.
    pub fn register(service: impl Into<SharedString>, event_type: impl Into<SharedString>) -> Self {
        let (service, event_type) = (service.into(), event_type.into());
        let counter = |status: &'static str| {
            let labels = [
                ("service", service.clone()),
                ("eventType", event_type.clone()),
                ("status", status.into()),
            ];
            counter(Metric::EventsProcessed, &labels)
        };
        let by_status = ["ok", "duplicate", "dead", "parked"].map(counter);
        let labels = [
            ("service", service.clone()),
            ("eventType", event_type.clone()),
        ];
        Self {
            by_status,
            duration: histogram(Metric::EventProcessingDuration, &labels),
        }
    }

    /// Counts events.
    pub fn processed(&self, status: EventStatus, count: u64) {
        self.by_status[status as usize].increment(count);
    }

    /// Records how long one event took.
    pub fn took(&self, seconds: f64) {
        self.duration.record(seconds);
    }

    /// Records a batch, each event of which took this long.
    pub fn batch_took(&self, seconds: f64, events: usize) {
        self.duration.record_many(seconds, events);
    }
}

/// The counter of dead letters from a topic, by the consumer that refused them.
pub fn dead_letters(topic: impl Into<SharedString>, consumer: impl Into<SharedString>) -> Counter {
    counter(
        Metric::DeadLetters,
        &[("topic", topic.into()), ("consumer", consumer.into())],
    )
}

/// The gauge of unacknowledged outbox entries.
pub fn outbox_pending(service: impl Into<SharedString>) -> Gauge {
    gauge(Metric::OutboxPending, &[("service", service.into())])
}

/// The counter of outbox entries that found no room at the publishers.
pub fn outbox_left_to_sweep(service: impl Into<SharedString>) -> Counter {
    counter(Metric::OutboxLeftToSweep, &[("service", service.into())])
}

/// The gauge of a projector's lag.
pub fn projector_event_lag(projector: impl Into<SharedString>) -> Gauge {
    gauge(
        Metric::ProjectorEventLag,
        &[("projector", projector.into())],
    )
}

/// The gauge of messages that a consumer group has yet to read.
pub fn consumer_group_lag(group: impl Into<SharedString>, topic: impl Into<SharedString>) -> Gauge {
    gauge(
        Metric::ConsumerGroupLag,
        &[("group", group.into()), ("topic", topic.into())],
    )
}

/// The histogram of the time to an outcome.
pub fn saga_duration(outcome: impl Into<SharedString>) -> Histogram {
    histogram(Metric::SagaDuration, &[("outcome", outcome.into())])
}

/// The gauge of orders without an outcome.
pub fn sagas_in_flight() -> Gauge {
    gauge(Metric::SagasInFlight, &[])
}

/// The gauge of stalled orders.
pub fn sagas_stalled() -> Gauge {
    gauge(Metric::SagasStalled, &[])
}

pub(crate) fn http_request_duration(method: &'static str, path: String, status: u16) -> Histogram {
    let labels = [
        ("method", SharedString::from(method)),
        ("path", path.into()),
        ("status", status.to_string().into()),
    ];
    histogram(Metric::HttpRequestDuration, &labels)
}

type Labels<'a> = &'a [(&'static str, SharedString)];

// A handle that is taken before the recorder is there counts into nothing for ever, so taking one installs it.

fn counter(metric: Metric, labels: Labels<'_>) -> Counter {
    install_metrics();
    metrics::counter!(metric.name(), labels)
}

fn gauge(metric: Metric, labels: Labels<'_>) -> Gauge {
    install_metrics();
    metrics::gauge!(metric.name(), labels)
}

fn histogram(metric: Metric, labels: Labels<'_>) -> Histogram {
    install_metrics();
    metrics::histogram!(metric.name(), labels)
}
