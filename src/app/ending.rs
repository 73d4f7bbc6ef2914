//! The end of the process: within `STOP_TIME` of the first signal, whatever hangs, and at once at the second.
//!
//! ```text
//!   SIGTERM, ctrl-c --> the app is told to stop --again, or after STOP_TIME--> exit code 1, with a line that says what was left
//! ```
//!
//! One thread of its own hears the signals, on a runtime of its own: so they are heard also while every thread of the node's
//! runtime is blocked, by a disk that answers no more or a log that nobody reads. For the same reason its last line is
//! written by yet another thread and is not waited for long.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::{self, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::sleep,
};

use crate::wire::limits::STOP_TIME;

/// The last line of the log is waited for so long.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What is left of `STOP_TIME` when the process is ended: the last line, and the end itself.
const MARGIN: Duration = Duration::from_secs(1);

/// What would be left if the process ended now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Requests in hand, calls to peers, the store.
    InHand = 0,
    /// The store is flushed and closed.
    Store = 1,
    /// Nothing that matters.
    Nothing = 2,
}

/// Tells when to stop, and sees to it that it comes to an end.
pub(super) struct Ending {
    told: oneshot::Receiver<()>,
    left: Arc<AtomicU8>,
}

impl Ending {
    /// From here on the signals are heard.
    ///
    /// # Errors
    /// What the system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        let (tell, told) = oneshot::channel();
        let (prepared, ready) = mpsc::channel();
        let left = Arc::new(AtomicU8::new(Left::InHand as u8));
        let at = Arc::clone(&left);
        thread::Builder::new().name("signals".into()).spawn(move || match Heard::prepare() {
            Ok(heard) => {
                let _ = prepared.send(Ok(()));
                end_now(heard.until_the_end(tell, &at));
            }
            Err(refused) => drop(prepared.send(Err(refused))),
        })?;
        ready.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended")))?;
        Ok(Self { told, left })
    }

    /// Returns at the first signal.
    pub(super) async fn told(&mut self) {
        // The other end is the thread's, which lives as long as the process.
        let _ = (&mut self.told).await;
    }

    /// What is left from here on.
    pub(super) fn leaves(&self, left: Left) {
        self.left.store(left as u8, Ordering::Release);
    }
}

/// The signals, on a runtime of their own.
struct Heard {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Heard {
    fn prepare() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(inside);
        Ok(Self { runtime, terminate, interrupt })
    }

    /// Returns when the process must end, with the reason.
    fn until_the_end(self, tell: oneshot::Sender<()>, left: &AtomicU8) -> String {
        let Self { runtime, mut terminate, mut interrupt } = self;
        runtime.block_on(async move {
            either(&mut terminate, &mut interrupt).await;
            // An app that is not there yet hears it when it is.
            let _ = tell.send(());
            let why = tokio::select! {
                () = either(&mut terminate, &mut interrupt) => "told to stop twice: stopping at once",
                () = sleep(STOP_TIME - MARGIN) => "stopping took too long: stopping at once",
            };
            format!("{why}; {}", words(left.load(Ordering::Acquire)))
        })
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn words(left: u8) -> &'static str {
    if left == Left::InHand as u8 {
        "requests in hand and calls to peers were left, and the store was not closed: what it has acknowledged is kept"
    } else if left == Left::Store as u8 {
        "the store was not closed: what it has acknowledged is kept"
    } else {
        "nothing was left"
    }
}

/// Ends the process with code 1; the line is written if that takes no time.
fn end_now(why: String) -> ! {
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        tracing::warn!("{why}");
        let _ = said.send(());
    });
    let _ = heard.recv_timeout(LAST_WORDS);
    std::process::exit(1)
}
