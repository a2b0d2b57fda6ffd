//! What people do.

use anyhow::{Context, Result, ensure};
use sagaline_testkit::client::{order, timeline};
use sagaline_testkit::topics::produce;
use serde_json::{Value, json};

use crate::World;
use crate::browser::Browser;
use crate::fate::{Fate, order_id};

/// The row of an order in the list.
pub fn row(id: &str) -> String {
    format!(".row:has(a[href='/orders/{id}'])")
}

impl World {
    /// Places an order of one unit of `SKU-1` with these fates, by HTTP.
    pub async fn place(&self, prefix: &str, fates: &[Fate]) -> Result<String> {
        self.client
            .accepted(&order(&order_id(prefix, fates), "SKU-1", 1))
            .await
    }

    /// Signs in and opens a view.
    async fn open(&self, browser: &Browser, path: &str) -> Result<()> {
        browser.go_as(&self.stack.token("ann")?, path).await
    }
}

/// The names of an order's events as the page shows them, in order.
async fn shown_events(browser: &Browser) -> Result<Vec<String>> {
    let ids = browser.run("return [...document.querySelectorAll('#events tbody tr')].map(row => row.dataset.event)").await?;
    Ok(serde_json::from_value(ids)?)
}

async fn known_events(world: &World, id: &str) -> Result<Vec<String>> {
    let order = world
        .client
        .projection(id)
        .await?
        .context("the order is not known")?;
    let events = order["timeline"].as_array().context("no timeline")?;
    Ok(events
        .iter()
        .filter_map(|event| event["eventId"].as_str().map(str::to_owned))
        .collect())
}

pub async fn an_order_placed_elsewhere_is_seen_to_ship_without_a_reload(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go("/orders").await?;
    browser.shows("#link-state", "Live").await?;
    browser.run("window.neverReloaded = true").await?;
    let id = world.place("seen", &[Fate::Ships]).await?;
    browser.shows(&row(&id), "Confirmed").await?;
    browser.shows(&row(&id), "Shipped").await?;
    browser.click(&format!("a[href='/orders/{id}']")).await?;
    browser.shows(".node-name", "Confirmed").await?;
    ensure!(
        browser.run("return window.neverReloaded").await? == true,
        "the page was loaded again"
    );
    browser.page.back().await?;
    browser.shows("h1", "Orders").await?;
    browser.shows(&row(&id), "Confirmed").await
}

pub async fn an_order_placed_in_the_form_is_followed_to_its_end(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go("/new").await?;
    browser.fill("input[name=qty]", "0").await?;
    browser.click("#place").await?;
    browser.shows(".wrong", "How many?").await?;
    browser.fill("input[name=qty]", "3").await?;
    browser.fill("input[name=customer]", "c-42").await?;
    browser.run("window.neverReloaded = true").await?;
    browser.click("#place").await?;
    browser
        .until(
            "the order's page",
            "return /^\\/orders\\/.+/.test(location.pathname)",
        )
        .await?;
    browser.shows("#events", "Placed").await?;
    browser.until("an outcome", "return [...document.querySelectorAll('.facts .pill')].some(p => /Confirmed|Cancelled/.test(p.textContent))").await?;
    browser.shows(".facts", "c-42").await?;
    let id = browser
        .run("return decodeURIComponent(location.pathname.split('/')[2])")
        .await?;
    let id = id.as_str().context("no id")?.to_owned();
    world.client.outcome(&id).await?;
    ensure!(
        browser.run("return window.neverReloaded").await? == true,
        "the page was loaded again"
    );
    Ok(())
}

pub async fn without_a_token_there_is_nothing_to_press(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let id = world.place("readonly", &[Fate::Ships]).await?;
    world.client.outcome_is(&id, "CONFIRMED").await?;
    browser.go(&format!("/orders/{id}")).await?;
    let refund = browser.find("[data-action=Refund]").await?;
    ensure!(!refund.is_enabled().await?, "a refund is offered to nobody");
    browser.shows(".facts", "Sign in to act").await?;
    browser.go("/audit").await?;
    browser.shows(".empty", "Sign in").await?;
    browser.click("#sign-in").await?;
    browser.fill("#token", "nonsense").await?;
    browser.click("#token-submit").await?;
    browser.shows("#token-wrong", "no token").await
}

