//! What a new installation has in stock.

use bytes::Bytes;
use sagaline_contracts::{Money, Sku};
use sagaline_store::{Index, Store, StoreError, Write};

use crate::STOCK;
use crate::stock::Stock;

const NAMED: [(&str, &str, i64, u64); 10] = [
    ("LIMITED-1", "Limited Stock Item", 4_999, 5),
    ("KEYBOARD-1", "Mechanical Keyboard", 8_900, 500),
    ("MOUSE-1", "Wireless Mouse", 3_450, 800),
    ("MONITOR-1", "27-inch Monitor", 27_900, 200),
    ("HEADSET-1", "Noise-Cancelling Headset", 14_950, 300),
    ("WEBCAM-1", "HD Webcam", 5_999, 400),
    ("DOCK-1", "USB-C Dock", 11_900, 250),
    ("LAMP-1", "Desk Lamp", 2_995, 1_000),
    ("CHAIR-1", "Office Chair", 19_900, 150),
    ("NOTEBOOK-1", "Dotted Notebook", 1_250, 5_000),
];

fn catalogue() -> impl Iterator<Item = (String, String, i64, u64)> {
    let numbered = (1..=100).map(|n| (format!("SKU-{n}"), format!("Item {n}"), 1_000, 1_000_000));
    let named = NAMED.iter().map(|(sku, name, cents, units)| ((*sku).to_owned(), (*name).to_owned(), *cents, *units));
    numbered.chain(named)
}

/// Puts every product that is missing in stock. What is there stays as it is, so any number of instances may do this.
pub(crate) async fn seed(store: &dyn Store) -> Result<(), StoreError> {
    let mut writes = Vec::new();
    for (sku, name, cents, units) in catalogue() {
        let (Ok(id), Ok(price)) = (Sku::new(&sku), Money::from_cents(cents)) else {
            continue;
        };
        let stock = Stock::new(id, &name, price, units);
        let body = serde_json::to_vec(&stock).map_err(|source| StoreError::Unusable {
            collection: STOCK.to_owned(),
            id: sku.clone(),
            source: source.into(),
        })?;
        writes.push(Write { id: sku, expected: 0, body: Bytes::from(body), index: Index::default() });
    }
    // A conflict says that it is there already.
    store.save(STOCK, writes).await.map(|_| ())
}
