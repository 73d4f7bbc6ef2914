//! Readers for single JSON properties that serde's derive would read too kindly.
//!
//! A property that stands twice is refused by the derive itself (it compares after unescaping); what is added here is
//! that `null` is no string, that an array is no object, and that a lifetime has one reading.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _, de::Visitor, forward_to_deserialize_any};
use serde_json::value::RawValue;

use super::limits::LIFETIME_MAX;

/// For `Option` fields: absent is `None`, `null` is an error.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    text(deserializer).map(Some)
}

/// A string, borrowed where it holds no escapes.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    struct Text;
    impl<'de> serde::de::Visitor<'de> for Text {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(text))
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }

        fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text))
        }
    }
    deserializer.deserialize_str(Text)
}

/// Lets a derived reader see objects only: on its own it takes an array for a struct, its items in the order of the fields.
struct ObjectsOnly<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectsOnly<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// For fields that are structs.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(ObjectsOnly(deserializer))
}

/// serde's words about what could not be read, without the value that stood there: it may be a secret.
pub(crate) fn told(error: &serde_json::Error) -> String {
    let words = error.to_string();
    for wrong in ["invalid type: ", "invalid value: "] {
        // The value stands between quotes of one kind or the other, and may hold anything.
        if let Some((before, rest)) = words.split_once(wrong)
            && let Some((found, expected)) = rest.rsplit_once(", expected ")
        {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
            return format!("{before}{wrong}{kind}, expected {expected}");
        }
    }
    words
}

/// Reads a whole body that is one object.
pub(crate) fn object_of_slice<'a, T: Deserialize<'a>>(body: &'a [u8]) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = object(&mut reader)?;
    reader.end().map(|()| value)
}

/// Reads a whole text that is one object.
pub(crate) fn object_of_str<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = object(&mut reader)?;
    reader.end().map(|()| value)
}

/// Reads the object that a text opens with, and how many bytes it takes.
pub(crate) fn object_at_start<'a, T: Deserialize<'a>>(
    text: &'a str,
) -> Option<serde_json::Result<(T, usize)>> {
    if !text.starts_with('{') {
        return None;
    }
    let mut reader = serde_json::Deserializer::from_str(text).into_iter::<Object<T>>();
    let read = reader.next()?;
    Some(read.map(|Object(value)| (value, reader.byte_offset())))
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// Whole seconds: a JSON integer, or a string of at most 15 digits (the source's own example shows a string). Anything
/// that is greater than can be counted is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        // Some encoders escape what they need not.
        let quoted = raw.starts_with('"').then(|| serde_json::from_str::<String>(raw)).transpose();
        let quoted = quoted.map_err(D::Error::custom)?;
        let digits = quoted.as_deref().unwrap_or(raw);
        //= HT-REV-09: integers, or strings of at most 15 digits
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain || quoted.as_ref().is_some_and(|text| text.len() > 15) {
            return Err(D::Error::custom("seconds are an integer or a string of at most 15 digits"));
        }
        Ok(Self(digits.parse().unwrap_or(u64::MAX)))
    }
}

/// For `Option<Seconds>` fields: absent is `None`, `null` is an error.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Seconds>, D::Error> {
    Seconds::deserialize(deserializer).map(Some)
}

/// What is left of a lifetime: `expires-in` wins over `expires`; none, zero and the past are no lifetime.
pub(crate) fn lifetime(
    expires_in: Option<Seconds>,
    expires: Option<Seconds>,
    unix_now: u64,
) -> Option<Duration> {
    //= HT-REV-07: expires-in wins
    let seconds = match (expires_in, expires) {
        (Some(Seconds(seconds)), _) => seconds,
        (None, Some(Seconds(at))) => at.saturating_sub(unix_now),
        (None, None) => 0,
    };
    //= HT-REV-09, HT-REV-10: neither zero nor past; over 400 days is 400 days
    (seconds > 0).then(|| Duration::from_secs(seconds).min(LIFETIME_MAX))
}
