//! Every random sequence of operations has the same results on each store and on a model of a few lines.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use sagaline_store::{
    EmbeddedOptions, EmbeddedStore, Index, ListQuery, MemoryStore, Rank, SaveResult, Store, Stored,
    Write,
};
use tempfile::TempDir;

const COLLECTIONS: [&str; 2] = ["orders", "payments"];
const IDS: [&str; 6] = ["a", "b", "ab", "ö", "z", "0"];
const TAGS: [&str; 3] = ["new", "ne", "done"];

#[derive(Debug, Clone)]
enum Operation {
    Save(Vec<(usize, Expected, Index)>),
    Load(Vec<usize>),
    Due(i64, usize),
    List(ListQuery),
    Scan(Option<usize>, usize),
    Remove(Vec<(usize, Expected)>),
    Clear,
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Current,
    Off(u64),
}

fn index() -> impl Strategy<Value = Index> {
    let number = || prop::option::of(-3_i64..4);
    let tag = prop::option::of(prop::sample::select(&TAGS[..]));
    (number(), number(), tag, any::<bool>()).prop_map(|(due, rank, tag, settled)| Index {
        due,
        tag: tag.map(str::to_owned),
        rank,
        settled,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let id = 0..IDS.len();
    let expected = prop_oneof![
        4 => Just(Expected::Current),
        1 => (0_u64..3).prop_map(Expected::Off),
    ];
    let write = (id.clone(), expected.clone(), index());
    let removal = (id.clone(), expected);
    let removal = prop::collection::vec(removal, 0..4).prop_map(|mut removals| {
        removals.sort_by_key(|(id, ..)| *id);
        removals.dedup_by_key(|(id, ..)| *id);
        removals
    });
    let batch = prop::collection::vec(write, 1..6).prop_map(|mut writes| {
        writes.sort_by_key(|(id, ..)| *id);
        writes.dedup_by_key(|(id, ..)| *id);
        writes
    });
    let after = prop::option::of((-4_i64..5, prop::sample::select(&IDS[..])));
    let list = (
        prop::option::of(prop::sample::select(&TAGS[..])),
        after,
        0_usize..5,
    )
        .prop_map(|(tag, after, limit)| ListQuery {
            tag: tag.map(str::to_owned),
            after: after.map(|(rank, id)| Rank {
                rank,
                id: id.to_owned(),
            }),
            limit,
        });
    prop_oneof![
        8 => batch.prop_map(Operation::Save),
        2 => prop::collection::vec(id.clone(), 0..5).prop_map(Operation::Load),
        3 => (-4_i64..5, 0_usize..5).prop_map(|(now, limit)| Operation::Due(now, limit)),
        3 => list.prop_map(Operation::List),
        2 => (prop::option::of(id), 0_usize..5).prop_map(|(after, limit)| Operation::Scan(after, limit)),
        2 => removal.prop_map(Operation::Remove),
        1 => Just(Operation::Clear),
        1 => Just(Operation::Reopen),
    ]
}

/// What a store is, said as simply as possible.
#[derive(Default)]
struct Model(BTreeMap<String, (u64, Bytes, Index)>);

impl Model {
    fn version(&self, id: &str) -> u64 {
        self.0.get(id).map_or(0, |(version, ..)| *version)
    }

    fn save(&mut self, writes: &[Write]) -> Vec<SaveResult> {
        let mut save = |write: &Write| {
            if self.version(&write.id) != write.expected {
                return SaveResult::Conflict;
            }
            let document = (write.expected + 1, write.body.clone(), write.index.clone());
            self.0.insert(write.id.clone(), document);
            SaveResult::Saved
        };
        writes.iter().map(&mut save).collect()
    }

    fn get(&self, id: &str) -> Option<Stored> {
        self.0.get(id).map(|(version, body, _)| Stored {
            id: id.to_owned(),
            version: *version,
            body: body.clone(),
        })
    }

    fn sorted<K: Ord>(&self, key: impl Fn(&str, &Index) -> Option<K>, limit: usize) -> Vec<Stored> {
        let keys = self
            .0
            .iter()
            .filter_map(|(id, (_, _, index))| Some((key(id, index)?, id)));
        let mut keys: Vec<_> = keys.collect();
        keys.sort();
        keys.into_iter()
            .take(limit)
            .filter_map(|(_, id)| self.get(id))
            .collect()
    }

    fn due(&self, now: i64, limit: usize) -> Vec<Stored> {
        self.sorted(
            |id, index| Some((index.due.filter(|due| *due <= now)?, id.to_owned())),
            limit,
        )
    }

    fn list(&self, query: &ListQuery) -> Vec<Stored> {
        let place = |id: &str, index: &Index| {
            let rank = Rank {
                rank: index.rank?,
                id: id.to_owned(),
            };
            let is_wanted = query.tag.is_none() || query.tag == index.tag;
            let is_after = query.after.as_ref().is_none_or(|after| rank < *after);
            (is_wanted && is_after).then_some(std::cmp::Reverse(rank))
        };
        self.sorted(place, query.limit)
    }

    fn remove(&mut self, documents: &[(String, u64)]) {
        for (id, version) in documents {
            if self.version(id) == *version {
                self.0.remove(id);
            }
        }
    }

    fn tagged(&self, tag: &str) -> u64 {
        let is_listed = |index: &Index| index.rank.is_some() && index.tag.as_deref() == Some(tag);
        let listed = self.0.values().filter(|(_, _, index)| is_listed(index));
        listed.count() as u64
    }

    fn scan(&self, after: Option<&str>, limit: usize) -> Vec<Stored> {
        let is_after = |id: &str| after.is_none_or(|after| id > after);
        self.sorted(|id, _| is_after(id).then(|| id.to_owned()), limit)
    }
}

struct Subjects {
    folder: TempDir,
    memory: MemoryStore,
    embedded: Option<EmbeddedStore>,
    models: [Model; 2],
}

impl Subjects {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            embedded: Some(Self::open(&folder)),
            folder,
            memory: MemoryStore::default(),
            models: Default::default(),
        }
    }

    fn open(folder: &TempDir) -> EmbeddedStore {
        EmbeddedStore::open_with(folder.path(), EmbeddedOptions { fsync: false }).unwrap()
    }

    async fn apply(&mut self, which: usize, operation: Operation, body: Bytes) {
        if matches!(operation, Operation::Reopen) {
            drop(self.embedded.take());
            self.embedded = Some(Self::open(&self.folder));
        }
        let (collection, model) = (COLLECTIONS[which], &mut self.models[which]);
        let embedded = self.embedded.as_ref().unwrap();
        let memory = &self.memory;
        macro_rules! agree {
            ($expected:expr, $store:ident => $call:expr) => {
                let expected = $expected;
                let $store: &dyn Store = memory;
                assert_eq!($call.await.unwrap(), expected, "in memory");
                let $store: &dyn Store = embedded;
                assert_eq!($call.await.unwrap(), expected, "embedded");
            };
        }
        match operation {
            Operation::Save(batch) => {
                let write = |(id, expected, index): (usize, Expected, Index)| Write {
                    id: IDS[id].to_owned(),
                    expected: match expected {
                        Expected::Current => model.version(IDS[id]),
                        Expected::Off(version) => version,
                    },
                    body: body.clone(),
                    index,
                };
                let writes: Vec<Write> = batch.into_iter().map(write).collect();
                agree!(model.save(&writes), store => store.save(collection, writes.clone()));
            }
            Operation::Load(ids) => {
                let ids: Vec<&str> = ids.into_iter().map(|id| IDS[id]).collect();
                let expected: Vec<_> = ids.iter().map(|id| model.get(id)).collect();
                agree!(expected, store => store.load(collection, &ids));
            }
            Operation::Due(now, limit) => {
                agree!(model.due(now, limit), store => store.due(collection, now, limit));
            }
            Operation::List(query) => {
                agree!(model.list(&query), store => store.list(collection, query.clone()));
            }
            Operation::Scan(after, limit) => {
                let after = after.map(|id| IDS[id]);
                agree!(model.scan(after, limit), store => store.scan(collection, after, limit));
            }
            Operation::Remove(removals) => {
                let expected = |(id, expected): (usize, Expected)| {
                    let version = match expected {
                        Expected::Current => model.version(IDS[id]),
                        Expected::Off(version) => version,
                    };
                    (IDS[id].to_owned(), version)
                };
                let documents: Vec<_> = removals.into_iter().map(expected).collect();
                agree!(model.remove(&documents), store => store.remove(collection, documents.clone()));
            }
            Operation::Clear => {
                model.0.clear();
                agree!((), store => store.clear(collection));
            }
            Operation::Reopen => {}
        }
        agree!(model.0.len() as u64, store => store.count(collection));
        for tag in TAGS {
            agree!(model.tagged(tag), store => store.count_tagged(collection, tag));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_store_does_what_the_model_does(
        operations in prop::collection::vec((0..COLLECTIONS.len(), operation()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut subjects = Subjects::new();
            for (n, (which, operation)) in operations.into_iter().enumerate() {
                let body = Bytes::from(format!(r#"{{"n":{n}}}"#));
                subjects.apply(which, operation, body).await;
            }
        });
    }
}
