//! Who may use this host's local API: the apps of the configuration, each with one token.
//!
//! A token's text is digested when the settings are taken and forgotten. `authenticate` compares the digest that a
//! caller shows with every app's in constant time and does not stop at the first that fits, so that its time tells
//! nothing. `replace` swaps all apps at once, for a configuration that is read again, and tells what became of whom.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use crate::wire::{
    packet::ServiceKey,
    secret::{Digest, ShownToken},
};

/// An app as the configuration says (`[[apps]]`).
#[derive(Clone)]
pub struct AppSettings {
    /// Its name: under it, its places in inboxes are kept.
    pub name: String,
    /// Its token; wiped when the settings are dropped.
    pub token: Zeroizing<String>,
    /// It may send as these and read their inboxes. Default: none.
    pub services: Vec<ServiceKey>,
    /// May see and steer links and dead messages. Default: no.
    pub admin: bool,
}

impl fmt::Debug for AppSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSettings")
            .field("name", &self.name)
            .field("services", &self.services)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

/// Who may use the local API.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// All apps; their tokens differ (`config` sees to it).
    pub apps: Vec<AppSettings>,
}

/// An app that has shown its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its name.
    pub name: String,
    /// May see and steer links and dead messages.
    pub admin: bool,
    /// It may send as these and read their inboxes.
    pub services: Vec<ServiceKey>,
}

impl Principal {
    /// Whether it may send as `service` and read its inbox. Being an admin does not make it so.
    #[must_use]
    pub fn may_act_for(&self, service: &ServiceKey) -> bool {
        self.services.contains(service)
    }

    /// Whether it may see what `service` sent: its own, or an admin.
    #[must_use]
    pub fn may_see(&self, service: &ServiceKey) -> bool {
        self.admin || self.may_act_for(service)
    }
}

/// Names of apps, by what `replace` did to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Were not there.
    pub added: Vec<String>,
    /// Are gone.
    pub removed: Vec<String>,
    /// Have another token, other services, or are admins by now or no more.
    pub changed: Vec<String>,
}

/// An app and what is kept of its token.
#[derive(Debug)]
struct App {
    token: Digest,
    principal: Arc<Principal>,
}

impl App {
    fn new(settings: AppSettings) -> Self {
        let AppSettings { name, token, services, admin } = settings;
        let token = ShownToken::of(&token).digest();
        Self { token, principal: Arc::new(Principal { name, admin, services }) }
    }
}

/// The door to the local API.
#[derive(Debug)]
pub struct Access {
    apps: ArcSwap<Vec<App>>,
}

impl Access {
    /// Takes the apps; their tokens' texts are wiped.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { apps: ArcSwap::from_pointee(apps(settings)) }
    }

    /// Takes other apps in place of all that were there. Calls under way go on, but for streams, which ask again before
    /// they go on.
    pub fn replace(&self, settings: Settings) -> Replaced {
        let after = Arc::new(apps(settings));
        let before = self.apps.swap(Arc::clone(&after));
        let of = |apps: &[App], name: &str| apps.iter().position(|app| app.principal.name == name);
        let mut replaced = Replaced::default();
        for app in after.iter() {
            let name = &app.principal.name;
            match of(&before, name).and_then(|place| before.get(place)) {
                None => replaced.added.push(name.clone()),
                Some(old) if old.token != app.token || old.principal != app.principal => {
                    replaced.changed.push(name.clone());
                }
                Some(_) => {}
            }
        }
        let gone = before.iter().map(|app| &app.principal.name).filter(|name| of(&after, name).is_none());
        replaced.removed.extend(gone.cloned());
        replaced
    }

    /// The app whose token this is; takes the same time whichever it is.
    #[must_use]
    pub fn authenticate(&self, shown: ShownToken) -> Option<Arc<Principal>> {
        let apps = self.apps.load();
        let shown = shown.digest();
        // `Digest` compares in constant time; the fold visits all.
        let found = apps.iter().fold(None, |found, app| if app.token == shown { Some(app) } else { found });
        found.map(|app| app.principal.clone())
    }
}

fn apps(settings: Settings) -> Vec<App> {
    settings.apps.into_iter().map(App::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, token: &str, admin: bool) -> AppSettings {
        let services = vec![ServiceKey::new("Example", name)];
        AppSettings { name: name.into(), token: Zeroizing::new(token.into()), services, admin }
    }

    fn access() -> Access {
        Access::new(Settings {
            apps: vec![app("form", "form-form-form-form", false), app("ops", "ops-ops-ops-ops-ops", true)],
        })
    }

    //= NODE-API-01
    #[test]
    fn a_token_opens_for_its_own_app_only() {
        let access = access();
        let form = access.authenticate(ShownToken::of("form-form-form-form")).unwrap();
        assert_eq!((form.name.as_str(), form.admin), ("form", false));
        assert!(form.may_act_for(&ServiceKey::new("example", "form")));
        assert!(!form.may_act_for(&ServiceKey::new("example", "ops")));
        for wrong in ["", "form", "form-form-form-form ", "Form-form-form-form"] {
            assert!(access.authenticate(ShownToken::of(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_admin_sees_every_service_and_acts_for_its_own_only() {
        let ops = access().authenticate(ShownToken::of("ops-ops-ops-ops-ops")).unwrap();
        let form = ServiceKey::new("example", "form");
        assert!(ops.may_see(&form) && !ops.may_act_for(&form));
    }

    #[test]
    fn replaced_apps_are_gone_at_once() {
        let access = access();
        let replaced = access.replace(Settings {
            apps: vec![app("new", "new-new-new-new-new", false), app("ops", "other-other-other-other", true)],
        });
        let names = |name: &str| vec![name.to_owned()];
        let Replaced { added, removed, changed } = replaced;
        assert_eq!((added, removed, changed), (names("new"), names("form"), names("ops")));
        assert!(access.authenticate(ShownToken::of("form-form-form-form")).is_none());
        assert!(access.authenticate(ShownToken::of("new-new-new-new-new")).is_some());
    }

    #[test]
    fn no_debug_output_carries_a_token() {
        let settings = Settings { apps: vec![app("form", "form-secret-token-x", false)] };
        assert!(!format!("{settings:?}").contains("secret"));
        assert!(!format!("{:?}", Access::new(settings)).contains("secret"));
    }
}
