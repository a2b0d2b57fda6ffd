//! The operations dashboard. It runs in the browser; what can be tested without one is in `dashboard-model`.

mod api;
mod browser;
mod live;
mod pages;
mod parts;
mod places;
mod session;
mod shell;
mod stats;

use leptos::prelude::*;

fn main() {
    console_error_panic_hook::set_once();
    browser::remove_loading_shell();
    let _ = browser::go_home();
    leptos::mount::mount_to_body(|| view! { <shell::App/> });
}
