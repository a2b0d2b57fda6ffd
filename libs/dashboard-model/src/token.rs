//! What a token says. Whether it is good is for the services to say; here it only has to be shown.

use serde::Deserialize;

/// An operator's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// As it was pasted.
    pub text: String,
    /// Who it speaks for.
    pub sub: String,
    /// When it ends, in seconds since 1970.
    pub expires_s: i64,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

impl Token {
    /// Reads a token, or says what is wrong with it.
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
    pub fn parse(text: &str, now_s: i64) -> Result<Self, String> {
        let text = text.trim();
        let text = text.strip_prefix("Bearer ").unwrap_or(text).trim();
        let not_one = || "This is no token: paste all of what `sagaline token` printed.".to_owned();
        let parts: Vec<&str> = text.split('.').collect();
        let [_, claims, signature] = parts[..] else {
            return Err(not_one());
        };
        if signature.is_empty() {
            return Err(not_one());
        }
        let claims = base64_url(claims).ok_or_else(not_one)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| not_one())?;
        if claims.role.as_deref() != Some("admin")
            && !claims.roles.iter().any(|role| role == "admin")
        {
            return Err("This token does not grant the role admin.".to_owned());
        }
        let token = Self {
            text: text.to_owned(),
            sub: claims.sub,
            expires_s: claims.exp as i64,
        };
        if token.left_s(now_s) <= 0 {
            return Err("This token has expired: make a new one.".to_owned());
        }
        Ok(token)
    }

    /// For how many seconds it is still good.
    pub const fn left_s(&self, now_s: i64) -> i64 {
        self.expires_s - now_s
    }
}

/// Base64 with the alphabet of URLs or the usual one, with or without padding.
pub(crate) fn base64_url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // {"alg":"HS256"}.{"sub":"ann","role":"admin","exp":2000}.
    const ANN: &str =
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJyb2xlIjoiYWRtaW4iLCJleHAiOjIwMDB9.c2ln";

    #[test]
    fn a_token_says_whose_it_is_and_how_long_it_is_good() {
        let token = Token::parse(&format!("  Bearer {ANN}\n"), 1_000).unwrap();
        assert_eq!((token.sub.as_str(), token.left_s(1_000)), ("ann", 1_000));
        assert_eq!(token.text, ANN);
    }

    #[test]
    fn what_is_no_token_or_too_old_is_told_so() {
        assert!(Token::parse(ANN, 2_000).unwrap_err().contains("expired"));
        for text in [
            "",
            "a.b",
            "a.b.c",
            "not a token at all",
            &ANN[..ANN.len() - 4],
        ] {
            assert!(
                Token::parse(text, 0).unwrap_err().contains("no token"),
                "{text}"
            );
        }
        // {"sub":"bob","role":"viewer","exp":2000}
        let viewer = "e30.eyJzdWIiOiJib2IiLCJyb2xlIjoidmlld2VyIiwiZXhwIjoyMDAwfQ.c2ln";
        assert!(Token::parse(viewer, 0).unwrap_err().contains("admin"));
    }
}
