//! What the node is held against: the same work without a node.
//!
//! - `server`: hyper over rustls that reads a body and answers 204.
//! - `file`: a file that grows, with a set of ids.
//! - `exchange`: connect, shake hands, one POST, 204, close.

pub(crate) mod exchange;
pub(crate) mod file;
pub(crate) mod server;
