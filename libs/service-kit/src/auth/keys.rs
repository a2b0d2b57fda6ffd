use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::clock::{SystemClock, UnixSeconds};
use crate::secret::JwtSecret;
use crate::text;

/// The role that may operate on orders, stock and dead letters.
pub const ADMIN_ROLE: &str = "admin";

/// The audience that a token names when it names one: it is then for these services, or for others.
pub const AUDIENCE: &str = "sagaline";

/// By how much the clocks of issuer and verifier may differ, in seconds.
const LEEWAY_S: f64 = 5.0;

/// A longer text is no token of ours: refused before any work is done on it.
const MAX_TOKEN_BYTES: usize = 4_096;

/// Who a verified token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The subject, for the audit.
    pub sub: String,
    /// Every role that the token grants.
    pub roles: Vec<String>,
}

impl Claims {
    /// Whether the token grants this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|granted| granted == role)
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no JWT, or its claims are not those of a token.
    #[error(
        "the token is malformed, has no `exp`, or a `sub` that is not 1 to 128 printable characters"
    )]
    Malformed,
    /// It is signed otherwise than by HS256, or not at all.
    #[error("the token is not signed with HS256")]
    WrongAlgorithm,
    /// Its signature is not of our secret.
    #[error("the token's signature is wrong")]
    WrongSignature,
    /// Its time is over.
    #[error("the token has expired: get a new one")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It was issued by somebody else, or for somebody else.
    #[error("the token has another issuer or audience")]
    NotForUs,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed")]
pub struct MintError(#[source] jsonwebtoken::errors::Error);

/// The keys that sign and verify tokens. Cheap to clone; debug output shows none of them.
#[derive(Clone)]
pub struct JwtKeys(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    now_s: UnixSeconds,
    issuer: Option<String>,
    audience: Audience,
}

/// For whom a token must be.
#[derive(Clone)]
struct Audience {
    ours: String,
    /// A token that names no audience is refused as well.
    is_demanded: bool,
}

impl std::fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JwtKeys(***)")
    }
}

#[derive(Serialize)]
struct Minted<'a> {
    sub: &'a str,
    role: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

#[derive(Deserialize)]
struct Presented {
    sub: Option<String>,
    // RFC 7519: a NumericDate may have a fraction.
    exp: f64,
    nbf: Option<f64>,
    role: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    iss: Option<String>,
    aud: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn contains(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

impl JwtKeys {
    /// Keys of this secret, with the machine's clock.
    pub fn new(secret: &JwtSecret) -> Self {
        Self::with_clock(secret, SystemClock.seconds())
    }

    /// Keys of this secret, with a clock of the caller's.
    pub fn with_clock(secret: &JwtSecret, now_s: UnixSeconds) -> Self {
        // The library verifies signature and algorithm. Times are compared here, for it only knows the machine's clock.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self(Arc::new(Inner {
            encoding: EncodingKey::from_secret(secret.expose().as_bytes()),
            decoding: DecodingKey::from_secret(secret.expose().as_bytes()),
            validation,
            now_s,
            issuer: None,
            audience: Audience {
                ours: AUDIENCE.to_owned(),
                is_demanded: false,
            },
        }))
    }

    /// Demands this issuer of every token, and mints with it.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).issuer = Some(issuer.into());
        self
    }

    /// Demands this audience of every token, and mints with it. Without this a token need not name one, but one that
    /// names others than [`AUDIENCE`] is for them, and refused (RFC 7519, 4.1.3).
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).audience = Audience {
            ours: audience.into(),
            is_demanded: true,
        };
        self
    }

    /// A token for `sub` with one role, valid for `ttl` from now.
    pub fn mint(&self, sub: &str, role: &str, ttl: Duration) -> Result<String, MintError> {
        let iat = (self.0.now_s)();
        let ttl_s = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let audience = &self.0.audience;
        let claims = Minted {
            sub,
            role,
            iat,
            exp: iat.saturating_add(ttl_s),
            iss: self.0.issuer.as_deref(),
            aud: audience.is_demanded.then_some(audience.ours.as_str()),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0.encoding)
            .map_err(MintError)
    }

    /// Verifies a token and says who it speaks for.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let decoded =
            jsonwebtoken::decode::<Presented>(token, &self.0.decoding, &self.0.validation)
                .map_err(|error| reason(&error, token))?;
        self.check(decoded.claims)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 stay far below 2^53"
    )]
    fn check(&self, presented: Presented) -> Result<Claims, TokenError> {
        let now_s = (self.0.now_s)() as f64;
        if now_s >= presented.exp + LEEWAY_S {
            return Err(TokenError::Expired);
        }
        if presented.nbf.is_some_and(|nbf_s| now_s < nbf_s - LEEWAY_S) {
            return Err(TokenError::NotYetValid);
        }
        let wrong_issuer = self.0.issuer.is_some() && self.0.issuer != presented.iss;
        let audience = &self.0.audience;
        let wrong_audience = match &presented.aud {
            Some(aud) => !aud.contains(&audience.ours),
            None => audience.is_demanded,
        };
        if wrong_issuer || wrong_audience {
            return Err(TokenError::NotForUs);
        }
        let mut roles = presented.roles;
        roles.extend(presented.role);
        let sub = presented.sub.unwrap_or_else(|| "unknown".to_owned());
        // It ends up in events, in the audit and in logs.
        if !text::is_short(&sub) {
            return Err(TokenError::Malformed);
        }
        Ok(Claims { sub, roles })
    }
}

