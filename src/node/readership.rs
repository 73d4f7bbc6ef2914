//! Whose acknowledgement an inbox waits for before it is trimmed.
//!
//! The apps that may read it, and those that a reload took away a short while ago: what they have not read stays, so that a
//! slip in the configuration that is mended within a day loses nobody's mail. Over a restart only the configuration counts.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::wire::{packet::ServiceKey, time::Mono};

/// How long an app counts after a reload took a service from it.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// Apps by the service that they may read, as in the settings.
type Readers = HashMap<ServiceKey, Vec<String>>;

/// Apps that have lost a service, and when.
#[derive(Default)]
pub(super) struct Readership(Mutex<HashMap<(ServiceKey, String), Mono>>);

impl Readership {
    /// The readers are others from here on.
    pub(super) fn renew(&self, before: &Readers, now: &Readers, at: Mono) {
        let reads =
            |(service, app): &(ServiceKey, String)| now.get(service).is_some_and(|apps| apps.contains(app));
        let all =
            before.iter().flat_map(|(service, apps)| apps.iter().map(|app| (service.clone(), app.clone())));
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|place, since| !reads(place) && at.since(*since) < GRACE);
        left.extend(all.filter(|place| !reads(place)).map(|place| (place, at)));
    }

    /// Whose acknowledgement counts; nobody's where no app may read it now.
    pub(super) fn of(&self, service: &ServiceKey, readers: &Readers, at: Mono) -> Vec<String> {
        let Some(apps) = readers.get(service) else { return Vec::new() };
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = left.iter().filter(|((of, _), since)| of == service && at.since(**since) < GRACE);
        apps.iter().cloned().chain(lately.map(|((_, app), _)| app.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(apps: &[&str]) -> Readers {
        HashMap::from([(ServiceKey::new("p", "s"), apps.iter().map(|app| (*app).to_owned()).collect())])
    }

    //= NODE-CONF-14
    #[test]
    fn an_app_that_a_reload_took_away_counts_for_a_day_unless_it_comes_back() {
        let (lost, service) = (Readership::default(), ServiceKey::new("p", "s"));
        let (both, one) = (readers(&["a", "b"]), readers(&["a"]));
        let day = Mono(24 * 3_600_000);
        lost.renew(&both, &one, Mono(0));
        assert_eq!(lost.of(&service, &one, Mono(day.0 - 1)), ["a", "b"]);
        assert_eq!(lost.of(&service, &one, day), ["a"]);
        lost.renew(&one, &both, Mono(1));
        lost.renew(&both, &both, Mono(2));
        assert_eq!(lost.of(&service, &both, Mono(3)), ["a", "b"], "each once");
        lost.renew(&both, &Readers::new(), Mono(4));
        assert!(
            lost.of(&service, &Readers::new(), Mono(5)).is_empty(),
            "where nobody reads nothing is trimmed"
        );
    }
}
