//! Bodies of the exchange, in all three revisions.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};

use super::{Property, escaped, host::host, no_string, object, other_key, property, quoted, space, value};
use crate::wire::{
    exchange::{
        FreshAccess, FreshPair, RefreshReply, StateRequest, TokenGrant, TokenRequest, encode_state_request,
    },
    host::{OwnHost, PeerHost},
    refusal::Refusal,
    secret::{FreshSecret, HeldToken},
    time::Wall,
};

const NOW: Wall = Wall(1_700_000_000_500);
const NOW_SECONDS: u64 = 1_700_000_000;
const DAYS_400: u64 = 400 * 24 * 3600;

fn secret() -> impl Strategy<Value = FreshSecret> {
    any::<[u8; 32]>().prop_map(FreshSecret::from_chance)
}

fn token() -> impl Strategy<Value = String> {
    "[!-~]{1,40}"
}

fn lifetime() -> impl Strategy<Value = Duration> {
    (1..=DAYS_400).prop_map(Duration::from_secs)
}

/// Which reader a body is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Request,
    StateRequest,
    Grant,
    StateGrant,
    Refresh,
}

const BODIES: [Body; 5] = [Body::Request, Body::StateRequest, Body::Grant, Body::StateGrant, Body::Refresh];

impl Body {
    fn read(self, text: &[u8]) -> Result<String, Refusal> {
        match self {
            Self::Request | Self::StateRequest => {
                TokenRequest::decode(text, NOW).map(|read| format!("{read:?}"))
            }
            Self::Grant => TokenGrant::decode(text, true, NOW).map(|read| format!("{read:?}")),
            Self::StateGrant => TokenGrant::decode(text, false, NOW).map(|read| format!("{read:?}")),
            Self::Refresh => RefreshReply::decode(text, NOW).map(|read| format!("{read:?}")),
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Request | Self::Grant => &["host", "token", "expires-in", "refresh-token"],
            Self::StateRequest => &["host", "state"],
            Self::StateGrant => &["host", "token", "expires", "state"],
            Self::Refresh => &["token", "expires-in", "refresh-token"],
        }
    }

    fn properties(self, host: &str, token: &str) -> Vec<Property> {
        let written = |key: &&str| match *key {
            "host" => property(key, &quoted(host)),
            "expires-in" => property(key, "60"),
            "expires" => property(key, &(NOW_SECONDS + 60).to_string()),
            _ => property(key, &quoted(token)),
        };
        self.keys().iter().map(written).collect()
    }
}

/// A valid body of one kind, in any order, with properties of somebody else's between; and its kind.
fn body() -> impl Strategy<Value = (Body, Vec<Property>)> {
    let others = proptest::collection::vec((other_key().prop_map(|key| quoted(&key)), value()), 0..3);
    (proptest::sample::select(&BODIES[..]), host(), token(), others).prop_flat_map(
        |(body, host, token, others)| {
            let all = [body.properties(&host, &token), others].concat();
            (Just(body), Just(all).prop_shuffle())
        },
    )
}

/// What a lifetime may look like, and what it says: `None` where it is invalid.
fn written_lifetime() -> impl Strategy<Value = (String, Option<u128>)> {
    let number = || {
        prop_oneof![
            0..100_u128,
            1_699_999_990..1_700_000_100_u128,
            any::<u64>().prop_map(u128::from),
            any::<u128>()
        ]
    };
    let strange = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("[60]".to_owned()),
        Just("{}".to_owned()),
        Just("\"\"".to_owned()),
        "-[1-9][0-9]{0,5}",
        "[1-9][0-9]{0,3}\\.[0-9]{1,3}",
        "[1-9][eE][+-]?[0-9]",
        "\"[1-9][0-9]{0,3}\\.0\"",
        "\"[+-][0-9]{1,4}\"",
        "\" ?[0-9]{1,4} \"",
        "\"0x[0-9]{1,4}\"",
        "\"[0-9]{16}\"",
        "\"[0-9]{17,30}\"",
        "\"\u{664}[0-9]{1,4}\"",
    ];
    prop_oneof![
        number().prop_map(|number| (number.to_string(), Some(number))),
        "[0-9]{1,15}".prop_map(|digits| (quoted(&digits), digits.parse().ok())),
        ("[0-9]{1,15}", any::<usize>()).prop_map(|(digits, at)| (escaped(&digits, at), digits.parse().ok())),
        strange.prop_map(|text| (text, None)),
    ]
}

