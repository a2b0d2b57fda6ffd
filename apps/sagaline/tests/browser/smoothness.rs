//! How it feels with very many orders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sagaline_testkit::client::order;
use serde_json::Value;

use crate::World;
use crate::browser::Browser;

const ORDERS: usize = 10_000;
const PER_SECOND: u32 = 500;
/// The longest that anything that somebody does may take to be drawn, in 95 of 100 cases; a loaded machine of two cores is not a desk.
const FRAME_P95_MAX_MS: f64 = 150.0;

/// Counts the time between frames while the list is scrolled up and down.
const SCROLL: &str = "
    const list = document.querySelector('#order-rows');
    window.frames = [];
    let last = performance.now(), began = last;
    const step = now => {
        window.frames.push(now - last);
        last = now;
        list.scrollTop = Math.abs(Math.sin((now - began) / 1500)) * Math.min(list.scrollHeight, 200000);
        if (now - began < 8000) requestAnimationFrame(step); else window.framesDone = true;
    };
    requestAnimationFrame(step);";

pub async fn ten_thousand_orders_scroll_while_more_flow_in(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go("/orders").await?;
    browser.shows("#link-state", "Live").await?;
    let client = Arc::new(world.client.clone());
    let flowing = tokio::spawn({
        let client = Arc::clone(&client);
        async move {
            let mut due = tokio::time::interval(Duration::from_secs(1) / (PER_SECOND / 10));
            let slots = Arc::new(tokio::sync::Semaphore::new(200));
            for batch in 0_u32.. {
                due.tick().await;
                for at in 0..10 {
                    let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                        return;
                    };
                    let client = Arc::clone(&client);
                    tokio::spawn(async move {
                        // One that is refused because the pipeline is busy is no matter here.
                        let _ = client
                            .place(&order(&format!("flow-{batch}-{at}"), "SKU-2", 1))
                            .await;
                        drop(slot);
                    });
                }
            }
        }
    });
    let listed = "return +document.querySelector('.list').getAttribute('aria-rowcount')";
    let began = Instant::now();
    while browser.run(listed).await?.as_u64().unwrap_or(0) < ORDERS as u64 {
        ensure!(
            began.elapsed() < Duration::from_secs(90),
            "only {} orders are listed after 90 s",
            browser.run(listed).await?
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let took = began.elapsed();
    browser.run(SCROLL).await?;
    browser
        .until(
            "eight seconds of scrolling",
            "return window.framesDone === true",
        )
        .await?;
    let frames = browser.run("return window.frames.slice(1)").await?;
    let drawn = browser
        .run("return document.querySelectorAll('#order-rows .row').length")
        .await?;
    flowing.abort();
    let mut frames: Vec<f64> = serde_json::from_value::<Vec<Value>>(frames)?
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    frames.sort_by(f64::total_cmp);
    let at = |part: usize| {
        frames
            .get((frames.len() * part / 100).min(frames.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::MAX)
    };
    println!(
        "{ORDERS} orders listed after {:.1} s; {} frames: p50 {:.1} p95 {:.1} p99 {:.1} max {:.1} ms; {drawn} rows drawn",
        took.as_secs_f64(),
        frames.len(),
        at(50),
        at(95),
        at(99),
        at(100),
    );
    let drawn = drawn.as_u64().context("no rows")?;
    ensure!(
        drawn < 120,
        "{drawn} rows are drawn: only those that can be seen should be"
    );
    ensure!(
        at(95) <= FRAME_P95_MAX_MS,
        "95 of 100 frames should be drawn within {FRAME_P95_MAX_MS} ms, not {}",
        at(95)
    );
    Ok(())
}
