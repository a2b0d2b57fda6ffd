//! Asking until it is answered, once or by two clicks at the same time.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Accepted;
use super::desk::Desk;
use crate::client::Answer;

/// How long an operator waits for an answer before asking again.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Left to chance: whether it is clicked twice.
const TWICE: u64 = 1;

/// Something to ask for: where each click goes, and the body.
pub(super) struct Click<'a> {
    pub(super) urls: Vec<String>,
    pub(super) body: Value,
    pub(super) key: Option<&'a str>,
}

impl Desk {
    /// Leaves the second click away in half of all cases.
    pub(super) fn once_or_twice(&self, mut urls: Vec<String>) -> Vec<String> {
        if self.chances.half(TWICE) {
            urls.truncate(1);
        }
        urls
    }

    /// Asks for something until all clicks are accepted, and remembers it as one action.
    pub(super) async fn accepted(
        &self,
        command: &str,
        letter: Option<&str>,
        click: Click<'_>,
    ) -> Result<()> {
        let answers = self.ask_all(&click).await?;
        let mut ids: Vec<&str> = answers
            .iter()
            .filter_map(|answer| answer["commandId"].as_str())
            .collect();
        ensure!(
            ids.len() == click.urls.len(),
            "{command}: no commandId: {answers:?}"
        );
        ids.dedup();
        ensure!(
            ids.len() == 1,
            "two clicks on {command} are two commands: {answers:?}"
        );
        let accepted = Accepted {
            command: command.to_owned(),
            command_id: ids.first().context("no answer")?.to_string(),
            order: self.order.clone(),
            letter: letter.map(str::to_owned),
        };
        self.note(|acts| acts.accepted.push(accepted));
        Ok(())
    }

    /// All clicks at the same time, each until it is accepted.
    pub(super) async fn ask_all(&self, click: &Click<'_>) -> Result<Vec<Value>> {
        let asked = click
            .urls
            .iter()
            .map(|url| self.ask(url, &click.body, click.key));
        futures::future::try_join_all(asked).await
    }

    /// Asks until it is accepted.
    async fn ask(&self, url: &str, body: &Value, key: Option<&str>) -> Result<Value> {
        let headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", *key)).collect();
        loop {
            let asked = self
                .client
                .send_with(Method::POST, url, Some(body), &headers);
            match tokio::time::timeout(ANSWER_LIMIT, asked).await {
                Ok(Ok((status, answer))) if status.is_success() => return Ok(answer),
                // A reader may have heard of what an earlier click led to, and not of the click: it is told the same when it has.
                Ok(Ok((StatusCode::CONFLICT, _))) => self.note(|acts| acts.refused += 1),
                Ok(Ok(answer)) if is_refusal(&answer) => bail!("{url} {body}: {answer:?}"),
                _ => self.note(|acts| acts.asked_again += 1),
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

fn is_refusal((status, _): &Answer) -> bool {
    status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS
}
