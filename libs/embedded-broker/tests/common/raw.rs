//! A client without a library, to do what no library does.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ApiKey, GroupId, JoinGroupRequest, JoinGroupResponse, RequestHeader, ResponseHeader,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
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
        let header = self.send(version, request).await;
        let length = self.stream.read_i32().await.unwrap();
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut frame).await.unwrap();
        let mut frame = Bytes::from(frame);
        let answered =
            ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        assert_eq!(answered.correlation_id, header);
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(frame.is_empty());
        response
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
