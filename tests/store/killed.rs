//! A process that is killed at any moment, hundreds of times, over one folder.
//!
//! This binary starts itself as a child. The child writes batches whose content follows from the run and the batch's
//! number, with several under way, and prints each receipt. The parent kills it (SIGKILL), opens the folder and checks:
//! what was acknowledged is there; what is there is whole batches, in order, each once, without a gap; the two halves of
//! a commit of small state agree; repeats are recognised. A kill may also fall into opening and reading again.

use std::{
    collections::VecDeque,
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use ymp::{
    store::{Inbox, Outbox, Receipt, Store as _, StoreError, Vault, embedded::Embedded},
    wire::{
        cursor::Cursor,
        record::{Accepted, InboxBatch, MessageState, OutboxBatch, OutboxItem, Seq, Settlement, VaultWrite},
        time::Wall,
    },
};

use crate::{
    house::{clock, host, item, open, service, settings},
    vault::{family, link},
};

const KILLS: u64 = 250;
/// ... of them over one folder, which then is left, since reading ever more again takes the test's time.
const KILLS_PER_FOLDER: u64 = 25;
const SEED: u64 = 0x5eed_0001;
/// Batches that the child has under way.
const UNDER_WAY: usize = 6;

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// How many messages a batch has, and what they say: follows from its name.
fn messages(kind: char, run: u64, batch: u64) -> Vec<(String, String)> {
    let mut dice = Dice(run * 1_000_003 + batch);
    let count = 1 + dice.roll(6);
    let name = |part| format!("{kind}-{run}-{batch}-{part}");
    (0..count).map(|part| (name(part), name(part).repeat(1 + dice.roll(60) as usize))).collect()
}

pub(crate) fn packet(run: u64, batch: u64) -> InboxBatch {
    let items = messages('i', run, batch).iter().map(|(id, text)| item("chat", "room", id, text)).collect();
    let mut mark = family("app:mark", run);
    mark.opened = Wall(batch);
    let marks = vec![VaultWrite::PutFamily(Box::new(mark))];
    InboxBatch { from: Some(host("beta.test")), received: Wall(crate::house::START), items, marks }
}

pub(crate) fn mails(run: u64, batch: u64) -> OutboxBatch {
    let mail = |(id, text): (String, String)| OutboxItem {
        id: id.into(),
        host: host("gamma.test"),
        own: None,
        sender: service(),
        raw: text.into_bytes().into(),
        content: [7; 32],
        expires: Wall(u64::MAX),
        tries_before: 0,
    };
    OutboxBatch { items: messages('o', run, batch).into_iter().map(mail).collect(), queued: Wall(1) }
}

/// A link and a family that say the same.
pub(crate) fn state(number: u64) -> Vec<VaultWrite> {
    let (mut link, mut family) = (link("delta.test", "token"), family("app:state", 1));
    (link.tries, family.opened) = (number, Wall(number));
    vec![VaultWrite::PutLink(Box::new(link)), VaultWrite::PutFamily(Box::new(family))]
}

type Waiting = (char, u64, Box<dyn FnOnce() -> Result<(), StoreError>>);

fn waiting<T: 'static>(kind: char, batch: u64, receipt: Receipt<T>) -> Waiting {
    (kind, batch, Box::new(move || receipt.wait().map(drop)))
}

