//! Placing an order.

use dashboard_model::{Draft, DraftLine, Wrong};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use sagaline_views::Product;
use serde::Deserialize;

use crate::api::{self, INVENTORY, ORDER, Sender};
use crate::browser;
use crate::parts::{Failed, Loading};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placed {
    order_id: String,
}

#[component]
pub(crate) fn NewOrder() -> impl IntoView {
    let catalogue = RwSignal::new(None::<Vec<Product>>);
    let failure = RwSignal::new(None::<String>);
    let load = move || {
        spawn_local(async move {
            match api::get::<Vec<Product>>(&format!("{INVENTORY}/products")).await {
                Ok(products) => {
                    failure.try_set(None);
                    catalogue.try_set(Some(products));
                }
                Err(failed) => {
                    failure.try_set(Some(failed.what));
                }
            }
        });
    };
    load();
    view! {
        <section class="form">
            <header class="title"><h1>"New order"</h1></header>
            {move || match (catalogue.get(), failure.get()) {
                (Some(products), _) => view! { <Form products/> }.into_any(),
                (None, Some(what)) => view! { <Failed what again=load/> }.into_any(),
                (None, None) => view! { <Loading rows=4/> }.into_any(),
            }}
        </section>
    }
}

#[component]
fn Form(products: Vec<Product>) -> impl IntoView {
    let navigate = use_navigate();
    let first = products
        .first()
        .map(|product| product.sku.clone())
        .unwrap_or_default();
    let products = StoredValue::new(products);
    let draft = RwSignal::new(Draft {
        customer: String::new(),
        lines: vec![DraftLine {
            sku: first.clone(),
            qty: "1".to_owned(),
        }],
    });
    let wrong = RwSignal::new(Vec::<Wrong>::new());
    let refused = RwSignal::new(None::<String>);
    let is_sending = RwSignal::new(false);
    // One key for one order: sent again after a lost answer, it is the same order.
    let key = RwSignal::new(browser::random_key());
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if is_sending.get_untracked() {
            return;
        }
        let order =
            products.with_value(|products| draft.with_untracked(|draft| draft.order(products)));
        let order = match order {
            Ok(order) => order,
            Err(told) => return wrong.set(told),
        };
        wrong.set(Vec::new());
        is_sending.set(true);
        let navigate = navigate.clone();
        spawn_local(async move {
            let key = key.get_untracked();
            let sender = Sender {
                token: None,
                key: Some(&key),
            };
            let answer = api::post::<Placed>(&format!("{ORDER}/orders"), &order, sender).await;
            is_sending.try_set(false);
            match answer {
                Ok(placed) => navigate(
                    &format!("/orders/{}", placed.order_id),
                    leptos_router::NavigateOptions::default(),
                ),
                Err(failure) => {
                    refused.try_set(Some(failure.what));
                }
            }
        });
    };
    // What is filled in has changed, so it is another order.
    let edit = move |change: &dyn Fn(&mut Draft)| {
        draft.update(|draft| change(draft));
        key.set(browser::random_key());
        refused.set(None);
    };
    let complaint = move |line: Option<usize>| {
        wrong.with(|wrong| {
            wrong
                .iter()
                .find(|wrong| wrong.line == line)
                .map(|wrong| wrong.what.clone())
        })
    };
    let count = Memo::new(move |_| draft.with(|draft| draft.lines.len()));
    view! {
        <form on:submit=submit class="card" novalidate>
            <div class="order-lines">
                {move || (0..count.get()).map(|at| {
                    let line = move || draft.with(|draft| draft.lines.get(at).cloned().unwrap_or_default());
                    let product = move || products.with_value(|products| products.iter().find(|product| product.sku == line().sku).cloned());
                    let options = products.with_value(|products| products.iter().map(|product| {
                        let (sku, chosen) = (product.sku.clone(), product.sku.clone());
                        let text = if product.name == product.sku { product.sku.clone() } else { format!("{} – {}", product.sku, product.name) };
                        view! { <option value=sku selected=move || line().sku == chosen>{text}</option> }
                    }).collect_view());
                    view! {
                        <fieldset class="order-line">
                            <legend class="quiet">{format!("Line {}", at + 1)}</legend>
                            <label class="grow"><span>"Product"</span>
                                <select name="sku" on:change=move |event| { let sku = event_target_value(&event); edit(&|draft: &mut Draft| if let Some(line) = draft.lines.get_mut(at) { line.sku.clone_from(&sku); }); }>{options}</select>
                            </label>
                            <label><span>"Quantity"</span>
                                <input name="qty" inputmode="numeric" size="5" prop:value=move || line().qty aria-invalid=move || complaint(Some(at)).is_some().to_string()
                                    on:input=move |event| { let qty = event_target_value(&event); edit(&|draft: &mut Draft| if let Some(line) = draft.lines.get_mut(at) { line.qty.clone_from(&qty); }); }/>
                            </label>
                            <p class="line-note mono">{move || product().map(|product| format!("{} each · {} in stock", product.price, dashboard_model::count(product.available)))}</p>
                            <button type="button" class="button small" aria-label=format!("Remove line {}", at + 1) disabled=move || count.get() < 2
                                on:click=move |_| edit(&|draft: &mut Draft| { draft.lines.remove(at); })>"✕"</button>
                            <p class="wrong" role="alert">{move || complaint(Some(at))}</p>
                        </fieldset>
                    }
                }).collect_view()}
            </div>
            <button type="button" class="button" on:click={let first = first.clone(); move |_| { let first = first.clone(); edit(&|draft: &mut Draft| draft.lines.push(DraftLine { sku: first.clone(), qty: "1".to_owned() })); }}>"Add a line"</button>
            <label class="grow"><span>"Customer (optional)"</span>
                <input name="customer" autocomplete="off" maxlength="128" prop:value=move || draft.with(|draft| draft.customer.clone())
                    on:input=move |event| { let customer = event_target_value(&event); edit(&|draft: &mut Draft| draft.customer.clone_from(&customer)); }/>
            </label>
            <p class="wrong" role="alert">{move || refused.get().or_else(|| complaint(None))}</p>
            <div class="buttons">
                <span class="sum">"Total " <strong class="mono">{move || products.with_value(|products| draft.with(|draft| draft.total(products))).to_string()}</strong> " EUR"</span>
                <button type="submit" class="button primary" id="place">{move || if is_sending.get() { "Placing…" } else { "Place order" }}</button>
            </div>
        </form>
    }
}
