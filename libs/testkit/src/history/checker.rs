//! The search for a linearization: Wing and Gong's, with Lowe's memory of where it has been.

use std::collections::HashSet;
use std::hash::Hash;

/// One operation of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<O> {
    /// When it was called.
    pub called: u64,
    /// When it was answered; `None` when nobody knows what became of it.
    pub answered: Option<u64>,
    /// What was asked and answered.
    pub what: O,
}

/// What operations do to a state, one after the other.
pub trait Model {
    /// The state.
    type State: Clone + Eq + Hash;
    /// An operation with its answer.
    type Op;

    /// Where everything begins.
    fn initial(&self) -> Self::State;

    /// The state after the operation, if its answer is right in this state. An operation without an answer comes with
    /// `known` false, and any answer is right.
    fn apply(&self, state: &Self::State, operation: &Self::Op, known: bool) -> Option<Self::State>;
}

/// A set of operations, by their positions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn has(&self, at: usize) -> bool {
        self.0
            .get(at / 64)
            .is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    fn toggle(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word ^= 1 << (at % 64);
        }
    }
}

/// An order of the operations (by their positions in the history) in which all answers are right and nothing comes before
/// what was answered before it was called; `None` if there is no such order. Operations without an answer may be left out.
pub fn linearization<M: Model>(model: &M, history: &[Operation<M::Op>]) -> Option<Vec<usize>> {
    // In the order of their calls, what may come next is soon found.
    let mut by_call: Vec<usize> = (0..history.len()).collect();
    by_call.sort_by_key(|at| history.get(*at).map_or(0, |operation| operation.called));
    let mut search = Search {
        model,
        history,
        by_call,
        answered_left: history.iter().filter(|o| o.answered.is_some()).count(),
        done: Done::none(history.len()),
        order: Vec::new(),
        been: HashSet::new(),
    };
    let begin = model.initial();
    search.run(begin).then_some(search.order)
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Operation<M::Op>],
    by_call: Vec<usize>,
    answered_left: usize,
    done: Done,
    order: Vec<usize>,
    been: HashSet<(Done, M::State)>,
}

/// A place of the search: the state there, what may come next, and the last choice.
struct Place<S> {
    state: S,
    next: Vec<usize>,
    chosen: Option<usize>,
}

