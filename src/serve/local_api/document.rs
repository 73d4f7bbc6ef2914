//! The OpenAPI 3.1 document of the local API, made from the table of calls once, when the face is built.
//!
//! Paths, methods, bounds and problems are those of the rows; the forms of answers are derived from the types that are
//! written (`schemars`), the rest stands in `shapes`. Nothing is written down here that a row or a type says.

use std::collections::BTreeMap;

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::{Operation, Parameter, Reply, Shape, Who, of};
use crate::serve::{
    problem::{self, Kind},
    query::{DURATION, written},
    respond::Problem,
};

const ABOUT: &str = "\
What the applications of a host and its operator call. JSON over HTTP; errors are `application/problem+json`, and their \
`type` says which rule was broken. A parameter or a property that a call does not know is an error, except in messages, \
which are carried as they stand. Another method than those listed is answered with 405 and `Allow`, another path with 404, \
and what is no HTTP by the server itself, with a status and no body (400, 431). Durations are a whole number and a unit: \
`500ms`, `30s`, `15m`, `1h`, `7d`. Times are RFC 3339 in UTC.";

/// The document as it is served.
pub(super) fn text(table: &[&[Operation]]) -> String {
    value(table).to_string()
}

//= NODE-API-04: it all
/// The document.
pub(super) fn value(table: &[&[Operation]]) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator =
        settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in table.iter().flat_map(|rows| rows.iter()) {
        for method in operation.methods() {
            let entry = call(operation, method, &mut generator);
            paths.entry(operation.path).or_default().insert(method.to_lowercase(), entry);
        }
    }
    generator.subschema_for::<Problem<'_>>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "YMP node, local API, version 1",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/", "description": "`local.listen` of the node"}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "examples": examples(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The token of an app under `[[apps]]`"},
            },
        },
        "x-problems": problem::LOCAL.iter().map(|kind| described(kind)).collect::<Vec<_>>(),
    })
}

fn described(kind: &Kind) -> Value {
    json!({"type": kind.urn(), "status": kind.status.as_u16(), "title": kind.title, "when": kind.when})
}

fn call(operation: &Operation, method: &str, generator: &mut SchemaGenerator) -> Value {
    let mut entry = json!({
        "operationId": id(method, operation.path),
        "tags": [tag(operation.path)],
        "summary": operation.summary,
        "description": description(operation),
        "security": if operation.who == Who::Anyone { json!([]) } else { json!([{"bearer": []}]) },
        "parameters": parameters(operation),
        "responses": responses(operation, method == "HEAD", generator),
    });
    if let Some(body) = &operation.body {
        let schema = (body.schema)(generator);
        entry["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": schema, "example": read(body.example)}},
        });
    }
    entry
}

/// `get_inbox_protocol_service`.
fn id(method: &str, path: &str) -> String {
    let words = path.split('/').filter(|word| !matches!(*word, "" | "v1"));
    let words = words.map(|word| word.trim_matches(['{', '}']).replace(['-', '.'], "_"));
    std::iter::once(method.to_lowercase()).chain(words).collect::<Vec<_>>().join("_")
}

fn tag(path: &str) -> &str {
    match path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next()) {
        Some("openapi.json") | None => "node",
        Some("discovered") => "peers",
        Some(first) => first,
    }
}

fn description(operation: &Operation) -> String {
    let who = match operation.who {
        Who::Anyone => "For anyone.",
        // The row says which.
        Who::App => "",
        Who::Service => "For apps of the service.",
        Who::Admin => "For admins.",
    };
    [operation.notes, who].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let parts = operation.path.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
    let parts = parts.map(|name| {
        let (what, example) = match name {
            "protocol" => ("The protocol of the service; case does not matter", "example"),
            "service" => ("The name of the service", "form"),
            "host" => ("The name of another host; U-labels are taken", "beta.test"),
            _ => ("The id of a message", "order-17"),
        };
        let schema = json!({"type": "string", "minLength": 1});
        json!({"in": "path", "name": name, "required": true, "description": what, "schema": schema, "example": example})
    });
    parts.chain(operation.parameters.iter().map(parameter)).collect()
}

