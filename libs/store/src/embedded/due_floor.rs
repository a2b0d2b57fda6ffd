//! Where to start looking for due documents.
//!
//! Entries of the due index are removed from its front, as a queue's are, and a log-structured engine keeps the removed
//! ones for a while: a search from the very start would walk over all of them, each time. So a search begins at a floor
//! below which no entry is, and raises it to the first entry that it finds.

use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct DueFloor {
    floors: Mutex<Floors>,
    /// Held by the search that may raise the floor.
    searching: Mutex<()>,
}

#[derive(Debug)]
struct Floors {
    /// No entry is below.
    floor: i64,
    /// The lowest entry that is being committed now: a search may see it or not.
    committing: i64,
    /// The lowest entry that the search which is going on may have missed.
    missed: i64,
}

impl DueFloor {
    pub(super) fn new() -> Self {
        Self {
            floors: Mutex::new(Floors {
                floor: i64::MIN,
                committing: i64::MAX,
                missed: i64::MAX,
            }),
            searching: Mutex::new(()),
        }
    }

    /// Before a commit (there is one at a time) whose earliest new entry is `lowest`.
    pub(super) fn committing(&self, lowest: i64) {
        let mut floors = self.floors.lock();
        floors.committing = lowest;
        floors.missed = floors.missed.min(lowest);
        floors.floor = floors.floor.min(lowest);
    }

    /// After that commit.
    pub(super) fn committed(&self) {
        self.floors.lock().committing = i64::MAX;
    }

    /// Runs `find` with the floor; it looks for entries from there on, on a snapshot that it takes itself, and returns
    /// what it found with the time below which it saw no entry.
    pub(super) fn search<T, E>(
        &self,
        find: impl FnOnce(i64) -> Result<(T, i64), E>,
    ) -> Result<T, E> {
        let Some(_searching) = self.searching.try_lock() else {
            let floor = self.floors.lock().floor;
            return find(floor).map(|(found, _)| found);
        };
        let floor = {
            let mut floors = self.floors.lock();
            floors.missed = floors.committing;
            floors.floor
        };
        let (found, none_below) = find(floor)?;
        let mut floors = self.floors.lock();
        floors.floor = none_below.min(floors.missed);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor_of(floor: &DueFloor) -> i64 {
        floor.search(|from| Ok::<_, ()>((from, from))).unwrap()
    }

    #[test]
    fn a_search_raises_the_floor_and_an_earlier_entry_lowers_it() {
        let floor = DueFloor::new();
        floor.search(|_| Ok::<_, ()>(((), 50))).unwrap();
        assert_eq!(floor_of(&floor), 50);
        floor.committing(20);
        floor.committed();
        assert_eq!(floor_of(&floor), 20);
    }

    #[test]
    fn an_entry_committed_during_a_search_is_not_passed_over() {
        let floor = DueFloor::new();
        let search = |_| {
            floor.committing(30);
            floor.committed();
            Ok::<_, ()>(((), 50))
        };
        floor.search(search).unwrap();
        assert_eq!(floor_of(&floor), 30);
    }

    #[test]
    fn an_entry_whose_commit_began_before_the_search_is_not_passed_over() {
        let floor = DueFloor::new();
        floor.committing(30);
        let search = |_| {
            floor.committed();
            Ok::<_, ()>(((), 50))
        };
        floor.search(search).unwrap();
        assert_eq!(floor_of(&floor), 30);
    }

    #[test]
    fn a_second_search_at_the_same_time_leaves_the_floor_alone() {
        let floor = DueFloor::new();
        let outer = |_| {
            floor.committing(30);
            floor.committed();
            floor.search(|_| Ok::<_, ()>(((), 70)))?;
            Ok::<_, ()>(((), 50))
        };
        floor.search(outer).unwrap();
        assert_eq!(floor_of(&floor), 30);
    }
}
