//! The secret that signs admin tokens: given, or made once and kept where only its owner can read it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sagaline_service_kit::secret::JwtSecret;

const FILE: &str = "jwt-secret";

/// Where a secret is kept when no data directory is given: it outlives the process, so tokens do too.
fn state_dir() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .context("neither HOME nor XDG_STATE_HOME is set: give --data-dir or JWT_SECRET")?;
    Ok(base.join("sagaline"))
}

/// The secret that was given, or the one that is kept, or a new one that is kept from now on.
pub(crate) fn given_or_kept(
    given: Option<&JwtSecret>,
    data_dir: Option<&Path>,
) -> anyhow::Result<JwtSecret> {
    match given {
        Some(secret) => Ok(secret.clone()),
        None => kept(&dir(data_dir)?),
    }
}

/// The secret that was given or the one that is kept; an error when there is neither.
pub(crate) fn given_or_existing(
    given: Option<&JwtSecret>,
    data_dir: Option<&Path>,
) -> anyhow::Result<JwtSecret> {
    if let Some(secret) = given {
        return Ok(secret.clone());
    }
    let path = dir(data_dir)?.join(FILE);
    read(&path)?.with_context(|| {
        format!(
            "there is no secret at {}: start `sagaline up` first, or give JWT_SECRET or --data-dir as there",
            path.display()
        )
    })
}

fn dir(data_dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    data_dir.map_or_else(state_dir, |dir| Ok(dir.to_owned()))
}

fn kept(dir: &Path) -> anyhow::Result<JwtSecret> {
    let path = dir.join(FILE);
    if let Some(secret) = read(&path)? {
        return Ok(secret);
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("{} cannot be created", dir.display()))?;
    let secret = JwtSecret::random()?;
    // Written aside and linked into place: of two processes that start together one wins, and both read the same.
    let aside = dir.join(format!("{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .with_context(|| format!("{} cannot be written", aside.display()))?;
    file.write_all(secret.expose().as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&aside, &path);
    fs::remove_file(&aside)?;
    match linked {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read(&path)?.with_context(|| format!("{} disappeared", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be written", path.display())),
    }
}

fn read(path: &Path) -> anyhow::Result<Option<JwtSecret>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let secret = text.trim().parse::<JwtSecret>();
            let secret = secret
                .with_context(|| format!("{} holds no usable secret: remove it", path.display()))?;
            Ok(Some(secret))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = given_or_kept(None, Some(dir.path())).unwrap();
        let second = given_or_existing(None, Some(dir.path())).unwrap();
        assert_eq!(first.expose(), second.expose());
        assert!(first.expose().len() >= 32);
        let mode = fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn without_a_secret_the_reader_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = given_or_existing(None, Some(dir.path())).unwrap_err();
        assert!(error.to_string().contains("sagaline up"), "{error}");
    }
}
