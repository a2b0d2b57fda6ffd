//! The typed decoder accepts exactly what the JSON Schema accepts.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sagaline_contracts::{Event, EventType, RejectedKind, examples, schema};
use serde_json::{Map, Value, json};

/// Holds the two against each other. That key and payload name the same order is the one rule that no schema can say.
fn agree(kind: EventType, event: &Value) -> Result<(), TestCaseError> {
    let complaints = schema::complaints(kind, event);
    let decoded = Event::from_json(kind, event.to_string().as_bytes());
    match decoded {
        Ok(decoded) => {
            prop_assert!(
                complaints.is_empty(),
                "only the schema refuses {event}: {complaints:?}"
            );
            let again = Event::from_json(kind, &decoded.encode());
            prop_assert_eq!(
                again.as_ref(),
                Ok(&decoded),
                "what was accepted does not survive the wire"
            );
        }
        Err(rejected) if rejected.kind == RejectedKind::KeyMismatch => {
            let about_the_key = complaints
                .iter()
                .all(|complaint| complaint.starts_with("key: "));
            prop_assert!(
                about_the_key,
                "refused for the key alone: {event}: {complaints:?}"
            );
        }
        Err(rejected) => {
            prop_assert!(
                !complaints.is_empty(),
                "only the decoder refuses {event}: {rejected}"
            );
        }
    }
    Ok(())
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                places(child, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(list) => {
            for (position, child) in list.iter().enumerate() {
                places(child, &format!("{at}/{position}"), found);
            }
        }
        _ => {}
    }
}

fn remove(event: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return;
    };
    match event.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.remove(name)),
        Some(Value::Array(list)) => drop(list.remove(name.parse().unwrap())),
        _ => {}
    }
}

#[derive(Debug, Clone)]
enum Mutation {
    Drop,
    Set(Value),
    Rename,
    Unknown(Value),
    AsArray,
    Lines(usize),
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        (-5_i64..2_000_005).prop_map(|n| json!(n)),
        // what looks whole, and amounts with two and three decimals
        (-5_i32..100).prop_map(|n| json!(f64::from(n))),
        (-100_i64..10_000_000_000)
            .prop_map(|cents| serde_json::from_str(&format!("{cents}e-2")).unwrap()),
        (-100_i64..10_000_000_000)
            .prop_map(|mills| serde_json::from_str(&format!("{mills}e-3")).unwrap()),
        select(vec![
            "0",
            "-0",
            "-0.0",
            "1e0",
            "10000000000",
            "10000000000.01",
            "10000000001",
            "1e10",
            "1e11",
            "1e300",
            "1e-400",
            "4294967295",
            "4294967296",
            "9007199254740991",
            "9007199254740992",
            "9007199254740993.0",
            "18446744073709551615",
            "18446744073709551616",
            "-9007199254740991",
            "-9007199254740992",
            "2147483648",
            "-2147483648",
            "-2147483649",
            "0.29",
            "0.57",
            "1.005",
            "1.1",
            "8.2",
            "33.33",
            "9999999999.99",
            "9999999999.999",
        ])
        .prop_map(|text| serde_json::from_str(text).unwrap()),
    ]
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>(),
        "[A-Za-z0-9._:-]{0,3}",
        "[A-Za-z]{126,130}",
        "\\PC{126,130}",
        "[\u{0}-\u{20}\u{7f}-\u{a0}\u{2027}-\u{202a}]{1,2}",
        "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])",
        select(vec![
            "inventory", "payment", "shipping", "Inventory", "releaseInventory", "refundPayment", "redrive", "discard",
            "2016-12-31T23:59:60Z", "2016-12-31T22:59:60Z", "2017-01-01T00:59:60+01:00", "2016-12-31T22:58:60-01:01",
            "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
            "a\nb", "\u{2028}", "é", "", " ",
        ])
        .prop_map(str::to_owned),
    ]
    .prop_map(Value::String)
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        4 => number(),
        4 => text(),
        1 => select(vec![json!([]), json!({}), json!([null]), json!({ "inventory": null }), json!([{}]), json!(["SKU-1", 2])]),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        2 => Just(Mutation::Drop),
        6 => anything().prop_map(Mutation::Set),
        1 => Just(Mutation::Rename),
        1 => anything().prop_map(Mutation::Unknown),
        1 => Just(Mutation::AsArray),
        1 => (0_usize..103).prop_map(Mutation::Lines),
    ]
}

fn mutate(event: &mut Value, at: Index, mutation: &Mutation) {
    let mut all = Vec::new();
    places(event, "", &mut all);
    let place = at.get(&all);
    if let Mutation::Drop = mutation {
        return remove(event, place);
    }
    let Some(target) = event.pointer_mut(place) else {
        return;
    };
    match mutation {
        Mutation::Drop => {}
        Mutation::Set(value) => *target = value.clone(),
        Mutation::Rename => {
            if let Value::Object(map) = target {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(name, value)| (name.to_uppercase(), value))
                    .collect::<Map<_, _>>();
            }
        }
        Mutation::Unknown(value) => {
            if let Value::Object(map) = target {
                map.insert("unknown".to_owned(), value.clone());
            }
        }
        // serde would read a struct from its fields in order
        Mutation::AsArray => {
            if let Value::Object(map) = target {
                *target = Value::Array(map.values().cloned().collect());
            }
        }
        Mutation::Lines(count) => {
            if let Value::Array(list) = target {
                let line = list
                    .first()
                    .cloned()
                    .unwrap_or(json!({ "sku": "SKU-1", "qty": 1 }));
                *list = vec![line; *count];
            }
        }
    }
}

fn example() -> impl Strategy<Value = (EventType, Value)> {
    (select(EventType::ALL), any::<bool>()).prop_map(|(kind, full)| {
        let event = if full {
            examples::full(kind)
        } else {
            examples::minimal(kind)
        };
        (kind, serde_json::from_slice(&event.encode()).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_mutated_event_is_accepted_by_both_or_by_none(
        (kind, mut event) in example(),
        mutations in prop::collection::vec((any::<Index>(), mutation()), 1..4),
    ) {
        for (at, mutation) in &mutations {
            mutate(&mut event, *at, mutation);
        }
        agree(kind, &event)?;
    }

    #[test]
    fn an_event_of_another_type_is_accepted_by_both_or_by_none((_, event) in example(), kind in select(EventType::ALL)) {
        agree(kind, &event)?;
    }
}

#[test]
fn every_single_place_of_every_event_may_be_dropped_nulled_or_changed_alike() {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.0),
        json!(1.5),
        json!(2),
        json!(19.999),
        json!(""),
        json!("x"),
        json!("x".repeat(129)),
        json!([]),
        json!({}),
    ];
    for kind in EventType::ALL {
        let event: Value = serde_json::from_slice(&examples::full(*kind).encode()).unwrap();
        let mut all = Vec::new();
        places(&event, "", &mut all);
        for place in &all {
            let mut without = event.clone();
            remove(&mut without, place);
            agree(*kind, &without).unwrap();
            for value in &values {
                let mut changed = event.clone();
                *changed.pointer_mut(place).unwrap() = value.clone();
                agree(*kind, &changed).unwrap();
            }
        }
    }
}
