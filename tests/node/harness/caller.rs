//! One request to a peer port, or to the plain one, each on a connection of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, Response, Version, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::TlsConnector;

use super::{Yard, yard::bare};

/// An address of this machine that no host's name leads to: who calls from here is a stranger.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

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
    plain: bool,
    from: Option<Ipv4Addr>,
    http: Http,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    /// Written before TLS.
    first: Vec<u8>,
}

impl Call {
    /// A POST to a host that stands at this address.
    pub(crate) fn post(yard: &Yard, host: &str, address: SocketAddr, path: &str) -> Self {
        Self {
            yard: yard.clone(),
            address,
            sni: bare(host).to_owned(),
            authority: host.to_owned(),
            plain: false,
            from: None,
            http: Http::Two,
            method: Method::POST,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            first: Vec::new(),
        }
    }

    /// Without TLS.
    pub(crate) fn plain(mut self) -> Self {
        (self.plain, self.http) = (true, Http::One);
        self
    }

    /// With these bytes before TLS, as a proxy writes them.
    pub(crate) fn first(mut self, bytes: &[u8]) -> Self {
        self.first = bytes.to_vec();
        self
    }

    /// From an address that is none of the peers'.
    pub(crate) fn elsewhere(mut self) -> Self {
        self.from = Some(ELSEWHERE);
        self
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

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let stream = self.dial().await.map_err(|error| error.to_string())?;
        if self.plain {
            return Ok(Box::new(stream));
        }
        let connector = TlsConnector::from(Arc::clone(&self.yard.client(&[self.http.alpn()])));
        let name = ServerName::try_from(self.sni.clone()).unwrap();
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        Ok(Box::new(stream))
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind(SocketAddr::from((from, 0)))?;
        }
        let mut stream = socket.connect(self.address).await?;
        stream.write_all(&self.first).await?;
        Ok(stream)
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
