//! A row of the table of calls: what a call is, who may make it, what it takes and gives, and what runs it.
//!
//! The dispatch and the OpenAPI document both follow from the rows (`mod`, `document`), so that there is one place to add a
//! call: a row in the `CALLS` of its file. Parameters are read by the same row that documents their bounds. What many
//! calls are answered with alike (401, 403, faults of a body) is derived in `problems`; a row names the rest.

use std::{borrow::Cow, pin::Pin};

use hyper::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Call;
use crate::{
    access::Principal,
    serve::{
        problem::{self, Kind},
        query::{Count, Span, segments},
        respond::{Answer, Fault},
    },
    wire::packet::ServiceKey,
};

/// A call.
pub(super) struct Operation {
    /// One; a call for anyone takes HEAD beside GET.
    pub(super) method: &'static str,
    /// With `{parts}`.
    pub(super) path: &'static str,
    pub(super) who: Who,
    /// One line.
    pub(super) summary: &'static str,
    /// More of it, or nothing.
    pub(super) notes: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<Body>,
    /// What is not a problem.
    pub(super) answers: &'static [Reply],
    /// Those that do not follow from the rest of the row (`problems`).
    pub(super) problems: &'static [&'static Kind],
    pub(super) run: Run,
}

/// Runs a call.
pub(super) type Run = for<'a> fn(Call<'a>) -> Running<'a>;
/// A call that runs.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<Answer, Fault>> + Send + 'a>>;
/// The parts of a path, decoded, by the names that stand in the row.
pub(super) type Parts = Vec<(&'static str, String)>;
/// A schema, or a reference to one.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// No token is needed.
    Anyone,
    /// Any app; what it may see and do depends on what the call names.
    App,
    /// Apps of the service `{protocol}/{service}`.
    Service,
    /// Admins.
    Admin,
}

/// What may stand in the target or in a header.
pub(super) enum Parameter {
    Count(&'static Count),
    Span(&'static Span),
    /// Another host's name.
    Host {
        name: &'static str,
        what: &'static str,
    },
    /// A text that an answer gave.
    Text {
        name: &'static str,
        what: &'static str,
        example: &'static str,
    },
    /// As `Text`, in a header.
    Header {
        name: &'static str,
        what: &'static str,
        example: &'static str,
    },
}

/// A JSON body that the call needs.
pub(super) struct Body {
    pub(super) schema: SchemaOf,
    /// JSON.
    pub(super) example: &'static str,
}

/// An answer that is not a problem.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) what: &'static str,
    pub(super) content: Shape,
}

/// What it carries.
pub(super) enum Shape {
    Empty,
    /// The example is JSON.
    Json {
        schema: SchemaOf,
        example: &'static str,
    },
    /// JSON that a caller may keep (`information::Document`): with `ETag` and `Cache-Control`.
    Cached {
        schema: SchemaOf,
    },
    /// 304: the caller has it already; with the same headers.
    Unchanged,
    Text {
        kind: &'static str,
        example: &'static str,
    },
}

/// The schema of what is written as `T`.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Reply {
    pub(super) const fn json(what: &'static str, schema: SchemaOf, example: &'static str) -> Self {
        Self { status: StatusCode::OK, what, content: Shape::Json { schema, example } }
    }

    pub(super) const fn empty(status: StatusCode, what: &'static str) -> Self {
        Self { status, what, content: Shape::Empty }
    }
}

impl Parameter {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Count(count) => count.name,
            Self::Span(span) => span.name,
            Self::Host { name, .. } | Self::Text { name, .. } | Self::Header { name, .. } => name,
        }
    }

    pub(super) fn is_header(&self) -> bool {
        matches!(self, Self::Header { .. })
    }
}

