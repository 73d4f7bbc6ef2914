//! An open connection to a peer whose certificate has been verified.
//!
//! A peer that takes no more bytes but stays alive would keep a connection that we have given up: closing it means to
//! write, and the system waits as long as the peer's machine answers. So a write that stands still for 30 s ends it.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Sleep,
};
use tokio_rustls::client::TlsStream;

use super::guard::Place;
use crate::wire::answer::TlsVersion;

/// As long as a lost PING is waited for: 20 s until it is sent, 10 s for its answer.
const STALL_TIME: Duration = Duration::from_secs(30);

/// An open connection; `S` is another stream than TLS only in tests.
pub(super) struct Line<S = TlsStream<TcpStream>> {
    io: TokioIo<S>,
    h2: bool,
    tls: Option<TlsVersion>,
    /// How long a write may stand still.
    patience: Duration,
    /// Runs while a write stands still.
    stalled: Option<Pin<Box<Sleep>>>,
    /// A stranger's place is held as long as the connection is open, not only as long as somebody waits for it.
    _place: Option<Place>,
}

impl<S> Line<S> {
    pub(super) fn new(stream: S, h2: bool, tls: Option<TlsVersion>, place: Option<Place>) -> Self {
        Self { io: TokioIo::new(stream), h2, tls, patience: STALL_TIME, stalled: None, _place: place }
    }
}

impl<S: AsyncWrite + Unpin> Line<S> {
    /// Passes on what a write came to, and ends it when it has stood still for too long.
    fn moving<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let words = format!("the peer took nothing for {:.1} s", patience.as_secs_f32());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, words)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection for Line<S> {
    fn connected(&self) -> Connected {
        let connected = if self.h2 { Connected::new().negotiated_h2() } else { Connected::new() };
        match self.tls {
            Some(version) => connected.extra(version),
            None => connected,
        }
    }
}

impl<S: AsyncRead + Unpin> Read for Line<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> Write for Line<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.moving(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.moving(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.io).poll_shutdown(cx);
        this.moving(cx, closed)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.moving(cx, written)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn impatient(stream: DuplexStream, millis: u64) -> TokioIo<Line<DuplexStream>> {
        TokioIo::new(Line { patience: Duration::from_millis(millis), ..Line::new(stream, false, None, None) })
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_more_loses_its_connection() {
        let (ours, _theirs) = duplex(4);
        let mut line = impatient(ours, 100);
        assert!(line.write_all(b"1234").await.is_ok());
        let error = line.write_all(b"5").await.unwrap_err();
        assert_eq!(error.to_string(), "the peer took nothing for 0.1 s");
    }

    #[tokio::test]
    async fn a_slow_peer_that_takes_a_little_at_a_time_keeps_it() {
        let (ours, mut theirs) = duplex(1);
        let mut line = impatient(ours, 1000);
        let reading = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(400)).await;
                theirs.read_u8().await.unwrap();
            }
        });
        assert!(line.write_all(b"1234").await.is_ok());
        reading.await.unwrap();
    }
}
