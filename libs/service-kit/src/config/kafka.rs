//! The broker: where it is, how to sign in there, and how it proves who it is.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// A checked, comma-separated list of `host:port`, as librdkafka takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaBrokers(String);

/// One entry of the list of brokers is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a broker's host:port, such as 127.0.0.1:9092")]
pub struct BadBroker(String);

impl KafkaBrokers {
    /// The list, for `bootstrap.servers`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for KafkaBrokers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for KafkaBrokers {
    type Err = BadBroker;

    fn from_str(text: &str) -> Result<Self, BadBroker> {
        let mut brokers = Vec::new();
        for broker in text.split(',').map(str::trim) {
            let address = broker
                .rsplit_once("://")
                .map_or(broker, |(_, address)| address);
            match address.rsplit_once(':') {
                Some((host, port))
                    if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) =>
                {
                    brokers.push(broker);
                }
                _ => return Err(BadBroker(broker.to_owned())),
            }
        }
        Ok(Self(brokers.join(",")))
    }
}

/// How to talk to the broker. `global`, so that the command line's verbs take these flags before and after their own verbs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kafka's TLS and sign-in")]
pub struct KafkaSecurityArgs {
    /// How to talk to the broker
    #[arg(
        long,
        env = "KAFKA_SECURITY_PROTOCOL",
        default_value = "plaintext",
        value_name = "PROTOCOL",
        ignore_case = true,
        global = true
    )]
    pub kafka_security_protocol: SecurityProtocol,

    /// How to sign in, when the protocol has a sign-in
    #[arg(
        long,
        env = "KAFKA_SASL_MECHANISM",
        value_name = "MECHANISM",
        ignore_case = true,
        global = true
    )]
    pub kafka_sasl_mechanism: Option<SaslMechanism>,

    /// Who signs in
    #[arg(long, env = "KAFKA_SASL_USERNAME", value_name = "NAME", global = true)]
    pub kafka_sasl_username: Option<String>,

    /// With which password. Prefer the variable or the file: flags show up in process lists
    #[arg(
        long,
        env = "KAFKA_SASL_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD",
        global = true
    )]
    pub kafka_sasl_password: Option<KafkaPassword>,

    /// File with the password, instead of the password
    #[arg(
        long,
        env = "KAFKA_SASL_PASSWORD_FILE",
        value_name = "FILE",
        global = true
    )]
    pub kafka_sasl_password_file: Option<PathBuf>,

    /// File with the certificates (PEM) of who may vouch for the broker, when the protocol has TLS [default: the system's]
    #[arg(long, env = "KAFKA_SSL_CA", value_name = "FILE", global = true)]
    pub kafka_ssl_ca: Option<PathBuf>,
}

/// How a client talks to the broker, in Kafka's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SecurityProtocol {
    /// Neither TLS nor sign-in.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// Sign-in without TLS.
    SaslPlaintext,
    /// TLS and sign-in.
    SaslSsl,
}

impl SecurityProtocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    const fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    const fn has_sign_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SaslMechanism {
    /// The password itself is sent.
    #[value(name = "PLAIN")]
    Plain,
    /// The password is not sent.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with a longer hash.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// The password for the broker. Its debug output is blank.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaPassword(String);

impl FromStr for KafkaPassword {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for KafkaPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KafkaPassword(***)")
    }
}

/// The broker's TLS and sign-in are not as they must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaSecurityError {
    /// Something is missing that signing in needs.
    #[error("KAFKA_SECURITY_PROTOCOL is {protocol}, which needs {variable}: {hint}")]
    Missing {
        /// The protocol.
        protocol: &'static str,
        /// What is missing.
        variable: &'static str,
        /// What to give.
        hint: &'static str,
    },
    /// Something is set that would be ignored.
    #[error(
        "{variable} is set, but KAFKA_SECURITY_PROTOCOL is {protocol}, which does not use it: choose {instead}, or leave it out"
    )]
    Unused {
        /// What is set.
        variable: &'static str,
        /// The protocol.
        protocol: &'static str,
        /// Which protocols use it.
        instead: &'static str,
    },
    /// The password is given twice.
    #[error("KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set: give one of them")]
    TwoPasswords,
    /// A file cannot be read.
    #[error("{variable} names {path}, which cannot be read: {why}")]
    Unreadable {
        /// What names it.
        variable: &'static str,
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
}

