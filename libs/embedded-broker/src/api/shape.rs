//! The shape of every request that is served, to check a frame before it is decoded.
//!
//! The codec takes memory for as many elements as an array says it has. A frame of a few bytes can say two thousand
//! million. So every count and length is first held against the bytes that are really there.

use bytes::Buf;
use kafka_protocol::messages::ApiKey;

/// Most array elements in one request, over all arrays.
const MAX_ELEMENTS: usize = 200_000;
const ANY: i16 = i16::MAX;

/// What a field looks like on the wire.
enum Kind {
    /// So many bytes.
    Fixed(usize),
    Text,
    Blob,
    /// An array of a simple kind.
    List(&'static Kind),
    /// An array of structures.
    Structs(&'static [Field]),
}

use Kind::{Blob, Fixed, List, Structs, Text};

/// A field, with the first and last version that have it.
struct Field(Kind, i16, i16);

const fn always(kind: Kind) -> Field {
    Field(kind, 0, ANY)
}

const fn since(version: i16, kind: Kind) -> Field {
    Field(kind, version, ANY)
}

const fn until(version: i16, kind: Kind) -> Field {
    Field(kind, 0, version)
}

const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);

/// A topic's name and its partitions' indexes: a part of several requests.
const TOPIC_INDEXES: &[Field] = &[always(Text), always(List(&I32))];

const PRODUCE: &[Field] = &[
    always(Text),
    always(I16),
    always(I32),
    always(Structs(&[
        always(Text),
        always(Structs(&[always(I32), always(Blob)])),
    ])),
];
const FETCH: &[Field] = &[
    always(I32),
    always(I32),
    always(I32),
    always(I32),
    always(I8),
    since(7, I32),
    since(7, I32),
    always(Structs(&[
        always(Text),
        always(Structs(&[
            always(I32),
            since(9, I32),
            always(I64),
            since(12, I32),
            since(5, I64),
            always(I32),
        ])),
    ])),
    since(7, Structs(TOPIC_INDEXES)),
    since(11, Text),
];
const LIST_OFFSETS: &[Field] = &[
    always(I32),
    since(2, I8),
    always(Structs(&[
        always(Text),
        always(Structs(&[always(I32), since(4, I32), always(I64)])),
    ])),
];
const METADATA: &[Field] = &[
    always(Structs(&[since(10, UUID), always(Text)])),
    since(4, I8),
    Field(I8, 8, 10),
    since(8, I8),
];
const OFFSET_COMMIT: &[Field] = &[
    always(Text),
    always(I32),
    always(Text),
    since(7, Text),
    until(4, I64),
    always(Structs(&[
        always(Text),
        always(Structs(&[
            always(I32),
            always(I64),
            since(6, I32),
            always(Text),
        ])),
    ])),
];
const OFFSET_FETCH: &[Field] = &[
    until(7, Text),
    until(7, Structs(TOPIC_INDEXES)),
    since(8, Structs(&[always(Text), always(Structs(TOPIC_INDEXES))])),
    since(7, I8),
];
const FIND_COORDINATOR: &[Field] = &[until(3, Text), since(1, I8), since(4, List(&Text))];
const JOIN_GROUP: &[Field] = &[
    always(Text),
    always(I32),
    since(1, I32),
    always(Text),
    since(5, Text),
    always(Text),
    always(Structs(&[always(Text), always(Blob)])),
    since(8, Text),
];
const HEARTBEAT: &[Field] = &[always(Text), always(I32), always(Text), since(3, Text)];
const LEAVE_GROUP: &[Field] = &[
    always(Text),
    until(2, Text),
    since(3, Structs(&[always(Text), always(Text), since(5, Text)])),
];
const SYNC_GROUP: &[Field] = &[
    always(Text),
    always(I32),
    always(Text),
    since(3, Text),
    since(5, Text),
    since(5, Text),
    always(Structs(&[always(Text), always(Blob)])),
];
const CREATE_TOPICS: &[Field] = &[
    always(Structs(&[
        always(Text),
        always(I32),
        always(I16),
        always(Structs(&[always(I32), always(List(&I32))])),
        always(Structs(&[always(Text), always(Text)])),
    ])),
    always(I32),
    always(I8),
];
const DELETE_TOPICS: &[Field] = &[
    since(6, Structs(&[always(Text), always(UUID)])),
    until(5, List(&Text)),
    always(I32),
];
const DELETE_RECORDS: &[Field] = &[
    always(Structs(&[
        always(Text),
        always(Structs(&[always(I32), always(I64)])),
    ])),
    always(I32),
];
const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    since(3, I32),
    always(Structs(&[
        always(Text),
        always(Structs(&[always(I32), always(I32), always(I32)])),
    ])),
];
const DESCRIBE_CONFIGS: &[Field] = &[
    always(Structs(&[always(I8), always(Text), always(List(&Text))])),
    always(I8),
    since(3, I8),
];
const ALTER_CONFIGS: &[Field] = &[
    always(Structs(&[
        always(I8),
        always(Text),
        always(Structs(&[always(Text), always(Text)])),
    ])),
    always(I8),
];
const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    always(Structs(&[
        always(I8),
        always(Text),
        always(Structs(&[always(Text), always(I8), always(Text)])),
    ])),
    always(I8),
];
const CREATE_PARTITIONS: &[Field] = &[
    always(Structs(&[
        always(Text),
        always(I32),
        always(Structs(&[always(List(&I32))])),
    ])),
    always(I32),
    always(I8),
];
const DESCRIBE_GROUPS: &[Field] = &[always(List(&Text)), since(3, I8)];
const LIST_GROUPS: &[Field] = &[since(4, List(&Text)), since(5, List(&Text))];
const API_VERSIONS: &[Field] = &[since(3, Text), since(3, Text)];
const INIT_PRODUCER_ID: &[Field] = &[always(Text), always(I32), since(3, I64), since(3, I16)];
const DESCRIBE_LOG_DIRS: &[Field] = &[always(Structs(TOPIC_INDEXES))];
const DELETE_GROUPS: &[Field] = &[always(List(&Text))];
const DESCRIBE_CLUSTER: &[Field] = &[always(I8), since(1, I8)];
const OFFSET_DELETE: &[Field] = &[
    always(Text),
    always(Structs(&[always(Text), always(Structs(&[always(I32)]))])),
];

