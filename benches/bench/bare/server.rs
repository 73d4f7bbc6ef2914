//! A bare server: hyper over rustls, HTTP/2 and 1.1. It reads each body by frames and answers 204, in a process of its own.
//!
//! Its windows and its bound of streams are the node's, so that both are fed alike. Under one path the body is on disk before the
//! answer, written and synced in line: right for one request in flight.

use std::{
    convert::Infallible,
    fs::File,
    io::Write as _,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{
    ground::Ground,
    load::{Http, line::Target},
    machine::Cores,
    outcome::Outcome,
    process::Process,
    report,
};

/// The name in its certificate.
const NAME: &str = "bare.test";
/// What is sent here is on disk before the answer.
pub(crate) const SYNCED: &str = "/synced";

/// A bare server that runs.
pub(crate) struct Bare {
    /// Its process.
    pub(crate) process: Process,
    ground: Ground,
    port: u16,
}

impl Bare {
    /// Starts it on the servers' core.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(ground: &Ground, cores: Cores) -> Outcome<Self> {
        ground.certify(&[NAME])?;
        let mut command = cores.server(&std::env::current_exe()?);
        let process = Process::start(command.args(["--part", "server"]).arg(ground.path()))?;
        let port = process.said("port")?;
        Ok(Self { process, ground: ground.clone(), port })
    }

    /// Where it is.
    ///
    /// # Errors
    /// The authority's certificate cannot be read.
    pub(crate) fn target(&self, http: Http) -> Outcome<Target> {
        let alpn = if http == Http::Two { "h2" } else { "http/1.1" };
        let tls = Some((self.ground.client(alpn)?, NAME.to_owned()));
        Ok(Target { address: (Ipv4Addr::LOCALHOST, self.port).into(), tls, http, addresses: 1 })
    }

    /// Its authority, for a request's head.
    pub(crate) fn authority(&self) -> String {
        format!("{NAME}:{}", self.port)
    }
}

/// The part: serves until it is killed.
///
/// # Errors
/// It cannot listen.
pub(crate) fn part(folder: &Path) -> Outcome<()> {
    let config = Ground::at(folder).server(NAME)?;
    let disk = Arc::new(Mutex::new(File::create(folder.join("synced"))?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        report::line(&format!("ready port={}", listener.local_addr()?.port()));
        let acceptor = TlsAcceptor::from(config);
        loop {
            let (tcp, _) = listener.accept().await?;
            tokio::spawn(serve(acceptor.clone(), tcp, Arc::clone(&disk)));
        }
    })
}

async fn serve(acceptor: TlsAcceptor, tcp: TcpStream, disk: Arc<Mutex<File>>) -> Outcome<()> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let answer = service_fn(move |request| answer(request, Arc::clone(&disk)));
    if h2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_concurrent_streams(128);
        builder.serve_connection(io, answer).await?;
    } else {
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, answer).await?;
    }
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    disk: Arc<Mutex<File>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let is_synced = request.uri().path() == SYNCED;
    let (mut body, mut synced) = (request.into_body(), Vec::new());
    let mut status = StatusCode::NO_CONTENT;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            status = StatusCode::BAD_REQUEST;
            // A stream that was reset goes on saying so.
            break;
        };
        if let (true, Some(data)) = (is_synced, frame.data_ref()) {
            synced.extend_from_slice(data);
        }
    }
    if is_synced {
        let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.write_all(&synced).and_then(|()| disk.sync_data()).is_err() {
            status = StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    Ok(answer)
}
