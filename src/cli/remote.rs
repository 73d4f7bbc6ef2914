//! A running node, through its local API.
//!
//! Plain HTTP, no proxies, no redirects, and never longer than asked. What the node refuses becomes an error that says
//! why, in its own words, and what the caller needs.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reqwest::{Client, Method, Response, Url, header, redirect};
use serde::Deserialize;

use super::{
    output::{CliError, Outcome},
    render::clean,
};

const LOCAL: &str = "http://127.0.0.1:8080";
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A call that waits for nothing: the node's own work is done in milliseconds, an exchange with a peer takes up to a
/// minute and a half.
pub(super) const CALL_TIME: Duration = Duration::from_secs(120);

/// Which node, and who asks.
#[derive(clap::Args, Debug)]
pub(super) struct Target {
    /// The node's local API [env: YMP_LOCAL] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    local: Option<String>,
    /// The token of an app of the node; other users can see arguments, so better [env: YMP_TOKEN]
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    token: Option<String>,
}

/// A node that can be called.
pub(super) struct Remote {
    base: Url,
    /// `None` where only what needs no token is called.
    token: Option<String>,
    http: Client,
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Below `/v1`; each is encoded.
    pub(super) path: &'a [&'a str],
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
    /// How long the node may take.
    pub(super) time: Duration,
    /// What the app needs for it, shown with a 403.
    pub(super) need: &'a str,
}

impl<'a> Call<'a> {
    /// A call without a query and a body.
    pub(super) fn new(method: Method, path: &'a [&'a str], need: &'a str) -> Self {
        Self { method, path, query: Vec::new(), body: None, time: CALL_TIME, need }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    r#type: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    step: Option<String>,
    index: Option<u64>,
    field: Option<String>,
}

impl Target {
    /// Whether somebody said who asks.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some() || set("YMP_TOKEN").is_some()
    }

    /// The node that listens there, where nobody said another.
    pub(super) fn or_at(self, local: SocketAddr) -> Self {
        let named = self.local.is_some() || set("YMP_LOCAL").is_some();
        if named || local.port() == 0 {
            return self;
        }
        let loopback: IpAddr =
            if local.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let ip = if local.ip().is_unspecified() { loopback } else { local.ip() };
        Self { local: Some(SocketAddr::new(ip, local.port()).to_string()), ..self }
    }
}

impl Remote {
    /// From the flags, then the environment, then the default.
    pub(super) fn new(target: Target) -> Result<Self, CliError> {
        let token = target.token.or_else(|| set("YMP_TOKEN")).ok_or_else(|| {
            CliError::failed(
                "no token was given",
                "set YMP_TOKEN (or give --token) to the token of an app under [[apps]] of the node",
            )
        })?;
        Self::of(target.local, Some(token.trim().to_owned()))
    }

    /// As `new`, for calls that need no token.
    pub(super) fn without_token(local: Option<String>) -> Result<Self, CliError> {
        Self::of(local, None)
    }

    /// A node whose address and token are known.
    pub(super) fn at(local: &str, token: &str) -> Result<Self, CliError> {
        Self::of(Some(local.to_owned()), Some(token.to_owned()))
    }

