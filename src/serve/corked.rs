//! A stream whose writer waits one turn of the scheduler before it writes, so that what comes in that turn goes out together.
//!
//! One commit to disk answers many requests of an HTTP/2 connection at once. Each answer wakes the connection's task, which
//! would run at once and write it alone: a TLS record, a system call and a segment for each. Here the first write of a burst
//! puts the task behind all that is ready to run, and those answers stand beside the first when it is its turn again.
//!
//! ```text
//! write --first of a burst: wakes itself, pending--> turn --write--> ... --flushed--> the next write waits anew
//! ```
//!
//! It holds no bytes and no timer: a lone answer is late by a turn, microseconds.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See above.
#[derive(Debug)]
pub(crate) struct Corked<S> {
    stream: S,
    /// Whether this burst has waited for its turn.
    waited: bool,
}

impl<S> Corked<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, waited: false }
    }

    fn turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.waited {
            return Poll::Ready(());
        }
        self.waited = true;
        // A task that wakes itself while it runs goes to the end of the queue.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.turn(cx));
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.turn(cx));
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.waited = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use tokio::io::{AsyncWriteExt as _, sink};

    use super::*;

    #[tokio::test]
    async fn what_becomes_ready_in_the_same_turn_is_there_before_the_first_write() {
        static READY: AtomicUsize = AtomicUsize::new(0);
        let mut stream = Corked::new(sink());
        for burst in 1..=2 {
            for _ in 0..3 {
                tokio::spawn(async { READY.fetch_add(1, Ordering::Relaxed) });
            }
            stream.write_all(b"a").await.unwrap();
            assert_eq!(READY.load(Ordering::Relaxed), 3 * burst);
            // The rest of a burst does not wait again.
            let rest = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_write(cx, b"b").is_ready())).await;
            assert!(rest);
            stream.flush().await.unwrap();
        }
    }
}
