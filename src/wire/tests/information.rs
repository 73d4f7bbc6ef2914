//! Host information: a document with one thing wrong in it.

use proptest::{prelude::*, sample::Index};

use super::{Property, escaped, no_string, object, other_key, path::path, property, quoted, space, value};
use crate::wire::{
    information::{InformationError, read},
    parameters::Form,
};

const PATHS: [&str; 4] = ["request-path", "grant-path", "packet-path", "refresh-path"];

fn parameters(paths: &[String], refresh: bool) -> Vec<Property> {
    let count = if refresh { 4 } else { 3 };
    PATHS.iter().zip(paths).take(count).map(|(key, path)| property(key, &quoted(path))).collect()
}

fn document(parameters: &[Property], version: &str, others: &[Property], space: &str) -> String {
    let entry = [
        property("name", "\"HTTPS-Token\""),
        property("version", "\"0.1.0\""),
        property("parameters", &object(parameters, space)),
    ];
    let entry = [entry.to_vec(), others.to_vec()].concat();
    let protocols = format!(r#"[{{"name":"other"}},{}]"#, object(&entry, space));
    let all = [property(version, "\"0.0.0\""), property("connection-protocols", &protocols)];
    object(&[all.to_vec(), others.to_vec()].concat(), space)
}

proptest! {
    //= YMP-INFO-03, YMP-INFO-04, YMP-INFO-12
    #[test]
    fn any_document_of_the_grammar_is_read(
        paths in proptest::collection::vec(path(), 4), refresh: bool, second: bool, key in other_key(), other in value(), space in space(),
    ) {
        let version = if second { "amorphos-version" } else { "ymp-version" };
        let others = [property(&key, &other)];
        let found = read(document(&parameters(&paths, refresh), version, &others, &space).as_bytes()).unwrap();
        prop_assert_eq!(found.form(), if refresh { Form::Tokens } else { Form::State });
        let read = [Some(&found.request_path), Some(&found.grant_path), Some(&found.packet_path), found.refresh_path.as_ref()];
        let read: Vec<_> = read.into_iter().flatten().map(|path| path.as_str()).collect();
        let wanted: Vec<_> = paths.iter().take(read.len()).map(String::as_str).collect();
        prop_assert_eq!(read, wanted);
    }

    //= YMP-INFO-13
    #[test]
    fn one_wrong_parameter_is_an_error_that_names_it(
        paths in proptest::collection::vec(path(), 4), which: Index, kind in 0..5_usize, wrong in no_string(), at: usize,
    ) {
        let mut all = parameters(&paths, true);
        let place = which.index(4);
        let named = |all: &[Property]| match read(document(all, "ymp-version", &[], "").as_bytes()) {
            Err(InformationError::Parameter { name, .. }) => Some(name),
            Err(InformationError::Form(_)) => Some("form"),
            Ok(_) | Err(InformationError::Version | InformationError::NoHttpsToken) => None,
        };
        let want = match kind {
            0 => {
                all[place].1 = "\"\"".to_owned();
                PATHS[place]
            }
            1 => {
                all[place].1 = quoted(&format!("/{}", paths[place]));
                PATHS[place]
            }
            2 => {
                // A refresh-path that is null is none: an R3 peer's.
                let wrong = if PATHS[place] == "refresh-path" && wrong == "null" { "7".to_owned() } else { wrong };
                all[place].1 = wrong;
                "form"
            }
            3 => {
                all.push((escaped(PATHS[place], at), all[place].1.clone()));
                "form"
            }
            _ => {
                let place = place % 3;
                all.remove(place);
                PATHS[place]
            }
        };
        prop_assert_eq!(named(&all), Some(want));
    }

    #[test]
    fn a_document_with_a_byte_changed_never_panics(paths in proptest::collection::vec(path(), 4), place: Index, byte: u8) {
        let mut text = document(&parameters(&paths, true), "ymp-version", &[], "").into_bytes();
        let place = place.index(text.len());
        text[place] = byte;
        let _ = read(&text);
    }
}
