//! What callers wrote in their headers, read once.

use hyper::{
    HeaderMap, Request, Version,
    header::{self, HeaderName},
};

use super::respond::Fault;
use crate::wire::{
    host::{OwnHost, PeerHost},
    limits::TOKEN_BYTES_MAX,
    refusal::Refusal,
    secret::ShownToken,
};

/// The bearer that a call shows. What is not of the form `Bearer TOKEN` counts as none.
///
/// # Errors
/// `TokenUnknown` where two are shown: which of them counts must never depend on the reader.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<ShownToken>, Refusal> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = shown.next() else { return Ok(None) };
    if shown.next().is_some() {
        return Err(Refusal::TokenUnknown);
    }
    Ok(first.to_str().ok().and_then(token_of).map(ShownToken::of))
}

fn token_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    let fits = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
}

//= HT-CHK-12: parameters are fine
/// Checks that a body is said to be JSON, as it stands.
///
/// # Errors
/// `MediaType`.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), Fault> {
    let says = |name, wanted| {
        only(headers, name).is_some_and(|value| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
        })
    };
    let json = says(&header::CONTENT_TYPE, "application/json");
    let plain =
        !headers.contains_key(header::CONTENT_ENCODING) || says(&header::CONTENT_ENCODING, "identity");
    if json && plain { Ok(()) } else { Err(Fault::MediaType) }
}

/// A header that stands once and is readable.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

