//! How the pipeline is doing.

mod chart;

use dashboard_model::{Behind, Figure, count, duration, rate, span_tick, tick};
use leptos::prelude::*;
use leptos_router::components::A;
use sagaline_views::Stats;

use crate::parts::Loading;
use crate::stats::use_stats;

use chart::Chart;

#[component]
pub(crate) fn Overview() -> impl IntoView {
    let stats = use_stats();
    let window_s = RwSignal::new(300.0);
    let is_known = move || stats.latest.with(Option::is_some);
    let of = move |part: fn(&Stats) -> String| {
        stats
            .latest
            .with(|stats| stats.as_ref().map(part).unwrap_or_default())
    };
    view! {
        <section class="overview">
            <header class="title">
                <h1>"Overview"</h1>
                <div class="segments" role="group" aria-label="Time window">
                    {[(60.0, "1 min"), (300.0, "5 min"), (900.0, "15 min"), (3600.0, "1 h")].map(|(seconds, said)| view! {
                        <button class=move || if is_same(window_s.get(), seconds) { "segment here" } else { "segment" }
                            aria-pressed=move || is_same(window_s.get(), seconds).to_string() on:click=move |_| window_s.set(seconds)>{said}</button>
                    }).collect_view()}
                </div>
            </header>
            <Show when=is_known fallback=|| view! { <Unheard/> }>
                <div class="tiles">
                    <Tile label="Orders" value=Signal::derive(move || of(|s| count(s.total))) to="/orders"/>
                    <Tile label="In flight" value=Signal::derive(move || of(|s| count(s.in_flight))) to="/orders?show=in-flight"/>
                    <Tile label="Stalled" value=Signal::derive(move || of(|s| count(s.stalled))) to="/orders?show=stalled"
                        warn=Signal::derive(move || stats.latest.with(|s| s.as_ref().is_some_and(|s| s.stalled > 0)))/>
                    <Tile label="Dead letters" value=Signal::derive(move || of(|s| count(s.dead_letters.waiting))) to="/dead-letters"
                        warn=Signal::derive(move || stats.latest.with(|s| s.as_ref().is_some_and(|s| s.dead_letters.waiting > 0)))/>
                    <Tile label="Placed per second" value=Signal::derive(move || of(|s| rate(s.throughput.created.ten))) to="/orders"/>
                    <Tile label="Half done within" value=Signal::derive(move || of(half_within)) to="/orders"/>
                </div>
                <div class="charts">
                    <Chart title="Throughput" unit="orders/s" window_s figures=vec![(Figure::Placed, "placed", "a"), (Figure::Finished, "finished", "b")] said=rate ticked=tick/>
                    <Chart title="Time to the outcome" unit="ms" window_s figures=vec![(Figure::P99, "99 %", "c"), (Figure::P95, "95 %", "b"), (Figure::P50, "half", "a")] said=duration ticked=span_tick/>
                    <Funnel/>
                    <Chart title="Under way" unit="orders" window_s figures=vec![(Figure::InFlight, "in flight", "a"), (Figure::Stalled, "stalled", "b"), (Figure::DeadLetters, "dead letters", "c")] said=whole ticked=tick/>
                    <Chart title="Read model behind" unit="ms" window_s figures=vec![(Figure::Lag, "lag", "a")] said=duration ticked=span_tick/>
                    <Consumers/>
                </div>
            </Show>
        </section>
    }
}

/// Nothing has been heard of the pipeline since the page was opened.
#[component]
fn Unheard() -> impl IntoView {
    let stats = use_stats();
    let is_silent = Memo::new(move |_| stats.failure.with(Option::is_some));
    view! {
        <Show when=move || is_silent.get() fallback=|| view! { <Loading rows=8/> }>
            <div class="empty" id="unheard">
                <h2>"No figures yet"</h2>
                <p>"Nothing has been heard of the pipeline since this page was opened. It is asked every second, and the figures come by themselves."</p>
                <dl>
                    <dt>"Everything runs on one machine"</dt>
                    <dd>"Start it again there: " <code>"sagaline up"</code></dd>
                    <dt>"The services run by themselves"</dt>
                    <dd>"See that the read model answers at " <code>"/healthz"</code> ", and that this page's server has its address: " <code>"sagaline dashboard --read-model URL"</code></dd>
                </dl>
                <p><button class="button" on:click=move |_| stats.sample()>"Ask now"</button></p>
            </div>
        </Show>
    }
}

