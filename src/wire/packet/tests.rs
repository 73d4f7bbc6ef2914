use proptest::prelude::*;

use super::*;

const MESSAGE: &str = r#"{"sender":{"host":"a.test","protocol":"p","service":"s"},"id":"1","host":"B.test:443",
    "protocol":"Form","service":"Main","action":"put","payload":{"n":1.0,"b":2,"b":3,"big":12345678901234567890123}}"#;

fn body(messages: &[&str]) -> Bytes {
    Bytes::from(Packet::encode(messages.iter().map(|text| text.as_bytes())))
}

fn refusal(message: &str) -> Refusal {
    Packet::decode(&body(&[MESSAGE, message]), 10).unwrap_err()
}

//= YMP-MSG-07, YMP-MSG-10
#[test]
fn a_message_is_read_and_carried_byte_for_byte() {
    let packet = Packet::decode(&body(&[MESSAGE]), 10).unwrap();
    let message = &packet.messages[0];
    assert_eq!(message.raw, MESSAGE.as_bytes());
    assert_eq!(
        (message.sender_host.as_str(), message.host.as_str(), &*message.id),
        ("a.test", "b.test", "1")
    );
    assert_eq!(message.service, ServiceKey::new("FORM", "Main"));
    assert_ne!(message.service, ServiceKey::new("form", "main"));
}

//= HT-PKT-02, YMP-PKT-01
#[test]
fn no_message_at_all_is_a_packet() {
    assert_eq!(Packet::decode(&body(&[]), 10), Ok(Packet::default()));
}

