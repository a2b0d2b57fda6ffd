//! The flags and environment variables that the services share.

mod kafka;

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use crate::auth::AdminLimits;
use crate::cors::CorsOrigins;
use crate::rate_limit::Allowance;
use crate::secret::{JwtSecret, MongoUrl};
use crate::telemetry::{self, LogFormat, LogLevel, LogSetupError};

pub use kafka::{
    BadBroker, KafkaBrokers, KafkaPassword, KafkaSecurity, KafkaSecurityArgs, KafkaSecurityError,
    SaslMechanism, SecurityProtocol,
};

/// What every process takes: where it listens, who may sign in, who may call it from a browser, how it logs.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Address to listen on; 0.0.0.0 to be reachable from other machines
    #[arg(long, env = "HOST", default_value = "127.0.0.1", value_name = "IP")]
    pub host: IpAddr,

    /// Secret that signs admin tokens, at least 32 bytes, the same for every service. Prefer the variable: flags show up in process lists
    #[arg(
        long,
        env = "JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<JwtSecret>,

    /// Origins that may call from a browser: a comma-separated list, or * for any
    #[arg(
        long,
        env = "CORS_ORIGIN",
        default_value = "http://localhost:5173,http://127.0.0.1:5173",
        value_name = "ORIGINS"
    )]
    pub cors_origin: CorsOrigins,

    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogArgs,

    /// What one client may do.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or directives such as info,rdkafka=debug
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: LogLevel,

    /// How to log: json, pretty, or auto (pretty on a terminal, else json)
    #[arg(
        long,
        env = "LOG_FORMAT",
        default_value = "auto",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
}

impl LogArgs {
    /// Starts to log as the flags say. Once per process, first thing.
    pub fn init(&self) -> Result<(), LogSetupError> {
        telemetry::init_logging(&self.log_level, self.log_format)
    }
}

/// What one client may do. `POST /orders` has no rate of its own: all orders may come through one gateway, and what is
/// too much for the intake is told to come back.
#[derive(Debug, Clone, Copy, Args)]
pub struct LimitArgs {
    /// Open connections of each service; one more is answered with 503
    #[arg(
        long,
        env = "MAX_CONNECTIONS",
        default_value_t = 16_384,
        value_parser = clap::value_parser!(u32).range(16..=1_000_000)
    )]
    pub max_connections: u32,

    /// Admin requests a second of one token's subject, in the long run; ten times as many at once. Beyond it 429
    #[arg(
        long,
        env = "ADMIN_RATE",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub admin_rate: u32,

    /// Failed sign-ins a second of one address, in the long run; twenty times as many at once. Beyond it 429
    #[arg(
        long,
        env = "SIGN_IN_FAILURE_RATE",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub sign_in_failure_rate: u32,
}

impl LimitArgs {
    /// The limits of admin endpoints.
    pub const fn admin(&self) -> AdminLimits {
        AdminLimits {
            per_subject: Allowance {
                per_second: self.admin_rate,
                burst: self.admin_rate.saturating_mul(10),
            },
            failures_per_address: Allowance {
                per_second: self.sign_in_failure_rate,
                burst: self.sign_in_failure_rate.saturating_mul(20),
            },
        }
    }
}

impl CommonArgs {
    /// The secret, or what to do about its absence.
    pub fn require_jwt_secret(&self) -> Result<JwtSecret, ConfigError> {
        self.jwt_secret.clone().ok_or(ConfigError::NoSecret)
    }
}

/// Where the broker and the store are.
#[derive(Debug, Clone, Args)]
pub struct ConnectionArgs {
    /// Kafka bootstrap servers, comma-separated host:port
    #[arg(long, env = "KAFKA_BROKERS", value_name = "HOST:PORT,...")]
    pub kafka_brokers: Option<KafkaBrokers>,

    /// URL of the document store. Prefer the variable when it holds a password: flags show up in process lists
    #[arg(long, env = "MONGO_URL", hide_env_values = true, value_name = "URL")]
    pub mongo_url: Option<MongoUrl>,

    /// Partitions of each topic of the pipeline, when the topics are new; topics that are there keep theirs
    #[arg(
        long,
        env = "PARTITIONS",
        default_value_t = 4,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..=64)
    )]
    pub partitions: i32,

    /// How to sign in at the broker, and how it proves who it is.
    #[command(flatten)]
    pub kafka_security: KafkaSecurityArgs,
}

