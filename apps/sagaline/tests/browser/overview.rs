//! The figures.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::World;
use crate::browser::Browser;

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
