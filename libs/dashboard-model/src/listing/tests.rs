use sagaline_views::{Moment, Outcome, Status};

use super::*;
use crate::Standing;

fn state(id: &str, at: i64, outcome: Outcome) -> State {
    State {
        order_id: id.to_owned(),
        current_status: Some(Status::Created),
        outcome,
        attempt: 1,
        reason: None,
        total: None,
        created_at: Moment(0),
        updated_at: Moment(at),
        ended_at: None,
        stalled_since: None,
        dead_letters_waiting: 0,
    }
}

fn taken(listing: &mut Listing, states: impl IntoIterator<Item = State>) {
    for state in states {
        listing.tell(state);
    }
    listing.take(usize::MAX);
}

fn ids(listing: &Listing) -> Vec<String> {
    let rows = listing.rows(0..listing.len());
    rows.iter().map(|state| state.order_id.clone()).collect()
}

fn pending(id: &str, at: i64) -> State {
    state(id, at, Outcome::Pending)
}

#[test]
fn the_latest_update_comes_first_and_an_older_one_changes_nothing() {
    let mut listing = Listing::default();
    taken(&mut listing, [pending("a", 1)]);
    taken(&mut listing, [pending("b", 2)]);
    taken(&mut listing, [state("a", 3, Outcome::Confirmed)]);
    taken(&mut listing, [pending("a", 1)]);
    assert_eq!(ids(&listing), ["a", "b"]);
    assert_eq!(listing.rows(0..1)[0].outcome, Outcome::Confirmed);
}

#[test]
fn a_filter_takes_what_fits_all_of_it_and_what_fits_no_longer_leaves() {
    let mut listing = Listing::default();
    let declined = State {
        reason: Some("card_declined".into()),
        ..state("x-2", 2, Outcome::Cancelled)
    };
    let parked = State {
        dead_letters_waiting: 1,
        ..pending("x-3", 3)
    };
    taken(&mut listing, [pending("Order-1", 1), declined, parked]);
    for (standing, text, fit) in [
        (Standing::All, "ORDER", vec!["Order-1"]),
        (Standing::All, " declined ", vec!["x-2"]),
        (Standing::InFlight, "x", vec!["x-3"]),
        (Standing::Parked, "", vec!["x-3"]),
    ] {
        listing.look_for(&Filter {
            standing,
            text: text.into(),
            status: None,
        });
        assert_eq!(ids(&listing), fit, "{standing:?} {text}");
    }
    taken(&mut listing, [state("x-3", 4, Outcome::Confirmed)]);
    assert!(listing.is_empty(), "it is parked no longer");
    listing.look_for(&Filter {
        status: Some(Status::Shipped),
        ..Filter::default()
    });
    assert!(listing.is_empty());
}

#[test]
fn of_what_is_told_each_order_s_latest_state_is_taken_and_no_more_than_asked_for() {
    let mut listing = Listing::default();
    for at in 1..=50 {
        listing.tell(pending(&format!("order-{}", at % 10), at));
    }
    listing.tell(pending("order-0", 3));
    assert!(listing.is_empty(), "told is not taken");
    assert!(listing.take(4), "six more");
    assert_eq!(listing.len(), 4);
    assert!(listing.take(5), "one more");
    assert!(!listing.take(5));
    let updates: Vec<i64> = listing
        .rows(0..10)
        .iter()
        .map(|it| it.updated_at.0)
        .collect();
    assert_eq!(updates, [50, 49, 48, 47, 46, 45, 44, 43, 42, 41]);
}

#[test]
fn rows_that_are_read_keep_their_places_and_show_how_their_orders_stand() {
    let mut listing = Listing::default();
    taken(&mut listing, [pending("b", 20), pending("c", 30)]);
    listing.hold();
    let more = [
        state("b", 40, Outcome::Confirmed),
        pending("new", 50),
        pending("old", 10),
        pending("older", 5),
    ];
    taken(&mut listing, more);
    assert_eq!(ids(&listing), ["c", "b", "old", "older"]);
    assert_eq!(listing.rows(1..2)[0].outcome, Outcome::Confirmed);
    assert_eq!(listing.newer(), 1);
    taken(&mut listing, [pending("new", 60), pending("oldest", 4)]);
    assert_eq!(listing.newer(), 1, "it is the same");
    assert_eq!(listing.len(), 5);
    listing.release();
    assert_eq!(ids(&listing), ["new", "b", "c", "old", "older", "oldest"]);
    assert_eq!(listing.newer(), 0);
}

