//! What an order must look like.

use sagaline_contracts::payload::{ITEMS_MAX, OrderItem, QUANTITY_MAX};
use sagaline_contracts::{Money, OrderId, Sku};
use sagaline_service_kit::{FieldError, Problem};
use serde::Deserialize;

use crate::domain::NewOrder;

const TEXT_MAX: usize = 128;

/// The body of `POST /orders`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlaceOrder {
    order_id: Option<OrderId>,
    client_request_id: Option<String>,
    customer_id: Option<String>,
    currency: Option<String>,
    items: Vec<Line>,
    total: Money,
}

#[derive(Debug, Deserialize)]
struct Line {
    sku: Sku,
    qty: i64,
    price: Option<Money>,
}

fn complaint(field: impl Into<String>, message: impl Into<String>) -> FieldError {
    FieldError {
        field: field.into(),
        message: message.into(),
    }
}

fn check_text(field: &str, text: Option<&str>, complaints: &mut Vec<FieldError>) {
    let Some(text) = text else { return };
    if text.is_empty() || text.chars().count() > TEXT_MAX || text.chars().any(char::is_control) {
        complaints.push(complaint(field, "must be 1 to 128 printable characters"));
    }
}

impl PlaceOrder {
    /// The order, or everything that is wrong with it.
    pub(crate) fn validated(self) -> Result<NewOrder, Problem> {
        let mut complaints = Vec::new();
        check_text(
            "clientRequestId",
            self.client_request_id.as_deref(),
            &mut complaints,
        );
        check_text("customerId", self.customer_id.as_deref(), &mut complaints);
        if self
            .currency
            .as_ref()
            .is_some_and(|code| code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()))
        {
            complaints.push(complaint(
                "currency",
                "must be three capital letters (ISO 4217)",
            ));
        }
        if !(1..=ITEMS_MAX).contains(&self.items.len()) {
            complaints.push(complaint(
                "items",
                format!("must have 1 to {ITEMS_MAX} lines"),
            ));
        }
        let mut items = Vec::with_capacity(self.items.len());
        for (at, line) in self.items.into_iter().enumerate() {
            match u32::try_from(line.qty) {
                Ok(qty) if (1..=QUANTITY_MAX).contains(&qty) => {
                    items.push(OrderItem {
                        sku: line.sku,
                        qty,
                        price: line.price,
                    });
                }
                _ => complaints.push(complaint(
                    format!("items[{at}].qty"),
                    format!("must be 1 to {QUANTITY_MAX}"),
                )),
            }
        }
        if complaints.is_empty()
            && let Some(sum) = priced(&items)
            && sum != Some(self.total)
        {
            let sum = sum.map_or_else(|| "too much".to_owned(), |sum| sum.to_string());
            complaints.push(complaint(
                "total",
                format!("is {}, but the lines add up to {sum}", self.total),
            ));
        }
        if !complaints.is_empty() {
            return Err(Problem::invalid(complaints));
        }
        Ok(NewOrder {
            order_id: self.order_id,
            client_request_id: self.client_request_id,
            customer_id: self.customer_id,
            currency: self.currency,
            items,
            total: self.total,
        })
    }
}

/// What the lines add up to, when every line has a price; `Some(None)` when it is too much.
fn priced(items: &[OrderItem]) -> Option<Option<Money>> {
    let mut sum = Some(Money::ZERO);
    for item in items {
        let line = item.price?.checked_mul(item.qty);
        sum = sum.zip(line).and_then(|(sum, line)| sum.checked_add(line));
    }
    Some(sum)
}

/// The body of `POST /api/checkout`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checkout {
    user_id: String,
    items: Vec<CheckoutLine>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckoutLine {
    product_id: Sku,
    quantity: i64,
    price: Money,
}

impl Checkout {
    /// The order that is placed by it, or everything that is wrong with it.
    pub(crate) fn validated(self) -> Result<NewOrder, Problem> {
        let total = self.items.iter().try_fold(Money::ZERO, |sum, line| {
            let qty = u32::try_from(line.quantity).ok()?;
            sum.checked_add(line.price.checked_mul(qty)?)
        });
        let items = self.items.into_iter().map(|line| Line {
            sku: line.product_id,
            qty: line.quantity,
            price: Some(line.price),
        });
        let order = PlaceOrder {
            order_id: None,
            client_request_id: None,
            customer_id: Some(self.user_id),
            currency: None,
            items: items.collect(),
            total: total.unwrap_or_default(),
        };
        order.validated()
    }
}
