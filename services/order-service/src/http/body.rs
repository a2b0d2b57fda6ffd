//! The bodies of requests, and what makes a valid order of them.
//!
//! A body is parsed once, into what JSON can say; every complaint about what it says is collected, so a caller learns of
//! all of them at once. All of them are 400, also prices that do not add up: the contract has one status for a body that
//! has to be corrected, and existing callers know no other.

use std::borrow::Cow;

use sagaline_contracts::payload::{ITEMS_MAX, OrderItem, QUANTITY_MAX};
use sagaline_contracts::{Money, OrderId, ShortText, Sku, strict};
use sagaline_service_kit::FieldError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Number;

use crate::domain::NewOrder;

const COMPLAINTS_MAX: usize = 20;

/// The body of `POST /orders`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderBody {
    /// The caller's own id of the order.
    #[schemars(with = "Option<OrderId>")]
    order_id: Option<String>,
    /// The caller's own id of the request.
    #[schemars(with = "Option<ShortText>")]
    client_request_id: Option<String>,
    /// Who orders: an opaque id, never a name.
    #[schemars(with = "Option<ShortText>")]
    customer_id: Option<String>,
    /// ISO 4217.
    #[schemars(with = "Option<Currency>")]
    currency: Option<String>,
    #[serde(deserialize_with = "strict::objects")]
    #[schemars(length(min = 1, max = 100))]
    items: Vec<LineBody>,
    /// What the lines cost together, when each has a price.
    #[schemars(with = "Money")]
    total: Number,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct LineBody {
    #[schemars(with = "Sku")]
    sku: String,
    #[schemars(with = "u32", range(min = 1, max = 1_000_000))]
    qty: Number,
    #[schemars(with = "Option<Money>")]
    price: Option<Number>,
}

/// Three letters.
struct Currency;

impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z]{3}$" })
    }
}

/// The body of `POST /api/checkout`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckoutBody {
    /// Who orders: an opaque id, never a name.
    #[schemars(with = "ShortText")]
    user_id: String,
    /// The caller's own id of the request.
    #[schemars(with = "Option<ShortText>")]
    client_request_id: Option<String>,
    /// ISO 4217.
    #[schemars(with = "Option<Currency>")]
    currency: Option<String>,
    #[serde(deserialize_with = "strict::objects")]
    #[schemars(length(min = 1, max = 100))]
    items: Vec<CheckoutLineBody>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CheckoutLineBody {
    #[schemars(with = "Sku")]
    product_id: String,
    #[schemars(with = "u32", range(min = 1, max = 1_000_000))]
    quantity: Number,
    #[schemars(with = "Money")]
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
        if text.is_some_and(|text| !ShortText::accepts(text)) {
            self.add(field, ShortText::RULE);
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
            self.add(format!("items[{at}].{}", names.sku), ShortText::RULE);
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

/// The field is named beside the message already.
fn without_name(message: &str) -> String {
    message
        .strip_prefix("orderId ")
        .unwrap_or(message)
        .to_owned()
}
