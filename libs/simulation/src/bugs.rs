//! Bugs that are planted one at a time, to see that none of them stays hidden.

use sagaline_saga::planted;

use crate::plan::{Plan, Scale};
use crate::run::{Wanted, run};

/// A bug by the name of its switch, and what it is.
pub type Bug = (&'static str, &'static str);

/// Every planted bug.
pub const BUGS: &[Bug] = &[
    ("no dedup", "an event that comes again is handled again"),
    (
        "dedup by count",
        "of an order's events only the latest two are remembered",
    ),
    (
        "redelivery publishes nothing",
        "a duplicate does not publish again what it caused",
    ),
    (
        "parked order overtaken",
        "an event is handled although one before it waits",
    ),
    (
        "poison dropped",
        "a message that is no event is skipped, without a dead letter",
    ),
    (
        "orphans dropped",
        "a message of no order is skipped, without a dead letter",
    ),
    ("ids not derived", "event ids are drawn, not derived"),
    (
        "timestamps of the machine",
        "an event may be earlier than its cause",
    ),
    (
        "death before its redrive",
        "what dies again may be earlier than the redrive",
    ),
    (
        "early event forgotten",
        "an event that comes too early is taken for handled",
    ),
    (
        "no outbox for what was kept",
        "what a kept event causes stands in no outbox",
    ),
    (
        "failed effect dropped",
        "an event is given up when its effect fails once",
    ),
    (
        "discard drops the queue",
        "a discard drops what waits behind, too",
    ),
    (
        "commit before produce",
        "offsets are committed although nothing was acknowledged",
    ),
    (
        "ack before durable",
        "offsets are committed although nothing was saved",
    ),
    (
        "lost race ignored",
        "a lost compare-and-set is taken for a save",
    ),
    (
        "publish before save",
        "events are published before their record is saved",
    ),
    (
        "effect before its intent",
        "what an event intends is not saved before its effect is carried out",
    ),
    (
        "batch dropped in an outage",
        "a batch that fails is committed all the same",
    ),
    ("no sweep", "the outbox is never swept"),
    (
        "acked before published",
        "an outbox entry counts as acknowledged when it is handed over",
    ),
    (
        "answered before it is durable",
        "201 is sent although the order could not be saved",
    ),
    (
        "retry without compare-and-set",
        "a retry is accepted for an attempt that is over",
    ),
    (
        "cancelled when one side is",
        "an order is cancelled when stock or money is settled, not both",
    ),
    (
        "old attempts count",
        "facts of an older attempt count for the latest",
    ),
    (
        "timeout decides alone",
        "the order service cancels at a timeout without asking the pivot",
    ),
    ("no hold", "stock is counted without a mark"),
    ("released twice", "a release moves the counters twice"),
    ("oversold", "stock is set aside that is not there"),
    (
        "barred attempt reserved",
        "stock is reserved for an attempt that was undone",
    ),
    ("wish obeyed", "inventory obeys a wish that nobody ruled on"),
    (
        "refund without check",
        "payment obeys a wish that nobody ruled on",
    ),
    (
        "another key at each call",
        "the gateway is called under another idempotency key each time",
    ),
    (
        "unseen charge not voided",
        "an unseen attempt is barred without voiding its charge",
    ),
    (
        "barred attempt charged",
        "an attempt that was undone is charged",
    ),
    (
        "declined without a ruling",
        "nobody is told to release the stock of a declined order",
    ),
    (
        "barred attempt shipped",
        "an attempt that was undone is shipped",
    ),
    (
        "undone after the pivot",
        "an order is undone although its goods are out",
    ),
    (
        "unseen parcel not voided",
        "an unseen attempt is barred without calling its parcel back",
    ),
    (
        "refund ruled twice",
        "shipping rules a refund as often as it is asked",
    ),
    (
        "stream resumes off by one",
        "a reader who resumes gets the last event again",
    ),
    (
        "projection loses a race",
        "the projector takes a lost compare-and-set for a save",
    ),
    (
        "rebuild tells nobody",
        "readers are not told of what a rebuild finds",
    ),
    (
        "readers given up in an outage",
        "readers are not told of what a rebuild finds when the store is away at its end",
    ),
    (
        "others are not followed",
        "an instance does not hear of what the others save",
    ),
    (
        "looked for once",
        "an instance gives up what another one has not saved yet",
    ),
    (
        "nobody watches, nobody waits",
        "an instance forgets what another one is about to save unless somebody watches",
    ),
    (
        "rebuild ends another's",
        "a rebuild that ends takes away the mark of a later one",
    ),
    (
        "one decision per letter",
        "a letter of no order can be decided once only",
    ),
    ("no audit", "operators' commands are not written down"),
    ("two clicks are two commands", "commands' ids are drawn"),
    (
        "a key per attempt",
        "a click repeated in the next attempt is another command",
    ),
];

/// How a planted bug was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catch {
    /// After how many seeds.
    pub seeds: u64,
    /// What was broken, the first complaint.
    pub complaint: String,
}

/// Looks for a planted bug, from the seed `base` on; nothing when `seeds_max` seeds do not show it.
pub fn hunt(
    bug: &'static str,
    base: u64,
    seeds_max: u64,
    scale: Scale,
) -> anyhow::Result<Option<Catch>> {
    for at in 0..seeds_max {
        let plan = Plan::of_seed(base.wrapping_add(at), scale);
        planted::switch(Some(bug));
        let report = run(&plan, Wanted::default());
        planted::switch(None);
        if let Some(complaint) = report?.broken.into_iter().next() {
            return Ok(Some(Catch {
                seeds: at + 1,
                complaint,
            }));
        }
    }
    Ok(None)
}
