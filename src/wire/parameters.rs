//! What a host says of how it is spoken to: the parameters of `https-token`, pinned or published.
//!
//! A host whose parameters have a refresh path exchanges tokens for tokens (revisions R1 and R2, which differ in how a
//! lifetime is written); one without answers a state (R3). Source: `https-token`, "The three published revisions".

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{path::UrlPath, time::Wall};

/// A published wire form of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Revision {
    /// The seed: `expires-in`.
    R1,
    /// `expires` in its place.
    R2,
    /// "State": one direction an exchange, no refresh.
    R3,
}

/// How a request and its grant are proven to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// R1 and R2: the grant shows the request's token as its bearer.
    Tokens,
    /// R3: the grant repeats the request's state.
    State,
}

/// How a host is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Parameters {
    /// Where a token is asked for.
    pub request_path: UrlPath,
    /// Where a request is granted.
    pub grant_path: UrlPath,
    /// Where a token is refreshed; none with R3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_path: Option<UrlPath>,
    /// Where packets go.
    pub packet_path: UrlPath,
    /// Bytes that it takes in one packet's body, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_bytes: Option<usize>,
    /// Messages that it takes in one packet, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_messages: Option<usize>,
}

impl Parameters {
    //= HT-REV-02: a refresh-path makes it R1 or R2
    /// The form that they ask for.
    #[must_use]
    pub fn form(&self) -> Form {
        if self.refresh_path.is_some() { Form::Tokens } else { Form::State }
    }
}

/// What an operator pinned of a host's parameters; the rest is looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinnedPaths {
    /// Path for requests.
    pub request: Option<UrlPath>,
    /// Path for grants.
    pub grant: Option<UrlPath>,
    /// Path for refreshes.
    pub refresh: Option<UrlPath>,
    /// Path for packets.
    pub packet: Option<UrlPath>,
}

impl PinnedPaths {
    /// Whether nothing is pinned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    //= NODE-PIN-03: three make an R3 peer
    /// The parameters, where nothing needs to be looked up.
    #[must_use]
    pub fn whole(&self) -> Option<Parameters> {
        Some(Parameters {
            request_path: self.request.clone()?,
            grant_path: self.grant.clone()?,
            refresh_path: self.refresh.clone(),
            packet_path: self.packet.clone()?,
            packet_bytes: None,
            packet_messages: None,
        })
    }

    //= YMP-INFO-16, NODE-PIN-04: the pin wins; the rest is the peer's
    fn over(&self, published: &Parameters) -> Parameters {
        let pinned = |pin: &Option<UrlPath>, path: &UrlPath| pin.as_ref().unwrap_or(path).clone();
        Parameters {
            request_path: pinned(&self.request, &published.request_path),
            grant_path: pinned(&self.grant, &published.grant_path),
            refresh_path: self.refresh.clone().or_else(|| published.refresh_path.clone()),
            packet_path: pinned(&self.packet, &published.packet_path),
            ..published.clone()
        }
    }
}

/// A host information that was fetched, reduced to what we need of it. Kept with the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Published {
    /// What it says.
    pub parameters: Parameters,
    /// Where it was found: one of the four paths.
    pub path: String,
    /// When.
    pub fetched: Wall,
    /// Until when it is taken without a new look.
    pub fresh_until: Wall,
}

/// Where a host's parameters come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Source {
    /// The operator's configuration.
    #[serde(rename = "pinned")]
    Pinned,
    /// The host's own information.
    #[serde(rename = "published")]
    Published,
    /// Both: what is pinned wins.
    #[serde(rename = "pinned and published")]
    Both,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned => "pinned",
            Self::Published => "published",
            Self::Both => "pinned and published",
        })
    }
}

/// How a host is spoken to, and how we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How.
    pub parameters: Parameters,
    /// How we know.
    pub source: Source,
    /// What was fetched, where it was.
    pub published: Option<Published>,
}

impl Found {
    /// By pins alone.
    #[must_use]
    pub fn pinned(parameters: Parameters) -> Self {
        Self { parameters, source: Source::Pinned, published: None }
    }

    /// By what the host publishes, under what is pinned.
    #[must_use]
    pub fn published(published: Published, pins: &PinnedPaths) -> Self {
        let source = if pins.is_empty() { Source::Published } else { Source::Both };
        Self { parameters: pins.over(&published.parameters), source, published: Some(published) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<UrlPath> {
        Some(UrlPath::parse(text).unwrap())
    }

    fn published(refresh: Option<&str>) -> Published {
        let parameters = Parameters {
            request_path: path("/r").unwrap(),
            grant_path: path("/g").unwrap(),
            refresh_path: refresh.and_then(path),
            packet_path: path("/p").unwrap(),
            packet_bytes: Some(1000),
            packet_messages: None,
        };
        Published { parameters, path: "/.ymp".to_owned(), fetched: Wall(1), fresh_until: Wall(2) }
    }

    //= HT-REV-02
    #[test]
    fn a_refresh_path_makes_the_form() {
        assert_eq!(published(Some("/f")).parameters.form(), Form::Tokens);
        assert_eq!(published(None).parameters.form(), Form::State);
    }

    //= NODE-PIN-02, NODE-PIN-03
    #[test]
    fn three_pins_are_an_r3_peer_and_four_an_r1_peer() {
        let mut pins = PinnedPaths { request: path("/1"), grant: path("/2"), ..PinnedPaths::default() };
        assert_eq!(pins.whole(), None);
        pins.packet = path("/4");
        assert_eq!(pins.whole().unwrap().form(), Form::State);
        pins.refresh = path("/3");
        assert_eq!(pins.whole().unwrap().form(), Form::Tokens);
    }

    //= YMP-INFO-16, NODE-PIN-02, NODE-PIN-04
    #[test]
    fn pins_win_over_what_is_published() {
        let pins = PinnedPaths { packet: path("/mine"), ..PinnedPaths::default() };
        let found = Found::published(published(Some("/f")), &pins);
        assert_eq!((found.parameters.packet_path.as_str(), found.source), ("/mine", Source::Both));
        assert_eq!(found.parameters.request_path.as_str(), "/r");
        assert_eq!(found.parameters.packet_bytes, Some(1000));
        let found = Found::published(published(None), &PinnedPaths::default());
        assert_eq!((found.source, found.parameters.form()), (Source::Published, Form::State));
    }

    #[test]
    fn what_was_fetched_is_stored_and_read_back() {
        for refresh in [None, Some("/f")] {
            let text = serde_json::to_string(&published(refresh)).unwrap();
            assert_eq!(serde_json::from_str::<Published>(&text).unwrap(), published(refresh));
        }
    }
}
