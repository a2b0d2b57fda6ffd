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
}

fn drop_steps(plan: &mut Plan, is_dropped: impl Fn(&What) -> bool) {
    plan.steps.retain(|Step { what, .. }| !is_dropped(what));
}
