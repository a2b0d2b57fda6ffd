//! What one route takes and answers.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::idempotency::IdempotencyKey;
use crate::problem::PROBLEM_JSON;

pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A parameter in the path, the query or a header.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: SchemaSource,
}

/// Where a schema comes from.
#[derive(Debug)]
pub(super) enum SchemaSource {
    Type(SchemaOf),
    Json(Value),
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    pub(super) is_required: bool,
    pub(super) schema: SchemaOf,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    pub(super) media_type: &'static str,
    /// None for a problem, which all share.
    pub(super) schema: Option<SchemaSource>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

/// What one route takes and answers. What every route of its sort answers (a body that is too large, a missing token,
/// a service that is overloaded) is added by itself.
#[derive(Debug)]
pub struct Operation {
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) answers: Vec<Answer>,
    pub(super) is_admin: bool,
}

impl Operation {
    /// An operation with a name that is its own among all of the service, and what it does in a line.
    pub const fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            is_admin: false,
        }
    }

    /// A part of the path.
    #[must_use]
    pub fn path<T: JsonSchema>(self, name: &'static str, about: &'static str) -> Self {
        self.parameter("path", name, about, SchemaSource::Type(schema_of::<T>))
    }

    /// A part of the query, which may be left out.
    #[must_use]
    pub fn query(self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.parameter("query", name, about, SchemaSource::Json(schema))
    }

    /// A header, which may be left out.
    #[must_use]
    pub fn header(self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.parameter("header", name, about, SchemaSource::Json(schema))
    }

    /// The header that makes repeated requests one.
    #[must_use]
    pub fn idempotent(self) -> Self {
        let about = "The same key again is the same request: 1 to 128 printable characters";
        self.header(IdempotencyKey::HEADER, about, IdempotencyKey::schema())
    }

    fn parameter(
        mut self,
        place: &'static str,
        name: &'static str,
        about: &'static str,
        schema: SchemaSource,
    ) -> Self {
        self.parameters.push(Parameter {
            place,
            name,
            about,
            schema,
        });
        self
    }

    /// The body, as JSON.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(RequestBody {
            is_required: true,
            schema: schema_of::<T>,
        });
        self
    }

    /// A body that may be left out.
    #[must_use]
    pub fn optional_body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(RequestBody {
            is_required: false,
            schema: schema_of::<T>,
        });
        self
    }

    /// Only for operators: with a token that grants the role `admin`.
    #[must_use]
    pub const fn for_admins(mut self) -> Self {
        self.is_admin = true;
        self
    }

    /// An answer in JSON.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: u16, about: &'static str) -> Self {
        let schema = SchemaSource::Type(schema_of::<T>);
        self.answer(status, about, "application/json", Some(schema))
    }

    /// An answer of another media type.
    #[must_use]
    pub fn answers_as(self, status: u16, about: &'static str, media_type: &'static str) -> Self {
        let schema = SchemaSource::Json(json!({ "type": "string" }));
        self.answer(status, about, media_type, Some(schema))
    }

    /// A problem (RFC 9457).
    #[must_use]
    pub fn refuses(self, status: u16, about: &'static str) -> Self {
        self.answer(status, about, PROBLEM_JSON, None)
    }

    /// A header of the answer that was described last.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }

    fn answer(
        mut self,
        status: u16,
        about: &'static str,
        media_type: &'static str,
        schema: Option<SchemaSource>,
    ) -> Self {
        self.answers.push(Answer {
            status,
            about,
            media_type,
            schema,
            headers: Vec::new(),
        });
        self
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
