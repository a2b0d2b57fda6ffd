//! What scenarios share: the pipeline, its users, and what is known of it.

use anyhow::{Result, ensure};
use sagaline_testkit::client::{Client, order};
use sagaline_testkit::invariants::{Known, violations};
use sagaline_testkit::stack::Stack;
use serde_json::Value;

use crate::fate::{self, Fate};

/// A pipeline, an operator, and what is known of it.
pub struct World {
    /// The pipeline.
    pub stack: Stack,
    /// An operator.
    pub client: Client,
    /// What the scenarios did.
    pub known: Known,
}

impl World {
    /// Takes over a running pipeline.
    pub fn new(stack: Stack) -> Result<Self> {
        let client = Client::operator(&stack)?;
        Ok(Self {
            stack,
            client,
            known: Known::default(),
        })
    }

    /// Places an order; it must be accepted.
    pub async fn place(&mut self, body: &Value) -> Result<String> {
        let id = self.client.accepted(body).await?;
        self.known.accepted.push(id.clone());
        Ok(id)
    }

    /// Places an order of one unit of `SKU-1` with these fates.
    pub async fn place_with_fate(&mut self, prefix: &str, fates: &[Fate]) -> Result<String> {
        let id = fate::order_id(prefix, fates);
        self.place(&order(&id, "SKU-1", 1)).await
    }

    /// The broker's address.
    pub fn kafka(&self) -> &str {
        &self.client.addresses().kafka
    }

    /// Every invariant, over every order so far.
    pub async fn check_invariants(&self) -> Result<()> {
        let violations = violations(&self.client, &self.known).await?;
        ensure!(
            violations.is_empty(),
            "invariants are violated:\n- {}",
            violations.join("\n- ")
        );
        Ok(())
    }
}
