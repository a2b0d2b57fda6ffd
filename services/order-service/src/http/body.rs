//! The bodies of requests, and what makes a valid order of them.
//!
//! A body is parsed once, into what JSON can say; every complaint about what it says is collected, so a caller learns of
//! all of them at once. All of them are 400, also prices that do not add up: the contract has one status for a body that
//! has to be corrected, and existing callers know no other.

use sagaline_contracts::payload::{ITEMS_MAX, OrderItem, QUANTITY_MAX};
use sagaline_contracts::{Money, OrderId, Sku};
use sagaline_service_kit::FieldError;
use serde::Deserialize;
use serde_json::Number;

use crate::domain::NewOrder;

const SHORT_TEXT_MAX: usize = 128;
const COMPLAINTS_MAX: usize = 20;

/// The body of `POST /orders`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderBody {
    order_id: Option<String>,
    client_request_id: Option<String>,
    customer_id: Option<String>,
    currency: Option<String>,
    items: Vec<LineBody>,
    total: Number,
}

#[derive(Debug, Deserialize)]
struct LineBody {
    sku: String,
    qty: Number,
    price: Option<Number>,
}

/// The body of `POST /api/checkout`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckoutBody {
    user_id: String,
    client_request_id: Option<String>,
    currency: Option<String>,
    items: Vec<CheckoutLineBody>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckoutLineBody {
    product_id: String,
    quantity: Number,
    price: Number,
}

/// What the fields of a line are called, for complaints.
struct LineNames {
    sku: &'static str,
    qty: &'static str,
}

const ORDER_LINE: LineNames = LineNames {
    sku: "sku",
    qty: "qty",
};
const CHECKOUT_LINE: LineNames = LineNames {
    sku: "productId",
    qty: "quantity",
};

/// What is wrong with a request, bounded.
#[derive(Default)]
struct Complaints(Vec<FieldError>);

impl Complaints {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < COMPLAINTS_MAX {
            self.0.push(FieldError::new(field, message));
        }
    }

    fn none_or<T>(self, valid: Option<T>) -> Result<T, Vec<FieldError>> {
        match valid {
            Some(valid) if self.0.is_empty() => Ok(valid),
            _ => Err(self.0),
        }
    }

    fn short_text(&mut self, field: &str, text: Option<&str>) {
        if text.is_some_and(|text| !is_short_text(text)) {
            self.add(field, "must be 1 to 128 printable characters");
        }
    }

    fn currency(&mut self, currency: Option<String>) -> Option<String> {
        let mut currency = currency?;
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            self.add("currency", "must be three letters (ISO 4217)");
        }
        currency.make_ascii_uppercase();
        Some(currency)
    }

    fn order_id(&mut self, text: Option<&str>) -> Option<OrderId> {
        let id = OrderId::new(text?);
        if let Err(error) = &id {
            self.add("orderId", without_name(&error.to_string()));
        }
        id.ok()
    }

    fn amount(&mut self, field: impl FnOnce() -> String, number: &Number) -> Option<Money> {
        let amount = Money::deserialize(number);
        if amount.is_err() {
            self.add(
                field(),
                "must be a number from 0 to 10000000000 with at most two decimals",
            );
        }
        amount.ok()
    }

    fn line_count(&mut self, count: usize) {
        if count == 0 {
            self.add("items", "must have at least one line");
        } else if count > ITEMS_MAX {
            self.add(
                "items",
                format!("must have at most {ITEMS_MAX} lines, not {count}"),
            );
        }
    }

    fn line(&mut self, at: usize, names: &LineNames, line: &LineBody) -> Option<OrderItem> {
        let sku = Sku::new(&line.sku);
        if sku.is_err() {
            self.add(
                format!("items[{at}].{}", names.sku),
                "must be 1 to 128 printable characters",
            );
        }
        let whole = line.qty.as_u64().and_then(|qty| u32::try_from(qty).ok());
        let qty = whole.filter(|qty| (1..=QUANTITY_MAX).contains(qty));
        if qty.is_none() {
            let message = format!("must be a whole number from 1 to {QUANTITY_MAX}");
            self.add(format!("items[{at}].{}", names.qty), message);
        }
        let price = line
            .price
            .as_ref()
            .map(|price| self.amount(|| format!("items[{at}].price"), price));
        Some(OrderItem {
            sku: sku.ok()?,
            qty: qty?,
            price: price.flatten(),
        })
    }

    fn lines(&mut self, names: &LineNames, lines: &[LineBody]) -> Vec<OrderItem> {
        self.line_count(lines.len());
        // More than the limit are not looked at: the caller has to send fewer anyway.
        let lines = lines.iter().take(ITEMS_MAX).enumerate();
        lines
            .filter_map(|(at, line)| self.line(at, names, line))
            .collect()
    }
}

