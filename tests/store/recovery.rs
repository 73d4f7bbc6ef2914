//! What only an engine on disk can show: locks, formats, modes, damage, a spoilt journal, a full disk.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use ymp::{
    store::{Inbox, Settings, Store as _, StoreError, Vault},
    wire::{cursor::Cursor, record::VaultWrite},
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
    assert!(matches!(open(house.dir(), settings(), &clock()), Err(StoreError::Newer { found: 7, known: 6 })));
    fs::write(house.dir().join("format"), "seven").unwrap();
    assert!(matches!(open(house.dir(), settings(), &clock()), Err(StoreError::Damaged(_))));
}

#[test]
fn a_folder_of_an_earlier_version_is_opened_and_says_from_then_on_that_it_is_ours() {
    let house = House::embedded();
    house.store().close();
    for earlier in ["1\n", "2\n", "3\n", "4\n", "5\n"] {
        fs::write(house.dir().join("format"), earlier).unwrap();
        open(house.dir(), settings(), &clock()).unwrap().close();
        assert_eq!(fs::read_to_string(house.dir().join("format")).unwrap(), "6\n");
    }
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
        // Without the zeros of which a journal is made in advance: there are many.
        let read = |path| fs::read(path).unwrap().into_iter().filter(|byte| *byte != 0).collect::<Vec<_>>();
        let all = files(house.dir()).into_iter().map(read).collect::<Vec<_>>();
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

/// Fills a store, spoils the journal of its tables and opens it again: all of it comes again from the log.
fn comes_back_after(spoil: impl FnOnce(&Path, u64)) {
    let mut house = House::embedded();
    house.arrive(house.packet("beta.test", &[("1", "first")])).unwrap();
    house.restart();
    house.restart();
    let before = fs::metadata(journal(house.dir())).unwrap().len();
    house.arrive(house.packet("beta.test", &[("2", "second"), ("3", &"third".repeat(1000))])).unwrap();
    house.store().close();
    spoil(&journal(house.dir()), before);
    house.restart();
    assert_eq!(house.inbox(), ["first", "second", &"third".repeat(1000)]);
    let again = house
        .arrive(house.packet("beta.test", &[("1", "first"), ("2", "second"), ("3", &"third".repeat(1000))]));
    assert_eq!(again.unwrap().repeats, 3);
    assert_eq!(house.inbox().len(), 3);
}

#[test]
fn rubbish_after_the_journal_is_cut_off() {
    for rubbish in [&[0u8; 100][..], &[0xff; 5000], &[1, 2, 3, 4, 5, 6, 7, 8], &[2; 64], &[3; 64]] {
        comes_back_after(|path, _| {
            OpenOptions::new().append(true).open(path).unwrap().write_all(rubbish).unwrap();
        });
    }
}

#[test]
fn a_journal_that_ends_within_a_commit_gets_the_rest_from_the_log() {
    for cut in [1, 5, 13, 40, 200] {
        comes_back_after(|path, _| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - cut).unwrap();
        });
    }
}

/// Turns one byte of a file.
fn turn(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at as usize] ^= 0x55;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_journal_with_wrong_content_gets_it_from_the_log() {
    comes_back_after(|path, before| turn(path, before + 200));
    comes_back_after(|path, before| turn(path, before - 200));
    comes_back_after(|path, _| turn(path, fs::metadata(path).unwrap().len() - 40));
}

/// What a crash of an earlier version left, in the middle of taking off a commit.
fn set_aside(path: &Path) {
    fs::rename(path, path.with_extension("torn")).unwrap();
}

#[test]
fn a_journal_that_was_set_aside_and_not_replaced_is_put_back() {
    comes_back_after(|path, _| set_aside(path));
    comes_back_after(|path, before| {
        turn(path, before + 200);
        set_aside(path);
    });
}

#[test]
fn a_journal_that_was_set_aside_and_has_one_in_its_place_is_left_alone() {
    comes_back_after(|path, _| fs::write(path.with_extension("torn"), b"evidence").unwrap());
    comes_back_after(|path, _| {
        fs::rename(path, path.with_file_name("7.jnl")).unwrap();
        fs::write(path.with_file_name("6.torn"), b"evidence").unwrap();
    });
    comes_back_after(|path, before| {
        fs::write(path.with_extension("torn"), b"evidence").unwrap();
        turn(path, before + 200);
    });
}

