//! Packets and their messages.

use bytes::Bytes;
use proptest::{prelude::*, sample::Index};

use super::{
    Property, any_object, escaped, host::host, no_string, object, other_key, property, quoted, space, value,
};
use crate::wire::{
    host::PeerHost,
    packet::{Message, Packet, ServiceKey},
};

/// What is interpreted of a message, and the message as it is written.
#[derive(Clone, Debug)]
struct Written {
    sender_host: String,
    id: String,
    reply_to: Option<String>,
    host: String,
    protocol: String,
    service: String,
    payload: String,
    text: String,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,12}", "[a-zA-Z]{1,8}", Just("x".repeat(512))]
}

fn message() -> impl Strategy<Value = Written> {
    let names = (host(), name(), name(), "\\PC{1,12}", host(), name(), name());
    let others = proptest::collection::vec((other_key().prop_map(|key| quoted(&key)), value()), 0..2);
    let more = (name(), proptest::option::of(name()), any_object(), others, space());
    (names, more).prop_flat_map(|(names, (action, reply_to, payload, others, space))| {
        let (sender_host, sender_protocol, sender_service, id, host, protocol, service) = names;
        let sender = [("host", &sender_host), ("protocol", &sender_protocol), ("service", &sender_service)];
        let sender: Vec<_> = sender.map(|(key, value)| property(key, &quoted(value))).to_vec();
        let mut all: Vec<Property> =
            vec![property("sender", &object(&sender, &space)), property("payload", &payload)];
        for (key, text) in [
            ("id", &id),
            ("host", &host),
            ("protocol", &protocol),
            ("service", &service),
            ("action", &action),
        ] {
            all.push(property(key, &quoted(text)));
        }
        all.extend(reply_to.as_ref().map(|text| property("reply-to", &quoted(text))));
        all.extend(others);
        Just(all).prop_shuffle().prop_map(move |all| Written {
            sender_host: sender_host.clone(),
            id: id.clone(),
            reply_to: reply_to.clone(),
            host: host.clone(),
            protocol: protocol.clone(),
            service: service.clone(),
            payload: payload.clone(),
            text: object(&all, &space),
        })
    })
}

/// The properties of a plain message.
fn plain() -> Vec<Property> {
    let sender = r#"{"host":"a.test","protocol":"p","service":"s"}"#;
    vec![
        property("sender", sender),
        property("id", "\"1\""),
        property("reply-to", "\"0\""),
        property("host", "\"b.test\""),
        property("protocol", "\"p\""),
        property("service", "\"s\""),
        property("action", "\"go\""),
        property("payload", "{}"),
    ]
}

fn body(messages: &[String]) -> Bytes {
    Bytes::from(Packet::encode(messages.iter().map(String::as_bytes)))
}

/// A plain message with one property that is wrong.
fn wrong_message() -> impl Strategy<Value = String> {
    let kinds = (0..5_usize, any::<Index>(), no_string(), any::<usize>());
    kinds.prop_map(|(kind, which, wrong, at)| {
        let mut all = plain();
        let place = which.index(all.len());
        let key: String = serde_json::from_str(&all[place].0).unwrap();
        match (kind, &*key) {
            (0, "reply-to" | "action") | (1, _) => all.push((escaped(&key, at), all[place].1.clone())),
            (0, _) => drop(all.remove(place)),
            (2, "payload") => all[place].1 = "[]".to_owned(),
            (2, "sender") => all[place].1 = r#"{"host":"a.test","protocol":"p"}"#.to_owned(),
            (2, _) => all[place].1 = quoted(&"x".repeat(513)),
            (3, "id") => all[place].1 = "\"\"".to_owned(),
            (3, "host") => all[place].1 = "\"b.test:0\"".to_owned(),
            (_, "payload") => all[place].1 = "\"{}\"".to_owned(),
            (_, "sender") => all[place].1 = "[\"a.test\",\"p\",\"s\"]".to_owned(),
            (_, _) => all[place].1 = wrong,
        }
        object(&all, "")
    })
}

