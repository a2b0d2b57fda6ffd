//! The command that saves a batch in one round trip, and what its reply says of each write.
//!
//! Every write is an upsert of `{_id, version: expected}`. When the document has another version, the upsert tries to
//! insert and collides on `_id`: error 11000 with the write's place in the batch.

use std::ops::Range;

use mongodb::bson::{Bson, Document, RawDocumentBuf};

use crate::Write;
use crate::mongo::bson::{BodyError, BsonWriter};

/// A command is one document, and a document has at most 16 MB.
const COMMAND_BYTES_MAX: usize = 15 * 1024 * 1024;
const COMMAND_WRITES_MAX: usize = 50_000;
const DUPLICATE_KEY: i32 = 11_000;
/// What the document itself is to blame for: bad value, too deep, a key that is not allowed, too large.
const REFUSALS: [i32; 6] = [2, 15, 52, 57, 10_334, 17_420];

/// A command that saves some writes of a batch.
#[derive(Debug)]
pub(super) struct UpdateCommand {
    pub(super) writes: Range<usize>,
    pub(super) command: RawDocumentBuf,
}

/// A write that cannot be stored.
#[derive(Debug)]
pub(super) struct Unstorable {
    pub(super) id: String,
    pub(super) error: BodyError,
}

/// Builds as few commands as the server's limits allow. `token` marks what they write.
pub(super) fn commands(
    collection: &str,
    writes: &[Write],
    token: [u8; 12],
    limit_ms: i64,
) -> Result<Vec<UpdateCommand>, Unstorable> {
    let mut commands = Vec::with_capacity(1);
    let mut next = 0;
    while next < writes.len() {
        let (command, end) = command(collection, writes, next, token, limit_ms)?;
        let unstorable = |error| Unstorable {
            id: String::new(),
            error: BodyError::Bson(error),
        };
        commands.push(UpdateCommand {
            writes: next..end,
            command: RawDocumentBuf::from_bytes(command).map_err(unstorable)?,
        });
        next = end;
    }
    Ok(commands)
}

/// One command with the writes from `first` on, as many as fit.
fn command(
    collection: &str,
    writes: &[Write],
    first: usize,
    token: [u8; 12],
    limit_ms: i64,
) -> Result<(Vec<u8>, usize), Unstorable> {
    let mut bson = BsonWriter::default();
    let command = bson.begin();
    bson.string("update", collection);
    bson.boolean("ordered", false);
    bson.int64("maxTimeMS", limit_ms);
    let concern = bson.begin_document("writeConcern");
    bson.string("w", "majority");
    bson.boolean("j", true);
    bson.int64("wtimeout", limit_ms);
    bson.end(concern);
    let updates = bson.begin_array("updates");
    let mut end = first;
    for (n, write) in writes
        .iter()
        .skip(first)
        .enumerate()
        .take(COMMAND_WRITES_MAX)
    {
        let before = bson.len();
        operation(&mut bson, n, write, token).map_err(|error| Unstorable {
            id: write.id.clone(),
            error,
        })?;
        if bson.len() > COMMAND_BYTES_MAX && n > 0 {
            bson.truncate(before);
            break;
        }
        if bson.len() > COMMAND_BYTES_MAX {
            return Err(Unstorable {
                id: write.id.clone(),
                error: BodyError::TooLarge(bson.len() - before),
            });
        }
        end += 1;
    }
    bson.end(updates);
    bson.end(command);
    Ok((bson.into_bytes(), end))
}

fn operation(
    bson: &mut BsonWriter,
    n: usize,
    write: &Write,
    token: [u8; 12],
) -> Result<(), BodyError> {
    let operation = bson.begin_document(&n.to_string());
    let query = bson.begin_document("q");
    bson.string("_id", &write.id);
    bson.int64("version", write.expected.cast_signed());
    bson.end(query);
    let document = bson.begin_document("u");
    bson.string("_id", &write.id);
    bson.int64("version", write.expected.cast_signed() + 1);
    bson.object_id("write", token);
    if let Some(due) = write.index.due {
        bson.int64("due", due);
    }
    if let Some(tag) = &write.index.tag {
        bson.string("tag", tag);
    }
    if let Some(rank) = write.index.rank {
        bson.int64("rank", rank);
    }
    bson.boolean("settled", write.index.settled);
    bson.json("body", &write.body)?;
    bson.end(document);
    bson.boolean("upsert", true);
    bson.end(operation);
    Ok(())
}

/// What the server said of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// Writes whose document has another version.
    pub(super) conflicts: Vec<usize>,
    /// Writes that inserted a document.
    pub(super) inserted: Vec<usize>,
    /// A write that the server refuses whenever it comes.
    pub(super) refused: Option<(usize, ReplyError)>,
    /// The command was not carried out in full, or is not durable.
    pub(super) failed: Option<ReplyError>,
}

