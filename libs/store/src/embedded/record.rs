//! The bytes of documents and of index entries.
//!
//! A document is `format, flags, length of the tag, version, due?, rank?, tag?, body`, under its id. Index entries have no
//! value; their key is a letter, what they are sorted by, and the id. Numbers are big-endian, so that they sort.

use crate::Index;

const FORMAT: u8 = 1;
const FIXED: usize = 12;
const HAS_DUE: u8 = 1;
const HAS_RANK: u8 = 2;
const HAS_TAG: u8 = 4;
const SETTLED: u8 = 8;

/// Where the number of documents stands in the index.
pub(super) const COUNT_KEY: &[u8] = b"c";

/// What is wrong with a stored or a given document.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("its stored bytes are damaged")]
    Damaged,
}

/// A document's bytes.
pub(super) fn encode(version: u64, index: &Index, body: &[u8]) -> Vec<u8> {
    let tag = index.tag.as_deref().unwrap_or_default();
    let tag_length = u16::try_from(tag.len()).unwrap_or(u16::MAX);
    let mut flags = 0;
    let mut set = |flag, on| flags |= if on { flag } else { 0 };
    set(HAS_DUE, index.due.is_some());
    set(HAS_RANK, index.rank.is_some());
    set(HAS_TAG, index.tag.is_some());
    set(SETTLED, index.settled);

    let mut bytes = Vec::with_capacity(FIXED + 16 + tag.len() + body.len());
    bytes.extend([FORMAT, flags]);
    bytes.extend(tag_length.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(index.due.into_iter().flat_map(i64::to_be_bytes));
    bytes.extend(index.rank.into_iter().flat_map(i64::to_be_bytes));
    bytes.extend_from_slice(tag.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A document as it lies in its bytes.
pub(super) struct Record<'a> {
    pub(super) version: u64,
    pub(super) body: &'a [u8],
    flags: u8,
    due: Option<i64>,
    rank: Option<i64>,
    tag: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::parse(bytes).ok_or(RecordError::Damaged)
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&[format, flags], bytes) = bytes.split_first_chunk()?;
        let (&tag_length, bytes) = bytes.split_first_chunk()?;
        let (&version, mut bytes) = bytes.split_first_chunk()?;
        let mut number = |flag| {
            if flags & flag == 0 {
                return Some(None);
            }
            let (&number, rest) = bytes.split_first_chunk()?;
            bytes = rest;
            Some(Some(i64::from_be_bytes(number)))
        };
        let due = number(HAS_DUE)?;
        let rank = number(HAS_RANK)?;
        let (tag, body) = bytes.split_at_checked(u16::from_be_bytes(tag_length).into())?;
        (format == FORMAT).then_some(Self {
            version: u64::from_be_bytes(version),
            body,
            flags,
            due,
            rank,
            tag,
        })
    }

    pub(super) fn index(&self) -> Result<Index, RecordError> {
        let tag = std::str::from_utf8(self.tag).map_err(|_| RecordError::Damaged)?;
        Ok(Index {
            due: self.due,
            rank: self.rank,
            tag: (self.flags & HAS_TAG != 0).then(|| tag.to_owned()),
            settled: self.flags & SETTLED != 0,
        })
    }
}

/// An index entry, by its key, that goes or comes.
#[derive(Debug)]
pub(super) enum Change {
    Remove(Vec<u8>),
    Insert(Vec<u8>),
}

/// Calls `change` for each entry that goes or comes when `id` moves from `old` to `new`.
pub(super) fn reindex(id: &str, old: &Index, new: &Index, mut change: impl FnMut(Change)) {
    let mut step = |old: Option<Vec<u8>>, new: Option<Vec<u8>>| {
        old.map(Change::Remove).map(&mut change);
        new.map(Change::Insert).map(&mut change);
    };
    if old.due != new.due {
        let key = |due| due_key(due, id);
        step(old.due.map(key), new.due.map(key));
    }
    if old.rank != new.rank {
        let key = |rank| ranked_key(None, rank, id);
        step(old.rank.map(key), new.rank.map(key));
    }
    if old.rank != new.rank || old.tag != new.tag {
        let key = |index: &Index| Some(ranked_key(Some(index.tag.as_deref()?), index.rank?, id));
        step(key(old), key(new));
    }
}

/// Where the document stands among those that are due; with an empty id, before all that are due then.
pub(super) fn due_key(due: i64, id: &str) -> Vec<u8> {
    [b"d", &sortable(due)[..], id.as_bytes()].concat()
}

/// When a document is due and which, by its entry's key.
pub(super) fn parse_due_key(key: &[u8]) -> Option<(i64, &str)> {
    let (due, id) = key.strip_prefix(b"d")?.split_first_chunk()?;
    Some((from_sortable(*due), std::str::from_utf8(id).ok()?))
}

/// What the keys of a listing begin with.
pub(super) fn ranked_prefix(tag: Option<&str>) -> Vec<u8> {
    let Some(tag) = tag else {
        return b"r".to_vec();
    };
    let length = u16::try_from(tag.len()).unwrap_or(u16::MAX);
    [b"t", &length.to_be_bytes()[..], tag.as_bytes()].concat()
}

/// Where the document stands in a listing.
pub(super) fn ranked_key(tag: Option<&str>, rank: i64, id: &str) -> Vec<u8> {
    let mut key = ranked_prefix(tag);
    key.extend(sortable(rank));
    key.extend_from_slice(id.as_bytes());
    key
}

/// Which document stands at a position of the listing with that prefix.
pub(super) fn parse_ranked_key<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    let (_rank, id) = key.strip_prefix(prefix)?.split_first_chunk::<8>()?;
    std::str::from_utf8(id).ok()
}

/// Bytes that sort as the numbers do, negative ones first.
fn sortable(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn from_sortable(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_document_reads_back_as_it_was_written(
            version: u64, due: Option<i64>, rank: Option<i64>, tag: Option<String>, settled: bool, body: Vec<u8>,
        ) {
            let index = Index { due, tag, rank, settled };
            let bytes = encode(version, &index, &body);
            let record = Record::decode(&bytes).unwrap();
            prop_assert_eq!(record.version, version);
            prop_assert_eq!(record.body, &body[..]);
            prop_assert_eq!(record.index().unwrap(), index);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(record) = Record::decode(&bytes) {
                record.index().ok();
            }
        }

        #[test]
        fn keys_sort_as_what_they_stand_for(a: (i64, String), b: (i64, String)) {
            let order = a.cmp(&b);
            prop_assert_eq!(due_key(a.0, &a.1).cmp(&due_key(b.0, &b.1)), order);
            prop_assert_eq!(ranked_key(Some("t"), a.0, &a.1).cmp(&ranked_key(Some("t"), b.0, &b.1)), order);
            let key = due_key(a.0, &a.1);
            prop_assert_eq!(parse_due_key(&key), Some((a.0, a.1.as_str())));
        }
    }

    #[test]
    fn moving_nothing_touches_no_entry() {
        let index = Index {
            due: Some(1),
            tag: Some("t".to_owned()),
            rank: Some(2),
            settled: false,
        };
        let settled = Index {
            settled: true,
            ..index.clone()
        };
        reindex("a", &index, &settled, |change| panic!("{change:?}"));
    }
}
