//! What the simulated gateway and carrier will do with an order follows from its id, so a test can choose it.

use sagaline_external_calls::{Draw, Rate};

use crate::RATE;

/// What happens to each attempt of an order, from the first on; later ones are as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Paid and shipped.
    Ships,
    /// The gateway declines.
    Declined,
    /// Paid, but the carrier refuses.
    Refused,
}

/// An order id that begins with `prefix` and meets these fates.
pub fn order_id(prefix: &str, fates: &[Fate]) -> String {
    let Ok(rate) = RATE.parse::<Rate>() else {
        unreachable!("the rate is a rate");
    };
    let unique = uniqueness();
    let found = (0_u32..)
        .map(|n| format!("{prefix}-{unique}-{n}"))
        .find(|id| {
            fates.iter().zip(1_u32..).all(|(fate, attempt)| {
                let key = format!("{id}/{attempt}");
                let declined = Draw::new("payment-gateway", &key).hits(rate);
                let refused = Draw::new("carrier", &key).hits(rate);
                match fate {
                    Fate::Ships => !declined && !refused,
                    Fate::Declined => declined,
                    Fate::Refused => !declined && refused,
                }
            })
        });
    found.unwrap_or_default()
}

/// No two calls give the same id.
fn uniqueness() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
