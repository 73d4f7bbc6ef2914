//! Settings as written: the file, and the environment over it.
//!
//! The file becomes a tree of values that remember where they were written. A variable of the environment replaces the
//! value of its key whatever the file says: the text as it stands where the key takes a string, else a TOML value. The
//! tree is then held against the table of keys: a key that is not known and a value of another type are problems.
//! Nothing is interpreted here; `sections` says what the texts mean.

use std::{collections::BTreeMap, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    finding::{Finding, Findings, Place},
    keys::{self, Key, Kind, VARIABLES_OF_OTHERS, Variable},
};

/// A table: keys and what they hold.
pub(super) type Table = BTreeMap<String, Value>;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value holds.
#[derive(Clone)]
pub(super) enum Content {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Value>),
    Table(Table),
    /// Of a type that no key takes.
    Other,
    /// Not of the type that its key takes: reported already.
    Wrong,
}

impl std::fmt::Debug for Content {
    // Texts may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(..)")
    }
}

/// Reads the file's text and the variables into one tree; what is wrong goes to `findings`. `None` where the text is not
/// TOML: what follows from the guesses of a parser would hide the cause.
pub(super) fn read(
    path: &Path,
    text: &str,
    variables: &[(String, String)],
    findings: &mut Findings,
) -> Option<Value> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let at = |offset: Option<usize>| Place::File {
        path: path.to_owned(),
        line: offset.map(|offset| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()),
    };
    for error in errors {
        findings.problems.push(Finding {
            place: at(error.span().map(|span| span.start)),
            key: String::new(),
            what: format!("is not TOML: {}", error.message().replace('\n', ", ")),
            mend: String::new(),
        });
    }
    if !findings.problems.is_empty() {
        return None;
    }
    let mut root = table(document.into_inner(), &at);
    for (name, value) in in_turn(variables) {
        override_with(&mut root, name, value, findings);
    }
    check(&mut root, keys::ALL, "", "", findings);
    Some(Value { place: at(None), content: Content::Table(root) })
}

fn table(written: DeTable<'_>, at: &impl Fn(Option<usize>) -> Place) -> Table {
    let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
        let place = at(Some(key.span().start));
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        (key.into_owned(), Value { place, content: content(value.into_inner(), at) })
    };
    written.into_iter().map(entry).collect()
}

fn content(written: DeValue<'_>, at: &impl Fn(Option<usize>) -> Place) -> Content {
    match written {
        DeValue::String(text) => Content::Text(text.into_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Content::Other, Content::Integer)
        }
        DeValue::Boolean(flag) => Content::Flag(flag),
        DeValue::Array(list) => {
            let entry = |value: Spanned<DeValue<'_>>| {
                let place = at(Some(value.span().start));
                Value { place, content: content(value.into_inner(), at) }
            };
            Content::List(list.into_iter().map(entry).collect())
        }
        DeValue::Table(inner) => Content::Table(table(inner, at)),
        DeValue::Float(_) | DeValue::Datetime(_) => Content::Other,
    }
}

/// The variables that may be settings; those with short names last, so that they win.
fn in_turn(variables: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    let is_short = |name: &str| keys::SHORT_VARIABLES.iter().any(|(short, _)| *short == name);
    let long = variables.iter().filter(move |(name, _)| name.starts_with("YMP_") && !is_short(name));
    long.chain(variables.iter().filter(move |(name, value)| is_short(name) && !value.is_empty()))
}

//= NODE-CONF-06: a warning
fn override_with(root: &mut Table, name: &str, value: &str, findings: &mut Findings) {
    if VARIABLES_OF_OTHERS.contains(&name) {
        return;
    }
    let place = Place::Variable(name.to_owned());
    let long = keys::SHORT_VARIABLES.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    let Some(known) = keys::variables().into_iter().find(|known| known.name == long) else {
        findings.warnings.push(Finding {
            place,
            key: String::new(),
            what: "is no setting and changes nothing".to_owned(),
            mend: format!("the nearest known variable is {}", keys::nearest_variable(name)),
        });
        return;
    };
    let content = said(&known, value, &place, findings);
    put(root, &known.path, Value { place, content });
}

//= NODE-CONF-04: TOML, or as it stands
/// What a variable's text says for its key.
fn said(known: &Variable, value: &str, place: &Place, findings: &mut Findings) -> Content {
    if matches!(known.kind, Kind::Text | Kind::Duration | Kind::Size) {
        return Content::Text(value.to_owned());
    }
    if let Ok(parsed) = DeValue::parse(value.trim()) {
        return content(parsed.into_inner(), &|_| place.clone());
    }
    findings.problems.push(Finding {
        place: place.clone(),
        key: known.key(),
        what: "is not a TOML value".to_owned(),
        mend: format!("{}, as in the file", known.kind.mend()),
    });
    Content::Wrong
}

