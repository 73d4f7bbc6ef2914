//! How durations and sizes are written, and which of several names is nearest to a mistyped one.
//!
//! - duration: a whole number and `ms`, `s`, `m`, `h` or `d`: `250ms`, `30s`, `15m`, `1h`, `7d`
//! - size: a whole number and `B`, `KiB`, `MiB`, `GiB` (of 1,024) or `KB`, `MB`, `GB` (of 1,000)

use std::time::Duration;

/// What would be right where a duration is not.
pub const DURATION_MEND: &str =
    "write a whole number and a unit: \"250ms\", \"30s\", \"15m\", \"1h\", \"7d\"";
/// What would be right where a size is not.
pub const SIZE_MEND: &str = "write a whole number and a unit: \"64KiB\", \"1MiB\", \"1GB\"";

//= NODE-CONF-02: a number and a unit
/// Reads a duration; `None` where it is none, or more than can be counted.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

//= NODE-CONF-02: a number and a unit
/// Reads a size in bytes; `None` where it is none, or more than can be counted.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        _ => return None,
    };
    number.checked_mul(bytes)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// How many characters must be put in, taken out or replaced to make `b` of `a` (Levenshtein).
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((j, y), pair) in b.iter().enumerate().zip(row.windows(2)) {
            let [diagonal, above] = pair else { continue };
            let left = next.get(j).copied().unwrap_or(usize::MAX - 1);
            next.push((diagonal + usize::from(x != *y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    //= NODE-CONF-02
    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        for text in [
            "",
            "30",
            "s",
            "1.5h",
            "-1s",
            "1w",
            "1h30m",
            "1 hour",
            "99999999999999999999d",
            "999999999999999d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    //= NODE-CONF-02
    #[test]
    fn sizes_are_a_whole_number_and_a_unit() {
        for (text, bytes) in [
            ("1MiB", 1 << 20),
            ("64KiB", 65_536),
            ("1MB", 1_000_000),
            ("2GiB", 2 << 30),
            ("512B", 512),
            ("1 mib", 1 << 20),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "1", "MiB", "1.5MiB", "-1B", "1TiB", "99999999999999999999B", "99999999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn distance_counts_single_changes() {
        for (a, b, want) in
            [("", "", 0), ("a", "", 1), ("listen", "lisen", 1), ("kitten", "sitting", 3), ("", "ab", 2)]
        {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,20}") {
            let _ = (duration(&text), size(&text));
            prop_assert_eq!(distance(&text, &text), 0);
        }
    }
}
