//! What the sections of the file mean, each with its defaults and its rules, and what parts of them contradict each
//! other. Lists of tables (`[[peers]]`, `[[services]]`, `[[apps]]`) are read in `lists`.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{
    proxies::proxies,
    reader::{Found, Reader},
    source::{Content, Value},
};
use crate::{
    serve::proxy::Network,
    telemetry::log,
    wire::{
        host::{OwnHost, PeerHost},
        information::INFORMATION_PATHS,
        limits,
        path::{Paths, UrlPath},
        policy::DenyPattern,
    },
};

pub(super) const HOST_MEND: &str = "write a host name such as \"alpha.test\", with `:port` unless it is 443";
const LISTEN_MEND: &str = "write an address and a port: \"127.0.0.1:8443\", \"[::]:8443\"";
pub(super) const PATH_MEND: &str = "write a path such as \"/request\"";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// More of something than any machine holds.
const COUNT_MAX: i64 = 1_000_000_000_000;

/// `host`.
pub(super) fn host(root: &Reader<'_>) -> Option<OwnHost> {
    let text = root.required("host", "write host = \"alpha.test\": the name that peers know this host by")?;
    root.parse(text, HOST_MEND, OwnHost::parse_human).map(|found| found.value)
}

/// `[peer]`.
pub(super) struct Peer {
    pub(super) listen: SocketAddr,
    pub(super) plain_listen: Option<SocketAddr>,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) certificate_check: Duration,
    /// `None` where one of them is wrong.
    pub(super) paths: Option<Paths>,
    pub(super) aliases: Vec<OwnHost>,
    pub(super) proxies: Option<Vec<Network>>,
}

/// `[peer]`; files are named after the host unless said otherwise.
pub(super) fn peer(reader: &Reader<'_>, host: Option<&OwnHost>) -> Peer {
    let file = host.map_or("host", OwnHost::name);
    let unspecified = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let own = listen(reader, "listen", unspecified(8443));
    let plain = reader.has("plain-listen").then(|| listen(reader, "plain-listen", unspecified(8080)));
    if plain.is_some_and(|plain| collide(plain, own)) {
        reader.problem_at("plain-listen", "is the address of `listen`", "give each listener its own port");
    }
    Peer {
        listen: own,
        plain_listen: plain,
        certificate: reader.path_or("certificate", &format!("certs/{file}.pem")),
        key: reader.path_or("key", &format!("certs/{file}.key")),
        certificate_check: certificate_check(reader),
        paths: paths(reader),
        aliases: aliases(reader, host),
        proxies: proxies(reader),
    }
}

/// Below this the look at the files would be a load of its own.
const CERTIFICATE_CHECK_LEAST: Duration = Duration::from_millis(100);

/// Renewals come weeks before the end: half a minute is soon, and a look costs a few system calls.
fn certificate_check(reader: &Reader<'_>) -> Duration {
    let check = reader.duration("certificate-check", 30 * SECOND);
    if check.value < CERTIFICATE_CHECK_LEAST {
        let what = "would look at the files without end";
        reader.problem(&check.key, &check.place, what, "write \"100ms\" or more, as in \"30s\"");
    }
    check.value
}

/// A listener's address.
pub(super) fn listen(reader: &Reader<'_>, name: &str, default: SocketAddr) -> SocketAddr {
    let parse = |text: &str| text.parse().map_err(|_| "it is no address with a port");
    reader.parsed(name, LISTEN_MEND, parse).map_or(default, |found| found.value)
}