pub async fn a_declined_payment_shows_its_compensation_and_a_double_click_retries_once(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let id = world
        .place("declined", &[Fate::Declined, Fate::Ships])
        .await?;
    world.open(browser, &format!("/orders/{id}")).await?;
    browser.find(".node.failure.bad").await?;
    browser.find(".node.compensation.undone").await?;
    browser.find(".arrow.undone").await?;
    browser.click("[data-action='Retry payment']").await?;
    browser.find("dialog[open] #confirm").await?;
    browser
        .run("const b = document.querySelector('dialog[open] #confirm'); b.click(); b.click()")
        .await?;
    browser.shows(".attempt-name", "Attempt 2").await?;
    browser.shows(".facts", "Confirmed").await?;
    let order = world.client.outcome_is(&id, "CONFIRMED").await?;
    let retries = timeline(&order)
        .iter()
        .filter(|name| *name == "OrderRetried")
        .count();
    ensure!(retries == 1, "two clicks started {retries} attempts");
    Ok(())
}

pub async fn a_cancel_is_asked_for_once_and_has_one_outcome_in_the_timeline(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    world.open(browser, "/orders").await?;
    // The gateway fails at first for this one, so it is in flight for a while.
    let id = world.place("flaky-cancelled", &[Fate::Ships]).await?;
    browser.click(&format!("a[href='/orders/{id}']")).await?;
    browser.click("[data-action='Cancel order']").await?;
    browser.find("dialog[open] #confirm").await?;
    browser
        .run("const b = document.querySelector('dialog[open] #confirm'); b.click(); b.click()")
        .await?;
    browser.shows(".node-name", "Cancel asked").await?;
    let order = world.client.outcome(&id).await?;
    let said = if order["outcome"] == "CANCELLED" {
        "Cancelled"
    } else {
        "Confirmed"
    };
    browser.shows(".facts .pill", said).await?;
    let events = order["timeline"].as_array().context("no timeline")?;
    let count = |name: &str| {
        let is = |event: &&Value| event["type"].as_str().is_some_and(|of| of.contains(name));
        events.iter().filter(is).count()
    };
    let asked = events
        .iter()
        .filter(|event| {
            event["type"] == "ops.CompensationRequested.v1"
                && event["details"]["requestedBy"] == "ann"
                && event["details"]["decidedBy"].is_null()
        })
        .count();
    ensure!(asked == 1, "two clicks asked {asked} times");
    let outcomes = (count("OrderConfirmed"), count("OrderCancelled"));
    ensure!(
        matches!(outcomes, (1, 0) | (0, 1)),
        "confirmed and cancelled {outcomes:?} times"
    );
    // It came in time and nothing went out, or it came too late and was refused.
    let shipped = count("OrderShipped");
    ensure!(
        (outcomes, shipped) == ((0, 1), 0)
            || (outcomes, shipped) == ((1, 0), 1) && count("CommandRejected") == 1,
        "{order}"
    );
    let known = known_events(world, &id).await?;
    browser
        .until(
            "every event",
            &format!(
                "return document.querySelectorAll('#events tbody tr').length === {}",
                known.len()
            ),
        )
        .await?;
    ensure!(
        shown_events(browser).await? == known,
        "the page shows other events than the read model"
    );
    Ok(())
}

pub async fn a_shipped_order_is_refunded_once_and_then_nothing_is_offered(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let id = world.place("refunded", &[Fate::Ships]).await?;
    world.client.outcome_is(&id, "CONFIRMED").await?;
    world.open(browser, &format!("/orders/{id}")).await?;
    browser.click("[data-action=Refund]").await?;
    browser.shows("dialog[open]", "stays confirmed").await?;
    browser.click("dialog[open] #confirm").await?;
    browser.shows(".node-name", "Refunded").await?;
    browser
        .until(
            "nothing is offered",
            "return document.querySelector('[data-action]') === null",
        )
        .await
}

