//! A scripted host's part of the protocol: what it asks and sends, and what it usually answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Kind, Peer, Reply, Revision, Seen};
use crate::harness::{Got, Http, Node, caller::Call, eventually, message, now, packet, unix_seconds};

impl Peer {
    fn knows(&self, token: &str, refresh: Option<&str>) {
        let mut state = self.state();
        let until = now() + Duration::from_secs(state.lifetime);
        state.access.insert(token.to_owned(), until);
        state.refresh.extend(refresh.map(str::to_owned));
    }

    /// Takes packets and refreshes with what is in this offer from now on.
    pub(crate) fn gives(&self, offer: &Value) {
        self.knows(offer["token"].as_str().unwrap(), offer["refresh-token"].as_str());
    }

    /// A fresh offer in its own name, not yet given; with R3 it lacks the state that it answers.
    pub(crate) fn offer(&self) -> Value {
        let (revision, lifetime) = (self.revision(), self.state().lifetime);
        let mut offer = json!({"host": self.name, "token": self.secret("access")});
        if revision == Revision::R1 {
            offer["expires-in"] = json!(lifetime);
        } else {
            offer["expires"] = json!(unix_seconds() + lifetime);
        }
        if revision != Revision::R3 {
            offer["refresh-token"] = json!(self.secret("refresh"));
        }
        offer
    }

    /// A fresh offer that answers this request.
    pub(crate) fn offer_for(&self, request: &Value) -> Value {
        let mut offer = self.offer();
        if self.revision() == Revision::R3 {
            offer["state"] = request["state"].clone();
        }
        offer
    }

    /// A POST to the node in the peer's own HTTP version.
    pub(crate) fn post(&self, node: &Node, path: &str) -> Call {
        node.post(path).over(self.http.unwrap_or(Http::Two))
    }

    /// Asks the node for a token: what its request was answered.
    pub(crate) async fn ask(&self, node: &Node) -> Got {
        self.meets(node);
        let text = |body: &Value, name: &str| body[name].as_str().unwrap().to_owned();
        let (body, asked) = if self.revision() == Revision::R3 {
            let state = self.secret("state");
            (json!({"host": self.name, "state": state}), (state, None))
        } else {
            let offer = self.offer();
            let asked = (text(&offer, "token"), Some(text(&offer, "refresh-token")));
            (offer, asked)
        };
        self.state().asked.insert(asked.0, asked.1);
        self.post(node, "/request").json(&body).send().await
    }

    /// Exchanges tokens with the node, started by this peer: the access token that the node gave.
    pub(crate) async fn link(&self, node: &Node) -> String {
        let before = self.pairs_held();
        assert_eq!(self.ask(node).await.status, 204);
        eventually("the node grants", || async { (self.pairs_held() > before).then_some(()) }).await;
        // The node commits after the 204; a call that shows the token waits for it.
        self.token()
    }

    /// Sends messages with the newest token; waits for the first, which it has a moment after the node took its grant.
    pub(crate) async fn send(&self, node: &Node, messages: &[Value]) -> Got {
        eventually("the peer has a token", || async { (self.pairs_held() > 0).then_some(()) }).await;
        let token = self.token();
        self.send_with(node, &token, messages).await
    }

    pub(crate) async fn send_with(&self, node: &Node, token: &str, messages: &[Value]) -> Got {
        self.post(node, "/packet").bearer(token).json(&packet(messages)).send().await
    }

    /// Refreshes with this token; a 200 is not noted.
    pub(crate) async fn refresh_with(&self, node: &Node, token: &str) -> Got {
        self.post(node, "/refresh").bearer(token).send().await
    }

    /// A message of its `example/form` to the node's.
    pub(crate) fn message(&self, node: &Node, id: &str) -> Value {
        message(&self.name, &node.host, id, &json!({"id": id}))
    }

    pub(super) fn usually(&self, seen: &Seen) -> Reply {
        match seen.kind {
            Kind::Request => self.on_request(seen),
            Kind::Grant => self.on_grant(seen),
            Kind::Refresh => self.on_refresh(seen),
            Kind::Packet => self.on_packet(seen),
            Kind::Information => self.on_information(seen),
            Kind::Other => Reply::of(self.state().elsewhere),
        }
    }

    fn on_request(&self, seen: &Seen) -> Reply {
        let (peer, body) = (self.clone(), seen.json());
        // A request of another revision than its own it does not understand.
        let needs = if self.revision() == Revision::R3 { "state" } else { "token" };
        if body[needs].is_string() {
            tokio::spawn(async move { peer.grants(&body).await });
        }
        Reply::of(204)
    }

    /// Grants to the node that asked so.
    pub(crate) async fn grants(&self, request: &Value) -> Option<Got> {
        let offer = self.offer_for(request);
        self.gives(&offer);
        let got = self.grants_with(request, &offer).await?;
        if got.status == 204 && self.revision() != Revision::R3 {
            self.holds(request);
        }
        Some(got)
    }

    /// Grants with this offer.
    pub(crate) async fn grants_with(&self, request: &Value, offer: &Value) -> Option<Got> {
        let (host, address) = self.state().node.clone().unwrap();
        let call = Call::post(&self.yard, &host, address, "/grant").over(self.http.unwrap_or(Http::Two));
        let call = if self.revision() == Revision::R3 {
            call
        } else {
            call.bearer(request["token"].as_str().unwrap())
        };
        call.json(offer).try_send().await.ok()
    }

    fn on_grant(&self, seen: &Seen) -> Reply {
        let body = seen.json();
        if self.revision() == Revision::R3 {
            let answers = body["state"].as_str().filter(|_| seen.bearer.is_none());
            if answers.and_then(|state| self.state().asked.remove(state)).is_some() {
                self.holds(&body);
            }
            // Taken or not: as the published implementation of R3 does.
            return Reply::of(204);
        }
        let asked = seen.bearer.as_ref().and_then(|bearer| {
            let refresh = self.state().asked.remove(bearer)?;
            Some((bearer.clone(), refresh))
        });
        let Some((token, refresh)) = asked else { return Reply::of(401) };
        self.knows(&token, refresh.as_deref());
        self.holds(&body);
        Reply::of(204)
    }

    fn on_refresh(&self, seen: &Seen) -> Reply {
        let known = seen.bearer.as_ref().is_some_and(|bearer| self.state().refresh.contains(bearer));
        if !known {
            return Reply::of(401);
        }
        let mut offer = self.offer();
        self.gives(&offer);
        offer.as_object_mut().unwrap().remove("host");
        Reply::of(200).body("application/json", &offer.to_string())
    }

    fn on_packet(&self, seen: &Seen) -> Reply {
        let ids = seen.ids();
        let mut state = self.state();
        let known = seen.bearer.as_ref().and_then(|bearer| state.access.get(bearer));
        if known.is_none_or(|until| *until < now()) {
            return Reply::of(401);
        }
        state.received.extend(ids);
        Reply::of(204)
    }
}
