//! The scenes of the proof and their bounds; and for each seeded fault the scene in which it is seen.

use crate::{token::fault::Fault, wire::parameters::Form};

use super::scene::{Left, Scene};

const R1: [Form; 2] = [Form::Tokens; 2];
const R3: [Form; 2] = [Form::State; 2];
/// A takes B for a host of R3; B takes A for one of R1.
const MIXED: [Form; 2] = [Form::State, Form::Tokens];

const NONE: Left = Left {
    losses: 0,
    crashes: 0,
    evil: 0,
    connects: [0, 0],
    trysts: [0, 0],
    mails: [0, 0],
    ticks: 0,
    stumbles: 0,
};
const BOTH: Left = Left { connects: [1, 1], ..NONE };
const ONE: Left = Left { connects: [1, 0], ..NONE };

/// Every scene; `deep`: each of its bounds is one more.
pub(super) fn all(deep: bool) -> Vec<Scene> {
    let mut all = meeting();
    all.extend(linked());
    all.extend(with_mallorys_host());
    all.extend(renewing());
    if deep {
        for scene in &mut all {
            deepen(&mut scene.bounds);
        }
    }
    all
}

fn deepen(bounds: &mut Left) {
    let Left { losses, crashes, evil, connects: _, trysts: _, mails: _, ticks: _, stumbles } = bounds;
    for bound in [losses, crashes, evil, stumbles] {
        *bound += u8::from(*bound > 0);
    }
}

/// From nothing to a link.
fn meeting() -> Vec<Scene> {
    let yes = |scene: Scene| Scene { yes: [true; 2], ..scene };
    vec![
        Scene::of("R1: both ask", R1, Left { losses: 1, crashes: 1, ..BOTH }),
        Scene::of("R1: both ask, the disk fails", R1, Left { crashes: 1, stumbles: 1, ..BOTH }),
        Scene::of("R1: both ask, Mallory too", R1, Left { evil: 1, ..BOTH }),
        Scene::of("R1: one asks", R1, Left { losses: 1, crashes: 1, evil: 1, stumbles: 1, ticks: 1, ..ONE }),
        yes(Scene::of("R1, 204 to all: one asks", R1, Left { losses: 1, evil: 1, ..ONE })),
        Scene::of("R3: both ask", R3, Left { losses: 1, crashes: 1, ..BOTH }),
        Scene::of("R3: both ask, Mallory too", R3, Left { evil: 1, losses: 1, ..BOTH }),
        yes(Scene::of("R3, 204 to all: both ask", R3, Left { losses: 1, crashes: 1, ..BOTH })),
        yes(Scene::of("R3, 204 to all: Mallory too", R3, Left { evil: 2, ..BOTH })),
        Scene::of("R1 and R3: both ask", MIXED, Left { losses: 1, crashes: 1, evil: 1, ..BOTH }),
        yes(Scene::of("R1 and R3, 204 to all", MIXED, Left { losses: 1, evil: 1, ..BOTH })),
    ]
}

/// A link that works, and what strangers can do to it.
fn linked() -> Vec<Scene> {
    let linked = |scene: Scene| Scene { linked: true, ..scene };
    let yes = |scene: Scene| Scene { yes: [true; 2], ..linked(scene) };
    let unlikely = |scene: Scene| Scene { likely: false, ..yes(scene) };
    vec![
        linked(Scene::of("R1, linked: Mallory asks", R1, Left { evil: 6, ..NONE })),
        linked(Scene::of("R1, linked: one asks anew", R1, Left { evil: 2, losses: 1, ..ONE })),
        yes(Scene::of("R1, 204 to all, linked", R1, Left { evil: 2, ..BOTH })),
        linked(Scene::of("R3, linked: Mallory asks", R3, Left { evil: 6, ..NONE })),
        yes(Scene::of("R3, 204 to all, linked", R3, Left { evil: 5, ..ONE })),
        yes(Scene::of("R3, 204 to all, linked, mail", R3, Left { evil: 4, mails: [1, 1], ..NONE })),
        unlikely(Scene::of("R3, 204 to all, linked, no address", R3, Left { evil: 5, ..ONE })),
        yes(Scene::of("R3, 204 to all, linked, restarts", R3, Left { evil: 3, crashes: 1, ..ONE })),
    ]
}