    fn of(local: Option<String>, token: Option<String>) -> Result<Self, CliError> {
        let base = base(&local.or_else(|| set("YMP_LOCAL")).unwrap_or_else(|| LOCAL.to_owned()))?;
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIME)
            .build()
            .map_err(|error| CliError::failed(format!("no HTTP client can be made: {error}"), ""))?;
        Ok(Self { base, token, http })
    }

    /// What stands beside `/v1` and needs no token (`readyz`, `metrics`): status and body.
    pub(super) async fn plain(&self, path: &str, time: Duration) -> Result<(u16, String), CliError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(path);
        }
        let response =
            self.http.get(url).timeout(time).send().await.map_err(|error| self.lost(&error, time))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(|error| self.lost(&error, time))?))
    }

    /// The body of a successful answer.
    pub(super) async fn text(&self, call: Call<'_>) -> Result<String, CliError> {
        let time = call.time;
        let response = self.open(call, None).await?;
        response.text().await.map_err(|error| self.lost(&error, time))
    }

    /// A successful answer whose body has not been read; `last_event` resumes a stream, which has no time limit.
    pub(super) async fn open(&self, call: Call<'_>, last_event: Option<&str>) -> Result<Response, CliError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.http.request(call.method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        request = match last_event {
            Some("") => request,
            Some(id) => request.header("last-event-id", id),
            None => request.timeout(call.time),
        };
        let response = request.send().await.map_err(|error| self.lost(&error, call.time))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response, call.need).await)
    }

    fn lost(&self, error: &reqwest::Error, time: Duration) -> CliError {
        let base = self.base.as_str().trim_end_matches('/');
        if error.is_builder() {
            let mend = "a token is at least 16 visible ASCII characters";
            return CliError::failed("the call cannot be written: is the token one?", mend);
        }
        let (what, mend) = if error.is_connect() {
            let mend = "start it, or name its `local.listen` with --local or YMP_LOCAL";
            (format!("no node answers at {base}: is `ymp serve` running?"), mend)
        } else if error.is_timeout() {
            (format!("the node at {base} did not answer within {} s", time.as_secs()), "look at its log")
        } else {
            let mend = "look at its log; is it a YMP node's local API?";
            (format!("the node at {base} broke the call off: {}", source(error)), mend)
        };
        CliError::Away { what, mend: mend.to_owned() }
    }
}

/// A variable of the environment that says something.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Runs a command that talks to a node.
pub(super) fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::failed(format!("no runtime can be made: {error}"), ""))?.block_on(work)
}

/// Reads a JSON answer.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, CliError> {
    serde_json::from_str(text).map_err(|error| {
        let mend = "is the node of the same version as this command?";
        CliError::failed(format!("the node's answer is not understood: {error}"), mend)
    })
}

fn base(text: &str) -> Result<Url, CliError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).ok().filter(|url| url.scheme() == "http" && url.has_host());
    url.ok_or_else(|| {
        let what = format!("`{}` is no address of a local API", clean(text));
        CliError::failed(what, "write --local (or YMP_LOCAL) as http://127.0.0.1:8080")
    })
}

/// The innermost cause.
fn source(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

async fn refused(response: Response, need: &str) -> CliError {
    let status = response.status();
    let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(clean);
    let problem: Problem =
        response.bytes().await.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
    let what = problem.words(&format!("the node answered {status}"));
    let kind = problem.r#type.as_deref().and_then(|text| text.strip_prefix("urn:ymp:problem:"));
    match (status.as_u16(), kind.unwrap_or_default()) {
        (401, _) => CliError::failed(
            "the node does not know this token",
            "YMP_TOKEN (or --token) must be the token of an app under [[apps]] of its configuration",
        ),
        (403, "policy") => CliError::failed(
            what,
            "`policy` and `deny` under [federation] of the node's configuration say who is let in",
        ),
        (403, _) => CliError::failed(what, need),
        (code, "cursor" | "not-found") => CliError::Unknown { what, mend: mend(code).to_owned() },
        (409, "backup") => {
            CliError::failed(what, "the node writes the folder itself, on its own machine: name another")
        }
        (503, _) => {
            let wait = wait.map_or("a moment".to_owned(), |wait| format!("{wait} s"));
            CliError::Busy { what, mend: format!("try again in {wait}") }
        }
        (other, _) => match problem.step {
            Some(step) => CliError::Peer { step: clean(&step), what, mend: mend(other).to_owned() },
            None => CliError::failed(what, mend(other)),
        },
    }
}

/// What to do about an answer that needs no look at the call.
fn mend(status: u16) -> &'static str {
    match status {
        400 => "mend what it names and try again",
        404 => "check the name or the id: `ymp peer list` and `ymp dead list` show those that are known",
        409 => "give another --id, or the same content as the first time",
        413 => "send less at once",
        502 => {
            "`ymp doctor HOST` walks the way to the peer step by step, `ymp peer show HOST` says how the link did"
        }
        504 => "try again, or wait longer",
        500.. => "look at the node's log",
        _ => "is it a YMP node's local API, and of the same version as this command?",
    }
}

