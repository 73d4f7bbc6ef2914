//! For those who watch a node, on the local listener, without a token.
//!
//! | call | |
//! | --- | --- |
//! | GET /healthz | 200 `ok` while the process answers at all |
//! | GET /readyz | 200 `ok`, or 503 with the reason as text: storage that takes nothing, or the node is stopping |
//! | GET /metrics | the Prometheus text format: all counters, and what `extra` writes (gauges of the parts) |

use std::{fmt, sync::Arc};

use hyper::{Method, StatusCode};

use super::{
    respond::{Answer, Door, Fault, text},
    stop::Stopping,
};
use crate::{node::Node, telemetry::metrics::Metrics};

/// Writes further metrics in the Prometheus text format (`telemetry::metrics::write_metric`).
pub type ExtraMetrics = Arc<dyn Fn(&mut String) + Send + Sync>;

/// Health, readiness, metrics.
#[derive(Clone)]
pub struct Ops {
    metrics: Arc<Metrics>,
    extra: ExtraMetrics,
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ops").finish_non_exhaustive()
    }
}

impl Ops {
    /// Counters, and what writes the rest.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, extra: ExtraMetrics) -> Self {
        Self { metrics, extra }
    }

    //= NODE-API-34: no token
    /// Answers where the path is one of these; `None` leaves it to others.
    pub(crate) fn answer(
        &self,
        method: &Method,
        path: &str,
        node: &Node,
        stopping: &Stopping,
    ) -> Option<Answer> {
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            return None;
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Some(Fault::Method("GET, HEAD").answer(Door::Plain));
        }
        Some(match path {
            "/healthz" => plain(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if stopping.is_asked() => readiness(Err("the node is stopping".to_owned())),
            "/readyz" => readiness(node.ready()),
            _ => text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.render()),
        })
    }

    fn render(&self) -> String {
        let mut all = self.metrics.render();
        (self.extra)(&mut all);
        all
    }
}

fn readiness(ready: Result<(), String>) -> Answer {
    match ready {
        Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn plain(status: StatusCode, body: String) -> Answer {
    text(status, "text/plain; charset=utf-8", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ready_says_why() {
        assert_eq!(readiness(Ok(())).status(), 200);
        assert_eq!(readiness(Err("the disk is full".into())).status(), 503);
    }

    #[test]
    fn the_metrics_are_the_counters_and_what_the_parts_add() {
        let metrics = Arc::new(Metrics::default());
        metrics.packets_in.add(3);
        let text = Ops::new(metrics, Arc::new(|text: &mut String| text.push_str("ymp_links 2\n"))).render();
        assert!(text.contains("ymp_packets_in_total 3\n"));
        assert!(text.ends_with("ymp_links 2\n"));
    }
}
