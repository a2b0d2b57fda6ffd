//! Calls of the services' real routes, in the process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt;

use crate::env::Env;
use crate::life::Life;
use crate::plan::Service;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(35);
/// The largest answer that is read.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// What can be called now.
#[derive(Default)]
pub(crate) struct Fronts(Mutex<Vec<(Service, Arc<Life>, Router)>>);

/// What a client was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Fronts {
    pub(crate) fn open(&self, service: Service, life: Arc<Life>, router: Router) {
        self.0.lock().push((service, life, router));
    }

    pub(crate) fn close(&self, life: &Life) {
        self.0.lock().retain(|(_, known, _)| known.id != life.id);
    }

    /// Whether an instance of a service takes calls.
    pub(crate) fn is_open(&self, service: Service) -> bool {
        self.0.lock().iter().any(|(known, ..)| *known == service)
    }

    /// An instance of a service, if one takes calls.
    pub(crate) fn one_of(&self, env: &Env, service: Service) -> Option<(Arc<Life>, Router)> {
        let fronts = self.0.lock();
        let of_service = || fronts.iter().filter(|(known, ..)| *known == service);
        let at = env.client_dice.index(of_service().count());
        let (_, life, router) = of_service().nth(at)?;
        Some((Arc::clone(life), router.clone()))
    }

    /// Calls any instance of a service; nothing when no answer came.
    pub(crate) async fn call(
        &self,
        env: &Env,
        service: Service,
        request: Request<Body>,
    ) -> Option<Answer> {
        let (life, router) = self.one_of(env, service)?;
        let asking = async {
            let response = router.oneshot(request).await.ok()?;
            let status = response.status().as_u16();
            let bytes = to_bytes(response.into_body(), ANSWER_MAX).await.ok()?;
            // Whoever died or stood still before the last byte was out did not answer.
            life.after().await;
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            Some(Answer { status, body })
        };
        let answer = tokio::select! {
            biased;
            () = life.ended() => None,
            answer = tokio::time::timeout(PATIENCE, asking) => answer.ok().flatten(),
        };
        let lost = env.weather.read(|now| now.answer_lost);
        if answer.is_some() && env.client_dice.chance(lost) {
            env.fault("answer to a client lost");
            return None;
        }
        answer
    }
}
