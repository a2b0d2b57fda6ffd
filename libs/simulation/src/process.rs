//! The five services as processes that die, come back, stand still and have wrong clocks.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use parking_lot::Mutex;
use sagaline_external_calls::CallLimits;
use sagaline_runtime::{Ports, SilentHealth};
use sagaline_service_host::{Front, ServiceHost};
use sagaline_service_kit::CorsOrigins;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::bank::SimGateway;
use crate::broker::SimBroker;
use crate::depot::SimCarrier;
use crate::dice::draw_id;
use crate::life::Life;
use crate::plan::{Service, Version};
use crate::store::SimStore;
use crate::world::World;

/// The processes that there are.
#[derive(Default)]
pub(crate) struct Processes {
    /// The latest life of each instance: service and number of the instance.
    lives: Mutex<BTreeMap<(Service, u32), Arc<Life>>>,
    /// How long an instance stays away when it dies next.
    down_ms: Mutex<BTreeMap<(Service, u32), u64>>,
    /// How wrong a service's clocks are.
    skew_us: Mutex<BTreeMap<Service, i64>>,
    /// Which version an instance is when it starts next.
    versions: Mutex<BTreeMap<(Service, u32), Version>>,
    next_life: Mutex<u64>,
}

impl Processes {
    /// The process of an instance.
    pub(crate) fn life(&self, service: Service, instance: u32) -> Option<Arc<Life>> {
        self.lives.lock().get(&(service, instance)).cloned()
    }

    /// Which instance a fault strikes.
    pub(crate) fn struck(&self, service: Service, second: bool) -> u32 {
        if second { self.second(service) } else { 0 }
    }

    /// The latest instance of a service besides its first one, or that one when there is no other.
    fn second(&self, service: Service) -> u32 {
        let lives = self.lives.lock();
        let of_service = lives.keys().filter(|(known, _)| *known == service);
        of_service.map(|(_, instance)| *instance).max().unwrap_or(0)
    }

    /// The instance is of this version when it starts next.
    pub(crate) fn becomes(&self, service: Service, instance: u32, version: Version) {
        self.versions.lock().insert((service, instance), version);
    }

    /// Which version the instance is when it starts next.
    fn version(&self, service: Service, instance: u32) -> Version {
        let versions = self.versions.lock();
        versions
            .get(&(service, instance))
            .copied()
            .unwrap_or_default()
    }

    /// Every process that there is.
    pub(crate) fn all(&self) -> Vec<Arc<Life>> {
        self.lives.lock().values().cloned().collect()
    }

    /// How long the instance stays away when it dies next.
    pub(crate) fn stay_away(&self, service: Service, instance: u32, millis: u64) {
        self.down_ms.lock().insert((service, instance), millis);
    }

    /// A service's clocks are wrong from now on.
    pub(crate) fn set_skew(&self, service: Service, skew_us: i64) {
        self.skew_us.lock().insert(service, skew_us);
        for ((known, _), life) in &*self.lives.lock() {
            if *known == service {
                life.set_skew(skew_us);
            }
        }
    }

    fn born(&self, world: &World, service: Service, instance: u32) -> Arc<Life> {
        let id = {
            let mut next = self.next_life.lock();
            *next += 1;
            *next
        };
        let skew_us = self.skew_us.lock().get(&service).copied().unwrap_or(0);
        let version = self.version(service, instance);
        let life = Life::new(id, skew_us, world.env.started, version);
        self.lives
            .lock()
            .insert((service, instance), Arc::clone(&life));
        world.env.trace.note((12_u8, service, id, version), || {
            format!("#{id} is {} ({instance}, {version:?})", service.name())
        });
        life
    }
}

