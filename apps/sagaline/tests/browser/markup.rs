//! Data that looks like a program stays data, in every field that somebody else can write and every view that shows it.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use sagaline_testkit::client::order;
use sagaline_testkit::topics::produce;
use serde_json::{Value, json};

use crate::World;
use crate::browser::Browser;
use crate::fate::{Fate, order_id};
use crate::scenarios::open_letter;

/// An alert would stop the browser's driver, and a handler that the policy bars is complained about: both fail the test.
const EVIL: &str =
    "<img src=x onerror=\"alert(window.pwned=1)\"><script>alert(window.pwned=1)</script>";

async fn is_only_text(browser: &Browser, place: &str) -> Result<()> {
    // Two frames: what was only just shown is there by then.
    browser.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))").await?;
    let is_clean = browser
        .run("return window.pwned === undefined && !document.querySelector('img') && ![...document.scripts].some(s => s.textContent.includes('pwned'))")
        .await?;
    ensure!(
        is_clean == true,
        "{place}: data has become a part of the page"
    );
    Ok(())
}

/// The view shows the text, in this element, and nothing else comes of it.
async fn is_shown(browser: &Browser, selector: &str, place: &str) -> Result<()> {
    browser.shows(selector, EVIL).await?;
    is_only_text(browser, place).await
}

/// What anybody can send who reaches the broker.
async fn event(world: &World, topic: &str, id: &str, name: &str, payload: Value) -> Result<()> {
    let event = json!({
        "eventId": format!("{id}-{name}"), "type": topic, "version": 1, "timestamp": "2026-01-31T12:00:00Z",
        "correlationId": id, "key": id, "headers": { EVIL: EVIL }, "payload": payload,
    });
    produce(
        &world.client.addresses().kafka,
        topic,
        Some(id.as_bytes()),
        Some(event.to_string().as_bytes()),
    )
    .await?;
    Ok(())
}

/// An order that is hostile in every field that its placer has, and in what is said about it since.
async fn hostile_order(world: &World) -> Result<String> {
    let mut body: Value = order(&order_id("markup", &[Fate::Ships]), EVIL, 1);
    body["customerId"] = EVIL.into();
    body["clientRequestId"] = EVIL.into();
    let id = world.client.accepted(&body).await?;
    // Nobody stocks such a thing.
    world.client.outcome_is(&id, "CANCELLED").await?;
    event(
        world,
        "ops.CommandRejected.v1",
        &id,
        "rejected",
        json!({ "orderId": id, "command": EVIL, "reason": EVIL, "requestedBy": EVIL }),
    )
    .await?;
    event(
        world,
        "ops.CompensationRequested.v1",
        &id,
        "compensation",
        json!({ "orderId": id, "action": "refundPayment", "requestedBy": EVIL, "reason": EVIL }),
    )
    .await?;
    world
        .client
        .until(&id, "told of the compensation", |order| {
            order["timeline"].as_array().is_some_and(|events| {
                events.iter().any(|event| {
                    event["details"]["reason"] == EVIL
                        && event["type"] == "ops.CompensationRequested.v1"
                })
            })
        })
        .await?;
    Ok(id)
}

async fn order_views(browser: &Browser, id: &str) -> Result<()> {
    let query = url::form_urlencoded::byte_serialize(EVIL.as_bytes()).collect::<String>();
    browser
        .go(&format!("/orders?q={}", query.replace('+', "%20")))
        .await?;
    browser
        .until(
            "the search has it",
            &format!(
                "return document.querySelector('#search').value === {}",
                json!(EVIL)
            ),
        )
        .await?;
    is_only_text(browser, "the list's search").await?;
    browser.go("/orders").await?;
    browser.shows(".row .id", id).await?;
    is_only_text(browser, "the list").await?;
    browser.go(&format!("/orders/{id}")).await?;
    is_shown(browser, ".facts", "an order").await?;
    is_shown(browser, "#events", "an order's events").await?;
    let events = browser
        .run("return document.querySelectorAll('#events tbody tr').length")
        .await?;
    for at in 0..events.as_u64().context("no number")? {
        browser
            .run(&format!(
                "document.querySelectorAll('#events tbody tr')[{at}].querySelector('button').click()"
            ))
            .await?;
        browser.find("aside.chosen pre").await?;
        is_only_text(browser, "an event in full").await?;
    }
    browser.fill("#search", EVIL).await?;
    is_only_text(browser, "the search for an order").await
}

