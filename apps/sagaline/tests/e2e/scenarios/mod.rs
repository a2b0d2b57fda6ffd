//! The scenarios.

mod access;
mod any_poison;
mod crashes;
mod creation;
mod failures;
pub mod lag;
mod operator;
mod paths;
mod poison;
mod stock;
mod streams;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;
use sagaline_testkit::stack::Backend;

use crate::world::World;

type Run = for<'w> fn(&'w mut World) -> Pin<Box<dyn Future<Output = Result<()>> + 'w>>;

/// One scenario.
pub struct Scenario {
    /// A sentence.
    pub name: &'static str,
    /// Where it makes sense.
    pub runs_on: fn(Backend) -> bool,
    /// What happens.
    pub run: Run,
}

macro_rules! scenarios {
    ($($module:ident::$name:ident on $backends:expr,)*) => {
        /// Every scenario, in the order in which they run.
        pub fn all() -> Vec<Scenario> {
            vec![$(Scenario {
                name: stringify!($name),
                runs_on: $backends,
                run: |world| Box::pin($module::$name(world)),
            },)*]
        }
    };
}

const EVERYWHERE: fn(Backend) -> bool = |_| true;
const IN_MEMORY_AND_REAL: fn(Backend) -> bool = |backend| backend != Backend::Durable;
const WHERE_INSTANCES_SHARE: fn(Backend) -> bool = |backend| backend == Backend::Real;
const WHERE_DATA_SURVIVES: fn(Backend) -> bool = |backend| backend != Backend::Embedded;

scenarios! {
    paths::an_order_is_placed_and_shipped on EVERYWHERE,
    paths::an_order_of_several_lines_is_one_reservation_per_sku on IN_MEMORY_AND_REAL,
    stock::two_hundred_orders_of_the_last_five_confirm_exactly_five on IN_MEMORY_AND_REAL,
    failures::a_declined_payment_gives_the_stock_back_and_a_retry_succeeds on EVERYWHERE,
    failures::a_refusing_carrier_gives_stock_and_money_back_and_a_retry_succeeds on EVERYWHERE,
    failures::an_order_beyond_the_stock_is_cancelled_and_confirmed_after_a_restock on IN_MEMORY_AND_REAL,
    failures::an_unknown_sku_is_named on IN_MEMORY_AND_REAL,
    failures::a_flaky_gateway_delays_only_its_own_order on IN_MEMORY_AND_REAL,
    lag::a_service_whose_gateway_is_down_falls_behind_alone_and_catches_up on IN_MEMORY_AND_REAL,
    operator::a_cancel_before_shipping_undoes_everything on IN_MEMORY_AND_REAL,
    operator::after_shipping_a_release_is_refused_and_a_refund_is_one_effect on IN_MEMORY_AND_REAL,
    operator::two_clicks_on_retry_start_one_attempt on IN_MEMORY_AND_REAL,
    creation::the_same_request_again_is_the_same_order on IN_MEMORY_AND_REAL,
    creation::bad_orders_are_refused_by_name on IN_MEMORY_AND_REAL,
    creation::checkout_waits_for_the_outcome on IN_MEMORY_AND_REAL,
    access::admin_endpoints_want_a_good_token on IN_MEMORY_AND_REAL,
    streams::a_stream_that_is_cut_resumes_without_gap_or_double on IN_MEMORY_AND_REAL,
    streams::the_feed_shows_every_order_to_its_outcome on IN_MEMORY_AND_REAL,
    streams::readers_at_two_instances_hear_everything_live_whichever_projects_it on WHERE_INSTANCES_SHARE,
    poison::every_kind_of_poison_is_a_dead_letter_with_a_reason on IN_MEMORY_AND_REAL,
    poison::poison_parks_its_order_at_that_service_until_it_is_discarded on IN_MEMORY_AND_REAL,
    poison::an_edited_redrive_completes_the_order on IN_MEMORY_AND_REAL,
    any_poison::any_poison_on_any_topic_is_redriven_edited_or_discarded on IN_MEMORY_AND_REAL,
    any_poison::a_megabyte_of_poison_holds_nobody_up on IN_MEMORY_AND_REAL,
    poison::old_events_replayed_change_nothing on IN_MEMORY_AND_REAL,
    crashes::each_process_is_restarted_in_mid_flight on WHERE_DATA_SURVIVES,
    crashes::each_process_is_killed_in_mid_flight on WHERE_DATA_SURVIVES,
}
