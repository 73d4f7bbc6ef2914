//! Every bound of the protocol and of the house, with its reason, and what happens there.
//!
//! Bounds that an operator may move are `Settings` of the rooms; what stands here is their default or is fixed.

use std::time::Duration;

/// A peer's token: 1 to 4,096 visible ASCII characters (`https-token`); longer is a 400. JWTs of old hosts fit.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// A `state`: 1 to 512 visible ASCII characters (`https-token`); longer is a 400.
pub const STATE_BYTES_MAX: usize = 512;
/// Body of a request or a grant: two tokens of the greatest length and a name (`https-token`); longer is a 413.
pub const EXCHANGE_BYTES_MAX: usize = 16 * 1024;
/// A message's id, protocol, service, action and host (`ymp`); longer is a 400.
pub const NAME_BYTES_MAX: usize = 512;
/// A path, pinned or published (`ymp`).
pub const PATH_BYTES_MAX: usize = 512;
/// What one packet may weigh unless `limits.packet-bytes` says otherwise; more is a 413 which tells the peer to halve.
pub const PACKET_BYTES: usize = 1024 * 1024;
/// Messages in one packet unless `limits.packet-messages` says otherwise.
pub const PACKET_MESSAGES: usize = 1000;
/// An over-long body is read and thrown away up to here, so that its sender sees the answer (`https-token`).
pub const DRAIN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// ... or up to here.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Body of a call to the local API (`node`); longer is a 413.
pub const LOCAL_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Messages in one call to the local API (`node`); more is a 413.
pub const LOCAL_MESSAGES_MAX: usize = 10_000;
/// Of a peer's answer this much is read; its problem document fits, a proxy's page need not.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Of a host information this much is read (`ymp`); more is an error.
pub const INFORMATION_BYTES_MAX: usize = 256 * 1024;
/// A look-up of a host information, its four paths together; a stranger's has `GRANT_TIME_STRANGER`.
pub const LOOK_UP_TIME: Duration = Duration::from_secs(20);
/// Hosts whose information is remembered; over it those of strangers go first. A document is a few hundred bytes here.
pub const DISCOVERIES: usize = 8 * 1024;
/// A lifetime over 400 days counts as 400 days (`https-token`).
pub const LIFETIME_MAX: Duration = Duration::from_secs(400 * 24 * 3600);
//= HT-ASK-09: 30 s, 10 s for a stranger
/// How long the same grant is sent again to a peer that we know.
pub const GRANT_TIME: Duration = Duration::from_secs(30);
/// ... and to a stranger (`https-token`).
pub const GRANT_TIME_STRANGER: Duration = Duration::from_secs(10);
/// A call that shows an offered token waits this long for the outcome, then 503 (`https-token`).
pub const OFFER_WAIT: Duration = Duration::from_secs(10);
/// A grant for an exchange that failed is still accepted this long after it began (`https-token`).
pub const GRANT_LATE: Duration = Duration::from_secs(300);
/// Client addresses that may wait for a grant to one host (`https-token`).
pub const WAITING_PER_HOST: usize = 8;
/// Families that one peer may have open (`https-token`).
pub const FAMILIES_PER_PEER: usize = 4;
/// Spent digests remembered per family (`https-token`).
pub const SPENT_PER_FAMILY: usize = 64;
/// Superseded access tokens of one family that are taken a little longer; the oldest goes first. A peer that refreshes in
/// time has one.
pub const LINGERING_PER_FAMILY: usize = 8;
/// How long a superseded access token is taken after its successor's first use, and an older family after a newer one's
/// (`https-token`): packets under way.
pub const UNDER_WAY: Duration = Duration::from_secs(30);
/// Never more than one refresh or exchange per peer in this time (`https-token`).
pub const EXCHANGE_PACE: Duration = Duration::from_secs(2);
/// Messages condemned without a 204 between, after which the link counts as refused (`https-token`).
pub const CONDEMNED_IN_A_ROW: u32 = 10;
/// `Retry-After` is followed up to here (`https-token`).
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// A whole request to a peer, connection included (`https-token`).
pub const CALL_TIME: Duration = Duration::from_secs(60);
/// Batches that wait for the disk; the next is a 503. More than all that peers' requests in hand and apps' connections can
/// hand over: who waits for a slow disk waits, and is not sent away while others are let in.
pub const STORE_QUEUE_BATCHES: usize = REQUESTS_IN_HAND + LOCAL_CONNECTIONS + 1024;
/// Messages that wait in the outbox in all; the next is a 503 to the app.
pub const OUTBOX_MESSAGES: u64 = 1_000_000;
/// Messages that wait in the outbox for one peer; the next is a 503 to the app.
pub const OUTBOX_MESSAGES_PER_PEER: u64 = 100_000;
/// Links with hosts that are not configured; beyond it the least used end. At about 2.5 KiB each, a quarter of a gigabyte.
pub const LINKS: usize = 100_000;
/// Hosts in whose name a request waits or a grant is under way; a stranger's next is dropped. At 64 slots of 10 s each
/// more than this could not be served before they time out.
pub const LOBBY_HOSTS: usize = 1024;
/// Bytes of messages that one read of an inbox, or of what is dead, brings at most, beyond the first message: what a caller can
/// hold.
pub const INBOX_READ_BYTES: usize = 8 * 1024 * 1024;
/// A TLS handshake, with the PROXY header before it where there is one; one that takes longer is closed.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// A PROXY header: the addresses of IPv6 and what haproxy can add, a name of 255 bytes among it; longer is closed.
pub const PROXY_HEADER_BYTES_MAX: usize = 1024;
/// From the handshake to a request's whole header, and from a header's first byte to its last; longer is closed.
pub const HEADER_TIME: Duration = Duration::from_secs(10);
/// A request's whole body; longer is a 408. The largest packet needs 35 KB a second.
pub const BODY_TIME: Duration = Duration::from_secs(30);
/// A connection without a request is closed after this (`https-token`).
pub const IDLE_TIME: Duration = Duration::from_secs(90);
/// HTTP/2 PING while a request is open, on connections that we opened and on those that callers opened (`https-token`).
pub const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a PING may stay unanswered (`https-token`).
pub const PING_TIME: Duration = Duration::from_secs(10);
/// A request's header: the longest token and its name four times over; longer is a 431.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Requests at once on one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 128;
/// Connections from one client address (IPv6: one /64); the next is closed at once.
pub const CONNECTIONS_PER_ADDRESS: usize = 256;
/// Connections in all on one listener; the next is closed at once. Below the usual limit of open files.
pub const CONNECTIONS: usize = 4096;
/// After accept() failed (no file descriptors left) it is tried again after this.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest `wait` of a call to the local API (`node`).
pub const POLL_TIME_MAX: Duration = Duration::from_secs(60);
/// Messages in one answer of the local API (`node`).
pub const PAGE_MESSAGES_MAX: usize = 10_000;
/// Messages in one answer of the local API unless the call says otherwise.
pub const PAGE_MESSAGES: usize = 100;
/// Bytes of messages that one reader of a stream makes us hold at most, beyond the first message.
pub const STREAM_BYTES: usize = 1024 * 1024;
/// Requests of apps that wait for their answers; the next is a 503.
pub const REQUESTS_WAITING: usize = 10_000;
/// Peers with series of their own in the metrics: nine each, which a database of time series bears.
pub const METRICS_PEERS_MAX: usize = 1000;
/// Names of services that do not run here and that peers send to: further ones are counted without their names.
pub const IGNORED_SERVICES: usize = 256;
/// When the node stops, requests in hand and calls to peers have this long; what is not done then is dropped.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);
/// ... and callers who have no request in hand have this long for the last of their answers and for closing.
pub const LINGER_TIME: Duration = Duration::from_secs(5);
/// From the first signal to the end of the process, whatever hangs. Twice the time for what is in hand: the rest is the store's.
pub const STOP_TIME: Duration = Duration::from_secs(20);
/// Bytes of peers' bodies in hand, in all; an eighth from one client address. Over it: 503, come back.
pub const BODIES_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of local apps' bodies in hand, in all. Over it: 503, come back.
pub const LOCAL_BODIES_BYTES: usize = 128 * 1024 * 1024;
/// When a caller that found no room may come back.
pub const BUSY_WAIT: Duration = Duration::from_secs(1);
/// Connections of local apps; the next is closed at once.
pub const LOCAL_CONNECTIONS: usize = 1024;
/// Characters of a problem's detail: it may quote what it is about, never at length.
pub const DETAIL_CHARS_MAX: usize = 600;
/// Bytes of the bodies of requests and grants in hand, in all; an eighth from one client address. A thousand of the longest.
pub const EXCHANGE_BODIES_BYTES: usize = 16 * 1024 * 1024;
/// Requests of peers in hand, in all; an eighth from one client address. Over it: 503, come back.
pub const REQUESTS_IN_HAND: usize = 4096;
/// Token requests a second from a client address that is not likely the named host's; bursts of ten seconds' worth.
pub const REQUESTS_PER_SECOND: u32 = 10;
/// Client addresses whose rate of token requests is remembered; over it the idle ones are forgotten.
pub const REQUEST_ORIGINS: usize = 16 * 1024;
/// Descriptors that are kept for the store, calls to peers and the local API when connections are bounded.
pub const DESCRIPTORS_RESERVED: usize = 512;