pub async fn poison_is_understood_edited_and_redriven_and_its_order_completes(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let id = order_id("poisoned", &[Fate::Ships]);
    let topic = "order.OrderCreated.v1";
    let event = json!({
        "eventId": format!("{id}-created"), "type": topic, "version": 1, "timestamp": "2026-01-31T12:00:00Z",
        "correlationId": id, "key": id, "headers": {},
        "payload": { "orderId": id, "items": [{ "sku": "SKU-1", "qty": 0, "price": 10 }], "total": 10 }
    });
    produce(
        &world.client.addresses().kafka,
        topic,
        Some(id.as_bytes()),
        Some(event.to_string().as_bytes()),
    )
    .await?;
    world.open(browser, "/dead-letters").await?;
    let link = format!("//a[contains(., '{id}')]");
    browser.shows(".letter a", &id).await?;
    browser
        .page
        .find(fantoccini::Locator::XPath(&link))
        .await?
        .click()
        .await?;
    browser.shows(".complaints", "qty").await?;
    browser.click("#edit").await?;
    let good =
        json!({ "orderId": id, "items": [{ "sku": "SKU-1", "qty": 1, "price": 10 }], "total": 10 });
    browser.fill("#payload", "{").await?;
    browser.shows("#payload-wrong", "no JSON").await?;
    browser.fill("#payload", &good.to_string()).await?;
    browser.click("#edit-redrive").await?;
    browser.click("dialog[open] #confirm").await?;
    world.client.outcome_is(&id, "CONFIRMED").await?;
    browser.go(&format!("/orders/{id}")).await?;
    browser.shows(".facts", "Confirmed").await?;
    browser.shows(".node-name", "Dead, redriven").await
}

/// The first answer about the letters is held up until it is released.
const HOLD_FIRST_LIST: &str = "
    const fetch = window.fetch, held = new Promise(release => window.release = release);
    let isFirst = true;
    window.fetch = (url, init) => {
        const answer = fetch(url, init);
        if (!isFirst || !String(url).includes('/dead-letters?')) return answer;
        isFirst = false;
        return answer.then(async got => {
            const text = await got.text();
            window.isHeld = true;
            await held;
            setTimeout(() => window.isReleased = true, 50);
            return new Response(text, { status: got.status, headers: got.headers });
        });
    };";

/// Produces a message that no payment can be, with this key.
pub async fn poison(world: &World, key: &str) -> Result<()> {
    produce(
        &world.client.addresses().kafka,
        "payment.PaymentAuthorized.v1",
        Some(key.as_bytes()),
        Some(b"{\"total\": \"few\"}"),
    )
    .await?;
    Ok(())
}

/// Opens the letter that is listed under this.
pub async fn open_letter(browser: &Browser, listed_as: &str) -> Result<()> {
    browser.shows(".letter a", listed_as).await?;
    browser
        .page
        .find(fantoccini::Locator::XPath(&format!(
            "//a[contains(., '{listed_as}')]"
        )))
        .await?
        .click()
        .await?;
    browser.find(".complaints").await?;
    Ok(())
}

async fn waiting_letters(browser: &Browser) -> Result<u64> {
    let script = "return +(document.querySelector('nav .badge')?.textContent ?? 0)";
    browser.run(script).await?.as_u64().context("no number")
}

pub async fn a_dead_letter_that_comes_while_the_list_is_asked_for_is_shown(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go("/stock").await?;
    browser.run(HOLD_FIRST_LIST).await?;
    let before = waiting_letters(browser).await?;
    browser.click("nav a[href='/dead-letters']").await?;
    browser
        .until("the first list is held", "return window.isHeld === true")
        .await?;
    poison(world, "overtaking").await?;
    browser
        .until(
            "one more waits",
            &format!("return +(document.querySelector('nav .badge')?.textContent ?? 0) > {before}"),
        )
        .await?;
    browser.run("window.release(); return null").await?;
    browser.shows(".letter a", "overtaking").await?;
    browser
        .until(
            "the first list has come",
            "return window.isReleased === true",
        )
        .await?;
    browser.shows(".letter a", "overtaking").await
}

