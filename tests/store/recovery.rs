//! What only an engine on disk can show: locks, formats, modes, damage, a torn journal, a full disk.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use ymp::{
    store::{Inbox, Settings, Store as _, StoreError, Vault},
    wire::record::{Cursor, VaultWrite},
};

use crate::{
    house::{House, clock, open, service, settings},
    vault::link,
};

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn journal(dir: &Path) -> PathBuf {
    files(dir).into_iter().filter(|path| path.extension().is_some_and(|end| end == "jnl")).max().unwrap()
}

#[test]
fn a_folder_in_use_is_locked_and_free_again_right_after_closing() {
    let house = House::embedded();
    assert!(matches!(open(house.dir(), settings(), &clock()), Err(StoreError::Locked(_))));
    house.store().close();
    open(house.dir(), settings(), &clock()).unwrap();
}

#[test]
fn a_folder_of_a_newer_version_is_left_alone() {
    let house = House::embedded();
    house.store().close();
    fs::write(house.dir().join("format"), "7\n").unwrap();
    assert!(matches!(open(house.dir(), settings(), &clock()), Err(StoreError::Newer { found: 7, known: 1 })));
    fs::write(house.dir().join("format"), "seven").unwrap();
    assert!(matches!(open(house.dir(), settings(), &clock()), Err(StoreError::Damaged(_))));
}

#[test]
fn every_file_is_for_its_owner_only() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("a/data");
    let store = open(&dir, settings(), &clock()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert!(files(&dir).len() > 5);
    assert!(files(&dir).iter().all(|path| mode(path) == 0o600));
    store.close();
    files(&dir).iter().for_each(|path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap());
    let _store = open(&dir, settings(), &clock()).unwrap();
    assert!(files(&dir).iter().all(|path| mode(path) == 0o600));
}

#[test]
fn no_file_holds_a_readable_token() {
    let mut house = House::embedded();
    house.write(vec![VaultWrite::PutLink(Box::new(link("beta.test", "a-token-that-nobody-may-read")))]);
    let readable = |house: &House| {
        let all = files(house.dir()).into_iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
        let holds =
            |text: &str| all.iter().any(|file| file.windows(text.len()).any(|part| part == text.as_bytes()));
        (holds("a-token-that-nobody-may-read"), holds("refresh-of-the-peer"), holds("no route"))
    };
    assert_eq!(readable(&house), (false, false, true));
    house.restart();
    assert_eq!(readable(&house), (false, false, true));
}

#[test]
fn without_its_key_the_tokens_are_damaged_and_not_forgotten() {
    let house = House::embedded();
    house.write(vec![VaultWrite::PutLink(Box::new(link("beta.test", "t")))]);
    house.store().close();
    fs::rename(house.dir().join("seal.key"), house.dir().join("away")).unwrap();
    let error = open(house.dir(), settings(), &clock()).unwrap_err();
    assert!(error.to_string().contains("seal.key"), "{error}");
    fs::write(house.dir().join("seal.key"), [9; 32]).unwrap();
    let store = open(house.dir(), settings(), &clock()).unwrap();
    let error = Vault::read(&store).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(what) if what.contains("beta.test")), "{error}");
}

/// Fills a store, spoils its journal and opens it again; answers how many messages are there.
fn after_spoiling(spoil: impl FnOnce(&Path, u64)) -> usize {
    let mut house = House::embedded();
    house.arrive(house.packet("beta.test", &[("1", "first")])).unwrap();
    house.restart();
    house.restart();
    let before = fs::metadata(journal(house.dir())).unwrap().len();
    house.arrive(house.packet("beta.test", &[("2", "second"), ("3", &"third".repeat(1000))])).unwrap();
    house.store().close();
    spoil(&journal(house.dir()), before);
    house.restart();
    let count = house.inbox().len();
    let again = house
        .arrive(house.packet("beta.test", &[("1", "first"), ("2", "second"), ("3", &"third".repeat(1000))]));
    assert_eq!(again.unwrap().repeats, count);
    assert_eq!(house.inbox().len(), 3);
    count
}

#[test]
fn rubbish_after_the_journal_is_cut_off() {
    for rubbish in [&[0u8; 100][..], &[0xff; 5000], &[1, 2, 3, 4, 5, 6, 7, 8], &[2; 64], &[3; 64]] {
        let append = |path: &Path, _| {
            OpenOptions::new().append(true).open(path).unwrap().write_all(rubbish).unwrap();
        };
        assert_eq!(after_spoiling(append), 3, "{:?}", &rubbish[..4]);
    }
}

#[test]
fn a_journal_that_ends_within_a_commit_reads_up_to_the_one_before() {
    for cut in [1, 5, 13, 40, 200] {
        let truncate = |path: &Path, _| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - cut).unwrap();
        };
        assert_eq!(after_spoiling(truncate), 1, "{cut}");
    }
}

#[test]
fn a_database_that_cannot_be_read_is_damaged_and_no_panic() {
    let house = House::embedded();
    house.store().close();
    for path in files(&house.dir().join("db")) {
        if path.extension().is_none_or(|end| end != "jnl") && !path.ends_with("lock") {
            fs::write(&path, b"rubbish").unwrap();
        }
    }
    let error = open(house.dir(), settings(), &clock()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_) | StoreError::Io { .. }), "{error}");
}

#[test]
fn too_little_free_space_refuses_appends_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Settings { free_space_min: u64::MAX, ..settings() }, &clock()).unwrap();
    let house = House::memory();
    let packet = house.packet("beta.test", &[("1", "a")]);
    assert!(matches!(Inbox::append(&store, packet), Err(StoreError::Space { min_bytes: u64::MAX })));
    assert!(matches!(store.healthy(), Err(StoreError::Space { .. })));
    Vault::commit(&store, vec![]).unwrap().wait().unwrap();
    assert!(store.acknowledge("x", &service(), Cursor(0)).unwrap().wait().unwrap());
}

#[test]
fn reading_goes_on_while_the_database_is_opened_again() {
    let house = House::embedded();
    house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
    for _ in 0..3 {
        house.fail_next_commit();
        assert!(house.arrive(house.packet("beta.test", &[("2", "b")])).is_err());
        while house.store().healthy().is_err() {
            match Inbox::read(house.store(), &service(), Cursor(0), 9, 99) {
                Ok(entries) => assert_eq!(entries.len(), 1),
                Err(error) => assert!(matches!(error, StoreError::Io { .. }), "{error}"),
            }
        }
    }
    assert_eq!(house.inbox(), ["a"]);
}
