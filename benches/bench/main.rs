//! The benchmark: ratios of the node against bare baselines, measured side by side on this machine.
//!
//! ```text
//! benches/run [--quick] [--only GROUP].. [--runs N] [--json FILE]
//! ```
//!
//! A figure alone holds for one machine and one hour; a ratio of two neighbours holds elsewhere too. So every row has two
//! sides, which alternate, and tells the median of their ratios with the least and the greatest. CPU time of the server's
//! process per message comes first, rates second: neighbours on the machine move them less. Servers run on core 0, the
//! load on core 1. A wrong answer or a lost message ends the run with exit code 1; a goal that was missed does not.
//!
//! - `rows`: what is measured; each file says how.
//! - `load`: the generator, `node`: the node under test, `bare`: what it is held against.
//! - `machine`, `process`, `ground`: cores, CPU time, the folder with its certificates.
//! - `figures`, `report`: medians, the table, the JSON.

mod arguments;
mod bare;
mod clock;
mod figures;
mod generator;
mod ground;
mod load;
mod machine;
mod node;
mod outcome;
mod process;
mod report;
mod rows;

use std::{fs, path::Path, process::ExitCode};

use clap::Parser as _;

use crate::{
    arguments::Arguments,
    ground::Ground,
    machine::Cores,
    outcome::{Outcome, failed},
    rows::{GROUPS, Stage},
};

/// Scratch files lie here: beside the build, on the same disk.
const SCRATCH: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench");
/// Syncs that tell what the disk does.
const SYNCS: usize = 4000;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.part.as_slice() {
        [] => run(arguments),
        part => play(part),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::progress(&format!("bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// What this program does in processes of its own.
fn play(part: &[String]) -> Outcome<()> {
    let words: Vec<_> = part.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["server", folder] => bare::server::part(Path::new(folder)),
        ["store", path, batches] => rows::append::part(true, Path::new(path), batches.parse()?),
        ["file", path, batches] => rows::append::part(false, Path::new(path), batches.parse()?),
        _ => failed(format!("there is no part {words:?}")),
    }
}

fn run(arguments: Arguments) -> Outcome<()> {
    if let Some(name) = arguments.unknown(GROUPS) {
        return failed(format!("there is no group {name}: {}", GROUPS.join(", ")));
    }
    let cores = Cores::part();
    let ground = Ground::new(Path::new(SCRATCH))?;
    machine::real_disk(ground.path())?;
    let stage = Stage { ground, cores, arguments };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&stage))
}

async fn measure(stage: &Stage) -> Outcome<()> {
    if stage.arguments.generator {
        return generator::compare(stage).await;
    }
    let began = clock::now();
    let facts = machine::facts(stage.cores, machine::sync_cost(stage.ground.path(), SYNCS)?);
    report::line(&format!("{facts:#}\n"));
    if !stage.cores.pinned {
        report::line("server and load share their cores: fewer than two, or no taskset\n");
    }
    let mut rows = Vec::new();
    for group in GROUPS.iter().filter(|group| stage.arguments.wants(group)) {
        report::progress(&format!("{:6.1} s  {group}", began.elapsed().as_secs_f64()));
        rows.extend(rows::group(stage, group).await?);
    }
    let seconds = began.elapsed().as_secs_f64();
    report::line(&report::table(&rows));
    let document = report::document(&facts, stage.arguments.runs(), seconds, &rows);
    let json = stage.arguments.json.clone().unwrap_or_else(|| stage.ground.path().join("table.json"));
    fs::write(&json, format!("{document:#}\n"))?;
    report::line(&format!("{seconds:.0} s; as JSON: {}", json.display()));
    Ok(())
}
