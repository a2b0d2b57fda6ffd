//! `sagaline token`: makes a token for the admin endpoints.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use sagaline_service_kit::JwtKeys;
use sagaline_service_kit::secret::JwtSecret;

use crate::output::{Out, OutputArgs};
use crate::secret;

/// What the token says.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// Who it is for; it stands in the audit
    #[arg(long, value_name = "NAME")]
    sub: String,
    /// What its holder may do
    #[arg(long, default_value = "admin")]
    role: String,
    /// How long it is good for, for instance 30m, 24h or 7d
    #[arg(long, default_value = "24h", value_parser = duration)]
    ttl: Duration,
    /// Secret to sign it with, as the services have it
    #[arg(
        long,
        env = "JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    jwt_secret: Option<JwtSecret>,
    /// Data directory of `sagaline up`, which keeps its secret there
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints a token.
pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let secret = secret::given_or_existing(args.jwt_secret.as_ref(), args.data_dir.as_deref())?;
    let token = JwtKeys::new(&secret).mint(&args.sub, &args.role, args.ttl)?;
    // Not with println!, which panics when nobody reads.
    let mut out = Out::new(args.output);
    if out.json {
        out.json(&serde_json::json!({
            "token": token, "sub": args.sub, "role": args.role, "ttlSeconds": args.ttl.as_secs(),
        }))?;
    } else {
        out.line(token)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Reads `90s`, `30m`, `24h`, `7d`, or a number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let complaint = || format!("{text:?} is no duration: say for instance 90s, 30m, 24h or 7d");
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| complaint())?;
    let seconds = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    seconds
        .and_then(|seconds| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .ok_or_else(complaint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(duration("15"), Ok(Duration::from_secs(15)));
        assert!(duration("soon").is_err());
        assert!(duration("5w").is_err());
    }
}
