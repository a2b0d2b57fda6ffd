//! A stream that is connected again when it is cut, and goes on where it was.

use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, Response, Url};
use tokio::time::Instant;

use super::answer::Answer;
use super::sse::{Message, Parser};
use super::{Api, ClientError};
use crate::output::note;

const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A service that stays away for so long is given up.
const ABSENCE_MAX: Duration = Duration::from_mins(2);

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct EventStream {
    api: Api,
    url: Url,
    parser: Parser,
    connection: Option<Response>,
    /// Whether there ever was a connection: the first must be made at once, later ones are waited for.
    was_connected: bool,
    cut_at: Option<Instant>,
    pause: Duration,
}

impl EventStream {
    pub(super) fn new(api: Api, url: Url) -> Self {
        Self {
            api,
            url,
            parser: Parser::default(),
            connection: None,
            was_connected: false,
            cut_at: None,
            pause: PAUSE_FIRST,
        }
    }

    /// The next message, however long it takes to come. It may be dropped and called again: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(message) = self.parser.next() {
                return Ok(message);
            }
            let Some(connection) = &mut self.connection else {
                self.connect().await?;
                continue;
            };
            match connection.chunk().await {
                Ok(Some(piece)) => {
                    self.pause = PAUSE_FIRST;
                    self.cut_at = None;
                    let name = self.api.service.name;
                    let fed = self.parser.feed(&piece);
                    fed.map_err(|_| ClientError::LineTooLong(name))?;
                }
                Ok(None) => self.cut("it ended"),
                Err(error) => self.cut(&ClientError::why(&error)),
            }
        }
    }

    fn cut(&mut self, why: &str) {
        note(format_args!(
            "the stream of the {} was cut ({why}): connecting again",
            self.api.service.name
        ));
        self.connection = None;
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if !self.was_connected {
            return self.try_connect().await;
        }
        let absent_since = *self.cut_at.get_or_insert_with(Instant::now);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        match self.try_connect().await {
            Err(error) if is_passing(&error) && absent_since.elapsed() < ABSENCE_MAX => Ok(()),
            tried => tried,
        }
    }

    async fn try_connect(&mut self) -> Result<(), ClientError> {
        let mut request = self
            .api
            .request_to(Method::GET, self.url.clone())
            .header(ACCEPT, "text/event-stream");
        if let Some(id) = self.parser.last_id() {
            request = request.header("last-event-id", id);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.api.failed(error))?;
        if !response.status().is_success() {
            Answer::read(&self.api, response).await?;
            return Ok(());
        }
        self.parser.reconnected();
        self.connection = Some(response);
        self.was_connected = true;
        Ok(())
    }
}

/// Whether the service may come back from this: it is away, or busy.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Broken { .. } => true,
        ClientError::Refused(refusal) => refusal.status >= 500 || refusal.status == 429,
        _ => false,
    }
}
