//! One run: a plan, carried out.

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use anyhow::{Context, Result};
use sagaline_store::{ListQuery, Store};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::coverage::Coverage;
use crate::dice::seed_this_thread;
use crate::insist::insist;
use crate::plan::{Plan, Service, Step, Version, What};
use crate::process::{expel_later, keep_running};
use crate::world::World;
use crate::{checker, clients, operators};

/// How long everything may take to reach its outcome after the last fault.
const SETTLE_LIMIT: Duration = Duration::from_mins(5);
/// How often it is looked whether it has.
const SETTLE_POLL: Duration = Duration::from_millis(100);

/// A save that was given up comes within this time.
const LATE: Duration = Duration::from_secs(4);
/// Readers are told of what was saved within this time.
const TOLD: Duration = Duration::from_millis(500);
/// And within this time of what was rebuilt by another instance than theirs.
const TOLD_ELSEWHERE: Duration = Duration::from_secs(6);
/// For so long an upgraded instance runs on beside the one that takes its place.
const BESIDE_MS: u64 = 200;
/// How what is left begins, when it is a dead letter.
const LETTER: &str = "dead letter";

/// What is left when a rebuild failed, or was cut off.
const REBUILD: &str = "the read model is incomplete: a rebuild did not end";

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The plan's seed.
    pub seed: u64,
    /// What happened, as one number: the same plan gives the same one.
    pub trace_hash: u64,
    /// How much happened.
    pub events: u64,
    /// How long it took in the world.
    pub virtual_ms: u64,
    /// Every invariant that did not hold, in words that begin with its name.
    pub broken: Vec<String>,
    /// How often each fault struck.
    pub faults: BTreeMap<&'static str, u64>,
    /// What met what, when it was asked for.
    pub coverage: Coverage,
    /// What happened in words, when it was asked for.
    pub story: Vec<String>,
}

impl Report {
    /// Whether every invariant held.
    pub fn is_clean(&self) -> bool {
        self.broken.is_empty()
    }
}

/// What is wanted of a run besides its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// What happens, in words.
    pub story: bool,
    /// What meets what.
    pub coverage: bool,
}

/// Carries out a plan, from nothing to the last check.
pub fn run(plan: &Plan, wanted: Wanted) -> Result<Report> {
    measure_nothing();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("the simulated world has no runtime")?;
    seed_this_thread(plan.seed);
    runtime.block_on(carry_out(plan, wanted))
}

/// Nobody reads metrics here, and a recorder would keep every sample of every run.
fn measure_nothing() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Somebody has set one before: then it is theirs.
        let _ = metrics::set_global_recorder(metrics::NoopRecorder);
    });
}

