//! The description as a document.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::{Answer, Operation, Parameter, RequestBody, SchemaSource};
use super::{Verb, standard};

const SCHEMAS: &str = "/components/schemas";
const SECURITY_SCHEME: &str = "bearer";

/// A description that is being put together.
#[derive(Debug)]
pub(super) struct Document {
    service: &'static str,
    about: &'static str,
    operations: Vec<(Verb, &'static str, Operation)>,
}

/// What makes schemas of types.
struct Schemas {
    /// Of what is read. Written out in place: what is written may have another form of the same name.
    read: SchemaGenerator,
    /// Of what is written.
    written: SchemaGenerator,
}

impl Document {
    pub(super) const fn new(service: &'static str, about: &'static str) -> Self {
        Self {
            service,
            about,
            operations: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, verb: Verb, path: &'static str, operation: Operation) {
        self.operations
            .push((verb, path, standard::complete(operation)));
    }

    pub(super) fn render(self) -> Value {
        let mut schemas = Schemas::new();
        let mut paths = Map::new();
        for (verb, path, operation) in self.operations.into_iter().chain(standard::operations()) {
            let item = paths.entry(path).or_insert_with(|| json!({}));
            item[verb.as_str()] = schemas.operation(&operation);
        }
        let mut components: Map<String, Value> = schemas.written.take_definitions(true);
        components.insert("Problem".to_owned(), standard::problem());
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.service,
                "version": env!("CARGO_PKG_VERSION"),
                "description": self.about,
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    SECURITY_SCHEME: {
                        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                        "description": "HS256, signed with JWT_SECRET; claims sub, role (admin), exp",
                    }
                },
            },
        })
    }
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.meta_schema = None;
                settings.definitions_path = SCHEMAS.into();
            })
        };
        let read = settings().with(|settings| settings.inline_subschemas = true);
        Self {
            read: read.into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    fn operation(&mut self, operation: &Operation) -> Value {
        let mut out = json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "responses": self.answers(&operation.answers),
        });
        if !operation.parameters.is_empty() {
            let parameters = operation.parameters.iter();
            out["parameters"] = parameters
                .map(|parameter| self.parameter(parameter))
                .collect();
        }
        if let Some(body) = &operation.body {
            out["requestBody"] = self.body(body);
        }
        if operation.is_admin {
            out["security"] = json!([{ SECURITY_SCHEME: [] }]);
        }
        out
    }

    fn parameter(&mut self, parameter: &Parameter) -> Value {
        let schema = match &parameter.schema {
            SchemaSource::Type(of) => of(&mut self.read).to_value(),
            SchemaSource::Json(schema) => schema.clone(),
        };
        json!({
            "in": parameter.place,
            "name": parameter.name,
            "description": parameter.about,
            "required": parameter.place == "path",
            "schema": schema,
        })
    }

    fn body(&mut self, body: &RequestBody) -> Value {
        let schema = (body.schema)(&mut self.read).to_value();
        json!({
            "required": body.is_required,
            "content": { "application/json": { "schema": schema } },
        })
    }

    /// Several answers of one status (which JSON cannot tell apart) are alternatives.
    fn answers(&mut self, answers: &[Answer]) -> Value {
        let mut out = Map::new();
        for answer in answers {
            let schema = match &answer.schema {
                Some(SchemaSource::Type(of)) => of(&mut self.written).to_value(),
                Some(SchemaSource::Json(schema)) => schema.clone(),
                None => json!({ "$ref": format!("#{SCHEMAS}/Problem") }),
            };
            let described = out
                .entry(answer.status.to_string())
                .or_insert_with(|| json!({ "description": answer.about, "content": {} }));
            described["content"][answer.media_type] = json!({ "schema": schema });
            for (name, about) in &answer.headers {
                described["headers"][*name] =
                    json!({ "description": about, "schema": { "type": "string" } });
            }
        }
        Value::Object(out)
    }
}
