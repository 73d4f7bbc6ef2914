//! A host's doors, as the shell keeps them (`node/exchange`, `node/inbound`, `node/granting`), with what is judged at them.
//!
//! A shown secret is looked up by kind and digest. Tokens that were only offered are neither valid nor unknown: a call that
//! shows one waits. What a call changes is on the disk before it is answered.

use crate::{
    link::{
        dice::secret,
        event::{CallId, Event, GrantKey, Granted},
        lobby,
        peer::family_writes,
    },
    token::{
        families::{Changes, NotRotated},
        family::{Door, NewPair},
        fault::fault,
    },
    wire::{
        exchange::{RefreshReply, TokenRequest},
        record::Mail,
        secret::{Digest, HeldToken},
    },
};

use super::{
    naming::{CALLS, held, number},
    world::*,
};

impl World {
    /// Whether a call shows a token whose offer is not settled.
    pub(super) fn waits(&self, to: Place, call: &Call) -> bool {
        let (Call::Refresh(token) | Call::Packet(token, _)) = call else { return false };
        let shown = token.digest();
        to != M
            && self.hosts[to].offered.iter().any(|Offer { pair, .. }| {
                pair.access == shown || pair.refresh.is_some_and(|refresh| refresh.digest == shown)
            })
    }

    /// A call arrives at a host that keeps to the protocol.
    pub(super) fn arrive(&mut self, from: Place, to: Place, call: Call, back: Option<Back>) {
        match call {
            Call::Request(request) => {
                self.asked(from, to, request);
                self.answer(to, from, back, Answered::Status(204));
            }
            Call::Grant(bearer, offer) => {
                self.granted(from, to, GrantKey::Bearer(bearer), Granted::Tokens { bearer, offer }, back);
            }
            Call::StateGrant(grant) => {
                self.granted(from, to, GrantKey::State(grant.state), Granted::State(grant), back);
            }
            Call::Refresh(token) => self.refreshed(from, to, &token, back),
            Call::Packet(token, mail) => self.packet(from, to, &token, mail, back),
        }
    }

    fn asked(&mut self, from: Place, to: Place, request: TokenRequest) {
        let of = super::hands::place_of(request.host());
        let now = self.now();
        if of == to || (fault!(AskingStopsGranting) && self.side(to, of).peer.look(now).asking) {
            return;
        }
        let known = self.side(to, of).peer.is_linked();
        let asked =
            lobby::Asked { origin: origin(from), request, known, likely: from == of && self.scene.likely };
        let dropped = self.host_mut(to).lobby.asked(asked, now).err();
        if let Some(dropped) = dropped {
            self.tell(|| format!("dropped: {dropped}"));
        }
        self.lobby(to);
    }

    fn granted(&mut self, from: Place, to: Place, key: GrantKey, grant: Granted, back: Option<Back>) {
        let host = &self.hosts[to];
        let of = host.others().find(|of| host.side(*of).peer.grant_keys().any(|known| known == key));
        let Some(of) = of else {
            let status = if matches!(key, GrantKey::Bearer(_)) { 401 } else { 403 };
            return self.answer(to, from, back, Answered::Status(status));
        };
        self.calls += 1;
        let call = CallId(CALLS + self.calls);
        self.host_mut(to).waiting.push((call, from, back));
        self.drive(to, of, Event::GrantArrived { call, grant });
    }

    /// Whose secret it is, at this door.
    fn look_up(&self, at: Place, door: Door, digest: &Digest) -> Option<Place> {
        let host = &self.hosts[at];
        host.others().find(|of| {
            let families = host.side(*of).peer.families();
            families.knows(door, digest) || (fault!(AnyDoor) && families.knows(Door::Refresh, digest))
        })
    }

    fn refreshed(&mut self, from: Place, to: Place, token: &HeldToken, back: Option<Back>) {
        self.stale |= back.is_none();
        let (shown, now) = (token.digest(), self.now().wall);
        let refused = Answered::Status(401);
        let Some(of) = self.look_up(to, Door::Refresh, &shown) else {
            return self.answer(to, from, back, refused);
        };
        let settings = model_settings();
        let host = self.host_mut(to);
        let (access, refresh) = (secret(&mut host.dice), secret(&mut host.dice));
        let lives = (settings.token_lifetime, settings.refresh_lifetime);
        let pair = NewPair::new(access.digest(), lives.0, refresh.digest(), lives.1, now);
        let side = host.side_mut(of);
        let (changes, reply) = match side.peer.families_mut().rotate(&shown, pair, now) {
            Ok(changes) => {
                let (token, refresh) = (held(&access), held(&refresh));
                let reply = RefreshReply { token, lifetime: lives.0, refresh, dated: false };
                (changes, Answered::Fresh(reply))
            }
            Err(NotRotated::Unknown) => return self.answer(to, from, back, refused),
            Err(NotRotated::Replayed(changes)) => (changes, refused),
        };
        if matches!(reply, Answered::Fresh(_)) {
            self.check_refresh(from, to, of, &shown, &pair);
        } else if from != M {
            self.check_replay(from, to);
        }
        self.marks(to, of, changes, Then::Refresh { from, back, reply });
    }

