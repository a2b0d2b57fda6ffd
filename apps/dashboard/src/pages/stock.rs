//! What is in stock, and putting more there.

use dashboard_model::count;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sagaline_views::Product;
use serde_json::json;

use crate::api::{self, INVENTORY, Reader, Sender};
use crate::browser;
use crate::parts::{Dialog, Failed, Loading, SignedOut};
use crate::session::use_session;
use crate::stats::use_stats;

#[component]
pub(crate) fn Stock() -> impl IntoView {
    let products = RwSignal::new(None::<Vec<Product>>);
    let failure = RwSignal::new(None::<String>);
    let text = RwSignal::new(String::new());
    let restocked = RwSignal::new(None::<Product>);
    let reader = Reader::new();
    let load = move || {
        reader.ask(move || async move {
            match api::get::<Vec<Product>>(&format!("{INVENTORY}/products")).await {
                Ok(loaded) => {
                    failure.try_set(None);
                    products.try_set(Some(loaded));
                }
                Err(failed) => {
                    failure.try_set(Some(failed.what));
                }
            }
        });
    };
    // Stock moves when orders do.
    let stats = use_stats();
    let moved = Memo::new(move |_| {
        stats.latest.with(|stats| {
            stats
                .as_ref()
                .map(|stats| (stats.total, stats.by_status.clone()))
        })
    });
    Effect::new(move |_| {
        // Read, not only tracked: a memo that nobody reads never looks.
        moved.with(|_| ());
        load();
    });
    let shown = move || {
        let text = text.get().trim().to_lowercase();
        products.with(|products| {
            products
                .iter()
                .flatten()
                .filter(|product| {
                    product.sku.to_lowercase().contains(&text)
                        || product.name.to_lowercase().contains(&text)
                })
                .cloned()
                .collect::<Vec<_>>()
        })
    };
    view! {
        <section class="stock">
            <header class="title">
                <h1>"Stock"</h1>
                <input type="search" id="search" placeholder="Find a product" aria-label="Find a product" prop:value=text on:input=move |event| text.set(event_target_value(&event))/>
            </header>
            {move || failure.get().map(|what| view! { <Failed what again=load/> })}
            <Show when=move || products.with(Option::is_none) && failure.with(Option::is_none)><Loading rows=10/></Show>
            <Show when=move || products.with(Option::is_some)>
                <div class="table-frame">
                <table>
                    <thead><tr>
                        <th scope="col">"SKU"</th><th scope="col">"Product"</th><th scope="col" class="number">"Price"</th>
                        <th scope="col" class="number">"Available"</th><th scope="col" class="number">"Reserved"</th><th scope="col" class="number">"Shipped"</th><th scope="col"><span class="quiet">"Restock"</span></th>
                    </tr></thead>
                    <tbody>
                        <For each=shown key=|product| product.sku.clone() let:product>
                            <ProductRow product products restocked/>
                        </For>
                    </tbody>
                </table>
                </div>
            </Show>
            <Restock restocked then=Callback::new(move |()| load())/>
        </section>
    }
}

/// A row stays what it is while its numbers change, so nobody clicks beside it.
#[component]
fn ProductRow(
    product: Product,
    products: RwSignal<Option<Vec<Product>>>,
    restocked: RwSignal<Option<Product>>,
) -> impl IntoView {
    let session = use_session();
    let (sku, name) = (product.sku.clone(), product.name.clone());
    let now = {
        let sku = sku.clone();
        Memo::new(move |_| {
            let latest = products.with(|products| {
                let mut products = products.iter().flatten();
                products.find(|product| product.sku == sku).cloned()
            });
            latest.unwrap_or_else(|| product.clone())
        })
    };
    let low = move || {
        now.with(|now| {
            let whole = (now.available + now.reserved + now.shipped).max(1);
            match now.available {
                0 => Some("none left"),
                available if available * 20 < whole => Some("low"),
                _ => None,
            }
        })
    };
    let of = move |part: fn(&Product) -> u64| now.with(|now| count(part(now)));
    view! {
        <tr data-sku=sku.clone()>
            <td class="mono">{sku.clone()}</td>
            <td class="name">{name}</td>
            <td class="mono number price" data-label="Price">{move || now.with(|now| now.price.to_string())}</td>
            <td class=move || if low().is_some() { "mono number low" } else { "mono number" } data-label="Available">
                {move || of(|product| product.available)}
                {move || low().map(|said| view! { <span class="note">{said}</span> })}
            </td>
            <td class="mono number" data-label="Reserved">{move || of(|product| product.reserved)}</td>
            <td class="mono number" data-label="Shipped">{move || of(|product| product.shipped)}</td>
            <td><button class="button small" disabled=move || !session.is_signed_in() title=move || if session.is_signed_in() { "" } else { "Sign in first" }
                on:click=move |_| restocked.set(Some(now.get_untracked()))>"Restock…"</button></td>
        </tr>
    }
}

#[component]
fn Restock(restocked: RwSignal<Option<Product>>, then: Callback<()>) -> impl IntoView {
    let session = use_session();
    let is_open = RwSignal::new(false);
    let qty = RwSignal::new("10".to_owned());
    let wrong = RwSignal::new(None::<String>);
    let key = RwSignal::new(String::new());
    Effect::new(move |_| {
        if restocked.with(Option::is_some) {
            key.set(browser::random_key());
            wrong.set(None);
            is_open.set(true);
        }
    });
    Effect::new(move |_| {
        if !is_open.get() && restocked.with_untracked(Option::is_some) {
            restocked.set(None);
        }
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(product) = restocked.get_untracked() else {
            return;
        };
        let Some(units) = qty
            .get_untracked()
            .trim()
            .parse::<u32>()
            .ok()
            .filter(|units| *units > 0)
        else {
            return wrong.set(Some(
                "How many units? A whole number of 1 or more.".to_owned(),
            ));
        };
        let sent = key.get_untracked();
        spawn_local(async move {
            let (token, key) = (session.token(), sent);
            let sender = Sender {
                token: token.as_deref(),
                key: Some(&key),
            };
            let url = format!(
                "{INVENTORY}/admin/products/{}/restock",
                js_sys::encode_uri_component(&product.sku)
            );
            match api::post::<serde_json::Value>(&url, &json!({ "qty": units }), sender).await {
                Ok(_) => {
                    is_open.try_set(false);
                    // The view may have been left meanwhile.
                    then.try_run(());
                }
                Err(failure) => {
                    session.hear(&failure);
                    wrong.try_set(Some(failure.what));
                }
            }
        });
    };
    let title = Signal::derive(move || {
        restocked.with(|product| {
            format!(
                "Restock {}",
                product.as_ref().map_or("", |product| product.sku.as_str())
            )
        })
    });
    view! {
        <Dialog is_open title>
            <form on:submit=submit>
                <label for="units">"Units to add"</label>
                <input id="units" inputmode="numeric" prop:value=qty on:input=move |event| { qty.set(event_target_value(&event)); key.set(browser::random_key()); }/>
                <p class="wrong" role="alert">{wrong}</p>
                <SignedOut/>
                <p class="hint">"They are available at once. Orders that were cancelled for lack of stock can be retried then."</p>
                <div class="buttons">
                    <button type="button" class="button" on:click=move |_| is_open.set(false)>"Cancel"</button>
                    <button type="submit" class="button primary" id="restock" disabled=move || !session.is_signed_in()>"Add"</button>
                </div>
            </form>
        </Dialog>
    }
}
