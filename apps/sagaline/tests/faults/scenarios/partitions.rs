//! More partitions while orders flow: from then on, an order's events are in other partitions than before.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::time::Instant;

use crate::drill::{Fault, drill};
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(20);
const MORE: usize = 12;
const ORDERED_MEANWHILE: usize = 300;

pub async fn the_partition_count_is_raised(world: &mut World) -> Result<()> {
    let kafka = world.kafka().to_owned();
    let what = "partition count of all topics raised from 4 to 12";
    drill(world, what, async |_, load| {
        let began = Instant::now();
        raise(&kafka).await?;
        // Producers and consumers find out at different times.
        load.so_many_more(ORDERED_MEANWHILE, LIMIT).await?;
        Ok(Fault::since(began))
    })
    .await
}

async fn raise(brokers: &str) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let asked = config.clone();
    let names = tokio::task::spawn_blocking(move || -> Result<Vec<String>> {
        let client: BaseConsumer = asked.create()?;
        let metadata = client.fetch_metadata(None, LIMIT)?;
        let topics = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned());
        Ok(topics.filter(|name| !name.starts_with("__")).collect())
    })
    .await??;
    ensure!(!names.is_empty(), "there are no topics");
    let raised: Vec<NewPartitions<'_>> = names
        .iter()
        .map(|name| NewPartitions::new(name, MORE))
        .collect();
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    for result in admin.create_partitions(&raised, &options).await? {
        result
            .map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))
            .context("the partition count was not raised")?;
    }
    Ok(())
}
