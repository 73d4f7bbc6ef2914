//! What this host shows to peers and whom it trusts, while it runs.
//!
//! The files are looked at from time to time (`peer.certificate-check`): renewals happen without anybody telling the node. What
//! cannot be used, as a pair of which the other half is not written yet, is said once and looked at again. The end of the
//! certificate is a metric, and from two weeks ahead a line a day.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    config::{
        Config,
        finding::{Finding, Findings},
    },
    tls::{self, Identity, Sight},
    wire::time::{Now, Wall},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Certificates with the files as they lay there when they were read.
pub(super) struct Loaded {
    identity: Identity,
    sight: Sight,
}

impl Loaded {
    /// Reads what a configuration names.
    pub(super) fn load(config: &Config, now: Wall) -> Result<Self, tls::Unusable> {
        // Before the reading: what changes meanwhile is another sight at the next look.
        let sight = config.tls.sight();
        Ok(Self { identity: tls::load(&config.tls, &config.node.host, now)?, sight })
    }

    /// What an operator should know although they can be used.
    pub(super) fn warnings(&self) -> &[String] {
        &self.identity.certificate.warnings
    }
}

/// What is shown and trusted now.
pub(super) struct Certificates {
    now: Loaded,
    serving: Arc<ArcSwap<rustls::ServerConfig>>,
    expires: Arc<AtomicU64>,
    /// What was said to be of no use.
    refused: Option<Sight>,
    /// When an end that is near was told last.
    told: Option<Now>,
}

/// What a look at the files came to.
pub(super) enum Look {
    /// As they were.
    Same,
    /// Others, and they can be used.
    Renewed(Loaded),
    /// Others, and they cannot be used.
    Unusable(Sight, tls::Unusable),
}

/// What another identity changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Renewed {
    /// Peers are shown another certificate.
    pub(super) own: bool,
    /// Others are trusted.
    pub(super) roots: bool,
}

impl Renewed {
    /// In words.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let own = self.own.then_some("the certificate of this host");
        own.into_iter().chain(self.roots.then_some("the trusted roots"))
    }
}

impl Certificates {
    /// Reads them for the first time.
    pub(super) fn load(config: &Config, now: Wall) -> Result<Self, tls::Unusable> {
        let loaded = Loaded::load(config, now)?;
        let serving = Arc::new(ArcSwap::new(Arc::clone(&loaded.identity.server)));
        let certificates = Self { now: loaded, serving, expires: Arc::default(), refused: None, told: None };
        certificates.tell_end();
        Ok(certificates)
    }

    pub(super) fn warnings(&self) -> &[String] {
        self.now.warnings()
    }

    /// What the listener shows, read for each connection.
    pub(super) fn serving(&self) -> Arc<ArcSwap<rustls::ServerConfig>> {
        Arc::clone(&self.serving)
    }

    /// For `Client`.
    pub(super) fn trusted(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.now.identity.client)
    }

    /// When the certificate expires, in seconds since 1970.
    pub(super) fn expires(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.expires)
    }

    /// The files as they lay there at the last reading that was of use.
    pub(super) fn sight(&self) -> Sight {
        self.now.sight.clone()
    }

    /// New connections are shown these from here on; whom the client trusts is for the caller to hand on.
    pub(super) fn take(&mut self, loaded: Loaded) -> Renewed {
        let (old, new) = (&self.now.identity, &loaded.identity);
        let renewed = Renewed { own: !new.shows_as(old), roots: !new.trusts_as(old) };
        self.serving.store(Arc::clone(&loaded.identity.server));
        (self.now, self.refused) = (loaded, None);
        self.tell_end();
        renewed
    }

    /// Says what cannot be used, once for each sight.
    pub(super) fn refuse(&mut self, sight: Sight, why: &tls::Unusable) {
        if self.refused.as_ref() == Some(&sight) {
            return;
        }
        for error in &why.0 {
            tracing::warn!(%error, "certificates have changed and cannot be used: those before stay; looking again");
        }
        self.refused = Some(sight);
    }

    /// Says once a day that the end is near: the first time a day after a reading, which says it itself.
    pub(super) fn remind(&mut self, config: &Config, now: Now) {
        let told = *self.told.get_or_insert(now);
        if now.mono.since(told.mono) < DAY {
            return;
        }
        let certificate = &self.now.identity.certificate;
        let Some(ending) = certificate.ending(&config.tls.certificate, now.wall) else { return };
        if now.wall > certificate.not_after {
            tracing::error!("{ending}");
        } else {
            tracing::warn!("{ending}");
        }
        self.told = Some(now);
    }

    fn tell_end(&self) {
        self.expires.store(self.now.identity.certificate.not_after.0 / 1000, Ordering::Relaxed);
    }
}

/// Looks whether the files are others than at `last`, and reads them where they are.
pub(super) fn look(config: &Config, last: &Sight, now: Wall) -> Look {
    let sight = config.tls.sight();
    if sight == *last {
        return Look::Same;
    }
    match Loaded::load(config, now) {
        Ok(loaded) => Look::Renewed(loaded),
        Err(why) => Look::Unusable(sight, why),
    }
}

/// What a configuration's certificates come to.
pub(super) fn check(config: &Config, now: Wall) -> Findings {
    match Loaded::load(config, now) {
        Ok(loaded) => {
            let found = |what: &String| found(config, "peer.certificate", what.clone());
            Findings { problems: Vec::new(), warnings: loaded.warnings().iter().map(found).collect() }
        }
        Err(why) => Findings { problems: problems(config, &why), warnings: Vec::new() },
    }
}

/// What is wrong, with key and place.
pub(super) fn problems(config: &Config, why: &tls::Unusable) -> Vec<Finding> {
    let of = |error| found(config, &config.tls.key_of(error), error.to_string());
    why.0.iter().map(of).collect()
}

fn found(config: &Config, key: &str, what: String) -> Finding {
    Finding { place: config.place(key), key: key.to_owned(), what, mend: String::new() }
}
