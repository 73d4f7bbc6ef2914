//! The handshake proven: every interleaving of the real code, within bounds.
//!
//! The machines of `link` and `token` themselves (not a picture of them) run as hosts A and B against Mallory, who asks in
//! anyone's name, delays, loses and reorders what TLS does not protect, and may have a host of her own. Steps are everything
//! that may happen next (`moves`); all states within the bounds of a scene are looked at (`explore`), each is judged by the
//! rules (`rules` names them), and from each it is run what follows when all is well (`well`).
//!
//! - `cargo test --lib proof -- --nocapture` prints the table: states, depth, and the longest way to where both are linked.
//! - `YMP_PROOF=deep` looks further: each bound is one more, a quarter of an hour.
//! - `YMP_SCENE=linked` looks at the scenes with this in their names alone.
//! - That the rules see is proven by seeded faults (`token/fault`): each must be found, with its shortest trace.
//!
//! `world`: the state. `hands`, `doors`, `mishaps`: what a host's shell does, and what goes wrong. `mallory`: hers. `naming`,
//! `print`: when two states are the same.

mod doors;
mod explore;
mod hands;
mod mallory;
mod mishaps;
mod moves;
mod naming;
mod print;
mod rules;
mod scene;
mod scenes;
mod walks;
mod well;
mod words;
mod world;

use std::sync::{Arc, Mutex, PoisonError};

use crate::token::fault;
use explore::{Report, explore};

/// States of one scene at most: more is no proof that ends.
const STATES_MAX: usize = 200_000;

fn is_deep() -> bool {
    std::env::var("YMP_PROOF").is_ok_and(|depth| depth == "deep")
}

/// Does this with each, on as many threads as a small machine has.
fn side_by_side<T: Send, R: Send>(all: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let waiting = Mutex::new(all.into_iter().enumerate().rev().collect::<Vec<_>>());
    let done = Mutex::new(Vec::new());
    let run = || {
        while let Some((place, next)) = { waiting.lock().unwrap_or_else(PoisonError::into_inner).pop() } {
            let outcome = work(next);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, outcome));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(run);
        scope.spawn(run);
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn row(report: &Report) -> String {
    let Report { scene, states, steps, depth, crossed, lost, most, .. } = report;
    format!(
        "{:<36} {states:>7} {steps:>8} {depth:>5} {crossed:>8} {lost:>7} {:>4} {:>6} {:>3}  {}",
        scene.name,
        most.steps,
        most.ms,
        most.starts,
        scene.bounds.in_words(),
    )
}

#[test]
fn every_interleaving_of_every_scene_keeps_every_rule() {
    let deep = is_deep();
    let states_max = if deep { usize::MAX } else { STATES_MAX };
    let named = std::env::var("YMP_SCENE").unwrap_or_default();
    let scenes: Vec<_> = scenes::all(deep).into_iter().filter(|scene| scene.name.contains(&named)).collect();
    let reports = side_by_side(scenes, |scene| explore(&Arc::new(scene), states_max));
    println!(
        "{:<36} {:>7} {:>8} {:>5} {:>8} {:>7} {:>4} {:>6} {:>3}  bounds",
        "scene", "states", "steps", "depth", "at once", "lost", "way", "ms", "ex"
    );
    for report in &reports {
        println!("{}", row(report));
    }
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    println!(
        "all rules (a) to (i) hold in {} states ({} steps), (d) among them in {} where both had asked at once, (e) in {} \
         where an answer was lost",
        sum(|report| report.states),
        sum(|report| report.steps),
        sum(|report| report.crossed),
        sum(|report| report.lost)
    );
    for report in &reports {
        if let Some(wrong) = &report.wrong {
            panic!("{}: {}\n{}", report.scene.name, wrong.reason, wrong.trace.join("\n"));
        }
    }
}

#[test]
fn every_seeded_fault_is_seen() {
    let found = side_by_side(scenes::faults(), |(fault, scene, rule)| {
        let report = fault::with(Some(fault), || explore(&Arc::new(scene), STATES_MAX));
        (fault, rule, report)
    });
    let mut missed = Vec::new();
    for (fault, rule, report) in found {
        match report.wrong {
            Some(wrong) => {
                println!(
                    "{fault:?}: {} after {} states\n{}",
                    wrong.reason,
                    report.states,
                    wrong.trace.join("\n")
                );
                if !wrong.reason.starts_with(rule) {
                    missed.push(format!("{fault:?}: {} instead of {rule}", wrong.reason));
                }
            }
            None => missed.push(format!("{fault:?} is not seen in {} states", report.states)),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