impl<M: Model> Search<'_, M> {
    /// Depth first, without recursion: histories are long.
    fn run(&mut self, begin: M::State) -> bool {
        let next = self.candidates();
        let mut path = vec![Place {
            state: begin,
            next,
            chosen: None,
        }];
        while self.answered_left > 0 {
            let Some(place) = path.last_mut() else {
                return false;
            };
            if let Some(taken) = place.chosen.take() {
                self.take_back(taken);
            }
            let Some(at) = place.next.pop() else {
                path.pop();
                continue;
            };
            let Some(operation) = self.history.get(at) else {
                continue;
            };
            let known = operation.answered.is_some();
            let Some(state) = self.model.apply(&place.state, &operation.what, known) else {
                continue;
            };
            place.chosen = Some(at);
            self.take(at);
            if self.been.insert((self.done.clone(), state.clone())) {
                let next = self.candidates();
                path.push(Place {
                    state,
                    next,
                    chosen: None,
                });
            }
        }
        true
    }

    fn take(&mut self, at: usize) {
        self.done.toggle(at);
        self.order.push(at);
        self.answered_left -= self.counts(at);
    }

    fn take_back(&mut self, at: usize) {
        self.done.toggle(at);
        self.order.pop();
        self.answered_left += self.counts(at);
    }

    fn counts(&self, at: usize) -> usize {
        usize::from(self.history.get(at).is_some_and(|o| o.answered.is_some()))
    }

    /// What may come next: everything that was called before the first answer among what is left. The first to be tried is
    /// the last: what was answered first.
    fn candidates(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let mut first_answer = u64::MAX;
        for at in self.by_call.iter().copied() {
            let Some(operation) = self.history.get(at).filter(|_| !self.done.has(at)) else {
                continue;
            };
            if operation.called > first_answer {
                break;
            }
            first_answer = first_answer.min(operation.answered.unwrap_or(u64::MAX));
            found.push((operation.answered.unwrap_or(u64::MAX), at));
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, at)| at).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A register of a number.
    struct Register;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Op {
        Write(u8),
        Read(u8),
    }

    impl Model for Register {
        type State = u8;
        type Op = Op;

        fn initial(&self) -> u8 {
            0
        }

        fn apply(&self, state: &u8, operation: &Op, known: bool) -> Option<u8> {
            match operation {
                Op::Write(value) => Some(*value),
                Op::Read(value) => (!known || value == state).then_some(*state),
            }
        }
    }

    fn op(called: u64, answered: impl Into<Option<u64>>, what: Op) -> Operation<Op> {
        Operation {
            called,
            answered: answered.into(),
            what,
        }
    }

    fn holds(history: &[Operation<Op>]) -> bool {
        linearization(&Register, history).is_some()
    }

    #[test]
    fn what_follows_one_another_is_right_only_in_that_order() {
        assert!(holds(&[op(0, 1, Op::Write(5)), op(2, 3, Op::Read(5))]));
        assert!(!holds(&[op(0, 1, Op::Write(5)), op(2, 3, Op::Read(0))]));
        assert!(!holds(&[op(0, 1, Op::Read(5)), op(2, 3, Op::Write(5))]));
    }

    #[test]
    fn what_overlaps_may_be_in_either_order() {
        for value in [0, 5] {
            assert!(holds(&[op(0, 9, Op::Write(5)), op(1, 2, Op::Read(value))]));
        }
        let there_and_back = [
            op(0, 9, Op::Write(5)),
            op(1, 2, Op::Read(5)),
            op(3, 4, Op::Read(0)),
        ];
        assert!(!holds(&there_and_back));
    }

    #[test]
    fn what_nobody_knows_the_end_of_may_happen_late_or_never_but_not_before_its_call() {
        let unknown = op(5, None, Op::Write(5));
        assert!(holds(&[unknown.clone(), op(10, 11, Op::Read(0))]));
        assert!(holds(&[
            unknown.clone(),
            op(10, 11, Op::Read(0)),
            op(20, 21, Op::Read(5))
        ]));
        assert!(!holds(&[unknown, op(1, 2, Op::Read(5))]));
    }

    #[test]
    fn a_history_of_thousands_of_operations_is_checked_at_once() {
        let mut history = Vec::new();
        for n in 0..2_000_u64 {
            let value = u8::try_from(n % 200).unwrap();
            history.push(op(n * 10, n * 10 + 25, Op::Write(value)));
        }
        history.push(op(30_000, 30_001, Op::Read(199)));
        assert!(holds(&history));
    }

    /// Every order there is.
    fn by_force(history: &[Operation<Op>], done: &mut Vec<usize>, state: u8) -> bool {
        let left: Vec<usize> = (0..history.len()).filter(|at| !done.contains(at)).collect();
        if left.iter().all(|at| history[*at].answered.is_none()) {
            return true;
        }
        left.iter().any(|&at| {
            let is_first = left.iter().all(|other| {
                history[*other]
                    .answered
                    .is_none_or(|answered| answered >= history[at].called)
            });
            let known = history[at].answered.is_some();
            let next = Register.apply(&state, &history[at].what, known);
            is_first
                && next.is_some_and(|next| {
                    done.push(at);
                    let found = by_force(history, done, next);
                    done.pop();
                    found
                })
        })
    }

    proptest! {
        #[test]
        fn the_search_finds_what_trying_every_order_finds(
            drawn in proptest::collection::vec((0_u64..12, 0_u64..8, 0_u8..3, any::<bool>(), 0..8), 0..7)
        ) {
            let history: Vec<Operation<Op>> = drawn
                .into_iter()
                .map(|(called, took, value, writes, fate)| {
                    let what = if writes { Op::Write(value) } else { Op::Read(value) };
                    op(called, (fate > 0).then_some(called + took), what)
                })
                .collect();
            let found = linearization(&Register, &history);
            prop_assert_eq!(found.is_some(), by_force(&history, &mut Vec::new(), 0));
            if let Some(order) = found {
                let mut state = 0;
                for (position, at) in order.iter().enumerate() {
                    let known = history[*at].answered.is_some();
                    state = Register.apply(&state, &history[*at].what, known).unwrap();
                    for later in &order[position..] {
                        prop_assert!(history[*later].answered.is_none_or(|end| end >= history[*at].called));
                    }
                }
            }
        }
    }
}
