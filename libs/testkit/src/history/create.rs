//! Idempotent creation: a register for each key, written once.

use super::Model;

/// What was answered to a request to create something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CreationAnswer {
    /// 201: this request created it, under this id.
    Created(String),
    /// 200: it was there, under this id.
    WasThere(String),
    /// 409: something else is there.
    Conflict,
}

/// A request to create something under a key, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// What it says.
    pub body: u32,
    /// The answer; `None` when there was none.
    pub answer: Option<CreationAnswer>,
}

/// All requests under one key: the first that takes effect is what is there from then on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Creations;

impl Model for Creations {
    /// What is there: its body, and the id that was told. An id that nobody was told yet is not known.
    type State = Option<(u32, Option<String>)>;
    type Op = Creation;

    fn initial(&self) -> Self::State {
        None
    }

    fn apply(&self, state: &Self::State, request: &Creation, _: bool) -> Option<Self::State> {
        match (&request.answer, state) {
            (None, None) => Some(Some((request.body, None))),
            // It came too late to do anything.
            (None, there) => Some(there.clone()),
            (Some(CreationAnswer::Created(id)), None) => {
                Some(Some((request.body, Some(id.clone()))))
            }
            (Some(CreationAnswer::WasThere(id)), Some((body, known)))
                if *body == request.body && known.as_ref().is_none_or(|known| known == id) =>
            {
                Some(Some((*body, Some(id.clone()))))
            }
            (Some(CreationAnswer::Conflict), Some((body, _))) if *body != request.body => {
                Some(state.clone())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Operation, linearization};
    use super::*;

    fn op(called: u64, answered: u64, body: u32, answer: CreationAnswer) -> Operation<Creation> {
        Operation {
            called,
            answered: Some(answered),
            what: Creation {
                body,
                answer: Some(answer),
            },
        }
    }

    fn lost(called: u64, body: u32) -> Operation<Creation> {
        Operation {
            called,
            answered: None,
            what: Creation { body, answer: None },
        }
    }

    fn created(id: &str) -> CreationAnswer {
        CreationAnswer::Created(id.to_owned())
    }

    fn was_there(id: &str) -> CreationAnswer {
        CreationAnswer::WasThere(id.to_owned())
    }

    fn holds(history: &[Operation<Creation>]) -> bool {
        linearization(&Creations, history).is_some()
    }

    #[test]
    fn one_creates_and_the_others_find_it() {
        assert!(holds(&[
            op(0, 9, 1, created("a")),
            op(1, 8, 1, was_there("a")),
            op(2, 7, 2, CreationAnswer::Conflict),
        ]));
    }

    #[test]
    fn two_creations_two_ids_or_no_conflict_are_found() {
        assert!(!holds(&[
            op(0, 9, 1, created("a")),
            op(1, 8, 1, created("a"))
        ]));
        assert!(!holds(&[
            op(0, 1, 1, created("a")),
            op(2, 3, 1, was_there("b"))
        ]));
        assert!(!holds(&[
            op(0, 1, 1, created("a")),
            op(2, 3, 2, was_there("a"))
        ]));
        assert!(!holds(&[op(0, 1, 1, CreationAnswer::Conflict)]));
        assert!(!holds(&[
            op(0, 1, 1, was_there("a")),
            op(2, 3, 1, created("a"))
        ]));
    }

    #[test]
    fn what_a_lost_request_created_is_found_by_the_next_one() {
        assert!(holds(&[lost(0, 1), op(5, 6, 1, was_there("a"))]));
        assert!(holds(&[lost(0, 1), op(5, 6, 2, CreationAnswer::Conflict)]));
        assert!(holds(&[lost(0, 1), op(5, 6, 2, created("a"))]));
        assert!(!holds(&[lost(7, 1), op(5, 6, 1, was_there("a"))]));
    }
}
