//! The look for a host's information: GET at its four paths, in their order, over one connection where the host allows it.
//!
//! The first 200 with a valid document wins; a path at which the host breaks the connection is one without. Redirects are not followed, 256 KiB are read, and the rules for addresses are
//! those of any call. A host that cannot be reached is not asked three times more. Source: `ymp`, "Host information".

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode, header::CACHE_CONTROL};
use tokio::time::timeout;

use super::{Call, Client, Route, answer::Raw, pool::Lane, trouble::fault};
use crate::wire::{
    answer::{CallError, CallStage},
    information::{INFORMATION_PATHS, read},
    limits::{GRANT_TIME_STRANGER, INFORMATION_BYTES_MAX, LOOK_UP_TIME},
    parameters::Parameters,
    time::Wall,
};

/// A host information that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// How its host is spoken to.
    pub parameters: Parameters,
    /// Which of the four paths it was found at.
    pub path: &'static str,
    /// What its `Cache-Control` says, where it says something: zero where it must not be kept.
    pub max_age: Option<Duration>,
}

/// What a look for a host's information came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The paths that had none, in their order, and why: words to follow the path.
    pub missed: Vec<(&'static str, String)>,
    /// The first valid document.
    pub found: Option<Discovered>,
    /// The host's clock, where its last answer says what it shows.
    pub date: Option<Wall>,
}

impl Client {
    /// Looks for a host's information. Ends within 20 s, within 10 s where a stranger caused it.
    ///
    /// # Errors
    /// `LookUp` where it was reached and none of its four paths has a valid document: what each of them answered. The
    /// stage that failed where it was not reached.
    pub async fn discover(&self, route: &Route, stranger: bool) -> Result<Discovered, CallError> {
        let looked = self.look(route, stranger).await?;
        looked.found.ok_or_else(|| {
            let missed: Vec<_> = looked.missed.iter().map(|(path, why)| format!("{path} {why}")).collect();
            let detail = format!("{} has no host information: {}", route.host, missed.join("; "));
            fault(CallStage::LookUp, detail)
        })
    }

    /// As `discover`, with what each path answered.
    ///
    /// # Errors
    /// The stage that failed where the host was not reached.
    pub async fn look(&self, route: &Route, stranger: bool) -> Result<Looked, CallError> {
        let deadline = if stranger { GRANT_TIME_STRANGER } else { LOOK_UP_TIME };
        let lane = Lane::passing(&self.dialler.load_full(), route, stranger, (self.clock)().mono);
        timeout(deadline, look(route, &lane, deadline)).await.unwrap_or_else(|_| {
            let detail = format!("no host information from {} within {} s", route.host, deadline.as_secs());
            Err(fault(CallStage::Timeout, detail))
        })
    }
}

async fn look(route: &Route, lane: &Lane, deadline: Duration) -> Result<Looked, CallError> {
    let mut looked = Looked { missed: Vec::new(), found: None, date: None };
    //= YMP-INFO-01: the first valid one wins
    for path in INFORMATION_PATHS {
        let get = Call {
            method: Method::GET,
            answer_bytes: INFORMATION_BYTES_MAX,
            ..Call::post(route, path, Bytes::new(), deadline)
        };
        let judged = match ask(&get, lane).await {
            Ok(raw) => {
                looked.date = raw.date();
                judge(&raw)
            }
            // It was reached: some break off where they serve nothing.
            Err(CallError { stage: CallStage::Exchange, .. }) => Err("broke the connection".to_owned()),
            Err(error) => return Err(error),
        };
        match judged {
            Ok((parameters, max_age)) => {
                looked.found = Some(Discovered { parameters, path, max_age });
                break;
            }
            Err(why) => looked.missed.push((path, why)),
        }
    }
    Ok(looked)
}

/// A second time only where the first went over a connection that had died since the last path.
async fn ask(call: &Call<'_>, lane: &Lane) -> Result<Raw, CallError> {
    let dials = lane.dials();
    let mut outcome = call.over(lane).await;
    if let Err(broke) = &outcome
        && broke.error.stage == CallStage::Exchange
        && dials > 0
        && lane.dials() == dials
    {
        outcome = call.over(lane).await;
    }
    outcome.map_err(|broke| broke.error)
}

