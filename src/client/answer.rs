//! From an HTTP response to what decisions need. Nothing a peer writes gets further than this unbounded or unwashed.
//!
//! `text` is for people and for logs, so it is printable ASCII, short, and holds neither the bearer that was shown nor the
//! tokens of the body that was sent, should a peer repeat them. The body of a success is never text: a refresh's holds tokens.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode, Version,
    header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER},
};
use serde::Deserialize;

use crate::wire::{
    answer::{Answer, CallError, HttpVersion, TlsVersion},
    limits::RETRY_AFTER_MAX,
    time::Wall,
};

/// Characters of a peer's words that are kept.
const TEXT_MAX: usize = 200;
/// A run of letters and digits this long that also stands in a secret place is taken for a part of the secret: no word
/// of a language is, and 16 characters of base64url are 96 bits that nobody hits by chance.
const SECRET_PART_MIN: usize = 16;

/// What came back, as it came, its body cut at `Call::answer_bytes`.
pub(super) struct Raw {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Why the body is not whole, if it is not.
    pub(super) broken: Option<CallError>,
    /// More came than is read.
    pub(super) cut: bool,
    pub(super) tls: Option<TlsVersion>,
}

/// What must not come back in a peer's words.
pub(super) struct Secrets<'a> {
    /// The bearer that was shown.
    pub(super) bearer: Option<&'a str>,
    /// The body that was sent, where it holds tokens.
    pub(super) body: Option<&'a Bytes>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<serde_json::Value>,
    detail: Option<serde_json::Value>,
    index: Option<serde_json::Value>,
}

impl Raw {
    /// Reduces it to what decisions need.
    pub(super) fn answer(&self, secrets: &Secrets<'_>, now: Wall) -> Answer {
        let page = self.is_page();
        let problem = if self.is_json() {
            serde_json::from_slice(&self.body).unwrap_or_default()
        } else {
            Problem::default()
        };
        let words = if self.status.is_success() || page { None } else { self.words(&problem) };
        let text = words.map(|words| secrets.washed(&words)).filter(|text| !text.is_empty());
        Answer {
            status: self.status.as_u16(),
            retry_after: self.header(RETRY_AFTER).and_then(|value| retry_after(value, now)),
            index: problem.index.and_then(|index| usize::try_from(index.as_u64()?).ok()),
            text,
            page,
            version: if self.version == Version::HTTP_2 { HttpVersion::Http2 } else { HttpVersion::Http1 },
            tls: self.tls,
        }
    }

    /// The clock of whoever answered, where it says what it shows.
    pub(super) fn date(&self) -> Option<Wall> {
        self.header(DATE).and_then(http_date)
    }

    fn words(&self, problem: &Problem) -> Option<String> {
        if self.status.is_redirection() {
            return self.header(LOCATION).map(|to| format!("redirects to {to}, which is not followed"));
        }
        let parts = [&problem.title, &problem.detail];
        let parts: Vec<&str> = parts.into_iter().filter_map(|part| part.as_ref()?.as_str()).collect();
        if !parts.is_empty() {
            return Some(parts.join(": "));
        }
        // Of a JSON document that is no problem document nothing is for people.
        (!self.is_json()).then(|| String::from_utf8_lossy(&self.body).into_owned())
    }

    fn is_json(&self) -> bool {
        let kind = self.media_type();
        kind == "application/json" || kind.ends_with("+json")
    }

    fn is_page(&self) -> bool {
        let start = self.body.trim_ascii_start();
        let starts = |tag: &[u8]| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        self.media_type() == "text/html" || starts(b"<!doctype html") || starts(b"<html")
    }

    fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    fn header(&self, name: hyper::header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Secrets<'_> {
    //= NODE-API-36: struck out
    /// A peer's words as they may be shown: without these secrets, printable ASCII, short.
    pub(super) fn washed(&self, words: &str) -> String {
        wash(&self.strike(words))
    }

    fn strike(&self, words: &str) -> String {
        let words = match self.bearer {
            Some(bearer) if !bearer.is_empty() => words.replace(bearer, "(token)"),
            Some(_) | None => words.to_owned(),
        };
        let mut kept = String::with_capacity(words.len());
        for run in words.split_inclusive(|c: char| !is_secret_char(c)) {
            let part = run.trim_end_matches(|c: char| !is_secret_char(c));
            let secret = part.len() >= SECRET_PART_MIN && self.holds(part);
            kept.push_str(if secret { "(token)" } else { part });
            kept.push_str(run.get(part.len()..).unwrap_or_default());
        }
        kept
    }

    /// Whether a run of characters is a part of a secret: a peer may repeat one cut short.
    fn holds(&self, part: &str) -> bool {
        let in_bearer = self.bearer.is_some_and(|bearer| bearer.contains(part));
        in_bearer
            || self.body.is_some_and(|body| body.windows(part.len()).any(|window| window == part.as_bytes()))
    }
}

fn is_secret_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Printable ASCII on one line, with single spaces, at most `TEXT_MAX` characters.
fn wash(words: &str) -> String {
    let mut text = String::new();
    for word in words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(word.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }));
        if text.len() >= TEXT_MAX {
            break;
        }
    }
    text.truncate(TEXT_MAX);
    text
}