/// Mallory has a host of her own.
fn with_mallorys_host() -> Vec<Scene> {
    let of = |name, forms, mallory_form, bounds| Scene {
        mallory_hosts: true,
        mallory_form,
        ..Scene::of(name, forms, bounds)
    };
    let tryst = Left { trysts: [1, 0], ..NONE };
    vec![
        of("R1, and Mallory's host", R1, Form::Tokens, Left { evil: 3, ..tryst }),
        of("R3, and Mallory's host", R3, Form::State, Left { evil: 3, ..tryst }),
        of("R1, and Mallory's host of R3", R1, Form::State, Left { evil: 3, ..tryst }),
        Scene {
            linked: true,
            ..of("R1, linked, and Mallory's host", R1, Form::Tokens, Left { evil: 3, ..tryst })
        },
    ]
}

/// Tokens are renewed.
fn renewing() -> Vec<Scene> {
    let linked = |scene: Scene| Scene { linked: true, ..scene };
    let mail = Left { mails: [1, 0], ticks: 1, ..NONE };
    vec![
        linked(Scene::of("R1: refreshes", R1, Left { losses: 1, crashes: 1, ..mail })),
        Scene {
            late: true,
            ..linked(Scene::of("R1: late refreshes", R1, Left { losses: 1, ticks: 2, ..mail }))
        },
        linked(Scene::of("R3: exchanges anew", R3, Left { losses: 1, ..mail })),
    ]
}

/// Each fault, and where it is seen: the scene, and the letter of the rule that it breaks.
pub(super) fn faults() -> Vec<(Fault, Scene, &'static str)> {
    let host = |forms, bounds| Scene { mallory_hosts: true, ..Scene::of("fault", forms, bounds) };
    let linked = |forms, bounds| Scene { linked: true, ..Scene::of("fault", forms, bounds) };
    let yes = |forms, bounds| Scene { yes: [true; 2], ..linked(forms, bounds) };
    let tryst = Left { trysts: [1, 0], evil: 3, ..NONE };
    let renews = Left { losses: 1, mails: [1, 0], ticks: 1, ..NONE };
    vec![
        (Fault::AnyHost, host(R1, tryst), "(b)"),
        (Fault::AnyDoor, host(R1, tryst), "(a)"),
        (Fault::TakenAnyway, Scene::of("fault", R1, Left { evil: 1, ..NONE }), "(b)"),
        (Fault::OffersOpen, Scene::of("fault", R1, ONE), "(b)"),
        (Fault::Displaced, yes(R1, Left { evil: 2, ..NONE }), "(c)"),
        (Fault::UnsureIsSure, yes(R3, Left { evil: 1, ..NONE }), "(c)"),
        (Fault::AnyForm, yes(R3, Left { evil: 1, ..NONE }), "(c)"),
        (Fault::KeepsNothing, linked(R1, Left { crashes: 1, ..ONE }), "(c)"),
        (Fault::AskingStopsGranting, Scene::of("fault", R1, BOTH), "(d)"),
        (Fault::NoSecondUse, Scene::of("fault", R1, BOTH), "(c)"),
        (Fault::OldPairDies, linked(R1, renews), "(c)"),
        (Fault::RefusedIsShown, Scene { late: true, ..linked(R1, Left { ticks: 2, ..renews }) }, "(e)"),
        (Fault::NeverGivesUp, Scene::of("fault", MIXED, Left { losses: 1, ..ONE }), "(f)"),
        (Fault::TwoSuccessors, linked(R1, renews), "(g)"),
        (Fault::SpentOpens, host(R1, Left { evil: 4, ..tryst }), "(h)"),
        (Fault::NoPause, Scene::of("fault", R1, Left { connects: [2, 0], ..NONE }), "(i)"),
    ]
}
