//! A pipeline in a process of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sagaline_testkit::{Port, Process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What every wait here ends at.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
pub(crate) const SECRET: &str = "a-secret-for-tests-only-0123456789abcdef";

/// `sagaline up`, and its log.
pub(crate) struct Pipeline {
    pub(crate) process: Process,
    pub(crate) http: reqwest::Client,
    log: PathBuf,
    _folder: TempDir,
    ports: Vec<Port>,
}

impl Pipeline {
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<Port> = (0..6).map(|_| Port::reserve().unwrap()).collect();
        let binaries = std::env::var_os("SAGALINE_BINARIES").map(PathBuf::from);
        let binary = binaries.map_or_else(
            || PathBuf::from(env!("CARGO_BIN_EXE_sagaline")),
            |binaries| binaries.join("sagaline"),
        );
        let mut command = Command::new(binary);
        command.arg("up").env("JWT_SECRET", SECRET);
        command.envs(variables.iter().copied());
        let names = [
            "order",
            "inventory",
            "payment",
            "shipping",
            "read-model",
            "kafka",
        ];
        for (name, port) in names.iter().zip(&ports) {
            command
                .arg(format!("--{name}-port"))
                .arg(port.number().to_string());
        }
        command.args(["--dashboard-port", "0"]);
        let log = folder.path().join("log");
        let process = Process::spawn("sagaline", command, "ready {", &log).unwrap();
        process.ready(LIMIT).await.unwrap();
        Self {
            process,
            http: reqwest::Client::new(),
            log,
            _folder: folder,
            ports,
        }
    }

    pub(crate) fn url(&self, service: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[service].number())
    }

    pub(crate) fn port(&self, service: usize) -> u16 {
        self.ports[service].number()
    }

    /// Stops it in order; gives all that it printed.
    pub(crate) async fn stop(mut self) -> String {
        let ended = self.process.terminate(Duration::from_secs(20)).await;
        assert!(ended.unwrap().success());
        std::fs::read_to_string(&self.log).expect("a log is text")
    }

    pub(crate) async fn place(&self, id: &str) {
        let body = json!({ "orderId": id, "items": [{ "sku": "SKU-1", "qty": 1 }], "total": 10 });
        let request = self.http.post(self.url(0, "/orders")).json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    }

    /// Waits until an order has its outcome.
    pub(crate) async fn outcome(&self, id: &str) -> String {
        let polled = async {
            loop {
                let request = self.http.get(self.url(4, &format!("/orders/{id}")));
                let answer = request.send().await.unwrap();
                let order: Value = answer.json().await.unwrap_or_default();
                match order["outcome"].as_str() {
                    Some("PENDING") | None => tokio::time::sleep(Duration::from_millis(25)).await,
                    Some(outcome) => return outcome.to_owned(),
                }
            }
        };
        tokio::time::timeout(LIMIT, polled)
            .await
            .expect("the order has no outcome")
    }
}
