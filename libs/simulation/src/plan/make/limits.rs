//! What is a known limit, and would hide others: see docs/reliability.md, "Known limits".

use crate::plan::{Plan, Service, Step, What};

/// Takes out of a plan what is a known limit.
pub(super) fn keep(plan: &mut Plan) {
    let has =
        |plan: &Plan, what: &dyn Fn(&What) -> bool| plan.steps.iter().any(|step| what(&step.what));
    // Several instances of the read model share queries, not live streams.
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
        drop_steps(plan, |what| matches!(what, What::Watch { .. }));
    }
    // What is dropped cannot be read again, so a rebuild is refused.
    if has(plan, &|what| *what == What::Trim) {
        drop_steps(plan, |what| *what == What::Rebuild);
    }
    // A read model that stood still has seen some topics and not others: it may know of the retry that came after a click, and not of
    // the click, and takes the second click for one of the next attempt.
    let stands_still = |what: &What| {
        matches!(
            what,
            What::Pause {
                service: Service::ReadModel,
                ..
            }
        )
    };
    if has(plan, &stands_still) {
        for step in &mut plan.steps {
            if let What::Command(asking) = &mut step.what
                && asking.at_read_model
            {
                asking.clicks = 1;
            }
        }
    }
}

fn drop_steps(plan: &mut Plan, is_dropped: impl Fn(&What) -> bool) {
    plan.steps.retain(|Step { what, .. }| !is_dropped(what));
}