#[test]
fn what_waits_above_and_fits_no_longer_is_not_counted() {
    let mut listing = Listing::default();
    listing.look_for(&Filter {
        standing: Standing::InFlight,
        ..Filter::default()
    });
    listing.hold();
    assert!(listing.held.is_none(), "there is nothing to read yet");
    taken(&mut listing, [pending("a", 1)]);
    listing.hold();
    taken(&mut listing, [pending("b", 2)]);
    assert_eq!(listing.newer(), 1);
    taken(&mut listing, [state("b", 3, Outcome::Confirmed)]);
    assert_eq!(listing.newer(), 0);
    taken(&mut listing, [state("a", 4, Outcome::Confirmed)]);
    assert_eq!(ids(&listing), ["a"], "a row that is read does not vanish");
}

#[test]
fn what_was_updated_longest_ago_is_forgotten_but_not_under_the_reader() {
    let mut listing = Listing::default();
    taken(
        &mut listing,
        (0..20_000).map(|at| pending(&at.to_string(), at)),
    );
    listing.hold();
    taken(
        &mut listing,
        (20_000..20_005).map(|at| pending(&at.to_string(), at)),
    );
    assert_eq!(listing.rows(19_999..20_000)[0].order_id, "0");
    listing.release();
    assert_eq!(listing.len(), 20_000);
    assert_eq!(listing.rows(19_999..20_000)[0].order_id, "5");
}

#[test]
fn an_old_order_that_is_told_when_there_is_no_room_is_listed_once_and_leaves_when_it_fits_no_longer()
 {
    let mut listing = Listing::default();
    let all = (100..20_100).map(|at| pending(&at.to_string(), at));
    taken(&mut listing, all);
    let old = |at, waiting| State {
        dead_letters_waiting: waiting,
        ..pending("old", at)
    };
    taken(&mut listing, [old(1, 1)]);
    listing.look_for(&Filter {
        standing: Standing::Parked,
        ..Filter::default()
    });
    assert_eq!(ids(&listing), ["old"]);
    taken(&mut listing, [old(2, 1)]);
    assert_eq!(ids(&listing), ["old"]);
    taken(&mut listing, [old(3, 0)]);
    assert!(listing.is_empty());
    listing.look_for(&Filter::default());
    assert_eq!(listing.len(), KEPT_MAX);
}

#[test]
fn what_is_told_and_never_taken_is_bounded() {
    let mut listing = Listing::default();
    for at in 0..20_001 {
        listing.tell(pending(&at.to_string(), at));
    }
    assert!(listing.told.is_empty());
    assert_eq!(listing.len(), 20_000);
}

fn standing(standing: Standing) -> Filter {
    Filter {
        standing,
        ..Filter::default()
    }
}

/// All orders are known from `first` to `last`, as after a page that ends with `first`.
fn read(first: i64, last: i64) -> Listing {
    let mut listing = Listing::default();
    taken(
        &mut listing,
        (first + 1..=last).map(|at| pending(&at.to_string(), at)),
    );
    listing.read(
        vec![pending(&first.to_string(), first)],
        Some("older".into()),
    );
    listing.take(usize::MAX);
    listing
}

#[test]
fn given_a_full_list_when_one_scrolls_down_then_older_orders_that_are_read_stay_until_one_is_up_again()
 {
    let mut listing = read(100_000, 119_999);
    assert_eq!(listing.len(), KEPT_MAX);
    listing.hold();
    for page in (0..200).rev() {
        let older = (0..100).map(|at| page * 100 + at + 80_000);
        listing.read(
            older.map(|at| pending(&at.to_string(), at)).collect(),
            Some("on".into()),
        );
        listing.take(usize::MAX);
    }
    assert_eq!(listing.len(), 2 * KEPT_MAX);
    assert_eq!(listing.rows(39_999..40_000)[0].order_id, "80000");
    taken(&mut listing, [state("80000", 80_001, Outcome::Confirmed)]);
    assert_eq!(listing.rows(39_999..40_000)[0].outcome, Outcome::Confirmed);
    assert_eq!(listing.next(), None, "there is no room for more");
    assert!(listing.is_full());
    listing.release();
    assert_eq!(listing.len(), KEPT_MAX);
    assert!(!listing.is_full());
    assert_eq!(
        listing.next(),
        Some(&Next::Before(Moment(99_999))),
        "they are read again"
    );
}

