//! What becomes of a state when all is well from there: nothing is lost, nobody restarts, Mallory rests, and the clock goes on
//! when nothing else can happen. Each end has a message for the other: when both are there, both ends are linked.
//!
//! The order is fixed (writes, then what is under way, then the clock), so every state has one future, and futures that meet
//! are one: each state is run once (`Memo`).

use std::collections::{HashMap, HashSet};

use super::{moves::Move, naming::Print, world::*};

/// Steps until both are linked at most.
const STEPS_MAX: usize = 400;
/// Virtual time until both are linked at most.
const TIME_MAX_MS: u64 = 600_000;
/// Refreshes and exchanges until both are linked at most, of both hosts together.
const STARTS_MAX: u32 = 12;

/// Within the time of what is under way (`UNDER_WAY`), and after it; before the tokens are renewed.
const LATER_MS: [u64; 2] = [20_000, 60_000];

/// What is left until both are linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) steps: usize,
    pub(super) ms: u64,
    pub(super) starts: u32,
}

/// Futures that are known.
#[derive(Debug, Default)]
pub(super) struct Memo {
    known: HashMap<Print, Rest>,
    /// States that were run, whatever the explorer might still have done in them.
    run: HashSet<Print>,
    /// The longest of each.
    pub(super) most: Rest,
}

impl World {
    /// Which ways a message can go at all.
    pub(super) fn ways(&self) -> impl Iterator<Item = Place> + use<> {
        let open = HONEST.map(|place| self.scene.is_way(place));
        HONEST.into_iter().filter(move |place| open[*place])
    }

    pub(super) fn is_there(&self) -> bool {
        self.ways().all(|place| self.side(place, 1 - place).outbox.is_empty())
    }

    /// Each end has a message for the other one.
    pub(super) fn with_mail(&self) -> Self {
        let mut next = self.clone();
        for place in self.ways() {
            if next.side(place, 1 - place).outbox.is_empty() {
                next.queue(place);
            }
        }
        next
    }

    /// What happens next when all is well.
    pub(super) fn next_well(&self) -> Option<Move> {
        if let Some(place) = HONEST.into_iter().find(|place| !self.hosts[*place].jobs.is_empty()) {
            return Some(Move::Commit(place));
        }
        let arrives = |flight: &Flight| match &flight.cargo {
            Cargo::Call(call, _) => !self.waits(flight.to, call),
            Cargo::Answer(..) => true,
        };
        let flight = self.flights.iter().position(|flight| arrives(flight)).map(Move::Deliver);
        flight.or_else(|| self.next_wake().map(|_| Move::Tick))
    }

    /// Whether a packet is refused, but for a token that came with a forged request: a host of R1 that says 204 to such a grant
    /// causes that itself.
    fn is_refusal(&self, step: Move) -> bool {
        let Move::Deliver(place) = step else { return false };
        let Flight { from, cargo, .. } = &*self.flights[place];
        let refused = matches!(cargo, Cargo::Answer(Back { of: What::Packet, .. }, Answered::Status(401)));
        refused && !self.stale && !self.scene.vouches(*from)
    }

    /// Both ends are not linked, and which rule says that they should be.
    fn stuck(&self, moves: &[Move], why: &str) -> (Vec<Move>, String) {
        let rule = match (self.crossed, self.lost) {
            (true, _) => "(d) both asked at once",
            (false, true) => "(e) an answer was lost",
            (false, false) => "(f) all was well",
        };
        (moves.to_vec(), format!("{rule}, and both ends are not linked: {why}"))
    }

    fn starts(&self) -> u32 {
        HONEST.into_iter().map(|place| self.side(place, 1 - place).starts).sum()
    }
}