/// Runs an instance, starts it again whenever it dies, and ends when `retire` is cancelled and it has drained.
pub(crate) async fn keep_running(
    world: Arc<World>,
    service: Service,
    instance: u32,
    retire: CancellationToken,
) {
    loop {
        let life = world.processes.born(&world, service, instance);
        let ended = run_once(&world, service, &life, &retire).await;
        world.fronts.close(&life);
        if ended == Ended::Retired {
            // Its streams end with it.
            life.kill();
            world.processes.lives.lock().remove(&(service, instance));
            return;
        }
        world
            .env
            .trace
            .note((13_u8, life.id), || format!("#{} is dead", life.id));
        expel_later(&world, &life);
        let away = world
            .processes
            .down_ms
            .lock()
            .remove(&(service, instance))
            .unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(away)).await;
        if retire.is_cancelled() {
            world.processes.lives.lock().remove(&(service, instance));
            return;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Dead,
    Retired,
}

async fn run_once(
    world: &Arc<World>,
    service: Service,
    life: &Arc<Life>,
    retire: &CancellationToken,
) -> Ended {
    let (callers, routes) = oneshot::channel();
    let root = start(
        world,
        service,
        life,
        retire.child_token(),
        Front::InProcess(callers),
    );
    let opening = {
        let (world, life) = (Arc::clone(world), Arc::clone(life));
        async move {
            if let Ok(routes) = routes.await
                && !life.is_dead()
            {
                world.fronts.open(service, life, routes);
            }
        }
    };
    tokio::spawn(opening);
    let mut root = tokio::spawn(root);
    tokio::select! {
        biased;
        () = life.ended() => {
            root.abort();
            Ended::Dead
        }
        done = &mut root => {
            match done {
                Ok(Ok(())) if retire.is_cancelled() => return Ended::Retired,
                Ok(Ok(())) => world.env.broken(format!("process: {} ended by itself", service.name())),
                Ok(Err(error)) => world.env.broken(format!("process: {} failed: {error:#}", service.name())),
                Err(error) => world.env.broken(format!("process: {} panicked: {error}", service.name())),
            }
            life.kill();
            Ended::Dead
        }
    }
}

/// A group notices after a while that a member is silent.
pub(crate) fn expel_later(world: &Arc<World>, life: &Arc<Life>) {
    let session = world.env.weather.read(|now| now.session_ms);
    let (world, life) = (Arc::clone(world), Arc::clone(life));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(session)).await;
        world.cluster.expel(&life);
    });
}

type Root = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The service itself, as its own process and the all-in-one start it, on ports of this world.
fn start(
    world: &Arc<World>,
    service: Service,
    life: &Arc<Life>,
    shutdown: CancellationToken,
    front: Front,
) -> Root {
    let ports = Ports {
        store: Arc::new(SimStore {
            shelf: Arc::clone(&world.shelf),
            env: Arc::clone(&world.env),
            life: Arc::clone(life),
        }),
        broker: Arc::new(SimBroker {
            cluster: Arc::clone(&world.cluster),
            life: Arc::clone(life),
        }),
        clock: Arc::clone(life) as Arc<_>,
        health: Arc::new(SilentHealth),
    };
    let keys = world.keys.clone();
    let mut host = ServiceHost::new(service.name(), ports, keys, CorsOrigins::Any, shutdown);
    host.draw_id = draw_id;
    match service {
        Service::Order => {
            let options = order_service::Options {
                saga_timeout: Duration::from_millis(
                    world.env.weather.read(|now| now.saga_timeout_ms),
                ),
                checkout_wait: Duration::from_secs(10),
                in_flight_max: 100_000,
                relay_fail_once: false,
                relay_fail_type: None,
                relay_fail_until_attempt: 0,
            };
            Box::pin(order_service::run(host, options, front))
        }
        Service::Inventory => Box::pin(inventory_service::run(
            host,
            inventory_service::Options {},
            front,
        )),
        Service::Payment => {
            let gateway = SimGateway {
                bank: Arc::clone(&world.bank),
                env: Arc::clone(&world.env),
                life: Arc::clone(life),
            };
            Box::pin(payment_service::run_on(
                host,
                Arc::new(gateway),
                limits(),
                front,
            ))
        }
        Service::Shipping => {
            let carrier = SimCarrier {
                depot: Arc::clone(&world.depot),
                bank: Arc::clone(&world.bank),
                env: Arc::clone(&world.env),
                life: Arc::clone(life),
            };
            Box::pin(shipping_service::run_on(
                host,
                Arc::new(carrier),
                limits(),
                front,
            ))
        }
        Service::ReadModel => Box::pin(read_model_service::run(
            host,
            read_model_service::Options {
                follow_others: world.follow_others,
                ..read_model_service::Options::default()
            },
            front,
        )),
    }
}

fn limits() -> CallLimits {
    CallLimits {
        concurrency: NonZeroUsize::MIN.saturating_add(15),
        time: Duration::from_secs(1),
        silence_max: NonZeroUsize::MIN.saturating_add(4),
    }
}
