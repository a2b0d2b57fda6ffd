//! Groups listed, described and deleted.

use super::wire::{Reply, Request, WireError, text};
use crate::broker::Broker;
use crate::group::{Group, State};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};
use std::sync::Arc;

const GROUP_TYPE: &str = "classic";

pub(super) fn describe(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: DescribeGroupsRequest = request.body()?;
    let groups = body.groups.into_iter().map(|id| {
        let described = broker.groups.with(&id, |group| describe_one(group));
        let dead = || DescribedGroup::default().with_group_state(text("Dead"));
        described.unwrap_or_else(dead).with_group_id(id)
    });
    request.reply(&DescribeGroupsResponse::default().with_groups(groups.collect()))
}

fn describe_one(group: &Group) -> DescribedGroup {
    let protocol = match group.state {
        State::Stable | State::CompletingRebalance => group.protocol.as_deref().unwrap_or_default(),
        State::Empty | State::PreparingRebalance => "",
    };
    let members = group.members.values().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&format!("/{}", member.client_host)))
            .with_member_metadata(member.metadata(protocol))
            .with_member_assignment(member.assignment.clone())
    });
    DescribedGroup::default()
        .with_group_state(text(group.state.name()))
        .with_protocol_type(text(group.protocol_type.as_deref().unwrap_or_default()))
        .with_protocol_data(text(protocol))
        .with_members(members.collect())
}

pub(super) fn list(broker: &Broker, request: &Request) -> Result<Reply, WireError> {
    let body: ListGroupsRequest = request.body()?;
    let accepts = |filter: &[kafka_protocol::protocol::StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(value))
    };
    let groups = broker.groups.all().into_iter().filter_map(|(id, group)| {
        let group = group.lock();
        let state = group.state.name();
        let wanted = accepts(&body.states_filter, state) && accepts(&body.types_filter, GROUP_TYPE);
        wanted.then(|| {
            ListedGroup::default()
                .with_group_id(GroupId(text(&id)))
                .with_protocol_type(text(group.protocol_type.as_deref().unwrap_or_default()))
                .with_group_state(text(state))
                .with_group_type(text(GROUP_TYPE))
        })
    });
    request.reply(&ListGroupsResponse::default().with_groups(groups.collect()))
}

pub(super) fn delete(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: DeleteGroupsRequest = request.body()?;
    let results = body.groups_names.into_iter().map(|id| {
        let error = match broker.groups.delete(&id) {
            Some(true) => 0,
            Some(false) => ResponseError::NonEmptyGroup.code(),
            None => ResponseError::GroupIdNotFound.code(),
        };
        DeletableGroupResult::default()
            .with_group_id(id)
            .with_error_code(error)
    });
    let response = DeleteGroupsResponse::default().with_results(results.collect());
    broker.reply_when_durable(&request, &response)
}
