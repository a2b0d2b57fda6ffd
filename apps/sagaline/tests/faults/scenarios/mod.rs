//! The scenarios.

mod clusters;
mod durable;
mod freezes;
mod histories;
mod kills;
mod lines;
mod partitions;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;

use crate::world::{Grounds, World};

type Run = for<'w> fn(&'w mut World) -> Pin<Box<dyn Future<Output = Result<()>> + 'w>>;

/// One scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// A sentence.
    pub name: &'static str,
    /// What it runs on.
    pub grounds: Grounds,
    /// Whether it is tried in every run of the tests.
    pub in_short_form: bool,
    /// What happens.
    pub run: Run,
}

macro_rules! scenarios {
    ($($form:ident $module:ident::$name:ident on $grounds:expr,)*) => {
        /// Every scenario, in the order in which they run.
        pub fn all() -> Vec<Scenario> {
            vec![$(Scenario {
                name: stringify!($name),
                grounds: $grounds,
                in_short_form: stringify!($form) == "short",
                run: |world| Box::pin($module::$name(world)),
            },)*]
        }
    };
}

// `short`: in both forms; `long`: in the long form alone.
scenarios! {
    short kills::the_services_are_killed_one_after_the_other on Grounds::Real("kills"),
    long kills::each_service_is_killed on Grounds::Real("kills"),
    short kills::the_broker_is_killed on Grounds::Real("kills"),
    long kills::the_store_is_killed on Grounds::Real("kills"),
    short kills::everything_is_killed_at_once on Grounds::Real("kills"),
    long kills::the_payment_service_is_stopped_for_a_while on Grounds::Real("kills"),
    short lines::two_lines_fail_at_the_same_time on Grounds::Real("kills"),
    short freezes::a_zombie_of_the_payment_service_saves_late on Grounds::Real("kills"),
    short histories::concurrent_creation_is_linearizable_while_the_service_is_killed on Grounds::Real("kills"),
    short histories::limited_stock_is_linearizable_while_the_service_is_killed on Grounds::Real("kills"),
    long histories::concurrent_creation_is_linearizable on Grounds::Real("histories"),
    long histories::concurrent_creation_is_linearizable_while_the_store_is_killed on Grounds::Real("histories"),
    long histories::limited_stock_is_linearizable on Grounds::Real("histories"),
    long freezes::a_zombie_of_every_other_service_saves_late on Grounds::Real("zombies"),
    long freezes::each_service_is_frozen_beyond_its_session on Grounds::Real("zombies"),
    long lines::every_line_to_kafka_is_cut on Grounds::Real("lines to Kafka"),
    long lines::every_line_to_kafka_is_stalled on Grounds::Real("lines to Kafka"),
    long lines::every_line_to_the_store_is_cut on Grounds::Real("lines to the store"),
    long lines::every_line_to_the_store_is_stalled on Grounds::Real("lines to the store"),
    long clusters::each_broker_of_three_is_killed on Grounds::Cluster,
    long clusters::two_brokers_of_three_are_killed on Grounds::Cluster,
    long clusters::each_broker_of_three_is_frozen on Grounds::Cluster,
    long partitions::the_partition_count_is_raised on Grounds::Real("partitions"),
    long durable::the_all_in_one_is_killed on Grounds::Durable,
    short durable::the_log_of_the_all_in_one_is_torn on Grounds::Durable,
    long durable::the_log_of_the_all_in_one_ends_in_zeros on Grounds::Durable,
    short durable::the_disk_is_full on Grounds::SmallDisk,
    long durable::the_disk_is_full_again on Grounds::SmallDisk,
    long durable::the_power_fails on Grounds::FlushedDisk,
}
