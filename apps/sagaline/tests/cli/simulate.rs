//! The simulation for as long as asked.

use crate::process::run;

#[tokio::test]
async fn a_simulation_goes_on_for_as_long_as_asked_and_says_what_it_ran() {
    let line = [
        "simulate",
        "--for",
        "1s",
        "--orders",
        "1",
        "--no-faults",
        "--seed",
        "7",
    ];
    let ran = run(&line).await;
    let out = ran.exits(0);
    assert!(out.starts_with("seeds from 7 on for 1.0s"), "{out}");
    // As many as fit, and never one only: a run of one order takes some milliseconds.
    let (clean, rest) = out.lines().nth(1).unwrap().split_once(" of ").unwrap();
    assert!(rest.starts_with(&format!("{clean} runs clean")), "{out}");
    assert!(clean.parse::<u64>().unwrap() > 1, "{out}");

    let ran = run(&["simulate", "--for", "1s", "--seeds", "2"]).await;
    ran.exits(1);
    assert!(ran.stderr.contains("--seeds"), "{}", ran.stderr);
}