proptest! {
    //= HT-REV-08
    #[test]
    fn an_offer_reads_back_whatever_its_secrets_and_its_lifetime(
        token in secret(), refresh in secret(), lifetime in lifetime(), made in 0..1_u64 << 45, name in host(),
    ) {
        let (made, own) = (Wall(made), OwnHost::parse(&name).unwrap());
        let pair = FreshPair { token, refresh, lifetime, made };
        let body = pair.encode_offer(&own);
        let TokenRequest::Tokens(offer) = TokenRequest::decode(&body, made).unwrap() else { panic!("it is R1") };
        prop_assert_eq!(TokenGrant::decode(&body, true, made), Ok(TokenGrant::Tokens(offer.clone())));
        prop_assert!(own.is(&offer.host));
        prop_assert_eq!((offer.token.digest(), offer.refresh.digest()), (pair.token.digest(), pair.refresh.digest()));
        prop_assert_eq!((offer.lifetime, offer.dated), (lifetime, false));
        let reply = RefreshReply::decode(&pair.encode_refresh(), made).unwrap();
        prop_assert_eq!((reply.token, reply.refresh, reply.lifetime), (offer.token, offer.refresh, lifetime));
        // R2 reads `expires` alone and comes to the same.
        let mut json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(json["expires-in"].as_u64(), Some(lifetime.as_secs()));
        json.as_object_mut().unwrap().remove("expires-in");
        let TokenRequest::Tokens(dated) = TokenRequest::decode(json.to_string().as_bytes(), made).unwrap() else { panic!("it is R2") };
        prop_assert_eq!((dated.lifetime, dated.dated), (lifetime, true));
    }

    //= HT-REV-04, HT-REV-06, HT-REV-20
    #[test]
    fn an_r3_request_and_an_r3_grant_read_back(
        state in secret(), token in secret(), lifetime in lifetime(), made in 0..1_u64 << 45, name in host(),
    ) {
        let (made, own, host) = (Wall(made), OwnHost::parse(&name).unwrap(), PeerHost::parse(&name).unwrap());
        let body = encode_state_request(&own, &state);
        let asked = HeldToken::parse(state.reveal()).unwrap();
        prop_assert_eq!(state.reveal().len(), 43);
        let request = StateRequest { host: host.clone(), state: asked.clone() };
        prop_assert_eq!(TokenRequest::decode(&body, made), Ok(TokenRequest::State(request)));
        let keys = |body: &[u8]| serde_json::from_slice::<serde_json::Map<_, _>>(body).unwrap().keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(keys(&body), ["host", "state"]);
        let access = FreshAccess { token, lifetime, made };
        let body = access.encode_grant(&own, &asked);
        let TokenGrant::State(grant) = TokenGrant::decode(&body, false, made).unwrap() else { panic!("it is R3") };
        prop_assert_eq!((grant.host, grant.state, grant.lifetime), (host, state.digest(), lifetime));
        prop_assert_eq!(grant.token.digest(), access.token.digest());
        prop_assert_eq!(keys(&body), ["expires", "host", "state", "token"]);
    }

    //= HT-REV-07, HT-REV-09, HT-REV-10
    #[test]
    fn every_form_of_a_lifetime_has_one_reading(
        expires_in in proptest::option::of(written_lifetime()), expires in proptest::option::of(written_lifetime()),
    ) {
        let mut properties = vec![property("host", "\"a.test\""), property("token", "\"t\""), property("refresh-token", "\"r\"")];
        let pairs = [("expires-in", &expires_in), ("expires", &expires)];
        properties.extend(pairs.iter().filter_map(|(key, written)| Some(property(key, &written.as_ref()?.0))));
        let valid = pairs.iter().all(|(_, written)| written.as_ref().is_none_or(|written| written.1.is_some()));
        let said = |written: Option<(String, Option<u128>)>| written.and_then(|written| written.1);
        let seconds = match (said(expires_in), said(expires)) {
            (Some(seconds), _) => seconds,
            (None, Some(at)) => at.saturating_sub(u128::from(NOW_SECONDS)),
            (None, None) => 0,
        };
        let most = u128::from(DAYS_400);
        let want = (valid && seconds > 0).then(|| Duration::from_secs(u64::try_from(seconds.min(most)).unwrap()));
        let text = object(&properties, "");
        let got = match TokenRequest::decode(text.as_bytes(), NOW) {
            Ok(TokenRequest::Tokens(offer)) => Some(offer.lifetime),
            Ok(TokenRequest::State(_)) | Err(_) => None,
        };
        prop_assert_eq!(got, want, "{}", text);
        let reply = RefreshReply::decode(text.as_bytes(), NOW).ok().map(|reply| reply.lifetime);
        prop_assert_eq!(reply, want, "{}", text);
    }

    //= HT-CHK-10
    #[test]
    fn a_property_that_stands_twice_anywhere_is_refused(
        (body, mut all) in body(), which: Index, place: Index, at: usize, other in "[0-9]{1,2}|\"[a-z.]{1,5}\"|null", same: bool, space in space(),
    ) {
        prop_assert!(body.read(object(&all, &space).as_bytes()).is_ok());
        let key = *which.get(body.keys());
        let first = all.iter().find(|(known, _)| *known == quoted(key)).unwrap().1.clone();
        all.insert(place.index(all.len() + 1), (escaped(key, at), if same { first } else { other }));
        let text = object(&all, &space);
        prop_assert!(body.read(text.as_bytes()).is_err(), "{text}");
    }

    //= HT-REV-11, HT-REV-12
    #[test]
    fn the_body_and_the_bearer_tell_the_revision_whatever_stands_beside((body, all) in body(), beside in token(), place: Index) {
        let with = |keys: &[&str]| {
            let mut all = all.clone();
            for key in keys {
                let value = if key.starts_with("expires") { "\"1800000000\"".to_owned() } else { quoted(&beside) };
                all.insert(place.index(all.len() + 1), property(key, &value));
            }
            object(&all, "").into_bytes()
        };
        let read = match body {
            Body::Request | Body::Grant => body.read(&with(&["expires", "state"])),
            Body::StateRequest => body.read(&with(&["expires-in", "refresh-token"])),
            Body::StateGrant => body.read(&with(&["expires-in", "refresh-token"])),
            Body::Refresh => body.read(&with(&["host", "state"])),
        };
        let read = read.unwrap();
        let want = match body {
            Body::Request | Body::Grant => "Tokens(",
            Body::StateRequest | Body::StateGrant => "State(",
            Body::Refresh => "RefreshReply",
        };
        prop_assert!(read.starts_with(want), "{body:?}: {read}");
        if body == Body::Grant {
            prop_assert_eq!(TokenGrant::decode(&with(&[]), false, NOW), Ok(TokenGrant::Bare));
        }
    }

    #[test]
    fn a_property_that_nobody_interprets_may_stand_twice((body, mut all) in body(), key in other_key(), one in value(), other in value()) {
        all.extend([property(&key, &one), property(&key, &other)]);
        prop_assert!(body.read(object(&all, "").as_bytes()).is_ok());
    }

    //= HT-GRANT-09, HT-PKT-19
    #[test]
    fn one_wrong_property_is_refused_and_no_value_is_quoted(
        (body, mut all) in body(), which: Index, wrong in no_string(), kind in 0..4_usize, space in space(),
    ) {
        let key = *which.get(body.keys());
        let place = all.iter().position(|(known, _)| *known == quoted(key)).unwrap();
        let secret = "very-secret";
        match (kind, key) {
            (0, _) => drop(all.remove(place)),
            (1, "expires" | "expires-in") => all[place].1 = quoted(secret),
            (2, "host") => all[place].1 = quoted(&format!("{secret}_.test")),
            (2, "expires" | "expires-in") => all[place].1 = "0".to_owned(),
            (2, _) => all[place].1 = quoted(&format!("{secret} with space")),
            (3, "host") => all[place].1 = quoted(&format!("{secret}.test:0")),
            (3, "expires" | "expires-in") => all[place].1 = format!("\"{secret}\\u0000\""),
            (3, _) => all[place].1 = quoted(&format!("{secret}{}", "x".repeat(4096))),
            (_, "expires" | "expires-in") => all[place].1 = "[]".to_owned(),
            (_, _) => all[place].1 = wrong,
        }
        // Without its token an R1 body is no other's, and without its state a grant is bare.
        let bare = body == Body::StateGrant && kind == 0 && key == "state";
        let text = object(&all, &space);
        match body.read(text.as_bytes()) {
            Ok(read) => prop_assert!(bare && read == "Bare", "{text}: {read}"),
            Err(refusal) => {
                prop_assert_eq!((refusal.code(), refusal.index()), ("malformed", None));
                prop_assert!(!refusal.to_string().contains(secret), "{refusal}");
            }
        }
    }

    //= HT-REV-21
    #[test]
    fn nothing_that_was_read_is_printed_with_its_secrets((body, all) in body(), token in "very-secret-[!-~]{9}") {
        let host = all.iter().find(|(key, _)| key == "\"host\"").map_or("\"a.test\"", |(_, value)| value);
        let host: String = serde_json::from_str(host).unwrap();
        let read = body.read(object(&body.properties(&host, &token), "").as_bytes()).unwrap();
        prop_assert!(!read.contains("very-secret"), "{read}");
    }

    #[test]
    fn a_body_with_a_byte_changed_never_panics((body, all) in body(), place: Index, byte: u8, cut: Index) {
        let mut text = object(&all, "").into_bytes();
        let place = place.index(text.len());
        text[place] = byte;
        let _ = body.read(&text);
        let _ = body.read(&text[..cut.index(text.len())]);
    }
}

//= HT-REV-19
#[test]
fn a_state_is_1_to_512_visible_ascii_characters() {
    let request =
        |state: &str| object(&[property("host", "\"a.test\""), property("state", &quoted(state))], "");
    let grant = |state: &str| {
        object(&[Body::StateGrant.properties("a.test", "t"), vec![]].concat(), "")
            .replace("\"state\":\"t\"", &format!("\"state\":{}", quoted(state)))
    };
    for (state, good) in [
        ("", false),
        ("!", true),
        ("~", true),
        (&"x".repeat(512), true),
        (&"x".repeat(513), false),
        ("a b", false),
        ("a\n", false),
        ("\u{e4}", false),
        ("\u{7f}", false),
    ] {
        assert_eq!(Body::StateRequest.read(request(state).as_bytes()).is_ok(), good, "{state:?}");
        assert_eq!(Body::StateGrant.read(grant(state).as_bytes()).is_ok(), good, "{state:?}");
    }
}
