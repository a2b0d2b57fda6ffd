//! Fetch: a long poll that is woken by its own partitions.

use super::fetch_response::Writer;
use super::wire::{Reply, Request, WireError, finish_frame};
use crate::broker::Broker;
use crate::clock;
use crate::log::{DiskRead, FetchWaiter, Partition, Read, ReadFault, Registration};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{FetchRequest, TopicName};
use std::sync::Arc;
use tokio::time::Instant;

/// Response bytes of a partition besides its records, at most.
const PARTITION_OVERHEAD: usize = 64;

/// One partition of the request.
struct Wanted {
    index: i32,
    partition: Option<Arc<Partition>>,
    offset: i64,
    max_bytes: usize,
}

struct WantedTopic {
    name: TopicName,
    partitions: Vec<Wanted>,
}

/// A fetch that is being worked on.
struct Fetch {
    broker: Arc<Broker>,
    request: Request,
    topics: Vec<WantedTopic>,
    min_bytes: usize,
    max_bytes: usize,
    deadline: Instant,
}

/// What one look at all partitions found, in the order of the request.
struct Found {
    reads: Vec<Read>,
    bytes: usize,
    failed: bool,
}

pub(super) fn fetch(broker: &Arc<Broker>, request: Request) -> Result<Reply, WireError> {
    let body: FetchRequest = request.body()?;
    let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    let topics = body.topics.into_iter().map(|wanted| {
        let topic = broker.topics.get(&wanted.topic);
        let partitions = wanted.partitions.into_iter().map(|wanted| Wanted {
            index: wanted.partition,
            partition: topic
                .as_ref()
                .and_then(|topic| topic.partition(wanted.partition)),
            offset: wanted.fetch_offset,
            max_bytes: size(wanted.partition_max_bytes),
        });
        WantedTopic {
            name: wanted.topic,
            partitions: partitions.collect(),
        }
    });
    let fetch = Fetch {
        topics: topics.collect(),
        min_bytes: size(body.min_bytes),
        max_bytes: size(body.max_bytes).min(broker.config.fetch_max_bytes),
        deadline: clock::now() + clock::client_millis(body.max_wait_ms),
        broker: Arc::clone(broker),
        request,
    };
    Ok(Reply::Later(Box::pin(async move {
        fetch.run().await.map(Some)
    })))
}

impl Found {
    /// Does the reads that need the disk, on a thread that may block.
    async fn read_disk(&mut self) {
        let plans = self.reads.iter_mut().enumerate();
        let plans: Vec<(usize, DiskRead)> = plans
            .filter_map(|(at, read)| Some((at, read.from_disk.take()?)))
            .collect();
        if plans.is_empty() {
            return;
        }
        let work = move || {
            plans
                .into_iter()
                .map(|(at, plan)| (at, plan.run()))
                .collect::<Vec<_>>()
        };
        let Ok(results) = tokio::task::spawn_blocking(work).await else {
            self.failed = true;
            return;
        };
        for (at, result) in results {
            let read = &mut self.reads[at];
            match result {
                Ok(batches) => {
                    read.bytes = batches.iter().map(Bytes::len).sum();
                    read.batches = batches;
                    self.bytes += read.bytes;
                }
                Err(error) => {
                    tracing::error!(%error, "a batch cannot be read from the log");
                    read.fault = Some(ReadFault::Storage);
                    self.failed = true;
                }
            }
        }
    }
}

impl Fetch {
    async fn run(self) -> Result<Bytes, WireError> {
        loop {
            let mut found = self.look();
            found.read_disk().await;
            let enough = found.failed || found.bytes >= self.min_bytes.min(self.max_bytes);
            if enough || self.broker.shutdown.is_cancelled() || clock::now() >= self.deadline {
                return self.encode(&found);
            }
            let waiter = FetchWaiter::new(self.min_bytes.min(self.max_bytes) - found.bytes);
            let _registration = Registration::new(&waiter, self.seen(&found));
            drop(found);
            tokio::select! {
                () = waiter.woken() => {}
                () = tokio::time::sleep_until(self.deadline) => {}
                () = self.broker.shutdown.cancelled() => {}
            }
        }
    }

    fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        self.topics.iter().flat_map(|topic| &topic.partitions)
    }

    fn look(&self) -> Found {
        let mut found = Found {
            reads: Vec::new(),
            bytes: 0,
            failed: false,
        };
        let mut reserved = 0;
        for wanted in self.wanted() {
            let taken = found.bytes + reserved;
            let left = self.max_bytes.saturating_sub(taken);
            let read = wanted
                .partition
                .as_ref()
                .map_or_else(Read::default, |partition| {
                    partition.read(wanted.offset, wanted.max_bytes.min(left), taken == 0)
                });
            found.failed |= wanted.partition.is_none() || read.fault.is_some();
            found.bytes += read.bytes;
            // How much there is on disk is not known yet; leave room for all that was asked for.
            reserved += read.from_disk.as_ref().map_or(0, DiskRead::at_most);
            found.reads.push(read);
        }
        found
    }

    /// The partitions, with the readable end that the look saw.
    fn seen(&self, found: &Found) -> Vec<(Arc<Partition>, i64)> {
        self.wanted()
            .zip(&found.reads)
            .filter_map(|(wanted, read)| {
                Some((Arc::clone(wanted.partition.as_ref()?), read.high_watermark))
            })
            .collect()
    }

    fn encode(&self, found: &Found) -> Result<Bytes, WireError> {
        let names: usize = self.topics.iter().map(|topic| topic.name.len() + 16).sum();
        let size = 64 + names + found.reads.len() * PARTITION_OVERHEAD + found.bytes;
        let mut writer = Writer {
            out: BytesMut::with_capacity(size),
            version: self.request.version,
        };
        writer.begin(self.request.correlation_id);
        writer.count(self.topics.len());
        let mut reads = found.reads.iter();
        for topic in &self.topics {
            writer.name(&topic.name);
            writer.count(topic.partitions.len());
            for (wanted, read) in topic.partitions.iter().zip(&mut reads) {
                writer.partition(wanted.index, wanted.partition.is_some(), read);
            }
            writer.no_tags();
        }
        writer.no_tags();
        finish_frame(&mut writer.out).ok_or_else(|| WireError::Encode {
            api: self.request.api,
            version: self.request.version,
            reason: "it is too long".to_owned(),
        })?;
        Ok(writer.out.freeze())
    }
}
