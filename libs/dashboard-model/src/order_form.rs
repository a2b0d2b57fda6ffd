//! An order as a person fills it in.

use sagaline_views::{Amount, Item, Product};
use serde_json::{Value, json};

/// An order that is being filled in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// Whose it is; may be empty.
    pub customer: String,
    /// Its lines.
    pub lines: Vec<DraftLine>,
}

/// A line that is being filled in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DraftLine {
    /// What.
    pub sku: String,
    /// How many, as it was typed.
    pub qty: String,
}

/// What is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// With which line; absent: with the whole.
    pub line: Option<usize>,
    /// What.
    pub what: String,
}

impl Draft {
    /// The order to send, or everything that is wrong.
    pub fn order(&self, catalogue: &[Product]) -> Result<Value, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut items = Vec::new();
        if self.lines.is_empty() {
            wrong.push(Wrong {
                line: None,
                what: "Add at least one line.".to_owned(),
            });
        }
        for (at, line) in self.lines.iter().enumerate() {
            match line.item(catalogue) {
                Ok(item) => items.push(item),
                Err(what) => wrong.push(Wrong {
                    line: Some(at),
                    what,
                }),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let total = total(&items);
        let mut order = json!({ "items": items, "total": total, "currency": "EUR" });
        let customer = self.customer.trim();
        if !customer.is_empty() {
            order["customerId"] = customer.into();
        }
        Ok(order)
    }

    /// What it costs, as far as it is filled in.
    pub fn total(&self, catalogue: &[Product]) -> Amount {
        let items: Vec<Item> = self
            .lines
            .iter()
            .filter_map(|line| line.item(catalogue).ok())
            .collect();
        total(&items)
    }
}

fn total(items: &[Item]) -> Amount {
    items
        .iter()
        .filter_map(|item| Some(item.price?.times(item.qty)))
        .sum()
}

impl DraftLine {
    fn item(&self, catalogue: &[Product]) -> Result<Item, String> {
        let product = catalogue
            .iter()
            .find(|product| product.sku == self.sku)
            .ok_or("Choose a product.")?;
        let qty: u32 = self
            .qty
            .trim()
            .parse()
            .ok()
            .filter(|qty| (1..=1_000_000).contains(qty))
            .ok_or("How many? 1 to 1000000.")?;
        Ok(Item {
            sku: self.sku.clone(),
            qty,
            price: Some(product.price),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Vec<Product> {
        let product = |sku: &str, price| Product {
            sku: sku.to_owned(),
            name: sku.to_owned(),
            price: Amount(price),
            available: 1,
            reserved: 0,
            shipped: 0,
        };
        vec![product("A", 1_999), product("B", 500)]
    }

    fn draft(lines: &[(&str, &str)]) -> Draft {
        let lines = lines.iter().map(|(sku, qty)| DraftLine {
            sku: (*sku).to_owned(),
            qty: (*qty).to_owned(),
        });
        Draft {
            customer: " c-1 ".to_owned(),
            lines: lines.collect(),
        }
    }

    #[test]
    fn the_total_follows_from_the_catalogue_to_the_cent() {
        let order = draft(&[("A", "3"), ("B", " 1 ")])
            .order(&catalogue())
            .unwrap();
        let expected = json!({ "currency": "EUR", "customerId": "c-1", "total": 64.97,
            "items": [{ "sku": "A", "qty": 3, "price": 19.99 }, { "sku": "B", "qty": 1, "price": 5 }] });
        assert_eq!(order, expected);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_its_line() {
        let wrong = draft(&[("A", "0"), ("", "1"), ("B", "1")])
            .order(&catalogue())
            .unwrap_err();
        let lines: Vec<Option<usize>> = wrong.iter().map(|wrong| wrong.line).collect();
        assert_eq!(lines, [Some(0), Some(1)]);
        assert_eq!(draft(&[]).order(&catalogue()).unwrap_err()[0].line, None);
    }
}
