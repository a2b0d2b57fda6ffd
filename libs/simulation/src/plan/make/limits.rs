//! What is a known limit, and would hide others: see docs/reliability.md, "Known limits".

use crate::plan::{Plan, Step, What};

/// Takes out of a plan what is a known limit.
pub(super) fn keep(plan: &mut Plan) {
    let has =
        |plan: &Plan, what: &dyn Fn(&What) -> bool| plan.steps.iter().any(|step| what(&step.what));
    if has(plan, &|what| *what == What::Trim) {
        // What is dropped cannot be read again, so a rebuild is refused.
        drop_steps(plan, |what| *what == What::Rebuild);
        // And an instance that stood still meanwhile does not hear what the others have saved.
        if plan.has_several_read_models() {
            drop_steps(plan, |what| matches!(what, What::Watch { .. }));
        }
    }
}

fn drop_steps(plan: &mut Plan, is_dropped: impl Fn(&What) -> bool) {
    plan.steps.retain(|Step { what, .. }| !is_dropped(what));
}
