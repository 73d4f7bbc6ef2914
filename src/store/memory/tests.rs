//! What a version before the bundles has written, each message under a key of its own, is read and goes on.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::*;
use crate::{
    store::{
        Inbox, Outbox,
        engine::{
            codec::{self, Known, Put, Small, ended_key, place, service_key, small, status_key},
            window::Sighting,
        },
    },
    wire::{
        cursor::Cursor,
        host::PeerHost,
        packet::{ServiceKey, content_sum},
        record::{InboxBatch, InboxItem, MessageState, MessageStatus, Seq, Settlement},
    },
};

const RECEIVED: Wall = Wall(1000);

fn host() -> PeerHost {
    PeerHost::parse("beta.test").unwrap()
}

fn service() -> ServiceKey {
    ServiceKey::new("chat", "room")
}

fn put(space: Space, key: Vec<u8>, write: impl FnOnce(&mut Put)) -> Change {
    let mut value = Put::new(64);
    write(&mut value);
    Change { space, key, value: Some(value.0) }
}

fn status(id: &str, state: MessageState, at: u64) -> Change {
    let ended = (state == MessageState::Delivered).then_some(RECEIVED);
    let status = MessageStatus {
        id: id.into(),
        host: host(),
        sender: service(),
        state,
        tries_before: 0,
        attempts: 0,
        last_error: None,
        queued: RECEIVED,
        ended,
    };
    let known = Known { content: [7; 32], place: at, status };
    Change { space: Space::Status, key: status_key(id), value: Some(known.encode()) }
}

/// Three messages in an inbox, the first of them done with; two in the outbox, and one that was delivered.
fn earlier() -> Vec<Change> {
    let mut all = vec![
        put(Space::Small, small(Small::Peer, &[host().as_str().as_bytes()]), |value| value.u32(1)),
        put(Space::Small, service_key(&service()), |value| {
            value.u32(1);
            value.u64(1);
            value.u64(3);
            value.text("chat");
            value.text("room");
        }),
        put(Space::Small, codec::SEQ_KEY.to_vec(), |value| value.u64(3)),
        status("gone", MessageState::Delivered, 0),
        Change { space: Space::Ended, key: ended_key(RECEIVED, "gone"), value: Some(Vec::new()) },
    ];
    for at in 1..=3 {
        let (id, raw) = (format!("in{at}"), format!("text {at}"));
        // As that version summed up a message: whole, with the first half of the key.
        let content = xxh3_64_with_seed(raw.as_bytes(), u64::from_be_bytes(*b"memory n"));
        let mark = KEY.marks_of(&host()).mark(&id);
        let seen = Sighting { arrival: at, mark, peer: 1, received: RECEIVED, content };
        all.push(put(Space::Seen, at.to_be_bytes().to_vec(), |value| seen.write(value)));
        if at > 1 {
            all.push(put(Space::Inbox, place(1, at), |value| {
                value.u64(RECEIVED.0);
                value.text(host().as_str());
                value.bytes(raw.as_bytes());
            }));
            let id = format!("out{at}");
            all.push(status(&id, MessageState::Queued, at));
            all.push(put(Space::Outbox, place(1, at), |value| {
                value.u64(RECEIVED.0);
                value.u64(u64::MAX);
                value.text(&id);
                value.bytes(b"{}");
            }));
        }
    }
    all
}

fn packet(ids: &[&str]) -> InboxBatch {
    let item = |id: &&str| {
        let raw = format!("text {}", &id[2..]);
        let content_sum = content_sum(&[], &raw);
        InboxItem { service: service(), id: (*id).into(), raw: raw.into(), content_sum }
    };
    InboxBatch {
        from: Some(host()),
        received: RECEIVED,
        items: ids.iter().map(item).collect(),
        marks: Vec::new(),
    }
}

#[test]
fn a_store_of_an_earlier_version_is_read_and_goes_on() {
    let memory = Memory::new(Settings::default()).unwrap();
    memory.disk.commit(earlier()).unwrap();
    memory.crash();

    let answer = Inbox::append(&memory, packet(&["in1", "in3", "in4"])).unwrap().wait().unwrap();
    assert_eq!((answer.kept, answer.repeats, answer.altered), (1, 2, Vec::new()));
    let inbox = || -> Vec<u64> {
        let entries = Inbox::read(&memory, &service(), Cursor(0), 10, usize::MAX).unwrap();
        entries.iter().map(|entry| entry.cursor.0).collect()
    };
    assert_eq!(inbox(), [2, 3, 4]);
    assert!(memory.acknowledge("app", &service(), Cursor(3)).unwrap().wait().unwrap());
    memory.trim(&service(), &["app".to_owned()], Wall(0)).unwrap().wait().unwrap();
    assert_eq!(inbox(), [4]);

    let outbox = || -> Vec<u64> {
        memory.load(&host(), Seq(0), 10, usize::MAX).unwrap().iter().map(|mail| mail.seq.0).collect()
    };
    let state = |id: &str| memory.status(id).unwrap().map(|status| status.state);
    assert_eq!(outbox(), [2, 3]);
    let (delivered, dead) = (vec![Seq(2)], vec![(Seq(3), "gave up".to_owned())]);
    let settlement =
        Settlement { host: host(), now: Wall(2000), tries: 1, delivered, dead, marks: Vec::new() };
    memory.settle(settlement).unwrap().wait().unwrap();
    memory.crash();
    assert_eq!(outbox(), [0; 0]);
    assert_eq!(state("out2"), Some(MessageState::Delivered));
    assert_eq!(state("out3"), Some(MessageState::Dead));
    assert_eq!(state("gone"), Some(MessageState::Delivered));
    assert_eq!(memory.prune(Wall(3000)).unwrap().wait().unwrap(), 2);
    assert_eq!((state("out2"), state("gone")), (None, None));
    assert_eq!(state("out3"), Some(MessageState::Dead));
}