fn paths(reader: &Reader<'_>) -> Option<Paths> {
    let path = |name: &str, default: &str| {
        if reader.has(name) {
            Some(reader.parsed(name, PATH_MEND, UrlPath::parse)?.value)
        } else {
            UrlPath::parse(default).ok()
        }
    };
    let request = path("request-path", "/request");
    let grant = path("grant-path", "/grant");
    let refresh = path("refresh-path", "/refresh");
    let packet = path("packet-path", "/packet");
    let named = [
        ("request-path", &request),
        ("grant-path", &grant),
        ("refresh-path", &refresh),
        ("packet-path", &packet),
    ];
    distinct(reader, &named);
    for (name, path) in named {
        if path.as_ref().is_some_and(|path| INFORMATION_PATHS.contains(&path.as_str())) {
            reader.problem_at(name, "is where the host information stands", "choose another path");
        }
    }
    Some(Paths { request: request?, grant: grant?, refresh: refresh?, packet: packet? })
}

/// Reports each path that stands twice.
pub(super) fn distinct(reader: &Reader<'_>, named: &[(&str, &Option<UrlPath>)]) {
    for (index, (name, path)) in named.iter().enumerate() {
        let same = named.iter().take(index).find(|(_, other)| path.is_some() && other == path);
        if let Some((other, _)) = same {
            reader.problem_at(
                name,
                &format!("is the same as `{other}`"),
                "give each of the four its own path",
            );
        }
    }
}

fn aliases(reader: &Reader<'_>, host: Option<&OwnHost>) -> Vec<OwnHost> {
    let mut all: Vec<OwnHost> = Vec::new();
    for text in reader.texts("aliases") {
        let Some(alias) = reader.parse(text, HOST_MEND, OwnHost::parse_human) else { continue };
        if Some(&alias.value) == host || all.contains(&alias.value) {
            reader.warn(&alias.key, &alias.place, "names the host a second time", "remove it");
        } else {
            all.push(alias.value);
        }
    }
    all
}

/// `[local]`, beside the peer listener.
pub(super) fn local(reader: &Reader<'_>, peer: &Peer) -> SocketAddr {
    let local = listen(reader, "listen", SocketAddr::from(([127, 0, 0, 1], 8080)));
    let taken = [("peer.listen", Some(peer.listen)), ("peer.plain-listen", peer.plain_listen)];
    for (name, other) in taken {
        if other.is_some_and(|other| collide(local, other)) {
            reader.problem_at(
                "listen",
                &format!("is the address of `{name}`"),
                "give each listener its own port",
            );
        }
    }
    if !local.ip().is_loopback() {
        let what = "lets other machines reach the local API, in plain HTTP";
        reader.warn_at("listen", what, "listen on 127.0.0.1, or keep the port behind a firewall or a proxy");
    }
    local
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let one_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && one_ip
}

/// `[trust]`.
pub(super) struct Trust {
    pub(super) web_pki: bool,
    pub(super) roots: Vec<PathBuf>,
}

/// `[trust]`: the public roots, and none beside them.
pub(super) fn trust(reader: &Reader<'_>) -> Trust {
    let web_pki = reader.flag("web-pki", true);
    let roots: Vec<_> = reader.texts("roots").iter().map(|found| reader.resolved(found.value)).collect();
    if !web_pki && roots.is_empty() {
        reader.warn_at(
            "roots",
            "is empty and `web-pki` is off: no peer can be trusted",
            "name a root, or switch web-pki on",
        );
    }
    Trust { web_pki, roots }
}

/// `[federation]`.
pub(super) struct Federation {
    pub(super) listed: bool,
    pub(super) deny: Vec<DenyPattern>,
    pub(super) private_addresses: bool,
    pub(super) ports: Vec<RangeInclusive<u16>>,
}

/// `[federation]`.
pub(super) fn federation(reader: &Reader<'_>) -> Federation {
    let policy = |text: &str| match text {
        "open" => Ok(false),
        "listed" => Ok(true),
        _ => Err("there is no such policy"),
    };
    let policy_mend = "write \"open\", or \"listed\" for only the hosts under [[peers]]";
    let deny_mend = "write a host name, or \"*.example.org\" for all below a name";
    let deny = reader.texts("deny").into_iter();
    Federation {
        listed: reader.parsed("policy", policy_mend, policy).is_some_and(|found| found.value),
        deny: deny
            .filter_map(|text| reader.parse(text, deny_mend, DenyPattern::parse).map(|found| found.value))
            .collect(),
        private_addresses: reader.flag("private-addresses", false),
        ports: ports(reader),
    }
}