pub async fn dead_letters_come_live_and_take_nothing_from_who_writes(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    world.open(browser, "/dead-letters").await?;
    browser.shows("h1", "Dead letters").await?;
    browser.run("window.neverReloaded = true").await?;
    poison(world, "live-first").await?;
    browser.shows(".letter a", "live-first").await?;
    let link = "//a[contains(., 'live-first')]";
    browser
        .page
        .find(fantoccini::Locator::XPath(link))
        .await?
        .click()
        .await?;
    browser.click("#edit").await?;
    browser
        .fill("#payload", "{ \"orderId\": \"live-first\", \"note\": 1 }")
        .await?;
    browser
        .run("window.written = document.querySelector('#payload'); return null")
        .await?;
    browser.click("#edit-check").await?;
    browser.shows("#payload-refused", "amount").await?;
    poison(world, "live-second").await?;
    browser.shows(".letter a", "live-second").await?;
    ensure!(
        browser
            .run("return window.written === document.querySelector('#payload') && window.written.value.includes('note') && window.neverReloaded")
            .await?
            == true,
        "the editor was drawn anew, or what was written is lost"
    );
    Ok(())
}

pub async fn many_letters_are_tried_and_then_discarded_one_after_the_other(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    world.open(browser, "/dead-letters").await?;
    for n in 0..3 {
        poison(world, &format!("bulk-{n}")).await?;
    }
    for n in 0..3 {
        let key = format!("bulk-{n}");
        browser.shows(".letter a", &key).await?;
        browser
            .run(&format!(
                "[...document.querySelectorAll('.letter')].find(e => e.textContent.includes('{key}')).querySelector('input').click()"
            ))
            .await?;
    }
    browser.click("#bulk-redrive").await?;
    browser.click("#bulk-try").await?;
    browser.shows("#bulk-said", "nothing has been sent").await?;
    browser.picture("dead-letters-bulk").await?;
    browser.shows(".letter a", "bulk-2").await?;
    browser.click("#bulk-close").await?;
    browser.click("#bulk-discard").await?;
    browser.click("#bulk-confirm").await?;
    browser
        .shows("#bulk-said", "Done: 3 of 3, 0 refused")
        .await?;
    browser.click("#bulk-close").await?;
    browser
        .until(
            "they are gone",
            "return ![...document.querySelectorAll('.letter')].some(e => e.textContent.includes('bulk-'))",
        )
        .await
}

pub async fn an_order_is_found_by_its_id_and_the_next_one_is_a_click_away(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let first = world.place("found-a", &[Fate::Ships]).await?;
    world.client.outcome_is(&first, "CONFIRMED").await?;
    let second = world.place("found-b", &[Fate::Ships]).await?;
    world.client.outcome_is(&second, "CONFIRMED").await?;
    // The printed address, and a search that keeps the focus from the first letter on.
    browser.go("/").await?;
    browser.shows(&row(&second), "Confirmed").await?;
    browser.click("#search").await?;
    browser
        .page
        .active_element()
        .await?
        .send_keys("found-")
        .await?;
    browser
        .until(
            "it stands in the address, and the search has the focus",
            "return location.search === '?q=found-' && document.activeElement.id === 'search'",
        )
        .await?;
    browser
        .click(&format!("a[href='/orders/{second}']"))
        .await?;
    browser
        .until(
            "the tab has the order's name, and the focus is there",
            &format!("return document.title.startsWith('{second}') && document.activeElement.id === 'main'"),
        )
        .await?;
    browser
        .click(&format!("a.below-it[href='/orders/{first}']"))
        .await?;
    browser.shows("h1", &first).await?;
    browser.shows(".facts", "Confirmed").await?;
    browser.page.back().await?;
    browser.shows("h1", &second).await
}

