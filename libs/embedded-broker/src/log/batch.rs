//! The header of a record batch (magic 2), checked but never rebuilt: the records behind it stay as the producer sent them.

use bytes::Buf;

/// Bytes of a batch before its first record.
pub(crate) const HEADER_LEN: usize = 61;
/// `baseOffset` and `batchLength`: what the length field does not count.
const LENGTH_PREFIX: usize = 12;
const CRC_START: usize = 17;
const CHECKED_START: usize = 21;
const COMPRESSION_BITS: i16 = 0x07;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;

/// The fields of a batch header that a broker needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    /// Of the whole batch, header included.
    pub(crate) size: usize,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

/// Why a produced batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("the record batch is truncated, of another length than it says, or fails its checksum")]
    Corrupt,
    #[error("the record batch is larger than message.max.bytes")]
    TooLarge,
    #[error("only message format 2 is supported: use a client of Kafka 0.11 or later")]
    UnsupportedFormat,
    #[error("a produce request carries exactly one non-empty record batch per partition")]
    Invalid,
    #[error("transactions are not supported")]
    Transactional,
}

impl BatchHeader {
    /// Reads the header; `None` when there are too few bytes or another format.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_LEN || bytes[16] != 2 {
            return None;
        }
        let mut cursor = bytes;
        let base_offset = cursor.get_i64();
        let size = usize::try_from(cursor.get_i32())
            .ok()?
            .checked_add(LENGTH_PREFIX)?;
        cursor.advance(CHECKED_START - LENGTH_PREFIX);
        Some(Self {
            base_offset,
            size,
            attributes: cursor.get_i16(),
            last_offset_delta: cursor.get_i32(),
            base_timestamp: cursor.get_i64(),
            max_timestamp: cursor.get_i64(),
            producer_id: cursor.get_i64(),
            producer_epoch: cursor.get_i16(),
            base_sequence: cursor.get_i32(),
            record_count: cursor.get_i32(),
        })
    }

    /// Checks what a producer sent for one partition.
    pub(crate) fn validate(bytes: &[u8], max_bytes: usize) -> Result<Self, BatchError> {
        if bytes.len() > max_bytes {
            return Err(BatchError::TooLarge);
        }
        if bytes.len() < HEADER_LEN {
            return Err(BatchError::Corrupt);
        }
        if bytes[16] != 2 {
            return Err(BatchError::UnsupportedFormat);
        }
        let header = Self::parse(bytes).ok_or(BatchError::Corrupt)?;
        if header.size < HEADER_LEN || header.size > bytes.len() {
            return Err(BatchError::Corrupt);
        }
        let mut stored = &bytes[CRC_START..CHECKED_START];
        if crc32c::crc32c(&bytes[CHECKED_START..header.size]) != stored.get_u32() {
            return Err(BatchError::Corrupt);
        }
        if header.attributes & TRANSACTIONAL_BIT != 0 {
            return Err(BatchError::Transactional);
        }
        if header.size < bytes.len()
            || header.record_count < 1
            || header.last_offset_delta != header.record_count - 1
            || header.attributes & CONTROL_BIT != 0
        {
            return Err(BatchError::Invalid);
        }
        Ok(header)
    }

    /// Whether the producer is idempotent, so that its sequence numbers mean something.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of the last record; numbers wrap to 0 after `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        add_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// Writes what the broker decides into a stored batch. Neither field is covered by the checksum.
    pub(crate) fn assign(bytes: &mut [u8], base_offset: i64, leader_epoch: i32) {
        bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    }

    /// The offset and timestamp of the first record at or after `timestamp`. A compressed batch is not opened: its
    /// first offset is the answer, so that a reader starts a little early and never late.
    pub(crate) fn find_timestamp(&self, bytes: &[u8], timestamp: i64) -> Option<(i64, i64)> {
        if self.max_timestamp < timestamp {
            return None;
        }
        if self.attributes & COMPRESSION_BITS != 0 {
            return Some((self.base_offset, self.base_timestamp.max(timestamp)));
        }
        let mut records = bytes.get(HEADER_LEN..self.size)?;
        for _ in 0..self.record_count {
            let length = usize::try_from(varint(&mut records)?).ok()?;
            let mut record = records.get(..length)?;
            records = &records[length..];
            record = record.get(1..)?;
            let at = self.base_timestamp.checked_add(varint(&mut record)?)?;
            let delta = varint(&mut record)?;
            if at >= timestamp {
                return Some((self.base_offset.checked_add(delta)?, at));
            }
        }
        None
    }
}

/// `sequence + count`, wrapping from `i32::MAX` to 0.
pub(crate) fn add_sequence(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}

/// A zig-zag encoded number of variable length.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut raw = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        raw |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(add_sequence(i32::MAX, 1), 0);
        assert_eq!(add_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(add_sequence(5, 2), 7);
    }

    #[test]
    fn variable_length_numbers_are_zig_zag() {
        assert_eq!(varint(&mut [0x00].as_slice()), Some(0));
        assert_eq!(varint(&mut [0x01].as_slice()), Some(-1));
        assert_eq!(varint(&mut [0x96, 0x01].as_slice()), Some(75));
        assert_eq!(varint(&mut [0x80].as_slice()), None);
    }

    #[test]
    fn a_short_or_foreign_header_is_refused() {
        assert_eq!(
            BatchHeader::validate(&[0; 20], 1000),
            Err(BatchError::Corrupt)
        );
        assert_eq!(
            BatchHeader::validate(&[0; 80], 1000),
            Err(BatchError::UnsupportedFormat)
        );
        assert_eq!(
            BatchHeader::validate(&[0; 80], 10),
            Err(BatchError::TooLarge)
        );
    }
}
