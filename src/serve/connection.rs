//! One connection: the protocol that ALPN chose, its deadlines, and its end.
//!
//! A connection ends when the caller closes it, when it stays too long in a phase (`phase`), or when the node stops. In
//! the last two it is told first (`Connection: close`, or GOAWAY), requests in hand are answered, and what then still
//! lingers is dropped.

use std::{convert::Infallible, future::Future, net::IpAddr, pin::pin};

use hyper::{
    Method, Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    ConnectionSettings,
    corked::Corked,
    phase::{Activity, Watched},
    respond::{Answer, without_body},
    stop::Stopping,
};
use crate::wire::limits::LINGER_TIME;

/// Turns requests into answers; one for all connections of a listener.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request from this client address.
    fn handle(&self, from: IpAddr, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    //= SEED-HTTP-1: both versions
    /// As ALPN chose; HTTP/1.1 where nothing was chosen. The bytes themselves are never asked.
    pub(crate) fn of_alpn(chosen: Option<&[u8]>) -> Self {
        if chosen == Some(b"h2") { Self::Http2 } else { Self::Http1 }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve<S, H>(
    stream: S,
    protocol: Protocol,
    from: IpAddr,
    handler: H,
    settings: &ConnectionSettings,
    stopping: Stopping,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let activity = Activity::new();
    let held = activity.clone();
    let service = service_fn(move |request| {
        let hold = held.hold();
        let handler = handler.clone();
        // In a box: hyper and the runtime move it several times, and it holds a request's whole way.
        Box::pin(async move {
            // On HTTP/1.1 hyper itself leaves the body away.
            let headless = request.method() == Method::HEAD && protocol == Protocol::Http2;
            let mut answer = handler.handle(from, request).await;
            answer.body_mut().keep(hold);
            Ok::<Response<_>, Infallible>(if headless { without_body(answer) } else { answer })
        })
    });
    match protocol {
        Protocol::Http1 => {
            let stream = TokioIo::new(Watched::new(stream, activity.clone()));
            run(http1(settings).serve_connection(stream, service), &activity, settings, stopping).await;
        }
        Protocol::Http2 => {
            let connection = http2(settings).serve_connection(TokioIo::new(Corked::new(stream)), service);
            run(connection, &activity, settings, stopping).await;
        }
    }
}

async fn run<C>(connection: C, activity: &Activity, settings: &ConnectionSettings, mut stopping: Stopping)
where
    C: GracefulConnection,
{
    let mut connection = pin!(connection);
    // The connection first: what it has just read or answered has begun a phase before the deadline is asked.
    let linger = tokio::select! {
        biased;
        _ended = connection.as_mut() => return,
        () = activity.overdue(settings.header_time, settings.idle_time) => settings.header_time,
        () = stopping.asked() => settings.header_time.min(LINGER_TIME),
    };
    connection.as_mut().graceful_shutdown();
    // `overdue` waits as long as a request is in hand; then the caller has this long to take its answer.
    tokio::select! {
        biased;
        _ended = connection.as_mut() => {}
        () = activity.overdue(linger, linger) => {}
    }
}

fn http1(settings: &ConnectionSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `phase` holds the time of a header, and of a connection without one.
        .header_read_timeout(None)
        .max_header_size(settings.header_bytes)
        .max_buf_size(settings.header_bytes.max(64 * 1024));
    builder
}

fn http2(settings: &ConnectionSettings) -> http2::Builder<TokioExecutor> {
    // A stream may hold one whole body, a connection four of them: one caller's memory is bounded, and a body that is not
    // being read leaves room for the others.
    let stream = u32::try_from(settings.body_bytes).unwrap_or(u32::MAX).clamp(64 * 1024, 16 * 1024 * 1024);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(stream)
        .initial_connection_window_size(stream * 4)
        .max_concurrent_streams(settings.streams)
        .max_header_list_size(u32::try_from(settings.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(settings.ping_every)
        .keep_alive_timeout(settings.ping_time);
    builder
}