#[test]
fn a_crash_right_before_or_after_the_cut_loses_nothing_acknowledged() {
    comes_back_after(|path, before| {
        turn(path, before + 200);
        fs::hard_link(path, path.with_extension("torn")).unwrap();
    });
    // An older commit is wrong, and the newest had just been taken off.
    comes_back_after(|path, before| {
        turn(path, before - 200);
        fs::copy(path, path.with_extension("torn")).unwrap();
        OpenOptions::new().write(true).open(path).unwrap().set_len(before).unwrap();
    });
}

#[test]
fn a_log_that_has_lost_its_end_is_damage() {
    let house = House::embedded();
    house.arrive(house.packet("beta.test", &[("1", "first"), ("2", &"second".repeat(1000))])).unwrap();
    house.store().close();
    let log = files(&house.dir().join("log")).pop().unwrap();
    OpenOptions::new().write(true).open(&log).unwrap().set_len(3000).unwrap();
    let error = open(house.dir(), settings(), &clock()).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(what) if what.contains("0000000000.log")), "{error}");
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

//= HT-PKT-13, NODE-CONF-13
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

#[test]
fn more_than_the_database_holds_in_memory_goes_through_and_comes_back() {
    let mut house = House::embedded();
    let text = "y".repeat(10_000);
    let ids: Vec<String> = (0..9000).map(|n| n.to_string()).collect();
    let packets = ids.chunks(90).map(|ids| {
        let messages: Vec<_> = ids.iter().map(|id| (id.as_str(), text.as_str())).collect();
        Inbox::append(house.store(), house.packet("beta.test", &messages)).unwrap()
    });
    let handed: Vec<_> = packets.collect();
    assert!(handed.into_iter().all(|receipt| receipt.wait().is_ok()));
    house.restart();
    let count = |house: &House| {
        let (mut count, mut after) = (0, Cursor(0));
        loop {
            let entries = Inbox::read(house.store(), &service(), after, 1000, usize::MAX).unwrap();
            let Some(last) = entries.last() else { return count };
            assert!(entries.iter().all(|entry| entry.raw.len() == text.len()));
            (count, after) = (count + entries.len(), last.cursor);
        }
    };
    assert_eq!((count(&house), house.store().figures().window_entries), (9000, 9000));
    house.acknowledge("x", 8999);
    house.trim(&["x"], ymp::wire::time::Wall(0));
    house.restart();
    assert_eq!((count(&house), house.store().figures().window_entries), (1, 9000));
}

/// Needs a small file system: `YMP_TEST_SMALL_DISK` names a folder on one of some 40 MiB.
#[test]
fn a_full_disk_loses_nothing_and_recovers_by_itself_when_there_is_room() {
    let Ok(small) = std::env::var("YMP_TEST_SMALL_DISK") else { return };
    let dir = tempfile::tempdir_in(small).unwrap();
    let filler = dir.path().join("filler");
    let store = open(&dir.path().join("data"), settings(), &clock()).unwrap();
    let house = House::memory();
    let text = "x".repeat(100_000);
    let append =
        |n: usize| Inbox::append(&store, house.packet("beta.test", &[(&n.to_string(), &text)]))?.wait();
    let (mut kept, mut n) = (0, 0);
    for _ in 0..3 {
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[7; 65536]).is_ok() {}
        while append(n).map(|answer| kept += answer.kept).is_ok() {
            n += 1;
        }
        assert!(matches!(store.healthy(), Err(StoreError::Doubt(_))));
        drop(file);
        fs::remove_file(&filler).unwrap();
        while store.healthy().is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for _ in 0..3 {
            kept += append(n).unwrap().kept;
            n += 1;
        }
    }
    assert_eq!(Inbox::read(&store, &service(), Cursor(0), 1_000_000, usize::MAX).unwrap().len(), n);
}
