//! `doctor`: the whole way to a peer, told step by step. No node is started, no store opened, no port bound.
//!
//! ```text
//!   name -> address -> tcp -> tls -> alpn -> information -> sending, receiving -> the paths -> clock;  certificate (ours)
//! ```
//!
//! `name` judges what was typed, `road` goes to the open connection, `speech` asks how the host is spoken to, `probing` knocks
//! at its paths, `times` compares clocks, `ours` looks at what the peer will see of us. Where a step is wrong, those that
//! need it are skipped. The peer is called as any call would, and harmlessly: see `client/walk`.

use crate::{
    client::{Client, Route},
    config::Config,
    node::clock,
    tls,
    wire::{
        host::{OwnHost, PeerHost},
        parameters::PinnedPaths,
        path::UrlPath,
        time::ReadClock,
    },
};

mod name;
mod ours;
mod probing;
mod road;
mod speech;
mod step;
mod teller;
mod times;

pub use step::{State, Step};
use teller::Teller;

/// What the walk came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The host, where its name is one that may be called.
    pub host: Option<PeerHost>,
    /// Whether the way is open: no step was wrong up to the paths.
    pub open: bool,
}

/// What the steps need.
struct Way {
    client: Client,
    clock: ReadClock,
    route: Route,
    pins: PinnedPaths,
    /// Our own refresh path: it says how we are spoken to.
    refresh: UrlPath,
}

/// Walks to `host`, as a person writes its name, and tells each step when it is done.
///
/// # Errors
/// What `tell` gives back: the walk ends there.
pub async fn walk<E>(
    config: &Config,
    host: &str,
    mut tell: impl FnMut(Step) -> Result<(), E>,
) -> Result<Walked, E> {
    let mut teller = Teller::new(&mut tell);
    let clock = clock::system();
    let host = name::judge(&config.node, host, &mut teller)?;
    let mut dated = None;
    if let Some(host) = &host
        && let Some(way) = prepare(config, host, &clock, &mut teller)?
        && road::take(&way, &mut teller).await?
    {
        dated = speech::ask(&way, &mut teller).await?;
    }
    let open = !teller.is_wrong();
    teller.skip_rest()?;
    teller.say(dated.as_ref().map_or_else(|| times::unknown(open), times::compare))?;
    let own: &OwnHost = &config.node.host;
    for step in ours::certificate(&config.tls, own, clock().wall) {
        teller.say(step)?;
    }
    Ok(Walked { host, open })
}

/// Whom to call, and whom to trust with it.
fn prepare<E>(
    config: &Config,
    host: &PeerHost,
    clock: &ReadClock,
    teller: &mut Teller<'_, E>,
) -> Result<Option<Way>, E> {
    let trust = match tls::trust(&config.tls) {
        Ok(trust) => trust,
        Err(error) => {
            teller.say(Step::wrong("trust", error, "mend it, then try `ymp check`"))?;
            return Ok(None);
        }
    };
    let pin = config.node.peers.get(host);
    let (trusted, pin) = (pin.is_some(), pin.cloned().unwrap_or_default());
    Ok(Some(Way {
        client: Client::new(config.client.clone(), trust, clock.clone()),
        clock: clock.clone(),
        route: Route { host: host.clone(), address: pin.address, trusted },
        pins: pin.paths,
        refresh: config.serve.paths.refresh.clone(),
    }))
}
