//! What a caller asks for when placing an order, and what it is known by.

use std::fmt;

use sagaline_contracts::payload::OrderItem;
use sagaline_contracts::{Money, OrderId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// A valid request for a new order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The caller's own id for it.
    pub order_id: Option<OrderId>,
    /// The caller's own id of the request.
    pub client_request_id: Option<String>,
    /// Who orders: an opaque id.
    pub customer_id: Option<String>,
    /// The currency of all amounts.
    pub currency: Option<String>,
    /// What is ordered, 1 to 100 lines.
    pub items: Vec<OrderItem>,
    /// What it costs.
    pub total: Money,
}

impl NewOrder {
    /// What the request says, in short: every field in a canonical form, so that `10` and `10.00` are the same.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut text = |text: Option<&str>| {
            // the length before each text: no two lists of texts make the same bytes
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hash.update(length.to_le_bytes());
            hash.update(text.unwrap_or_default());
        };
        text(self.order_id.as_ref().map(OrderId::as_str));
        text(self.client_request_id.as_deref());
        text(self.customer_id.as_deref());
        text(self.currency.as_deref());
        for item in &self.items {
            text(Some(item.sku.as_str()));
        }
        hash.update(self.items.len().to_le_bytes());
        hash.update(self.total.cents().to_le_bytes());
        for item in &self.items {
            hash.update(item.qty.to_le_bytes());
            // no price is negative
            hash.update(item.price.map_or(-1, Money::cents).to_le_bytes());
        }
        let digest = hash.finalize();
        let (head, _) = digest.split_at(16);
        Fingerprint(
            head.iter()
                .fold(0, |number, byte| (number << 8) | u128::from(*byte)),
        )
    }
}

/// A request in short, 128 bit of its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl de::Visitor<'_> for Hex {
            type Value = Fingerprint;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fingerprint in hexadecimal")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Fingerprint, E> {
                u128::from_str_radix(text, 16)
                    .map(Fingerprint)
                    .map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

#[cfg(test)]
mod tests {
    use sagaline_contracts::Sku;

    use super::*;

    fn request() -> NewOrder {
        NewOrder {
            order_id: None,
            client_request_id: None,
            customer_id: None,
            currency: None,
            items: vec![item("SKU-1", 1), item("SKU-2", 2)],
            total: Money::from_cents(1_000).unwrap(),
        }
    }

    fn item(sku: &str, qty: u32) -> OrderItem {
        OrderItem {
            sku: Sku::new(sku).unwrap(),
            qty,
            price: None,
        }
    }

    #[test]
    fn every_field_changes_the_fingerprint() {
        let changes: [fn(&mut NewOrder); 9] = [
            |r| r.order_id = Some(OrderId::new("o-1").unwrap()),
            |r| r.client_request_id = Some("c-1".into()),
            |r| r.customer_id = Some("c-1".into()),
            |r| r.currency = Some("EUR".into()),
            |r| r.total = Money::ZERO,
            |r| r.items.swap(0, 1),
            |r| r.items[0].qty = 3,
            |r| r.items[0].price = Some(Money::ZERO),
            |r| r.items.truncate(1),
        ];
        let mut seen = vec![request().fingerprint()];
        for change in changes {
            let mut other = request();
            change(&mut other);
            assert!(!seen.contains(&other.fingerprint()), "{other:?}");
            seen.push(other.fingerprint());
        }
        assert_eq!(request().fingerprint(), request().fingerprint());
    }

    #[test]
    fn a_fingerprint_survives_its_text() {
        let fingerprint = request().fingerprint();
        let text = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(text.len(), 34);
        assert_eq!(
            serde_json::from_str::<Fingerprint>(&text).unwrap(),
            fingerprint
        );
    }
}
