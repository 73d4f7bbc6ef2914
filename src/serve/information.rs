//! The host information (`ymp`, "Host information"): one document at four paths, for anyone.
//!
//! GET and HEAD at `/.well-known/ymp`, `/.ymp`, `/.well-known/amorphos` and `/.amorphos`, on the peers' listener and, for old
//! implementations, alone on a listener without TLS (`peer.plain-listen`). Who made the document is not known here.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    connection::Handler,
    respond::{Answer, Door, Fault, json_bytes},
};

/// Where it is looked for, in this order.
const PATHS: [&str; 4] = ["/.well-known/ymp", "/.ymp", "/.well-known/amorphos", "/.amorphos"];
/// The methods that read it.
pub(crate) const ALLOW: &str = "GET, HEAD";
/// How long others keep it: what is cached anyway where nothing is said.
const CACHE: HeaderValue = HeaderValue::from_static("max-age=3600");

/// The document, and nothing else: what the plain listener serves. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PlainInformation(Bytes);

impl PlainInformation {
    /// Serves this JSON document.
    #[must_use]
    pub fn new(document: Bytes) -> Self {
        Self(document)
    }
}

impl Handler for PlainInformation {
    async fn handle(&self, _: IpAddr, request: Request<Incoming>) -> Answer {
        plain(request.method(), request.uri().path(), &self.0)
    }
}

fn plain(method: &Method, path: &str, document: &Bytes) -> Answer {
    if !is_path(path) {
        return Fault::Path.answer(Door::Plain);
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Fault::Method(ALLOW).answer(Door::Plain);
    }
    answer(document.clone())
}

/// Whether the document is looked for here.
pub(crate) fn is_path(path: &str) -> bool {
    PATHS.contains(&path)
}

/// The document.
pub(crate) fn answer(document: Bytes) -> Answer {
    let mut answer = json_bytes(StatusCode::OK, document);
    answer.headers_mut().insert(header::CACHE_CONTROL, CACHE);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_stands_at_four_paths_and_nothing_else_does() {
        let document = Bytes::from_static(b"{}");
        for path in PATHS {
            let answer = plain(&Method::GET, path, &document);
            assert_eq!(
                (answer.status(), &answer.headers()["content-type"]),
                (StatusCode::OK, &HeaderValue::from_static("application/json"))
            );
            assert_eq!(plain(&Method::POST, path, &document).status(), 405);
        }
        assert_eq!(plain(&Method::GET, "/request", &document).status(), 404);
    }
}
