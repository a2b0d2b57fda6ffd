//! The scenarios.

mod kills;

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
    short kills::each_service_is_killed on Grounds::Real("kills"),
    short kills::the_broker_is_killed on Grounds::Real("kills"),
    short kills::the_store_is_killed on Grounds::Real("kills"),
    short kills::everything_is_killed_at_once on Grounds::Real("kills"),
    short kills::the_payment_service_is_stopped_for_a_while on Grounds::Real("kills"),
}
