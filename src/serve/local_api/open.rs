//! What needs no token: the OpenAPI document of all calls, and what those who watch a node ask (`ops`).
//!
//! `GET /v1/openapi.json`, with an `ETag`; `GET /healthz`, `/readyz`, `/metrics`. HEAD is taken, a query is passed over.

use hyper::StatusCode;
use schemars::json_schema;

use super::operation::{Operation, Reply, Shape, Who};
use crate::serve::ops::{METRICS, Ops, PLAIN};

const OK: Reply = text(StatusCode::OK, "it is so", PLAIN, "ok\n");

const fn text(status: StatusCode, what: &'static str, kind: &'static str, example: &'static str) -> Reply {
    Reply { status, what, content: Shape::Text { kind, example } }
}

const OPEN: Operation = Operation {
    method: "GET",
    path: "",
    who: Who::Anyone,
    summary: "",
    notes: "",
    parameters: &[],
    body: None,
    answers: &[OK],
    problems: &[],
    run: |_| Box::pin(async { Ok(Ops::alive()) }),
};

pub(super) const CALLS: &[Operation] = &[
    Operation {
        path: "/v1/openapi.json",
        summary: "This document",
        answers: &[
            Reply {
                status: StatusCode::OK,
                what: "the OpenAPI document of the local API of this node",
                content: Shape::Cached { schema: |_| json_schema!({"type": "object"}) },
            },
            Reply {
                status: StatusCode::NOT_MODIFIED,
                what: "`If-None-Match` names it",
                content: Shape::Unchanged,
            },
        ],
        run: |call| Box::pin(async move { Ok(call.face.document.answer(call.headers)) }),
        ..OPEN
    },
    //= NODE-API-34: no token
    Operation { path: "/healthz", summary: "Whether the process answers at all", ..OPEN },
    Operation {
        path: "/readyz",
        summary: "Whether the node takes and gives",
        answers: &[
            OK,
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: storage takes nothing, or the node is stopping",
                PLAIN,
                "the node is stopping\n",
            ),
        ],
        run: |call| Box::pin(async move { Ok(Ops::ready(&call.face.node, &call.face.stopping)) }),
        ..OPEN
    },
    Operation {
        path: "/metrics",
        summary: "All metrics, in the Prometheus text format",
        answers: &[text(
            StatusCode::OK,
            "the metrics",
            METRICS,
            "# HELP ymp_outbox_peers Peers that messages wait for.\n# TYPE ymp_outbox_peers gauge\nymp_outbox_peers 1\n",
        )],
        run: |call| Box::pin(async move { Ok(call.face.ops.all()) }),
        ..OPEN
    },
];
