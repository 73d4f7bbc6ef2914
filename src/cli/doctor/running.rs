//! What only a running node can do or say: a real exchange, and what it knows of the link.

use reqwest::Method;

use crate::{
    cli::{
        link::Link,
        output::{CliError, Outcome},
        remote::{Call, Remote, read},
        rooms::{self, State, Step},
        watching,
    },
    wire::host::PeerHost,
};

const NEED: &str = "the app needs `admin = true`";
const LINK: &str = "link";
const AGAIN: &str = "`ymp peer retry HOST` tries at once: where it fails again, the reason above is what keeps packets from \
                     the peer; where the peer refuses them, its operator must let this host in";

/// The steps of an exchange as the node names them where one fails, and what each means where it does not.
const STEPS: [(&str, &str); 3] = [
    ("look-up", "the node knows how the peer is spoken to"),
    ("request", "the peer took the node's request"),
    ("grant", "the peer called back and granted: the node can send"),
];

/// Lets the node exchange tokens with the peer now, and tells each step when it is done.
pub(super) async fn exchange(
    remote: &Remote,
    host: &PeerHost,
    mut tell: impl FnMut(Step) -> Outcome,
) -> Outcome {
    let mut done = 0;
    let outcome = watching::exchange(remote, host, |event| match STEPS.get(done) {
        Some((name, good)) if *name == event.what => {
            done += 1;
            tell(Step::ok(name, *good))
        }
        _ => Ok(()),
    });
    let outcome = outcome.await.map(drop);
    let known: Vec<_> = STEPS.iter().take(done).map(|(name, _)| *name).collect();
    let news = |step: &Step| step.state != State::Ok || !known.contains(&step.name);
    told(outcome).into_iter().filter(news).try_for_each(tell)
}

fn told(outcome: Result<(), CliError>) -> Vec<Step> {
    let (failed, what, mend) = match outcome {
        Ok(()) => return STEPS.map(|(name, good)| Step::ok(name, good)).to_vec(),
        Err(CliError::Peer { step, what, .. }) => {
            // The node begins with what is to be done and with the step; both stand beside it here.
            let reason =
                what.split_once(&format!("{step}: ")).map_or(&*what, |(_, reason)| reason).to_owned();
            let mend = mend(&step).to_owned();
            (step, reason, mend)
        }
        Err(
            CliError::Failed { what, mend }
            | CliError::Unknown { what, mend }
            | CliError::Busy { what, mend }
            | CliError::Away { what, mend },
        ) => (String::new(), what, mend),
        Err(CliError::Said | CliError::Output(_)) => return Vec::new(),
    };
    let Some(place) = STEPS.iter().position(|(name, _)| *name == failed) else {
        return vec![Step::wrong("exchange", what, mend)];
    };
    let steps = STEPS.iter().enumerate().map(|(index, (name, good))| {
        if index < place {
            Step::ok(name, good)
        } else if index == place {
            Step::wrong(name, &what, &mend)
        } else {
            Step::skipped(name, "not reached")
        }
    });
    steps.collect()
}

fn mend(step: &str) -> &'static str {
    match step {
        "look-up" => {
            "the node looks from its own place: has it the network and the configuration of this command?"
        }
        "request" => "the node calls from its own place; where the steps above are good, look at its log",
        "grant" => {
            "the peer must be able to call us: let its operator try `ymp doctor` with our name; it may refuse us by \
             policy, not resolve our name, or not trust our certificate"
        }
        _ => "the node's log says more",
    }
}

/// What the node knows of the link; `remote` is `None` where nobody said who asks. `good`: nothing before it was wrong, so that
/// what went wrong of late follows from none of that.
pub(super) async fn link(remote: Option<&Remote>, host: &PeerHost, good: bool) -> Vec<Step> {
    let Some(remote) = remote else {
        let what = "the running node was not asked: set YMP_TOKEN to the token of an app with `admin = true`";
        return vec![Step::skipped(LINK, what)];
    };
    let path = ["peers", host.as_str()];
    match remote
        .text(Call::new(Method::GET, &path, NEED))
        .await
        .and_then(|text| read::<Link>(&text).map(|link| known(&link, good)))
    {
        Ok(steps) => steps,
        Err(CliError::Away { what, .. }) => vec![Step::skipped(LINK, what)],
        Err(CliError::Unknown { .. }) => vec![Step::ok(LINK, "the node has not met this peer yet")],
        Err(
            CliError::Failed { what, mend }
            | CliError::Busy { what, mend }
            | CliError::Peer { what, mend, .. },
        ) => {
            vec![Step::note(LINK, what).mended_by(mend)]
        }
        Err(CliError::Said | CliError::Output(_)) => Vec::new(),
    }
}

fn known(link: &Link, good: bool) -> Vec<Step> {
    let now = rooms::now();
    let paused = link.is_paused().then(|| {
        Step::wrong(LINK, "an operator paused it: nothing is sent", "`ymp peer resume HOST` sends again")
    });
    let trouble = link
        .trouble(now)
        .map(|what| if good { Step::wrong(LINK, what, AGAIN) } else { Step::note(LINK, what) });
    link.directions(now)
        .into_iter()
        .map(|(good, what)| if good { Step::ok(LINK, what) } else { Step::note(LINK, what) })
        .chain(paused)
        .chain(trouble)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(outcome: Result<(), CliError>) -> Vec<(&'static str, State)> {
        told(outcome).iter().map(|step| (step.name, step.state)).collect()
    }

    fn fails_at(step: &str) -> Result<(), CliError> {
        Err(CliError::Peer { step: step.to_owned(), what: "no".to_owned(), mend: String::new() })
    }

    #[test]
    fn an_exchange_is_told_step_by_step() {
        assert_eq!(states(Ok(())), [("look-up", State::Ok), ("request", State::Ok), ("grant", State::Ok)]);
        assert_eq!(
            states(fails_at("request")),
            [("look-up", State::Ok), ("request", State::Wrong), ("grant", State::Skipped)]
        );
        assert_eq!(
            states(fails_at("grant")),
            [("look-up", State::Ok), ("request", State::Ok), ("grant", State::Wrong)]
        );
        assert_eq!(states(fails_at("other")), [("exchange", State::Wrong)]);
        assert_eq!(states(Err(CliError::failed("no", ""))), [("exchange", State::Wrong)]);
    }
}
