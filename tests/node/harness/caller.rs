//! One request to a peer port, each on a connection of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, Response, Version, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Yard;

/// The only version that a side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

impl Http {
    /// Its name in ALPN.
    pub(crate) fn alpn(self) -> &'static str {
        match self {
            Self::One => "http/1.1",
            Self::Two => "h2",
        }
    }

    pub(crate) fn version(self) -> Version {
        match self {
            Self::One => Version::HTTP_11,
            Self::Two => Version::HTTP_2,
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) version: Version,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// A problem document that names itself (RFC 9457); repeats no token.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["type"].as_str().unwrap().starts_with("urn:ymp:problem:"), "{problem}");
        assert!(!problem["title"].as_str().unwrap().is_empty());
        problem
    }
}

/// A request on its way.
#[derive(Clone)]
pub(crate) struct Call {
    yard: Yard,
    address: SocketAddr,
    sni: String,
    authority: String,
    http: Http,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    /// A POST to a host that stands at this address.
    pub(crate) fn post(yard: &Yard, host: &str, address: SocketAddr, path: &str) -> Self {
        Self {
            yard: yard.clone(),
            address,
            sni: host.to_owned(),
            authority: host.to_owned(),
            http: Http::Two,
            method: Method::POST,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn over(mut self, http: Http) -> Self {
        self.http = http;
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap();
        self
    }

    /// Another Host or `:authority` than the name of the certificate.
    pub(crate) fn authority(mut self, authority: &str) -> Self {
        self.authority = authority.to_owned();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.text(&value.to_string())
    }

    /// A body that says of itself that it is JSON.
    pub(crate) fn text(self, body: &str) -> Self {
        self.header("content-type", "application/json").bytes(body.as_bytes().to_vec())
    }

    pub(crate) fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it; panics where nothing comes back.
    pub(crate) async fn send(self) -> Got {
        let what = format!("{} {}", self.method, self.path);
        self.try_send().await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends it; `Err` where nothing comes back.
    pub(crate) async fn try_send(self) -> Result<Got, String> {
        let sending = tokio::time::timeout(Duration::from_secs(30), self.exchange());
        sending.await.map_err(|_| "no answer in 30 s".to_owned())?
    }

    async fn exchange(self) -> Result<Got, String> {
        let http = self.http;
        let stream = self.connect().await?;
        let io = TokioIo::new(stream);
        let request = self.request();
        let answer = match http {
            Http::One => {
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(io).await.map_err(words)?;
                tokio::spawn(connection);
                sender.send_request(request).await
            }
            Http::Two => {
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(words)?;
                tokio::spawn(connection);
                sender.send_request(request).await
            }
        };
        whole(answer.map_err(words)?).await
    }

    fn request(self) -> Request<Full<Bytes>> {
        let mut builder = Request::builder().method(self.method);
        builder = match self.http {
            Http::One => builder.uri(&self.path).header("host", &self.authority),
            Http::Two => builder.uri(format!("https://{}{}", self.authority, self.path)),
        };
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder.body(Full::new(self.body)).unwrap()
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::clone(&self.yard.client(&[self.http.alpn()])));
        let name = ServerName::try_from(self.sni.clone()).unwrap();
        connector.connect(name, stream).await.map_err(|error| error.to_string())
    }
}

async fn whole(answer: Response<Incoming>) -> Result<Got, String> {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(words)?.to_bytes();
    Ok(Got { status: head.status.as_u16(), headers: head.headers, body, version: head.version })
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn words(error: hyper::Error) -> String {
    format!("{error:?}")
}
