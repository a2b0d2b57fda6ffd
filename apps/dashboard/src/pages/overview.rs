//! How the pipeline is doing.

use dashboard_model::{Behind, axis, count, duration, path, rate};
use leptos::prelude::*;
use leptos_router::components::A;
use sagaline_views::Stats;
use wasm_bindgen::JsCast;

use crate::parts::Loading;
use crate::stats::use_stats;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 150.0;
/// The part of a chart that must be empty for it to be said why: there is room for the words.
const TOLD_FROM: f64 = 0.5;

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
            <Show when=is_known fallback=|| view! { <Loading rows=8/> }>
                <div class="tiles">
                    <Tile label="Orders" value=Signal::derive(move || of(|s| count(s.total))) to="/orders"/>
                    <Tile label="In flight" value=Signal::derive(move || of(|s| count(s.in_flight))) to="/orders?show=in-flight"/>
                    <Tile label="Stalled" value=Signal::derive(move || of(|s| count(s.stalled))) to="/orders?show=stalled"
                        warn=Signal::derive(move || stats.latest.with(|s| s.as_ref().is_some_and(|s| s.stalled > 0)))/>
                    <Tile label="Dead letters" value=Signal::derive(move || of(|s| count(s.dead_letters.waiting))) to="/dead-letters"
                        warn=Signal::derive(move || stats.latest.with(|s| s.as_ref().is_some_and(|s| s.dead_letters.waiting > 0)))/>
                    <Tile label="Placed per second" value=Signal::derive(move || of(|s| rate(s.throughput.created.ten))) to="/orders"/>
                    <Tile label="Half done within" value=Signal::derive(move || of(|s| duration(s.latency_ms.p50))) to="/orders"/>
                </div>
                <div class="charts">
                    <Chart title="Throughput" unit="orders/s" window_s figures=vec![(0, "placed", "a"), (1, "finished", "b")] said=rate/>
                    <Chart title="Time to the outcome" unit="ms" window_s figures=vec![(4, "99 %", "c"), (3, "95 %", "b"), (2, "half", "a")] said=duration/>
                    <Funnel/>
                    <Chart title="Under way" unit="orders" window_s figures=vec![(6, "in flight", "a"), (7, "dead letters", "c")] said=whole/>
                    <Chart title="Read model behind" unit="ms" window_s figures=vec![(5, "lag", "a")] said=duration/>
                    <Consumers/>
                </div>
            </Show>
        </section>
    }
}