impl Memo {
    /// Whether both are linked in time when all is well from here; `Err` is the way there, and what is wrong.
    pub(super) fn run(&mut self, from: &World) -> Result<(), (Vec<Move>, String)> {
        if !self.run.insert(from.print(false)) {
            return Ok(());
        }
        let mut world = from.with_mail();
        let (mut passed, mut moves) = (Vec::new(), Vec::new());
        let (first_ms, first_starts) = (world.ms, world.starts());
        let end = loop {
            let print = world.print(false);
            let here = Rest { steps: moves.len(), ms: world.ms, starts: world.starts() };
            if world.is_there() {
                if self.known.insert(print, Rest::default()).is_none() {
                    stays(world, &mut moves)?;
                }
                break (here, Rest::default());
            }
            if let Some(rest) = self.known.get(&print) {
                break (here, *rest);
            }
            if let Some(reason) = world.judge() {
                return Err((moves, reason));
            }
            passed.push((print, here));
            let step = world.next_well().ok_or_else(|| world.stuck(&moves, "nothing happens any more"))?;
            moves.push(step);
            if moves.len() > STEPS_MAX || world.ms - first_ms > TIME_MAX_MS {
                return Err(world.stuck(&moves, "it takes too long"));
            }
            if world.starts() - first_starts > STARTS_MAX {
                return Err(world.stuck(&moves, "refreshes and exchanges go on and on"));
            }
            world = world.after(step);
        };
        let (here, rest) = end;
        let left = |at: Rest| Rest {
            steps: here.steps - at.steps + rest.steps,
            ms: here.ms - at.ms + rest.ms,
            starts: here.starts - at.starts + rest.starts,
        };
        self.known.extend(passed.into_iter().map(|(print, at)| (print, left(at))));
        let whole = left(Rest { steps: 0, ms: first_ms, starts: first_starts });
        self.judge(from, whole).map_err(|reason| (moves, reason))?;
        self.most.steps = self.most.steps.max(whole.steps);
        self.most.ms = self.most.ms.max(whole.ms);
        self.most.starts = self.most.starts.max(whole.starts);
        Ok(())
    }

    fn judge(&self, from: &World, rest: Rest) -> Result<(), String> {
        if rest.steps > STEPS_MAX || rest.ms > TIME_MAX_MS {
            return Err("(f) both ends are not linked in time".to_owned());
        }
        if rest.starts > STARTS_MAX {
            return Err("(i) refreshes and exchanges go on and on".to_owned());
        }
        // Strangers alone do not make a link that works wait, nor exchange anew.
        let calm = from.scene.linked && from.scene.is_calm();
        if calm && (rest.ms > 0 || rest.starts > 0) {
            return Err("(c) mail of a link that works waits for what a stranger did".to_owned());
        }
        Ok(())
    }
}

/// What was a link is one while packets may still be under way, and after that: no packet is refused then.
fn stays(mut world: World, moves: &mut Vec<Move>) -> Result<(), (Vec<Move>, String)> {
    let start = world.ms;
    for later in LATER_MS {
        let ms = start + later;
        while let Some(step) =
            world.next_well().filter(|step| *step != Move::Tick || world.next_wake_ms() <= Some(ms))
        {
            world = go(&world, step, moves)?;
        }
        world = go(&world, Move::Later(ms), moves)?;
        while !world.is_there() {
            let step = world.next_well().ok_or_else(|| world.stuck(moves, "nothing happens any more"))?;
            let is_refused = later == LATER_MS[1] && world.is_refusal(step);
            world = go(&world, step, moves)?;
            if is_refused {
                return Err((moves.clone(), "(d) what was a link is none a minute later".to_owned()));
            }
        }
    }
    Ok(())
}

fn go(world: &World, step: Move, moves: &mut Vec<Move>) -> Result<World, (Vec<Move>, String)> {
    moves.push(step);
    let next = world.after(step);
    if moves.len() > 2 * STEPS_MAX {
        return Err(world.stuck(moves, "it takes too long"));
    }
    next.judge().map_or(Ok(next), |reason| Err((moves.clone(), reason)))
}
