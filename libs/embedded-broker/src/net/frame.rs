//! A frame is a length and that many bytes. The length is checked before any memory is taken for it.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;

/// Limit of every request but produce.
const SMALL_REQUEST_MAX: usize = 8 << 20;
const LENGTH_LEN: usize = 4;

/// Why a connection's bytes are not Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a request of {0} bytes is over the limit")]
    TooLarge(i64),
    #[error("a request is too short for a header")]
    TooShort,
}

/// Takes the next complete frame off the buffer; `Ok(None)` when more bytes are needed.
pub(super) fn take_frame(
    buffer: &mut BytesMut,
    produce_max: usize,
) -> Result<Option<Bytes>, FrameError> {
    if buffer.len() < LENGTH_LEN + 2 {
        return Ok(None);
    }
    let mut peek = &buffer[..];
    let announced = peek.get_i32();
    let is_produce = peek.get_i16() == ApiKey::Produce as i16;
    let limit = if is_produce {
        produce_max
    } else {
        SMALL_REQUEST_MAX.min(produce_max)
    };
    let length = match usize::try_from(announced) {
        Ok(length) if length < 8 => return Err(FrameError::TooShort),
        Ok(length) if length <= limit => length,
        _ => return Err(FrameError::TooLarge(announced.into())),
    };
    if buffer.len() < LENGTH_LEN + length {
        return Ok(None);
    }
    buffer.advance(LENGTH_LEN);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Bytes that the frame at the start of the buffer still lacks, as far as its length is known.
pub(super) fn missing_bytes(buffer: &[u8]) -> usize {
    let Some(length) = buffer.first_chunk() else {
        return 0;
    };
    let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    (LENGTH_LEN + length).saturating_sub(buffer.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_only_when_it_is_complete() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 8, 0, 3, 0, 0, 0, 0, 0][..]);
        assert_eq!(take_frame(&mut buffer, 100), Ok(None));
        buffer.extend_from_slice(&[1, 0xff]);
        assert_eq!(take_frame(&mut buffer, 100).unwrap().unwrap().len(), 8);
        assert_eq!(&buffer[..], [0xff]);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_bytes_come() {
        let mut buffer = BytesMut::from(&[0x7f, 0xff, 0xff, 0xff, 0, 0][..]);
        assert!(matches!(
            take_frame(&mut buffer, 100 << 20),
            Err(FrameError::TooLarge(_))
        ));
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, 0, 0][..]);
        assert_eq!(take_frame(&mut buffer, 100), Err(FrameError::TooLarge(-1)));
        let mut buffer = BytesMut::from(&[0, 0, 0, 3, 0, 0][..]);
        assert_eq!(take_frame(&mut buffer, 100), Err(FrameError::TooShort));
    }
}
