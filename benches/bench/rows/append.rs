//! Appending to an inbox in batches, each recognised and synced before the next, against a plain file that grows.
//!
//! Both write the same messages, one batch under way, each in a process of its own on the servers' core. The store is driven
//! by the library: `Embedded`, `Inbox::append`. It is opened again afterwards and must hold everything in order.

use std::{fs, path::Path};

use bytes::Bytes;
use ymp::{
    store::{Inbox, Store},
    wire::{
        cursor::Cursor,
        host::PeerHost,
        packet::{ServiceKey, content_sum},
        record::{InboxBatch, InboxItem},
        time::Wall,
    },
};

use super::{PEER, Stage};
use crate::{
    bare::file,
    clock,
    figures::{Series, figure},
    load::bodies::{Bodies, Form, digits},
    node::stock,
    outcome::{Outcome, failed},
    process::{Process, cpu_of},
    report::{self, Goal, Row},
};

/// Messages in a batch.
const BATCH: u64 = 128;
const BATCHES: u64 = 2000;
/// What one read brings at most.
const READ_BYTES: usize = 8 << 20;

/// The rows.
pub(super) fn rows(stage: &Stage) -> Outcome<Vec<Row>> {
    let batches = stage.arguments.count(BATCHES);
    let mut figures: [Series; 4] = Default::default();
    for run in 0..stage.arguments.runs() {
        for (side, part) in ["store", "file"].into_iter().enumerate() {
            let path = stage.ground.path().join(format!("append-{part}-{run}"));
            let mut command = stage.cores.server(&std::env::current_exe()?);
            command.args(["--part", part]).arg(&path).arg(batches.to_string());
            let process = Process::start(&mut command)?;
            figures[side].push(figure(batches * BATCH) / process.said::<f64>("seconds")?);
            figures[side + 2].push(process.said::<f64>("cpu")? / figure(batches * BATCH));
        }
    }
    let [node_rate, bare_rate, node_cpu, bare_cpu] = figures;
    Ok(vec![
        Row {
            name: "append",
            what: "messages a second into an inbox, batches of 128, one after the other: store over plain file",
            unit: "messages/s",
            node: node_rate,
            bare: bare_rate,
            goal: Goal::AtLeast(0.6, 0.8),
        },
        Row {
            name: "append-cpu",
            what: "the same, CPU per message",
            unit: "us CPU/msg",
            node: node_cpu,
            bare: bare_cpu,
            goal: Goal::None,
        },
    ])
}

/// The part: appends, and says how long it took and what CPU, in seconds and microseconds.
///
/// # Errors
/// What was appended is not there.
pub(crate) fn part(store: bool, path: &Path, batches: u64) -> Outcome<()> {
    let bodies = Bodies::new(Form::Packet, 1, PEER, super::NODE);
    let before = cpu_of(std::process::id())?;
    let seconds =
        if store { append(path, &bodies, batches)? } else { file::append(path, &bodies, batches, BATCH)? };
    let cpu = cpu_of(std::process::id())? - before;
    if store {
        all_there(path, batches * BATCH)?;
        fs::remove_dir_all(path)?;
    }
    report::line(&format!("done seconds={seconds} cpu={cpu}"));
    Ok(())
}

fn service() -> ServiceKey {
    ServiceKey::new("example", "form")
}

fn append(path: &Path, bodies: &Bodies, batches: u64) -> Outcome<f64> {
    let store = stock::open(path)?;
    let (from, service) = (PeerHost::parse(PEER)?, service());
    let began = clock::now();
    for first in (0..batches).map(|batch| batch * BATCH) {
        let item = |number| {
            let mut raw = Vec::with_capacity(512);
            bodies.message(number, &mut raw);
            let id = std::str::from_utf8(&digits(number))?.into();
            // As a node finds a body to be UTF-8.
            let content_sum = content_sum(&[], std::str::from_utf8(&raw)?);
            Ok(InboxItem { service: service.clone(), id, raw: Bytes::from(raw), content_sum })
        };
        let items = (first..first + BATCH).map(item).collect::<Outcome<Vec<_>>>()?;
        let received = Wall(clock::unix_millis());
        let batch = InboxBatch { from: Some(from.clone()), received, items, marks: Vec::new() };
        let appended = Inbox::append(&store, batch)?.wait()?;
        if u64::try_from(appended.kept)? != BATCH {
            return failed(format!("a batch kept {} of {BATCH}", appended.kept));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    store.close();
    Ok(seconds)
}

fn all_there(path: &Path, count: u64) -> Outcome<()> {
    let (store, service) = (stock::open(path)?, service());
    let (mut next, mut after) = (0, Cursor(0));
    loop {
        let entries = Inbox::read(&store, &service, after, 10_000, READ_BYTES)?;
        let Some(last) = entries.last() else { break };
        after = last.cursor;
        for entry in &entries {
            if !entry.raw.windows(19).any(|window| window == digits(next)) {
                return failed(format!("message {next} is not where it should be"));
            }
            next += 1;
        }
    }
    store.close();
    if next == count { Ok(()) } else { failed(format!("the store holds {next} messages of {count}")) }
}
