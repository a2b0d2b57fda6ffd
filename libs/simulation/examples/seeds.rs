//! Runs seeds.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "an example"
)]
use sagaline_simulation::plan::{Plan, Scale};
fn main() {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let (from, count, told) = (args[0], args[1], args.get(2).copied().unwrap_or(0));
    let start = std::time::Instant::now();
    let mut virt = 0;
    for seed in from..from + count {
        let scale = Scale {
            orders: std::env::var("ORDERS").map_or(50, |o| o.parse().unwrap()),
            faults: std::env::var("CALM").is_err(),
        };
        let plan = Plan::of_seed(seed, scale);
        let report = sagaline_simulation::run(
            &plan,
            sagaline_simulation::Wanted {
                story: told > 0,
                coverage: false,
            },
        )
        .unwrap();
        virt += report.virtual_ms;
        for line in &report.story {
            println!("{line}");
        }
        if told > 0 {
            println!(
                "{seed}: {:016x} events {} virtual {}",
                report.trace_hash, report.events, report.virtual_ms
            );
        }
        let mut classes = std::collections::BTreeMap::<String, (usize, String)>::new();
        for b in &report.broken {
            let c = b.split(':').next().unwrap().to_owned();
            let e = classes.entry(c).or_insert((0, b.clone()));
            e.0 += 1;
        }
        for (_, (n, first)) in classes {
            println!(
                "{seed} v{} x{n} {}",
                report.virtual_ms,
                first.chars().take(330).collect::<String>()
            );
        }
    }
    let took = start.elapsed().as_secs_f64();
    println!(
        "{count} seeds in {took:.2}s, {:.0}/s, virtual {:.1}s each",
        count as f64 / took,
        virt as f64 / 1000.0 / count as f64
    );
}
