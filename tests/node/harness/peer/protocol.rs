//! A scripted host's part of the protocol: what it asks and sends, and what it usually answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Kind, Peer, Reply, Seen};
use crate::harness::{Got, Http, Node, caller::Call, eventually, message, now, packet, unix_seconds};

impl Peer {
    pub(super) fn gives(&self, token: &str, refresh: &str) {
        let mut state = self.state();
        let until = now() + Duration::from_secs(state.lifetime);
        state.access.insert(token.to_owned(), until);
        state.refresh.push(refresh.to_owned());
    }

    /// A fresh offer in its own name, not yet given.
    pub(crate) fn offer(&self) -> Value {
        let (token, refresh) = (self.secret("access"), self.secret("refresh"));
        let lifetime = self.state().lifetime;
        json!({"host": self.name, "token": token, "expires-in": lifetime,
               "expires": unix_seconds() + lifetime, "refresh-token": refresh})
    }

    /// A POST to the node in the peer's own HTTP version.
    pub(crate) fn post(&self, node: &Node, path: &str) -> Call {
        node.post(path).over(self.http.unwrap_or(Http::Two))
    }

    /// Asks the node for a token: what its request was answered.
    pub(crate) async fn ask(&self, node: &Node) -> Got {
        self.meets(node);
        let offer = self.offer();
        let text = |name: &str| offer[name].as_str().unwrap().to_owned();
        self.state().asked.insert(text("token"), text("refresh-token"));
        self.post(node, "/request").json(&offer).send().await
    }

    /// Exchanges tokens with the node, started by this peer: the access token that the node gave.
    pub(crate) async fn link(&self, node: &Node) -> String {
        let before = self.pairs_held();
        assert_eq!(self.ask(node).await.status, 204);
        eventually("the node grants", || async { (self.pairs_held() > before).then_some(()) }).await;
        // The node commits after the 204; a call that shows the token waits for it.
        self.token()
    }

    /// Sends messages with the newest token.
    pub(crate) async fn send(&self, node: &Node, messages: &[Value]) -> Got {
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
        }
    }

    fn on_request(&self, seen: &Seen) -> Reply {
        let peer = self.clone();
        let body = seen.json();
        tokio::spawn(async move { peer.grants(&body).await });
        Reply::of(204)
    }

    /// Grants to the node that asked so.
    pub(crate) async fn grants(&self, request: &Value) -> Option<Got> {
        let offer = self.offer();
        self.gives(offer["token"].as_str().unwrap(), offer["refresh-token"].as_str().unwrap());
        let got = self.grants_with(request, &offer).await?;
        if got.status == 204 {
            self.holds(request);
        }
        Some(got)
    }

    /// Grants with this offer.
    pub(crate) async fn grants_with(&self, request: &Value, offer: &Value) -> Option<Got> {
        let (host, address) = self.state().node.clone().unwrap();
        let call = Call::post(&self.yard, &host, address, "/grant").over(self.http.unwrap_or(Http::Two));
        call.bearer(request["token"].as_str().unwrap()).json(offer).try_send().await.ok()
    }

    fn on_grant(&self, seen: &Seen) -> Reply {
        let asked = seen.bearer.as_ref().and_then(|bearer| {
            let mut state = self.state();
            state.asked.remove(bearer).map(|refresh| (bearer.clone(), refresh))
        });
        let Some((token, refresh)) = asked else { return Reply::of(401) };
        self.gives(&token, &refresh);
        self.holds(&seen.json());
        Reply::of(204)
    }

    fn on_refresh(&self, seen: &Seen) -> Reply {
        let known = seen.bearer.as_ref().is_some_and(|bearer| self.state().refresh.contains(bearer));
        if !known {
            return Reply::of(401);
        }
        let mut offer = self.offer();
        self.gives(offer["token"].as_str().unwrap(), offer["refresh-token"].as_str().unwrap());
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
