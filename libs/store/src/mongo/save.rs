//! Saving a batch: sent, sent again when the answer is lost, and read back when it is in doubt.

use std::collections::HashMap;
use std::time::Duration;

use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::ReadConcern;

use crate::mongo::failure::Failure;
use crate::mongo::update::{self, Reply, ReplyError, UpdateCommand};
use crate::{SaveResult, Write};

/// How long to wait before each further attempt.
const RETRY_WAITS: [Duration; 3] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
];
/// The server changes its role or shuts down, or the network between servers fails: another attempt may succeed.
const TRANSIENT: [i32; 13] = [
    6, 7, 89, 91, 134, 189, 262, 9001, 10_107, 11_600, 11_602, 13_435, 13_436,
];

/// Another writer may have replaced what an unanswered attempt had written.
#[derive(Debug, thiserror::Error)]
#[error("the answer to a write was lost, and the document has been written since")]
pub(super) struct Ambiguous;

/// Saves a batch; `limit` bounds what the server does for one command.
pub(super) async fn save(
    database: &Database,
    collection: &str,
    writes: &[Write],
    limit: Duration,
) -> Result<Vec<SaveResult>, Failure> {
    let token = ObjectId::new();
    let limit_ms = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    let commands = update::commands(collection, writes, token.bytes(), limit_ms)?;
    let mut results = Vec::with_capacity(writes.len());
    for UpdateCommand {
        writes: range,
        command,
    } in commands
    {
        let attempt = Attempt {
            database,
            collection,
            writes: writes.get(range).unwrap_or_default(),
            token,
        };
        results.append(&mut attempt.run(command).await?);
    }
    Ok(results)
}

struct Attempt<'a> {
    database: &'a Database,
    collection: &'a str,
    writes: &'a [Write],
    token: ObjectId,
}

impl Attempt<'_> {
    async fn run(&self, command: RawDocumentBuf) -> Result<Vec<SaveResult>, Failure> {
        let mut waits = RETRY_WAITS.iter();
        let mut was_lost = false;
        let reply = loop {
            match self.send(command.clone()).await {
                Ok(reply) => break reply,
                Err(failure) => {
                    let Some(wait) = waits.next().filter(|_| failure.is_transient()) else {
                        return Err(failure);
                    };
                    // the server may have done some of it
                    was_lost = true;
                    tokio::time::sleep(*wait).await;
                }
            }
        };
        if let Some((n, error)) = reply.refused {
            let id = self.writes.get(n).map(|write| write.id.clone());
            return Err(Failure::Refused {
                id: id.unwrap_or_default(),
                source: error,
            });
        }
        let mut results = vec![SaveResult::Saved; self.writes.len()];
        for &n in &reply.conflicts {
            set(&mut results, n, SaveResult::Conflict);
        }
        if was_lost && !reply.conflicts.is_empty() {
            self.recognise(&reply.conflicts, &mut results).await?;
        }
        self.undo_resurrections(&reply.inserted, &mut results)
            .await?;
        Ok(results)
    }

    async fn send(&self, command: RawDocumentBuf) -> Result<Reply, Failure> {
        let reply = self.database.run_raw_command(command).await?;
        let reply = Reply::parse(&reply);
        match reply.failed {
            Some(error) => Err(Failure::Reply(error)),
            None => Ok(reply),
        }
    }

    /// After a lost answer a conflict may be with ourselves: the earlier attempt wrote the document, and our token is in it.
    async fn recognise(
        &self,
        conflicts: &[usize],
        results: &mut [SaveResult],
    ) -> Result<(), Failure> {
        let doubtful = || {
            conflicts
                .iter()
                .filter_map(|&n| Some((n, self.writes.get(n)?)))
        };
        let ids: Vec<&str> = doubtful().map(|(_, write)| write.id.as_str()).collect();
        let mut found = self
            .database
            .collection::<Document>(self.collection)
            .find(doc! { "_id": { "$in": &ids } })
            .projection(doc! { "version": 1, "write": 1 })
            .read_concern(ReadConcern::majority())
            .batch_size(u32::try_from(ids.len() + 1).unwrap_or(u32::MAX))
            .await?;
        let mut stored = HashMap::with_capacity(ids.len());
        while found.advance().await? {
            let document = found.deserialize_current()?;
            if let (Ok(id), Ok(version)) = (document.get_str("_id"), document.get_i64("version")) {
                let ours = document.get_object_id("write").ok() == Some(self.token);
                stored.insert(id.to_owned(), (version.cast_unsigned(), ours));
            }
        }
        for (n, write) in doubtful() {
            match stored.get(&write.id) {
                Some((_, true)) => set(results, n, SaveResult::Saved),
                // ours would have made this version, and it is another's: we wrote nothing
                Some((version, false)) if *version <= write.expected + 1 => {}
                _ => return Err(Failure::Ambiguous(Ambiguous)),
            }
        }
        Ok(())
    }

    /// A write of a document that had been removed in the meantime has inserted it; that is a conflict, so it is taken back.
    async fn undo_resurrections(
        &self,
        inserted: &[usize],
        results: &mut [SaveResult],
    ) -> Result<(), Failure> {
        for &n in inserted {
            let Some(write) = self.writes.get(n).filter(|write| write.expected > 0) else {
                continue;
            };
            self.database
                .collection::<Document>(self.collection)
                .delete_one(doc! { "_id": &write.id, "write": self.token })
                .await?;
            set(results, n, SaveResult::Conflict);
        }
        Ok(())
    }
}

fn set(results: &mut [SaveResult], n: usize, result: SaveResult) {
    if let Some(slot) = results.get_mut(n) {
        *slot = result;
    }
}

impl Failure {
    fn is_transient(&self) -> bool {
        match self {
            Self::Driver(error) => is_transient(error),
            Self::Reply(ReplyError { code, .. }) => TRANSIENT.contains(code),
            _ => false,
        }
    }
}

/// Server selection has waited already, so it is not tried again.
fn is_transient(error: &DriverError) -> bool {
    match &*error.kind {
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => true,
        ErrorKind::Command(error) => TRANSIENT.contains(&error.code),
        _ => false,
    }
}
