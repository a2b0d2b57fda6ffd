//! All groups of the broker, and the passing of time for them.

use super::member::{JoinRequest, JoinResult};
use super::offsets::CommittedOffset;
use super::state::{Group, GroupError, Outcome};
use crate::clock;
use crate::config::BrokerConfig;
use crate::journal::{Journal, Record};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SHORTEST_SESSION: Duration = Duration::from_millis(100);
const LONGEST_SESSION: Duration = Duration::from_mins(30);
/// Time that the offsets of a group without members are kept; as in Kafka.
const OFFSETS_RETENTION: Duration = Duration::from_hours(7 * 24);
/// Shortest pause between two looks at the groups.
const EXPIRY_GRANULARITY: Duration = Duration::from_millis(20);
/// Longest member-chosen prefix of a member id.
const MAX_ID_PREFIX: usize = 64;

type Shared = Arc<Mutex<Group>>;

/// Holds the groups.
#[derive(Debug)]
pub(crate) struct GroupCoordinator {
    groups: Mutex<HashMap<String, Shared>>,
    /// A deadline has come closer.
    deadlines_changed: Notify,
    max_groups: usize,
    max_members: usize,
    run: i64,
    given_ids: AtomicU64,
    journal: Option<Arc<Journal>>,
}

impl GroupCoordinator {
    /// `run` tells the member ids of this run from those of an earlier one.
    pub(crate) fn new(config: &BrokerConfig, run: i64, journal: Option<Arc<Journal>>) -> Self {
        Self {
            groups: Mutex::default(),
            deadlines_changed: Notify::new(),
            max_groups: config.max_groups,
            max_members: config.max_group_members,
            run,
            given_ids: AtomicU64::new(0),
            journal,
        }
    }

    /// Takes over the offsets that were committed in an earlier run.
    pub(crate) fn restore(
        &self,
        recovered: HashMap<String, HashMap<(String, i32), CommittedOffset>>,
    ) {
        let mut groups = self.groups.lock();
        for (id, offsets) in recovered {
            let group = groups.entry(id).or_default();
            for ((topic, partition), committed) in offsets {
                group.lock().offsets.commit(&topic, partition, committed);
            }
        }
    }

    /// Records a change of a group, under the lock that made it.
    pub(crate) fn record(&self, record: &Record<'_>) {
        if let Some(journal) = &self.journal {
            journal.record(record);
        }
    }

    pub(crate) fn join(&self, group_id: &str, request: &JoinRequest) -> Outcome<JoinResult> {
        let refuse = |error| Outcome::Now(JoinResult::refused(error, &request.member_id));
        if group_id.is_empty() {
            return refuse(GroupError::InvalidGroupId);
        }
        if !(SHORTEST_SESSION..=LONGEST_SESSION).contains(&request.session_timeout) {
            return refuse(GroupError::InvalidSessionTimeout);
        }
        let joined = self.with_new(group_id, |group| {
            group.join(
                request,
                || self.new_member_id(request),
                self.max_members,
                clock::now(),
            )
        });
        self.deadlines_changed.notify_one();
        joined.unwrap_or_else(|| refuse(GroupError::GroupFull))
    }

    fn new_member_id(&self, request: &JoinRequest) -> String {
        let prefix = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let end = prefix.floor_char_boundary(MAX_ID_PREFIX);
        let number = self.given_ids.fetch_add(1, Ordering::Relaxed);
        format!("{}-{:x}-{number:x}", &prefix[..end], self.run)
    }

    /// Does something with a group, if it exists.
    pub(crate) fn with<T>(&self, group_id: &str, act: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let group = self.groups.lock().get(group_id).cloned()?;
        let mut group = group.lock();
        (!group.deleted).then(|| act(&mut group))
    }

    /// Does something with a group, which is made if it does not exist; `None` when there are too many.
    pub(crate) fn with_new<T>(
        &self,
        group_id: &str,
        act: impl FnOnce(&mut Group) -> T,
    ) -> Option<T> {
        loop {
            let group = {
                let mut groups = self.groups.lock();
                match groups.get(group_id) {
                    Some(group) => Arc::clone(group),
                    None if groups.len() >= self.max_groups => return None,
                    None => Arc::clone(groups.entry(group_id.to_owned()).or_default()),
                }
            };
            let mut group = group.lock();
            if !group.deleted {
                return Some(act(&mut group));
            }
        }
    }

    /// All groups, by id.
    pub(crate) fn all(&self) -> Vec<(String, Shared)> {
        let groups = self.groups.lock();
        let mut all: Vec<_> = groups
            .iter()
            .map(|(id, group)| (id.clone(), Arc::clone(group)))
            .collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Deletes a group without members. `None`: there is no such group; `Some(false)`: it has members.
    pub(crate) fn delete(&self, group_id: &str) -> Option<bool> {
        let mut groups = self.groups.lock();
        let shared = Arc::clone(groups.get(group_id)?);
        let mut group = shared.lock();
        if !group.is_idle() {
            return Some(false);
        }
        group.deleted = true;
        self.record(&Record::GroupDeleted { group: group_id });
        groups.remove(group_id);
        Some(true)
    }

    /// Drops groups that nobody uses: at once where there are no offsets, after a week where there are.
    pub(crate) fn forget_idle(&self, now: Instant) {
        let is_over = |group: &mut Group| {
            if !group.is_idle() {
                group.idle_since = None;
                return false;
            }
            let since = *group.idle_since.get_or_insert(now);
            group.offsets.is_empty() || now.duration_since(since) > OFFSETS_RETENTION
        };
        for (id, group) in self.all() {
            // Looked at without the lock of all groups first, and again under it.
            let over = is_over(&mut group.lock());
            if over {
                self.delete(&id);
            }
        }
    }

    /// Drops all offsets of a topic that is deleted.
    pub(crate) fn forget_topic(&self, topic: &str) {
        for (_, group) in self.all() {
            group.lock().offsets.remove_topic(topic);
        }
    }

    /// Expires members and rebalances as time passes, until shutdown. Sleeps while there is nothing to expire.
    pub(crate) async fn expire_sessions(&self, shutdown: &CancellationToken) {
        loop {
            let now = clock::now();
            let next = self
                .all()
                .into_iter()
                .filter_map(|(_, group)| group.lock().expire(now))
                .min();
            let pause = async {
                match next {
                    Some(next) => {
                        tokio::time::sleep_until(next.max(now + EXPIRY_GRANULARITY)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                () = self.deadlines_changed.notified() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}