/// How to talk to the broker, checked. Its debug output has no values.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct KafkaSecurity(Vec<(&'static str, String)>);

impl KafkaSecurity {
    /// Settings of librdkafka; none when there is neither TLS nor sign-in.
    pub fn settings(&self) -> &[(&'static str, String)] {
        &self.0
    }

    /// Whether there is neither TLS nor sign-in.
    pub fn is_plaintext(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for KafkaSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl KafkaSecurityArgs {
    /// Checks that everything is there that the protocol needs, and nothing that it would ignore; reads the password's file.
    pub fn resolve(&self) -> Result<KafkaSecurity, KafkaSecurityError> {
        let protocol = self.kafka_security_protocol;
        let mut settings = Vec::new();
        if protocol != SecurityProtocol::Plaintext {
            settings.push(("security.protocol", protocol.name().to_owned()));
        }
        if protocol.has_sign_in() {
            self.sign_in(&mut settings)?;
        } else if let Some(variable) = self.set_for_sign_in() {
            return Err(unused(variable, protocol, "sasl_ssl or sasl_plaintext"));
        }
        if let Some(path) = &self.kafka_ssl_ca {
            if !protocol.has_tls() {
                return Err(unused("KAFKA_SSL_CA", protocol, "ssl or sasl_ssl"));
            }
            // librdkafka would say it, but not which variable it was
            read("KAFKA_SSL_CA", path)?;
            settings.push(("ssl.ca.location", path.display().to_string()));
        }
        Ok(KafkaSecurity(settings))
    }

    fn sign_in(
        &self,
        settings: &mut Vec<(&'static str, String)>,
    ) -> Result<(), KafkaSecurityError> {
        let missing = |variable, hint| KafkaSecurityError::Missing {
            protocol: self.kafka_security_protocol.name(),
            variable,
            hint,
        };
        let mechanism = self.kafka_sasl_mechanism.ok_or_else(|| {
            missing(
                "KAFKA_SASL_MECHANISM",
                "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            )
        })?;
        let username = self.kafka_sasl_username.clone();
        let username = username
            .filter(|name| !name.is_empty())
            .ok_or_else(|| missing("KAFKA_SASL_USERNAME", "who signs in"))?;
        let password = match (&self.kafka_sasl_password, &self.kafka_sasl_password_file) {
            (Some(_), Some(_)) => return Err(KafkaSecurityError::TwoPasswords),
            (Some(password), None) => password.0.clone(),
            // the line break that an editor leaves is none of it
            (None, Some(path)) => read("KAFKA_SASL_PASSWORD_FILE", path)?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
            (None, None) => String::new(),
        };
        if password.is_empty() {
            return Err(missing(
                "KAFKA_SASL_PASSWORD",
                "the password, or KAFKA_SASL_PASSWORD_FILE with a file that holds it",
            ));
        }
        settings.push(("sasl.mechanisms", mechanism.name().to_owned()));
        settings.push(("sasl.username", username));
        settings.push(("sasl.password", password));
        Ok(())
    }

    fn set_for_sign_in(&self) -> Option<&'static str> {
        let set = [
            ("KAFKA_SASL_MECHANISM", self.kafka_sasl_mechanism.is_some()),
            ("KAFKA_SASL_USERNAME", self.kafka_sasl_username.is_some()),
            ("KAFKA_SASL_PASSWORD", self.kafka_sasl_password.is_some()),
            (
                "KAFKA_SASL_PASSWORD_FILE",
                self.kafka_sasl_password_file.is_some(),
            ),
        ];
        set.into_iter()
            .find_map(|(variable, is_set)| is_set.then_some(variable))
    }
}

fn unused(
    variable: &'static str,
    protocol: SecurityProtocol,
    instead: &'static str,
) -> KafkaSecurityError {
    KafkaSecurityError::Unused {
        variable,
        protocol: protocol.name(),
        instead,
    }
}

fn read(variable: &'static str, path: &Path) -> Result<String, KafkaSecurityError> {
    fs::read_to_string(path).map_err(|error: io::Error| KafkaSecurityError::Unreadable {
        variable,
        path: path.display().to_string(),
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        security: KafkaSecurityArgs,
    }

    fn resolve(flags: &[&str]) -> Result<KafkaSecurity, String> {
        let line = std::iter::once(&"service").chain(flags);
        let args = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        args.security.resolve().map_err(|error| error.to_string())
    }

    const SASL: [&str; 4] = [
        "--kafka-security-protocol=SASL_SSL",
        "--kafka-sasl-mechanism=scram-sha-512",
        "--kafka-sasl-username=ann",
        "--kafka-sasl-password=swordfish",
    ];

    #[test]
    fn without_flags_nothing_is_set() {
        assert!(resolve(&[]).unwrap().is_plaintext());
    }

    #[test]
    fn a_complete_sign_in_becomes_the_client_s_settings() {
        let security = resolve(&SASL).unwrap();
        let expected = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", "ann"),
            ("sasl.password", "swordfish"),
        ];
        let settings = security.settings().iter();
        assert!(
            settings
                .map(|(name, value)| (*name, value.as_str()))
                .eq(expected)
        );
        assert!(!format!("{security:?}").contains("swordfish"));
    }

    #[test]
    fn the_password_s_file_is_read_without_its_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, " sword fish \n").unwrap();
        let flag = format!("--kafka-sasl-password-file={}", file.display());
        let security = resolve(&[&SASL[..3], &[&flag]].concat()).unwrap();
        assert_eq!(
            security.settings().last().unwrap(),
            &("sasl.password", " sword fish ".to_owned())
        );
        let both = resolve(&[&SASL[..], &[&flag]].concat()).unwrap_err();
        assert!(both.contains("both set"), "{both}");
    }

    #[test]
    fn what_is_missing_and_what_would_be_ignored_is_refused_by_name() {
        for (flags, says) in [
            (&SASL[..1], "needs KAFKA_SASL_MECHANISM"),
            (&SASL[..2], "needs KAFKA_SASL_USERNAME"),
            (&SASL[..3], "needs KAFKA_SASL_PASSWORD"),
            (&SASL[1..2], "KAFKA_SASL_MECHANISM is set"),
            (&SASL[2..], "KAFKA_SASL_USERNAME is set"),
            (&["--kafka-ssl-ca=/dev/null"], "KAFKA_SSL_CA is set"),
            (
                &["--kafka-security-protocol=ssl", "--kafka-ssl-ca=/not/there"],
                "KAFKA_SSL_CA names /not/there",
            ),
            (&["--kafka-security-protocol=tls"], "sasl_ssl"),
        ] {
            let error = resolve(flags).unwrap_err();
            assert!(error.contains(says), "{flags:?}: {error}");
            assert!(!error.contains("swordfish"), "{error}");
        }
    }

    #[test]
    fn a_broker_without_a_port_is_refused() {
        for wrong in [
            "localhost",
            "localhost:0",
            ":9092",
            "",
            "a:1,,b:2",
            "a:99999",
        ] {
            assert!(wrong.parse::<KafkaBrokers>().is_err(), "{wrong}");
        }
        assert!(
            "PLAINTEXT://a:9092,[::1]:9092"
                .parse::<KafkaBrokers>()
                .is_ok()
        );
    }
}