    fn packet(&mut self, from: Place, to: Place, token: &HeldToken, mail: Vec<Mail>, back: Option<Back>) {
        let (shown, now) = (token.digest(), self.now().wall);
        let of = self.look_up(to, Door::Access, &shown);
        let admitted =
            of.and_then(|of| self.host_mut(to).side_mut(of).peer.families_mut().admit(&shown, now));
        let (Some(of), Some(changes)) = (of, admitted) else {
            return self.answer(to, from, back, Answered::Status(401));
        };
        // The first use of an exchange, long after: its issuer cannot know that the caller has gone over to another one.
        self.stale |= back.is_none() && !changes.put.is_empty();
        if !self.mallory.may_show(token, Door::Access) {
            self.accuse("(a)", "a secret opens another door than its own");
        }
        if from != of {
            self.accuse("(a)", "a token opens for another host than the one that it was given to");
        }
        let side = &mut self.host_mut(to).side_mut(of).seen;
        if let Some(used) = side.successors.iter().find(|pair| pair.access == shown) {
            side.spent.push(used.of);
        }
        side.tidy();
        self.marks(to, of, changes, Then::Packet { from, back, mail });
    }

    fn marks(&mut self, at: Place, of: Place, changes: Changes, then: Then) {
        let writes = family_writes(self.side(at, of).peer.families(), changes);
        let seen = self.side(at, of).seen.clone();
        self.commit(at, Job::Marks(then, seen), writes);
    }

    /// The families of a call are on disk: it is answered.
    pub(super) fn marked(&mut self, at: Place, then: Then, seen: Seen, kept: bool) {
        let (Then::Packet { from, back, .. } | Then::Refresh { from, back, .. }) = &then;
        let (from, back) = (*from, *back);
        if !kept {
            return self.answer(at, from, back, Answered::Status(503));
        }
        self.host_mut(at).side_mut(from).kept = seen;
        let answered = match then {
            Then::Packet { mail, .. } => {
                let side = self.host_mut(at).side_mut(from);
                let newest = mail.iter().map(|mail| mail.seq.0).max().unwrap_or_default();
                side.inbox = side.inbox.max(newest);
                Answered::Status(204)
            }
            Then::Refresh { reply, .. } => reply,
        };
        if !matches!(answered, Answered::Status(401)) {
            self.drive(at, from, Event::Heard);
        }
        self.answer(at, from, back, answered);
    }

    fn check_refresh(&mut self, from: Place, at: Place, of: Place, shown: &Digest, fresh: &NewPair) {
        if from != of {
            self.accuse("(a)", "a refresh token opens for another host than the one that it was given to");
        }
        let side = &mut self.host_mut(at).side_mut(of).seen;
        let was_spent = side.spent.contains(shown);
        // The pair that it belongs to is used by this; what it was given for before is dead.
        let used = side.successors.iter().filter(|pair| pair.refresh == *shown).map(|pair| pair.of);
        let dead = side.successors.iter().filter(|pair| pair.of == *shown).map(|pair| pair.refresh);
        let spent: Vec<_> = used.chain(dead).collect();
        side.spent.extend(spent);
        let refresh = fresh.refresh.unwrap().digest;
        side.successors.push(Successor { of: *shown, access: fresh.access, refresh });
        side.tidy();
        if was_spent {
            self.accuse("(h)", "a spent refresh token yields a pair");
        }
    }

    // `https-token`, "Refreshing": lost answers must not cost the link
    fn check_replay(&mut self, from: Place, at: Place) {
        let who = ["A", "B"][from];
        if !self.stale {
            self.accuse("(e)", &format!("{who} keeps to the protocol and is taken for a thief"));
        }
        self.tell(|| format!("a replay at {}", ["A", "B"][at]));
    }

    // `https-token`, "Request a token", MUST 2: the tokens are not used before the grant's 204
    /// A grant was answered with 204: its exchange was begun by the host that is granted, or that host says 204 to all.
    pub(super) fn check_take(&mut self, at: Place, of: Place, pair: &NewPair) {
        let asked_by = self.hosts[at].offered.iter().find(|offer| offer.of == of).unwrap().asked_by;
        let surely = pair.refresh.is_some() || !pair.unsure;
        if asked_by != Some(of) && !self.scene.yes(of) {
            self.accuse("(b)", "an exchange is confirmed that its owner did not begin");
        } else if asked_by != Some(of) && pair.refresh.is_none() && surely {
            self.accuse("(c)", "what a stranger caused counts as surely the host's");
        }
    }
}

impl Seen {
    /// In an order that does not say which came first.
    fn tidy(&mut self) {
        self.spent.sort_by_key(number);
        self.spent.dedup();
    }
}