async fn carry_out(plan: &Plan, wanted: Wanted) -> Result<Report> {
    let world = World::new(plan, wanted)?;
    let all = CancellationToken::new();
    for service in Service::ALL {
        tokio::spawn(keep_running(Arc::clone(&world), service, 0, all.clone()));
    }
    let mut stage = Stage {
        world: Arc::clone(&world),
        clients: JoinSet::new(),
        readers: JoinSet::new(),
        closing: CancellationToken::new(),
        seconds: 0,
        all,
    };
    for step in &plan.steps {
        tokio::time::sleep_until(world.env.started + Duration::from_millis(step.at_ms)).await;
        stage.take(step);
    }
    let storm_end = world.env.started + Duration::from_millis(plan.storm_end_ms());
    tokio::time::sleep_until(storm_end).await;
    stage.clear_up();
    while let Some(ended) = stage.clients.join_next().await {
        ended.context("a client panicked")??;
    }
    let settled = settle(&world).await?;
    // A save that was given up may still come, and readers are told a little after everything is done.
    tokio::time::sleep(if plan.rebuilds_elsewhere() {
        TOLD_ELSEWHERE
    } else if plan.climate.save_late + plan.climate.publish_late > 0 {
        LATE
    } else {
        TOLD
    })
    .await;
    if settled {
        settle(&world).await?;
    }
    stage.closing.cancel();
    while let Some(ended) = stage.readers.join_next().await {
        ended.context("a reader panicked")??;
    }
    checker::check(&world, settled).await?;
    if settled && plan.compares_a_rebuild() {
        checker::compare_a_rebuild(&world).await?;
    }
    Ok(Report {
        seed: plan.seed,
        trace_hash: world.env.trace.hash(),
        events: world.env.trace.count(),
        virtual_ms: u64::try_from(world.env.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        broken: world.env.broken_things(),
        faults: world.env.faults(),
        coverage: world.env.coverage(),
        story: world.env.trace.lines(),
    })
}

/// Where the steps are taken.
struct Stage {
    world: Arc<World>,
    clients: JoinSet<Result<()>>,
    readers: JoinSet<Result<()>>,
    closing: CancellationToken,
    /// How many second instances there were.
    seconds: u32,
    all: CancellationToken,
}

impl Stage {
    /// Takes a step.
    fn take(&mut self, step: &Step) {
        let world = &Arc::clone(&self.world);
        match &step.what {
            What::Order(placing) => {
                for click in 0..placing.clicks {
                    let wait = placing.gap_ms * u64::from(click);
                    self.later(wait, clients::place(Arc::clone(world), placing.clone()));
                }
            }
            What::Command(asking) => {
                for click in 0..asking.clicks {
                    let asked = operators::command(Arc::clone(world), asking.clone(), step.at_ms);
                    self.later(7 * u64::from(click), asked);
                }
            }
            What::Restock { sku, qty, clicks } => {
                let key = format!("restock-{}-{sku}", step.at_ms);
                for click in 0..*clicks {
                    let (world, sku) = (Arc::clone(&self.world), sku.clone());
                    let asked = operators::restock(world, sku, *qty, key.clone(), click == 0);
                    self.later(7 * u64::from(click), asked);
                }
            }
            What::Poison(poison) => {
                self.later(0, operators::poison(Arc::clone(world), poison.clone()));
            }
            What::Decide {
                discard,
                edit,
                clicks,
            } => {
                let decided = operators::decide(Arc::clone(world), Some(*discard), *edit, *clicks);
                self.later(0, decided);
            }
            What::Watch { order, break_after } => {
                let (world, closing) = (Arc::clone(world), self.closing.clone());
                self.readers
                    .spawn(operators::watch(world, *order, *break_after, closing));
            }
            What::Insist { order, ms, undo } => {
                let limit = Duration::from_millis(*ms);
                let insisting = insist(Arc::clone(world), *order, limit, *undo, step.at_ms);
                self.later(0, insisting);
            }
            What::Rebuild => {
                world.env.fault("rebuild");
                self.later(0, operators::rebuild(Arc::clone(world)));
            }
            _ => self.strike(step),
        }
    }

    fn later(&mut self, wait_ms: u64, what: impl Future<Output = Result<()>> + Send + 'static) {
        self.clients.spawn(async move {
            if wait_ms > 0 {
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            what.await
        });
    }

    /// A fault.
    fn strike(&mut self, step: &Step) {
        let world = &self.world;
        match &step.what {
            What::Crash {
                service,
                calls,
                after,
                down_ms,
                second,
            } => {
                let instance = world.processes.struck(*service, *second);
                if let Some(life) = world.processes.life(*service, instance) {
                    world.env.fault(if *after {
                        "crash after a call"
                    } else {
                        "crash before a call"
                    });
                    if instance > 0 {
                        world.env.fault("crash of a second instance");
                    }
                    world.processes.stay_away(*service, instance, *down_ms);
                    life.arm(*calls, *after);
                }
            }
            What::Pause {
                service,
                ms,
                second,
            } => {
                let instance = world.processes.struck(*service, *second);
                if let Some(life) = world.processes.life(*service, instance) {
                    world.env.fault("pause");
                    life.pause();
                    expel_later(world, &life);
                    let ms = *ms;
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        life.resume();
                    });
                }
            }
            What::Second { service, ms } => {
                world.env.fault("second instance");
                self.run_beside(*service, Version::Today, *ms);
            }
            What::Upgrade {
                service,
                overlap_ms,
                to,
            } => {
                world.env.fault(match to {
                    Version::Next => "upgrade",
                    Version::Today => "downgrade",
                });
                // The new one begins beside the old one, which then makes room for another new one.
                self.run_beside(*service, *to, overlap_ms + BESIDE_MS);
                let (world, service, to) = (Arc::clone(&self.world), *service, *to);
                let overlap = Duration::from_millis(*overlap_ms);
                tokio::spawn(async move {
                    tokio::time::sleep(overlap).await;
                    world.processes.becomes(service, 0, to);
                    if let Some(life) = world.processes.life(service, 0) {
                        life.kill();
                    }
                });
            }
            What::Withhold { topic, service, ms } => {
                world.cluster.withhold(topic, service.name(), *ms);
            }
            What::Grow {
                partitions,
                known_ms,
            } => {
                world.cluster.grow(*partitions);
                for service in Service::ALL {
                    let world = Arc::clone(world);
                    let wait = Duration::from_millis(world.env.broker_dice.up_to(*known_ms));
                    tokio::spawn(async move {
                        tokio::time::sleep(wait).await;
                        world.cluster.learn(service);
                    });
                }
            }
            What::Trim => world.cluster.trim(),
            What::Rebalance { service } => world.cluster.rebalance(service.name()),
            What::Outage { what, ms } => world.env.weather.take_down(*what, *ms),
            What::Clock { service, skew_ms } => {
                world.env.fault("clock jumps");
                world.processes.set_skew(*service, skew_ms * 1_000);
            }
            _ => {}
        }
    }

    /// Runs another instance for a while.
    fn run_beside(&mut self, service: Service, version: Version, millis: u64) {
        self.seconds += 1;
        self.world.processes.becomes(service, self.seconds, version);
        let retire = self.all.child_token();
        let world = Arc::clone(&self.world);
        tokio::spawn(keep_running(world, service, self.seconds, retire.clone()));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            retire.cancel();
        });
    }

    /// The last fault is over.
    fn clear_up(&self) {
        self.world
            .env
            .trace
            .note(16_u8, || "the storm is over".to_owned());
        self.world.env.weather.calm_down();
        for life in self.world.processes.all() {
            life.disarm();
            life.resume();
        }
    }
}

