//! A copy of a store that runs: whole, in order, with all that was acknowledged before; or nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use ymp::{
    store::{Inbox, Outbox, Receipt, Store as _, StoreError, Vault, embedded::Embedded},
    wire::{record::VaultWrite, time::Wall},
};

use crate::{
    house::{House, clock, open, settings},
    killed::{Acknowledged, Seen, check, mails, packet, state},
    vault::{family, link},
};

/// Copies that are made under load.
const COPIES: u64 = 12;

/// What each of three writers has seen acknowledged.
#[derive(Default)]
struct Counts {
    inbox: AtomicU64,
    outbox: AtomicU64,
    vault: AtomicU64,
    over: AtomicBool,
}

impl Counts {
    fn now(&self) -> Acknowledged {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Acknowledged { inbox: read(&self.inbox), outbox: read(&self.outbox), vault: read(&self.vault) }
    }

    /// Hands over one after the other, and counts what was acknowledged.
    fn write<T>(&self, count: &AtomicU64, append: impl Fn(u64) -> Result<Receipt<T>, StoreError>) {
        for batch in 0.. {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            append(batch).unwrap().wait().unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What lies in a folder, hidden or not.
fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn embedded(house: &House) -> Embedded {
    house.store().close();
    open(house.dir(), settings(), &clock()).unwrap()
}

#[test]
fn a_copy_under_load_has_all_that_was_acknowledged_before_and_each_commit_whole() {
    const RUN: u64 = 7;
    let (house, target) = (House::embedded(), tempfile::tempdir().unwrap());
    let (store, counts) = (embedded(&house), Counts::default());
    let numbered = |batch| Vault::commit(&store, state(RUN * 1_000_000 + batch));
    let (mut last, mut at_last) = (Acknowledged::default(), None);
    thread::scope(|scope| {
        scope.spawn(|| counts.write(&counts.inbox, |batch| Inbox::append(&store, packet(RUN, batch))));
        scope.spawn(|| counts.write(&counts.outbox, |batch| Outbox::append(&store, mails(RUN, batch))));
        scope.spawn(|| counts.write(&counts.vault, numbered));
        for copy in 0..COPIES {
            thread::sleep(Duration::from_millis(30));
            let dir = target.path().join(copy.to_string());
            let before = counts.now();
            let made = store.backup(&dir, &|| true).unwrap();
            let went_on = counts.now();
            let copied = open(&dir, settings(), &clock()).unwrap();
            check(&copied, RUN, &before, &mut Seen::default());
            assert!(made.bytes > 0 && made.inbox >= before.inbox && made.outbox >= before.outbox);
            assert!(Embedded::is_backup(&dir), "until a node takes it over");
            copied.take_over().unwrap();
            assert!(!Embedded::is_backup(&dir));
            (last, at_last) = (before, Some(went_on));
        }
        counts.over.store(true, Ordering::SeqCst);
    });
    assert!(
        last.inbox > COPIES && last.outbox > COPIES && last.vault > COPIES,
        "too little happened: {last:?}"
    );
    assert!(at_last.is_some_and(|after| after.inbox > last.inbox), "the store goes on while it is copied");
    assert_eq!(entries(target.path()).len(), COPIES as usize, "nothing else was left");
    check(&store, RUN, &counts.now(), &mut Seen::default());
}

#[test]
fn a_copy_is_for_its_owner_only_and_its_tokens_open_with_its_own_key() {
    let (house, target) = (House::embedded(), tempfile::tempdir().unwrap());
    let writes = vec![
        VaultWrite::PutLink(Box::new(link("beta.test", "token-of-the-peer"))),
        VaultWrite::PutFamily(Box::new(family("peer:beta.test", 3))),
    ];
    house.write(writes);
    let wanted = house.vault();
    let dir = target.path().join("copy");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    house.store().backup(&dir, &|| true).unwrap();
    fn walk(path: &Path) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| walk(&entry.unwrap().path()));
        }
    }
    walk(&dir);
    let copied = open(&dir, settings(), &clock()).unwrap();
    assert_eq!(Vault::read(&copied).unwrap().links, wanted.links);
    assert_eq!(Vault::read(&copied).unwrap().families, wanted.families);
}

