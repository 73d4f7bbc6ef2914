//! The handshake proven: every interleaving of the real code, within bounds.
mod doors;
mod explore;
mod hands;
mod mallory;
mod moves;
mod naming;
mod rules;
mod scene;
mod well;
mod world;

use std::sync::Arc;

use crate::wire::parameters::Form;
use explore::explore;
use scene::{Left, Scene};

/// A scene from the environment, for trying: `form,form,yes,mallory_hosts,linked,likely,late,losses,crashes,evil,c0,c1,t0,m0,m1,ticks,stumbles`.
#[test]
fn tries() {
    let Ok(text) = std::env::var("TRY") else { return };
    let n: Vec<u8> = text.split(',').map(|n| n.parse().unwrap()).collect();
    let form = |n: u8| if n == 0 { Form::Tokens } else { Form::State };
    let bounds = Left {
        losses: n[7],
        crashes: n[8],
        evil: n[9],
        connects: [n[10], n[11]],
        trysts: [n[12], 0],
        mails: [n[13], n[14]],
        ticks: n[15],
        stumbles: n[16],
    };
    let mut scene = Scene::of("try", [form(n[0]), form(n[1])], bounds);
    scene.yes = [n[2] & 1 == 1, n[2] & 2 == 2];
    scene.mallory_hosts = n[3] > 0;
    scene.mallory_form = form(n[3].saturating_sub(1));
    scene.linked = n[4] == 1;
    scene.likely = n[5] == 1;
    scene.late = n[6] == 1;
    let report = explore(&Arc::new(scene), 3_000_000);
    println!(
        "{text}: {} states {} steps depth {} most {:?} crossed {} lost {}",
        report.states, report.steps, report.depth, report.most, report.crossed, report.lost
    );
    if let Some(wrong) = report.wrong {
        println!("WRONG {}\n{}", wrong.reason, wrong.trace.join("\n"));
    }
}
