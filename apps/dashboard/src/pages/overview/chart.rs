//! Lines over time.

use dashboard_model::{Figure, axis, duration, path};
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use crate::stats::use_stats;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 150.0;
/// The part of a chart that must be empty for it to be said why: there is room for the words.
const TOLD_FROM: f64 = 0.5;

#[component]
pub(super) fn Chart(
    title: &'static str,
    unit: &'static str,
    window_s: RwSignal<f64>,
    figures: Vec<(Figure, &'static str, &'static str)>,
    said: fn(f64) -> String,
    ticked: fn(f64) -> String,
) -> impl IntoView {
    let stats = use_stats();
    let figures = StoredValue::new(figures);
    let drawn = move || {
        // While nobody tells anything, time goes on.
        stats.now.track();
        let now_s = js_sys::Date::now() / 1_000.0;
        stats.series.with(|series| {
            figures.with_value(|figures| {
                figures
                    .iter()
                    .map(|(figure, _, _)| series.window(*figure as usize, now_s, window_s.get()))
                    .collect::<Vec<_>>()
            })
        })
    };
    let lines = Memo::new(move |_| {
        let samples_of = drawn();
        let axis = axis(samples_of.iter().flatten().map(|(_, value)| *value));
        let paths: Vec<String> = samples_of
            .iter()
            .map(|samples| path(samples, axis, window_s.get(), (WIDTH, HEIGHT)))
            .collect();
        (axis.max, paths)
    });
    let latest = move |at: usize| {
        let figure = figures.with_value(|figures| figures[at].0);
        stats.series.with(|series| {
            let value = series.last().map(|row| row[figure as usize]);
            value.filter(|value| !value.is_nan()).map(said)
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
                .with(|series| series.at(figure as usize, now_s - ago_s).map(said))
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
        stats.now.track();
        stats.series.with(|series| {
            let first = series.first_s()?;
            let span_s = js_sys::Date::now() / 1_000.0 - first;
            (span_s < window_s.get())
                .then(|| format!("measured for {}", duration((span_s * 1_000.0).max(1_000.0))))
        })
    };
    // The part of the window in which nothing was measured yet: the pipeline has not been up for so long.
    let unseen = move || {
        stats.now.track();
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
                    {[1.0, 0.5, 0.0].map(|part| view! { <span>{move || ticked(lines.get().0 * part)}</span> }).collect_view()}
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
                    <p class="unseen-said quiet" style:width=format!("{:.1}%", part * 100.0)>"Nothing was measured yet"</p>
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
