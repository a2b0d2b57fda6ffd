//! What a reader of an order has seen, told by the id of the last message that it got.
//!
//! The id lists the events that the reader was sent, as short hashes in the order in which they were sent. So any
//! instance can resume it, without memory of the reader, after a rebuild too; and an event that arrives late, in the
//! middle of the timeline, is sent as well: it is not in the list. Of a very long list only the end is spelled out;
//! before it the id says how many there were, and those are taken to be the first of the timeline.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use foldhash::fast::RandomState;

use super::snapshot::Snapshot;

/// How many hashes an id spells out: an id has to fit into a header.
const SPELLED_MAX: usize = 1_024;
const ID_LENGTH_MAX: usize = 8 * 1_024;

/// What a reader of an order has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    hashes: Vec<u32>,
    /// So many more, before those: the first of the timeline that are not listed.
    older: usize,
}

/// An id that none of our streams has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not an id that this stream has sent; leave it out, and use ?from=start to get every event"
)]
pub struct BadEventId;

impl Seen {
    /// Reads the id of the last message that a reader got.
    pub fn parse(id: &str) -> Result<Self, BadEventId> {
        if id.len() > ID_LENGTH_MAX {
            return Err(BadEventId);
        }
        let (older, spelled) = id.split_once('.').ok_or(BadEventId)?;
        let older = older.parse().map_err(|_| BadEventId)?;
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(spelled)
            .map_err(|_| BadEventId)?;
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(BadEventId);
        }
        let mut hashes: Vec<u32> = words.iter().map(|word| u32::from_be_bytes(*word)).collect();
        if sagaline_saga::planted!("stream resumes off by one") {
            hashes.pop();
        }
        Ok(Self { hashes, older })
    }

    /// The id of a message, after which a reader has seen this.
    pub fn id(&self) -> String {
        let first = self.hashes.len().saturating_sub(SPELLED_MAX);
        let bytes: Vec<u8> = self.hashes[first..]
            .iter()
            .flat_map(|hash| hash.to_be_bytes())
            .collect();
        let mut id = format!("{}.", self.older + first);
        BASE64_URL_SAFE_NO_PAD.encode_string(bytes, &mut id);
        id
    }

    /// Everything in the timeline counts as seen.
    pub fn skip(&mut self, snapshot: &Snapshot) {
        let _ = self.unseen(snapshot);
    }

    /// What of the timeline was not seen yet, in the timeline's order, each with its id; from now on it was.
    pub fn unseen(&mut self, snapshot: &Snapshot) -> Vec<(String, Bytes)> {
        let mut known: HashMap<u32, u32, RandomState> = HashMap::default();
        for hash in &self.hashes {
            *known.entry(*hash).or_default() += 1;
        }
        let mut unseen: Vec<_> = snapshot
            .events()
            .iter()
            .filter(|told| match known.get_mut(&told.hash) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    false
                }
                _ => true,
            })
            .collect();
        let older = unseen.drain(..self.older.min(unseen.len()));
        let older: Vec<u32> = older.map(|told| told.hash).collect();
        self.older -= older.len();
        self.hashes.splice(..0, older);
        unseen
            .into_iter()
            .map(|told| {
                self.hashes.push(told.hash);
                (self.id(), told.data.clone())
            })
            .collect()
    }
}