//= HT-CHK-02: 421
/// Checks that a call is meant for one of these names: `:authority`, an absolute request target, or `Host`. Over HTTP/2 a `Host`
/// beside `:authority` must be ours too (RFC 9113, 8.3.1); over HTTP/1.1 an absolute target is what counts (RFC 9112, 3.2.2).
///
/// # Errors
/// `HostMissing` where none or more than one stands there, `Misdirected` where it is another host's.
pub(crate) fn check_host<B>(request: &Request<B>, host: &OwnHost, aliases: &[OwnHost]) -> Result<(), Fault> {
    let is_ours = |named: &str| {
        let mut own = std::iter::once(host).chain(aliases);
        // Mostly it is written in normal form.
        own.clone().any(|own| own.as_str() == named)
            || PeerHost::parse(named).is_ok_and(|named| own.any(|own| own.is(&named)))
    };
    let authority = request.uri().authority();
    let headers = request.headers();
    let counts =
        authority.is_none() || (request.version() == Version::HTTP_2 && headers.contains_key(header::HOST));
    let header = counts.then(|| only(headers, &header::HOST).ok_or(Fault::HostMissing)).transpose()?;
    let all_ours = authority.map(|authority| authority.as_str()).into_iter().chain(header).all(is_ours);
    if all_ours { Ok(()) } else { Err(Fault::Misdirected) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn shown(value: &'static str) -> Option<ShownToken> {
        bearer(&headers(&[("authorization", value)])).unwrap()
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_what_is_malformed_is_not_shown() {
        for good in ["Bearer tok", "bearer tok", "BEARER  tok"] {
            assert_eq!(shown(good), Some(ShownToken::of("tok")), "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "Basic tok", "tok", "Bearer a b", "Bearertok"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
        assert_eq!(bearer(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn two_bearers_are_no_bearer_that_is_known() {
        let two = headers(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]);
        assert_eq!(bearer(&two), Err(Refusal::TokenUnknown));
    }

    //= HT-CHK-12
    #[test]
    fn json_may_carry_parameters_and_nothing_else_passes() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/json ;a=b"] {
            assert!(check_json(&headers(&[("content-type", good)])).is_ok(), "{good}");
        }
        for bad in ["text/plain", "application/jsonx", "", "application/json, text/plain"] {
            assert!(check_json(&headers(&[("content-type", bad)])).is_err(), "{bad}");
        }
        let json = ("content-type", "application/json");
        assert!(check_json(&HeaderMap::new()).is_err());
        assert!(check_json(&headers(&[json, json])).is_err());
        assert!(check_json(&headers(&[json, ("content-encoding", "gzip")])).is_err());
        assert!(check_json(&headers(&[json, ("content-encoding", "Identity")])).is_ok());
    }

    //= HT-CHK-02
    #[test]
    fn a_call_names_this_host_or_an_alias_in_any_case_and_with_any_reading_of_443() {
        let host = OwnHost::parse("a.test").unwrap();
        let aliases = [OwnHost::parse("b.test:8443").unwrap()];
        let check = |uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().uri(uri);
            for name in hosts {
                request = request.header("host", *name);
            }
            check_host(&request.body(()).unwrap(), &host, &aliases).map_err(|fault| fault.status().as_u16())
        };
        assert_eq!(check("/x", &["A.test:443"]), Ok(()));
        assert_eq!(check("/x", &["b.test:8443"]), Ok(()));
        assert_eq!(check("https://a.test/x", &[]), Ok(()));
        assert_eq!(check("https://a.test/x", &["other.test"]), Ok(()));
        assert_eq!(check("/x", &["a.test:8443"]), Err(421));
        assert_eq!(check("/x", &["b.test"]), Err(421));
        assert_eq!(check("/x", &["a.test."]), Err(421));
        assert_eq!(check("/x", &[""]), Err(421));
        assert_eq!(check("https://c.test/x", &["a.test"]), Err(421));
        assert_eq!(check("/x", &[]), Err(400));
        let over_http_2 = |named: &[&str]| {
            let mut request = Request::builder().uri("https://a.test/x").version(Version::HTTP_2);
            for name in named {
                request = request.header("host", *name);
            }
            check_host(&request.body(()).unwrap(), &host, &aliases).map_err(|fault| fault.status().as_u16())
        };
        assert_eq!(over_http_2(&[]), Ok(()));
        assert_eq!(over_http_2(&["A.test"]), Ok(()));
        assert_eq!(over_http_2(&["other.test"]), Err(421));
        assert_eq!(over_http_2(&["a.test", "a.test"]), Err(400));
        assert_eq!(check("/x", &["a.test", "a.test"]), Err(400));
    }

    proptest! {
        #[test]
        fn a_bearer_is_what_stands_behind_its_scheme(token in "[!-~]{1,60}", scheme in "[bB][eE][aA][rR][eE][rR]", spaces in " {1,3}", after in " {0,2}") {
            let value = format!("{scheme}{spaces}{token}{after}");
            let mut headers = HeaderMap::new();
            headers.insert("authorization", value.parse().unwrap());
            prop_assert_eq!(bearer(&headers), Ok(Some(ShownToken::of(&token))));
            for bad in [format!("{scheme}{token}"), format!("x{value}"), format!("{scheme} {token} {token}"), format!("{value}\t{token}")] {
                headers.insert("authorization", bad.parse().unwrap());
                prop_assert_eq!(bearer(&headers), Ok(None), "{}", bad);
            }
            let long = format!("{scheme} {}", "x".repeat(TOKEN_BYTES_MAX + 1));
            headers.insert("authorization", long.parse().unwrap());
            prop_assert_eq!(bearer(&headers), Ok(None));
        }

        #[test]
        fn no_header_makes_the_reading_panic(bytes in proptest::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..40)) {
            let value = hyper::header::HeaderValue::from_bytes(&bytes).unwrap();
            let mut headers = HeaderMap::new();
            for name in ["authorization", "content-type", "content-encoding", "host"] {
                headers.insert(name, value.clone());
            }
            let _ = bearer(&headers);
            let json = check_json(&headers).is_ok();
            prop_assert!(!json, "a body of no known coding");
            let mut request = Request::builder().uri("/x").body(()).unwrap();
            *request.headers_mut() = headers;
            let host = OwnHost::parse("a.test").unwrap();
            if check_host(&request, &host, &[]).is_ok() {
                let named = PeerHost::parse(value.to_str().unwrap()).unwrap();
                prop_assert!(host.is(&named));
            }
        }

        #[test]
        fn json_is_json_in_any_case_and_with_any_parameters(mask: u16, more in "( ?; ?[a-z]{1,8}=[a-z0-9-]{1,8}){0,2}", tail in "[a-z.+-]{1,3}") {
            let letters = "application/json".chars().enumerate();
            let kind: String = letters.map(|(at, c)| if mask >> at & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect();
            let check = |value: String| {
                let mut headers = HeaderMap::new();
                headers.insert("content-type", value.parse().unwrap());
                check_json(&headers).is_ok()
            };
            let checks = [format!("{kind}{more}"), format!("{kind}{tail}{more}"), format!("{tail}{kind}{more}")].map(check);
            prop_assert_eq!(checks, [true, false, false]);
        }
    }
}
