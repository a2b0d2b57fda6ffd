//! Requests to the services, through the page's own server.

use dashboard_model::Flight;
use leptos::prelude::{GetValue, StoredValue, UpdateValue};
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, RequestInit, Response};

use sagaline_views::Problem;

/// How long an answer may take.
const LIMIT_MS: u32 = 15_000;

/// The order service.
pub(crate) const ORDER: &str = "/api/order";
/// The inventory service.
pub(crate) const INVENTORY: &str = "/api/inventory";
/// The read model.
pub(crate) const READ_MODEL: &str = "/api/read-model";

/// A request that was not answered as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// HTTP's; 0 when there was no answer.
    pub(crate) status: u16,
    /// For a person.
    pub(crate) what: String,
}

/// An answer, and where the next page is.
pub(crate) struct Page<T> {
    pub(crate) items: T,
    pub(crate) next: Option<String>,
}

/// What a command carries along.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sender<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
}

/// Requests for the same thing, of which the latest counts: an earlier one may be answered later, with what was so before.
#[derive(Clone, Copy)]
pub(crate) struct Turns(StoredValue<u64>);

/// One of them.
pub(crate) struct Turn(Turns, u64);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(StoredValue::new(0))
    }

    /// Begins a request; the answers of all before count no more. None once the view is gone.
    pub(crate) fn take(self) -> Option<Turn> {
        let turn = self.0.try_update_value(|turn| {
            *turn += 1;
            *turn
        });
        turn.map(|turn| Turn(self, turn))
    }
}

impl Turn {
    /// Whether its answer is still asked for: nobody asked again, and nobody left.
    pub(crate) fn counts(&self) -> bool {
        self.0.0.try_get_value() == Some(self.1)
    }
}

/// Something that is read again and again, by one request at a time.
#[derive(Clone, Copy)]
pub(crate) struct Reader(StoredValue<Flight>);

impl Reader {
    pub(crate) fn new() -> Self {
        Self(StoredValue::new(Flight::default()))
    }

    /// Reads, now or as soon as the request that is on its way has been answered; never once the view is gone.
    pub(crate) fn ask<F: Future<Output = ()>>(self, read: impl Fn() -> F + 'static) {
        if self.0.try_update_value(Flight::ask) != Some(true) {
            return;
        }
        spawn_local(async move {
            loop {
                read().await;
                if self.0.try_update_value(Flight::land) != Some(true) {
                    return;
                }
            }
        });
    }
}

pub(crate) async fn get<T: DeserializeOwned>(url: &str) -> Result<T, Failure> {
    get_as(url, Sender::default()).await.map(|page| page.items)
}

pub(crate) async fn get_as<T: DeserializeOwned>(
    url: &str,
    sender: Sender<'_>,
) -> Result<Page<T>, Failure> {
    let (text, link) = send("GET", url, None, sender).await?;
    let next = link.as_deref().and_then(next_page);
    Ok(Page {
        items: read(&text)?,
        next,
    })
}

pub(crate) async fn post<T: DeserializeOwned>(
    url: &str,
    body: &Value,
    sender: Sender<'_>,
) -> Result<T, Failure> {
    let (text, _) = send("POST", url, Some(body.to_string()), sender).await?;
    read(&text)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure {
        status: 200,
        what: format!("the answer is not what this page expects ({error}): reload it, it may be of another version"),
    })
}

/// `</orders?cursor=…>; rel="next"`
fn next_page(link: &str) -> Option<String> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("rel=\"next\"").then(|| target.to_owned())
}

async fn send(
    method: &str,
    url: &str,
    body: Option<String>,
    sender: Sender<'_>,
) -> Result<(String, Option<String>), Failure> {
    let silent = |_: JsValue| Failure {
        status: 0,
        what: "There is no answer: is sagaline still running?".to_owned(),
    };
    let init = RequestInit::new();
    init.set_method(method);
    let headers = Headers::new().map_err(silent)?;
    headers.set("accept", "application/json").map_err(silent)?;
    if let Some(token) = sender.token {
        headers
            .set("authorization", &format!("Bearer {token}"))
            .map_err(silent)?;
    }
    if let Some(key) = sender.key {
        headers.set("idempotency-key", key).map_err(silent)?;
    }
    if let Some(body) = body {
        headers
            .set("content-type", "application/json")
            .map_err(silent)?;
        init.set_body(&JsValue::from_str(&body));
    }
    init.set_headers(&headers);
    init.set_signal(Some(&web_sys::AbortSignal::timeout_with_u32(LIMIT_MS)));
    let answer = JsFuture::from(leptos::prelude::window().fetch_with_str_and_init(url, &init))
        .await
        .map_err(silent)?;
    let answer: Response = answer.dyn_into().map_err(silent)?;
    let link = answer.headers().get("link").ok().flatten();
    let text = JsFuture::from(answer.text().map_err(silent)?)
        .await
        .map_err(silent)?;
    let text = text.as_string().unwrap_or_default();
    if answer.ok() {
        return Ok((text, link));
    }
    let problem: Problem = serde_json::from_str(&text).unwrap_or_default();
    let what = match (problem.detail.is_empty(), answer.status()) {
        (false, _) => problem.detail,
        (true, status) => format!("the service answered {status}"),
    };
    Err(Failure {
        status: answer.status(),
        what,
    })
}
