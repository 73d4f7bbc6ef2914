//! What a connection is doing, so that each phase has its deadline.
//!
//! ```text
//! Fresh --request--> InHand(n) --all answered--> Idle --bytes (HTTP/1.1)--> Header --request--> InHand(1)
//! header time        none: the handler's own     idle time                  header time
//! ```
//!
//! A new phase starts its timer; bytes within one phase do not move it, so a header that comes byte by byte is late all the
//! same. Bytes of an HTTP/2 connection say nothing (they may be PINGs), so there only requests count. An answer that the
//! caller does not read counts as idle.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    time::timeout,
};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fresh,
    Idle,
    Header,
    InHand(usize),
}

/// Notes what a connection is doing. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<watch::Sender<Phase>>);

/// A request in hand; dropped when its answer is ready.
#[derive(Debug)]
pub(crate) struct Hold(Activity);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Fresh)))
    }

    /// A request's header is complete.
    pub(crate) fn hold(&self) -> Hold {
        self.change(|phase| match phase {
            Phase::InHand(count) => Phase::InHand(count + 1),
            Phase::Fresh | Phase::Idle | Phase::Header => Phase::InHand(1),
        });
        Hold(self.clone())
    }

    /// Bytes came.
    fn bytes(&self) {
        self.change(|phase| if phase == Phase::Idle { Phase::Header } else { phase });
    }

    /// Wakes the connection only where its deadline is another one: not for each of many requests in hand.
    fn change(&self, next: impl FnOnce(Phase) -> Phase) {
        self.0.send_if_modified(|phase| {
            let before = std::mem::replace(phase, next(*phase));
            std::mem::discriminant(&before) != std::mem::discriminant(phase)
        });
    }

    /// Returns when the connection has stayed too long in a phase.
    pub(crate) async fn overdue(&self, header: Duration, idle: Duration) {
        let mut phase = self.0.subscribe();
        loop {
            let now = *phase.borrow_and_update();
            let wait = match now {
                Phase::Fresh | Phase::Header => header,
                Phase::Idle => idle,
                Phase::InHand(_) => Duration::MAX,
            };
            // The sender is `self`, so that the channel cannot be closed.
            if timeout(wait, phase.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.change(|phase| match phase {
            Phase::InHand(count) if count > 1 => Phase::InHand(count - 1),
            Phase::InHand(_) | Phase::Fresh | Phase::Idle | Phase::Header => Phase::Idle,
        });
    }
}

/// A stream that tells when bytes came.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.activity.bytes();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_requests_in_hand_the_first_and_the_last_wake_their_connection() {
        let activity = Activity::new();
        let mut seen = activity.0.subscribe();
        let mut woken = move || {
            let changed = seen.has_changed().unwrap();
            seen.mark_unchanged();
            changed
        };
        let first = activity.hold();
        assert!(woken());
        let second = activity.hold();
        drop(first);
        assert!(!woken());
        drop(second);
        assert!(woken());
        activity.bytes();
        assert!(woken(), "a header begins");
        activity.bytes();
        assert!(!woken());
    }
}