#[test]
fn given_new_orders_that_push_out_old_ones_then_reading_goes_on_where_the_list_ends() {
    let mut listing = read(0, 19_999);
    assert_eq!(listing.next(), Some(&Next::Link("older".into())));
    taken(
        &mut listing,
        (20_000..20_010).map(|at| pending(&at.to_string(), at)),
    );
    assert_eq!(listing.next(), Some(&Next::Before(Moment(9))));
    listing.hold();
    listing.read(
        (0..10).map(|at| pending(&at.to_string(), at)).collect(),
        None,
    );
    listing.take(usize::MAX);
    assert_eq!(listing.len(), 20_010);
    assert!(!listing.has_more() && !listing.is_full());
}

#[test]
fn given_a_busy_pipeline_then_the_few_orders_that_fit_are_not_pushed_out_by_those_that_do_not() {
    let mut listing = Listing::default();
    listing.look_for(&standing(Standing::Parked));
    let parked = |at: i64| State {
        dead_letters_waiting: 1,
        ..pending(&format!("parked-{at}"), at)
    };
    listing.read((0..50).map(parked).collect(), None);
    taken(
        &mut listing,
        (1_000..31_000).map(|at| pending(&at.to_string(), at)),
    );
    assert_eq!(listing.len(), 50);
    assert_eq!(listing.next(), Some(&Next::End));
    listing.look_for(&Filter::default());
    assert_eq!(listing.len(), KEPT_MAX);
    assert_eq!(listing.rows(19_999..20_000)[0].updated_at, Moment(11_000));
}

const S: i64 = 1_000_000;

/// Everything was told until 100 s; `a` is in flight, `b` has ended.
fn cut_off() -> Listing {
    let mut listing = Listing::default();
    let states = [
        pending("a", 20 * S),
        state("b", 100 * S, Outcome::Confirmed),
    ];
    listing.read(states.into(), Some("older".into()));
    listing.take(usize::MAX);
    listing.doubt();
    listing
}

#[test]
fn given_more_that_happened_than_is_told_again_then_what_was_in_flight_is_forgotten_unless_it_is_told()
 {
    let mut listing = cut_off();
    taken(&mut listing, [pending("new", 500 * S)]);
    assert_eq!(ids(&listing), ["new", "b", "a"], "nobody has asked yet");
    listing.read_anew(vec![pending("x", 400 * S)], Some("page-2".into()));
    assert_eq!(ids(&listing), ["new", "x"]);
    assert_eq!(listing.next(), Some(&Next::Link("page-2".into())));
    listing.look_for(&standing(Standing::InFlight));
    assert_eq!(
        ids(&listing),
        ["new", "x"],
        "and the count of those in flight is theirs"
    );
}

#[test]
fn given_a_page_that_goes_back_to_what_was_told_before_then_what_was_known_stands() {
    let mut listing = cut_off();
    let page = vec![pending("x", 400 * S), pending("y", 89 * S)];
    listing.read_anew(page, Some("page-2".into()));
    assert_eq!(ids(&listing), ["x", "b", "y", "a"]);
    assert_eq!(listing.next(), Some(&Next::Link("older".into())));
    let mut listing = cut_off();
    listing.read_anew(vec![pending("x", 400 * S)], None);
    assert_eq!(ids(&listing), ["x", "b", "a"], "there is nothing else");
}

#[test]
fn given_a_connection_that_is_lost_again_before_the_list_was_read_then_it_counts_from_the_first_time()
 {
    let mut listing = cut_off();
    taken(&mut listing, [pending("new", 500 * S)]);
    listing.doubt();
    listing.read_anew(vec![pending("x", 400 * S)], Some("page-2".into()));
    assert_eq!(ids(&listing), ["x"]);
}

#[test]
fn given_a_filter_when_what_was_known_is_forgotten_then_its_list_is_read_from_the_top() {
    let mut listing = cut_off();
    listing.look_for(&standing(Standing::InFlight));
    listing.read(vec![pending("a", 20 * S)], None);
    listing.take(usize::MAX);
    listing.doubt();
    listing.read_anew(
        vec![state("x", 400 * S, Outcome::Confirmed)],
        Some("page-2".into()),
    );
    assert!(listing.is_empty());
    assert_eq!(listing.next(), Some(&Next::Top));
}