impl Problem {
    /// What the node said: title, detail, and the place in the call. The step is not part of it.
    fn words(&self, default: &str) -> String {
        let mut words = clean(self.title.as_deref().unwrap_or(default));
        if let Some(detail) = self.detail.as_deref().filter(|detail| Some(*detail) != self.title.as_deref()) {
            words = format!("{words}: {}", clean(detail));
        }
        let index = self.index.map(|index| format!("message {index}"));
        let field = self.field.as_deref().map(|field| format!("field `{}`", clean(field)));
        let places: Vec<String> = [index, field].into_iter().flatten().collect();
        if places.is_empty() { words } else { format!("{words} ({})", places.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_the_scheme_out() {
        assert_eq!(base("127.0.0.1:1").unwrap().as_str(), "http://127.0.0.1:1/");
        assert!(base("https://127.0.0.1:1").is_err());
        assert!(base("http://").is_err());
    }

    #[test]
    fn a_problem_is_told_in_the_nodes_words() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"about:blank","title":"Bad message","detail":"`host` is missing","index":3,"field":"host"}"#,
        )
        .unwrap();
        assert_eq!(problem.words(""), "Bad message: `host` is missing (message 3, field `host`)");
        assert_eq!(Problem::default().words("the node answered 500"), "the node answered 500");
    }

    /// A node that gives one answer to one call, and the call's head that it saw.
    fn node(answer: &'static str) -> (Target, std::thread::JoinHandle<String>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = Some(listener.local_addr().unwrap().to_string());
        let seen = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 2048];
            let size = stream.read(&mut head).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&head[..size]).into_owned()
        });
        (Target { local, token: Some("0123456789abcdef".into()) }, seen)
    }

    /// What a call of `path` comes to, in words, and the head that the node saw.
    fn call(path: &[&str], answer: &'static str) -> (Result<String, String>, String) {
        let (target, seen) = node(answer);
        let mut outcome = Err(String::new());
        let done = block_on(async {
            outcome = Remote::new(target)?
                .text(Call::new(Method::GET, path, "the app needs more"))
                .await
                .map_err(|error| error.to_string());
            Ok(())
        });
        assert!(done.is_ok());
        (outcome, seen.join().unwrap())
    }

    #[test]
    fn names_are_encoded_and_the_token_is_shown() {
        let (outcome, head) = call(
            &["messages", "a/b ?#"],
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        );
        assert_eq!(outcome.as_deref(), Ok("{}"));
        assert!(head.starts_with("GET /v1/messages/a%2Fb%20%3F%23 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: Bearer 0123456789abcdef"), "{head}");
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (answer, part) in [
            ("HTTP/1.1 401 x\r\nconnection: close\r\n\r\n", "must be the token of an app under [[apps]]"),
            (
                "HTTP/1.1 403 x\r\nconnection: close\r\n\r\n{\"title\":\"Not yours\"}",
                "ymp: Not yours\n     the app needs more",
            ),
            (
                "HTTP/1.1 403 x\r\nconnection: close\r\n\r\n{\"type\":\"urn:ymp:problem:policy\",\"title\":\"Not them\"}",
                "ymp: Not them\n     `policy` and `deny` under [federation]",
            ),
            ("HTTP/1.1 404 x\r\nconnection: close\r\n\r\n<html>", "ymp: the node answered 404"),
            (
                "HTTP/1.1 503 x\r\nretry-after: 9\r\nconnection: close\r\n\r\n{\"title\":\"Full\"}",
                "ymp: Full\n     try again in 9 s",
            ),
            (
                "HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\n\r\n",
                "the node answered 302",
            ),
            ("SMTP ready\r\n\r\n", "broke the call off"),
        ] {
            let words = call(&["peers"], answer).0.unwrap_err();
            assert!(words.contains(part), "{words}");
            assert!(!words.contains("0123456789"), "{words}");
        }
    }

    #[test]
    fn a_node_that_is_not_there_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap().to_string();
        drop(listener);
        let target = Target { local: Some(local.clone()), token: Some("0123456789abcdef".into()) };
        let outcome = block_on(async {
            Remote::new(target)?.text(Call::new(Method::GET, &["peers"], "")).await.map(|_| ())
        });
        let words = outcome.unwrap_err().to_string();
        assert!(
            words.starts_with(&format!("ymp: no node answers at http://{local}: is `ymp serve` running?")),
            "{words}"
        );
    }
}
