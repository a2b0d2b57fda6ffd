//! Stock: one versioned document per SKU, and how it stays exact although a store saves one document at a time.
//!
//! # The problem
//!
//! An order's document and the stock documents of its SKUs cannot be saved together; events come again after a crash;
//! and an instance that was thought dead may still write. Yet each reservation, release and shipment must move the
//! counters exactly once, and no unit may be promised twice.
//!
//! # The protocol
//!
//! 1. An **operation** (order, attempt, reserve | release | ship, quantity) is *applied* to a SKU by one compare-and-set, which
//!    leaves a **mark** with the version that it made. If the mark of the same operation is there already, it was applied,
//!    and that mark's version is the answer.
//! 2. The order's document is saved, by compare-and-set too. It names the version of each SKU's stock in which the operation was
//!    applied ([`HeldItem`](crate::domain::HeldItem)).
//! 3. The mark is **settled**, with the SKU's next write, by what the order's *saved* document says
//!    ([`InventoryState::verdict`]): it counts, it is void, or the document does not know yet and the mark stays.
//!
//! | operation | when it is applied | settled, counts | settled, void |
//! |---|---|---|---|
//! | reserve | available → reserved | – | reserved → available |
//! | release | – (noted only) | reserved → available | – |
//! | ship | – (noted only) | reserved → shipped | – |
//!
//! Units are taken early and given late. A reservation must move the counters at once, or two orders get the same unit. A
//! release must not: until the order's document is saved it might be void, and somebody may have ordered the units by then.
//! That a shipment waits, too, keeps `reserved` large enough for everything that may still be taken from it.
//!
//! # Why each operation counts exactly once
//!
//! *Verdicts are final.* A document decides an attempt once (`attempt` and `barred` only rise), a reservation's versions never
//! change, its end is final. So a verdict from any saved version of the order is true for ever, and a stale read is harmless;
//! and nothing is ever settled by a state that is not saved.
//!
//! *An application is named by its version.* Versions of a SKU's stock rise by one with each write and are never used again, so
//! of all applications of one operation to one SKU at most one can be named by the order's document, and the others are void.
//! A mark vanishes in the very write that moves the counters for it, and a mark of that version can never come again.
//! So what counts moves the counters once. It does so at last, because a mark stays until it is settled, and the sweep finds it.
//!
//! *Nothing falls below zero.* `reserved` holds the quantity of every reservation that was applied and has not ended, be it void or
//! not; a release or shipment that counts ends one of them, and a void reservation that is taken back is one of them.
//! `available` falls only where it was looked at in the same compare-and-set.
//!
//! # What can go wrong, and what happens
//!
//! - *A crash, or an answer that is lost, before the stock is saved:* nothing happened. *After some SKUs of an order are saved:* the
//!   redelivery finds their marks and applies the rest; when the rest has been sold meanwhile, the order fails, its document says
//!   so, and the marks are void. *After all are saved, before the order's document is:* the redelivery finds all marks. *After the
//!   document is saved, before the marks are settled:* the redelivery is a duplicate; the sweep settles.
//! - *The redelivery is decided otherwise*, for instance because a ruling now comes first and bars the attempt: the document never
//!   names the marks, and says that the attempt is decided: void.
//! - *A conflict on a SKU*, because another instance wrote it: only that SKU is loaded again and only the orders that want it
//!   are evaluated again, with the marks that they already have elsewhere.
//! - *A zombie and its successor do the same event.* If the zombie's mark is still there, the successor takes it over, and whichever
//!   document is saved first names it. If the mark was settled already, then the order is decided: the zombie applies the operation
//!   anew, fails to save its document, and its mark is void. Meanwhile a void reservation keeps units from sale, and a void
//!   release gives none away.
//! - *The cache is stale.* A write fails. An answer without a write (all marks are there already) is guarded by the order's own
//!   compare-and-set, for marks only vanish once their order is decided. A shortage has no such guard, so it is only ever stated
//!   from a document that was read, and cleared of settled marks, in the same call.
//!
//! At every saved version: `initial + restocked = available + reserved + shipped`; [`StockDocument::decode`] refuses anything else.
//!
//! Two things would break this: an order's document that vanishes while marks of it are open (they then stay for good, which
//! loses units, but never sells them twice), and a stock document that is removed and made anew with versions from 1.
//!
//! [`InventoryState::verdict`]: crate::domain::InventoryState::verdict

mod allocation;
mod cache;
mod document;
mod ledger;
mod marks;

pub use document::{Counters, DamagedStock, Restock, Restocked, StockDocument};
pub use ledger::{Ledger, LedgerError, Limits, RestockError, Sightings};
