//! A table of requests, time that stands still until it is told, and what the table did.

use std::{net::IpAddr, time::Duration};

use crate::link::lobby::{Action, Asked, Dropped, Ended, Lobby, LookedUp, NotFound, Origin, Settings, Took};
use crate::{
    link::{
        peer::Standing,
        testing::{Counter, at_ms, host, offer, parameters, token},
    },
    wire::{
        answer::{Answer, Reply},
        exchange::{StateRequest, TokenOffer, TokenRequest},
        parameters::Form,
        time::Now,
    },
};

pub(super) struct Table {
    pub(super) lobby: Lobby,
    /// What a look-up comes to, at once and without a word; `None` where the test does that.
    pub(super) found: Option<Result<LookedUp, NotFound>>,
    pub(super) dice: Counter,
    pub(super) ms: u64,
}

pub(super) fn short(action: &Action) -> String {
    match action {
        Action::LookUp { host, .. } => format!("look up {host}"),
        Action::Drop { host, reason } => format!("drop {host}: {reason}"),
        Action::Offer { host, .. } => format!("offer {host}"),
        Action::Grant { host, deadline, stranger, .. } => {
            format!("grant {host} in {} s{}", deadline.as_secs(), if *stranger { ", a stranger" } else { "" })
        }
        Action::Take { host, .. } => format!("take {host}"),
        Action::Withdraw { host, ended, .. } => match ended {
            Ended::Misused(_) => format!("withdraw {host}: misused"),
            Ended::Refused(_) => format!("withdraw {host}: refused"),
            Ended::Unanswered(_) => format!("withdraw {host}: unanswered"),
            Ended::NotKept => format!("withdraw {host}: not kept"),
            Ended::NoPlace => format!("withdraw {host}: no place"),
            Ended::Forgotten => format!("withdraw {host}: forgotten"),
        },
    }
}

pub(super) fn asked(name: &str, from: &str, known: bool) -> Asked {
    let offer = TokenOffer { host: host(name), ..offer(&format!("t-{name}-{from}")) };
    of_origin(from, TokenRequest::Tokens(offer), known)
}

pub(super) fn asked_with_a_state(name: &str, from: &str) -> Asked {
    let request = StateRequest { host: host(name), state: token(&format!("s-{name}-{from}")) };
    of_origin(from, TokenRequest::State(request), false)
}

pub(super) fn of_origin(from: &str, request: TokenRequest, known: bool) -> Asked {
    Asked { origin: origin(from), request, known, likely: false }
}

pub(super) fn origin(from: &str) -> Origin {
    Origin::of(from.parse::<IpAddr>().unwrap())
}

pub(super) fn found(form: Form) -> LookedUp {
    LookedUp { parameters: parameters(form), addresses: Vec::new(), standing: Standing::blank() }
}

pub(super) fn settings(slots: usize) -> Settings {
    Settings {
        slots,
        token_lifetime: Duration::from_secs(3600),
        refresh_lifetime: Duration::from_secs(86_400),
    }
}

impl Table {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            lobby: Lobby::new(settings(slots)),
            found: Some(Ok(found(Form::Tokens))),
            dice: Counter::default(),
            ms: 0,
        }
    }

    pub(super) fn now(&self) -> Now {
        at_ms(self.ms)
    }

    pub(super) fn did(&mut self) -> Vec<String> {
        self.actions().iter().map(short).collect()
    }

    pub(super) fn actions(&mut self) -> Vec<Action> {
        let (mut did, now) = (Vec::new(), self.now());
        loop {
            let actions: Vec<_> = self.lobby.actions().collect();
            if actions.is_empty() {
                return did;
            }
            for action in actions {
                match (&action, &self.found) {
                    (Action::LookUp { host, .. }, Some(found)) => {
                        self.lobby.looked_up(host, found.clone(), now, &mut self.dice);
                    }
                    _ => did.push(action),
                }
            }
        }
    }

    pub(super) fn looked_up(&mut self, name: &str, found: Result<LookedUp, NotFound>) -> Vec<String> {
        let now = self.now();
        self.lobby.looked_up(&host(name), found, now, &mut self.dice);
        self.did()
    }

    pub(super) fn ask(&mut self, name: &str, from: &str, known: bool) -> Result<Vec<String>, Dropped> {
        self.ask_as(asked(name, from, known))
    }

    pub(super) fn ask_as(&mut self, asked: Asked) -> Result<Vec<String>, Dropped> {
        let now = self.now();
        self.lobby.asked(asked, now)?;
        Ok(self.did())
    }

    pub(super) fn kept(&mut self, name: &str, kept: bool) -> Vec<String> {
        let now = self.now();
        self.lobby.kept(&host(name), kept, now);
        self.did()
    }

    pub(super) fn answered(&mut self, name: &str, reply: &Reply) -> Vec<String> {
        let now = self.now();
        self.lobby.answered(&host(name), reply, now);
        self.did()
    }

    pub(super) fn status(&mut self, name: &str, status: u16) -> Vec<String> {
        self.answered(name, &Ok(Answer::bare(status)))
    }

    pub(super) fn finished(&mut self, name: &str, kept: bool) -> Vec<String> {
        let (now, took) = (self.now(), if kept { Took::Kept } else { Took::Lost });
        self.lobby.finished(&host(name), took, now);
        self.did()
    }

    pub(super) fn pass(&mut self, seconds: u64) -> Vec<String> {
        let (end, mut did) = (self.ms + seconds * 1000, Vec::new());
        while let Some(due) = self.lobby.wake_at().filter(|due| due.0 <= end) {
            self.ms = self.ms.max(due.0);
            let now = self.now();
            self.lobby.woken(now);
            assert!(self.lobby.wake_at().is_none_or(|next| next.0 > self.ms), "it wants to be woken again");
            did.extend(self.did());
        }
        self.ms = end;
        did
    }
}