//= HT-SEND-17: seconds or date, at most 1 h
/// `Retry-After`: seconds, or an HTTP date (RFC 9110) read against our clock; at most an hour.
fn retry_after(value: &str, now: Wall) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than can be counted are more than an hour.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        http_date(value)?.since(now)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// A date as HTTP writes it, and wrote it (RFC 9110, 5.6.7).
fn http_date(value: &str) -> Option<Wall> {
    let date = httpdate::parse_http_date(value.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Wall(u64::try_from(date.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const DATE: Wall = Wall(784_111_777_000);

    fn raw(status: u16, content_type: &str, body: &str) -> Raw {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        Raw {
            status: StatusCode::from_u16(status).unwrap(),
            version: Version::HTTP_2,
            headers,
            body: body.as_bytes().to_vec(),
            broken: None,
            cut: false,
            tls: None,
        }
    }

    fn answer(raw: &Raw) -> Answer {
        raw.answer(&Secrets { bearer: Some("the-bearer-of-this-test"), body: None }, DATE)
    }

    #[test]
    fn a_problem_document_gives_its_title_detail_and_index() {
        let body = r#"{"type":"x","title":"Not for us","detail":"message 3\nis b\u00e4d","index":3}"#;
        let answer = answer(&raw(403, "application/problem+json; charset=utf-8", body));
        assert_eq!(answer.text.as_deref(), Some("Not for us: message 3 is b?d"));
        assert_eq!((answer.status, answer.index, answer.page), (403, Some(3), false));
    }

    #[test]
    fn odd_problem_documents_do_no_harm() {
        for body in
            ["", "[]", "null", r#"{"index":-1,"title":5}"#, r#"{"index":1e99}"#, "{", &"[".repeat(9999)]
        {
            let answer = answer(&raw(400, "application/problem+json", body));
            assert_eq!((answer.index, answer.text), (None, None), "{body:.20}");
        }
    }

    #[test]
    fn the_bearer_is_struck_out_whole_or_cut_short() {
        for echoed in ["the-bearer-of-this-test", "the-bearer-of-this-te"] {
            let answer = answer(&raw(400, "text/plain", &format!("bad token \"{echoed}\"!")));
            assert_eq!(answer.text.as_deref(), Some("bad token \"(token)\"!"), "{echoed}");
        }
    }

    #[test]
    fn tokens_of_the_body_that_was_sent_are_struck_out() {
        let body = Bytes::from_static(br#"{"token":"0123456789abcdefABCDEF"}"#);
        let secrets = Secrets { bearer: None, body: Some(&body) };
        let answer = raw(400, "text/plain", "got 0123456789abcdefABCD, sorry").answer(&secrets, DATE);
        assert_eq!(answer.text.as_deref(), Some("got (token), sorry"));
    }

    #[test]
    fn a_success_has_no_text_because_a_refresh_carries_tokens() {
        assert_eq!(answer(&raw(200, "text/plain", "secret")).text, None);
        assert_eq!(answer(&raw(200, "application/json", r#"{"title":"secret"}"#)).text, None);
    }

    #[test]
    fn text_is_short_and_on_one_line() {
        let text = answer(&raw(500, "text/plain", &"so \u{1b}[31m\r\n".repeat(100))).text.unwrap();
        assert!(text.len() <= 200 && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{text:?}");
    }

    //= HT-SEND-18
    #[test]
    fn a_page_is_known_by_its_type_or_by_its_start() {
        assert!(answer(&raw(502, "text/html", "x")).page);
        assert!(answer(&raw(502, "text/plain", "\n <!DOCTYPE HTML><p>")).page);
        assert!(!answer(&raw(502, "text/plain", "x <html>")).page);
    }

    //= HT-SEND-17
    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let at = |value: &str, now: u64| retry_after(value, Wall(now)).map(|wait| wait.as_secs());
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(at("120", 0), Some(120));
        assert_eq!(at("99999999999999999999999", 0), Some(3600));
        // The two older forms must be read too.
        for date in [date, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(at(date, DATE.0 - 90_000), Some(90), "{date}");
        }
        assert_eq!(at(date, DATE.0 + 1), Some(0));
        assert_eq!(at(date, 0), Some(3600));
        for odd in ["", "-1", "1.5", "soon", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(at(odd, 0), None, "{odd}");
        }
    }

    proptest! {
        //= HT-SEND-17
        #[test]
        fn a_date_is_a_wait_from_now_and_seconds_are_themselves(
            at in 0..4_102_444_800_i64, now in 0..4_102_444_800_000_u64, seconds: u64, space in " {0,2}",
        ) {
            let date = jiff::Timestamp::from_second(at).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT");
            let want = u64::try_from(at).unwrap().saturating_mul(1000).saturating_sub(now).min(3_600_000);
            prop_assert_eq!(retry_after(&format!("{space}{date}{space}"), Wall(now)), Some(Duration::from_millis(want)));
            let wait = retry_after(&format!("{space}{seconds}{space}"), Wall(now));
            prop_assert_eq!(wait, Some(Duration::from_secs(seconds.min(3600))));
        }

        #[test]
        fn no_answer_makes_the_reading_panic_or_shows_more_than_it_may(
            status in 100..600_u16, kind in "text/html|text/plain|application/(problem[+])?json|\\PC{0,9}",
            start in "[{]?", body in "\\PC{0,300}", retry in "\\PC{0,30}",
        ) {
            let mut raw = raw(status, "text/plain", &format!("{start}{body} the-bearer-of-this-test {body}"));
            for (name, value) in [(CONTENT_TYPE, kind), (RETRY_AFTER, retry)] {
                raw.headers.remove(&name);
                if let Ok(value) = value.parse() {
                    raw.headers.insert(name, value);
                }
            }
            let read = answer(&raw);
            prop_assert_eq!(read.status, status);
            prop_assert!(read.retry_after.is_none_or(|wait| wait <= RETRY_AFTER_MAX));
            if let Some(text) = read.text {
                prop_assert!(text.len() <= TEXT_MAX && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{text:?}");
                prop_assert!(!text.contains("the-bearer-of-this-test"), "{text:?}");
            }
        }
    }
}
