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
/// The longest that a frame may take, in 95 of 100 cases, on a machine that has nothing else to do.
const FRAME_P95_MAX_MS: f64 = 150.0;
/// On a loaded one a list of plain rows is slow too: so many times its frames.
const TIMES_PLAIN: f64 = 3.0;
/// Keys that are typed into the search, and the longest that half of them may take to be drawn.
const KEYS: &str = "flow-1-2";
const KEY_P50_MAX_MS: f64 = 200.0;

/// A list of as many rows, of which those that can be seen are drawn anew when it is scrolled, as ours does, and nothing else: what
/// this browser can do on this machine now.
const PLAIN: &str = "
    document.body.innerHTML = '<div id=order-rows style=\"height:800px;overflow:auto\"><div style=\"height:400000px;position:relative\"></div></div>';
    const list = document.querySelector('#order-rows'), rows = list.firstChild;
    const cells = at => ['order', 'status', 'outcome', 'total', 'took', 'updated'].map(name => `<span>${name} ${at}</span>`).join('');
    list.addEventListener('scroll', () => {
        const first = Math.floor(list.scrollTop / 40);
        let drawn = '';
        for (let at = first; at < first + 34; at++)
            drawn += `<a href=#${at} style=\"position:absolute;top:${at * 40}px;width:100%;display:grid;grid-template-columns:repeat(6,1fr)\">${cells(at)}</a>`;
        rows.innerHTML = drawn;
    });
    return null";

/// Notes how long each key takes from being pressed to being drawn.
const LISTEN: &str = "
    window.keys = [];
    document.addEventListener('keydown', event => {
        const pressed = event.timeStamp;
        requestAnimationFrame(() => setTimeout(() => window.keys.push(performance.now() - pressed)));
    }, true);
    return null";

/// Counts the time between frames while the list is scrolled up and down.
const SCROLL: &str = "
    const list = document.querySelector('#order-rows');
    window.framesDone = false;
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
    let frames = scrolled(browser).await?;
    let drawn = browser
        .run("return document.querySelectorAll('#order-rows .row').length")
        .await?;
    browser.run(LISTEN).await?;
    browser.click("#search").await?;
    for key in KEYS.chars() {
        let search = browser.page.active_element().await?;
        search.send_keys(&key.to_string()).await?;
    }
    browser
        .until(
            "every key is drawn",
            &format!("return window.keys.length >= {}", KEYS.len()),
        )
        .await?;
    let keys = Times::of(&browser.run("return window.keys").await?);
    browser.page.goto("about:blank").await?;
    browser.run(PLAIN).await?;
    let plain = scrolled(browser).await?;
    flowing.abort();
    println!(
        "{ORDERS} orders listed after {:.1} s; frames {frames}; of a plain list {plain}; keys until drawn {keys}; {drawn} rows drawn",
        took.as_secs_f64(),
    );
    let drawn = drawn.as_u64().context("no rows")?;
    ensure!(
        drawn < 120,
        "{drawn} rows are drawn: only those that can be seen should be"
    );
    let limit = FRAME_P95_MAX_MS.max(TIMES_PLAIN * plain.at(95));
    ensure!(
        frames.at(95) <= limit,
        "95 of 100 frames should be drawn within {limit:.0} ms: {frames}; of a plain list {plain}"
    );
    let limit = KEY_P50_MAX_MS.max(TIMES_PLAIN * plain.at(95));
    ensure!(
        keys.at(50) <= limit,
        "half of the keys should be drawn within {limit:.0} ms: {keys}"
    );
    Ok(())
}

/// Scrolls for some seconds; gives the time between frames.
async fn scrolled(browser: &Browser) -> Result<Times> {
    browser.run(SCROLL).await?;
    browser
        .until(
            "some seconds of scrolling",
            "return window.framesDone === true",
        )
        .await?;
    Ok(Times::of(
        &browser.run("return window.frames.slice(1)").await?,
    ))
}

/// Milliseconds, the shortest first.
struct Times(Vec<f64>);

impl Times {
    fn of(measured: &Value) -> Self {
        let mut times: Vec<f64> = measured
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// What so many of 100 do not exceed.
    fn at(&self, part: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() * part / 100).min(last);
        self.0.get(at).copied().unwrap_or(f64::MAX)
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: p50 {:.1} p95 {:.1} p99 {:.1} max {:.1} ms",
            self.0.len(),
            self.at(50),
            self.at(95),
            self.at(99),
            self.at(100)
        )
    }
}
