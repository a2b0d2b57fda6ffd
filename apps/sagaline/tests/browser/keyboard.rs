//! Everything without a mouse.

use anyhow::{Result, ensure};
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};

use crate::World;
use crate::browser::Browser;
use crate::fate::Fate;
use crate::scenarios::row;

const ENTER: &str = "\u{E007}";
const TAB: &str = "\u{E004}";
/// No way through the page is longer.
const TABS_MAX: usize = 80;

/// Presses keys as a person does: they go to whatever has the focus at that moment, and be it an element that is just going away.
async fn press(browser: &Browser, keys: &str) -> Result<()> {
    let strokes = keys
        .chars()
        .flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }]);
    let keyboard = KeyActions::new("keyboard".to_owned());
    let typed = strokes.fold(keyboard, KeyActions::then);
    browser.page.perform_actions(typed).await?;
    Ok(())
}

/// Presses Tab until this has the focus, and says it can be seen that it has.
async fn tab_to(browser: &Browser, selector: &str) -> Result<()> {
    browser.find(selector).await?;
    let is_there = format!(
        "return document.activeElement.matches({})",
        serde_json::Value::from(selector)
    );
    for _ in 0..TABS_MAX {
        if browser.run(&is_there).await? == true {
            let outline = browser
                .run("return getComputedStyle(document.activeElement).outlineStyle")
                .await?;
            ensure!(
                outline != "none",
                "nobody sees that {selector:?} has the focus"
            );
            return Ok(());
        }
        press(browser, TAB).await?;
    }
    anyhow::bail!("Tab does not come to {selector:?}")
}

pub async fn signing_in_and_retrying_need_no_mouse(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let id = world
        .place("keyboard", &[Fate::Declined, Fate::Ships])
        .await?;
    world.client.outcome_is(&id, "CANCELLED").await?;
    browser.go("/orders").await?;
    browser.shows(&row(&id), "Cancelled").await?;
    tab_to(browser, "#sign-in").await?;
    press(browser, ENTER).await?;
    tab_to(browser, "dialog[open] #token").await?;
    press(browser, &world.stack.token("ann")?).await?;
    tab_to(browser, "dialog[open] #token-submit").await?;
    press(browser, ENTER).await?;
    browser.shows(".who", "ann").await?;
    browser
        .until(
            "the dialog is gone",
            "return document.querySelector('dialog[open]') === null",
        )
        .await?;
    press(browser, "/").await?;
    browser
        .until(
            "the search has the focus",
            "return document.activeElement.id === 'search'",
        )
        .await?;
    press(browser, &id).await?;
    browser
        .until(
            "one row",
            "return document.querySelectorAll('#order-rows .row').length === 1",
        )
        .await?;
    // Out of the search to the first row, into the order.
    press(browser, ENTER).await?;
    browser
        .until(
            "the row has the focus",
            "return document.activeElement.matches('#order-rows .row .id a')",
        )
        .await?;
    press(browser, ENTER).await?;
    tab_to(browser, "[data-action='Retry payment']").await?;
    press(browser, ENTER).await?;
    tab_to(browser, "dialog[open] #confirm").await?;
    press(browser, ENTER).await?;
    browser.shows(".attempt-name", "Attempt 2").await?;
    browser.shows(".facts", "Confirmed").await
}
