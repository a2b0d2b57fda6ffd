//! Values that must not show up in logs.

use std::fmt;
use std::str::FromStr;

use crate::ids::{NoRandomness, random_bytes};

/// How long a signing secret has to be: as long as the output of the hash it keys (RFC 7518, 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The secret that signs and verifies tokens. Its debug output is blank.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtSecret(String);

/// The secret is too weak to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "JWT_SECRET has {0} bytes and needs at least {MIN_SECRET_BYTES}: \
     make one with `openssl rand -hex 32` and give the same one to every service"
)]
pub struct WeakSecret(usize);

impl JwtSecret {
    /// A new secret, for a process that signs and verifies for itself alone.
    pub fn random() -> Result<Self, NoRandomness> {
        use fmt::Write;
        let bytes = random_bytes::<MIN_SECRET_BYTES>()?;
        let mut hex = String::with_capacity(2 * MIN_SECRET_BYTES);
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Ok(Self(hex))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for JwtSecret {
    type Err = WeakSecret;

    fn from_str(text: &str) -> Result<Self, WeakSecret> {
        // A stray newline from a file or a paste must not make two services disagree.
        let text = text.trim();
        if text.len() < MIN_SECRET_BYTES {
            return Err(WeakSecret(text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret(***)")
    }
}

/// The address of a `MongoDB`, which may hold a password: debug output and display leave it out.
#[derive(Clone, PartialEq, Eq)]
pub struct MongoUrl(String);

/// The address does not look like one of a `MongoDB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "MONGO_URL must start with mongodb:// or mongodb+srv://, such as mongodb://127.0.0.1:27017/sagaline"
)]
pub struct BadMongoUrl;

impl MongoUrl {
    /// The address with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for MongoUrl {
    type Err = BadMongoUrl;

    fn from_str(text: &str) -> Result<Self, BadMongoUrl> {
        let text = text.trim();
        let rest = text
            .strip_prefix("mongodb://")
            .or_else(|| text.strip_prefix("mongodb+srv://"));
        match rest {
            Some(rest) if !rest.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(BadMongoUrl),
        }
    }
}

impl fmt::Display for MongoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Options may hold secrets too (TLS key passwords, tokens), so they go with the user part.
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("mongodb", &self.0));
        let address = rest.split('?').next().unwrap_or_default();
        match address.rsplit_once('@') {
            Some((_, hosts)) => write!(f, "{scheme}://***@{hosts}"),
            None => write!(f, "{scheme}://{address}"),
        }
    }
}

impl fmt::Debug for MongoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MongoUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_the_message_says_what_to_do() {
        let error = "too short".parse::<JwtSecret>().unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("9 bytes") && said.contains("openssl rand -hex 32"),
            "{said}"
        );
        assert!(
            !said.contains("too short"),
            "the message repeats the secret"
        );
    }

    #[test]
    fn whitespace_around_a_secret_neither_counts_nor_stays() {
        let padded = format!("{}\n", "s".repeat(32));
        assert_eq!(
            padded.parse::<JwtSecret>().unwrap().expose(),
            "s".repeat(32)
        );
        assert_eq!("  x  ".parse::<JwtSecret>(), Err(WeakSecret(1)));
    }

    #[test]
    fn debug_output_never_shows_a_secret() {
        let secret: JwtSecret = "correct horse battery staple 1234".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "JwtSecret(***)");
        let url: MongoUrl = "mongodb://app:p%40ss@db:27017/s?tlsKeyPassword=x"
            .parse()
            .unwrap();
        assert_eq!(
            format!("{url:?} {url}"),
            "MongoUrl(mongodb://***@db:27017/s) mongodb://***@db:27017/s"
        );
    }

    #[test]
    fn random_secrets_are_strong_and_differ() {
        let (a, b) = (JwtSecret::random().unwrap(), JwtSecret::random().unwrap());
        assert_ne!(a, b);
        assert!(a.expose().parse::<JwtSecret>().is_ok());
    }

    #[test]
    fn a_url_of_another_database_is_refused() {
        assert_eq!("postgres://db/x".parse::<MongoUrl>(), Err(BadMongoUrl));
        assert_eq!("mongodb://".parse::<MongoUrl>(), Err(BadMongoUrl));
    }
}
