//! `ymp demo`: the main job, shown to somebody who has just cloned.
//!
//! ```text
//!   demo --- local API --> alpha.test  <== TLS, tokens, packets ==>  beta.test <-- local API --- demo
//!            a child process, its own store                a child process, killed and started again
//! ```
//!
//! `scene` is the folder with the two configurations, `child` a node's process, `calls` what the nodes are asked,
//! `story` the steps, `proof` what
//! they prove, `stage` how they are told. The numbers in the summary are counted or measured, by
//! the demo itself or by the nodes' metrics. However it ends, the nodes end with it; the folder stays where a step
//! failed, and with `--keep`.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    output::{CliError, Out, Outcome},
    remote::block_on,
    rooms,
};
use scene::Scene;
use stage::Stage;

mod calls;
mod child;
mod proof;
mod scene;
mod stage;
mod story;

/// How often the demo begins again where another process took one of its ports.
const ATTEMPTS: u16 = 3;

/// Run two nodes for a few seconds, one of them killed on the way, and say what was proven
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  ymp demo\n  ymp demo --messages 5000\n  ymp demo --keep\n\n\
    Needs no configuration and no network: both nodes are on 127.0.0.1, in a temporary folder.\n\
    The folder is removed; where a step failed it stays and is named, and the exit code is 1.")]
pub(super) struct Demo {
    /// Messages that each node sends in each of two rounds
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=5000))]
    messages: u64,
    /// Keep the folder with configurations, stores and logs
    #[arg(long)]
    keep: bool,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

/// How a telling ended.
enum End {
    Told(Outcome),
    Interrupted,
}

impl Demo {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        out.verdict();
        block_on(async {
            let mut signals = Signals::new()?;
            let mut stage = Stage::new(out, self.json, rooms::clock());
            stage.say("ymp demo: two nodes on 127.0.0.1, each with its own store and TLS identity\n")?;
            for attempt in 1..=ATTEMPTS {
                let scene = Scene::new(attempt)?;
                let told = tokio::select! {
                    told = story::tell(&scene, self.messages, &mut stage) => End::Told(told),
                    () = signals.any() => End::Interrupted,
                };
                if attempt < ATTEMPTS && scene.lost_a_port() {
                    stage.say("another process took one of the ports: once more, with others")?;
                    continue;
                }
                return self.end(scene, told, &mut stage);
            }
            Ok(())
        })
    }

    /// The nodes have ended by now.
    fn end(&self, scene: Scene, told: End, stage: &mut Stage<'_, '_>) -> Outcome {
        let (outcome, keep) = match told {
            End::Told(Ok(())) => (Ok(()), self.keep),
            // Nobody reads any more.
            End::Told(Err(CliError::Output(error))) => return Err(CliError::Output(error)),
            End::Told(Err(error)) => {
                stage.failed(&error)?;
                (Err(CliError::Said), true)
            }
            End::Interrupted => {
                stage.say("interrupted: both nodes were ended")?;
                (Err(CliError::Said), self.keep)
            }
        };
        if keep {
            let folder = scene.keep();
            stage.kept(&folder)?;
        }
        outcome
    }
}

/// What asks the demo to end early.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| CliError::failed(format!("no signal can be waited for: {error}"), ""))
        };
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(listen);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
