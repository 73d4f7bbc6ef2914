//! The bodies of the exchange: request, grant and the answer to a refresh (`https-token`, all three revisions).
//!
//! ```text
//! R1, R2   request  {host, token, expires-in, expires, refresh-token}
//!          grant    {host, token, expires-in, expires, refresh-token}      bearer = the request's token
//!          refresh  200 {token, expires-in, expires, refresh-token}        bearer = the refresh token
//! R3       request  {host, state}
//!          grant    {host, token, expires, state}                          no bearer
//! ```
//!
//! To R1 and R2 we write both `expires-in` (seconds from now) and `expires` (seconds since 1970), and read either.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    host::{OwnHost, PeerHost},
    limits::STATE_BYTES_MAX,
    object::{Seconds, lifetime, object_of_slice, present, seconds, text},
    parameters::Form,
    refusal::Refusal,
    secret::{Digest, FreshSecret, HeldToken},
    time::Wall,
};

/// Tokens that a peer offers us, in a request or in a grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenOffer {
    /// Who says that it offers them. Proven only by reaching that host.
    pub host: PeerHost,
    /// To be shown with packets.
    pub token: HeldToken,
    /// How long `token` lives from now, at most 400 days.
    pub lifetime: Duration,
    /// To be shown for new ones.
    pub refresh: HeldToken,
    /// R2: the lifetime was written as a moment (`expires`) alone.
    pub dated: bool,
}

/// A request for a token, R3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateRequest {
    /// Who says that it asks. Proven only by reaching that host.
    pub host: PeerHost,
    //= HT-REV-21: treated as a token
    /// What our grant repeats. A secret, treated as a token.
    pub state: HeldToken,
}

/// A grant of R3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateGrant {
    /// Who says that it grants.
    pub host: PeerHost,
    /// Digest of the state that it repeats: proves that it is the host that we asked.
    pub state: Digest,
    /// To be shown with packets.
    pub token: HeldToken,
    /// How long `token` lives from now, at most 400 days.
    pub lifetime: Duration,
}

/// A body that was posted to the request path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenRequest {
    /// R1 and R2: a request with `token`.
    Tokens(TokenOffer),
    /// R3: a request with `state` and no `token`.
    State(StateRequest),
}

impl TokenRequest {
    /// Who says that it asks.
    #[must_use]
    pub fn host(&self) -> &PeerHost {
        match self {
            Self::Tokens(offer) => &offer.host,
            Self::State(request) => &request.host,
        }
    }

    /// Whether both ask for one exchange. How long a token lives need not be the same: where it is written as a moment, less is
    /// left each time that a caller repeats it.
    #[must_use]
    pub fn is_repeat_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tokens(offer), Self::Tokens(first)) => {
                offer.host == first.host && offer.token == first.token
            }
            (Self::State(request), Self::State(first)) => request == first,
            (Self::Tokens(_), Self::State(_)) | (Self::State(_), Self::Tokens(_)) => false,
        }
    }

    /// Its form.
    #[must_use]
    pub fn form(&self) -> Form {
        match self {
            Self::Tokens(_) => Form::Tokens,
            Self::State(_) => Form::State,
        }
    }
}

/// A body that was posted to the grant path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenGrant {
    /// R1 and R2: came with a bearer.
    Tokens(TokenOffer),
    /// R3: came with a `state` and no bearer.
    State(StateGrant),
    /// Neither bearer nor state, but of valid form: 401 (`https-token`, "Checks, in this order").
    Bare,
}

/// New tokens for old ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefreshReply {
    /// To be shown with packets.
    pub token: HeldToken,
    /// How long `token` lives from now, at most 400 days.
    pub lifetime: Duration,
    /// To be shown for new ones.
    pub refresh: HeldToken,
    /// R2: the lifetime was written as a moment (`expires`) alone.
    pub dated: bool,
}

/// A fresh access token on its way to an R3 peer.
#[derive(Clone, Debug, Hash)]
pub struct FreshAccess {
    /// The access token.
    pub token: FreshSecret,
    /// How long it lives from `made`.
    pub lifetime: Duration,
    /// When it was made.
    pub made: Wall,
}

