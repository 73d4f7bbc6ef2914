//! Properties of every reader in this room: what is valid reads back, a near miss is refused, nothing panics.
//!
//! The generators make what is mostly valid and change one thing: that finds more than chance alone would.

use proptest::prelude::*;

mod cursor;
mod draft;
mod exchange;
mod host;
mod information;
mod packet;
mod path;
mod policy;
mod secret;

/// A property of an object as it may be written: key and value, both as they stand.
type Property = (String, String);

fn property(key: &str, value: &str) -> Property {
    (quoted(key), value.to_owned())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A key with one of its characters escaped: the same key to whoever unescapes.
fn escaped(key: &str, at: usize) -> String {
    let at = at % key.chars().count();
    let letters = key.chars().enumerate().map(|(place, letter)| {
        if place == at { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() }
    });
    format!("\"{}\"", letters.collect::<String>())
}

fn object(properties: &[Property], space: &str) -> String {
    let all: Vec<_> =
        properties.iter().map(|(key, value)| format!("{space}{key}{space}:{space}{value}{space}")).collect();
    format!("{{{}}}", all.join(","))
}

/// What may stand between JSON tokens.
fn space() -> impl Strategy<Value = String> {
    "[ \n\t\r]{0,2}"
}

/// Any JSON value as somebody may write it: digits, order, repeats and escapes as they happen to be.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        "\\PC{0,8}".prop_map(|text| quoted(&text)),
        Just(r#""\u00e4\/\ud83d\ude00""#.to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let pair = ("[a-z\"\\\\\u{e4}]{0,3}".prop_map(|key| quoted(&key)), inner.clone());
        prop_oneof![
            (proptest::collection::vec(inner, 0..3), space())
                .prop_map(|(all, space)| format!("[{}]", all.join(&format!(",{space}")))),
            (proptest::collection::vec(pair, 0..3), space()).prop_map(|(all, space)| object(&all, &space)),
        ]
    })
}

/// Any JSON object as somebody may write it.
fn any_object() -> impl Strategy<Value = String> {
    let pair = ("[a-z]{1,3}".prop_map(|key| quoted(&key)), value());
    (proptest::collection::vec(pair, 0..4), space()).prop_map(|(all, space)| object(&all, &space))
}

/// A JSON value that is no string.
fn no_string() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("7".to_owned()),
        Just("false".to_owned()),
        Just("[\"a\"]".to_owned()),
        Just("{}".to_owned()),
    ]
}

/// Property names that nobody interprets.
fn other_key() -> impl Strategy<Value = String> {
    "x-[a-z]{1,5}"
}
