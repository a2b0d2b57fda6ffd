//! What is no event is refused with its kind and a reason that names the field.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use sagaline_contracts::{Event, EventType, Rejected, RejectedKind, examples};
use serde_json::{Value, json};

const KEY: &[u8] = b"ord-01JZ8Q6X3D";

fn valid(kind: EventType) -> Value {
    serde_json::from_slice(&examples::full(kind).encode()).unwrap()
}

fn refuse(kind: EventType, event: &Value) -> Rejected {
    Event::decode(kind, Some(KEY), Some(event.to_string().as_bytes())).unwrap_err()
}

fn refuse_bytes(value: Option<&[u8]>) -> Rejected {
    Event::decode(EventType::OrderCreated, Some(KEY), value).unwrap_err()
}

fn with(pointer: &str, value: Value) -> Value {
    let mut event = valid(EventType::OrderCreated);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match event.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        object => object[name] = value,
    }
    event
}

fn without(pointer: &str) -> Value {
    let mut event = valid(EventType::OrderCreated);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    event
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(name)
        .unwrap();
    event
}

#[test]
fn bytes_that_are_no_json_are_refused_with_what_is_wrong() {
    let deep = "[".repeat(100_000);
    let deep_field = format!("{{\"headers\":{{\"x\":{}", "{\"x\":".repeat(100_000));
    let garbage = vec![0xff; 1 << 20];
    let cut = examples::full(EventType::OrderCreated).encode();
    let letters = vec![b'a'; 1 << 20];
    for (value, reason) in [
        (&b""[..], "EOF while parsing a value"),
        (b"hello", "expected value at line 1 column 1"),
        (b"{", "EOF while parsing an object"),
        (&cut[..cut.len() - 1], "EOF"),
        (b"\xff\xfe{}", "not UTF-8"),
        (garbage.as_slice(), "not UTF-8"),
        (letters.as_slice(), "expected value at line 1 column 1"),
        (deep.as_bytes(), "recursion limit exceeded"),
        (deep_field.as_bytes(), "recursion limit exceeded"),
    ] {
        let rejected = refuse_bytes(Some(value));
        assert_eq!(rejected.kind, RejectedKind::NotJson, "{rejected}");
        assert!(rejected.reason.contains(reason), "{rejected}");
    }
}

#[test]
fn json_that_is_no_event_is_refused() {
    for text in [
        "null",
        "[]",
        "\"order\"",
        "1",
        "true",
        "{}",
        "{\"type\":1}",
        "{} {}",
        "[[[]]]",
    ] {
        let rejected = refuse_bytes(Some(text.as_bytes()));
        assert!(
            matches!(rejected.kind, RejectedKind::Schema | RejectedKind::NotJson),
            "{text}: {rejected}"
        );
        assert!(!rejected.reason.is_empty());
    }
}

#[test]
fn a_message_without_value_or_usable_key_is_refused() {
    assert_eq!(refuse_bytes(None).kind, RejectedKind::NoValue);
    let event = examples::full(EventType::OrderCreated).encode();
    for (key, kind) in [
        (None, RejectedKind::NoKey),
        (Some(&b""[..]), RejectedKind::NoKey),
        (Some(b"another"), RejectedKind::KeyMismatch),
        (Some(b"\xff"), RejectedKind::KeyMismatch),
    ] {
        let rejected = Event::decode(EventType::OrderCreated, key, Some(&event)).unwrap_err();
        assert_eq!(rejected.kind, kind);
        assert!(rejected.reason.contains("payload.orderId"), "{rejected}");
    }
}

#[test]
fn a_key_that_is_not_the_payloads_order_is_refused() {
    for event in [
        with("/key", json!("ord-2")),
        with("/payload/orderId", json!("ord-2")),
    ] {
        let rejected = refuse(EventType::OrderCreated, &event);
        assert_eq!(rejected.kind, RejectedKind::KeyMismatch);
        assert!(rejected.reason.contains("key is"), "{rejected}");
    }
}

#[test]
fn an_event_on_another_ones_topic_is_refused_whatever_else_is_wrong() {
    for kind in EventType::ALL {
        let mut event = valid(*kind);
        event["type"] = json!("order.OrderCreated.v2");
        for payload in [event["payload"].clone(), json!({}), json!(null)] {
            event["payload"] = payload;
            let rejected = refuse(*kind, &event);
            assert_eq!(rejected.kind, RejectedKind::WrongTopic);
            let expected =
                format!("type is \"order.OrderCreated.v2\", but topic {kind} carries only {kind}");
            assert_eq!(rejected.reason, expected);
        }
    }
}