/// A fresh pair on its way to a peer, with its lifetime in both readings.
#[derive(Clone, Debug, Hash)]
pub struct FreshPair {
    /// The access token.
    pub token: FreshSecret,
    /// The refresh token.
    pub refresh: FreshSecret,
    /// How long `token` lives from `made`.
    pub lifetime: Duration,
    /// When it was made.
    pub made: Wall,
}

//= HT-CHK-10: twice is an error of the derive
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BodyIn<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    host: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    token: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<Seconds>,
    #[serde(default, deserialize_with = "seconds")]
    expires: Option<Seconds>,
    #[serde(borrow, default, deserialize_with = "present")]
    refresh_token: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    state: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RefreshIn<'a> {
    #[serde(borrow, deserialize_with = "text")]
    token: Cow<'a, str>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<Seconds>,
    #[serde(default, deserialize_with = "seconds")]
    expires: Option<Seconds>,
    #[serde(borrow, deserialize_with = "text")]
    refresh_token: Cow<'a, str>,
}

//= HT-REV-03: both expires-in and expires
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct BodyOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    token: &'a str,
    //= HT-REV-08: integers
    expires_in: u64,
    expires: u64,
    refresh_token: &'a str,
}

/// R3: a request.
#[derive(Serialize)]
struct StateRequestOut<'a> {
    host: &'a str,
    state: &'a str,
}

/// R3: a grant.
#[derive(Serialize)]
struct StateGrantOut<'a> {
    host: &'a str,
    token: &'a str,
    expires: u64,
    state: &'a str,
}

impl TokenRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// `Refusal::Malformed` names the property at fault, never its value.
    pub fn decode(body: &[u8], now: Wall) -> Result<Self, Refusal> {
        let body = BodyIn::read(body)?;
        //= HT-REV-11: the body tells
        if body.token.is_none() && body.state.is_some() {
            let state = body.state()?;
            return Ok(Self::State(StateRequest { host: body.host()?, state }));
        }
        body.offer(now).map(Self::Tokens)
    }
}

impl TokenGrant {
    /// Reads a grant body; `bearer` says whether the call showed a bearer, which decides how the body is read.
    ///
    /// # Errors
    /// `Refusal::Malformed` names the property at fault, never its value.
    pub fn decode(body: &[u8], bearer: bool, now: Wall) -> Result<Self, Refusal> {
        let body = BodyIn::read(body)?;
        //= HT-REV-12: with a bearer R1 or R2
        if bearer {
            return body.offer(now).map(Self::Tokens);
        }
        let host = body.host()?;
        let token = body.token("token", body.token.as_deref())?;
        let lifetime = body.lifetime(now)?;
        if body.state.is_none() {
            return Ok(Self::Bare);
        }
        let state = body.state()?.digest();
        Ok(Self::State(StateGrant { host, state, token, lifetime }))
    }
}

impl RefreshReply {
    /// Reads the body of a 200 to a refresh.
    ///
    /// # Errors
    /// `Refusal::Malformed` names the property at fault, never its value.
    pub fn decode(body: &[u8], now: Wall) -> Result<Self, Refusal> {
        let body: RefreshIn<'_> = object_of_slice(body).map_err(|error| no_json(&error))?;
        let lifetime = lifetime(body.expires_in, body.expires, now.0 / 1000).ok_or_else(no_lifetime)?;
        Ok(Self {
            token: held("token", &body.token)?,
            lifetime,
            refresh: held("refresh-token", &body.refresh_token)?,
            dated: body.expires_in.is_none(),
        })
    }
}

//= HT-REV-04: host and state
/// The body of our request to an R3 peer.
#[must_use]
pub fn encode_state_request(from: &OwnHost, state: &FreshSecret) -> Vec<u8> {
    // A struct of strings always has a JSON form.
    serde_json::to_vec(&StateRequestOut { host: from.as_str(), state: state.reveal() }).unwrap_or_default()
}

