//! The host information: how to connect to a host, and what it runs (`ymp`, "Host information").
//!
//! `document` writes ours, `read` takes what we need from another host's: of its `https-token` entries the one with a
//! refresh path first. Hosts in the wild write the name in any case and other versions; what is not known is skipped.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    object::{object_of_slice, object_of_str, present},
    parameters::Parameters,
    path::{Paths, UrlPath},
};

/// Versions of YMP and of Amorphos, its second name, that we write.
const YMP_VERSION: &str = "0.0.0";
/// The version of https-token that the published texts carry.
const HTTPS_TOKEN_VERSION: &str = "0.0.0";
/// The connection protocol that we speak.
const HTTPS_TOKEN: &str = "https-token";

/// An announced `packet-bytes` below it is not believed: hardly a message would fit.
const PACKET_BYTES_FLOOR: usize = 1024;

//= YMP-INFO-01: in this order
/// Where it is looked for, in this order.
pub const INFORMATION_PATHS: [&str; 4] = ["/.well-known/ymp", "/.ymp", "/.well-known/amorphos", "/.amorphos"];

/// A protocol and its services, as the operator publishes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// As written.
    pub protocol: String,
    /// Its version.
    pub version: String,
    /// As written.
    pub services: Vec<String>,
}

/// What we take in one packet: told in our document, so that peers need not learn it from a 413.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of a packet's body.
    pub packet_bytes: usize,
    /// Messages of a packet.
    pub packet_messages: usize,
}

//= YMP-INFO-06: always with parameters, one https-token
/// Our document. Every protocol entry carries `parameters`: old implementations reject a document where one lacks it.
#[must_use]
pub fn document(paths: &Paths, taken: Taken, offered: &[Offered]) -> Vec<u8> {
    let protocol = |entry: &Offered| json!({"name": entry.protocol, "version": entry.version, "services": entry.services, "parameters": {}});
    let protocols: Vec<Value> = offered.iter().map(protocol).collect();
    let parameters = json!({
        "request-path": paths.request.as_str(),
        "grant-path": paths.grant.as_str(),
        "refresh-path": paths.refresh.as_str(),
        "packet-path": paths.packet.as_str(),
        "packet-bytes": taken.packet_bytes,
        "packet-messages": taken.packet_messages,
    });
    json!({
        //= YMP-INFO-03: both
        "ymp-version": YMP_VERSION,
        "amorphos-version": YMP_VERSION,
        "connection-protocols": [{"name": HTTPS_TOKEN, "version": HTTPS_TOKEN_VERSION, "parameters": parameters}],
        //= YMP-INFO-05: both
        "message-protocols": protocols,
        "service-protocols": protocols,
    })
    .to_string()
    .into_bytes()
}

//= YMP-INFO-13: names the reason
/// Why a document does not say how to connect; to follow "its host information".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InformationError {
    /// No JSON object, or one of whose properties is of another type or stands twice.
    #[error("is no valid document: {0}")]
    Form(String),
    /// Neither name of the protocol with its version.
    #[error("has neither `ymp-version` nor `amorphos-version`")]
    Version,
    /// No `https-token` among the connection protocols.
    #[error("has no https-token among its connection-protocols")]
    NoHttpsToken,
    /// Its parameters cannot be used.
    #[error("has an https-token whose `{name}` {what}")]
    Parameter {
        /// Which.
        name: &'static str,
        /// What is wrong.
        what: String,
    },
}

//= YMP-INFO-12: others are ignored
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DocumentIn<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    ymp_version: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    amorphos_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    connection_protocols: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ProtocolIn<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ParametersIn<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    request_path: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    grant_path: Option<Cow<'a, str>>,
    /// `null` is none: some write what they lack.
    #[serde(borrow, default)]
    refresh_path: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    packet_path: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    packet_bytes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    packet_messages: Option<&'a RawValue>,
}

/// Reads a document: how its host is spoken to.
///
/// # Errors
/// `InformationError`: why it does not say.
pub fn read(body: &[u8]) -> Result<Parameters, InformationError> {
    let document: DocumentIn<'_> = object_of_slice(body).map_err(|error| form(&error))?;
    //= YMP-INFO-03: at least one
    if document.ymp_version.is_none() && document.amorphos_version.is_none() {
        return Err(InformationError::Version);
    }
    let mut first: Option<Parameters> = None;
    let mut wrong = None;
    for entry in document.connection_protocols {
        // A protocol of a form that we do not know is not ours to judge.
        let Ok(protocol) = object_of_str::<ProtocolIn<'_>>(entry.get()) else { continue };
        //= YMP-INFO-04: in any case
        if !protocol.name.is_some_and(|name| name.eq_ignore_ascii_case(HTTPS_TOKEN)) {
            continue;
        }
        match parameters(protocol.parameters) {
            //= YMP-INFO-09: the one with a refresh-path first
            Ok(found) if found.refresh_path.is_some() => return Ok(found),
            Ok(found) => drop(first.get_or_insert(found)),
            Err(error) => drop(wrong.get_or_insert(error)),
        }
    }
    first.ok_or_else(|| wrong.unwrap_or(InformationError::NoHttpsToken))
}

fn parameters(raw: Option<&RawValue>) -> Result<Parameters, InformationError> {
    let missing = || InformationError::Parameter { name: "parameters", what: "is missing".to_owned() };
    let read: ParametersIn<'_> =
        object_of_str(raw.ok_or_else(missing)?.get()).map_err(|error| form(&error))?;
    Ok(Parameters {
        request_path: path("request-path", read.request_path.as_deref())?,
        grant_path: path("grant-path", read.grant_path.as_deref())?,
        refresh_path: match &read.refresh_path {
            Some(text) => Some(path("refresh-path", Some(text))?),
            None => None,
        },
        packet_path: path("packet-path", read.packet_path.as_deref())?,
        packet_bytes: bound(read.packet_bytes, PACKET_BYTES_FLOOR),
        packet_messages: bound(read.packet_messages, 1),
    })
}

fn path(name: &'static str, text: Option<&str>) -> Result<UrlPath, InformationError> {
    let wrong = |what: String| InformationError::Parameter { name, what };
    match text {
        None => Err(wrong("is missing".to_owned())),
        Some("") => Err(wrong("is empty".to_owned())),
        Some(text) => UrlPath::parse(text).map_err(|error| wrong(format!("is no path: {error}"))),
    }
}

/// A bound that is announced: a whole number. It is no part of the published protocol, so that anything else under its
/// name, or less than makes sense, is somebody else's, or a slip.
fn bound(raw: Option<&RawValue>, floor: usize) -> Option<usize> {
    raw?.get().parse().ok().filter(|bound| *bound >= floor)
}

/// serde's words may quote a value of any length; its place is enough.
fn form(error: &serde_json::Error) -> InformationError {
    let place = format!("line {} column {}", error.line(), error.column());
    InformationError::Form(match error.classify() {
        serde_json::error::Category::Data => {
            format!("a property stands twice or is of another type, {place}")
        }
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => format!("it is not JSON, {place}"),
    })
}

#[cfg(test)]
mod tests;
