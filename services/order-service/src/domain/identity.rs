//! What a request is known by, so that it is one order however often it is made.

use sagaline_contracts::OrderId;
use uuid::Uuid;

use super::NewOrder;

// Made once; changing one would give every order that was placed under such a key another id.
const BY_IDEMPOTENCY_KEY: Uuid = Uuid::from_u128(0x1f7a_93d2_60c4_4b0e_9a35_d2b8_41e6_7c05);
const BY_CLIENT_REQUEST_ID: Uuid = Uuid::from_u128(0x8c21_4e0f_b7d9_4f63_8e12_05a9_63fc_d871);

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
    use sagaline_contracts::Money;

    use super::*;

    fn request() -> NewOrder {
        NewOrder {
            order_id: None,
            client_request_id: None,
            customer_id: None,
            currency: None,
            items: vec![],
            total: Money::ZERO,
        }
    }

    fn drawn() -> Uuid {
        Uuid::from_u128(7)
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
