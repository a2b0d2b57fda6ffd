//! What a caller asks for when placing an order, and what it is known by.

use std::fmt;

use sagaline_contracts::payload::OrderItem;
use sagaline_contracts::{Money, OrderId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use uuid::Uuid;

// Made once; changing one would give every order that was placed under such a key another id.
const BY_IDEMPOTENCY_KEY: Uuid = Uuid::from_u128(0x1f7a_93d2_60c4_4b0e_9a35_d2b8_41e6_7c05);
const BY_CLIENT_REQUEST_ID: Uuid = Uuid::from_u128(0x8c21_4e0f_b7d9_4f63_8e12_05a9_63fc_d871);

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

/// What a request can be recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// The caller's id for the order.
    OrderId,
    /// The header `Idempotency-Key`.
    IdempotencyKey,
    /// The caller's id of the request.
    ClientRequestId,
    /// Nothing: an id that was drawn.
    Drawn,
}

impl IdentityKind {
    /// What the caller calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrderId | Self::Drawn => "orderId",
            Self::IdempotencyKey => "Idempotency-Key",
            Self::ClientRequestId => "clientRequestId",
        }
    }
}

/// One thing that a request can be recognised by, as the id of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What it is.
    pub kind: IdentityKind,
    /// The document's id.
    pub id: OrderId,
}

/// Everything that a request can be recognised by. The first is the order's own id; a document at each further one says
/// which order it belongs to, so that each of them alone finds the order again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    /// The order's own id.
    pub primary: Identity,
    /// The others.
    pub further: Vec<Identity>,
}

impl Identities {
    /// The identities of a request: the caller's id for the order before the header's key before the request's own id. An
    /// id is drawn for a request that has none.
    pub fn of(request: &NewOrder, key: Option<&str>, draw: impl FnOnce() -> Uuid) -> Self {
        let given = request
            .order_id
            .clone()
            .map(|id| (IdentityKind::OrderId, id));
        let by_key = key.map(|key| {
            (
                IdentityKind::IdempotencyKey,
                derived(&BY_IDEMPOTENCY_KEY, key),
            )
        });
        let by_request = request.client_request_id.as_deref().map(|id| {
            (
                IdentityKind::ClientRequestId,
                derived(&BY_CLIENT_REQUEST_ID, id),
            )
        });
        let mut all = [given, by_key, by_request]
            .into_iter()
            .flatten()
            .map(|(kind, id)| Identity { kind, id });
        let primary = all.next().unwrap_or_else(|| Identity {
            kind: IdentityKind::Drawn,
            id: order_id(draw()),
        });
        // A caller who names an order like what another identity derives to means the same document twice.
        let further = all.filter(|other| other.id != primary.id).collect();
        Self { primary, further }
    }

    /// All of them, the order's own id first.
    pub fn iter(&self) -> impl Iterator<Item = &Identity> {
        std::iter::once(&self.primary).chain(&self.further)
    }

    /// The same request, when `target` turns out to be the order that one of the identities belongs to already.
    #[must_use]
    pub fn moved_to(self, target: &OrderId) -> Self {
        let kind = self
            .iter()
            .find(|identity| identity.id == *target)
            .map(|identity| identity.kind);
        let primary = Identity {
            kind: kind.unwrap_or(self.primary.kind),
            id: target.clone(),
        };
        let further = std::iter::once(self.primary)
            .chain(self.further)
            .filter(|identity| identity.id != *target)
            .collect();
        Self { primary, further }
    }
}

fn derived(namespace: &Uuid, name: &str) -> OrderId {
    order_id(Uuid::new_v5(namespace, name.as_bytes()))
}

fn order_id(uuid: Uuid) -> OrderId {
    let mut buffer = Uuid::encode_buffer();
    match OrderId::new(uuid.hyphenated().encode_lower(&mut buffer)) {
        Ok(id) => id,
        Err(error) => unreachable!("a UUID is a valid order id: {error}"),
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

    fn drawn() -> Uuid {
        Uuid::from_u128(7)
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

    #[test]
    fn the_callers_order_id_comes_before_the_key_before_the_request_id() {
        let mut full = request();
        full.order_id = Some(OrderId::new("o-1").unwrap());
        full.client_request_id = Some("same".into());
        let kinds = |identities: &Identities| identities.iter().map(|i| i.kind).collect::<Vec<_>>();
        let all = Identities::of(&full, Some("same"), drawn);
        assert_eq!(
            kinds(&all),
            [
                IdentityKind::OrderId,
                IdentityKind::IdempotencyKey,
                IdentityKind::ClientRequestId
            ]
        );
        assert_eq!(all.primary.id.as_str(), "o-1");
        let ids: Vec<_> = all.further.iter().map(|i| i.id.clone()).collect();
        assert_ne!(
            ids[0], ids[1],
            "the same text as key and as request id are two identities"
        );

        full.order_id = None;
        let without = Identities::of(&full, Some("same"), drawn);
        assert_eq!(
            without.iter().map(|i| i.id.clone()).collect::<Vec<_>>(),
            ids
        );
        assert_eq!(
            kinds(&Identities::of(&request(), None, drawn)),
            [IdentityKind::Drawn]
        );
    }

    #[test]
    fn an_order_that_is_named_like_its_key_derives_to_has_one_identity() {
        let mut named = request();
        named.order_id = Some(derived(&BY_IDEMPOTENCY_KEY, "k"));
        let identities = Identities::of(&named, Some("k"), drawn);
        assert!(identities.further.is_empty());
    }

    #[test]
    fn a_moved_request_keeps_all_its_identities() {
        let mut named = request();
        named.client_request_id = Some("c".into());
        let identities = Identities::of(&named, Some("k"), drawn);
        let (key, client) = (
            identities.primary.id.clone(),
            identities.further[0].id.clone(),
        );
        let target = OrderId::new("elsewhere").unwrap();
        let moved = identities.clone().moved_to(&target);
        assert_eq!(moved.primary.id, target);
        assert_eq!(
            moved.further.iter().map(|i| &i.id).collect::<Vec<_>>(),
            [&key, &client]
        );
        let swapped = identities.moved_to(&client);
        assert_eq!(swapped.primary.id, client);
        assert_eq!(
            swapped.further.iter().map(|i| &i.id).collect::<Vec<_>>(),
            [&key]
        );
    }
}
