//! The services' HTTP interfaces, as the operator's commands use them.

mod address;
mod answer;
mod error;
mod sse;
mod stream;

use std::time::Duration;

use reqwest::{Method, Url};
use serde::Serialize;

pub(crate) use address::{BaseUrl, Service};
pub(crate) use answer::Answer;
pub(crate) use error::ClientError;
pub(crate) use sse::Message;
pub(crate) use stream::EventStream;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Streams send a heartbeat every 15 s: after three that did not come the connection is dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(45);

/// One service, and on whose behalf it is called.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    service: Service,
    token: Option<Token>,
    limit: Duration,
}

/// A bearer token. Its debug output is blank.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// A token, as it was minted or given.
    pub(crate) fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
}

impl std::str::FromStr for Token {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.trim().to_owned()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Api {
    /// A client of this service.
    pub(crate) fn new(service: Service) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("sagaline/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .build()
            .map_err(ClientError::NoClient)?;
        Ok(Self {
            http,
            service,
            token: None,
            limit: REQUEST_LIMIT,
        })
    }

    /// The same on behalf of an operator.
    #[must_use]
    pub(crate) fn with_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// The same for a request that takes long.
    #[must_use]
    pub(crate) fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Which service it is.
    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// Asks for something.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, ClientError> {
        let request = self.request(Method::GET, path, query);
        self.answer(request).await
    }

    /// Wants something done.
    pub(crate) async fn post(
        &self,
        path: &[&str],
        body: &impl Serialize,
        idempotency_key: Option<&str>,
    ) -> Result<Answer, ClientError> {
        let mut request = self.request(Method::POST, path, &[]).json(body);
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        self.answer(request).await
    }

    /// Listens to a stream of events.
    pub(crate) fn stream(&self, path: &[&str], query: &[(&str, &str)]) -> EventStream {
        EventStream::new(self.clone(), self.service.base.url(path, query))
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let url = self.service.base.url(path, query);
        self.request_to(method, url).timeout(self.limit)
    }

    fn request_to(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(&token.0),
            None => request,
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Answer, ClientError> {
        let response = request.send().await.map_err(|error| self.failed(error))?;
        Answer::read(self, response).await
    }

    fn failed(&self, error: reqwest::Error) -> ClientError {
        ClientError::of(&self.service, error)
    }
}
