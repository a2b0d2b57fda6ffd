//! A reader of server-sent events, as a browser's `EventSource` is one.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt;
use serde_json::Value;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct SseEvent {
    /// Its `id:`, for `Last-Event-ID`.
    pub id: Option<String>,
    /// Its `data:`, as JSON.
    pub data: Value,
}

/// A stream that is open: from now on it tells.
#[derive(Debug)]
pub struct Opened(reqwest::Response);

/// Opens a stream, where it was left.
pub async fn open(
    http: &reqwest::Client,
    url: &str,
    last_event_id: Option<&str>,
) -> Result<Opened> {
    let mut request = http.get(url).header("accept", "text/event-stream");
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    Ok(Opened(request.send().await?.error_for_status()?))
}

/// Reads a stream until `enough` says so, or fails after `limit`.
pub async fn read_until(
    http: &reqwest::Client,
    url: &str,
    last_event_id: Option<&str>,
    limit: Duration,
    enough: impl Fn(&[SseEvent]) -> bool,
) -> Result<Vec<SseEvent>> {
    let opened = open(http, url, last_event_id).await?;
    opened.read_until(limit, enough).await
}

impl Opened {
    /// Reads on until `enough` says so, or fails after `limit`.
    pub async fn read_until(
        self,
        limit: Duration,
        enough: impl Fn(&[SseEvent]) -> bool,
    ) -> Result<Vec<SseEvent>> {
        let mut events = Vec::new();
        let mut buffer = String::new();
        let mut chunks = self.0.bytes_stream();
        let reading = async {
            while !enough(&events) {
                let Some(chunk) = chunks.next().await else {
                    bail!("the stream ended");
                };
                buffer.push_str(&String::from_utf8_lossy(&chunk?));
                while let Some(end) = buffer.find("\n\n") {
                    let frame: String = buffer.drain(..end + 2).collect();
                    events.extend(parse(&frame));
                }
            }
            Ok(())
        };
        match tokio::time::timeout(limit, reading).await {
            Ok(read) => read.map(|()| events),
            Err(_) => bail!(
                "the stream did not show enough within {limit:?}: {} events",
                events.len()
            ),
        }
    }
}

fn parse(frame: &str) -> Option<SseEvent> {
    let (mut id, mut data) = (None, String::new());
    for line in frame.lines() {
        if let Some(value) = line.strip_prefix("id:") {
            id = Some(value.trim().to_owned());
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push_str(value.trim_start());
        }
    }
    // Heartbeats and hints carry no data.
    (!data.is_empty()).then(|| SseEvent {
        id,
        data: serde_json::from_str(&data).unwrap_or(Value::String(data)),
    })
}
