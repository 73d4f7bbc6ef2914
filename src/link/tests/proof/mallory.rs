//! Mallory: asks in anyone's name, shows what she knows at any door, passes on what she was told, and may have a host of her
//! own. She knows what she made and what was sent to her host, nothing else: TLS keeps the rest from her.

use std::hash::{Hash, Hasher};

use crate::{
    link::{dice::secret, event::GrantKey},
    token::family::Door,
    wire::{
        exchange::{FreshPair, RefreshReply, StateGrant, StateRequest, TokenOffer, TokenRequest},
        parameters::Form,
        secret::HeldToken,
    },
};

use super::{
    naming::{Throws, held, maker, number, shown},
    world::*,
};

/// What a secret that she knows is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Of a request; with its grant an access token.
    Ask,
    State,
    Access,
    Refresh,
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Known {
    pub(super) token: HeldToken,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) struct Mallory {
    dice: Throws,
    knows: Vec<Known>,
}

impl Hash for Mallory {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The dice's next throw is always a new one.
        let Self { dice: _, knows } = self;
        knows.hash(state);
    }
}

/// What she may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evil {
    /// Asks in somebody's name.
    Ask { to: Place, named: Place, form: Form },
    /// Asks with a secret of a host in that host's name.
    Relay { to: Place, known: usize },
    /// Shows a secret at its maker's doors.
    Show { door: Door, known: usize },
    /// Grants under a secret that she knows.
    Grant { named: Place, known: usize },
}

impl Mallory {
    pub(super) fn new() -> Self {
        Self { dice: Throws::of(M), knows: Vec::new() }
    }

    /// All that she may do now.
    pub(super) fn choices(&self, has_host: bool) -> Vec<Evil> {
        let mut all = Vec::new();
        for to in HONEST {
            for form in [Form::Tokens, Form::State] {
                all.push(Evil::Ask { to, named: 1 - to, form });
                if has_host {
                    all.push(Evil::Ask { to, named: M, form });
                }
            }
        }
        for (known, Known { token, kind }) in self.knows.iter().enumerate() {
            let other = 1 - maker(&token.digest());
            if matches!(kind, Kind::Ask | Kind::State) {
                all.push(Evil::Relay { to: other, known });
            }
            if *kind != Kind::State {
                all.extend([Door::Access, Door::Refresh].map(|door| Evil::Show { door, known }));
            }
            all.extend([M, other].map(|named| Evil::Grant { named, known }));
        }
        all
    }

    /// A call of a host that keeps to the protocol reaches hers.
    pub(super) fn receive(&mut self, call: &Call) {
        match call {
            Call::Request(TokenRequest::Tokens(offer)) => {
                self.learn(&offer.token, Kind::Ask);
                self.learn(&offer.refresh, Kind::Refresh);
            }
            Call::Request(TokenRequest::State(request)) => self.learn(&request.state, Kind::State),
            Call::Grant(_, offer) => {
                self.learn(&offer.token, Kind::Access);
                self.learn(&offer.refresh, Kind::Refresh);
            }
            Call::StateGrant(grant) => self.learn(&grant.token, Kind::Access),
            Call::Refresh(token) => self.learn(token, Kind::Refresh),
            Call::Packet(token, _) => self.learn(token, Kind::Access),
        }
    }

    /// What her call was answered.
    pub(super) fn hear(&mut self, answered: &Answered) {
        if let Answered::Fresh(reply) = answered {
            self.learn(&reply.token, Kind::Access);
            self.learn(&reply.refresh, Kind::Refresh);
        }
    }

    /// Her answer to a refresh.
    pub(super) fn fresh(&mut self) -> Answered {
        let pair = self.pair();
        Answered::Fresh(RefreshReply {
            token: held(&pair.token),
            lifetime: pair.lifetime,
            refresh: held(&pair.refresh),
            dated: false,
        })
    }

    fn learn(&mut self, token: &HeldToken, kind: Kind) {
        let is_hers = maker(&token.digest()) == M;
        if !is_hers && !self.knows.iter().any(|known| known.token == *token) {
            self.knows.push(Known { token: token.clone(), kind });
            self.knows.sort_by_key(|known| number(&known.token.digest()));
        }
    }

    fn pair(&mut self) -> FreshPair {
        let settings = model_settings();
        let (token, refresh) = (secret(&mut self.dice), secret(&mut self.dice));
        FreshPair { token, refresh, lifetime: settings.token_lifetime, made: super::naming::moment(0).wall }
    }

    fn offer(&mut self, named: Place, token: Option<HeldToken>) -> TokenOffer {
        let pair = self.pair();
        TokenOffer {
            host: name(named),
            token: token.unwrap_or_else(|| held(&pair.token)),
            lifetime: pair.lifetime,
            refresh: held(&pair.refresh),
            dated: false,
        }
    }

    fn request(&mut self, named: Place, form: Form) -> TokenRequest {
        match form {
            Form::Tokens => TokenRequest::Tokens(self.offer(named, None)),
            Form::State => {
                let state = secret(&mut self.dice);
                TokenRequest::State(StateRequest { host: name(named), state: held(&state) })
            }
        }
    }

    /// One of her calls: to whom, and what.
    pub(super) fn call(&mut self, evil: Evil) -> (Place, Call) {
        match evil {
            Evil::Ask { to, named, form } => (to, Call::Request(self.request(named, form))),
            Evil::Relay { to, known } => {
                let Known { token, kind } = self.knows[known].clone();
                let request = if kind == Kind::State {
                    TokenRequest::State(StateRequest { host: name(1 - to), state: token })
                } else {
                    TokenRequest::Tokens(self.offer(1 - to, Some(token)))
                };
                (to, Call::Request(request))
            }
            Evil::Show { door, known } => {
                let token = self.knows[known].token.clone();
                let to = maker(&token.digest());
                let call = match door {
                    Door::Access => Call::Packet(token, Vec::new()),
                    Door::Refresh => Call::Refresh(token),
                };
                (to, call)
            }
            Evil::Grant { named, known } => {
                let Known { token, kind } = self.knows[known].clone();
                let to = maker(&token.digest());
                let offer = self.offer(named, None);
                let call = match key(&token, kind) {
                    GrantKey::Bearer(bearer) => Call::Grant(bearer, offer),
                    GrantKey::State(state) => {
                        let TokenOffer { host, token, lifetime, .. } = offer;
                        Call::StateGrant(StateGrant { host, state, token, lifetime })
                    }
                };
                (to, call)
            }
        }
    }

    /// Whether she knows it as one for this door. Of others' secrets nothing is known here.
    pub(super) fn may_show(&self, token: &HeldToken, door: Door) -> bool {
        let known = self.knows.iter().find(|known| known.token == *token);
        known.is_none_or(|known| (known.kind == Kind::Refresh) == (door == Door::Refresh))
    }

    /// In words.
    pub(super) fn describe(&self, evil: Evil) -> String {
        let known = |known: usize| {
            let Known { token, kind } = &self.knows[known];
            format!("{} ({kind:?})", shown(&token.digest()))
        };
        match evil {
            Evil::Ask { .. } => "Mallory asks in a name".to_owned(),
            Evil::Relay { known: place, .. } => format!("Mallory asks with {}", known(place)),
            Evil::Show { door, known: place } => format!("Mallory shows {} at {door:?}", known(place)),
            Evil::Grant { known: place, .. } => format!("Mallory grants under {}", known(place)),
        }
    }
}

fn key(token: &HeldToken, kind: Kind) -> GrantKey {
    if kind == Kind::State { GrantKey::State(token.digest()) } else { GrantKey::Bearer(token.digest()) }
}
