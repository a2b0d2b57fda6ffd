//! Lists that come in pages.

use serde_json::value::RawValue;

use crate::client::{Api, ClientError};

/// The most that a service gives at once.
const PAGE_MAX: usize = 100;

/// The first documents of a list, as they came.
pub(crate) async fn read(
    api: &Api,
    path: &[&str],
    query: &[(&str, &str)],
    limit: usize,
) -> Result<Vec<Box<RawValue>>, ClientError> {
    let mut documents: Vec<Box<RawValue>> = Vec::new();
    let mut cursor: Option<String> = None;
    while documents.len() < limit {
        let wanted = (limit - documents.len()).min(PAGE_MAX).to_string();
        let mut query = query.to_vec();
        query.push(("limit", &wanted));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = api.get(path, &query).await?;
        documents.extend(answer.parse::<Vec<Box<RawValue>>>()?);
        // A page of a filtered list may be empty, and yet have a next one; a cursor that stays would go on for ever.
        if answer.next_cursor.is_none() || answer.next_cursor == cursor {
            break;
        }
        cursor = answer.next_cursor;
    }
    documents.truncate(limit);
    Ok(documents)
}
