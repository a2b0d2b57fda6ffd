//! Whether a schema may take another one's place while programs that know only the old one go on.
//!
//! Both directions count: what was valid must stay valid, for those who send and for events that are stored; and what
//! is valid now must have been valid before, for those who read. New optional properties and new texts are all that is free.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// What every line about a break begins with.
pub(crate) const BREAKS: &str = "breaks:";

/// What to do about one.
pub(crate) const ADVICE: &str = "\
Programs that others own read and write these events as they were. Add optional properties, or add an event of the next
major version (`….v2`) beside this one and let both live until nobody reads the old one.";

// Nothing of ours nests deeper; a schema that refers to itself ends here.
const DEPTH_MAX: usize = 32;

const ANNOTATIONS: [&str; 9] = [
    "$schema",
    "$id",
    "$defs",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
];

/// What breaks when `after` takes the place of `before`: `where: what` each.
pub(crate) fn breaks(before: &Value, after: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        roots: [before, after],
        found: Vec::new(),
    };
    comparison.schemas("", before, after, 0);
    comparison.found
}

struct Comparison<'a> {
    roots: [&'a Value; 2],
    found: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn note(&mut self, at: &str, what: &str) {
        let at = if at.is_empty() { "the event" } else { at };
        self.found.push(format!("{at}: {what}"));
    }

    fn resolve(&self, side: usize, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..DEPTH_MAX {
            let target = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|name| name.strip_prefix('#'))
                .and_then(|pointer| self.roots[side].pointer(pointer));
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn schemas(&mut self, at: &str, before: &'a Value, after: &'a Value, depth: usize) {
        if depth > DEPTH_MAX {
            return self.note(at, "nests too deep to be compared");
        }
        let (before, after) = (self.resolve(0, before), self.resolve(1, after));
        let (Some(before), Some(after)) = (object(before), object(after)) else {
            if before != after {
                self.note(at, &format!("was {before}, is {after}"));
            }
            return;
        };
        let keywords: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for keyword in keywords {
            let (old, new) = (before.get(keyword), after.get(keyword));
            match keyword.as_str() {
                known if ANNOTATIONS.contains(&known) => {}
                "const" if after.contains_key("enum") || before.contains_key("enum") => {}
                "properties" => self.properties(at, old, new, depth),
                "items" => self.pair(&format!("{at}[]"), old, new, depth),
                "anyOf" | "oneOf" | "allOf" => self.alternatives(at, keyword, old, new, depth),
                "type" => self.sets(at, "type", &values(old), &values(new)),
                "required" => self.required(at, &values(old), &values(new)),
                "enum" => {
                    let constant = |schema: &Map<String, Value>| {
                        values(schema.get("enum").or_else(|| schema.get("const")))
                    };
                    self.sets(at, "value", &constant(before), &constant(after));
                }
                "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
                    self.bound(at, keyword, old, new, true);
                }
                "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
                    self.bound(at, keyword, old, new, false);
                }
                "format" if is_number_width(old) && is_number_width(new) => {}
                other => self.same(at, other, old, new),
            }
        }
    }

    fn properties(
        &mut self,
        at: &str,
        old: Option<&'a Value>,
        new: Option<&'a Value>,
        depth: usize,
    ) {
        let (Some(old), Some(new)) = (old.and_then(object), new.and_then(object)) else {
            return self.same(at, "properties", old, new);
        };
        for (name, before) in old {
            let at = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            match new.get(name) {
                Some(after) => self.schemas(&at, before, after, depth + 1),
                None => self.note(&at, "is gone; programs that read it would miss it"),
            }
        }
    }

    fn pair(&mut self, at: &str, old: Option<&'a Value>, new: Option<&'a Value>, depth: usize) {
        match (old, new) {
            (Some(old), Some(new)) => self.schemas(at, old, new, depth + 1),
            _ => self.same(at, "items", old, new),
        }
    }

    fn alternatives(
        &mut self,
        at: &str,
        keyword: &str,
        old: Option<&'a Value>,
        new: Option<&'a Value>,
        depth: usize,
    ) {
        match (old.and_then(Value::as_array), new.and_then(Value::as_array)) {
            (Some(old), Some(new)) if old.len() == new.len() => {
                for (before, after) in old.iter().zip(new) {
                    self.schemas(at, before, after, depth + 1);
                }
            }
            _ => self.same(at, keyword, old, new),
        }
    }

    fn required(&mut self, at: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        for name in new.difference(old) {
            self.note(at, &format!("{name} is required now; programs that send the event without it would be refused"));
        }
        for name in old.difference(new) {
            self.note(
                at,
                &format!("{name} is no longer required; programs that read the event rely on it"),
            );
        }
    }

    fn sets(&mut self, at: &str, what: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        for gone in old.difference(new) {
            self.note(at, &format!("{what} {gone} is refused now"));
        }
        for added in new.difference(old) {
            self.note(
                at,
                &format!("{what} {added} is new; programs that read the event would refuse it"),
            );
        }
    }

    fn bound(
        &mut self,
        at: &str,
        keyword: &str,
        old: Option<&Value>,
        new: Option<&Value>,
        lower: bool,
    ) {
        let number = |value: Option<&Value>| value.and_then(Value::as_f64);
        let (before, after) = (number(old), number(new));
        if before == after {
            return;
        }
        let narrower = match (before, after) {
            (Some(before), Some(after)) => (after > before) == lower,
            (before, _) => before.is_none(),
        };
        let who = if narrower {
            "what was valid is refused now"
        } else {
            "programs that read the event would refuse what is valid now"
        };
        let text = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
        self.note(
            at,
            &format!("{keyword} was {}, is {}; {who}", text(old), text(new)),
        );
    }

    fn same(&mut self, at: &str, keyword: &str, old: Option<&Value>, new: Option<&Value>) {
        if old != new {
            let text = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
            self.note(
                at,
                &format!("{keyword} was {}, is {}", text(old), text(new)),
            );
        }
    }
}

