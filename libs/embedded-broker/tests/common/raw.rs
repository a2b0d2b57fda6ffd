//! A client without a library, to do what no library does.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::indexmap;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ApiKey, GroupId, JoinGroupRequest, JoinGroupResponse, ProduceRequest, ProduceResponse,
    RequestHeader, ResponseHeader, SyncGroupRequest, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that sends one request at a time.
pub struct RawClient {
    stream: TcpStream,
    sent: i32,
}

impl RawClient {
    pub async fn connect(address: &str) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            sent: 0,
        }
    }

    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.ask(version, request).await.unwrap()
    }

    /// Like [`call`](Self::call), of a broker that may hang up instead of answering.
    pub async fn ask<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> std::io::Result<R::Response> {
        let header = self.send(version, request).await;
        let mut frame = self.try_receive().await?;
        let answered =
            ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        assert_eq!(answered.correlation_id, header);
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(frame.is_empty());
        Ok(response)
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Everything that comes until the broker closes the connection.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset is as good an end as any.
        drop(self.stream.read_to_end(&mut bytes).await);
        bytes
    }

    /// The next frame.
    pub async fn receive(&mut self) -> Bytes {
        self.try_receive().await.unwrap()
    }

    async fn try_receive(&mut self) -> std::io::Result<Bytes> {
        let length = self.stream.read_i32().await?;
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut frame).await?;
        Ok(Bytes::from(frame))
    }

    async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.sent += 1;
        let frame = frame(version, self.sent, request);
        self.stream.write_all(&frame).await.unwrap();
        self.sent
    }
}

/// A whole request frame.
pub fn frame<R: Request>(version: i16, correlation_id: i32, request: &R) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("raw")))
        .encode(
            &mut frame,
            ApiKey::try_from(R::KEY)
                .unwrap()
                .request_header_version(version),
        )
        .unwrap();
    request.encode(&mut frame, version).unwrap();
    let length = i32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Joins a group as its only member, takes nothing, and keeps the connection open in silence.
pub async fn join_and_fall_silent(
    address: &str,
    group: &str,
    topic: &str,
    session_timeout_ms: i32,
) -> RawClient {
    let text = |value: &str| StrBytes::from_string(value.to_owned());
    let mut subscription = BytesMut::new();
    subscription.put_i16(0);
    subscription.put_i32(1);
    subscription.put_i16(i16::try_from(topic.len()).unwrap());
    subscription.put_slice(topic.as_bytes());
    subscription.put_i32(-1);
    let mut client = RawClient::connect(address).await;
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(subscription.freeze());
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_protocol_type(text("consumer"))
        .with_session_timeout_ms(session_timeout_ms)
        .with_rebalance_timeout_ms(60_000)
        .with_protocols(vec![protocol]);
    let told: JoinGroupResponse = client.call(5, &join).await;
    assert_eq!(told.error_code, 79, "a new member is told its id first");
    let joined: JoinGroupResponse = client.call(5, &join.with_member_id(told.member_id)).await;
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    let nothing = SyncGroupRequestAssignment::default().with_member_id(joined.member_id.clone());
    let sync = SyncGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id(1)
        .with_member_id(joined.member_id)
        .with_assignments(vec![nothing]);
    let synced: SyncGroupResponse = client.call(3, &sync).await;
    assert_eq!(synced.error_code, 0);
    client
}

/// A batch of an idempotent producer.
pub fn batch(producer_id: i64, epoch: i16, first_sequence: i32, count: i32) -> Bytes {
    let records: Vec<Record> = (0..count)
        .map(|n| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id,
            producer_epoch: epoch,
            timestamp_type: TimestampType::Creation,
            offset: n.into(),
            sequence: first_sequence + n,
            timestamp: 1_000,
            key: None,
            value: Some(Bytes::from_static(b"value")),
            headers: indexmap::IndexMap::default(),
        })
        .collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

/// A request to produce one batch to a partition.
pub fn produce(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic])
}

/// Error code and offset of an answer to [`produce`].
pub fn produced(response: &ProduceResponse) -> (i16, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}
