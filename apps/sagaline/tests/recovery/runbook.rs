//! Every command of docs/runbook.md is run as it stands there.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sagaline_testkit::client::{Client, order};
use sagaline_testkit::stack::{Backend, Stack};
use sagaline_testkit::topics::produce;
use serde_json::{Value, json};

use crate::{LIMIT, binaries, environment};

const RUNBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbook.md");
const RULES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/prometheus/rules.yml"
);
const POLL: Duration = Duration::from_millis(50);
/// What stands for a dead letter in the runbook; every command gets one of its own.
const LETTER: &str = "DEAD_LETTER_ID";

/// The commands of a page: the lines of its shell blocks without their comments, and code in the text that is a call of sagaline.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut in_block, mut is_shell) = (false, false);
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            (in_block, is_shell) = (!in_block, language == "sh");
        } else if in_block {
            let command = line.split_once(" #").map_or(line, |(command, _)| command);
            if is_shell && !command.trim().is_empty() {
                found.push(command.trim().to_owned());
            }
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            let calls = spans.filter(|span| span.starts_with("sagaline "));
            found.extend(calls.map(str::to_owned));
        }
    }
    // The pipeline itself is what they are run against; and the page serves until it is stopped, which tests of its own show.
    let serves = ["sagaline up", "sagaline dashboard"];
    found.retain(|command| !serves.iter().any(|verb| command.starts_with(verb)));
    found
}

/// Sends an event that no service can handle, and waits for its dead letter's id.
async fn poison(client: &Client, n: usize) -> Result<String> {
    let id = format!("runbook-{n}");
    let event = json!({
        "eventId": format!("poison-{n}"), "type": "order.OrderCreated.v1", "version": 1, "timestamp": "2026-01-31T12:00:00Z",
        "correlationId": id, "key": id, "headers": {},
        "payload": { "orderId": id, "items": [{ "sku": "SKU-1", "qty": 0, "price": 10 }], "total": 10 }
    });
    let kafka = &client.addresses().kafka;
    let topic = "order.OrderCreated.v1";
    produce(
        kafka,
        topic,
        Some(id.as_bytes()),
        Some(event.to_string().as_bytes()),
    )
    .await?;
    let found = async {
        loop {
            let letters = client.dead_letters().await?;
            if let Some(letter) = letters.iter().find(|letter| letter["orderId"] == id) {
                return letter["_id"]
                    .as_str()
                    .map(str::to_owned)
                    .context("a letter has an id");
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(LIMIT, found)
        .await
        .context("no dead letter came")?
}

/// Runs a command as a shell does; gives what it said.
async fn run(command: &str, stack: &Stack, folder: &Path) -> Result<String> {
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-o", "pipefail", "-c", command])
        .current_dir(folder);
    environment(&mut shell, stack);
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", binaries().display()));
    let mut shell = tokio::process::Command::from(shell);
    let ran = tokio::time::timeout(LIMIT, shell.kill_on_drop(true).output()).await;
    let ran = ran.with_context(|| format!("`{command}` does not end"))??;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    ensure!(
        ran.status.success(),
        "`{command}` ended with {}:\n{said}{}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(said)
}

/// The command with what stands for something replaced by the thing itself.
fn filled_in(
    command: &str,
    stack: &Stack,
    order: &str,
    letters: &mut VecDeque<String>,
) -> Result<String> {
    let at = stack.addresses();
    let mut command = command.replace("ORDER_ID", order).replace("NAME", "ann");
    for (port, address) in [
        ("4001", &at.order),
        ("4002", &at.inventory),
        ("4003", &at.payment),
        ("4004", &at.shipping),
        ("4005", &at.read_model),
    ] {
        let here = address.trim_start_matches("http://");
        command = command.replace(&format!("localhost:{port}"), here);
    }
    if command.contains(LETTER) {
        let letter = letters.pop_front().context("more letters are needed")?;
        command = command.replace(LETTER, &letter);
    }
    if command.contains("localhost") {
        bail!("`{command}` goes to an address that this test does not know");
    }
    Ok(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_works_as_it_stands_there() {
    let page = std::fs::read_to_string(RUNBOOK).unwrap();
    let commands = commands(&page);
    let needed = commands.iter().filter(|line| line.contains(LETTER)).count();
    assert!(needed >= 4 && commands.len() > needed, "{commands:?}");

    let stack = Stack::start(Backend::Embedded, &binaries(), &[])
        .await
        .unwrap();
    let client = Client::operator(&stack).unwrap();
    let id = client.accepted(&order("shown", "SKU-1", 1)).await.unwrap();
    client.outcome(&id).await.unwrap();
    let mut letters = VecDeque::new();
    for n in 0..needed {
        letters.push_back(poison(&client, n).await.unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut failed = Vec::new();
    for command in &commands {
        let filled = filled_in(command, &stack, &id, &mut letters).unwrap();
        // The payload of the order that this letter is about.
        if let Some(n) = filled
            .contains("@corrected.json")
            .then(|| needed - letters.len() - 1)
        {
            let corrected: Value = json!({ "orderId": format!("runbook-{n}"), "items": [{ "sku": "SKU-1", "qty": 1, "price": 10 }], "total": 10 });
            std::fs::write(folder.path().join("corrected.json"), corrected.to_string()).unwrap();
        }
        if let Err(error) = run(&filled, &stack, folder.path()).await {
            failed.push(format!("{error:#}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    stack.stop().await.unwrap();
}

/// The page under a heading of the runbook.
fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("\n### {heading}\n"))?;
    let end = ["\n## ", "\n### "]
        .iter()
        .filter_map(|next| rest.find(next));
    Some(&rest[..end.min().unwrap_or(rest.len())])
}

#[test]
fn every_alert_has_a_page_with_commands() {
    let page = std::fs::read_to_string(RUNBOOK).unwrap();
    let rules = std::fs::read_to_string(RULES).unwrap();
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<&str> = alerts.collect();
    assert!(alerts.len() >= 7, "{alerts:?}");
    for alert in alerts {
        let page = section(&page, alert).unwrap_or_else(|| panic!("{alert} has no page"));
        assert!(!commands(page).is_empty(), "{alert} has no command");
    }
}

#[test]
fn the_commands_of_a_page_are_found() {
    let page = "Say `sagaline stats`, or `kill -9`.\n```sh\nsagaline topics   # how far\n\ncurl -s x | jq\n```\n```text\nsagaline no\n```\n`sagaline up --data-dir`";
    assert_eq!(
        commands(page),
        ["sagaline stats", "sagaline topics", "curl -s x | jq"]
    );
}