/// The command line of one service's own binary.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// What every process takes.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Where the broker and the store are.
    #[command(flatten)]
    pub connections: ConnectionArgs,

    /// Port to listen on [default: the service's own, 4001 to 4005]
    #[arg(long, env = "PORT")]
    pub port: Option<u16>,

    /// Id of this instance in its consumer group, the same after a restart: its successor gets its partitions at once, instead of after
    /// ten seconds. No two instances of a service may have the same
    #[arg(long, env = "INSTANCE_ID", value_name = "ID")]
    pub instance_id: Option<String>,

    /// Name in /healthz and on log lines about the service as a whole, to tell two installations apart. Consumer group, metrics,
    /// topics and collections keep the service's own name [default: the service's own]
    #[arg(long, env = "SERVICE_NAME", value_name = "NAME")]
    pub service_name: Option<ServiceName>,
}

/// What differs from service to service when nothing is configured.
#[derive(Debug, Clone, Copy)]
pub struct ServiceDefaults {
    /// The service's name.
    pub name: &'static str,
    /// The port it listens on.
    pub port: u16,
}

/// The complete configuration of one service in its own process.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// What the service calls itself to operators. Nothing that other programs find it by follows from it: a consumer group of
    /// another name would read every topic from its beginning, and alerts are about the services' own names.
    pub name: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The instance's id in its consumer group.
    pub instance_id: Option<String>,
    /// The broker.
    pub kafka_brokers: KafkaBrokers,
    /// How to sign in at the broker.
    pub kafka_security: KafkaSecurity,
    /// Partitions of topics that are made.
    pub partitions: i32,
    /// The store.
    pub mongo_url: MongoUrl,
    /// The secret that admin tokens are signed with.
    pub jwt_secret: JwtSecret,
    /// Who may call from a browser.
    pub cors_origin: CorsOrigins,
    /// What one client may do.
    pub limits: LimitArgs,
}

/// Why a service refuses to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No secret was given.
    #[error(
        "JWT_SECRET is not set, so nobody could sign in safely: make one with `openssl rand -hex 32` \
         and give the same one to every service"
    )]
    NoSecret,
    /// No broker was given.
    #[error(
        "KAFKA_BROKERS is not set: give the broker's address, such as KAFKA_BROKERS=127.0.0.1:29092"
    )]
    NoBrokers,
    /// No store was given.
    #[error(
        "MONGO_URL is not set: give the store's address, such as MONGO_URL=mongodb://127.0.0.1:27017/sagaline"
    )]
    NoMongo,
    /// The broker's TLS and sign-in are not as they must be.
    #[error(transparent)]
    KafkaSecurity(#[from] KafkaSecurityError),
}

impl ServiceArgs {
    /// Checks that everything is there that a service in its own process needs.
    pub fn resolve(&self, defaults: ServiceDefaults) -> Result<ServiceConfig, ConfigError> {
        let connections = &self.connections;
        let name = self
            .service_name
            .as_ref()
            .map_or(defaults.name, |name| &name.0);
        Ok(ServiceConfig {
            name: name.to_owned(),
            listen: SocketAddr::new(self.common.host, self.port.unwrap_or(defaults.port)),
            // an empty variable is one that was left out
            instance_id: self.instance_id.clone().filter(|id| !id.is_empty()),
            kafka_brokers: connections
                .kafka_brokers
                .clone()
                .ok_or(ConfigError::NoBrokers)?,
            kafka_security: connections.kafka_security.resolve()?,
            partitions: connections.partitions,
            mongo_url: connections.mongo_url.clone().ok_or(ConfigError::NoMongo)?,
            jwt_secret: self.common.require_jwt_secret()?,
            cors_origin: self.common.cors_origin.clone(),
            limits: self.common.limits,
        })
    }
}

/// What a service calls itself to operators: it ends up in logs and health answers, so it is kept plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName(String);

/// The name cannot be used everywhere that a service's name has to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no service name: use 1 to 64 letters, digits, `-`, `_` or `.`, such as order-service"
)]
pub struct BadServiceName(String);

impl std::str::FromStr for ServiceName {
    type Err = BadServiceName;