fn parameter(parameter: &Parameter) -> Value {
    let text = json!({"type": "string"});
    let (place, name, what, schema, example) = match parameter {
        Parameter::Count(count) => {
            let schema =
                json!({"type": "integer", "minimum": 1, "maximum": count.max, "default": count.default});
            ("query", count.name, count.what.to_owned(), schema, json!(count.default))
        }
        Parameter::Span(span) => {
            let (min, max) = (written(span.min), written(span.max));
            let what = format!("{}. From {min} to {max}", span.what);
            let mut schema =
                json!({"type": "string", "pattern": DURATION, "x-minimum": min, "x-maximum": max});
            if let Some(default) = span.default {
                schema["default"] = json!(written(default));
            }
            ("query", span.name, what, schema, json!(written(span.default.unwrap_or(span.max))))
        }
        Parameter::Host { name, what } => (
            "query",
            *name,
            (*what).to_owned(),
            json!({"type": "string", "minLength": 1}),
            json!("beta.test"),
        ),
        Parameter::Text { name, what, example } => ("query", *name, (*what).to_owned(), text, json!(example)),
        Parameter::Header { name, what, example } => {
            ("header", *name, (*what).to_owned(), text, json!(example))
        }
    };
    json!({"in": place, "name": name, "description": what, "schema": schema, "example": example})
}

fn responses(operation: &Operation, bare: bool, generator: &mut SchemaGenerator) -> Value {
    let mut all = Map::new();
    for reply in operation.answers {
        all.insert(reply.status.as_str().to_owned(), success(reply, bare, generator));
    }
    let problems = operation.problems();
    for same in problems.chunk_by(|one, other| one.status == other.status) {
        if let Some(first) = same.first() {
            all.insert(first.status.as_str().to_owned(), failure(first.status.as_u16(), same, generator));
        }
    }
    Value::Object(all)
}

fn success(reply: &Reply, bare: bool, generator: &mut SchemaGenerator) -> Value {
    let content = match &reply.content {
        Shape::Empty | Shape::Unchanged => None,
        Shape::Json { schema, example } => {
            Some(("application/json", json!({"schema": schema(generator), "example": read(example)})))
        }
        Shape::Cached { schema } => Some(("application/json", json!({"schema": schema(generator)}))),
        Shape::Text { kind, example } => {
            Some((*kind, json!({"schema": {"type": "string"}, "example": example})))
        }
    };
    let mut response = json!({"description": reply.what});
    if let Some((kind, content)) = content.filter(|_| !bare) {
        response["content"] = json!({kind: content});
    }
    if matches!(reply.content, Shape::Cached { .. } | Shape::Unchanged) {
        response["headers"] = json!({
            "ETag": header("Changes with the document", json!({"type": "string"})),
            "Cache-Control": header("How long it may be kept", json!({"type": "string"})),
        });
    }
    response
}

fn header(what: &str, schema: Value) -> Value {
    json!({"description": what, "required": true, "schema": schema})
}

/// The problems of one status.
fn failure(status: u16, kinds: &[&Kind], generator: &mut SchemaGenerator) -> Value {
    let lines: Vec<String> = kinds.iter().map(|kind| format!("`{}`: {}", kind.code, kind.when)).collect();
    let urns: Vec<String> = kinds.iter().map(|kind| kind.urn()).collect();
    let example = |kind: &&Kind| (kind.code.to_owned(), json!({"$ref": reference(kind.code)}));
    let shown: Map<String, Value> = kinds.iter().map(example).collect();
    let narrower = json!({"properties": {"type": {"enum": urns}, "status": {"const": status}}});
    let schema = json!({"allOf": [of::<Problem<'_>>(generator), narrower]});
    let mut response = json!({
        "description": lines.join("; "),
        "content": {"application/problem+json": {"schema": schema, "examples": shown}},
    });
    if status == 401 {
        response["headers"] = json!({"WWW-Authenticate": header("`Bearer`", json!({"type": "string"}))});
    }
    if status == 503 {
        let seconds = json!({"type": "integer", "minimum": 1});
        response["headers"] = json!({"Retry-After": header("When to come back, in seconds", seconds)});
    }
    response
}

fn reference(code: &str) -> String {
    format!("#/components/examples/{code}")
}

/// One of each kind.
fn examples() -> Map<String, Value> {
    let example = |kind: &&Kind| {
        let mut problem = json!({
            "type": kind.urn(), "title": kind.title, "status": kind.status.as_u16(), "detail": kind.when,
        });
        match kind.code {
            "draft" => {
                problem["detail"] = json!("message 0: `sender.protocol` is missing");
                problem["index"] = json!(0);
                problem["field"] = json!("sender.protocol");
            }
            "parameter" => {
                problem["detail"] = json!("`wait` must be from 0 to 60 seconds");
                problem["field"] = json!("wait");
            }
            "peer" => {
                problem["detail"] = json!("request: answered 503");
                problem["step"] = json!("request");
            }
            _ => {}
        }
        (kind.code.to_owned(), json!({"summary": kind.title, "value": problem}))
    };
    problem::LOCAL.iter().map(example).collect()
}

/// An example of a row: JSON, which a test sees to.
fn read(example: &str) -> Value {
    serde_json::from_str(example).unwrap_or_default()
}
