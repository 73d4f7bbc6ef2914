//! A node's local API, as an app sees it.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{Got, Node, eventually, message, node::ADMIN};

fn client() -> Client {
    Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(90)).build().unwrap()
}

/// An app with its token.
#[derive(Clone)]
pub(crate) struct App {
    base: String,
    token: Option<String>,
    http: Client,
}

impl App {
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Got {
        self.try_call(method, path, body).await.unwrap()
    }

    pub(crate) async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Got, reqwest::Error> {
        let text = body.map(ToString::to_string);
        self.raw(method, path, text.map(|text| ("application/json", text))).await
    }

    /// With a body and its type as they stand.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Got, reqwest::Error> {
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let answer = request.send().await?;
        let (status, headers, version) =
            (answer.status().as_u16(), answer.headers().clone(), answer.version());
        Ok(Got { status, headers, body: answer.bytes().await?, version })
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Got {
        self.call("POST", path, Some(body)).await
    }

    /// Without a body.
    pub(crate) async fn verb(&self, method: &str, path: &str) -> Got {
        self.call(method, path, None).await
    }

    /// Hands messages over and sees them accepted.
    pub(crate) async fn submit(&self, messages: &[Value]) {
        let got = self.post("/v1/messages", &json!({"messages": messages})).await;
        assert_eq!(got.status, 202, "{}", String::from_utf8_lossy(&got.body));
    }

    /// Where a message is.
    pub(crate) async fn status(&self, id: &str) -> Value {
        let got = self.get(&format!("/v1/messages/{id}")).await;
        assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
        got.json()
    }

    /// Waits until a message is in this state.
    pub(crate) async fn becomes(&self, id: &str, state: &str) -> Value {
        eventually(&format!("{id} is {state}"), || async {
            let status = self.status(id).await;
            (status["state"] == state).then_some(status)
        })
        .await
    }

    /// What stands in an inbox of `example/form`, not acknowledged.
    pub(crate) async fn inbox(&self, max: usize) -> Vec<Value> {
        let got = self.get(&format!("/v1/inbox/example/form?max={max}")).await;
        assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
        got.json()["messages"].as_array().unwrap().clone()
    }

    /// The ids that stand in the inbox.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let entries = self.inbox(10_000).await;
        entries.iter().map(|entry| entry["message"]["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until so many messages stand in the inbox: their ids.
    pub(crate) async fn receives(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} messages arrive"), || async {
            let ids = self.ids().await;
            (ids.len() >= count).then_some(ids)
        })
        .await
    }

    /// A link as the node shows it.
    pub(crate) async fn link(&self, host: &str) -> Value {
        let got = self.get(&format!("/v1/peers/{host}")).await;
        assert_eq!(got.status, 200);
        got.json()
    }

    /// Exchanges tokens with a peer and sees it succeed.
    pub(crate) async fn connect(&self, host: &str) -> Value {
        let got = self.verb("POST", &format!("/v1/peers/{host}/connect")).await;
        assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
        got.json()
    }

    /// One number of the metrics.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.get("/metrics").await.body.to_vec()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is no metric")).parse().unwrap()
    }

    /// Waits until a number of the metrics has grown to this.
    pub(crate) async fn counts(&self, name: &str, at_least: u64) {
        eventually(&format!("{name} reaches {at_least}"), || async {
            (self.metric(name).await >= at_least).then_some(())
        })
        .await;
    }
}

impl Node {
    /// The app that may do everything.
    pub(crate) fn app(&self) -> App {
        self.app_with(Some(ADMIN))
    }

    /// An app with this token.
    pub(crate) fn app_with(&self, token: Option<&str>) -> App {
        App { base: format!("http://{}", self.local), token: token.map(str::to_owned), http: client() }
    }

    /// A message of this node's `example/form` to a host.
    pub(crate) fn message_to(&self, host: &str, id: &str) -> Value {
        message(&self.host, host, id, &json!({"id": id}))
    }
}
