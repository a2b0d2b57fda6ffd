//! Pages of a listing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use sagaline_contracts::Timestamp;
use sagaline_service_kit::{Problem, page_limit};
use sagaline_store::{ListQuery, Rank, Store, Stored};
use serde_json::value::RawValue;

use super::store_is_down;

/// Documents of a page when nothing else is asked for, and at most.
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 100;
/// Documents that are looked at for one page, when they are filtered by something that there is no index for.
const EXAMINED_MAX: usize = 2_000;
const EXAMINED_AT_ONCE: usize = 200;

/// What is asked of a listing.
pub(super) struct Listing<'a> {
    pub(super) collection: &'a str,
    /// Only documents with this tag.
    pub(super) tag: Option<&'a str>,
    pub(super) limit: Option<&'a str>,
    pub(super) cursor: Option<&'a str>,
    /// Without a cursor: only documents of this moment or earlier.
    pub(super) before: Option<&'a str>,
    /// The field that documents are listed by, a timestamp.
    pub(super) listed_by: &'static str,
    /// Whether every document counts, or `keep` decides.
    pub(super) is_filtered: bool,
}

/// A page of documents, newest first.
pub(super) struct Page {
    pub(super) bodies: Vec<Bytes>,
    /// Where the next one begins, if there may be one.
    pub(super) next: Option<Rank>,
}

impl Listing<'_> {
    /// Reads the page. Of a filtered listing it may be short, or even empty, and yet have a next one.
    pub(super) async fn read(
        &self,
        store: &dyn Store,
        keep: impl Fn(&Stored) -> bool + Send,
    ) -> Result<Page, Problem> {
        let limit = page_limit(self.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let mut after = match (self.cursor, self.before) {
            (Some(cursor), _) => Some(parse_cursor(cursor)?),
            (None, before) => before.map(parse_before).transpose()?,
        };
        let mut bodies = Vec::new();
        let mut examined = 0;
        let at_once = if self.is_filtered {
            EXAMINED_AT_ONCE
        } else {
            limit + 1
        };
        loop {
            let query = ListQuery {
                tag: self.tag.map(str::to_owned),
                after: after.clone(),
                limit: at_once,
            };
            let found = store
                .list(self.collection, query)
                .await
                .map_err(store_is_down)?;
            let is_last = found.len() < at_once;
            let mut last = None;
            for document in found {
                if bodies.len() == limit || examined == EXAMINED_MAX {
                    let next = last.and_then(|last| self.position(&last)).or(after);
                    return Ok(Page { bodies, next });
                }
                examined += 1;
                if keep(&document) {
                    bodies.push(document.body.clone());
                }
                last = Some(document);
            }
            if is_last {
                return Ok(Page { bodies, next: None });
            }
            after = last.and_then(|last| self.position(&last));
        }
    }

    fn position(&self, document: &Stored) -> Option<Rank> {
        let fields: HashMap<Cow<'_, str>, &RawValue> =
            serde_json::from_slice(&document.body).ok()?;
        let at: Timestamp = serde_json::from_str(fields.get(self.listed_by)?.get()).ok()?;
        Some(Rank {
            rank: at.micros(),
            id: document.id.clone(),
        })
    }
}

/// `true` or `false`, if anything.
pub(super) fn parse_flag(name: &'static str, text: Option<&str>) -> Result<Option<bool>, Problem> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| Problem::bad_request(name, "must be true or false"))
    };
    text.map(parse).transpose()
}

fn parse_cursor(cursor: &str) -> Result<Rank, Problem> {
    let parse = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (rank, id) = text.split_once(':')?;
        Some(Rank {
            rank: rank.parse().ok()?,
            id: id.to_owned(),
        })
    };
    parse().ok_or_else(|| {
        Problem::bad_request(
            "cursor",
            "is not one of ours: take it from the Link header of a page",
        )
    })
}

/// The last position of the moment after: whatever is behind it is not later.
fn parse_before(text: &str) -> Result<Rank, Problem> {
    let at: Timestamp = text.parse().map_err(|_| {
        Problem::bad_request("before", "must be a moment, as in updatedAt of an order")
    })?;
    Ok(Rank {
        rank: at.next().micros(),
        id: String::new(),
    })
}

impl Page {
    /// The answer: an array, and a link to the next page. `query` is what the page was asked for by, without its cursor.
    pub(super) fn into_response(self, path: &str, query: &[(&str, Option<&str>)]) -> Response {
        let size: usize = self.bodies.iter().map(|body| body.len() + 1).sum();
        let mut array = Vec::with_capacity(size + 2);
        array.push(b'[');
        for (at, body) in self.bodies.iter().enumerate() {
            if at > 0 {
                array.push(b',');
            }
            array.extend_from_slice(body);
        }
        array.push(b']');
        let mut response = json_response(array);
        let link = self.next.and_then(|next| link(path, query, &next));
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

fn link(path: &str, query: &[(&str, Option<&str>)], next: &Rank) -> Option<HeaderValue> {
    let cursor = BASE64_URL_SAFE_NO_PAD.encode(format!("{}:{}", next.rank, next.id));
    let mut target = path.to_owned();
    let given = query
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)));
    for (at, (name, value)) in given.chain([("cursor", cursor.as_str())]).enumerate() {
        target.push(if at == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        percent_encode(value, &mut target);
    }
    HeaderValue::from_str(&format!("<{target}>; rel=\"next\"")).ok()
}

fn percent_encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// JSON that is there already.
pub(super) fn json_response(body: impl Into<Body>) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}
