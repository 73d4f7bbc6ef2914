use proptest::prelude::*;

use super::*;

const NOW: Wall = Wall(1_700_000_000_000);

fn offer(body: &str) -> Result<TokenOffer, Refusal> {
    match TokenGrant::decode(body.as_bytes(), true, NOW)? {
        TokenGrant::Tokens(offer) => Ok(offer),
        TokenGrant::State { .. } | TokenGrant::Bare => panic!("a bearer makes it R1"),
    }
}

fn with_lifetime(lifetime: &str) -> Result<Duration, Refusal> {
    offer(&format!(r#"{{"host":"a.test","token":"t",{lifetime},"refresh-token":"r"}}"#))
        .map(|offer| offer.lifetime)
}

fn pair(lifetime: u64) -> FreshPair {
    FreshPair {
        token: FreshSecret::from_chance([1; 32]),
        refresh: FreshSecret::from_chance([2; 32]),
        lifetime: Duration::from_secs(lifetime),
        made: NOW,
    }
}

//= HT-REV-03, HT-REV-08
#[test]
fn what_we_write_reads_back() {
    let pair = pair(3600);
    let body = pair.encode_offer(&OwnHost::parse("a.test:8443").unwrap());
    let offer = offer(std::str::from_utf8(&body).unwrap()).unwrap();
    assert_eq!(offer.host.as_str(), "a.test:8443");
    assert_eq!(offer.token.digest(), pair.token.digest());
    assert_eq!(offer.refresh.digest(), pair.refresh.digest());
    assert_eq!(offer.lifetime, pair.lifetime);
    let reply = RefreshReply::decode(&pair.encode_refresh(), NOW).unwrap();
    assert_eq!(reply.token.digest(), pair.token.digest());
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["expires-in"], 3600);
    assert_eq!(json["expires"], 1_700_003_600);
}

//= HT-REV-07, HT-REV-09, HT-REV-10
#[test]
fn lifetimes_have_one_reading() {
    for (text, seconds) in [
        (r#""expires-in":60"#, 60),
        (r#""expires-in":"60""#, 60),
        (r#""expires":1700000060"#, 60),
        (r#""expires-in":60,"expires":1"#, 60),
        (r#""expires-in":99999999999999999999999"#, 400 * 24 * 3600),
        (r#""expires-in":"999999999999999""#, 400 * 24 * 3600),
        (r#""expires-in":"\u0036\u0030""#, 60),
    ] {
        assert_eq!(with_lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for text in [
        r#""expires-in":0"#,
        r#""expires-in":-1"#,
        r#""expires-in":1.5"#,
        r#""expires-in":1e3"#,
        r#""expires-in":null"#,
        r#""expires-in":"""#,
        r#""expires-in":"1 ""#,
        r#""expires-in":"1234567890123456""#,
        r#""expires-in":"6\n""#,
        r#""expires-in":"\ud836""#,
        r#""expires-in":[1]"#,
        r#""expires-in":true"#,
        r#""expires":1700000000"#,
        r#""expires":1"#,
        r#""other":1"#,
        r#""expires-in":0,"expires":1700000060"#,
    ] {
        assert!(with_lifetime(text).is_err(), "{text}");
    }
}

//= HT-CHK-10
#[test]
fn a_property_that_stands_twice_is_refused_also_when_escaped() {
    for body in [
        r#"{"host":"a.test","token":"t","token":"t","expires-in":1,"refresh-token":"r"}"#,
        r#"{"host":"a.test","host":"b.test","token":"t","expires-in":1,"refresh-token":"r"}"#,
        r#"{"host":"a.test","token":"t","\u0074oken":"t","expires-in":1,"refresh-token":"r"}"#,
        r#"{"host":"a.test","token":"t","expires-in":1,"expires-in":1,"refresh-token":"r"}"#,
    ] {
        assert!(offer(body).is_err(), "{body}");
    }
    assert!(offer(r#"{"x":1,"x":2,"host":"a.test","token":"t","expires-in":1,"refresh-token":"r"}"#).is_ok());
}

//= HT-GRANT-09, HT-PKT-19
#[test]
fn a_missing_or_mistyped_field_is_refused_without_quoting_it() {
    for body in [
        "",
        "[]",
        "null",
        "{}",
        r#"{"host":"a.test","token":"secret-token","expires-in":1}"#,
        r#"{"host":"a.test","token":7,"expires-in":1,"refresh-token":"r"}"#,
        r#"{"host":"a.test","token":null,"expires-in":1,"refresh-token":"r"}"#,
        r#"{"host":"a_b","token":"t","expires-in":1,"refresh-token":"r"}"#,
        r#"{"host":"a.test","token":"secret token","expires-in":1,"refresh-token":"r"}"#,
        r#"{"host":"a.test","token":"t","expires-in":1,"refresh-token":"r"} x"#,
    ] {
        let refusal = offer(body).unwrap_err();
        assert_eq!(refusal.code(), "malformed", "{body}");
        assert!(!refusal.to_string().contains("secret"), "{refusal}");
    }
}

#[test]
fn an_array_is_no_object_whatever_stands_in_it() {
    assert!(offer(r#"["a.test","t",60,1700000060,"r","s"]"#).is_err());
    assert!(TokenRequest::decode(br#"["a.test","t",60,1700000060,"r","s"]"#, NOW).is_err());
    assert!(RefreshReply::decode(br#"["t",60,1700000060,"r"]"#, NOW).is_err());
}

//= HT-REV-11, HT-REV-12
#[test]
fn the_body_and_the_bearer_tell_the_revision() {
    let r3 = br#"{"host":"a.test","state":"s"}"#;
    assert!(matches!(TokenRequest::decode(r3, NOW), Ok(TokenRequest::State { .. })));
    let grant = br#"{"host":"a.test","token":"t","expires":1700000060,"state":"s"}"#;
    assert!(matches!(TokenGrant::decode(grant, false, NOW), Ok(TokenGrant::State { .. })));
    let bare = br#"{"host":"a.test","token":"t","expires-in":60,"refresh-token":"r"}"#;
    assert_eq!(TokenGrant::decode(bare, false, NOW), Ok(TokenGrant::Bare));
}

proptest! {
    #[test]
    fn reading_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), bearer: bool) {
        let _ = TokenGrant::decode(&body, bearer, NOW);
        let _ = TokenRequest::decode(&body, NOW);
        let _ = RefreshReply::decode(&body, NOW);
    }
}