impl Operation {
    /// The parts, where the path is one of this row.
    pub(super) fn parts(&self, path: &[String]) -> Option<Parts> {
        let mut names = self.path.split('/').skip(1);
        let mut parts = Parts::new();
        for part in path {
            let name = names.next()?;
            match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) => parts.push((name, part.clone())),
                None if name == part => {}
                None => return None,
            }
        }
        names.next().is_none().then_some(parts)
    }

    /// The methods that it takes.
    pub(super) fn methods(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.method)
            .chain((self.who == Who::Anyone && self.method == "GET").then_some("HEAD"))
    }

    fn takes(&self, method: &Method) -> bool {
        self.methods().any(|taken| taken == method.as_str())
    }

    /// The names that may stand in the query.
    pub(super) fn query(&self) -> Vec<&'static str> {
        self.parameters.iter().filter(|known| !known.is_header()).map(Parameter::name).collect()
    }

    /// Every problem that it is answered with.
    pub(super) fn problems(&self) -> Vec<&'static Kind> {
        let mut all: Vec<&'static Kind> = Vec::new();
        if self.path.contains('{') {
            all.push(&problem::NO_SUCH_PATH);
        }
        if self.who != Who::Anyone {
            all.extend([&problem::TOKEN_MISSING, &problem::TOKEN_UNKNOWN, &problem::PARAMETER]);
        }
        if matches!(self.who, Who::Service | Who::Admin) {
            all.push(&problem::FORBIDDEN);
        }
        if self.body.is_some() {
            all.extend([&problem::MEDIA_TYPE, &problem::TOO_LARGE, &problem::TOO_LATE]);
            all.extend([&problem::MALFORMED, &problem::UNAVAILABLE]);
        }
        if self.method != "GET" {
            all.push(&problem::INTERNAL);
        }
        all.extend(self.problems);
        // What asks the store may also find what cannot be read.
        if all.contains(&&problem::UNAVAILABLE) {
            all.push(&problem::DAMAGED);
        }
        all.sort_by_key(|kind| (kind.status.as_u16(), kind.code));
        all.dedup();
        all
    }

    /// Whether the document names this outcome.
    pub(super) fn gives(&self, outcome: &Result<Answer, Fault>) -> bool {
        match outcome {
            Ok(answer) => self.answers.iter().any(|reply| reply.status == answer.status()),
            Err(fault) => self.problems().contains(&fault.kind()),
        }
    }
}

impl Who {
    //= NODE-API-02: 403
    /// 403 where the app may not make the call.
    pub(super) fn check(self, app: &Principal, parts: &Parts) -> Result<(), Fault> {
        let what = match self {
            Self::Anyone | Self::App => return Ok(()),
            Self::Admin if app.admin => return Ok(()),
            Self::Admin => format!("the app `{}` is not an admin", app.name),
            Self::Service => return check_service(app, &service(parts)),
        };
        Err(Fault::Forbidden { what, index: None })
    }
}

/// 403 where the app may not act for the service.
pub(super) fn check_service(app: &Principal, service: &ServiceKey) -> Result<(), Fault> {
    if app.may_act_for(service) {
        return Ok(());
    }
    let what = format!("the app `{}` may not act for {service}", app.name);
    Err(Fault::Forbidden { what, index: None })
}

/// A part of the path; every name that a handler asks for stands in its row.
pub(super) fn part<'a>(parts: &'a Parts, name: &str) -> &'a str {
    parts.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
}

/// The service that the path names.
pub(super) fn service(parts: &Parts) -> ServiceKey {
    ServiceKey::new(part(parts, "protocol"), part(parts, "service"))
}

/// The row for a call: 404 where no row has the path, 405 where none of those that have it takes the method.
pub(super) fn find<'t>(
    table: &[&'t [Operation]],
    method: &Method,
    path: &str,
) -> Result<(&'t Operation, Parts), Fault> {
    let path = segments(path).filter(|parts| parts.iter().all(|part| !part.is_empty())).ok_or(Fault::Path)?;
    let mut allowed = Vec::new();
    for operation in table.iter().flat_map(|rows| rows.iter()) {
        let Some(parts) = operation.parts(&path) else { continue };
        if operation.takes(method) {
            return Ok((operation, parts));
        }
        allowed.extend(operation.methods());
    }
    Err(if allowed.is_empty() { Fault::Path } else { Fault::Method(Cow::Owned(allowed.join(", "))) })
}
