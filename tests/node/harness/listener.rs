//! A scripted host's listener: TLS, both versions of HTTP, a call read whole.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{Kind, Peer, now, peer::Seen};

pub(super) async fn serve(peer: Peer, tcp: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let sni = stream.get_ref().1.server_name().map(str::to_owned);
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request| {
        let (peer, sni) = (peer.clone(), sni.clone());
        async move { answer(&peer, sni, request).await }
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
    peer: &Peer,
    sni: Option<String>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let kind = match head.uri.path() {
        "/request" => Kind::Request,
        "/grant" => Kind::Grant,
        "/refresh" => Kind::Refresh,
        "/packet" => Kind::Packet,
        other => panic!("the node called {other}"),
    };
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let authority = head.uri.authority().map(ToString::to_string).or_else(|| text("host"));
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let seen = Seen {
        kind,
        version: head.version,
        authority: authority.unwrap_or_default(),
        sni,
        bearer,
        headers: head.headers,
        body,
        at: now(),
    };
    let reply = peer.answers(seen).await?;
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.body(Full::new(Bytes::from(reply.body))).unwrap())
}