fn half_within(stats: &Stats) -> String {
    match stats.latency_ms.count {
        0 => "–".to_owned(),
        _ => duration(stats.latency_ms.p50),
    }
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() < f64::EPSILON
}

#[component]
fn Tile(
    label: &'static str,
    value: Signal<String>,
    to: &'static str,
    #[prop(optional, into)] warn: Signal<bool>,
) -> impl IntoView {
    view! {
        <A href=to attr:class=move || if warn.get() { "tile warn" } else { "tile" }>
            <span class="tile-label">{label}</span>
            <span class="tile-value">{move || value.get()}</span>
        </A>
    }
}

/// How far each service is behind.
#[component]
fn Consumers() -> impl IntoView {
    let stats = use_stats();
    let lines = Memo::new(move |_| {
        stats.latest.with(|stats| {
            let lag = stats
                .as_ref()
                .map(|stats| stats.lag.as_slice())
                .unwrap_or_default();
            let most = lag
                .iter()
                .filter_map(|lag| lag.messages)
                .max()
                .unwrap_or(0)
                .max(1);
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let share = |messages: u64| messages as f64 / most as f64 * 100.0;
            lag.iter()
                .map(|lag| (Behind::of(lag), lag.messages.map_or(0.0, share)))
                .collect::<Vec<_>>()
        })
    });
    let is_told = move || !lines.with(Vec::is_empty);
    view! {
        <figure class="chart" id="consumers">
            <figcaption><h2>"Services behind" <span class="quiet">"messages yet to read"</span></h2></figcaption>
            <Show when=is_told fallback=|| view! { <p class="quiet">"This read model does not tell how far the others are behind."</p> }>
                <table class="consumers">
                    <thead><tr><th>"Service"</th><th><span class="off-screen">"Compared with the others"</span></th><th class="number">"Messages"</th><th>"Where"</th></tr></thead>
                    <tbody>
                        {move || lines.get().into_iter().map(|(line, share)| view! {
                            <tr>
                                <th scope="row">{line.service}</th>
                                <td aria-hidden="true"><span class="bar"><span class="fill waiting" style:width=format!("{share:.1}%")></span></span></td>
                                <td class=if line.is_behind { "mono number low" } else { "mono number" }>{line.messages}</td>
                                <td class="quiet">{line.note}</td>
                            </tr>
                        }).collect_view()}
                    </tbody>
                </table>
            </Show>
        </figure>
    }
}

/// Where orders end.
#[component]
fn Funnel() -> impl IntoView {
    let stats = use_stats();
    let steps: [(&str, &str, &[&str]); 7] = [
        ("Placed", "plain", &[]),
        ("Confirmed", "good", &["CONFIRMED"]),
        ("Cancelled", "bad", &["CANCELLED"]),
        ("– out of stock", "bad", &["INVENTORY_FAILED"]),
        ("– payment failed", "bad", &["PAYMENT_FAILED"]),
        ("– not shipped", "undone", &["SHIPPING_FAILED"]),
        // By what an order stands at: one that was confirmed and refunded later is among them.
        ("Paid back", "undone", &["REFUNDED"]),
    ];
    view! {
        <figure class="chart">
            <figcaption><h2>"Outcomes" <span class="quiet">"orders"</span></h2></figcaption>
            <ul class="funnel">
                {steps.into_iter().map(|(label, tone, names)| {
                    let value = move || stats.latest.with(|stats| stats.as_ref().map_or(0, |stats| {
                        if names.is_empty() { return stats.total; }
                        names.iter().map(|name| stats.by_outcome.get(*name).or(stats.by_status.get(*name)).copied().unwrap_or(0)).sum()
                    }));
                    let total = move || stats.latest.with(|stats| stats.as_ref().map_or(1, |stats| stats.total.max(1)));
                    #[expect(clippy::cast_precision_loss, reason = "a share")]
                    let share = move || value() as f64 / total() as f64 * 100.0;
                    view! {
                        <li>
                            <span>{label}</span>
                            <span class="bar" aria-hidden="true"><span class=format!("fill {tone}") style:width=move || format!("{:.2}%", share())></span></span>
                            <span class="mono number">{move || count(value())}</span>
                            <span class="mono number quiet">{move || format!("{:.1} %", share())}</span>
                        </li>
                    }
                }).collect_view()}
            </ul>
        </figure>
    }
}
