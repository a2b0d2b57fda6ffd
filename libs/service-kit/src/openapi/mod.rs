//! A service's HTTP surface, described where it is routed: `OpenAPI` 3.1 at `GET /openapi.json`.
//!
//! A route is added together with what it takes and answers, so the description cannot forget one, and bodies are
//! described by the types that read and write them.
//!
//! ```
//! use sagaline_service_kit::openapi::{Api, Operation};
//!
//! #[derive(schemars::JsonSchema, serde::Serialize)]
//! struct Order {
//!     total: u32,
//! }
//!
//! async fn show() -> &'static str {
//!     "{\"total\":7}"
//! }
//!
//! let operation = Operation::new("showOrder", "An order's document")
//!     .path::<String>("id", "The order")
//!     .answers::<Order>(200, "The order")
//!     .refuses(404, "There is no order of this id");
//! let router = Api::new("order-service", "Takes orders").get("/orders/{id}", show, operation).with_state(());
//! # let _: axum::Router = router;
//! ```

mod document;
mod operation;
mod standard;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::handler::Handler;
use axum::http::{HeaderValue, header};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;

use document::Document;
pub use operation::Operation;

/// Where a service describes itself.
pub const OPENAPI_PATH: &str = "/openapi.json";

/// The methods of the routes here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Get,
    Post,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }
}

/// Routes, each with its description.
#[derive(Debug)]
pub struct Api<S> {
    router: Router<S>,
    document: Document,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// The interface of a service, without routes yet.
    pub fn new(service: &'static str, about: &'static str) -> Self {
        Self {
            router: Router::new(),
            document: Document::new(service, about),
        }
    }

    /// A route that reads.
    #[must_use]
    pub fn get<H, T>(self, path: &'static str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.route(Verb::Get, path, get(handler), operation)
    }

    /// A route that does something.
    #[must_use]
    pub fn post<H, T>(self, path: &'static str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.route(Verb::Post, path, post(handler), operation)
    }

    fn route(
        mut self,
        verb: Verb,
        path: &'static str,
        handler: MethodRouter<S>,
        operation: Operation,
    ) -> Self {
        self.document.add(verb, path, operation);
        self.router = self.router.route(path, handler);
        self
    }

    /// The routes, and the description among them.
    pub fn with_state(self, state: S) -> Router {
        let document = self.document;
        // When it is asked for: a process starts, and starts again, without anybody reading it.
        let document = Arc::new(LazyLock::new(move || {
            Bytes::from(document.render().to_string())
        }));
        let json = HeaderValue::from_static("application/json");
        let describe = move || async move {
            let document = Bytes::clone(&document);
            ([(header::CONTENT_TYPE, json)], document)
        };
        self.router
            .with_state(state)
            .route(OPENAPI_PATH, get(describe))
    }
}