fn object(schema: &Value) -> Option<&Map<String, Value>> {
    schema.as_object()
}

fn values(value: Option<&Value>) -> BTreeSet<String> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    match value {
        Some(Value::Array(values)) => values.iter().map(text).collect(),
        Some(value) => BTreeSet::from([text(value)]),
        None => BTreeSet::new(),
    }
}

// `uint32` and its like say how a program may hold a number; `minimum` and `maximum` say which numbers there are.
fn is_number_width(format: Option<&Value>) -> bool {
    let widths = [
        json!("uint32"),
        json!("uint64"),
        json!("int32"),
        json!("int64"),
    ];
    format.is_none_or(|format| widths.contains(format))
}

#[cfg(test)]
mod tests {
    use sagaline_contracts::EventType;
    use sagaline_contracts::schema::schema;

    use super::*;

    fn changed(pointer: &str, value: Value) -> Vec<String> {
        let before = schema(EventType::OrderCreated);
        let mut after = before.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = after.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value == json!("remove") {
            parent.remove(key).unwrap();
        } else {
            parent.insert(key.to_owned(), value);
        }
        assert_ne!(before, after, "{pointer} changes nothing");
        breaks(&before, &after)
    }

    #[test]
    fn a_schema_may_take_its_own_place() {
        for kind in EventType::ALL {
            assert_eq!(breaks(&schema(*kind), &schema(*kind)), [""; 0]);
        }
    }

    #[test]
    fn what_is_added_and_texts_are_free() {
        let payload = "/$defs/OrderCreated";
        for (pointer, value) in [
            (
                format!("{payload}/properties/giftNote"),
                json!({ "type": "string" }),
            ),
            (format!("{payload}/description"), json!("another text")),
            (
                "/$defs/OrderItem/properties/colour".to_owned(),
                json!({ "enum": ["red"] }),
            ),
            ("/title".to_owned(), json!("another title")),
            ("/$defs/Unused".to_owned(), json!({ "type": "string" })),
            (
                "/$defs/OrderItem/properties/qty/format".to_owned(),
                json!("uint64"),
            ),
        ] {
            assert_eq!(changed(&pointer, value), [""; 0], "{pointer}");
        }
    }

