//! Signing in: tokens (HS256 alone) and the extractor that guards the admin endpoints.

mod admin;
mod keys;

pub use admin::{Admin, AdminGate, AdminLimits};
pub use keys::{ADMIN_ROLE, AUDIENCE, Claims, JwtKeys, MintError, TokenError};
