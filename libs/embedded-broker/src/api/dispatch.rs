//! From a frame to the function that answers it.

use super::wire::{Peer, Reply, Request, WireError};
use super::{
    configs, consumer_groups, fetch, group_admin, group_offsets, list_offsets, metadata, produce,
    topics, versions,
};
use crate::broker::Broker;
use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use std::sync::Arc;

/// Works on one request: its effects are done when this returns, its answer may come later. `None` when the client
/// wants no answer.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    peer: &Peer,
    frame: Bytes,
) -> Result<Option<Reply>, WireError> {
    let (key, version, correlation_id) = Request::peek(&frame)?;
    let api = match versions::lookup(key, version) {
        Ok(api) => api,
        Err(_) if key == ApiKey::ApiVersions as i16 => {
            return versions::unsupported_api_versions(correlation_id).map(Some);
        }
        Err(unsupported) => return Err(unsupported),
    };
    let request = Request::open(frame, api, version)?;
    let reply = match api {
        ApiKey::Produce => return produce::produce(broker, request).await,
        ApiKey::Fetch => fetch::fetch(broker, request),
        ApiKey::InitProducerId => produce::init_producer_id(broker, &request),
        ApiKey::ListOffsets => list_offsets::list_offsets(broker, request),
        ApiKey::OffsetForLeaderEpoch => list_offsets::offset_for_leader_epoch(broker, &request),
        ApiKey::Metadata => metadata::metadata(broker, request),
        ApiKey::DescribeCluster => metadata::describe_cluster(broker, &request),
        ApiKey::DescribeLogDirs => metadata::describe_log_dirs(broker, &request),
        ApiKey::FindCoordinator => metadata::find_coordinator(broker, &request),
        ApiKey::JoinGroup => consumer_groups::join(broker, peer, request),
        ApiKey::SyncGroup => consumer_groups::sync(broker, request),
        ApiKey::Heartbeat => consumer_groups::heartbeat(broker, &request),
        ApiKey::LeaveGroup => consumer_groups::leave(broker, &request),
        ApiKey::OffsetCommit => group_offsets::commit(broker, request),
        ApiKey::OffsetFetch => group_offsets::fetch(broker, &request),
        ApiKey::OffsetDelete => group_offsets::delete(broker, request),
        ApiKey::DescribeGroups => group_admin::describe(broker, &request),
        ApiKey::ListGroups => group_admin::list(broker, &request),
        ApiKey::DeleteGroups => group_admin::delete(broker, request),
        ApiKey::CreateTopics => topics::create(broker, request),
        ApiKey::DeleteTopics => topics::delete(broker, request),
        ApiKey::CreatePartitions => topics::create_partitions(broker, request),
        ApiKey::DeleteRecords => topics::delete_records(broker, request),
        ApiKey::DescribeConfigs => configs::describe(broker, &request),
        ApiKey::AlterConfigs => configs::alter(broker, request),
        ApiKey::IncrementalAlterConfigs => configs::incremental_alter(broker, request),
        ApiKey::ApiVersions => versions::api_versions(&request),
        _ => Err(WireError::Unsupported { api: key, version }),
    };
    reply.map(Some)
}