/// Waits until nothing is left to do, for a bounded time.
async fn settle(world: &Arc<World>) -> Result<bool> {
    let give_up = Instant::now() + SETTLE_LIMIT;
    loop {
        let left = unsettled(world).await?;
        if left.is_empty() {
            return Ok(true);
        }
        if Instant::now() > give_up {
            world.env.broken(format!("liveness: {}", left.join("; ")));
            return Ok(false);
        }
        if left.iter().any(|left| left == REBUILD) {
            // It failed, or still runs: then the operator is told so.
            operators::rebuild(Arc::clone(world)).await?;
        }
        if left.iter().any(|left| left.starts_with(LETTER)) {
            operators::decide(Arc::clone(world), None, false, 1).await?;
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

/// What is left to do.
async fn unsettled(world: &World) -> Result<Vec<String>> {
    let mut left: Vec<String> = world
        .cluster
        .lag()
        .into_iter()
        .map(|(group, lag)| format!("{group} has not committed {lag} messages"))
        .collect();
    // One that died at the last moment is on its way back.
    left.extend(
        Service::ALL
            .into_iter()
            .filter(|service| !world.fronts.is_open(*service))
            .map(|service| format!("{} is not back", service.name())),
    );
    if !left.is_empty() {
        return Ok(left);
    }
    if read_model_service::is_rebuild_unfinished(&*world.shelf).await? {
        left.push(REBUILD.to_owned());
        return Ok(left);
    }
    for collection in [
        order_service::domain::COLLECTION,
        inventory_service::ORDERS,
        inventory_service::STOCK,
        payment_service::COLLECTION,
        shipping_service::COLLECTION,
        // What was kept, and is not shown yet.
        read_model_service::collections::KEPT_ACTIONS,
        read_model_service::collections::ORPHAN_DISCARDS,
    ] {
        if let Some(due) = world.shelf.due(collection, i64::MAX, 1).await?.pop() {
            left.push(format!(
                "{collection}/{} is due: {}",
                due.id,
                String::from_utf8_lossy(&due.body)
            ));
        }
    }
    let waiting = ListQuery {
        tag: Some("waiting".to_owned()),
        after: None,
        limit: 1,
    };
    let letters = world
        .shelf
        .list(read_model_service::collections::DEAD_LETTERS, waiting)
        .await?;
    left.extend(letters.iter().map(|letter| {
        format!(
            "{LETTER} {} waits: {}",
            letter.id,
            String::from_utf8_lossy(&letter.body)
        )
    }));
    Ok(left)
}
