//! Where the services are.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// The address that a service is reached under, perhaps with a path of a proxy before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(Url);

/// A text that is no address of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a service ({why}): it looks like http://127.0.0.1:4001")]
pub(crate) struct BadBaseUrl {
    text: String,
    why: String,
}

impl BaseUrl {
    /// The address of something at this service; each part of the path stands for itself, whatever is in it.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl FromStr for BaseUrl {
    type Err = BadBaseUrl;

    fn from_str(text: &str) -> Result<Self, BadBaseUrl> {
        let bad = |why: String| BadBaseUrl {
            text: text.to_owned(),
            why,
        };
        let trimmed = text.trim();
        let whole = if trimmed.contains("://") {
            trimmed.to_owned()
        } else {
            format!("http://{trimmed}")
        };
        let url = Url::parse(&whole).map_err(|error| bad(error.to_string()))?;
        match url.scheme() {
            _ if url.host_str().is_none_or(str::is_empty) => Err(bad("it has no host".to_owned())),
            _ if url.query().is_some() || url.fragment().is_some() => {
                Err(bad("it goes on after the path".to_owned()))
            }
            "http" => Ok(Self(url)),
            other => Err(bad(format!(
                "services speak http behind whatever ends TLS, not {other}"
            ))),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// A service as it is reached, and how to reach it elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its address.
    pub(crate) base: BaseUrl,
    /// The flag that says where it is.
    pub(crate) flag: &'static str,
    /// The variable that says so.
    pub(crate) variable: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> BaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_may_lack_its_scheme_and_keeps_its_path() {
        assert_eq!(base("127.0.0.1:4001").to_string(), "http://127.0.0.1:4001");
        let url = base("http://proxy/sagaline/").url(&["orders", "o-1"], &[]);
        assert_eq!(url.as_str(), "http://proxy/sagaline/orders/o-1");
    }

    #[test]
    fn ids_cannot_leave_their_place_in_a_path() {
        let url = base("http://h").url(&["products", "a/b?c#d e"], &[("limit", "5&x=1")]);
        assert_eq!(
            url.as_str(),
            "http://h/products/a%2Fb%3Fc%23d%20e?limit=5%26x%3D1"
        );
    }

    #[test]
    fn what_cannot_be_called_is_refused_at_once() {
        for text in ["", "https://h", "ftp://h", "http://", "http://h?x=1", "a b"] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text:?}");
        }
    }
}
