//! Takes values out of the tree and says what is wrong with them.
//!
//! A `Reader` stands at one table. Each verb takes one key; where the key is absent its default holds, where it is
//! wrong a problem is noted and the default holds as well, so that one reading finds everything.

use std::{cell::RefCell, fmt::Display, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{
    finding::{Finding, Findings, Place},
    source::{Content, Table, Value},
    units,
};

/// A value that was read, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    /// For findings about it.
    pub(super) place: Place,
    /// Its key, with the path.
    pub(super) key: String,
    /// The value.
    pub(super) value: T,
}

/// At one table.
pub(super) struct Reader<'a> {
    table: Option<&'a Table>,
    key: String,
    place: Place,
    base: PathBuf,
    findings: &'a RefCell<Findings>,
}

impl<'a> Reader<'a> {
    /// At the root of the tree. Relative paths are relative to `base`.
    pub(super) fn new(root: &'a Value, base: PathBuf, findings: &'a RefCell<Findings>) -> Self {
        Self { table: table_of(root), key: String::new(), place: root.place.clone(), base, findings }
    }

    /// At the table `name` in this one; reads as empty where there is none.
    pub(super) fn table(&self, name: &str) -> Self {
        let value = self.entry(name);
        Self {
            table: value.and_then(table_of),
            key: self.key_of(name),
            place: value.map_or_else(|| self.place.clone(), |value| value.place.clone()),
            base: self.base.clone(),
            findings: self.findings,
        }
    }

    /// At each table of the list `name`.
    pub(super) fn tables(&self, name: &str) -> Vec<Self> {
        let at = |(index, value): (usize, &'a Value)| Self {
            table: table_of(value),
            key: format!("{}[{index}]", self.key_of(name)),
            place: value.place.clone(),
            base: self.base.clone(),
            findings: self.findings,
        };
        self.list(name).iter().enumerate().map(at).collect()
    }

