//! How it feels with very many orders.
#![expect(clippy::cast_precision_loss, reason = "small counts")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sagaline_testkit::client::order;
use serde_json::Value;

use crate::World;
use crate::browser::Browser;

const ORDERS: usize = 10_000;
const PER_SECOND: u32 = 500;
/// How long orders may take to be there. The pipeline, the browser and this test share the machine, and it may be a slow one.
const LISTED_WITHIN: Duration = Duration::from_mins(4);
/// How long nothing is done but what flows in is shown.
const REST: Duration = Duration::from_secs(5);
/// Keys that are typed into the search.
const KEYS: &str = "flow-1-2";

// What is judged is what the page costs, in processor time of its main thread, and the measure is what this browser needs on this
// machine now to draw a plain list of as many rows once: the time between frames says as much about who else uses the machine.
/// A frame while it is scrolled, in frames of the plain list.
const FRAME_MAX: f64 = 1.75;
/// A second in which orders flow in and nobody touches the page.
const FLOW_MAX: f64 = 30.0;
/// A key that is typed into the search.
const KEY_MAX: f64 = 8.0;
const ROWS_MAX: u64 = 60;

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

/// Notes the time between frames while the list is scrolled up and down for some seconds.
const SCROLL: &str = "
    const done = arguments[arguments.length - 1];
    const list = document.querySelector('#order-rows');
    const frames = [];
    let last = performance.now(), began = last;
    const step = now => {
        frames.push(now - last);
        last = now;
        list.scrollTop = Math.abs(Math.sin((now - began) / 1500)) * Math.min(list.scrollHeight, 200000);
        if (now - began < 8000) requestAnimationFrame(step); else done(frames.slice(1));
    };
    requestAnimationFrame(step);";

/// Scrolls a little and far, down and up; gives what is wrong with the rows then. They must stand in the document as they are seen, for
/// who goes from one to the next by keys or has them read out, and each where its number says.
const IN_ORDER: &str = "
    const done = arguments[arguments.length - 1];
    const list = document.querySelector('#order-rows');
    const wrong = top => {
        const rows = [...list.querySelectorAll('.row')];
        const at = rows.map(row => +row.getAttribute('aria-rowindex'));
        if (at.some((row, place) => place > 0 && row !== at[place - 1] + 1)) return `at ${top} the rows are ${at}`;
        const from = list.getBoundingClientRect().top - list.scrollTop;
        const moved = rows.findIndex((row, place) => Math.abs(row.getBoundingClientRect().top - from - (at[place] - 1) * 40) > 1);
        if (moved >= 0) return `at ${top} row ${at[moved]} is not in its place`;
        const [first, last] = [at[0] - 1, at[at.length - 1]];
        return first * 40 <= top && last * 40 >= top + list.clientHeight ? null : `at ${top} rows ${first} to ${last} are drawn`;
    };
    const frame = () => new Promise(then => requestAnimationFrame(() => setTimeout(then)));
    (async () => {
        for (const top of [400, 520, 600, 480, 90, 40000, 39960, 40200, 0]) {
            list.scrollTop = top;
            let said = 'nothing';
            for (let frames = 0; frames < 100 && said; frames++) { await frame(); said = wrong(top); }
            if (said) return done(said);
        }
        // Fewer than fit on the screen, when those that are drawn do not begin with the first element.
        const search = document.querySelector('#search');
        const look = text => { search.value = text; search.dispatchEvent(new Event('input', { bubbles: true })); };
        list.scrollTop = 200;
        for (let frames = 0; frames < 10; frames++) await frame();
        look('flow-1-');
        let at = [];
        const few = () => at.length === 10 && at.every((row, place) => row === place + 1);
        for (let frames = 0; frames < 300 && !few(); frames++) {
            await frame();
            at = [...list.querySelectorAll('.row')].map(row => +row.getAttribute('aria-rowindex'));
        }
        if (!few()) return done(`of those that are looked for the rows are ${at}`);
        look('');
        let said = 'nothing';
        for (let frames = 0; frames < 300 && said; frames++) { await frame(); said = wrong(list.scrollTop); }
        done(said);
    })();";

