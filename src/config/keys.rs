//! Every key of the configuration: its name, what kind of value it takes, and the variable that overrides it.
//!
//! One table, so that the file, the environment, the hints for mistyped keys and the reading cannot disagree. A key's
//! variable is `YMP_` and its path in capitals, `__` between levels and `_` for `-`; a list of tables
//! (`[[peers]]`) has one variable for the whole list. The log's two keys have a short variable besides, which wins.
//! A key that is read at the start only says so here.

use super::units::{DURATION_MEND, SIZE_MEND, distance};

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string, also where it is read further: a name, an address, a path.
    Text,
    /// A string that is a duration.
    Duration,
    /// A string that is a size.
    Size,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Flag,
    /// A list of strings.
    Texts,
    /// A list of ports: numbers, and ranges as strings.
    Ports,
    /// `[name]`.
    Table(&'static [Key]),
    /// `[[name]]`.
    Tables(&'static [Key]),
}

impl Kind {
    /// What to write there.
    pub(super) fn mend(self) -> &'static str {
        match self {
            Self::Text => "write a string: \"..\"",
            Self::Duration => DURATION_MEND,
            Self::Size => SIZE_MEND,
            Self::Count => "write a whole number",
            Self::Flag => "write true or false",
            Self::Texts => "write a list of strings: [\"..\"]",
            Self::Ports => "write a list of ports and ranges: [443, \"1024-65535\"]",
            Self::Table(_) => "write a table: [name] and its keys below",
            Self::Tables(_) => "write tables: [[name]] and its keys below, once for each",
        }
    }
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// As written in the file.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// Read at the start only: a change needs a restart.
    pub(super) at_start: bool,
}

impl Key {
    const fn at_start(self) -> Self {
        Self { at_start: true, ..self }
    }
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, at_start: false }
}

const PATHS: [Key; 4] = [
    key("request-path", Kind::Text),
    key("grant-path", Kind::Text),
    key("refresh-path", Kind::Text),
    key("packet-path", Kind::Text),
];

/// The file.
pub(super) const ALL: &[Key] = &[
    key("host", Kind::Text).at_start(),
    key("data-dir", Kind::Text).at_start(),
    key("peer", Kind::Table(PEER)),
    key("local", Kind::Table(&[key("listen", Kind::Text).at_start()])),
    key("trust", Kind::Table(&[key("web-pki", Kind::Flag), key("roots", Kind::Texts)])),
    key("federation", Kind::Table(FEDERATION)),
    key("tokens", Kind::Table(TOKENS)),
    key("delivery", Kind::Table(DELIVERY)),
    key("inbox", Kind::Table(INBOX)),
    key("limits", Kind::Table(LIMITS)),
    key("log", Kind::Table(LOG)),
    key("metrics", Kind::Table(&[key("peers", Kind::Texts)])),
    key("peers", Kind::Tables(PEERS)),
    key("services", Kind::Tables(SERVICES)),
    key("apps", Kind::Tables(APPS)),
];

const PEER: &[Key] = &[
    key("listen", Kind::Text).at_start(),
    key("certificate", Kind::Text),
    key("key", Kind::Text),
    key("certificate-check", Kind::Duration),
    PATHS[0],
    PATHS[1],
    PATHS[2],
    PATHS[3],
    key("aliases", Kind::Texts),
    key("plain-listen", Kind::Text).at_start(),
    key("proxy-protocol", Kind::Flag),
    key("proxies", Kind::Texts),
];
const FEDERATION: &[Key] = &[
    key("policy", Kind::Text),
    key("deny", Kind::Texts),
    key("private-addresses", Kind::Flag),
    key("ports", Kind::Ports),
];
const TOKENS: &[Key] = &[
    key("lifetime", Kind::Duration),
    key("refresh-lifetime", Kind::Duration),
    key("grant-wait", Kind::Duration),
];
const DELIVERY: &[Key] = &[
    key("time-to-live", Kind::Duration),
    key("retry-min", Kind::Duration),
    key("retry-max", Kind::Duration),
    key("retry-max-silent", Kind::Duration),
];
const INBOX: &[Key] = &[
    key("keep", Kind::Duration),
    key("dedupe", Kind::Duration).at_start(),
    key("dedupe-per-peer", Kind::Count).at_start(),
    key("dedupe-total", Kind::Count).at_start(),
];
const LIMITS: &[Key] = &[
    key("packet-bytes", Kind::Size),
    key("packet-messages", Kind::Count),
    key("packets-per-second", Kind::Count),
    key("connections", Kind::Count),
    key("connections-per-address", Kind::Count),
    key("outbox-messages", Kind::Count),
    key("outbox-messages-per-peer", Kind::Count),
    key("grant-slots", Kind::Count),
    key("links", Kind::Count),
    key("free-space-min", Kind::Size).at_start(),
];
const LOG: &[Key] = &[key("filter", Kind::Text), key("format", Kind::Text).at_start()];
const PEERS: &[Key] =
    &[key("host", Kind::Text), key("address", Kind::Text), PATHS[0], PATHS[1], PATHS[2], PATHS[3]];
