//! Why a service was of no help, for an operator.

use std::fmt;
use std::io;

use serde::Deserialize;

use super::{BaseUrl, Service};

/// Why a service was of no help. Displayed, it says all that an operator needs; the sources are for a log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody is there, or not reachable.
    #[error(
        "the {} cannot be reached at {} ({why}): start the pipeline with `sagaline up`, or say where it is with {} or {}",
        .service.name, .service.base, .service.flag, .service.variable
    )]
    Unreachable {
        /// Which service.
        service: Box<Service>,
        /// What happened.
        why: String,
        #[source]
        source: reqwest::Error,
    },
    /// It was there, but the connection broke or nothing came.
    #[error(
        "the {} at {} did not finish its answer ({why}): look at its /healthz, and try again",
        .service.name, .service.base
    )]
    Broken {
        /// Which service.
        service: Box<Service>,
        /// What happened.
        why: String,
        #[source]
        source: reqwest::Error,
    },
    /// It said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// It said something else than it should.
    #[error(
        "the answer of the {service} is not what it should be ({source}): is it of this version?"
    )]
    Unreadable {
        /// Which service.
        service: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// Its stream is not one.
    #[error("the stream of the {0} has a line longer than 8 MiB: is it a service of ours?")]
    LineTooLong(&'static str),
    /// This process cannot call anybody.
    #[error("no HTTP client can be made on this machine: {0}")]
    NoClient(#[source] reqwest::Error),
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Which service.
    pub(crate) service: &'static str,
    /// Where it is.
    pub(crate) base: BaseUrl,
    /// The status.
    pub(crate) status: u16,
    /// What it said.
    pub(crate) text: String,
    /// What it has against which fields.
    pub(crate) fields: Vec<FieldError>,
    /// When to try again, in seconds.
    pub(crate) retry_after: Option<u64>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Deserialize)]
pub(crate) struct FieldError {
    field: String,
    message: String,
}

impl ClientError {
    pub(super) fn of(service: &Service, source: reqwest::Error) -> Self {
        let why = Self::why(&source);
        let service = Box::new(service.clone());
        if source.is_connect() {
            Self::Unreachable {
                service,
                why,
                source,
            }
        } else {
            Self::Broken {
                service,
                why,
                source,
            }
        }
    }

    /// What happened in few words: of the chain of causes, the last says it best.
    pub(super) fn why(error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return "nothing came in time".to_owned();
        }
        let mut cause: &(dyn std::error::Error + 'static) = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
            _ => cause.to_string(),
        }
    }

    /// The status of the answer, when there was one.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            401 => write!(
                f,
                "the {} at {} does not accept the token: give --token, or the services' own secret with JWT_SECRET, or \
                 --data-dir as `sagaline up` has it ({})",
                self.service, self.base, self.text
            )?,
            _ if self.text.is_empty() => write!(
                f,
                "the {} at {} answered {} and nothing else",
                self.service, self.base, self.status
            )?,
            _ => f.write_str(&crate::text::printable(&self.text))?,
        }
        for FieldError { field, message } in &self.fields {
            // Our services name the fields in the text already.
            if !self.text.contains(field.as_str()) {
                write!(f, "; {field}: {message}")?;
            }
        }
        if let Some(seconds) = self.retry_after {
            write!(f, " (try again in {seconds} s)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, text: &str) -> Refusal {
        Refusal {
            service: "order service",
            base: "http://h:1".parse().unwrap(),
            status,
            text: text.to_owned(),
            fields: Vec::new(),
            retry_after: None,
        }
    }

    #[test]
    fn fields_are_named_once() {
        let mut refusal = refusal(400, "items[0].qty: must be at least 1");
        for (field, message) in [
            ("items[0].qty", "must be at least 1"),
            ("total", "is missing"),
        ] {
            refusal.fields.push(FieldError {
                field: field.to_owned(),
                message: message.to_owned(),
            });
        }
        assert_eq!(
            refusal.to_string(),
            "items[0].qty: must be at least 1; total: is missing"
        );
    }

    #[test]
    fn a_refused_token_says_where_one_comes_from() {
        let said = refusal(401, "sign in").to_string();
        assert!(
            said.contains("--token") && said.contains("JWT_SECRET"),
            "{said}"
        );
    }

    #[test]
    fn an_answer_without_words_is_told_by_its_status_and_place() {
        let said = refusal(502, "").to_string();
        assert!(
            said.contains("502") && said.contains("http://h:1"),
            "{said}"
        );
    }

    #[test]
    fn a_service_that_is_busy_says_when_to_come_back() {
        let busy = Refusal {
            retry_after: Some(2),
            ..refusal(503, "the queue is full")
        };
        assert_eq!(busy.to_string(), "the queue is full (try again in 2 s)");
    }
}
