//! The response to a fetch, written by hand so that batches are copied once, from the log into the frame.

use crate::log::{Read, ReadFault};
use bytes::{BufMut, BytesMut};
use kafka_protocol::ResponseError;

const FLEXIBLE_VERSION: i16 = 12;

/// Writes a fetch response, versions 4 to 12.
pub(super) struct Writer {
    pub(super) out: BytesMut,
    pub(super) version: i16,
}

impl Writer {
    fn flexible(&self) -> bool {
        self.version >= FLEXIBLE_VERSION
    }

    /// The frame's length (to be filled in), the response header, and what comes before the topics.
    pub(super) fn begin(&mut self, correlation_id: i32) {
        self.out.put_i32(0);
        self.out.put_i32(correlation_id);
        self.no_tags();
        self.out.put_i32(0); // throttle time
        if self.version >= 7 {
            self.out.put_i16(0); // error
            self.out.put_i32(0); // no fetch session: every request names all its partitions
        }
    }

    pub(super) fn partition(&mut self, index: i32, exists: bool, read: &Read) {
        let error = match read.fault {
            _ if !exists => ResponseError::UnknownTopicOrPartition.code(),
            Some(ReadFault::OutOfRange) => ResponseError::OffsetOutOfRange.code(),
            Some(ReadFault::Storage) => ResponseError::KafkaStorageError.code(),
            None => 0,
        };
        let known = |offset: i64| if error == 0 { offset } else { -1 };
        self.out.put_i32(index);
        self.out.put_i16(error);
        self.out.put_i64(known(read.high_watermark));
        self.out.put_i64(known(read.high_watermark)); // last stable offset
        if self.version >= 5 {
            self.out.put_i64(known(read.log_start));
        }
        self.count(0); // aborted transactions
        if self.version >= 11 {
            self.out.put_i32(-1); // preferred read replica
        }
        self.count(read.bytes);
        for batch in &read.batches {
            self.out.extend_from_slice(batch);
        }
        self.no_tags();
    }

    pub(super) fn name(&mut self, name: &str) {
        if self.flexible() {
            self.count(name.len());
        } else {
            self.out
                .put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
        }
        self.out.put_slice(name.as_bytes());
    }

    /// The length of an array or a blob.
    pub(super) fn count(&mut self, count: usize) {
        if !self.flexible() {
            self.out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
        let seven_bits = |rest: usize| (rest & 0x7f) as u8;
        let mut rest = count + 1;
        while rest >= 0x80 {
            self.out.put_u8(seven_bits(rest) | 0x80);
            rest >>= 7;
        }
        self.out.put_u8(seven_bits(rest));
    }

    pub(super) fn no_tags(&mut self) {
        if self.flexible() {
            self.out.put_u8(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::messages::{FetchResponse, ResponseHeader, TopicName};
    use kafka_protocol::protocol::{Decodable, HeaderVersion, StrBytes};

    #[test]
    fn the_written_response_is_what_the_codec_reads_in_every_version() {
        let read = Read {
            log_start: 1,
            high_watermark: 9,
            batches: vec![Bytes::from(vec![7; 100]), Bytes::from(vec![8; 100])],
            bytes: 200,
            ..Read::default()
        };
        for version in 4..=12 {
            let mut writer = Writer {
                out: BytesMut::new(),
                version,
            };
            writer.begin(77);
            writer.count(1);
            writer.name("topic");
            writer.count(1);
            writer.partition(3, true, &read);
            writer.no_tags();
            writer.no_tags();
            let mut frame = writer.out.freeze().split_off(4);
            let header =
                ResponseHeader::decode(&mut frame, FetchResponse::header_version(version)).unwrap();
            let response = FetchResponse::decode(&mut frame, version).unwrap();
            assert_eq!(
                (header.correlation_id, frame.len()),
                (77, 0),
                "version {version}"
            );
            let topic = &response.responses[0];
            assert_eq!(topic.topic, TopicName(StrBytes::from_static_str("topic")));
            assert_eq!(topic.partitions[0].partition_index, 3);
            assert_eq!(topic.partitions[0].high_watermark, 9);
            assert_eq!(
                topic.partitions[0].records.as_ref().map(Bytes::len),
                Some(200)
            );
        }
    }
}
