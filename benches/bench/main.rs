//! The benchmark: ratios of the node against bare baselines, measured side by side on this machine.
//!
//! ```text
//! benches/run [--quick] [--curves] [--only NAME].. [--runs N] [--json FILE] [--picture FILE [--from JSON]..]
//! ```
//!
//! A figure alone holds for one machine and one hour; a ratio of two neighbours holds elsewhere too. So every row has two
//! sides, which alternate, and tells the median of their ratios with the least and the greatest. CPU time of the server's
//! process per message comes first, rates second: neighbours on the machine move them less. Servers run on core 0, the
//! load on core 1. A wrong answer or a lost message ends the run with exit code 1; a goal that was missed does not.
//!
//! - `rows`: what is measured; each file says how. `curves`: how figures go as something grows.
//! - `load`: the generator, `node`: the node under test, `bare`: what it is held against.
//! - `machine`, `process`, `ground`: cores, CPU time, the folder with its certificates.
//! - `figures`, `report`, `picture`: medians, the table, the JSON, the curves as SVG.

mod arguments;
mod bare;
mod clock;
mod curves;
mod figures;
mod generator;
mod ground;
mod load;
mod machine;
mod node;
mod outcome;
mod picture;
mod process;
mod report;
mod rows;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Parser as _;
use serde_json::{Value, json};

use crate::{
    arguments::Arguments,
    curves::CURVES,
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
        [] if !arguments.from.is_empty() => redraw(&arguments),
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
        ["stock", data, from, hosts, each] => {
            node::stock::part(Path::new(data), from, hosts.parse()?, each.parse()?)
        }
        _ => failed(format!("there is no part {words:?}")),
    }
}

fn run(arguments: Arguments) -> Outcome<()> {
    let groups = if arguments.curves { CURVES } else { GROUPS };
    if let Some(name) = arguments.unknown(groups) {
        return failed(format!("there is no {name}: {}", groups.join(", ")));
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
    if stage.arguments.curves {
        return curves(stage, began, facts).await;
    }
    let mut rows = Vec::new();
    for group in GROUPS.iter().filter(|group| stage.arguments.wants(group)) {
        report::progress(&format!("{:6.1} s  {group}", began.elapsed().as_secs_f64()));
        rows.extend(rows::group(stage, group).await?);
    }
    let seconds = began.elapsed().as_secs_f64();
    report::line(&report::table(&rows));
    keep(stage, seconds, &report::document(&facts, stage.arguments.runs(), seconds, &rows))
}

async fn curves(stage: &Stage, began: Instant, facts: Value) -> Outcome<()> {
    let mut points = Vec::new();
    for curve in CURVES.iter().filter(|curve| stage.arguments.wants(curve)) {
        report::progress(&format!("{:6.1} s  {curve}", began.elapsed().as_secs_f64()));
        for point in curves::curve(stage, curve).await? {
            report::line(&point.line());
            points.push(point.json());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let document = json!({"machine": facts, "seconds": seconds, "points": points});
    keep(stage, seconds, &document)?;
    draw(&stage.arguments, &[document])
}

/// The picture of runs that were kept.
fn redraw(arguments: &Arguments) -> Outcome<()> {
    let read = |path: &PathBuf| -> Outcome<Value> {
        let named = |why: String| format!("{}: {why}", path.display());
        let text = fs::read(path).map_err(|error| named(error.to_string()))?;
        Ok(serde_json::from_slice(&text).map_err(|error| named(error.to_string()))?)
    };
    let documents = arguments.from.iter().map(read).collect::<Outcome<Vec<_>>>()?;
    draw(arguments, &documents)
}

fn draw(arguments: &Arguments, documents: &[Value]) -> Outcome<()> {
    let Some(path) = &arguments.picture else { return Ok(()) };
    fs::write(path, picture::picture(documents)?)?;
    report::line(&format!("as a picture: {}", path.display()));
    Ok(())
}

fn keep(stage: &Stage, seconds: f64, document: &Value) -> Outcome<()> {
    let json = stage.arguments.json.clone().unwrap_or_else(|| stage.ground.path().join("table.json"));
    fs::write(&json, format!("{document:#}\n"))?;
    report::line(&format!("{seconds:.0} s; as JSON: {}", json.display()));
    Ok(())
}