impl FreshAccess {
    //= HT-REV-06: host, token, expires, state
    /// The body of our grant to an R3 peer; `state` is its request's.
    #[must_use]
    pub fn encode_grant(&self, from: &OwnHost, state: &HeldToken) -> Vec<u8> {
        let body = StateGrantOut {
            host: from.as_str(),
            token: self.token.reveal(),
            expires: self.made.plus(self.lifetime).0 / 1000,
            state: state.reveal(),
        };
        // A struct of strings and integers always has a JSON form.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl FreshPair {
    /// The body of our request or our grant.
    #[must_use]
    pub fn encode_offer(&self, from: &OwnHost) -> Vec<u8> {
        self.encode(Some(from.as_str()))
    }

    /// The body of our 200 to a refresh.
    #[must_use]
    pub fn encode_refresh(&self) -> Vec<u8> {
        self.encode(None)
    }

    fn encode(&self, host: Option<&str>) -> Vec<u8> {
        let expires = self.made.plus(self.lifetime).0 / 1000;
        let body = BodyOut {
            host,
            token: self.token.reveal(),
            expires_in: self.lifetime.as_secs(),
            expires,
            refresh_token: self.refresh.reveal(),
        };
        // A struct of strings and integers always has a JSON form.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl<'a> BodyIn<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        object_of_slice(body).map_err(|error| no_json(&error))
    }

    fn host(&self) -> Result<PeerHost, Refusal> {
        let text = self.host.as_deref().ok_or_else(|| missing("host"))?;
        PeerHost::parse(text).map_err(|error| malformed(format!("`host` is no host name: {error}")))
    }

    #[expect(clippy::unused_self, reason = "reads as one of the body's own checks")]
    fn token(&self, name: &str, value: Option<&str>) -> Result<HeldToken, Refusal> {
        held(name, value.ok_or_else(|| missing(name))?)
    }

    fn lifetime(&self, now: Wall) -> Result<Duration, Refusal> {
        lifetime(self.expires_in, self.expires, now.0 / 1000).ok_or_else(no_lifetime)
    }

    fn state(&self) -> Result<HeldToken, Refusal> {
        let text = self.state.as_deref().unwrap_or_default();
        //= HT-REV-19: 1 to 512 visible ASCII characters
        let fits = text.len() <= STATE_BYTES_MAX;
        let state = HeldToken::parse(text).ok().filter(|_| fits);
        state.ok_or_else(|| malformed("`state` is 1 to 512 visible ASCII characters".to_owned()))
    }

    //= HT-GRANT-09: or 400
    fn offer(&self, now: Wall) -> Result<TokenOffer, Refusal> {
        Ok(TokenOffer {
            host: self.host()?,
            token: self.token("token", self.token.as_deref())?,
            lifetime: self.lifetime(now)?,
            refresh: self.token("refresh-token", self.refresh_token.as_deref())?,
            dated: self.expires_in.is_none(),
        })
    }
}

fn held(name: &str, text: &str) -> Result<HeldToken, Refusal> {
    HeldToken::parse(text).map_err(|error| malformed(format!("`{name}` is not valid: {error}")))
}

fn missing(name: &str) -> Refusal {
    malformed(format!("`{name}` is missing"))
}

fn no_lifetime() -> Refusal {
    malformed(
        "`expires-in` must be a whole number of seconds above zero (or `expires` a moment ahead)".to_owned(),
    )
}

//= HT-PKT-19: no value is quoted
/// serde's words name the property and the place; they may quote a value, so only their category is passed on.
fn no_json(error: &serde_json::Error) -> Refusal {
    let place = format!("line {} column {}", error.line(), error.column());
    malformed(match error.classify() {
        serde_json::error::Category::Data => {
            format!("a property is missing, stands twice or is of another type, {place}")
        }
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => {
            format!("the body is not JSON, {place}")
        }
    })
}

fn malformed(what: String) -> Refusal {
    Refusal::Malformed { what, index: None }
}

#[cfg(test)]
mod tests;