//= NODE-CONF-10: numbers and ranges
fn ports(reader: &Reader<'_>) -> Vec<RangeInclusive<u16>> {
    if !reader.has("ports") {
        return vec![443..=443, 1024..=u16::MAX];
    }
    let mut all = Vec::new();
    for (index, value) in reader.list("ports").iter().enumerate() {
        match port_range(value) {
            Some(range) => all.push(range),
            None => reader.problem(
                &format!("{}[{index}]", reader.key_of("ports")),
                &value.place,
                "is no port and no range of ports",
                "write a number from 1 to 65535, or a range such as \"1024-65535\"",
            ),
        }
    }
    all
}

fn port_range(value: &Value) -> Option<RangeInclusive<u16>> {
    let (first, last) = match &value.content {
        Content::Integer(number) => (u16::try_from(*number).ok()?, u16::try_from(*number).ok()?),
        Content::Text(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            (first.trim().parse().ok()?, last.trim().parse().ok()?)
        }
        Content::Flag(_) | Content::List(_) | Content::Table(_) | Content::Other | Content::Wrong => {
            return None;
        }
    };
    (first > 0 && first <= last).then_some(first..=last)
}

/// `[tokens]`.
pub(super) struct Tokens {
    pub(super) lifetime: Duration,
    pub(super) refresh_lifetime: Duration,
    pub(super) grant_wait: Duration,
}

/// `[tokens]`.
pub(super) fn tokens(reader: &Reader<'_>) -> Tokens {
    let lifetime = reader.duration("lifetime", HOUR);
    let refresh = reader.duration("refresh-lifetime", 30 * DAY);
    for found in [&lifetime, &refresh] {
        if found.value > limits::LIFETIME_MAX {
            reader.warn(
                &found.key,
                &found.place,
                "is over 400 days: peers count it as 400 days",
                "write \"400d\" or less",
            );
        }
    }
    if refresh.value < lifetime.value {
        let what = "is shorter than `lifetime`: peers must exchange anew instead of refreshing";
        reader.warn(&refresh.key, &refresh.place, what, "write a longer one");
    }
    if lifetime.value.subsec_nanos() != 0 {
        let what = "is no whole number of seconds, and that is what peers are told";
        reader.problem(&lifetime.key, &lifetime.place, what, "write \"1s\" or more, as in \"1h\"");
    }
    let grant_wait = reader.duration("grant-wait", 30 * SECOND);
    if grant_wait.value > limits::GRANT_LATE {
        let what = "is longer than a grant is taken at all";
        reader.problem(&grant_wait.key, &grant_wait.place, what, "write \"5m\" or less");
    }
    let grant_wait = grant_wait.value;
    Tokens { lifetime: lifetime.value, refresh_lifetime: refresh.value, grant_wait }
}

/// `[delivery]`.
pub(super) struct Delivery {
    pub(super) time_to_live: Duration,
    pub(super) retry_min: Duration,
    pub(super) retry_max: Duration,
    pub(super) retry_max_silent: Duration,
}

/// Below this a first retry is no wait.
const RETRY_LEAST: Duration = Duration::from_millis(10);

/// `[delivery]`.
pub(super) fn delivery(reader: &Reader<'_>) -> Delivery {
    let min = reader.duration("retry-min", SECOND);
    let max = reader.duration("retry-max", 15 * MINUTE);
    let silent = reader.duration("retry-max-silent", 6 * HOUR);
    if min.value < RETRY_LEAST {
        let what = "would hammer a peer that is down";
        reader.problem(&min.key, &min.place, what, "write \"10ms\" or more, as in \"1s\"");
    }
    ordered(reader, &min, &max, "retry-min");
    ordered(reader, &max, &silent, "retry-max");
    let time_to_live = reader.duration("time-to-live", 7 * DAY).value;
    Delivery { time_to_live, retry_min: min.value, retry_max: max.value, retry_max_silent: silent.value }
}

