//! The dashboard in a real browser, before a real pipeline.
//!
//! Each scenario has a browser of its own; they share a pipeline and run one after the other. Pictures of every view go to
//! `target/screenshots`.
#![allow(
    clippy::panic,
    clippy::disallowed_methods,
    clippy::type_complexity,
    clippy::maybe_infinite_iter,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, looks at the clock, and its modules are nobody else's"
)]
mod away;
mod browser;
mod elsewhere;
mod expiry;
#[path = "../e2e/fate.rs"]
mod fate;
mod keyboard;
mod markup;
mod overview;
mod paint;
mod pictures;
mod scenarios;
mod smoothness;
mod states;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use sagaline_testkit::client::Client;
use sagaline_testkit::stack::{Backend, Stack};

use browser::{Browser, Driver};
use elsewhere::Site;

/// Fates of payments and shipments follow from order ids at these rates; see [`fate`].
pub const RATE: &str = "0.3";
/// How long one scenario may take, with everything that it waits for, on a slow machine.
const SCENARIO_LIMIT: Duration = Duration::from_mins(8);

const FLAGS: [(&str, &str); 5] = [
    ("--payment-decline-rate", RATE),
    ("--carrier-failure-rate", RATE),
    ("--gateway-flaky-prefix", "flaky-"),
    ("--gateway-flaky-times", "2"),
    ("--saga-timeout", "30s"),
];

/// What scenarios work on.
pub struct World {
    pub stack: Stack,
    pub client: Client,
    pub driver: Driver,
    pub site: elsewhere::Site,
}

type Run = for<'w> fn(&'w mut World, &'w Browser) -> Pin<Box<dyn Future<Output = Result<()>> + 'w>>;

macro_rules! trials {
    ($($module:ident::$name:ident,)*) => {
        const SCENARIOS: &[(&str, Run)] = &[$((stringify!($name), |world, browser| Box::pin($module::$name(world, browser))),)*];
    };
}

trials! {
    scenarios::an_order_placed_elsewhere_is_seen_to_ship_without_a_reload,
    scenarios::an_order_placed_in_the_form_is_followed_to_its_end,
    scenarios::without_a_token_there_is_nothing_to_press,
    scenarios::a_declined_payment_shows_its_compensation_and_a_double_click_retries_once,
    scenarios::a_cancel_is_asked_for_once_and_has_one_outcome_in_the_timeline,
    scenarios::a_shipped_order_is_refunded_once_and_then_nothing_is_offered,
    keyboard::signing_in_and_retrying_need_no_mouse,
    scenarios::poison_is_understood_edited_and_redriven_and_its_order_completes,
    scenarios::a_dead_letter_that_comes_while_the_list_is_asked_for_is_shown,
    scenarios::dead_letters_come_live_and_take_nothing_from_who_writes,
    scenarios::many_letters_are_tried_and_then_discarded_one_after_the_other,
    scenarios::an_order_is_found_by_its_id_and_the_next_one_is_a_click_away,
    scenarios::a_token_in_the_address_signs_in_and_is_taken_out_of_it,
    markup::what_looks_like_html_stays_text_wherever_it_is_shown,
    expiry::a_token_that_ends_leaves_a_page_to_read_and_loses_nothing,
    expiry::what_is_asked_with_a_token_that_ended_is_refused_and_nothing_lost,
    elsewhere::a_page_of_another_origin_places_follows_and_retries_an_order,
    elsewhere::a_page_that_the_services_were_not_told_of_can_do_nothing,
    overview::the_overview_tells_how_far_each_service_is_behind,
    overview::an_overview_that_is_opened_after_orders_flowed_shows_them,
    overview::what_happened_while_nobody_answered_is_in_the_charts_afterwards,
    paint::the_first_rows_are_there_within_a_second,
    scenarios::stock_that_is_added_is_there_and_the_audit_names_who_acted,
    scenarios::a_lost_connection_heals_without_gap_or_double,
    scenarios::the_list_is_complete_again_after_the_feed_was_cut_off,
    away::an_order_that_ended_during_a_long_absence_is_not_shown_as_in_flight,
    pictures::every_view_is_drawn_in_light_and_dark_and_on_a_narrow_screen,
    states::what_is_not_there_is_drawn_as_well,
    states::every_dialog_and_a_parked_order_are_drawn,
    smoothness::ten_thousand_orders_scroll_while_more_flow_in,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share a pipeline.
    arguments.test_threads = Some(1);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    else {
        return ExitCode::FAILURE;
    };
    let runtime = Arc::new(runtime);
    let world: Arc<Mutex<Option<World>>> = Arc::default();
    let trials = SCENARIOS.iter().map(|(name, run)| {
        let (runtime, world) = (Arc::clone(&runtime), Arc::clone(&world));
        Trial::test(*name, move || {
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            let ran = runtime.block_on(async {
                if world.is_none() {
                    *world = Some(start().await?);
                }
                let world = world.as_mut().context("no pipeline")?;
                scenario(world, name, *run).await
            });
            ran.map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // Its processes end with it, and they are many.
    drop(world.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit_code()
}

async fn start() -> Result<World> {
    // A durable one, so that it can be killed and come back.
    let site = Site::start().await?;
    let welcome = site.welcome();
    let flags = [FLAGS.as_slice(), &[("--cors-origin", welcome.as_str())]].concat();
    let stack = Stack::start(Backend::Durable, &binaries(), &flags).await?;
    let client = Client::operator(&stack)?;
    let driver = Driver::start().await?;
    Ok(World {
        stack,
        client,
        driver,
        site,
    })
}

async fn scenario(world: &mut World, name: &str, run: Run) -> Result<()> {
    let browser = Browser::open(&world.driver, &world.stack.addresses().dashboard).await?;
    let ran = match tokio::time::timeout(SCENARIO_LIMIT, run(world, &browser)).await {
        Ok(ran) => ran,
        Err(_) => Err(anyhow::anyhow!("it took longer than {SCENARIO_LIMIT:?}")),
    };
    let ran = match ran {
        Ok(()) => browser.has_not_complained().await,
        Err(error) => {
            let what = browser.what_is_shown().await;
            Err(error.context(format!("the page showed:\n{what}")))
        }
    };
    if ran.is_err() {
        // What it looked like then; a picture that fails too says nothing new.
        let _ = browser.picture(&format!("failed-{name}")).await;
    }
    browser.close().await;
    ran
}

fn binaries() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_sagaline"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}
