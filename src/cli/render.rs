//! Text for people: tables that fit the terminal, times as distances, and nothing that could steer a terminal.

use crate::wire::time::Wall;

/// Columns of a terminal of which nothing is known.
const WIDTH: usize = 80;
/// A first cell that is longer stands on a line of its own; an id that the node made fits.
const FIRST_CELL_MAX: usize = 36;
/// Spaces between columns.
const GAP: usize = 2;
/// The last column is wrapped, but never narrower than this.
const LAST_CELL_MIN: usize = 16;

/// The terminal's width as the shell tells it.
pub(super) fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    said.filter(|width| *width >= 40).unwrap_or(WIDTH)
}

/// A table with a head. A long first cell (a host name) stands alone above its row; the last column is wrapped.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut all: Vec<Vec<String>> = vec![head.iter().map(|cell| (*cell).to_owned()).collect()];
    all.extend(rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()));
    let columns: Vec<usize> = (0..head.len())
        .map(|column| {
            let lengths = all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            let fits = |length: &usize| column > 0 || *length <= FIRST_CELL_MAX;
            lengths.filter(fits).max().unwrap_or_default()
        })
        .collect();
    let lines: Vec<String> = all.iter().flat_map(|row| row_lines(row, &columns, width)).collect();
    lines.join("\n")
}

fn row_lines(row: &[String], columns: &[usize], width: usize) -> Vec<String> {
    let Some((last, cells)) = row.split_last() else { return Vec::new() };
    let mut lines = Vec::new();
    let mut line = String::new();
    for (cell, size) in cells.iter().zip(columns) {
        let length = cell.chars().count();
        if length > *size {
            lines.push(cell.clone());
            line.push_str(&" ".repeat(size + GAP));
        } else {
            line.push_str(cell);
            line.push_str(&" ".repeat(size - length + GAP));
        }
    }
    let indent = line.chars().count();
    let room = width.saturating_sub(indent).max(LAST_CELL_MIN);
    for (index, piece) in wrap(last, room).into_iter().enumerate() {
        let start = if index == 0 { line.clone() } else { " ".repeat(indent) };
        lines.push(format!("{start}{piece}").trim_end().to_owned());
    }
    lines
}

/// Names and what they hold, one per line, the latter aligned and wrapped.
pub(super) fn list(entries: &[(&str, String)], width: usize) -> String {
    let size = entries.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = entries.iter().flat_map(|(name, text)| {
        let room = width.saturating_sub(size + GAP).max(LAST_CELL_MIN);
        let pieces = wrap(&clean(text), room);
        let line = |(index, piece): (usize, String)| {
            let name = if index == 0 { name } else { "" };
            format!("{name:size$}  {piece}").trim_end().to_owned()
        };
        pieces.into_iter().enumerate().map(line).collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Breaks a text between words, or within those that are longer than a line. At least one line.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        let gap = usize::from(used > 0);
        if used + gap + length > room && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for (index, character) in word.chars().enumerate() {
            if used >= room {
                lines.push(String::new());
                used = 0;
            }
            let Some(line) = lines.last_mut() else { break };
            if index == 0 && used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push(character);
            used += 1;
        }
    }
    lines
}

/// The text without characters that steer a terminal: peers and apps wrote it.
pub(super) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// As `clean`, but line breaks stay (JSON over several lines), and each line but the first is indented as the first
/// will be.
pub(super) fn indented(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n  ")
}

/// `1 packet`, `2 packets`.
pub(super) fn plural(count: u64, noun: &str) -> String {
    match (count, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "commit to disk") => format!("{count} commits to disk"),
        (_, noun) if noun.ends_with("sh") => format!("{count} {noun}es"),
        _ => format!("{count} {noun}s"),
    }
}

/// How far away a time is: `5m ago`, `in 45m`; the text itself where it is no time.
pub(super) fn distance(rfc3339: &str, now: Wall) -> String {
    let Ok(then) = rfc3339.parse::<jiff::Timestamp>() else { return clean(rfc3339) };
    let millis = then.as_millisecond().saturating_sub(i64::try_from(now.0).unwrap_or(i64::MAX));
    let text = span(millis.unsigned_abs() / 1000);
    if millis.unsigned_abs() < 1000 {
        "now".to_owned()
    } else if millis < 0 {
        format!("{text} ago")
    } else {
        format!("in {text}")
    }
}

/// A time with its distance: `2026-01-31 12:00:00Z, 5m ago`.
pub(super) fn moment(rfc3339: &str, now: Wall) -> String {
    match rfc3339.parse::<jiff::Timestamp>() {
        Ok(then) => format!("{}, {}", then.strftime("%Y-%m-%d %H:%M:%SZ"), distance(rfc3339, now)),
        Err(_) => clean(rfc3339),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn a_table_is_aligned_and_its_last_column_wrapped() {
        let rows = [
            row(&["a.test", "linked", "all is well"]),
            row(&["bb.test", "none", "no route to the host at all today"]),
        ];
        let text = table(&["HOST", "STATE", "WHY"], &rows, 40);
        assert_eq!(
            text,
            "HOST     STATE   WHY\n\
             a.test   linked  all is well\n\
             bb.test  none    no route to the host at\n\
             \x20                all today"
        );
    }

    #[test]
    fn a_long_name_stands_alone_above_its_row() {
        let long = "a-very-long-host-name-that-goes-on-and-on.example.org:8443";
        let text = table(&["HOST", "STATE"], &[row(&["a.test", "linked"]), row(&[long, "none"])], 80);
        assert_eq!(text, format!("HOST    STATE\na.test  linked\n{long}\n        none"));
    }

    #[test]
    fn times_are_distances() {
        let now = Wall(1_700_000_000_000);
        for (at, want) in [
            ("2023-11-14T22:13:20Z", "now"),
            ("2023-11-14T22:12:20.000Z", "60s ago"),
            ("2023-11-14T22:58:20.000Z", "in 45m"),
            ("2023-11-13T22:13:20Z", "24h ago"),
            ("2023-12-14T22:13:20Z", "in 30d"),
            ("\u{1b}[2J", "\u{fffd}[2J"),
        ] {
            assert_eq!(distance(at, now), want);
        }
        assert_eq!(moment("2023-11-14T22:12:20.000Z", now), "2023-11-14 22:12:20Z, 60s ago");
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!((plural(1, "packet"), plural(0, "packet")), ("1 packet".into(), "0 packets".into()));
        assert_eq!(plural(2, "refresh"), "2 refreshes");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal_where_words_allow(first in "[a-z]{0,30}", last in "[a-z ]{0,200}") {
            let text = table(&["HOST", "WHY"], &[vec![first, last]], 80);
            prop_assert!(text.lines().all(|line| line.chars().count() <= 80));
        }

        #[test]
        fn nothing_that_steers_a_terminal_is_shown(text in "\\PC{0,20}|[\u{0}-\u{9f}]{0,20}") {
            prop_assert!(!clean(&text).chars().any(char::is_control));
            prop_assert!(!list(&[("x", text)], 80).replace('\n', "").chars().any(char::is_control));
        }
    }
}
