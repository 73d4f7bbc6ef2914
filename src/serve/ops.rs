//! For those who watch a node, on the local listener, without a token (`local_api/open` has the rows).
//!
//! | call | |
//! | --- | --- |
//! | GET /healthz | 200 `ok` while the process answers at all |
//! | GET /readyz | 200 `ok`, or 503 with the reason as text: storage that takes nothing, or the node is stopping |
//! | GET /metrics | the Prometheus text format: all counters, and what the parts write beside them |

use std::{fmt, sync::Arc};

use hyper::StatusCode;

use super::{
    respond::{Answer, text},
    stop::Stopping,
};
use crate::{
    node::Node,
    telemetry::{exposition::Exposition, metrics::Metrics},
};

/// The type of texts.
pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";
/// The type of the metrics.
pub(crate) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes what the parts know beside the counters.
pub type ExtraMetrics = Arc<dyn Fn(&mut Exposition) + Send + Sync>;

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

    /// The process answers.
    pub(crate) fn alive() -> Answer {
        plain(StatusCode::OK, "ok\n".to_owned())
    }

    /// Whether the node takes and gives.
    pub(crate) fn ready(node: &Node, stopping: &Stopping) -> Answer {
        readiness(if stopping.is_asked() { Err("the node is stopping".to_owned()) } else { node.ready() })
    }

    /// All metrics.
    pub(crate) fn all(&self) -> Answer {
        text(StatusCode::OK, METRICS, self.render())
    }

    fn render(&self) -> String {
        let mut all = Exposition::default();
        self.metrics.write(&mut all);
        (self.extra)(&mut all);
        all.into_text()
    }
}

fn readiness(ready: Result<(), String>) -> Answer {
    match ready {
        Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn plain(status: StatusCode, body: String) -> Answer {
    text(status, PLAIN, body)
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
        let extra = Arc::new(|text: &mut Exposition| text.gauge("ymp_links", "Links.", 2));
        let text = Ops::new(metrics, extra).render();
        assert!(text.contains("ymp_packets_in_total 3\n"));
        assert!(text.ends_with("ymp_links 2\n"));
    }
}
