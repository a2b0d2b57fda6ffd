//! Texts that are given on the command line, in a file, or on standard input.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;

/// Nothing larger is a message: the brokers' own limit is about 1 MiB.
const BYTES_MAX: u64 = 64 << 20;

/// `@FILE` is the file, `-` is standard input, anything else is itself.
pub(crate) fn given(text: &str) -> anyhow::Result<Vec<u8>> {
    match text.strip_prefix('@') {
        Some(path) => file(Path::new(path)),
        None if text == "-" => standard_input(),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// A file; `-` is standard input.
pub(crate) fn file(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        return standard_input();
    }
    let name = path.display();
    let opened = fs::File::open(path).with_context(|| format!("{name} cannot be opened"))?;
    limited(opened).with_context(|| format!("{name} cannot be read"))
}

/// All of standard input.
pub(crate) fn standard_input() -> anyhow::Result<Vec<u8>> {
    limited(io::stdin()).context("standard input cannot be read")
}

fn limited(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= BYTES_MAX, "it has more than 64 MiB");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_sign_names_a_file_and_anything_else_is_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("payload.json");
        fs::write(&path, "{}").unwrap();
        assert_eq!(given(&format!("@{}", path.display())).unwrap(), b"{}");
        assert_eq!(given("{\"a\":1}").unwrap(), b"{\"a\":1}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = given("@/no/such/file").unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }
}
