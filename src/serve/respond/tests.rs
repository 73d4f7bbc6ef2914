//! The table, line by line.

use http_body_util::BodyExt as _;

use super::*;

async fn read(fault: Fault, door: Door) -> (Answer, serde_json::Value) {
    let kind = fault.kind();
    assert!(problem::LOCAL.iter().chain(problem::PEERS).any(|listed| std::ptr::eq(*listed, kind)), "{fault}");
    let (head, body) = fault.answer(door).into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (Answer::from_parts(head, Content::default()), serde_json::from_slice(&bytes).unwrap())
}

fn malformed(index: Option<usize>) -> Refusal {
    Refusal::Malformed { what: "`id` is missing".into(), index }
}

//= HT-PKT-18
#[tokio::test]
async fn each_refusal_has_its_status_and_its_stable_type() {
    let host = "b.test".to_owned();
    for (refusal, status, code) in [
        (Refusal::TokenMissing, 401, "token-missing"),
        (Refusal::TokenUnknown, 401, "token-unknown"),
        (Refusal::TokenReplayed, 401, "token-unknown"),
        (Refusal::GrantOtherHost, 403, "grant-other-host"),
        (Refusal::GrantAltered, 403, "grant-altered"),
        (Refusal::StateUnknown, 403, "state-unknown"),
        (Refusal::Policy { host: host.clone(), index: None }, 403, "policy"),
        (Refusal::Policy { host, index: Some(3) }, 403, "policy"),
        (Refusal::SenderNotHolder { index: 3 }, 403, "sender-not-holder"),
        (Refusal::NotForUs { index: 3 }, 403, "not-for-us"),
        (malformed(None), 400, "malformed"),
        (Refusal::TooLarge { what: String::new(), index: None }, 413, "too-large"),
        (Refusal::TooFast { retry_after: Duration::ZERO }, 429, "too-fast"),
    ] {
        let index = refusal.index();
        let (answer, problem) = read(refusal.into(), Door::Packet).await;
        assert_eq!(answer.status(), status, "{code}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(problem["type"], format!("urn:ymp:problem:{code}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["index"], index.map_or(serde_json::Value::Null, Into::into));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }
}

//= NODE-API-03
#[tokio::test]
async fn each_error_of_the_node_has_its_status() {
    let wait = Duration::from_millis(1500);
    for (error, status) in [
        (node::Error::Unavailable { what: "no room".into(), retry_after: wait }, 503),
        (node::Error::Conflict { index: 2, id: "x".into() }, 409),
        (node::Error::Draft { index: 2, field: "service", what: "does not run here".into() }, 400),
        (node::Error::NotFound("no such message".into()), 404),
        (node::Error::Cursor, 400),
        (node::Error::Peer { step: "grant", reason: "answered 403".into() }, 502),
    ] {
        let text = error.to_string();
        let (answer, problem) = read(error.into(), Door::Plain).await;
        assert_eq!(answer.status(), status, "{text}");
        assert_eq!(problem["detail"], text);
    }
}

//= HT-REF-13, HT-PKT-05
#[tokio::test]
async fn an_unknown_bearer_is_challenged_and_on_packets_told_that_it_is_the_token() {
    let (answer, _) = read(Refusal::TokenUnknown.into(), Door::Plain).await;
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    let (answer, _) = read(Refusal::TokenMissing.into(), Door::Packet).await;
    assert_eq!(answer.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
    let (answer, _) = read(Refusal::StateUnknown.into(), Door::Packet).await;
    assert!(!answer.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_replayed_token_looks_like_an_unknown_one() {
    let (_, replayed) = read(Refusal::TokenReplayed.into(), Door::Plain).await;
    let (_, unknown) = read(Refusal::TokenUnknown.into(), Door::Plain).await;
    assert_eq!(replayed, unknown);
}

#[tokio::test]
async fn retry_after_is_whole_seconds_and_at_least_one() {
    for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (30_000, "30")] {
        let retry_after = Duration::from_millis(millis);
        let (answer, _) = read(Refusal::TooFast { retry_after }.into(), Door::Plain).await;
        assert_eq!(answer.headers()["retry-after"], seconds);
        let error = node::Error::Unavailable { what: String::new(), retry_after };
        assert_eq!(read(error.into(), Door::Plain).await.0.headers()["retry-after"], seconds);
    }
}

//= HT-PKT-18
#[tokio::test]
async fn the_place_and_the_property_at_fault_are_named() {
    let (_, problem) = read(malformed(Some(4)).into(), Door::Packet).await;
    assert_eq!(problem["index"], 4);
    let error = DraftError { field: "sender.host".into(), what: "must be left out".into() };
    let (_, problem) = read(Fault::Draft { index: 1, error }, Door::Plain).await;
    assert_eq!((&problem["index"], &problem["field"]), (&1.into(), &"sender.host".into()));
    let error = node::Error::Peer { step: "request", reason: "timeout".into() };
    assert_eq!(read(error.into(), Door::Plain).await.1["step"], "request");
}

#[tokio::test]
async fn a_detail_quotes_nothing_at_length() {
    let error = DraftError { field: "host".into(), what: "x".repeat(100_000) };
    let (_, problem) = read(Fault::Draft { index: 0, error }, Door::Plain).await;
    assert_eq!(problem["detail"].as_str().unwrap().len(), limits::DETAIL_CHARS_MAX);
}

//= NODE-API-03
#[tokio::test]
async fn what_the_faces_refuse_has_its_status() {
    for (fault, status) in [
        (Fault::Path, 404),
        (Fault::HostMissing, 400),
        (Fault::Misdirected, 421),
        (Fault::Method("POST".into()), 405),
        (Fault::MediaType, 415),
        (Fault::Body(BodyError::TooLarge { limit: 1 }), 413),
        (Fault::Body(BodyError::Late), 408),
        (Fault::Body(BodyError::Broken), 400),
        (Fault::Body(BodyError::Busy), 503),
        (Fault::Internal, 500),
    ] {
        let (answer, problem) = read(fault, Door::Plain).await;
        assert_eq!((answer.status().as_u16(), &problem["status"]), (status, &status.into()));
        assert_eq!(answer.headers().contains_key("allow"), status == 405);
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
    }
}
