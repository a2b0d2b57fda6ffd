use super::*;

/// One word per decision: what is done, or what is told.
fn kind(decision: &Decided) -> &'static str {
    match decision {
        Decision::Ignore(_) => "-",
        Decision::Early(_) => "early",
        Decision::Reject(_) => "reject",
        Decision::Intend { .. } => "intend",
        Decision::Effect(Effect::Reserve { .. }) => "RESERVE",
        Decision::Effect(Effect::Release { .. }) => "RELEASE",
        Decision::Effect(Effect::Ship { .. }) => "SHIP",
        Decision::Apply(transition) => match transition.emit.as_slice() {
            [Payload::InventoryReserved(_)] => "affirm",
            [Payload::InventoryReleased(_)] => "bar",
            [Payload::CommandRejected(_)] => "refuse",
            _ => "?",
        },
    }
}

#[test]
fn every_state_has_its_answer_to_every_event() {
    // created, retried 2, 3 | ruling 1, 2, unstated | shipped 1, 2, unstated | wish, refund, authorized
    let table = [
        "RESERVE RESERVE RESERVE  bar bar bar             early early early     - - -", // fresh
        "- RESERVE RESERVE        - bar -                 reject early reject   - - -", // barred 1
        "- affirm affirm          RELEASE RELEASE RELEASE SHIP early SHIP       - - -", // reserved
        "- - affirm               - RELEASE RELEASE       SHIP SHIP SHIP        - - -", // re-affirmed
        "- RESERVE RESERVE        - bar -                 reject early reject   - - -", // failed
        "- - RESERVE              - - -                   reject reject reject  - - -", // failed, barred 2
        "- RESERVE RESERVE        - bar -                 reject early reject   - - -", // released
        "- - RESERVE              - - -                   reject reject reject  - - -", // released ahead
        "- reject reject          refuse refuse refuse    - - -                 - - -", // shipped
        "- - reject               - refuse refuse         - - -                 - - -", // shipped in 2
    ];
    assert_eq!(table.len(), states().len());
    for (row, (name, state)) in table.iter().zip(states()) {
        let expected: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(expected.len(), events().len());
        for (expected, (what, event)) in expected.iter().zip(events()) {
            let decision = SERVICE.decide(&state, &event);
            assert_eq!(
                kind(&decision),
                *expected,
                "{what} when {name}: {decision:?}"
            );
        }
    }
}
