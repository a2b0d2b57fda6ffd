//! What is a known limit, and would hide others: see docs/reliability.md, "Known limits".

use crate::plan::{Plan, Service, Step, What};
use crate::weather::Dependency;

/// Takes out of a plan what is a known limit.
pub(super) fn keep(plan: &mut Plan) {
    let has =
        |plan: &Plan, what: &dyn Fn(&What) -> bool| plan.steps.iter().any(|step| what(&step.what));
    // Several instances of the read model share queries, not live streams; and one that rebuilds does not tell the others, which may
    // remember what was there before.
    let several = |what: &What| {
        matches!(
            what,
            What::Second {
                service: Service::ReadModel,
                ..
            } | What::Upgrade {
                service: Service::ReadModel,
                ..
            }
        )
    };
    if has(plan, &several) {
        drop_steps(plan, |what| {
            matches!(what, What::Watch { .. } | What::Rebuild)
        });
    }
    // What is dropped cannot be read again.
    if has(plan, &|what| *what == What::Trim) {
        drop_steps(plan, |what| *what == What::Rebuild);
    }
    // A rebuild clears the documents, and their versions begin anew: a save from before that arrives after it cannot be told
    // from one of after. And its end is told by clocks: it ends when nothing came for a while.
    if has(plan, &|what| *what == What::Rebuild) {
        plan.climate.save_late = 0;
        drop_steps(plan, |what| {
            matches!(
                what,
                What::Clock { .. }
                    | What::Pause {
                        service: Service::ReadModel,
                        ..
                    }
                    | What::Outage {
                        what: Dependency::Broker,
                        ..
                    }
            )
        });
    }
}

fn drop_steps(plan: &mut Plan, is_dropped: impl Fn(&What) -> bool) {
    plan.steps.retain(|Step { what, .. }| !is_dropped(what));
}
