//! A path on a host, as parameters of `https-token` name it (`ymp`, "Host information").

use std::{borrow::Cow, fmt, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::limits::PATH_BYTES_MAX;

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path is one `/` and RFC 3986 path characters, without `//` at its start, a segment `.` or `..`, `?`, `#` or `\\`, at most 512 \
     bytes"
)]
pub struct PathError;

/// A valid path: it replaces the path of the URL and is never resolved as a reference.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UrlPath(Arc<str>);

impl UrlPath {
    /// Takes a path as an operator or a peer wrote it.
    ///
    /// # Errors
    /// When it is not of the form that `PathError` states.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        //= YMP-INFO-10: one form
        let fits = (1..=PATH_BYTES_MAX).contains(&text.len())
            && text.starts_with('/')
            && !text.starts_with("//")
            && text.split('/').all(|segment| !is_dots(segment))
            && only_path_characters(text.as_bytes());
        if fits { Ok(Self(text.into())) } else { Err(PathError) }
    }

    /// The path, starting with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `.` and `..`, also percent-encoded: some server on the way would resolve them.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

fn only_path_characters(text: &[u8]) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&b);
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (b, after) if plain(b) => after,
            _ => return false,
        };
    }
    true
}

impl JsonSchema for UrlPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UrlPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^/", "maxLength": PATH_BYTES_MAX})
    }
}

impl TryFrom<String> for UrlPath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<UrlPath> for String {
    fn from(path: UrlPath) -> Self {
        path.as_str().to_owned()
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Our own four paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Where a token is asked for.
    pub request: UrlPath,
    /// Where a request is granted.
    pub grant: UrlPath,
    /// Where a token is refreshed.
    pub refresh: UrlPath,
    /// Where packets go.
    pub packet: UrlPath,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    //= YMP-INFO-10
    #[test]
    fn paths_have_one_form() {
        for good in ["/", "/request", "/a/b%20c;v=1/@x", "/a/"] {
            assert!(UrlPath::parse(good).is_ok(), "{good}");
        }
        let long = format!("/{}", "a".repeat(512));
        for bad in [
            "",
            "request",
            "//evil.test/x",
            "/a/../b",
            "/..",
            "/%2E%2e/x",
            "/a/./b",
            "/a?b",
            "/a#b",
            "/a\\b",
            "/a b",
            "/a%2",
            "/a%zz",
            "/\u{e4}",
            "https://x/y",
            &long,
        ] {
            assert!(UrlPath::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            if let Ok(path) = UrlPath::parse(&text) {
                prop_assert_eq!(path.as_str(), text);
            }
        }
    }
}
