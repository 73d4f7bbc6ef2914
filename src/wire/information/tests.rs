use proptest::prelude::*;

use super::*;
use crate::wire::parameters::Form;

fn with(protocols: &str) -> Result<Parameters, InformationError> {
    read(format!(r#"{{"ymp-version":"0.0.0","connection-protocols":[{protocols}]}}"#).as_bytes())
}

fn entry(name: &str, prefix: &str, refresh: bool) -> String {
    let refresh = if refresh { format!(r#","refresh-path":"{prefix}/f""#) } else { String::new() };
    format!(
        r#"{{"name":"{name}","version":"0.1.0","parameters":{{"request-path":"{prefix}/r","grant-path":"{prefix}/g","packet-path":"{prefix}/p"{refresh}}}}}"#
    )
}

fn own() -> Vec<u8> {
    let path = |text: &str| UrlPath::parse(text).unwrap();
    let paths =
        Paths { request: path("/r"), grant: path("/g"), refresh: path("/f"), packet: path("/deep/p%20q") };
    let offered = Offered {
        protocol: "example".to_owned(),
        version: "1.0.0".to_owned(),
        services: vec!["form".to_owned()],
    };
    document(&paths, Taken { packet_bytes: 1024, packet_messages: 7 }, &[offered])
}

//= YMP-INFO-03, YMP-INFO-05, YMP-INFO-06
#[test]
fn every_entry_carries_parameters_and_ours_is_the_one_https_token() {
    let value: Value = serde_json::from_slice(&own()).unwrap();
    for list in ["connection-protocols", "message-protocols", "service-protocols"] {
        for entry in value[list].as_array().unwrap() {
            assert!(entry["parameters"].is_object(), "{list}");
        }
    }
    assert_eq!(value["connection-protocols"].as_array().unwrap().len(), 1);
    assert_eq!(value["connection-protocols"][0]["name"], "https-token");
    assert_eq!(value["connection-protocols"][0]["version"], "0.0.0");
    assert_eq!(value["connection-protocols"][0]["parameters"]["request-path"], "/r");
    assert_eq!(value["connection-protocols"][0]["parameters"]["packet-messages"], 7);
    assert_eq!(value["service-protocols"][0]["services"][0], "form");
    assert!(value["ymp-version"].is_string() && value["amorphos-version"].is_string());
}

//= YMP-INFO-04, YMP-INFO-12
#[test]
fn what_we_write_reads_back() {
    let found = read(&own()).unwrap();
    assert_eq!(found.packet_path.as_str(), "/deep/p%20q");
    assert_eq!(found.form(), Form::Tokens);
    assert_eq!((found.packet_bytes, found.packet_messages), (Some(1024), Some(7)));
}

//= YMP-INFO-04, YMP-INFO-09, YMP-INFO-12
#[test]
fn of_several_entries_the_one_with_a_refresh_path_counts_in_any_order_and_case() {
    for (protocols, want) in [
        (entry("https-token", "/a", false), "/a/r"),
        (format!("{},{}", entry("https-token", "/a", false), entry("HTTPS-Token", "/b", true)), "/b/r"),
        (format!("{},{}", entry("https-token", "/b", true), entry("https-token", "/a", false)), "/b/r"),
        (format!("{},{}", entry("https-token", "/a", false), entry("https-token", "/c", false)), "/a/r"),
        (format!(r#"{{"name":"other"}},7,{{"name":null}},[],{}"#, entry("Https-Token", "/a", true)), "/a/r"),
        (format!(r#"{{"name":"https-token"}},{}"#, entry("https-token", "/a", false)), "/a/r"),
    ] {
        assert_eq!(with(&protocols).unwrap().request_path.as_str(), want, "{protocols}");
    }
}

#[test]
fn a_refresh_path_that_is_null_is_none() {
    let text =
        entry("https-token", "", false).replace(r#""grant-path""#, r#""refresh-path":null,"grant-path""#);
    assert_eq!(with(&text).unwrap().form(), Form::State);
    let text = entry("https-token", "", false).replace(r#""grant-path":"/g""#, r#""grant-path":null"#);
    assert!(with(&text).is_err());
}

//= YMP-INFO-03, YMP-INFO-10, YMP-INFO-13
#[test]
fn what_is_wrong_is_named() {
    let broken = |from: &str, to: &str| with(&entry("https-token", "", true).replace(from, to)).unwrap_err();
    for (from, to, words) in [
        (r#""grant-path":"/g","#, "", "`grant-path` is missing"),
        (r#""grant-path":"/g""#, r#""grant-path":"""#, "`grant-path` is empty"),
        (r#""refresh-path":"/f""#, r#""refresh-path":"""#, "`refresh-path` is empty"),
        (r#""packet-path":"/p""#, r#""packet-path":"//evil.test/p""#, "`packet-path` is no path"),
        (r#""packet-path":"/p""#, r#""packet-path":"/a/../p""#, "`packet-path` is no path"),
        (r#""packet-path":"/p""#, r#""packet-path":"/p?q""#, "`packet-path` is no path"),
        (r#""packet-path":"/p""#, r#""packet-path":"https://evil.test/p""#, "`packet-path` is no path"),
        (r#""packet-path":"/p""#, r#""packet-path":7"#, "another type"),
        (r#""packet-path":"/p""#, r#""packet-path":"/p","packet-path":"/p""#, "stands twice"),
        (r#""packet-path":"/p""#, r#""packet-path":"/p","\u0070acket-path":"/p""#, "stands twice"),
        ("https-token", "https-tokens", "no https-token among"),
    ] {
        assert!(broken(from, to).to_string().contains(words), "{to}: {}", broken(from, to));
    }
    let no_version = br#"{"connection-protocols":[]}"#;
    assert_eq!(read(no_version), Err(InformationError::Version));
    for body in
        ["", "[]", "null", "{", r#"{"ymp-version":1}"#, r#"{"ymp-version":"0.0.0","ymp-version":"0.0.0"}"#]
    {
        assert!(matches!(read(body.as_bytes()), Err(InformationError::Form(_))), "{body}");
    }
    assert_eq!(read(br#"{"amorphos-version":"0.0.0"}"#), Err(InformationError::NoHttpsToken));
}

#[test]
fn a_bound_is_a_whole_number_that_makes_sense_and_else_nobodys() {
    let bytes = |value: &str| {
        let text = entry("https-token", "", true);
        let text = text.replace(r#""grant-path""#, &format!(r#""packet-bytes":{value},"grant-path""#));
        with(&text).unwrap().packet_bytes
    };
    assert_eq!(bytes("65536"), Some(65536));
    for other in ["0", "1", "1023", "-1", "1.5", "1e3", "\"65536\"", "null", "[]", "99999999999999999999999"]
    {
        assert_eq!(bytes(other), None, "{other}");
    }
}

/// A part of a document: the keys that we know and others, with values of every kind.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[a-zA-Z0-9/._%-]{0,12}".prop_map(|text| format!("\"{text}\"")),
        Just("\"https-token\"".to_owned()),
        Just("\"/p\"".to_owned()),
    ];
    let key = prop_oneof![
        Just("ymp-version".to_owned()),
        Just("connection-protocols".to_owned()),
        Just("name".to_owned()),
        Just("parameters".to_owned()),
        Just("request-path".to_owned()),
        Just("grant-path".to_owned()),
        Just("packet-path".to_owned()),
        Just("refresh-path".to_owned()),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|all| format!("[{}]", all.join(","))),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|all| {
                let all: Vec<_> = all.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", all.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn reading_bytes_never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&body);
    }

    #[test]
    fn what_is_found_in_any_document_is_within_the_rules(text in value()) {
        if let Ok(found) = read(text.as_bytes()) {
            let paths = [Some(&found.request_path), Some(&found.grant_path), found.refresh_path.as_ref(), Some(&found.packet_path)];
            for path in paths.into_iter().flatten() {
                let again = UrlPath::parse(path.as_str());
                prop_assert_eq!(again.as_ref(), Ok(path));
            }
        }
    }

    #[test]
    fn our_document_reads_back_whatever_is_configured(
        names in proptest::collection::vec("/[a-z0-9._~%41-]{1,20}", 4),
        bytes in 1024_usize..1 << 40, messages in 1_usize..1 << 20, protocol in "\\PC{1,20}",
    ) {
        let all: Vec<_> = names.iter().filter_map(|name| UrlPath::parse(name).ok()).collect();
        if let [request, grant, refresh, packet] = &all[..] {
            let paths = Paths { request: request.clone(), grant: grant.clone(), refresh: refresh.clone(), packet: packet.clone() };
            let offered = Offered { protocol, version: "1.0.0".to_owned(), services: vec![] };
            let found = read(&document(&paths, Taken { packet_bytes: bytes, packet_messages: messages }, &[offered])).unwrap();
            prop_assert_eq!(found.refresh_path.as_ref(), Some(refresh));
            prop_assert_eq!((found.packet_bytes, found.packet_messages), (Some(bytes), Some(messages)));
            prop_assert_eq!(&found.packet_path, packet);
        }
    }
}
