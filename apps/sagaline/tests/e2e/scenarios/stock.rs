//! No oversell, whatever the concurrency.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use sagaline_testkit::client::order;

use crate::fate::{Fate, order_id};
use crate::world::World;

pub async fn two_hundred_orders_of_the_last_five_confirm_exactly_five(
    world: &mut World,
) -> Result<()> {
    let orders: Vec<_> = (0..200)
        .map(|_| order(&order_id("limited", &[Fate::Ships]), "LIMITED-1", 1))
        .collect();
    let placed = try_join_all(orders.iter().map(|order| world.client.accepted(order))).await?;
    world.known.accepted.extend(placed.iter().cloned());
    let outcomes = try_join_all(placed.iter().map(|id| world.client.outcome(id))).await?;
    let confirmed = outcomes
        .iter()
        .filter(|order| order["outcome"] == "CONFIRMED")
        .count();
    ensure!(confirmed == 5, "{confirmed} of 200 orders were confirmed");
    let products = world.client.products().await?;
    let limited = products
        .iter()
        .find(|product| product["sku"] == "LIMITED-1")
        .context("no LIMITED-1")?;
    ensure!(
        limited["available"] == 0 && limited["shipped"] == 5,
        "{limited}"
    );
    Ok(())
}
