//! The views.

pub(crate) mod audit;
pub(crate) mod letters;
pub(crate) mod new_order;
pub(crate) mod order;
pub(crate) mod orders;
pub(crate) mod overview;
pub(crate) mod stock;
