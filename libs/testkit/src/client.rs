//! The pipeline as its users see it: over HTTP.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stack::{Addresses, Stack};

/// How long an order may take to its outcome in a test.
pub const OUTCOME_LIMIT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(25);
/// More than any test lists.
const LISTED_MAX: usize = 100_000;

/// A user of the pipeline, and an operator when it has a token.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    addresses: Addresses,
    token: Option<String>,
}

/// An answer: its status and its JSON, or null.
pub type Answer = (StatusCode, Value);

impl Client {
    /// An operator called `ann`.
    pub fn operator(stack: &Stack) -> Result<Self> {
        Ok(Self {
            token: Some(stack.token("ann")?),
            ..Self::anonymous(stack)
        })
    }

    /// Somebody without a token.
    pub fn anonymous(stack: &Stack) -> Self {
        Self {
            http: reqwest::Client::new(),
            addresses: stack.addresses().clone(),
            token: None,
        }
    }

    /// The same user with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// Where the parts are.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The HTTP client, for what has no method here.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Any request; the token goes along when there is one.
    pub async fn send(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Answer> {
        self.send_with(method, url, body, &[]).await
    }

    /// Any request with headers.
    pub async fn send_with(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let mut request = self
            .http
            .request(method, url)
            .timeout(Duration::from_secs(30));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("no answer from {url}"))?;
        let status = response.status();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Everything that the read model lists at this path, page by page.
    pub async fn listed(&self, path: &str) -> Result<Vec<Value>> {
        self.listed_by(&self.addresses.read_model, path).await
    }

    /// Everything that the service at this address lists at this path, page by page.
    pub async fn listed_by(&self, service: &str, path: &str) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let url = format!("{service}{path}");
            let mut request = self.http.get(&url).timeout(Duration::from_secs(30));
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await?.error_for_status()?;
            let link = response.headers().get("link");
            next = link.and_then(|link| next_page(link.to_str().ok()?));
            let page: Vec<Value> = serde_json::from_str(&response.text().await?)?;
            rows.extend(page);
            anyhow::ensure!(rows.len() <= LISTED_MAX, "{url} does not come to an end");
        }
        Ok(rows)
    }

    async fn get(&self, url: String) -> Result<Answer> {
        self.send(Method::GET, &url, None).await
    }

    /// Places an order; gives the answer as it is.
    pub async fn place(&self, order: &Value) -> Result<Answer> {
        self.send(
            Method::POST,
            &format!("{}/orders", self.addresses.order),
            Some(order),
        )
        .await
    }

    /// Places an order that must be accepted.
    pub async fn accepted(&self, order: &Value) -> Result<String> {
        let (status, body) = self.place(order).await?;
        anyhow::ensure!(status == StatusCode::CREATED, "{status}: {body}");
        Ok(body["orderId"].as_str().context("no orderId")?.to_owned())
    }

    /// The order as the read model has it.
    pub async fn projection(&self, id: &str) -> Result<Option<Value>> {
        let (status, body) = self
            .get(format!("{}/orders/{id}", self.addresses.read_model))
            .await?;
        Ok((status == StatusCode::OK).then_some(body))
    }

    /// The order as the order service has it.
    pub async fn order(&self, id: &str) -> Result<Answer> {
        self.get(format!("{}/orders/{id}", self.addresses.order))
            .await
    }

    /// The order's payment.
    pub async fn payment(&self, id: &str) -> Result<Answer> {
        self.get(format!("{}/payments/{id}", self.addresses.payment))
            .await
    }

    /// The order's shipment.
    pub async fn shipment(&self, id: &str) -> Result<Answer> {
        self.get(format!("{}/shipments/{id}", self.addresses.shipping))
            .await
    }

    /// The stock of every SKU.
    pub async fn products(&self) -> Result<Vec<Value>> {
        let (status, body) = self
            .get(format!("{}/products", self.addresses.inventory))
            .await?;
        anyhow::ensure!(status == StatusCode::OK, "{status}: {body}");
        Ok(body.as_array().context("products are an array")?.clone())
    }

    /// Asks for the order's next attempt.
    pub async fn retry(&self, id: &str, step: &str) -> Result<Answer> {
        let url = format!("{}/admin/retry/{id}", self.addresses.order);
        self.send(Method::POST, &url, Some(&json!({ "step": step })))
            .await
    }

    /// Asks for something to be undone.
    pub async fn compensate(&self, id: &str, action: &str) -> Result<Answer> {
        let url = format!("{}/admin/compensate/{id}", self.addresses.order);
        self.send(Method::POST, &url, Some(&json!({ "action": action })))
            .await
    }

    /// The dead letters, newest first.
    pub async fn dead_letters(&self) -> Result<Vec<Value>> {
        let (status, body) = self
            .get(format!(
                "{}/dead-letters?limit=100",
                self.addresses.read_model
            ))
            .await?;
        anyhow::ensure!(status == StatusCode::OK, "{status}: {body}");
        Ok(body
            .as_array()
            .context("dead letters are an array")?
            .clone())
    }

    /// Waits until the order's projection is as `wanted` says.
    pub async fn until(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.until_within(id, what, OUTCOME_LIMIT, wanted).await
    }

    /// The same with another limit.
    pub async fn until_within(
        &self,
        id: &str,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let polled = async {
            loop {
                // A service that is down for a while is part of some tests.
                if let Ok(Some(projection)) = self.projection(id).await {
                    if wanted(&projection) {
                        return projection;
                    }
                    last = projection;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match tokio::time::timeout(limit, polled).await {
            Ok(projection) => Ok(projection),
            Err(_) => bail!(
                "order {id} is not {what} after {limit:?}: {}",
                summary(&last)
            ),
        }
    }

    /// Waits for the order's outcome, `CONFIRMED` or `CANCELLED`.
    pub async fn outcome(&self, id: &str) -> Result<Value> {
        self.until(id, "finished", |order| {
            order["outcome"] == "CONFIRMED" || order["outcome"] == "CANCELLED"
        })
        .await
    }

    /// Waits for this outcome.
    pub async fn outcome_is(&self, id: &str, outcome: &str) -> Result<Value> {
        self.until(id, outcome, |order| order["outcome"] == outcome)
            .await
    }
}

/// The path of the next page in `</audit?cursor=…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (path, _) = link.strip_prefix('<')?.split_once(">; rel=\"next\"")?;
    Some(path.to_owned())
}

/// The names of a projection's events, in the timeline's order.
pub fn timeline(projection: &Value) -> Vec<String> {
    let entries = projection["timeline"].as_array();
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(short(entry["type"].as_str()?).to_owned()))
        .collect()
}

/// `OrderCreated` of `order.OrderCreated.v1`.
fn short(name: &str) -> &str {
    name.split('.').nth(1).unwrap_or(name)
}

fn summary(projection: &Value) -> String {
    format!(
        "{} {} {:?}",
        projection["currentStatus"],
        projection["outcome"],
        timeline(projection)
    )
}

/// An order of one line at the catalogue's price.
pub fn order(id: &str, sku: &str, qty: u32) -> Value {
    json!({ "orderId": id, "items": [{ "sku": sku, "qty": qty, "price": 10 }], "total": 10 * qty })
}
