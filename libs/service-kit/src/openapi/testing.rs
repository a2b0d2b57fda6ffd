//! For tests: whether a router and its description say the same.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::OPENAPI_PATH;
use crate::cors::CorsOrigins;
use crate::health::Health;
use crate::http::{HttpOptions, HttpStack};

/// A method and a path, as in `GET /orders/{id}`.
pub type Route = String;

/// The description that a router serves.
///
/// # Panics
/// When it serves none.
pub async fn description(router: &Router) -> Value {
    let request = Request::get(OPENAPI_PATH)
        .body(Body::empty())
        .unwrap_or_default();
    let Ok(response) = router.clone().oneshot(request).await;
    assert_eq!(response.status(), StatusCode::OK, "there is no description");
    let body = axum::body::to_bytes(response.into_body(), 1 << 22).await;
    let body = body.unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_default()
}

/// Every route of a description.
pub fn described(description: &Value) -> BTreeSet<Route> {
    let paths = description["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let verbs = item.as_object().into_iter().flatten();
            verbs.map(move |(verb, _)| format!("{} {path}", verb.to_uppercase()))
        })
        .collect()
}

/// Every route of a router. It has no list of them that can be asked for, so this reads what it prints when it is debugged;
/// a router that prints otherwise is one without routes, which no test here takes for complete.
pub fn routed(router: &Router) -> BTreeSet<Route> {
    let printed = format!("{router:?}");
    let own = printed.split("fallback_router").next().unwrap_or_default();
    let paths = numbered(own.rsplit("paths: {").next().unwrap_or_default());
    own.split("RouteId(")
        .filter_map(|part| {
            let (number, rest) = part.split_once("): MethodRouter")?;
            let path = paths.iter().find(|(id, _)| id == number)?;
            Some((rest, &path.1))
        })
        .flat_map(|(methods, path)| {
            ["get", "post", "put", "patch", "delete", "head", "options"]
                .into_iter()
                .filter(|verb| is_handled(methods, verb))
                .map(move |verb| format!("{} {path}", verb.to_uppercase()))
        })
        .collect()
}

/// `RouteId(3): "/orders", …` as pairs.
fn numbered(paths: &str) -> Vec<(String, String)> {
    paths
        .split("RouteId(")
        .filter_map(|part| {
            let (number, rest) = part.split_once("): \"")?;
            let (path, _) = rest.split_once('"')?;
            Some((number.to_owned(), path.to_owned()))
        })
        .collect()
}

fn is_handled(methods: &str, verb: &str) -> bool {
    let endpoint = methods.split(&format!(" {verb}: ")).nth(1);
    endpoint.is_some_and(|endpoint| !endpoint.starts_with("None"))
}

/// The description of a service's routes, which with everything that stands around them are just those that it describes.
///
/// # Panics
/// When they are not, or when the description refers to what is not there.
pub async fn agreed(routes: Router) -> Value {
    let stack = HttpStack {
        health: Health::new("a-service", &[]),
        cors: CorsOrigins::Any,
        shutdown: CancellationToken::new(),
        options: HttpOptions::default(),
    };
    let whole = stack.wrap(routes);
    let description = description(&whole).await;
    assert_eq!(routed(&whole), described(&description));
    assert_eq!(dangling(&description), Vec::<String>::new());
    description
}

/// What is wrong with an answer, as the description has it: nothing, mostly.
pub fn complaints(description: &Value, route: &str, status: u16, body: &Value) -> Vec<String> {
    let (verb, path) = route.split_once(' ').unwrap_or_default();
    let answer = format!(
        "/paths/{}/{}/responses/{status}",
        path.replace('~', "~0").replace('/', "~1"),
        verb.to_lowercase()
    );
    let Some(content) = description.pointer(&format!("{answer}/content")) else {
        return vec![format!("{route} does not describe {status}: {body}")];
    };
    let Some(media_type) = content.as_object().and_then(|types| types.keys().next()) else {
        return vec![format!("{route} has {status} without content")];
    };
    let schema = json!({
        "allOf": [content[media_type]["schema"]],
        "components": description["components"],
    });
    match jsonschema::validator_for(&schema) {
        Ok(validator) => validator
            .iter_errors(body)
            .map(|error| format!("{route} {status}, {}: {error}", error.instance_path()))
            .collect(),
        Err(error) => vec![format!("{route} {status} has no usable schema: {error}")],
    }
}

/// Every `$ref` of a description that leads nowhere.
pub fn dangling(description: &Value) -> Vec<String> {
    fn visit<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                for value in map.values() {
                    visit(value, found);
                }
            }
            Value::Array(list) => {
                for value in list {
                    visit(value, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit(description, &mut found);
    found
        .into_iter()
        .filter(|target| {
            let pointer = target.strip_prefix('#').unwrap_or_default();
            pointer.is_empty() || description.pointer(pointer).is_none()
        })
        .map(str::to_owned)
        .collect()
}