    #[test]
    fn every_sort_of_break_is_found_where_it_is() {
        let item = "/$defs/OrderItem";
        let payload = "/$defs/OrderCreated";
        for (pointer, value, expected) in [
            (
                format!("{item}/properties/price"),
                json!("remove"),
                "payload.items[].price: is gone",
            ),
            (
                format!("{item}/required"),
                json!(["sku", "qty", "price"]),
                "payload.items[]: price is required now",
            ),
            (
                format!("{item}/required"),
                json!(["sku"]),
                "payload.items[]: qty is no longer required",
            ),
            (
                format!("{item}/properties/qty/maximum"),
                json!(5),
                "payload.items[].qty: maximum was 1000000, is 5; what was valid",
            ),
            (
                format!("{item}/properties/qty/minimum"),
                json!(0),
                "payload.items[].qty: minimum was 1, is 0; programs that read",
            ),
            (
                format!("{item}/properties/qty/minimum"),
                json!("remove"),
                "payload.items[].qty: minimum was 1, is none; programs that read",
            ),
            (
                format!("{item}/properties/qty/type"),
                json!("string"),
                "payload.items[].qty: type integer is refused now",
            ),
            (
                format!("{payload}/properties/items/minItems"),
                json!(2),
                "payload.items: minItems was 1, is 2; what was valid",
            ),
            (
                format!("{payload}/properties/items/uniqueItems"),
                json!(true),
                "payload.items: uniqueItems was none, is true",
            ),
            (
                format!("{payload}/properties/currency/maxLength"),
                json!(3),
                "payload.currency: maxLength was none, is 3; what was valid",
            ),
            (
                format!("{payload}/properties/currency/type"),
                json!("string"),
                "payload.currency: type null is refused now",
            ),
            (
                format!("{payload}/additionalProperties"),
                json!(false),
                "payload: additionalProperties was none, is false",
            ),
            (
                "/$defs/Timestamp/format".to_owned(),
                json!("date"),
                "timestamp: format was \"date-time\", is \"date\"",
            ),
            (
                "/$defs/OrderId/pattern".to_owned(),
                json!("^x$"),
                "key: pattern was",
            ),
            (
                "/properties/version/const".to_owned(),
                json!(2),
                "version: const was 1, is 2",
            ),
            (
                "/properties/type/const".to_owned(),
                json!("other"),
                "type: const was",
            ),
            (
                "/properties/causationId/anyOf".to_owned(),
                json!([{ "type": "null" }]),
                "causationId: anyOf was",
            ),
            (
                "/properties/headers".to_owned(),
                json!("remove"),
                "headers: is gone",
            ),
        ] {
            let found = changed(&pointer, value);
            assert!(
                found.iter().any(|line| line.starts_with(expected)),
                "{pointer}: {found:?}, not {expected}"
            );
        }
    }

    #[test]
    fn an_enum_may_neither_lose_nor_gain_a_value() {
        let before = json!({ "enum": ["a", "b"] });
        let found = breaks(&before, &json!({ "enum": ["b", "c"] })).join("\n");
        assert!(found.contains("value a is refused now"), "{found}");
        assert!(found.contains("value c is new"), "{found}");
        assert_eq!(
            breaks(&json!({ "const": "a" }), &json!({ "enum": ["a"] })),
            [""; 0]
        );
    }

    #[test]
    fn a_schema_within_itself_ends_the_comparison() {
        let list = json!({ "$ref": "#/$defs/List", "$defs": { "List": { "items": { "$ref": "#/$defs/List" } } } });
        assert!(breaks(&list, &list).join("\n").contains("nests too deep"));
    }
}
