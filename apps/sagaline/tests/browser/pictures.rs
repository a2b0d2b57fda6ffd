//! Pictures of every view, to be looked at.

use anyhow::Result;
use reqwest::Method;
use sagaline_testkit::topics::produce;
use serde_json::json;

use crate::World;
use crate::browser::Browser;
use crate::fate::Fate;

pub async fn every_view_is_drawn_in_light_and_dark_and_on_a_narrow_screen(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    for (at, fate) in [Fate::Ships, Fate::Declined, Fate::Refused, Fate::Ships]
        .into_iter()
        .cycle()
        .take(40)
        .enumerate()
    {
        world.place(&format!("picture-{at}"), &[fate]).await?;
    }
    let retried = world
        .place("pictured", &[Fate::Declined, Fate::Ships])
        .await?;
    world.client.outcome_is(&retried, "CANCELLED").await?;
    world.client.retry(&retried, "payment").await?;
    world.client.outcome_is(&retried, "CONFIRMED").await?;
    let refused = world.place("pictured", &[Fate::Refused]).await?;
    world.client.outcome_is(&refused, "CANCELLED").await?;
    let inventory = &world.client.addresses().inventory;
    let restock = format!("{inventory}/admin/products/LIMITED-1/restock");
    let (status, answer) = world
        .client
        .send(Method::POST, &restock, Some(&json!({ "qty": 25 })))
        .await?;
    anyhow::ensure!(status.is_success(), "{status} {answer}");
    for n in 0..4 {
        let key = format!("pictured-poison-{n}");
        let value = format!("{{\"total\": \"many {n}\"}}");
        produce(
            &world.client.addresses().kafka,
            "payment.PaymentAuthorized.v1",
            Some(key.as_bytes()),
            Some(value.as_bytes()),
        )
        .await?;
    }
    browser
        .go_as(&world.stack.token("ann")?, "/dead-letters")
        .await?;
    browser.shows(".letter a", "pictured-poison-3").await?;
    let letter = browser
        .run("return document.querySelector('.letter a').getAttribute('href')")
        .await?;
    let letter = letter.as_str().unwrap_or_default().to_owned();
    let views = [
        ("orders", "/orders".to_owned(), ".row .id a"),
        (
            "order-retried",
            format!("/orders/{retried}"),
            ".attempt-name",
        ),
        (
            "order-undone",
            format!("/orders/{refused}"),
            ".arrow.undone",
        ),
        ("overview", "/overview".to_owned(), ".chart .line"),
        ("dead-letters", "/dead-letters".to_owned(), ".group"),
        ("dead-letter", letter, ".complaints"),
        ("new-order", "/new".to_owned(), "#place"),
        ("stock", "/stock".to_owned(), "tr[data-sku]"),
        ("audit", "/audit".to_owned(), "tbody tr"),
    ];
    for (name, path, sign) in &views {
        browser.size(1360, 860, 1).await?;
        browser.go(path).await?;
        browser.find(sign).await?;
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
        anyhow::ensure!(
            is_wide == false,
            "{name} is wider than a screen of 400 pixels"
        );
    }
    browser.size(3840, 2160, 1).await?;
    browser.go("/orders").await?;
    browser.find(".row .id a").await?;
    browser.picture("orders-4k").await?;
    Ok(())
}
