//! How far back a list has been read, and where it is read on.

use sagaline_views::Moment;

/// Where the next page of a list begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Next {
    /// At the top: no page was read.
    #[default]
    Top,
    /// Behind the page that was read last: its link.
    Link(String),
    /// At what was updated then. It was known, and had to be forgotten.
    Before(Moment),
    /// Nowhere: everything was read.
    End,
}

/// How far back a list is complete. What is older than that may be known in parts.
#[derive(Debug)]
pub(crate) struct Reach {
    next: Next,
    /// Nothing is missing that was updated after this.
    to: Moment,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            next: Next::Top,
            to: Moment(i64::MAX),
        }
    }
}

impl Reach {
    /// Where the next page begins.
    pub(crate) fn next(&self) -> &Next {
        &self.next
    }

    /// A page was read that ends with this update, and the next one is there.
    pub(crate) fn read(&mut self, end: Option<Moment>, link: Option<String>) {
        // A page with nothing on it goes back nobody knows how far: whatever is forgotten then may be within.
        self.to = end
            .filter(|_| link.is_some())
            .unwrap_or(Moment(i64::MIN))
            .min(self.to);
        self.next = link.map_or(Next::End, Next::Link);
    }

    /// What was updated then is not known any more: unless it was older than all that has been read, it is to be read again.
    pub(crate) fn forgot(&mut self, at: Moment) {
        if self.next != Next::Top && at >= self.to {
            self.to = at;
            self.next = Next::Before(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_to(at: i64) -> Reach {
        let mut reach = Reach::default();
        reach.read(Some(Moment(at)), Some("page-2".to_owned()));
        reach
    }

    #[test]
    fn given_a_page_then_reading_goes_on_behind_it_until_there_is_none() {
        let mut reach = Reach::default();
        assert_eq!(*reach.next(), Next::Top);
        reach.read(Some(Moment(50)), Some("page-2".to_owned()));
        assert_eq!(*reach.next(), Next::Link("page-2".to_owned()));
        reach.read(Some(Moment(10)), None);
        assert_eq!(*reach.next(), Next::End);
    }

    #[test]
    fn given_what_was_read_and_is_forgotten_then_reading_goes_on_at_the_latest_of_it() {
        let mut reach = read_to(50);
        for at in [60, 80, 70] {
            reach.forgot(Moment(at));
        }
        assert_eq!(*reach.next(), Next::Before(Moment(80)));
        let mut all = read_to(50);
        all.read(None, None);
        all.forgot(Moment(3));
        assert_eq!(*all.next(), Next::Before(Moment(3)), "it was complete");
    }

    #[test]
    fn given_what_is_older_than_all_that_was_read_then_nothing_is_missing_without_it() {
        let mut reach = read_to(50);
        reach.forgot(Moment(49));
        assert_eq!(*reach.next(), Next::Link("page-2".to_owned()));
        let mut unread = Reach::default();
        unread.forgot(Moment(49));
        assert_eq!(*unread.next(), Next::Top);
    }

    #[test]
    fn given_a_page_with_nothing_on_it_then_whatever_is_forgotten_is_read_again() {
        let mut reach = Reach::default();
        reach.read(None, Some("page-2".to_owned()));
        reach.forgot(Moment(5));
        assert_eq!(*reach.next(), Next::Before(Moment(5)));
    }
}
