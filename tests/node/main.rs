//! A node as others see it: the built binary, real sockets, real TLS, a real disk.
//!
//! Each file is a topic of `https-token.md` or `node.md`. The harness runs processes in temporary folders and scripts
//! their peers; a test reads as what must be true. Most of a test's time is waiting: run with more threads than cores.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that finds something else than it expects ends there"
)]

mod backup;
mod checks;
mod clocks;
mod commands;
mod crash;
mod discovery;
mod doctor;
mod doors;
mod drain;
mod events;
mod exchange;
mod granted;
mod harness;
mod information;
mod lifetimes;
mod limits;
mod local_api;
mod matrix;
mod metrics;
mod moving;
mod openapi;
mod packets;
mod privacy;
mod proxied;
mod r3;
mod reference;
mod refreshed;
mod reload;
mod requests;
mod sending;
mod steering;
mod stopping;
mod strange_requests;
mod told;
mod versions;

/// Alpha and a scripted beta that know of each other, and nothing exchanged yet.
async fn pair() -> (harness::Yard, harness::Node, harness::Peer) {
    let yard = harness::Yard::new();
    let peer = harness::Peer::start(&yard, harness::BETA).await;
    let node = harness::Node::new(&yard, harness::ALPHA).pin(&peer).started().await;
    peer.meets(&node);
    (yard, node, peer)
}
