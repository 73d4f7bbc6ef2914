//! Which hosts the operator lets federate with this one (`node`, `[federation]`).

use std::collections::HashSet;

use super::host::{HostError, PeerHost};

/// A host that is denied on every port, or everything below a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyPattern {
    name: String,
    below: bool,
}

impl DenyPattern {
    //= NODE-CONF-09: all below a name
    /// Reads `evil.example`, or `*.evil.example` for all below that name (not the name itself).
    ///
    /// # Errors
    /// When what is left of the pattern is no host name.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        Ok(Self { name: PeerHost::parse_human(rest)?.name().to_owned(), below })
    }

    //= YMP-HOST-08: on every port
    fn matches(&self, host: &PeerHost) -> bool {
        if self.below {
            host.name().strip_suffix(&self.name).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
        } else {
            host.name() == self.name
        }
    }
}

/// The policy. Deny wins over listed.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `Some`: only these hosts. `None`: open.
    pub listed: Option<HashSet<PeerHost>>,
    /// Never these.
    pub deny: Vec<DenyPattern>,
}

/// Why the policy refuses a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// It, or a name above it, is denied.
    Denied,
    /// Only listed hosts are welcome, and it is not listed.
    Unlisted,
}

impl Policy {
    /// Whether this host federates with `host`.
    #[must_use]
    pub fn allows(&self, host: &PeerHost) -> bool {
        self.refusal(host).is_none()
    }

    /// Why this host does not federate with `host`, where it does not.
    #[must_use]
    pub fn refusal(&self, host: &PeerHost) -> Option<Unwelcome> {
        if self.deny.iter().any(|pattern| pattern.matches(host)) {
            return Some(Unwelcome::Denied);
        }
        let unlisted = self.listed.as_ref().is_some_and(|listed| !listed.contains(host));
        unlisted.then_some(Unwelcome::Unlisted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> PeerHost {
        PeerHost::parse(text).unwrap()
    }

    //= YMP-HOST-08, NODE-CONF-09
    #[test]
    fn deny_matches_the_name_on_every_port_and_stars_what_is_below() {
        let deny = vec![DenyPattern::parse("evil.test").unwrap(), DenyPattern::parse("*.Bad.test").unwrap()];
        let policy = Policy { listed: None, deny };
        for (name, allowed) in [
            ("evil.test", false),
            ("evil.test:8443", false),
            ("x.evil.test", true),
            ("bad.test", true),
            ("a.bad.test", false),
            ("a.b.bad.test:1", false),
            ("notbad.test", true),
        ] {
            assert_eq!(policy.allows(&host(name)), allowed, "{name}");
        }
        assert!(DenyPattern::parse("*").is_err());
    }

    //= NODE-CONF-08
    #[test]
    fn deny_wins_over_listed() {
        let listed = Some([host("a.test"), host("b.test")].into());
        let policy = Policy { listed, deny: vec![DenyPattern::parse("b.test").unwrap()] };
        assert!(policy.allows(&host("a.test")));
        assert_eq!(policy.refusal(&host("b.test")), Some(Unwelcome::Denied));
        assert_eq!(policy.refusal(&host("c.test")), Some(Unwelcome::Unlisted));
    }
}
