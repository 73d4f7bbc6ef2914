//! Random walks over the same machines, further than all states can be looked at: more of everything goes wrong, and longer.
//!
//! `cargo test --lib proof::walks` walks three thousand seeds, two hosts and Mallory each (`YMP_PROOF=deep`: thirty
//! thousand). One that fails names its seed and its last steps; `YMP_WALK=<seed> cargo test --lib proof::walks -- --nocapture` walks that seed alone and tells all of it.

use std::sync::Arc;

use crate::wire::parameters::Form;

use super::{
    explore::told,
    moves::Move,
    scene::{Left, Scene},
    well::Memo,
    world::{HONEST, World},
};

const SEEDS: u64 = 3000;
const SEEDS_DEEP: u64 = 30_000;
const STEPS: usize = 200;
/// Steps that are shown of a walk that fails.
const SHOWN: usize = 40;

struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(most).unwrap()).unwrap()
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

fn scene(chance: &mut Chance) -> Scene {
    let forms =
        [[Form::Tokens; 2], [Form::State; 2], [Form::State, Form::Tokens], [Form::Tokens, Form::State]]
            [chance.below(4)];
    let mut few = || u8::try_from(chance.below(8)).unwrap();
    let bounds = Left {
        losses: few(),
        crashes: few() / 2,
        evil: 2 * few(),
        connects: [few() / 2, few() / 2],
        trysts: [few() / 3, few() / 3],
        mails: [few(), few()],
        ticks: 2 * few(),
        stumbles: few() / 2,
    };
    let yes = [chance.coin(), chance.coin()];
    let scene = Scene { yes, ..Scene::of("walk", forms, bounds) };
    let mallory_form = if chance.coin() { Form::Tokens } else { Form::State };
    let linked = forms[0] == forms[1] && chance.coin();
    let (mallory_hosts, likely, late) = (chance.coin(), chance.coin(), chance.coin());
    // A host of R1 that says 204 to grants under tokens that Mallory passed on has vouched for them: nothing is left to prove.
    let mallory_hosts = mallory_hosts && !HONEST.into_iter().any(|place| scene.vouches(place));
    let trysts = if mallory_hosts { bounds.trysts } else { [0, 0] };
    let scene = Scene { bounds: Left { trysts, ..bounds }, ..scene };
    Scene { mallory_hosts, mallory_form, likely, late, linked, ..scene }
}

/// Walks; then all is well, and both must be linked. The steps, those before all was well, and what is wrong.
fn walk(seed: u64) -> (Arc<Scene>, Vec<Move>, usize, Option<String>) {
    let mut chance = Chance(seed.wrapping_mul(2).wrapping_add(1));
    let scene = Arc::new(scene(&mut chance));
    let (mut world, mut steps) = (World::begin(&scene), Vec::new());
    while steps.len() < STEPS {
        let mut moves = world.moves();
        if moves.is_empty() {
            break;
        }
        let step = moves.swap_remove(chance.below(moves.len()));
        steps.push(step);
        world = world.after(step);
        if let Some(reason) = world.judge() {
            let then = steps.len();
            return (scene, steps, then, Some(reason));
        }
    }
    let then = steps.len();
    let wrong = Memo::default().run(&world).err().map(|(rest, reason)| {
        steps.extend(rest);
        reason
    });
    (scene, steps, then, wrong)
}

fn check(seed: u64, shown: usize) -> usize {
    let (scene, steps, then, wrong) = walk(seed);
    if let Some(reason) = wrong {
        let trace = told(&scene, &steps, then);
        let shown = trace.get(trace.len().saturating_sub(shown)..).unwrap_or_default().join("\n");
        panic!(
            "seed {seed}: {reason}\n{scene:?}\n{shown}\nthe whole of it: YMP_WALK={seed} cargo test --lib proof::walks"
        );
    }
    then
}

#[test]
fn thousands_of_hosts_walk_at_random_and_keep_every_rule() {
    if let Ok(seed) = std::env::var("YMP_WALK") {
        let seed = seed.parse().expect("YMP_WALK is a seed: a number");
        let (scene, steps, then, _) = walk(seed);
        println!("{scene:?}\n{}", told(&scene, &steps, then).join("\n"));
        check(seed, usize::MAX);
        return;
    }
    let seeds = if super::is_deep() { SEEDS_DEEP } else { SEEDS };
    let steps: usize = super::side_by_side((0..seeds).collect(), |seed| check(seed, SHOWN)).iter().sum();
    println!(
        "{seeds} walks of two hosts and Mallory, {steps} steps, and all linked at the end where a way leads"
    );
}