const SERVICES: &[Key] =
    &[key("protocol", Kind::Text), key("version", Kind::Text), key("services", Kind::Texts)];
const APPS: &[Key] = &[
    key("name", Kind::Text),
    key("token", Kind::Text),
    key("token-file", Kind::Text),
    key("services", Kind::Texts),
    key("admin", Kind::Flag),
];

/// Variables that begin with `YMP_` and are no settings: the command's own.
pub(super) const VARIABLES_OF_OTHERS: &[&str] = &["YMP_TOKEN", "YMP_LOCAL"];
/// Short names of variables, and their long ones. Empty they say nothing.
pub(super) const SHORT_VARIABLES: &[(&str, &str)] =
    &[("YMP_LOG", "YMP_LOG__FILTER"), ("YMP_LOG_FORMAT", "YMP_LOG__FORMAT")];

/// A key that a variable can set.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    /// `YMP_PEER__LISTEN`.
    pub(super) name: String,
    /// `["peer", "listen"]`.
    pub(super) path: Vec<&'static str>,
    /// What it takes.
    pub(super) kind: Kind,
    /// Read at the start only.
    pub(super) at_start: bool,
}

impl Variable {
    /// `peer.listen`.
    pub(super) fn key(&self) -> String {
        self.path.join(".")
    }
}

//= NODE-CONF-03: YMP_ and the path
/// All keys that a variable can set: leaves outside lists of tables, and those lists as a whole.
pub(super) fn variables() -> Vec<Variable> {
    let mut all = Vec::new();
    for top in ALL {
        match top.kind {
            Kind::Table(keys) => all.extend(keys.iter().map(|key| variable(vec![top.name, key.name], *key))),
            Kind::Text
            | Kind::Duration
            | Kind::Size
            | Kind::Count
            | Kind::Flag
            | Kind::Texts
            | Kind::Ports
            | Kind::Tables(_) => {
                all.push(variable(vec![top.name], *top));
            }
        }
    }
    all
}

fn variable(path: Vec<&'static str>, key: Key) -> Variable {
    let name = format!("YMP_{}", path.join("__").to_uppercase().replace('-', "_"));
    Variable { name, path, kind: key.kind, at_start: key.at_start }
}

/// What to write instead of a key that does not exist: the nearest known one, in its own table or, where it is nearer
/// by two characters, in another.
pub(super) fn hint(table: &str, name: &str) -> String {
    let mut best: Option<(usize, String)> = None;
    let mut offer = |owner: &str, known: &str| {
        let path = if owner.is_empty() { known.to_owned() } else { format!("{owner}.{known}") };
        let cost = distance(name, known) + if owner == table { 0 } else { 2 };
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, path));
        }
    };
    for top in ALL {
        offer("", top.name);
        match top.kind {
            Kind::Table(keys) | Kind::Tables(keys) => keys.iter().for_each(|key| offer(top.name, key.name)),
            Kind::Text
            | Kind::Duration
            | Kind::Size
            | Kind::Count
            | Kind::Flag
            | Kind::Texts
            | Kind::Ports => {}
        }
    }
    match best {
        Some((cost, path)) if cost <= 2 + name.len() / 4 => format!("did you mean `{path}`?"),
        Some((_, path)) => format!("remove it; the nearest known key is `{path}`"),
        None => "remove it".to_owned(),
    }
}

/// The known variable that is nearest to one that is not.
pub(super) fn nearest_variable(name: &str) -> String {
    let all = variables().into_iter().map(|known| known.name);
    all.min_by_key(|known| distance(name, known)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    //= NODE-CONF-03
    #[test]
    fn variables_are_the_path_in_capitals() {
        let names: Vec<String> = variables().into_iter().map(|variable| variable.name).collect();
        for name in [
            "YMP_HOST",
            "YMP_DATA_DIR",
            "YMP_PEER__LISTEN",
            "YMP_FEDERATION__PRIVATE_ADDRESSES",
            "YMP_PEERS",
            "YMP_APPS",
        ] {
            assert!(names.contains(&name.to_owned()), "{name}");
        }
        assert!(!names.contains(&"YMP_PEER".to_owned()));
    }

    //= NODE-CONF-05
    #[test]
    fn a_hint_names_the_nearest_key() {
        for (table, name, want) in [
            ("peer", "lisen", "did you mean `peer.listen`?"),
            ("local", "lisen", "did you mean `local.listen`?"),
            ("limits", "packet-byte", "did you mean `limits.packet-bytes`?"),
            ("", "hots", "did you mean `host`?"),
            ("", "deny", "did you mean `federation.deny`?"),
            ("peers", "adress", "did you mean `peers.address`?"),
        ] {
            assert_eq!(hint(table, name), want);
        }
        assert!(hint("", "completely-other-thing").contains("the nearest known key is `"));
    }
}
