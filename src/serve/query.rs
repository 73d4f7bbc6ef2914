//! What callers of the local API wrote in the target: path segments and parameters, percent-decoded once.
//!
//! A parameter that a call does not know, or that stands twice, is a 400 that names it: a misspelt `wait` must not be a
//! silent default. Durations are as in the configuration: `500ms`, `30s`, `15m`, `1h`, `7d`.

use std::time::Duration;

use super::respond::Fault;

/// The segments of a path, decoded; `None` where one is not UTF-8 or not percent-encoded as RFC 3986 says.
pub(crate) fn segments(path: &str) -> Option<Vec<String>> {
    path.strip_prefix('/')?.split('/').map(decode).collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                after
            }
            (b'%', _) => return None,
            (byte, after) => {
                bytes.push(byte);
                after
            }
        };
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A parameter: a whole number from 1 to `max`.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) name: &'static str,
    /// For the document.
    pub(crate) what: &'static str,
    pub(crate) default: usize,
    pub(crate) max: usize,
}

/// A parameter: a duration from `min` to `max`.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    /// For the document.
    pub(crate) what: &'static str,
    /// `None` where it is not the call that says so.
    pub(crate) default: Option<Duration>,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// The parameters of a call.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=2`; only `known` names may stand there, each once.
    ///
    /// # Errors
    /// `Parameter` names the one at fault.
    pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Fault> {
        let mut all: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(fault(&short(name), "is not percent-encoded UTF-8"));
            };
            if !known.contains(&name.as_str()) {
                return Err(fault(&short(&name), &unknown(known)));
            }
            if all.iter().any(|(other, _)| *other == name) {
                return Err(fault(&name, "stands twice"));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    /// The text of a parameter, where it stands.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A whole number within the bounds that the row says.
    ///
    /// # Errors
    /// `Parameter` outside of them.
    pub(crate) fn counted(&self, row: &Count) -> Result<usize, Fault> {
        let Count { name, default, max, .. } = *row;
        let Some(text) = self.value(name) else { return Ok(default) };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let count = if digits { text.parse().ok() } else { None };
        count
            .filter(|count| (1..=max).contains(count))
            .ok_or_else(|| fault(name, &format!("must be a whole number from 1 to {max}")))
    }

    /// A duration within the bounds that the row says, where it stands.
    ///
    /// # Errors
    /// `Parameter` outside of them, or where it is no duration.
    pub(crate) fn span(&self, row: &Span) -> Result<Option<Duration>, Fault> {
        let Span { name, min, max, .. } = *row;
        let Some(text) = self.value(name) else { return Ok(None) };
        match duration(text) {
            Some(time) if (min..=max).contains(&time) => Ok(Some(time)),
            Some(_) => {
                let (min, max) = (min.as_secs(), max.as_secs());
                Err(fault(name, &format!("must be from {min} to {max} seconds")))
            }
            None => Err(fault(name, "must be a duration such as 500ms, 30s, 15m, 1h or 7d")),
        }
    }
}

/// The form of a duration, as `duration` reads it.
pub(crate) const DURATION: &str = "^(0+|[0-9]+(ms|s|m|h|d))$";

/// A duration as a caller may write it, in the largest unit that says it whole.
pub(crate) fn written(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    if millis > 0 {
        return format!("{}ms", time.as_millis());
    }
    let fits = |(size, _): &&(u64, &str)| seconds >= *size && seconds.is_multiple_of(*size);
    let (size, unit) = [(86_400, "d"), (3600, "h"), (60, "m")].iter().find(fits).copied().unwrap_or((1, "s"));
    format!("{}{unit}", seconds / size)
}

/// A whole number and a unit; `0` needs none.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "" if number == 0 => 1,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

/// The fault of one parameter.
pub(crate) fn fault(name: &str, what: &str) -> Fault {
    Fault::Parameter { name: name.to_owned(), what: what.to_owned() }
}

fn unknown(known: &[&str]) -> String {
    if known.is_empty() {
        "is unknown: this call takes no parameters".to_owned()
    } else {
        format!("is unknown: this call takes {}", known.join(", "))
    }
}