impl OrderBody {
    /// The order that the body asks for, or everything that is wrong with it.
    pub(super) fn check(self) -> Result<NewOrder, Vec<FieldError>> {
        let mut complaints = Complaints::default();
        let order_id = complaints.order_id(self.order_id.as_deref());
        complaints.short_text("clientRequestId", self.client_request_id.as_deref());
        complaints.short_text("customerId", self.customer_id.as_deref());
        let currency = complaints.currency(self.currency);
        let items = complaints.lines(&ORDER_LINE, &self.items);
        let total = complaints.amount(|| "total".to_owned(), &self.total);
        if let Some(total) = total.filter(|_| complaints.0.is_empty()) {
            match sum(&items) {
                Sum::Unpriced => {}
                Sum::TooMuch => complaints.add("total", "the lines cost more than any order may"),
                Sum::Is(sum) if sum == total => {}
                Sum::Is(sum) => complaints.add(
                    "total",
                    format!("must be {sum}, which is what the lines cost"),
                ),
            }
        }
        complaints.none_or(total.map(|total| NewOrder {
            order_id,
            client_request_id: self.client_request_id,
            customer_id: self.customer_id,
            currency,
            items,
            total,
        }))
    }
}

impl CheckoutBody {
    /// The order that the body asks for, or everything that is wrong with it.
    pub(super) fn check(self) -> Result<NewOrder, Vec<FieldError>> {
        let mut complaints = Complaints::default();
        complaints.short_text("userId", Some(&self.user_id));
        complaints.short_text("clientRequestId", self.client_request_id.as_deref());
        let currency = complaints.currency(self.currency);
        let lines: Vec<LineBody> = self.items.into_iter().map(LineBody::from).collect();
        let items = complaints.lines(&CHECKOUT_LINE, &lines);
        let total = match sum(&items) {
            Sum::Is(total) => Some(total),
            // of the lines, one has no valid price: it is complained about already
            Sum::Unpriced => None,
            Sum::TooMuch => {
                complaints.add("items", "the lines cost more than any order may");
                None
            }
        };
        complaints.none_or(total.map(|total| NewOrder {
            order_id: None,
            client_request_id: self.client_request_id,
            customer_id: Some(self.user_id),
            currency,
            items,
            total,
        }))
    }
}

impl From<CheckoutLineBody> for LineBody {
    fn from(line: CheckoutLineBody) -> Self {
        Self {
            sku: line.product_id,
            qty: line.quantity,
            price: Some(line.price),
        }
    }
}

/// What lines cost together.
enum Sum {
    Is(Money),
    Unpriced,
    TooMuch,
}

fn sum(items: &[OrderItem]) -> Sum {
    let mut sum = Money::ZERO;
    for item in items {
        let Some(price) = item.price else {
            return Sum::Unpriced;
        };
        match price
            .checked_mul(item.qty)
            .and_then(|cost| sum.checked_add(cost))
        {
            Some(more) => sum = more,
            None => return Sum::TooMuch,
        }
    }
    Sum::Is(sum)
}

/// Whether a text is 1 to 128 printable characters.
pub(super) fn is_short_text(text: &str) -> bool {
    // the cheap bound first: nobody counts the characters of a megabyte
    !text.is_empty()
        && text.len() <= SHORT_TEXT_MAX * 4
        && text.chars().count() <= SHORT_TEXT_MAX
        && !text
            .chars()
            .any(|c| c.is_control() || c == '\u{2028}' || c == '\u{2029}')
}

/// The field is named beside the message already.
fn without_name(message: &str) -> String {
    message
        .strip_prefix("orderId ")
        .unwrap_or(message)
        .to_owned()
}
