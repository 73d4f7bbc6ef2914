//! What `Vault` promises.

use ymp::wire::{
    record::{
        FailureRecord, FamilyRecord, HeldRecord, LinkRecord, PairRecord, RepeatRecord, SpentRecord,
        VaultWrite,
    },
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
        refresh: digest,
        refresh_until: Wall(6),
        used: true,
    };
    FamilyRecord {
        subject: subject.into(),
        id,
        opened: Wall(4),
        offered: true,
        revoked: false,
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
            refresh: HeldToken::parse("refresh-of-the-peer").unwrap(),
            received: Wall(1),
            expires: Wall(2),
            confirmed: true,
        }],
        repeats: vec![RepeatRecord { ask: digest, token: digest, refresh: digest, expires: Wall(8) }],
        tries: 7,
        failures: 2,
        heard: Some(Wall(3)),
        succeeded: None,
        failed: Some(FailureRecord { at: Wall(1), reason: "no route".into() }),
    }
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

    fn marks_are_committed_with_their_packet(house) {
        let mut packet = house.packet("beta.test", &[("1", "a")]);
        packet.marks = vec![put_family("peer:beta.test", 1)];
        house.arrive(packet).unwrap();
        house.restart();
        assert_eq!((house.inbox().len(), subjects(house).len()), (1, 1));
    }
}
