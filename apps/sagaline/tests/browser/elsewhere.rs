//! A page of somebody else's, from another origin: it knows the contract and nothing of this dashboard.

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::response::Html;
use sagaline_testkit::client::order;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::World;
use crate::browser::Browser;
use crate::fate::{Fate, order_id};

/// Plain `EventSource` and `fetch`, without a line of ours: places an order, follows it, and asks for a retry when it is cancelled.
const PAGE: &str = "<!doctype html><title>An older dashboard</title><script>
const asked = new URLSearchParams(location.search);
const orders = asked.get('orders'), readModel = asked.get('readModel');
const told = [], fed = [], seen = { told, fed };
const opened = source => new Promise((open, fail) => {
    source.onopen = open;
    source.onerror = () => fail('the stream does not open');
});
const post = async (url, body, headers) => {
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
};
const work = async () => {
    const feed = new EventSource(readModel + '/orders/stream');
    feed.onmessage = message => fed.push(JSON.parse(message.data));
    await opened(feed);
    seen.placed = await post(orders + '/orders', JSON.parse(asked.get('body')), { 'idempotency-key': 'elsewhere-' + Date.now() });
    const id = seen.placed.body.orderId;
    const stream = new EventSource(`${readModel}/orders/${id}/stream?from=start`);
    stream.onmessage = message => told.push({ id: message.lastEventId, ...JSON.parse(message.data) });
    await opened(stream);
    while (!fed.some(state => state.orderId === id && state.outcome === 'CANCELLED')) await new Promise(done => setTimeout(done, 20));
    seen.retried = await post(`${orders}/admin/retry/${id}`, { step: 'payment' }, { authorization: 'Bearer ' + asked.get('token') });
    const page = await fetch(readModel + '/orders?limit=1');
    seen.listed = { status: page.status, count: (await page.json()).length, link: page.headers.get('link') };
};
work().catch(error => seen.failed = String(error));
</script>";

/// Where that page is.
pub struct Site {
    port: u16,
}

impl Site {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let router = Router::new().fallback(|| async { Html(PAGE) });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { port })
    }

    /// The services are told that pages from here may call them.
    pub fn welcome(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same server under a name of which they were not told.
    fn stranger(&self) -> String {
        format!("http://localhost:{}", self.port)
    }
}

fn address(world: &World, origin: &str, id: &str, token: &str) -> Result<String> {
    let addresses = world.client.addresses();
    let body = order(id, "SKU-1", 1).to_string();
    let query = [
        ("orders", addresses.order.as_str()),
        ("readModel", &addresses.read_model),
        ("body", &body),
        ("token", token),
    ];
    Ok(url::Url::parse_with_params(origin, query)?.to_string())
}

pub async fn a_page_of_another_origin_places_follows_and_retries_an_order(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    // One before it, so that the list has a second page.
    let other = world.place("before", &[Fate::Ships]).await?;
    world.client.outcome_is(&other, "CONFIRMED").await?;
    let id = order_id("elsewhere", &[Fate::Declined, Fate::Ships]);
    let token = world.stack.token("ann")?;
    let page = address(world, &world.site.welcome(), &id, &token)?;
    browser.page.goto(&page).await?;
    browser
        .until(
            "it is at an end, or failed",
            "return !!seen.failed || !!seen.listed && fed.some(state => state.outcome === 'CONFIRMED' && state.attempt === 2)",
        )
        .await?;
    let known = world.client.outcome_is(&id, "CONFIRMED").await?;
    let timeline = known["timeline"].as_array().context("no timeline")?;
    browser
        .until(
            "every event is told",
            &format!("return !!seen.failed || told.length >= {}", timeline.len()),
        )
        .await?;
    let seen = browser.run("return seen").await?;
    ensure!(seen["failed"].is_null(), "the page failed: {seen}");
    ensure!(
        seen["placed"] == json!({ "status": 201, "body": { "orderId": id } }),
        "{}",
        seen["placed"]
    );
    ensure!(
        seen["retried"]["status"] == 202 && seen["retried"]["body"]["ok"] == true,
        "{}",
        seen["retried"]
    );
    ensure!(
        seen["listed"]["count"] == 1 && seen["listed"]["link"].is_string(),
        "the next page is hidden from it: {}",
        seen["listed"]
    );
    let told = seen["told"].as_array().context("nothing told")?;
    // In the order in which they arrived, which the timeline puts by time; each once.
    let ids = |events: &[Value]| -> Vec<String> {
        let mut ids: Vec<String> = events
            .iter()
            .map(|event| format!("{} {}", event["type"], event["eventId"]))
            .collect();
        ids.sort();
        ids
    };
    ensure!(
        ids(told) == ids(timeline),
        "told {:?}, known {:?}",
        ids(told),
        ids(timeline)
    );
    for event in told {
        ensure!(
            event["id"].as_str().is_some_and(|id| !id.is_empty())
                && event["at"].is_string()
                && event["details"]["orderId"] == id.as_str()
                && event["status"].is_string(),
            "not as the contract has it: {event}"
        );
    }
    let ended = seen["fed"]
        .as_array()
        .into_iter()
        .flatten()
        .rfind(|state| state["orderId"] == id.as_str());
    ensure!(
        ended.is_some_and(
            |state| state["currentStatus"] == "SHIPPED" && state["endedAt"] == known["endedAt"]
        ),
        "the feed's last word: {ended:?}"
    );
    Ok(())
}

pub async fn a_page_that_the_services_were_not_told_of_can_do_nothing(
    world: &mut World,
    browser: &Browser,
) -> Result<()> {
    let id = order_id("stranger", &[Fate::Ships]);
    let token = world.stack.token("ann")?;
    let page = address(world, &world.site.stranger(), &id, &token)?;
    browser.page.goto(&page).await?;
    browser
        .until("it failed", "return !!seen.failed || !!seen.placed")
        .await?;
    // The form's way round a preflight, which the services do not take either.
    let sent = browser
        .run(
            "return fetch(orders + '/orders', { method: 'POST', headers: { 'content-type': 'application/json' }, body: asked.get('body') })
                .then(answer => answer.status, error => String(error))",
        )
        .await?;
    let seen = browser.run("return seen").await?;
    ensure!(
        seen["placed"].is_null()
            && seen["told"] == json!([])
            && seen["fed"] == json!([])
            && sent.is_string(),
        "a stranger's page was served: {sent} {seen}"
    );
    ensure!(
        world.client.projection(&id).await?.is_none(),
        "a stranger's page has placed an order"
    );
    let refusals = browser.has_not_complained().await;
    ensure!(
        refusals.is_err_and(|said| said.to_string().contains("CORS policy")),
        "the browser should have said why"
    );
    Ok(())
}
