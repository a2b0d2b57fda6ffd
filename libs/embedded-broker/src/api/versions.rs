//! Which requests are served, in which versions.

use super::wire::{Reply, Request, WireError};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

/// (request, lowest version, highest version).
///
/// The highest versions stop where topics are addressed by id only (fetch 13, produce 13) or where a version means a
/// feature that is not there (offset commit 9: the new consumer protocol).
pub(super) const SUPPORTED: [(ApiKey, i16, i16); 27] = [
    (ApiKey::Produce, 3, 9),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 8),
    (ApiKey::FindCoordinator, 0, 4),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 1),
];

/// What a client can do with a request of this key and version.
pub(super) fn lookup(key: i16, version: i16) -> Result<ApiKey, WireError> {
    let unsupported = WireError::Unsupported { api: key, version };
    SUPPORTED
        .iter()
        .find(|(api, lowest, highest)| {
            *api as i16 == key && (*lowest..=*highest).contains(&version)
        })
        .map(|(api, _, _)| *api)
        .ok_or(unsupported)
}

pub(super) fn api_versions(request: &Request) -> Result<Reply, WireError> {
    let _: ApiVersionsRequest = request.body()?;
    request.reply(&supported_versions())
}

/// The answer to a version of `ApiVersions` that is not known: error 35 in version 0, from which the client learns
/// what to ask.
pub(super) fn unsupported_api_versions(correlation_id: i32) -> Result<Reply, WireError> {
    let request = Request::without_body(ApiKey::ApiVersions, 0, correlation_id);
    request.reply(&supported_versions().with_error_code(ResponseError::UnsupportedVersion.code()))
}

fn supported_versions() -> ApiVersionsResponse {
    let one = |(api, lowest, highest): &(ApiKey, i16, i16)| {
        ApiVersion::default()
            .with_api_key(*api as i16)
            .with_min_version(*lowest)
            .with_max_version(*highest)
    };
    ApiVersionsResponse::default().with_api_keys(SUPPORTED.iter().map(one).collect())
}
