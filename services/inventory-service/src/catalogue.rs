//! What a new installation has in stock.

use bytes::Bytes;
use sagaline_contracts::{Money, Sku};
use sagaline_store::{Index, Store, StoreError, Write};

use crate::STOCK;
use crate::stock::StockDocument;

/// SKU, name, price in hundredths, units.
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

/// The products that a new installation starts with.
pub fn catalogue() -> Vec<StockDocument> {
    let numbered = (1..=100).map(|n| (format!("SKU-{n}"), format!("Item {n}"), 1_000, 1_000_000));
    let named = NAMED
        .iter()
        .map(|(sku, name, cents, units)| ((*sku).to_owned(), (*name).to_owned(), *cents, *units));
    let products = numbered
        .chain(named)
        .filter_map(|(sku, name, cents, units)| {
            let (sku, price) = (Sku::new(sku).ok()?, Money::from_cents(cents).ok()?);
            Some(StockDocument::new(sku, name, price, units))
        });
    products.collect()
}

/// Puts every product in stock that is missing. What is there stays as it is, so any number of instances may do this at once.
pub async fn seed(store: &dyn Store) -> Result<(), StoreError> {
    let writes = catalogue().into_iter().map(|document| Write {
        id: document.sku().to_string(),
        expected: 0,
        body: Bytes::from(document.encode()),
        index: Index::default(),
    });
    // A conflict says that it is there already.
    store.save(STOCK, writes.collect()).await.map(|_| ())
}
