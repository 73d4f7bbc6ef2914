//! A store that is filled before its node starts, through the library, in a process of its own: many links,
//! long queues.
//!
//! Links are as an exchange leaves them, both ways, used and good for a day. So no exchange is due while one looks.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use bytes::Bytes;
use ymp::{
    store::{Outbox, OutboxBounds, Settings, Store, Vault, embedded::Embedded},
    wire::{
        family::{FamilyRecord, PairRecord, RefreshRecord},
        host::PeerHost,
        packet::ServiceKey,
        record::{Accepted, HeldRecord, LinkRecord, OutboxBatch, OutboxItem, VaultWrite},
        secret::{Digest, HeldToken},
        time::{Mono, Now, Wall},
    },
};

use crate::{
    clock,
    load::bodies::{Bodies, Form, digits},
    outcome::{Outcome, failed},
    process::Process,
    report,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Writes in one commit.
const BATCH: usize = 1000;

/// Opens a store as a node does.
///
/// # Errors
/// As the store says.
pub(crate) fn open(path: &Path) -> Outcome<Embedded> {
    let (began, start) = (clock::now(), clock::unix_millis());
    let now = move || {
        let since = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono: Mono(since), wall: Wall(start.saturating_add(since)) }
    };
    let outbox = OutboxBounds { messages: 10_000_000, messages_per_peer: 10_000_000 };
    Ok(Embedded::open(path, Settings { outbox, ..Settings::default() }, Arc::new(now))?)
}

/// The token that the node gave a host.
pub(crate) fn given(host: &str) -> String {
    format!("given-to-{host}-as-long-as-tokens-are-made")
}

/// The name of a host by its place.
pub(crate) fn name(place: usize) -> String {
    format!("p{place}.many.test")
}

/// Fills the store of a node that does not run: so many links, and so many messages of `from` for each of them.
///
/// # Errors
/// As the store says.
pub(crate) fn fill(data: &Path, from: &str, hosts: usize, each: u64) -> Outcome<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--part", "stock"]).arg(data).args([from, &hosts.to_string(), &each.to_string()]);
    Process::start(&mut command)?.said::<usize>("links").map(drop)
}

/// The part.
///
/// # Errors
/// As the store says.
pub(crate) fn part(data: &Path, from: &str, hosts: usize, each: u64) -> Outcome<()> {
    let names: Vec<_> = (0..hosts).map(name).collect();
    links(data, &names)?;
    mail(data, from, &names, each)?;
    report::line(&format!("done links={hosts}"));
    Ok(())
}

fn links(path: &Path, hosts: &[String]) -> Outcome<()> {
    let store = open(path)?;
    for hosts in hosts.chunks(BATCH) {
        let mut writes = Vec::with_capacity(2 * BATCH);
        for host in hosts {
            let now = Wall(clock::unix_millis());
            writes.push(VaultWrite::PutLink(Box::new(link(host, now)?)));
            writes.push(VaultWrite::PutFamily(Box::new(family(host, now))));
        }
        store.commit(writes)?.wait()?;
    }
    store.close();
    Ok(())
}

fn link(host: &str, now: Wall) -> Outcome<LinkRecord> {
    let held = HeldRecord {
        token: HeldToken::parse(&format!("held-of-{host}-as-long-as-tokens-are-made"))?,
        refresh: Some(HeldToken::parse(&format!("refresh-of-{host}-as-long-as-tokens-are-made"))?),
        dated: false,
        received: now,
        expires: now.plus(DAY),
        confirmed: true,
        sure: true,
    };
    Ok(LinkRecord {
        host: PeerHost::parse(host)?,
        held: vec![held],
        repeats: Vec::new(),
        tries: 0,
        failures: 0,
        heard: Some(now),
        succeeded: Some(now),
        failed: None,
        published: None,
        paused: false,
        condemned: 0,
    })
}

fn family(host: &str, now: Wall) -> FamilyRecord {
    let digest = Digest::of(format!("refresh-{host}").as_bytes());
    FamilyRecord {
        subject: format!("peer:{host}"),
        id: 1,
        opened: now,
        offered: false,
        closed: None,
        revoked: false,
        unsure: false,
        current: PairRecord {
            step: 0,
            access: Digest::of(given(host).as_bytes()),
            access_until: now.plus(DAY),
            refresh: Some(RefreshRecord { digest, until: now.plus(DAY) }),
            used: true,
        },
        previous: None,
        lingering: Vec::new(),
        spent: Vec::new(),
    }
}

fn mail(path: &Path, from: &str, hosts: &[String], each: u64) -> Outcome<()> {
    let store = open(path)?;
    for (place, host) in hosts.iter().enumerate() {
        let bodies = Bodies::weighing(Form::Submission, 1, 516, from, host);
        let first = place as u64 * each;
        let numbers: Vec<_> = (first..first + each).collect();
        for numbers in numbers.chunks(BATCH) {
            let items = numbers.iter().map(|number| item(&bodies, host, *number));
            let batch = OutboxBatch {
                items: items.collect::<Outcome<Vec<_>>>()?,
                queued: Wall(clock::unix_millis()),
            };
            let Accepted::All { .. } = Outbox::append(&store, batch)?.wait()? else {
                return failed("an id stands twice");
            };
        }
    }
    store.close();
    Ok(())
}

fn item(bodies: &Bodies, host: &str, number: u64) -> Outcome<OutboxItem> {
    let mut raw = Vec::with_capacity(512);
    bodies.message(number, &mut raw);
    Ok(OutboxItem {
        id: format!("m{}", String::from_utf8_lossy(&digits(number))).into(),
        host: PeerHost::parse(host)?,
        own: None,
        sender: ServiceKey::new("example", "form"),
        content: *Digest::of(&raw).as_bytes(),
        raw: Bytes::from(raw),
        expires: Wall(clock::unix_millis()).plus(7 * DAY),
        tries_before: 0,
    })
}