fn ordered(reader: &Reader<'_>, less: &Found<Duration>, more: &Found<Duration>, name: &str) {
    if less.value > more.value {
        let what = format!("is shorter than `{name}` ({:?} < {:?})", more.value, less.value);
        let mend = "keep retry-min <= retry-max <= retry-max-silent";
        reader.problem(&more.key, &more.place, &what, mend);
    }
}

/// `[inbox]`.
pub(super) struct Inbox {
    pub(super) keep: Duration,
    pub(super) dedupe: Duration,
    pub(super) dedupe_per_peer: usize,
    pub(super) dedupe_total: usize,
}

/// `[inbox]`.
pub(super) fn inbox(reader: &Reader<'_>) -> Inbox {
    Inbox {
        keep: reader.duration("keep", 30 * DAY).value,
        dedupe: reader.duration("dedupe", 8 * DAY).value,
        dedupe_per_peer: reader.count("dedupe-per-peer", 1_000_000, 1..=COUNT_MAX),
        dedupe_total: reader.count("dedupe-total", 10_000_000, 1..=COUNT_MAX),
    }
}

/// `[limits]`.
pub(super) struct Limits {
    pub(super) packet_bytes: usize,
    pub(super) packet_messages: usize,
    pub(super) packets_per_second: u32,
    pub(super) connections: usize,
    pub(super) connections_per_address: usize,
    pub(super) outbox_messages: u64,
    pub(super) outbox_messages_per_peer: u64,
    pub(super) grant_slots: usize,
    pub(super) links: usize,
    pub(super) free_space_min: u64,
}

/// `[limits]`.
pub(super) fn limits(reader: &Reader<'_>) -> Limits {
    // Below 1 KiB no message fits beside its names; above 64 MiB one packet would hold a good part of memory.
    let packet_bytes = reader.size("packet-bytes", limits::PACKET_BYTES as u64, &(1024..=64 << 20));
    Limits {
        packet_bytes: usize::try_from(packet_bytes).unwrap_or(limits::PACKET_BYTES),
        packet_messages: reader.count("packet-messages", limits::PACKET_MESSAGES, 1..=1_000_000),
        packets_per_second: reader.count("packets-per-second", 1000, 1..=1_000_000),
        connections: reader.count("connections", limits::CONNECTIONS, 1..=1_000_000),
        connections_per_address: reader.count("connections-per-address", 256, 1..=1_000_000),
        outbox_messages: reader.count("outbox-messages", limits::OUTBOX_MESSAGES, 1..=COUNT_MAX),
        outbox_messages_per_peer: reader.count(
            "outbox-messages-per-peer",
            limits::OUTBOX_MESSAGES_PER_PEER,
            1..=COUNT_MAX,
        ),
        // Half of them are for configured peers: one slot would leave strangers none.
        grant_slots: reader.count("grant-slots", 64, 2..=65_536),
        links: reader.count("links", limits::LINKS, 1..=10_000_000),
        free_space_min: reader.size("free-space-min", 256 << 20, &(0..=u64::MAX)),
    }
}

/// `[log]`.
pub(super) fn log(reader: &Reader<'_>) -> log::Settings {
    let filter_mend = "write a level such as \"info\", or \"info,ymp::node=debug\"";
    let format_mend = "write \"text\", or \"json\" for machines";
    log::Settings {
        filter: reader.parsed("filter", filter_mend, str::parse).map(|found| found.value).unwrap_or_default(),
        format: reader.parsed("format", format_mend, str::parse).map(|found| found.value).unwrap_or_default(),
    }
}

/// Reads a peer's name.
pub(super) fn peer_host(reader: &Reader<'_>) -> Option<PeerHost> {
    let text = reader.required("host", "write host = \"beta.test\": the peer's name")?;
    reader.parse(text, HOST_MEND, PeerHost::parse_human).map(|found| found.value)
}