/// The fields of a request's body; `None` for a request that is not served.
fn fields(api: ApiKey) -> Option<&'static [Field]> {
    Some(match api {
        ApiKey::Produce => PRODUCE,
        ApiKey::Fetch => FETCH,
        ApiKey::ListOffsets => LIST_OFFSETS,
        ApiKey::Metadata => METADATA,
        ApiKey::OffsetCommit => OFFSET_COMMIT,
        ApiKey::OffsetFetch => OFFSET_FETCH,
        ApiKey::FindCoordinator => FIND_COORDINATOR,
        ApiKey::JoinGroup => JOIN_GROUP,
        ApiKey::Heartbeat => HEARTBEAT,
        ApiKey::LeaveGroup => LEAVE_GROUP,
        ApiKey::SyncGroup => SYNC_GROUP,
        ApiKey::DescribeGroups => DESCRIBE_GROUPS,
        ApiKey::ListGroups => LIST_GROUPS,
        ApiKey::ApiVersions => API_VERSIONS,
        ApiKey::CreateTopics => CREATE_TOPICS,
        ApiKey::DeleteTopics => DELETE_TOPICS,
        ApiKey::DeleteRecords => DELETE_RECORDS,
        ApiKey::InitProducerId => INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => ALTER_CONFIGS,
        ApiKey::DescribeLogDirs => DESCRIBE_LOG_DIRS,
        ApiKey::CreatePartitions => CREATE_PARTITIONS,
        ApiKey::DeleteGroups => DELETE_GROUPS,
        ApiKey::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiKey::OffsetDelete => OFFSET_DELETE,
        ApiKey::DescribeCluster => DESCRIBE_CLUSTER,
        _ => return None,
    })
}

