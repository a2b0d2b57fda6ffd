//! The one place for randomness. Ids that follow from a cause are derived elsewhere, never drawn.

use uuid::Uuid;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: check that /dev/urandom is readable")]
pub struct NoRandomness(#[source] getrandom::Error);

/// A new id, ordered by time of creation (UUID version 7), so that indexes on it stay compact.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where ids are drawn"
)]
pub fn random_uuid() -> Uuid {
    Uuid::now_v7()
}

/// Random bytes fit for secrets.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_ids_are_version_7_and_ascend() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| random_uuid()).collect();
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn two_draws_of_bytes_differ() {
        assert_ne!(random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
    }
}
