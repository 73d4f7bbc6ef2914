//! Our own certificate, as the peer will see it when it grants, or sends.

use super::{
    step::Step,
    times::{day, days_until},
};
use crate::{
    tls::{self, Settings},
    wire::{host::OwnHost, time::Wall},
};

const CERTIFICATE: &str = "certificate";

/// What the files hold that the node shows since its start or its last SIGHUP.
pub(super) fn certificate(settings: &Settings, host: &OwnHost, now: Wall) -> Vec<Step> {
    let facts = match tls::load(settings, host, now) {
        Ok(identity) => identity.certificate,
        Err(error) => {
            let mend = "then start the node, or send it a SIGHUP; without it no peer can call back";
            return vec![Step::wrong(CERTIFICATE, format!("ours: {error}"), mend)];
        }
    };
    if !facts.covers {
        let what = format!("ours is for {}, not for {}", facts.names.join(", "), host.name());
        let mend = "get one that covers this host's name: peers refuse to call back to this one";
        return vec![Step::wrong(CERTIFICATE, what, mend)];
    }
    let days = days_until(facts.not_after, now);
    let good = format!(
        "ours, which the peer will see, is for {} until {} ({days} days)",
        host.name(),
        day(facts.not_after)
    );
    let warnings = facts.warnings.into_iter().map(|warning| Step::note(CERTIFICATE, warning));
    std::iter::once(Step::ok(CERTIFICATE, good)).chain(warnings).collect()
}