/// What the server complains about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("MongoDB says: {message} (code {code})")]
pub(super) struct ReplyError {
    pub(super) code: i32,
    pub(super) message: String,
}

impl Reply {
    pub(super) fn parse(reply: &Document) -> Self {
        let mut parsed = Self::default();
        for error in documents(reply, "writeErrors") {
            let complaint = ReplyError::parse(error);
            match index(error) {
                Some(n) if complaint.code == DUPLICATE_KEY => parsed.conflicts.push(n),
                Some(n) if REFUSALS.contains(&complaint.code) => {
                    parsed.refused = Some((n, complaint));
                }
                _ => parsed.failed = Some(complaint),
            }
        }
        parsed.inserted = documents(reply, "upserted").filter_map(index).collect();
        if let Ok(error) = reply.get_document("writeConcernError") {
            parsed.failed = Some(ReplyError::parse(error));
        }
        parsed
    }
}

impl ReplyError {
    fn parse(error: &Document) -> Self {
        Self {
            code: error.get("code").and_then(integer).unwrap_or_default(),
            message: error.get_str("errmsg").unwrap_or("no reason").to_owned(),
        }
    }
}

fn documents<'a>(reply: &'a Document, key: &str) -> impl Iterator<Item = &'a Document> {
    let array = reply.get_array(key).map(Vec::as_slice).unwrap_or_default();
    array.iter().filter_map(Bson::as_document)
}

fn index(document: &Document) -> Option<usize> {
    usize::try_from(document.get("index").and_then(integer)?).ok()
}

/// Servers and proxies differ in the width of numbers.
fn integer(value: &Bson) -> Option<i32> {
    match value {
        Bson::Int32(n) => Some(*n),
        Bson::Int64(n) => i32::try_from(*n).ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "codes and indexes are small"
        )]
        Bson::Double(n) => Some(*n as i32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Index;
    use bytes::Bytes;
    use mongodb::bson::doc;

    fn write(id: &str, bytes: usize) -> Write {
        Write {
            id: id.to_owned(),
            expected: 0,
            body: Bytes::from(format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes))),
            index: Index::default(),
        }
    }

    #[test]
    fn a_batch_beyond_the_size_of_a_command_becomes_several() {
        let writes: Vec<Write> = (0..10).map(|n| write(&n.to_string(), 4_000_000)).collect();
        let commands = commands("orders", &writes, [0; 12], 1).unwrap();
        let ranges: Vec<_> = commands.iter().map(|c| c.writes.clone()).collect();
        assert_eq!(ranges, [0..3, 3..6, 6..9, 9..10]);
        for command in commands {
            assert!(command.command.as_bytes().len() <= COMMAND_BYTES_MAX + 10);
            let updates = command.command.get_array("updates").unwrap();
            assert_eq!(updates.into_iter().count(), command.writes.len());
        }
    }

    #[test]
    fn a_batch_of_too_many_writes_becomes_several() {
        let writes: Vec<Write> = (0..=COMMAND_WRITES_MAX)
            .map(|n| write(&n.to_string(), 0))
            .collect();
        let commands = commands("orders", &writes, [0; 12], 1).unwrap();
        let counts: Vec<_> = commands.iter().map(|c| c.writes.len()).collect();
        assert_eq!(counts, [COMMAND_WRITES_MAX, 1]);
    }

    #[test]
    fn a_document_larger_than_a_command_is_refused_by_name() {
        let writes = [write("small", 1), write("large", 16_000_000)];
        let refused = commands("orders", &writes, [0; 12], 1).unwrap_err();
        assert_eq!(refused.id, "large");
    }

    #[test]
    fn a_reply_is_read_whatever_the_width_of_its_numbers() {
        let reply = doc! {
            "writeErrors": [
                { "index": 1, "code": 11000_i64, "errmsg": "duplicate" },
                { "index": 3.0, "code": 11000, "errmsg": "duplicate" },
                { "index": 4, "code": 10334, "errmsg": "too large" },
            ],
            "upserted": [{ "index": 0_i64, "_id": "a" }],
        };
        let parsed = Reply::parse(&reply);
        assert_eq!(parsed.conflicts, [1, 3]);
        assert_eq!(parsed.inserted, [0]);
        assert_eq!(parsed.refused.unwrap().0, 4);
        assert_eq!(parsed.failed, None);
    }

    #[test]
    fn a_write_that_is_not_durable_is_a_failure() {
        let reply = doc! { "n": 1, "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } };
        assert_eq!(Reply::parse(&reply).failed.unwrap().code, 64);
    }

    #[test]
    fn an_error_that_is_no_conflict_is_a_failure_not_a_success() {
        let reply =
            doc! { "writeErrors": [{ "index": 0, "code": 11600, "errmsg": "shutting down" }] };
        let parsed = Reply::parse(&reply);
        assert_eq!(parsed.failed.unwrap().code, 11_600);
    }
}
