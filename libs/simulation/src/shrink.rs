//! From a plan that shows a bug to the shortest one that is found which still does.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::plan::{Plan, What};
use crate::run::{Report, Wanted, run};
use crate::weather::Climate;

/// The names of the invariants that are broken.
fn names(report: &Report) -> BTreeSet<String> {
    let name = |complaint: &String| complaint.split(':').next().unwrap_or_default().to_owned();
    report.broken.iter().map(name).collect()
}

/// Takes steps and faults away for as long as one of the same invariants breaks, with at most `runs_max` runs. Gives the plan that is
/// left; one that shows nothing is left as it is.
pub fn shrink(plan: &Plan, runs_max: u32) -> Result<Plan> {
    let mut shrinker = Shrinker {
        broken: names(&run(plan, Wanted::default())?),
        best: plan.clone(),
        runs_left: runs_max,
    };
    if shrinker.broken.is_empty() {
        return Ok(shrinker.best);
    }
    loop {
        let before = shrinker.best.clone();
        shrinker.drop_steps()?;
        shrinker.calm_the_climate()?;
        shrinker.drop_clicks()?;
        if shrinker.best == before || shrinker.runs_left == 0 {
            return Ok(shrinker.best);
        }
    }
}

struct Shrinker {
    broken: BTreeSet<String>,
    best: Plan,
    runs_left: u32,
}

impl Shrinker {
    /// Takes a plan when it shows the same; says whether it did.
    fn try_plan(&mut self, plan: Plan) -> Result<bool> {
        if self.runs_left == 0 || plan == self.best {
            return Ok(false);
        }
        self.runs_left -= 1;
        let shows = !names(&run(&plan, Wanted::default())?).is_disjoint(&self.broken);
        if shows {
            self.best = plan;
        }
        Ok(shows)
    }

    /// Takes away halves of the steps, then quarters, down to single ones.
    fn drop_steps(&mut self) -> Result<()> {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.best.steps.len() {
                let mut plan = self.best.clone();
                let end = (at + size).min(plan.steps.len());
                plan.steps.drain(at..end);
                if !self.try_plan(plan)? {
                    at += size;
                }
            }
            if size == 1 {
                break;
            }
            size = size.div_ceil(2);
        }
        Ok(())
    }

    /// Takes away one kind of trouble after the other.
    fn calm_the_climate(&mut self) -> Result<()> {
        type Calm = fn(&mut Climate);
        let calms: [Calm; 28] = [
            |c| c.hold = 0,
            |c| c.ack_ms = 0,
            |c| c.publish_lost = 0,
            |c| c.publish_partial = 0,
            |c| c.ack_lost = 0,
            |c| c.publish_late = 0,
            |c| c.commit_lost = 0,
            |c| c.store_ms = 0,
            |c| c.store_lost = 0,
            |c| c.save_partial = 0,
            |c| c.save_ack_lost = 0,
            |c| c.save_late = 0,
            |c| c.save_conflict = 0,
            |c| c.party_ms = 0,
            |c| c.party_silent = 0,
            |c| c.party_lost = 0,
            |c| c.party_ack_lost = 0,
            |c| c.answer_lost = 0,
            |c| c.declined = 0,
            |c| c.refused = 0,
            |c| c.eager = false,
            |c| c.scattered = false,
            |c| c.partitions = 1,
            // As in a calm world: what is left then is not about batches, commits or sessions.
            |c| c.batch_max = Climate::calm().batch_max,
            |c| c.fetch_ms = Climate::calm().fetch_ms,
            |c| c.commit_ms = Climate::calm().commit_ms,
            |c| c.session_ms = Climate::calm().session_ms,
            |c| c.picked_up = 0,
        ];
        for calm in calms {
            let mut plan = self.best.clone();
            calm(&mut plan.climate);
            self.try_plan(plan)?;
        }
        Ok(())
    }

    /// Lets everybody click once.
    fn drop_clicks(&mut self) -> Result<()> {
        for at in 0..self.best.steps.len() {
            let mut plan = self.best.clone();
            let Some(step) = plan.steps.get_mut(at) else {
                continue;
            };
            match &mut step.what {
                What::Order(placing) => {
                    placing.clicks = 1;
                    placing.lines.truncate(1);
                    placing.checkout = false;
                    placing.contradicts = false;
                }
                What::Command(asking) => asking.clicks = 1,
                What::Restock { clicks, .. } | What::Decide { clicks, .. } => *clicks = 1,
                _ => {}
            }
            self.try_plan(plan)?;
        }
        Ok(())
    }
}
