//! The files in `schemas/`, as the types say and as they are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sagaline_contracts::{EventType, examples, schema};
use serde_json::Value;

use crate::compatibility::{self, BREAKS};

/// A file that could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not JSON.
    #[error("{}: {source}", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FileError + '_ {
    move |source| FileError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Every file's text by its path below the schemas' folder.
pub(crate) fn generated() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for kind in EventType::ALL {
        files.insert(format!("{kind}.json"), pretty(schema::schema(*kind)));
        let examples = [
            ("", examples::full(*kind)),
            (".minimal", examples::minimal(*kind)),
        ];
        for (suffix, event) in examples {
            let json = serde_json::from_slice(&event.encode()).unwrap_or(Value::Null);
            files.insert(format!("examples/{kind}{suffix}.json"), pretty(json));
        }
    }
    files
}

/// Keys are sorted here because the order of a `serde_json::Map` depends on what else is built in the same workspace.
fn pretty(value: Value) -> String {
    format!("{:#}\n", sorted(value))
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<String, Value> = map
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// How the files in `dir` differ from the generated ones.
pub(crate) fn differences(
    dir: &Path,
    generated: &BTreeMap<String, String>,
) -> Result<Vec<String>, FileError> {
    let committed = committed(dir)?;
    let mut wrong = Vec::new();
    for (name, text) in generated {
        match committed.get(name) {
            None => wrong.push(format!("missing: schemas/{name}")),
            Some(found) if found == text => {}
            Some(found) => wrong.push(format!(
                "differs: schemas/{name}{}",
                first_difference(found, text)
            )),
        }
    }
    let surplus = committed
        .keys()
        .filter(|name| !generated.contains_key(*name));
    wrong.extend(surplus.map(|name| format!("no event has it: schemas/{name}")));
    if !wrong.is_empty() {
        wrong.push("run `cargo run -p sagaline-contracts --bin generate-schemas` and commit what it writes".to_owned());
    }
    Ok(wrong)
}

fn first_difference(found: &str, expected: &str) -> String {
    let lines = found.lines().zip(expected.lines()).zip(1_u32..);
    for ((found, expected), line) in lines {
        if found != expected {
            return format!(
                ", first in line {line}: is `{}`, should be `{}`",
                found.trim(),
                expected.trim()
            );
        }
    }
    ", in its length".to_owned()
}

/// What the generated schemas break of those in `dir`.
pub(crate) fn breaks(
    dir: &Path,
    generated: &BTreeMap<String, String>,
) -> Result<Vec<String>, FileError> {
    let mut wrong = Vec::new();
    for (name, text) in committed(dir)? {
        if name.contains('/') {
            continue;
        }
        let Some(after) = generated.get(&name) else {
            wrong.push(format!("{BREAKS} {name}: the event is gone"));
            continue;
        };
        let parse = |text: &str| {
            serde_json::from_str::<Value>(text).map_err(|source| FileError::Json {
                path: dir.join(&name),
                source,
            })
        };
        let found = compatibility::breaks(&parse(&text)?, &parse(after)?);
        wrong.extend(
            found
                .into_iter()
                .map(|line| format!("{BREAKS} {name}: {line}")),
        );
    }
    Ok(wrong)
}

/// Writes what differs, removes what no event has, and says how many files changed.
pub(crate) fn write(dir: &Path, generated: &BTreeMap<String, String>) -> Result<usize, FileError> {
    let committed = committed(dir)?;
    let examples = dir.join("examples");
    fs::create_dir_all(&examples).map_err(at(&examples))?;
    let mut written = 0;
    for (name, text) in generated {
        if committed.get(name) != Some(text) {
            let path = dir.join(name);
            fs::write(&path, text).map_err(at(&path))?;
            written += 1;
        }
    }
    for name in committed
        .keys()
        .filter(|name| !generated.contains_key(*name))
    {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(at(&path))?;
        written += 1;
    }
    Ok(written)
}

fn committed(dir: &Path) -> Result<BTreeMap<String, String>, FileError> {
    let mut files = BTreeMap::new();
    for (folder, prefix) in [(dir.to_owned(), ""), (dir.join("examples"), "examples/")] {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let path = entry.map_err(at(&folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|_| path.extension().is_some_and(|end| end == "json")) {
                let text = fs::read_to_string(&path).map_err(at(&path))?;
                files.insert(format!("{prefix}{name}"), text);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn what_was_written_is_up_to_date_and_breaks_nobody() {
        let (dir, generated) = (folder(), generated());
        assert_eq!(write(dir.path(), &generated).unwrap(), generated.len());
        assert_eq!(differences(dir.path(), &generated).unwrap(), [""; 0]);
        assert_eq!(breaks(dir.path(), &generated).unwrap(), [""; 0]);
        assert_eq!(write(dir.path(), &generated).unwrap(), 0);
    }

    #[test]
    fn a_changed_a_missing_and_a_surplus_file_are_named() {
        let (dir, generated) = (folder(), generated());
        write(dir.path(), &generated).unwrap();
        let schema = dir.path().join("order.OrderCreated.v1.json");
        let text = fs::read_to_string(&schema).unwrap();
        fs::write(
            &schema,
            text.replace("\"maxItems\": 100", "\"maxItems\": 90"),
        )
        .unwrap();
        fs::remove_file(dir.path().join("order.OrderConfirmed.v1.json")).unwrap();
        fs::write(dir.path().join("examples/old.json"), "{}").unwrap();
        let wrong = differences(dir.path(), &generated).unwrap().join("\n");
        assert!(wrong.contains("differs: schemas/order.OrderCreated.v1.json, first in line"));
        assert!(
            wrong.contains("is `\"maxItems\": 90,`, should be `\"maxItems\": 100,`"),
            "{wrong}"
        );
        assert!(wrong.contains("missing: schemas/order.OrderConfirmed.v1.json"));
        assert!(wrong.contains("no event has it: schemas/examples/old.json"));
    }

    #[test]
    fn an_event_that_is_gone_breaks_who_reads_it() {
        let (dir, mut generated) = (folder(), generated());
        write(dir.path(), &generated).unwrap();
        generated.remove("order.OrderShipped.v1.json");
        generated.remove("shipping.OrderShipped.v1.json");
        let wrong = breaks(dir.path(), &generated).unwrap();
        assert_eq!(
            wrong,
            ["breaks: shipping.OrderShipped.v1.json: the event is gone"]
        );
    }
}
