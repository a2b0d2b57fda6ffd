//! The figures.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::World;
use crate::browser::Browser;
use crate::fate::Fate;

/// How long the read model may take to keep a sample of what has just happened, on a slow machine.
const KEPT_WITHIN: Duration = Duration::from_mins(1);
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Longer than two of the page's own samples may be apart for a line to be drawn from one to the other.
const LONG_AGO: Duration = Duration::from_secs(13);

/// From now on nobody tells the page any figures, until it is released.
const CUT_OFF: &str = "
    const fetch = window.fetch;
    let isCut = true;
    window.cutAt = Date.now();
    window.heal = () => { isCut = false; window.healedAt = Date.now(); };
    window.fetch = (url, init) =>
        isCut && String(url).includes('/stats') ? Promise.reject(new TypeError('Failed to fetch')) : fetch(url, init);
    return null";

/// Waits until the read model remembers that orders were placed longer than `LONG_AGO` ago, and after `since`.
async fn orders_are_long_ago(world: &World, since: Instant) -> Result<()> {
    let url = format!("{}/stats/history", world.client.addresses().read_model);
    let asked = Instant::now();
    loop {
        let answer = world.client.http().get(&url).send().await?;
        let history: Value = answer.json().await?;
        let (least, most) = (LONG_AGO.as_millis(), since.elapsed().as_millis());
        let samples = history["samples"].as_array().into_iter().flatten();
        let is_seen = samples
            .filter(|sample| 0.0 < sample["created"].as_f64().unwrap_or(0.0))
            .filter_map(|sample| sample["ageMs"].as_u64().map(u128::from))
            .any(|age| (least..most).contains(&age));
        if is_seen {
            return Ok(());
        }
        ensure!(
            asked.elapsed() < KEPT_WITHIN,
            "the read model does not remember the orders: {history}"
        );
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Whether a figure of the first chart, which shows 300 seconds on 600 by 150 pixels, was above nothing at a time, given in
/// milliseconds, that fits.
fn was_above_nothing(line: &str, fits: &str) -> String {
    format!(
        "const line = document.querySelector('.chart path.line.{line}');
        const points = [...(line?.getAttribute('d') ?? '').matchAll(/[ML]([0-9.-]+) ([0-9.-]+)/g)];
        return points.map(([, x, y]) => [Date.now() - 300000 * (1 - x / 600), +y]).some(([at, y]) => y < 150 && ({fits}));"
    )
}

pub async fn an_overview_that_is_opened_after_orders_flowed_shows_them(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let began = Instant::now();
    for n in 0..10 {
        world
            .place(&format!("before-it-was-opened-{n}"), &[Fate::Ships])
            .await?;
    }
    orders_are_long_ago(world, began).await?;
    browser.go("/overview").await?;
    for line in ["a", "b"] {
        // Two seconds for what the first answers take.
        let before = was_above_nothing(line, "at < performance.timeOrigin - 2000");
        browser
            .until("the line begins before the page was opened", &before)
            .await?;
    }
    browser.picture("overview-just-opened").await?;
    Ok(())
}

pub async fn what_happened_while_nobody_answered_is_in_the_charts_afterwards(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go("/overview").await?;
    browser.find(".chart .line").await?;
    browser.run(CUT_OFF).await?;
    let began = Instant::now();
    browser.shows(".outage", "does not answer").await?;
    for n in 0..10 {
        world
            .place(&format!("while-cut-off-{n}"), &[Fate::Ships])
            .await?;
    }
    orders_are_long_ago(world, began).await?;
    let meanwhile = was_above_nothing(
        "a",
        "at > window.cutAt + 2000 && at < (window.healedAt ?? Date.now()) - 2000",
    );
    ensure!(
        browser.run(&meanwhile).await? == false,
        "the page was not cut off"
    );
    browser.run("window.heal(); return null").await?;
    browser
        .until("what happened meanwhile is drawn", &meanwhile)
        .await
}

pub async fn the_overview_tells_how_far_each_service_is_behind(
    _: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go("/overview").await?;
    let numbers = "[...document.querySelectorAll('#consumers tbody tr td.number')].map(cell => cell.textContent)";
    browser
        .until(
            "the broker has told it of all of them",
            &format!(
                "return {numbers}.length === 5 && {numbers}.every(text => /^[0-9]/.test(text))"
            ),
        )
        .await?;
    let names = "return [...document.querySelectorAll('#consumers tbody th')].map(cell => cell.textContent)";
    let names = browser.run(names).await?;
    ensure!(
        names == json!(["order", "inventory", "payment", "shipping", "read model"]),
        "{names}"
    );
    Ok(())
}
