//! What the dashboard shows and allows, without a browser: everything here is a pure function and is tested natively.
//! Time is an argument; what is drawn is numbers here and SVG there.

mod actions;
mod behind;
mod book;
mod chart;
mod event;
mod figures;
mod filter;
mod flight;
mod fold;
mod lanes;
mod letters;
mod listing;
mod order_form;
mod parked;
mod place;
mod reach;
mod text;
mod token;
mod tone;
mod trail;

pub use actions::{Action, Offer, offers};
pub use behind::Behind;
pub use chart::{Axis, Series, axis, path};
pub use event::{Kind, Lane, lane, name, said};
pub use figures::{Figure, Figures, figures_now, figures_then};
pub use filter::{Filter, Standing};
pub use flight::Flight;
pub use fold::Timeline;
pub use lanes::{Arrow, Band, Drawing, Node, Row, draw};
pub use letters::{Group, decoded, groups, payload_of};
pub use listing::Listing;
pub use order_form::{Draft, DraftLine, Wrong};
pub use parked::waiting_behind;
pub use place::{curl, title};
pub use reach::Next;
pub use text::{ago, count, duration, exact, rate, span_tick, tick};
pub use token::Token;
pub use tone::{Tone, label, outcome_label, outcome_tone, status_tone};
pub use trail::{Act, trail};
