//! What a service answers.

use reqwest::header::{HeaderMap, LINK, RETRY_AFTER};
use reqwest::{Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{FieldError, Refusal};
use super::{Api, ClientError};

/// The beginning of an answer that is no problem of ours, for the error.
const QUOTED_CHARS_MAX: usize = 300;

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its body as it came.
    pub(crate) body: String,
    /// Where its next page begins.
    pub(crate) next_cursor: Option<String>,
    service: &'static str,
}

/// What is read of `application/problem+json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    error: Option<String>,
    detail: Option<String>,
    title: Option<String>,
    errors: Vec<FieldError>,
}

impl Answer {
    /// Reads an answer to its end; one that is no success is an error.
    pub(super) async fn read(api: &Api, response: Response) -> Result<Self, ClientError> {
        let status = response.status();
        let next_cursor = next_cursor(response.headers(), response.url());
        let retry_after = response.headers().get(RETRY_AFTER).cloned();
        let body = response.text().await.map_err(|error| api.failed(error))?;
        if status.is_success() {
            return Ok(Self {
                status: status.as_u16(),
                body,
                next_cursor,
                service: api.service.name,
            });
        }
        let problem: Problem = serde_json::from_str(&body).unwrap_or_default();
        let quoted = || crate::text::clipped(body.trim(), QUOTED_CHARS_MAX).into_owned();
        let text = problem.error.or(problem.detail).or(problem.title);
        let text = text.filter(|text| !text.is_empty()).unwrap_or_else(quoted);
        Err(ClientError::Refused(Box::new(Refusal {
            service: api.service.name,
            base: api.service.base.clone(),
            status: status.as_u16(),
            text,
            fields: problem.errors,
            retry_after: retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok()),
        })))
    }

    /// The answer as what it should be.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.body).map_err(|source| ClientError::Unreadable {
            service: self.service,
            source,
        })
    }
}

/// The cursor in `Link: </orders?cursor=…>; rel="next"`.
fn next_cursor(headers: &HeaderMap, base: &Url) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    if !rest.contains("rel=\"next\"") && !rest.contains("rel=next") {
        return None;
    }
    let target = base.join(target).ok()?;
    let mut query = target.query_pairs();
    query.find_map(|(name, value)| (name == "cursor").then(|| value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor_of(link: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, link.parse().unwrap());
        next_cursor(&headers, &"http://h/orders".parse().unwrap())
    }

    #[test]
    fn the_next_page_begins_at_the_cursor_of_its_link() {
        let link = "</orders?limit=5&cursor=a%2Bb>; rel=\"next\"";
        assert_eq!(cursor_of(link), Some("a+b".to_owned()));
        assert_eq!(cursor_of("</orders?cursor=x>; rel=\"prev\""), None);
        assert_eq!(cursor_of("</orders>; rel=\"next\""), None);
        assert_eq!(cursor_of("nonsense"), None);
    }
}
