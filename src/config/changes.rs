//! What another reading of the configuration changes, in words that hold no secret.
//!
//! Settings are compared by what they mean, so that a default that is written down by now is no change. Of peers, services
//! and apps the names are told, of all else the keys. Apps are compared by who keeps their tokens (`access`) and noted here.

use std::{collections::BTreeSet, fmt};

use super::{Config, keys};

/// What changed: for one line of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<String>);

/// Of one kind so many are named.
const NAMED: usize = 20;

impl Changes {
    /// From one configuration to the next, but for the apps.
    #[must_use]
    pub fn between(before: &Config, after: &Config) -> Self {
        let mut all = Self::default();
        let (old, new) = (&before.node.peers, &after.node.peers);
        all.note("peers added", new.keys().filter(|host| !old.contains_key(host)));
        all.note("peers removed", old.keys().filter(|host| !new.contains_key(host)));
        let changed = |host: &&_| old.get(host).is_some_and(|pin| Some(pin) != new.get(host));
        all.note("peers changed", new.keys().filter(changed));
        let (old, new) = (&before.node.services, &after.node.services);
        all.note("services added", new.iter().filter(|service| !old.contains(service)));
        all.note("services removed", old.iter().filter(|service| !new.contains(service)));
        if old == new && before.published != after.published {
            all.note("services", ["published otherwise"].iter());
        }
        all.note("settings changed", changed_keys(before, after, false).iter());
        all
    }

    /// Notes names of one kind; nothing where there are none.
    pub fn note<T: fmt::Display>(&mut self, what: &str, names: impl Iterator<Item = T>) {
        let names: BTreeSet<String> = names.map(|name| name.to_string()).collect();
        if names.is_empty() {
            return;
        }
        let more = names.len().saturating_sub(NAMED);
        let mut text = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        if more > 0 {
            text = format!("{text} and {more} more");
        }
        self.0.push(format!("{what}: {text}"));
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("nothing changed") } else { f.write_str(&self.0.join("; ")) }
    }
}

/// The keys outside lists that mean something else than before: those that are read at the start only, or the others.
pub(super) fn changed_keys(before: &Config, after: &Config, at_start: bool) -> Vec<&'static str> {
    let known = keys::variables();
    let wanted = |key: &str| known.iter().any(|known| known.at_start == at_start && known.key() == key);
    let pairs = meant(before).into_iter().zip(meant(after));
    pairs.filter(|((key, old), (_, new))| old != new && wanted(key)).map(|((key, _), _)| key).collect()
}

/// What every key outside lists means.
fn meant(config: &Config) -> Vec<(&'static str, String)> {
    let Config { node, serve, connections, client, store, tls, .. } = config;
    let all: [(&'static str, &dyn fmt::Debug); 45] = [
        ("host", &node.host),
        ("data-dir", &config.data_dir),
        ("peer.listen", &config.peer_listen),
        ("peer.certificate", &tls.certificate),
        ("peer.key", &tls.key),
        ("peer.certificate-check", &tls.check_every),
        ("peer.request-path", &serve.paths.request),
        ("peer.grant-path", &serve.paths.grant),
        ("peer.refresh-path", &serve.paths.refresh),
        ("peer.packet-path", &serve.paths.packet),
        ("peer.aliases", &serve.aliases),
        ("peer.plain-listen", &config.plain_listen),
        ("peer.proxy-protocol", &connections.proxies.is_some()),
        ("peer.proxies", &connections.proxies),
        ("local.listen", &config.local_listen),
        ("trust.web-pki", &tls.web_pki),
        ("trust.roots", &tls.roots),
        ("federation.policy", &node.policy.listed.is_some()),
        ("federation.deny", &node.policy.deny),
        ("federation.private-addresses", &client.private_addresses),
        ("federation.ports", &client.ports),
        ("tokens.lifetime", &node.token_lifetime),
        ("tokens.refresh-lifetime", &node.refresh_lifetime),
        ("tokens.grant-wait", &node.grant_wait),
        ("delivery.time-to-live", &node.time_to_live),
        ("delivery.retry-min", &node.retry_min),
        ("delivery.retry-max", &node.retry_max),
        ("delivery.retry-max-silent", &node.retry_max_silent),
        ("inbox.keep", &node.inbox_keep),
        ("inbox.dedupe", &store.dedupe),
        ("inbox.dedupe-per-peer", &store.dedupe_per_peer),
        ("inbox.dedupe-total", &store.dedupe_total),
        ("limits.packet-bytes", &node.packet_bytes),
        ("limits.packet-messages", &node.packet_messages),
        ("limits.packets-per-second", &node.packets_per_second),
        ("limits.connections", &connections.connections),
        ("limits.connections-per-address", &connections.connections_per_address),
        ("limits.outbox-messages", &store.outbox.messages),
        ("limits.outbox-messages-per-peer", &store.outbox.messages_per_peer),
        ("limits.grant-slots", &node.grant_slots),
        ("limits.links", &node.links),
        ("limits.free-space-min", &store.free_space_min),
        ("log.filter", &config.log.filter),
        ("log.format", &config.log.format),
        ("metrics.peers", &node.metrics_peers),
    ];
    all.iter().map(|(key, value)| (*key, format!("{value:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::with;

    #[test]
    fn every_key_outside_lists_is_compared() {
        let (config, _) = with("").unwrap();
        let compared: BTreeSet<_> = meant(&config).into_iter().map(|(key, _)| key.to_owned()).collect();
        let lists = ["peers", "services", "apps"];
        let known: BTreeSet<_> = keys::variables()
            .iter()
            .map(keys::Variable::key)
            .filter(|key| !lists.contains(&&**key))
            .collect();
        assert_eq!(compared, known);
    }

    #[test]
    fn changes_are_told_in_names_and_keys() {
        let (before, _) = with("[[peers]]\nhost = \"b.test\"\n[[peers]]\nhost = \"c.test\"").unwrap();
        let (after, _) = with(
            "[limits]\npacket-messages = 7\n[log]\nfilter = \"info\"\n\
             [[peers]]\nhost = \"c.test\"\naddress = \"127.0.0.1:9\"\n[[peers]]\nhost = \"d.test\"\n\
             [[services]]\nprotocol = \"p\"\nservices = [\"s\"]",
        )
        .unwrap();
        assert_eq!(
            Changes::between(&before, &after).to_string(),
            "peers added: d.test; peers removed: b.test; peers changed: c.test; services added: p/s; \
             settings changed: limits.packet-messages"
        );
        assert_eq!(Changes::between(&after, &after).to_string(), "nothing changed");
    }

    #[test]
    fn many_names_are_counted() {
        let mut changes = Changes::default();
        changes.note("peers added", (10..40).map(|n| format!("b{n}.test")));
        assert!(changes.to_string().ends_with("b29.test and 10 more"), "{changes}");
    }
}
