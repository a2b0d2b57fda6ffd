//! Everything of one run.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use sagaline_service_kit::auth::JwtKeys;
use sagaline_service_kit::secret::JwtSecret;
use sagaline_store::{MemoryLimits, MemoryStore};

use crate::bank::Bank;
use crate::broker::Cluster;
use crate::clients::Clients;
use crate::depot::Depot;
use crate::env::Env;
use crate::http::Fronts;
use crate::plan::Plan;
use crate::process::Processes;
use crate::run::Wanted;

/// Everything of one run.
pub(crate) struct World {
    pub(crate) env: Arc<Env>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) shelf: Arc<MemoryStore>,
    pub(crate) bank: Arc<Bank>,
    pub(crate) depot: Arc<Depot>,
    pub(crate) fronts: Fronts,
    pub(crate) processes: Processes,
    pub(crate) clients: Clients,
    /// Instances of the read model hear of what the others save.
    pub(crate) follow_others: bool,
    pub(crate) keys: JwtKeys,
    /// An operator's token.
    pub(crate) token: String,
    /// The token of who checks the world. A rebuild is known by who asked for it and when, and a clock that steps back may show an
    /// operator's moment a second time.
    pub(crate) checker_s_token: String,
}

impl World {
    /// The world of a plan, in which nothing has happened yet.
    pub(crate) fn new(plan: &Plan, wanted: Wanted) -> Result<Arc<Self>> {
        let env = Env::new(plan.seed, plan.climate.clone(), wanted);
        let partitions = plan.partitions_max();
        let shelf = Arc::new(MemoryStore::new(MemoryLimits::default()));
        let secret: JwtSecret = "a secret that is known to everybody here"
            .parse()
            .context("the secret is too weak")?;
        // A clock that stands still: tokens are no part of what is simulated.
        let keys = JwtKeys::with_clock(&secret, Arc::new(|| 1_767_225_600));
        let token = keys.mint("operator", "admin", Duration::from_hours(24))?;
        let checker_s_token = keys.mint("checker", "admin", Duration::from_hours(24))?;
        Ok(Arc::new(Self {
            cluster: Cluster::new(Arc::clone(&env), Arc::clone(&shelf), partitions),
            shelf,
            bank: Arc::default(),
            depot: Arc::default(),
            fronts: Fronts::default(),
            processes: Processes::default(),
            clients: Clients::default(),
            follow_others: plan.has_several_read_models(),
            keys,
            token,
            checker_s_token,
            env,
        }))
    }
}
