//! A host of our own making: it asks the node for tokens, takes the grant on its own listener, and sends packets from then on.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::Node;
use crate::{
    ground::Ground,
    load::{Head, Http, http1},
    outcome::{Outcome, Trying as _, failed},
};

/// The node opens one connection for a grant; more than enough.
const GRANT_TIME: Duration = Duration::from_secs(10);
/// The access token that the node must show with its grant.
const ACCESS: &str = "access-token-of-the-host-that-makes-the-load";

/// A host that listens.
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    grants: mpsc::UnboundedReceiver<Value>,
    listener: JoinHandle<()>,
}

impl Peer {
    /// Listens under this name.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) async fn start(ground: &Ground, name: &str) -> Outcome<Self> {
        ground.certify(&[name])?;
        let acceptor = TlsAcceptor::from(ground.server(name)?);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (sender, grants) = mpsc::unbounded_channel();
        let listener = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), tcp, sender.clone()));
            }
        });
        Ok(Self { name: name.to_owned(), address, grants, listener })
    }

    /// Exchanges tokens with the node: the access token that it gives.
    ///
    /// # Errors
    /// It does not grant, or not as asked.
    pub(crate) async fn link(&mut self, node: &Node) -> Outcome<String> {
        let request = json!({
            "host": self.name, "token": ACCESS, "refresh-token": format!("refresh-{ACCESS}"), "expires-in": 3600,
        });
        let request = request.to_string();
        let head = Head {
            authority: node.host.name.clone(),
            path: "/request".to_owned(),
            bearer: "none-yet".to_owned(),
            expect: 204,
        };
        let mut line = node.target(Http::One)?.open().await?;
        let mut out = http1::written(&head, request.len());
        out.extend_from_slice(request.as_bytes());
        line.write_all(&out).await?;
        line.flush().await?;
        http1::answer(&mut line, &mut Vec::new(), 204).await?;
        let grant = tokio::time::timeout(GRANT_TIME, self.grants.recv()).await;
        let grant = grant.trying(|| format!("{} grants", node.host.name))?;
        match grant.as_ref().and_then(|grant| grant["token"].as_str()) {
            Some(token) => Ok(token.to_owned()),
            None => failed(format!("{} granted no token", node.host.name)),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn serve(acceptor: TlsAcceptor, tcp: TcpStream, grants: mpsc::UnboundedSender<Value>) -> Outcome<()> {
    let stream = acceptor.accept(tcp).await?;
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request| answer(request, grants.clone()));
    let io = TokioIo::new(stream);
    if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await?;
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await?;
    }
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    grants: mpsc::UnboundedSender<Value>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let bearer = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    let ours = bearer == Some(&format!("Bearer {ACCESS}"));
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = match serde_json::from_slice(&body) {
        Ok(grant) if ours && head.uri.path() == "/grant" => {
            // Who asked may have given up meanwhile.
            let _ = grants.send(grant);
            StatusCode::NO_CONTENT
        }
        _ => StatusCode::UNAUTHORIZED,
    };
    Ok(answer)
}