#[test]
fn child_that_is_killed() {
    let (Ok(dir), Ok(run)) = (env::var("YMP_TEST_STORE_DIR"), env::var("YMP_TEST_STORE_RUN")) else { return };
    let run: u64 = run.parse().unwrap();
    let store = open(Path::new(&dir), settings(), &clock()).unwrap();
    let mut under_way: VecDeque<Waiting> = VecDeque::new();
    for batch in 0.. {
        under_way.push_back(waiting('i', batch, Inbox::append(&store, packet(run, batch)).unwrap()));
        under_way.push_back(waiting('o', batch, Outbox::append(&store, mails(run, batch)).unwrap()));
        under_way.push_back(waiting(
            'v',
            batch,
            Vault::commit(&store, state(run * 1_000_000 + batch)).unwrap(),
        ));
        while under_way.len() >= UNDER_WAY {
            let (kind, batch, wait) = under_way.pop_front().unwrap();
            wait().unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "ack {kind} {batch}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// What one child said was kept: how many batches of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acknowledged {
    pub(crate) inbox: u64,
    pub(crate) outbox: u64,
    pub(crate) vault: u64,
}

/// Kills the child `after` its first receipt, or after its start.
fn run_and_kill(dir: &Path, run: u64, wait_for_receipt: bool, after: Duration) -> Acknowledged {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed::child_that_is_killed", "--nocapture", "--test-threads=1"])
        .env("YMP_TEST_STORE_DIR", dir)
        .env("YMP_TEST_STORE_RUN", run.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut text, mut lines) = (String::new(), BufReader::new(child.stdout.take().unwrap()));
    while wait_for_receipt && !text.contains("ack ") && lines.read_line(&mut text).unwrap() > 0 {}
    thread::sleep(after);
    child.kill().unwrap();
    lines.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "run {run}: {output:?}");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut said = Acknowledged::default();
    // The test runner's own words stand before the first.
    for (_, line) in whole.lines().filter_map(|line| line.split_once("ack ")) {
        let (kind, batch) = line.split_once(' ').unwrap();
        let count = match kind {
            "i" => &mut said.inbox,
            "o" => &mut said.outbox,
            _ => &mut said.vault,
        };
        assert_eq!(batch.parse::<u64>().unwrap(), *count, "receipts come in order");
        *count += 1;
    }
    said
}

/// Whole batches from the first on, and nothing else; answers how many.
fn whole_batches(kind: char, run: u64, found: &[(String, String)]) -> u64 {
    let (mut rest, mut batch) = (found, 0);
    while !rest.is_empty() {
        let expected = messages(kind, run, batch);
        assert!(
            rest.starts_with(&expected),
            "run {run}: {kind} batch {batch} is not whole: {:?}",
            rest.first()
        );
        rest = &rest[expected.len()..];
        batch += 1;
    }
    batch
}

/// The name in a message of ours: its text is its id, some times over.
fn named(raw: &[u8]) -> (String, String) {
    let text = String::from_utf8(raw.to_vec()).unwrap();
    let kind = text.chars().next().unwrap();
    let id = text[1..].find(kind).map_or(text.as_str(), |end| &text[..=end]);
    (id.to_owned(), text)
}

/// What the checks have seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    cursor: u64,
    seq: u64,
    vault: u64,
}

pub(crate) fn check(store: &Embedded, run: u64, said: &Acknowledged, seen: &mut Seen) -> u64 {
    let entries = Inbox::read(store, &service(), Cursor(seen.cursor), usize::MAX, usize::MAX).unwrap();
    let kept = whole_batches('i', run, &entries.iter().map(|entry| named(&entry.raw)).collect::<Vec<_>>());
    assert!(kept >= said.inbox, "run {run}: {kept} of {said:?}");
    for entry in &entries {
        seen.cursor += 1;
        assert_eq!(entry.cursor, Cursor(seen.cursor), "no cursor is left out or given twice");
    }

    let mails = store.load(&host("gamma.test"), Seq(seen.seq), usize::MAX, usize::MAX).unwrap();
    let queued = whole_batches('o', run, &mails.iter().map(|mail| named(&mail.raw)).collect::<Vec<_>>());
    assert!(queued >= said.outbox, "run {run}: {queued} of {said:?}");
    seen.seq = mails.last().map_or(seen.seq, |mail| mail.seq.0);
    let in_memory = store.waiting_for(&host("gamma.test")).map_or(0, |waiting| waiting.messages);
    assert_eq!(in_memory, mails.len() as u64, "all of earlier runs was settled");

    let contents = Vault::read(store).unwrap();
    let mark = contents.families.iter().find(|family| family.subject == "app:mark" && family.id == run);
    assert_eq!(mark.map(|family| family.opened.0), kept.checked_sub(1), "the mark of the last packet");
    let tries = contents.links.first().map_or(0, |link| link.tries);
    let opened =
        contents.families.iter().find(|family| family.subject == "app:state").map_or(0, |f| f.opened.0);
    assert_eq!(tries, opened, "run {run}: one commit, two records");
    let least = if said.vault > 0 { run * 1_000_000 + said.vault - 1 } else { seen.vault };
    assert!(tries >= least, "run {run}: {tries} of {said:?}");
    seen.vault = tries;
    kept
}

