//! What inventory remembers of an order.

use sagaline_contracts::Sku;
use sagaline_contracts::payload::ReservedItem;
use serde::{Deserialize, Serialize};

/// What inventory remembers of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryState {
    /// The highest attempt that was decided; 0 before the first.
    pub attempt: u32,
    /// The highest attempt that must not reserve any more.
    #[serde(default)]
    pub barred: u32,
    /// What became of the goods.
    #[serde(default)]
    pub hold: Hold,
    /// Reservations of earlier attempts, all released: stock may still ask what became of them. One short entry for
    /// each time that a retry reserved anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Reservation>,
}

/// What became of an order's goods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hold {
    /// Nothing was ever asked of stock.
    #[default]
    None,
    /// Stock did not suffice.
    Failed {
        /// In this attempt.
        attempt: u32,
    },
    /// Set aside.
    Reserved(Reservation),
    /// Given back.
    Released(Reservation),
    /// Out of the house.
    Shipped(Reservation),
}

/// Goods of one order that were set aside together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The latest attempt that it stood for.
    pub attempt: u32,
    /// The attempt in which the goods were set aside: the name of this reservation.
    pub taken_in: u32,
    /// The goods, each SKU once.
    pub items: Vec<HeldItem>,
}

/// Some of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldItem {
    /// What.
    pub sku: Sku,
    /// How many.
    pub qty: u32,
    /// The version of the SKU's stock that set them aside: of several applications, the one that counts.
    pub taken_at: u64,
    /// The version of the SKU's stock that noted their release or shipment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
}

impl HeldItem {
    /// The item as events tell it.
    pub fn on_wire(&self) -> ReservedItem {
        ReservedItem {
            sku: self.sku.clone(),
            qty: self.qty,
        }
    }
}

impl InventoryState {
    /// The attempt that an event belongs to: as it says, or the latest one known.
    pub(super) fn attempt_of(&self, stated: Option<u32>) -> u32 {
        stated.unwrap_or_else(|| self.attempt.max(1))
    }

    /// Puts `hold` in the place of what was, and remembers a reservation that ended.
    pub(super) fn replace_hold(&mut self, hold: Hold) {
        if let Hold::Released(ended) = std::mem::replace(&mut self.hold, hold) {
            self.earlier.push(ended);
        }
    }

    /// Nothing more is expected, though a retry may come. An attempt that was barred ahead of its beginning is still
    /// expected to begin.
    pub(super) fn is_settled(&self) -> bool {
        match self.hold {
            Hold::Shipped(_) => true,
            Hold::Failed { .. } | Hold::Released(_) => self.barred <= self.attempt,
            Hold::None | Hold::Reserved(_) => false,
        }
    }

    /// Every reservation that the order ever had, with how it stands.
    pub(super) fn reservations(&self) -> impl Iterator<Item = (&Reservation, Standing)> {
        let current = match &self.hold {
            Hold::Reserved(reservation) => Some((reservation, Standing::Open)),
            Hold::Released(reservation) => Some((reservation, Standing::Released)),
            Hold::Shipped(reservation) => Some((reservation, Standing::Shipped)),
            Hold::None | Hold::Failed { .. } => None,
        };
        let earlier = self.earlier.iter();
        current
            .into_iter()
            .chain(earlier.map(|ended| (ended, Standing::Released)))
    }

    /// Every SKU that the order ever held some of; one may come twice.
    pub fn skus(&self) -> impl Iterator<Item = &Sku> {
        self.reservations()
            .flat_map(|(reservation, _)| reservation.items.iter().map(|item| &item.sku))
    }
}

/// How a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    Released,
    Shipped,
}
