//! Messages as apps hand them over, and what is sent of them.

use proptest::{prelude::*, sample::Index};

use super::{Property, any_object, escaped, host::host, object, other_key, property, quoted, space, value};
use crate::wire::{
    draft::Draft,
    host::OwnHost,
    packet::{Message, ServiceKey},
};

fn own() -> OwnHost {
    OwnHost::parse("a.test:8443").unwrap()
}

/// A draft's parts as they are written.
#[derive(Clone, Debug)]
struct Written {
    properties: Vec<Property>,
    others: Vec<Property>,
    payload: String,
    id: Option<String>,
    sender: ServiceKey,
    service: ServiceKey,
}

fn draft() -> impl Strategy<Value = Written> {
    let names = ("\\PC{0,9}", "\\PC{0,9}", host(), "\\PC{0,9}", "\\PC{0,9}", "\\PC{0,9}");
    let others = proptest::collection::vec((other_key().prop_map(|key| quoted(&key)), value()), 0..3);
    let more = (proptest::option::of("\\PC{1,9}"), any::<bool>(), any_object(), others, value(), space());
    (names, more).prop_flat_map(|(names, (id, named, payload, others, extra, space))| {
        let (sender_protocol, sender_service, host, protocol, service, action) = names;
        let mut sender = vec![
            property("protocol", &quoted(&sender_protocol)),
            property("x-extra", &extra),
            property("service", &quoted(&sender_service)),
        ];
        if named {
            sender.push(property("host", "\"A.test:8443\""));
        }
        let mut all = vec![property("sender", &object(&sender, &space)), property("payload", &payload)];
        for (key, text) in
            [("host", &host), ("protocol", &protocol), ("service", &service), ("action", &action)]
        {
            all.push(property(key, &quoted(text)));
        }
        all.extend(id.as_ref().map(|id| property("id", &quoted(id))));
        all.extend(others.clone());
        let written = Written {
            properties: Vec::new(),
            others: [vec![property("x-extra", &extra)], others].concat(),
            payload,
            id,
            sender: ServiceKey::new(&sender_protocol, &sender_service),
            service: ServiceKey::new(&protocol, &service),
        };
        (Just(written), Just(all).prop_shuffle())
            .prop_map(|(written, properties)| Written { properties, ..written })
    })
}

proptest! {
    //= YMP-MSG-07, YMP-MSG-08
    #[test]
    fn any_draft_is_composed_with_its_payload_byte_for_byte(written in draft(), space in space()) {
        let text = object(&written.properties, &space);
        let draft = Draft::decode(text.as_bytes(), &own()).unwrap();
        prop_assert_eq!((draft.id.as_deref(), &draft.sender), (written.id.as_deref(), &written.sender));
        let sent = draft.compose("the-id", None);
        let message = Message::decode(sent.clone(), 0).unwrap();
        prop_assert_eq!((&message.host, &message.service), (&draft.host, &written.service));
        prop_assert_eq!((message.sender_host.as_str(), &*message.id), ("a.test:8443", "the-id"));
        let sent = std::str::from_utf8(&sent).unwrap();
        for (key, value) in [vec![property("payload", &written.payload)], written.others.clone()].concat() {
            prop_assert!(sent.contains(&format!("{key}:{value}")), "{key}:{value} in {sent}");
        }
        let again = Draft::decode(sent.as_bytes(), &own()).unwrap();
        prop_assert_eq!(again.content(), draft.content());
        prop_assert_eq!(again.compose("the-id", None), sent.as_bytes());
    }

    #[test]
    fn a_property_of_a_draft_that_stands_twice_is_named(written in draft(), which: Index, place: Index, at: usize) {
        let mut all = written.properties;
        let known = ["sender", "payload", "host", "protocol", "service", "action"];
        let key = *which.get(&known[..]);
        let value = all.iter().find(|(name, _)| *name == quoted(key)).unwrap().1.clone();
        all.insert(place.index(all.len() + 1), (escaped(key, at), value));
        let error = Draft::decode(object(&all, "").as_bytes(), &own()).unwrap_err();
        prop_assert_eq!(error.field, key);
    }

    #[test]
    fn a_draft_with_a_byte_changed_never_panics(written in draft(), place: Index, byte: u8) {
        let mut text = object(&written.properties, "").into_bytes();
        let place = place.index(text.len());
        text[place] = byte;
        if let Ok(draft) = Draft::decode(&text, &own()) {
            prop_assert!(Message::decode(draft.compose("x", None), 0).is_ok());
        }
    }
}
