//! Every counter of the house: name, unit, meaning; and the lengths of time that it measures.
//!
//! They are process-wide and never carry a host or a token as a label: cardinality stays bounded whatever strangers
//! send. What only the parts know (queues, links, the disk) they write beside it when they are asked.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    exposition::{Exposition, Kind},
    histogram::Histogram,
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

/// How many of something are open.
#[derive(Clone, Debug, Default)]
pub struct Open(Arc<AtomicU64>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Held(Open);

impl Open {
    /// One more is open.
    #[must_use]
    pub fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self.clone())
    }

    /// How many there are.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Calls of the local API by the class of their answer.
#[derive(Debug, Default)]
pub struct Classes([Counter; 3]);

impl Classes {
    const NAMES: [&str; 3] = ["2xx", "4xx", "5xx"];

    /// One answer with this status code.
    pub fn count(&self, code: u16) {
        let place = match code {
            ..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        if let Some(counter) = self.0.get(place) {
            counter.up();
        }
    }
}

macro_rules! counters {
    ($($field:ident, $name:literal, $help:literal;)*) => {
        /// All of them.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: Counter,)*
            /// Connections of peers.
            pub peer_connections: Open,
            /// Connections of local apps, and of those who fetch the host information over plain HTTP.
            pub local_connections: Open,
            /// Answers of the local API.
            pub local_answers: Classes,
            /// From a packet's header to its answer.
            pub packet_in_time: Histogram,
            /// From a packet that is ready to go to its peer's answer.
            pub packet_out_time: Histogram,
        }

        impl Metrics {
            fn write_counters(&self, text: &mut Exposition) {
                $(text.counter($name, $help, self.$field.value());)*
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
    packet_bytes_in, "ymp_packets_in_bytes_total", "Bytes of the packets answered with 204.";
    packets_refused, "ymp_packets_refused_total", "Packets answered with 4xx.";
    packets_unavailable, "ymp_packets_unavailable_total", "Packets answered with 503.";
    packets_out, "ymp_packets_out_total", "Packets that a peer answered with 204.";
    packet_bytes_out, "ymp_packets_out_bytes_total", "Bytes of the packets that a peer answered with 204.";
    messages_out, "ymp_messages_out_total", "Messages that a peer answered with 204.";
    messages_accepted, "ymp_messages_accepted_total", "Messages accepted from local apps.";
    messages_dead, "ymp_messages_dead_total", "Messages that were set aside.";
    messages_trimmed_unread, "ymp_messages_trimmed_unread_total", "Inbox messages removed by age before every app had acknowledged them.";
    links_lost, "ymp_links_lost_total", "Links that went down: the first failure after a success, or ever.";
    links_evicted, "ymp_links_evicted_total", "Links with hosts that are not configured that ended because there were too many.";
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

impl Metrics {
    /// Writes them all.
    pub fn write(&self, text: &mut Exposition) {
        self.write_counters(text);
        text.family("ymp_connections_open", Kind::Gauge, "Connections that are open, by listener.")
            .sample(&[("listener", "peer")], self.peer_connections.value())
            .sample(&[("listener", "local")], self.local_connections.value());
        let help = "Answers of the local API, by the class of their status code.";
        let mut answers = text.family("ymp_local_answers_total", Kind::Counter, help);
        for (name, counter) in Classes::NAMES.iter().zip(&self.local_answers.0) {
            answers.sample(&[("class", name)], counter.value());
        }
        let help = "From a packet's header to its answer, of packets answered with 204.";
        text.histogram("ymp_packet_in_duration_seconds", help, &self.packet_in_time.spread());
        let help = "From the call to the peer's answer, of packets that a peer answered with 204.";
        text.histogram("ymp_packet_out_duration_seconds", help, &self.packet_out_time.spread());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted_until_it_is_dropped() {
        let open = Open::default();
        let (one, other) = (open.hold(), open.hold());
        assert_eq!(open.value(), 2);
        drop((one, other));
        assert_eq!(open.value(), 0);
    }

    #[test]
    fn answers_are_counted_by_class() {
        let metrics = Metrics::default();
        [200, 202, 304, 404, 500, 504].iter().for_each(|code| metrics.local_answers.count(*code));
        let mut text = Exposition::default();
        metrics.write(&mut text);
        let text = text.into_text();
        for sample in ["{class=\"2xx\"} 3", "{class=\"4xx\"} 1", "{class=\"5xx\"} 2"] {
            assert!(text.contains(&format!("ymp_local_answers_total{sample}\n")), "{sample}: {text}");
        }
    }
}