proptest! {
    //= HT-PKT-01, YMP-PKT-01
    #[test]
    fn a_packet_reads_back_message_for_message(all in proptest::collection::vec(message(), 0..4), space in space()) {
        let texts: Vec<_> = all.iter().map(|message| message.text.clone()).collect();
        let packet = Packet::decode(&body(&texts), 4).unwrap();
        prop_assert_eq!(packet.messages.len(), all.len());
        for (message, written) in packet.messages.iter().zip(&all) {
            prop_assert_eq!(&message.raw[..], written.text.as_bytes());
            prop_assert!(written.text.contains(&written.payload));
            let (sender, host) = (PeerHost::parse(&written.sender_host), PeerHost::parse(&written.host));
            prop_assert_eq!((Ok(message.sender_host.clone()), Ok(message.host.clone())), (sender, host));
            prop_assert_eq!((&*message.id, message.reply_to.as_deref()), (&*written.id, written.reply_to.as_deref()));
            prop_assert_eq!(&message.service, &ServiceKey::new(&written.protocol, &written.service));
            prop_assert_eq!(&Message::decode(message.raw.clone(), 7), &Ok(message.clone()));
        }
        // Written by others, with spaces and properties that we do not know: the same messages.
        let list = texts.join(&format!("{space},{space}"));
        let odd = format!(r#"{space}{{"more":[1],{space}"packet":{{"x":{{}},{space}"messages":{space}[{space}{list}{space}]}}}}{space}"#);
        prop_assert_eq!(Packet::decode(&Bytes::from(odd), 4).unwrap(), packet);
    }

    //= HT-CHK-08
    #[test]
    fn the_first_message_at_fault_is_named(wrong in wrong_message(), also in wrong_message(), before in 0..5_usize, after in 0..3_usize) {
        let good = object(&plain(), "");
        let mut all = vec![good.clone(); before];
        all.push(wrong);
        all.extend(vec![good; after]);
        all.push(also);
        let refusal = Packet::decode(&body(&all), 20).unwrap_err();
        prop_assert_eq!((refusal.code(), refusal.index()), ("malformed", Some(before)), "{}", all[before]);
        prop_assert!(refusal.to_string().chars().count() <= 200);
    }

    //= YMP-MSG-01, YMP-MSG-04, YMP-MSG-12
    #[test]
    fn any_wrong_property_of_a_message_is_refused(wrong in wrong_message()) {
        prop_assert!(Message::decode(Bytes::from(wrong.clone()), 0).is_err(), "{wrong}");
    }

    //= HT-CHK-10
    #[test]
    fn any_interpreted_property_that_stands_twice_is_refused(which: Index, place: Index, at: usize, inner: bool, space in space()) {
        let mut all = plain();
        prop_assert!(Message::decode(Bytes::from(object(&all, &space)), 0).is_ok());
        if inner {
            let mut sender = ["host", "protocol", "service"].map(|key| property(key, "\"a.test\"")).to_vec();
            let key = ["host", "protocol", "service"][which.index(3)];
            sender.insert(place.index(4), (escaped(key, at), "\"a.test\"".to_owned()));
            all[0].1 = object(&sender, &space);
        } else {
            let (key, value) = which.get(&all).clone();
            let key: String = serde_json::from_str(&key).unwrap();
            all.insert(place.index(all.len() + 1), (escaped(&key, at), value));
        }
        let text = object(&all, &space);
        prop_assert!(Message::decode(Bytes::from(text.clone()), 0).is_err(), "{text}");
    }

    //= YMP-MSG-13
    #[test]
    fn what_is_not_utf_8_is_no_packet(place: Index, byte in 0x80..=0xff_u8) {
        let mut text = body(&[object(&plain(), "")]).to_vec();
        let place = place.index(text.len());
        text[place] = byte;
        let refusal = Packet::decode(&Bytes::from(text), 9).unwrap_err();
        prop_assert_eq!(refusal.code(), "malformed");
    }

    #[test]
    fn a_packet_with_a_byte_changed_never_panics(message in message(), place: Index, byte: u8, cut: Index) {
        let mut text = body(&[message.text]).to_vec();
        let place = place.index(text.len());
        text[place] = byte;
        let _ = Packet::decode(&Bytes::copy_from_slice(&text[..cut.index(text.len())]), 9);
        let _ = Packet::decode(&Bytes::from(text), 9);
    }
}

#[test]
fn names_are_read_alike_after_any_other_message() {
    let writings = [
        ("a.test", "Form"),
        ("a.test", "form"),
        ("A.test", "FORM"),
        ("a.test:443", "form"),
        ("c.test", "other"),
    ];
    let pairs = writings.iter().flat_map(|one| writings.map(|other| [*one, other])).flatten();
    let texts: Vec<_> = pairs
        .map(|(host, protocol)| {
            format!(
                r#"{{"sender":{{"host":"{host}","protocol":"p","service":"s"}},"id":"1","host":"{host}",
                    "protocol":"{protocol}","service":"t","action":"a","payload":{{}}}}"#
            )
        })
        .collect();
    let packet =
        Packet::decode(&Bytes::from(Packet::encode(texts.iter().map(String::as_bytes))), 100).unwrap();
    for (message, text) in packet.messages.iter().zip(texts) {
        assert_eq!(*message, Message::decode(Bytes::from(text), 0).unwrap());
    }
    let protocol = |at: usize| packet.messages[at].service.protocol().as_ptr();
    assert_eq!(protocol(12), protocol(13), "written as the one before has it, it is shared");
}
