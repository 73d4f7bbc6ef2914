//! What a connection is doing, so that each phase has its deadline.
//!
//! ```text
//! Fresh --request--> InHand(n) --all answered--> Idle --bytes (HTTP/1.1)--> Header --request--> InHand(1)
//! header time        none: the handler's own     idle time                  header time
//! ```
//!
//! A new phase starts its timer; bytes within one phase do not move it, so a header that comes byte by byte is late all the
//! same. Bytes of an HTTP/2 connection say nothing (they may be PINGs), so there only requests count. An answer that the
//! caller does not read counts as idle, and so does the start of a header that came with the request before.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::telemetry::histogram::Stopwatch;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fresh,
    Idle,
    Header,
    InHand(u32),
}

/// A phase and its number among the connection's phases, in one word; more requests in hand are no other phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Now {
    phase: Phase,
    number: u32,
}

impl Now {
    const IN_HAND: u32 = 3;

    fn of(word: u64) -> Self {
        let [number, code] =
            [word >> 32, word & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(0));
        let phase = match code {
            0 => Phase::Fresh,
            1 => Phase::Idle,
            2 => Phase::Header,
            more => Phase::InHand(more - Self::IN_HAND),
        };
        Self { phase, number }
    }

    fn word(self) -> u64 {
        let code = match self.phase {
            Phase::Fresh => 0,
            Phase::Idle => 1,
            Phase::Header => 2,
            Phase::InHand(count) => Self::IN_HAND.saturating_add(count),
        };
        u64::from(self.number) << 32 | u64::from(code)
    }
}

/// Notes what a connection is doing. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<AtomicU64>);

/// A request in hand; dropped when its answer is ready.
#[derive(Debug)]
pub(crate) struct Hold(Activity);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(Now { phase: Phase::Fresh, number: 0 }.word())))
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
        if self.now().phase == Phase::Idle {
            self.change(|phase| if phase == Phase::Idle { Phase::Header } else { phase });
        }
    }

    fn now(&self) -> Now {
        Now::of(self.0.load(Ordering::Acquire))
    }

    fn change(&self, next: impl Fn(Phase) -> Phase) {
        let next = |word| {
            let now = Now::of(word);
            let phase = next(now.phase);
            let other = std::mem::discriminant(&now.phase) != std::mem::discriminant(&phase);
            Some(Now { phase, number: now.number.wrapping_add(u32::from(other)) }.word())
        };
        // It is never refused.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    /// Returns when the connection has stayed too long in a phase.
    ///
    /// No phase sets a timer or wakes anyone: this is asked each time that its connection is, and else looks as often as the
    /// shortest phase may last.
    pub(crate) async fn overdue(&self, header: Duration, idle: Duration) {
        let tick = header.min(idle);
        let mut watch =
            Watch { activity: self, header, idle, number: self.now().number, since: Stopwatch::start() };
        let mut timer = std::pin::pin!(sleep(tick));
        std::future::poll_fn(|cx| watch.poll(cx, timer.as_mut(), tick)).await;
    }
}

/// How long a connection has been in its phase.
struct Watch<'a> {
    activity: &'a Activity,
    header: Duration,
    idle: Duration,
    /// The phase that was seen last, and since when.
    number: u32,
    since: Stopwatch,
}

impl Watch<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>, tick: Duration) -> Poll<()> {
        loop {
            let now = self.activity.now();
            if now.number != self.number {
                (self.number, self.since) = (now.number, Stopwatch::start());
            }
            std::task::ready!(timer.as_mut().poll(cx));
            let most = match now.phase {
                Phase::Fresh | Phase::Header => self.header,
                Phase::Idle => self.idle,
                Phase::InHand(_) => Duration::MAX,
            };
            let left = most.saturating_sub(self.since.elapsed());
            if left.is_zero() {
                return Poll::Ready(());
            }
            timer.set(sleep(left.min(tick)));
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
    fn of_many_requests_in_hand_the_first_and_the_last_begin_a_phase() {
        let activity = Activity::new();
        let mut seen = activity.now();
        let mut began = || {
            let before = std::mem::replace(&mut seen, activity.now());
            before.number != seen.number
        };
        let first = activity.hold();
        assert!(began());
        let second = activity.hold();
        drop(first);
        assert!(!began());
        drop(second);
        assert!(began());
        activity.bytes();
        assert!(began(), "a header begins");
        activity.bytes();
        assert!(!began());
    }

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_millis(400);

    async fn overdue_within(activity: &Activity, time: Duration) -> bool {
        tokio::time::timeout(time, activity.overdue(SHORT, LONG)).await.is_ok()
    }

    #[tokio::test]
    async fn each_phase_has_its_time_and_a_request_in_hand_has_none() {
        let activity = Activity::new();
        assert!(overdue_within(&activity, LONG).await, "a header that does not come");
        let hold = activity.hold();
        assert!(!overdue_within(&activity, LONG * 2).await);
        drop(hold);
        assert!(!overdue_within(&activity, SHORT * 3).await, "idle is no header");
        assert!(overdue_within(&activity, LONG * 2).await);
        activity.bytes();
        assert!(overdue_within(&activity, LONG).await);
    }

    #[tokio::test]
    async fn a_phase_that_came_back_between_two_looks_begins_anew() {
        let activity = Activity::new();
        drop(activity.hold());
        let busy = async {
            for _ in 0..12 {
                tokio::time::sleep(LONG / 4).await;
                drop(activity.hold());
            }
        };
        tokio::select! {
            () = activity.overdue(SHORT, LONG) => panic!("it was never idle for so long"),
            () = busy => {}
        }
    }
}
