//! What reading and writing an event costs: `cargo run --release -p sagaline-contracts --example codec`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sagaline_contracts::{Event, EventType, examples};

const ROUND: Duration = Duration::from_millis(100);
const ROUNDS: usize = 5;

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the machine's time"
)]
fn now() -> Instant {
    Instant::now()
}

/// The best of several rounds, in nanoseconds per call: what disturbs a round only ever makes it slower.
fn nanoseconds(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut calls) = (now(), 0_u32);
        let took = loop {
            for _ in 0..100 {
                call();
            }
            calls += 100;
            let took = start.elapsed();
            if took >= ROUND {
                break took;
            }
        };
        best = best.min(took.as_secs_f64() * 1e9 / f64::from(calls));
    }
    best
}

fn main() {
    println!(
        "{:<36} {:>6} {:>10} {:>10}",
        "event", "bytes", "decode ns", "encode ns"
    );
    for kind in EventType::ALL {
        let event = examples::full(*kind);
        let (json, key) = (event.encode(), event.key().to_owned());
        let decode = nanoseconds(|| {
            let decoded = Event::decode(*kind, Some(key.as_bytes()), Some(black_box(&json)));
            black_box(decoded.is_ok());
        });
        let encode = nanoseconds(|| {
            black_box(black_box(&event).encode());
        });
        println!(
            "{:<36} {:>6} {decode:>10.0} {encode:>10.0}",
            kind.as_str(),
            json.len()
        );
    }
}
