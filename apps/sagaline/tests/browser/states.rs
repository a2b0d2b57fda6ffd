//! Pictures of what a view looks like when there is nothing, nothing yet, or nothing to be had, and of every dialog.

use anyhow::{Result, ensure};

use crate::World;
use crate::browser::Browser;
use crate::fate::Fate;
use crate::scenarios::poison;

/// Stands between the page and its server, as the window's name says.
const STAND_IN: &str = "
    const fetch = window.fetch;
    const json = (status, body) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
    const zero = { '1s': 0, '10s': 0, '60s': 0 };
    const stats = { total: 0, byStatus: {}, byOutcome: {}, inFlight: 0, stalled: 0, throughput: { created: zero, finished: zero, events: zero },
        latencyMs: { count: 0, p50: 0, p95: 0, p99: 0, max: 0 }, projector: { lagMs: 0 }, deadLetters: { waiting: 0 } };
    const told = url => json(200, url.includes('/stats/history') ? { samples: [] } : stats);
    const answers = {
        empty: async url => url.includes('/stats') ? told(url) : json(200, []),
        loading: () => new Promise(() => {}),
        error: async url => url.includes('/stats') ? told(url)
            : json(503, { title: 'Service Unavailable', status: 503, detail: 'the store does not answer; it is asked again' }),
        offline: async () => { throw new TypeError('Failed to fetch'); },
    };
    window.fetch = (url, init) => {
        const answer = answers[window.name];
        return answer && String(url).includes('/api/') ? answer(String(url)) : fetch(url, init);
    };
    const Source = window.EventSource;
    window.EventSource = function (url) {
        if (!answers[window.name]) return new Source(url);
        setTimeout(() => window.name === 'offline' ? this.onerror?.() : window.name === 'loading' || this.onopen?.());
        this.close = () => {};
    };";

/// What each of them shows first.
const STATES: [(&str, &str); 4] = [
    ("empty", ".empty, .funnel"),
    ("loading", ".skeleton"),
    ("error", ".failed, .funnel"),
    ("offline", ".failed, .empty"),
];
const VIEWS: [(&str, &str); 6] = [
    ("orders", "/orders"),
    ("order", "/orders/nowhere"),
    ("overview", "/overview"),
    ("dead-letters", "/dead-letters"),
    ("stock", "/stock"),
    ("audit", "/audit"),
];

/// As it is on a desk, light and dark, and on a telephone, where nothing is wider than the screen.
async fn pictures(browser: &Browser, name: &str) -> Result<()> {
    browser.size(1360, 860, 1).await?;
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await?;
        browser.picture(&format!("{name}-{scheme}")).await?;
    }
    browser.scheme("light").await?;
    browser.size(400, 860, 1).await?;
    let is_wide = browser
        .run("return document.documentElement.scrollWidth > 400")
        .await?;
    browser.picture(&format!("{name}-400")).await?;
    browser.size(1360, 860, 1).await?;
    ensure!(
        is_wide == false,
        "{name} is wider than a screen of 400 pixels"
    );
    Ok(())
}

pub async fn what_is_not_there_is_drawn_as_well(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go_as(&world.stack.token("ann")?, "/orders").await?;
    browser.before_every_page(STAND_IN).await?;
    for (state, sign) in STATES {
        browser
            .run(&format!("window.name = '{state}'; return null"))
            .await?;
        for (view, path) in VIEWS {
            // Of these there is no such state: an order is there or not, and stock is never empty.
            if state == "empty" && matches!(view, "order" | "stock") {
                continue;
            }
            browser.go(path).await?;
            browser.find(sign).await?;
            let is_waiting = "return document.querySelector('.skeleton') !== null";
            ensure!(
                browser.run(is_waiting).await? == (state == "loading"),
                "{view} looks {state}, and as if something were on its way"
            );
            pictures(browser, &format!("{state}-{view}")).await?;
        }
    }
    browser.run("window.name = ''; return null").await?;
    Ok(())
}

pub async fn every_dialog_and_a_parked_order_are_drawn(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let shipped = world.place("dialog", &[Fate::Ships]).await?;
    world.client.outcome_is(&shipped, "CONFIRMED").await?;
    poison(world, &shipped).await?;
    browser.go("/orders/there-is-no-such-order").await?;
    browser.find(".empty").await?;
    pictures(browser, "order-unknown").await?;
    browser.click("#sign-in").await?;
    pictures(browser, "dialog-sign-in").await?;
    browser
        .go_as(&world.stack.token("ann")?, &format!("/orders/{shipped}"))
        .await?;
    browser.find(".parked").await?;
    pictures(browser, "order-parked").await?;
    browser.click("#events tbody tr button").await?;
    browser.find("aside.chosen").await?;
    pictures(browser, "order-event").await?;
    browser.click("[data-action=Refund]").await?;
    browser.find("dialog[open] #confirm").await?;
    pictures(browser, "dialog-refund").await?;
    browser.go("/stock").await?;
    browser.click("tr[data-sku] button").await?;
    browser.find("dialog[open] #restock").await?;
    pictures(browser, "dialog-restock").await
}