async fn letter_views(world: &World, browser: &Browser) -> Result<()> {
    let topic = "payment.PaymentAuthorized.v1";
    let kafka = &world.client.addresses().kafka;
    produce(kafka, topic, Some(EVIL.as_bytes()), Some(EVIL.as_bytes())).await?;
    produce(kafka, topic, Some(b"markup-raw"), Some(EVIL.as_bytes())).await?;
    event(
        world,
        topic,
        "markup-read",
        "read",
        json!({ "orderId": "markup-read", "amount": EVIL, "authId": EVIL, EVIL: EVIL }),
    )
    .await?;
    browser.go("/dead-letters").await?;
    browser.shows(".letter a", "markup-raw").await?;
    browser.shows(".letter a", "markup-read").await?;
    is_only_text(browser, "the dead letters").await?;
    // As it is in a message that is no JSON, and as JSON has it.
    let letters = [
        ("markup-raw", EVIL.to_owned()),
        ("markup-read", json!(EVIL).to_string()),
    ];
    for (listed_as, text) in letters {
        browser.go("/dead-letters").await?;
        open_letter(browser, listed_as).await?;
        browser.shows("pre.json", &text).await?;
        is_only_text(browser, listed_as).await?;
        browser.click("#edit").await?;
        let payload = json!({ "orderId": EVIL, "note": EVIL }).to_string();
        browser.fill("#payload", &payload).await?;
        is_only_text(browser, "the editor").await?;
    }
    Ok(())
}

pub async fn what_looks_like_html_stays_text_wherever_it_is_shown(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let id = hostile_order(world).await?;
    // The operator's name as well.
    let token = world.stack.token(EVIL)?;
    let operator = world.client.with_token(&token);
    let inventory = &world.client.addresses().inventory;
    let sku = url::form_urlencoded::byte_serialize(EVIL.as_bytes()).collect::<String>();
    let restock = format!(
        "{inventory}/admin/products/{}/restock",
        sku.replace('+', "%20")
    );
    let (status, answer) = operator
        .send(Method::POST, &restock, Some(&json!({ "qty": 1 })))
        .await?;
    ensure!(status.as_u16() < 500, "{status} {answer}");
    let restock = format!("{inventory}/admin/products/SKU-1/restock");
    let (status, answer) = operator
        .send(Method::POST, &restock, Some(&json!({ "qty": 1 })))
        .await?;
    ensure!(status.is_success(), "{status} {answer}");
    let (status, answer) = operator.retry(&id, "inventory").await?;
    ensure!(status.as_u16() < 500, "{status} {answer}");
    browser.go_as(&token, "/overview").await?;
    is_shown(browser, ".who", "the operator's name").await?;
    order_views(browser, &id).await?;
    letter_views(world, browser).await?;
    browser.go("/audit").await?;
    is_shown(browser, "tbody", "the audit").await?;
    browser.go("/stock").await?;
    browser.fill("#search", EVIL).await?;
    is_only_text(browser, "the stock's search").await?;
    browser.go("/new").await?;
    browser.fill("input[name=customer]", EVIL).await?;
    browser.click("#place").await?;
    browser
        .until(
            "the order's page",
            "return /^\\/orders\\/.+/.test(location.pathname)",
        )
        .await?;
    is_shown(browser, ".facts", "an order placed here").await
}