pub async fn the_list_is_complete_again_after_the_feed_was_cut_off(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    browser.go("/orders").await?;
    browser.shows("#link-state", "Live").await?;
    world.stack.kill_9("sagaline")?;
    browser.shows("#link-state", "Connection lost").await?;
    world.stack.restart("sagaline").await?;
    let id = world.place("meanwhile", &[Fate::Ships]).await?;
    browser.shows("#link-state", "Live").await?;
    browser.shows(&row(&id), "Confirmed").await?;
    browser
        .until(
            "nothing is complained about",
            "return document.querySelector('.failed') === null",
        )
        .await
}

pub async fn a_token_in_the_address_signs_in_and_is_taken_out_of_it(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let token = world.stack.token("ann")?;
    browser.go(&format!("/orders#token={token}")).await?;
    browser.shows(".who", "ann").await?;
    ensure!(
        browser.run("return location.hash").await? == "",
        "the token is still in the address"
    );
    Ok(())
}

pub async fn stock_that_is_added_is_there_and_the_audit_names_who_acted(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    world.open(browser, "/stock").await?;
    browser.fill("#search", "LIMITED-1").await?;
    let available = "return (document.querySelector('tr[data-sku=\"LIMITED-1\"]')?.cells[3].textContent.replace(/\\D/g, '') | 0)";
    browser.find("tr[data-sku='LIMITED-1']").await?;
    let before = browser
        .run(available)
        .await?
        .as_u64()
        .context("no number")?;
    browser.click("tr[data-sku='LIMITED-1'] button").await?;
    browser.fill("#units", "7").await?;
    browser.click("#restock").await?;
    browser
        .until("seven more", &format!("{available} === {}", before + 7))
        .await?;
    browser.go("/audit").await?;
    let recorded = "[...document.querySelectorAll('.entries tbody tr')].map((row) => row.textContent).filter((text) => text.includes('LIMITED-1'))";
    browser
        .until(
            "the restock is recorded",
            &format!("return {recorded}.length === 1"),
        )
        .await?;
    let row = browser.run(&format!("return {recorded}[0]")).await?;
    let row = row.as_str().context("no text")?;
    for said in ["ann", "restock", "7 units more", "Accepted"] {
        ensure!(row.contains(said), "{said:?} is not in {row:?}");
    }
    Ok(())
}

pub async fn a_lost_connection_heals_without_gap_or_double(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let id = world
        .place("healed", &[Fate::Declined, Fate::Ships])
        .await?;
    world.client.outcome_is(&id, "CANCELLED").await?;
    browser.go(&format!("/orders/{id}")).await?;
    browser.shows("#link-state", "Live").await?;
    browser.shows(".facts", "Cancelled").await?;
    browser.run("window.neverReloaded = true").await?;
    world.stack.kill_9("sagaline")?;
    browser.shows("#link-state", "Connection lost").await?;
    browser.shows(".outage", "does not answer").await?;
    world.stack.restart("sagaline").await?;
    let (status, answer) = world.client.retry(&id, "payment").await?;
    ensure!(status == 202, "{status} {answer}");
    world.client.outcome_is(&id, "CONFIRMED").await?;
    browser.shows("#link-state", "Live").await?;
    browser.shows(".facts", "Confirmed").await?;
    let known = known_events(world, &id).await?;
    browser
        .until(
            "every event",
            &format!(
                "return document.querySelectorAll('#events tbody tr').length === {}",
                known.len()
            ),
        )
        .await?;
    ensure!(
        shown_events(browser).await? == known,
        "the page shows other events than the read model"
    );
    ensure!(
        browser.run("return window.neverReloaded").await? == true,
        "the page was loaded again"
    );
    browser
        .until(
            "the outage is over",
            "return document.querySelector('.outage') === null",
        )
        .await
}