fn reason(error: &jsonwebtoken::errors::Error, token: &str) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::WrongSignature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => TokenError::WrongAlgorithm,
        // `none` is no algorithm to the library, so its header fails to parse.
        _ if jsonwebtoken::decode_header(token).is_err() && token.split('.').count() == 3 => {
            TokenError::WrongAlgorithm
        }
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const NOW_S: i64 = 1_700_000_000;
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn secret() -> JwtSecret {
        SECRET.parse().unwrap()
    }

    fn keys() -> JwtKeys {
        keys_at(NOW_S)
    }

    fn keys_at(now_s: i64) -> JwtKeys {
        JwtKeys::with_clock(&secret(), Arc::new(move || now_s))
    }

    fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    fn hs256(claims: &Value) -> String {
        sign(Algorithm::HS256, SECRET, claims)
    }

    #[test]
    fn a_minted_token_verifies_and_names_subject_and_role() {
        let token = keys()
            .mint("ana", ADMIN_ROLE, Duration::from_mins(1))
            .unwrap();
        let claims = keys().verify(&token).unwrap();
        assert_eq!(claims.sub, "ana");
        assert!(claims.has_role(ADMIN_ROLE));
    }

    #[test]
    fn a_token_is_valid_until_its_end_plus_the_leeway_and_not_a_second_longer() {
        let token = keys()
            .mint("ana", ADMIN_ROLE, Duration::from_mins(1))
            .unwrap();
        assert!(keys_at(NOW_S + 64).verify(&token).is_ok());
        assert_eq!(keys_at(NOW_S + 65).verify(&token), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_without_exp_is_refused() {
        let token = hs256(&json!({"sub": "ana", "role": "admin"}));
        assert_eq!(keys().verify(&token), Err(TokenError::Malformed));
    }

    #[test]
    fn a_token_with_an_exp_that_is_no_number_is_refused() {
        for exp in [json!("2100-01-01"), json!(null), json!([1]), json!({})] {
            let token = hs256(&json!({"sub": "ana", "exp": exp}));
            assert_eq!(keys().verify(&token), Err(TokenError::Malformed), "{exp}");
        }
    }

    #[test]
    fn a_token_before_its_time_is_refused() {
        let token = hs256(&json!({"sub": "ana", "exp": NOW_S + 100, "nbf": NOW_S + 50}));
        assert_eq!(keys().verify(&token), Err(TokenError::NotYetValid));
        assert!(keys_at(NOW_S + 50).verify(&token).is_ok());
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let claims = encode(json!({"sub": "ana", "role": "admin", "exp": NOW_S + 100}));
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let header = encode(json!({"alg": alg, "typ": "JWT"}));
            for signature in ["", "AAAA"] {
                let token = format!("{header}.{claims}.{signature}");
                assert_eq!(
                    keys().verify(&token),
                    Err(TokenError::WrongAlgorithm),
                    "{alg}"
                );
            }
        }
    }

    #[test]
    fn another_hmac_of_the_right_secret_is_refused() {
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let token = sign(
                algorithm,
                SECRET,
                &json!({"sub": "ana", "exp": NOW_S + 100}),
            );
            assert_eq!(keys().verify(&token), Err(TokenError::WrongAlgorithm));
        }
    }

    #[test]
    fn a_token_that_claims_an_asymmetric_algorithm_is_refused() {
        let honest = hs256(&json!({"sub": "ana", "exp": NOW_S + 100}));
        let rest = honest.split_once('.').unwrap().1;
        for alg in ["RS256", "PS512", "ES256", "EdDSA"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
            let token = format!("{header}.{rest}");
            assert_eq!(
                keys().verify(&token),
                Err(TokenError::WrongAlgorithm),
                "{alg}"
            );
        }
    }

    #[test]
    fn another_secret_a_changed_claim_and_a_truncated_token_are_refused() {
        let claims = json!({"sub": "ana", "exp": NOW_S + 100});
        let forged = sign(Algorithm::HS256, &"x".repeat(32), &claims);
        assert_eq!(keys().verify(&forged), Err(TokenError::WrongSignature));

        let token = hs256(&claims);
        let parts: Vec<&str> = token.split('.').collect();
        let raised = URL_SAFE_NO_PAD
            .encode(json!({"sub": "ana", "role": "admin", "exp": NOW_S + 100}).to_string());
        let changed = format!("{}.{raised}.{}", parts[0], parts[2]);
        assert_eq!(keys().verify(&changed), Err(TokenError::WrongSignature));

        for end in 0..token.len() {
            assert!(
                keys().verify(&token[..end]).is_err(),
                "accepted {end} of {} bytes",
                token.len()
            );
        }
    }

    #[test]
    fn a_token_of_absurd_length_is_refused() {
        let token = hs256(&json!({"sub": "a".repeat(10_000), "exp": NOW_S + 100}));
        assert_eq!(keys().verify(&token), Err(TokenError::Malformed));
    }

    #[test]
    fn a_list_of_roles_counts_like_a_role_and_no_role_grants_nothing() {
        let listed =
            hs256(&json!({"sub": "ana", "roles": ["viewer", "admin"], "exp": NOW_S + 100}));
        assert!(keys().verify(&listed).unwrap().has_role(ADMIN_ROLE));
        let bare = hs256(&json!({"sub": "ana", "exp": NOW_S + 100}));
        assert!(!keys().verify(&bare).unwrap().has_role(ADMIN_ROLE));
    }

    #[test]
    fn a_token_for_somebody_else_is_refused_although_none_need_name_an_audience() {
        for aud in [
            json!("billing"),
            json!(["billing", "crm"]),
            json!([]),
            json!(""),
        ] {
            let token = hs256(&json!({"sub": "ana", "exp": NOW_S + 100, "aud": aud}));
            assert_eq!(keys().verify(&token), Err(TokenError::NotForUs), "{aud}");
        }
        for aud in [
            json!("sagaline"),
            json!(["billing", "sagaline"]),
            json!(null),
        ] {
            let token = hs256(&json!({"sub": "ana", "exp": NOW_S + 100, "aud": aud}));
            assert!(keys().verify(&token).is_ok(), "{aud}");
        }
    }

    #[test]
    fn a_subject_that_could_not_stand_in_a_log_or_an_event_is_refused() {
        for sub in [
            "",
            "ana\nINFO admin signed in",
            "\u{1b}[2J",
            "\u{2028}",
            &"a".repeat(129),
        ] {
            let token = hs256(&json!({"sub": sub, "role": "admin", "exp": NOW_S + 100}));
            assert_eq!(keys().verify(&token), Err(TokenError::Malformed), "{sub:?}");
        }
    }

    #[test]
    fn a_token_whose_public_key_is_our_secret_is_refused() {
        // The classic confusion: a verifier that takes the algorithm from the token would use an asymmetric key as
        // an HMAC secret, or our secret as a key. Signed here with our secret, whatever the header says.
        for alg in ["RS256", "ES256", "EdDSA", "HS512", "hs256"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
            let claims = json!({"sub": "ana", "role": "admin", "exp": NOW_S + 100});
            let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
            let key = EncodingKey::from_secret(SECRET.as_bytes());
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256);
            let token = format!("{signed}.{}", signature.unwrap());
            assert_eq!(
                keys().verify(&token),
                Err(TokenError::WrongAlgorithm),
                "{alg}"
            );
        }
    }

    #[test]
    fn an_expiry_that_is_beyond_reason_does_no_harm() {
        for (exp, accepted) in [
            (json!(1e300), true),
            (json!(i64::MAX), true),
            (json!(-1e300), false),
            (json!(i64::MIN), false),
            (json!(0), false),
        ] {
            let token = hs256(&json!({"sub": "ana", "exp": exp}));
            assert_eq!(keys().verify(&token).is_ok(), accepted, "{exp}");
        }
    }

    #[test]
    fn issuer_and_audience_are_demanded_only_when_configured() {
        let claims =
            json!({"sub": "ana", "exp": NOW_S + 100, "iss": "idp", "aud": ["sagaline", "other"]});
        let (token, bare) = (
            hs256(&claims),
            hs256(&json!({"sub": "ana", "exp": NOW_S + 100})),
        );
        assert!(keys().verify(&token).is_ok());
        let strict = keys().with_issuer("idp").with_audience("sagaline");
        assert!(strict.verify(&token).is_ok());
        assert_eq!(strict.verify(&bare), Err(TokenError::NotForUs));
        assert_eq!(
            keys().with_issuer("else").verify(&token),
            Err(TokenError::NotForUs)
        );
        assert_eq!(
            keys().with_audience("else").verify(&token),
            Err(TokenError::NotForUs)
        );
        let minted = strict
            .mint("ana", ADMIN_ROLE, Duration::from_mins(1))
            .unwrap();
        assert!(strict.verify(&minted).is_ok());
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", keys()), "JwtKeys(***)");
    }
}