/// What a caller wrote is not sent back at length.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(query: &str) -> String {
        Query::read(Some(query), &["max", "wait"]).unwrap_err().to_string()
    }

    #[test]
    fn segments_are_decoded_after_they_are_split() {
        assert_eq!(segments("/v1/inbox/a%2Fb/%C3%A4").unwrap(), ["v1", "inbox", "a/b", "\u{e4}"]);
        assert_eq!(segments("/").unwrap(), [""]);
        for bad in ["", "v1", "/%", "/%4", "/%zz", "/%ff"] {
            assert_eq!(segments(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_unknown_or_repeated_parameter_is_named() {
        assert_eq!(reason("max=1&wiat=3s"), "`wiat` is unknown: this call takes max, wait");
        assert_eq!(reason("max=1&m%61x=2"), "`max` stands twice");
        assert_eq!(reason("%zz=1"), "`%zz` is not percent-encoded UTF-8");
        assert!(Query::read(Some("a"), &[]).unwrap_err().to_string().contains("no parameters"));
        assert!(Query::read(None, &[]).is_ok());
    }

    //= NODE-API-23
    #[test]
    fn counts_stay_within_their_bounds() {
        const MAX: Count = Count { name: "max", what: "", default: 100, max: 10_000 };
        let count = |text: &str| Query::read(Some(text), &["max"]).unwrap().counted(&MAX).ok();
        for (text, want) in [
            ("", Some(100)),
            ("max=1", Some(1)),
            ("max=10000", Some(10_000)),
            ("max=0", None),
            ("max=10001", None),
        ] {
            assert_eq!(count(text), want, "{text}");
        }
        for bad in ["max=", "max=+1", "max=-1", "max=1.5", "max=99999999999999999999999"] {
            assert_eq!(count(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in
            [("30s", 30), ("2m", 120), ("1h", 3600), ("7d", 604_800), ("0", 0), ("2000ms", 2)]
        {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in
            ["", "30", "s", "-1s", "1.5s", "1w", "1 s", "99999999999999999999d", "18446744073709551615d"]
        {
            assert_eq!(duration(bad), None, "{bad}");
        }
        let row =
            Span { name: "wait", what: "", default: None, min: Duration::ZERO, max: Duration::from_secs(60) };
        let wait = |text: &str| Query::read(Some(text), &["wait"]).unwrap().span(&row).ok();
        assert_eq!(wait("wait=60s"), Some(Some(Duration::from_secs(60))));
        assert_eq!(wait("wait=61s"), None);
        assert_eq!(wait(""), Some(None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (seconds, want) in [(0, "0s"), (1, "1s"), (60, "1m"), (90, "90s"), (34_560_000, "400d")] {
            let time = Duration::from_secs(seconds);
            assert_eq!((written(time).as_str(), duration(want)), (want, Some(time)));
        }
        assert_eq!(written(Duration::from_millis(1500)), "1500ms");
    }

    /// Percent-encoded, each byte in turn as it stands (where it may) or escaped.
    fn encoded(text: &str, mask: u64) -> String {
        let bytes = text.bytes().enumerate();
        let one = |(at, byte): (usize, u8)| {
            let plain = byte.is_ascii_alphanumeric() || b"-._~!$'()*,;:@".contains(&byte);
            if plain && mask >> (at % 64) & 1 == 0 {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        };
        bytes.map(one).collect()
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_comes_back(parts in proptest::collection::vec("\\PC{0,9}", 1..5), mask: u64) {
            let path: String = parts.iter().map(|part| format!("/{}", encoded(part, mask))).collect();
            prop_assert_eq!(segments(&path), Some(parts.clone()));
            let query: Vec<_> = parts.iter().enumerate().map(|(n, part)| format!("p{n}={}", encoded(part, mask))).collect();
            let read = Query::read(Some(&query.join("&")), &["p0", "p1", "p2", "p3"]).unwrap();
            for (n, part) in parts.iter().enumerate() {
                prop_assert_eq!(read.value(&format!("p{n}")), Some(&**part));
            }
            let again = format!("{}&{}", query.join("&"), query[0]);
            prop_assert!(Query::read(Some(&again), &["p0", "p1", "p2", "p3"]).is_err());
            prop_assert!(Query::read(Some(&query.join("&")), &["p1", "p2", "p3"]).is_err());
        }

        #[test]
        fn a_duration_is_a_number_and_a_unit(number in any::<u64>(), small in 0..10_000_u64, unit in "ms|s|m|h|d", strange in "[a-z]{0,2}|[+. -]s") {
            let factor = match &*unit { "ms" => 1, "s" => 1000, "m" => 60_000, "h" => 3_600_000, _ => 86_400_000_u128 };
            prop_assert_eq!(duration(&format!("{small}{unit}")).map(|time| time.as_millis()), Some(u128::from(small) * factor));
            if let Some(time) = duration(&format!("{number}{unit}")) {
                prop_assert_eq!(time.as_millis(), u128::from(number) * factor);
            }
            let known = ["ms", "s", "m", "h", "d"].contains(&&*strange) || (strange.is_empty() && small == 0);
            prop_assert_eq!(duration(&format!("{small}{strange}")).is_some(), known);
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,60}") {
            let _ = segments(&text);
            let _ = duration(&text);
            let _ = Query::read(Some(&text), &["max"]);
        }
    }
}
