//! A page that was away for so long that nobody can tell it all that has happened.

use anyhow::{Result, ensure};
use sagaline_testkit::client::order;
use serde_json::json;

use crate::World;
use crate::browser::Browser;
use crate::fate::{Fate, order_id};
use crate::scenarios::row;

/// More than a page of the list.
const MORE_THAN_A_PAGE: usize = 120;

/// Event streams that are cut as soon as they have told of an order that is in flight, and that forget where they were.
const STREAMS: &str = "
    const Source = window.EventSource, open = new Set();
    let isCut = false;
    window.EventSource = function (url) {
        if (isCut) {
            setTimeout(() => this.onerror?.());
            this.close = () => {};
            return;
        }
        const source = new Source(String(url).replace(/&lastEventId=[^&]*/, ''));
        source.addEventListener('message', message => {
            const states = JSON.parse(message.data || '[]');
            if (states.some(state => state.orderId === window.cutAtOrder && state.outcome === 'PENDING')) setTimeout(cut);
        });
        open.add(source);
        return source;
    };
    const cut = () => {
        isCut = true;
        for (const source of open) { source.close(); source.onerror?.(); }
        open.clear();
    };
    window.heal = () => { isCut = false; };";

pub async fn an_order_that_ended_during_a_long_absence_is_not_shown_as_in_flight(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.before_every_page(STREAMS).await?;
    browser.go("/orders?show=in-flight").await?;
    browser.shows("#link-state", "Live").await?;
    // The gateway fails at first for this one, so it is in flight for a while.
    let id = order_id("flaky-away", &[Fate::Ships]);
    browser
        .run(&format!("window.cutAtOrder = {}; return null", json!(id)))
        .await?;
    world.client.accepted(&order(&id, "SKU-1", 1)).await?;
    browser.find(&row(&id)).await?;
    browser.shows("#link-state", "Connection lost").await?;
    let mut last = String::new();
    for n in 0..MORE_THAN_A_PAGE {
        last = world.place(&format!("away-{n}"), &[Fate::Ships]).await?;
    }
    world.client.outcome_is(&last, "CONFIRMED").await?;
    world.client.outcome_is(&id, "CONFIRMED").await?;
    let is_shown = format!(
        "return document.querySelector({}) !== null",
        json!(row(&id))
    );
    ensure!(
        browser.run(&is_shown).await? == true,
        "the page was not cut off"
    );
    browser.run("window.heal(); return null").await?;
    browser.shows("#link-state", "Live").await?;
    browser
        .until(
            "an order that has ended is not in flight",
            &is_shown.replace("!==", "==="),
        )
        .await
}
