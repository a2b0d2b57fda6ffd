//! A broker that wants TLS and a sign-in: Apache Kafka, as a managed one is reached.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sagaline_testkit::client::order;
use sagaline_testkit::sse;
use sagaline_testkit::{ApacheKafka, Process, SECURED_PASSWORD, SECURED_USER};
use serde_json::Value;

use crate::process::{SECRET, run_in};

const LIMIT: Duration = Duration::from_mins(1);
/// Any free ones.
const PORTS: [&str; 7] = [
    "--order-port=0",
    "--inventory-port=0",
    "--payment-port=0",
    "--shipping-port=0",
    "--read-model-port=0",
    "--dashboard-port=0",
    "--kafka-port=0",
];

/// The addresses that `sagaline up` has printed.
fn addresses(log: &str) -> Value {
    let ready = log.lines().find_map(|line| line.strip_prefix("ready "));
    serde_json::from_str(ready.unwrap()).unwrap()
}

/// `sagaline up` on free ports with these variables; what it prints goes to `log`.
async fn start(variables: &[(&str, &str)], log: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagaline"));
    command
        .env_clear()
        .envs(variables.iter().copied())
        .env("JWT_SECRET", SECRET)
        .env("LOG_LEVEL", "debug")
        .arg("up")
        .args(PORTS);
    let up = Process::spawn("sagaline up", command, "ready {", log).unwrap();
    up.ready(LIMIT).await.unwrap();
    up
}

#[tokio::test]
async fn everything_signs_in_over_tls_and_whoever_cannot_is_told_and_learns_no_secret() {
    let kafka = ApacheKafka::start_secured().await.unwrap();
    let (brokers, ca) = (kafka.secured_brokers().unwrap(), kafka.secured_ca());
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("password");
    fs::write(&password_file, format!("{SECURED_PASSWORD}\n")).unwrap();
    let scram = [
        ("KAFKA_BROKERS", brokers.as_str()),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME", SECURED_USER),
        ("KAFKA_SASL_PASSWORD_FILE", password_file.to_str().unwrap()),
        ("KAFKA_SSL_CA", ca.to_str().unwrap()),
    ];
    let log = folder.path().join("log");
    let mut up = start(&scram, &log).await;
    let at = addresses(&fs::read_to_string(&log).unwrap());

    let http = reqwest::Client::new();
    let placed = http.post(format!("{}/orders", at["order"].as_str().unwrap()));
    let placed = placed.json(&order("sealed-1", "SKU-1", 1)).send().await;
    assert_eq!(placed.unwrap().status(), 201);
    let read_model = at["readModel"].as_str().unwrap();
    let stream = format!("{read_model}/orders/sealed-1/stream?from=start");
    let ended = sse::read_until(&http, &stream, None, LIMIT, |events| {
        let text = format!("{events:?}");
        text.contains("OrderConfirmed") || text.contains("OrderCancelled")
    });
    ended.await.unwrap();

    // the same with some variables changed; an empty one is left out
    let with = |changed: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
        let kept = scram
            .into_iter()
            .filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        kept.chain(changed.iter().copied())
            .filter(|(_, value)| !value.is_empty())
            .collect()
    };
    let by_plain = with(&[
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_PASSWORD_FILE", ""),
        ("KAFKA_SASL_PASSWORD", SECURED_PASSWORD),
    ]);
    let wrong_password = with(&[
        ("KAFKA_SASL_PASSWORD_FILE", ""),
        ("KAFKA_SASL_PASSWORD", "marlin"),
    ]);
    let unknown_ca = with(&[("KAFKA_SSL_CA", "")]);
    let topics = ["topics", "--json"];
    let (by_scram, by_plain, wrong_password, unknown_ca) = tokio::join!(
        run_in(&scram, &topics),
        run_in(&by_plain, &topics),
        run_in(&wrong_password, &topics),
        run_in(&unknown_ca, &topics),
    );
    for signed_in in [&by_scram, &by_plain] {
        let shown = signed_in.exits(0);
        assert!(shown.contains("order.OrderCreated.v1"), "{shown}");
    }
    for (refused, says) in [
        (&wrong_password, "KAFKA_SASL_USERNAME"),
        (&unknown_ca, "KAFKA_SSL_CA"),
    ] {
        refused.exits(1);
        let told = &refused.stderr;
        assert!(told.contains(says) && !told.contains("marlin"), "{told}");
    }
    let ended = up.terminate(Duration::from_secs(15)).await.unwrap();
    assert!(ended.success(), "{ended}");
    let log = fs::read_to_string(&log).unwrap();
    assert!(!log.contains(SECURED_PASSWORD));
}

#[tokio::test]
async fn the_embedded_broker_has_no_tls_and_says_so_instead_of_leaving_it_out() {
    let variables = [("KAFKA_SECURITY_PROTOCOL", "ssl"), ("JWT_SECRET", SECRET)];
    let ran = run_in(&variables, &[&["up"], &PORTS[..]].concat()).await;
    ran.exits(1);
    assert!(ran.stderr.contains("KAFKA_BROKERS"), "{}", ran.stderr);
}
