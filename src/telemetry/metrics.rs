//! Every metric of the house: name, unit, meaning. `render` writes the Prometheus text format.
//!
//! Counters are process-wide and never carry a host or a token as a label: cardinality stays bounded whatever
//! strangers send.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($field:ident, $name:literal, $help:literal;)*) => {
        /// All counters.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: Counter,)*
        }

        impl Metrics {
            /// The counters in the Prometheus text format, version 0.0.4.
            #[must_use]
            pub fn render(&self) -> String {
                let mut text = String::new();
                $(write_metric(&mut text, $name, "counter", $help, self.$field.value());)*
                text
            }
        }
    };
}

counters! {
    packets_in, "ymp_packets_in_total", "Packets answered with 204.";
    messages_in, "ymp_messages_in_total", "Messages kept from packets.";
    messages_repeated, "ymp_messages_repeated_total", "Messages that were recognised as repeats.";
    messages_altered, "ymp_messages_altered_total", "Repeats that carried another content than the first.";
    messages_ignored, "ymp_messages_ignored_total", "Messages for a service that this host does not run.";
    packets_refused, "ymp_packets_refused_total", "Packets answered with 4xx.";
    packets_unavailable, "ymp_packets_unavailable_total", "Packets answered with 503.";
    packets_out, "ymp_packets_out_total", "Packets that a peer answered with 204.";
    messages_out, "ymp_messages_out_total", "Messages that a peer answered with 204.";
    messages_accepted, "ymp_messages_accepted_total", "Messages accepted from local apps.";
    messages_dead, "ymp_messages_dead_total", "Messages that were set aside.";
    messages_trimmed_unread, "ymp_messages_trimmed_unread_total", "Inbox messages removed by age before every app had acknowledged them.";
    sends_failed, "ymp_sends_failed_total", "Packets that got no 204.";
    requests_in, "ymp_token_requests_in_total", "Token requests received.";
    requests_dropped, "ymp_token_requests_dropped_total", "Token requests that were answered with 204 and not granted.";
    grants_out, "ymp_grants_out_total", "Grants that the peer answered with 204.";
    grants_failed, "ymp_grants_failed_total", "Grants that were refused or never answered.";
    names_misused, "ymp_names_misused_total", "Grants refused with 401 or 403: somebody asked in the peer's name.";
    grants_in, "ymp_grants_in_total", "Grants accepted.";
    grants_refused, "ymp_grants_refused_total", "Grants answered with 4xx.";
    look_ups, "ymp_look_ups_total", "Fetches of other hosts' information.";
    look_ups_failed, "ymp_look_ups_failed_total", "Fetches of other hosts' information that brought none.";
    asks_out, "ymp_exchanges_started_total", "Exchanges that this host started.";
    asks_failed, "ymp_exchanges_failed_total", "Exchanges that ended without a grant.";
    refreshes_in, "ymp_refreshes_in_total", "Refreshes answered with 200.";
    refreshes_out, "ymp_refreshes_out_total", "Refreshes that a peer answered with 200.";
    refreshes_failed, "ymp_refreshes_failed_total", "Refreshes that a peer refused or did not answer.";
    replays, "ymp_refresh_replays_total", "Spent refresh tokens shown again; each closed a family.";
    tokens_refused, "ymp_tokens_refused_total", "Calls answered with 401.";
    connections_in, "ymp_connections_in_total", "Connections accepted by the peer listener.";
    connections_refused, "ymp_connections_refused_total", "Connections closed at once: over a limit.";
    proxies_refused, "ymp_proxy_headers_refused_total", "Connections closed for want of a PROXY header of a known proxy.";
    handshakes_failed, "ymp_tls_handshakes_failed_total", "TLS handshakes that failed or took too long.";
}

/// Writes one metric with its help and type.
pub fn write_metric(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}
