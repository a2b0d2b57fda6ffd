//! A token that ends while somebody is at work.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::Method;

use crate::World;
use crate::browser::Browser;
use crate::scenarios::{open_letter, poison};

/// Long enough to sign in on a slow machine, short enough to be waited for.
const SHORT: &str = "20s";
/// How long the services may take to refuse a token that has ended.
const REFUSED_WITHIN: Duration = Duration::from_mins(1);
const ASK_EVERY: Duration = Duration::from_millis(200);
const WRITTEN: &str = "{ \"orderId\": \"expires-first\", \"note\": 1 }";

async fn draft_is_kept(browser: &Browser) -> Result<()> {
    browser
        .until(
            "what was written is kept",
            "return document.querySelector('#payload')?.value.includes('note')",
        )
        .await
}

/// Nobody can press anything, and the token is forgotten.
async fn is_read_only(browser: &Browser, why: &str) -> Result<()> {
    browser.shows("#session-ended", why).await?;
    browser.find("#sign-in").await?;
    browser
        .until(
            "nothing can be pressed, and the token is forgotten",
            "return ['#redrive', '#discard', '#edit-redrive', '#edit-check'].every(id => document.querySelector(id).disabled)
                && sessionStorage.length === 0",
        )
        .await
}

pub async fn a_token_that_ends_leaves_a_page_to_read_and_loses_nothing(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    poison(world, "expires-first").await?;
    browser
        .go_as(&world.stack.token_for("ann", SHORT)?, "/dead-letters")
        .await?;
    open_letter(browser, "expires-first").await?;
    browser.click("#edit").await?;
    browser.fill("#payload", WRITTEN).await?;
    browser.click("#discard").await?;
    browser.find("dialog[open] #confirm").await?;
    // By the page's own clock: the dialog that is open then sends nothing any more.
    browser
        .shows(
            "dialog[open]",
            "You are signed out, and nothing more is sent",
        )
        .await?;
    ensure!(
        !browser
            .find("dialog[open] #confirm")
            .await?
            .is_enabled()
            .await?,
        "a dialog still sends"
    );
    browser.picture("signed-out-dialog").await?;
    browser
        .run("document.querySelector('dialog[open]').close()")
        .await?;
    is_read_only(browser, "Your token has ended").await?;
    draft_is_kept(browser).await?;
    browser.picture("signed-out").await?;
    // Reading goes on.
    poison(world, "expires-second").await?;
    browser.shows(".letter a", "expires-second").await?;
    draft_is_kept(browser).await
}

pub async fn what_is_asked_with_a_token_that_ended_is_refused_and_nothing_lost(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    poison(world, "refused-late").await?;
    let token = world.stack.token_for("ann", SHORT)?;
    browser.go_as(&token, "/dead-letters").await?;
    // A page whose clock stands still takes the token for good.
    browser
        .run("const at = Date.now(); Date.now = () => at; return null")
        .await?;
    open_letter(browser, "refused-late").await?;
    browser.click("#edit").await?;
    browser.fill("#payload", WRITTEN).await?;
    browser.click("#discard").await?;
    browser.find("dialog[open] #confirm").await?;
    let client = world.client.with_token(&token);
    let audit = format!("{}/admin/audit?limit=1", client.addresses().read_model);
    let began = Instant::now();
    while client.send(Method::GET, &audit, None).await?.0 != 401 {
        ensure!(
            began.elapsed() < REFUSED_WITHIN,
            "the token of {SHORT} is still taken"
        );
        tokio::time::sleep(ASK_EVERY).await;
    }
    browser.click("dialog[open] #confirm").await?;
    browser.shows("dialog[open] #refused", "expired").await?;
    browser
        .run("document.querySelector('dialog[open]').close()")
        .await?;
    is_read_only(browser, "no longer take your token").await?;
    draft_is_kept(browser).await?;
    let letters = world.client.dead_letters().await?;
    ensure!(
        letters
            .iter()
            .any(|letter| letter["state"] == "waiting" && letter["orderId"] == "refused-late"),
        "the letter was decided without a token"
    );
    Ok(())
}