#[test]
fn a_place_that_cannot_take_a_copy_is_named_and_left_as_it_was() {
    let (house, target) = (House::embedded(), tempfile::tempdir().unwrap());
    house.queue("beta.test", &["a"]);
    let in_target = |name: &str| target.path().join(name);
    fs::create_dir(in_target("full")).unwrap();
    fs::write(in_target("full/file"), "").unwrap();
    std::os::unix::fs::symlink(in_target("nowhere"), in_target("link")).unwrap();
    let refused = |dir: &Path, words: &str| {
        let error = house.store().backup(dir, &|| true).unwrap_err();
        assert!(matches!(error, StoreError::Backup { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(&*dir.to_string_lossy()), "{text}");
    };
    refused(&in_target("full"), "not empty");
    refused(&in_target("full/file"), "no folder");
    refused(&in_target("link"), "no folder");
    refused(&in_target("none/copy"), "No such file");
    refused(Path::new("copy"), "not absolute");
    refused(Path::new("/"), "names no folder");
    refused(&house.dir().join("copy"), "in the data folder");
    refused(&house.dir().join("db/copy"), "in the data folder");
    let mut left = entries(target.path());
    left.sort();
    assert_eq!(left, ["full", "link"]);
    assert!(!entries(house.dir()).iter().any(|name| name.contains("copy")));
}

#[test]
fn a_disk_without_room_takes_no_copy_and_nothing_is_left() {
    let (mut house, target) = (House::embedded(), tempfile::tempdir().unwrap());
    house.queue("beta.test", &["a"]);
    // No disk has as much.
    house.with(|settings| settings.free_space_min = u64::MAX / 2);
    let error = house.store().backup(&target.path().join("copy"), &|| true).unwrap_err();
    assert!(error.to_string().contains("bytes are free"), "{error}");
    assert_eq!(entries(target.path()), [""; 0]);
}

#[test]
fn a_copy_that_is_given_up_leaves_nothing_and_one_that_a_crash_leaves_is_no_store() {
    let (house, target) = (House::embedded(), tempfile::tempdir().unwrap());
    house.queue("beta.test", &["a"]);
    let (dir, crashed) = (target.path().join("copy"), tempfile::tempdir().unwrap());
    let stop = || {
        let [name] = &entries(target.path())[..] else { panic!("one folder is being made") };
        assert!(name.starts_with(".copy.") && name.ends_with(".unfinished"), "{name}");
        for file in ["format", "seal.key", "backup"] {
            fs::copy(target.path().join(name).join(file), crashed.path().join(file)).unwrap();
        }
        let second = house.store().backup(&target.path().join("second"), &|| true).unwrap_err();
        assert!(second.to_string().contains("another backup is under way"), "{second}");
        false
    };
    assert!(matches!(house.store().backup(&dir, &stop), Err(StoreError::Closed)));
    assert_eq!(entries(target.path()), [""; 0]);
    let error = open(crashed.path(), settings(), &clock()).unwrap_err();
    assert!(error.to_string().contains("never finished"), "{error}");
    house.store().backup(&dir, &|| true).unwrap();
}

#[test]
fn a_store_in_doubt_or_closed_makes_no_copy_and_waits_for_none() {
    let (house, target) = (House::embedded(), tempfile::tempdir().unwrap());
    house.queue("beta.test", &["a"]);
    let dir = target.path().join("copy");
    // The commit fails while the copy is under way: the copy lets go of the database, which is then read again.
    let fail = || {
        house.fail_next_commit();
        assert!(house.send(vec![house.mail("beta.test", "b")]).is_err());
        true
    };
    let once = Arc::new(AtomicBool::new(false));
    let given_up = house.store().backup(&dir, &|| once.swap(true, Ordering::SeqCst) || fail());
    assert!(given_up.is_err() || dir.exists());
    house.recover();
    house.queue("beta.test", &["c"]);
    house.store().close();
    let closed = house.store().backup(&target.path().join("other"), &|| true);
    assert!(matches!(closed, Err(StoreError::Closed)));
    assert!(!target.path().join("other").exists());
}

#[test]
fn what_is_done_with_is_not_counted() {
    let house = House::embedded();
    let ids: Vec<_> = (0..10).map(|n| format!("m{n}")).collect();
    let messages: Vec<_> = ids.iter().map(|id| (id.as_str(), "text")).collect();
    house.arrive(house.packet("beta.test", &messages)).unwrap();
    assert!(house.acknowledge("app", 7));
    house.trim(&["app"], Wall(0));
    house.queue("beta.test", &["a", "b", "c"]);
    house.settle("beta.test", &[1], &[]);
    let outer = tempfile::tempdir().unwrap();
    let made = house.store().backup(&outer.path().canonicalize().unwrap().join("copy"), &|| true).unwrap();
    assert_eq!((made.inbox, made.outbox, made.dead), (3, 2, 0));
}