fn judge(raw: &Raw) -> Result<(Parameters, Option<Duration>), String> {
    //= YMP-INFO-08: no redirect
    if raw.status != StatusCode::OK {
        return Err(format!("answered {}", raw.status.as_u16()));
    }
    if let Some(broken) = &raw.broken {
        return Err(format!("broke off: {broken}"));
    }
    //= YMP-INFO-13: over 256 KiB
    if raw.cut {
        return Err(format!("has more than {} KiB", INFORMATION_BYTES_MAX / 1024));
    }
    let parameters = read(&raw.body).map_err(|error| error.to_string())?;
    Ok((parameters, max_age(raw)))
}

//= YMP-INFO-14: as max-age says
/// `max-age` of `Cache-Control`; `no-store` and `no-cache` count as zero. A header that says neither says nothing.
fn max_age(raw: &Raw) -> Option<Duration> {
    let mut age = None;
    for value in raw.headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return Some(Duration::ZERO),
                "max-age" => {
                    let digits = value.trim().trim_matches('"');
                    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                    // More than can be counted is more than is kept.
                    age = whole.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::MAX)));
                }
                _ => {}
            }
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, Version, header::HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn raw(status: u16, body: &str) -> Raw {
        Raw {
            status: StatusCode::from_u16(status).unwrap(),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            broken: None,
            cut: false,
            tls: None,
        }
    }

    const GOOD: &str = r#"{"ymp-version":"0.0.0","connection-protocols":[{"name":"https-token","version":"0.0.0",
        "parameters":{"request-path":"/r","grant-path":"/g","packet-path":"/p"}}]}"#;

    //= YMP-INFO-01, YMP-INFO-08, YMP-INFO-13
    #[test]
    fn what_each_path_answers_is_said_in_a_few_words() {
        for (raw, words) in [
            (raw(404, ""), "answered 404"),
            (raw(301, GOOD), "answered 301"),
            (raw(200, "<html>"), "is no valid document: it is not JSON, line 1 column 1"),
            (raw(200, "{}"), "has neither `ymp-version` nor `amorphos-version`"),
            (Raw { cut: true, ..raw(200, GOOD) }, "has more than 256 KiB"),
        ] {
            assert_eq!(judge(&raw).unwrap_err(), words);
        }
        assert_eq!(judge(&raw(200, GOOD)).unwrap().0.packet_path.as_str(), "/p");
    }

    //= YMP-INFO-14
    #[test]
    fn cache_control_is_read_as_others_write_it() {
        let age = |values: &[&str]| {
            let mut raw = raw(200, GOOD);
            for value in values {
                raw.headers.append(CACHE_CONTROL, HeaderValue::from_str(value).unwrap());
            }
            max_age(&raw).map(|age| age.as_secs())
        };
        assert_eq!(age(&[]), None);
        assert_eq!(age(&["public"]), None);
        assert_eq!(age(&["max-age=600"]), Some(600));
        assert_eq!(age(&["Public, MAX-AGE=\"600\""]), Some(600));
        assert_eq!(age(&["public", "max-age=7"]), Some(7));
        assert_eq!(age(&["max-age=600, no-store"]), Some(0));
        assert_eq!(age(&["no-cache"]), Some(0));
        assert_eq!(age(&["max-age=-1"]), None);
        assert_eq!(age(&["max-age=99999999999999999999999999"]), Some(u64::MAX));
    }

    proptest! {
        //= YMP-INFO-14
        #[test]
        fn the_age_is_found_among_any_directives(
            before in "([a-z-]{1,8}(=[a-z0-9]{1,4})?, ?){0,2}", after in "(, ?[a-z-]{1,8}(=\"[a-z0-9]{0,4}\")?){0,2}", age: u64, mask in 0..128_u8, quotes: bool,
        ) {
            let letters = "max-age".chars().enumerate();
            let name: String = letters.map(|(at, c)| if mask >> at & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect();
            let age_written = if quotes { format!("\"{age}\"") } else { age.to_string() };
            let value = format!("{before}{name}={age_written}{after}");
            prop_assume!(!value.contains("no-store") && !value.contains("no-cache") && !before.contains("max-age") && !after.contains("max-age"));
            let mut raw = raw(200, GOOD);
            raw.headers.insert(CACHE_CONTROL, HeaderValue::from_str(&value).unwrap());
            prop_assert_eq!(max_age(&raw), Some(Duration::from_secs(age)), "{}", value);
        }

        #[test]
        fn no_header_makes_the_reading_panic(bytes in proptest::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..60)) {
            let mut raw = raw(200, GOOD);
            raw.headers.insert(CACHE_CONTROL, HeaderValue::from_bytes(&bytes).unwrap());
            let _ = max_age(&raw);
        }
    }
}