/// Repeats are recognised; then room is made, which the next run must not undo.
fn repeat_and_clear(store: &Embedded, run: u64, kept: u64, seen: &Seen) {
    for batch in (0..kept).rev().take(3) {
        let answer = Inbox::append(store, packet(run, batch)).unwrap().wait().unwrap();
        assert_eq!((answer.kept, answer.altered), (0, vec![]), "run {run} batch {batch}");
    }
    let mails = store.load(&host("gamma.test"), Seq(0), usize::MAX, usize::MAX).unwrap();
    if let Some(last) = mails.last() {
        let item = OutboxItem { id: last.id.clone(), ..mails_item(&last.id, &last.raw) };
        let again = Outbox::append(store, OutboxBatch { items: vec![item], queued: Wall(1) })
            .unwrap()
            .wait()
            .unwrap();
        assert_eq!(again, Accepted::All { states: vec![MessageState::Queued], fresh: 0 });
    }
    let delivered = mails.iter().map(|mail| mail.seq).collect();
    let (now, dead, marks) = (Wall(run), vec![], vec![]);
    let settlement = Settlement { host: host("gamma.test"), now, tries: 0, delivered, dead, marks };
    store.settle(settlement).unwrap().wait().unwrap();
    if run.is_multiple_of(5) {
        assert!(store.acknowledge("x", &service(), Cursor(seen.cursor)).unwrap().wait().unwrap());
        store.trim(&service(), &["x".to_owned()], Wall(0)).unwrap().wait().unwrap();
        store.prune(Wall(run)).unwrap().wait().unwrap();
    }
}

fn mails_item(id: &str, raw: &[u8]) -> OutboxItem {
    OutboxItem { id: id.into(), raw: raw.to_vec().into(), ..mails(0, 0).items.remove(0) }
}

//= HT-PKT-15, HT-CRASH-06
#[test]
fn nothing_that_was_acknowledged_is_lost_to_a_kill() {
    let (mut dir, mut dice) = (tempfile::tempdir().unwrap(), Dice(SEED));
    let (mut seen, mut total) = (Seen::default(), Acknowledged::default());
    for run in 1..=KILLS {
        if run.is_multiple_of(KILLS_PER_FOLDER) {
            (dir, seen) = (tempfile::tempdir().unwrap(), Seen::default());
        }
        // One of four falls into opening and reading again, the others into writing.
        let said = match run % 4 {
            0 => run_and_kill(dir.path(), run, false, Duration::from_millis(2 + dice.roll(40))),
            _ => run_and_kill(dir.path(), run, true, Duration::from_micros(dice.roll(15_000))),
        };
        let store = open(dir.path(), settings(), &clock()).unwrap();
        let kept = check(&store, run, &said, &mut seen);
        repeat_and_clear(&store, run, kept, &seen);
        store.close();
        total.inbox += said.inbox;
        total.outbox += said.outbox;
        total.vault += said.vault;
    }
    println!("{KILLS} kills, acknowledged batches: {total:?}");
    assert!(
        total.inbox > KILLS && total.outbox > KILLS && total.vault > KILLS,
        "too little happened: {total:?}"
    );
}