//= HT-CHK-10
#[test]
fn an_interpreted_property_that_stands_twice_is_refused() {
    for (from, to) in [
        (r#""id":"1""#, r#""id":"1","id":"1""#),
        (r#""id":"1""#, r#""id":"1","\u0069d":"2""#),
        (r#""service":"s"}"#, r#""service":"s","service":"s"}"#),
        (r#""payload":{"#, r#""payload":{},"payload":{"#),
        (r#""host":"B.test:443""#, r#""host":"B.test","host":"b.test""#),
    ] {
        let refusal = refusal(&MESSAGE.replacen(from, to, 1));
        assert_eq!((refusal.code(), refusal.index()), ("malformed", Some(1)), "{to}");
    }
    assert!(
        Packet::decode(&Bytes::from_static(br#"{"packet":{"messages":[]},"packet":{"messages":[]}}"#), 9)
            .is_err()
    );
    assert!(Packet::decode(&Bytes::from_static(br#"{"packet":{"messages":[],"messages":[]}}"#), 9).is_err());
    let twice = MESSAGE.replacen(r#""id":"1""#, r#""id":"1","x":1,"x":2"#, 1);
    assert_eq!(Packet::decode(&body(&[&twice]), 9).unwrap().messages[0].raw, twice.as_bytes());
}

//= HT-PKT-09, YMP-MSG-01, YMP-MSG-02, YMP-MSG-03, YMP-MSG-04, YMP-MSG-05, YMP-MSG-06, YMP-MSG-12
#[test]
fn what_the_table_of_a_message_refuses_is_refused() {
    let long = format!(r#""id":"{}""#, "x".repeat(513));
    for (from, to) in [
        (r#""id":"1""#, r#""id":"""#),
        (r#""id":"1""#, r#""id":1"#),
        (r#""id":"1""#, r#""id":null"#),
        (r#""id":"1""#, &long),
        (r#""id":"1","#, ""),
        (r#""action":"put","#, ""),
        (r#""action":"put","#, r#""action":null,"reply-to":"1","#),
        (r#""payload":{"#, r#""payload":[],"other":{"#),
        (r#""payload":{"#, r#""payload":null,"other":{"#),
        (r#""host":"a.test","#, ""),
        (r#""host":"a.test","#, r#""host":"a_b","#),
        (r#""id":"1""#, r#""id":"\ud800""#),
    ] {
        let refusal = refusal(&MESSAGE.replacen(from, to, 1));
        assert_eq!((refusal.code(), refusal.index()), ("malformed", Some(1)), "{to}");
    }
    let answer = MESSAGE.replacen(r#""action":"put","#, r#""reply-to":"0","#, 1);
    assert!(Packet::decode(&body(&[&answer]), 9).is_ok());
    assert_eq!(refusal("[]").index(), Some(1));
}

#[test]
fn an_array_is_no_object_whatever_stands_in_it() {
    let decode = |text: &str| Packet::decode(&Bytes::copy_from_slice(text.as_bytes()), 9);
    assert!(decode(r#"[{"messages":[]}]"#).is_err());
    assert!(decode(r#"{"packet":[[]]}"#).is_err());
    assert!(decode(r#"{"packet":{"messages":[]}}"#).is_ok());
    let message = r#"[{"host":"a.test","protocol":"p","service":"s"},"1","0","b.test","p","t","go",{}]"#;
    assert_eq!(Message::decode(Bytes::from_static(message.as_bytes()), 0).unwrap_err().code(), "malformed");
    let sender = MESSAGE.find(r#""sender":"#).map(|at| at + 9).unwrap();
    let end = MESSAGE[sender..].find('}').unwrap() + sender + 1;
    let text = format!("{}[\"a.test\",\"p\",\"s\"]{}", &MESSAGE[..sender], &MESSAGE[end..]);
    assert!(Message::decode(Bytes::from(text), 0).is_err());
}

#[test]
fn a_body_is_read_alike_however_it_is_spaced() {
    let plain = body(&[MESSAGE, MESSAGE]);
    for (from, to) in [
        ("[{", "[ {"),
        ("}]}}", "}] } }"),
        (r#"{"packet""#, r#" {"packet""#),
        ("},{\"sender", "} , {\"sender"),
    ] {
        let spaced = Bytes::from(std::str::from_utf8(&plain).unwrap().replacen(from, to, 1));
        assert_ne!(spaced, plain);
        assert_eq!(Packet::decode(&spaced, 9), Packet::decode(&plain, 9), "{to}");
    }
    for (from, to) in [
        ("},{\"sender", "},,{\"sender"),
        ("}]}}", "},]}}"),
        ("},{\"sender", "} {\"sender"),
        ("}]}}", "}]]}}"),
    ] {
        let broken = Bytes::from(std::str::from_utf8(&plain).unwrap().replacen(from, to, 1));
        assert_eq!(Packet::decode(&broken, 9).unwrap_err().code(), "malformed", "{to}");
    }
}

//= HT-PKT-11
#[test]
fn more_messages_than_the_limit_are_too_large() {
    assert_eq!(Packet::decode(&body(&["{}", "{}"]), 1).unwrap_err().code(), "too-large");
}

/// A message: what varies, the order of its properties, and what else stands in it.
fn written() -> impl Strategy<Value = String> {
    let id =
        prop_oneof!["[a-z]{0,3}", r#"[a-z"\\ é]{0,4}"#, Just(r"\u0061".to_owned()), Just("x".repeat(513))];
    let payload = prop_oneof![
        r#"\{"n":-?[0-9]{1,3}\}"#,
        Just(r#"{"id":"1","payload":{"s":"}\""}}"#.to_owned()),
        Just(r#"{ "a" : [1.50,null] }"#.to_owned()),
        Just("[]".to_owned()),
        Just(r#"{"n":01}"#.to_owned()),
        Just("{".to_owned()),
    ];
    // Mostly alike.
    let names = prop_oneof![6 => Just("a"), 1 => Just("b"), 1 => Just(r"\u0061")];
    let extra = prop_oneof![
        6 => Just(""), 1 => Just(r#","id":"2""#), 1 => Just(r#","x":{"id":1}"#), 1 => Just(r#","reply-to":"r""#)
    ];
    (id, payload, names, extra, 0..4usize).prop_map(|(id, payload, service, extra, order)| {
        let sender = r#""sender":{"host":"a.test","protocol":"p","service":"s"}"#;
        let (id, payload) = (format!(r#""id":"{id}""#), format!(r#""payload":{payload}{extra}"#));
        let names = format!(r#""host":"b.test","protocol":"P","service":"{service}","action":"put""#);
        match order {
            0 | 1 => format!("{{{sender},{id},{names},{payload}}}"),
            2 => format!("{{{payload},{names},{id},{sender}}}"),
            _ => format!("{{ {id}, {payload}, {sender}, {names} }}"),
        }
    })
}

//= HT-PKT-19, NODE-API-36
#[test]
fn what_cannot_be_read_is_told_without_what_stood_there() {
    for body in [
        r#"{"packet":"a-secret"}"#,
        r#"{"packet":{"messages":"a-secret"}}"#,
        r#"{"packet":{"messages":["a-secret"]}}"#,
        r#"{"packet":{"messages":[{"sender":"a-\"secret\"a-secret"}]}}"#,
        r#"{"packet":{"messages":[{"id":7,"sender":{"host":["a-secret"]}}]}}"#,
        r#"{"packet":{"messages":[{"sender":"a-secret, expected a-secret"}]}}"#,
        r#"{"packet":{"messages":[{"sender":{"host":"a","protocol":"a-secret","service":null}}]}}"#,
    ] {
        let Err(Refusal::Malformed { what, .. }) = Packet::decode(&body.into(), 10) else { panic!("{body}") };
        assert!(!what.contains("secret") && !what.contains("In "), "{what}");
    }
    for value in ["31415926", "-31415926", "3.1415926e9", "true"] {
        let body = format!(r#"{{"packet":{{"messages":[{{"sender":{value}}}]}}}}"#);
        let words = Packet::decode(&body.into(), 10).unwrap_err().to_string();
        assert!(!words.contains("1415926") && !words.contains("true"), "{words}");
    }
    let said = |body: &'static str| Packet::decode(&body.into(), 10).unwrap_err().to_string();
    assert_eq!(
        said(r#"{"packet":"a-secret"}"#),
        "invalid type: string, expected an object with `messages` at line 1 column 20"
    );
}

//= HT-PKT-04
#[test]
fn what_is_said_sums_up_to_the_same_however_it_is_written() {
    let sums = |messages: &[&str]| {
        let body = Packet::encode(messages.iter().map(|message| message.as_bytes()));
        Packet::decode(&body.into(), 10)
            .unwrap()
            .messages
            .into_iter()
            .map(|message| message.content_sum)
            .collect()
    };
    let spaced = MESSAGE.replacen(':', ": ", 1);
    let other = MESSAGE.replace(r#""n":1.0"#, r#""n":1.00"#);
    let all: Vec<u64> = sums(&[MESSAGE, MESSAGE, &spaced, &other, &other]);
    assert_eq!((all[0], all[0], all[3]), (all[1], all[2], all[4]));
    assert_ne!(all[0], all[3]);
    let unknown = MESSAGE.replacen('{', r#"{"extra":1,"#, 1);
    assert_eq!(sums(&[&unknown, MESSAGE]), [all[0], all[0]]);
    for (from, to) in [
        (r#""service":"Main""#, r#""service":"main""#),
        (r#""action":"put""#, r#""action":"get""#),
        (r#""action":"put""#, r#""action":"put","reply-to":"r""#),
    ] {
        let changed = MESSAGE.replacen(from, to, 1);
        assert_ne!(changed, MESSAGE, "{from}");
        let both = sums(&[&changed, MESSAGE, &changed]);
        assert!(both[0] == both[2] && both[0] != all[0] && both[1] == all[0], "{to}");
    }
}

#[test]
fn messages_that_are_written_alike_are_read_by_their_shape() {
    let one = MESSAGE;
    let two = MESSAGE.replace(r#""id":"1""#, r#""id":"zwei""#).replace(r#""n":1.0"#, r#""n":[{}]"#);
    let shape = |text: &'static str| {
        let read = object_of_slice::<MessageIn<'_>>(text.as_bytes()).unwrap();
        Shape::of(text, &read.id, read.payload.get())
    };
    let shape = shape(one).unwrap();
    let text = format!("{two},{{}}");
    let varied = shape.read(&text).unwrap();
    assert_eq!((varied.id, varied.length), ("zwei", two.len()));
    assert!(varied.payload.starts_with(r#"{"n":[{}]"#), "{}", varied.payload);
    for (from, to) in [
        (r#""id":"1""#, r#""id":"\u0031""#),
        (r#""id":"1""#, r#""id": "1""#),
        (r#""service":"s""#, r#""service":"t""#),
        (r#""payload":{"n":1.0"#, r#""payload":{"n":1.0.0"#),
        ("}}", "}, \"id\":\"2\"}"),
    ] {
        let other = one.replacen(from, to, 1);
        assert_ne!(other, one);
        assert_eq!(shape.read(&other), None, "{to}");
    }
}

proptest! {
    //= HT-CHK-10, HT-PKT-09
    #[test]
    fn a_plain_body_says_the_same_as_when_it_is_read_as_a_whole(messages in proptest::collection::vec(written(), 1..6)) {
        let body = body(&messages.iter().map(String::as_str).collect::<Vec<_>>());
        let text = std::str::from_utf8(&body).unwrap();
        if let Some(packet) = Packet::decode_plain(&body, text, 9) {
            prop_assert_eq!(Ok(packet), Packet::decode_any(&body, text, 9));
        }
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,200}") {
        let _ = Packet::decode(&Bytes::from(text.clone()), 10);
        let _ = Message::decode(Bytes::from(text), 0);
    }

    //= YMP-MSG-07
    #[test]
    fn any_payload_comes_through_byte_for_byte(key in "[a-z\"\\\\]{0,4}", number in any::<f64>(), space in "[ \n\t]{0,3}") {
        let payload = format!("{{{space}{}:{space}{}}}", serde_json::json!(key), serde_json::json!(number));
        let text = MESSAGE.replacen(r#""payload":{"#, &format!(r#""payload":{payload},"x":{{"#), 1);
        let packet = Packet::decode(&body(&[MESSAGE, &text]), 9).unwrap();
        prop_assert_eq!(&packet.messages[1].raw[..], text.as_bytes());
    }
}