    fn from_str(text: &str) -> Result<Self, BadServiceName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=64).contains(&text.len()) && text.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(BadServiceName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        service: ServiceArgs,
    }

    const ORDER: ServiceDefaults = ServiceDefaults {
        name: "order-service",
        port: 4001,
    };
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn parse(args: &[&str]) -> Result<ServiceArgs, String> {
        let args = std::iter::once(&"order-service").chain(args);
        Cli::try_parse_from(args)
            .map(|cli| cli.service)
            .map_err(|e| e.to_string())
    }

    const COMPLETE: [&str; 6] = [
        "--jwt-secret",
        SECRET,
        "--kafka-brokers",
        "k1:9092, k2:9092",
        "--mongo-url",
        "mongodb://u:hunter2@db/s",
    ];

    #[test]
    fn a_complete_command_line_gives_a_configuration_with_the_service_s_defaults() {
        let config = parse(&COMPLETE).unwrap().resolve(ORDER).unwrap();
        assert_eq!(config.name, "order-service");
        assert_eq!(config.listen, "127.0.0.1:4001".parse().unwrap());
        assert_eq!(config.kafka_brokers.as_str(), "k1:9092,k2:9092");
        assert_eq!(config.partitions, 4);
    }

    #[test]
    fn partitions_of_new_topics_can_be_chosen_within_reason() {
        let chosen = [&COMPLETE[..], &["--partitions", "12"]].concat();
        let config = parse(&chosen).unwrap().resolve(ORDER).unwrap();
        assert_eq!(config.partitions, 12);
        for wrong in ["0", "65", "-1", "many"] {
            let argument = format!("--partitions={wrong}");
            assert!(parse(&[argument.as_str()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_service_refuses_to_start_without_a_secret_and_says_what_to_do() {
        let args = parse(&COMPLETE[2..]).unwrap();
        let error = args.resolve(ORDER).unwrap_err();
        assert_eq!(error, ConfigError::NoSecret);
        assert!(error.to_string().contains("openssl rand -hex 32"));
    }

    #[test]
    fn a_weak_secret_is_refused_by_the_command_line() {
        let error = parse(&["--jwt-secret", "weak"]).unwrap_err();
        assert!(error.contains("at least 32"), "{error}");
    }

    #[test]
    fn limits_are_the_documented_ones_unless_they_are_given() {
        let limits = parse(&[]).unwrap().common.limits;
        assert_eq!(limits.max_connections, 16_384);
        let (ours, default) = (limits.admin(), AdminLimits::default());
        assert_eq!(ours.per_subject, default.per_subject);
        assert_eq!(ours.failures_per_address, default.failures_per_address);
        let given = parse(&["--admin-rate", "3", "--sign-in-failure-rate", "1"]).unwrap();
        let given = given.common.limits.admin();
        assert_eq!(
            (given.per_subject.per_second, given.per_subject.burst),
            (3, 30)
        );
        assert_eq!(given.failures_per_address.burst, 20);
        assert!(parse(&["--admin-rate", "0"]).is_err());
    }

    #[test]
    fn missing_addresses_are_named() {
        let without_mongo = parse(&COMPLETE[..4]).unwrap();
        assert_eq!(
            without_mongo.resolve(ORDER).unwrap_err(),
            ConfigError::NoMongo
        );
        let without_both = parse(&COMPLETE[..2]).unwrap();
        assert_eq!(
            without_both.resolve(ORDER).unwrap_err(),
            ConfigError::NoBrokers
        );
    }

    #[test]
    fn debug_output_of_the_configuration_holds_no_secret() {
        let sasl = [
            "--kafka-security-protocol=SASL_SSL",
            "--kafka-sasl-mechanism=plain",
            "--kafka-sasl-username=ann",
            "--kafka-sasl-password=swordfish",
        ];
        let args = parse(&[&COMPLETE[..], &sasl].concat()).unwrap();
        let shown = format!("{args:?} {:?}", args.resolve(ORDER).unwrap());
        for secret in [SECRET, "hunter2", "swordfish"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_service_name_with_spaces_or_control_characters_is_refused() {
        for wrong in ["", "order service", "a\nb", &"x".repeat(65)] {
            assert!(wrong.parse::<ServiceName>().is_err(), "{wrong:?}");
        }
    }
}
