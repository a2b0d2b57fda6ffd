//! Operations that are applied to a SKU's stock and not settled.

use std::collections::BTreeMap;
use std::fmt::Write;

use sagaline_contracts::{OrderId, Sku};
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::{Operation, StockOp, Verdict};

/// The operations that are applied to one SKU's stock and not settled.
///
/// In JSON each is a short text, `reserve/1/2/77/order-id`: operation, attempt, quantity, version, order. A hot SKU has hundreds of
/// them, and they are written with every batch.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    marks: BTreeMap<Operation, Mark>,
    /// How many of them are decided.
    decided: usize,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: u64,
    /// What the order's saved document says, once that is known here. Not stored: it can always be asked again.
    counts: Option<bool>,
}

/// A mark that is settled: which, and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) operation: Operation,
    pub(super) at: u64,
    pub(super) counts: bool,
}

impl Marks {
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    pub(super) fn has_decided(&self) -> bool {
        self.decided > 0
    }

    pub(super) fn version_of(&self, operation: &Operation) -> Option<u64> {
        self.marks.get(operation).map(|mark| mark.at)
    }

    pub(super) fn add(&mut self, operation: Operation, at: u64) {
        let replaced = self.marks.insert(operation, Mark { at, counts: None });
        debug_assert!(replaced.is_none(), "an operation is marked once");
    }

    /// Takes in what the saved document of an order says about its marks here.
    pub(super) fn judge(
        &mut self,
        sku: &Sku,
        order_id: &OrderId,
        verdict: impl Fn(&Operation, &Sku, u64) -> Verdict,
    ) {
        let bound = |attempt, op, qty| Operation {
            order_id: order_id.clone(),
            attempt,
            op,
            qty,
        };
        let all = bound(0, StockOp::Reserve, 0)..=bound(u32::MAX, StockOp::Ship, u32::MAX);
        for (operation, mark) in self.marks.range_mut(all) {
            if mark.counts.is_none() {
                mark.counts = match verdict(operation, sku, mark.at) {
                    Verdict::Counts => Some(true),
                    Verdict::Void => Some(false),
                    Verdict::Open => None,
                };
                self.decided += usize::from(mark.counts.is_some());
            }
        }
    }

    /// Takes out the marks that are decided.
    pub(super) fn take_decided(&mut self) -> Vec<Settled> {
        if self.decided == 0 {
            return Vec::new();
        }
        self.decided = 0;
        let decided = self
            .marks
            .extract_if(.., |_, mark| mark.counts.is_some())
            .filter_map(|(operation, mark)| {
                let counts = mark.counts?;
                let at = mark.at;
                Some(Settled {
                    operation,
                    at,
                    counts,
                })
            });
        decided.collect()
    }

    /// What was settled in a write that failed is still to be settled, if it is still there.
    pub(super) fn recall(&mut self, settled: &[Settled]) {
        for Settled {
            operation,
            at,
            counts,
        } in settled
        {
            if let Some(mark) = self.marks.get_mut(operation)
                && mark.at == *at
                && mark.counts.is_none()
            {
                mark.counts = Some(*counts);
                self.decided += 1;
            }
        }
    }

    /// The marks that are not decided, with their versions.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Operation, u64)> {
        let open = self.marks.iter().filter(|(_, mark)| mark.counts.is_none());
        open.map(|(operation, mark)| (operation, mark.at))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.marks.keys()
    }
}

/// What is stored is the same; what is known besides does not matter.
impl PartialEq for Marks {
    fn eq(&self, other: &Self) -> bool {
        let stored = |marks: &Self| -> Vec<_> {
            let entries = marks.marks.iter();
            entries.map(|(op, mark)| (op.clone(), mark.at)).collect()
        };
        stored(self) == stored(other)
    }
}

const fn name(op: StockOp) -> &'static str {
    match op {
        StockOp::Reserve => "reserve",
        StockOp::Release => "release",
        StockOp::Ship => "ship",
    }
}

impl Serialize for Marks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut texts = serializer.serialize_seq(Some(self.marks.len()))?;
        let mut text = String::with_capacity(80);
        for (operation, mark) in &self.marks {
            let Operation {
                order_id,
                attempt,
                op,
                qty,
            } = operation;
            text.clear();
            write!(text, "{}/{attempt}/{qty}/{}/{order_id}", name(*op), mark.at)
                .map_err(serde::ser::Error::custom)?;
            texts.serialize_element(&text)?;
        }
        texts.end()
    }
}

fn parse(text: &str) -> Option<(Operation, Mark)> {
    let mut parts = text.splitn(5, '/');
    let op = match parts.next()? {
        "reserve" => StockOp::Reserve,
        "release" => StockOp::Release,
        "ship" => StockOp::Ship,
        _ => return None,
    };
    let attempt = parts.next()?.parse().ok()?;
    let qty = parts.next()?.parse().ok()?;
    let at = parts.next()?.parse().ok()?;
    let order_id = OrderId::new(parts.next()?).ok()?;
    let operation = Operation {
        order_id,
        attempt,
        op,
        qty,
    };
    Some((operation, Mark { at, counts: None }))
}

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Marks;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("texts such as reserve/1/2/77/order-id")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Marks, A::Error> {
                let mut marks = BTreeMap::new();
                while let Some(text) = texts.next_element::<std::borrow::Cow<'de, str>>()? {
                    let parsed = parse(&text);
                    let (operation, mark) = parsed.ok_or_else(|| {
                        A::Error::custom(format!("{text:?} is no mark such as reserve/1/2/77/id"))
                    })?;
                    if marks.insert(operation, mark).is_some() {
                        return Err(A::Error::custom(format!("{text:?} is marked twice")));
                    }
                }
                Ok(Marks { marks, decided: 0 })
            }
        }
        deserializer.deserialize_seq(Texts)
    }
}