/// Whether a frame begins with a request header of this version.
pub(super) fn check_header(frame: &[u8], header_version: i16) -> Option<()> {
    let mut walk = Walk {
        bytes: frame,
        version: 0,
        flexible: false,
        elements: 0,
    };
    walk.skip(8)?;
    if header_version >= 1 {
        walk.text()?;
    }
    if header_version >= 2 {
        walk.tags()?;
    }
    Some(())
}

/// Whether the body's counts and lengths fit its bytes.
pub(super) fn check_body(api: ApiKey, version: i16, body: &[u8]) -> Option<()> {
    let mut walk = Walk {
        bytes: body,
        version,
        flexible: api.request_header_version(version) >= 2,
        elements: 0,
    };
    walk.structure(fields(api)?)
}

struct Walk<'a> {
    bytes: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &'static [Field]) -> Option<()> {
        for Field(kind, first, last) in fields {
            if (*first..=*last).contains(&self.version) {
                self.value(kind)?;
            }
        }
        if self.flexible { self.tags() } else { Some(()) }
    }

    fn value(&mut self, kind: &'static Kind) -> Option<()> {
        match kind {
            Fixed(size) => self.skip(*size),
            Text => self.text(),
            Blob => {
                let length = self.count()?;
                self.skip(length)
            }
            List(element) => {
                for _ in 0..self.element_count()? {
                    self.value(element)?;
                }
                Some(())
            }
            Structs(fields) => {
                for _ in 0..self.element_count()? {
                    self.structure(fields)?;
                }
                Some(())
            }
        }
    }

    fn text(&mut self) -> Option<()> {
        let length = if self.flexible {
            self.count()?
        } else {
            match self.bytes.try_get_i16().ok()? {
                -1 => 0,
                length => usize::try_from(length).ok()?,
            }
        };
        self.skip(length)
    }

    /// The length of an array or a blob; null counts as empty.
    fn count(&mut self) -> Option<usize> {
        if self.flexible {
            return Some(self.varint()?.saturating_sub(1));
        }
        match self.bytes.try_get_i32().ok()? {
            -1 => Some(0),
            count => usize::try_from(count).ok(),
        }
    }

    fn element_count(&mut self) -> Option<usize> {
        let count = self.count()?;
        self.elements = self.elements.checked_add(count)?;
        (count <= self.bytes.len() && self.elements <= MAX_ELEMENTS).then_some(count)
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Some(())
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.bytes.try_get_u8().ok()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::versions::SUPPORTED;
    use super::*;
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::RequestKind;
    use kafka_protocol::messages::{MetadataRequest, ProduceRequest};
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn an_array_that_promises_more_than_there_is_is_refused() {
        let mut body = BytesMut::new();
        body.put_i32(i32::MAX);
        assert_eq!(check_body(ApiKey::Metadata, 1, &body), None);
        assert_eq!(
            check_body(
                ApiKey::Metadata,
                9,
                &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]
            ),
            None
        );
    }

    #[test]
    fn what_the_codec_writes_has_the_shape() {
        for version in 0..=12 {
            let mut body = BytesMut::new();
            MetadataRequest::default()
                .encode(&mut body, version)
                .unwrap();
            assert_eq!(
                check_body(ApiKey::Metadata, version, &body),
                Some(()),
                "version {version}"
            );
        }
        let mut body = BytesMut::new();
        ProduceRequest::default().encode(&mut body, 9).unwrap();
        assert_eq!(check_body(ApiKey::Produce, 9, &body), Some(()));
    }

    #[test]
    fn every_served_request_has_a_shape_that_takes_zeros_or_refuses_them_without_harm() {
        for (api, lowest, highest) in SUPPORTED {
            assert!(fields(api).is_some(), "{api:?}");
            for version in lowest..=highest {
                for length in [0, 1, 5, 64] {
                    let body = vec![0; length];
                    if check_body(api, version, &body).is_some() {
                        drop(RequestKind::decode(
                            api,
                            &mut bytes::Bytes::from(body),
                            version,
                        ));
                    }
                }
            }
        }
    }
}
