//! What is ordered. Order `n` of a seed is always the same, whatever came before it.

use std::io::Write;

use crate::args::{CATALOGUE, Plan};

const PRICE: u32 = 10;
const MAX_QTY: u32 = 3;
/// The SKU that `--hot-sku-share` is about.
const HOT_SKU: u32 = 1;

/// Makes the bodies of `POST /orders`.
#[derive(Debug, Clone)]
pub(crate) struct OrderMix {
    seed: u64,
    run: u64,
    hot_sku_share: f64,
    items: u32,
}

impl OrderMix {
    /// `run` keeps the idempotency keys of two runs with one seed apart.
    pub(crate) fn new(plan: &Plan, run: u64) -> Self {
        Self {
            seed: plan.seed,
            run,
            hot_sku_share: plan.hot_sku_share,
            items: plan.items,
        }
    }

    /// The body of one order.
    pub(crate) fn body(&self, order: u64) -> Vec<u8> {
        let lines = self.lines(order);
        let total: u32 = lines.iter().map(|(_, qty)| qty * PRICE).sum();
        let mut body = Vec::with_capacity(96 + 40 * lines.len());
        // Writing to a vector cannot fail.
        let _ = write!(
            body,
            r#"{{"clientRequestId":"load-{:x}-{order}","items":["#,
            self.run
        );
        for (i, (sku, qty)) in lines.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(
                body,
                r#"{comma}{{"sku":"SKU-{sku}","qty":{qty},"price":{PRICE}}}"#
            );
        }
        let _ = write!(body, r#"],"total":{total}}}"#);
        body
    }

    fn lines(&self, order: u64) -> Vec<(u32, u32)> {
        let mut dice = Dice(self.seed ^ order.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let wanted = 1 + dice.below(self.items);
        let mut lines: Vec<(u32, u32)> = Vec::with_capacity(wanted as usize);
        for _ in 0..wanted {
            let hot = dice.share() < self.hot_sku_share;
            let sku = if hot {
                HOT_SKU
            } else {
                1 + dice.below(CATALOGUE)
            };
            let qty = 1 + dice.below(MAX_QTY);
            // An SKU that comes twice is one line with more of it.
            match lines.iter_mut().find(|(known, _)| *known == sku) {
                Some((_, known)) => *known += qty,
                None => lines.push((sku, qty)),
            }
        }
        lines
    }
}

/// `SplitMix64`: small, fast, and good enough to choose goods.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 up to and without `bound`.
    fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// 0 up to and without 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a double holds"
    )]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn mix(seed: u64, hot_sku_share: f64) -> OrderMix {
        OrderMix {
            seed,
            run: 7,
            hot_sku_share,
            items: 3,
        }
    }

    fn order(mix: &OrderMix, n: u64) -> Value {
        serde_json::from_slice(&mix.body(n)).unwrap()
    }

    #[test]
    fn totals_add_up_and_every_line_is_in_the_catalogue() {
        let mix = mix(1, 0.2);
        for n in 0..5_000 {
            let order = order(&mix, n);
            let items = order["items"].as_array().unwrap();
            assert!((1..=3).contains(&items.len()), "{order}");
            let mut skus = HashSet::new();
            let mut total = 0;
            for item in items {
                let sku = item["sku"].as_str().unwrap();
                assert!((1..=100).contains(&sku["SKU-".len()..].parse::<u32>().unwrap()));
                assert!(skus.insert(sku.to_owned()), "{order} names an SKU twice");
                total += item["qty"].as_u64().unwrap() * item["price"].as_u64().unwrap();
            }
            assert_eq!(order["total"], total);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_orders_and_another_gives_others() {
        let bodies = |seed| (0..100).map(|n| mix(seed, 0.1).body(n)).collect::<Vec<_>>();
        assert_eq!(bodies(1), bodies(1));
        assert_ne!(bodies(1), bodies(2));
    }

    #[test]
    fn every_order_has_an_idempotency_key_of_its_own() {
        let mix = mix(1, 0.0);
        let keys: HashSet<String> = (0..1_000)
            .map(|n| order(&mix, n)["clientRequestId"].to_string())
            .collect();
        assert_eq!(keys.len(), 1_000);
    }

    #[test]
    fn the_hot_sku_has_its_share_of_the_lines() {
        let hot = |share| {
            let mix = mix(3, share);
            (0..10_000)
                .filter(|n| mix.lines(*n).iter().any(|(sku, _)| *sku == HOT_SKU))
                .count()
        };
        assert!(hot(0.0) < 500);
        // One to three lines at one half each: 1/2, 3/4 and 7/8 of the orders, 70.8 % on average, and a little by chance.
        assert!((6_900..7_400).contains(&hot(0.5)), "{}", hot(0.5));
        assert_eq!(hot(1.0), 10_000);
    }
}