    /// Whether the key stands there, right or wrong.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// A string.
    pub(super) fn text(&self, name: &str) -> Option<Found<&'a str>> {
        let value = self.entry(name)?;
        let Content::Text(text) = &value.content else { return None };
        Some(self.found(name, value, text.as_str()))
    }

    /// A string that must be there.
    pub(super) fn required(&self, name: &str, mend: &str) -> Option<Found<&'a str>> {
        if !self.has(name) {
            self.problem(&self.key_of(name), &self.place, "is missing", mend);
        }
        self.text(name)
    }

    /// A string, read by `parse`.
    pub(super) fn parsed<T, E: Display>(
        &self,
        name: &str,
        mend: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Found<T>> {
        self.text(name).and_then(|text| self.parse(text, mend, parse))
    }

    /// Reads a text that was found.
    pub(super) fn parse<T, E: Display>(
        &self,
        found: Found<&str>,
        mend: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Found<T>> {
        match parse(found.value) {
            Ok(value) => Some(Found { place: found.place, key: found.key, value }),
            Err(error) => {
                let what = format!("`{}` does not do: {error}", shortened(found.value));
                self.problem(&found.key, &found.place, &what, mend);
                None
            }
        }
    }

    //= NODE-CONF-07: relative to the file
    /// A file or folder.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.parsed(name, "write the path of a file", |text| {
            if text.is_empty() { Err("it is empty") } else { Ok(self.base.join(text)) }
        })
        .map(|found| found.value)
    }

    /// A path that holds where nothing is written.
    pub(super) fn path_or(&self, name: &str, default: &str) -> PathBuf {
        self.path(name).unwrap_or_else(|| self.base.join(default))
    }

    /// A file as it was named in a list.
    pub(super) fn resolved(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// A duration over zero.
    pub(super) fn duration(&self, name: &str, default: Duration) -> Found<Duration> {
        let read = self.parsed(name, units::DURATION_MEND, |text| match units::duration(text) {
            Some(Duration::ZERO) => Err("it must be more than nothing"),
            Some(duration) => Ok(duration),
            None => Err("it is no duration"),
        });
        read.unwrap_or_else(|| self.unwritten(name, default))
    }

    /// A size in bytes.
    pub(super) fn size(&self, name: &str, default: u64, range: &RangeInclusive<u64>) -> u64 {
        let read = self.parsed(name, units::SIZE_MEND, |text| {
            let size = units::size(text).ok_or_else(|| "it is no size".to_owned())?;
            let bounds = || format!("it must be {} to {} bytes", range.start(), range.end());
            if range.contains(&size) { Ok(size) } else { Err(bounds()) }
        });
        read.map_or(default, |found| found.value)
    }

    /// A whole number.
    pub(super) fn count<T: TryFrom<i64>>(&self, name: &str, default: T, range: RangeInclusive<i64>) -> T {
        let Some(value) = self.entry(name) else { return default };
        let Content::Integer(number) = value.content else { return default };
        if let Some(count) = range.contains(&number).then(|| T::try_from(number).ok()).flatten() {
            return count;
        }
        let mend = format!("write a number from {} to {}", range.start(), range.end());
        self.problem(&self.key_of(name), &value.place, &format!("`{number}` is out of bounds"), &mend);
        default
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        match self.entry(name).map(|value| &value.content) {
            Some(Content::Flag(flag)) => *flag,
            _ => default,
        }
    }

    /// A list of strings.
    pub(super) fn texts(&self, name: &str) -> Vec<Found<&'a str>> {
        let text = |(index, value): (usize, &'a Value)| {
            let Content::Text(text) = &value.content else { return None };
            Some(self.found(&format!("{name}[{index}]"), value, text.as_str()))
        };
        self.list(name).iter().enumerate().filter_map(text).collect()
    }

    /// The values of a list; nothing where there is none.
    pub(super) fn list(&self, name: &str) -> &'a [Value] {
        match self.entry(name).map(|value| &value.content) {
            Some(Content::List(list)) => list,
            _ => &[],
        }
    }

    /// The key's path.
    pub(super) fn key_of(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    /// Where the key stands, or its table where it does not.
    pub(super) fn place_of(&self, name: &str) -> &Place {
        self.entry(name).map_or(&self.place, |value| &value.place)
    }

    /// Notes a problem with the key `name` of this table.
    pub(super) fn problem_at(&self, name: &str, what: &str, mend: &str) {
        self.problem(&self.key_of(name), self.place_of(name), what, mend);
    }

    /// Notes a problem.
    pub(super) fn problem(&self, key: &str, place: &Place, what: &str, mend: &str) {
        self.findings.borrow_mut().problems.push(finding(key, place, what, mend));
    }

    /// Notes a warning about the key `name` of this table.
    pub(super) fn warn_at(&self, name: &str, what: &str, mend: &str) {
        self.warn(&self.key_of(name), self.place_of(name), what, mend);
    }

    /// Notes a warning.
    pub(super) fn warn(&self, key: &str, place: &Place, what: &str, mend: &str) {
        self.findings.borrow_mut().warnings.push(finding(key, place, what, mend));
    }

    /// A value that nobody wrote.
    fn unwritten<T>(&self, name: &str, value: T) -> Found<T> {
        Found { place: self.place_of(name).clone(), key: self.key_of(name), value }
    }

    fn entry(&self, name: &str) -> Option<&'a Value> {
        self.table?.get(name)
    }

    fn found<T>(&self, name: &str, value: &Value, content: T) -> Found<T> {
        Found { place: value.place.clone(), key: self.key_of(name), value: content }
    }
}

fn table_of(value: &Value) -> Option<&Table> {
    if let Content::Table(table) = &value.content { Some(table) } else { None }
}

fn finding(key: &str, place: &Place, what: &str, mend: &str) -> Finding {
    Finding { place: place.clone(), key: key.to_owned(), what: what.to_owned(), mend: mend.to_owned() }
}

/// A text as it is quoted in a finding: one line, at most 60 characters.
fn shortened(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().map(plain).take(60).collect();
    if text.chars().nth(60).is_some() {
        short.push_str("..");
    }
    short
}