#[test]
fn an_unknown_version_is_refused_as_such() {
    for version in [
        json!(0),
        json!(2),
        json!(-1),
        json!(1.5),
        json!("1"),
        json!(null),
        json!(u64::MAX),
    ] {
        let rejected = refuse(EventType::OrderCreated, &with("/version", version.clone()));
        assert_eq!(
            rejected.kind,
            RejectedKind::UnknownVersion,
            "{version}: {rejected}"
        );
        assert!(rejected.reason.contains("version"), "{rejected}");
    }
    let mut future = with("/version", json!(2));
    future["payload"] = json!({ "order": { "id": "ord-01JZ8Q6X3D" } });
    assert_eq!(
        refuse(EventType::OrderCreated, &future).kind,
        RejectedKind::UnknownVersion
    );
}

#[test]
fn a_refusal_names_the_field() {
    for (event, field) in [
        (without("/eventId"), "eventId"),
        (without("/timestamp"), "timestamp"),
        (without("/payload"), "payload"),
        (without("/key"), "key"),
        (without("/payload/orderId"), "payload: \"orderId\""),
        (without("/payload/items/0/sku"), "payload.items.0: \"sku\""),
        (with("/eventId", json!("")), "eventId:"),
        (with("/timestamp", json!("yesterday")), "timestamp:"),
        (with("/correlationId", json!(7)), "correlationId:"),
        (with("/headers", json!([])), "headers:"),
        (with("/payload/orderId", json!("a b")), "payload.orderId:"),
        (with("/payload/items", json!([])), "payload.items:"),
        (
            with(
                "/payload/items",
                vec![json!({ "sku": "a", "qty": 1 }); 101].into(),
            ),
            "payload.items:",
        ),
        (
            with("/payload/items/1/qty", json!(0)),
            "payload.items.1.qty:",
        ),
        (
            with("/payload/items/1/qty", json!(1.5)),
            "payload.items.1.qty:",
        ),
        (
            with("/payload/items/1/sku", json!("a\nb")),
            "payload.items.1.sku:",
        ),
        (
            with("/payload/items/1", json!(["SKU-1", 2])),
            "payload.items.1:",
        ),
        (
            with("/payload/items/1/price", json!(-1)),
            "payload.items.1.price:",
        ),
        (with("/payload/total", json!(-0.01)), "payload.total:"),
        (with("/payload/total", json!(19.999)), "payload.total:"),
        (with("/payload/total", json!("10")), "payload.total:"),
        (with("/payload/currency", json!(1)), "payload.currency:"),
    ] {
        let rejected = refuse(EventType::OrderCreated, &event);
        assert_eq!(rejected.kind, RejectedKind::Schema, "{rejected}");
        assert!(
            rejected.reason.contains(field),
            "{field} is not in: {rejected}"
        );
    }
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let text = valid(EventType::OrderCreated).to_string();
    for (once, twice, field) in [
        ("\"version\":1", "\"version\":1,\"version\":1", "version"),
        ("\"qty\":2", "\"qty\":2,\"qty\":3", "qty"),
        ("\"headers\":", "\"headers\":{},\"headers\":", "headers"),
    ] {
        let text = text.replacen(once, twice, 1);
        let rejected = refuse_bytes(Some(text.as_bytes()));
        assert_eq!(rejected.kind, RejectedKind::Schema);
        assert!(
            rejected
                .reason
                .contains(&format!("duplicate field `{field}`")),
            "{rejected}"
        );
    }
}

#[test]
fn a_reason_stays_short_however_much_it_could_quote() {
    let long = "x".repeat(1 << 20);
    for event in [
        with("/type", json!(long)),
        with("/key", json!(long)),
        with("/eventId", json!(long)),
        with("/payload/total", json!(long)),
        with("/payload", json!(long)),
        with("/payload/orderId", json!(format!("é{long}"))),
    ] {
        let rejected = refuse(EventType::OrderCreated, &event);
        assert!(
            rejected.reason.chars().count() <= 1_001,
            "{} characters",
            rejected.reason.chars().count()
        );
    }
}

#[test]
fn depth_in_what_is_ignored_does_no_harm() {
    let depth = 100_000;
    let event = String::from_utf8(examples::full(EventType::OrderCreated).encode()).unwrap();
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let event = event.replacen('{', &format!("{{\"unknown\":{deep},"), 1);
    let decoded = Event::decode(EventType::OrderCreated, Some(KEY), Some(event.as_bytes()));
    assert_eq!(decoded.unwrap(), examples::full(EventType::OrderCreated));
}