/// A number of things; only a tick between two of them is no whole one.
fn whole(number: f64) -> String {
    if is_same(number.fract(), 0.0) {
        format!("{number:.0}")
    } else {
        rate(number)
    }
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

#[component]
fn Chart(
    title: &'static str,
    unit: &'static str,
    window_s: RwSignal<f64>,
    figures: Vec<(usize, &'static str, &'static str)>,
    said: fn(f64) -> String,
) -> impl IntoView {
    let stats = use_stats();
    let figures = StoredValue::new(figures);
    let windows = move || {
        let now_s = js_sys::Date::now() / 1_000.0;
        stats.series.with(|series| {
            figures.with_value(|figures| {
                figures
                    .iter()
                    .map(|(figure, _, _)| series.window(*figure, now_s, window_s.get()))
                    .collect::<Vec<_>>()
            })
        })
    };
    let lines = Memo::new(move |_| {
        let windows = windows();
        let axis = axis(windows.iter().flatten().map(|(_, value)| *value));
        let paths: Vec<String> = windows
            .iter()
            .map(|samples| path(samples, axis, window_s.get(), (WIDTH, HEIGHT)))
            .collect();
        (axis.max, paths)
    });
    let latest = move |at: usize| {
        stats.series.with(|series| {
            series
                .last()
                .map(|row| figures.with_value(|figures| said(row[figures[at].0])))
        })
    };
    // Seconds before now that the pointer shows.
    let pointed = RwSignal::new(None::<f64>);
    let point = move |event: web_sys::PointerEvent| {
        let plot = event
            .current_target()
            .and_then(|plot| plot.dyn_into::<web_sys::Element>().ok());
        let Some(plot) = plot else { return };
        let place = plot.get_bounding_client_rect();
        let part = (f64::from(event.client_x()) - place.left()) / place.width().max(1.0);
        pointed.set(Some(
            (1.0 - part.clamp(0.0, 1.0)) * window_s.get_untracked(),
        ));
    };
    let told = move |at: usize| match pointed.get() {
        None => latest(at),
        Some(ago_s) => {
            let now_s = js_sys::Date::now() / 1_000.0;
            let figure = figures.with_value(|figures| figures[at].0);
            stats
                .series
                .with(|series| series.at(figure, now_s - ago_s).map(said))
        }
    };
    let spoken = move || {
        let names = figures.get_value();
        let parts: Vec<String> = names
            .iter()
            .enumerate()
            .filter_map(|(at, (_, name, _))| Some(format!("{name} {}", latest(at)?)))
            .collect();
        format!("{title} over time. Now: {}", parts.join(", "))
    };
    let since = move || {
        stats.series.with(|series| {
            let first = series.first_s()?;
            let span_s = js_sys::Date::now() / 1_000.0 - first;
            (span_s < window_s.get())
                .then(|| format!("measured for {}", duration((span_s * 1_000.0).max(1_000.0))))
        })
    };
    // The part of the window in which nobody looked yet.
    let unseen = move || {
        stats.series.with(|series| {
            let seen_s = js_sys::Date::now() / 1_000.0 - series.first_s()?;
            let part = 1.0 - seen_s / window_s.get();
            (part > 0.0).then_some(part.min(1.0))
        })
    };
    view! {
        <figure class="chart">
            <figcaption>
                <h2>{title} <span class="quiet">{unit}</span></h2>
                <ul class="legend">
                    {figures.get_value().into_iter().enumerate().map(|(at, (_, name, class))| view! {
                        <li class=class><span class="swatch" aria-hidden="true"></span>{name} " " <strong class="mono">{move || told(at).unwrap_or_else(|| "–".to_owned())}</strong></li>
                    }).collect_view()}
                </ul>
            </figcaption>
            <div class="plot">
                <div class="ticks" aria-hidden="true">
                    {[1.0, 0.5, 0.0].map(|part| view! { <span>{move || said(lines.get().0 * part)}</span> }).collect_view()}
                </div>
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=spoken
                    on:pointermove=point on:pointerleave=move |_| pointed.set(None)>
                    {[0.0, 0.5, 1.0].map(|part| view! { <line class="grid" x1="0" x2=WIDTH y1=HEIGHT * (1.0 - part) y2=HEIGHT * (1.0 - part)/> }).collect_view()}
                    {figures.get_value().into_iter().enumerate().map(|(at, (_, _, class))| view! {
                        <path class=format!("line {class}") d=move || lines.with(|lines| lines.1.get(at).cloned().unwrap_or_default())/>
                    }).collect_view()}
                    {move || unseen().map(|part| view! { <rect class="unseen" x="0" y="0" width=WIDTH * part height=HEIGHT/> })}
                    {move || pointed.get().map(|ago_s| { let x = WIDTH * (1.0 - ago_s / window_s.get()); view! { <line class="pointed" x1=x x2=x y1="0" y2=HEIGHT/> } })}
                </svg>
                {move || unseen().filter(|part| *part > TOLD_FROM).map(|part| view! {
                    <p class="unseen-said quiet" style:width=format!("{:.1}%", part * 100.0)>"Not watched yet: it fills while this page is open"</p>
                })}
                <p class="times" aria-hidden="true">
                    <span>{move || format!("{} ago", duration(window_s.get() * 1_000.0))}</span>
                    <span>{since}</span>
                    <span>{move || pointed.get().map_or_else(|| "now".to_owned(), |ago_s| format!("{} ago", duration(ago_s * 1_000.0)))}</span>
                </p>
            </div>
        </figure>
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
            <figcaption><h2>"Services behind " <span class="quiet">"messages yet to read"</span></h2></figcaption>
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
            <figcaption><h2>"Outcomes " <span class="quiet">"orders"</span></h2></figcaption>
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
