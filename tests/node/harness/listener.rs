//! A scripted host's listener: TLS, both versions of HTTP, a call read whole.

use std::{future::Future, io, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{Yard, now, peer::Seen, yard::bind};

/// Who answers.
pub(super) trait Host: Clone + Send + Sync + 'static {
    /// What the call is answered; an error breaks the connection.
    fn answers(&self, seen: Seen) -> impl Future<Output = io::Result<super::Reply>> + Send;

    /// Somebody connected.
    fn reached(&self) {}
}

/// Serves until the task is aborted, which cuts all connections.
pub(super) async fn listen(
    host: impl Host,
    yard: &Yard,
    name: &str,
    address: SocketAddr,
    alpn: &[&str],
) -> JoinHandle<()> {
    let listener = bind(address).await;
    let acceptor = TlsAcceptor::from(yard.server(name, alpn));
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            host.reached();
            connections.spawn(serve(host.clone(), stream, acceptor.clone()));
        }
    })
}

async fn serve(host: impl Host, tcp: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let sni = stream.get_ref().1.server_name().map(str::to_owned);
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request| {
        let (host, sni) = (host.clone(), sni.clone());
        async move { answer(&host, sni, request).await }
    });
    let io = TokioIo::new(stream);
    // How a connection ends is the node's business.
    let _ = if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

async fn answer(
    host: &impl Host,
    sni: Option<String>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let authority = head.uri.authority().map(ToString::to_string).or_else(|| text("host"));
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let reply = host
        .answers(Seen {
            kind: super::Kind::Other,
            method: head.method,
            // With the query, if there is one: nobody is to be called so.
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            version: head.version,
            authority: authority.unwrap_or_default(),
            sni,
            bearer,
            headers: head.headers,
            body,
            at: now(),
        })
        .await?;
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.body(Full::new(Bytes::from(reply.body))).unwrap())
}
