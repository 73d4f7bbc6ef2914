//! What `Vault` promises.

use ymp::wire::{
    family::{FailureRecord, FamilyRecord, PairRecord, RefreshRecord, SpentRecord},
    parameters::{Parameters, Published},
    path::UrlPath,
    record::{HeldRecord, LinkRecord, RepeatRecord, VaultWrite},
    secret::{Digest, HeldToken},
    time::Wall,
};

use crate::house::{House, host};

pub(crate) fn family(subject: &str, id: u64) -> FamilyRecord {
    let digest = Digest::of(b"x");
    let pair = PairRecord {
        step: 3,
        access: digest,
        access_until: Wall(5),
        refresh: Some(RefreshRecord { digest, until: Wall(6) }),
        used: true,
    };
    FamilyRecord {
        subject: subject.into(),
        id,
        opened: Wall(4),
        offered: true,
        revoked: false,
        unsure: false,
        closed: Some(FailureRecord { at: Wall(1), reason: "stolen".into() }),
        current: pair,
        previous: Some(pair),
        lingering: vec![SpentRecord { digest, until: Wall(9) }],
        spent: vec![SpentRecord { digest, until: Wall(9) }],
    }
}

pub(crate) fn link(name: &str, token: &str) -> LinkRecord {
    let digest = Digest::of(b"y");
    LinkRecord {
        host: host(name),
        held: vec![HeldRecord {
            token: HeldToken::parse(token).unwrap(),
            refresh: Some(HeldToken::parse("refresh-of-the-peer").unwrap()),
            dated: false,
            received: Wall(1),
            expires: Wall(2),
            confirmed: true,
            sure: false,
        }],
        repeats: vec![RepeatRecord { ask: digest, token: digest, refresh: Some(digest), expires: Wall(8) }],
        tries: 7,
        failures: 2,
        heard: Some(Wall(3)),
        succeeded: None,
        failed: Some(FailureRecord { at: Wall(1), reason: "no route".into() }),
        published: Some(published()),
        paused: true,
        condemned: 3,
    }
}

fn published() -> Published {
    let path = |text: &str| UrlPath::parse(text).unwrap();
    let parameters = Parameters {
        request_path: path("/r"),
        grant_path: path("/g"),
        refresh_path: None,
        packet_path: path("/p"),
        packet_bytes: Some(1000),
        packet_messages: None,
    };
    Published { parameters, path: "/.ymp".to_owned(), fetched: Wall(3), fresh_until: Wall(9) }
}

/// What an R3 exchange leaves: tokens without refresh tokens.
fn single() -> (LinkRecord, FamilyRecord) {
    let mut link = link("gamma.test", "t");
    for held in &mut link.held {
        held.refresh = None;
    }
    for repeat in &mut link.repeats {
        repeat.refresh = None;
    }
    let mut family = FamilyRecord { unsure: true, previous: None, ..family("peer:gamma.test", 7) };
    family.current.refresh = None;
    (link, family)
}

/// Records of a version that knew neither R3 nor looked anything up are read as what they were.
#[test]
fn records_of_an_earlier_version_are_read() {
    let digest = vec![7; 32];
    let family = serde_json::json!({
        "subject": "peer:beta.test", "id": 1, "opened": 4, "offered": false, "closed": null, "previous": null,
        "current": {"step": 0, "access": digest, "access-until": 5, "refresh": digest, "refresh-until": 6, "used": true}
    });
    let family: FamilyRecord = serde_json::from_value(family).unwrap();
    assert_eq!(family.current.refresh.unwrap().until, Wall(6));
    let link = serde_json::json!({
        "host": "beta.test",
        "held": [{"token": "t", "refresh": "r", "received": 1, "expires": 2, "confirmed": true}],
        "repeats": [{"ask": digest, "token": digest, "refresh": digest, "expires": 8}]
    });
    let link: LinkRecord = serde_json::from_value(link).unwrap();
    assert!(link.held[0].refresh.is_some() && link.repeats[0].refresh.is_some());
    assert_eq!(link.published, None);
}

fn put_link(name: &str, token: &str) -> VaultWrite {
    VaultWrite::PutLink(Box::new(link(name, token)))
}

fn put_family(subject: &str, id: u64) -> VaultWrite {
    VaultWrite::PutFamily(Box::new(family(subject, id)))
}

fn subjects(house: &House) -> Vec<(String, u64)> {
    house.vault().families.into_iter().map(|family| (family.subject, family.id)).collect()
}

crate::promises! {
    fn links_and_families_come_back_as_they_were_written(house) {
        house.write(vec![put_link("beta.test", "t"), put_family("peer:beta.test", 1)]);
        house.restart();
        let contents = house.vault();
        assert_eq!((contents.links, contents.families), (vec![link("beta.test", "t")], vec![family("peer:beta.test", 1)]));
    }

    fn what_r3_leaves_comes_back_as_it_was_written(house) {
        let (link, family) = single();
        house.write(vec![VaultWrite::PutLink(Box::new(link.clone())), VaultWrite::PutFamily(Box::new(family.clone()))]);
        house.restart();
        let contents = house.vault();
        assert_eq!((contents.links, contents.families), (vec![link], vec![family]));
    }

    fn a_later_write_replaces_an_earlier_one(house) {
        house.write(vec![put_link("beta.test", "old")]);
        house.write(vec![put_link("beta.test", "older"), put_link("beta.test", "new")]);
        assert_eq!(house.vault().links, [link("beta.test", "new")]);
    }

    fn a_family_is_dropped_by_subject_and_id(house) {
        house.write(vec![put_family("peer:beta.test", 1), put_family("peer:beta.test", 2), put_family("app:x", 1)]);
        house.write(vec![VaultWrite::DropFamily { subject: "peer:beta.test".into(), id: 1 }]);
        house.restart();
        assert_eq!(subjects(house), [("app:x".into(), 1), ("peer:beta.test".into(), 2)]);
    }

    fn a_dropped_link_takes_the_families_of_its_peer_along_and_no_others(house) {
        house.write(vec![put_link("beta.test", "t"), put_link("beta.test:444", "t")]);
        house.write(vec![put_family("peer:beta.test", 1), put_family("peer:beta.test:444", u64::MAX), put_family("app:beta.test", 1)]);
        house.write(vec![put_family("peer:beta.test", u64::MAX), VaultWrite::DropLink(host("beta.test"))]);
        house.restart();
        assert_eq!(house.vault().links, [link("beta.test:444", "t")]);
        assert_eq!(subjects(house), [("app:beta.test".into(), 1), ("peer:beta.test:444".into(), u64::MAX)]);
    }

    fn writes_of_one_commit_are_done_in_their_order(house) {
        house.write(vec![
            put_family("peer:beta.test", 1),
            VaultWrite::DropLink(host("beta.test")),
            put_family("peer:beta.test", 2),
            put_link("beta.test", "t"),
        ]);
        assert_eq!(subjects(house), [("peer:beta.test".into(), 2)]);
        assert_eq!(house.vault().links.len(), 1);
    }

    //= HT-REF-08
    fn marks_are_committed_with_their_packet(house) {
        let mut packet = house.packet("beta.test", &[("1", "a")]);
        packet.marks = vec![put_family("peer:beta.test", 1)];
        house.arrive(packet).unwrap();
        house.restart();
        assert_eq!((house.inbox().len(), subjects(house).len()), (1, 1));
    }
}
