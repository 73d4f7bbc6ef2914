//! All hosts under `*.many.test` on one listener: each packet is answered 204 and its messages are counted.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::inbox::Seen;
use crate::{
    clock,
    ground::Ground,
    outcome::{Outcome, failed},
};

/// Longer than this without a message, and the rest is taken for lost.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Taken {
    seen: Seen,
    /// Hosts that took a packet, and when the last of them took its first.
    hosts: HashSet<String>,
    all: Option<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
    fault: Option<String>,
}

/// The hosts.
pub(crate) struct Sink {
    /// Where all of them are.
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
    listener: JoinHandle<()>,
}

impl Sink {
    /// Listens. `silent` is a host that takes calls and never answers.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) async fn start(ground: &Ground, silent: Option<String>) -> Outcome<Self> {
        let acceptor = TlsAcceptor::from(ground.server_below("many.test")?);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let taken = Arc::new(Mutex::new(Taken::default()));
        let (into, silent): (_, Arc<Option<String>>) = (Arc::clone(&taken), Arc::new(silent));
        let listener = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), tcp, Arc::clone(&into), Arc::clone(&silent)));
            }
        });
        Ok(Self { address, taken, listener })
    }

    /// Waits until so many messages have come, each once: when the first came, and the last.
    ///
    /// # Errors
    /// One came twice, or none comes for 30 s.
    pub(crate) async fn takes(&mut self, count: u64) -> Outcome<(Instant, Instant)> {
        let mut waited = clock::now();
        let mut before = 0;
        loop {
            {
                let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(fault) = &taken.fault {
                    return failed(fault.clone());
                }
                let now = taken.seen.count();
                if now > before {
                    (before, waited) = (now, clock::now());
                }
                if let (Some(first), Some(last), true) = (taken.first, taken.last, now >= count) {
                    return Ok((first, last));
                }
            }
            if waited.elapsed() > PATIENCE {
                return failed(format!("{before} of {count} messages came, then none for {PATIENCE:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// When the last of the hosts that took packets took its first.
    pub(crate) fn reached(&self) -> Option<Instant> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    taken: Arc<Mutex<Taken>>,
    silent: Arc<Option<String>>,
) -> Outcome<()> {
    let stream = acceptor.accept(tcp).await?;
    let mute = silent.is_some() && stream.get_ref().1.server_name() == silent.as_deref();
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request| {
        let taken = Arc::clone(&taken);
        async move { answer(request, &taken, mute).await }
    });
    let io = TokioIo::new(stream);
    if h2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
        builder.serve_connection(io, service).await?;
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await?;
    }
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    taken: &Mutex<Taken>,
    mute: bool,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    if mute {
        std::future::pending::<()>().await;
    }
    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    let now = clock::now();
    taken.first.get_or_insert(now);
    taken.last = Some(now);
    if taken.hosts.insert(host) {
        taken.all = Some(now);
    }
    if let Err(fault) = taken.seen.take_all(&String::from_utf8_lossy(&body)) {
        taken.fault = Some(fault.to_string());
    }
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}
