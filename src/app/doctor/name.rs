//! The name: is it one, is it another host's, is that host welcome?

use super::{step::Step, teller::Teller};
use crate::{
    node::Settings,
    wire::{
        host::PeerHost,
        policy::{Policy, Unwelcome},
    },
};

const NAME: &str = "name";

/// The host, where it may be called.
pub(super) fn judge<E>(
    settings: &Settings,
    text: &str,
    teller: &mut Teller<'_, E>,
) -> Result<Option<PeerHost>, E> {
    let (step, host) = match PeerHost::parse_human(text) {
        Ok(host) => match unfit(settings, &host) {
            Some(step) => (step, None),
            None => (Step::ok(NAME, good(text, &host, &settings.policy)), Some(host)),
        },
        Err(error) => {
            let mend = "write beta.test, or beta.test:8443 where the port is not 443: no https://, no path";
            (Step::wrong(NAME, format!("{text} is no host name: {error}"), mend), None)
        }
    };
    teller.say(step)?;
    Ok(host)
}

fn unfit(settings: &Settings, host: &PeerHost) -> Option<Step> {
    let another = "give the name of another host";
    if settings.host.is(host) {
        return Some(Step::wrong(NAME, format!("{host} is this host itself"), another));
    }
    if settings.aliases.iter().any(|alias| alias.is(host)) {
        let what = format!("{host} is this host itself, under one of peer.aliases");
        return Some(Step::wrong(NAME, what, another));
    }
    Some(match settings.policy.refusal(host)? {
        Unwelcome::Denied => Step::wrong(
            NAME,
            format!("federation.deny refuses {host}"),
            "strike the entry that names it, or a name above it, where it shall be welcome",
        ),
        Unwelcome::Unlisted => Step::wrong(
            NAME,
            format!("federation.policy is \"listed\", and {host} does not stand under [[peers]]"),
            format!("add [[peers]] with host = \"{host}\", where it shall be welcome"),
        ),
    })
}

fn good(text: &str, host: &PeerHost, policy: &Policy) -> String {
    let why = if policy.listed.is_some() { "it stands under [[peers]]" } else { "federation.policy is open" };
    let wire = if text.is_ascii() { String::new() } else { format!("{text} is {host} on the wire; ") };
    format!("{wire}{host} is welcome: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{app::doctor::step::State, config::Config, wire::policy::DenyPattern};

    fn settings() -> Settings {
        let text = "host = \"alpha.test\"\n[peer]\naliases = [\"a.test\"]";
        let (config, _) = Config::read(std::path::Path::new("ymp.toml"), text, []).unwrap();
        config.node
    }

    fn step(settings: &Settings, text: &str) -> (Step, Option<PeerHost>) {
        let mut told = None;
        let mut tell = |step: Step| -> Result<(), ()> {
            told = Some(step);
            Ok(())
        };
        let host = judge(settings, text, &mut Teller::new(&mut tell)).unwrap();
        (told.unwrap(), host)
    }

    #[test]
    fn a_name_of_another_host_is_good_and_u_labels_are_converted() {
        let (told, host) = step(&settings(), "B\u{fc}cher.example:8443");
        assert_eq!(told.state, State::Ok);
        assert!(told.what.contains("is xn--bcher-kva.example:8443 on the wire"), "{told:?}");
        assert_eq!(host.unwrap().port(), 8443);
    }

    #[test]
    fn what_cannot_be_called_says_why() {
        let mut strict = settings();
        strict.policy = Policy {
            listed: Some([PeerHost::parse("b.test").unwrap()].into()),
            deny: vec![DenyPattern::parse("b.test").unwrap()],
        };
        let open = settings();
        for (settings, text, what) in [
            (&open, "https://b.test/", "is no host name"),
            (&open, "Alpha.test:443", "is this host itself"),
            (&open, "a.test", "peer.aliases"),
            (&strict, "b.test", "federation.deny refuses"),
            (&strict, "c.test", "does not stand under [[peers]]"),
        ] {
            let (told, host) = step(settings, text);
            assert_eq!((told.state, host), (State::Wrong, None), "{text}");
            assert!(told.what.contains(what) && told.mend.is_some(), "{told:?}");
        }
    }
}
