//! All states of a scene, breadth first: each once, with the step that led to it, so that a trace is a shortest one.
//!
//! A checker of our own: `stateright`, which does the same, cannot be had without its web server (tiny_http) and some thirty
//! crates more, and would still leave the reading of states to us.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::{
    moves::Move,
    scene::Scene,
    well::{Memo, Rest},
    world::{HONEST, World},
};

/// What a run came to.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) scene: Arc<Scene>,
    pub(super) states: usize,
    pub(super) steps: usize,
    pub(super) depth: usize,
    /// States in which both had asked at once, and such in which an answer had been lost.
    pub(super) crossed: usize,
    pub(super) lost: usize,
    /// The longest way to where both are linked.
    pub(super) most: Rest,
    /// What is wrong, with the way there.
    pub(super) wrong: Option<Wrong>,
}

#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) reason: String,
    pub(super) trace: Vec<String>,
}

struct Node {
    parent: usize,
    step: Option<Move>,
    depth: usize,
}

/// Looks at all states, at most so many.
pub(super) fn explore(scene: &Arc<Scene>, states_max: usize) -> Report {
    let start = World::begin(scene);
    let mut nodes = vec![Node { parent: 0, step: None, depth: 0 }];
    let mut seen = HashSet::from([start.print(true)]);
    let mut open = VecDeque::from([(0, start)]);
    let mut memo = Memo::default();
    let mut report = Report {
        scene: Arc::clone(scene),
        states: 0,
        steps: 0,
        depth: 0,
        crossed: 0,
        lost: 0,
        most: Rest::default(),
        wrong: None,
    };
    while let Some((place, world)) = open.pop_front() {
        report.states += 1;
        report.depth = nodes[place].depth;
        report.crossed += usize::from(world.crossed);
        report.lost += usize::from(world.lost);
        assert!(report.states <= states_max, "{}: more than {states_max} states", scene.name);
        let well = world.judge().map_or_else(|| memo.run(&world), |reason| Err((vec![], reason)));
        if let Err((rest, reason)) = well {
            let mut steps = way(&nodes, place);
            let then = steps.len();
            steps.extend(rest);
            report.wrong = Some(Wrong { reason, trace: told(scene, &steps, then) });
            break;
        }
        for step in world.moves() {
            report.steps += 1;
            let next = world.after(step);
            if seen.insert(next.print(true)) {
                nodes.push(Node { parent: place, step: Some(step), depth: nodes[place].depth + 1 });
                open.push_back((nodes.len() - 1, next));
            }
        }
    }
    report.most = memo.most;
    report
}

fn way(nodes: &[Node], mut place: usize) -> Vec<Move> {
    let mut steps = Vec::new();
    while let Some(step) = nodes[place].step {
        steps.push(step);
        place = nodes[place].parent;
    }
    steps.reverse();
    steps
}

/// The steps in words; from `then` on all is well.
pub(super) fn told(scene: &Arc<Scene>, steps: &[Move], then: usize) -> Vec<String> {
    let scene = Arc::new(Scene { told: true, ..(**scene).clone() });
    let mut world = World::begin(&scene);
    let mut lines = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        if place == then {
            lines.push("-- from here all is well, and each has a message for the other".to_owned());
            world = world.with_mail();
        }
        world = world.after(*step);
        let (first, more) = world.told.split_first().unwrap();
        lines.push(format!("{:>3}. {first}", place + 1));
        lines.extend(more.iter().map(|line| format!("       {line}")));
    }
    lines
}

impl World {
    /// Where a scene begins.
    pub(super) fn begin(scene: &Arc<Scene>) -> Self {
        let mut world = Self::new(scene);
        if scene.linked {
            // One after the other, so that both take the same exchange for the newer.
            for place in HONEST {
                world.queue(place);
                while let Some(step) =
                    world.next_well().filter(|step| *step != Move::Tick || !world.is_there())
                {
                    world = world.after(step);
                }
            }
            assert!(world.is_there() && world.flights.is_empty(), "{}: no link at the start", scene.name);
            // A minute ago, so that nothing of it is under way and nothing waits for its pace.
            world.ms += 60_000;
        }
        Self { left: scene.bounds, crossed: false, lost: false, ..world }
    }
}