pub async fn ten_thousand_orders_scroll_while_more_flow_in(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go("/orders").await?;
    browser.shows("#link-state", "Live").await?;
    let client = Arc::new(world.client.clone());
    let placed = Arc::new(AtomicU64::new(0));
    let flowing = tokio::spawn({
        let (client, placed) = (Arc::clone(&client), Arc::clone(&placed));
        async move {
            let mut due = tokio::time::interval(Duration::from_secs(1) / (PER_SECOND / 10));
            let slots = Arc::new(tokio::sync::Semaphore::new(200));
            for batch in 0_u32.. {
                due.tick().await;
                for at in 0..10 {
                    let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                        return;
                    };
                    let (client, placed) = (Arc::clone(&client), Arc::clone(&placed));
                    tokio::spawn(async move {
                        let order = order(&format!("flow-{batch}-{at}"), "SKU-2", 1);
                        // One that is refused because the pipeline is busy is no matter here.
                        if client.place(&order).await.is_ok() {
                            placed.fetch_add(1, Ordering::Relaxed);
                        }
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
            began.elapsed() < LISTED_WITHIN,
            "only {} orders are listed after {LISTED_WITHIN:?}",
            browser.run(listed).await?
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let took = began.elapsed();
    let wrong = browser.page.execute_async(IN_ORDER, Vec::new()).await?;
    ensure!(wrong.is_null(), "rows are not in order: {wrong}");
    browser.count_processor_time().await?;
    let flow = cost_of_flow(browser, &placed).await?;
    let ours = Scrolled::measure(browser).await?;
    let drawn = browser
        .run("return document.querySelectorAll('#order-rows .row').length")
        .await?;
    let keys = Typed::measure(browser).await?;
    browser.page.goto("about:blank").await?;
    browser.run(PLAIN).await?;
    let plain = Scrolled::measure(browser).await?;
    flowing.abort();

    let one = plain.frame_ms(0.0);
    let frame = ours.frame_ms(flow.ms_per_s) / one;
    let key = keys.key_ms(flow.ms_per_s) / one;
    let flow_frames = flow.ms_per_s / one;
    println!(
        "{ORDERS} orders listed after {:.1} s; processor time of the page in frames of a plain list ({one:.1} ms): a frame {frame:.2}, \
         a second with {:.0} orders {flow_frames:.1}, a key {key:.1}; {drawn} rows drawn; \
         times between frames {}, of the plain list {}; keys until drawn {}",
        took.as_secs_f64(),
        flow.orders_per_s,
        ours.frames,
        plain.frames,
        keys.until_drawn,
    );
    let drawn = drawn.as_u64().context("no rows")?;
    ensure!(
        drawn < ROWS_MAX,
        "{drawn} rows are drawn: only those that can be seen should be"
    );
    for (what, cost, max) in [
        ("a frame while it is scrolled", frame, FRAME_MAX),
        ("a second of orders that flow in", flow_frames, FLOW_MAX),
        ("a key in the search", key, KEY_MAX),
    ] {
        ensure!(
            cost <= max,
            "{what} costs as much as {cost:.1} frames of a plain list, and should cost {max} at most"
        );
    }
    Ok(())
}

/// What a second costs in which orders flow in and nobody touches the page.
struct Flow {
    ms_per_s: f64,
    orders_per_s: f64,
}

async fn cost_of_flow(browser: &Browser, placed: &AtomicU64) -> Result<Flow> {
    let (began, before) = (Instant::now(), browser.processor_ms().await?);
    let placed_before = placed.load(Ordering::Relaxed);
    tokio::time::sleep(REST).await;
    let spent = browser.processor_ms().await? - before;
    let seconds = began.elapsed().as_secs_f64();
    let orders = placed.load(Ordering::Relaxed) - placed_before;
    Ok(Flow {
        ms_per_s: spent / seconds,
        orders_per_s: orders as f64 / seconds,
    })
}

/// A list that was scrolled for some seconds.
struct Scrolled {
    frames: Times,
    seconds: f64,
    processor_ms: f64,
}

impl Scrolled {
    async fn measure(browser: &Browser) -> Result<Self> {
        let (began, before) = (Instant::now(), browser.processor_ms().await?);
        let frames = browser.page.execute_async(SCROLL, Vec::new()).await?;
        Ok(Self {
            frames: Times::of(&frames),
            processor_ms: browser.processor_ms().await? - before,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Of one frame, without what is spent anyway.
    fn frame_ms(&self, anyway_ms_per_s: f64) -> f64 {
        (self.processor_ms - anyway_ms_per_s * self.seconds).max(0.0)
            / self.frames.0.len().max(1) as f64
    }
}

/// Keys that were typed into the search.
struct Typed {
    until_drawn: Times,
    seconds: f64,
    processor_ms: f64,
}

impl Typed {
    async fn measure(browser: &Browser) -> Result<Self> {
        browser.run(LISTEN).await?;
        browser.click("#search").await?;
        let search = browser.find("#search").await?;
        let (began, before) = (Instant::now(), browser.processor_ms().await?);
        for key in KEYS.chars() {
            search.send_keys(&key.to_string()).await?;
        }
        let all = format!("return window.keys.length >= {}", KEYS.len());
        browser.until("every key is drawn", &all).await?;
        Ok(Self {
            processor_ms: browser.processor_ms().await? - before,
            seconds: began.elapsed().as_secs_f64(),
            until_drawn: Times::of(&browser.run("return window.keys").await?),
        })
    }

    fn key_ms(&self, anyway_ms_per_s: f64) -> f64 {
        (self.processor_ms - anyway_ms_per_s * self.seconds).max(0.0) / KEYS.len() as f64
    }
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
