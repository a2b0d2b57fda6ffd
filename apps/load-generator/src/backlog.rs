//! Orders that are due and wait for a connection.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// An order that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) order: u64,
    pub(crate) due_us: u64,
}

/// First in, first out. Its bound is that of the orders in flight, which whoever puts into it has to keep.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Due>,
    closed: bool,
}

impl Backlog {
    pub(crate) fn put(&self, due: Due) {
        self.state.lock().waiting.push_back(due);
        // The sender that fell asleep last: load stays on few connections, and the rest stay closed.
        self.wake.notify_last();
    }

    /// The next order, once there is one. `None` when the backlog is closed and empty.
    pub(crate) async fn next(&self) -> Option<Due> {
        loop {
            let woken = self.wake.notified();
            {
                let mut state = self.state.lock();
                if let Some(due) = state.waiting.pop_front() {
                    return Some(due);
                }
                if state.closed {
                    return None;
                }
            }
            woken.await;
        }
    }

    /// No more orders will come. What waits is still handed out.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_waiters();
    }

    /// Takes away what waits, and says how many those were.
    pub(crate) fn clear(&self) -> usize {
        let mut state = self.state.lock();
        let count = state.waiting.len();
        state.waiting.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn due(order: u64) -> Due {
        Due { order, due_us: 0 }
    }

    #[tokio::test]
    async fn orders_are_handed_out_in_the_order_in_which_they_were_due_even_after_closing() {
        let backlog = Backlog::default();
        backlog.put(due(1));
        backlog.put(due(2));
        backlog.close();
        assert_eq!(backlog.next().await, Some(due(1)));
        assert_eq!(backlog.next().await, Some(due(2)));
        assert_eq!(backlog.next().await, None);
    }

    #[tokio::test]
    async fn closing_wakes_all_who_wait() {
        let backlog = Arc::new(Backlog::default());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let backlog = Arc::clone(&backlog);
                tokio::spawn(async move { backlog.next().await })
            })
            .collect();
        tokio::task::yield_now().await;
        backlog.close();
        for waiter in waiting {
            assert_eq!(waiter.await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn every_order_is_handed_out_once_among_many_takers() {
        let backlog = Arc::new(Backlog::default());
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let backlog = Arc::clone(&backlog);
                tokio::spawn(async move {
                    let mut taken = Vec::new();
                    while let Some(due) = backlog.next().await {
                        taken.push(due.order);
                        tokio::task::yield_now().await;
                    }
                    taken
                })
            })
            .collect();
        for order in 0..1_000 {
            backlog.put(due(order));
            if order % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        backlog.close();
        let mut taken = Vec::new();
        for taker in takers {
            taken.extend(taker.await.unwrap());
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..1_000).collect::<Vec<_>>());
    }
}
