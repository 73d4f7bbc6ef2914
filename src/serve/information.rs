//! The host information (`ymp`, "Host information"): one document at four paths, for anyone.
//!
//! GET and HEAD at `/.well-known/ymp`, `/.ymp`, `/.well-known/amorphos` and `/.amorphos`, on the peers' listener and, for old
//! implementations, alone on a listener without TLS (`peer.plain-listen`). With a strong `ETag` and `Cache-Control`; whoever
//! has it already (`If-None-Match`) is answered with 304. Who made the document is not known here.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    connection::Handler,
    respond::{Answer, Door, Fault, json_bytes, no_content},
};
use crate::wire::{information::INFORMATION_PATHS, secret::Digest};

/// The methods that read it.
pub(crate) const ALLOW: &str = "GET, HEAD";
/// How long others keep it: what is cached anyway where nothing is said.
const CACHE: HeaderValue = HeaderValue::from_static("max-age=3600");

/// The document and its tag. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Document {
    body: Bytes,
    tag: HeaderValue,
}

impl Document {
    /// A JSON document.
    #[must_use]
    pub fn new(body: Bytes) -> Self {
        let digest = Digest::of(&body);
        let hex: String = digest.as_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        // Hex digits in quotes are always a header.
        let tag = HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body, tag }
    }

    /// The JSON.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The document, or 304 where the caller has it.
    pub(crate) fn answer(&self, asked: &HeaderMap) -> Answer {
        let mut answer = if self.is_had(asked) {
            let mut unchanged = no_content();
            *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
            unchanged
        } else {
            json_bytes(StatusCode::OK, self.body.clone())
        };
        answer.headers_mut().insert(header::CACHE_CONTROL, CACHE);
        answer.headers_mut().insert(header::ETAG, self.tag.clone());
        answer
    }

    /// RFC 9110, 13.1.2: compared weakly, and `*` is any.
    fn is_had(&self, asked: &HeaderMap) -> bool {
        let ours = self.tag.to_str().unwrap_or_default();
        let known = |tag: &str| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == ours
        };
        let all = asked.get_all(header::IF_NONE_MATCH).iter();
        all.filter_map(|value| value.to_str().ok()).any(|value| value.split(',').any(known))
    }
}

/// The document, and nothing else: what the plain listener serves. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PlainInformation(Arc<ArcSwap<Document>>);

impl PlainInformation {
    /// Serves this document.
    #[must_use]
    pub fn new(document: Document) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(document)))
    }

    /// Serves another one from here on.
    pub fn renew(&self, document: Document) {
        self.0.store(Arc::new(document));
    }
}

impl Handler for PlainInformation {
    async fn handle(&self, _: IpAddr, request: Request<Incoming>) -> Answer {
        plain(request.method(), request.uri().path(), request.headers(), &self.0.load_full())
    }
}

//= YMP-INFO-17: nothing else
fn plain(method: &Method, path: &str, asked: &HeaderMap, document: &Document) -> Answer {
    if !is_path(path) {
        return Fault::Path.answer(Door::Plain);
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Fault::Method(ALLOW.into()).answer(Door::Plain);
    }
    document.answer(asked)
}

//= YMP-INFO-02: at all four
/// Whether the document is looked for here.
pub(crate) fn is_path(path: &str) -> bool {
    INFORMATION_PATHS.contains(&path)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::body::Body as _;

    use super::*;

    fn get(path: &str, had: Option<&str>) -> Answer {
        let mut asked = HeaderMap::new();
        if let Some(had) = had {
            asked.insert(header::IF_NONE_MATCH, HeaderValue::from_str(had).unwrap());
        }
        plain(&Method::GET, path, &asked, &Document::new(Bytes::from_static(b"{}")))
    }

    //= YMP-INFO-02, YMP-INFO-17
    #[test]
    fn the_document_stands_at_four_paths_and_nothing_else_does() {
        for path in INFORMATION_PATHS {
            let answer = get(path, None);
            assert_eq!(
                (answer.status(), &answer.headers()["content-type"]),
                (StatusCode::OK, &HeaderValue::from_static("application/json"))
            );
            let document = Document::new(Bytes::new());
            assert_eq!(plain(&Method::POST, path, &HeaderMap::new(), &document).status(), 405);
        }
        assert_eq!(get("/request", None).status(), 404);
    }

    #[tokio::test]
    async fn whoever_has_it_is_told_so_and_nothing_more() {
        let first = get("/.ymp", None);
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
        assert_eq!(first.headers()["cache-control"], "max-age=3600");
        for had in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = get("/.ymp", Some(&had));
            assert_eq!(
                (again.status(), &again.headers()["etag"]),
                (StatusCode::NOT_MODIFIED, &first.headers()["etag"]),
                "{had}"
            );
            assert!(again.headers().contains_key("cache-control"));
            assert!(again.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
        assert_eq!(get("/.ymp", Some("\"x\"")).status(), 200);
        let other = Document::new(Bytes::from_static(b"[]"));
        assert_ne!(other.answer(&HeaderMap::new()).headers()["etag"], first.headers()["etag"]);
        assert!(first.body().size_hint().exact() == Some(2));
    }
}
