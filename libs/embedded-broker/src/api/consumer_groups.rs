//! The classic group protocol on the wire.

use super::wire::{Peer, Reply, Request, WireError, text};
use crate::broker::Broker;
use crate::clock;
use crate::group::{GroupError, JoinRequest, JoinResult, Outcome, SyncResult};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

/// Version from which a new member must join twice (KIP-394).
const REQUIRES_MEMBER_ID: i16 = 4;
/// Version from which a leader can be told to skip the assignment (KIP-814).
const SKIPS_ASSIGNMENT: i16 = 9;
/// Version from which the name of the protocol may be null.
const NULLABLE_PROTOCOL: i16 = 7;
/// Version from which several members leave in one request.
const BATCH_LEAVE: i16 = 3;

pub(super) fn group_error_code(error: GroupError) -> i16 {
    match error {
        GroupError::UnknownMember => ResponseError::UnknownMemberId,
        GroupError::IllegalGeneration => ResponseError::IllegalGeneration,
        GroupError::RebalanceInProgress => ResponseError::RebalanceInProgress,
        GroupError::InconsistentProtocol => ResponseError::InconsistentGroupProtocol,
        GroupError::MemberIdRequired => ResponseError::MemberIdRequired,
        GroupError::FencedInstance => ResponseError::FencedInstanceId,
        GroupError::GroupFull => ResponseError::GroupMaxSizeReached,
        GroupError::InvalidSessionTimeout => ResponseError::InvalidSessionTimeout,
        GroupError::InvalidGroupId => ResponseError::InvalidGroupId,
    }
    .code()
}

fn code(error: Option<GroupError>) -> i16 {
    error.map_or(0, group_error_code)
}

/// Copies a client's bytes, so that they do not pin the frame that they came in.
fn keep(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

pub(super) fn join(
    broker: &Arc<Broker>,
    peer: &Peer,
    request: Request,
) -> Result<Reply, WireError> {
    let body: JoinGroupRequest = request.body()?;
    let rebalance_timeout = if body.rebalance_timeout_ms < 0 {
        body.session_timeout_ms
    } else {
        body.rebalance_timeout_ms
    };
    let joined = broker.groups.join(
        &body.group_id,
        &JoinRequest {
            member_id: body.member_id.to_string(),
            instance_id: body.group_instance_id.map(|id| id.to_string()),
            client_id: request.client_id.to_string(),
            client_host: peer.address.ip(),
            session_timeout: clock::client_millis(body.session_timeout_ms),
            rebalance_timeout: clock::client_millis(rebalance_timeout),
            protocol_type: body.protocol_type.to_string(),
            protocols: body
                .protocols
                .iter()
                .map(|protocol| (protocol.name.to_string(), keep(&protocol.metadata)))
                .collect(),
            requires_known_id: request.version >= REQUIRES_MEMBER_ID,
            can_skip_assignment: request.version >= SKIPS_ASSIGNMENT,
        },
    );
    answer(broker, joined, request, |request, result| {
        join_response(request.version, result)
    })
}

fn join_response(version: i16, result: JoinResult) -> JoinGroupResponse {
    let optional = |value: Option<String>| value.map(StrBytes::from_string);
    let protocol = if version >= NULLABLE_PROTOCOL {
        optional(result.protocol)
    } else {
        Some(StrBytes::from_string(result.protocol.unwrap_or_default()))
    };
    let members = result
        .members
        .into_iter()
        .map(|(id, instance_id, metadata)| {
            JoinGroupResponseMember::default()
                .with_member_id(StrBytes::from_string(id))
                .with_group_instance_id(optional(instance_id))
                .with_metadata(metadata)
        });
    JoinGroupResponse::default()
        .with_error_code(code(result.error))
        .with_generation_id(result.generation)
        .with_protocol_type(optional(result.protocol_type))
        .with_protocol_name(protocol)
        .with_leader(StrBytes::from_string(result.leader))
        .with_member_id(StrBytes::from_string(result.member_id))
        .with_members(members.collect())
        .with_skip_assignment(result.skip_assignment)
}

pub(super) fn sync(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: SyncGroupRequest = request.body()?;
    let assignments = body.assignments.iter();
    let assignments = assignments
        .map(|one| (one.member_id.to_string(), keep(&one.assignment)))
        .collect();
    let synced = broker.groups.with(&body.group_id, |group| {
        group.sync(
            &body.member_id,
            body.group_instance_id.as_deref(),
            body.generation_id,
            (body.protocol_type.as_deref(), body.protocol_name.as_deref()),
            assignments,
            clock::now(),
        )
    });
    let unknown = || {
        Outcome::Now(SyncResult {
            error: Some(GroupError::UnknownMember),
            ..SyncResult::default()
        })
    };
    let synced = synced.unwrap_or_else(unknown);
    answer(broker, synced, request, |_, result| {
        SyncGroupResponse::default()
            .with_error_code(code(result.error))
            .with_protocol_type(result.protocol_type.map(StrBytes::from_string))
            .with_protocol_name(result.protocol.map(StrBytes::from_string))
            .with_assignment(result.assignment)
    })
}

/// Turns an outcome into a reply. A waiting request whose group is dropped, or
/// whose broker shuts down, loses its connection and starts anew.
fn answer<T, R>(
    broker: &Arc<Broker>,
    outcome: Outcome<T>,
    request: Request,
    respond: impl FnOnce(&Request, T) -> R + Send + 'static,
) -> Result<Reply, WireError>
where
    T: Send + 'static,
    R: kafka_protocol::protocol::Encodable + kafka_protocol::protocol::HeaderVersion,
{
    match outcome {
        Outcome::Now(result) => request.reply(&respond(&request, result)),
        Outcome::Later(receiver) => {
            let shutdown = broker.shutdown.clone();
            Ok(Reply::Later(Box::pin(async move {
                let result = tokio::select! {
                    result = receiver => result.map_err(|_| WireError::Abandoned)?,
                    () = shutdown.cancelled() => return Err(WireError::Abandoned),
                };
                request.answer(&respond(&request, result)).map(Some)
            })))
        }
    }
}

pub(super) fn heartbeat(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: HeartbeatRequest = request.body()?;
    let result = broker.groups.with(&body.group_id, |group| {
        let instance_id = body.group_instance_id.as_deref();
        group.heartbeat(
            &body.member_id,
            instance_id,
            body.generation_id,
            clock::now(),
        )
    });
    let error = result.unwrap_or(Err(GroupError::UnknownMember)).err();
    request.reply(&HeartbeatResponse::default().with_error_code(code(error)))
}

pub(super) fn leave(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: LeaveGroupRequest = request.body()?;
    let leave = |member_id: &str, instance_id: Option<&str>| {
        let left = broker.groups.with(&body.group_id, |group| {
            group.leave(member_id, instance_id, clock::now())
        });
        code(left.unwrap_or(Err(GroupError::UnknownMember)).err())
    };
    if request.version < BATCH_LEAVE {
        let error = leave(&body.member_id, None);
        return request.reply(&LeaveGroupResponse::default().with_error_code(error));
    }
    let members = body.members.iter().map(|member| {
        MemberResponse::default()
            .with_error_code(leave(
                &member.member_id,
                member.group_instance_id.as_deref(),
            ))
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.group_instance_id.clone())
    });
    request.reply(&LeaveGroupResponse::default().with_members(members.collect()))
}
