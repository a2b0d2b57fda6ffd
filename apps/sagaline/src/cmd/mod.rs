//! The operator's verbs, and what their command lines share.

pub(crate) mod command;
pub(crate) mod dlq;
pub(crate) mod events;
pub(crate) mod order;
pub(crate) mod orders;
pub(crate) mod rebuild;
pub(crate) mod simulate;
pub(crate) mod stats;
pub(crate) mod stock;
pub(crate) mod topics;
pub(crate) mod wait;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sagaline_service_kit::JwtKeys;
use sagaline_service_kit::auth::ADMIN_ROLE;
use sagaline_service_kit::clock::SystemClock;
use sagaline_service_kit::config::{KafkaBrokers, KafkaSecurityArgs};
use sagaline_service_kit::secret::JwtSecret;

use sagaline_contracts::Timestamp;

use crate::client::{Api, BaseUrl, ClientError, Service, Token};
use crate::dashboard::Upstreams;
use crate::output::{Out, OutputArgs};
use crate::secret;

/// The exit code of a command that worked and whose answer is no: an order was cancelled, a command was refused.
pub(crate) const NEGATIVE: u8 = 2;

/// A token that is made for one command need not live longer.
const TOKEN_TTL: Duration = Duration::from_mins(5);

/// Where the services are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct ServiceUrls {
    /// Order service
    #[arg(
        long,
        env = "ORDER_SERVICE",
        default_value = "http://127.0.0.1:4001",
        value_name = "URL",
        global = true
    )]
    order_service: BaseUrl,
    /// Inventory service
    #[arg(
        long,
        alias = "inventory-service",
        env = "INVENTORY",
        default_value = "http://127.0.0.1:4002",
        value_name = "URL",
        global = true
    )]
    inventory: BaseUrl,
    /// Read model service
    #[arg(
        long,
        env = "READ_MODEL",
        default_value = "http://127.0.0.1:4005",
        value_name = "URL",
        global = true
    )]
    read_model: BaseUrl,
}

impl ServiceUrls {
    /// The services as the dashboard reaches them.
    pub(crate) fn upstreams(&self) -> reqwest::Result<Upstreams> {
        Upstreams::new(
            self.order_service.to_string(),
            self.inventory.to_string(),
            self.read_model.to_string(),
        )
    }
}

/// Where the services and the broker are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct Endpoints {
    #[command(flatten)]
    services: ServiceUrls,
    /// Kafka bootstrap servers, comma-separated
    #[arg(
        long,
        env = "KAFKA_BROKERS",
        default_value = "127.0.0.1:29092",
        value_name = "HOST:PORT,...",
        global = true
    )]
    pub(crate) kafka_brokers: KafkaBrokers,
    #[command(flatten)]
    pub(crate) kafka_security: KafkaSecurityArgs,
}

impl Endpoints {
    /// The order service.
    pub(crate) fn order_service(&self) -> Result<Api, ClientError> {
        Api::new(Service {
            name: "order service",
            base: self.services.order_service.clone(),
            flag: "--order-service",
            variable: "ORDER_SERVICE",
        })
    }

    /// The inventory service.
    pub(crate) fn inventory(&self) -> Result<Api, ClientError> {
        Api::new(Service {
            name: "inventory service",
            base: self.services.inventory.clone(),
            flag: "--inventory",
            variable: "INVENTORY",
        })
    }

    /// The read model service.
    pub(crate) fn read_model(&self) -> Result<Api, ClientError> {
        Api::new(Service {
            name: "read model service",
            base: self.services.read_model.clone(),
            flag: "--read-model",
            variable: "READ_MODEL",
        })
    }
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) at: Endpoints,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl Common {
    /// Standard output, as the flags want it.
    pub(crate) fn out(&self) -> Out {
        Out::new(self.output)
    }
}

/// Who asks, for what only operators may ask.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sign-in")]
pub(crate) struct Operator {
    /// Token of an operator. Without one, a token of five minutes is made from the services' secret
    #[arg(
        long,
        env = "SAGALINE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        global = true
    )]
    token: Option<Token>,
    /// Whom a token that is made here is for; the name stands in the audit
    #[arg(
        long,
        env = "USER",
        default_value = "operator",
        value_name = "NAME",
        global = true
    )]
    sub: String,
    /// Secret to make a token with, as the services have it
    #[arg(
        long,
        env = "JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        global = true
    )]
    jwt_secret: Option<JwtSecret>,
    /// Data directory of `sagaline up`, which keeps its secret there
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl Operator {
    /// The token that was given, or one that is made from the secret.
    pub(crate) fn token(&self) -> anyhow::Result<Token> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let secret = secret::given_or_existing(self.jwt_secret.as_ref(), self.data_dir.as_deref())?;
        let token = JwtKeys::new(&secret).mint(&self.sub, ADMIN_ROLE, TOKEN_TTL)?;
        Ok(Token::new(token))
    }
}

/// The machine's time.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(SystemClock.now_micros())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_and_output_may_stand_before_and_after_a_verb_s_own_verb() {
        for line in [
            "sagaline dlq --json --read-model h:1 ls",
            "sagaline dlq ls --json --read-model h:1",
            "sagaline stock --json --inventory h:1 restock SKU-1 5",
            "sagaline stock restock SKU-1 5 --json --inventory h:1",
            "sagaline events tail --json --kafka-brokers h:1",
            "sagaline events tail --kafka-security-protocol ssl",
            "sagaline events --kafka-security-protocol ssl tail",
        ] {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn debug_output_of_a_command_line_holds_no_token() {
        let cli =
            Cli::try_parse_from("sagaline retry o-1 --step payment --token hunter2".split(' '));
        assert!(!format!("{:?}", cli.unwrap()).contains("hunter2"));
    }
}
