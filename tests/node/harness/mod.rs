//! The harness: real processes of the built binary, and peers of our own making that speak the protocol to them.
//!
//! - `yard`: a folder with an authority, certificates and free ports; everything of one test lives in it.
//! - `node`: a process of `ymp serve`: started, killed, stopped, started again on the same folder and ports. An ERROR line
//!   in its log fails the test.
//! - `local`: its local API, as an app sees it.
//! - `peer`: a scripted host on loopback that does its part of the protocol unless told otherwise, and keeps what it saw.
//! - `reference`: the published implementation of R3, as others run it.
//! - `flow`: messages that go on while something else happens.
//! - `caller`: one request under a name, an HTTP version and a bearer of choice.
//!
//! Waits are polls with a deadline: `eventually`, `within`.

#![expect(clippy::disallowed_methods, reason = "deadlines of tests are the machine's own time")]

use std::{
    future::Future,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub(crate) mod broken;
pub(crate) mod caller;
pub(crate) mod flow;
mod listener;
pub(crate) mod local;
pub(crate) mod node;
pub(crate) mod peer;
pub(crate) mod reference;
pub(crate) mod yard;

pub(crate) use caller::{Got, Http};
pub(crate) use flow::{flow, in_order, without_a_gap};
pub(crate) use node::Node;
pub(crate) use peer::{Does, Kind, PLACES, Peer, Reply, Revision, Seen};
pub(crate) use yard::Yard;

/// The node's name in most tests.
pub(crate) const ALPHA: &str = "alpha.test";
/// Its peer's.
pub(crate) const BETA: &str = "beta.test";
/// Long enough for a busy machine, short enough to end a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks again and again until there is something to see.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl FnMut() -> F) -> T {
    within(PATIENCE, what, look).await
}

/// Looks again and again until there is something to see, at most so long.
pub(crate) async fn within<T, F: Future<Output = Option<T>>>(
    at_most: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(start.elapsed() < at_most, "not within {at_most:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// What the clock says, for spans of time.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A message from one host to another, service `example/form` to `example/form`.
pub(crate) fn message(from: &str, to: &str, id: &str, payload: &Value) -> Value {
    json!({
        "sender": {"host": from, "protocol": "example", "service": "form"}, "id": id, "host": to,
        "protocol": "example", "service": "form", "action": "put", "payload": payload
    })
}

/// The same with a number for its payload.
pub(crate) fn numbered(from: &str, to: &str, number: usize) -> Value {
    message(from, to, &format!("m{number:05}"), &json!({"n": number}))
}

/// A packet's body.
pub(crate) fn packet(messages: &[Value]) -> Value {
    json!({"packet": {"messages": messages}})
}