/// Replaces what stands at `path`.
fn put(root: &mut Table, path: &[&str], value: Value) {
    let Some((last, tables)) = path.split_last() else { return };
    let mut inner = root;
    for step in tables {
        let empty = || Value { place: value.place.clone(), content: Content::Table(Table::new()) };
        // Where the file has something else, that is reported when the types are checked.
        let Content::Table(next) = &mut inner.entry((*step).to_owned()).or_insert_with(empty).content else {
            return;
        };
        inner = next;
    }
    inner.insert((*last).to_owned(), value);
}

//= NODE-CONF-05: names the nearest
/// Reports keys that are not known and values of another type; the latter become `Wrong`, so that nobody reports them
/// again. `shown` is the table's path with indexes, `owner` without.
fn check(table: &mut Table, keys: &[Key], shown: &str, owner: &str, findings: &mut Findings) {
    for (name, value) in table {
        let shown = if shown.is_empty() { name.clone() } else { format!("{shown}.{name}") };
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            findings.problems.push(Finding {
                place: value.place.clone(),
                key: shown,
                what: "is not a known key".to_owned(),
                mend: keys::hint(owner, name),
            });
            continue;
        };
        if !fits(value, key, &shown, findings) {
            if !matches!(value.content, Content::Wrong) {
                findings.problems.push(Finding {
                    place: value.place.clone(),
                    key: shown,
                    what: "is of another type than this key takes".to_owned(),
                    mend: key.kind.mend().to_owned(),
                });
            }
            value.content = Content::Wrong;
        }
    }
}

fn fits(value: &mut Value, key: &Key, shown: &str, findings: &mut Findings) -> bool {
    let all = |list: &[Value], fits: fn(&Content) -> bool| list.iter().all(|value| fits(&value.content));
    match (&mut value.content, key.kind) {
        (Content::Text(_), Kind::Text | Kind::Duration | Kind::Size)
        | (Content::Integer(_), Kind::Count)
        | (Content::Flag(_), Kind::Flag) => true,
        (Content::List(list), Kind::Texts) => all(list, |content| matches!(content, Content::Text(_))),
        (Content::List(list), Kind::Ports) => {
            all(list, |content| matches!(content, Content::Text(_) | Content::Integer(_)))
        }
        (Content::Table(table), Kind::Table(keys)) => {
            check(table, keys, shown, key.name, findings);
            true
        }
        (Content::List(list), Kind::Tables(keys)) => {
            for (index, value) in list.iter_mut().enumerate() {
                let Content::Table(table) = &mut value.content else { return false };
                check(table, keys, &format!("{shown}[{index}]"), key.name, findings);
            }
            true
        }
        _ => false,
    }
}

/// What stands at each key that is read at the start only.
pub(super) fn at_start(root: &Value) -> Vec<(Variable, Option<Value>)> {
    let look = |path: &[&str]| {
        path.iter().try_fold(root, |value, step| {
            if let Content::Table(table) = &value.content { table.get(*step) } else { None }
        })
    };
    let wanted = keys::variables().into_iter().filter(|key| key.at_start);
    wanted.map(|key| (look(&key.path).cloned(), key)).map(|(value, key)| (key, value)).collect()
}

/// Lets what stood there at the start stand there again.
pub(super) fn keep(root: &mut Value, at_start: &[(Variable, Option<Value>)]) {
    let Content::Table(table) = &mut root.content else { return };
    for (key, value) in at_start {
        match value {
            Some(value) => put(table, &key.path, value.clone()),
            None => remove(table, &key.path),
        }
    }
}

fn remove(root: &mut Table, path: &[&str]) {
    match path {
        [last] => drop(root.remove(*last)),
        [first, rest @ ..] => {
            if let Some(Content::Table(inner)) = root.get_mut(*first).map(|value| &mut value.content) {
                remove(inner, rest);
            }
        }
        [] => {}
    }
}

/// Where each key stands, by its path: `peer.key`, `trust.roots[0]`.
pub(super) fn places(value: &Value) -> BTreeMap<String, Place> {
    fn walk(value: &Value, path: &str, all: &mut BTreeMap<String, Place>) {
        all.insert(path.to_owned(), value.place.clone());
        match &value.content {
            Content::Table(table) => {
                let dot = if path.is_empty() { "" } else { "." };
                table.iter().for_each(|(name, inner)| walk(inner, &format!("{path}{dot}{name}"), all));
            }
            Content::List(list) => {
                list.iter()
                    .enumerate()
                    .for_each(|(index, inner)| walk(inner, &format!("{path}[{index}]"), all));
            }
            Content::Text(_) | Content::Integer(_) | Content::Flag(_) | Content::Other | Content::Wrong => {}
        }
    }
    let mut all = BTreeMap::new();
    walk(value, "", &mut all);
    all
}
