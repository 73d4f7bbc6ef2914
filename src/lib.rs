//! A YMP peer node: hosts federate over HTTPS with tokens, and nothing is lost on the way.
//!
//! One house, eight floors; imports point downward only (`tests/house` reads them).
//!
//! | floor | room | what it is |
//! | --- | --- | --- |
//! | 8 | `main` | arguments, exit code |
//! | 7 | [`cli`] | the commands; talks to a running node through its local API |
//! | 6 | [`app`] | builds all parts, binds, runs, drains; the only place that names a store engine |
//! | 5 | [`config`] | settings as written, settings as meant |
//! | 4 | [`serve`] | the faces: bytes to typed requests and back |
//! | 3 | [`node`] | the shell: the only asynchronous and stateful floor |
//! | 3 | [`access`] | who may use the local API |
//! | 2 | [`link`] | the brain: events and `now` in, actions out |
//! | 2 | [`token`] | what we issue: families, one rotation rule, admission by digest |
//! | 2 | [`store`] | the memory: small traits, their engines, one promise |
//! | 2 | [`client`] | the voice: request, grant, refresh, send, behind one guard |
//! | 1 | [`wire`] | the nouns, parsed once |
//! | 1 | [`telemetry`], [`tls`] | metrics and log; certificates |

pub mod access;
pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod link;
pub mod node;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod wire;
