//! The fields of every request that is served, as far as their sizes go.

use kafka_protocol::messages::ApiKey;

const ANY: i16 = i16::MAX;

/// What a field looks like on the wire.
pub(super) enum Kind {
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
pub(super) struct Field(pub(super) Kind, pub(super) i16, pub(super) i16);

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
pub(super) fn fields(api: ApiKey) -> Option<&'static [Field]> {
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
