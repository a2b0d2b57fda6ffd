//! `sagaline token`: makes a token for the admin endpoints.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context;
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
    /// Sign in with it: opens the dashboard in the browser (`$BROWSER`, or the system's)
    #[arg(long)]
    open: bool,
    /// Where the dashboard is
    #[arg(
        long,
        default_value = "http://localhost:5173",
        value_name = "URL",
        requires = "open"
    )]
    dashboard: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints a token.
pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let secret = secret::given_or_existing(args.jwt_secret.as_ref(), args.data_dir.as_deref())?;
    let token = JwtKeys::new(&secret).mint(&args.sub, &args.role, args.ttl)?;
    // Not with println!, which panics when nobody reads.
    let mut out = Out::new(args.output);
    if args.open {
        let address = address(&args.dashboard, &token);
        open(&address).with_context(|| {
            format!("no browser could be started; open this address yourself: {address}")
        })?;
    }
    if out.json {
        out.json(&serde_json::json!({
            "token": token, "sub": args.sub, "role": args.role, "ttlSeconds": args.ttl.as_secs(),
        }))?;
    } else if args.open {
        out.line(format!("{} is open for {}", args.dashboard, args.sub))?;
    } else {
        out.line(token)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The dashboard's address with the token behind `#`, which no server is sent; the page takes it out at once.
fn address(dashboard: &str, token: &str) -> String {
    format!("{}/#token={token}", dashboard.trim_end_matches('/'))
}

fn open(address: &str) -> std::io::Result<()> {
    let system = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let browser = std::env::var_os("BROWSER").unwrap_or_else(|| system.into());
    let status = Command::new(browser)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(std::io::Error::other(format!("it ended with {status}")))
    }
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
    fn a_token_stands_behind_the_sign_that_no_server_is_sent() {
        let expected = "http://localhost:5173/#token=a.b.c";
        assert_eq!(address("http://localhost:5173", "a.b.c"), expected);
        assert_eq!(address("http://localhost:5173/", "a.b.c"), expected);
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(duration("15"), Ok(Duration::from_secs(15)));
        assert!(duration("soon").is_err());
        assert!(duration("5w").is_err());
    }
}
