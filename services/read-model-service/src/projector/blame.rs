//! Documents that cannot be read or stored: they hurt their own order and no other.

use std::collections::BTreeMap;

use sagaline_contracts::OrderId;
use sagaline_runtime::Outage;
use sagaline_store::{Store, StoreError, Stored};

/// An order whose document is not usable.
pub(super) struct Damaged {
    pub(super) id: OrderId,
    pub(super) why: String,
}

/// Which document of those that it was asked about the store cannot use, and why; anything else is an outage.
pub(super) fn blamed(
    error: StoreError,
    is_asked: impl Fn(&str) -> bool,
) -> Result<(String, String), Outage> {
    match &error {
        StoreError::Unusable { id, .. } if is_asked(id) => {
            let id = id.clone();
            let mut why = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                why = format!("{why}: {cause}");
                source = cause.source();
            }
            tracing::error!(%id, error = %why, "a document is not usable; all others go on");
            Ok((id, why))
        }
        _ => Err(error.into()),
    }
}

/// Loads documents, each on its own when it must be: one that the store cannot read is told apart from those that it can.
pub(super) async fn load(
    store: &dyn Store,
    collection: &str,
    ids: &[&str],
) -> Result<Vec<Result<Option<Stored>, String>>, Outage> {
    let mut unusable: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let wanted = ids.iter().copied();
        let wanted: Vec<&str> = wanted.filter(|id| !unusable.contains_key(*id)).collect();
        let loaded = if wanted.is_empty() {
            Ok(Vec::new())
        } else {
            store.load(collection, &wanted).await
        };
        match loaded {
            Ok(loaded) => {
                let mut loaded = loaded.into_iter();
                let each = ids.iter().map(|id| match unusable.remove(*id) {
                    Some(why) => Err(why),
                    None => Ok(loaded.next().flatten()),
                });
                return Ok(each.collect());
            }
            Err(error) => {
                let (id, why) = blamed(error, |id| wanted.contains(&id))?;
                unusable.insert(id, why);
            }
        }
    }
}
