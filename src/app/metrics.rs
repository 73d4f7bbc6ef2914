//! What the metrics show beside the counters: the node, the store, the certificate, the process.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    node::Node,
    serve::ops::ExtraMetrics,
    store::{Figures, Store},
    telemetry::{
        exposition::{Exposition, Kind},
        process,
    },
    wire::time::Wall,
};

/// Writes them all; `certificate_expires` is in seconds since 1970, `outbox_max` is `limits.outbox-messages`.
pub(super) fn beside(
    node: &Node,
    store: &Arc<dyn Store>,
    certificate_expires: Arc<AtomicU64>,
    outbox_max: Arc<AtomicU64>,
    started: Wall,
) -> ExtraMetrics {
    let (node, store) = (node.clone(), Arc::clone(store));
    Arc::new(move |text| {
        let ready = u8::from(node.ready().is_ok());
        text.gauge(
            "ymp_ready",
            "Whether the node takes packets and messages: 1, or 0 as /readyz says why.",
            ready,
        );
        node.write_metrics(text);
        let help = "How many may wait in all: `limits.outbox-messages`.";
        text.gauge("ymp_outbox_limit_messages", help, outbox_max.load(Ordering::Relaxed));
        write_store(text, &store.figures());
        let help = "When the certificate that peers are shown expires, in seconds since 1970.";
        let expires = certificate_expires.load(Ordering::Relaxed);
        text.gauge("ymp_certificate_expires_timestamp_seconds", help, expires);
        let version = env!("CARGO_PKG_VERSION");
        text.family("ymp_build_info", Kind::Gauge, "The version that runs, as a label; always 1.")
            .sample(&[("version", version)], 1);
        process::write(text, started.as_seconds());
    })
}

fn write_store(text: &mut Exposition, figures: &Figures) {
    text.counter("ymp_store_commits_total", "Commits made.", figures.commits);
    text.counter("ymp_store_batches_total", "Batches that they held.", figures.batches);
    text.counter("ymp_store_failed_commits_total", "Commits that failed.", figures.failed_commits);
    let help = "Reads that met something on the disk that is not as it should be.";
    text.counter("ymp_store_damaged_reads_total", help, figures.damaged_reads);
    let help = "How long a commit took to be on disk.";
    text.histogram("ymp_store_commit_duration_seconds", help, &figures.commit_time);
    if let Some(free) = figures.free_bytes {
        text.gauge("ymp_store_free_bytes", "Room left on the disk that the store lies on.", free);
    }
    text.gauge("ymp_store_free_min_bytes", "Below it nothing more is taken.", figures.free_bytes_min);
    if let Some(log) = &figures.log {
        text.gauge("ymp_store_log_bytes", "Bytes of the log's files.", log.bytes);
        let help = "Bytes of the messages in it that are still needed.";
        text.gauge("ymp_store_log_live_bytes", help, log.live);
    }
    text.gauge("ymp_dedupe_entries", "Messages that repeats are recognised of.", figures.window_entries);
    let help = "Entries that left the window of repeats early, for want of room.";
    text.counter("ymp_dedupe_evicted_total", help, figures.window_evicted);
}
